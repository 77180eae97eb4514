//! The login, the mapped roles, the server's settings.

use std::io::Write as _;

use asuser_testkit::Version;

use super::support::{Case, become_options, check, company, facts, find, report, sound};
use crate::doctor::Severity::{Critical, Note, Warning};
use crate::doctor::{Grade, Mapping, RunAs, ServiceFacts, Severity};

const fn case(
    id: &'static str,
    severity: Severity,
    subject: &'static str,
    bad: &'static str,
    twin: &'static str,
) -> Case {
    Case { id, severity, subject, bad, twin, by_hand: None }
}

const CASES: &[Case] = &[
    case("login-has-rights", Critical, "public.orders", "GRANT SELECT ON public.orders TO PUBLIC", ""),
    case(
        "login-has-rights",
        Critical,
        "public.orders",
        "GRANT SELECT (note) ON public.orders TO asuser_login",
        "GRANT UPDATE ON public.orders TO alice",
    ),
    case(
        "login-owns",
        Critical,
        "public.mine",
        "CREATE TABLE public.mine (id int)\nALTER TABLE public.mine OWNER TO asuser_login",
        "CREATE TABLE public.mine (id int)",
    ),
    case("login-inherits", Critical, "asuser_login", "ALTER ROLE asuser_login INHERIT", ""),
    case("login-privileged", Critical, "CREATEDB", "ALTER ROLE asuser_login CREATEDB", ""),
    case("login-privileged", Critical, "BYPASSRLS", "ALTER ROLE asuser_login BYPASSRLS", ""),
    case(
        "login-closed",
        Critical,
        "asuser_login",
        "ALTER ROLE asuser_login VALID UNTIL '2001-01-01'",
        "ALTER ROLE asuser_login VALID UNTIL '2999-01-01'",
    ),
    case("login-admin-option", Critical, "alice", "GRANT alice TO asuser_login WITH ADMIN OPTION", ""),
    case("role-privileged", Critical, "alice BYPASSRLS", "ALTER ROLE alice BYPASSRLS", ""),
    case("role-privileged", Critical, "alice CREATEROLE", "ALTER ROLE alice CREATEROLE", ""),
    case("role-privileged", Critical, "bob SUPERUSER", "ALTER ROLE bob SUPERUSER", "ALTER ROLE bob CREATEDB"),
    case(
        "role-in-privileged",
        Critical,
        "alice in pg_execute_server_program",
        "GRANT pg_execute_server_program TO alice",
        "GRANT pg_execute_server_program TO app_owner",
    ),
    case("role-in-privileged", Critical, "bob in pg_monitor", "GRANT pg_monitor TO bob", ""),
    // Through a group, which may be left only there.
    case(
        "role-in-privileged",
        Critical,
        "staff in pg_read_server_files",
        "CREATE ROLE staff\nGRANT pg_read_server_files TO staff\nGRANT staff TO bob",
        "",
    ),
    case("role-in-privileged", Warning, "bob in pg_checkpoint", "GRANT pg_checkpoint TO bob", ""),
    case("login-in-privileged", Critical, "pg_read_all_settings", "GRANT pg_read_all_settings TO asuser_login", ""),
    case("role-expired", Note, "alice", "ALTER ROLE alice VALID UNTIL '2001-01-01'", ""),
    case("role-nologin", Note, "bob", "ALTER ROLE bob NOLOGIN", ""),
    case(
        "setting-is-identity",
        Critical,
        "alice SET role",
        "ALTER ROLE alice SET role = 'bob'",
        "ALTER ROLE alice SET work_mem = '4MB'",
    ),
    case(
        "setting-is-identity",
        Critical,
        "SET request.jwt.claims",
        "ALTER ROLE asuser_login SET \"request.jwt.claims\" = '{}'",
        "ALTER ROLE app_owner SET role = 'bob'",
    ),
    case(
        "row-security-off",
        Warning,
        "bob SET row_security",
        "ALTER ROLE bob SET row_security = off",
        "ALTER ROLE bob SET row_security = on",
    ),
    case("log-without-person", Warning, "log_line_prefix", "ALTER SYSTEM SET log_line_prefix = '%m %u '", ""),
    case("password-md5", Warning, "password_encryption", "ALTER SYSTEM SET password_encryption = 'md5'", ""),
];

async fn on(version: Version) {
    let Some(server) = company(version) else { return };
    let database = sound(&server);
    for case in CASES {
        check(&database, case, &facts()).await;
    }
}

#[tokio::test]
async fn each_fault_is_found_and_ended_by_its_fix() {
    on(Version::Fifteen).await;
}

#[tokio::test]
async fn each_fault_is_found_and_ended_by_its_fix_on_18() {
    on(Version::Eighteen).await;
}

#[tokio::test]
async fn a_membership_that_inherits_is_found_on_16_and_later() {
    let Some(server) = company(Version::Eighteen) else { return };
    let bad = case("login-inherits", Critical, "alice", "GRANT alice TO asuser_login WITH INHERIT TRUE", "");
    check(&sound(&server), &bad, &facts()).await;
}

#[tokio::test]
async fn who_owns_the_database_and_how_passwords_are_kept() {
    let server = company(Version::Fifteen).unwrap();
    let database = sound(&server);
    let of_database = Case {
        by_hand: Some("DO $$BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO postgres', current_database()); END$$"),
        ..case(
            "owner-of-database",
            Critical,
            "shop",
            "DO $$BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO alice', current_database()); END$$",
            "",
        )
    };
    check(&database, &of_database, &facts()).await;
    let stored = Case {
        by_hand: Some("ALTER ROLE asuser_login PASSWORD 'x'"),
        ..case(
            "login-password-md5",
            Warning,
            "asuser_login",
            "SET password_encryption = 'md5'; ALTER ROLE asuser_login PASSWORD 'x'",
            "SET password_encryption = 'md5'; ALTER ROLE app_owner PASSWORD 'x'",
        )
    };
    check(&database, &stored, &facts()).await;
}

#[tokio::test]
async fn statements_of_others_are_not_to_be_read() {
    let server = company(Version::Fifteen).unwrap();
    let there = server.query("SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_stat_statements'");
    if there == [[Some("0".to_owned())]] {
        println!("skipped: this server has no pg_stat_statements");
        return;
    }
    let database = sound(&server);
    let create = "CREATE EXTENSION pg_stat_statements";
    check(&database, &case("stat-statements-readable", Note, "public.pg_stat_statements", create, ""), &facts()).await;
    server.execute("CREATE ROLE everyone NOLOGIN; GRANT everyone TO asuser_login");
    let shared = ServiceFacts { mapping: Mapping::Shared("everyone".to_owned()), ..facts() };
    let database = sound(&server);
    check(&database, &case("stat-statements-readable", Warning, "public.pg_stat_statements", create, ""), &shared)
        .await;
}

#[tokio::test]
async fn nobody_is_asuser_itself() {
    let server = company(Version::Fifteen).unwrap();
    server.execute("REVOKE bob FROM asuser_login; GRANT asuser_login TO bob");
    let shared = ServiceFacts { mapping: Mapping::Shared("bob".to_owned()), ..facts() };
    let bad = case("role-in-privileged", Critical, "bob in asuser_login", "SELECT 1", "");
    check(&sound(&server), &bad, &shared).await;
}

#[tokio::test]
async fn mapping_and_membership_are_compared() {
    let server = company(Version::Fifteen).unwrap();
    let database = sound(&server);
    server.execute("CREATE ROLE sales NOLOGIN; CREATE ROLE support NOLOGIN");
    server.execute(&format!("GRANT sales TO asuser_login{}", become_options(&server)));
    let mut facts = facts();
    facts.mapping = Mapping::Groups(["sales", "support", "gone"].map(str::to_owned).into());
    let before = report(&database, &facts).await;
    for (id, subject) in [
        ("login-can-become-more", "alice"),
        ("login-can-become-more", "bob"),
        ("mapped-role-out-of-reach", "support"),
        ("mapped-role-missing", "gone"),
    ] {
        let finding = find(&before, id, subject).unwrap_or_else(|| panic!("{id}: {before}"));
        super::support::lines(finding.fix.as_ref().unwrap()).for_each(|sql| database.execute(sql));
    }
    let after = report(&database, &facts).await;
    assert!(after.findings.iter().all(|finding| ["hba-trust", "shared-role"].contains(&finding.id)), "{after}");
    assert!(find(&before, "login-can-become-more", "sales").is_none());
}

#[tokio::test]
async fn without_anybody_there_is_nobody_to_serve() {
    let server = company(Version::Fifteen).unwrap();
    let database = sound(&server);
    server.execute("REVOKE alice, bob FROM asuser_login");
    assert!(find(&report(&database, &facts()).await, "no-mapped-roles", "asuser_login").is_some());
    let stranger = ServiceFacts { login: "nobody_here".to_owned(), ..facts() };
    let found = report(&database, &stranger).await;
    database.execute(find(&found, "login-missing", "nobody_here").unwrap().fix.as_ref().unwrap());
    assert!(find(&report(&database, &stranger).await, "login-missing", "").is_none());
}

#[tokio::test]
async fn the_certificate_rule_must_name_the_group() {
    let server = company(Version::Fifteen).unwrap();
    server.execute("GRANT asuser_users TO alice");
    let database = sound(&server);
    let facts = ServiceFacts { run_as: RunAs::Certificate, tls_verified: true, ..facts() };
    let good = report(&database, &facts).await;
    assert!(find(&good, "hba-cert-all", "").is_none() && find(&good, "hba-no-cert", "").is_none(), "{good}");
    // `local all postgres trust` of the test's server is a warning.
    assert_eq!(good.grade, Grade::B, "{good}");

    // There set_config must stay open, so no closing of it is advised.
    database.execute("CREATE POLICY more ON public.orders USING (note = (SELECT current_setting('x.y', true)))");
    let setting = report(&database, &facts).await;
    assert!(find(&setting, "policy-reads-setting", "more").unwrap().fix.is_none(), "{setting}");
    database.execute("DROP POLICY more ON public.orders");

    let other = ServiceFacts { users_group: "nobody".to_owned(), ..facts.clone() };
    assert_eq!(find(&report(&database, &other).await, "hba-no-cert", "pg_hba.conf").unwrap().severity, Critical);
    assert!(find(&report(&database, &other).await, "no-mapped-roles", "nobody").is_some());

    let file = server.query("SHOW hba_file")[0][0].clone().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let mut open = std::fs::OpenOptions::new().append(true).open(&file).unwrap();
    writeln!(open, "hostssl all all 127.0.0.1/32 cert map=m\nhost all all 0.0.0.0/0 trust").unwrap();
    let bad = report(&database, &facts).await;
    assert_eq!(find(&bad, "hba-cert-all", "line").unwrap().severity, Critical, "{bad}");
    assert!(bad.findings.iter().any(|finding| finding.id == "hba-trust" && finding.severity == Critical), "{bad}");
    std::fs::write(&file, text.replace("trust", "peer")).unwrap();
    let best = report(&database, &facts).await;
    assert_eq!(best.grade, Grade::A, "{best}");
}
