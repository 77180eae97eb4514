//! What was asked, as a tree, whichever face it came through (REST, MCP, console).

use crate::{ColumnName, Condition, Literal};

/// A parsed request to a service. Names are as the caller wrote them: nothing here is known to exist.
#[derive(Debug, Clone, PartialEq)]
pub enum RequestTree {
    /// Which tables may I reach?
    ListTables {
        /// Names alone.
        as_list: bool,
    },
    /// What does this table look like to me?
    DescribeTable {
        /// The table.
        table: String,
    },
    /// What do these tables look like to me? No name: all that I may reach.
    Schema {
        /// The tables.
        tables: Vec<String>,
    },
    /// Read records.
    Read(Box<ReadRequest>),
    /// Compute over the records of a table.
    Aggregate(Box<AggregateRequest>),
    /// Run SQL that the caller wrote.
    Sql(Box<SqlRequest>),
}

impl RequestTree {
    /// The tables that it names, as the caller wrote them. What SQL names only the guard can tell.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        let (one, more): (Option<&str>, &[String]) = match self {
            Self::DescribeTable { table } => (Some(table), &[]),
            Self::Read(read) => (Some(&read.table), &[]),
            Self::Aggregate(asked) => (Some(&asked.table), &[]),
            Self::Schema { tables } => (None, tables),
            Self::ListTables { .. } | Self::Sql(_) => (None, &[]),
        };
        one.into_iter().chain(more.iter().map(String::as_str))
    }
}

/// Values over the records of one table, or over groups of them.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateRequest {
    /// The table.
    pub table: String,
    /// One record for each combination of these columns' values; none: one record.
    pub group: Vec<ColumnName>,
    /// What is computed. With `group` it may be empty: the combinations alone.
    pub aggregates: Vec<Aggregate>,
    /// Over which records.
    pub condition: Option<Condition<ColumnName>>,
    /// The order, by columns of `group` and names of `aggregates`.
    pub order: Vec<Order>,
    /// At most this many records; clamped to the service's `max_records`.
    pub limit: Option<u64>,
}

/// SQL that a caller submits.
#[derive(Clone, PartialEq, Eq)]
pub struct SqlRequest {
    /// One statement, as the caller wrote it.
    pub text: String,
    /// At most this many records; clamped to the service's `max_records`.
    pub limit: Option<u64>,
}

impl std::fmt::Debug for SqlRequest {
    /// Without the text, which holds the caller's values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlRequest").field("bytes", &self.text.len()).field("limit", &self.limit).finish()
    }
}

/// A read of one table.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadRequest {
    /// The table.
    pub table: String,
    /// The record that the path names (`…/{id}`): exactly one must be found, and it comes unwrapped.
    pub key: Option<RecordKey>,
    /// The records that `ids` names, at most 1,000.
    pub ids: Vec<RecordKey>,
    /// The column that `ids` and the path mean instead of the primary key (`id_field`).
    pub id_field: Option<ColumnName>,
    /// Which columns to answer.
    pub fields: Fields,
    /// The caller's filter.
    pub condition: Option<Condition<ColumnName>>,
    /// The order; ties are broken by the primary key.
    pub order: Vec<Order>,
    /// At most this many records; clamped to the service's `max_records`.
    pub limit: Option<u64>,
    /// Skip this many records.
    pub offset: u64,
    /// Count all records that this caller can see and the filter matches.
    pub include_count: bool,
    /// Answer the keys alone.
    pub as_list: bool,
}

/// One value over many records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregate {
    /// How it is computed.
    pub function: AggregateFunction,
    /// Over which column; `None`: the records themselves are counted.
    pub column: Option<ColumnName>,
    /// Its key in the answer.
    pub name: String,
}

/// How one value is made of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AggregateFunction {
    /// How many records, or how many values that are not NULL.
    Count,
    /// How many different values that are not NULL.
    CountDistinct,
    /// The sum of numbers.
    Sum,
    /// The mean of numbers.
    Avg,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

/// One record's key: a value, or one for each column of a composite key, in key order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecordKey(pub Vec<Literal>);

/// Which columns to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fields {
    /// All that the caller may read.
    All,
    /// These, in this order.
    Named(Vec<ColumnName>),
}

/// One term of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The column.
    pub column: ColumnName,
    /// Largest first.
    pub descending: bool,
    /// NULLs before (`Some(true)`) or after the rest; `None` leaves it to the database.
    pub nulls_first: Option<bool>,
}

/// What a parameter of a tool takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArgumentKind {
    /// Text.
    Text,
    /// A whole number that fits 64 bits.
    Integer,
    /// A decimal number.
    Number,
    /// True or false.
    Boolean,
    /// A calendar day, `2026-01-31`.
    Date,
    /// A point in time, RFC 3339.
    Timestamp,
    /// A UUID (RFC 9562).
    Uuid,
}

/// A value for a parameter of a tool, checked against its kind.
#[derive(Clone, PartialEq, Eq)]
pub struct ToolArgument {
    /// What it is.
    pub kind: ArgumentKind,
    /// Its text; `None`: NULL.
    pub value: Option<String>,
}

impl std::fmt::Debug for ToolArgument {
    /// Without the value.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToolArgument").field("kind", &self.kind).finish_non_exhaustive()
    }
}
