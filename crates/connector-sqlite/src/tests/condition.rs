//! The caller's condition, test by test, with SQL's three-valued logic.

use asuser_core::{ColumnIx, CompareOp, Condition, Literal, OrderTerm, Test, TestKind};
use serde_json::{Value as Json, json};

use super::{Fixture, column, spec};
use crate::SqliteError;

const SCRIPT: &str = "
    CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, nick TEXT COLLATE NOCASE, n INTEGER, price DECIMAL(9,2), ok BOOLEAN, day DATE);
    INSERT INTO t VALUES
        (1, 'Anna', 'Anna', 10, 12.5, 1, '2026-01-01'), (2, 'anna', 'anna', 20, 12, 0, '2026-02-01'),
        (3, 'B_b%', 'B', NULL, 99999999999999999999, NULL, NULL), (4, NULL, NULL, 9223372036854775807, NULL, 1, '2025-12-31'),
        (5, 'ÄRGER', 'x\\y', -5, 0.1, 0, '2026-01-15');
";

fn test(column: ColumnIx, kind: TestKind) -> Condition<ColumnIx> {
    Condition::Test(Test { column, at: 0, kind })
}
fn text(text: &str) -> Literal {
    Literal::Text(text.to_owned())
}
fn number(text: &str) -> Literal {
    Literal::Number(text.to_owned())
}

#[tokio::test]
async fn each_test_matches_what_sqlite_matches() {
    use CompareOp::{Eq, Ge, Gt, Le, Lt, Ne};
    use TestKind::{Between, Compare, Contains, EndsWith, In, IsNotNull, IsNull, Like, StartsWith};
    let fixture = Fixture::new(SCRIPT).await;
    let table = fixture.table("t");
    let at = |name: &str| column(&table, name);
    let (name, nick, n, price, ok, day) = (at("name"), at("nick"), at("n"), at("price"), at("ok"), at("day"));
    let cases: Vec<(Condition<ColumnIx>, &[i64])> = vec![
        (test(name, Compare(Eq, text("anna"))), &[2]),
        (test(nick, Compare(Eq, text("ANNA"))), &[1, 2]),
        (test(name, Compare(Ne, text("anna"))), &[1, 3, 5]),
        (test(n, Compare(Lt, Literal::Integer(20))), &[1, 5]),
        (test(n, Compare(Le, Literal::Integer(20))), &[1, 2, 5]),
        (test(n, Compare(Gt, Literal::Integer(20))), &[4]),
        (test(n, Compare(Ge, Literal::Integer(i64::MAX))), &[4]),
        (test(n, Compare(Gt, number("10.5"))), &[2, 4]),
        (test(price, Compare(Eq, number("12.50"))), &[1]),
        (test(price, Compare(Eq, Literal::Integer(12))), &[2]),
        (test(price, Compare(Eq, number("12.0"))), &[2]),
        (test(price, Compare(Eq, number("1e20"))), &[3]),
        (test(price, Compare(Eq, number("99999999999999999999"))), &[3]),
        (test(price, Compare(Eq, number("0.1"))), &[5]),
        (test(ok, Compare(Eq, Literal::Bool(true))), &[1, 4]),
        (test(ok, Compare(Eq, Literal::Integer(0))), &[2, 5]),
        (test(day, Compare(Ge, text("2026-01-01"))), &[1, 2, 5]),
        (test(day, Between(text("2026-01-01"), text("2026-01-31"))), &[1, 5]),
        (test(n, Between(Literal::Integer(-5), Literal::Integer(10))), &[1, 5]),
        (test(n, In(vec![Literal::Integer(10), Literal::Integer(20), Literal::Integer(7)])), &[1, 2]),
        (test(nick, In(vec![text("ANNA")])), &[1, 2]),
        (test(n, IsNull), &[3]),
        (test(n, IsNotNull), &[1, 2, 4, 5]),
        // SQLite's LIKE ignores the case of ASCII letters, and of no others.
        (test(name, Like("ANN_".to_owned())), &[1, 2]),
        (test(name, Like("a%".to_owned())), &[1, 2]),
        (test(name, Like("B\\_b\\%".to_owned())), &[3]),
        (test(name, Like("B\\_%".to_owned())), &[3]),
        (test(name, Like("ärger".to_owned())), &[]),
        (test(name, Like("Ärger".to_owned())), &[5]),
        (test(nick, Like("x\\\\y".to_owned())), &[5]),
        (test(nick, Like("x\\".to_owned())), &[]),
        (test(n, Like("1_".to_owned())), &[1]),
        (test(name, StartsWith("an".to_owned())), &[1, 2]),
        (test(name, StartsWith("B_".to_owned())), &[3]),
        (test(name, StartsWith("A_".to_owned())), &[]),
        (test(name, EndsWith("%".to_owned())), &[3]),
        (test(name, EndsWith("NA".to_owned())), &[1, 2]),
        (test(name, Contains("_".to_owned())), &[3]),
        (test(name, Contains("".to_owned())), &[1, 2, 3, 5]),
        (test(nick, Contains("\\".to_owned())), &[5]),
        (test(name, Contains("' OR 1 --".to_owned())), &[]),
        // Three-valued logic: what compares with NULL is neither true nor, under NOT, false.
        (Condition::Not(Box::new(test(n, Compare(Eq, Literal::Integer(10))))), &[2, 4, 5]),
        (Condition::Not(Box::new(test(name, Like("a%".to_owned())))), &[3, 5]),
        (Condition::Not(Box::new(test(n, IsNull))), &[1, 2, 4, 5]),
        (Condition::Not(Box::new(Condition::Not(Box::new(test(n, Compare(Eq, Literal::Integer(10))))))), &[1]),
        (
            Condition::All(vec![
                test(ok, Compare(Eq, Literal::Bool(true))),
                test(n, Compare(Gt, Literal::Integer(10))),
            ]),
            &[4],
        ),
        (
            Condition::Any(vec![test(ok, Compare(Eq, Literal::Bool(true))), test(n, Compare(Lt, Literal::Integer(0)))]),
            &[1, 4, 5],
        ),
        (
            Condition::Xor(
                Box::new(test(ok, Compare(Eq, Literal::Bool(true)))),
                Box::new(test(n, Compare(Gt, Literal::Integer(15)))),
            ),
            &[1, 2],
        ),
        (Condition::Xor(Box::new(test(n, IsNull)), Box::new(test(name, IsNull))), &[3, 4]),
        (
            Condition::Not(Box::new(Condition::Any(vec![
                test(name, Like("a%".to_owned())),
                Condition::All(vec![test(n, IsNull), test(ok, IsNull)]),
            ]))),
            &[5],
        ),
    ];
    for (condition, expected) in cases {
        let mut spec = spec(&table);
        spec.condition = Some(condition);
        spec.output.truncate(1);
        spec.as_list = true;
        spec.count = true;
        let records = fixture.read(&spec).await.unwrap();
        assert_eq!(super::parsed(&records), json!(expected), "{:?}", spec.condition);
        assert_eq!(records.count, Some(expected.len() as u64));
    }
}

#[tokio::test]
async fn order_limit_offset_and_count() {
    let fixture = Fixture::new(SCRIPT).await;
    let table = fixture.table("t");
    let mut spec = spec(&table);
    spec.output.truncate(1);
    spec.as_list = true;
    spec.count = true;
    let term =
        |name: &str, descending, nulls_first| OrderTerm { column: column(&table, name), descending, nulls_first };
    for (order, expected) in [
        (vec![term("n", false, None)], json!([3, 5, 1, 2, 4])),
        (vec![term("n", false, Some(false))], json!([5, 1, 2, 4, 3])),
        (vec![term("n", true, Some(true))], json!([3, 4, 2, 1, 5])),
        (vec![term("nick", false, Some(false)), term("id", true, None)], json!([2, 1, 3, 5, 4])),
        (vec![term("name", false, Some(false))], json!([1, 3, 2, 5, 4])),
    ] {
        spec.order = order;
        assert_eq!(fixture.json(&spec).await, expected, "{:?}", spec.order);
    }
    spec.order = vec![term("id", false, None)];
    for (limit, offset, expected, more) in [
        (2, 0, json!([1, 2]), true),
        (5, 0, json!([1, 2, 3, 4, 5]), false),
        (2, 3, json!([4, 5]), false),
        (2, 4, json!([5]), false),
        (2, 99, json!([]), false),
        (u64::MAX, 4, json!([5]), false),
        (1, u64::MAX, json!([]), false),
    ] {
        (spec.limit, spec.offset) = (limit, offset);
        let records = fixture.read(&spec).await.unwrap();
        assert_eq!(
            (super::parsed(&records), records.more, records.count),
            (expected, more, Some(5)),
            "{limit} {offset}"
        );
    }
    spec.limit = 0;
    assert!(matches!(fixture.read(&spec).await, Err(SqliteError::Plan(_))));
}

#[tokio::test]
async fn what_sqlite_could_only_refuse_at_a_row_is_refused_before() {
    let fixture = Fixture::new(SCRIPT).await;
    let table = fixture.table("t");
    let name = column(&table, "name");
    let read = async |condition| {
        let mut spec = spec(&table);
        spec.condition = Some(condition);
        fixture.read(&spec).await
    };
    let long = test(name, TestKind::Contains("x".repeat(1_100)));
    assert!(matches!(read(long).await, Err(SqliteError::BadValue(_))));
    assert!(read(test(name, TestKind::Contains("x".repeat(1_000)))).await.is_ok());
    for wrong in ["1e999", "nan", "inf", "x"] {
        let wrong = test(column(&table, "price"), TestKind::Compare(CompareOp::Gt, number(wrong)));
        assert!(matches!(read(wrong).await, Err(SqliteError::BadValue(_))));
    }
    let null = test(name, TestKind::Compare(CompareOp::Eq, Literal::Null));
    assert!(matches!(read(null).await, Err(SqliteError::Plan(_))));
    assert!(matches!(read(test(name, TestKind::In(vec![]))).await, Err(SqliteError::Plan(_))));
    assert!(matches!(read(Condition::All(vec![])).await, Err(SqliteError::Plan(_))));
    let nested = |depth| (0..depth).fold(test(name, TestKind::IsNull), |inner, _| Condition::Not(Box::new(inner)));
    assert!(matches!(read(nested(100)).await, Err(SqliteError::TooComplex(_))));
    assert!(read(nested(50)).await.is_ok());
    let wide = Condition::Any((0..3_000).map(|_| test(name, TestKind::IsNull)).collect());
    assert_eq!(super::parsed(&read(wide).await.unwrap())[0]["id"], Json::from(4));
}
