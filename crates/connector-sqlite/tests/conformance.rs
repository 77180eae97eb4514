//! The suite that every connector passes, over SQLite files.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::path::PathBuf;
use std::sync::Arc;

use asuser_conformance::{Cell, Database, Fixture, PoolSize, TableSpec, conformance_tests};
use asuser_connector::Connector;
use asuser_connector_sqlite::{SqliteConnector, SqliteOptions};
use asuser_core::ColumnKind;
use rusqlite::types::{ToSql, ToSqlOutput, Value};
use rusqlite::{Connection, params_from_iter};

struct Sqlite;

struct File {
    path: PathBuf,
    connector: Arc<SqliteConnector>,
    _folder: tempfile::TempDir,
}

impl Fixture for Sqlite {
    fn mode(&self) -> &'static str {
        "filter"
    }
    fn user(&self, _: &str) -> Option<String> {
        None
    }
    fn database(&self, tables: &[TableSpec], pool: PoolSize) -> Box<dyn Database> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.db");
        tables.iter().for_each(|table| create(&path, table));
        let options = SqliteOptions {
            connections: pool.connections,
            waiting_max: pool.waiting_max,
            ..SqliteOptions::new("db".into(), &path)
        };
        let connector = Arc::new(SqliteConnector::open(options).unwrap());
        Box::new(File { path, connector, _folder: folder })
    }
}

impl Database for File {
    fn connector(&self) -> Arc<dyn Connector> {
        Arc::clone(&self.connector) as Arc<dyn Connector>
    }
    fn execute(&self, sql: &str) {
        Connection::open(&self.path).unwrap().execute_batch(sql).unwrap();
    }
    fn create(&self, table: &TableSpec) {
        create(&self.path, table);
    }
}

fn create(path: &PathBuf, table: &TableSpec) {
    let mut connection = Connection::open(path).unwrap();
    let transaction = connection.transaction().unwrap();
    let column = |(at, column): (usize, &asuser_conformance::ColumnSpec)| {
        let declared = match column.kind {
            ColumnKind::Text => "TEXT",
            ColumnKind::Integer => "INTEGER",
            ColumnKind::Float => "REAL",
            ColumnKind::Binary => "BLOB",
            other => unreachable!("no fixture has a column of kind {other:?}"),
        };
        let key = if at == 0 { " PRIMARY KEY" } else { "" };
        let null = if column.nullable { "" } else { " NOT NULL" };
        format!("{} {declared}{key}{null}", column.name)
    };
    let columns: Vec<String> = table.columns.iter().enumerate().map(column).collect();
    transaction.execute_batch(&format!("CREATE TABLE {} ({}) STRICT", table.name, columns.join(", "))).unwrap();
    let places = vec!["?"; columns.len()].join(", ");
    let mut insert = transaction.prepare(&format!("INSERT INTO {} VALUES ({places})", table.name)).unwrap();
    for row in &table.rows {
        insert.execute(params_from_iter(row.iter().map(Stored))).unwrap();
    }
    drop(insert);
    transaction.commit().unwrap();
}

struct Stored<'a>(&'a Cell);

impl ToSql for Stored<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(match self.0 {
            Cell::Null => Value::Null,
            Cell::Integer(number) => Value::Integer(*number),
            Cell::Real(real) => Value::Real(*real),
            Cell::Text(text) => Value::Text(text.clone()),
            Cell::Bytes(bytes) => Value::Blob(bytes.clone()),
        }))
    }
}

conformance_tests!(Sqlite);
