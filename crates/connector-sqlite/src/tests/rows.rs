//! Records as JSON, without loss, and never beyond the limit.

use asuser_core::OutputColumn;
use rusqlite::Connection;
use serde_json::json;

use super::{Fixture, column, spec};
use crate::SqliteError;

async fn text(fixture: &Fixture, table: &str) -> String {
    let records = fixture.read(&spec(&fixture.table(table))).await.unwrap();
    String::from_utf8(records.json).unwrap()
}

#[tokio::test]
async fn cells_become_json_without_loss() {
    let fixture = Fixture::new(
        r#"CREATE TABLE t (id INTEGER PRIMARY KEY, v);
           INSERT INTO t VALUES (1, NULL), (2, 9223372036854775807), (3, -9223372036854775808), (4, 9007199254740993),
             (5, 0.1), (6, 1e300), (7, -0.0), (8, 5e-324), (9, 9e999), (10, -9e999), (11, 12.0),
             (12, 'a"b\c' || char(10, 9, 0, 1) || 'ü' || char(128512) || '</script>'), (13, ''), (14, x''), (15, x'00ff10'),
             (16, CAST(x'61ff62' AS TEXT)), (17, 123456789012345678);"#,
    )
    .await;
    let text = text(&fixture, "t").await;
    let values: Vec<&str> =
        text.split("},{").map(|row| row.split_once("\"v\":").unwrap().1.trim_end_matches('}')).collect();
    assert_eq!(
        values,
        [
            "null",
            "9223372036854775807",
            "-9223372036854775808",
            "9007199254740993",
            "0.1",
            "1e+300",
            "-0.0",
            "5e-324",
            "\"Infinity\"",
            "\"-Infinity\"",
            "12.0",
            "\"a\\\"b\\\\c\\n\\t\\u0000\\u0001ü\u{1F600}</script>\"",
            "\"\"",
            "\"\"",
            "\"AP8Q\"",
            "\"a\u{FFFD}b\"",
            "123456789012345678",
        ]
    );
}

#[tokio::test]
async fn reals_read_back_as_they_were() {
    let fixture = Fixture::new("CREATE TABLE t (id INTEGER PRIMARY KEY, v REAL)").await;
    let writer = Connection::open(&fixture.path).unwrap();
    let mut state = 1_u64;
    let mut reals = vec![f64::MAX, f64::MIN_POSITIVE, 1.0 / 3.0, 2.0_f64.powi(53) + 1.0, -1e-7, 123_456_789.123_456_79];
    while reals.len() < 500 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let real = f64::from_bits(state);
        if real.is_finite() {
            reals.push(real);
        }
    }
    writer.execute_batch("BEGIN").unwrap();
    for real in &reals {
        writer.execute("INSERT INTO t (v) VALUES (?)", [real]).unwrap();
    }
    writer.execute_batch("COMMIT").unwrap();
    let text = text(&fixture, "t").await;
    let read: Vec<f64> = text
        .split("},{")
        .map(|row| row.split_once("\"v\":").unwrap().1.trim_end_matches('}').parse().unwrap())
        .collect();
    assert_eq!(read, reals);
}

#[tokio::test]
async fn booleans_and_names() {
    let fixture = Fixture::new(
        r#"CREATE TABLE "or""ders [x]" (id INTEGER PRIMARY KEY, "is ""ok""" BOOLEAN, "Größe" INTEGER, "select" BOOL, """" TEXT);
           INSERT INTO "or""ders [x]" VALUES (1, 1, 1, 0, 'q'), (2, 2, 0, 'yes', NULL), (3, NULL, NULL, 0.5, '');"#,
    )
    .await;
    let table = fixture.table("or\"ders [x]");
    let rows = fixture.json(&spec(&table)).await;
    assert_eq!(
        rows,
        json!([
            {"id": 1, "is \"ok\"": true, "Größe": 1, "select": false, "\"": "q"},
            {"id": 2, "is \"ok\"": 2, "Größe": 0, "select": "yes", "\"": null},
            {"id": 3, "is \"ok\"": null, "Größe": null, "select": 0.5, "\"": ""},
        ])
    );
    let mut renamed = spec(&table);
    renamed.output = vec![OutputColumn { name: "a\"\n".to_owned(), column: column(&table, "Größe") }];
    assert_eq!(fixture.json(&renamed).await[0], json!({"a\"\n": 1}));
}

#[tokio::test]
async fn lists_of_keys() {
    let fixture = Fixture::new(
        "CREATE TABLE t (a TEXT, b INTEGER, c BOOLEAN, PRIMARY KEY (b, a)) WITHOUT ROWID;
         INSERT INTO t VALUES ('x\"y', 1, 1), ('z', -2, NULL);",
    )
    .await;
    let table = fixture.table("t");
    let mut spec = spec(&table);
    spec.as_list = true;
    assert_eq!(fixture.json(&spec).await, json!(["(z,-2,null)", "(x\"y,1,true)"]));
    spec.output.truncate(1);
    assert_eq!(fixture.json(&spec).await, json!(["z", "x\"y"]));
}

#[tokio::test]
async fn an_answer_stays_within_its_limit() {
    let fixture = Fixture::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v);
         WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 100) INSERT INTO t SELECT x, 'v' FROM c;
         CREATE TABLE big (id INTEGER PRIMARY KEY, v);
         INSERT INTO big VALUES (1, zeroblob(3000000));",
    )
    .await;
    let mut spec = spec(&fixture.table("t"));
    let whole = fixture.read(&spec).await.unwrap();
    spec.bytes_max = whole.json.len();
    assert_eq!(fixture.read(&spec).await.unwrap(), whole);
    spec.bytes_max -= 1;
    assert_eq!(fixture.read(&spec).await, Err(SqliteError::AnswerTooLarge { bytes_max: spec.bytes_max }));
    let big = super::spec(&fixture.table("big"));
    assert!(matches!(fixture.read(&big).await, Err(SqliteError::AnswerTooLarge { .. })));
    // The connection that refused serves the next.
    spec.bytes_max += 1;
    assert_eq!(fixture.read(&spec).await.unwrap(), whole);
}

#[tokio::test]
async fn an_empty_table_is_an_empty_answer() {
    let fixture = Fixture::new("CREATE TABLE t (id INTEGER PRIMARY KEY)").await;
    let mut spec = spec(&fixture.table("t"));
    spec.count = true;
    let records = fixture.read(&spec).await.unwrap();
    assert_eq!((records.json.as_slice(), records.rows, records.more, records.count), (&b""[..], 0, false, Some(0)));
}
