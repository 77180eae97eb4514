//! A server of the test's own (roles are the whole cluster's), a small company in it, and an operator.

use std::sync::Arc;

use asuser_postgres::{Client, Credentials, Target};
use asuser_testkit::{PgDatabase, PostgresServer, Version};

use crate::Operator;
use crate::doctor::{Finding, Mapping, Report, ServiceFacts, Severity, examine};

pub(super) const PASSWORD: &str = "only for this test";

/// Roles: asuser_login may become alice and bob; app_owner owns the tables and is nobody's.
pub(super) fn company(version: Version) -> Option<Arc<PostgresServer>> {
    if version != Version::Fifteen && PostgresServer::shared_if_installed(version).is_none() {
        return None;
    }
    let server = PostgresServer::own(version);
    server.execute(&format!(
        "CREATE ROLE asuser_login LOGIN NOINHERIT PASSWORD '{PASSWORD}'; CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE app_owner NOLOGIN"
    ));
    server.execute(&format!("GRANT alice, bob TO asuser_login{}", become_options(&server)));
    Some(server)
}

pub(super) fn become_options(server: &PostgresServer) -> &'static str {
    if server.major() >= 16 { " WITH INHERIT FALSE, SET TRUE, ADMIN FALSE" } else { "" }
}

/// A database in which nothing is wrong.
pub(super) fn sound(server: &Arc<PostgresServer>) -> PgDatabase {
    let database = server.database("shop");
    make_sound(&database);
    database
}

/// Back to that; a fresh database for each case would take most of the time.
fn make_sound(database: &PgDatabase) {
    let name = asuser_testkit::postgres::quoted(database.name());
    database.execute(&format!("REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC"));
    database.execute(
        "SET client_min_messages = warning;
        DROP FOREIGN DATA WRAPPER IF EXISTS w CASCADE;
        DROP SCHEMA public CASCADE;
        CREATE SCHEMA public;
        GRANT USAGE ON SCHEMA public TO PUBLIC;
        GRANT EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) TO PUBLIC;
        REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM asuser_login;
        CREATE TABLE public.orders (id integer PRIMARY KEY, owner text, note text);
        CREATE INDEX ON public.orders (owner);
        ALTER TABLE public.orders OWNER TO app_owner;
        ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON public.orders USING (owner = current_user::text COLLATE \"default\");
        GRANT SELECT ON public.orders TO alice, bob;
        INSERT INTO public.orders VALUES (1, 'alice', 'a'), (2, 'bob', 'b'), (3, 'bob', 'c')",
    );
}

pub(super) fn target(database: &PgDatabase, user: &str) -> Target {
    Target::parse(&database.url(user)).unwrap()
}

/// The superuser, by the server's own socket.
pub(super) async fn operator(database: &PgDatabase) -> Operator {
    let folder = database.server().socket_folder().to_str().unwrap().replace('/', "%2F");
    let url = format!("postgres://postgres@{folder}:{}/{}", database.port(), database.name());
    Operator::connect(&Target::parse(&url).unwrap(), &Credentials::of("postgres", None)).await.unwrap()
}

pub(super) async fn client(database: &PgDatabase, user: &str) -> Client {
    let password = asuser_core::Secret::new(PASSWORD.to_owned());
    Client::connect(&target(database, user), &Credentials::of(user, Some(password))).await.unwrap()
}

pub(super) fn facts() -> ServiceFacts {
    ServiceFacts::new("db", "asuser_login", Mapping::Person)
}

pub(super) async fn report(database: &PgDatabase, facts: &ServiceFacts) -> Report {
    let mut operator = operator(database).await;
    let report = examine(&mut operator, facts).await.unwrap();
    operator.close().await;
    report
}

pub(super) fn find<'a>(report: &'a Report, id: &str, subject: &str) -> Option<&'a Finding> {
    report.findings.iter().find(|finding| finding.id == id && finding.subject.contains(subject))
}

/// One thing that can be wrong.
pub(super) struct Case {
    pub(super) id: &'static str,
    pub(super) severity: Severity,
    pub(super) subject: &'static str,
    /// What makes it wrong.
    pub(super) bad: &'static str,
    /// What looks like it and is right; none where the sound database is the twin.
    pub(super) twin: &'static str,
    /// The advised SQL ends it; else no SQL is advised, and this is what an operator does.
    pub(super) by_hand: Option<&'static str>,
}

/// Finds it, ends it by the advised SQL, and does not find it in the twin.
pub(super) async fn check(database: &PgDatabase, case: &Case, facts: &ServiceFacts) {
    let Case { id, severity, subject, bad, twin, by_hand } = case;
    make_sound(database);
    for statement in lines(bad) {
        database.execute(statement);
    }
    if bad.contains("ALTER SYSTEM") {
        database.server().reload();
    }
    let before = report(database, facts).await;
    let found =
        find(&before, id, subject).unwrap_or_else(|| panic!("{id} is not found after {bad}: {:#?}", before.findings));
    assert_eq!(found.severity, *severity, "{id}: {found:?}");
    assert_eq!(found.fix.is_none(), by_hand.is_some(), "{id}: {found:?}");
    let fix = by_hand.map_or_else(|| found.fix.clone().unwrap(), str::to_owned);
    let mut session = database.session();
    for statement in lines(&fix) {
        session.execute(statement);
    }
    let after = report(database, facts).await;
    assert!(find(&after, id, subject).is_none(), "{id} is still there after {fix}: {after:#?}");

    if twin.is_empty() {
        return;
    }
    make_sound(database);
    for statement in lines(twin) {
        database.execute(statement);
    }
    let good = report(database, facts).await;
    assert!(find(&good, id, subject).is_none(), "{id} is found in its twin {twin}: {good:#?}");
}

/// A statement a line, since some do not run beside others.
pub(super) fn lines(sql: &str) -> impl Iterator<Item = &str> {
    sql.lines().map(str::trim).filter(|line| !line.is_empty())
}
