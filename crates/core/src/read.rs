//! What a connector is told to read, and what it brings back.

use std::sync::Arc;

use crate::{ColumnIx, Condition, Filter, MaskKind, Table};

/// An authorised read of one table, every name resolved and every value bound. Plain data: only `query::Plan` says that it was authorised.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReadSpec {
    /// The table.
    pub table: TableRef,
    /// How each of the table's columns reads, wherever it is used: in the answer, the condition or the order. One for each column.
    pub access: Vec<ColumnAccess>,
    /// What the answer holds, in this order. Never empty.
    pub output: Vec<OutputColumn>,
    /// The rows that exist for this caller, over base columns.
    pub row_filter: Filter,
    /// What the caller asked for, over columns as `access` shows them.
    pub condition: Option<Condition<ColumnIx>>,
    /// The order, over columns as `access` shows them; it ends with the primary key, where every key column is clear.
    pub order: Vec<OrderTerm>,
    /// How many of the order's terms the caller asked for; those after them are the key's.
    pub order_asked: usize,
    /// The key does not tell all records apart: the connector ends the order with every output column as it is shown, told
    /// apart exactly. So neither order nor page depends on anything else, such as a column that the caller must not see.
    pub order_by_shown: bool,
    /// At most this many records (at least 1). The connector looks one further, to know whether more exist.
    pub limit: u64,
    /// Skip this many.
    pub offset: u64,
    /// Count all records that the row filter and the condition let through.
    pub count: bool,
    /// Give the bare values of the first output column instead of records (several: a text `(a,b)`).
    pub as_list: bool,
    /// At most this many bytes of JSON in all; beyond it the read fails with [`crate::Reason::AnswerTooLarge`].
    pub bytes_max: usize,
    /// At most this long in the database, the time included in which the records of a long answer wait to be taken.
    pub time_ms_max: u64,
}

/// A table of a catalogue; equal where it is the same table of the same catalogue version.
#[derive(Debug, Clone)]
pub struct TableRef(pub Arc<Table>);

impl PartialEq for TableRef {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}
impl Eq for TableRef {}
impl std::hash::Hash for TableRef {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}
impl std::ops::Deref for TableRef {
    type Target = Table;
    fn deref(&self) -> &Table {
        &self.0
    }
}

/// How a column reads for this caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ColumnAccess {
    /// Not at all. It is in no output, condition or order.
    Denied,
    /// As it is.
    Clear,
    /// Masked, except in rows that `unmask` matches.
    Masked {
        /// How.
        kind: MaskKind,
        /// Over base columns; [`Filter::False`]: always masked.
        unmask: Filter,
    },
}

/// A column of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OutputColumn {
    /// Its key in the JSON object.
    pub name: String,
    /// The column.
    pub column: ColumnIx,
}

/// A term of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OrderTerm {
    /// The column.
    pub column: ColumnIx,
    /// Largest first.
    pub descending: bool,
    /// NULLs first or last; `None` leaves it to the database.
    pub nulls_first: Option<bool>,
}

/// The most bytes of JSON that a connector gives at once. An answer within it comes whole, a longer one in segments.
pub const SEGMENT_BYTES_MAX: usize = 256 * 1024;

/// Records as JSON, ready to stand between the brackets of an array: all of them, or how a longer answer begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Records {
    /// `{…},{…}`: UTF-8 JSON values, comma between, no brackets.
    pub json: Vec<u8>,
    /// How many end in it.
    pub rows: u64,
    /// More exist beyond the limit. Known at the end of a longer answer only.
    pub more: bool,
    /// All records that this caller can see and the condition matches, if asked for.
    pub count: Option<u64>,
}

/// What follows in a longer answer. It continues where the segment before ended, inside of a record too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// UTF-8 JSON, cut at any byte: at most [`SEGMENT_BYTES_MAX`].
    pub json: Vec<u8>,
    /// How many records end in it.
    pub rows: u64,
    /// The last one says whether more records exist beyond the limit.
    pub end: Option<End>,
}

/// The end of a longer answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// More records exist beyond the limit.
    pub more: bool,
}

/// What an envelope says of the records in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// How many.
    pub rows: u64,
    /// More exist beyond the limit.
    pub more: bool,
    /// All records that this caller can see and the condition matches, if asked for.
    pub count: Option<u64>,
}

/// What the database itself says about who ran the statement; kept in the audit record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseIdentity {
    /// The run-as mode that was in force: `filter`, `role`, `certificate`, …
    pub mode: &'static str,
    /// The user as the database names it (`session_user/current_user`); `None` where the database has no users.
    pub user: Option<String>,
}
