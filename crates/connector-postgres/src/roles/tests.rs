//! Roles on real servers: each refusal with a twin that passes.

use std::sync::Arc;

use asuser_postgres::Client;
use asuser_testkit::{PgDatabase, PostgresServer, Version};

use super::*;
use crate::catalog::tests::{connect, one_server, servers};

/// Roles that statements may name, besides asuser's login.
const NAMES: [&str; 8] = ["alice", "root", "maker", "middle", "team", "other", "far", "idle"];

/// A database, asuser's login, and Alice. Roles are the server's, so their names are made for each test.
struct Fixture {
    database: PgDatabase,
    client: Client,
    gate: String,
    alice: String,
}

impl Fixture {
    /// `@gate`, `@alice` and the other names become roles of this test alone.
    async fn new(server: &Arc<PostgresServer>, sql: &str) -> Self {
        let database = server.database("roles");
        let (gate, alice) = (server.unique("gate"), server.unique("alice"));
        database.execute(&format!(
            "CREATE ROLE {gate} LOGIN NOINHERIT PASSWORD 'pw'; CREATE ROLE {alice} LOGIN; GRANT {alice} TO {gate} {}",
            if server.major() >= 16 { "WITH INHERIT FALSE" } else { "" }
        ));
        let client = connect(&database, &gate).await;
        let fixture = Self { database, client, gate, alice };
        fixture.execute(sql);
        fixture
    }

    fn named(&self, sql: &str) -> String {
        let suffix = self.alice.strip_prefix("alice").expect("the kit's name");
        let gate = sql.replace("@gate", &self.gate);
        NAMES.iter().fold(gate, |sql, name| sql.replace(&format!("@{name}"), &format!("{name}{suffix}")))
    }

    fn execute(&self, sql: &str) {
        self.database.execute(&self.named(sql));
    }

    async fn facts(&mut self) -> RoleFacts {
        self.facts_of(&self.alice.clone(), &["public"]).await
    }

    async fn facts_of(&mut self, role: &str, path: &[&str]) -> RoleFacts {
        let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
        read(&mut self.client, role, &RoleQuestion { path: &path }).await.expect("the role can be asked about")
    }

    async fn powerless(&mut self, role_mode: bool) -> Result<(), PostgresError> {
        login_is_powerless(&mut self.client, &self.gate.clone(), role_mode).await
    }
}

#[tokio::test]
async fn a_role_above_others_is_refused_by_itself_and_through_any_membership() {
    // What makes the role unusable, what undoes it, and what the operator reads.
    let cases = [
        ("ALTER ROLE @alice SUPERUSER", "ALTER ROLE @alice NOSUPERUSER", "`@alice` is a superuser"),
        (
            "ALTER ROLE @alice BYPASSRLS",
            "ALTER ROLE @alice NOBYPASSRLS",
            "`@alice` is not bound by row security (BYPASSRLS)",
        ),
        (
            "ALTER ROLE @alice CREATEROLE",
            "ALTER ROLE @alice NOCREATEROLE",
            "`@alice` is allowed to make and change roles (CREATEROLE)",
        ),
        (
            "ALTER ROLE @alice REPLICATION",
            "ALTER ROLE @alice NOREPLICATION",
            "`@alice` is allowed to copy the whole server (REPLICATION)",
        ),
        ("GRANT @root TO @alice", "REVOKE @root FROM @alice", "`@alice` is a member of `@root`, which is a superuser"),
        // Two steps away, and inherited nowhere.
        (
            "GRANT @middle TO @alice",
            "REVOKE @middle FROM @alice",
            "`@alice` is a member of `@maker`, which is allowed to make and change roles (CREATEROLE)",
        ),
        (
            "GRANT pg_read_all_data TO @alice",
            "REVOKE pg_read_all_data FROM @alice",
            "`@alice` is a member of `pg_read_all_data`, which is a predefined role with powers over the whole server",
        ),
        ("GRANT pg_monitor TO @team", "REVOKE pg_monitor FROM @team", "is a member of `pg_monitor`"),
        (
            "GRANT pg_execute_server_program TO @team",
            "REVOKE pg_execute_server_program FROM @team",
            "is a member of `pg_execute_server_program`",
        ),
        ("ALTER TABLE guarded OWNER TO @alice", "ALTER TABLE guarded OWNER TO postgres", "`@alice` owns `app.guarded`"),
        (
            "ALTER TABLE guarded OWNER TO @team",
            "ALTER TABLE guarded OWNER TO postgres",
            "`@alice` owns `app.guarded`, or is a member of its owner",
        ),
        (
            "REVOKE @alice FROM @gate; GRANT @gate TO @alice",
            "REVOKE @gate FROM @alice; GRANT @alice TO @gate",
            "`@alice` is a member of `@gate`, which is asuser's own login",
        ),
    ];
    for server in servers() {
        let mut fixture = Fixture::new(
            &server,
            "CREATE SCHEMA app; SET search_path = app; CREATE TABLE guarded (a int); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
             CREATE TABLE open (a int);
             CREATE ROLE @root SUPERUSER; CREATE ROLE @maker CREATEROLE; CREATE ROLE @middle NOINHERIT; GRANT @maker TO @middle;
             CREATE ROLE @team; CREATE ROLE @other; GRANT @team TO @alice; GRANT pg_checkpoint TO @team;
             ALTER TABLE open OWNER TO @alice; ALTER TABLE guarded OWNER TO postgres",
        )
        .await;
        // Harmless: a group, a table without row security, a predefined role that only works.
        let harmless = fixture.facts().await;
        assert_eq!(harmless.refusal, None);
        assert!(harmless.can_login && harmless.settable && !harmless.expired);
        for (does, undoes, words) in cases {
            fixture.execute(&format!("SET search_path = app; {does}"));
            let refusal = fixture.facts().await.refusal.unwrap_or_default();
            assert!(refusal.contains(&fixture.named(words)), "{does}: {refusal}");
            fixture.execute(&format!("SET search_path = app; {undoes}"));
            assert_eq!(fixture.facts().await.refusal, None, "{undoes}");
        }
        let owner = fixture.named(&format!("ALTER DATABASE {} OWNER TO @team", fixture.database.name()));
        fixture.execute(&owner);
        assert!(fixture.facts().await.refusal.is_some_and(|words| words.contains("owns the database")));
    }
}

#[tokio::test]
async fn names_that_are_no_persons_role_are_refused() {
    let server = one_server();
    let mut fixture = Fixture::new(&server, "CREATE ROLE @idle NOLOGIN VALID UNTIL '2001-01-01'").await;
    let gone = fixture.facts_of("nobody at all", &["public"]).await;
    assert_eq!(gone.refusal.as_deref(), Some("there is no database role `nobody at all`"));
    assert_eq!((gone.search_path.as_str(), gone.readable.len()), ("pg_catalog, pg_temp", 0));
    for name in ["none", "public", "PUBLIC", "pg_read_all_data", "postgres", &fixture.gate.clone()] {
        assert!(fixture.facts_of(name, &["public"]).await.refusal.is_some(), "{name}");
    }
    // Whether these may be used is for each request to say (SPEC C).
    let idle = fixture.facts_of(&fixture.named("@idle"), &["public"]).await;
    assert_eq!((idle.refusal, idle.can_login, idle.expired, idle.settable), (None, false, true, false));
}

#[tokio::test]
async fn the_most_special_setting_wins_and_one_that_says_who_is_refused() {
    let server = one_server();
    let mut fixture = Fixture::new(&server, "").await;
    let database = fixture.database.name().to_owned();
    fixture.execute(&format!(
        "ALTER DATABASE {database} SET \"TimeZone\" = 'Asia/Tokyo'; ALTER DATABASE {database} SET lock_timeout = '1s';
         ALTER DATABASE {database} SET search_path = elsewhere; ALTER DATABASE {database} SET work_mem = '9MB';
         ALTER ROLE @alice SET timezone = 'Europe/Berlin'; ALTER ROLE @alice SET statement_timeout = '7s';
         ALTER ROLE @alice IN DATABASE {database} SET statement_timeout = '1min';
         ALTER ROLE @alice SET default_transaction_read_only = on; ALTER ROLE @alice SET work_mem = '8MB';
         ALTER ROLE @alice IN DATABASE {database} SET app.tenant = '7'"
    ));
    let facts = fixture.facts().await;
    assert_eq!(facts.refusal, None);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut settings = facts.settings.clone();
    settings.sort();
    assert_eq!(settings, [pair("TimeZone", "Europe/Berlin"), pair("lock_timeout", "1s")]);
    assert_eq!((facts.timeout_ms, facts.read_only), (Some(60_000), true));
    assert_eq!(facts.ignored, ["app.tenant", "work_mem"]);
    assert_eq!(facts.search_path, "pg_catalog, \"public\", pg_temp");
    // A connection that such a setting comes too late for.
    let mut session = fixture.database.session();
    for setting in
        ["role = @alice", "session_authorization = @alice", "request.jwt.claims = '{}'", "\"Asuser\".claims = 'x'"]
    {
        for whom in
            ["ROLE @alice".to_owned(), format!("DATABASE {database}"), format!("ROLE @alice IN DATABASE {database}")]
        {
            session.execute(&fixture.named(&format!("ALTER {whom} SET {setting}")));
            let refusal = fixture.facts().await.refusal.unwrap_or_default();
            assert!(refusal.contains("set, which says who it is"), "{whom} {setting}: {refusal}");
            let name = setting.split(" =").next().unwrap_or_default();
            session.execute(&fixture.named(&format!("ALTER {whom} RESET {name}")));
            assert_eq!(fixture.facts().await.refusal, None, "{whom} {setting}");
        }
    }
    // Another role's, and another database's, are not this one's.
    fixture.execute("CREATE ROLE @other; ALTER ROLE @other SET role = 'postgres'; ALTER ROLE @other IN DATABASE postgres SET role = 'postgres'; ALTER ROLE @alice IN DATABASE postgres SET role = 'postgres'");
    assert_eq!(fixture.facts().await.refusal, None);
    fixture.execute("ALTER ROLE @alice IN DATABASE postgres RESET role");
}

#[tokio::test]
async fn the_path_is_the_roles_own_without_what_it_can_write_to() {
    let server = one_server();
    let mut fixture = Fixture::new(
        &server,
        "CREATE SCHEMA sales; CREATE SCHEMA \"Odd, \"\"one\"\"\"; CREATE SCHEMA drop_box; CREATE SCHEMA closed; CREATE SCHEMA @alice;
         CREATE ROLE @team; ALTER ROLE @alice NOINHERIT; GRANT @team TO @alice; CREATE SCHEMA team_box;
         GRANT USAGE ON SCHEMA sales, \"Odd, \"\"one\"\"\", drop_box, team_box, @alice TO @alice;
         GRANT CREATE ON SCHEMA drop_box TO @alice; GRANT CREATE ON SCHEMA team_box TO @team",
    )
    .await;
    let alice = fixture.alice.clone();
    // The service's schemas where the role has no path of its own.
    let facts = fixture.facts_of(&alice, &["sales", "public", "closed", "gone"]).await;
    assert_eq!(facts.search_path, "pg_catalog, \"sales\", \"public\", pg_temp");
    fixture.execute(
        "ALTER ROLE @alice SET search_path = drop_box, \"$user\", pg_temp, \"Odd, \"\"one\"\"\", SALES, pg_catalog, team_box, closed",
    );
    let facts = fixture.facts_of(&alice, &["public"]).await;
    assert_eq!(facts.search_path, format!("pg_catalog, \"{alice}\", \"Odd, \"\"one\"\"\", \"sales\", pg_temp"));
    assert_eq!(facts.writable, ["drop_box", "team_box"]);
    assert_eq!(facts.ignored, Vec::<String>::new());
    // The server reads the value as it is meant.
    let value: &[Option<&str>] = &[Some(&facts.search_path)];
    let set = fixture.client.query("SELECT pg_catalog.set_config('search_path', $1, false)", value).await;
    set.expect("a value for search_path");
    let shown =
        fixture.client.query("SELECT pg_catalog.array_to_string(pg_catalog.current_schemas(true), '|')", &[]).await;
    // asuser's login may use none of them.
    assert_eq!(shown.expect("schemas")[0].get(0), Some("pg_catalog"));
    // Everyone may write to public before PostgreSQL 15, or where it was granted.
    fixture.execute("ALTER ROLE @alice RESET search_path; GRANT CREATE ON SCHEMA public TO PUBLIC");
    let facts = fixture.facts().await;
    assert_eq!((facts.search_path.as_str(), facts.writable), ("pg_catalog, pg_temp", vec!["public".to_owned()]));
}

#[tokio::test]
async fn readable_is_what_the_role_and_its_groups_were_granted() {
    let server = one_server();
    let mut fixture = Fixture::new(
        &server,
        "CREATE TABLE whole (a int, b int); CREATE TABLE part (a int, gone int, b int, c int); ALTER TABLE part DROP COLUMN gone;
         CREATE TABLE none (a int); CREATE TABLE everyones (a int); CREATE TABLE teams (a int); CREATE TABLE setonly (a int);
         CREATE VIEW seen AS SELECT a FROM whole; CREATE SCHEMA closed; CREATE TABLE closed.t (a int);
         CREATE TABLE written (a int); CREATE ROLE @team; CREATE ROLE @far; GRANT @team TO @alice;
         GRANT SELECT ON whole, seen, closed.t TO @alice; GRANT SELECT (c, a) ON part TO @alice; GRANT INSERT ON written TO @alice;
         GRANT SELECT ON everyones TO PUBLIC; GRANT SELECT ON teams TO @team; GRANT SELECT ON setonly TO @far",
    )
    .await;
    let oid = |fixture: &Fixture, table: &str| -> u32 {
        let rows = fixture.database.query(&format!("SELECT '{table}'::regclass::oid"));
        rows[0][0].as_deref().and_then(|oid| oid.parse().ok()).expect("a table")
    };
    let facts = fixture.facts_of(&fixture.alice.clone(), &["public", "closed"]).await;
    let expected: BTreeMap<u32, Readable> = [
        ("whole", Readable::All),
        ("seen", Readable::All),
        ("part", Readable::Columns(vec![1, 4])),
        ("everyones", Readable::All),
        ("teams", Readable::All),
    ]
    .into_iter()
    .map(|(table, readable)| (oid(&fixture, table), readable))
    .collect();
    assert_eq!(facts.readable, expected);
    let part = &facts.readable[&oid(&fixture, "part")];
    assert!(part.holds(1) && !part.holds(3) && Readable::All.holds(3));
    fixture.execute("GRANT USAGE ON SCHEMA closed TO @alice; REVOKE SELECT ON whole FROM @alice");
    let facts = fixture.facts_of(&fixture.alice.clone(), &["public", "closed"]).await;
    assert!(
        facts.readable.contains_key(&oid(&fixture, "closed.t"))
            && !facts.readable.contains_key(&oid(&fixture, "whole"))
    );
}

/// What makes the login more than nobody, in mode `role` alone or in both, and what the operator reads.
const POWERS: [(&str, bool, &str); 16] = [
    ("ALTER ROLE @gate SUPERUSER", false, "is a superuser"),
    ("ALTER ROLE @gate BYPASSRLS", false, "is not bound by row security"),
    ("ALTER ROLE @gate CREATEROLE", false, "is allowed to make and change roles"),
    ("ALTER ROLE @gate REPLICATION", false, "is allowed to copy the whole server"),
    ("ALTER ROLE @gate INHERIT", true, "inherits what people's roles may do"),
    ("GRANT SELECT ON t TO @gate", false, "has a right on `public.t`"),
    ("GRANT DELETE ON \"Odd \"\"t\"\"\" TO @gate", false, "has a right on `public.Odd \"t\"`"),
    ("GRANT UPDATE (a) ON t TO @gate", false, "has a right on `public.t`"),
    ("GRANT SELECT ON v TO PUBLIC", false, "everyone, and so `@gate`, has a right on `public.v`"),
    ("GRANT SELECT (a) ON closed.t TO PUBLIC", false, "has a right on `closed.t`"),
    ("ALTER TABLE t OWNER TO @gate", false, "owns `public.t`"),
    ("ALTER TABLE t OWNER TO @gate; REVOKE ALL ON t FROM @gate", false, "owns `public.t`"),
    ("ALTER VIEW v OWNER TO @gate", false, "owns `public.v`"),
    ("GRANT @alice TO @gate WITH ADMIN OPTION", false, "may grant `@alice` to others"),
    ("GRANT @root TO @gate", false, "is a member of `@root`, which has powers over others"),
    ("GRANT pg_read_all_data TO @gate", false, "is a member of `pg_read_all_data`"),
];
/// The same, where memberships have options.
const POWERS_SINCE_16: [(&str, bool, &str); 2] = [
    ("GRANT @alice TO @gate WITH INHERIT TRUE", true, "inherits what `@alice` may do"),
    ("GRANT @alice TO @gate WITH SET FALSE", true, "is a member of `@alice` and cannot take it"),
];

#[tokio::test]
async fn a_login_with_any_power_is_refused_and_the_words_mend_it() {
    for server in servers() {
        let mut fixture = Fixture::new(
            &server,
            "CREATE TABLE t (a int); CREATE VIEW v AS SELECT a FROM t; CREATE TABLE \"Odd \"\"t\"\"\" (a int);
             CREATE SCHEMA closed; CREATE TABLE closed.t (a int); CREATE ROLE @root SUPERUSER;
             GRANT pg_checkpoint TO @gate",
        )
        .await;
        if server.major() >= 16 {
            fixture.execute("GRANT pg_checkpoint TO @gate WITH INHERIT FALSE");
        }
        // What people may do is not the login's, as long as it does not inherit.
        fixture.execute("GRANT SELECT ON t TO @alice");
        assert_eq!(fixture.powerless(true).await, Ok(()));
        fixture.execute(if server.major() >= 16 {
            "GRANT @alice TO @gate WITH INHERIT TRUE"
        } else {
            "ALTER ROLE @gate INHERIT"
        });
        let Err(PostgresError::Login(refusal)) = fixture.powerless(false).await else { panic!("Alice's rights") };
        let (what, mend) = refusal.split_once("; to mend it: ").expect("statements");
        assert!(what.contains("inherits what"), "{what}");
        fixture.database.execute(mend);
        assert_eq!(fixture.powerless(false).await, Ok(()));
        assert_eq!(fixture.powerless(true).await, Ok(()));
        fixture.execute("REVOKE SELECT ON t FROM @alice");
        let since_16 = if server.major() >= 16 { &POWERS_SINCE_16[..] } else { &[] };
        for (power, role_mode_only, words) in POWERS.iter().chain(since_16) {
            fixture.execute(power);
            let Err(PostgresError::Login(refusal)) = fixture.powerless(true).await else { panic!("{power}") };
            assert!(refusal.contains(&fixture.named(words)), "{power}: {refusal}");
            assert_eq!(fixture.powerless(false).await.is_ok(), *role_mode_only, "{power}");
            // What the words say is all that it takes.
            let (_, mend) = refusal.split_once("; to mend it: ").expect("statements");
            fixture.database.execute(mend);
            assert_eq!(fixture.powerless(true).await, Ok(()), "{power}: {mend}");
        }
        let gone = login_is_powerless(&mut fixture.client, "nobody at all", true).await;
        assert_eq!(gone, Err(PostgresError::Login("there is no role `nobody at all`".to_owned())));
        let owner = fixture.named(&format!("ALTER DATABASE {} OWNER TO @gate", fixture.database.name()));
        fixture.execute(&owner);
        let refused = fixture.powerless(true).await;
        assert!(
            matches!(&refused, Err(PostgresError::Login(words)) if words.contains("owns the database")),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn many_faults_are_told_in_few_words_and_an_extensions_own_tables_do_not_count() {
    let server = PostgresServer::shared(Version::Fifteen);
    let mut fixture = Fixture::new(&server, "CREATE EXTENSION pg_stat_statements").await;
    let shown = fixture.database.query("SELECT has_table_privilege('public', 'pg_stat_statements', 'SELECT')");
    assert_eq!(shown[0][0].as_deref(), Some("t"));
    assert_eq!(fixture.powerless(true).await, Ok(()));
    fixture.execute("GRANT DELETE ON pg_stat_statements TO PUBLIC");
    assert!(fixture.powerless(true).await.is_err());
    fixture.execute("REVOKE DELETE ON pg_stat_statements FROM PUBLIC");
    for n in 0..40 {
        fixture.execute(&format!("CREATE TABLE t{n} (a int); GRANT SELECT ON t{n} TO PUBLIC"));
    }
    let Err(PostgresError::Login(words)) = fixture.powerless(true).await else { panic!("forty tables are open") };
    assert!(words.contains("and others") && words.len() < 2_000, "{words}");
}
