//! Values meet their columns.

use asuser_core::{Column, ColumnKind, CompareOp, Literal, TestKind};

use super::column;
use crate::error::{Place, PlanError};
use crate::fit;

/// A value, and what becomes of it.
type Case = (Literal, Option<Literal>);

fn fitted(kind: ColumnKind, value: &Literal) -> Option<Literal> {
    fit::literal(&column("c", kind), value, Place::of("filter")).ok()
}
fn text(text: &str) -> Literal {
    Literal::Text(text.to_owned())
}
fn number(text: &str) -> Literal {
    Literal::Number(text.to_owned())
}

#[test]
fn a_value_takes_the_form_of_its_column_or_is_refused() {
    use ColumnKind::{Binary, Boolean, Date, Decimal, Float, Integer, Other, Text, Timestamp};
    use Literal::{Bool, Integer as Whole, Null};
    let same = |value: Literal| (value.clone(), Some(value));
    let cases: Vec<(ColumnKind, Vec<Case>)> = vec![
        (
            Text,
            vec![
                same(text("x")),
                same(text("")),
                (Whole(7), Some(text("7"))),
                (number("007"), Some(text("007"))),
                (number("1.50"), Some(text("1.50"))),
                (Bool(true), None),
                (Null, None),
            ],
        ),
        (
            Integer,
            vec![
                same(Whole(7)),
                (text("7"), Some(Whole(7))),
                (text("-7"), Some(Whole(-7))),
                (number("007"), Some(Whole(7))),
                (text("9223372036854775807"), Some(Whole(i64::MAX))),
                (text("9223372036854775808"), None),
                (number("9223372036854775808"), None),
                (number("7.5"), None),
                (number("7.0"), None),
                (number("1e3"), None),
                (text("7 "), None),
                (text("+7"), None),
                (text("--7"), None),
                (text("-"), None),
                (text(""), None),
                (text("7 OR 1=1"), None),
                (text("٧"), None),
                (Bool(true), None),
                (Null, None),
            ],
        ),
        (
            Boolean,
            vec![
                same(Bool(true)),
                (Whole(0), Some(Bool(false))),
                (Whole(1), Some(Bool(true))),
                (text("TRUE"), Some(Bool(true))),
                (text("0"), Some(Bool(false))),
                (Whole(2), None),
                (text("yes"), None),
                (number("1.0"), None),
                (Null, None),
            ],
        ),
        (
            Decimal,
            vec![
                same(Whole(7)),
                same(number("7.50")),
                (text("7.50"), Some(number("7.50"))),
                (text("7"), Some(Whole(7))),
                same(number("99999999999999999999")),
                (text("seven"), None),
                (text("NaN"), None),
                (text("7."), None),
                (number("oops"), None),
                (Bool(true), None),
                (Null, None),
            ],
        ),
        (Float, vec![same(number("1e3")), (text("-1e-3"), Some(number("-1e-3"))), (text("Infinity"), None)]),
        (Date, vec![same(text("2026-01-31")), (Whole(2026), None), (Null, None)]),
        (Timestamp, vec![same(text("2026-01-31 12:00:00")), (Whole(0), None), (Bool(true), None)]),
        (Other, vec![same(text("x")), same(Whole(1)), same(number("1.5")), (Bool(true), None), (Null, None)]),
        (Binary, vec![(text("x"), None), (Whole(1), None), (Null, None)]),
    ];
    for (kind, values) in cases {
        for (value, expected) in values {
            assert_eq!(fitted(kind, &value), expected, "{kind:?} {value:?}");
        }
    }
}

#[test]
fn tests_of_text_are_for_columns_of_text() {
    use ColumnKind::{Binary, Boolean, Date, Decimal, Float, Integer, Other, Text, Timestamp};
    let test = |column: &Column, kind: &TestKind| fit::test(column, kind, Place::of("filter"));
    for kind in [
        TestKind::Like("a%".into()),
        TestKind::StartsWith("a".into()),
        TestKind::EndsWith("a".into()),
        TestKind::Contains("a".into()),
    ] {
        for of_text in [Text, Date, Timestamp, Other] {
            assert_eq!(test(&column("c", of_text), &kind), Ok(kind.clone()), "{of_text:?}");
        }
        for other in [Integer, Boolean, Decimal, Float, Binary] {
            assert!(matches!(test(&column("c", other), &kind), Err(PlanError::NotComparable { .. })), "{other:?}");
        }
    }
    for kind in [TestKind::IsNull, TestKind::IsNotNull] {
        assert_eq!(test(&column("c", Binary), &kind), Ok(kind.clone()));
    }
    assert!(test(&column("c", Binary), &TestKind::Compare(CompareOp::Eq, text("x"))).is_err());
}

#[test]
fn each_value_of_a_test_is_fitted() {
    let test = |kind: &TestKind| fit::test(&column("c", ColumnKind::Integer), kind, Place::of("filter")).ok();
    let whole = Literal::Integer;
    assert_eq!(test(&TestKind::In(vec![text("1"), whole(2)])), Some(TestKind::In(vec![whole(1), whole(2)])));
    assert_eq!(test(&TestKind::In(vec![whole(1), text("x")])), None);
    assert_eq!(test(&TestKind::Between(text("1"), text("2"))), Some(TestKind::Between(whole(1), whole(2))));
    assert_eq!(test(&TestKind::Between(whole(1), text("x"))), None);
    assert_eq!(test(&TestKind::Between(text("x"), whole(1))), None);
    assert_eq!(test(&TestKind::In(vec![whole(1); 1_000])).map(|_| ()), Some(()));
    assert_eq!(test(&TestKind::In(vec![whole(1); 1_001])), None);
}

#[test]
fn a_refused_value_is_not_repeated() {
    let error = fit::literal(&column("salary", ColumnKind::Integer), &text("hunter2"), Place::of("filter"));
    let error = error.expect_err("no number");
    assert_eq!(error.to_string(), "`salary` needs a whole number that fits 64 bits");
    assert!(!format!("{error:?}").contains("hunter2"));
}
