//! Somebody's own SQL as the text that runs. In: the guarded statement and what its relations are for this person. Out: a statement
//! that gives one JSON text for each record. What the person may not see whole stands in it as a subquery of what they may see.
//!
//! `OFFSET 0` is a fence: PostgreSQL neither moves a condition of the statement below it nor flattens the subquery, so nothing of the
//! statement is computed on a hidden row, where an error would tell of it.

use std::fmt::Write as _;
use std::sync::Arc;

use asuser_core::{ArgumentKind, ToolArgument};
use asuser_query::{SqlError, SqlOrigin, SqlPlace, SqlRelation, SqlSpec};

use super::{OutColumn, Printer, Statement, VALUES_MAX, plan, quote};
use crate::PostgresError;
use crate::types::{Form, PgTable};

/// Prints a statement over these tables, one for each of its relations.
pub(crate) fn sql_statement(spec: &SqlSpec, tables: &[Arc<PgTable>]) -> Result<Statement, PostgresError> {
    let bound = vec![None; spec.arguments.len()];
    let mut text = Text { spec, tables, values: Vec::new(), bound };
    let inner = asuser_query::print(&spec.statement, &mut text)?;
    let values = text.values;
    if values.len() > VALUES_MAX {
        return Err(PostgresError::TooComplex("too many values"));
    }
    // No column of the records has the name of the record.
    let mut record = String::from("record");
    while spec.output.contains(&record) {
        record.push('_');
    }
    let mut select = format!("SELECT pg_catalog.row_to_json({record})::pg_catalog.text FROM ({inner}) AS {record}(");
    for (at, name) in spec.output.iter().enumerate() {
        select.push_str(if at == 0 { "" } else { ", " });
        quote(&mut select, name);
    }
    let one_more = i64::try_from(spec.limit.saturating_add(1)).unwrap_or(i64::MAX);
    // Writing to a String cannot fail.
    let _ = write!(select, ") LIMIT {one_more}");
    let columns = vec![OutColumn { form: Form::Json, binary: false, origin: None }];
    Ok(Statement { select, count: None, values, count_values: 0, columns })
}

struct Text<'a> {
    spec: &'a SqlSpec,
    tables: &'a [Arc<PgTable>],
    values: Vec<String>,
    /// The numbers of the arguments that were bound already.
    bound: Vec<Option<usize>>,
}

impl SqlPlace for Text<'_> {
    type Error = PostgresError;

    fn relation(&mut self, out: &mut String, relation: usize) -> Result<(), PostgresError> {
        let shown = self.spec.relations.get(relation).zip(self.tables.get(relation));
        let (shown, table) = shown.ok_or_else(|| plan("it names a relation beyond its own"))?;
        // A row as a whole would show a column that was added a moment ago: its columns are named.
        if shown.is_whole && !self.spec.statement.uses_whole_row(relation) {
            quote(out, &table.schema);
            out.push('.');
            quote(out, &table.relation);
            return Ok(());
        }
        self.instead(out, shown, table)
    }

    fn parameter(&mut self, out: &mut String, parameter: usize) -> Result<(), PostgresError> {
        let argument = self.spec.arguments.get(parameter).ok_or_else(|| plan("it has no such argument"))?;
        let ToolArgument { kind, value } = argument;
        let ty = match kind {
            ArgumentKind::Text => "text",
            ArgumentKind::Integer => "int8",
            ArgumentKind::Number => "numeric",
            ArgumentKind::Boolean => "bool",
            ArgumentKind::Date => "date",
            ArgumentKind::Timestamp => "timestamptz",
            ArgumentKind::Uuid => "uuid",
        };
        let Some(value) = value else {
            let _ = write!(out, "(NULL::pg_catalog.{ty})");
            return Ok(());
        };
        let number = match self.bound.get(parameter).copied().flatten() {
            Some(number) => number,
            None => {
                self.values.push(value.clone());
                let number = self.values.len();
                if let Some(bound) = self.bound.get_mut(parameter) {
                    *bound = Some(number);
                }
                number
            }
        };
        let _ = write!(out, "(${number}::pg_catalog.{ty})");
        Ok(())
    }
}

impl Text<'_> {
    /// What stands for a relation.
    fn instead(&mut self, out: &mut String, shown: &SqlRelation, table: &PgTable) -> Result<(), PostgresError> {
        let mut printer = Printer::new(&shown.access, table, std::mem::take(&mut self.values))?;
        let mut select = String::from("(SELECT ");
        for (at, ix) in shown.columns.iter().enumerate() {
            select.push_str(if at == 0 { "" } else { ", " });
            printer.access(&mut select, *ix)?;
            select.push_str(" AS ");
            quote(&mut select, printer.column(*ix)?.column.name.as_str());
        }
        let rows = printer.rows(&shown.row_filter, shown.condition.as_ref())?;
        self.values = printer.values;
        select.push_str(&rows);
        // An aggregate of ours computes nothing that could fail on a row.
        select.push_str(if self.spec.origin == SqlOrigin::Aggregate { ")" } else { " OFFSET 0)" });
        out.push_str(&select);
        Ok(())
    }
}

impl From<SqlError> for PostgresError {
    fn from(error: SqlError) -> Self {
        Self::Plan(error.to_string())
    }
}
