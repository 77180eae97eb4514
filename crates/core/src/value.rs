//! Values that are bound, never spliced (law 5).

use serde::Serialize;

/// A value as a caller wrote it in a filter or key, before it is fitted to a column.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Literal {
    /// Quoted text.
    Text(String),
    /// A whole number that fits 64 bits.
    Integer(i64),
    /// Any other number, as written: `12.50`, `1e3`, `99999999999999999999`.
    Number(String),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
}

/// A typed value of the policy world, compared exactly.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Text, compared by code point.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// True or false.
    Bool(bool),
    /// A decimal, as ten-thousandths (Cedar's `decimal` has four places).
    Decimal(i64),
    /// A point in time in UTC milliseconds.
    Timestamp(i64),
}
