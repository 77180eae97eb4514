//! What goes wrong around a connection, and what a company sets on its roles: servers that are down, certificates that do not verify,
//! pools of people, settings, functions that would say who asks.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

use std::net::TcpListener;
use std::sync::Arc;

use asuser_conformance::{Failure, Person, Rig, Service, run};
use asuser_connector::{Connector, ConnectorError, RoleMapping};
use asuser_connector_postgres::{PostgresConnector, PostgresOptions, RunAs};
use asuser_core::{Clock as _, Reason, Secret, SystemClock};
use asuser_credential::CertificateAuthority;
use asuser_policy::AttributeSchema;
use asuser_postgres::{Host, Target, Tls};
use asuser_testkit::{PgDatabase, PostgresServer, Version};
use serde_json::json;

const LOGIN: &str = "asuser_login";
const OPEN: &str = r#"permit (principal, action == Action::"read", resource);"#;
const TABLE: &str = "
    CREATE TABLE orders (id bigint PRIMARY KEY, owner text NOT NULL);
    INSERT INTO orders SELECT n, CASE WHEN n % 2 = 0 THEN 'bob' ELSE 'alice' END FROM generate_series(1, 10) AS n;
    ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON orders USING (owner = current_user::text);
    GRANT SELECT ON orders TO PUBLIC;
";

struct Place {
    server: Arc<PostgresServer>,
    database: PgDatabase,
    rig: Arc<Rig>,
}

impl Place {
    /// A server of its own, with people whom asuser's login can become.
    fn new(people: &[&str]) -> Self {
        let server = PostgresServer::own(Version::Fifteen);
        let database = server.database("faults");
        database.execute(&format!(
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE ROLE {LOGIN} LOGIN NOINHERIT PASSWORD 'gate'"
        ));
        for person in people {
            database.execute(&format!("CREATE ROLE {person} LOGIN; GRANT {person} TO {LOGIN}"));
        }
        Self { server, database, rig: Rig::new(&AttributeSchema::new()) }
    }
    /// PUBLIC's rights are the login's too.
    fn table(&self, sql: &str) {
        self.database.execute(&sql.replace("TO PUBLIC", "TO alice, bob"));
    }
    fn options(&self) -> PostgresOptions {
        let mut target = Target::parse(&self.database.url(LOGIN)).unwrap();
        target.tls = Tls::verified(self.server.ca_pem().as_bytes()).unwrap();
        let mut options = PostgresOptions::new("db".into(), target, RoleMapping::Login);
        options.password = Some(Secret::new("gate".to_owned()));
        options
    }
    async fn service(&self, options: PostgresOptions) -> Service {
        let connector = Arc::new(PostgresConnector::open(options).unwrap());
        Service::open(&self.rig, connector, OPEN, None).await.unwrap()
    }
    async fn person(&self, login: &str) -> Person {
        self.rig.person(login, &json!({})).await.unwrap()
    }
    fn connections(&self, user: &str) -> usize {
        let count = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{user}'");
        self.database.query(&count)[0][0].as_deref().unwrap().parse().unwrap()
    }
}

async fn count(service: &Service, person: &Person) -> Result<usize, Failure> {
    Ok(service.read(person, "orders", None, &[]).await?.resource.len())
}

async fn refusal(options: PostgresOptions) -> ConnectorError {
    PostgresConnector::open(options).unwrap().catalog().await.unwrap_err()
}

#[test]
fn a_server_whose_certificate_does_not_verify_gets_no_password() {
    let place = Place::new(&["alice", "bob"]);
    place.table(TABLE);
    run(async {
        let mut other = place.options();
        let stranger = CertificateAuthority::init("somebody else", 1, SystemClock.now_ms()).unwrap();
        other.target.tls = Tls::verified(stranger.certificate_pem.as_bytes()).unwrap();
        assert!(matches!(refusal(other).await, ConnectorError::Unavailable(why) if why.contains("TLS")));
        let mut another_name = place.options();
        another_name.target.hosts = vec![Host::Tcp("127.0.0.2".into(), place.server.port())];
        // Whether nobody listens there or somebody without that name: no connection.
        assert!(matches!(refusal(another_name).await, ConnectorError::Unavailable(_)));
        let mut wrong = place.options();
        wrong.password = Some(Secret::new("not the password".into()));
        let why = refusal(wrong).await.to_string();
        assert!(why.contains("28P01") && !why.contains("not the password"), "{why}");
        let service = place.service(place.options()).await;
        assert_eq!(count(&service, &place.person("alice").await).await, Ok(5));
    });
}

#[test]
fn the_next_host_serves_where_one_is_down_and_a_server_that_comes_back_serves_again() {
    let place = Place::new(&["alice", "bob"]);
    place.table(TABLE);
    run(async {
        // Bound and closed again: nobody listens there.
        let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut options = place.options();
        options.target.hosts.insert(0, Host::Tcp("127.0.0.1".into(), dead));
        options.target.read_write = true;
        let service = place.service(options).await;
        let alice = place.person("alice").await;
        assert_eq!(count(&service, &alice).await, Ok(5));
        place.server.stop();
        assert_eq!(count(&service, &alice).await.unwrap_err().reason(), Reason::DatabaseUnavailable);
        place.server.start();
        assert_eq!(count(&service, &alice).await, Ok(5));
        // A server that takes no writes is passed over where one that does is asked for.
        place.database.execute(&format!("ALTER ROLE {LOGIN} SET default_transaction_read_only = on"));
        let mut options = place.options();
        options.target.read_write = true;
        assert!(matches!(refusal(options).await, ConnectorError::Unavailable(why) if why.contains("no writes")));
    });
}

#[test]
fn people_with_logins_of_their_own_share_a_pool_and_no_connection() {
    let people = ["alice", "bob", "carol", "dave", "erin"];
    let server = PostgresServer::own(Version::Fifteen);
    let database = server.database("faults");
    database.execute(&format!(
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE ROLE {LOGIN} LOGIN NOINHERIT PASSWORD 'gate'"
    ));
    for person in people {
        database.execute(&format!("CREATE ROLE {person} LOGIN IN ROLE asuser_users"));
    }
    database.execute(&TABLE.replace("TO PUBLIC", "TO asuser_users"));
    let place = Place { server, database, rig: Rig::new(&AttributeSchema::new()) };
    let made = CertificateAuthority::init("asuser", 1, SystemClock.now_ms()).unwrap();
    place.server.trust_client_ca(&made.certificate_pem);
    run(async {
        let mut options = place.options();
        let authority =
            CertificateAuthority::load(made.certificate_pem.as_bytes(), &made.key_pem, SystemClock.now_ms());
        options.run_as = RunAs::Certificate(Box::new(authority.unwrap()));
        options.connections = 2;
        let service = place.service(options).await;
        for round in 0..3 {
            for name in people {
                let person = place.person(name).await;
                let expected = if matches!(name, "alice" | "bob") { 5 } else { 0 };
                assert_eq!(count(&service, &person).await, Ok(expected), "{round} {name}");
                let open: usize = people.iter().map(|person| place.connections(person)).sum();
                assert!((1..=2).contains(&open), "{open} connections of people are open");
            }
        }
        // A stranger to the authority's group has a role, and is not let in.
        place.database.execute("CREATE ROLE frank LOGIN; GRANT SELECT ON orders TO frank");
        let frank = count(&service, &place.person("frank").await).await.unwrap_err();
        assert_eq!(frank.reason(), Reason::DatabaseRole, "{frank:?}");
    });
}

/// What a company sets on a role holds, as it would in a session of its own; what would make it somebody else refuses it.
#[test]
fn a_roles_own_settings_hold() {
    let place = Place::new(&["alice", "bob"]);
    place.table(TABLE);
    place.table(
        "CREATE SCHEMA helpers; GRANT USAGE ON SCHEMA helpers TO PUBLIC;
         CREATE FUNCTION helpers.word() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'helped' $$;
         CREATE FUNCTION public.asks() RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN word(); END $$;
         CREATE VIEW zones WITH (security_invoker = true) AS
             SELECT 1 AS id, current_setting('TimeZone') AS zone, current_setting('lock_timeout') AS patience,
                    current_setting('transaction_read_only') AS read_only, current_setting('search_path') AS path;
         CREATE VIEW helped WITH (security_invoker = true) AS SELECT 1 AS id, public.asks() AS word;
         GRANT SELECT ON zones, helped TO PUBLIC;
         CREATE VIEW slow WITH (security_invoker = true) AS SELECT 1 AS id, pg_sleep(20)::text AS nothing;
         GRANT SELECT ON slow TO PUBLIC;",
    );
    place.database.execute(
        "ALTER ROLE alice SET TimeZone = 'Asia/Tokyo'; ALTER ROLE alice SET lock_timeout = '7s';
         ALTER ROLE alice SET search_path = helpers, public; ALTER ROLE alice SET statement_timeout = '50ms';",
    );
    run(async {
        let service = place.service(place.options()).await;
        let (alice, bob) = (place.person("alice").await, place.person("bob").await);
        let of = async |person: &Person, table: &str| service.rows(person, table, &[]).await[0].clone();
        for _ in 0..2 {
            let zones = of(&alice, "zones").await;
            assert_eq!(
                (&zones["zone"], &zones["patience"], &zones["read_only"]),
                (&json!("Asia/Tokyo"), &json!("7s"), &json!("on"))
            );
            assert_eq!(of(&alice, "helped").await["word"], "helped");
            // On the same connections: none of it is bob's.
            let zones = of(&bob, "zones").await;
            assert_eq!((&zones["zone"], &zones["patience"]), (&json!("UTC"), &json!("0")));
            let path = zones["path"].as_str().unwrap();
            assert!(!path.contains("helpers") && path.ends_with("pg_temp"), "{path}");
            // A function that does not find what it calls is its view's fault.
            let fault = service.read(&bob, "helped", None, &[]).await.unwrap_err();
            assert_eq!(fault.reason(), Reason::DatabaseRefused);
        }
        let slow = service.read(&alice, "slow", None, &[]).await.unwrap_err();
        assert_eq!(slow, Failure::Connector(ConnectorError::Timeout { time_ms_max: 50 }));
    });
    place.database.execute("ALTER ROLE bob SET role = 'alice'");
    run(async {
        let service = place.service(place.options()).await;
        let refused = count(&service, &place.person("bob").await).await.unwrap_err();
        assert_eq!(refused.reason(), Reason::DatabaseRole);
        assert_eq!(count(&service, &place.person("alice").await).await, Ok(5));
    });
}

/// SPEC C: under a role that several people share, claims say who asks, so no function may run that could say otherwise.
#[test]
fn a_shared_role_runs_no_function_that_nobody_vouched_for() {
    let place = Place::new(&["web"]);
    place.database.execute(
        "CREATE FUNCTION public.who() RETURNS text LANGUAGE sql STABLE AS
             $$ SELECT current_setting('request.jwt.claims', true)::json ->> 'login' $$;
         CREATE TABLE orders (id bigint PRIMARY KEY, owner text NOT NULL);
         INSERT INTO orders VALUES (1, 'alice'), (2, 'bob'), (3, 'alice');
         ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
         CREATE POLICY own ON orders USING (owner = (SELECT public.who()));
         CREATE TABLE plain (id bigint PRIMARY KEY, owner text NOT NULL);
         INSERT INTO plain SELECT * FROM orders;
         ALTER TABLE plain ENABLE ROW LEVEL SECURITY;
         CREATE POLICY own ON plain USING (owner = (SELECT current_setting('request.jwt.claims', true)::json ->> 'login'));
         GRANT SELECT ON orders, plain TO web;",
    );
    run(async {
        let shared = || {
            let mut options = place.options();
            options.role = RoleMapping::Constant("web".into());
            options.nologin_roles = true;
            options
        };
        let alice = place.person("alice").await;
        let service = place.service(shared()).await;
        match count(&service, &alice).await.unwrap_err() {
            Failure::Connector(ConnectorError::UntrustedFunctions { functions }) => {
                assert_eq!(functions, ["public.who()"])
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(service.rows(&alice, "plain", &[]).await.len(), 2);
        let mut trusting = shared();
        trusting.trusted_functions = ["public.who()".to_owned()].into();
        let service = place.service(trusting).await;
        assert_eq!(count(&service, &alice).await, Ok(2));
        assert_eq!(count(&service, &place.person("bob").await).await, Ok(1));
        assert_eq!(count(&service, &place.person("carol").await).await, Ok(0));
    });
}

/// Whoever goes away takes the statement along: the server confirms that nothing runs.
#[test]
fn a_read_that_nobody_waits_for_does_not_run_on() {
    let place = Place::new(&["alice", "bob"]);
    place.table(TABLE);
    place.table("CREATE VIEW slow AS SELECT 1 AS id, pg_sleep(600)::text AS nothing; GRANT SELECT ON slow TO PUBLIC;");
    run(async {
        let mut options = place.options();
        options.connections = 1;
        let mut service = place.service(options).await;
        service.limits.time_ms_max = 600_000;
        let alice = place.person("alice").await;
        for _ in 0..3 {
            let left =
                tokio::time::timeout(std::time::Duration::from_millis(300), service.read(&alice, "slow", None, &[]))
                    .await;
            assert!(left.is_err());
            // The only connection is free again as soon as the server has ended the statement.
            assert_eq!(count(&service, &alice).await, Ok(5));
            let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%slow%' AND pid <> pg_backend_pid()";
            assert_eq!(place.database.query(running)[0][0].as_deref(), Some("0"));
        }
    });
}

/// One person's slow reads leave room for others.
#[test]
fn nobody_takes_all_connections() {
    let place = Place::new(&["alice", "bob"]);
    place.table(TABLE);
    place.table(
        "CREATE VIEW slow WITH (security_invoker = true) AS SELECT 1 AS id, pg_sleep(600)::text AS nothing;
         GRANT SELECT ON slow TO PUBLIC;",
    );
    run(async {
        let mut options = place.options();
        options.connections = 3;
        let mut service = place.service(options).await;
        service.limits.time_ms_max = 600_000;
        let (alice, bob) = (place.person("alice").await, place.person("bob").await);
        let service = Arc::new(service);
        let mut slow = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let (service, alice) = (Arc::clone(&service), alice.clone());
            slow.spawn(async move { service.read(&alice, "slow", None, &[]).await.map(|_| ()) });
        }
        let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%slow%' AND pid <> pg_backend_pid()";
        while place.database.query(running)[0][0].as_deref() != Some("2") {
            tokio::task::yield_now().await;
        }
        for _ in 0..5 {
            assert_eq!(count(&service, &bob).await, Ok(5));
        }
        assert_eq!(place.database.query(running)[0][0].as_deref(), Some("2"));
        slow.shutdown().await;
    });
}
