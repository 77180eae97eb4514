//! The store's tables and their version.

use rusqlite::Connection;

use crate::StoreError;

/// The version of the tables that this program reads and writes.
pub(crate) const VERSION: i64 = 1;

/// The tables as a first start makes them. The version stands in the same transaction.
const TABLES: &str = "
    CREATE TABLE schema (version INTEGER NOT NULL) STRICT;
    CREATE TABLE subject (
        ref     BLOB PRIMARY KEY CHECK (length(ref) = 16),
        key     BLOB NOT NULL CHECK (length(key) = 32),
        issuer  TEXT,
        subject TEXT,
        day     INTEGER,
        -- A subject is a principal or a day, never both and never neither.
        CHECK ((day IS NULL) = (issuer IS NOT NULL AND subject IS NOT NULL)),
        CHECK ((issuer IS NULL) = (subject IS NULL))
    ) STRICT;
    CREATE UNIQUE INDEX subject_by_principal ON subject (issuer, subject) WHERE issuer IS NOT NULL;
    CREATE UNIQUE INDEX subject_by_day ON subject (day) WHERE day IS NOT NULL;
";

/// The version of the file, `None` where it is empty.
pub(crate) fn version(connection: &Connection) -> Result<Option<i64>, StoreError> {
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(None);
    }
    let known: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'schema'", [], |row| row.get(0))?;
    if known == 0 {
        return Err(StoreError::Foreign);
    }
    Ok(Some(connection.query_row("SELECT version FROM schema", [], |row| row.get(0))?))
}

/// Makes the tables where there are none, and refuses those of another version.
pub(crate) fn prepare(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    match version(&transaction)? {
        Some(VERSION) => Ok(()),
        Some(other) => Err(StoreError::Version(other)),
        None => {
            transaction.execute_batch(TABLES)?;
            transaction.execute("INSERT INTO schema (version) VALUES (?1)", [VERSION])?;
            Ok(transaction.commit()?)
        }
    }
}
