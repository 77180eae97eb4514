//! Tests of the whole crate over real files. What each file shares stands here.

mod catalog;
mod condition;
mod confinement;
mod filter;
mod index;
mod mask;
mod pool;
mod rows;
mod streams;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use asuser_core::{
    Catalog, ColumnAccess, ColumnIx, Filter, FilterOp, Operand, OrderTerm, OutputColumn, ReadSpec, Records,
    ServiceName, Table, TableRef, Value,
};
use rusqlite::Connection;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::handover::Got;
use crate::{SqliteConnector, SqliteError, SqliteOptions};

/// A file made by a script, and the connector that serves it.
pub(crate) struct Fixture {
    pub(crate) connector: SqliteConnector,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) path: PathBuf,
    pub(crate) folder: TempDir,
}

impl Fixture {
    pub(crate) async fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("company.db");
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch(script).unwrap();
        writer.close().unwrap();
        let connector = SqliteConnector::open(options(&path)).unwrap();
        let catalog = connector.catalog().await.unwrap();
        Self { connector, catalog, path, folder }
    }
    pub(crate) fn table(&self, name: &str) -> Arc<Table> {
        Arc::clone(self.catalog.table(name).unwrap())
    }
    pub(crate) async fn read(&self, spec: &ReadSpec) -> Result<Records, SqliteError> {
        run(&self.connector, spec).await
    }
    /// The records as JSON values.
    pub(crate) async fn json(&self, spec: &ReadSpec) -> serde_json::Value {
        parsed(&self.read(spec).await.unwrap())
    }
}

/// A read to its end, a long one too.
pub(crate) async fn run(connector: &SqliteConnector, spec: &ReadSpec) -> Result<Records, SqliteError> {
    match connector.run(spec).await?.0 {
        Got::Whole(records) => Ok(records),
        Got::Long(first, rest) => rest.join(first).await,
    }
}

pub(crate) fn options(path: &Path) -> SqliteOptions {
    SqliteOptions { connections: 2, ..SqliteOptions::new(ServiceName::from("db"), path) }
}

pub(crate) fn parsed(records: &Records) -> serde_json::Value {
    let text = String::from_utf8(records.json.clone()).unwrap();
    serde_json::from_str(&format!("[{text}]")).unwrap()
}

/// Every column clear, every row, in the order of the key.
pub(crate) fn spec(table: &Arc<Table>) -> ReadSpec {
    let output = table
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| OutputColumn { name: column.name.to_string(), column: ColumnIx(at as u16) })
        .collect();
    ReadSpec {
        access: vec![ColumnAccess::Clear; table.columns.len()],
        output,
        row_filter: Filter::True,
        condition: None,
        order: table
            .primary_key
            .iter()
            .map(|column| OrderTerm { column: *column, descending: false, nulls_first: None })
            .collect(),
        order_asked: 0,
        order_by_shown: false,
        limit: 1_000,
        offset: 0,
        count: false,
        as_list: false,
        bytes_max: 1 << 20,
        time_ms_max: 30_000,
        table: TableRef(Arc::clone(table)),
    }
}

pub(crate) fn column(table: &Table, name: &str) -> ColumnIx {
    table.column_ix(name).unwrap()
}

pub(crate) fn owner_is(table: &Table, owner: &str) -> Filter {
    Filter::test(column(table, "owner"), FilterOp::Eq(Operand::Value(Value::Text(owner.to_owned()))))
}

/// Every file of a folder with its digest.
pub(crate) fn digests(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut all: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(fs::read(&path).unwrap()));
            (path, digest)
        })
        .collect();
    all.sort();
    all
}
