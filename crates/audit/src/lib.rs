//! From a request to its record: [`Entry`] → [`Intent`] → [`Unreleased`] → [`Answer`] (law 7).
//!
//! An entry is begun before anything is looked at, so that refusals have a record too. A plan becomes an intent only through
//! an entry; a connector turns an intent into an unreleased result, which nobody can read; [`Entry::finish`] makes the record
//! durable and only then gives the [`Answer`]; a long one is released piece by piece ([`ReleasedStream`]). An entry that is dropped unfinished (the caller went away) records that.

mod answer;
mod entry;
mod intent;
mod receipt;
mod record;
mod stream;

pub use answer::{Answer, Opened, Released};
pub use asuser_audit_log::{Health, HealthState, LogError, Metrics};
pub use entry::{Audit, Entry, Outcome, RequestFacts, VersionDigests};
pub use intent::{Body, Intent, ReadResult, RecordsFace, SqlFace, SqlResult, Unreleased};
pub use receipt::ReceiptFor;
pub use stream::{ReleasedStream, Rest};
