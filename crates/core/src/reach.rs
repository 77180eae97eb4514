//! What the database itself lets a person read, before any policy: it only narrows.

use std::collections::BTreeMap;

use crate::{ColumnIx, TableName};

/// The tables and columns that a person's database role may read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Reach {
    /// The database has no users: the policy alone decides.
    #[default]
    Everything,
    /// These tables, by name; what is not in it does not exist for this person.
    Tables(BTreeMap<TableName, ReachedColumns>),
}

/// Which columns of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReachedColumns {
    /// All.
    All,
    /// These: sorted.
    Some(Vec<ColumnIx>),
}

impl Reach {
    /// Which columns of a table; `None`: the table does not exist for this person.
    #[must_use]
    pub fn columns(&self, table: &TableName) -> Option<&ReachedColumns> {
        match self {
            Self::Everything => Some(&ReachedColumns::All),
            Self::Tables(tables) => tables.get(table),
        }
    }
}

impl ReachedColumns {
    /// Whether a column is among them.
    #[must_use]
    pub fn contains(&self, column: ColumnIx) -> bool {
        match self {
            Self::All => true,
            Self::Some(columns) => columns.binary_search(&column).is_ok(),
        }
    }
}
