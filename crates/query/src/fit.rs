//! A caller's literal meets its column: what fits is given the column's form, what does not is refused.
//!
//! A masked column is fitted like the same column in the clear. Its mask is text where the column is text, and NULL elsewhere,
//! so every value that it shows is of the column's own kind.
//!
//! | column | takes |
//! |---|---|
//! | text | text; a number stands for the text it is written as |
//! | integer | a whole number that fits 64 bits, also as text (keys in a URL are text) |
//! | boolean | true, false, 1, 0, also as text |
//! | decimal, float | a number, also as text |
//! | date, timestamp | text |
//! | other | text or a number, as it is |
//! | binary | nothing: only IS NULL and IS NOT NULL |

use asuser_core::{Column, ColumnKind, Literal, TestKind};

use crate::dialect::is_number;
use crate::error::{Place, PlanError};

const VALUES_MAX: usize = 1_000;

/// The test with each of its values in the column's form.
pub(crate) fn test(column: &Column, kind: &TestKind, place: Place) -> Result<TestKind, PlanError> {
    Ok(match kind {
        TestKind::Compare(op, value) => TestKind::Compare(*op, literal(column, value, place)?),
        TestKind::Between(low, high) => TestKind::Between(literal(column, low, place)?, literal(column, high, place)?),
        TestKind::In(values) if values.is_empty() => {
            return Err(PlanError::BadValue { column: name(column), expected: "at least one value", place });
        }
        TestKind::In(values) if values.len() > VALUES_MAX => {
            return Err(PlanError::TooComplex { limit: "1,000 values in a list" });
        }
        TestKind::In(values) => {
            TestKind::In(values.iter().map(|value| literal(column, value, place)).collect::<Result<_, _>>()?)
        }
        TestKind::Like(_) | TestKind::StartsWith(_) | TestKind::EndsWith(_) | TestKind::Contains(_) => {
            if !is_text_like(column.kind) {
                let only = "LIKE, CONTAINS, STARTS WITH and ENDS WITH are for text";
                return Err(PlanError::NotComparable { column: name(column), only, place });
            }
            kind.clone()
        }
        TestKind::IsNull | TestKind::IsNotNull => kind.clone(),
    })
}

/// The value in the column's form.
pub(crate) fn literal(column: &Column, value: &Literal, place: Place) -> Result<Literal, PlanError> {
    let (fitted, expected) = match column.kind {
        ColumnKind::Text => (text(value), "text in quotes"),
        ColumnKind::Integer => (integer(value), "a whole number that fits 64 bits"),
        ColumnKind::Boolean => (boolean(value), "true or false"),
        ColumnKind::Decimal | ColumnKind::Float => (number(value), "a number"),
        ColumnKind::Date => (only_text(value), "a date in quotes, such as '2026-01-31'"),
        ColumnKind::Timestamp => (only_text(value), "a time in quotes, such as '2026-01-31 12:00:00'"),
        ColumnKind::Other => (text_or_number(value), "text in quotes or a number"),
        ColumnKind::Binary => {
            let only = "it holds bytes, so only IS NULL and IS NOT NULL work";
            return Err(PlanError::NotComparable { column: name(column), only, place });
        }
    };
    fitted.ok_or_else(|| PlanError::BadValue { column: name(column), expected, place })
}

const fn is_text_like(kind: ColumnKind) -> bool {
    matches!(kind, ColumnKind::Text | ColumnKind::Date | ColumnKind::Timestamp | ColumnKind::Other)
}

fn name(column: &Column) -> String {
    column.name.to_string()
}

fn text(value: &Literal) -> Option<Literal> {
    match value {
        Literal::Text(text) | Literal::Number(text) => Some(Literal::Text(text.clone())),
        Literal::Integer(whole) => Some(Literal::Text(whole.to_string())),
        Literal::Bool(_) | Literal::Null => None,
    }
}

fn integer(value: &Literal) -> Option<Literal> {
    match value {
        Literal::Integer(whole) => Some(Literal::Integer(*whole)),
        Literal::Text(text) | Literal::Number(text) => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let whole = digits.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
            whole.map(Literal::Integer)
        }
        Literal::Bool(_) | Literal::Null => None,
    }
}

fn boolean(value: &Literal) -> Option<Literal> {
    match value {
        Literal::Bool(truth) => Some(Literal::Bool(*truth)),
        Literal::Integer(0) => Some(Literal::Bool(false)),
        Literal::Integer(1) => Some(Literal::Bool(true)),
        Literal::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(Literal::Bool(true)),
            "false" | "0" => Some(Literal::Bool(false)),
            _ => None,
        },
        Literal::Integer(_) | Literal::Number(_) | Literal::Null => None,
    }
}

fn number(value: &Literal) -> Option<Literal> {
    match value {
        Literal::Integer(whole) => Some(Literal::Integer(*whole)),
        Literal::Number(text) | Literal::Text(text) if is_number(text) => {
            integer(value).or_else(|| Some(Literal::Number(text.clone())))
        }
        Literal::Number(_) | Literal::Text(_) | Literal::Bool(_) | Literal::Null => None,
    }
}

fn only_text(value: &Literal) -> Option<Literal> {
    matches!(value, Literal::Text(_)).then(|| value.clone())
}

fn text_or_number(value: &Literal) -> Option<Literal> {
    match value {
        Literal::Text(_) | Literal::Integer(_) => Some(value.clone()),
        Literal::Number(_) => number(value),
        Literal::Bool(_) | Literal::Null => None,
    }
}
