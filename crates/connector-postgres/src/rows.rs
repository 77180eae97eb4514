//! Writes the records of an answer. In: the cells of one row after the other, as the server sent them. Out: JSON values with commas
//! between, in segments where they are many. Refuses a row that has other columns than the statement, a cell that is not of its
//! column's form, and an answer beyond its limit, before it is copied.

mod cell;
mod json;
#[cfg(test)]
mod tests;
mod time;

use std::collections::VecDeque;
use std::sync::Arc;

use asuser_core::{ReadSpec, Records, SEGMENT_BYTES_MAX};

use self::cell::{Place, write_cell};
use self::json::{Json, Stop};
use crate::PostgresError;
use crate::print::Statement;
use crate::types::Form;

/// What a service may say of how values become JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowOptions {
    /// int8 and numeric are JSON texts, for readers whose numbers are doubles.
    pub(crate) bigint_as_text: bool,
}

/// What the writer must know of a plan.
#[derive(Debug)]
pub(crate) struct Shape {
    columns: Vec<Column>,
    as_list: bool,
    limit: u64,
    bytes_max: usize,
}

/// A column of the answer.
#[derive(Debug)]
struct Column {
    /// The JSON text before its value: `{"name":` for the first, `,"name":` for the others.
    key: Vec<u8>,
    form: Form,
    /// It travels in binary form.
    binary: bool,
    /// Its numbers are JSON texts.
    as_text: bool,
}

impl Shape {
    pub(crate) fn of(spec: &ReadSpec, statement: &Statement, options: RowOptions) -> Self {
        let column = |at, name: &str, form, binary| {
            let as_text = options.bigint_as_text && matches!(form, Form::Bigint | Form::Numeric);
            Column { key: key(at, name), form, binary, as_text }
        };
        let pairs = spec.output.iter().zip(&statement.columns).enumerate();
        let mut columns: Vec<_> =
            pairs.map(|(at, (output, found))| column(at, &output.name, found.form, found.binary)).collect();
        if spec.output.len() != statement.columns.len() {
            // A statement of another plan: without columns every row is refused.
            columns.clear();
        }
        Self { columns, as_list: spec.as_list, limit: spec.limit, bytes_max: spec.bytes_max }
    }
}

impl Shape {
    /// One column, whose values are whole records as the server wrote them.
    pub(crate) fn of_records(limit: u64, bytes_max: usize) -> Self {
        let column = Column { key: Vec::new(), form: Form::Json, binary: false, as_text: false };
        Self { columns: vec![column], as_list: true, limit, bytes_max }
    }
}

fn key(at: usize, name: &str) -> Vec<u8> {
    let before = if at == 0 { '{' } else { ',' };
    format!("{before}{}:", serde_json::Value::from(name)).into_bytes()
}

/// Writes records, up to the limit, and holds them until they are taken.
pub(crate) struct Writer {
    shape: Arc<Shape>,
    json: Json,
    /// So many bytes of `json` were taken.
    taken: usize,
    /// So many records end in the next [`SEGMENT_BYTES_MAX`] bytes.
    ended: u64,
    /// Where in `json` those after them end.
    later: VecDeque<usize>,
    /// All that were written.
    rows: u64,
    more: bool,
}

impl Writer {
    pub(crate) fn new(shape: Arc<Shape>) -> Self {
        let json = Json::new(shape.bytes_max);
        Self { shape, json, taken: 0, ended: 0, later: VecDeque::new(), rows: 0, more: false }
    }

    /// Appends a row. One beyond the limit only shows that more exist.
    ///
    /// # Errors
    /// [`PostgresError::AnswerTooLarge`], and [`PostgresError::Internal`] where the row is not what the statement asked for.
    pub(crate) fn record<'a>(&mut self, cells: impl Iterator<Item = Option<&'a [u8]>>) -> Result<(), PostgresError> {
        if self.rows >= self.shape.limit {
            self.more = true;
            return Ok(());
        }
        let start = self.json.len();
        if let Err(stop) = write_record(&mut self.json, &self.shape, self.rows > 0, cells) {
            self.json.truncate(start);
            return Err(match stop {
                Stop::TooLarge => PostgresError::AnswerTooLarge { bytes_max: self.shape.bytes_max },
                Stop::Malformed(what) => PostgresError::Internal(format!("the server sent {what}")),
            });
        }
        self.rows += 1;
        let end = self.json.len();
        if end.saturating_sub(self.taken) <= SEGMENT_BYTES_MAX {
            self.ended += 1;
        } else {
            self.later.push_back(end);
        }
        Ok(())
    }

    /// The next segment, where one is full and more follows. It may end inside of a record.
    pub(crate) fn take_segment(&mut self) -> Option<Records> {
        let held = self.json.from(self.taken);
        if held.len() <= SEGMENT_BYTES_MAX {
            self.drop_taken();
            return None;
        }
        let json = held.get(..SEGMENT_BYTES_MAX)?.to_vec();
        let rows = self.ended;
        self.taken += SEGMENT_BYTES_MAX;
        let next = self.taken.saturating_add(SEGMENT_BYTES_MAX);
        let behind = self.later.partition_point(|end| *end <= next);
        self.ended = self.later.drain(..behind).len() as u64;
        Some(Records { json, rows, more: false, count: None })
    }

    /// What is left, and whether more exist. Without the count, which the writer does not know.
    pub(crate) fn finish(&mut self) -> Records {
        self.drop_taken();
        let rows = self.ended.saturating_add(self.later.len() as u64);
        (self.ended, self.later) = (0, VecDeque::new());
        Records { json: self.json.take(), rows, more: self.more, count: None }
    }

    pub(crate) fn bytes_max(&self) -> usize {
        self.shape.bytes_max
    }

    fn drop_taken(&mut self) {
        if self.taken > 0 {
            self.json.drop_front(self.taken);
            self.taken = 0;
        }
    }
}

fn write_record<'a>(
    out: &mut Json,
    shape: &Shape,
    follows: bool,
    mut cells: impl Iterator<Item = Option<&'a [u8]>>,
) -> Result<(), Stop> {
    const NARROW: Stop = Stop::Malformed("a row with too few columns");
    if follows {
        out.push(b",")?;
    }
    match (shape.as_list, shape.columns.as_slice()) {
        (true, [column]) => write_cell(out, column, cells.next().ok_or(NARROW)?, Place::Value)?,
        // `"(a,b)"`: each value as JSON has it, texts without their quotes.
        (true, columns) => {
            out.push(b"\"(")?;
            for (at, column) in columns.iter().enumerate() {
                out.push(if at == 0 { b"" } else { b"," })?;
                write_cell(out, column, cells.next().ok_or(NARROW)?, Place::InText)?;
            }
            out.push(b")\"")?;
        }
        (false, columns) => {
            for column in columns {
                out.push(&column.key)?;
                write_cell(out, column, cells.next().ok_or(NARROW)?, Place::Value)?;
            }
            out.push(b"}")?;
        }
    }
    if cells.next().is_some() { Err(Stop::Malformed("a row with too many columns")) } else { Ok(()) }
}
