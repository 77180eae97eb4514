//! SQLite as a service, in run-as mode `filter`: the file has no users, so the policy alone decides, by row filters and masks
//! that are part of every statement.
//!
//! In: a sealed read. Out: its records as JSON. Refuses a file that is missing, damaged or not UTF-8, a plan that it cannot print
//! exactly, and a plan made for another schema. The file is opened read-only and never changed.

mod catalog;
mod connect;
mod connector;
mod error;
mod functions;
mod handover;
mod matching;
mod permit;
mod pool;
mod print;
mod rows;
mod run_as;
mod sql;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use asuser_core::{Catalog, DatabaseIdentity, ReadSpec, ServiceName, Table};

use crate::catalog::Known;
use crate::connect::Budget;
use crate::handover::Got;
use crate::pool::Pool;
use crate::rows::Shape;

pub use crate::error::SqliteError;

/// How a SQLite service is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// The service that the catalogue belongs to.
    pub service: ServiceName,
    /// The database file. It may appear later: until then the service is not ready.
    pub path: PathBuf,
    /// Threads, each with a connection of its own: 1 to 64.
    pub connections: usize,
    /// Reads that may wait for a connection: 1 to 10,000. One more is refused as [`SqliteError::Busy`].
    pub waiting_max: usize,
    /// At most this long for reading the catalogue, in milliseconds.
    pub catalog_time_ms_max: u64,
}

impl SqliteOptions {
    /// Four connections, 256 waiting reads, 10 s for the catalogue.
    #[must_use]
    pub fn new(service: ServiceName, path: impl Into<PathBuf>) -> Self {
        Self { service, path: path.into(), connections: 4, waiting_max: 256, catalog_time_ms_max: 10_000 }
    }

    fn check(&self) -> Result<(), SqliteError> {
        let refuse = |words: &str| Err(SqliteError::Options(words.to_owned()));
        if self.path.as_os_str().is_empty() {
            return refuse("`path` is empty: name the database file");
        }
        if !(1..=64).contains(&self.connections) {
            return refuse("`connections` must be 1 to 64");
        }
        if !(1..=10_000).contains(&self.waiting_max) {
            return refuse("`waiting_max` must be 1 to 10000");
        }
        Ok(())
    }
}

/// A SQLite file as a service.
#[derive(Debug)]
pub struct SqliteConnector {
    options: Arc<SqliteOptions>,
    path: Arc<Path>,
    pool: Pool,
    /// A thread of its own: reads that keep the pool busy do not make the service look as if it were not there.
    catalog_pool: Pool,
    known: RwLock<Option<Known>>,
}

impl SqliteConnector {
    /// Starts the connector's threads. The file is opened at the first use, so that a missing one makes this service not ready
    /// and no other: ask [`SqliteConnector::catalog`].
    ///
    /// # Errors
    /// When the options are out of range, or no thread can be started.
    pub fn open(options: SqliteOptions) -> Result<Self, SqliteError> {
        options.check()?;
        let options = Arc::new(options);
        let pool = Pool::start(&options)?;
        let catalog_pool = Pool::single(&options, "sqlite-catalog")?;
        let path = Arc::from(options.path.as_path());
        Ok(Self { options, path, pool, catalog_pool, known: RwLock::new(None) })
    }

    /// Reads the shape of the file anew. Equal shapes have equal versions, and an unchanged catalogue is the same `Arc`.
    ///
    /// # Errors
    /// [`SqliteError::Unavailable`] when the file cannot be read, [`SqliteError::Busy`], [`SqliteError::Timeout`].
    pub async fn catalog(&self) -> Result<Arc<Catalog>, SqliteError> {
        self.refresh(Budget::new(Arc::clone(&self.path), self.options.catalog_time_ms_max)).await
    }

    async fn refresh(&self, budget: Budget) -> Result<Arc<Catalog>, SqliteError> {
        let options = Arc::clone(&self.options);
        let read = move |_: &mut connect::Connected, budget: &Budget| {
            // A connection of its own: it has no permit to pass, and reads the file that the path names now.
            let (mut connection, _watch) = connect::open_hardened(&options, budget)?;
            catalog::read(&mut connection, &options.service).map_err(|error| SqliteError::from_sqlite(&error, budget))
        };
        let mut fresh = self.catalog_pool.run(budget, read).await?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = known.as_ref().filter(|before| before.catalog.version == fresh.catalog.version) {
            fresh.catalog = Arc::clone(&before.catalog);
        }
        let catalog = Arc::clone(&fresh.catalog);
        *known = Some(fresh);
        Ok(catalog)
    }

    /// Runs a read. Dropping the future, or the rest of a long result, cancels it, and its connection serves nobody else.
    ///
    /// Stays inside this crate: the only way in is the connector's trait, whose one argument is an intent.
    pub(crate) async fn run(&self, spec: &ReadSpec) -> Result<(Got, DatabaseIdentity), SqliteError> {
        let statement = Arc::new(print::statement(spec)?);
        let shape = Arc::new(Shape::of(spec));
        // One deadline for all of it.
        let budget = Budget::new(Arc::clone(&self.path), spec.time_ms_max);
        let got = match self.attempt(&statement, &shape, &budget).await {
            // The schema's counter moves with every change of it; the plan still holds if its own table is the same.
            Err(SqliteError::SchemaChanged) => {
                self.refresh(budget.clone()).await?;
                self.attempt(&statement, &shape, &budget).await?
            }
            other => other?,
        };
        Ok((got, DatabaseIdentity { mode: "filter", user: None }))
    }

    async fn attempt(
        &self,
        statement: &Arc<print::Statement>,
        shape: &Arc<Shape>,
        budget: &Budget,
    ) -> Result<Got, SqliteError> {
        let schema_version = self.schema_version_of(&statement.table)?;
        let (statement, shape) = (Arc::clone(statement), Arc::clone(shape));
        let read = move |connected: &mut connect::Connected, budget: &Budget, outlet: &mut handover::Outlet| {
            rows::read(connected, &statement, &shape, schema_version, budget, outlet)
        };
        self.pool.read(budget.clone(), read).await
    }

    /// The schema version at which the plan's table was seen; refused where the table is not the one in the catalogue.
    fn schema_version_of(&self, planned: &Arc<Table>) -> Result<i64, SqliteError> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_ref().ok_or(SqliteError::NotReady)?;
        match known.catalog.table(planned.name.as_str()) {
            Some(table) if Arc::ptr_eq(table, planned) || table == planned => Ok(known.schema_version),
            _ => Err(SqliteError::SchemaChanged),
        }
    }
}
