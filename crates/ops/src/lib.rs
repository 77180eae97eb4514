//! The operator's tools: `doctor` (what bypasses the person's identity, and the SQL that ends it), `provision` (roles, membership and
//! grants from a mapping of groups) and `install` (the signed `asuser.claims()`).
//!
//! In: an [`Operator`], who is no principal: the credential comes from the command line or the environment, never from a token. Out: reports,
//! plans and scripts. Refuses to read rows: catalogues and counts only. The gateway and the server do not know this crate.

pub mod doctor;
mod error;
mod install;
mod operator;
mod provision;
mod quote;

pub use crate::error::OpsError;
pub use crate::install::{INSTALL_SQL, Installed, Uninstalled, install, key_ids, uninstall};
pub use crate::operator::Operator;
pub use crate::provision::{GroupPlan, PersonPlan, Plan, ProvisionPlan, Statement, apply, plan};
pub use crate::quote::{identifier, literal};

#[cfg(test)]
mod tests;
