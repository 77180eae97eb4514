//! The suite that every connector passes.
//!
//! In: a [`Fixture`], which makes databases of one kind. Each check asks them through the real pipeline: a signed token, verified;
//! a delegation; a decision by policy texts over the catalogue that the connector read; a sealed plan; an entry of a real audit
//! log. What comes back is compared with what was put in. A connector's tests call [`conformance_tests!`] once, so that no check is
//! forgotten.
//!
//! A crate of its own, since it needs the whole pipeline: the tests of `identity` or `policy` link none of it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a check that does not hold, or cannot be set up, fails the test that runs it"
)]

mod bleed;
mod limits;
mod masks;
mod people;
mod rig;
mod rows;
mod schema;
mod sql;
mod values;

use std::sync::Arc;

use asuser_connector::Connector;
use asuser_core::ColumnKind;

pub use bleed::no_answer_is_anothers;
pub use limits::{
    a_busy_pool_says_so_and_recovers, a_dropped_read_frees_its_connection, a_long_answer_is_what_its_pages_are,
    a_slow_read_ends_in_time, an_answer_beyond_its_limit_is_refused,
};
pub use masks::{masks_hold_in_output_filter_order_and_keys, unmasked_rows_are_clear_in_all_of_them};
pub use rig::{Answered, Failure, Person, Rig, Service, parameters, run};
pub use rows::{
    a_denied_column_is_nowhere, each_person_gets_their_rows_alone, pages_orders_counts_and_keys_are_of_what_is_seen,
    the_record_says_who_ran_it,
};
pub use schema::{a_changed_table_gives_no_wrong_rows, an_unrelated_change_does_not_matter};
pub use sql::{a_statement_that_runs_too_long_ends, submitted_sql_sees_what_the_person_sees};
pub use values::{conditions_find_the_exact_value, values_come_back_as_they_were};

/// A kind of database.
pub trait Fixture: Send + Sync {
    /// The run-as mode that the audit must name.
    fn mode(&self) -> &'static str;
    /// Who the database says has asked, for this login; `None` where it has no users.
    fn user(&self, login: &str) -> Option<String>;
    /// A fresh database that holds these tables and nothing else.
    fn database(&self, tables: &[TableSpec], pool: PoolSize) -> Box<dyn Database>;
    /// Whether a text may hold U+0000.
    fn text_holds_nul(&self) -> bool {
        true
    }
    /// How long the check of identity bleed goes on.
    fn bleed_s(&self) -> u64 {
        10
    }
    /// Why nothing can be checked on this machine.
    fn absent(&self) -> Option<String> {
        None
    }
}

/// One database.
pub trait Database: Send + Sync {
    /// The connector under test. Of the service `db`.
    fn connector(&self) -> Arc<dyn Connector>;
    /// Runs plain SQL as the database's owner: `ALTER TABLE … RENAME COLUMN`, `DROP TABLE`, `CREATE VIEW` and the like.
    fn execute(&self, sql: &str);
    /// Adds a table.
    fn create(&self, table: &TableSpec);
    /// Ends some of the connector's connections from the server's side; `false` where there is no server.
    fn kill_connections(&self) -> bool {
        false
    }
}

/// How many connections the connector has.
#[derive(Debug, Clone, Copy)]
pub struct PoolSize {
    /// At most this many.
    pub connections: usize,
    /// At most this many reads wait for one.
    pub waiting_max: usize,
}

impl PoolSize {
    /// Enough for a test that is not about the pool.
    pub const USUAL: Self = Self { connections: 2, waiting_max: 64 };
}

/// A table: its first column is the primary key.
#[derive(Debug, Clone)]
pub struct TableSpec {
    /// A plain lower-case name.
    pub name: &'static str,
    /// Typed as strictly as the database can.
    pub columns: Vec<ColumnSpec>,
    /// A cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

/// A column. Text compares by code point.
#[derive(Debug, Clone, Copy)]
pub struct ColumnSpec {
    /// A plain lower-case name.
    pub name: &'static str,
    /// Text, Integer (64 bits), Float (double) or Binary.
    pub kind: ColumnKind,
    /// May be NULL.
    pub nullable: bool,
}

/// A value to put in.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// A whole number.
    Integer(i64),
    /// A finite double.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}
impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Runs a check where its fixture can be had; says so where not.
#[expect(clippy::print_stdout, reason = "a test that looks at nothing must not look like one that passed")]
pub fn check(fixture: &dyn Fixture, check: fn(&dyn Fixture)) {
    match fixture.absent() {
        Some(why) => println!("skipped: {why}"),
        None => check(fixture),
    }
}

/// Every check as a test of its own. The argument is an expression that makes a [`Fixture`].
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:expr) => {
        $crate::conformance_tests! { @each $fixture;
            each_person_gets_their_rows_alone
            a_denied_column_is_nowhere
            pages_orders_counts_and_keys_are_of_what_is_seen
            the_record_says_who_ran_it
            masks_hold_in_output_filter_order_and_keys
            unmasked_rows_are_clear_in_all_of_them
            values_come_back_as_they_were
            conditions_find_the_exact_value
            an_answer_beyond_its_limit_is_refused
            a_long_answer_is_what_its_pages_are
            a_slow_read_ends_in_time
            a_busy_pool_says_so_and_recovers
            a_dropped_read_frees_its_connection
            a_changed_table_gives_no_wrong_rows
            an_unrelated_change_does_not_matter
            submitted_sql_sees_what_the_person_sees
            a_statement_that_runs_too_long_ends
            no_answer_is_anothers
        }
    };
    (@each $fixture:expr; $($check:ident)*) => {$(
        #[test]
        fn $check() {
            $crate::check(&$fixture, |fixture| $crate::$check(fixture));
        }
    )*};
}
