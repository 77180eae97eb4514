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
    /// Read records.
    Read(Box<ReadRequest>),
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
