//! The only makers of plans: a decision, a request and the database's own word in, a [`Plan`] out. The decision is consumed; it
//! lives on in the plan. What the database lets the person read narrows what policy opens, and never widens it.

use std::borrow::Cow;

use asuser_core::{ColumnAccess, ColumnIx, Reach, ReachedColumns, ReadRequest, Table};
use asuser_policy::{Decision, ListingDecision};

use crate::dialect::shortened;
use crate::error::PlanError;
use crate::listing::CatalogView;
use crate::plan::{Listing, Plan, Read};
use crate::resolve::{ServiceLimits, resolve};
use crate::{fingerprint, listing};

/// Tables that one request may name.
const SCHEMA_TABLES_MAX: usize = 200;

/// Seals a read: the request over the table that was decided.
///
/// # Errors
/// When a name, value or key does not fit the table as this caller may see it.
pub fn seal_read(
    decision: Decision,
    request: &ReadRequest,
    limits: &ServiceLimits,
    reach: &Reach,
) -> Result<Plan<Read>, PlanError> {
    // INVARIANT: a decision on one table never carries a request for another.
    if decision.table().name.as_str() != request.table {
        return Err(PlanError::Inconsistent { detail: "the decision is about another table than the request" });
    }
    let table = decision.table();
    let unknown = || PlanError::NoSuchTable { service: decision.service().clone(), table: shortened(&request.table) };
    let access = narrowed(table, decision.access(), reach).ok_or_else(unknown)?;
    let spec = resolve(table, &access, decision.row_filter(), request, limits)?;
    let fingerprint = fingerprint::read(&spec);
    Ok(Plan::read(decision, spec, request.key.is_some(), fingerprint))
}

/// Seals the list of the tables that the caller may reach; `as_list`: their names alone.
#[must_use]
pub fn seal_tables(decision: ListingDecision, as_list: bool, reach: &Reach) -> Plan<Listing> {
    let reached = decision.tables().filter(|(table, access)| narrowed(table, access, reach).is_some());
    let view = listing::tables(reached.map(|(table, _)| &**table), as_list);
    Plan::listing_of(decision, view, fingerprint::listing(None))
}

/// Seals the shape of one table.
///
/// # Errors
/// When there is no such table that the caller may reach.
pub fn seal_description(decision: ListingDecision, table: &str, reach: &Reach) -> Result<Plan<Listing>, PlanError> {
    let found = decision.tables().find(|(known, _)| known.name.as_str() == table);
    let found = found.and_then(|(known, access)| Some((known, narrowed(known, access, reach)?)));
    let Some((known, access)) = found else {
        return Err(PlanError::NoSuchTable { service: decision.service().clone(), table: shortened(table) });
    };
    let (view, fingerprint) = (listing::description(known, &access), fingerprint::listing(Some(table)));
    Ok(Plan::listing_of(decision, view, fingerprint))
}

/// Seals the shapes of these tables, or of all that the caller may reach.
///
/// # Errors
/// When one of them is no table that the caller may reach.
pub fn seal_schema(decision: ListingDecision, tables: &[String], reach: &Reach) -> Result<Plan<Listing>, PlanError> {
    let unknown = |table: &str| PlanError::NoSuchTable { service: decision.service().clone(), table: shortened(table) };
    let mut shapes = Vec::new();
    if tables.len() > SCHEMA_TABLES_MAX {
        return Err(PlanError::TooComplex { limit: "200 tables named" });
    }
    if tables.is_empty() {
        let seen = decision.tables().filter_map(|(table, access)| Some((table, narrowed(table, access, reach)?)));
        shapes.extend(seen.map(|(table, access)| listing::shape(table, &access)));
    }
    for name in tables {
        let found = decision.tables().find(|(known, _)| known.name.as_str() == name);
        let found = found.and_then(|(known, access)| Some((known, narrowed(known, access, reach)?)));
        let (known, access) = found.ok_or_else(|| unknown(name))?;
        shapes.push(listing::shape(known, &access));
    }
    Ok(Plan::listing_of(decision, CatalogView::Schema { resource: shapes }, fingerprint::listing(None)))
}

/// How the columns read where the database has a say: those that it does not open are denied. `None`: nothing of the table is open.
pub(crate) fn narrowed<'a>(
    table: &Table,
    access: &'a [ColumnAccess],
    reach: &Reach,
) -> Option<Cow<'a, [ColumnAccess]>> {
    let columns = reach.columns(&table.name)?;
    if *columns == ReachedColumns::All {
        return Some(Cow::Borrowed(access));
    }
    let narrowed: Vec<ColumnAccess> = (0..=u16::MAX)
        .map(ColumnIx)
        .zip(access)
        .map(|(ix, how)| if columns.contains(ix) { how.clone() } else { ColumnAccess::Denied })
        .collect();
    narrowed.iter().any(|how| *how != ColumnAccess::Denied).then_some(Cow::Owned(narrowed))
}
