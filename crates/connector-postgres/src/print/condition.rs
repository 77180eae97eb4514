//! The caller's condition, with SQL's three-valued logic, over what the caller sees.
//!
//! Comparisons use the column's own collation and its type's own operators (`citext` stays insensitive). LIKE, STARTS WITH, ENDS
//! WITH and CONTAINS are PostgreSQL's LIKE, which tells upper and lower case apart. They only narrow what the row filter lets
//! through, and on a masked column they see the mask.

use asuser_core::{ColumnIx, CompareOp, Condition, Test, TestKind};

use super::literal::{Bound, array, fitted, like_pattern, like_text};
use super::{Printer, joined, plan};
use crate::PostgresError;
use crate::types::Form;

/// Deeper than any condition that a person writes.
const DEPTH_MAX: usize = 200;

impl Printer<'_> {
    /// Prints the condition; its value is true, false or NULL.
    pub(super) fn condition(
        &mut self,
        out: &mut String,
        condition: &Condition<ColumnIx>,
        depth: usize,
    ) -> Result<(), PostgresError> {
        if depth > DEPTH_MAX {
            return Err(PostgresError::TooComplex("it is too deep"));
        }
        match condition {
            Condition::All(parts) | Condition::Any(parts) if parts.is_empty() => {
                return Err(plan("it holds an empty list"));
            }
            Condition::All(parts) => joined(out, parts, " AND ", |out, part| self.condition(out, part, depth + 1))?,
            Condition::Any(parts) => joined(out, parts, " OR ", |out, part| self.condition(out, part, depth + 1))?,
            Condition::Not(part) => {
                out.push_str("(NOT ");
                self.condition(out, part, depth + 1)?;
                out.push(')');
            }
            // NULL where one side is.
            Condition::Xor(left, right) => {
                out.push('(');
                self.condition(out, left, depth + 1)?;
                out.push_str(" OPERATOR(pg_catalog.<>) ");
                self.condition(out, right, depth + 1)?;
                out.push(')');
            }
            Condition::Test(test) => {
                out.push('(');
                self.test(out, test)?;
                out.push(')');
            }
        }
        Ok(())
    }

    fn test(&mut self, out: &mut String, test: &Test<ColumnIx>) -> Result<(), PostgresError> {
        let known = self.column(test.column)?;
        let mut shown = String::new();
        self.access(&mut shown, test.column)?;
        let operators = &known.pg.operators;
        match &test.kind {
            TestKind::Compare(op, literal) => {
                let bound = fitted(known, literal)?;
                let operator = match op {
                    CompareOp::Eq => "=",
                    CompareOp::Ne => "<>",
                    CompareOp::Lt => "<",
                    CompareOp::Le => "<=",
                    CompareOp::Gt => ">",
                    CompareOp::Ge => ">=",
                };
                out.push_str(&format!("{shown} OPERATOR({operators}.{operator}) "));
                self.bind(out, bound.text, &bound.type_name);
            }
            TestKind::In(literals) if literals.is_empty() => return Err(plan("it holds an empty list")),
            TestKind::In(literals) => {
                let bounds: Vec<Bound> =
                    literals.iter().map(|literal| fitted(known, literal)).collect::<Result<_, _>>()?;
                self.one_of(out, &format!("{shown} OPERATOR({operators}.=) "), bounds, known.pg.form)?;
            }
            TestKind::Between(low, high) => {
                let (low, high) = (fitted(known, low)?, fitted(known, high)?);
                out.push_str(&format!("{shown} OPERATOR({operators}.>=) "));
                self.bind(out, low.text, &low.type_name);
                out.push_str(&format!(" AND {shown} OPERATOR({operators}.<=) "));
                self.bind(out, high.text, &high.type_name);
            }
            TestKind::Like(pattern) => self.like_text(out, test.column, &shown, like_pattern(pattern)?)?,
            TestKind::StartsWith(text) => self.like_text(out, test.column, &shown, format!("{}%", like_text(text)?))?,
            TestKind::EndsWith(text) => self.like_text(out, test.column, &shown, format!("%{}", like_text(text)?))?,
            TestKind::Contains(text) => self.like_text(out, test.column, &shown, format!("%{}%", like_text(text)?))?,
            TestKind::IsNull => out.push_str(&format!("{shown} IS NULL")),
            TestKind::IsNotNull => out.push_str(&format!("{shown} IS NOT NULL")),
        }
        Ok(())
    }

    /// One list where the values are of one type that an array can hold: what has parts is compared value by value.
    fn one_of(&mut self, out: &mut String, equals: &str, bounds: Vec<Bound>, form: Form) -> Result<(), PostgresError> {
        let is_one_type = bounds.windows(2).all(|pair| matches!(pair, [a, b] if a.type_name == b.type_name));
        match bounds
            .first()
            .filter(|_| is_one_type && form != Form::ToJson)
            .map(|bound| format!("{}[]", bound.type_name))
        {
            Some(type_name) => {
                let texts: Vec<String> = bounds.into_iter().map(|bound| bound.text).collect();
                out.push_str(&format!("{equals}ANY ("));
                self.bind(out, array(&texts), &type_name);
                out.push(')');
                Ok(())
            }
            None => joined(out, &bounds, " OR ", |out, bound| {
                out.push_str(equals);
                self.bind(out, bound.text.clone(), &bound.type_name);
                Ok(())
            }),
        }
    }

    /// PostgreSQL matches no pattern under a collation that is not deterministic: there the bytes decide.
    fn like_text(&mut self, out: &mut String, ix: ColumnIx, shown: &str, pattern: String) -> Result<(), PostgresError> {
        let pg = self.column(ix)?.pg;
        out.push_str(shown);
        out.push_str("::pg_catalog.text");
        out.push_str(if pg.nondeterministic { " COLLATE pg_catalog.\"C\"" } else { "" });
        out.push_str(" OPERATOR(pg_catalog.~~) ");
        self.bind(out, pattern, "pg_catalog.text");
        Ok(())
    }
}
