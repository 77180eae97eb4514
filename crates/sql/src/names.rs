//! Names: which are the same, and which are never a column. In: names as the tree has them. Refuses nothing itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::Dialect;

/// Columns that each table of PostgreSQL has without having been given them.
const SYSTEM_COLUMNS_POSTGRES: &[&str] = &["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "oid"];
/// The same of SQLite.
const SYSTEM_COLUMNS_SQLITE: &[&str] = &["rowid", "_rowid_", "oid"];

impl Dialect {
    /// Whether the database takes two names for one.
    pub(crate) fn same(self, a: &str, b: &str) -> bool {
        match self {
            Self::Postgres => a == b,
            Self::Sqlite => a.eq_ignore_ascii_case(b),
        }
    }
    pub(crate) fn is_system_column(self, name: &str) -> bool {
        match self {
            Self::Postgres => SYSTEM_COLUMNS_POSTGRES.contains(&name),
            Self::Sqlite => SYSTEM_COLUMNS_SQLITE.iter().any(|known| known.eq_ignore_ascii_case(name)),
        }
    }
}

/// Gives out names of which no two are the same, whatever their case.
#[derive(Debug, Default)]
pub(crate) struct Unique {
    taken: BTreeSet<String>,
    /// The last number that was put behind a name.
    last: BTreeMap<String, u32>,
}

/// PostgreSQL cuts a name off there, and two names could become one.
pub(crate) const NAME_BYTES_MAX: usize = 63;

impl Unique {
    /// The name itself, or with `_2`, `_3`, … if it is taken.
    pub(crate) fn take(&mut self, name: &str) -> String {
        let lower = name.to_lowercase();
        if self.taken.insert(lower.clone()) {
            return name.to_owned();
        }
        let last = self.last.entry(lower).or_insert(1);
        loop {
            *last = last.saturating_add(1);
            let suffix = format!("_{last}");
            let mut end = name.len().min(NAME_BYTES_MAX.saturating_sub(suffix.len()));
            while !name.is_char_boundary(end) {
                end -= 1;
            }
            let candidate = format!("{}{suffix}", name.get(..end).unwrap_or_default());
            if self.taken.insert(candidate.to_lowercase()) {
                return candidate;
            }
        }
    }
}
