//! Values as the texts that PostgreSQL reads. In: a literal and its column. Out: a text and the type that it is cast to. Refuses
//! what the server would refuse, as far as that can be seen from here: an error there costs the connection.

use asuser_core::{ColumnKind, Literal};
use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat};

use super::Known;
use crate::PostgresError;
use crate::types::Form;

/// Enough for every number that a column can hold; a longer one costs the server time.
const NUMBER_BYTES_MAX: usize = 2_000;
const PATTERN_BYTES_MAX: usize = 10_000;
/// numeric's own limit is 131,072 digits before the point.
const EXPONENT_MAX: i64 = 10_000;

/// A value to bind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) text: String,
    pub(super) type_name: String,
}

/// A caller's literal for a column.
pub(super) fn fitted(known: Known<'_>, literal: &Literal) -> Result<Bound, PostgresError> {
    let Known { column, pg } = known;
    let as_own = |text: String| Bound { text, type_name: pg.type_name.clone() };
    let as_type = |text: String, name: &str| Bound { text, type_name: format!("pg_catalog.{name}") };
    let text = written(literal)?;
    Ok(match (column.kind, pg.form) {
        // Wider than the column: a number beyond it is simply not in it. The operators across the types use its index.
        (ColumnKind::Integer, _) => match text.parse::<i64>() {
            Ok(number) => as_type(number.to_string(), "int8"),
            Err(_) => return bad("a whole number that fits 64 bits is expected"),
        },
        (ColumnKind::Decimal, _) => as_type(number(text)?, "numeric"),
        (ColumnKind::Float, _) => float(&text, pg.form)?,
        (ColumnKind::Boolean, _) => match text.as_str() {
            "true" | "false" => as_type(text, "bool"),
            _ => return bad("true or false is expected"),
        },
        (ColumnKind::Date, _) => as_type(date(&text)?, "date"),
        (ColumnKind::Timestamp, Form::Timestamptz) => as_type(timestamptz(&text)?, "timestamptz"),
        (ColumnKind::Timestamp, _) => as_type(timestamp(&text)?, "timestamp"),
        (ColumnKind::Binary, _) => return bad("bytes cannot be compared"),
        // text, varchar and name compare as text. char(n) and citext have ways of their own.
        (ColumnKind::Text, _) if matches!(pg.base_oid, 25 | 1043 | 19) => as_type(text, "text"),
        (ColumnKind::Text | ColumnKind::Other, _) => {
            if !pg.ordered {
                return bad("values of this type cannot be compared");
            }
            check_known_type(pg.base_oid, &text)?;
            as_own(text)
        }
    })
}

fn written(literal: &Literal) -> Result<String, PostgresError> {
    let text = match literal {
        Literal::Text(text) | Literal::Number(text) => text.clone(),
        Literal::Integer(number) => number.to_string(),
        Literal::Bool(truth) => truth.to_string(),
        Literal::Null => return Err(PostgresError::Plan("it compares with NULL".to_owned())),
    };
    if text.contains('\0') { bad("a text with U+0000 is no value of PostgreSQL") } else { Ok(text) }
}

/// A number as the column would hold it, so that the one that was shown is found. A number too small for the column is 0, as no
/// value lies between; one too large for `real` is compared as it is.
fn float(text: &str, form: Form) -> Result<Bound, PostgresError> {
    let wide: f64 = text.parse().map_err(|_| bad_value("a number is expected"))?;
    if !wide.is_finite() {
        return bad("the number is out of range");
    }
    let narrow: f32 = text.parse().map_err(|_| bad_value("a number is expected"))?;
    Ok(if form == Form::Float4 && narrow.is_finite() {
        Bound { text: format!("{narrow:e}"), type_name: "pg_catalog.float4".to_owned() }
    } else {
        Bound { text: format!("{wide:e}"), type_name: "pg_catalog.float8".to_owned() }
    })
}

/// A number in digits, with a point and an exponent of a sane size.
fn number(text: String) -> Result<String, PostgresError> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let digits = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let well_formed = digits.bytes().any(|byte| byte.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && digits.bytes().filter(|byte| *byte == b'.').count() <= 1;
    let exponent: Option<i64> = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok();
    let sane = exponent.is_some_and(|exponent| (-EXPONENT_MAX..=EXPONENT_MAX).contains(&exponent));
    if well_formed && sane && text.len() <= NUMBER_BYTES_MAX { Ok(text) } else { bad("a number is expected") }
}

/// `2026-01-31`.
fn date(text: &str) -> Result<String, PostgresError> {
    let parsed = NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d")
        .map_err(|_| bad_value("a date such as 2026-01-31 is expected"))?;
    if (1..=9999).contains(&chrono::Datelike::year(&parsed)) {
        Ok(parsed.to_string())
    } else {
        bad("the year must be 1 to 9999")
    }
}

/// A date, with a time of the day or without.
fn timestamp(text: &str) -> Result<String, PostgresError> {
    if let Ok(day) = date(text) {
        return Ok(day);
    }
    let parsed = naive(text.trim()).ok_or_else(|| bad_value("a time such as 2026-01-31 12:00:00 is expected"))?;
    Ok(parsed.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
}

/// The same with an offset; without one the session's time zone is meant.
fn timestamptz(text: &str) -> Result<String, PostgresError> {
    let text = text.trim();
    if let Ok(local) = timestamp(text) {
        return Ok(local);
    }
    let offset = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z"))
        .map_err(|_| bad_value("a time such as 2026-01-31T12:00:00Z is expected"))?;
    let utc = offset.to_utc();
    if !(1..=9999).contains(&chrono::Datelike::year(&utc)) {
        return bad("the year must be 1 to 9999");
    }
    Ok(utc.to_rfc3339_opts(SecondsFormat::Micros, true))
}

fn naive(text: &str) -> Option<NaiveDateTime> {
    let parsed = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())?;
    (1..=9999).contains(&chrono::Datelike::year(&parsed)).then_some(parsed)
}

/// Types that people often filter by, and whose form is easy to see.
fn check_known_type(oid: u32, text: &str) -> Result<(), PostgresError> {
    let ok = match oid {
        // "char" would take the first byte, and find what nobody asked for.
        18 => text.len() <= 1,
        // uuid
        2950 => {
            let hex = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
            let digits = hex.bytes().filter(u8::is_ascii_hexdigit).count();
            digits == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') && is_uuid_shaped(hex)
        }
        // oid
        26 => text.parse::<u32>().is_ok(),
        // regclass and its kin look names up, and so would tell which exist.
        24 | 2202..=2206 | 3734 | 3769 | 4089 | 4096 | 4191 => text.parse::<u32>().is_ok(),
        _ => true,
    };
    if ok { Ok(()) } else { bad("the value has not the form of the column's type") }
}

/// Hyphens in their places, or none (PostgreSQL takes more forms, which nobody writes).
fn is_uuid_shaped(text: &str) -> bool {
    let hyphens: Vec<usize> = text.bytes().enumerate().filter(|(_, byte)| *byte == b'-').map(|(at, _)| at).collect();
    hyphens.is_empty() || hyphens == [8, 13, 18, 23]
}

/// A point in time in UTC milliseconds, for a cast to timestamptz. One that is before or after all that a column holds is an
/// infinity, beside which each of those stands as it should.
pub(super) fn point_in_time(ms: i64) -> String {
    // PostgreSQL's first day, 4714-11-24 BC. The last one that chrono has comes before PostgreSQL's.
    const FIRST_MS: i64 = -210_866_803_200_000;
    let Some(utc) = DateTime::from_timestamp(ms.div_euclid(1_000), 0).filter(|_| ms >= FIRST_MS) else {
        return if ms < 0 { "-infinity" } else { "infinity" }.to_owned();
    };
    let year = chrono::Datelike::year(&utc);
    // PostgreSQL writes the years before 1 as BC, and has no year 0.
    let (year, era) = if year < 1 { (1 - year, " BC") } else { (year, "") };
    format!("{year:04}-{}.{:03}+00{era}", utc.format("%m-%d %H:%M:%S"), ms.rem_euclid(1_000))
}

/// The texts as an array's text: each in quotes, so that nothing in it means anything.
pub(super) fn array(texts: &[String]) -> String {
    let mut out = String::from("{");
    for (at, text) in texts.iter().enumerate() {
        out.push_str(if at == 0 { "\"" } else { ",\"" });
        for c in text.chars() {
            if matches!(c, '"' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
        out.push('"');
    }
    out.push('}');
    out
}

/// A text that LIKE takes literally.
pub(super) fn like_text(text: &str) -> Result<String, PostgresError> {
    check_pattern(text)?;
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    Ok(out)
}

/// A caller's pattern. One that ends in a lone backslash would fail on each row that gets so far, and tell of rows: the backslash
/// is then itself.
pub(super) fn like_pattern(pattern: &str) -> Result<String, PostgresError> {
    check_pattern(pattern)?;
    let trailing = pattern.bytes().rev().take_while(|byte| *byte == b'\\').count();
    Ok(if trailing % 2 == 1 { format!("{pattern}\\") } else { pattern.to_owned() })
}

fn check_pattern(text: &str) -> Result<(), PostgresError> {
    if text.contains('\0') {
        return bad("a text with U+0000 is no value of PostgreSQL");
    }
    if text.len() > PATTERN_BYTES_MAX { bad("the pattern is too long") } else { Ok(()) }
}

fn bad<T>(why: &str) -> Result<T, PostgresError> {
    Err(bad_value(why))
}

fn bad_value(why: &str) -> PostgresError {
    PostgresError::BadValue(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_holds_its_texts_and_nothing_else() {
        let texts = ["a", "", "NULL", "{b}", "c,d", "e\"f", "g\\h", " i ", "ü"].map(str::to_owned);
        assert_eq!(array(&texts), r#"{"a","","NULL","{b}","c,d","e\"f","g\\h"," i ","ü"}"#);
    }

    #[test]
    fn patterns_never_fail_on_a_row() {
        assert_eq!(like_pattern("a%").unwrap(), "a%");
        assert_eq!(like_pattern("a\\").unwrap(), "a\\\\");
        assert_eq!(like_pattern("a\\\\").unwrap(), "a\\\\");
        assert_eq!(like_text("50%_\\").unwrap(), "50\\%\\_\\\\");
        assert!(like_pattern("a\0").is_err());
    }

    #[test]
    fn points_in_time_are_exact() {
        for (ms, text) in [
            (0, "1970-01-01 00:00:00.000+00"),
            (-1, "1969-12-31 23:59:59.999+00"),
            (1_700_000_000_123, "2023-11-14 22:13:20.123+00"),
            (253_402_300_800_000, "10000-01-01 00:00:00.000+00"),
            (-62_135_596_800_001, "0001-12-31 23:59:59.999+00 BC"),
        ] {
            assert_eq!(point_in_time(ms), text);
        }
        assert_eq!((point_in_time(i64::MAX), point_in_time(i64::MIN)), ("infinity".into(), "-infinity".into()));
    }

    #[test]
    fn dates_and_times_have_a_form() {
        assert_eq!(date("2026-02-28").unwrap(), "2026-02-28");
        for bad in ["2026-02-30", "28.02.2026", "now", "infinity", "99999-01-01", "0000-01-01", ""] {
            assert!(date(bad).is_err() && timestamptz(bad).is_err(), "{bad}");
        }
        assert_eq!(timestamptz("2026-01-31T12:00:00.25+02:00").unwrap(), "2026-01-31T10:00:00.250000Z");
        assert_eq!(timestamptz("2026-01-31 12:00:00Z").unwrap(), "2026-01-31T12:00:00.000000Z");
        assert_eq!(timestamptz("2026-01-31 12:00").unwrap(), "2026-01-31 12:00:00.000000");
        assert_eq!(timestamp("2026-01-31T12:00:00.123456").unwrap(), "2026-01-31 12:00:00.123456");
    }
}
