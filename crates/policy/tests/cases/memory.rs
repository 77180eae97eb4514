//! Evaluation of a filter in memory.

use asuser_core::{ColumnIx, ColumnKind, Filter, FilterOp, LikePattern, Operand, PatternPart, Value};

use super::{COLUMNS, Cell, Row};

/// Microseconds as the milliseconds that Cedar sees.
pub const fn floor_ms(us: i64) -> i64 {
    us.div_euclid(1_000)
}

/// Whether the filter matches the row: what a connector's SQL must do.
pub fn matches(filter: &Filter, row: &Row) -> bool {
    match filter {
        Filter::True => true,
        Filter::False => false,
        Filter::All(parts) => parts.iter().all(|part| matches(part, row)),
        Filter::Any(parts) => parts.iter().any(|part| matches(part, row)),
        Filter::Test(test) => match &test.op {
            FilterOp::IsNull => row[usize::from(test.column.0)] == Cell::Null,
            FilterOp::IsNotNull => row[usize::from(test.column.0)] != Cell::Null,
            op => value_of(test.column, row).is_some_and(|value| holds(&value, op, row)),
        },
    }
}

/// `None` where it is NULL or none of its Cedar type.
fn value_of(column: ColumnIx, row: &Row) -> Option<Value> {
    let at = usize::from(column.0);
    match (COLUMNS[at].kind, &row[at]) {
        (ColumnKind::Text, Cell::Text(text)) => Some(Value::Text(text.clone())),
        (ColumnKind::Integer, Cell::Integer(number)) => Some(Value::Integer(*number)),
        (ColumnKind::Boolean, Cell::Integer(number @ (0 | 1))) => Some(Value::Bool(*number == 1)),
        (ColumnKind::Decimal, Cell::Text(number)) if number != "NaN" => Some(Value::Decimal(ten_thousandths(number))),
        (ColumnKind::Timestamp, Cell::Integer(us)) => Some(Value::Timestamp(floor_ms(*us))),
        _ => None,
    }
}

fn ten_thousandths(number: &str) -> i64 {
    let (whole, places) = number.split_once('.').unwrap_or((number, ""));
    format!("{whole}{places:0<4}").parse().unwrap()
}

fn holds(value: &Value, op: &FilterOp, row: &Row) -> bool {
    let other = |operand: &Operand| match operand {
        Operand::Value(value) => Some(value.clone()),
        Operand::Column(column) => value_of(*column, row),
    };
    let ordered = |operand: &Operand, test: fn(std::cmp::Ordering) -> bool| match (value, other(operand)) {
        (Value::Integer(a), Some(Value::Integer(b)))
        | (Value::Decimal(a), Some(Value::Decimal(b)))
        | (Value::Timestamp(a), Some(Value::Timestamp(b))) => test(a.cmp(&b)),
        (a, Some(b)) => unreachable!("{a:?} and {b:?} have no order"),
        (_, None) => false,
    };
    match op {
        FilterOp::Eq(operand) => other(operand).is_some_and(|other| *value == other),
        FilterOp::Ne(operand) => other(operand).is_some_and(|other| *value != other),
        FilterOp::Lt(operand) => ordered(operand, std::cmp::Ordering::is_lt),
        FilterOp::Le(operand) => ordered(operand, std::cmp::Ordering::is_le),
        FilterOp::Gt(operand) => ordered(operand, std::cmp::Ordering::is_gt),
        FilterOp::Ge(operand) => ordered(operand, std::cmp::Ordering::is_ge),
        FilterOp::In(values) => values.contains(value),
        FilterOp::NotIn(values) => !values.contains(value),
        FilterOp::Like(pattern) => like(value, pattern),
        FilterOp::NotLike(pattern) => !like(value, pattern),
        FilterOp::WellTyped => true,
        FilterOp::IsNull | FilterOp::IsNotNull => unreachable!("answered before"),
    }
}

fn like(value: &Value, pattern: &LikePattern) -> bool {
    let Value::Text(text) = value else { unreachable!("{value:?} is no text") };
    fn from(text: &str, parts: &[PatternPart]) -> bool {
        match parts {
            [] => text.is_empty(),
            [PatternPart::Text(literal), rest @ ..] => {
                text.strip_prefix(literal.as_str()).is_some_and(|text| from(text, rest))
            }
            [PatternPart::Any, rest @ ..] => {
                let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
                ends.into_iter().any(|at| from(&text[at..], rest))
            }
        }
    }
    from(text, &pattern.0)
}
