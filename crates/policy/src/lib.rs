//! The pure decision point, on Cedar: verified human, delegation and catalogue in, sealed [`Decision`] out. No IO.
//!
//! [`Policies::load`] checks policy texts against the catalogues and refuses, with file and line, whatever cannot be decided
//! exactly: unknown names, missing `has`, columns that compare differently in Cedar and in the database, conditions that
//! cannot become a row filter. [`Policies::decide_read`] evaluates what is left with the row unknown and gives the rows as a
//! [`asuser_core::Filter`], and each column as denied, masked or clear. What cannot be decided is denied (law 4).
//!
//! Who wins when several policies meet:
//! - rows, `default = "deny"`: some permit is true, and every forbid is false; a forbid that errs denies;
//! - rows, `default = "database"`: every forbid is false; a permit does not load;
//! - columns are readable unless a forbid on `read` applies to their `Column` entity;
//! - a masked column is clear where some permit on `unmask` is true (not asked with `default = "database"`) and every forbid
//!   on it is false;
//! - with two agents that disagree, what both may;
//! - a table of which no row or no column can be open reads like one that does not exist, and a service without a reachable
//!   table is denied.
//!
//! What a policy may name:
//! ```text
//! principal  User::"<issuer>|<subject>" (`%` and `|` of the issuer as %25 and %7C), in Group::"<name>";
//!            login, email, name and the configured attributes, all optional
//! action     Action::"read", Action::"unmask"
//! resource   rows: `resource is db::orders`, with its columns as attributes, nullable ones optional; one table, one type
//!            columns (`read` only): Column::"db.orders.amount" in Table::"db.orders", with name, table and service
//! context    actor (optional), actor_assurance ("none", "credential", "token"), now (whole seconds); for `unmask` also column
//! ```
//! A service or table whose name is no Cedar identifier, or a word that Cedar or this schema uses (`in`, `String`, `User`), is
//! spelt `quoted_` and the name, each character but an ASCII letter or digit as `_`, its code point in hexadecimal, `_`:
//! `order items` is `quoted_order_20_items`. Columns keep their names: `resource["unit price"]`.

mod check;
mod compare;
mod decide;
mod error;
mod evaluate;
mod literal;
mod load;
mod masks;
mod names;
mod residual;
mod rules;
mod schema;
mod sources;
#[cfg(test)]
mod tests;
mod text;

pub use decide::{Decision, ListingDecision};
pub use error::{LoadError, PolicyError};
pub use load::Policies;
pub use rules::ServiceDefault;
pub use schema::{AttributeSchema, AttributeType};
pub use sources::{PolicyFile, PolicyFolder, PolicySources, ServiceSource};
