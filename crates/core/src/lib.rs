//! The words of asuser, and no IO.
//!
//! Everything here is plain data that any crate may make: a [`PrincipalData`] proves nothing. The values that do
//! prove something (`Verified`, `Decision`, `Plan`, `Intent`, `Answer`) live in the crate that mints them.

mod catalog;
mod clock;
mod condition;
mod filter;
mod ids;
pub mod json;
mod mask;
mod principal;
mod problem;
pub mod random;
mod reach;
mod read;
mod request;
mod secret;
mod value;

pub use catalog::{Catalog, Column, ColumnIx, ColumnKind, DatabaseKind, Table, TableKind, Underlying};
pub use clock::{Clock, FixedClock, SystemClock};
pub use condition::{CompareOp, Condition, Test, TestKind};
pub use filter::{Filter, FilterOp, FilterTest, LikePattern, Operand, PatternPart};
pub use ids::{
    ActorId, AuditId, ColumnName, Digest, GroupName, Issuer, Login, ParseIdError, ProviderName, RequestId, ServiceName,
    Subject, TableName,
};
pub use mask::MaskKind;
pub use principal::{Actor, Assurance, AttributeValue, PrincipalData, PrincipalKey};
pub use problem::{Problem, Reason};
pub use reach::{Reach, ReachedColumns};
pub use read::{
    ColumnAccess, DatabaseIdentity, End, OrderTerm, OutputColumn, ReadSpec, Records, SEGMENT_BYTES_MAX, Segment,
    TableRef, Totals,
};
pub use request::{
    Aggregate, AggregateFunction, AggregateRequest, ArgumentKind, Fields, Order, ReadRequest, RecordKey, RequestTree,
    SqlRequest, ToolArgument,
};
pub use secret::Secret;
pub use value::{Literal, Value};
