//! What a caller can put into a request, through the whole pipeline against a real PostgreSQL: values that mean something to SQL,
//! values that no column takes, conditions that would make the server tell of hidden rows. Each has its honest twin and its record.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a test"
)]

use std::path::Path;
use std::sync::Arc;

use asuser_conformance::{Failure, Person, Rig, Service, run};
use asuser_connector::RoleMapping;
use asuser_connector_postgres::{PostgresConnector, PostgresOptions};
use asuser_core::{Problem, Reason, Secret};
use asuser_policy::AttributeSchema;
use asuser_postgres::Target;
use asuser_testkit::{PgDatabase, PostgresServer, Version};
use serde_json::json;

/// A database with people, of whom alice asks.
struct Place {
    database: PgDatabase,
    service: Service,
    rig: Arc<Rig>,
    alice: Person,
}

impl Place {
    async fn new(sql: &str, policies: &str, masks: Option<&str>) -> Self {
        let server = PostgresServer::own(Version::Fifteen);
        let database = server.database("attacks");
        database.execute("CREATE ROLE gate LOGIN NOINHERIT PASSWORD 'gate'; CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; GRANT alice, bob TO gate");
        database.execute(sql);
        database.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO alice, bob");
        let rig = Rig::new(&AttributeSchema::new());
        let target = Target::parse(&database.url("gate")).unwrap();
        let options = PostgresOptions {
            password: Some(Secret::new("gate".to_owned())),
            connections: 2,
            ..PostgresOptions::new(Service::NAME.into(), target, RoleMapping::Login)
        };
        let connector = Arc::new(PostgresConnector::open(options).unwrap());
        let service = Service::open(&rig, connector, policies, masks).await.unwrap();
        let alice = rig.person("alice", &json!({})).await.unwrap();
        Self { database, service, rig, alice }
    }
    async fn ids(&self, table: &str, parameters: &[(&str, &str)]) -> Vec<i64> {
        let rows = self.service.rows(&self.alice, table, parameters).await;
        rows.iter().map(|row| row["id"].as_i64().unwrap()).collect()
    }
    async fn problem(&self, table: &str, parameters: &[(&str, &str)]) -> Problem {
        let before = self.rig.log_size();
        let failure = self.service.read(&self.alice, table, None, parameters).await.unwrap_err();
        assert_eq!(self.rig.log_size(), before + 1, "one record");
        match failure {
            Failure::Refused(problem) | Failure::Broken(problem) => problem,
            Failure::Connector(error) => error.into(),
        }
    }
}

const OPEN: &str = r#"permit (principal, action == Action::"read", resource);"#;

/// Texts that mean something to SQL or to a filter, and the public lists where they are.
fn payloads() -> Vec<String> {
    let own = [
        "'",
        "''",
        "\\",
        "\"",
        "{}",
        "NULL",
        "%",
        "_",
        "\\%",
        "$1",
        "--",
        "/*",
        ";",
        "\n",
        "\t",
        "\u{1}",
        "ü",
        "🙂",
        "' OR '1'='1",
        "{user.email}",
        "",
        " x ",
    ];
    let mut all: Vec<String> = own.map(str::to_owned).into();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/lists");
    match std::fs::read_dir(folder) {
        Err(_) => println!("skipped the public lists: there is no shared/vectors/lists beside the checkout"),
        Ok(entries) => {
            for entry in entries.flatten().filter(|entry| entry.path().extension().is_some_and(|ext| ext == "txt")) {
                let bytes = std::fs::read(entry.path()).unwrap();
                all.extend(String::from_utf8_lossy(&bytes).lines().map(str::to_owned));
            }
        }
    }
    all.retain(|line| !line.contains('\0') && line.len() < 1_000);
    all.sort();
    all.dedup();
    all
}

#[test]
fn a_payload_in_a_value_is_that_text() {
    run(async {
        let place = Place::new("CREATE TABLE t (id int PRIMARY KEY, v text)", OPEN, None).await;
        let payloads = payloads();
        let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let rows: Vec<String> =
            payloads.iter().enumerate().map(|(id, text)| format!("({id}, {})", literal(text))).collect();
        place.database.execute(&format!("INSERT INTO t VALUES {}", rows.join(", ")));
        for (id, payload) in payloads.iter().enumerate().step_by(1 + payloads.len() / 300) {
            let rows = place.service.rows(&place.alice, "t", &[("filter", &format!("v={}", literal(payload)))]).await;
            assert_eq!(rows, [json!({ "id": id, "v": payload })], "{payload:?}");
            let key = place.service.read(&place.alice, "t", Some(&literal(payload)), &[("id_field", "v")]).await;
            match key {
                Ok(answer) => assert_eq!(answer.resource, [json!({ "id": id, "v": payload })]),
                // Whatever it is in a URL, it is not SQL.
                Err(failure) => assert!(
                    matches!(
                        failure.reason(),
                        Reason::BadKey | Reason::NoSuchRecord | Reason::BadRequest | Reason::BadParameter
                    ),
                    "{payload:?}: {failure:?}"
                ),
            }
        }
        let mut left = 12_000;
        let fits = |text: &&String| {
            left -= i32::try_from(text.len()).unwrap() + 10;
            left > 0
        };
        let list: Vec<String> = payloads.iter().take_while(fits).map(|text| literal(text)).collect();
        let filter = format!("v in ({})", list.join(","));
        assert_eq!(place.ids("t", &[("filter", &filter)]).await.len(), list.len());
        assert_eq!(place.ids("t", &[("filter", "id = 0")]).await, [0]);
    });
}

const SHARES: &str = "
    CREATE TABLE orders (id int PRIMARY KEY, owner text NOT NULL, amount int NOT NULL, email text);
    INSERT INTO orders VALUES (1, 'alice', 10, 'a@b.c'), (2, 'bob', 0, 'SECRET@b.c'), (3, 'alice', 500, 'c@d.e');
    CREATE VIEW shares AS SELECT id, owner, amount, 1000 / amount AS share, (split_part(email, '@', 1) || '1')::text AS name FROM orders;
";
/// So many that the server would rather try the caller's condition first.
const OWN: &str = r#"
    permit (principal, action == Action::"read", resource is db::shares) when { principal has login && resource has owner && resource.owner == principal.login };
    permit (principal, action == Action::"read", resource is db::shares) when { resource has owner && resource.owner == "nobody" };
    permit (principal, action == Action::"read", resource is db::shares) when { resource has owner && resource.owner == "no one" };
    permit (principal, action == Action::"read", resource is db::shares) when { resource has owner && resource.owner like "*never" };
    permit (principal, action == Action::"read", resource is db::shares) when { resource has owner && resource.owner like "*ever*" };
"#;

/// RM-08 on a policy of asuser: what the policy hides makes no error.
#[test]
fn a_condition_is_tried_on_no_row_that_a_policy_hides() {
    run(async {
        let place = Place::new(SHARES, OWN, None).await;
        let asked: &[&[(&str, &str)]] = &[
            &[("filter", "share < 50")],
            &[("filter", "(share > 1) and (id > 0)"), ("include_count", "true")],
            &[("filter", "share = 100"), ("order", "share desc")],
            &[("order", "share")],
            &[("ids", "100,2"), ("id_field", "share")],
            &[("fields", "id"), ("filter", "share is not null")],
        ];
        let mut before = Vec::new();
        for parameters in asked {
            before.push(place.ids("shares", parameters).await);
        }
        assert_eq!(before, [vec![3], vec![1, 3], vec![1], vec![3, 1], vec![1, 3], vec![1, 3]]);
        place.database.execute("DELETE FROM orders WHERE owner = 'bob'");
        for (parameters, before) in asked.iter().zip(before) {
            assert_eq!(place.ids("shares", parameters).await, before, "{parameters:?}");
        }
        // An error on one's own row is an error, and holds no data.
        place.database.execute("INSERT INTO orders VALUES (4, 'alice', 0, 'SECRET@x.y')");
        let problem = place.problem("shares", &[]).await;
        assert_eq!(problem.reason, Reason::DatabaseRefused);
        assert!(
            !format!("{problem:?}").contains("SECRET") && !format!("{problem:?}").contains("division"),
            "{problem:?}"
        );
        assert_eq!(place.ids("shares", &[("fields", "id"), ("filter", "amount > 0")]).await, [1, 3]);
    });
}

/// A value of the wrong form is the caller's fault, whoever noticed, and the next request is served.
#[test]
fn a_value_that_no_column_takes_is_the_callers_fault() {
    let types: &[(&str, &str, &str)] = &[
        ("mood", "'sad'", "'fine'"),
        ("inet", "'10.0.0.256'", "'10.0.0.1'"),
        ("interval", "'soon'", "'1 day'"),
        ("time", "'25:00'", "'01:00'"),
        ("int4range", "'[5,1]'", "'[1,5)'"),
        ("int4[]", "'{x}'", "'{1}'"),
        ("jsonb", "'{'", "'[1]'"),
        ("tsvector", "''''", "'a'"),
        ("bit(4)", "'2'", "'1010'"),
        ("money", "'x'", "'1.50'"),
        ("pg_lsn", "'x'", "'0/1'"),
        ("uuid", "'x'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
        ("json", "'1'", ""),
        ("xml", "'<a/>'", ""),
        ("point", "'(1,2)'", ""),
        ("bytea", "'x'", ""),
        ("int8", "9223372036854775808", "9223372036854775807"),
        ("int2", "'x'", "1"),
        ("float8", "1e999", "1"),
        ("numeric", "1e99999", "1"),
        ("date", "'2026-02-30'", "'2026-02-28'"),
        ("timestamptz", "'infinity'", "'2026-02-28T00:00:00Z'"),
        ("regclass", "'pg_authid'", "'1'"),
        ("text", "true", "'x'"),
    ];
    run(async {
        let columns: Vec<String> = types.iter().enumerate().map(|(at, (name, ..))| format!("c{at} {name}")).collect();
        let sql = format!(
            "CREATE TYPE mood AS ENUM ('fine'); CREATE TABLE t (id int PRIMARY KEY, {}); INSERT INTO t (id) VALUES (1)",
            columns.join(", ")
        );
        let place = Place::new(&sql, OPEN, None).await;
        assert_eq!(place.ids("t", &[]).await, [1]);
        for (at, (name, wrong, right)) in types.iter().enumerate() {
            for filter in
                [format!("c{at} = {wrong}"), format!("c{at} in ({wrong})"), format!("(id = 0) and (c{at} > {wrong})")]
            {
                let problem = place.problem("t", &[("filter", &filter)]).await;
                assert_eq!(problem.reason, Reason::BadValue, "{name} {filter}: {problem:?}");
                assert!(!problem.message.contains("SQLSTATE"), "{problem:?}");
            }
            if !right.is_empty() {
                assert_eq!(
                    place.ids("t", &[("filter", &format!("c{at} = {right}"))]).await,
                    Vec::<i64>::new(),
                    "{name}"
                );
            }
            assert_eq!(place.ids("t", &[("filter", &format!("c{at} is null"))]).await, [1], "{name}");
        }
    });
}

/// RM-04 with types that a careless cast would cut or refuse.
#[test]
fn masks_hold_whatever_the_column_is_declared_as() {
    let sql = "
        CREATE EXTENSION citext;
        CREATE DOMAIN address AS text CHECK (VALUE ~ '^[A-Za-z]+@' AND length(VALUE) > 5);
        CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE t (id int PRIMARY KEY, a address, b varchar(11), c char(16), d citext, e text COLLATE loose, f int, g text[], h jsonb);
        INSERT INTO t VALUES (1, 'SECRET@x.y', 'SECRET@x.y', 'SECRET@x.y', 'SECRET@x.y', 'SECRET@x.y', 777, '{SECRET}', '\"SECRET\"'), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)";
    run(async {
        for (mask, shown) in [
            ("email", json!("S***@x.y")),
            ("full", json!("****")),
            ("partial", json!("****@x.y")),
            ("null", json!(null)),
        ] {
            let masks: String =
                ["a", "b", "c", "d", "e", "f", "g", "h"].map(|column| format!("{column} = \"{mask}\"\n")).concat();
            let place = Place::new(sql, OPEN, Some(&format!("[t]\n{masks}"))).await;
            let rows = place.service.rows(&place.alice, "t", &[("order", "id")]).await;
            let null = json!(null);
            for column in ["a", "b", "c", "d", "e"] {
                assert_eq!((&rows[0][column], &rows[1][column]), (&shown, &null), "{mask} {column}");
            }
            for column in ["f", "g", "h"] {
                assert_eq!(rows[0][column], null, "{mask} {column}");
            }
            for filter in [
                "a like 'SEC%'",
                "b = 'SECRET@x.y'",
                "c starts with 'SE'",
                "d = 'secret@x.y'",
                "e = 'secret@x.y'",
                "f = 777",
                "g = '{SECRET}'",
                "h contains 'SECRET'",
            ] {
                assert_eq!(place.ids("t", &[("filter", filter)]).await, Vec::<i64>::new(), "{mask} {filter}");
            }
            for column in ["a", "b", "c", "d", "e", "f", "g", "h"] {
                assert_eq!(place.ids("t", &[("order", &format!("{column},id"))]).await.len(), 2);
            }
        }
    });
}
