//! How answers are written: DreamFactory's envelopes, with our additions.

use asuser_audit::{Opened, RecordsFace};
use asuser_core::{Actor, Problem, Totals};
use asuser_delegation::Delegation;
use asuser_identity::Verified;
use asuser_query::{Listing, Plan, Read};
use serde_json::json;

/// `{"resource":[…],"meta":{…}}`, or the bare record where the path named one.
pub(super) const RECORDS: RecordsFace = RecordsFace { opening, closing };

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

/// The tables, or one table's shape.
pub(super) fn listing(plan: &Plan<Listing>) -> Vec<u8> {
    json_bytes(plan.listing())
}

/// What asuser makes of the caller's credential.
pub(super) fn whoami(verified: &Verified, delegation: &Delegation) -> Vec<u8> {
    let data = verified.data();
    let actors: Vec<_> = delegation.actors().iter().map(actor).collect();
    json_bytes(&json!({
        "principal": {
            "issuer": data.key.issuer,
            "subject": data.key.subject,
            "provider": data.provider,
            "login": data.login,
            "email": data.email,
            "name": data.name,
            "groups": data.groups,
            "attributes": data.attributes,
        },
        "scope": data.scope,
        "actors": actors,
        "limits": delegation.describe().into_iter().map(|(whose, may)| json!({ "of": whose, "may": may })).collect::<Vec<_>>(),
        "expires_ms": data.not_after_ms,
    }))
}

fn actor(actor: &Actor) -> serde_json::Value {
    json!({ "id": actor.id, "assurance": actor.assurance, "chain": actor.chain })
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
