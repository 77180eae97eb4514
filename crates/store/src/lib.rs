//! The store: state that must outlive the process, in one SQLite file.
//!
//! So far it holds the subjects of the audit log: which principal (or which day's unauthenticated sources) a reference in
//! the log stands for, and the key that their personal parts are under. A key is committed, synced, before it is given out.
//! An erased key is overwritten (`secure_delete`) and the write-ahead log that held it truncated before the erasure counts.
//! Refused: a file of another version, one that is no store, one that others may read.
//!
//! Backups of the file still hold erased keys; whoever makes them must let them age out.

mod schema;

use std::fs::OpenOptions;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use asuser_audit_log::{KeyStore, KeyStoreError, SubjectKey, SubjectRef};
use asuser_core::PrincipalKey;
use quick_cache::sync::Cache;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Params, Row};
use zeroize::{Zeroize, Zeroizing};

/// How many keys are kept in memory.
const KEYS_MAX: usize = 10_000;
/// How long a locked file is waited for, in milliseconds.
const BUSY_MS: u64 = 5_000;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A newer or older program wrote it.
    #[error("the store has version {0}, which this program does not know: use the program that wrote it")]
    Version(i64),
    /// It is a database, but not a store.
    #[error("the file is no store of asuser")]
    Foreign,
    /// Others may read the keys.
    #[error("`{0}` may be read by others: chmod 600")]
    Permissions(PathBuf),
    /// The write-ahead log could not be emptied, so what was deleted may still be in it.
    #[error("the store's write-ahead log could not be emptied: another process reads it")]
    NotTruncated,
    /// No random bytes.
    #[error("the system has no random bytes")]
    Random,
    /// The file system refused.
    #[error("`{0}`: {1}")]
    Io(PathBuf, std::io::Error),
    /// SQLite refused.
    #[error("sqlite: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

impl From<StoreError> for KeyStoreError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

/// The open store.
pub struct Store {
    connection: Mutex<Connection>,
    /// Keys that were used lately; wiped when they fall out and nobody else holds them.
    keys: Cache<SubjectRef, Arc<SubjectKey>>,
}

impl Store {
    /// Opens the store, or makes it, readable by its owner alone.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        private(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "trusted_schema", "OFF")?;
        schema::prepare(&mut connection)?;
        let store = Self::over(connection);
        // A process that was cut off during an erasure may have left the key in the write-ahead log.
        store.truncate(&store.lock())?;
        Ok(store)
    }

    /// Opens a store for reading alone, for a verifier; it may be in use.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path.as_ref(), flags)?;
        connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
        match schema::version(&connection)? {
            Some(schema::VERSION) => Ok(Self::over(connection)),
            Some(other) => Err(StoreError::Version(other)),
            None => Err(StoreError::Foreign),
        }
    }

    fn over(connection: Connection) -> Self {
        Self { connection: Mutex::new(connection), keys: Cache::new(KEYS_MAX) }
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn set_busy_ms(&self, ms: u64) {
        self.lock().busy_timeout(std::time::Duration::from_millis(ms)).unwrap();
    }

    /// Empties the write-ahead log into the file.
    fn truncate(&self, connection: &Connection) -> Result<(), StoreError> {
        let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy == 0 { Ok(()) } else { Err(StoreError::NotTruncated) }
    }

    fn select(
        &self,
        connection: &Connection,
        condition: &str,
        values: impl Params,
    ) -> Result<Option<Arc<SubjectKey>>, StoreError> {
        let sql = format!("SELECT ref, key FROM subject WHERE {condition}");
        let found = connection.prepare_cached(&sql)?.query_row(values, subject_key).optional()?;
        Ok(found.map(Arc::new))
    }

    /// The subject of this principal or day, made and committed if there is none.
    fn subject(&self, whose: &Whose<'_>) -> Result<Arc<SubjectKey>, StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let (issuer, subject, day) = whose.columns();
        let key = match self.select(&transaction, whose.condition(), (issuer, subject, day))? {
            Some(key) => key,
            None => {
                let key = SubjectKey::random().map_err(|_| StoreError::Random)?;
                transaction
                    .prepare_cached("INSERT INTO subject (ref, key, issuer, subject, day) VALUES (?1, ?2, ?3, ?4, ?5)")?
                    .execute((&key.id().0, key.expose(), issuer, subject, day))?;
                Arc::new(key)
            }
        };
        transaction.commit()?;
        self.keys.insert(key.id(), Arc::clone(&key));
        Ok(key)
    }

    fn find_subject(&self, whose: &Whose<'_>) -> Result<Option<SubjectRef>, StoreError> {
        Ok(self.select(&self.lock(), whose.condition(), whose.columns())?.map(|key| key.id()))
    }

    fn read_key(&self, id: SubjectRef) -> Result<Option<Arc<SubjectKey>>, StoreError> {
        if let Some(key) = self.keys.get(&id) {
            return Ok(Some(key));
        }
        let connection = self.lock();
        let found = self.select(&connection, "ref = ?1", [&id.0])?;
        // INVARIANT: under the connection's lock, so that an erasure, which holds it too, cannot come in between.
        if let Some(key) = &found {
            self.keys.insert(id, Arc::clone(key));
        }
        Ok(found)
    }

    fn delete(&self, id: SubjectRef) -> Result<(), StoreError> {
        let connection = self.lock();
        connection.execute("DELETE FROM subject WHERE ref = ?1", [&id.0])?;
        self.keys.remove(&id);
        self.truncate(&connection)
    }
}

/// Whose a subject is.
enum Whose<'a> {
    Principal(&'a PrincipalKey),
    Day(i64),
}

impl Whose<'_> {
    /// All three are bound, so each condition names its own.
    const fn condition(&self) -> &'static str {
        match self {
            Self::Principal(_) => "issuer = ?1 AND subject = ?2 AND ?3 IS NULL",
            Self::Day(_) => "?1 IS NULL AND ?2 IS NULL AND day = ?3",
        }
    }
    fn columns(&self) -> (Option<&str>, Option<&str>, Option<i64>) {
        match self {
            Self::Principal(key) => (Some(key.issuer.as_str()), Some(key.subject.as_str()), None),
            Self::Day(day) => (None, None, Some(*day)),
        }
    }
}

fn subject_key(row: &Row<'_>) -> rusqlite::Result<SubjectKey> {
    let id: [u8; 16] = row.get(0)?;
    let mut key: [u8; 32] = row.get(1)?;
    let subject = SubjectKey::new(SubjectRef(id), Zeroizing::new(key));
    key.zeroize();
    Ok(subject)
}

/// Has the file there before SQLite makes it, so that it is private from its first byte on; the write-ahead log takes the
/// file's permissions.
fn private(path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::Io(path.to_owned(), error);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o077 == 0 { Ok(()) } else { Err(StoreError::Permissions(path.to_owned())) }
}

impl KeyStore for Store {
    fn subject_key(&self, principal: &PrincipalKey) -> Result<Arc<SubjectKey>, KeyStoreError> {
        Ok(self.subject(&Whose::Principal(principal))?)
    }
    fn day_key(&self, day: i64) -> Result<Arc<SubjectKey>, KeyStoreError> {
        Ok(self.subject(&Whose::Day(day))?)
    }
    fn key(&self, id: SubjectRef) -> Result<Option<Arc<SubjectKey>>, KeyStoreError> {
        Ok(self.read_key(id)?)
    }
    fn find(&self, principal: &PrincipalKey) -> Result<Option<SubjectRef>, KeyStoreError> {
        Ok(self.find_subject(&Whose::Principal(principal))?)
    }
    fn find_day(&self, day: i64) -> Result<Option<SubjectRef>, KeyStoreError> {
        Ok(self.find_subject(&Whose::Day(day))?)
    }
    fn erase(&self, id: SubjectRef) -> Result<(), KeyStoreError> {
        Ok(self.delete(id)?)
    }
}

#[cfg(test)]
mod tests;
