//! Functions that a statement may call. In: a name. Out: whether it is listed. Refuses everything else, with the nearest listed name.
//!
//! A listed function reads its arguments only: no table, setting, file, sequence, lock, other session or large object, and it changes
//! nothing. On PostgreSQL no listed function is VOLATILE; a test asks the server.

mod postgres;
mod sqlite;

use std::collections::BTreeSet;

use crate::error::{cut, suggestion};
use crate::{At, Dialect, SqlError};

/// Functions beyond the built-in list that an operator vouches for, on PostgreSQL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedFunctions(BTreeSet<(String, String)>);

impl AllowedFunctions {
    /// None beyond the built-in list.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }
    /// Functions as `schema.name`, spelt as the catalogue spells them.
    ///
    /// # Errors
    /// A name without a schema, or of `pg_catalog` or `information_schema`: those are listed here or not at all.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, SqlError> {
        let mut allowed = BTreeSet::new();
        for written in names {
            let parts = written.split_once('.').filter(|(schema, name)| {
                let plain = |part: &str| !part.is_empty() && part.len() <= 63 && !part.contains(['.', '"', '\0']);
                plain(schema) && plain(name) && !schema.starts_with("pg_") && *schema != "information_schema"
            });
            let Some((schema, name)) = parts else {
                let message = format!("`{}` must be written as schema.function, outside of pg_catalog", cut(written));
                return Err(SqlError::UnknownFunction { message, at: At::default() });
            };
            allowed.insert((schema.to_owned(), name.to_owned()));
        }
        Ok(Self(allowed))
    }
    pub(crate) fn holds(&self, schema: &str, name: &str) -> bool {
        self.0.contains(&(schema.to_owned(), name.to_owned()))
    }
}

/// The listed name.
pub(crate) fn find(dialect: Dialect, name: &str) -> Option<&'static str> {
    all(dialect).find(|known| dialect.same(known, name))
}

/// All built-in functions that are listed.
pub(crate) fn all(dialect: Dialect) -> Box<dyn Iterator<Item = &'static str>> {
    match dialect {
        Dialect::Postgres => Box::new(postgres::GROUPS.iter().flat_map(|(_, names)| names.iter().copied())),
        Dialect::Sqlite => Box::new(sqlite::NAMES.iter().copied()),
    }
}

/// The names of the columns that a PostgreSQL function gives in FROM; a function without an entry gives one, called like itself.
pub(crate) fn columns(name: &str) -> Option<&'static [&'static str]> {
    postgres::COLUMNS.iter().find(|(known, _)| *known == name).map(|(_, columns)| *columns)
}

/// A function that gives records whose columns the statement must define.
pub(crate) fn gives_records(name: &str) -> bool {
    postgres::RECORDS.contains(&name)
}

/// The refusal of a function that is not listed.
pub(crate) fn unknown(dialect: Dialect, name: &str, at: At) -> SqlError {
    let lower = name.to_ascii_lowercase();
    let list = match dialect {
        Dialect::Postgres => postgres::REFUSED,
        Dialect::Sqlite => sqlite::REFUSED,
    };
    let is_meant = |word: &str| match word.strip_suffix('*') {
        Some(start) => lower.starts_with(start),
        None => lower == word,
    };
    let reason = list.iter().find(|(word, _)| is_meant(word)).map(|(_, why)| *why);
    let hint = match reason {
        Some(why) => format!(": {why}"),
        None => suggestion(name, all(dialect)),
    };
    SqlError::UnknownFunction {
        message: format!("function `{}` is not on the list of functions that can be called{hint}", cut(name)),
        at,
    }
}
