//! Runs a printed read and writes the records. In: a connection and a statement. Out: JSON values with commas between.
//! Hands them over in segments where they are many, and refuses an answer beyond its limit while it is built.
//!
//! How a cell reads: NULL `null`; an integer all its digits; a real the shortest text that reads back the same, and the texts
//! `Infinity` and `-Infinity` where JSON has no number; text as it is, with U+FFFD for bytes that are no UTF-8; bytes as base64
//! (RFC 4648 §4). A column declared BOOLEAN gives `false` and `true` for 0 and 1.

use std::io::{self, Write as _};
use std::sync::Arc;

use asuser_core::{ColumnKind, ReadSpec, Records, SEGMENT_BYTES_MAX};
use data_encoding::BASE64;
use rusqlite::types::{Value, ValueRef};

use crate::SqliteError;
use crate::connect::{Budget, Connected};
use crate::handover::Outlet;
use crate::permit::Permit;
use crate::print::Statement;

/// Bytes of a blob that are encoded at once: a multiple of three, so that no padding stands in the middle.
const BLOB_PIECE: usize = 48 * 1024;

/// What the writer must know of a plan.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// For each output column the JSON text before its value: `"name":`.
    keys: Vec<Vec<u8>>,
    booleans: Vec<bool>,
    as_list: bool,
    limit: u64,
    bytes_max: usize,
}

impl Shape {
    pub(crate) fn of(spec: &ReadSpec) -> Self {
        let is_boolean = |ix| spec.table.column(ix).is_some_and(|column| column.kind == ColumnKind::Boolean);
        Self {
            keys: spec.output.iter().map(|output| key(&output.name)).collect(),
            booleans: spec.output.iter().map(|output| is_boolean(output.column)).collect(),
            as_list: spec.as_list,
            limit: spec.limit,
            bytes_max: spec.bytes_max,
        }
    }

    /// Of a submitted statement, whose columns have no declared kind.
    pub(crate) fn of_columns(names: &[String], limit: u64, bytes_max: usize) -> Self {
        let keys = names.iter().map(|name| key(name)).collect();
        Self { keys, booleans: Vec::new(), as_list: false, limit, bytes_max }
    }

    fn is_boolean(&self, at: usize) -> bool {
        self.booleans.get(at).copied().unwrap_or(false)
    }
}

fn key(name: &str) -> Vec<u8> {
    let mut key = serde_json::Value::from(name).to_string().into_bytes();
    key.push(b':');
    key
}

/// Reads count and records from one snapshot, if the schema is the one that the plan was made for. What is full on the way is
/// handed over; the result is the end, which may be all.
pub(crate) fn read(
    connected: &Connected,
    statement: &Statement,
    shape: &Shape,
    schema_version: i64,
    budget: &Budget,
    outlet: &mut Outlet,
) -> Result<Records, SqliteError> {
    let failed = |error: rusqlite::Error| SqliteError::from_sqlite(&error, budget);
    let connection = &connected.connection;
    connected.permit(Permit::Frame);
    connection.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).map_err(failed)?;
    let found: i64 = connection
        .prepare_cached("PRAGMA schema_version")
        .and_then(|mut pragma| pragma.query_row([], |row| row.get(0)))
        .map_err(failed)?;
    if found != schema_version {
        return Err(SqliteError::SchemaChanged);
    }
    connected.permit(Permit::Table { table: Arc::clone(&statement.table), columns: statement.used.clone() });
    let mut writer = Writer::through(shape, outlet);
    if let Some(text) = &statement.count {
        // First, so that where it fails nothing has been handed over.
        let values = statement.values.get(..statement.count_values).unwrap_or_default();
        writer.records.count = Some(count(connected, text, values).map_err(failed)?);
    }
    select(connected, statement, &mut writer, budget)?;
    let records = writer.records;
    connected.permit(Permit::Frame);
    connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])).map_err(failed)?;
    Ok(records)
}

fn select(
    connected: &Connected,
    statement: &Statement,
    writer: &mut Writer<'_>,
    budget: &Budget,
) -> Result<(), SqliteError> {
    let failed = |error: rusqlite::Error| SqliteError::from_sqlite(&error, budget);
    let mut prepared = connected.connection.prepare_cached(&statement.select).map_err(failed)?;
    bind(&mut prepared, &statement.values).map_err(failed)?;
    let mut rows = prepared.raw_query();
    while let Some(row) = rows.next().map_err(failed)? {
        if !writer.record(row)? {
            break;
        }
    }
    drop(rows);
    // What was bound belongs to one caller.
    prepared.clear_bindings();
    Ok(())
}

fn count(connected: &Connected, text: &str, values: &[Value]) -> rusqlite::Result<u64> {
    let mut prepared = connected.connection.prepare_cached(text)?;
    bind(&mut prepared, values)?;
    let mut rows = prepared.raw_query();
    let counted: i64 = rows.next()?.map_or(Ok(0), |row| row.get(0))?;
    drop(rows);
    prepared.clear_bindings();
    Ok(counted.unsigned_abs())
}

/// Binds every parameter of the statement, or fails: one left over would keep what another caller bound.
fn bind(prepared: &mut rusqlite::Statement<'_>, values: &[Value]) -> rusqlite::Result<()> {
    prepared.clear_bindings();
    if prepared.parameter_count() != values.len() {
        return Err(rusqlite::Error::InvalidParameterCount(values.len(), prepared.parameter_count()));
    }
    for (at, value) in values.iter().enumerate() {
        prepared.raw_bind_parameter(at + 1, value)?;
    }
    Ok(())
}

/// Writes records.
pub(crate) struct Writer<'a> {
    shape: &'a Shape,
    /// Where what is full goes; without it all is kept.
    outlet: Option<&'a mut Outlet>,
    /// What was not handed over yet.
    pub(crate) records: Records,
    /// What was.
    rows_before: u64,
    bytes_before: usize,
}

impl<'a> Writer<'a> {
    /// Keeps all, up to the limit.
    pub(crate) fn new(shape: &'a Shape) -> Self {
        Self { shape, outlet: None, records: Records::default(), rows_before: 0, bytes_before: 0 }
    }
    /// Keeps one segment.
    fn through(shape: &'a Shape, outlet: &'a mut Outlet) -> Self {
        Self { outlet: Some(outlet), ..Self::new(shape) }
    }

    /// Appends a row; `false` where the limit is reached and the row only shows that more exist.
    pub(crate) fn record(&mut self, row: &rusqlite::Row<'_>) -> Result<bool, SqliteError> {
        let rows = self.rows_before.saturating_add(self.records.rows);
        if rows == self.shape.limit {
            self.records.more = true;
            return Ok(false);
        }
        if rows > 0 {
            self.write_all(b",").map_err(unwritten)?;
        }
        match (self.shape.as_list, self.shape.keys.len()) {
            (false, _) => self.object(row)?,
            (true, 1) => {
                let cell = cell(row, 0)?;
                self.check(cell)?;
                write_cell(self, cell, self.shape.is_boolean(0)).map_err(unwritten)?;
            }
            (true, width) => self.tuple(row, width)?,
        }
        self.records.rows += 1;
        Ok(true)
    }

    fn object(&mut self, row: &rusqlite::Row<'_>) -> Result<(), SqliteError> {
        let shape = self.shape;
        for (at, key) in shape.keys.iter().enumerate() {
            let cell = cell(row, at)?;
            self.check(cell)?;
            self.write_all(if at == 0 { b"{" } else { b"," })
                .and_then(|()| self.write_all(key))
                .and_then(|()| write_cell(self, cell, shape.is_boolean(at)))
                .map_err(unwritten)?;
        }
        self.write_all(b"}").map_err(unwritten)
    }

    /// `"(a,b)"`: each value as JSON has it, texts without their quotes.
    fn tuple(&mut self, row: &rusqlite::Row<'_>, width: usize) -> Result<(), SqliteError> {
        let mut text = String::from("(");
        for at in 0..width {
            text.push_str(if at == 0 { "" } else { "," });
            let cell = cell(row, at)?;
            self.check(cell)?;
            if let ValueRef::Text(bytes) = cell {
                text.push_str(&String::from_utf8_lossy(bytes));
            } else {
                let mut scalar = Vec::new();
                write_cell(&mut scalar, cell, self.shape.is_boolean(at)).map_err(unwritten)?;
                text.push_str(&String::from_utf8_lossy(&scalar).replace('"', ""));
            }
        }
        text.push(')');
        write_text(self, &text).map_err(unwritten)
    }

    /// Refuses a cell that cannot fit before a copy of it is made.
    fn check(&self, cell: ValueRef<'_>) -> Result<(), SqliteError> {
        let coming = match cell {
            ValueRef::Text(bytes) => bytes.len(),
            ValueRef::Blob(bytes) => BASE64.encode_len(bytes.len()),
            _ => 0,
        };
        self.fits(coming)
    }
    fn fits(&self, coming: usize) -> Result<(), SqliteError> {
        let bytes_max = self.shape.bytes_max;
        let bytes = self.bytes_before.saturating_add(self.records.json.len()).saturating_add(coming);
        if bytes > bytes_max { Err(SqliteError::AnswerTooLarge { bytes_max }) } else { Ok(()) }
    }
}

/// Bytes of JSON: refused beyond the limit, and handed over where a segment is full and more comes.
impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.fits(bytes.len()).map_err(io::Error::other)?;
        let Some(outlet) = &mut self.outlet else {
            self.records.json.extend_from_slice(bytes);
            return Ok(bytes.len());
        };
        if !bytes.is_empty() && self.records.json.len() >= SEGMENT_BYTES_MAX {
            let full = std::mem::take(&mut self.records);
            self.rows_before = self.rows_before.saturating_add(full.rows);
            self.bytes_before = self.bytes_before.saturating_add(full.json.len());
            self.records.json.reserve_exact(SEGMENT_BYTES_MAX);
            outlet.hand_over(full).map_err(io::Error::other)?;
        }
        let room = SEGMENT_BYTES_MAX.saturating_sub(self.records.json.len());
        let fitting = bytes.get(..room).unwrap_or(bytes);
        self.records.json.extend_from_slice(fitting);
        Ok(fitting.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_cell(out: &mut impl io::Write, cell: ValueRef<'_>, is_boolean: bool) -> io::Result<()> {
    match cell {
        ValueRef::Null => out.write_all(b"null"),
        ValueRef::Integer(0) if is_boolean => out.write_all(b"false"),
        ValueRef::Integer(1) if is_boolean => out.write_all(b"true"),
        ValueRef::Integer(number) => out.write_all(number.to_string().as_bytes()),
        ValueRef::Real(real) if real.is_finite() => Ok(serde_json::to_writer(out, &real)?),
        ValueRef::Real(real) if real > 0.0 => out.write_all(b"\"Infinity\""),
        ValueRef::Real(_) => out.write_all(b"\"-Infinity\""),
        ValueRef::Text(bytes) => write_text(out, &String::from_utf8_lossy(bytes)),
        ValueRef::Blob(bytes) => {
            out.write_all(b"\"")?;
            for piece in bytes.chunks(BLOB_PIECE) {
                out.write_all(BASE64.encode(piece).as_bytes())?;
            }
            out.write_all(b"\"")
        }
    }
}

fn write_text(out: &mut impl io::Write, text: &str) -> io::Result<()> {
    Ok(serde_json::to_writer(out, text)?)
}

fn cell<'row>(row: &'row rusqlite::Row<'_>, at: usize) -> Result<ValueRef<'row>, SqliteError> {
    row.get_ref(at).map_err(|error| SqliteError::Internal(error.to_string()))
}

/// What stopped the writing: ours, passed through the traits of writing.
fn unwritten(error: io::Error) -> SqliteError {
    error.downcast().unwrap_or_else(|error| SqliteError::Internal(error.to_string()))
}
