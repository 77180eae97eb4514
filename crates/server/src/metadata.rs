//! What a client has to know before it can ask: protected resource metadata (RFC 9728), and the challenges that lead to it.
//!
//! In: a path, or the problem that ended a request. Out: a document, or a `WWW-Authenticate` header. Not audited: nothing of a person,
//! table or value is in it. Names of services are, since they are part of the scopes that a client asks for.

use asuser_core::{Problem, Reason, ServiceName};
use serde_json::json;

use crate::public_url::PublicUrl;

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
/// RFC 9728 §3.1: the path of the resource follows the well-known one.
const WELL_KNOWN_MCP: &str = "/.well-known/oauth-protected-resource/mcp";

/// Which protected resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    /// All of it, REST first of all.
    Root,
    /// `/mcp`
    Mcp,
}

impl Resource {
    /// The resource whose document has exactly this path.
    pub(crate) fn described_at(path: &str) -> Option<Self> {
        match path {
            WELL_KNOWN => Some(Self::Root),
            WELL_KNOWN_MCP => Some(Self::Mcp),
            _ => None,
        }
    }
}

/// What clients are told.
#[derive(Debug, Clone)]
pub(crate) struct Metadata {
    pub(crate) public: PublicUrl,
    /// `None`: reading each of the services.
    pub(crate) scopes: Option<Vec<String>>,
}

impl Metadata {
    /// RFC 9728 §2
    pub(crate) fn document(&self, resource: Resource, issuers: &[String], services: &[ServiceName]) -> String {
        let public = self.public.as_str();
        let scopes = self.scopes(services);
        let mut document = json!({
            "resource": match resource {
                Resource::Root => public.to_owned(),
                Resource::Mcp => format!("{public}{}", crate::mcp::PATH),
            },
            "authorization_servers": issuers.iter().filter(|issuer| issuer.starts_with("https://") || issuer.starts_with("http://")).collect::<Vec<_>>(),
            "bearer_methods_supported": ["header"],
            "resource_name": "asuser",
        });
        if let Some(object) = document.as_object_mut().filter(|_| !scopes.is_empty()) {
            object.insert("scopes_supported".to_owned(), json!(scopes));
        }
        document.to_string()
    }

    /// `WWW-Authenticate` (RFC 6750 §3, RFC 9728 §5.1). `needed`: every scope that the request needs, where that is known.
    pub(crate) fn challenge(
        &self,
        resource: Resource,
        problem: &Problem,
        needed: &[String],
        services: &[ServiceName],
    ) -> Option<String> {
        let (error, scopes) = match problem.reason {
            // RFC 6750 §3.1: no error code where no credential was sent.
            Reason::NoCredential => (None, self.first_scopes(needed, services)),
            Reason::InsufficientScope => (Some("insufficient_scope"), missing(problem, needed)),
            reason if reason.status() == 401 => (Some("invalid_token"), self.first_scopes(needed, services)),
            _ => return None,
        };
        let path = match resource {
            Resource::Root => WELL_KNOWN,
            Resource::Mcp => WELL_KNOWN_MCP,
        };
        let mut challenge = r#"Bearer realm="asuser""#.to_owned();
        if let Some(error) = error {
            challenge.push_str(&format!(r#", error="{error}""#));
        }
        if !scopes.is_empty() {
            challenge.push_str(&format!(r#", scope="{}""#, scopes.join(" ")));
        }
        challenge.push_str(&format!(r#", resource_metadata="{}{path}""#, self.public.as_str()));
        Some(challenge)
    }

    fn scopes(&self, services: &[ServiceName]) -> Vec<String> {
        let read = |service: &ServiceName| format!("{service}:read");
        self.scopes.clone().unwrap_or_else(|| services.iter().map(read).collect())
    }
    /// What a first token should have. Where the installation names the scopes that its provider knows, it is those and no other: a
    /// provider refuses a request for a scope that it does not know.
    fn first_scopes(&self, needed: &[String], services: &[ServiceName]) -> Vec<String> {
        match &self.scopes {
            None if !needed.is_empty() => needed.to_vec(),
            _ => self.scopes(services),
        }
    }
}

/// Every scope at once: a client that is told of one after the other signs in again and again.
fn missing(problem: &Problem, needed: &[String]) -> Vec<String> {
    let named = problem.context.as_ref().and_then(|context| context.get("scope")).and_then(|scope| scope.as_str());
    let mut scopes = needed.to_vec();
    // RFC 6749 §3.3: what a scope is made of. A caller's text is not sent back in a header.
    let is_scope =
        |scope: &&str| scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) && scope.len() <= 128;
    for scope in named.unwrap_or_default().split(' ').filter(|scope| !scope.is_empty()).filter(is_scope) {
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    scopes
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;

    fn metadata(scopes: Option<&[&str]>) -> Metadata {
        let scopes = scopes.map(|scopes| scopes.iter().map(|scope| (*scope).to_owned()).collect());
        Metadata { public: "https://data.example.com".parse().unwrap(), scopes }
    }
    fn services() -> Vec<ServiceName> {
        vec!["db".into(), "hr".into()]
    }

    #[test]
    fn a_document_says_who_issues_tokens_and_for_what() {
        let issuers = ["https://login.example.com/".to_owned(), "internal-issuer".to_owned()];
        let document = metadata(None).document(Resource::Mcp, &issuers, &services());
        let document: Json = serde_json::from_str(&document).unwrap();
        assert_eq!(document["resource"], "https://data.example.com/mcp");
        assert_eq!(document["authorization_servers"], json!(["https://login.example.com/"]));
        assert_eq!(document["bearer_methods_supported"], json!(["header"]));
        assert_eq!(document["scopes_supported"], json!(["db:read", "hr:read"]));
        let root: Json = serde_json::from_str(&metadata(Some(&[])).document(Resource::Root, &[], &services())).unwrap();
        assert_eq!((&root["resource"], root.get("scopes_supported")), (&json!("https://data.example.com"), None));
        assert_eq!(Resource::described_at("/.well-known/oauth-protected-resource/"), None);
    }

    #[test]
    fn challenges_lead_to_the_document_and_name_every_scope() {
        let challenge = |scopes, reason, context: Json, needed: &[&str]| {
            let needed: Vec<String> = needed.iter().map(|scope| (*scope).to_owned()).collect();
            let problem = Problem::new(reason, "words").context(context);
            metadata(scopes).challenge(Resource::Mcp, &problem, &needed, &services())
        };
        let at = r#"resource_metadata="https://data.example.com/.well-known/oauth-protected-resource/mcp""#;
        assert_eq!(
            challenge(None, Reason::NoCredential, Json::Null, &[]).unwrap(),
            format!(r#"Bearer realm="asuser", scope="db:read hr:read", {at}"#)
        );
        assert_eq!(
            challenge(None, Reason::NotInForce, Json::Null, &["db:read", "db:raw_sql"]).unwrap(),
            format!(r#"Bearer realm="asuser", error="invalid_token", scope="db:read db:raw_sql", {at}"#)
        );
        assert_eq!(
            challenge(None, Reason::InsufficientScope, json!({"scope": "db:raw_sql"}), &["db:read", "db:raw_sql"])
                .unwrap(),
            format!(r#"Bearer realm="asuser", error="insufficient_scope", scope="db:read db:raw_sql", {at}"#)
        );
        assert_eq!(
            challenge(None, Reason::InsufficientScope, json!({"scope": "a\" b\r\n c:read"}), &[]).unwrap(),
            format!(r#"Bearer realm="asuser", error="insufficient_scope", scope="c:read", {at}"#),
            "a caller's text is not sent back"
        );
        assert_eq!(
            challenge(Some(&["data"]), Reason::NoCredential, Json::Null, &["db:read"]).unwrap(),
            format!(r#"Bearer realm="asuser", scope="data", {at}"#)
        );
        assert_eq!(
            challenge(Some(&[]), Reason::NoCredential, Json::Null, &[]).unwrap(),
            format!(r#"Bearer realm="asuser", {at}"#)
        );
        assert_eq!(challenge(None, Reason::Denied, Json::Null, &[]), None);
    }
}
