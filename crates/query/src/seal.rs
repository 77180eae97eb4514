//! The only makers of plans: a decision and a request in, a [`Plan`] out. The decision is consumed; it lives on in the plan.

use asuser_core::ReadRequest;
use asuser_policy::{Decision, ListingDecision};

use crate::dialect::shortened;
use crate::error::PlanError;
use crate::plan::{Listing, Plan, Read};
use crate::resolve::{ServiceLimits, resolve};
use crate::{fingerprint, listing};

/// Seals a read: the request over the table that was decided.
///
/// # Errors
/// When a name, value or key does not fit the table as this caller may see it.
pub fn seal_read(decision: Decision, request: &ReadRequest, limits: &ServiceLimits) -> Result<Plan<Read>, PlanError> {
    // INVARIANT: a decision on one table never carries a request for another.
    if decision.table().name.as_str() != request.table {
        return Err(PlanError::Inconsistent { detail: "the decision is about another table than the request" });
    }
    let spec = resolve(decision.table(), decision.access(), decision.row_filter(), request, limits)?;
    let fingerprint = fingerprint::read(&spec);
    Ok(Plan::read(decision, spec, request.key.is_some(), fingerprint))
}

/// Seals the list of the tables that the caller may reach; `as_list`: their names alone.
#[must_use]
pub fn seal_tables(decision: ListingDecision, as_list: bool) -> Plan<Listing> {
    let view = listing::tables(decision.tables().map(|(table, _)| &**table), as_list);
    Plan::listing_of(decision, view, fingerprint::listing(None))
}

/// Seals the shape of one table.
///
/// # Errors
/// When there is no such table that the caller may reach.
pub fn seal_description(decision: ListingDecision, table: &str) -> Result<Plan<Listing>, PlanError> {
    let found = decision.tables().find(|(known, _)| known.name.as_str() == table);
    let Some((known, access)) = found else {
        return Err(PlanError::NoSuchTable { service: decision.service().clone(), table: shortened(table) });
    };
    let (view, fingerprint) = (listing::description(known, access), fingerprint::listing(Some(table)));
    Ok(Plan::listing_of(decision, view, fingerprint))
}
