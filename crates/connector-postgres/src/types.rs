//! What the connector knows of a table beyond the catalogue that everyone sees: places, types, and how values travel.

use std::sync::Arc;

use asuser_core::Table;

/// A table, view, materialized view, partitioned or foreign table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PgTable {
    /// As the catalogue shows it; `columns` below has the same order and length.
    pub(crate) table: Arc<Table>,
    /// `pg_class.oid`
    pub(crate) oid: u32,
    /// Its schema.
    pub(crate) schema: String,
    /// Its name within the schema.
    pub(crate) relation: String,
    /// In the order of `table.columns`.
    pub(crate) columns: Vec<PgColumn>,
    /// Functions outside of pg_catalog that a read of it may run (views' rules, row security, through views too), as
    /// `schema.name(arguments)`; those with a body that is a text among them. Sorted.
    pub(crate) functions: Vec<String>,
    /// Its columns may be expressions, which can fail on a row: a view, or a table with virtual columns.
    pub(crate) computed: bool,
    /// A read of it runs what may outlive the transaction: somebody's own function, or one that sets or locks for the session.
    pub(crate) leaves_state: bool,
    /// Row security is on and every policy for reading calls `asuser.claims()`.
    pub(crate) signed: bool,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PgColumn {
    /// `pg_attribute.attnum`
    pub(crate) number: i16,
    /// `pg_attribute.atttypid`
    pub(crate) type_oid: u32,
    /// The type's own name, quoted and with its schema, ready for a cast: `pg_catalog."int8"`, `"public"."mood"`.
    pub(crate) type_name: String,
    /// The base type behind domains: its oid decides how a value travels.
    pub(crate) base_oid: u32,
    /// How it travels.
    pub(crate) form: Form,
    /// The schema of the operators that compare values of this type, quoted: `pg_catalog`, or where an extension lives (citext).
    pub(crate) operators: String,
    /// Its values, and the parts of them, have an order: they can be sorted and compared without an error of the server.
    pub(crate) ordered: bool,
    /// Its collation is not deterministic (ICU), so that equal texts may differ.
    pub(crate) nondeterministic: bool,
}

/// How a column's values travel and what they become in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// int2, int4, oid: the text is a JSON number.
    Integer,
    /// int8: a JSON number, or a text where the service says so.
    Bigint,
    /// numeric: a JSON number with all its digits (or a text); `NaN` and infinities are texts.
    Numeric,
    /// float4 in binary form.
    Float4,
    /// float8 in binary form.
    Float8,
    /// bool in text form.
    Boolean,
    /// timestamptz in binary form: ISO 8601 in UTC, `2026-01-31T12:00:00.25Z`.
    Timestamptz,
    /// timestamp in binary form: `2026-01-31T12:00:00.25`.
    Timestamp,
    /// date in binary form: `2026-01-31`.
    Date,
    /// bytea in binary form: base64 (RFC 4648 §4).
    Bytes,
    /// json and jsonb: the text is JSON already.
    Json,
    /// Arrays, composites and what else has parts: the statement asks for `to_json(…)`, whose text is JSON.
    ToJson,
    /// Everything else: its text.
    Text,
}
