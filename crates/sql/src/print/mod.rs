//! Our tree as text. In: a resolved statement, and somebody who knows what to write for a relation and a parameter. Out: text that means the
//! same whatever `search_path` and `standard_conforming_strings` are. Refuses a tree that would become too long, or lacks a part.
//!
//! On PostgreSQL every function, operator, type and collation is written with `pg_catalog`, and syntax behind which the server looks an
//! operator up by its bare name is not used: `BETWEEN`, `IN`, `LIKE`, `NULLIF`, `IS DISTINCT FROM`, `CASE x WHEN`, `USING`. Every
//! expression has brackets of its own, as `OPERATOR(…)` has one precedence for all.

mod call;
mod expr;
mod postgres;
mod query;

use crate::tree::{Expr, Query};
use crate::{Dialect, PARSE_STACK_BYTES, PRINTED_BYTES_MAX, Resolved, SqlError};

/// What a database writes where the statement names a relation or a parameter.
pub trait Place {
    /// What can go wrong.
    type Error: From<SqlError>;

    /// Writes a relation: a table's name *with its schema*, or a `SELECT` in brackets. It is called once for each time that the relation
    /// stands in FROM; the alias is written after it.
    ///
    /// # Errors
    /// The place's own.
    fn relation(&mut self, out: &mut String, relation: usize) -> Result<(), Self::Error>;

    /// Writes a parameter, with a cast to its type: `$1::pg_catalog.text`.
    ///
    /// # Errors
    /// The place's own.
    fn parameter(&mut self, out: &mut String, parameter: usize) -> Result<(), Self::Error>;
}

/// Prints a statement.
///
/// # Errors
/// [`SqlError::TooComplex`] where the text would be longer than [`PRINTED_BYTES_MAX`]; the place's own.
pub fn print<P: Place>(resolved: &Resolved, place: &mut P) -> Result<String, P::Error> {
    stacker::grow(PARSE_STACK_BYTES, || text(resolved, place, false))
}

/// The text with a `?` for each value.
pub(crate) fn shape(resolved: &Resolved) -> String {
    let mut names = Names { resolved };
    stacker::grow(PARSE_STACK_BYTES, || text(resolved, &mut names, true)).unwrap_or_default()
}

fn text<P: Place>(resolved: &Resolved, place: &mut P, shape: bool) -> Result<String, P::Error> {
    let mut printer = Printer { resolved, place, out: String::with_capacity(512), theirs: 0, shape };
    printer.query(&resolved.statement.query, Naming::Outermost)?;
    Ok(printer.out)
}

/// Relations and parameters by their names.
struct Names<'a> {
    resolved: &'a Resolved,
}

impl Place for Names<'_> {
    type Error = SqlError;

    fn relation(&mut self, out: &mut String, relation: usize) -> Result<(), SqlError> {
        let name = self.resolved.relations().get(relation).ok_or(SqlError::Internal("an unknown relation"))?;
        if let Some(schema) = &name.schema {
            quote(out, schema);
            out.push('.');
        }
        quote(out, &name.name);
        Ok(())
    }

    fn parameter(&mut self, out: &mut String, _parameter: usize) -> Result<(), SqlError> {
        out.push('?');
        Ok(())
    }
}

/// Which names a query's columns are given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// Those that the caller reads.
    Outermost,
    /// Those that the rest of the statement refers to.
    Inner,
}

struct Printer<'a, P> {
    resolved: &'a Resolved,
    place: &'a mut P,
    out: String,
    /// How much of `out` the place wrote.
    theirs: usize,
    shape: bool,
}

impl<P: Place> Printer<'_, P> {
    fn postgres(&self) -> bool {
        self.resolved.statement.dialect == Dialect::Postgres
    }

    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// A value is written more than once where `CASE x WHEN` and the like are spelt out; nested, that doubles each time.
    fn check_length(&self) -> Result<(), SqlError> {
        if self.out.len().saturating_sub(self.theirs) > PRINTED_BYTES_MAX {
            return Err(SqlError::TooComplex(
                "spelt out in full it is too long: simplify nested BETWEEN, IN, NULLIF or CASE",
            ));
        }
        Ok(())
    }

    fn name(&mut self, name: &str) {
        quote(&mut self.out, name);
    }

    fn relation(&mut self, relation: usize) -> Result<(), P::Error> {
        let before = self.out.len();
        self.place.relation(&mut self.out, relation)?;
        self.theirs += self.out.len().saturating_sub(before);
        Ok(())
    }

    fn parameter(&mut self, parameter: usize) -> Result<(), P::Error> {
        let before = self.out.len();
        self.place.parameter(&mut self.out, parameter)?;
        self.theirs += self.out.len().saturating_sub(before);
        Ok(())
    }

    /// A string constant.
    fn string(&mut self, text: &str) {
        if self.shape {
            return self.push("?");
        }
        // With a backslash, a plain string means one thing or another, by standard_conforming_strings.
        let unplain = |char: char| char == '\\' || is_hidden(char);
        let escaped = self.postgres() && text.contains(unplain);
        self.push(if escaped { "E'" } else { "'" });
        for char in text.chars() {
            match char {
                '\'' => self.push("''"),
                '\\' if escaped => self.push("\\\\"),
                hidden if escaped && is_hidden(hidden) => self.push(&format!("\\u{:04x}", u32::from(hidden))),
                other => self.out.push(other),
            }
        }
        self.push("'");
    }

    /// The parts with commas between them.
    fn list(&mut self, list: &[Expr]) -> Result<(), P::Error> {
        for (at, expr) in list.iter().enumerate() {
            if at > 0 {
                self.push(", ");
            }
            self.expr(expr)?;
        }
        Ok(())
    }

    fn bracketed(&mut self, query: &Query) -> Result<(), P::Error> {
        self.push("(");
        self.query(query, Naming::Inner)?;
        self.push(")");
        Ok(())
    }
}

/// Control characters that do not belong into a text that may be logged.
fn is_hidden(char: char) -> bool {
    char.is_control() && !matches!(char, '\n' | '\t')
}

/// Appends a name as SQL.
fn quote(out: &mut String, name: &str) {
    out.push('"');
    for char in name.chars() {
        if char == '"' {
            out.push('"');
        }
        out.push(char);
    }
    out.push('"');
}
