//! The whole way in: a real token, verified; a delegation, resolved; a decision that names both.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use asuser_core::{
    Catalog, Column, ColumnAccess, ColumnKind, DatabaseKind, Digest, Filter, FilterOp, Operand, Secret, ServiceName,
    Table, TableKind, Value,
};
use asuser_delegation::{ActorConfig, Agents, Delegation};
use asuser_identity::{Credential, Identities, Verified};
use asuser_policy::{
    AttributeSchema, Policies, PolicyError, PolicyFile, PolicyFolder, PolicySources, ServiceDefault, ServiceSource,
};
use asuser_testkit::TestIssuer;
use futures_util::FutureExt as _;

const POLICY: &str = r#"
permit (principal in Group::"sales", action == Action::"read", resource is db::orders)
when { principal has login && resource.owner == principal.login && context has actor && context.actor == "sales-copilot" };
forbid (principal, action == Action::"read", resource == Column::"db.orders.note");
"#;

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn asks(login: &str, changes: &serde_json::Value) -> (Arc<Verified>, Arc<Delegation>) {
    let issuer = TestIssuer::new("https://idp.example.com", "https://data.example.com");
    let no_secret = |name: &str| Err(format!("no secret {name}"));
    let identities = Identities::new(&[issuer.config("idp")], Path::new("."), &no_secret).unwrap();
    let credential = Credential::Bearer(Secret::new(issuer.token_with(login, changes)));
    let verified = identities.verify(&credential, now_ms()).now_or_never().unwrap().unwrap();
    let agents = Agents::new(Vec::new(), ActorConfig::default(), [], []).unwrap();
    let delegation = Arc::new(agents.resolve(&verified, None).unwrap());
    (verified, delegation)
}

fn policies() -> Policies {
    let column = |name: &str, kind| Column {
        name: name.into(),
        declared_type: "TEXT".into(),
        kind,
        nullable: false,
        strictly_typed: true,
        binary_collation: true,
    };
    let table = |name: &str| {
        let columns = vec![
            column("id", ColumnKind::Integer),
            column("owner", ColumnKind::Text),
            column("note", ColumnKind::Text),
        ];
        let table = Table {
            name: name.into(),
            kind: TableKind::Table,
            columns,
            primary_key: Vec::new(),
            reads: Default::default(),
        };
        (name.into(), Arc::new(table))
    };
    let tables = ["orders", "salaries"].map(table).into();
    let catalog = Catalog {
        service: "db".into(),
        database: DatabaseKind::Sqlite,
        home_schema: None,
        version: Digest([9; 32]),
        tables,
    };
    let file = PolicyFile { name: "policies/db/orders.cedar".into(), text: POLICY.into() };
    let folder = PolicyFolder { policies: vec![file], masks: None };
    let sources = PolicySources { folders: [("db".to_owned(), folder)].into() };
    let service = ServiceSource { catalog: Arc::new(catalog), default: ServiceDefault::Deny };
    Policies::load(&sources, &[service], &AttributeSchema::new()).unwrap()
}

#[test]
fn a_decision_names_the_human_the_agent_and_what_was_in_force() {
    let (policies, db) = (policies(), ServiceName::from("db"));
    let (verified, delegation) = asks("john", &serde_json::json!({}));
    let decision = policies.decide_read(&verified, &delegation, &db, "orders", now_ms()).unwrap();
    assert!(Arc::ptr_eq(decision.verified(), &verified));
    assert!(Arc::ptr_eq(decision.delegation(), &delegation));
    assert_eq!((decision.service(), decision.table().name.as_str()), (&db, "orders"));
    assert_eq!((decision.policy_digest(), decision.catalog_version()), (policies.digest(), Digest([9; 32])));
    let owner = decision.table().column_ix("owner").unwrap();
    let own = Filter::test(owner, FilterOp::Eq(Operand::Value(Value::Text("john".into()))));
    assert_eq!(*decision.row_filter(), own);
    assert_eq!(decision.access(), [ColumnAccess::Clear, ColumnAccess::Clear, ColumnAccess::Denied]);

    let listing = policies.decide_listing(&verified, &delegation, &db, now_ms()).unwrap();
    let tables: Vec<_> = listing.tables().map(|(table, access)| (table.name.as_str(), access)).collect();
    assert_eq!(tables, [("orders", decision.access())]);
    assert!(Arc::ptr_eq(listing.verified(), &verified));
}

#[test]
fn another_group_or_agent_or_table_gets_none() {
    let (policies, db) = (policies(), ServiceName::from("db"));
    let unreachable = |table: &str| PolicyError::NoSuchTable { service: db.clone(), table: table.into() };
    for changes in [
        serde_json::json!({ "groups": ["staff"] }),
        serde_json::json!({ "groups": null }),
        serde_json::json!({ "client_id": "another-agent" }),
    ] {
        let (verified, delegation) = asks("john", &changes);
        let refused = policies.decide_read(&verified, &delegation, &db, "orders", now_ms()).unwrap_err();
        assert_eq!(refused, unreachable("orders"), "{changes}");
        let refused = policies.decide_listing(&verified, &delegation, &db, now_ms()).unwrap_err();
        assert_eq!(refused, PolicyError::Denied(db.clone()), "{changes}");
    }
    let (verified, delegation) = asks("john", &serde_json::json!({}));
    for table in ["salaries", "Orders", "nonesuch", ""] {
        let refused = policies.decide_read(&verified, &delegation, &db, table, now_ms()).unwrap_err();
        assert_eq!(refused, unreachable(table));
    }
    let nowhere = ServiceName::from("DB");
    let refused = policies.decide_read(&verified, &delegation, &nowhere, "orders", now_ms()).unwrap_err();
    assert_eq!(refused, PolicyError::NoSuchService(nowhere));
}

#[test]
fn two_people_get_their_own() {
    let (policies, db) = (policies(), ServiceName::from("db"));
    let decide = |login: &str| {
        let (verified, delegation) = asks(login, &serde_json::json!({}));
        policies.decide_read(&verified, &delegation, &db, "orders", now_ms()).unwrap()
    };
    let (john, jane, again) = (decide("john"), decide("jane"), decide("john"));
    assert_ne!(john.row_filter(), jane.row_filter());
    assert_eq!(john.row_filter(), again.row_filter());
}
