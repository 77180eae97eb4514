//! Texts that readers of SQL disagree about: what is printed means what the server reads in the original, or it is refused.

use asuser_testkit::{PostgresServer, Version};

use crate::support::postgres;

const TEXTS: &[&str] = &[
    "SELECT 1 -- comment",
    "SELECT 1 --comment\n+ 1",
    "SELECT 1--1",
    "SELECT 1 - -1",
    "SELECT 1 -/**/- 1",
    "SELECT 1 +-- x\n 2",
    "SELECT 1 +/* x */ 2",
    "SELECT 2*/* x */3",
    "SELECT 2 */*x*/ 3",
    "SELECT 6 // 2",
    "SELECT /* a /* b */ c */ 1",
    "SELECT /* a /* b */ 1",
    "SELECT /* unterminated",
    "SELECT /*! 1 */ 2",
    "SELECT /*+ hint */ 2",
    "SELECT /**/1/**/",
    "SELECT/**/1",
    "SELECT 1 # 2",
    "SELECT 1 # comment\n+ 2",
    "SELECT 'a''b'",
    "SELECT 'a\\'",
    "SELECT 'a\\', 'b'",
    "SELECT '\\''",
    "SELECT E'a\\'b'",
    "SELECT e'\\x41\\u00e9\\U0001F600\\101\\t'",
    "SELECT E'\\q'",
    "SELECT E'\\xZZ'",
    "SELECT E'\\777'",
    "SELECT E'\\u12'",
    "SELECT E 'a'",
    "SELECT E'a' 'b'",
    "SELECT 'a'\n'b'",
    "SELECT 'a' -- x\n'b'",
    "SELECT $$a'b$$",
    "SELECT $a$ $$ $b$ $a$",
    "SELECT $a$x$A$y$a$",
    "SELECT $1$x$1$",
    "SELECT a$$b$$",
    "SELECT 1 AS a$b",
    "SELECT $é$x$é$",
    "SELECT \"a\"\"b\" FROM (SELECT 1 AS \"a\"\"b\") s",
    "SELECT 1 AS \"x y\"",
    "SELECT 1 AS X, 2 AS \"X\"",
    "SELECT 1 AS É, 2 AS é",
    "SELECT 1 AS größe",
    "SELECT\u{a0}1",
    "SELECT 1\u{2003}AS a",
    "SELECT 1 AS a\u{200b}",
    "SELECT\u{feff} 1",
    "\u{feff}SELECT 1",
    "SELECT\u{c}1",
    "SELECT\u{b}1",
    "SELECT\r1",
    "SELECT\r\n1",
    "SELECT 1 -- x\r+ 1",
    "SELECT 1e5, 1.5e-3, .5, 5., 1E+2",
    "SELECT 1.e5",
    "SELECT 1..2",
    "SELECT 1.2.3",
    "SELECT 0x10",
    "SELECT 0b11",
    "SELECT 1_000",
    "SELECT 123abc",
    "SELECT 1x",
    "SELECT 1e",
    "SELECT 1 e",
    "SELECT 99999999999999999999",
    "SELECT 1 <> 2, 1 != 2",
    "SELECT 1 ! = 2",
    "SELECT 1 < > 2",
    "SELECT 1 <- 2",
    "SELECT 1 <-2",
    "SELECT 1=-1",
    "SELECT 1>-1",
    "SELECT 2*-1",
    "SELECT 2^-1",
    "SELECT 5 %-3",
    "SELECT 1 @-2",
    "SELECT 1+@-2",
    "SELECT -@-2",
    "SELECT - -2",
    "SELECT --2",
    "SELECT ~-1",
    "SELECT 1||2",
    "SELECT 'a'||-1",
    "SELECT 1||-1",
    "SELECT NOT NOT TRUE",
    "SELECT 1 IS NULL IS NULL",
    "SELECT 1 ISNULL",
    "SELECT 1 NOTNULL",
    "SELECT TRUE ISNULL",
    "SELECT 1 = 1 IS TRUE",
    "SELECT 2 BETWEEN 1 AND 3 AND TRUE",
    "SELECT 2 BETWEEN 3 AND 1 OR TRUE",
    "SELECT 2 BETWEEN SYMMETRIC 3 AND 1",
    "SELECT 'a' LIKE 'A' OR 'a' ILIKE 'A'",
    "SELECT 1::text::int",
    "SELECT '1'::int + 1",
    "SELECT -'1'::int",
    "SELECT -1::text",
    "SELECT (-1)::text",
    "SELECT 1::numeric(5,2)",
    "SELECT '{1,2}'::int[] [1]",
    "SELECT ('{1,2}'::int[])[1]",
    "SELECT date '2024-01-01' + 1",
    "SELECT time '10:00', timestamp '2024-01-01 10:00', timestamptz '2024-01-01 10:00+00'",
    "SELECT timestamp with time zone '2024-01-01 10:00+00'",
    "SELECT interval '1' day, interval '1 day', interval '1-2' year to month",
    "SELECT interval '1' day + interval '2' hour",
    "SELECT char 'abc', varchar 'abc', 'abc'::char, 'abc'::\"char\"",
    "SELECT float '1.5', real '1.5', double precision '1.5', '1.5'::float(3)",
    "SELECT dec '1.5', decimal '1.5'",
    "SELECT bool 't', boolean 'f'",
    "SELECT int '1', int2 '1', int4 '1', int8 '1', bigint '1', smallint '1'",
    "SELECT json '{}', jsonb '{\"a\":1}', uuid '00000000-0000-0000-0000-000000000000'",
    "SELECT text 'a'",
    "SELECT char 'abc', character 'abc', varchar 'abc', 'abc'::char, 'abc'::character(2)",
    "SELECT 1 a, 2 b",
    "SELECT 1 AS select",
    "SELECT 1 user",
    "SELECT user, current_user, session_user",
    "SELECT current_date, current_time IS NULL, localtime IS NULL",
    "SELECT current_role, current_catalog",
    "SELECT current_schema",
    "SELECT current_schema()",
    "SELECT current_user()",
    "SELECT \"current_user\" FROM (SELECT 1 AS \"current_user\") s",
    "SELECT \"user\" FROM (SELECT 1 AS \"user\") s",
    "SELECT value FROM (SELECT 1 AS value) s",
    "SELECT s.year, s.day FROM (SELECT 1 AS year, 2 AS day) s",
    "SELECT 1 year",
    "SELECT 1 AS year",
    "SELECT s.name, s.type FROM (SELECT 1 AS name, 2 AS type) s",
    "SELECT left('abc', 2), right('abc', 1)",
    "SELECT replace('a', 'a', 'b'), date('2024-01-01'), position('a' IN 'ba')",
    "SELECT position('a', 'ba')",
    "SELECT substring('abc', 2), substring('abc' FROM 2), substring('abc' FOR 2), substring('abc' FROM 1 FOR 1), substr('abc', 2)",
    "SELECT substring('abc' FROM '[bc]+')",
    "SELECT substring('abc' SIMILAR 'a#\"b#\"c' ESCAPE '#')",
    "SELECT trim('  a '), trim(both from ' a '), trim('x' from 'xax'), trim(leading 'x' from 'xax'), trim('xax', 'x')",
    "SELECT overlay('abc' placing 'x' from 2 for 1)",
    "SELECT extract(year from date '2024-01-01'), extract('month' from date '2024-01-01'), extract(\"day\" from date '2024-01-01')",
    "SELECT extract(YEAR from date '2024-01-01'), extract(isodow from date '2024-01-01'), extract(millennium from date '2024-01-01')",
    "SELECT ceil(1.5), floor(1.5), ceiling(1.5)",
    "SELECT ceil(1.55, 1)",
    "SELECT greatest(1, 2), least(1, 2), coalesce(NULL, 1), nullif(1, 1)",
    "SELECT row(1, 2), (1, 2), row(1)",
    "SELECT array[1, 2], array[]::int[], array[[1], [2]], array(select 1)",
    "SELECT ARRAY[1,2,3][2:3]",
    "SELECT (ARRAY[1,2,3])[2:3], (ARRAY[1,2,3])[:2], (ARRAY[1,2,3])[2:]",
    "SELECT exists(select 1), not exists(select 1)",
    "SELECT 1 WHERE 1 IN (1)",
    "SELECT 1 WHERE (1) IN ((1), (2))",
    "SELECT 1 IN (SELECT 1), 1 NOT IN (SELECT 2), 1 = SOME (SELECT 1), 1 = ALL (SELECT 1)",
    "SELECT 1 = ANY ('{1}')",
    "SELECT 1 = ANY (ARRAY[1])",
    "SELECT count(*), count(ALL 1), count(DISTINCT 1)",
    "SELECT CASE 1 WHEN 1 THEN 'a' ELSE 'b' END, CASE WHEN NULL THEN 1 END",
    "SELECT CASE NULL WHEN NULL THEN 1 ELSE 2 END",
    "SELECT 1 UNION SELECT 1 UNION ALL SELECT 1",
    "SELECT 1 UNION ALL SELECT 2 INTERSECT SELECT 2",
    "SELECT 1 EXCEPT SELECT 1 UNION SELECT 3",
    "SELECT 2 UNION SELECT 1 ORDER BY 1 LIMIT 1",
    "(SELECT 2) UNION (SELECT 1) ORDER BY 1",
    "((SELECT 1))",
    "SELECT ((1))",
    "SELECT * FROM ((SELECT 1 AS a)) s",
    "SELECT * FROM ((VALUES (1))) s",
    "SELECT * FROM (VALUES (1), (2)) s ORDER BY 1 DESC FETCH FIRST ROW ONLY",
    "SELECT 1 FETCH FIRST 0 ROWS ONLY",
    "SELECT 1 LIMIT NULL",
    "SELECT 1 LIMIT 1 OFFSET 0",
    "SELECT 1 OFFSET 0 LIMIT 1",
    "SELECT 1 LIMIT 1.5",
    "SELECT 1 LIMIT '1'",
    "SELECT 1 WHERE TRUE GROUP BY () HAVING TRUE",
    "SELECT 1 ORDER BY 1 USING <",
    "SELECT 1 AS a ORDER BY a + 1",
    "SELECT 1 AS a ORDER BY (a)",
    "SELECT 1 AS a ORDER BY (1)",
    "SELECT 1 ORDER BY 'x'",
    "SELECT 1 GROUP BY 'x'",
    "SELECT 1 ORDER BY 1 + 1",
    "SELECT 1 ORDER BY -1",
    "SELECT DISTINCT 1 ORDER BY 1",
    "SELECT DISTINCT ON (1) 1, 2",
    "SELECT ALL 1",
    "SELECT 1;",
    "SELECT 1 ;;",
    ";SELECT 1",
    "VALUES (1, 2), (3, 4)",
    "TABLE pg_class",
    "SELECT",
    "SELECT FROM (SELECT 1) s",
    "SELECT 1,",
    "SELECT 'a' COLLATE \"C\" < 'b'",
    "SELECT 'a' < 'b' COLLATE \"C\"",
    "SELECT timestamp '2024-01-01' AT TIME ZONE 'UTC' AT TIME ZONE 'UTC'",
    "SELECT '2024-01-01'::timestamp AT TIME ZONE 'UTC' + interval '1 hour'",
    "SELECT json '{\"a\":{\"b\":1}}' -> 'a' ->> 'b', '{\"a\":1}'::jsonb -> 'a' = '1'",
    "SELECT '{\"a\":1}'::jsonb @> '{\"a\":1}' AND TRUE, '{\"a\":1}'::jsonb ? 'a', '{\"a\":1}'::jsonb ?| array['a'], '{\"a\":1}'::jsonb ?& array['a']",
    "SELECT '{\"a\":1}'::jsonb - 'a', '[1,2]'::jsonb #> '{0}', '{\"a\":1}'::jsonb @? '$.a', '{\"a\":1}'::jsonb @@ '$.a == 1'",
    "SELECT 'abc' ~ 'b' AND 'abc' ~* 'B' AND 'abc' !~ 'x', 'abc' ~~ 'a%', 'abc' ^@ 'a'",
    "SELECT (date '2024-01-01', date '2024-02-01') OVERLAPS (date '2024-01-15', date '2024-03-01')",
    "SELECT 1 OPERATOR(pg_catalog.+) 2 * 3",
    "SELECT 2 OPERATOR(pg_catalog.*) 2 + 3",
    "SELECT pg_catalog.lower('A'), \"pg_catalog\".\"lower\"('A'), LOWER('A')",
    "SELECT grouping(a) FROM (SELECT 1 AS a) s GROUP BY a",
    "SELECT a.* FROM (SELECT 1 AS b) a",
    "SELECT a FROM (SELECT 1 AS b) a",
    "SELECT a.a FROM (SELECT 1 AS a) a",
    "SELECT x.y.z FROM (SELECT 1) x",
];

/// What the server does not read, and has one meaning only.
const MORE_LENIENT: &[&str] =
    &["SELECT 2^-1", "SELECT 1 year", "SELECT position('a', 'ba')", "SELECT ARRAY[1,2,3][2:3]"];

#[test]
fn what_is_printed_means_what_the_server_reads() {
    let database = PostgresServer::shared(Version::Fifteen).database("lexical");
    let mut session = database.session();
    session.execute("SET TIME ZONE 'UTC'");
    let (mut printed, mut wrong) = (0, Vec::new());
    for sql in TEXTS {
        let Ok(text) = postgres(sql) else { continue };
        printed += 1;
        // Both in one transaction: the same time.
        session.execute("BEGIN READ ONLY");
        let expected = session.try_query(sql);
        session.execute("ROLLBACK; BEGIN READ ONLY");
        let found = session.try_query(&text);
        session.execute("ROLLBACK");
        match (expected, found) {
            (Ok(expected), Ok(found)) if expected == found || sql.contains("current_time") => {}
            (Err(_), Err(_)) => {}
            (Err(_), Ok(_)) if MORE_LENIENT.contains(sql) => {}
            (expected, found) => wrong.push(format!("{sql:?}\n  {text}\n  {expected:?}\n  {found:?}")),
        }
    }
    println!("{printed} of {} were printed", TEXTS.len());
    assert!(printed > 100, "{printed}");
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// With the setting that makes a backslash escape, and with the warnings of old.
#[test]
fn strings_mean_the_same_whatever_the_settings_are() {
    let database = PostgresServer::shared(Version::Fifteen).database("strings");
    let mut session = database.session();
    for sql in [
        "SELECT 'a\\'",
        "SELECT 'a\\', 'b'",
        "SELECT E'a\\\\b''c'",
        "SELECT $$\\'$$",
        "SELECT 'x' WHERE 'a\\b' IN ('a\\b', '\"', '{')",
        "SELECT '\\x41'::bytea",
        "SELECT E'\\x01\\r\\n\\u0085\\u00e9'",
    ] {
        let text = postgres(sql).unwrap();
        session.execute("SET standard_conforming_strings = on");
        let expected = session.query(sql);
        assert_eq!(session.query(&text), expected, "{sql}");
        for setting in ["backslash_quote = off", "backslash_quote = on"] {
            session.execute(&format!(
                "SET standard_conforming_strings = off; SET escape_string_warning = off; SET {setting}"
            ));
            assert_eq!(session.query(&text), expected, "{setting}: {text}");
        }
    }
}
