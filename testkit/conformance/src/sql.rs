//! SQL that people write: they see what they see otherwise, and it ends in time.

use asuser_core::ColumnKind::{Integer, Text};
use asuser_core::Reason;
use asuser_policy::AttributeSchema;
use serde_json::{Value as Json, json};

use crate::people::column;
use crate::{Fixture, PoolSize, Rig, Service, TableSpec, run};

/// Own rows; addresses masked; nobody reads the note.
const POLICIES: &str = r#"
permit (principal, action == Action::"read", resource is db::letters)
when { principal has login && resource.owner == principal.login };
permit (principal, action == Action::"read", resource is db::stamps);
forbid (principal, action == Action::"read", resource == Column::"db.letters.note");
"#;
const MASKS: &str = "[letters]\nemail = \"email\"\n";

fn tables() -> [TableSpec; 3] {
    let letters = TableSpec {
        name: "letters",
        columns: vec![
            column("id", Integer, false),
            column("owner", Text, false),
            column("email", Text, false),
            column("stamp", Integer, true),
            column("note", Text, false),
        ],
        rows: vec![
            vec![1.into(), "alice".into(), "first@one.example".into(), 10.into(), "HIDDEN".into()],
            vec![2.into(), "bob".into(), "HIDDEN@two.example".into(), 0.into(), "HIDDEN".into()],
            vec![3.into(), "alice".into(), "third@three.example".into(), 20.into(), "HIDDEN".into()],
        ],
    };
    let stamps = TableSpec {
        name: "stamps",
        columns: vec![column("value", Integer, false), column("motif", Text, false)],
        rows: vec![vec![10.into(), "owl".into()], vec![20.into(), "fox".into()]],
    };
    let closed = TableSpec { name: "closed", columns: vec![column("id", Integer, false)], rows: vec![vec![1.into()]] };
    [letters, stamps, closed]
}

/// Rows, masks and columns hold in whatever SQL makes of them; what is not there for the person is not there.
pub fn submitted_sql_sees_what_the_person_sees(fixture: &dyn Fixture) {
    run(async {
        let rig = Rig::new(&AttributeSchema::new());
        let database = fixture.database(&tables(), PoolSize::USUAL);
        let service = Service::open(&rig, database.connector(), POLICIES, Some(MASKS)).await.unwrap();
        let alice = rig.person("alice", &json!({})).await.unwrap();
        let bob = rig.person("bob", &json!({})).await.unwrap();
        let first = json!({ "id": 1, "email": "f***@one.example", "motif": "owl" });
        let third = json!({ "id": 3, "email": "t***@three.example", "motif": "fox" });
        let joined =
            "SELECT l.id, l.email, s.motif FROM letters AS l JOIN stamps AS s ON s.value = l.stamp ORDER BY l.id";
        let counted = "WITH mine AS (SELECT owner, count(*) AS n FROM letters GROUP BY owner) SELECT owner, n FROM mine ORDER BY owner";
        for (person, text, expected) in [
            (&alice, joined, vec![first, third]),
            (&bob, joined, vec![]),
            (&alice, counted, vec![json!({ "owner": "alice", "n": 2 })]),
            (&bob, counted, vec![json!({ "owner": "bob", "n": 1 })]),
            (&alice, "SELECT max(email) AS m FROM letters", vec![json!({ "m": "t***@three.example" })]),
            (&alice, "SELECT id FROM letters WHERE email = 'first@one.example'", vec![]),
            (&alice, "SELECT id FROM letters WHERE 100 / stamp > 7 ORDER BY id", vec![json!({ "id": 1 })]),
            (
                &alice,
                "SELECT value FROM stamps UNION SELECT stamp FROM letters ORDER BY 1",
                vec![json!({ "value": 10 }), json!({ "value": 20 })],
            ),
        ] {
            let answer = service.sql(person, text).await.unwrap_or_else(|failure| panic!("{text}: {failure:?}"));
            assert_eq!(answer.resource, expected, "{text}");
        }
        let star = service.sql(&alice, "SELECT * FROM letters ORDER BY id").await.unwrap().resource;
        let keys = |row: &Json| row.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(keys(&star[0]), ["email", "id", "owner", "stamp"].map(str::to_owned).into(), "{star:?}");
        for (text, reason) in [
            ("SELECT note FROM letters", Reason::BadStatement),
            ("SELECT id FROM closed", Reason::BadStatement),
            ("SELECT id FROM nowhere", Reason::BadStatement),
            ("DELETE FROM letters", Reason::StatementNotAllowed),
            ("SELECT id FROM letters; SELECT 1", Reason::StatementNotAllowed),
        ] {
            let failure = service.sql(&alice, text).await.unwrap_err();
            assert_eq!(failure.reason(), reason, "{text}: {failure:?}");
            assert!(!format!("{failure:?}").contains("HIDDEN"), "{failure:?}");
        }
        // The entry has its intent first, then the outcome, with the database's own word.
        let answer = service.sql(&alice, joined).await.unwrap();
        let records = rig.entry(answer.audit_id);
        let kinds: Vec<String> = records.iter().map(|record| format!("{:?}", record.leaf.kind)).collect();
        assert_eq!(kinds, ["Intent", "Outcome"]);
        assert_eq!(records[1].leaf.run_as.as_deref(), Some(fixture.mode()));
        assert_eq!(records[0].leaf.tables, ["letters", "stamps"]);
    });
}

/// A statement that nobody could wait for ends at its time, and its connection's place is free again.
pub fn a_statement_that_runs_too_long_ends(fixture: &dyn Fixture) {
    run(async {
        let rig = Rig::new(&AttributeSchema::new());
        let database = fixture.database(&tables(), PoolSize::USUAL);
        let mut service = Service::open(&rig, database.connector(), POLICIES, Some(MASKS)).await.unwrap();
        service.limits.time_ms_max = 300;
        let alice = rig.person("alice", &json!({})).await.unwrap();
        let endless = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 2000000000) SELECT count(*) AS n FROM r, letters";
        for _ in 0..3 {
            let failure = service.sql(&alice, endless).await.unwrap_err();
            assert!(matches!(failure.reason(), Reason::DatabaseTimeout | Reason::TooCostly), "{failure:?}");
        }
        service.limits.time_ms_max = 60_000;
        assert_eq!(
            service.sql(&alice, "SELECT count(*) AS n FROM letters").await.unwrap().resource,
            [json!({ "n": 2 })]
        );
    });
}
