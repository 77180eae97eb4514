//! What SQL tries: to be somebody else, to change something, to reach past the tables (ATTACKS DB-01 … DB-08, DB-15, DB-16, RM-01,
//! RM-04, RM-08, RM-12). Whatever is answered holds nothing of anybody else's, nothing changes, and the next one is not touched.

use asuser_testkit::{PostgresServer, Version};
use serde_json::json;

use super::{Firm, MAY_SUBMIT, POLICY, ROW_SECURITY, refused};

/// A function of the company's that would change who asks, and one that the path would prefer.
const TRAPS: &str = "
    CREATE FUNCTION leak(orders) RETURNS text LANGUAGE sql AS $$ SELECT 'SECRET-FUNCTION' $$;
    CREATE FUNCTION as_bob() RETURNS bigint LANGUAGE sql STABLE SET \"request.jwt.claims\" = '{\"login\":\"bob\"}' AS $$ SELECT count(*) FROM orders $$;
    CREATE FUNCTION lower(text) RETURNS text LANGUAGE sql AS $$ SELECT 'SECRET-LOWER' $$;
    CREATE SEQUENCE counted; GRANT ALL ON SEQUENCE counted TO alice;
    CREATE TABLE canary (n int); GRANT ALL ON canary TO alice;
    CREATE MATERIALIZED VIEW kept AS SELECT * FROM orders;
    CREATE VIEW owners AS SELECT * FROM orders;
";

const TRIED: &[&str] = &[
    // DB-01
    "SELECT * FROM orders WHERE (SELECT set_config('role','bob',true)) IS NOT NULL",
    "WITH r AS MATERIALIZED (SELECT set_config('role','bob',true) AS x) SELECT o.* FROM orders o, r",
    "SELECT query_to_xml('SELECT * FROM orders', true, true, '') FROM orders",
    "SELECT pg_catalog.set_config('role','bob',true) FROM orders",
    "SELECT \"set_config\"('role','bob',true) FROM orders",
    "SELECT U&\"set\\005fconfig\"('role','bob',true) FROM orders",
    "SELECT set_config/**/('role','bob',true) FROM orders",
    // DB-05
    "COMMIT; RESET ROLE; SELECT * FROM orders",
    "SELECT 1 FROM orders; COMMIT; SELECT * FROM orders",
    "SELECT $$a$$ FROM orders; RESET ROLE",
    "SELECT 1 FROM orders /* ; */ ; RESET ROLE; --",
    "RESET ROLE",
    "SET ROLE bob",
    "SET SESSION AUTHORIZATION bob",
    "ROLLBACK AND CHAIN",
    // DB-06
    "DO $$ BEGIN EXECUTE 'SET ROLE bob'; END $$",
    "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql SET role = 'bob' AS 'SELECT 1'",
    "PREPARE p AS SELECT * FROM orders",
    "EXECUTE p",
    "CALL f()",
    "SELECT as_bob() FROM orders",
    "SELECT public.as_bob() FROM orders",
    "SELECT * FROM as_bob()",
    "SELECT orders.leak FROM orders",
    "SELECT (orders).leak FROM orders",
    "SELECT o.leak FROM orders AS o",
    "SELECT s.leak FROM (SELECT orders FROM orders) AS s",
    // DB-07, DB-08
    "SET TRANSACTION READ WRITE",
    "INSERT INTO canary VALUES (1)",
    "UPDATE canary SET n = 1",
    "WITH x AS (INSERT INTO canary VALUES (1) RETURNING n) SELECT * FROM x",
    "WITH x AS (DELETE FROM canary RETURNING n) SELECT * FROM x",
    "EXPLAIN ANALYZE DELETE FROM canary",
    "EXPLAIN (FORMAT JSON, ANALYZE) SELECT * FROM orders",
    "EXPLAIN SELECT * FROM orders",
    "SELECT * INTO taken FROM orders",
    "CREATE TABLE taken AS SELECT * FROM orders",
    "SELECT nextval('counted') FROM orders",
    "SELECT id FROM orders FOR UPDATE",
    "SELECT id FROM orders FOR KEY SHARE SKIP LOCKED",
    "LOCK TABLE orders",
    "SELECT random() FROM orders",
    "SELECT pg_sleep(10) FROM orders",
    "LISTEN x",
    "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM orders",
    "SELECT pg_advisory_lock(1) FROM orders",
    // DB-16, DB-19
    "COPY orders TO PROGRAM 'cat'",
    "COPY (SELECT * FROM orders) TO STDOUT",
    "SELECT pg_read_file('/etc/passwd') FROM orders",
    "SELECT lo_import('/etc/passwd') FROM orders",
    "SELECT * FROM dblink('', 'SELECT 1') AS t(a int)",
    "SELECT * FROM pg_stat_activity",
    "SELECT * FROM pg_catalog.pg_authid",
    "SELECT * FROM information_schema.tables",
    "SELECT current_setting('request.jwt.claims') FROM orders",
    "SELECT 'secrets'::regclass FROM orders",
    "SELECT has_table_privilege('bob', 'secrets', 'SELECT') FROM orders",
    "SELECT ctid FROM orders",
    "SELECT xmin FROM orders",
    "TABLE secrets",
    "SELECT * FROM orders TABLESAMPLE SYSTEM (100)",
    "SHOW ALL",
    "SELECT xmltable.* FROM XMLTABLE('/x' PASSING '<x/>' COLUMNS a int) AS xmltable",
];

#[test]
fn nobody_becomes_somebody_else_and_nothing_changes() {
    let server = PostgresServer::shared(Version::Fifteen);
    // One connection: whatever a statement left behind would meet the next one.
    let firm = Firm::new(&server, &format!("{TRAPS}{ROW_SECURITY}"), "connections = 1", MAY_SUBMIT).started();
    for text in TRIED {
        let reply = firm.sql("alice", text);
        assert!(matches!(reply.status, 400 | 403), "{text}: {reply:?}");
        let message = refused(&reply, reply.status, &reply.reason());
        assert!(["ASU-506", "ASU-507", "ASU-505"].contains(&reply.reason().as_str()), "{text}: {reply:?}");
        assert!(message.len() < 600, "{text}: {message}");
        let next = firm
            .rows("bob", "SELECT current_user AS me, session_user <> current_user AS taken, count(*) AS n FROM orders");
        assert_eq!(next, json!([{ "me": "bob", "taken": true, "n": 1 }]), "after {text}");
    }
    // Honest twins of the shapes above.
    for (text, expected) in [
        ("SELECT lower(region) AS r FROM orders ORDER BY id", json!([{ "r": "eu" }, { "r": "apac" }])),
        ("WITH r AS MATERIALIZED (SELECT max(id) AS id FROM orders) SELECT r.id FROM r", json!([{ "id": 3 }])),
        ("SELECT $$a;b$$ AS s FROM orders LIMIT 1 -- the end", json!([{ "s": "a;b" }])),
        ("SELECT count(*) AS n FROM orders AS \"set_config\"", json!([{ "n": 2 }])),
    ] {
        assert_eq!(firm.rows("alice", text), expected, "{text}");
    }
    assert!(firm.database.query("SELECT n FROM canary").is_empty());
    assert!(firm.database.query("SELECT 1 FROM pg_class WHERE relname = 'taken'").is_empty());
    let called = firm.database.query("SELECT is_called FROM counted");
    assert_eq!(called[0][0].as_deref(), Some("f"), "the sequence was not touched");
}

/// DB-03: a spray over names that might be the identity, whoever wrote the policies.
#[test]
fn no_setting_can_be_written() {
    let server = PostgresServer::shared(Version::Fifteen);
    let firm = Firm::new(&server, ROW_SECURITY, "", MAY_SUBMIT).started();
    for name in [
        "role",
        "session_authorization",
        "request.jwt.claims",
        "request.jwt.claim.sub",
        "asuser.claims",
        "app.user",
        "search_path",
    ] {
        for text in [
            format!("SELECT set_config('{name}','bob',true), id FROM orders"),
            format!("SELECT id FROM orders WHERE set_config('{name}','bob',false) = 'bob'"),
            format!("SELECT id FROM orders ORDER BY set_config('{name}','bob',false)"),
            format!("SELECT id FROM orders LIMIT length(set_config('{name}','bob',false))"),
            format!("VALUES (set_config('{name}','bob',false))"),
        ] {
            let reply = firm.sql("alice", &text);
            assert_eq!((reply.status, reply.reason().as_str()), (400, "ASU-506"), "{text}: {reply:?}");
        }
    }
    assert_eq!(firm.rows("alice", "SELECT id FROM orders ORDER BY id"), json!([{ "id": 1 }, { "id": 3 }]));
}

/// RM-01 and RM-04: however a table is spelt and whatever is made of a column, rows and masks hold.
#[test]
fn no_spelling_and_no_expression_gets_past_a_filter_or_a_mask() {
    let server = PostgresServer::shared(Version::Fifteen);
    let mut firm = Firm::new(&server, TRAPS, "", MAY_SUBMIT);
    firm.database.execute("GRANT SELECT ON kept, owners TO alice");
    firm.site.write("policies/db/rows.cedar", POLICY);
    firm.site.write("policies/db/masks.toml", "[orders]\nemail = \"email\"\n");
    firm.start();
    let clear = ["ada@", "cem@", "dee@", "SECRET"];
    let spellings = [
        "orders",
        "ORDERS",
        "Orders",
        "public.orders",
        "PUBLIC.\"orders\"",
        "\"orders\"",
        "orders/**/",
        "public . orders",
        "orders AS t(a)",
        "(SELECT * FROM orders)",
    ];
    for spelling in spellings {
        let text = format!("SELECT x.* FROM (SELECT o.* FROM {spelling} AS o) AS x");
        let text = if spelling.contains(" AS t") { format!("SELECT * FROM {spelling}") } else { text };
        let reply = firm.sql("alice", &text);
        assert!(clear.iter().all(|word| !reply.text.contains(word)), "{text}: {reply:?}");
        assert!(reply.status == 403 || reply.status == 400 || rows_in(&reply) == 3, "{text}: {reply:?}");
    }
    for text in [
        "SELECT id FROM \"ORDERS\"",
        "SELECT id FROM U&\"\\006frders\"",
        "SELECT id FROM ONLY orders",
        "SELECT id FROM [orders]",
        "SELECT id FROM `orders`",
    ] {
        let reply = firm.sql("alice", text);
        assert!(matches!(reply.status, 400 | 403), "{text}: {reply:?}");
    }
    let mut ran = 0;
    for expression in [
        "email",
        "email AS e",
        "email || ''",
        "substr(email, 1, 3)",
        "CASE WHEN true THEN email END",
        "o.email::text",
        "o::text",
        "o",
        "to_jsonb(o)",
        "row_to_json(o)",
        "array_agg(email)",
        "string_agg(email, ',')",
        "max(email)",
        "min(email) OVER ()",
        "upper(email)",
        "json_agg(o)",
        "jsonb_object_agg(id, email)",
        "(SELECT email FROM orders i WHERE i.id = o.id)",
        "lag(email) OVER (ORDER BY id)",
        "coalesce(email, '')",
        "nullif(email, '')",
        "greatest(email, '')",
        "reverse(reverse(email))",
        "encode(convert_to(email, 'UTF8'), 'escape')",
        "left(email, 5)",
        "regexp_replace(email, 'x', 'y')",
        "format('%s', email)",
        "email LIKE 'ada%'",
        "position('ada' in email)",
        "md5(email) = md5('ada@one.example')",
    ] {
        let text = format!(
            "SELECT {expression} AS x FROM orders AS o{}",
            if expression.contains("agg") || expression.starts_with("max") { "" } else { " ORDER BY o.id" }
        );
        let reply = firm.sql("alice", &text);
        assert!(clear.iter().all(|word| !reply.text.contains(word)), "{text}: {reply:?}");
        if reply.status == 200 {
            ran += 1;
            for told in ["\"x\":true", "\"x\":1,", "\"x\":1}"] {
                assert!(!reply.text.contains(told), "{text}: {reply:?}");
            }
        }
    }
    assert!(ran >= 20, "most of these are honest questions: {ran} ran");
    for text in [
        "SELECT email FROM orders UNION SELECT email FROM orders",
        "SELECT a.email FROM orders a JOIN orders b USING (email)",
        "SELECT b.email FROM orders a NATURAL JOIN orders b",
        "SELECT l.e FROM orders o, LATERAL (SELECT o.email AS e) l",
        "SELECT e FROM (SELECT (SELECT email) AS e FROM orders) s",
        "WITH RECURSIVE r AS (SELECT id, email FROM orders UNION ALL SELECT id + 1, email FROM r WHERE id < 9) SELECT * FROM r",
        "SELECT email FROM orders GROUP BY GROUPING SETS ((email), ())",
        "SELECT DISTINCT ON (email) email FROM orders",
        "SELECT * FROM orders WHERE email ~ 'ada'",
        "SELECT u FROM orders, unnest(ARRAY[email]) AS u",
        "SELECT e.value FROM orders o, jsonb_each_text(to_jsonb(o)) AS e",
        "SELECT * FROM owners",
    ] {
        let reply = firm.sql("alice", text);
        assert!(clear.iter().all(|word| !reply.text.contains(word)), "{text}: {reply:?}");
    }
    // A materialized view is a table of its own, with a policy of its own or none.
    assert_eq!(rows_in(&firm.sql("alice", "SELECT id FROM kept")), 4);
}

fn rows_in(reply: &crate::site::Reply) -> usize {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["resource"].as_array().unwrap().len()
}

/// RM-08: what a statement raises on a hidden row nobody can tell from what it raises on none.
#[test]
fn no_error_tells_of_a_hidden_row() {
    let server = PostgresServer::shared(Version::Fifteen);
    let mut firm = Firm::new(&server, "", "", MAY_SUBMIT);
    firm.site.write("policies/db/rows.cedar", POLICY);
    firm.start();
    // The hidden row has amount 0 and a region that is no number.
    for text in [
        "SELECT id FROM orders WHERE 1 / amount >= 0",
        "SELECT count(*) AS n FROM orders WHERE (CASE WHEN region = 'SECRET-US' THEN 1 / 0 ELSE 1 END) = 1",
        "SELECT id FROM orders WHERE region LIKE 'SECRET%' AND 1 / 0 = 1",
        "SELECT a.id FROM orders a JOIN orders b ON a.id = b.id AND 1 / b.amount >= 0",
        "SELECT id FROM orders WHERE region = 'SECRET-US' AND region::int = 1",
    ] {
        let reply = firm.sql("alice", text);
        assert!(!reply.text.contains("SECRET"), "{text}: {reply:?}");
        let absent = firm.sql("alice", &text.replace("SECRET", "ABSENT"));
        assert_eq!((reply.status, reply.reason_or_none()), (absent.status, absent.reason_or_none()), "{text}");
    }
    assert_eq!(rows_in(&firm.sql("alice", "SELECT id FROM orders WHERE 1 / amount >= 0")), 3);
    // On a row that can be seen the error comes, without the value.
    let words = refused(&firm.sql("alice", "SELECT 1 / (amount - 100) FROM orders"), 400, "ASU-609");
    assert!(!words.contains("100"), "{words}");
}

/// RM-12: what was judged is what runs, whatever the server makes of backslashes.
#[test]
fn strings_mean_the_same_to_the_guard_and_the_server() {
    let server = PostgresServer::shared(Version::Fifteen);
    let firm = Firm::new(&server, "", "", MAY_SUBMIT);
    firm.database.execute(&format!("ALTER DATABASE {} SET standard_conforming_strings = off", firm.database.name()));
    let firm = firm.started();
    for (text, expected) in [
        (r"SELECT 'a\' AS s FROM orders LIMIT 1", r"a\"),
        (r"SELECT 'a\'' OR 1=1 --' AS s FROM orders LIMIT 1", r"a\' OR 1=1 --"),
        (r"SELECT E'a\'b' AS s FROM orders LIMIT 1", "a'b"),
        ("SELECT $tag$a'b$x$tag$ AS s FROM orders LIMIT 1", "a'b$x"),
        ("SELECT 'a' /* /* ' */ ' */ AS s FROM orders LIMIT 1", "a"),
    ] {
        assert_eq!(firm.rows("alice", text), json!([{ "s": expected }]), "{text}");
    }
}
