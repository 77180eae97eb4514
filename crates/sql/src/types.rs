//! Types that a value may be cast to. In: a type as `sqlparser` has it. Out: the name to print. Refuses types that are not listed:
//! those that look something up (`regclass`), and those that somebody made.

use sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, Ident, IntervalFields, ObjectName, ObjectNamePart,
    TimezoneInfo, TypeModifier,
};

use crate::error::cut;
use crate::{At, Dialect, SqlError};

/// A text that is padded to its length could be very long.
const CHAR_LENGTH_MAX: u64 = 10_000;

/// A type with its modifiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Type {
    /// PostgreSQL: a name in `pg_catalog`. SQLite: a word.
    pub(crate) name: &'static str,
    pub(crate) modifiers: Vec<u64>,
    /// The words of `INTERVAL … TO …`.
    pub(crate) fields: &'static str,
    pub(crate) dimensions: usize,
}

/// The names that PostgreSQL knows beside the ones that `sqlparser` has its own nodes for.
const POSTGRES_NAMES: &[(&str, &str)] = &[
    ("bool", "bool"),
    ("int2", "int2"),
    ("int4", "int4"),
    ("int8", "int8"),
    ("float4", "float4"),
    ("float8", "float8"),
    ("numeric", "numeric"),
    ("text", "text"),
    ("varchar", "varchar"),
    ("bpchar", "bpchar"),
    ("timestamptz", "timestamptz"),
    ("timestamp", "timestamp"),
    ("timetz", "timetz"),
    ("time", "time"),
    ("date", "date"),
    ("interval", "interval"),
    ("uuid", "uuid"),
    ("json", "json"),
    ("jsonb", "jsonb"),
    ("jsonpath", "jsonpath"),
    ("bytea", "bytea"),
    ("inet", "inet"),
    ("cidr", "cidr"),
    ("macaddr", "macaddr"),
    ("macaddr8", "macaddr8"),
    ("int4range", "int4range"),
    ("int8range", "int8range"),
    ("numrange", "numrange"),
    ("daterange", "daterange"),
    ("tsrange", "tsrange"),
    ("tstzrange", "tstzrange"),
    ("point", "point"),
    ("box", "box"),
    ("circle", "circle"),
    ("lseg", "lseg"),
    ("path", "path"),
    ("polygon", "polygon"),
];

impl Type {
    const fn plain(name: &'static str) -> Self {
        Self { name, modifiers: Vec::new(), fields: "", dimensions: 0 }
    }
    fn with(name: &'static str, modifiers: Vec<u64>) -> Self {
        Self { modifiers, ..Self::plain(name) }
    }
    pub(crate) const fn text() -> Self {
        Self::plain("text")
    }
    /// Translates a type.
    pub(crate) fn of(ty: &DataType, dialect: Dialect, at: At) -> Result<Self, SqlError> {
        let found = match dialect {
            Dialect::Postgres => postgres(ty, 0)?,
            Dialect::Sqlite => sqlite(ty),
        };
        found.ok_or_else(|| refused(ty, dialect, at))
    }
    /// The output name of a cast without a better one.
    pub(crate) fn column_name(&self) -> &'static str {
        self.name
    }
}

fn refused(ty: &DataType, dialect: Dialect, at: At) -> SqlError {
    let written = match ty {
        DataType::Custom(name, _) => {
            let parts: Vec<&str> =
                name.0.iter().filter_map(ObjectNamePart::as_ident).map(|i| i.value.as_str()).collect();
            format!("type `{}`", cut(&parts.join(".")))
        }
        DataType::Regclass => "type `regclass`".to_owned(),
        _ => "this type".to_owned(),
    };
    let usual = match dialect {
        Dialect::Postgres => {
            "text, integer, bigint, numeric, double precision, boolean, date, timestamp, timestamptz, interval, uuid, jsonb and their arrays"
        }
        Dialect::Sqlite => "text, integer, real, numeric or blob",
    };
    SqlError::not_allowed(format!("a value cannot be cast to {written} here: cast to {usual}"), at)
}

fn precision(precision: Option<u64>) -> Option<Vec<u64>> {
    match precision {
        None => Some(Vec::new()),
        Some(digits) if digits <= 6 => Some(vec![digits]),
        Some(_) => None,
    }
}

fn exact(name: &'static str, info: &ExactNumberInfo) -> Option<Type> {
    match *info {
        ExactNumberInfo::None => Some(Type::plain(name)),
        ExactNumberInfo::Precision(p) if (1..=1000).contains(&p) => Some(Type::with(name, vec![p])),
        ExactNumberInfo::PrecisionAndScale(p, s) if (1..=1000).contains(&p) => {
            u64::try_from(s).ok().filter(|s| *s <= p).map(|s| Type::with(name, vec![p, s]))
        }
        _ => None,
    }
}

fn characters(name: &'static str, length: Option<&CharacterLength>, default: Option<u64>) -> Option<Type> {
    let modifiers = match length {
        None => default.into_iter().collect(),
        Some(CharacterLength::IntegerLength { length, unit: None }) if (1..=CHAR_LENGTH_MAX).contains(length) => {
            vec![*length]
        }
        Some(_) => return None,
    };
    Some(Type::with(name, modifiers))
}

fn zoned(plain: &'static str, zoned: &'static str, digits: Option<u64>, zone: &TimezoneInfo) -> Option<Type> {
    let name = match zone {
        TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => plain,
        TimezoneInfo::WithTimeZone | TimezoneInfo::Tz => zoned,
    };
    precision(digits).map(|modifiers| Type::with(name, modifiers))
}

fn postgres(ty: &DataType, depth: usize) -> Result<Option<Type>, SqlError> {
    if depth > 6 {
        return Err(SqlError::TooComplex("an array type has too many dimensions"));
    }
    Ok(match ty {
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, None)) => {
            postgres(element, depth + 1)?.map(|element| Type { dimensions: element.dimensions + 1, ..element })
        }
        DataType::Bool | DataType::Boolean => Some(Type::plain("bool")),
        DataType::SmallInt(None) | DataType::Int2(None) => Some(Type::plain("int2")),
        DataType::Int(None) | DataType::Integer(None) | DataType::Int4(None) => Some(Type::plain("int4")),
        DataType::BigInt(None) | DataType::Int8(None) => Some(Type::plain("int8")),
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => exact("numeric", info),
        DataType::Real | DataType::Float4 => Some(Type::plain("float4")),
        DataType::DoublePrecision | DataType::Float8 => Some(Type::plain("float8")),
        DataType::Float(ExactNumberInfo::None) => Some(Type::plain("float8")),
        DataType::Float(ExactNumberInfo::Precision(1..=24)) => Some(Type::plain("float4")),
        DataType::Float(ExactNumberInfo::Precision(25..=53)) => Some(Type::plain("float8")),
        DataType::Text => Some(Type::plain("text")),
        DataType::Varchar(length) | DataType::CharacterVarying(length) | DataType::CharVarying(length) => {
            characters("varchar", length.as_ref(), None)
        }
        DataType::Char(length) | DataType::Character(length) => characters("bpchar", length.as_ref(), Some(1)),
        DataType::Date => Some(Type::plain("date")),
        DataType::Time(digits, zone) => zoned("time", "timetz", *digits, zone),
        DataType::Timestamp(digits, zone) => zoned("timestamp", "timestamptz", *digits, zone),
        DataType::Interval { fields: None, precision: digits } => {
            precision(*digits).map(|modifiers| Type::with("interval", modifiers))
        }
        DataType::Interval { fields: Some(fields), precision: None } => {
            Some(Type { fields: interval_fields(fields), ..Type::plain("interval") })
        }
        DataType::Uuid => Some(Type::plain("uuid")),
        DataType::JSON => Some(Type::plain("json")),
        DataType::JSONB => Some(Type::plain("jsonb")),
        DataType::Bytea => Some(Type::plain("bytea")),
        DataType::Custom(name, modifiers) => custom(name, modifiers),
        _ => None,
    })
}

fn custom(name: &ObjectName, modifiers: &[TypeModifier]) -> Option<Type> {
    let parts: Vec<&Ident> = name.0.iter().filter_map(ObjectNamePart::as_ident).collect();
    let lower = |ident: &Ident| {
        if ident.quote_style.is_none() { ident.value.to_ascii_lowercase() } else { ident.value.clone() }
    };
    let word = match parts.as_slice() {
        [word] => *word,
        [schema, word] if lower(schema) == "pg_catalog" => *word,
        _ => return None,
    };
    if name.0.len() != parts.len() {
        return None;
    }
    let word = lower(word);
    let (_, found) = POSTGRES_NAMES.iter().find(|(known, _)| *known == word)?;
    let mut numbers = Vec::new();
    for modifier in modifiers {
        match modifier {
            TypeModifier::Number(digits, false) => numbers.push(digits.parse::<u64>().ok()?),
            _ => return None,
        }
    }
    match (*found, numbers.as_slice()) {
        (name, []) => Some(Type::plain(name)),
        ("timestamptz" | "timestamp" | "time" | "timetz" | "interval", [0..=6]) => Some(Type::with(found, numbers)),
        ("varchar" | "bpchar", [1..=CHAR_LENGTH_MAX]) => Some(Type::with(found, numbers)),
        ("numeric", [1..=1000]) => Some(Type::with(found, numbers)),
        ("numeric", [p @ 1..=1000, s]) if s <= p => Some(Type::with(found, numbers)),
        _ => None,
    }
}

/// The words of an interval's fields.
pub(crate) const fn interval_fields(fields: &IntervalFields) -> &'static str {
    match fields {
        IntervalFields::Year => "YEAR",
        IntervalFields::Month => "MONTH",
        IntervalFields::Day => "DAY",
        IntervalFields::Hour => "HOUR",
        IntervalFields::Minute => "MINUTE",
        IntervalFields::Second => "SECOND",
        IntervalFields::YearToMonth => "YEAR TO MONTH",
        IntervalFields::DayToHour => "DAY TO HOUR",
        IntervalFields::DayToMinute => "DAY TO MINUTE",
        IntervalFields::DayToSecond => "DAY TO SECOND",
        IntervalFields::HourToMinute => "HOUR TO MINUTE",
        IntervalFields::HourToSecond => "HOUR TO SECOND",
        IntervalFields::MinuteToSecond => "MINUTE TO SECOND",
    }
}

/// SQLite casts to an affinity; the names are those whose affinity is what they say.
fn sqlite(ty: &DataType) -> Option<Type> {
    let name = match ty {
        DataType::Int(None) | DataType::Integer(None) | DataType::BigInt(None) | DataType::SmallInt(None) => "INTEGER",
        DataType::Text | DataType::Varchar(_) | DataType::Char(_) | DataType::CharacterVarying(_) => "TEXT",
        DataType::Real | DataType::Float(ExactNumberInfo::None) | DataType::DoublePrecision => "REAL",
        DataType::Double(ExactNumberInfo::None) => "REAL",
        DataType::Numeric(_) | DataType::Decimal(_) => "NUMERIC",
        DataType::Blob(None) => "BLOB",
        _ => return None,
    };
    Some(Type::plain(name))
}
