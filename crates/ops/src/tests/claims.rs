//! `asuser.claims()`: the honest text is believed, every other is NULL.

use asuser_postgres::Client;
use asuser_testkit::{PgDatabase, Version};

use super::support::{PASSWORD, client, company, facts, find, lines, operator, report, sound};
use crate::doctor::{Grade, Mapping};
use crate::{install, key_ids, uninstall};
use asuser_credential::claims::{ClaimsKey, Place};

const WHO: &str =
    r#""iss":"https://i.example","sub":"u-1","delegation":"","email":"änn@example.com","groups":["a.b","c"]"#;

/// A connection and what a gateway knows of it.
struct Session {
    client: Client,
    backend_start_us: i64,
    user: String,
}

impl Session {
    async fn open(database: &PgDatabase, user: &str) -> Self {
        let mut client = client(database, user).await;
        let sql = "SELECT pg_catalog.pg_backend_pid(), (extract(epoch from backend_start) * 1000000)::int8 FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())";
        let rows = client.query(sql, &[]).await.unwrap();
        assert_eq!(rows[0].get(0), Some(client.process_id().to_string().as_str()));
        let backend_start_us = rows[0].get(1).unwrap().parse().unwrap();
        Self { client, backend_start_us, user: user.to_owned() }
    }
    fn place<'a>(&'a self, role: &'a str) -> Place<'a> {
        Place { pid: self.client.process_id(), backend_start_us: self.backend_start_us, session_user: &self.user, role }
    }
    async fn now_ms(&mut self) -> i64 {
        let rows = self.client.query("SELECT (extract(epoch from clock_timestamp()) * 1000)::int8", &[]).await.unwrap();
        rows[0].get(0).unwrap().parse().unwrap()
    }
    async fn payload(&mut self, expires_in_ms: i64) -> String {
        format!("{{{WHO},\"exp_ms\":{}}}", self.now_ms().await + expires_in_ms)
    }
    async fn honest(&mut self, key: &ClaimsKey, role: &str) -> String {
        let payload = self.payload(30_000).await;
        key.sign(self.place(role), &payload)
    }
    /// What the database believes of `given`, in a transaction as `role`.
    async fn believed(&mut self, given: &str, role: &str) -> Option<String> {
        self.client.execute("BEGIN").await.unwrap();
        let sql = "SELECT set_config('statement_timeout', '30s', true), set_config('asuser.claims', $1, true), set_config('role', $2, true)";
        self.client.query(sql, &[Some(given), Some(role)]).await.unwrap();
        let rows = self.client.query("SELECT asuser.claims()::text, (asuser.claims() ->> 'email')", &[]).await.unwrap();
        self.client.execute("COMMIT").await.unwrap();
        assert_eq!(rows[0].get(0).is_some(), rows[0].get(1).is_some());
        rows[0].get(1).map(str::to_owned)
    }
}

async fn installed(version: Version) -> Option<(PgDatabase, ClaimsKey)> {
    let server = company(version)?;
    server.execute(&format!(
        "CREATE ROLE second_login LOGIN NOINHERIT PASSWORD '{PASSWORD}'; GRANT alice TO second_login"
    ));
    let database = sound(&server);
    let mut operator = operator(&database).await;
    let key = ClaimsKey::random(1).unwrap();
    let done = install(&mut operator, Some(&key)).await.unwrap();
    assert!(done.first);
    assert_eq!(done.key_ids, [1]);
    Some((database, key))
}

async fn only_the_honest(version: Version) {
    let Some((database, key)) = installed(version).await else { return };
    let mut session = Session::open(&database, "asuser_login").await;
    let mut other = Session::open(&database, "asuser_login").await;
    let mut second = Session::open(&database, "second_login").await;
    let email = Some("änn@example.com".to_owned());

    let honest = session.honest(&key, "alice").await;
    assert_eq!(session.believed(&honest, "alice").await, email);
    assert_eq!(session.believed(&honest, "alice").await, email, "a cached plan says the same");
    let nobody = session.honest(&key, "none").await;
    assert_eq!(session.believed(&nobody, "none").await, email);

    // Taken elsewhere: another role, session, login.
    assert_eq!(session.believed(&honest, "bob").await, None);
    assert_eq!(session.believed(&honest, "none").await, None);
    assert_eq!(other.believed(&honest, "alice").await, None, "replayed in another session");
    assert_eq!(second.believed(&honest, "alice").await, None, "another session_user");

    let payload = session.payload(30_000).await;
    let good = session.place("alice");
    for (forged, what) in [
        (key.sign(Place { pid: good.pid + 1, ..good }, &payload), "another pid"),
        (key.sign(Place { backend_start_us: good.backend_start_us + 1, ..good }, &payload), "the same pid, used again"),
        (key.sign(Place { session_user: "second_login", ..good }, &payload), "another login"),
        (key.sign(Place { role: "bob", ..good }, &payload), "another role"),
        (ClaimsKey::random(1).unwrap().sign(good, &payload), "another key"),
        (ClaimsKey::random(9).unwrap().sign(good, &payload), "an unknown key"),
        (honest.replace("änn@", "bob@"), "another payload"),
        (honest.replacen("v1.1.", "v1.01.", 1), "another spelling of the key's number"),
        (honest.replacen("v1.", "v2.", 1), "another version"),
        (honest.to_uppercase(), "upper case"),
        (String::new(), "nothing"),
        ("v1".to_owned(), "too short"),
        ("v1...".to_owned(), "no parts"),
        (format!("v1.1.{}.{{}}", "0".repeat(64)), "zeros"),
        ("{\"email\":\"bob@example.com\"}".to_owned(), "no signature"),
        (honest.get(..69).unwrap().to_owned(), "no payload"),
        (format!("{honest} "), "something behind"),
    ] {
        assert_eq!(session.believed(&forged, "alice").await, None, "{what}");
    }

    for (expires_in_ms, expected) in
        [(-5_000, None), (-1, None), (30_000, email.clone()), (34_000, email.clone()), (60_000, None)]
    {
        let payload = session.payload(expires_in_ms).await;
        let signed = key.sign(session.place("alice"), &payload);
        assert_eq!(session.believed(&signed, "alice").await, expected, "{expires_in_ms} ms");
    }
    let endless = key.sign(session.place("alice"), &format!("{{{WHO}}}"));
    assert_eq!(session.believed(&endless, "alice").await, None, "no expiry");
    let long = format!("{{\"x\":\"{}\",{WHO},\"exp_ms\":{}}}", "y".repeat(66_000), session.now_ms().await + 1_000);
    let long = key.sign(session.place("alice"), &long);
    assert_eq!(session.believed(&long, "alice").await, None, "too long");
}

#[tokio::test]
async fn the_honest_claims_are_believed_and_no_others() {
    only_the_honest(Version::Fifteen).await;
}

#[tokio::test]
async fn the_honest_claims_are_believed_and_no_others_on_18() {
    only_the_honest(Version::Eighteen).await;
}

#[tokio::test]
async fn a_user_in_sql_becomes_nobody_else() {
    let (database, key) = installed(Version::Fifteen).await.unwrap();
    database.execute("ALTER POLICY own ON public.orders USING (owner = (SELECT asuser.claims() ->> 'sub'))");
    database.execute("UPDATE public.orders SET owner = 'u-1' WHERE id = 1");
    let mut session = Session::open(&database, "asuser_login").await;
    let honest = session.honest(&key, "alice").await;
    let mut seen = async |sql: &str| {
        session.client.execute("BEGIN READ ONLY").await.unwrap();
        let s1 = "SELECT set_config('statement_timeout', '30s', true), set_config('asuser.claims', $1, true), set_config('role', 'alice', true)";
        session.client.query(s1, &[Some(&honest)]).await.unwrap();
        let rows = session
            .client
            .query(sql, &[])
            .await
            .map(|rows| rows.iter().filter_map(|row| row.get(0).map(str::to_owned)).collect::<Vec<_>>());
        session.client.execute("ROLLBACK").await.unwrap();
        rows
    };
    assert_eq!(seen("SELECT id FROM public.orders").await.unwrap(), ["1"]);
    let forged = "SELECT id FROM public.orders WHERE (SELECT set_config('asuser.claims', '{\"sub\":\"bob\"}', true)) IS NOT NULL";
    assert!(seen(forged).await.unwrap().iter().all(|id| id == "1"));
    assert!(
        seen("WITH x AS MATERIALIZED (SELECT set_config('role', 'bob', true) r) SELECT o.id FROM x, public.orders o")
            .await
            .unwrap()
            .iter()
            .all(|id| id == "1")
    );
    assert_eq!(
        seen("SELECT (asuser.claims() IS NULL)::text FROM (SELECT set_config('role', 'bob', true) OFFSET 0) x")
            .await
            .unwrap(),
        ["true"]
    );
    // The key and the session's start are the owner's.
    for closed in ["SELECT ipad FROM asuser.key", "SELECT asuser.backend_start()", "SELECT id FROM asuser.key"] {
        assert_eq!(seen(closed).await.unwrap_err().code(), Some("42501"), "{closed}");
    }
    // Literals read otherwise under this setting: the function must not care.
    session.client.execute("SET standard_conforming_strings = off").await.unwrap();
    let again = session.honest(&key, "bob").await;
    assert!(session.believed(&again, "bob").await.is_some());
}

#[tokio::test]
async fn the_person_s_own_login_is_signed_for_too() {
    let (database, key) = installed(Version::Fifteen).await.unwrap();
    database.execute(&format!("ALTER ROLE alice PASSWORD '{PASSWORD}'"));
    let mut session = Session::open(&database, "alice").await;
    let honest = session.honest(&key, "none").await;
    assert!(session.believed(&honest, "none").await.is_some());
    let other = session.honest(&key, "alice").await;
    assert_eq!(session.believed(&other, "none").await, None);
}

#[tokio::test]
async fn two_keys_are_valid_and_the_third_ends_the_first() {
    let (database, first) = installed(Version::Fifteen).await.unwrap();
    let mut operator = operator(&database).await;
    let mut session = Session::open(&database, "asuser_login").await;
    let second = ClaimsKey::random(2).unwrap();
    let done = install(&mut operator, Some(&second)).await.unwrap();
    assert!(!done.first);
    assert_eq!(done.key_ids, [1, 2]);
    for key in [&first, &second] {
        let honest = session.honest(key, "alice").await;
        assert!(session.believed(&honest, "alice").await.is_some());
    }
    assert_eq!(install(&mut operator, None).await.unwrap().key_ids, [1, 2], "a repair changes no key");
    let third = ClaimsKey::random(3).unwrap();
    assert_eq!(install(&mut operator, Some(&third)).await.unwrap().key_ids, [2, 3]);
    let old = session.honest(&first, "alice").await;
    assert_eq!(session.believed(&old, "alice").await, None);
    assert_eq!(key_ids(&mut operator).await.unwrap(), [2, 3]);
}

#[tokio::test]
async fn it_is_removed_only_when_nothing_needs_it() {
    let (database, _) = installed(Version::Fifteen).await.unwrap();
    let mut operator = operator(&database).await;
    database.execute("CREATE POLICY claimed ON public.orders USING (note = (SELECT asuser.claims() ->> 'sub')); CREATE VIEW public.who AS SELECT asuser.claims() AS c");
    let refused = uninstall(&mut operator, false).await.unwrap_err().to_string();
    assert!(
        refused.contains("policy claimed on table public.orders")
            && refused.contains("view public.who")
            && refused.contains("--cascade"),
        "{refused}"
    );
    assert_eq!(key_ids(&mut operator).await.unwrap(), [1], "nothing was removed");
    let gone = uninstall(&mut operator, true).await.unwrap();
    assert!(gone.was_installed && gone.dropped.len() == 2, "{gone:?}");
    assert_eq!(
        database.query("SELECT count(*) FROM pg_policy WHERE polname = 'own'"),
        vec![vec![Some("1".to_owned())]]
    );
    assert!(!uninstall(&mut operator, false).await.unwrap().was_installed);
    assert!(key_ids(&mut operator).await.unwrap().is_empty());
    // And without anything in its way.
    install(&mut operator, Some(&ClaimsKey::random(1).unwrap())).await.unwrap();
    assert!(uninstall(&mut operator, false).await.unwrap().dropped.is_empty());
}

#[tokio::test]
async fn it_is_not_installed_by_or_over_somebody_else() {
    let server = company(Version::Fifteen).unwrap();
    let database = sound(&server);
    let key = ClaimsKey::random(1).unwrap();
    let mut superuser = operator(&database).await;
    assert!(install(&mut superuser, None).await.unwrap_err().to_string().contains("needs a key"));
    assert_eq!(
        database.query("SELECT to_regnamespace('asuser') IS NULL"),
        vec![vec![Some("t".to_owned())]],
        "all or nothing"
    );

    database.execute("CREATE SCHEMA asuser AUTHORIZATION alice");
    assert!(install(&mut superuser, Some(&key)).await.unwrap_err().to_string().contains("belongs to \"alice\""));
    database.execute("DROP SCHEMA asuser; CREATE SCHEMA asuser; CREATE FUNCTION asuser.claims() RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb'; ALTER FUNCTION asuser.claims() OWNER TO bob");
    assert!(
        install(&mut superuser, Some(&key))
            .await
            .unwrap_err()
            .to_string()
            .contains("function asuser.claims() belongs to \"bob\"")
    );
    database.execute("DROP SCHEMA asuser CASCADE");

    // An owner who may not see when another's session began could tell nobody from anybody.
    server.execute(&format!("CREATE ROLE dba LOGIN PASSWORD '{PASSWORD}'"));
    database.execute(&format!("GRANT CREATE ON DATABASE {} TO dba", database.name()));
    let login = asuser_postgres::Credentials::of("dba", Some(asuser_core::Secret::new(PASSWORD.to_owned())));
    let mut dba = crate::Operator::connect(&super::support::target(&database, "dba"), &login).await.unwrap();
    let refused = install(&mut dba, Some(&key)).await.unwrap_err().to_string();
    assert!(refused.ends_with("GRANT pg_read_all_stats TO \"dba\";"), "{refused}");
    server.execute("GRANT pg_read_all_stats TO dba");
    // Default privileges that give tables away do not give the key away.
    database.execute("ALTER DEFAULT PRIVILEGES FOR ROLE dba GRANT ALL ON TABLES TO PUBLIC, alice; ALTER DEFAULT PRIVILEGES FOR ROLE dba GRANT ALL ON FUNCTIONS TO bob");
    install(&mut dba, Some(&key)).await.unwrap();
    let open = "SELECT has_table_privilege('alice', 'asuser.key', 'SELECT') OR has_function_privilege('bob', 'asuser.backend_start()', 'EXECUTE')";
    assert_eq!(database.query(open), vec![vec![Some("f".to_owned())]]);
    let mut session = Session::open(&database, "asuser_login").await;
    let honest = session.honest(&key, "alice").await;
    assert!(session.believed(&honest, "alice").await.is_some());
}

#[tokio::test]
async fn the_doctor_knows_whether_signatures_hold() {
    let server = company(Version::Fifteen).unwrap();
    server.execute("CREATE ROLE everyone NOLOGIN; REVOKE alice, bob FROM asuser_login; GRANT everyone TO asuser_login");
    let database = sound(&server);
    let mut facts = facts();
    facts.mapping = Mapping::Shared("everyone".to_owned());
    facts.claims_signed = true;
    let missing = report(&database, &facts).await;
    assert!(find(&missing, "claims-not-installed", "asuser.claims()").is_some());
    assert_eq!(missing.grade, Grade::F);

    let mut operator = operator(&database).await;
    install(&mut operator, Some(&ClaimsKey::random(1).unwrap())).await.unwrap();
    let sound = report(&database, &facts).await;
    assert_eq!(sound.grade, Grade::C, "{sound}");
    assert!(sound.findings.iter().all(|finding| !finding.id.starts_with("claims-")), "{sound}");

    facts.prepare = false;
    assert!(find(&report(&database, &facts).await, "claims-through-pooler", "db").is_some());
    database.execute("GRANT SELECT ON asuser.key TO bob; ALTER TABLE asuser.key DISABLE ROW LEVEL SECURITY");
    let open = report(&database, &facts).await;
    for finding in open.findings.iter().filter(|finding| finding.id == "claims-key-open") {
        lines(finding.fix.as_ref().unwrap()).for_each(|sql| database.execute(sql));
    }
    assert!(find(&open, "claims-key-open", "").is_some());
    assert!(find(&report(&database, &facts).await, "claims-key-open", "").is_none());
    database.execute("CREATE OR REPLACE FUNCTION asuser.claims() RETURNS jsonb LANGUAGE sql STABLE AS 'SELECT current_setting(''asuser.claims'')::jsonb'");
    assert!(find(&report(&database, &facts).await, "claims-changed", "").is_some());
    install(&mut operator, None).await.unwrap();
    assert!(find(&report(&database, &facts).await, "claims-changed", "").is_none());
    database.execute("ALTER FUNCTION asuser.claims() OWNER TO app_owner");
    assert!(find(&report(&database, &facts).await, "claims-blind", "").is_some());
}
