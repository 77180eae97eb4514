//! `/health`, `/ready` and `/metrics`: for machines that watch. Not audited, and they tell nothing of a person, table or value.

use asuser_audit::{Health, HealthState};
use asuser_core::{Clock as _, SystemClock};
use asuser_gateway::Gateway;
use serde_json::json;

use crate::counts::Counts;

/// A path that this module answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watch {
    Health,
    Ready,
    Metrics,
}

impl Watch {
    /// Exactly these paths, and no other spelling of them (HT-01).
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path {
            "/health" => Some(Self::Health),
            "/ready" => Some(Self::Ready),
            "/metrics" => Some(Self::Metrics),
            _ => None,
        }
    }
    /// Status, media type and body.
    pub(crate) fn answer(self, gateway: &Gateway, counts: &Counts) -> (u16, &'static str, String) {
        let audit = gateway.audit().health();
        match self {
            // Alive and able to answer: a log that cannot be written answers nobody.
            Self::Health => {
                let ok = audit.state == HealthState::Ready;
                let status = if ok { "ok" } else { "failed" };
                let body = json!({ "status": status, "audit": audit_word(&audit), "warnings": audit.warnings });
                (if ok { 200 } else { 503 }, "application/json", body.to_string())
            }
            Self::Ready => ready(gateway, &audit),
            Self::Metrics => (200, "text/plain; version=0.0.4", metrics(gateway, &audit, counts)),
        }
    }
}

fn ready(gateway: &Gateway, audit: &Health) -> (u16, &'static str, String) {
    let state = gateway.state();
    let services: serde_json::Map<_, _> = state
        .services
        .iter()
        .map(|(name, service)| (name.to_string(), json!(if service.catalog.is_some() { "ready" } else { "not ready" })))
        .collect();
    // One whose keys are missing does not make the others' people wait: it is told, and the answer stays.
    let providers: serde_json::Map<_, _> = state
        .identities
        .status(SystemClock.now_ms())
        .into_iter()
        .map(|status| (status.provider.to_string(), json!(if status.ready { "ready" } else { "keys not fetched" })))
        .collect();
    let any = state.services.values().any(|service| service.catalog.is_some());
    let ok = any && audit.state == HealthState::Ready;
    let body = json!({
        "status": if ok { "ready" } else { "not ready" },
        "audit": audit_word(audit),
        "services": services,
        "providers": providers,
    });
    (if ok { 200 } else { 503 }, "application/json", body.to_string())
}

/// For whoever watches from outside: what to do, not which file or error. The log has that.
const fn audit_word(audit: &Health) -> &'static str {
    match audit.state {
        HealthState::Ready => "ok",
        HealthState::Reserve => "disk reserve reached: free space on the audit disk",
        HealthState::Checkpoints(_) => "checkpoints do not leave the host: look at audit.checkpoint_to",
        HealthState::Failed(_) => "cannot be written: nothing is answered until it is repaired and asuser restarted",
    }
}

fn metrics(gateway: &Gateway, audit: &Health, connections: &Counts) -> String {
    use std::fmt::Write as _;

    let counts = gateway.metrics().read();
    let log = gateway.audit().metrics();
    let mut text = String::new();
    // Writing to a String does not fail.
    let mut family = |name: &str, help: &str, kind: &str, samples: &[(String, u64)]| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    };
    let refused: Vec<_> =
        counts.refused.iter().map(|(reason, count)| (format!(r#"{{reason="{}"}}"#, reason.code()), *count)).collect();
    let plain = |value: u64| [(String::new(), value)];
    family("asuser_answers_total", "Answers that hold data.", "counter", &plain(counts.released));
    family("asuser_refusals_total", "Refusals and failures by reason.", "counter", &refused);
    for (name, help, counter) in [
        ("asuser_http_malformed_total", "What was no HTTP request: it has no audit record.", &connections.malformed),
        ("asuser_connections_stalled_total", "Connections whose answer was not read.", &connections.stalled),
        ("asuser_connections_refused_total", "Connections beyond an address's share.", &connections.crowded),
    ] {
        family(name, help, "counter", &plain(Counts::read(counter)));
    }
    family("asuser_audit_leaves", "Leaves in the audit log.", "gauge", &plain(log.size));
    family(
        "asuser_audit_syncs_total",
        "fdatasync calls of the audit log since the start.",
        "counter",
        &plain(log.commits),
    );
    family("asuser_audit_bytes_total", "Bytes written to the audit log since the start.", "counter", &plain(log.bytes));
    let up = u64::from(audit.state == HealthState::Ready);
    family("asuser_audit_ready", "1 while the audit log can be written.", "gauge", &plain(up));
    let state = gateway.state();
    let services: Vec<_> = state
        .services
        .iter()
        .map(|(name, service)| (format!(r#"{{service="{name}"}}"#), u64::from(service.catalog.is_some())))
        .collect();
    family("asuser_service_ready", "1 while the service can be asked.", "gauge", &services);
    text
}
