//! A masked column shows its mask wherever it is used, and the mask is the one of `MaskKind::apply`.

use asuser_core::{
    ColumnAccess, ColumnIx, CompareOp, Condition, Filter, FilterOp, Literal, MaskKind, Operand, OrderTerm, ReadSpec,
    Test, TestKind, Value,
};
use rusqlite::Connection;
use serde_json::{Value as Json, json};

use super::{Fixture, column, owner_is, spec};
use crate::SqliteError;

const TEXTS: &[&str] = &[
    "",
    "a",
    "@",
    "a@",
    "@b",
    "a@b",
    "a@b@c",
    "john.doe@company.com",
    "4111111111111111",
    "1234567",
    "12345678",
    "grüße-ÄÖÜ",
    "\u{1F600}\u{1F600}@x",
    "no address",
    "a\0b@c",
    "\0",
    "e\u{301}@x",
    "        ",
];

fn masked(spec: &mut ReadSpec, name: &str, kind: MaskKind, unmask: Filter) {
    let ix = column(&spec.table, name);
    spec.access[usize::from(ix.0)] = ColumnAccess::Masked { kind, unmask };
}

#[tokio::test]
async fn a_mask_in_sql_is_the_mask_of_the_rule() {
    let fixture = Fixture::new("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INTEGER, x)").await;
    let writer = Connection::open(&fixture.path).unwrap();
    for text in TEXTS {
        writer.execute("INSERT INTO t (v, n, x) VALUES (?1, ?1, ?1)", [text]).unwrap();
    }
    writer
        .execute_batch("INSERT INTO t (v, n, x) VALUES (NULL, NULL, NULL), (x'61407a', 5, 5), (12345678, 'text', 1.5)")
        .unwrap();
    let table = fixture.table("t");
    for kind in [MaskKind::Full, MaskKind::Partial, MaskKind::Email, MaskKind::Null] {
        let mut spec = spec(&table);
        for name in ["v", "n", "x"] {
            masked(&mut spec, name, kind, Filter::False);
        }
        let rows = fixture.json(&spec).await;
        for (row, text) in rows.as_array().unwrap().iter().zip(TEXTS) {
            assert_eq!(row["v"], json!(kind.apply(text)), "{kind:?} {text:?}");
        }
        // NULL and bytes are no text; in a text column a number is stored as text; other columns are no text at all.
        assert_eq!(rows[TEXTS.len()]["v"], Json::Null);
        assert_eq!(rows[TEXTS.len() + 1]["v"], Json::Null);
        assert_eq!(rows[TEXTS.len() + 2]["v"], json!(kind.apply("12345678")));
        assert!(rows.as_array().unwrap().iter().all(|row| row["n"].is_null() && row["x"].is_null()));
    }
}

const COMPANY: &str = "
    CREATE TABLE t (id INTEGER PRIMARY KEY, owner TEXT, email TEXT, pay INTEGER);
    CREATE INDEX t_email ON t(email);
    INSERT INTO t VALUES (1, 'alice', 'zoe@x.y', 900), (2, 'bob', 'ann@x.y', 100), (3, 'alice', 'bea@x.y', 500), (4, 'bob', NULL, NULL);
";

fn ids(rows: &Json) -> Vec<i64> {
    rows.as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

/// Her own rows are clear, the others masked.
async fn company() -> (Fixture, ReadSpec) {
    let fixture = Fixture::new(COMPANY).await;
    let mut spec = spec(&fixture.table("t"));
    let own = owner_is(&spec.table.clone(), "alice");
    masked(&mut spec, "email", MaskKind::Email, own.clone());
    masked(&mut spec, "pay", MaskKind::Null, own);
    (fixture, spec)
}

#[tokio::test]
async fn unmasking_is_decided_row_by_row() {
    let (fixture, spec) = company().await;
    let rows = fixture.json(&spec).await;
    let shown: Vec<(&Json, &Json)> = rows.as_array().unwrap().iter().map(|row| (&row["email"], &row["pay"])).collect();
    assert_eq!(
        shown,
        [
            (&json!("zoe@x.y"), &json!(900)),
            (&json!("a***@x.y"), &Json::Null),
            (&json!("bea@x.y"), &json!(500)),
            (&Json::Null, &Json::Null)
        ]
    );
}

#[tokio::test]
async fn a_condition_and_an_order_see_the_mask() {
    let (fixture, mut spec) = company().await;
    let test = |column: ColumnIx, kind: TestKind| Some(Condition::Test(Test { column, at: 0, kind }));
    let (email, pay) = (column(&spec.table, "email"), column(&spec.table, "pay"));
    let text = |text: &str| Literal::Text(text.to_owned());
    for (condition, expected) in [
        (test(email, TestKind::Compare(CompareOp::Eq, text("ann@x.y"))), vec![]),
        (test(email, TestKind::Compare(CompareOp::Eq, text("a***@x.y"))), vec![2]),
        (test(email, TestKind::Compare(CompareOp::Eq, text("zoe@x.y"))), vec![1]),
        (test(email, TestKind::StartsWith("an".to_owned())), vec![]),
        (test(email, TestKind::Contains("***".to_owned())), vec![2]),
        (test(email, TestKind::In(vec![text("ann@x.y"), text("bea@x.y")])), vec![3]),
        (test(email, TestKind::Between(text("an"), text("ao"))), vec![]),
        (test(email, TestKind::IsNull), vec![4]),
        (test(pay, TestKind::Compare(CompareOp::Lt, Literal::Integer(1_000))), vec![1, 3]),
        (test(pay, TestKind::IsNull), vec![2, 4]),
        (test(pay, TestKind::Compare(CompareOp::Eq, Literal::Integer(100))), vec![]),
    ] {
        spec.condition = condition;
        spec.count = true;
        let records = fixture.read(&spec).await.unwrap();
        assert_eq!(ids(&super::parsed(&records)), expected, "{:?}", spec.condition);
        assert_eq!(records.count, Some(expected.len() as u64));
    }
    spec.condition = None;
    spec.order = vec![OrderTerm { column: email, descending: false, nulls_first: Some(false) }];
    assert_eq!(ids(&fixture.json(&spec).await), [2, 3, 1, 4], "`a***` sorts before `bea` and `zoe`");
    spec.order = vec![
        OrderTerm { column: pay, descending: true, nulls_first: Some(true) },
        OrderTerm { column: ColumnIx(0), descending: true, nulls_first: None },
    ];
    assert_eq!(ids(&fixture.json(&spec).await), [4, 2, 1, 3], "her row of 100 sorts as NULL");
}

/// The row filter reads the base column, also where the caller sees a mask.
#[tokio::test]
async fn a_row_filter_sees_the_clear_column() {
    let (fixture, mut spec) = company().await;
    let email = column(&spec.table, "email");
    spec.row_filter = Filter::test(email, FilterOp::Eq(Operand::Value(Value::Text("ann@x.y".to_owned()))));
    let rows = fixture.json(&spec).await;
    assert_eq!((ids(&rows), &rows[0]["email"]), (vec![2], &json!("a***@x.y")));
}

/// Stored in the order of a column that the caller must not see, or found by its index: neither order nor page tells of it.
#[tokio::test]
async fn the_order_of_rows_tells_nothing_of_what_is_hidden() {
    // Two files that look alike to the caller; their hidden columns order the rows differently.
    const RANKS: [&str; 2] = [
        "(1, 'n', 'b', 10), (2, 'N', 'a', 20), (3, 'n', 'c', 30)",
        "(3, 'n', 'b', 30), (1, 'n', 'c', 10), (2, 'N', 'a', 20)",
    ];
    let mut seen = Vec::new();
    for rows in RANKS {
        let fixture = Fixture::new(&format!(
            "CREATE TABLE t (rank INTEGER PRIMARY KEY, word TEXT COLLATE NOCASE, name TEXT, pay INTEGER);
             CREATE INDEX t_pay ON t(pay, word, name); INSERT INTO t VALUES {rows};"
        ))
        .await;
        let table = fixture.table("t");
        let at = |name: &str| usize::from(column(&table, name).0);
        let mut hidden = spec(&table);
        (hidden.access[at("rank")], hidden.access[at("pay")]) = (ColumnAccess::Denied, ColumnAccess::Denied);
        hidden.output.retain(|output| output.name == "word" || output.name == "name");
        hidden.order = vec![OrderTerm { column: column(&table, "word"), descending: false, nulls_first: None }];
        // The policy's own condition makes the database go by the hidden column.
        hidden.row_filter = Filter::test(column(&table, "pay"), FilterOp::Gt(Operand::Value(Value::Integer(0))));
        hidden.order_by_shown = true;
        let mut pages = vec![fixture.json(&hidden).await];
        hidden.limit = 1;
        for offset in 0..3 {
            hidden.offset = offset;
            pages.push(fixture.json(&hidden).await);
        }
        let words: Vec<_> = pages[0].as_array().unwrap().iter().map(|row| row["name"].clone()).collect();
        assert_eq!(words, ["a", "b", "c"], "`N` and `n` are equal in the order asked for, and told apart after it");
        seen.push(pages);
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn a_denied_column_is_in_no_statement() {
    let (fixture, mut spec) = company().await;
    let pay = column(&spec.table, "pay");
    spec.access[usize::from(pay.0)] = ColumnAccess::Denied;
    assert!(matches!(fixture.read(&spec).await, Err(SqliteError::Plan(_))), "in the output");
    spec.output.truncate(2);
    assert_eq!(ids(&fixture.json(&spec).await), [1, 2, 3, 4]);
    let order =
        std::mem::replace(&mut spec.order, vec![OrderTerm { column: pay, descending: false, nulls_first: None }]);
    assert!(matches!(fixture.read(&spec).await, Err(SqliteError::Plan(_))), "in the order");
    spec.order = order;
    spec.condition = Some(Condition::Test(Test { column: pay, at: 0, kind: TestKind::IsNull }));
    assert!(matches!(fixture.read(&spec).await, Err(SqliteError::Plan(_))), "in the condition");
    // The policy may still decide by it.
    spec.condition = None;
    spec.row_filter = Filter::test(pay, FilterOp::Gt(Operand::Value(Value::Integer(400))));
    assert_eq!(ids(&fixture.json(&spec).await), [1, 3]);
}
