//! Runs a printed read and writes the records. In: a connection and a statement. Out: JSON values with commas between.
//! Refuses an answer beyond its limit while it is built.
//!
//! How a cell reads: NULL `null`; an integer all its digits; a real the shortest text that reads back the same, and the texts
//! `Infinity` and `-Infinity` where JSON has no number; text as it is, with U+FFFD for bytes that are no UTF-8; bytes as base64
//! (RFC 4648 §4). A column declared BOOLEAN gives `false` and `true` for 0 and 1.

use std::sync::Arc;

use asuser_core::{ColumnKind, ReadSpec, Records};
use data_encoding::BASE64;
use rusqlite::types::{Value, ValueRef};

use crate::SqliteError;
use crate::connect::{Budget, Connected};
use crate::permit::Permit;
use crate::print::Statement;

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
}

fn key(name: &str) -> Vec<u8> {
    let mut key = serde_json::Value::from(name).to_string().into_bytes();
    key.push(b':');
    key
}

/// Reads records and count from one snapshot, if the schema is the one that the plan was made for.
pub(crate) fn read(
    connected: &Connected,
    statement: &Statement,
    shape: &Shape,
    schema_version: i64,
    budget: &Budget,
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
    let mut records = select(connected, statement, shape, budget)?;
    if let Some(text) = &statement.count {
        let values = statement.values.get(..statement.count_values).unwrap_or_default();
        records.count = Some(count(connected, text, values).map_err(failed)?);
    }
    connected.permit(Permit::Frame);
    connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])).map_err(failed)?;
    Ok(records)
}

fn select(
    connected: &Connected,
    statement: &Statement,
    shape: &Shape,
    budget: &Budget,
) -> Result<Records, SqliteError> {
    let failed = |error: rusqlite::Error| SqliteError::from_sqlite(&error, budget);
    let mut prepared = connected.connection.prepare_cached(&statement.select).map_err(failed)?;
    bind(&mut prepared, &statement.values).map_err(failed)?;
    let mut writer = Writer::new(shape);
    let mut rows = prepared.raw_query();
    while let Some(row) = rows.next().map_err(failed)? {
        if !writer.record(row)? {
            break;
        }
    }
    drop(rows);
    // What was bound belongs to one caller.
    prepared.clear_bindings();
    Ok(writer.records)
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
    pub(crate) records: Records,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(shape: &'a Shape) -> Self {
        Self { shape, records: Records::default() }
    }

    /// Appends a row; `false` where the limit is reached and the row only shows that more exist.
    pub(crate) fn record(&mut self, row: &rusqlite::Row<'_>) -> Result<bool, SqliteError> {
        if self.records.rows == self.shape.limit {
            self.records.more = true;
            return Ok(false);
        }
        if self.records.rows > 0 {
            self.records.json.push(b',');
        }
        match (self.shape.as_list, self.shape.keys.len()) {
            (false, _) => self.object(row)?,
            (true, 1) => self.cell(cell(row, 0)?, self.is_boolean(0))?,
            (true, width) => self.tuple(row, width)?,
        }
        self.records.rows += 1;
        self.check(0)?;
        Ok(true)
    }

    fn object(&mut self, row: &rusqlite::Row<'_>) -> Result<(), SqliteError> {
        let shape = self.shape;
        for (at, key) in shape.keys.iter().enumerate() {
            self.records.json.push(if at == 0 { b'{' } else { b',' });
            self.records.json.extend_from_slice(key);
            self.cell(cell(row, at)?, self.is_boolean(at))?;
        }
        self.records.json.push(b'}');
        Ok(())
    }

    /// `"(a,b)"`: each value as JSON has it, texts without their quotes.
    fn tuple(&mut self, row: &rusqlite::Row<'_>, width: usize) -> Result<(), SqliteError> {
        let mut text = String::from("(");
        for at in 0..width {
            text.push_str(if at == 0 { "" } else { "," });
            match cell(row, at)? {
                ValueRef::Text(bytes) => {
                    self.check(text.len().saturating_add(bytes.len()))?;
                    text.push_str(&String::from_utf8_lossy(bytes));
                }
                other => {
                    let start = self.records.json.len();
                    self.cell(other, self.is_boolean(at))?;
                    text.push_str(&String::from_utf8_lossy(&self.records.json.split_off(start)).replace('"', ""));
                }
            }
        }
        text.push(')');
        self.text(&text)
    }

    fn cell(&mut self, cell: ValueRef<'_>, is_boolean: bool) -> Result<(), SqliteError> {
        let json = &mut self.records.json;
        match cell {
            ValueRef::Null => json.extend_from_slice(b"null"),
            ValueRef::Integer(0) if is_boolean => json.extend_from_slice(b"false"),
            ValueRef::Integer(1) if is_boolean => json.extend_from_slice(b"true"),
            ValueRef::Integer(number) => json.extend_from_slice(number.to_string().as_bytes()),
            ValueRef::Real(real) if real.is_finite() => serde_json::to_writer(json, &real).map_err(unwritten)?,
            ValueRef::Real(real) if real > 0.0 => json.extend_from_slice(b"\"Infinity\""),
            ValueRef::Real(_) => json.extend_from_slice(b"\"-Infinity\""),
            ValueRef::Text(bytes) => {
                self.check(bytes.len())?;
                self.text(&String::from_utf8_lossy(bytes))?;
            }
            ValueRef::Blob(bytes) => {
                self.check(BASE64.encode_len(bytes.len()))?;
                let encoded = BASE64.encode(bytes);
                self.text(&encoded)?;
            }
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), SqliteError> {
        serde_json::to_writer(&mut self.records.json, text).map_err(unwritten)
    }

    fn is_boolean(&self, at: usize) -> bool {
        self.shape.booleans.get(at).copied().unwrap_or(false)
    }

    /// Refuses before more than the limit is held.
    fn check(&self, coming: usize) -> Result<(), SqliteError> {
        let bytes_max = self.shape.bytes_max;
        if self.records.json.len().saturating_add(coming) > bytes_max {
            return Err(SqliteError::AnswerTooLarge { bytes_max });
        }
        Ok(())
    }
}

fn cell<'row>(row: &'row rusqlite::Row<'_>, at: usize) -> Result<ValueRef<'row>, SqliteError> {
    row.get_ref(at).map_err(|error| SqliteError::Internal(error.to_string()))
}

fn unwritten(error: serde_json::Error) -> SqliteError {
    SqliteError::Internal(error.to_string())
}
