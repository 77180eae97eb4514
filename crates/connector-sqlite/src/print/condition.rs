//! The caller's condition, with SQL's three-valued logic, over what the caller sees.
//!
//! Comparisons use the column's own collation. LIKE, STARTS WITH, ENDS WITH and CONTAINS are SQLite's LIKE, in a form that a
//! deadline can stop (`matching.rs`): they ignore the case of ASCII letters and of no others, and see a text up to its first NUL character. They only narrow what the row filter
//! lets through, and on a masked column they see the mask.

use asuser_core::{Column, ColumnIx, ColumnKind, CompareOp, Condition, Literal, Test, TestKind};
use rusqlite::types::Value;

use super::Printer;
use crate::SqliteError;
use crate::connect::LIKE_PATTERN_BYTES_MAX;
use crate::functions::TEXT_LIKE_FUNCTION;

/// Deeper than any condition that a person writes; below SQLite's own limit.
const DEPTH_MAX: usize = 60;

impl Printer<'_> {
    /// Prints the condition; its value is 1, 0 or NULL.
    pub(crate) fn condition(
        &mut self,
        out: &mut String,
        condition: &Condition<ColumnIx>,
        depth: usize,
    ) -> Result<(), SqliteError> {
        if depth > DEPTH_MAX {
            return Err(SqliteError::TooComplex("it is too deep"));
        }
        match condition {
            Condition::All(parts) => {
                self.joined(out, parts, " AND ", &mut |p, out, part| p.condition(out, part, depth + 1))
            }
            Condition::Any(parts) => {
                self.joined(out, parts, " OR ", &mut |p, out, part| p.condition(out, part, depth + 1))
            }
            Condition::Not(part) => {
                out.push_str("(NOT ");
                self.condition(out, part, depth + 1)?;
                out.push(')');
                Ok(())
            }
            // Each side is 1, 0 or NULL: unequal where exactly one is true, NULL where one is NULL.
            Condition::Xor(left, right) => {
                out.push('(');
                self.condition(out, left, depth + 1)?;
                out.push_str(" <> ");
                self.condition(out, right, depth + 1)?;
                out.push(')');
                Ok(())
            }
            Condition::Test(test) => {
                out.push('(');
                self.test(out, test)?;
                out.push(')');
                Ok(())
            }
        }
    }

    fn test(&mut self, out: &mut String, test: &Test<ColumnIx>) -> Result<(), SqliteError> {
        let column = self.column(test.column)?;
        let mut shown = String::new();
        self.access(&mut shown, test.column)?;
        match &test.kind {
            TestKind::Compare(op, literal) => {
                out.push_str(&shown);
                out.push_str(match op {
                    CompareOp::Eq => " = ",
                    CompareOp::Ne => " <> ",
                    CompareOp::Lt => " < ",
                    CompareOp::Le => " <= ",
                    CompareOp::Gt => " > ",
                    CompareOp::Ge => " >= ",
                });
                self.literal(out, column, literal)?;
            }
            TestKind::In(literals) if literals.is_empty() => {
                return Err(SqliteError::Plan("it holds an empty list".to_owned()));
            }
            TestKind::In(literals) => {
                out.push_str(&format!("{shown} IN ("));
                for (at, literal) in literals.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { ", " });
                    self.literal(out, column, literal)?;
                }
                out.push(')');
            }
            TestKind::Like(pattern) => self.like_text(out, &shown, pattern.clone())?,
            TestKind::StartsWith(text) => self.like_text(out, &shown, format!("{}%", escaped(text)))?,
            TestKind::EndsWith(text) => self.like_text(out, &shown, format!("%{}", escaped(text)))?,
            TestKind::Contains(text) => self.like_text(out, &shown, format!("%{}%", escaped(text)))?,
            TestKind::Between(low, high) => {
                out.push_str(&format!("{shown} BETWEEN "));
                self.literal(out, column, low)?;
                out.push_str(" AND ");
                self.literal(out, column, high)?;
            }
            TestKind::IsNull => out.push_str(&format!("{shown} IS NULL")),
            TestKind::IsNotNull => out.push_str(&format!("{shown} IS NOT NULL")),
        }
        Ok(())
    }

    fn literal(&mut self, out: &mut String, column: &Column, literal: &Literal) -> Result<(), SqliteError> {
        let value = fitted(column, literal)?;
        self.bind(out, value);
        Ok(())
    }

    /// SQLite's LIKE converts as this CAST does: a number is its digits, a blob its bytes.
    fn like_text(&mut self, out: &mut String, shown: &str, pattern: String) -> Result<(), SqliteError> {
        if pattern.len() > LIKE_PATTERN_BYTES_MAX {
            return Err(SqliteError::BadValue("the pattern is too long"));
        }
        out.push_str(&format!("{TEXT_LIKE_FUNCTION}("));
        self.bind(out, Value::Text(pattern));
        out.push_str(&format!(", CAST({shown} AS TEXT))"));
        Ok(())
    }
}

/// A text that LIKE takes literally.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// The literal as SQLite stores such a value.
fn fitted(column: &Column, literal: &Literal) -> Result<Value, SqliteError> {
    match literal {
        Literal::Text(text) => Ok(Value::Text(text.clone())),
        Literal::Integer(number) => Ok(Value::Integer(*number)),
        Literal::Bool(truth) => Ok(Value::Integer(i64::from(*truth))),
        Literal::Number(number) => number_value(column, number),
        Literal::Null => Err(SqliteError::Plan("it compares with NULL".to_owned())),
    }
}

/// SQLite keeps numbers as 64-bit integers or doubles: whole numbers stay exact, others become the nearest double, as
/// SQLite's own literals do. On a text column the digits are text.
fn number_value(column: &Column, number: &str) -> Result<Value, SqliteError> {
    if column.kind == ColumnKind::Text {
        return Ok(Value::Text(number.to_owned()));
    }
    if let Ok(whole) = number.parse() {
        return Ok(Value::Integer(whole));
    }
    match number.parse::<f64>() {
        Ok(real) if real.is_finite() => Ok(Value::Real(real)),
        _ => Err(SqliteError::BadValue("the number is out of range")),
    }
}
