//! Whose limits hold: the token's scope, its actor, its client, the agent of an API key.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::Path;

use asuser_core::{ActorId, Assurance, Clock, Problem, Reason, Secret, ServiceName, SystemClock};
use asuser_delegation::{Action, ActorConfig, AgentConfig, Agents, Delegation, DelegationError};
use asuser_identity::{Credential, Identities};
use asuser_testkit::issuer::TestIssuer;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

struct Rig {
    issuer: TestIssuer,
    identities: Identities,
    agents: Agents,
}

impl Rig {
    /// The services `db` and `hr`; the agents of the tests, as the configuration would write them.
    fn new(agents: &str) -> Self {
        Self::with(agents, "", false)
    }
    fn with(agents: &str, actor: &str, scope_required: bool) -> Self {
        #[derive(serde::Deserialize)]
        struct Blocks {
            #[serde(default)]
            agent: Vec<AgentConfig>,
        }
        let issuer = TestIssuer::new("https://idp.example.com", "https://data.example.com");
        let mut config = issuer.config("idp");
        config.profile = "custom".into();
        config.scope_required = scope_required;
        let identities = Identities::new(&[config], Path::new("."), &|_| Err("no secret".into())).unwrap();
        let blocks: Blocks = toml::from_str(agents).unwrap();
        let actor: ActorConfig = toml::from_str(actor).unwrap();
        let services = ["db", "HR"].map(ServiceName::from);
        let agents = Agents::new(blocks.agent, actor, identities.scope_required_issuers(), services).unwrap();
        Self { issuer, identities, agents }
    }
    async fn resolve(&self, changes: &Json, key: Option<&str>) -> Result<Delegation, DelegationError> {
        let credential = Credential::Bearer(Secret::new(self.issuer.token_with("john", changes)));
        let verified = self.identities.verify(&credential, SystemClock.now_ms()).await.unwrap();
        self.agents.resolve(&verified, key.map(|key| Secret::new(key.to_owned())).as_ref())
    }
    /// Whether `db:read` and `hr:read` are allowed.
    async fn reads(&self, changes: &Json) -> (bool, bool) {
        let delegation = self.resolve(changes, None).await.unwrap();
        let reads = |service: &str| delegation.permits(&service.into(), Action::Read).is_ok();
        (reads("db"), reads("hr"))
    }
}

fn ids(delegation: &Delegation) -> Vec<&str> {
    delegation.actors().iter().map(|actor| actor.id.as_str()).collect()
}

fn reason(error: DelegationError) -> Reason {
    Problem::from(error).reason
}

const TWO: &str = r#"
    [[agent]]
    client_id = "copilot"
    may = ["db:read", "hr:read"]
    [[agent]]
    client_id = "sales-copilot"
    may = ["db:read", "db:raw_sql"]
"#;

#[tokio::test]
async fn the_client_limits_besides_the_actor() {
    let rig = Rig::new(TWO);
    let act = |id: &str| json!({ "act": { "sub": id } });
    let both = rig.resolve(&act("copilot"), None).await.unwrap();
    assert_eq!(ids(&both), ["copilot", "sales-copilot"]);
    assert!(both.actors().iter().all(|actor| actor.assurance == Assurance::Token));
    assert_eq!(both.describe().len(), 2, "a factor for each");
    // Only what both may.
    assert_eq!(both.permits(&"db".into(), Action::Read), Ok(()));
    let not = |id: &str, what: &str| Err(DelegationError::ActorNotAllowed(ActorId::from(id), what.into()));
    assert_eq!(both.permits(&"hr".into(), Action::Read), not("sales-copilot", "hr:read"));
    assert_eq!(both.permits(&"db".into(), Action::RawSql), not("copilot", "db:raw_sql"));
    // Each alone has its own.
    let actor = rig.resolve(&json!({ "act": { "sub": "copilot" }, "client_id": null }), None).await.unwrap();
    assert_eq!(ids(&actor), ["copilot"]);
    assert_eq!(actor.permits(&"hr".into(), Action::Read), Ok(()));
    for changes in [json!({}), act("sales-copilot"), json!({ "client_id": null, "azp": "sales-copilot" })] {
        let client = rig.resolve(&changes, None).await.unwrap();
        assert_eq!(ids(&client), ["sales-copilot"]);
        assert_eq!(client.permits(&"db".into(), Action::RawSql), Ok(()));
    }
    // The earlier actors of a chain are recorded, and are no limit (RFC 8693 §4.1).
    let nested = rig.resolve(&json!({ "act": { "sub": "sales-copilot", "act": { "sub": "nobody" } } }), None).await;
    assert_eq!(nested.unwrap().permits(&"db".into(), Action::RawSql), Ok(()));
}

#[tokio::test]
async fn a_client_that_is_switched_off_or_unregistered() {
    let act = json!({ "act": { "sub": "copilot" } });
    let enabled = |yes: bool| {
        Rig::new(&format!(
            "[[agent]]\nclient_id = \"copilot\"\nmay = [\"*:read\", \"*:raw_sql\"]\n\
             [[agent]]\nclient_id = \"sales-copilot\"\nmay = [\"*:read\"]\nenabled = {yes}\n"
        ))
    };
    let refused = enabled(false).resolve(&act, None).await.unwrap_err();
    assert_eq!(refused, DelegationError::ActorDisabled("sales-copilot".into()));
    assert_eq!(reason(refused), Reason::ActorNotAllowed);
    assert!(enabled(true).resolve(&act, None).await.is_ok());

    // What no block names has the profile of the unregistered, the client too.
    let copilot = "[[agent]]\nclient_id = \"copilot\"\nmay = [\"*:read\", \"*:raw_sql\"]\n";
    for (profile, may) in [("[unregistered]\nmay = [\"hr:read\"]\n", false), ("[unregistered]\nraw_sql = true\n", true)]
    {
        let delegation = Rig::with(copilot, profile, false).resolve(&act, None).await.unwrap();
        assert_eq!(ids(&delegation), ["copilot", "sales-copilot"]);
        assert_eq!(delegation.permits(&"db".into(), Action::RawSql).is_ok(), may);
    }
}

#[tokio::test]
async fn the_agent_of_an_api_key_limits_besides_those_of_the_token() {
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest("the key"));
    let rig =
        Rig::new(&format!("{TWO}\n[[agent]]\nclient_id = \"keyed\"\nmay = [\"db:read\"]\nkey_hash = \"{hash}\"\n"));
    let act = json!({ "act": { "sub": "copilot" } });
    let three = rig.resolve(&act, Some("the key")).await.unwrap();
    assert_eq!(ids(&three), ["copilot", "sales-copilot", "keyed"]);
    assert_eq!(three.actors().last().unwrap().assurance, Assurance::Credential);
    assert_eq!(three.permits(&"db".into(), Action::Read), Ok(()));
    assert!(three.permits(&"db".into(), Action::RawSql).is_err());
    // The key of the client itself adds nothing.
    for same in [json!({ "act": { "sub": "keyed" } }), json!({ "act": { "sub": "copilot" }, "client_id": "keyed" })] {
        assert_eq!(rig.resolve(&same, Some("the key")).await.unwrap().actors().len(), 2);
    }
    let unknown = rig.resolve(&act, Some("another")).await.unwrap_err();
    assert_eq!(reason(unknown), Reason::UnknownAgentCredential);
}

#[tokio::test]
async fn a_scope_of_ours_limits_even_where_it_is_no_grant() {
    let rig = Rig::new("");
    for ours in [
        "db:write",
        "db:Read",
        "db:read:orders",
        "DB:read",
        "DB:write",
        "Hr:write",
        "db:",
        "db::",
        "*:write",
        "*:",
        "hr:write",
        "Hr:read",
        "db:read\t",
    ] {
        for scope in [ours.to_owned(), format!("openid {ours}"), format!("{ours} profile")] {
            assert_eq!(rig.reads(&json!({ "scope": scope })).await, (false, false), "{scope}");
        }
        // Beside a grant it takes nothing away.
        let scope = format!("{ours} db:read");
        assert_eq!(rig.reads(&json!({ "scope": scope })).await, (true, false), "{scope}");
    }
    for listed in [json!(["db:write"]), json!([" db :read"])] {
        assert_eq!(rig.reads(&json!({ "scope": listed })).await, (false, false), "{listed}");
    }
    let refused = rig.resolve(&json!({ "scope": "db:write" }), None).await.unwrap();
    let refused = refused.permits(&"db".into(), Action::Read).unwrap_err();
    assert_eq!(reason(refused), Reason::InsufficientScope);
    // Nothing of us: the scope is no limit.
    for none in [
        "",
        "openid profile email",
        "api://x/y",
        "urn:x:y",
        "https://data.example.com/db",
        "db",
        "dbx:write",
        "db.read",
        "xdb:Read",
    ] {
        assert_eq!(rig.reads(&json!({ "scope": none })).await, (true, true), "{none}");
    }
    assert_eq!(rig.reads(&json!({ "scope": null })).await, (true, true));
    for (grant, expected) in [("db:read", (true, false)), ("*:read", (true, true)), ("other:read", (false, false))] {
        assert_eq!(rig.reads(&json!({ "scope": grant })).await, expected, "{grant}");
    }
    let required = Rig::with("", "", true);
    assert_eq!(required.reads(&json!({ "scope": "openid" })).await, (false, false));
    assert_eq!(required.reads(&json!({ "scope": "openid db:read" })).await, (true, false));
}
