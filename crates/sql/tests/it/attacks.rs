//! What an attacker would send, on a real server: refused, or harmless when it runs. Alice may become Bob, there is a table that nothing
//! leads to, and everything that could be written to is looked at afterwards.

use asuser_core::ColumnName;
use asuser_sql::{AllowedFunctions, Dialect, Place, Relation, SqlError, parse, print, resolve};
use asuser_testkit::{PgDatabase, PgSession, PostgresServer, Version};

use crate::support::vectors;

const TABLES: &str = r#"
CREATE TABLE orders (id int, owner text, region text, amount int, email text);
INSERT INTO orders VALUES (1, 'alice', 'EU', 10, 'SECRET@a'), (2, 'bob', 'SECRET-US', 777, 'SECRET@x'), (3, 'alice', 'US', 20, 'SECRET@b');
CREATE TABLE secrets (v text);
INSERT INTO secrets VALUES ('SECRET-TABLE');
CREATE TABLE canary (n int);
CREATE SEQUENCE canary_s;
CREATE FUNCTION public.write_canary() RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO canary VALUES (1) RETURNING 1';
CREATE FUNCTION public.peek(o orders) RETURNS text LANGUAGE sql STABLE AS 'SELECT v FROM secrets';
CREATE FUNCTION public.email_of(o orders) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1.email';
CREATE FUNCTION public.become_bob() RETURNS text LANGUAGE sql STABLE SET "request.jwt.claims" = 'bob' AS 'SELECT current_setting(''request.jwt.claims'')';
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC;
"#;

/// Each is tried as it is.
const ATTACKS: &[&str] = &[
    // DB-01, DB-03, DB-04: another identity
    "SELECT * FROM orders WHERE (SELECT set_config('role','bob',true)) IS NOT NULL",
    "WITH x AS MATERIALIZED (SELECT set_config('role','bob',true)) SELECT * FROM orders, x",
    "SELECT pg_catalog.set_config('request.jwt.claims','bob',true)",
    "SELECT pg_catalog . set_config('role','bob',false)",
    "SELECT \"set_config\"('role','bob',false)",
    "SELECT \"pg_catalog\".\"set_config\"('role','bob',false)",
    "SELECT sEt_CoNfIg('role','bob',false)",
    "SELECT set_config/**/('role','bob',false)",
    "SELECT set_config(setting_name => 'role', new_value => 'bob', is_local => false)",
    "SELECT * FROM set_config('role','bob',true)",
    "SELECT * FROM orders, LATERAL set_config('role','bob',true)",
    "SELECT * FROM ROWS FROM (set_config('role','bob',true))",
    "SELECT x.set_config FROM orders x",
    "SELECT (SELECT 1 FROM set_config('role','bob',true))",
    "SELECT count(*) FILTER (WHERE set_config('role','bob',true) IS NOT NULL) FROM orders",
    "SELECT sum(1) OVER (ORDER BY set_config('role','bob',true)) FROM orders",
    "SELECT 1 ORDER BY set_config('role','bob',true)",
    "SELECT 1 GROUP BY set_config('role','bob',true)",
    "SELECT 1 LIMIT (SELECT length(set_config('role','bob',true)))",
    "SELECT 1 OFFSET length(set_config('role','bob',true))",
    "VALUES (set_config('role','bob',true))",
    "SELECT CASE WHEN set_config('role','bob',true) = 'bob' THEN 1 END",
    "SELECT ARRAY[set_config('role','bob',true)]",
    "SELECT ARRAY(SELECT set_config('role','bob',true))",
    "SELECT (ARRAY[1])[length(set_config('role','bob',true))]",
    "SELECT 1 = ANY (ARRAY[length(set_config('role','bob',true))])",
    "SELECT DISTINCT ON (set_config('role','bob',true)) 1",
    "SELECT 1 FROM orders JOIN orders o ON set_config('role','bob',true) = 'x'",
    "SELECT 1 WINDOW w AS (ORDER BY set_config('role','bob',true))",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY length(set_config('role','bob',true)))",
    "SELECT string_agg('a', set_config('role','bob',true)) FROM orders",
    "SELECT 1 HAVING set_config('role','bob',true) IS NULL",
    "SELECT 1 UNION SELECT length(set_config('role','bob',true))",
    "SELECT coalesce(set_config('role','bob',true))",
    "SELECT EXTRACT(year FROM set_config('role','bob',true)::date)",
    "SELECT 'x' LIKE 'x' ESCAPE set_config('role','bob',true)",
    "SELECT now() AT TIME ZONE set_config('role','bob',true)",
    "SELECT query_to_xml('SELECT set_config(''role'',''bob'',true)', true, true, '')",
    "SELECT table_to_xml('secrets', true, true, '')",
    "SELECT become_bob()",
    "SELECT public.become_bob()",
    // DB-05: more than one statement
    "COMMIT; RESET ROLE; SELECT * FROM orders",
    "SELECT 1; RESET ROLE; SELECT * FROM secrets",
    "SELECT 1 /* ; */ ; RESET ROLE",
    "SELECT $$;$$; RESET ROLE",
    "SELECT $a$ $$;$$ $a$; RESET ROLE",
    "SELECT 1 -- \n; RESET ROLE",
    "SELECT 1 --\r; RESET ROLE",
    "SELECT /* /* */ 1; RESET ROLE; /* */ */ 2",
    "SELECT '\\'; RESET ROLE; --'",
    "SELECT E'\\'; RESET ROLE; --'",
    "SELECT \"; RESET ROLE; --\"",
    "SELECT U&'\\0027; RESET ROLE; --'",
    // DB-06, DB-07, DB-08: commands and writes
    "DO $$ BEGIN EXECUTE 'SET ROLE bob'; END $$",
    "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql SET role = 'bob' AS 'SELECT 1'",
    "SELECT pg_temp.f()",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "CALL p()",
    "SET TRANSACTION READ WRITE",
    "SET default_transaction_read_only = off",
    "INSERT INTO canary VALUES (1)",
    "WITH x AS (DELETE FROM orders RETURNING *) SELECT * FROM x",
    "WITH x AS (INSERT INTO canary VALUES (1) RETURNING n) SELECT * FROM x",
    "WITH RECURSIVE x AS (INSERT INTO canary VALUES (1) RETURNING n) SELECT 1",
    "SELECT * FROM (WITH x AS (INSERT INTO canary VALUES (1) RETURNING n) SELECT * FROM x) s",
    "EXPLAIN ANALYZE DELETE FROM orders",
    "EXPLAIN (FORMAT JSON, ANALYZE) UPDATE orders SET amount = 1",
    "SELECT 1 INTO canary2",
    "SELECT * INTO TEMP t FROM orders",
    "CREATE TABLE t AS SELECT 1",
    "SELECT nextval('canary_s')",
    "SELECT setval('canary_s', 5)",
    "SELECT write_canary()",
    "SELECT public.write_canary()",
    "SELECT * FROM write_canary()",
    "SELECT * FROM orders FOR UPDATE",
    "SELECT * FROM orders FOR KEY SHARE SKIP LOCKED",
    "LOCK TABLE orders",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_notify('a', 'b')",
    "SELECT lo_create(0)",
    "SELECT lo_import('/etc/passwd')",
    // DB-16, DB-19: files, other sessions, the catalogue
    "COPY (SELECT 1) TO PROGRAM 'id'",
    "COPY orders FROM '/etc/passwd'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT pg_stat_file('/etc/passwd')",
    "SELECT * FROM dblink('host=x', 'SELECT 1') AS t(a int)",
    "SELECT pg_terminate_backend(1)",
    "SELECT * FROM pg_stat_activity",
    "SELECT * FROM pg_catalog.pg_stat_activity",
    "SELECT * FROM pg_stat_get_activity(NULL)",
    "SELECT * FROM pg_class",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_shadow",
    "SELECT 'secrets'::regclass",
    "SELECT CAST('secrets' AS pg_catalog.regclass)",
    "SELECT regclass 'secrets'",
    "SELECT to_regclass('secrets')",
    "SELECT has_table_privilege('secrets', 'select')",
    "SELECT current_setting('role')",
    "SELECT pg_typeof(1)::regtype",
    "SELECT version()",
    // RM-01: other spellings of a table
    "SELECT * FROM ORDERS",
    "SELECT * FROM public.orders",
    "SELECT * FROM \"public\".\"orders\"",
    "SELECT * FROM orders/**/",
    "SELECT * FROM ONLY orders",
    "SELECT * FROM orders *",
    "TABLE orders",
    "TABLE secrets",
    "SELECT * FROM secrets",
    "SELECT * FROM public.secrets",
    "SELECT * FROM postgres.public.secrets",
    "SELECT * FROM U&\"\\0073ecrets\"",
    "WITH orders AS (SELECT * FROM public.orders) SELECT * FROM orders",
    "WITH secrets AS (SELECT 1 AS v) SELECT v FROM public.secrets",
    "WITH secrets AS (SELECT 1 AS v) SELECT (WITH x AS (SELECT v FROM secrets) SELECT v FROM x)",
    "WITH RECURSIVE a AS (SELECT * FROM secrets), secrets AS (SELECT 1 AS v) SELECT * FROM a",
    "SELECT v FROM (SELECT 1) s, secrets",
    // RM-04: a hidden column by other ways, and functions in the shape of columns
    "SELECT email FROM orders",
    "SELECT o.email FROM orders o",
    "SELECT o FROM orders o",
    "SELECT o::text FROM orders o",
    "SELECT (o).email FROM orders o",
    "SELECT (o.*)::text FROM orders o",
    "SELECT (o).* FROM orders o",
    "SELECT to_jsonb(o) FROM orders o",
    "SELECT row_to_json(o) FROM orders o",
    "SELECT json_agg(o) FROM orders o",
    "SELECT array_agg(o) FROM orders o",
    "SELECT max(o::text) FROM orders o",
    "SELECT o.peek FROM orders o",
    "SELECT peek FROM orders",
    "SELECT orders.peek FROM orders",
    "SELECT peek(o) FROM orders o",
    "SELECT o.email_of FROM orders o",
    "SELECT email(o) FROM orders o",
    "SELECT o.text FROM orders o",
    "SELECT * FROM orders o JOIN orders p USING (email)",
    "SELECT * FROM orders NATURAL JOIN (SELECT 'SECRET@x' AS email) s",
    "SELECT id FROM orders ORDER BY email",
    "SELECT count(*) FROM orders GROUP BY email",
    "SELECT count(*) FROM orders WHERE orders.email LIKE 'S%'",
    "SELECT o.ctid, o.tableoid, o.xmin FROM orders o",
    "SELECT id FROM orders WHERE orders IS NOT NULL",
    "SELECT id FROM orders UNION SELECT amount FROM orders WHERE amount = 777",
    // RM-08: errors that tell what hidden rows hold
    "SELECT 1 / (amount - 777) FROM orders",
    "SELECT region::int FROM orders WHERE amount = 777",
    "SELECT CASE WHEN amount = 777 THEN region::int END FROM orders",
    // FA-04: too much
    "SELECT repeat('a', 1000000000)",
    "SELECT lpad('a', 1000000000, 'b')",
    "SELECT format('%1000000000s', 'a')",
    "SELECT array_fill(1, ARRAY[10000, 10000])",
    "SELECT pg_sleep(100)",
    "SELECT pg_catalog.pg_sleep_for('1 hour')",
];

/// Alice's rows without the e-mail.
struct Fenced;

impl Place for Fenced {
    type Error = SqlError;

    fn relation(&mut self, out: &mut String, _relation: usize) -> Result<(), SqlError> {
        out.push_str(
            "(SELECT id, owner, region, amount FROM public.orders WHERE owner OPERATOR(pg_catalog.=) 'alice' OFFSET 0)",
        );
        Ok(())
    }

    fn parameter(&mut self, _out: &mut String, _parameter: usize) -> Result<(), SqlError> {
        Err(SqlError::TooComplex("there are none"))
    }
}

fn confined(text: &str) -> Result<String, SqlError> {
    let statement = parse(text, Dialect::Postgres, &AllowedFunctions::none(), &[])?;
    let mut relations = Vec::new();
    for name in statement.relations() {
        if name.name != "orders" || !matches!(name.schema.as_deref(), None | Some("public")) {
            return Err(SqlError::unknown_relation(name, ["orders"].into_iter()));
        }
        relations.push(Relation {
            columns: ["id", "owner", "region", "amount"].into_iter().map(ColumnName::from).collect(),
        });
    }
    print(&resolve(statement, &relations)?, &mut Fenced)
}

fn database() -> PgDatabase {
    let server = PostgresServer::shared(Version::Fifteen);
    let database = server.database("attacks");
    database.execute(TABLES);
    database
}

/// As somebody who may become `bob`, and may write.
fn as_alice(database: &PgDatabase) -> (PgSession, String) {
    let (alice, bob) = (database.server().unique("alice"), database.server().unique("bob"));
    database.execute(&format!("CREATE ROLE {bob}; CREATE ROLE {alice} IN ROLE {bob}"));
    let mut session = database.session();
    session.execute(&format!("SET SESSION AUTHORIZATION {alice}; SET statement_timeout = '20s'"));
    (session, alice)
}

/// Runs what was printed; gives the answer as text.
fn answer(session: &mut PgSession, text: &str) -> String {
    match session.try_query(text) {
        Ok(rows) => format!("{rows:?}"),
        Err(refusal) => format!("{refusal}"),
    }
}

fn unharmed(database: &PgDatabase, session: &mut PgSession, alice: &str, sql: &str) {
    let who = session.query("SELECT current_user, session_user, current_setting('role'), current_setting('default_transaction_read_only'), count(*) FROM pg_locks WHERE locktype = 'advisory' GROUP BY 1, 2, 3, 4 UNION ALL SELECT current_user, session_user, 'none', 'off', '0' LIMIT 1");
    let expected: Vec<Option<String>> =
        [alice, alice, "none", "off", "0"].iter().map(|&text| Some(text.to_owned())).collect();
    assert_eq!(who, [expected], "{sql}");
    let state = database.query("SELECT (SELECT count(*) FROM canary), (SELECT count(*) FROM orders), (SELECT is_called FROM canary_s), (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace), (SELECT count(*) FROM pg_largeobject_metadata)");
    let expected: Vec<Option<String>> = ["0", "3", "f", "4", "0"].iter().map(|&text| Some(text.to_owned())).collect();
    assert_eq!(state, [expected], "{sql}");
}

#[test]
fn nothing_escapes() {
    let database = database();
    let (mut session, alice) = as_alice(&database);
    // The ground is prepared: as they are, some succeed.
    let open = answer(
        &mut session,
        "BEGIN; SELECT email FROM orders WHERE (SELECT set_config('role', current_user, true)) IS NOT NULL; ROLLBACK",
    );
    assert!(!open.contains("ERROR"), "{open}");
    let bare = session.query("SELECT o.peek, o.email_of FROM orders o WHERE id = 2");
    assert_eq!(bare, [vec![Some("SECRET-TABLE".to_owned()), Some("SECRET@x".to_owned())]]);

    let (mut ran, mut refused) = (0, 0);
    for sql in ATTACKS {
        let answer = match confined(sql) {
            Err(error) => {
                refused += 1;
                error.to_string()
            }
            Ok(text) => {
                ran += 1;
                format!("{}\n{text}", answer(&mut session, &text))
            }
        };
        let leaks = ["SECRET", "777"].iter().any(|word| answer.contains(word) && !sql.contains(word));
        assert!(!leaks, "{sql}\n{answer}");
        unharmed(&database, &mut session, &alice, sql);
    }
    println!("{ran} ran, {refused} were refused");
    assert!(refused > 120, "{refused}");
}

/// The public lists of injections, as statements, as values and as ends of statements.
#[test]
fn public_lists_are_refused_or_harmless() {
    let database = database();
    let (mut session, alice) = as_alice(&database);
    let names = [
        "Auth_Bypass",
        "FUZZDB_MYSQL",
        "FUZZDB_MySQL_ReadLocalFiles",
        "FUZZDB_Postgres_Enumeration",
        "Generic_UnionSelect",
        "SQLi_Polyglots",
    ];
    let files: Vec<String> = names.iter().filter_map(|name| vectors(&format!("lists/{name}.txt"))).collect();
    // Ours, for where the lists are not.
    let own = [
        "' OR '1'='1",
        "1; DROP TABLE orders",
        "') UNION SELECT v FROM secrets --",
        "1 OR 1=1",
        "admin'/*",
        "1 AND (SELECT count(*) FROM secrets) > 0",
        "x' ORDER BY 9 --",
    ];
    let lines = files.iter().flat_map(|file| file.lines()).chain(own).filter(|line| !line.trim().is_empty());
    let mut ran = 0;
    for line in lines {
        let spliced = [
            line.to_owned(),
            format!("SELECT id FROM orders WHERE id = {line}"),
            format!("SELECT id FROM orders WHERE region = '{line}'"),
            format!("SELECT id FROM orders WHERE (region = '{line}')"),
            format!("SELECT id FROM orders {line}"),
        ];
        for sql in spliced {
            let Ok(text) = confined(&sql) else { continue };
            ran += 1;
            let found = answer(&mut session, &text);
            assert!(!found.contains("SECRET") && !found.contains("777"), "{sql}\n{text}\n{found}");
        }
    }
    unharmed(&database, &mut session, &alice, "all of them");
    assert!(ran > 5, "{ran}");
}
