//! What a type is to us. In: a base type, domains resolved. Out: its kind, how its values travel, and whether its text compares
//! by code point. A type that is not listed is `Other` and travels as its text.

use asuser_core::ColumnKind;

use crate::types::Form;

/// A base type of `pg_type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BaseType {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    /// `typtype`: b(ase), c(omposite), d(omain), e(num), p(seudo), r(ange), m(ultirange).
    pub(super) form: String,
    pub(super) is_array: bool,
    /// Where its own `=` is; `None` where it has none, or shares another type's.
    pub(super) operators: Option<String>,
    /// It has an order (btree), or each of its parts has.
    pub(super) ordered: bool,
}

/// What a base type is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Nature {
    pub(super) kind: ColumnKind,
    pub(super) form: Form,
    /// Equal texts are the same code points, where the column's collation is deterministic too.
    pub(super) exact_text: bool,
}

// pg_type.dat; these numbers never change.
const BOOL: u32 = 16;
const BYTEA: u32 = 17;
const NAME: u32 = 19;
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const TEXT: u32 = 25;
const OID: u32 = 26;
const JSON: u32 = 114;
const FLOAT4: u32 = 700;
const FLOAT8: u32 = 701;
const BPCHAR: u32 = 1042;
const VARCHAR: u32 = 1043;
const DATE: u32 = 1082;
const TIMESTAMP: u32 = 1114;
const TIMESTAMPTZ: u32 = 1184;
const NUMERIC: u32 = 1700;
const JSONB: u32 = 3802;

impl BaseType {
    pub(super) fn nature(&self) -> Nature {
        let is = |kind, form| Nature { kind, form, exact_text: false };
        match self.oid {
            TEXT | VARCHAR | NAME => Nature { kind: ColumnKind::Text, form: Form::Text, exact_text: true },
            // Compares without its trailing spaces.
            BPCHAR => is(ColumnKind::Text, Form::Text),
            INT2 | INT4 => is(ColumnKind::Integer, Form::Integer),
            INT8 => is(ColumnKind::Integer, Form::Bigint),
            OID => is(ColumnKind::Other, Form::Integer),
            BOOL => is(ColumnKind::Boolean, Form::Boolean),
            NUMERIC => is(ColumnKind::Decimal, Form::Numeric),
            FLOAT4 => is(ColumnKind::Float, Form::Float4),
            FLOAT8 => is(ColumnKind::Float, Form::Float8),
            TIMESTAMPTZ => is(ColumnKind::Timestamp, Form::Timestamptz),
            TIMESTAMP => is(ColumnKind::Timestamp, Form::Timestamp),
            DATE => is(ColumnKind::Date, Form::Date),
            BYTEA => is(ColumnKind::Binary, Form::Bytes),
            JSON | JSONB => is(ColumnKind::Other, Form::Json),
            _ if self.is_array || self.form == "c" => is(ColumnKind::Other, Form::ToJson),
            // The extension's text that compares without case.
            _ if self.name == "citext" && self.form == "b" => is(ColumnKind::Text, Form::Text),
            _ => is(ColumnKind::Other, Form::Text),
        }
    }

    /// A timestamp without zone is no point in time, so its values are not what its kind says.
    pub(super) const fn has_zone_where_needed(&self) -> bool {
        self.oid != TIMESTAMP
    }

    /// Ready for a cast. A cast to `name` would cut a value at 63 bytes, and so make it equal to another; name = text does not.
    pub(super) fn cast_name(&self) -> String {
        let name = if self.oid == NAME { "text" } else { &self.name };
        format!("{}.{}", schema_name(&self.schema), quoted(name))
    }

    /// The schema of the operators that compare its values, quoted.
    pub(super) fn operator_schema(&self) -> String {
        self.operators.as_deref().map_or_else(|| "pg_catalog".to_owned(), schema_name)
    }
}

fn schema_name(schema: &str) -> String {
    if schema == "pg_catalog" { schema.to_owned() } else { quoted(schema) }
}

/// An identifier, so that it is nothing but a name.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
