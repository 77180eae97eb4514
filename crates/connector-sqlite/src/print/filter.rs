//! The policy's row filter. Each leaf is true only where the cell is not NULL and has its declared storage class; it may print
//! to NULL instead of false, which no AND or OR above it turns into true, and no NOT is ever printed around a leaf.

use asuser_core::{Column, ColumnIx, ColumnKind, Filter, FilterOp, FilterTest, LikePattern, Operand, Value as Literal};
use rusqlite::types::Value;

use super::Printer;
use crate::SqliteError;
use crate::functions::{BoundPattern, LIKE_FUNCTION};

/// Deeper than any policy; below SQLite's own limit.
const DEPTH_MAX: usize = 60;

impl Printer<'_> {
    /// Prints the filter, in parentheses where it needs them.
    pub(crate) fn filter(&mut self, out: &mut String, filter: &Filter, depth: usize) -> Result<(), SqliteError> {
        if depth > DEPTH_MAX {
            return Err(SqliteError::TooComplex("the policy's row filter is too deep"));
        }
        match filter {
            Filter::True => out.push('1'),
            Filter::False => out.push('0'),
            Filter::All(parts) if parts.is_empty() => out.push('1'),
            Filter::Any(parts) if parts.is_empty() => out.push('0'),
            Filter::All(parts) => {
                self.joined(out, parts, " AND ", &mut |p, out, part| p.filter(out, part, depth + 1))?
            }
            Filter::Any(parts) => {
                self.joined(out, parts, " OR ", &mut |p, out, part| p.filter(out, part, depth + 1))?
            }
            Filter::Test(test) => {
                out.push('(');
                self.leaf(out, test)?;
                out.push(')');
            }
        }
        Ok(())
    }

    fn leaf(&mut self, out: &mut String, test: &FilterTest) -> Result<(), SqliteError> {
        let ix = test.column;
        match &test.op {
            FilterOp::IsNull => self.suffixed(out, ix, " IS NULL"),
            FilterOp::IsNotNull => self.suffixed(out, ix, " IS NOT NULL"),
            FilterOp::Eq(operand) => self.comparison(out, ix, " = ", operand),
            FilterOp::Ne(operand) => self.comparison(out, ix, " <> ", operand),
            FilterOp::Lt(operand) => self.comparison(out, ix, " < ", operand),
            FilterOp::Le(operand) => self.comparison(out, ix, " <= ", operand),
            FilterOp::Gt(operand) => self.comparison(out, ix, " > ", operand),
            FilterOp::Ge(operand) => self.comparison(out, ix, " >= ", operand),
            FilterOp::In(values) if values.is_empty() => {
                out.push('0');
                Ok(())
            }
            FilterOp::NotIn(values) if values.is_empty() => self.well_typed(out, ix),
            FilterOp::In(values) => self.member(out, ix, " IN (", values),
            FilterOp::NotIn(values) => self.member(out, ix, " NOT IN (", values),
            FilterOp::Like(pattern) => self.like(out, ix, "", pattern),
            FilterOp::NotLike(pattern) => self.like(out, ix, "NOT ", pattern),
            FilterOp::WellTyped => self.well_typed(out, ix),
        }
    }

    fn suffixed(&mut self, out: &mut String, ix: ColumnIx, suffix: &str) -> Result<(), SqliteError> {
        self.base(out, ix)?;
        out.push_str(suffix);
        Ok(())
    }

    /// The operator stands on the bare column, so that an index on it serves; the guard stands beside it.
    fn comparison(
        &mut self,
        out: &mut String,
        ix: ColumnIx,
        operator: &str,
        operand: &Operand,
    ) -> Result<(), SqliteError> {
        let column = self.column(ix)?;
        self.guard(out, ix)?;
        self.base(out, ix)?;
        out.push_str(operator);
        match operand {
            Operand::Value(value) => {
                let value = fitted(column, value)?;
                self.bind(out, value);
                out.push_str(collation(column));
            }
            Operand::Column(other) => {
                let other_column = self.column(*other)?;
                if other_column.kind != column.kind {
                    return Err(unprintable(column, "is compared with a column of another kind"));
                }
                self.base(out, *other)?;
                out.push_str(collation(column));
                out.push_str(" AND ");
                self.guard(out, *other)?;
                self.suffixed(out, *other, " IS NOT NULL")?;
            }
        }
        Ok(())
    }

    fn member(
        &mut self,
        out: &mut String,
        ix: ColumnIx,
        operator: &str,
        values: &[Literal],
    ) -> Result<(), SqliteError> {
        let column = self.column(ix)?;
        self.guard(out, ix)?;
        self.base(out, ix)?;
        // IN takes the collation of its left side.
        out.push_str(collation(column));
        out.push_str(operator);
        for (at, value) in values.iter().enumerate() {
            out.push_str(if at == 0 { "" } else { ", " });
            let value = fitted(column, value)?;
            self.bind(out, value);
        }
        out.push(')');
        Ok(())
    }

    fn like(&mut self, out: &mut String, ix: ColumnIx, not: &str, pattern: &LikePattern) -> Result<(), SqliteError> {
        let column = self.column(ix)?;
        if column.kind != ColumnKind::Text {
            return Err(unprintable(column, "is no text and has a `like`"));
        }
        self.guard(out, ix)?;
        out.push_str(not);
        out.push_str(LIKE_FUNCTION);
        out.push('(');
        self.bind(out, BoundPattern::encode(pattern).into_value());
        out.push_str(", ");
        self.base(out, ix)?;
        out.push(')');
        Ok(())
    }

    fn well_typed(&mut self, out: &mut String, ix: ColumnIx) -> Result<(), SqliteError> {
        self.guard(out, ix)?;
        self.suffixed(out, ix, " IS NOT NULL")
    }

    /// `typeof(c) = '…' AND `, where the declaration does not make it certain.
    fn guard(&mut self, out: &mut String, ix: ColumnIx) -> Result<(), SqliteError> {
        let column = self.column(ix)?;
        let class = match column.kind {
            ColumnKind::Text => "'text'",
            ColumnKind::Integer | ColumnKind::Boolean => "'integer'",
            _ => return Err(unprintable(column, "has a kind that row conditions cannot compare")),
        };
        if !column.strictly_typed {
            out.push_str("typeof(");
            self.base(out, ix)?;
            out.push_str(") = ");
            out.push_str(class);
            out.push_str(" AND ");
        }
        if column.kind == ColumnKind::Boolean {
            self.suffixed(out, ix, " BETWEEN 0 AND 1 AND ")?;
        }
        Ok(())
    }
}

/// The value as its column's storage class; a bound value has no affinity of its own, so nothing is converted.
fn fitted(column: &Column, value: &Literal) -> Result<Value, SqliteError> {
    match (column.kind, value) {
        (ColumnKind::Text, Literal::Text(text)) => Ok(Value::Text(text.clone())),
        (ColumnKind::Integer, Literal::Integer(number)) => Ok(Value::Integer(*number)),
        (ColumnKind::Boolean, Literal::Bool(truth)) => Ok(Value::Integer(i64::from(*truth))),
        _ => Err(unprintable(column, "is compared with a value of another kind")),
    }
}

/// Text compares by code point, whatever collation the column has. Left out where the column's own is BINARY: SQLite 3.54 uses
/// no index for an OR whose terms hold a COLLATE. The left side's collation is the one that counts (datatype3.html §7.1).
const fn collation(column: &Column) -> &'static str {
    if matches!(column.kind, ColumnKind::Text) && !column.binary_collation { " COLLATE BINARY" } else { "" }
}

fn unprintable(column: &Column, why: &str) -> SqliteError {
    SqliteError::Plan(format!("column `{}` {why}", column.name))
}
