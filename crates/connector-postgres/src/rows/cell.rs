//! A cell as JSON. In: what the server sent for a column. Out: its value, by the column's form. Refuses what is not of that form.
//!
//! NULL is `null` in every form. What JSON has no number for (`NaN`, `Infinity`, `-Infinity`) is a text.

use super::Column;
use super::json::{Json, Stop};
use super::time;
use crate::types::Form;

/// Where a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// As a value of its own.
    Value,
    /// Between the quotes of a text.
    InText,
}

impl Place {
    /// What stands around a text here.
    pub(super) const fn quote(self) -> &'static [u8] {
        match self {
            Self::Value => b"\"",
            Self::InText => b"",
        }
    }
}

pub(super) fn write_cell(out: &mut Json, column: &Column, cell: Option<&[u8]>, place: Place) -> Result<(), Stop> {
    let Some(cell) = cell else {
        return out.push(b"null");
    };
    match (column.form, column.binary) {
        (Form::Integer | Form::Bigint, false) => integer(out, cell, column.as_text, place),
        (Form::Numeric, false) => numeric(out, cell, column.as_text, place),
        (Form::Boolean, false) => boolean(out, cell),
        (Form::Text, false) => {
            out.push(place.quote())?;
            out.push_text(cell)?;
            out.push(place.quote())
        }
        (Form::Json | Form::ToJson, false) => json(out, cell, place),
        (Form::Float4, true) => {
            let real = f32::from_be_bytes(exactly(cell)?);
            float(out, real, f64::from(real), place)
        }
        (Form::Float8, true) => {
            let real = f64::from_be_bytes(exactly(cell)?);
            float(out, real, real, place)
        }
        (Form::Timestamptz, true) => time::timestamp(out, i64::from_be_bytes(exactly(cell)?), "Z", place),
        (Form::Timestamp, true) => time::timestamp(out, i64::from_be_bytes(exactly(cell)?), "", place),
        (Form::Date, true) => time::date(out, i32::from_be_bytes(exactly(cell)?), place),
        (Form::Bytes, true) => {
            out.push(place.quote())?;
            out.push_base64(cell)?;
            out.push(place.quote())
        }
        _ => Err(Stop::Malformed("a value in a format that was not asked for")),
    }
}

/// A text that needs no escape.
pub(super) fn bare(out: &mut Json, text: &[u8], place: Place) -> Result<(), Stop> {
    out.push(place.quote())?;
    out.push(text)?;
    out.push(place.quote())
}

fn exactly<const N: usize>(cell: &[u8]) -> Result<[u8; N], Stop> {
    cell.try_into().map_err(|_| Stop::Malformed("a binary value of the wrong length"))
}

fn integer(out: &mut Json, cell: &[u8], as_text: bool, place: Place) -> Result<(), Stop> {
    if !is_integer(unsigned(cell)) {
        return Err(Stop::Malformed("an integer that is none"));
    }
    number(out, cell, as_text, place)
}

fn numeric(out: &mut Json, cell: &[u8], as_text: bool, place: Place) -> Result<(), Stop> {
    if let b"NaN" | b"Infinity" | b"-Infinity" = cell {
        return bare(out, cell, place);
    }
    let digits = unsigned(cell);
    let is_number = match digits.iter().position(|byte| *byte == b'.').and_then(|at| digits.split_at_checked(at)) {
        None => is_integer(digits),
        Some((whole, fraction)) => is_integer(whole) && fraction.get(1..).is_some_and(are_digits),
    };
    if !is_number {
        return Err(Stop::Malformed("a numeric that is no number"));
    }
    number(out, cell, as_text, place)
}

fn number(out: &mut Json, cell: &[u8], as_text: bool, place: Place) -> Result<(), Stop> {
    if as_text { bare(out, cell, place) } else { out.push(cell) }
}

fn unsigned(cell: &[u8]) -> &[u8] {
    cell.strip_prefix(b"-").unwrap_or(cell)
}

/// RFC 8259 §6: no zero stands before other digits.
fn is_integer(digits: &[u8]) -> bool {
    are_digits(digits) && (digits.len() == 1 || !digits.starts_with(b"0"))
}

fn are_digits(digits: &[u8]) -> bool {
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

fn boolean(out: &mut Json, cell: &[u8]) -> Result<(), Stop> {
    match cell {
        b"t" => out.push(b"true"),
        b"f" => out.push(b"false"),
        _ => Err(Stop::Malformed("a boolean that is none")),
    }
}

/// The server checked that it is JSON when it took or made it.
fn json(out: &mut Json, cell: &[u8], place: Place) -> Result<(), Stop> {
    if cell.is_empty() || std::str::from_utf8(cell).is_err() {
        return Err(Stop::Malformed("JSON that is none"));
    }
    match place {
        Place::Value => out.push(cell),
        Place::InText => out.push_text(cell),
    }
}

fn float(out: &mut Json, number: impl serde::Serialize, real: f64, place: Place) -> Result<(), Stop> {
    if real.is_finite() {
        out.push_float(number)
    } else if real.is_nan() {
        bare(out, b"NaN", place)
    } else {
        bare(out, if real > 0.0 { b"Infinity" } else { b"-Infinity" }, place)
    }
}
