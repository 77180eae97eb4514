//! A plan as SQL text and bound values. In: a `ReadSpec`. Out: the text of the read, that of the count, and what to bind.
//! The text holds quoted identifiers and constants of this module, never a value of a caller or a policy (law 5).
//! Refuses a plan it cannot print exactly.

mod condition;
mod filter;

use std::sync::Arc;

use asuser_core::{Column, ColumnAccess, ColumnIx, ColumnKind, MaskKind, ReadSpec, Table};
use rusqlite::types::Value;

use crate::SqliteError;
use crate::connect::VALUES_MAX;
use crate::functions::{VALUE_FUNCTION, mask_function};

/// A printed read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    /// The plan's table.
    pub(crate) table: Arc<Table>,
    /// Gives one row more than the limit, where there is one more.
    pub(crate) select: String,
    /// Counts, if the plan asks for it; binds the first `count_values` values.
    pub(crate) count: Option<String>,
    /// What to bind, `?1` first.
    pub(crate) values: Vec<Value>,
    /// How many of them the count binds.
    pub(crate) count_values: usize,
    /// Which of the table's columns the texts name.
    pub(crate) used: Vec<bool>,
}

/// Prints a read.
pub(crate) fn statement(spec: &ReadSpec) -> Result<Statement, SqliteError> {
    if spec.output.is_empty() || spec.limit == 0 {
        return Err(SqliteError::Plan("it gives no columns or no records".to_owned()));
    }
    let mut printer = Printer::new(&spec.table, &spec.access, Placeholder::Parameter, Vec::new())?;
    // The condition first: what it binds is what the count binds.
    let mut rows = from_table(&spec.table);
    rows.push_str(" WHERE ");
    printer.filter(&mut rows, &spec.row_filter, 0)?;
    if let Some(condition) = &spec.condition {
        rows.push_str(" AND ");
        printer.condition(&mut rows, condition, 0)?;
    }
    let count = spec.count.then(|| format!("SELECT count(*){rows}"));
    let count_values = printer.values.len();

    let mut select = String::from("SELECT ");
    for (at, output) in spec.output.iter().enumerate() {
        select.push_str(if at == 0 { "" } else { ", " });
        printer.access(&mut select, output.column)?;
    }
    select.push_str(&rows);
    printer.order(&mut select, spec)?;
    // One further, to know whether more exist. A number beyond 63 bits is beyond every table.
    let one_more = i64::try_from(spec.limit.saturating_add(1)).unwrap_or(i64::MAX);
    let offset = i64::try_from(spec.offset).unwrap_or(i64::MAX);
    select.push_str(" LIMIT ");
    printer.bind(&mut select, Value::Integer(one_more));
    select.push_str(" OFFSET ");
    printer.bind(&mut select, Value::Integer(offset));
    if printer.values.len() > VALUES_MAX {
        return Err(SqliteError::TooComplex("too many values"));
    }
    Ok(Statement {
        table: Arc::clone(&spec.table.0),
        select,
        count,
        values: printer.values,
        count_values,
        used: printer.used,
    })
}

/// A name as SQL.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// ` FROM "main"."name" AS t`: every column is named `t."…"`, so that none can be mistaken for another thing.
pub(crate) fn from_table(table: &Table) -> String {
    format!(" FROM \"main\".{} AS t", quoted(table.name.as_str()))
}

/// What stands in the text for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placeholder {
    /// `?n`
    Parameter,
    /// `asuser_value(n)`: inside a view, which can hold no parameter.
    Function,
}

/// Collects values and the columns used while texts are printed.
pub(crate) struct Printer<'a> {
    table: &'a Table,
    access: &'a [ColumnAccess],
    placeholder: Placeholder,
    /// Bound values, the first for `?1`.
    pub(crate) values: Vec<Value>,
    /// Columns that a text names.
    pub(crate) used: Vec<bool>,
    /// Masked columns as printed before: their values are bound once.
    masked: Vec<Option<String>>,
}

impl<'a> Printer<'a> {
    /// Starts with values that are bound already.
    pub(crate) fn new(
        table: &'a Table,
        access: &'a [ColumnAccess],
        placeholder: Placeholder,
        values: Vec<Value>,
    ) -> Result<Self, SqliteError> {
        let width = table.columns.len();
        if access.len() != width {
            return Err(SqliteError::Plan("it does not say of each column how it reads".to_owned()));
        }
        Ok(Self { table, access, placeholder, values, used: vec![false; width], masked: vec![None; width] })
    }

    /// The column as the caller sees it.
    pub(crate) fn access(&mut self, out: &mut String, ix: ColumnIx) -> Result<(), SqliteError> {
        let column = self.column(ix)?;
        match self.access.get(usize::from(ix.0)) {
            Some(ColumnAccess::Clear) => self.base(out, ix),
            Some(ColumnAccess::Masked { kind, unmask }) => {
                if let Some(Some(printed)) = self.masked.get(usize::from(ix.0)) {
                    out.push_str(printed);
                    return Ok(());
                }
                let mut printed = String::from("CASE WHEN ");
                self.filter(&mut printed, unmask, 0)?;
                printed.push_str(" THEN ");
                self.base(&mut printed, ix)?;
                printed.push_str(" ELSE ");
                self.mask(&mut printed, column, ix, *kind)?;
                printed.push_str(" END");
                out.push_str(&printed);
                if let Some(place) = self.masked.get_mut(usize::from(ix.0)) {
                    *place = Some(printed);
                }
                Ok(())
            }
            Some(ColumnAccess::Denied) | None => Err(SqliteError::Plan("it uses a column that is denied".to_owned())),
        }
    }

    /// The masked form alone. A column that is not text masks to NULL, whatever a cell of it holds.
    fn mask(&mut self, out: &mut String, column: &Column, ix: ColumnIx, kind: MaskKind) -> Result<(), SqliteError> {
        match mask_function(kind) {
            Some(function) if column.kind == ColumnKind::Text => {
                out.push_str(function);
                out.push('(');
                self.base(out, ix)?;
                out.push(')');
            }
            _ => out.push_str("NULL"),
        }
        Ok(())
    }

    /// The column itself.
    fn base(&mut self, out: &mut String, ix: ColumnIx) -> Result<(), SqliteError> {
        let column = self.column(ix)?;
        if let Some(used) = self.used.get_mut(usize::from(ix.0)) {
            *used = true;
        }
        out.push_str("t.");
        out.push_str(&quoted(column.name.as_str()));
        Ok(())
    }

    fn column(&self, ix: ColumnIx) -> Result<&'a Column, SqliteError> {
        self.table.column(ix).ok_or_else(|| SqliteError::Plan("it names a column that the table has not".to_owned()))
    }

    /// A value, bound.
    fn bind(&mut self, out: &mut String, value: Value) {
        self.values.push(value);
        let number = self.values.len();
        match self.placeholder {
            Placeholder::Parameter => out.push_str(&format!("?{number}")),
            Placeholder::Function => out.push_str(&format!("{VALUE_FUNCTION}({number})")),
        }
    }

    fn order(&mut self, out: &mut String, spec: &ReadSpec) -> Result<(), SqliteError> {
        for (at, term) in spec.order.iter().enumerate() {
            out.push_str(if at == 0 { " ORDER BY " } else { ", " });
            self.access(out, term.column)?;
            out.push_str(if term.descending { " DESC" } else { "" });
            out.push_str(match term.nulls_first {
                Some(true) => " NULLS FIRST",
                Some(false) => " NULLS LAST",
                None => "",
            });
        }
        if spec.order_by_shown {
            self.order_by_shown(out, spec)?;
        }
        Ok(())
    }

    /// What is shown, told apart exactly: texts by their bytes, and a real from the whole number that equals it.
    fn order_by_shown(&mut self, out: &mut String, spec: &ReadSpec) -> Result<(), SqliteError> {
        for (at, output) in spec.output.iter().enumerate() {
            let column = self.column(output.column)?;
            let mut shown = String::new();
            self.access(&mut shown, output.column)?;
            out.push_str(if at == 0 && spec.order.is_empty() { " ORDER BY " } else { ", " });
            out.push_str(&shown);
            out.push_str(if column.binary_collation { "" } else { " COLLATE BINARY" });
            if matches!(column.kind, ColumnKind::Other | ColumnKind::Binary) {
                out.push_str(&format!(", typeof({shown})"));
            }
        }
        Ok(())
    }

    /// The parts with an operator between each two, as a balanced tree: SQLite limits the depth of an expression, and a
    /// chain of a thousand terms is a thousand deep.
    fn joined<T>(
        &mut self,
        out: &mut String,
        parts: &[T],
        operator: &str,
        each: &mut dyn FnMut(&mut Self, &mut String, &T) -> Result<(), SqliteError>,
    ) -> Result<(), SqliteError> {
        match parts {
            [] => Err(SqliteError::Plan("it holds an empty list".to_owned())),
            [part] => each(self, out, part),
            _ => {
                let (left, right) = parts.split_at(parts.len() / 2);
                out.push('(');
                self.joined(out, left, operator, each)?;
                out.push_str(operator);
                self.joined(out, right, operator, each)?;
                out.push(')');
                Ok(())
            }
        }
    }
}
