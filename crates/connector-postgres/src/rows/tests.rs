//! Rows as a server would send them, and what the writer makes of them. What each file shares stands here.

mod forms;
mod segments;
mod server;
mod text;
mod times;

use std::sync::Arc;

use asuser_core::{
    Column as CoreColumn, ColumnAccess, ColumnIx, ColumnKind, ColumnName, Filter, OutputColumn, ReadSpec, Records,
    Table, TableKind, TableName, TableRef,
};

use super::*;
use crate::print::OutColumn;

const FORMS: [Form; 13] = [
    Form::Integer,
    Form::Bigint,
    Form::Numeric,
    Form::Float4,
    Form::Float8,
    Form::Boolean,
    Form::Timestamptz,
    Form::Timestamp,
    Form::Date,
    Form::Bytes,
    Form::Json,
    Form::ToJson,
    Form::Text,
];

type Row = Vec<Option<Vec<u8>>>;

fn is_binary(form: Form) -> bool {
    matches!(form, Form::Float4 | Form::Float8 | Form::Timestamptz | Form::Timestamp | Form::Date | Form::Bytes)
}

fn spec(names: &[&str]) -> ReadSpec {
    let column = |name: &&str| CoreColumn {
        name: ColumnName::from(*name),
        declared_type: "text".to_owned(),
        kind: ColumnKind::Text,
        nullable: true,
        strictly_typed: true,
        binary_collation: true,
    };
    let table = Table {
        name: TableName::from("t"),
        kind: TableKind::Table,
        columns: names.iter().map(column).collect(),
        primary_key: Vec::new(),
        reads: Default::default(),
    };
    let output = |(at, name): (usize, &&str)| OutputColumn { name: (*name).to_owned(), column: ColumnIx(at as u16) };
    ReadSpec {
        access: vec![ColumnAccess::Clear; names.len()],
        output: names.iter().enumerate().map(output).collect(),
        row_filter: Filter::True,
        condition: None,
        order: Vec::new(),
        order_asked: 0,
        order_by_shown: true,
        limit: 1_000,
        offset: 0,
        count: false,
        as_list: false,
        bytes_max: 1 << 30,
        time_ms_max: 30_000,
        table: TableRef(Arc::new(table)),
    }
}

fn statement(forms: &[Form]) -> Statement {
    let column = |form: &Form| OutColumn { form: *form, binary: is_binary(*form), origin: None };
    Statement {
        select: String::new(),
        count: None,
        values: Vec::new(),
        count_values: 0,
        columns: forms.iter().map(column).collect(),
    }
}

/// Columns `a`, `b`, … of these forms.
fn shape(forms: &[Form], change: impl FnOnce(&mut ReadSpec)) -> Arc<Shape> {
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut spec = spec(&names[..forms.len()]);
    change(&mut spec);
    Arc::new(Shape::of(&spec, &statement(forms), RowOptions { bigint_as_text: false }))
}

fn cells(row: &Row) -> impl Iterator<Item = Option<&[u8]>> {
    row.iter().map(Option::as_deref)
}

fn row<const N: usize>(cells: [&[u8]; N]) -> Row {
    cells.iter().map(|cell| Some(cell.to_vec())).collect()
}

/// All that the writer gives for these rows, in one piece.
fn written(shape: &Arc<Shape>, rows: &[Row]) -> Result<String, PostgresError> {
    let mut writer = Writer::new(Arc::clone(shape));
    rows.iter().try_for_each(|row| writer.record(cells(row)))?;
    assert_eq!(writer.take_segment(), None);
    Ok(String::from_utf8(writer.finish().json).expect("JSON is UTF-8"))
}

/// A value of this form, as it stands in the answer.
fn value(form: Form, cell: &[u8]) -> Result<String, PostgresError> {
    written(&shape(&[form], |spec| spec.as_list = true), &[row([cell])])
}

/// The same where numbers are texts.
fn value_as_text(form: Form, cell: &[u8]) -> String {
    let mut spec = spec(&["a"]);
    spec.as_list = true;
    let shape = Arc::new(Shape::of(&spec, &statement(&[form]), RowOptions { bigint_as_text: true }));
    written(&shape, &[row([cell])]).unwrap()
}

fn is_refused(result: Result<String, PostgresError>) -> bool {
    matches!(result, Err(PostgresError::Internal(_)))
}
