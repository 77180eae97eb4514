//! What the schema declares, and what the catalogue makes of it.

use asuser_core::{ColumnKind, TableKind};
use rusqlite::Connection;

use super::{Fixture, spec};
use crate::SqliteError;

#[tokio::test]
async fn kinds_follow_the_declared_type() {
    use ColumnKind::{Binary, Boolean, Date, Decimal, Float, Integer, Other, Text, Timestamp};
    let cases = [
        ("INTEGER", Integer),
        ("int", Integer),
        ("BIGINT", Integer),
        ("UNSIGNED BIG INT", Integer),
        ("INT8", Integer),
        ("VARCHAR(40)", Text),
        ("NCHAR(55)", Text),
        ("TEXT", Text),
        ("CLOB", Text),
        ("character varying", Text),
        ("BLOB", Binary),
        ("REAL", Float),
        ("DOUBLE PRECISION", Float),
        ("FLOAT", Float),
        ("BOOLEAN", Boolean),
        ("bool", Boolean),
        ("DECIMAL(10,5)", Decimal),
        ("NUMERIC", Decimal),
        ("DATE", Date),
        ("DATETIME", Timestamp),
        ("TIMESTAMP", Timestamp),
        ("timestamptz", Timestamp),
        ("", Other),
        ("STRING", Other),
        ("JSON", Other),
        ("UUID", Other),
        ("CHARINT", Integer),
    ];
    let columns: Vec<String> = cases.iter().enumerate().map(|(at, (name, _))| format!("c{at} {name}")).collect();
    let fixture = Fixture::new(&format!("CREATE TABLE t ({})", columns.join(", "))).await;
    let table = fixture.table("t");
    for (column, (name, kind)) in table.columns.iter().zip(cases) {
        assert_eq!(column.kind, kind, "{name}");
        // SQLite writes its standard types in capitals, and others as they were written.
        assert!(column.declared_type.eq_ignore_ascii_case(name), "{name} {}", column.declared_type);
    }
}

#[tokio::test]
async fn null_type_and_collation_are_as_declared() {
    let fixture = Fixture::new(
        "CREATE TABLE plain (id INTEGER PRIMARY KEY, a TEXT NOT NULL, b TEXT COLLATE NOCASE, c TEXT COLLATE RTRIM,
                             d INTEGER AS (id + 1) VIRTUAL, e TEXT AS (a || 'x') STORED, f TEXT COLLATE binary);
         CREATE TABLE textkey (k TEXT PRIMARY KEY, v INTEGER);
         CREATE TABLE intkey (k INT PRIMARY KEY, v INTEGER);
         CREATE TABLE desckey (k INTEGER PRIMARY KEY DESC, v INTEGER);
         CREATE TABLE norowid (k INTEGER PRIMARY KEY, v INTEGER) WITHOUT ROWID;
         CREATE TABLE pair (a TEXT, b INTEGER, c INTEGER, PRIMARY KEY (c, a));
         CREATE TABLE tight (k TEXT PRIMARY KEY, a TEXT, b ANY, c INTEGER NOT NULL, d TEXT AS (a) VIRTUAL) STRICT;
         CREATE VIEW seen AS SELECT id, a, 1 + 1 AS two FROM plain;",
    )
    .await;
    let facts = |table: &str| {
        let table = fixture.table(table);
        let columns: Vec<(String, bool, bool, bool)> = table
            .columns
            .iter()
            .map(|c| (c.name.to_string(), c.nullable, c.strictly_typed, c.binary_collation))
            .collect();
        let key: Vec<u16> = table.primary_key.iter().map(|ix| ix.0).collect();
        (columns, key)
    };
    let is = |name: &str, nullable, strict, binary| (name.to_owned(), nullable, strict, binary);
    assert_eq!(
        facts("plain"),
        (
            vec![
                is("id", false, true, true),
                is("a", false, false, true),
                is("b", true, false, false),
                is("c", true, false, false),
                is("d", true, false, true),
                is("e", true, false, true),
                is("f", true, false, true),
            ],
            vec![0]
        )
    );
    assert_eq!(facts("textkey"), (vec![is("k", true, false, true), is("v", true, false, true)], vec![0]));
    assert_eq!(facts("intkey"), (vec![is("k", true, false, true), is("v", true, false, true)], vec![0]));
    assert_eq!(facts("desckey"), (vec![is("k", true, false, true), is("v", true, false, true)], vec![0]));
    assert_eq!(facts("norowid"), (vec![is("k", false, false, true), is("v", true, false, true)], vec![0]));
    assert_eq!(facts("pair").1, [2, 0]);
    assert_eq!(
        facts("tight").0,
        [
            is("k", false, true, true),
            is("a", true, true, true),
            is("b", true, false, true),
            is("c", false, true, true),
            is("d", true, false, true),
        ]
    );
    let seen = fixture.table("seen");
    assert_eq!(seen.kind, TableKind::View);
    assert!(seen.columns.iter().all(|column| column.nullable && !column.strictly_typed && !column.binary_collation));
    assert!(seen.primary_key.is_empty());
}

/// A column that the catalogue calls certain really cannot hold anything else.
#[tokio::test]
async fn what_is_called_certain_is_certain() {
    let fixture = Fixture::new(
        "CREATE TABLE textkey (k TEXT PRIMARY KEY); INSERT INTO textkey VALUES (NULL);
         CREATE TABLE desckey (k INTEGER PRIMARY KEY DESC); INSERT INTO desckey VALUES (NULL);",
    )
    .await;
    let writer = Connection::open(&fixture.path).unwrap();
    for table in ["textkey", "desckey"] {
        let null: bool = writer.query_row(&format!("SELECT k IS NULL FROM {table}"), [], |row| row.get(0)).unwrap();
        assert!(null, "{table} does hold NULL in its key");
    }
    writer.execute_batch("CREATE TABLE tight (k TEXT PRIMARY KEY, v INTEGER) STRICT").unwrap();
    assert!(writer.execute("INSERT INTO tight VALUES (NULL, 1)", []).is_err());
    assert!(writer.execute("INSERT INTO tight VALUES ('a', 'x')", []).is_err());
    writer.execute("INSERT INTO tight VALUES ('a', 1)", []).unwrap();
}

#[tokio::test]
async fn only_tables_and_views_are_listed() {
    let fixture = Fixture::new(
        "CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT);
         CREATE VIRTUAL TABLE ft USING fts5(body);
         CREATE VIRTUAL TABLE rt USING rtree(id, x0, x1);
         CREATE VIEW v AS SELECT * FROM a;
         CREATE VIEW broken AS SELECT * FROM gone;
         CREATE TABLE Sqlited (x); ANALYZE;",
    )
    .await;
    let names: Vec<&str> = fixture.catalog.tables.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["Sqlited", "a", "v"]);
}

#[tokio::test]
async fn the_version_follows_the_shape() {
    let fixture = Fixture::new("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'x')").await;
    let first = fixture.catalog.clone();
    let writer = Connection::open(&fixture.path).unwrap();
    writer.execute_batch("INSERT INTO t VALUES (2, 'y'); CREATE INDEX i ON t(a); ANALYZE").unwrap();
    let second = fixture.connector.catalog().await.unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &second), "the same shape is the same catalogue");
    writer.execute_batch("ALTER TABLE t ADD COLUMN b TEXT").unwrap();
    let third = fixture.connector.catalog().await.unwrap();
    assert_ne!(third.version, first.version);
    assert_eq!(third.table("t").unwrap().columns.len(), 3);
}

#[tokio::test]
async fn a_plan_for_another_shape_is_refused() {
    let fixture =
        Fixture::new("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL) STRICT; CREATE TABLE u (x)").await;
    let before = spec(&fixture.table("t"));
    let writer = Connection::open(&fixture.path).unwrap();
    // A change elsewhere moves SQLite's counter, and the plan still holds.
    writer.execute_batch("CREATE TABLE other (x); INSERT INTO t VALUES (1, 'x')").unwrap();
    assert_eq!(fixture.read(&before).await.unwrap().rows, 1);
    // The same names with weaker promises: the plan's text would lack its guards.
    writer
        .execute_batch("DROP TABLE t; CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, x'61')")
        .unwrap();
    assert_eq!(fixture.read(&before).await, Err(SqliteError::SchemaChanged));
    assert_eq!(fixture.read(&before).await, Err(SqliteError::SchemaChanged));
    let catalog = fixture.connector.catalog().await.unwrap();
    assert_eq!(fixture.read(&spec(catalog.table("t").unwrap())).await.unwrap().rows, 1);
}

#[tokio::test]
async fn views_are_read_with_their_row_filter() {
    let fixture = Fixture::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, owner TEXT, n INTEGER);
         INSERT INTO t VALUES (1, 'alice', 5), (2, 'bob', 6), (3, 'alice', 7);
         CREATE VIEW plain AS SELECT * FROM t;
         CREATE VIEW nested AS WITH a AS (SELECT * FROM plain) SELECT id, owner, upper(owner) AS loud FROM a;
         CREATE VIEW sums AS SELECT owner, sum(n) AS total, count(*) AS many FROM t GROUP BY owner;
         CREATE VIEW constant AS SELECT 'alice' AS owner FROM t;
         CREATE VIEW reaching AS SELECT name AS owner FROM sqlite_schema;",
    )
    .await;
    for (name, expected) in [("plain", 2), ("nested", 2), ("sums", 1), ("constant", 3)] {
        let view = fixture.table(name);
        let mut spec = spec(&view);
        spec.row_filter = super::owner_is(&view, "alice");
        if name == "constant" {
            // An expression has no declared type in every version of SQLite: no row condition over it.
            spec.row_filter = asuser_core::Filter::True;
        }
        spec.count = true;
        let records = fixture.read(&spec).await.unwrap();
        assert_eq!((records.rows, records.count), (expected, Some(expected)), "{name}");
    }
    let reaching = fixture.read(&spec(&fixture.table("reaching"))).await;
    assert!(matches!(reaching, Err(SqliteError::Refused(_))), "{reaching:?}");
}
