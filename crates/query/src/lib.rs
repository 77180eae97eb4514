//! A request and a decision become a sealed [`Plan`]: every name resolved, every value bound, nothing that policy denies.
//!
//! In: the parameters of a request ([`dialect`]) and what policy decided. Out: a plan, the only thing that a connector runs.
//! No connector and no face is known here, and no IO happens.

pub mod dialect;
mod error;
mod fingerprint;
mod fit;
mod listing;
mod plan;
mod resolve;
mod seal;
mod sql;
#[cfg(test)]
mod tests;

pub use error::{Place, PlanError};
pub use listing::{CatalogView, FieldDescription, TableDescription, TableEntry};
pub use plan::{Listing, Plan, Read, Sql};
pub use resolve::ServiceLimits;
pub use seal::{seal_description, seal_read, seal_schema, seal_tables};
pub use sql::{
    AllowedFunctions, ParameterName, Resolved, SqlError, SqlOrigin, SqlPlace, SqlRelation, SqlSpec, Statement,
    parse_sql, print, seal_aggregate, seal_sql, seal_tool,
};
