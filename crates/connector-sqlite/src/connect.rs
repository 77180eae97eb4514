//! A hardened connection. In: a path. Out: a read-only connection that can reach this one file and nothing else, watched by a
//! budget. Refuses a file that is missing, no database, or UTF-16 (its byte order is not code point order).

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::hooks::AuthContext;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use crate::functions;
use crate::permit::Permit;
use crate::{SqliteError, SqliteOptions};

/// Virtual machine steps between two looks at the budget: some microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 100;
/// Between two tries to get past a writer's lock.
const LOCK_RETRY_MS: u64 = 2;
/// Statements kept prepared on each connection.
const STATEMENTS_KEPT: usize = 64;
/// The longest pattern LIKE takes, in bytes.
pub(crate) const LIKE_PATTERN_BYTES_MAX: usize = 1_024;
/// The most values one statement binds.
pub(crate) const VALUES_MAX: usize = 10_000;

/// What one read may spend, and whether anyone still waits for it.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    pub(crate) path: Arc<Path>,
    pub(crate) time_ms_max: u64,
    deadline: Option<Instant>,
    cancelled: Arc<AtomicBool>,
}

impl Budget {
    pub(crate) fn new(path: Arc<Path>, time_ms_max: u64) -> Self {
        // A deadline beyond the clock's range is none.
        let deadline = Instant::now().checked_add(Duration::from_millis(time_ms_max));
        Self { path, time_ms_max, deadline, cancelled: Arc::new(AtomicBool::new(false)) }
    }
    /// The caller went away.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
    /// When its time is up.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
    /// Cancelled, or out of time.
    pub(crate) fn is_spent(&self) -> bool {
        self.is_cancelled() || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
    /// The error that a spent budget gives.
    pub(crate) fn spent_error(&self) -> SqliteError {
        if self.is_cancelled() {
            SqliteError::Cancelled
        } else {
            SqliteError::Timeout { time_ms_max: self.time_ms_max }
        }
    }
}

/// The budget of the read that a connection runs now; SQLite asks it while it works.
///
/// A flag of the read, not `sqlite3_interrupt` on the connection: a late cancel cannot hit the next reader.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<Option<Budget>>);

impl Watch {
    pub(crate) fn set(&self, budget: Option<Budget>) {
        *unpoisoned(&self.0) = budget;
    }
    pub(crate) fn is_spent(&self) -> bool {
        unpoisoned(&self.0).as_ref().is_some_and(Budget::is_spent)
    }
}

/// A panic while such a lock was held leaves plain data, and the connection it belongs to is closed.
pub(crate) fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection for structured reads.
pub(crate) struct Connected {
    pub(crate) connection: Connection,
    pub(crate) watch: Arc<Watch>,
    permit: Arc<Mutex<Permit>>,
    identity: FileIdentity,
}

impl Connected {
    /// Opens and hardens; every statement prepared later passes the permit.
    pub(crate) fn open(options: &SqliteOptions, budget: &Budget) -> Result<Self, SqliteError> {
        // Before it is opened: a file swapped in between is found not to be current, and opened anew.
        let (_, metadata) = existing_file(&options.path)?;
        let identity = FileIdentity::of(&metadata);
        let (mut connection, watch) = open_hardened(options, budget)?;
        let failed = |error: rusqlite::Error| SqliteError::from_sqlite(&error, budget);
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        connection.execute_batch("PRAGMA query_only = ON").map_err(failed)?;
        let permit = Arc::new(Mutex::new(Permit::default()));
        let asked = Arc::clone(&permit);
        connection
            .authorizer(Some(move |context: AuthContext<'_>| unpoisoned(&asked).judge(context)))
            .map_err(failed)?;
        Ok(Self { connection, watch, permit, identity })
    }
    /// Replaces what may be touched.
    pub(crate) fn permit(&self, permit: Permit) {
        *unpoisoned(&self.permit) = permit;
    }
    /// The path still names the file that was opened, through whatever links.
    pub(crate) fn is_current(&self, options: &SqliteOptions) -> bool {
        fs::metadata(&options.path).is_ok_and(|metadata| FileIdentity::of(&metadata) == self.identity)
    }
}

/// Which file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    fn of(metadata: &fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// Opens the file read-only and turns off all that a reader of one file does not need.
pub(crate) fn open_hardened(options: &SqliteOptions, budget: &Budget) -> Result<(Connection, Arc<Watch>), SqliteError> {
    let (path, _) = existing_file(&options.path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let failed = |error: rusqlite::Error| SqliteError::from_sqlite(&error, budget);
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    let watch = Arc::new(Watch::default());
    watch.set(Some(budget.clone()));
    harden(&mut connection, &watch).map_err(failed)?;
    let encoding: String = connection.query_row("PRAGMA encoding", [], |row| row.get(0)).map_err(failed)?;
    if encoding != "UTF-8" {
        let why = format!("its encoding is {encoding}; only UTF-8 databases are served");
        return Err(SqliteError::Unavailable { path: options.path.clone(), why });
    }
    Ok((connection, watch))
}

/// The absolute path of a regular file. Absolute, because SQLite would read a name that starts with `file:` as a URI.
fn existing_file(path: &Path) -> Result<(PathBuf, fs::Metadata), SqliteError> {
    let unavailable = |why: String| SqliteError::Unavailable { path: path.to_path_buf(), why };
    let absolute = fs::canonicalize(path).map_err(|error| unavailable(error.to_string()))?;
    let metadata = fs::metadata(&absolute).map_err(|error| unavailable(error.to_string()))?;
    if metadata.is_file() { Ok((absolute, metadata)) } else { Err(unavailable("it is no regular file".to_owned())) }
}

fn harden(connection: &mut Connection, watch: &Arc<Watch>) -> rusqlite::Result<()> {
    let asked = Arc::clone(watch);
    connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || asked.is_spent()))?;
    let asked = Arc::clone(watch);
    connection.busy_handler(Some(move |_tries| {
        thread::sleep(Duration::from_millis(LOCK_RETRY_MS));
        !asked.is_spent()
    }))?;
    for (config, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, true),
        // A plan does not depend on what is bound: no new plan for each caller, and none that tells of hidden rows.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
    ] {
        connection.set_db_config(config, on)?;
    }
    for (limit, most) in [
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 1_000_000),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 50),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 32),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, i32::try_from(LIKE_PATTERN_BYTES_MAX).unwrap_or(i32::MAX)),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, i32::try_from(VALUES_MAX).unwrap_or(i32::MAX)),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, most)?;
    }
    functions::register(connection, watch)?;
    connection.execute_batch("PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0")
}
