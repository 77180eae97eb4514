//! What most checks ask of: alice's and bob's orders, with a column nobody may read and masked ones.

use std::sync::Arc;

use asuser_core::ColumnKind::{Binary, Integer, Text};
use asuser_policy::AttributeSchema;
use serde_json::json;

use crate::{Cell, ColumnSpec, Database, Fixture, Person, PoolSize, Rig, Service, TableSpec};

/// Own rows; `secret` for nobody; auditors see the masked columns of orders of at least 20.
pub(crate) const POLICIES: &str = r#"
permit (principal, action == Action::"read", resource is db::orders)
when { principal has login && resource.owner == principal.login };
forbid (principal, action == Action::"read", resource == Column::"db.orders.secret");
permit (principal in Group::"auditors", action == Action::"unmask", resource is db::orders) when { resource.amount >= 20 };
"#;
pub(crate) const MASKS: &str = "[orders]\nemail = \"email\"\ncard = \"partial\"\nphone = \"full\"\npin = \"null\"\n";

pub(crate) const fn column(name: &'static str, kind: asuser_core::ColumnKind, nullable: bool) -> ColumnSpec {
    ColumnSpec { name, kind, nullable }
}

/// Alice has the odd ids 1 to 9 with the amounts 50 down to 10, bob the even ones 2 to 6. E-mail addresses run against the ids.
pub(crate) fn orders() -> TableSpec {
    let columns = vec![
        column("id", Integer, false),
        column("owner", Text, false),
        column("amount", Integer, false),
        column("note", Text, true),
        column("secret", Text, false),
        column("email", Text, true),
        column("card", Text, true),
        column("phone", Text, true),
        column("pin", Text, true),
        column("scan", Binary, true),
    ];
    let row = |id: i64, owner: &str, amount: i64, note: Option<&str>| {
        let letter = char::from(b'z' - u8::try_from(id).unwrap());
        vec![
            id.into(),
            owner.into(),
            amount.into(),
            note.map_or(Cell::Null, Cell::from),
            format!("the secret of {id}").into(),
            format!("{letter}{id}@{owner}.example").into(),
            format!("411100000000{:04}", 9_999 - id).into(),
            format!("+49 30 {}", 1_000_000 - id).into(),
            format!("pin{id}").into(),
            Cell::Bytes(vec![0, 255, u8::try_from(id).unwrap()]),
        ]
    };
    let rows = vec![
        row(1, "alice", 50, Some("beta")),
        row(2, "bob", 11, Some("alpha")),
        row(3, "alice", 40, None),
        row(4, "bob", 60, None),
        row(5, "alice", 30, Some("alpha")),
        row(6, "bob", 30, Some("gamma")),
        row(7, "alice", 20, Some("alpha")),
        row(9, "alice", 10, None),
    ];
    TableSpec { name: "orders", columns, rows }
}

/// The orders as a service, and who asks.
pub(crate) struct Office {
    pub(crate) rig: Arc<Rig>,
    pub(crate) database: Box<dyn Database>,
    pub(crate) service: Service,
    pub(crate) alice: Person,
    pub(crate) bob: Person,
    /// Alice again, in the group `auditors`.
    pub(crate) auditor: Person,
}

impl Office {
    pub(crate) async fn new(fixture: &dyn Fixture, pool: PoolSize) -> Self {
        let rig = Rig::new(&AttributeSchema::new());
        let database = fixture.database(&[orders()], pool);
        let service = Service::open(&rig, database.connector(), POLICIES, Some(MASKS)).await.unwrap();
        let alice = rig.person("alice", &json!({})).await.unwrap();
        let bob = rig.person("bob", &json!({})).await.unwrap();
        let auditor = rig.person("alice", &json!({ "groups": ["auditors"] })).await.unwrap();
        Self { rig, database, service, alice, bob, auditor }
    }

    /// The ids that somebody finds, in the order of the answer.
    pub(crate) async fn ids(&self, person: &Person, parameters: &[(&str, &str)]) -> Vec<i64> {
        ids(&self.service.rows(person, "orders", parameters).await)
    }
}

pub(crate) fn ids(rows: &[serde_json::Value]) -> Vec<i64> {
    rows.iter().map(|row| row["id"].as_i64().unwrap()).collect()
}
