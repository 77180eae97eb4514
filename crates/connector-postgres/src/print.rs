//! A plan as SQL text and bound values. In: a `ReadSpec` and the table as PostgreSQL has it. Out: the text of the read, that of the
//! count, and what to bind. The text holds quoted identifiers and constants of this module, never a value of a caller or a
//! policy (law 5), and means the same under every `search_path`. Refuses a plan that it cannot print exactly.

mod condition;
mod filter;
mod literal;
mod sql;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use asuser_core::{
    Column, ColumnAccess, ColumnIx, ColumnKind, Condition, Filter, FilterOp, FilterTest, MaskKind, Operand, ReadSpec,
};

pub(crate) use self::sql::sql_statement;
use crate::PostgresError;
use crate::types::{Form, PgColumn, PgTable};

/// The protocol counts parameters in 16 bits.
const VALUES_MAX: usize = 60_000;

/// A printed read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// Gives one row more than the limit, where there is one more.
    pub(crate) select: String,
    /// Counts, if the plan asks for it; binds the first `count_values` values.
    pub(crate) count: Option<String>,
    /// What to bind as text, `$1` first.
    pub(crate) values: Vec<String>,
    /// How many of them the count binds.
    pub(crate) count_values: usize,
    /// What comes back.
    pub(crate) columns: Vec<OutColumn>,
}

/// A column that comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutColumn {
    /// What it becomes in JSON.
    pub(crate) form: Form,
    /// It travels in binary form.
    pub(crate) binary: bool,
    /// Place and type (behind domains) of the table's column that it must be; `None`: it is an expression.
    pub(crate) origin: Option<(i16, u32)>,
}

/// Prints a read.
pub(crate) fn statement(spec: &ReadSpec, table: &PgTable) -> Result<Statement, PostgresError> {
    if spec.output.is_empty() || spec.limit == 0 {
        return Err(plan("it gives no columns or no records"));
    }
    let mut printer = Printer::new(&spec.access, table, Vec::new())?;
    // The condition first: what it binds is what the count binds.
    let rows = printer.rows(&spec.row_filter, spec.condition.as_ref())?;
    let count = spec.count.then(|| format!("SELECT pg_catalog.count(*){rows}"));
    let count_values = printer.values.len();

    let mut select = String::with_capacity(512);
    select.push_str("SELECT ");
    let mut columns = Vec::with_capacity(spec.output.len());
    for (at, output) in spec.output.iter().enumerate() {
        select.push_str(if at == 0 { "" } else { ", " });
        columns.push(printer.output(&mut select, output.column)?);
    }
    select.push_str(&rows);
    printer.order(&mut select, spec)?;
    // One further, to know whether more exist. A number beyond 63 bits is beyond every table.
    let one_more = i64::try_from(spec.limit.saturating_add(1)).unwrap_or(i64::MAX);
    let offset = i64::try_from(spec.offset).unwrap_or(i64::MAX);
    // In digits: a limit that is a parameter looks dear to a plan that is kept, so that the server would plan each read anew.
    let _ = write!(select, " LIMIT {one_more}");
    if offset > 0 {
        select.push_str(" OFFSET ");
        printer.bind(&mut select, offset.to_string(), "pg_catalog.int8");
    }
    if printer.values.len() > VALUES_MAX {
        return Err(PostgresError::TooComplex("too many values"));
    }
    Ok(Statement { select, count, values: printer.values, count_values, columns })
}

/// Appends a name as SQL.
fn quote(out: &mut String, name: &str) {
    out.push('"');
    for part in name.split_inclusive('"') {
        out.push_str(part);
        if part.ends_with('"') {
            out.push('"');
        }
    }
    out.push('"');
}

/// Collects values while texts are printed.
struct Printer<'a> {
    table: &'a PgTable,
    access: &'a [ColumnAccess],
    /// Bound values, the first for `$1`.
    values: Vec<String>,
    /// Masked columns as printed before: their values are bound once.
    masked: Vec<Option<String>>,
}

/// A column, as both catalogues have it.
#[derive(Clone, Copy)]
struct Known<'a> {
    column: &'a Column,
    pg: &'a PgColumn,
}

impl<'a> Printer<'a> {
    /// Values go on after those that are bound already.
    fn new(access: &'a [ColumnAccess], table: &'a PgTable, values: Vec<String>) -> Result<Self, PostgresError> {
        let width = table.columns.len();
        if access.len() != width || table.table.columns.len() != width {
            return Err(plan("it does not say of each column how it reads"));
        }
        Ok(Self { table, access, values, masked: vec![None; width] })
    }

    /// `FROM … WHERE …`: the rows that exist for the caller, and of them those that the condition means.
    fn rows(&mut self, row_filter: &Filter, condition: Option<&Condition<ColumnIx>>) -> Result<String, PostgresError> {
        let mut rows = String::with_capacity(256);
        rows.push_str(" FROM ");
        quote(&mut rows, &self.table.schema);
        rows.push('.');
        quote(&mut rows, &self.table.relation);
        rows.push_str(" AS t WHERE ");
        self.filter(&mut rows, row_filter, 0)?;
        if let Some(condition) = condition {
            if self.table.computed && *row_filter != Filter::True {
                rows = self.fenced(&rows)?;
            } else {
                rows.push_str(" AND ");
            }
            self.condition(&mut rows, condition, 0)?;
        }
        Ok(rows)
    }

    fn column(&self, ix: ColumnIx) -> Result<Known<'a>, PostgresError> {
        let at = usize::from(ix.0);
        let (table, column) = (self.table, self.table.table.columns.get(at));
        let known = column.zip(table.columns.get(at)).map(|(column, pg)| Known { column, pg });
        known.ok_or_else(|| plan("it names a column that the table has not"))
    }

    /// The column itself.
    fn base(&self, out: &mut String, ix: ColumnIx) -> Result<(), PostgresError> {
        out.push_str("t.");
        quote(out, self.column(ix)?.column.name.as_str());
        Ok(())
    }

    /// The rows that exist for the caller, behind a fence (OFFSET): no condition is tried on another row before it. A column that is
    /// an expression may fail on a row, and so would tell of one that is hidden.
    fn fenced(&self, rows: &str) -> Result<String, PostgresError> {
        let mut inner = String::from(" FROM (SELECT ");
        let mut used = vec![false; self.access.len()];
        for (at, access) in self.access.iter().enumerate() {
            if let (false, Some(column)) = (matches!(access, ColumnAccess::Denied), used.get_mut(at)) {
                *column = true;
            }
            if let ColumnAccess::Masked { unmask, .. } = access {
                mark(unmask, &mut used);
            }
        }
        let columns = used.iter().zip(0..).filter(|(used, _)| **used);
        for (at, (_, ix)) in columns.enumerate() {
            inner.push_str(if at == 0 { "" } else { ", " });
            self.base(&mut inner, ColumnIx(ix))?;
        }
        Ok(format!("{inner}{rows} OFFSET 0) AS t WHERE "))
    }

    /// The column as the caller sees it.
    fn access(&mut self, out: &mut String, ix: ColumnIx) -> Result<(), PostgresError> {
        let at = usize::from(ix.0);
        match self.access.get(at) {
            Some(ColumnAccess::Clear) => self.base(out, ix),
            Some(ColumnAccess::Masked { kind, unmask }) => {
                if let Some(Some(printed)) = self.masked.get(at) {
                    out.push_str(printed);
                    return Ok(());
                }
                let mut printed = String::from("(CASE WHEN ");
                self.filter(&mut printed, unmask, 0)?;
                printed.push_str(" THEN ");
                self.base(&mut printed, ix)?;
                printed.push_str(" ELSE ");
                self.mask(&mut printed, ix, *kind)?;
                printed.push_str(" END)");
                out.push_str(&printed);
                if let Some(place) = self.masked.get_mut(at) {
                    *place = Some(printed);
                }
                Ok(())
            }
            Some(ColumnAccess::Denied) | None => Err(plan("it uses a column that is denied")),
        }
    }

    /// The masked form alone, of the column's type: the rule is `MaskKind::apply`. A column that is not text masks to NULL.
    fn mask(&self, out: &mut String, ix: ColumnIx, kind: MaskKind) -> Result<(), PostgresError> {
        let Known { column, pg } = self.column(ix)?;
        let mut base = String::new();
        self.base(&mut base, ix)?;
        let text = format!("{base}::pg_catalog.text");
        let masked = match kind {
            _ if column.kind != ColumnKind::Text => "NULL".to_owned(),
            MaskKind::Null => "NULL".to_owned(),
            MaskKind::Full => format!("CASE WHEN {base} IS NULL THEN NULL ELSE '****' END"),
            MaskKind::Partial => format!(
                "CASE WHEN {base} IS NULL THEN NULL WHEN pg_catalog.char_length({text}) OPERATOR(pg_catalog.<) 8 THEN '****' \
                 ELSE '****' OPERATOR(pg_catalog.||) pg_catalog.right({text},4) END"
            ),
            // The last `@`: where it stands from the end is where it stands first in the reversed text.
            MaskKind::Email => {
                // Under a collation that is not deterministic, nothing is searched for before PostgreSQL 18.
                let from_end = format!("pg_catalog.strpos(pg_catalog.reverse({text}) COLLATE pg_catalog.\"C\",'@')");
                format!(
                    "CASE WHEN {base} IS NULL THEN NULL WHEN {from_end} OPERATOR(pg_catalog.=) 0 OR {from_end} OPERATOR(pg_catalog.=) \
                     pg_catalog.char_length({text}) THEN '****' ELSE pg_catalog.left({text},1) OPERATOR(pg_catalog.||) '***' \
                     OPERATOR(pg_catalog.||) pg_catalog.right({text},{from_end}) END"
                )
            }
        };
        // A length modifier would cut the mask, so the cast is to the bare type.
        let _ = write!(out, "({masked})::{}", pg.type_name);
        Ok(())
    }

    /// A column of the answer.
    fn output(&mut self, out: &mut String, ix: ColumnIx) -> Result<OutColumn, PostgresError> {
        let pg = self.column(ix)?.pg;
        let clear = matches!(self.access.get(usize::from(ix.0)), Some(ColumnAccess::Clear));
        let mut shown = String::new();
        self.access(&mut shown, ix)?;
        let form = pg.form;
        match form {
            Form::ToJson => {
                let _ = write!(out, "pg_catalog.to_json({shown})");
            }
            // What is no base type of its own (citext, an enum, a range) gives its text; nothing is cast.
            _ => out.push_str(&shown),
        }
        let origin = (clear && form != Form::ToJson).then_some((pg.number, pg.base_oid));
        Ok(OutColumn { form, binary: is_binary(form), origin })
    }

    /// A value, bound as text and cast.
    fn bind(&mut self, out: &mut String, value: String, type_name: &str) {
        self.values.push(value);
        let _ = write!(out, "${}::{type_name}", self.values.len());
    }

    fn order(&mut self, out: &mut String, spec: &ReadSpec) -> Result<(), PostgresError> {
        for (at, term) in spec.order.iter().enumerate() {
            out.push_str(if at == 0 { " ORDER BY " } else { ", " });
            let mut shown = String::new();
            self.access(&mut shown, term.column)?;
            out.push_str(&shown);
            // json, xml and the like have no order of their own.
            out.push_str(if self.column(term.column)?.pg.ordered { "" } else { "::pg_catalog.text" });
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

    /// What is shown, told apart exactly: numbers and times by themselves, everything else by the bytes of its text.
    fn order_by_shown(&mut self, out: &mut String, spec: &ReadSpec) -> Result<(), PostgresError> {
        for (at, output) in spec.output.iter().enumerate() {
            let pg = self.column(output.column)?.pg;
            let mut shown = String::new();
            self.access(&mut shown, output.column)?;
            out.push_str(if at == 0 && spec.order.is_empty() { " ORDER BY " } else { ", " });
            match pg.form {
                Form::Integer
                | Form::Bigint
                | Form::Float4
                | Form::Float8
                | Form::Boolean
                | Form::Timestamptz
                | Form::Timestamp
                | Form::Date
                | Form::Bytes => out.push_str(&shown),
                // 1.0 and 1.00 are equal and shown differently.
                Form::Numeric | Form::Json | Form::ToJson | Form::Text => {
                    let _ = write!(out, "{shown}::pg_catalog.text COLLATE pg_catalog.\"C\"");
                }
            }
        }
        Ok(())
    }
}

/// Marks the columns that a filter names.
fn mark(filter: &Filter, used: &mut [bool]) {
    let mut is_used = |ix: ColumnIx| {
        if let Some(column) = used.get_mut(usize::from(ix.0)) {
            *column = true;
        }
    };
    match filter {
        Filter::True | Filter::False => {}
        Filter::All(parts) | Filter::Any(parts) => parts.iter().for_each(|part| mark(part, used)),
        Filter::Test(FilterTest { column, op }) => {
            is_used(*column);
            if let FilterOp::Eq(Operand::Column(other))
            | FilterOp::Ne(Operand::Column(other))
            | FilterOp::Lt(Operand::Column(other))
            | FilterOp::Le(Operand::Column(other))
            | FilterOp::Gt(Operand::Column(other))
            | FilterOp::Ge(Operand::Column(other)) = op
            {
                is_used(*other);
            }
        }
    }
}

const fn is_binary(form: Form) -> bool {
    matches!(form, Form::Float4 | Form::Float8 | Form::Timestamptz | Form::Timestamp | Form::Date | Form::Bytes)
}

fn plan(why: &str) -> PostgresError {
    PostgresError::Plan(why.to_owned())
}

/// The parts with an operator between each two.
fn joined<T>(
    out: &mut String,
    parts: &[T],
    operator: &str,
    mut each: impl FnMut(&mut String, &T) -> Result<(), PostgresError>,
) -> Result<(), PostgresError> {
    out.push('(');
    for (at, part) in parts.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { operator });
        each(out, part)?;
    }
    out.push(')');
    Ok(())
}
