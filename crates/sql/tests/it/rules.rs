//! Rule by rule: what is refused, with its words, and a twin that passes, with its text.

use asuser_sql::{AllowedFunctions, Dialect, ParameterName, SqlError};

use crate::support::{postgres, printed_with, resolved, sqlite};

/// Expressions of PostgreSQL that pass, over `orders AS o`.
const PRINTED: &[(&str, &str)] = &[
    ("o.id", r#""o"."id""#),
    ("lower(region)", r#"pg_catalog.lower("o"."region")"#),
    ("pg_catalog.lower(region)", r#"pg_catalog.lower("o"."region")"#),
    ("region = 'x'", r#"("o"."region" OPERATOR(pg_catalog.=) 'x')"#),
    ("id <> 1", r#"("o"."id" OPERATOR(pg_catalog.<>) 1)"#),
    ("id != 1", r#"("o"."id" OPERATOR(pg_catalog.<>) 1)"#),
    ("id OPERATOR(pg_catalog.+) 1", r#"("o"."id" OPERATOR(pg_catalog.+) 1)"#),
    ("-id", r#"(OPERATOR(pg_catalog.-) "o"."id")"#),
    ("-1", "(-1)"),
    ("- -9223372036854775808", "9223372036854775808"),
    ("1 + 2 * 3", "(1 OPERATOR(pg_catalog.+) (2 OPERATOR(pg_catalog.*) 3))"),
    ("1 - 2 - 3", "((1 OPERATOR(pg_catalog.-) 2) OPERATOR(pg_catalog.-) 3)"),
    ("id BETWEEN 1 AND 2", r#"(("o"."id" OPERATOR(pg_catalog.>=) 1) AND ("o"."id" OPERATOR(pg_catalog.<=) 2))"#),
    (
        "id NOT BETWEEN 1 AND 2",
        r#"(NOT (("o"."id" OPERATOR(pg_catalog.>=) 1) AND ("o"."id" OPERATOR(pg_catalog.<=) 2)))"#,
    ),
    ("region IN ('a')", r#"("o"."region" OPERATOR(pg_catalog.=) 'a')"#),
    ("region IN ('a', 'b\"c')", r#"("o"."region" OPERATOR(pg_catalog.=) ANY (E'{"a","b\\"c"}'))"#),
    ("id NOT IN (1, 2)", r#"(NOT ("o"."id" OPERATOR(pg_catalog.=) ANY (ARRAY[1, 2])))"#),
    (
        "id IN (1, customer_id)",
        r#"(("o"."id" OPERATOR(pg_catalog.=) 1) OR ("o"."id" OPERATOR(pg_catalog.=) "o"."customer_id"))"#,
    ),
    (
        "id IN (SELECT id FROM customers)",
        r#"("o"."id" OPERATOR(pg_catalog.=) ANY (SELECT "customers"."id" AS "id" FROM "public"."customers" AS "customers"))"#,
    ),
    ("region LIKE 'a%'", r#"("o"."region" OPERATOR(pg_catalog.~~) 'a%')"#),
    ("region NOT ILIKE 'a%'", r#"("o"."region" OPERATOR(pg_catalog.!~~*) 'a%')"#),
    ("region LIKE 'a!%' ESCAPE '!'", r#"("o"."region" OPERATOR(pg_catalog.~~) pg_catalog.like_escape('a!%', '!'))"#),
    ("region SIMILAR TO 'a'", r#"("o"."region" OPERATOR(pg_catalog.~) pg_catalog.similar_to_escape('a'))"#),
    ("nullif(id, 1)", r#"(CASE WHEN ("o"."id" OPERATOR(pg_catalog.=) 1) THEN NULL ELSE "o"."id" END)"#),
    ("CASE id WHEN 1 THEN 'a' END", r#"(CASE WHEN ("o"."id" OPERATOR(pg_catalog.=) 1) THEN 'a' END)"#),
    ("id IS DISTINCT FROM NULL", r#"("o"."id" IS NOT NULL)"#),
    (
        "id IS NOT DISTINCT FROM 1",
        r#"(CASE WHEN ("o"."id" IS NULL) THEN (1 IS NULL) WHEN (1 IS NULL) THEN FALSE ELSE ("o"."id" OPERATOR(pg_catalog.=) 1) END)"#,
    ),
    ("coalesce(id, 1)", r#"COALESCE("o"."id", 1)"#),
    ("EXTRACT(year FROM placed_at)", r#"EXTRACT(year FROM "o"."placed_at")"#),
    ("placed_at AT TIME ZONE 'UTC'", r#"pg_catalog.timezone('UTC', "o"."placed_at")"#),
    ("substring(region from 2 for 3)", r#"pg_catalog.substring("o"."region", 2, 3)"#),
    ("trim(leading 'x' from region)", r#"pg_catalog.ltrim("o"."region", 'x')"#),
    ("position('a' in region)", r#"pg_catalog.position("o"."region", 'a')"#),
    ("overlay(region placing 'a' from 2)", r#"pg_catalog.overlay("o"."region", 'a', 2)"#),
    ("id::text", r#"CAST("o"."id" AS pg_catalog.text)"#),
    ("CAST(id AS varchar(10))", r#"CAST("o"."id" AS pg_catalog.varchar(10))"#),
    ("'{1}'::int[]", "CAST('{1}' AS pg_catalog.int4[])"),
    ("DATE '2024-01-01'", "CAST('2024-01-01' AS pg_catalog.date)"),
    ("INTERVAL '1' DAY", "(INTERVAL '1' DAY)"),
    ("INTERVAL '1 day'", "CAST('1 day' AS pg_catalog.interval)"),
    ("'1'::interval(3)", "CAST('1' AS INTERVAL(3))"),
    ("region COLLATE \"C\"", r#"("o"."region" COLLATE pg_catalog."C")"#),
    ("pg_typeof(id)", r#"CAST(pg_catalog.pg_typeof("o"."id") AS pg_catalog.text)"#),
    ("id IN ((SELECT 1))", r#"("o"."id" OPERATOR(pg_catalog.=) ANY (SELECT 1 AS "?column?"))"#),
    ("id::text::text", r#"CAST("o"."id" AS pg_catalog.text)"#),
    ("current_user", "CURRENT_USER"),
    ("current_date", "CURRENT_DATE"),
    ("to_jsonb(o)", r#"pg_catalog.to_jsonb("asuser row 0")"#),
    ("app.region_of(id)", r#""app"."region_of"("o"."id")"#),
    ("make_interval(days => 3)", r#"pg_catalog.make_interval("days" => 3)"#),
    (
        "count(*) FILTER (WHERE id > 1) OVER (ORDER BY id)",
        r#"pg_catalog.count(*) FILTER (WHERE ("o"."id" OPERATOR(pg_catalog.>) 1)) OVER (ORDER BY "o"."id")"#,
    ),
    ("E'a\\nb\\\\'", "E'a\nb\\\\'"),
    ("E'\\x01\\r\\u0085'", "E'\\u0001\\u000d\\u0085'"),
    ("'a\\b'", "E'a\\\\b'"),
    ("'it''s'", "'it''s'"),
    ("$q$it's$q$", "'it''s'"),
    ("repeat('a', 10000)", "pg_catalog.repeat('a', 10000)"),
    ("format('%s', id)", r#"pg_catalog.format('%s', "o"."id")"#),
    ("tags[1]", r#"("o"."tags")[1]"#),
    ("(1, 2) = (id, 3)", r#"(ROW(1, 2) OPERATOR(pg_catalog.=) ROW("o"."id", 3))"#),
    ("TRUE AND FALSE AND NULL", "(TRUE AND FALSE AND NULL)"),
];

#[test]
fn expressions_are_printed_in_full() {
    for (sql, expected) in PRINTED {
        let text =
            postgres(&format!("SELECT {sql} AS x FROM orders o")).unwrap_or_else(|error| panic!("{sql}: {error}"));
        // A row's source has a name of its own.
        let text = text.replace(r#" AS "asuser row 0""#, r#" AS "o""#);
        assert_eq!(text, format!(r#"SELECT {expected} AS "x" FROM "public"."orders" AS "o""#), "{sql}");
    }
}

/// Statements of PostgreSQL that are refused, with words of the refusal, and a twin that passes.
const REFUSED: &[(&str, &str, &str)] = &[
    ("SELECT 1; SELECT 2", "one statement", "SELECT 1;"),
    ("SELECT 1; COMMIT", "one statement", "SELECT 1 ; ;"),
    ("", "empty", "SELECT 1"),
    ("-- nothing", "empty", "SELECT 1 -- nothing"),
    ("INSERT INTO orders VALUES (1)", "`INSERT` is not allowed", "SELECT 'INSERT INTO orders VALUES (1)'"),
    ("UPDATE orders SET id = 1", "`UPDATE` is not allowed", "SELECT 1 AS update"),
    ("DELETE FROM orders", "`DELETE` is not allowed", "SELECT 1"),
    ("MERGE INTO orders USING days ON TRUE WHEN MATCHED THEN DELETE", "`MERGE` is not allowed", "SELECT 1"),
    ("TRUNCATE orders", "`TRUNCATE` is not allowed", "SELECT 1"),
    ("CREATE TABLE x (a int)", "`CREATE` is not allowed", "SELECT 1"),
    ("DROP TABLE orders", "`DROP` is not allowed", "SELECT 1"),
    ("SET role = 'bob'", "`SET` is not allowed", "SELECT 1"),
    ("RESET ROLE", "`RESET` is not allowed", "SELECT 1"),
    ("SHOW search_path", "`SHOW` is not allowed", "SELECT 1"),
    ("COPY orders TO '/tmp/x'", "`COPY` is not allowed", "SELECT 1"),
    ("CALL p()", "`CALL` is not allowed", "SELECT 1"),
    ("DO $$BEGIN END$$", "`DO` is not allowed", "SELECT $$BEGIN END$$"),
    ("PREPARE p AS SELECT 1", "`PREPARE` is not allowed", "SELECT 1"),
    ("EXECUTE p", "`EXECUTE` is not allowed", "SELECT 1"),
    ("EXPLAIN ANALYZE SELECT 1", "`EXPLAIN` is not allowed", "SELECT 1"),
    ("LISTEN x", "`LISTEN` is not allowed", "SELECT 1"),
    (
        "WITH x AS (DELETE FROM orders RETURNING id) SELECT * FROM x",
        "`DELETE` is not allowed",
        "WITH x AS (SELECT id FROM orders) SELECT * FROM x",
    ),
    (
        "WITH x AS (INSERT INTO orders VALUES (1) RETURNING id) SELECT * FROM x",
        "`INSERT` is not allowed",
        "WITH x AS (VALUES (1)) SELECT * FROM x",
    ),
    (
        "WITH x AS (UPDATE orders SET id = 1 RETURNING id) SELECT * FROM x",
        "`UPDATE` is not allowed",
        "WITH x AS (SELECT 1) SELECT * FROM x",
    ),
    ("WITH x AS (SELECT 1) DELETE FROM orders", "`DELETE` is not allowed", "WITH x AS (SELECT 1) SELECT 2"),
    ("SELECT * INTO t FROM orders", "INTO", "SELECT * FROM orders"),
    ("SELECT id FROM orders FOR UPDATE", "FOR UPDATE", "SELECT id FROM orders"),
    ("SELECT id FROM orders FOR SHARE NOWAIT", "FOR UPDATE", "SELECT id FROM orders"),
    ("SELECT id FROM (SELECT id FROM orders FOR UPDATE) s", "FOR UPDATE", "SELECT id FROM (SELECT id FROM orders) s"),
    ("SELECT * FROM orders TABLESAMPLE system (1)", "TABLESAMPLE", "SELECT * FROM orders LIMIT 1"),
    ("SELECT * FROM ONLY orders", "ONLY", "SELECT * FROM orders"),
    ("SELECT * FROM ONLY (orders)", "ONLY", "SELECT * FROM (orders CROSS JOIN days)"),
    ("SELECT (o).region FROM orders o", "not allowed", "SELECT (o.region) FROM orders o"),
    ("SELECT (o).* FROM orders o", "", "SELECT o.* FROM orders o"),
    ("SELECT a.b.c.d FROM orders", "three parts", "SELECT public.orders.id FROM public.orders"),
    ("SELECT public.orders.id FROM orders", "not in FROM", "SELECT orders.id FROM orders"),
    ("SELECT * FROM db.public.orders", "two parts", "SELECT * FROM public.orders"),
    ("SELECT id FROM orders ORDER BY id USING <", "", "SELECT id FROM orders ORDER BY id DESC"),
    ("SELECT U&'\\0061'", "U&", "SELECT 'a'"),
    ("SELECT * FROM U&\"\\006frders\"", "U&", "SELECT * FROM \"orders\""),
    ("SELECT N'a'", "N''", "SELECT 'a'"),
    ("SELECT B'1'", "bit strings", "SELECT '1'"),
    ("SELECT X'1F'", "bit strings", "SELECT '\\x1f'::bytea"),
    ("SELECT $1", "parameters", "SELECT 1"),
    ("SELECT ?", "", "SELECT detail ? 'a' FROM orders"),
    ("SELECT :name", "parameter", "SELECT 'name'"),
    ("SELECT 123abc", "space", "SELECT 123 abc"),
    ("SELECT 0x1F", "", "SELECT 31"),
    ("SELECT 1_000", "", "SELECT 1000"),
    ("SELECT 'a' 'b'", "", "SELECT 'a' || 'b'"),
    ("SELECT 'a'\n'b'", "", "SELECT 'a'\n||'b'"),
    ("SELECT \"\"", "empty", "SELECT ''"),
    ("SELECT id FROM \u{a0}orders", "", "SELECT id FROM orders"),
    ("SELECT 1\u{0}", "U+0000", "SELECT 1"),
    ("SELECT 1 -- a\r, 2", "U+000D", "SELECT 1 -- a\r\n, 2"),
    ("SELECT E'\\0'", "", "SELECT E'\\t'"),
    ("SELECT ctid FROM orders", "system column", "SELECT id FROM orders"),
    ("SELECT o.xmin FROM orders o", "system column", "SELECT o.id FROM orders o"),
    ("SELECT tableoid FROM orders", "system column", "SELECT id FROM orders"),
    ("SELECT o.lower FROM orders o", "`lower` does not exist in `orders`", "SELECT lower(o.region) FROM orders o"),
    ("SELECT o.to_jsonb FROM orders o", "`to_jsonb` does not exist", "SELECT to_jsonb(o) FROM orders o"),
    ("SELECT salery FROM orders", "`salery` does not exist in `orders`", "SELECT amount FROM orders"),
    ("SELECT amuont FROM orders", "did you mean `amount`?", "SELECT amount FROM orders"),
    ("SELECT x.id FROM orders o", "`x` is not in FROM", "SELECT o.id FROM orders o"),
    ("SELECT orders.id FROM orders o", "`orders` is not in FROM", "SELECT o.id FROM orders o"),
    ("SELECT * FROM ordrs", "did you mean `orders`?", "SELECT * FROM orders"),
    ("SELECT id FROM orders, customers", "could be several", "SELECT orders.id FROM orders, customers"),
    ("SELECT region AS r FROM orders WHERE r = 'x'", "output column", "SELECT region AS r FROM orders ORDER BY r"),
    (
        "SELECT count(*) AS n FROM orders HAVING n > 1",
        "output column",
        "SELECT count(*) AS n FROM orders HAVING count(*) > 1",
    ),
    ("SELECT lwoer(region) FROM orders", "did you mean `lower`?", "SELECT lower(region) FROM orders"),
    ("SELECT set_config('role', 'bob', true)", "settings", "SELECT current_user"),
    ("SELECT current_setting('role')", "settings", "SELECT session_user"),
    ("SELECT pg_sleep(1)", "wait", "SELECT now()"),
    ("SELECT pg_read_file('/etc/passwd')", "server itself", "SELECT 1"),
    ("SELECT nextval('s')", "sequences", "SELECT row_number() OVER ()"),
    ("SELECT random()", "another answer", "SELECT 1"),
    ("SELECT query_to_xml('SELECT 1', true, true, '')", "query cannot be given as text", "SELECT 1"),
    ("SELECT dblink('x', 'y')", "other databases", "SELECT 1"),
    ("SELECT lo_import('/etc/passwd')", "large objects", "SELECT 1"),
    ("SELECT public.lower('A')", "not on the list", "SELECT app.region_of(1)"),
    ("SELECT \"LOWER\"('A')", "not on the list", "SELECT \"lower\"('A')"),
    ("SELECT repeat('a', 10001)", "10000", "SELECT repeat('a', 10000)"),
    ("SELECT repeat('a', id) FROM orders", "plain number", "SELECT repeat('a', 3) FROM orders"),
    ("SELECT lpad('a', 1000000000)", "10000", "SELECT lpad('a', 10)"),
    ("SELECT format('%1000000s', 1)", "format", "SELECT format('%10s', 1)"),
    ("SELECT format(region, 1) FROM orders", "format", "SELECT format('%s', region) FROM orders"),
    ("SELECT 'a'::char(100000)", "cast", "SELECT 'a'::char(100)"),
    ("SELECT 'orders'::regclass", "regclass", "SELECT 'orders'::text"),
    ("SELECT '1'::evil.int4", "evil.int4", "SELECT '1'::pg_catalog.int4"),
    ("SELECT '1'::public.mood", "public.mood", "SELECT '1'::text"),
    ("SELECT '<a/>'::xml", "cast", "SELECT '{}'::json"),
    ("SELECT 1 OPERATOR(public.+) 2", "operator", "SELECT 1 OPERATOR(pg_catalog.+) 2"),
    ("SELECT region COLLATE \"de_DE\" FROM orders", "collation", "SELECT region COLLATE \"C\" FROM orders"),
    (
        "SELECT region COLLATE public.\"C\" FROM orders",
        "collation",
        "SELECT region COLLATE pg_catalog.\"C\" FROM orders",
    ),
    ("SELECT -2 ^ 2", "parentheses", "SELECT (-2) ^ 2"),
    ("SELECT 1 < 2 < 3", "parentheses", "SELECT (1 < 2) = (2 < 3)"),
    ("SELECT * FROM orders AS o(a, b)", "column aliases", "SELECT id AS a FROM orders AS o"),
    ("SELECT * FROM (orders JOIN days ON TRUE) AS j", "brackets", "SELECT * FROM (orders JOIN days ON TRUE)"),
    ("SELECT * FROM jsonb_to_recordset('[]')", "returns records", "SELECT * FROM jsonb_to_recordset('[]') AS r(a int)"),
    (
        "SELECT * FROM generate_series(1, 2) AS g(a int)",
        "returns records",
        "SELECT * FROM generate_series(1, 2) AS g(a)",
    ),
    ("SELECT * FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS b int)", "", "SELECT * FROM jsonb_each('{}')"),
    ("SELECT * FROM ROWS FROM (generate_series(1, 2))", "", "SELECT * FROM generate_series(1, 2)"),
    ("SELECT * FROM orders LIMIT (SELECT 1)", "plain number", "SELECT * FROM orders LIMIT 1"),
    ("SELECT id FROM orders ORDER BY 2", "no output column", "SELECT id FROM orders ORDER BY 1"),
    (
        "SELECT id FROM orders UNION SELECT id FROM customers ORDER BY id + 1",
        "ORDER BY after UNION",
        "SELECT id FROM orders UNION SELECT id FROM customers ORDER BY id",
    ),
    ("SELECT 1, 2 UNION SELECT 1", "2 and 1 columns", "SELECT 1, 2 UNION SELECT 1, 2"),
    ("SELECT *", "needs a FROM", "SELECT 1"),
    ("SELECT region IS JSON FROM orders", "IS JSON", "SELECT jsonb_typeof(detail) FROM orders"),
    ("SELECT TOP 1 id FROM orders", "", "SELECT id FROM orders LIMIT 1"),
    ("SELECT id FROM orders QUALIFY TRUE", "", "SELECT id FROM orders"),
    ("SELECT 1 |> 2", "", "SELECT 1 + 2"),
    ("SELECT @@version", "", "SELECT 1"),
    ("SELECT a.* EXCEPT (id) FROM orders a", "", "SELECT a.* FROM orders a"),
    ("SELECT count(DISTINCT *) FROM orders", "", "SELECT count(*) FROM orders"),
    ("SELECT sum(*) FROM orders", "count()", "SELECT sum(id) FROM orders"),
    ("SELECT count(* ORDER BY id) FROM orders", "stands alone", "SELECT count(id ORDER BY id) FROM orders"),
    ("SELECT DISTINCT ON () id FROM orders", "no columns", "SELECT DISTINCT ON (id) id FROM orders"),
    ("SELECT pg_typeof(1) = 'orders'::regtype", "regtype", "SELECT pg_typeof(1) = 'integer'"),
    ("SELECT ROW(1) IS DISTINCT FROM ROW(2)", "rows", "SELECT 1 IS DISTINCT FROM 2"),
    ("SELECT o IS DISTINCT FROM o FROM orders o", "rows", "SELECT o.id IS DISTINCT FROM o.id FROM orders o"),
    ("SELECT $1$x$1$", "digit", "SELECT $a1$x$a1$"),
    ("SELECT convert_from('a', 'UTF8')", "not on the list", "SELECT encode('a', 'hex')"),
    ("SELECT current_schema", "not allowed", "SELECT current_catalog"),
    (
        "SELECT (SELECT 1), b FROM orders JOIN LATERAL (SELECT 1 AS a) b(c, d) ON TRUE",
        "2 aliases",
        "SELECT c FROM orders JOIN LATERAL (SELECT 1 AS a) b(c) ON TRUE",
    ),
];

#[test]
fn what_is_refused_says_why_and_its_twin_passes() {
    for (denied, words, twin) in REFUSED {
        match postgres(denied) {
            Ok(text) => panic!("{denied} was printed: {text}"),
            Err(error) => assert!(error.to_string().contains(words), "{denied}: {error}"),
        }
        postgres(twin).unwrap_or_else(|error| panic!("{twin}: {error}"));
    }
}

/// The same for SQLite.
const REFUSED_ON_SQLITE: &[(&str, &str, &str)] = &[
    ("PRAGMA table_info(orders)", "`PRAGMA` is not allowed", "SELECT 1"),
    ("ATTACH 'x' AS y", "`ATTACH` is not allowed", "SELECT 'ATTACH'"),
    ("VACUUM INTO 'x'", "`VACUUM` is not allowed", "SELECT 1"),
    ("EXPLAIN QUERY PLAN SELECT 1", "`EXPLAIN` is not allowed", "SELECT 1"),
    ("SELECT rowid FROM orders", "system column", "SELECT id FROM orders"),
    ("SELECT o._ROWID_ FROM orders o", "system column", "SELECT o.ID FROM orders o"),
    ("SELECT * FROM 'orders'", "double quotes", "SELECT * FROM \"orders\""),
    ("SELECT \"text\" FROM orders", "`text` does not exist", "SELECT 'text' FROM orders"),
    ("SELECT load_extension('x')", "nothing can be loaded", "SELECT lower('x')"),
    ("SELECT random()", "another answer", "SELECT 1"),
    ("SELECT zeroblob(1000000)", "huge", "SELECT x'00'"),
    ("SELECT printf('%.*c', 1000000, 'x')", "format", "SELECT printf('%s', 'x')"),
    ("SELECT printf('%1000000d', 1)", "format", "SELECT printf('%10d', 1)"),
    ("SELECT * FROM json_each('[1]')", "cannot stand in FROM", "SELECT json_array_length('[1]')"),
    ("SELECT * FROM orders INDEXED BY i", "hints", "SELECT * FROM orders"),
    ("SELECT * FROM orders NOT INDEXED", "", "SELECT * FROM orders"),
    ("SELECT ?1", "", "SELECT 1"),
    ("SELECT @a", "", "SELECT 1"),
    ("SELECT $a", "parameters", "SELECT 1"),
    ("SELECT CAST(id AS date) FROM orders", "cast to text", "SELECT CAST(id AS text) FROM orders"),
    ("SELECT name REGEXP 'a' FROM customers", "", "SELECT glob('a', name) FROM customers"),
    (
        "SELECT 1 UNION SELECT 2 INTERSECT SELECT 2",
        "left to right",
        "SELECT * FROM (SELECT 1 UNION SELECT 2) INTERSECT SELECT 2",
    ),
    (
        "(SELECT id FROM orders ORDER BY id) LIMIT 1",
        "no brackets",
        "SELECT * FROM (SELECT id FROM orders ORDER BY id) LIMIT 1",
    ),
    ("WITH a AS (SELECT * FROM a) SELECT * FROM a", "reads itself", "WITH a AS (SELECT * FROM orders) SELECT * FROM a"),
    (
        "WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a",
        "before it is defined",
        "WITH b AS (SELECT 1), a AS (SELECT * FROM b) SELECT * FROM a",
    ),
    ("SELECT id FROM orders WHERE id ISNULL", "IS NULL", "SELECT id FROM orders WHERE id IS NULL"),
    ("SELECT EXTRACT(year FROM placed_at) FROM orders", "strftime", "SELECT strftime('%Y', placed_at) FROM orders"),
    ("SELECT 1 AS a, o FROM orders o", "`o` does not exist", "SELECT 1 AS a, o.id FROM orders o"),
];

#[test]
fn what_sqlite_refuses_says_why_and_its_twin_passes() {
    for (denied, words, twin) in REFUSED_ON_SQLITE {
        match sqlite(denied) {
            Ok(text) => panic!("{denied} was printed: {text}"),
            Err(error) => assert!(error.to_string().contains(words), "{denied}: {error}"),
        }
        sqlite(twin).unwrap_or_else(|error| panic!("{twin}: {error}"));
    }
}

#[test]
fn long_names_are_refused_where_the_server_would_cut_them() {
    let (long, short) = ("a".repeat(64), "a".repeat(63));
    assert!(postgres(&format!("SELECT 1 AS {long}")).is_err());
    assert!(postgres(&format!("SELECT 1 AS {short}")).is_ok());
    // Umlauts count as the bytes that they are.
    assert!(postgres(&format!("SELECT 1 AS \"{}\"", "ä".repeat(32))).is_err());
    assert!(sqlite(&format!("SELECT 1 AS {long}")).is_ok());
}

#[test]
fn a_statement_has_its_limits() {
    let at_most = format!("SELECT '{}'", "x".repeat(asuser_sql::TEXT_BYTES_MAX - 9));
    assert!(postgres(&at_most).is_ok());
    assert!(matches!(postgres(&format!("{at_most} ")), Err(SqlError::TooLong { .. })));
    let joined = |count: usize| format!("SELECT 1 FROM orders{}", ", orders".repeat(count - 1));
    assert!(postgres(&joined(64)).is_ok());
    assert!(matches!(postgres(&joined(66)), Err(SqlError::TooComplex(_))));
    let with = |count: usize| {
        let ctes: Vec<String> = (0..count).map(|number| format!("c{number} AS (SELECT 1)")).collect();
        format!("WITH {} SELECT 1", ctes.join(", "))
    };
    assert!(postgres(&with(64)).is_ok());
    assert!(matches!(postgres(&with(65)), Err(SqlError::TooComplex(_))));
    let terms = |count: usize| format!("SELECT 1 WHERE {}", vec!["1 = 1"; count].join(" OR "));
    assert!(postgres(&terms(900)).is_ok());
    assert!(matches!(postgres(&terms(5_000)), Err(SqlError::TooComplex(_))));
    let list = |count: usize| format!("SELECT 1 WHERE 'a' IN ('{}')", vec!["b"; count].join("','"));
    assert!(postgres(&list(10_000)).is_ok());
    // Spelt out in full each level doubles.
    let doubled = |count: usize| format!("SELECT {}1{}", "nullif(".repeat(count), ", 2)".repeat(count));
    assert!(postgres(&doubled(8)).is_ok());
    assert!(matches!(postgres(&doubled(40)), Err(SqlError::TooComplex(_))));
    let stars = |count: usize| format!("SELECT {} FROM orders", vec!["*"; count].join(", "));
    assert!(postgres(&stars(100)).is_ok());
    assert!(matches!(postgres(&stars(1_000)), Err(SqlError::TooComplex(_))));
}

#[test]
fn parameters_are_those_of_the_tool() {
    let sql =
        "SELECT id FROM orders WHERE region = :region AND amount > :least::numeric AND :region <> 'x' LIMIT :most";
    let text = printed_with(sql, Dialect::Postgres, &["least", "region", "most", "unused"]).unwrap();
    assert_eq!(
        text,
        r#"SELECT "orders"."id" AS "id" FROM "public"."orders" AS "orders" WHERE (("orders"."region" OPERATOR(pg_catalog.=) $2::pg_catalog.text) AND ("orders"."amount" OPERATOR(pg_catalog.>) CAST($1::pg_catalog.text AS pg_catalog.numeric)) AND ($2::pg_catalog.text OPERATOR(pg_catalog.<>) 'x')) LIMIT $3::pg_catalog.text"#
    );
    assert_eq!(
        resolved(sql, Dialect::Postgres, &["least", "region", "most", "unused"]).unwrap().parameters(),
        [0, 1, 2]
    );
    assert!(printed_with(sql, Dialect::Postgres, &["least", "region"]).is_err());
    assert!(printed_with("SELECT $1", Dialect::Postgres, &["region"]).is_err());
    // A slice's colon is none of a parameter.
    assert!(printed_with("SELECT tags[1:2] FROM orders", Dialect::Postgres, &["n"]).is_ok());
    assert_eq!(
        printed_with("SELECT ':region'", Dialect::Postgres, &["region"]).unwrap(),
        "SELECT ':region' AS \"?column?\""
    );
    for (name, fine) in [("a_1", true), ("A", false), ("1a", false), ("", false), ("a-b", false)] {
        assert_eq!(ParameterName::new(name).is_some(), fine, "{name}");
    }
}

#[test]
fn only_functions_with_a_schema_can_be_allowed() {
    assert!(AllowedFunctions::of(["app.f", "app.g"]).is_ok());
    for wrong in ["f", "pg_catalog.set_config", "information_schema.f", "a.b.c", ".f", "f.", "a.\"b\""] {
        assert!(AllowedFunctions::of([wrong]).is_err(), "{wrong}");
    }
}

#[test]
fn a_shape_holds_no_value() {
    let sql = "SELECT region, 'secret' FROM orders WHERE amount > 777 AND status IN ('paid', 'void') AND id BETWEEN 1 AND 2 LIMIT 10";
    let other = "SELECT region, 'other' FROM orders WHERE amount > 1.5 AND status IN ('x', 'y') AND id BETWEEN 3 AND 4 LIMIT 20";
    let shape = resolved(sql, Dialect::Postgres, &[]).unwrap().shape();
    assert!(!shape.contains("secret") && !shape.contains("777") && !shape.contains("paid"), "{shape}");
    assert_eq!(shape, resolved(other, Dialect::Postgres, &[]).unwrap().shape());
    let different = resolved("SELECT owner FROM orders", Dialect::Postgres, &[]).unwrap().shape();
    assert_ne!(shape, different);
}

#[test]
fn the_places_of_errors_are_known() {
    let error = postgres("SELECT id,\n  amuont\nFROM orders").unwrap_err();
    assert_eq!(
        error.to_string(),
        "column `amuont` does not exist in `orders`; did you mean `amount`? (line 2, column 3)"
    );
    assert_eq!(error.at().map(|at| (at.line, at.column)), Some((2, 3)));
    assert!(matches!(error, SqlError::UnknownColumn { .. }));
    assert!(matches!(postgres("SELECT * FROM nowhere"), Err(SqlError::UnknownRelation { .. })));
    assert!(matches!(postgres("SELECT f()"), Err(SqlError::UnknownFunction { .. })));
    assert!(matches!(postgres("SELECT FROM WHERE"), Err(SqlError::Syntax { .. })));
    assert!(matches!(postgres("DROP TABLE orders"), Err(SqlError::NotAllowed { .. })));
}
