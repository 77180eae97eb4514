//! What a database holds, as asuser sees it: tables and columns, no rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::{ColumnName, Digest, ServiceName, TableName};

/// Which database a service is: decides how columns compare (policy) and how a plan prints (connector).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseKind {
    /// SQLite 3
    Sqlite,
    /// PostgreSQL 13 and later
    Postgres,
    /// MariaDB
    Mariadb,
}

/// One service's tables. Immutable: a refresh makes a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    /// The service.
    pub service: ServiceName,
    /// What it is.
    pub database: DatabaseKind,
    /// The schema whose tables have their bare names here; `None` where the database has no schemas.
    pub home_schema: Option<String>,
    /// A digest of everything below: a cached decision or statement belongs to one version.
    pub version: Digest,
    /// Tables and views by name.
    pub tables: BTreeMap<TableName, Arc<Table>>,
}

/// A table or view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    /// As the catalogue spells it.
    pub name: TableName,
    /// Table or view.
    pub kind: TableKind,
    /// In the catalogue's order. At most 2,000.
    pub columns: Vec<Column>,
    /// The primary key's columns in key order; empty where there is none.
    pub primary_key: Vec<ColumnIx>,
    /// What a view reads, through other views too; of a base table nothing.
    pub reads: Underlying,
}

/// The relations that stand behind a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Underlying {
    /// None: a base table.
    #[default]
    Itself,
    /// These, as the catalogue would name them: listed in it or not.
    Tables(Vec<TableName>),
    /// It cannot be told.
    Unknown,
}

/// Table or view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TableKind {
    /// A base table.
    Table,
    /// A view.
    View,
}

/// A place in [`Table::columns`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ColumnIx(pub u16);

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// As the catalogue spells it.
    pub name: ColumnName,
    /// The type as the database declares it, such as `VARCHAR(40)`.
    pub declared_type: String,
    /// What it is to us.
    pub kind: ColumnKind,
    /// May hold NULL.
    pub nullable: bool,
    /// Every value is certain to have the declared type (SQLite: a STRICT table or INTEGER PRIMARY KEY).
    pub strictly_typed: bool,
    /// Compares text by code point (SQLite BINARY, PostgreSQL deterministic collations).
    pub binary_collation: bool,
}

/// What a column's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// Unicode text.
    Text,
    /// Whole numbers that fit 64 bits.
    Integer,
    /// True or false (SQLite: 0 or 1).
    Boolean,
    /// Exact decimals.
    Decimal,
    /// Floating point.
    Float,
    /// A point in time.
    Timestamp,
    /// A calendar day.
    Date,
    /// Bytes.
    Binary,
    /// Anything else.
    Other,
}

impl Catalog {
    /// The table with exactly this name.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&Arc<Table>> {
        self.tables.get(name)
    }
}

impl Table {
    /// The place of the column with exactly this name.
    #[must_use]
    pub fn column_ix(&self, name: &str) -> Option<ColumnIx> {
        let at = self.columns.iter().position(|column| column.name.as_str() == name)?;
        u16::try_from(at).ok().map(ColumnIx)
    }
    /// The column at a place of this table.
    #[must_use]
    pub fn column(&self, ix: ColumnIx) -> Option<&Column> {
        self.columns.get(usize::from(ix.0))
    }
}
