//! Configured tools: named, typed SQL of the administrator's that runs as the person who asks.
//!
//! In: a caller's arguments. Out: values for the statement's parameters. Refused: a parameter that does not exist, one that is
//! missing, a value of another kind.

use std::collections::BTreeMap;

use asuser_core::{ArgumentKind, DatabaseKind, Problem, Reason, ServiceName, ToolArgument};
use asuser_query::Statement;
use serde_json::Value as Json;

/// The longest text that an argument takes, in bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// A tool.
#[derive(Debug, Clone)]
pub struct Tool {
    /// How it is called.
    pub name: String,
    /// For people.
    pub title: Option<String>,
    /// For models: what it gives and when to use it.
    pub description: String,
    /// Where it runs.
    pub service: ServiceName,
    /// In the order of the statement's parameters.
    pub parameters: Vec<ToolParameter>,
    /// What it runs; it has passed the guard.
    pub statement: Statement,
}

/// A parameter of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolParameter {
    /// Its name: `:name` in the statement.
    pub name: String,
    /// What it takes.
    pub kind: ArgumentKind,
    /// For models.
    pub description: String,
    /// Must be given. One that is not given and has no default is NULL.
    pub required: bool,
    /// What it is where it is not given.
    pub default: Option<Json>,
}

/// A service that a caller may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceView {
    /// Its name.
    pub name: ServiceName,
    /// Which database it is.
    pub database: DatabaseKind,
    /// The caller may submit SQL to it.
    pub raw_sql: bool,
    /// What the configuration says of it.
    pub description: Option<String>,
}

/// The tools that a caller may use, besides those that a face has by itself.
#[derive(Debug)]
pub struct ToolsView<'a> {
    /// SQL may be submitted to some service.
    pub raw_sql: bool,
    /// The services that the caller may reach.
    pub services: &'a [ServiceView],
    /// Configured tools of those services, by name.
    pub tools: &'a [&'a Tool],
}

impl Tool {
    /// The arguments as the statement takes them.
    ///
    /// # Errors
    /// When one is unknown, missing, or of another kind.
    pub fn arguments(&self, given: &BTreeMap<String, Json>) -> Result<Vec<ToolArgument>, Problem> {
        if let Some(unknown) = given.keys().find(|name| self.parameters.iter().all(|known| known.name != **name)) {
            let known: Vec<&str> = self.parameters.iter().map(|known| known.name.as_str()).collect();
            let shown: String = unknown.chars().take(64).collect();
            let words = match known.as_slice() {
                [] => format!("`{}` takes no argument `{shown}`: it takes none", self.name),
                known => format!("`{}` takes no argument `{shown}`: it takes {}", self.name, known.join(", ")),
            };
            return Err(Problem::new(Reason::BadParameter, words));
        }
        self.parameters.iter().map(|known| known.argument(given.get(&known.name))).collect()
    }
}

impl ToolParameter {
    /// A value of this parameter.
    ///
    /// # Errors
    /// When it is missing or of another kind.
    pub fn argument(&self, given: Option<&Json>) -> Result<ToolArgument, Problem> {
        let value = match given.or(self.default.as_ref()) {
            None | Some(Json::Null) if self.required => {
                return Err(Problem::new(Reason::BadParameter, format!("the argument `{}` is missing", self.name)));
            }
            None | Some(Json::Null) => None,
            Some(value) => Some(self.text(value).ok_or_else(|| self.misfit())?),
        };
        Ok(ToolArgument { kind: self.kind, value })
    }

    fn misfit(&self) -> Problem {
        let wanted = match self.kind {
            ArgumentKind::Text => "a text of at most 16 KiB",
            ArgumentKind::Integer => "a whole number of 64 bits",
            ArgumentKind::Number => "a decimal number",
            ArgumentKind::Boolean => "true or false",
            ArgumentKind::Date => "a date such as \"2026-01-31\"",
            ArgumentKind::Timestamp => "a time such as \"2026-01-31T12:00:00Z\"",
            ArgumentKind::Uuid => "a UUID",
        };
        Problem::new(Reason::BadParameter, format!("the argument `{}` must be {wanted}", self.name))
    }

    /// In the words of the database. A text that means a number is taken for one: models and query strings write them so.
    fn text(&self, value: &Json) -> Option<String> {
        let text = match value {
            Json::String(text) => text.clone(),
            Json::Number(number) => number.to_string(),
            Json::Bool(truth) => truth.to_string(),
            _ => return None,
        };
        if text.len() > TEXT_BYTES_MAX || text.contains('\0') {
            return None;
        }
        let fits = match self.kind {
            ArgumentKind::Text => value.is_string(),
            ArgumentKind::Integer => text.parse::<i64>().is_ok() && !text.starts_with('+'),
            ArgumentKind::Number => is_decimal(&text),
            ArgumentKind::Boolean => matches!(text.as_str(), "true" | "false"),
            ArgumentKind::Date => is_date(&text),
            ArgumentKind::Timestamp => is_timestamp(&text),
            ArgumentKind::Uuid => is_uuid(&text),
        };
        fits.then_some(text)
    }
}

/// `-12.5e3`, of at most 100 characters and a small exponent.
fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    text.len() <= 100 && digits(whole) && digits(fraction) && digits(exponent) && exponent.len() <= 2
}

/// RFC 3339 §5.6 `full-date`.
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let number = |part: &str, digits: usize, least: u32, most: u32| {
        part.len() == digits
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && part.parse().is_ok_and(|number: u32| (least..=most).contains(&number))
    };
    matches!(parts.as_slice(), [year, month, day] if number(year, 4, 1, 9999) && number(month, 2, 1, 12) && number(day, 2, 1, 31))
}

/// RFC 3339 §5.6 `date-time`.
fn is_timestamp(text: &str) -> bool {
    let Some((date, rest)) = text.split_at_checked(10) else { return false };
    let Some(time) = rest.strip_prefix(['T', 't', ' ']) else { return false };
    let time = match time.strip_suffix(['Z', 'z']) {
        Some(time) => time,
        None => match time.rsplit_once(['+', '-']) {
            Some((time, offset)) if is_clock(offset, false) => time,
            _ => return false,
        },
    };
    is_date(date) && is_clock(time, true)
}

fn is_clock(text: &str, seconds: bool) -> bool {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = clock.split(':');
    let mut part = |most: u32| {
        parts.next().is_some_and(|part| {
            part.len() == 2
                && part.bytes().all(|byte| byte.is_ascii_digit())
                && part.parse().is_ok_and(|number: u32| number <= most)
        })
    };
    let whole = part(23) && part(59) && (!seconds || part(60));
    whole && parts.next().is_none() && fraction.len() <= 9 && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

/// RFC 9562 §4, with hyphens.
fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len).collect::<Vec<_>>();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(kind: ArgumentKind, value: Json) -> bool {
        let parameter =
            ToolParameter { name: "p".into(), kind, description: String::new(), required: true, default: None };
        parameter.argument(Some(&value)).is_ok()
    }

    #[test]
    fn a_value_fits_its_kind_or_is_refused() {
        use ArgumentKind::{Boolean, Date, Integer, Number, Text, Timestamp, Uuid};
        for (kind, value) in [
            (Text, "' OR 1=1 --"),
            (Integer, "-9223372036854775808"),
            (Number, "-12.50"),
            (Number, "1e9"),
            (Boolean, "true"),
            (Date, "2026-02-28"),
            (Timestamp, "2026-01-31T23:59:60Z"),
            (Timestamp, "2026-01-31 12:00:00.123+02:00"),
            (Uuid, "00000000-0000-0000-0000-000000000000"),
        ] {
            assert!(fits(kind, value.into()), "{kind:?} {value}");
        }
        for (kind, value) in [
            (Integer, "9223372036854775808"),
            (Integer, "1.0"),
            (Integer, "+1"),
            (Integer, "1; DROP"),
            (Number, "NaN"),
            (Number, "1e999"),
            (Number, "."),
            (Boolean, "yes"),
            (Date, "2026-13-01"),
            (Date, "now"),
            (Timestamp, "2026-01-31"),
            (Timestamp, "2026-01-31T25:00:00Z"),
            (Timestamp, "infinity"),
            (Uuid, "0000"),
            (Text, "a\0b"),
        ] {
            assert!(!fits(kind, value.into()), "{kind:?} {value}");
        }
        assert!(fits(Integer, 7.into()) && fits(Boolean, true.into()) && !fits(Text, 7.into()));
        assert!(!fits(Text, Json::Array(vec![])) && !fits(Text, Json::Null));
    }

    #[test]
    fn a_missing_argument_is_its_default_or_null() {
        let mut parameter = ToolParameter {
            name: "p".into(),
            kind: ArgumentKind::Integer,
            description: String::new(),
            required: false,
            default: None,
        };
        assert_eq!(parameter.argument(None).unwrap().value, None);
        parameter.default = Some(5.into());
        assert_eq!(parameter.argument(None).unwrap().value.as_deref(), Some("5"));
        assert_eq!(parameter.argument(Some(&6.into())).unwrap().value.as_deref(), Some("6"));
        parameter.required = true;
        parameter.default = None;
        assert!(parameter.argument(None).is_err());
    }
}
