//! What bypasses row security, policies, functions, schemas.

use asuser_testkit::Version;

use super::support::{Case, check, company, facts, find, lines, operator, report, sound};
use crate::doctor::{Grade, Mapping, ServiceDefault, Severity, examine};

const fn case(
    id: &'static str,
    severity: Severity,
    subject: &'static str,
    bad: &'static str,
    twin: &'static str,
) -> Case {
    Case { id, severity, subject, bad, twin, by_hand: None }
}

use Severity::{Critical, Note, Warning};

const CASES: &[Case] = &[
    case(
        "table-without-rls", Note, "public.plain",
        "CREATE TABLE public.plain (id int); \n GRANT SELECT ON public.plain TO alice",
        "CREATE TABLE public.plain (id int)",
    ),
    case(
        "table-without-rls", Note, "public.parts_1",
        "CREATE TABLE public.parts (id int) PARTITION BY LIST (id)\nCREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES IN (1)\n
        ALTER TABLE public.parts ENABLE ROW LEVEL SECURITY\nGRANT SELECT (id) ON public.parts_1 TO alice",
        "CREATE TABLE public.parts (id int) PARTITION BY LIST (id)\nCREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES IN (1)\nGRANT SELECT ON public.parts TO alice",
    ),
    Case {
        by_hand: Some("CREATE POLICY p ON public.shut FOR SELECT USING (true)"),
        ..case("rls-without-policy", Note, "public.shut", "CREATE TABLE public.shut (id int)\nALTER TABLE public.shut ENABLE ROW LEVEL SECURITY\nGRANT SELECT ON public.shut TO bob", "")
    },
    case("owner-bypasses-rls", Critical, "public.orders", "ALTER TABLE public.orders OWNER TO alice", ""),
    case("owner-can-alter", Warning, "public.orders", "ALTER TABLE public.orders OWNER TO alice\nALTER TABLE public.orders FORCE ROW LEVEL SECURITY", "ALTER TABLE public.orders FORCE ROW LEVEL SECURITY"),
    case(
        "view-without-security-invoker", Critical, "public.seen",
        "CREATE VIEW public.seen AS SELECT * FROM public.orders\nGRANT SELECT ON public.seen TO alice",
        "CREATE VIEW public.seen WITH (security_invoker = on) AS SELECT * FROM public.orders\nGRANT SELECT ON public.seen TO alice\nCREATE VIEW public.hidden AS SELECT * FROM public.orders",
    ),
    // The fault is in the inner view, which nobody may read but through the outer one.
    case(
        "view-without-security-invoker", Critical, "public.inner_view",
        "CREATE VIEW public.inner_view AS SELECT * FROM public.orders\nCREATE VIEW public.outer_view AS SELECT * FROM public.inner_view\nGRANT SELECT ON public.outer_view TO alice",
        "CREATE VIEW public.inner_view AS SELECT 1 AS id\nCREATE VIEW public.outer_view AS SELECT * FROM public.inner_view\nGRANT SELECT ON public.outer_view TO alice",
    ),
    // The table's owner is bound by FORCE; without it, a view of the owner's is as bad as a superuser's.
    case(
        "view-without-security-invoker", Critical, "public.seen",
        "CREATE VIEW public.seen AS SELECT * FROM public.orders\nALTER VIEW public.seen OWNER TO app_owner\nGRANT SELECT (id) ON public.seen TO alice",
        "CREATE VIEW public.seen AS SELECT * FROM public.orders\nALTER VIEW public.seen OWNER TO app_owner\nGRANT SELECT ON public.seen TO alice\nALTER TABLE public.orders FORCE ROW LEVEL SECURITY",
    ),
    case(
        "view-runs-as-owner", Note, "public.seen",
        "CREATE VIEW public.seen AS SELECT * FROM public.orders\nALTER VIEW public.seen OWNER TO app_owner\nGRANT SELECT ON public.seen TO alice\nALTER TABLE public.orders FORCE ROW LEVEL SECURITY",
        "",
    ),
    case(
        "materialized-view-over-rls", Critical, "public.kept",
        "CREATE MATERIALIZED VIEW public.kept AS SELECT * FROM public.orders\nGRANT SELECT ON public.kept TO alice",
        "CREATE MATERIALIZED VIEW public.kept AS SELECT * FROM public.orders",
    ),
    case(
        "materialized-view-over-rls", Critical, "public.\"Kept",
        "CREATE MATERIALIZED VIEW public.\"\"\"Kept\" AS SELECT * FROM public.orders\nGRANT SELECT ON public.\"\"\"Kept\" TO PUBLIC",
        "CREATE MATERIALIZED VIEW public.\"\"\"Kept\" AS SELECT 1 AS id\nGRANT SELECT ON public.\"\"\"Kept\" TO alice",
    ),
    case(
        "foreign-table", Warning, "public.far",
        "CREATE FOREIGN DATA WRAPPER w\nCREATE SERVER s FOREIGN DATA WRAPPER w\nCREATE FOREIGN TABLE public.far (id int) SERVER s\nGRANT SELECT ON public.far TO bob",
        "CREATE FOREIGN DATA WRAPPER w\nCREATE SERVER s FOREIGN DATA WRAPPER w\nCREATE FOREIGN TABLE public.far (id int) SERVER s",
    ),
    case(
        "definer-without-search-path", Critical, "public.peek(integer)",
        "CREATE FUNCTION public.peek(n int) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM public.orders'",
        "CREATE FUNCTION public.peek(n int) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT count(*) FROM public.orders'",
    ),
    case(
        "definer-callable", Warning, "public.peek()",
        "CREATE FUNCTION public.peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT count(*) FROM public.orders'",
        "CREATE FUNCTION public.peek() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.orders'",
    ),
    case(
        "definer-callable", Note, "public.go(",
        "CREATE PROCEDURE public.go(n int) LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT 1'\nCREATE ROLE harmless NOLOGIN\nALTER PROCEDURE public.go OWNER TO harmless",
        "CREATE FUNCTION public.go() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NULL; END'",
    ),
    case(
        "function-sets-identity", Critical, "public.other()",
        "CREATE FUNCTION public.other() RETURNS bigint LANGUAGE sql STABLE SET \"request.jwt.claims\" = '{\"sub\":\"bob\"}' AS 'SELECT count(*) FROM public.orders'",
        "CREATE FUNCTION public.other() RETURNS bigint LANGUAGE sql STABLE SET work_mem = '4MB' AS 'SELECT count(*) FROM public.orders'",
    ),
    case(
        "function-sets-identity", Critical, "public.other()",
        "CREATE FUNCTION public.other() RETURNS bigint LANGUAGE sql STABLE SET role = 'bob' AS 'SELECT count(*) FROM public.orders'",
        "CREATE FUNCTION public.other() RETURNS bigint LANGUAGE sql STABLE SET role = 'bob' AS 'SELECT 1'\nREVOKE EXECUTE ON FUNCTION public.other() FROM PUBLIC",
    ),
    case(
        "function-calls-set-config", Warning, "public.tell()",
        "CREATE FUNCTION public.tell() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$SELECT set_config('a.b', 'c', true)$$",
        "CREATE FUNCTION public.tell() RETURNS text LANGUAGE sql AS $$SELECT current_setting('a.b', true)$$",
    ),
    case("schema-writable", Critical, "public", "GRANT CREATE ON SCHEMA public TO PUBLIC", "GRANT CREATE ON SCHEMA public TO app_owner"),
    case("schema-owned", Critical, "public", "ALTER SCHEMA public OWNER TO alice", ""),
    case(
        "policy-reads-setting", Warning, "own on public.orders",
        "ALTER POLICY own ON public.orders USING (owner = (SELECT current_setting('request.jwt.claims', true)))",
        "REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM PUBLIC\nALTER POLICY own ON public.orders USING (owner = (SELECT current_setting('request.jwt.claims', true)))",
    ),
    case(
        "policy-reads-setting", Warning, "own on public.orders",
        "CREATE FUNCTION public.uid() RETURNS text LANGUAGE sql STABLE AS $$SELECT current_setting('request.jwt.claims', true)$$\nALTER POLICY own ON public.orders USING (owner = (SELECT public.uid()))",
        "CREATE FUNCTION public.uid() RETURNS text LANGUAGE sql STABLE AS $$SELECT session_user::text$$\nALTER POLICY own ON public.orders USING (owner = (SELECT public.uid()))",
    ),
    case(
        "policy-setting-not-wrapped", Note, "own on public.orders",
        "ALTER POLICY own ON public.orders USING (owner = current_setting('request.jwt.claims', true)::json ->> 'sub') WITH CHECK (owner = current_setting('x.y'))",
        "ALTER POLICY own ON public.orders USING (owner = (SELECT current_setting('request.jwt.claims', true)::json ->> 'sub'))",
    ),
    case(
        "policy-function-volatile", Note, "own on public.orders",
        "CREATE FUNCTION public.uid() RETURNS text LANGUAGE sql AS 'SELECT session_user::text'\nALTER POLICY own ON public.orders USING (owner = public.uid())",
        "CREATE FUNCTION public.uid() RETURNS text LANGUAGE sql STABLE AS 'SELECT session_user::text'\nALTER POLICY own ON public.orders USING (owner = public.uid())",
    ),
    case("policy-without-index", Note, "own on public.orders", "DROP INDEX public.orders_owner_idx", "CREATE INDEX ON public.orders (owner, id)"),
    case(
        "policy-without-index", Note, "own on public.orders",
        "DROP INDEX public.orders_owner_idx\nCREATE INDEX ON public.orders (owner) WHERE id > 1\nCREATE INDEX ON public.orders (id, owner)",
        "ALTER POLICY own ON public.orders USING (id > 1)\nDROP INDEX public.orders_owner_idx",
    ),
    case(
        "policy-scans-for-user", Note, "own on public.orders",
        "ALTER POLICY own ON public.orders USING (owner = current_user)",
        "ALTER TABLE public.orders ADD author text COLLATE \"C\", ADD who name\nALTER POLICY own ON public.orders USING (author = current_user OR who = current_user)",
    ),
    case("temporary-tables", Note, "shop", "DO $$BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PUBLIC', current_database()); END$$", ""),
];

async fn on(version: Version) {
    let Some(server) = company(version) else { return };
    let facts = facts();
    let database = sound(&server);
    let clean = report(&database, &facts).await;
    assert!(clean.findings.iter().all(|finding| finding.id == "hba-trust"), "{clean:#?}");
    assert_eq!((clean.grade, clean.exit_code()), (Grade::B, 0), "{clean}");
    // The same database, where the provider names the role: it may be that of several people.
    let mut claimed = facts.clone();
    claimed.mapping = Mapping::Provider;
    assert_eq!(report(&database, &claimed).await.grade, Grade::C);
    for case in CASES {
        check(&database, case, &facts).await;
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
async fn what_depends_on_the_configuration_depends_on_it() {
    let server = company(Version::Fifteen).unwrap();
    let database = sound(&server);
    database.execute("CREATE TABLE public.plain (id int); GRANT SELECT ON public.plain TO alice; CREATE FUNCTION public.peek(n int, t text) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT count(*) FROM public.orders'");
    let mut facts = facts();
    facts.default = ServiceDefault::Database;
    facts.schemas.push("elsewhere".to_owned());
    facts.trusted_functions.insert("public.gone()".to_owned());
    let found = report(&database, &facts).await;
    assert_eq!(find(&found, "table-without-rls", "public.plain").unwrap().severity, Warning);
    assert!(find(&found, "schema-missing", "elsewhere").is_some());
    assert!(find(&found, "trusted-function-missing", "public.gone()").is_some());
    assert!(find(&found, "definer-callable", "public.peek").is_some());
    assert!(find(&found, "tls-off", "db").is_none());

    facts.trusted_functions = ["public.peek(n integer, t text)".to_owned()].into();
    facts.local = false;
    let found = report(&database, &facts).await;
    assert!(find(&found, "definer-callable", "public.peek").is_none());
    assert!(find(&found, "trusted-function-missing", "").is_none());
    assert_eq!(find(&found, "tls-off", "db").unwrap().severity, Critical);
    assert_eq!((found.grade, found.exit_code()), (Grade::F, 1));
    facts.tls_verified = true;
    assert!(find(&report(&database, &facts).await, "tls-off", "").is_none());
}

#[tokio::test]
async fn the_index_serves_after_the_fix_and_not_before() {
    let server = company(Version::Fifteen).unwrap();
    let database = sound(&server);
    database.execute("ALTER POLICY own ON public.orders USING (owner = current_user)");
    database.execute("INSERT INTO public.orders SELECT n, 'u' || n % 2000, '' FROM generate_series(10, 30000) n");
    database.execute("ANALYZE public.orders");
    let plan = || {
        let mut session = database.session();
        session.execute("SET ROLE alice");
        session.query("EXPLAIN SELECT * FROM public.orders").into_iter().flatten().flatten().collect::<String>()
    };
    assert!(plan().contains("Seq Scan"), "{}", plan());
    let found = report(&database, &facts()).await;
    let finding = find(&found, "policy-scans-for-user", "own on public.orders").unwrap();
    assert_eq!(finding.severity, Warning, "30,000 rows");
    database.execute(finding.fix.as_ref().unwrap());
    assert!(plan().contains("Index"), "{}", plan());
    let mut session = database.session();
    session.execute("SET ROLE alice");
    assert_eq!(session.query("SELECT count(*) FROM public.orders"), vec![vec![Some("1".to_owned())]], "the same rows");
}

#[tokio::test]
async fn the_ladder_is_graded() {
    let server = company(Version::Fifteen).unwrap();
    let database = sound(&server);
    server.execute("CREATE ROLE everyone NOLOGIN; GRANT everyone TO asuser_login; REVOKE alice, bob FROM asuser_login");
    let mut facts = facts();
    facts.mapping = Mapping::Shared("everyone".to_owned());
    let shared = report(&database, &facts).await;
    assert_eq!(shared.grade, Grade::D, "{shared}");
    assert!(shared.next_rung.contains("asuser install --service db"));
    assert!(find(&shared, "shared-role", "everyone").is_some());

    facts.mapping = Mapping::Groups(["everyone".to_owned()].into());
    assert_eq!(report(&database, &facts).await.grade, Grade::C);
}

#[tokio::test]
async fn a_report_reads_well_and_as_json() {
    let server = company(Version::Fifteen).unwrap();
    let database = sound(&server);
    database.execute("CREATE VIEW public.\"a\u{1b}[2Jb\" AS SELECT * FROM public.orders; GRANT SELECT ON public.\"a\u{1b}[2Jb\" TO alice");
    let report = report(&database, &facts()).await;
    let text = report.to_string();
    assert!(text.starts_with("db: grade F\n") && !text.contains('\u{1b}'), "{text}");
    assert!(lines(&text).any(|line| line.starts_with("fix: ALTER VIEW")), "{text}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["grade"], "F");
    assert_eq!(json["findings"][0]["id"], "view-without-security-invoker");
    assert_eq!(json["findings"][0]["severity"], "critical");
}

#[tokio::test]
async fn an_operator_without_rights_hears_what_was_not_examined() {
    let server = company(Version::Fifteen).unwrap();
    server.execute(&format!("CREATE ROLE auditor LOGIN PASSWORD '{}'", super::support::PASSWORD));
    let database = sound(&server);
    let credentials = asuser_postgres::Credentials::of(
        "auditor",
        Some(asuser_core::Secret::new(super::support::PASSWORD.to_owned())),
    );
    let mut auditor =
        crate::Operator::connect(&super::support::target(&database, "auditor"), &credentials).await.unwrap();
    let found = examine(&mut auditor, &facts()).await.unwrap();
    assert!(find(&found, "hba-not-readable", "").is_some());
    assert_eq!(found.exit_code(), 0, "{found}");
    let mut superuser = operator(&database).await;
    assert!(find(&examine(&mut superuser, &facts()).await.unwrap(), "hba-not-readable", "").is_none());
}
