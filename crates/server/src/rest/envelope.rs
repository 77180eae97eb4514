//! How answers are written: DreamFactory's envelopes, with our additions.

use asuser_audit::{Opened, RecordsFace, SqlFace};
use asuser_core::{Problem, Totals};
use asuser_delegation::Delegation;
use asuser_gateway::Face;
use asuser_identity::Verified;
use asuser_query::{CatalogView, Listing, Plan, Read, Sql};
use serde_json::json;

use crate::{identity_words, schema_text};

/// What this face writes.
pub(super) fn face() -> Face {
    Face {
        records: RecordsFace { opening, closing },
        sql: SqlFace { opening: sql_opening, closing: sql_closing },
        listing,
        whoami,
        // Nothing here asks for these.
        services: |_| Vec::new(),
        tools: |_| Vec::new(),
        tables: |_| Vec::new(),
        frame: String::new(),
        wrap: |_, body| body,
    }
}

/// `{"resource":[…],"meta":{…}}`, or the bare record where the path named one.
fn opening(plan: &Plan<Read>) -> Vec<u8> {
    if plan.single_record() { Vec::new() } else { br#"{"resource":["#.to_vec() }
}

fn closing(plan: &Plan<Read>, totals: &Totals) -> Vec<u8> {
    if plan.single_record() {
        return Vec::new();
    }
    let next = totals.more.then(|| plan.spec().offset.saturating_add(totals.rows));
    let meta: Vec<String> = [("count", totals.count), ("next", next)]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| format!(r#""{name}":{value}"#)))
        .collect();
    if meta.is_empty() { b"]}".to_vec() } else { format!(r#"],"meta":{{{}}}}}"#, meta.join(",")).into_bytes() }
}

fn sql_opening(_plan: &Plan<Sql>) -> Vec<u8> {
    br#"{"resource":["#.to_vec()
}

/// `meta.truncated`: there is more than the limit. A statement has no next page.
fn sql_closing(_plan: &Plan<Sql>, totals: &Totals) -> Vec<u8> {
    if totals.more { br#"],"meta":{"truncated":true}}"#.to_vec() } else { b"]}".to_vec() }
}

/// The tables, or one table's shape, or the whole schema in few words.
fn listing(plan: &Plan<Listing>) -> Vec<u8> {
    match plan.listing() {
        CatalogView::Schema { resource } => {
            json_bytes(&json!({ "schema": schema_text::lines(resource), "table_count": resource.len() }))
        }
        view => json_bytes(view),
    }
}

fn whoami(verified: &Verified, delegation: &Delegation) -> Vec<u8> {
    json_bytes(&identity_words::identity(verified, delegation))
}

/// The error envelope. `code` is the HTTP status, as DreamFactory's clients expect; `reason` is the stable code.
pub(crate) fn problem_body(opened: &Opened, problem: &Problem) -> Vec<u8> {
    let status = problem.reason.status();
    json_bytes(&json!({
        "error": {
            "code": status,
            "status_code": status,
            "message": problem.message,
            "reason": problem.reason.code(),
            "context": problem.context,
            "request_id": opened.request_id,
            "audit_id": opened.audit_id.map(|id| id.to_string()),
        }
    }))
}

fn json_bytes(value: &impl serde::Serialize) -> Vec<u8> {
    // Serialising plain data into memory does not fail; an empty object is what a client can still read if it ever did.
    serde_json::to_vec(value).unwrap_or_else(|_| b"{}".to_vec())
}
