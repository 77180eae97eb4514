//! A known value in a residual, as a bound [`Value`].
//!
//! In: what partial evaluation has made of it. That gives extension values in one form each: `decimal("12.5000")`, and
//! `datetime("1970-01-01").offset(duration("1234ms"))` for a point in time. Refuses every other form.

use asuser_core::{DatabaseKind, Value};
use cedar_policy::pst::{BinaryOp, Expr, Literal, UnaryOp};

use crate::compare::CedarType;

/// Digits after the point of a Cedar decimal.
const PLACES: usize = 4;
/// The years 4714 BC (the first of PostgreSQL's timestamptz) to 99999, in milliseconds.
const TIMES_MS: std::ops::Range<i64> = -210_866_803_200_000..3_093_527_980_800_000;

/// The value and its type; `None` if it is none.
pub(crate) fn literal(expr: &Expr) -> Option<(Value, CedarType)> {
    match expr {
        Expr::Literal(Literal::String(text)) => Some((Value::Text(text.to_string()), CedarType::String)),
        Expr::Literal(Literal::Long(number)) => Some((Value::Integer(*number), CedarType::Long)),
        Expr::Literal(Literal::Bool(value)) => Some((Value::Bool(*value), CedarType::Bool)),
        Expr::UnaryOp { op: UnaryOp::Decimal, expr } => {
            Some((Value::Decimal(ten_thousandths(text(expr)?)?), CedarType::Decimal))
        }
        Expr::BinaryOp { op: BinaryOp::Offset, left, right } => {
            let (
                Expr::UnaryOp { op: UnaryOp::Datetime, expr: from },
                Expr::UnaryOp { op: UnaryOp::Duration, expr: by },
            ) = (&**left, &**right)
            else {
                return None;
            };
            let ms = text(by)?.strip_suffix("ms")?.parse().ok()?;
            (text(from)? == "1970-01-01").then_some((Value::Timestamp(ms), CedarType::Datetime))
        }
        _ => None,
    }
}

/// Why no column of the database can be compared with the value, although Cedar has it.
pub(crate) fn out_of_range(database: DatabaseKind, value: &Value) -> Option<&'static str> {
    match value {
        _ if database != DatabaseKind::Postgres => None,
        Value::Text(text) if text.contains('\0') => Some("a text with the character NUL"),
        Value::Timestamp(ms) if !TIMES_MS.contains(ms) => Some("a time outside of the years 4714 BC to 99999"),
        _ => None,
    }
}

/// Any total order will do: it makes equal decisions equal, whatever order Cedar keeps a set in.
pub(crate) fn order(a: &Value, b: &Value) -> std::cmp::Ordering {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Integer(a), Value::Integer(b))
        | (Value::Decimal(a), Value::Decimal(b))
        | (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ => std::cmp::Ordering::Equal,
    }
}

fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(Literal::String(text)) => Some(text),
        _ => None,
    }
}

/// `-12.5` as -125000.
fn ten_thousandths(text: &str) -> Option<i64> {
    let (whole, places) = text.split_once('.')?;
    let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole.strip_prefix('-').unwrap_or(whole)) || !plain(places) || places.len() > PLACES {
        return None;
    }
    format!("{whole}{places:0<PLACES$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly() {
        for (text, expected) in [
            ("12.5000", Some(125_000)),
            ("12.5", Some(125_000)),
            ("-0.0001", Some(-1)),
            ("0.0", Some(0)),
            ("-0.0", Some(0)),
            ("922337203685477.5807", Some(i64::MAX)),
            ("-922337203685477.5808", Some(i64::MIN)),
            ("922337203685477.5808", None),
            ("12.50000", None),
            ("12", None),
            ("12.", None),
            (".5", None),
            ("-.5", None),
            ("1e3.0", None),
            ("+1.0", None),
            ("1.-5", None),
            ("", None),
        ] {
            assert_eq!(ten_thousandths(text), expected, "{text}");
        }
    }
}
