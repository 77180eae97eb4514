//! On a real server: printed statements give the rows of the submitted ones, and call nothing from `search_path`.

use asuser_testkit::{PgDatabase, PgSession, PostgresServer, Version};

use crate::support::postgres;

pub(crate) const CORPUS: &str = include_str!("corpus_postgres.sql");

const TABLES: &str = r#"
CREATE TABLE customers (id int PRIMARY KEY, name text, email text, country char(2), since date);
CREATE TABLE orders (id int PRIMARY KEY, owner text, region text, amount numeric(12,2), placed_at timestamptz, status varchar(10),
    tags text[], detail jsonb, customer_id int);
CREATE TABLE items (order_id int, line int, product text, quantity int, price float8);
CREATE TABLE days (day date, open boolean);
CREATE TABLE words (w text, n bigint);
INSERT INTO customers VALUES (1, 'Anna', 'anna@example.com', 'DE', '2019-05-01'), (2, 'Bob', 'b_ob@example.org', 'US', '2020-07-15'),
    (3, 'Chloe', 'chloe@example.com', 'FR', '2021-01-01'), (4, 'Dan', NULL, 'DE', NULL), (9, 'Zoe', 'zoe@example.net', 'US', '2023-03-03');
INSERT INTO orders VALUES (1, 'alice', 'EU', 120.50, '2024-01-15 10:00+00', 'paid', '{red,blue}', '{"color":"red","size":3}', 1),
    (2, 'bob', 'US', 20.50, '2024-02-01 00:30+00', 'open', '{}', '{"color":"blue"}', 2),
    (3, 'alice', 'EU', 75.00, '2024-03-01 23:59+00', 'paid', '{green}', NULL, 1), (4, 'carol', NULL, NULL, '2024-03-02 12:00+00', 'void', NULL, '{}', NULL),
    (5, 'bob', 'US', 310.25, '2024-06-30 08:00+00', 'paid', '{red,red}', '{"size":7,"a":{"b":"deep"}}', 3),
    (6, 'dave', 'APAC', 10.00, '2023-12-31 23:00+00', 'open', '{blue,green,red}', '[1,2]'::jsonb -> 5, 4);
INSERT INTO items VALUES (1, 1, 'pen', 3, 1.5), (1, 2, 'ink', 1, 7.25), (2, 1, 'pen', 10, 1.4), (5, 1, 'desk', 1, 300), (5, 2, 'pen', 2, 5.125);
INSERT INTO days VALUES ('2024-01-01', false), ('2024-01-02', true), ('2019-05-01', NULL);
INSERT INTO words VALUES ('a''b', 1), (E'tab\there', 2), ('dollar', 4), ('a$$b', 8), ('back\slash', 16), ('', 32);
"#;

pub(crate) fn database() -> PgDatabase {
    let database = PostgresServer::shared(Version::Fifteen).database("sql");
    database.execute(TABLES);
    database
}

pub(crate) fn session(database: &PgDatabase) -> PgSession {
    let mut session = database.session();
    session.execute("SET TIME ZONE 'UTC'");
    session
}

/// The rows with the names of their columns.
fn rows(session: &mut PgSession, sql: &str) -> Result<Vec<String>, String> {
    let sql = sql.split(" --").next().unwrap();
    let wrapped = format!("SELECT to_json(q)::text FROM ({sql}) AS q");
    let rows = session.try_query(&wrapped).map_err(|refusal| format!("{refusal}"))?;
    Ok(rows.into_iter().map(|row| row[0].clone().unwrap_or_default()).collect())
}

fn same_rows(sql: &str, mut one: Vec<String>, mut other: Vec<String>) -> bool {
    if !sql.to_uppercase().contains("ORDER BY") {
        one.sort();
        other.sort();
    }
    one == other
}

#[test]
fn honest_statements_give_the_same_rows() {
    let database = database();
    let mut session = session(&database);
    let mut wrong = Vec::new();
    for sql in CORPUS.lines() {
        let text = match postgres(sql) {
            Ok(text) => text,
            Err(error) => {
                wrong.push(format!("{sql}\n  refused: {error}"));
                continue;
            }
        };
        let expected = rows(&mut session, sql);
        let found = rows(&mut session, &text);
        match (expected, found) {
            (Ok(expected), Ok(found)) if same_rows(sql, expected.clone(), found.clone()) => {}
            (expected, found) => {
                wrong.push(format!("{sql}\n  printed: {text}\n  expected: {expected:?}\n  found: {found:?}"))
            }
        }
        let explained = session.try_query(&format!("BEGIN READ ONLY; EXPLAIN {text}; COMMIT"));
        if let Err(refusal) = explained {
            wrong.push(format!("{text}\n  not explained: {refusal}"));
            session.execute("ROLLBACK");
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), CORPUS.lines().count(), wrong.join("\n"));
}

/// A copy of every operator, function and type that a statement could find along `search_path`, each of which fails loudly.
const EVIL: &str = r#"
CREATE SCHEMA evil;
CREATE FUNCTION evil.fail() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'PWNED'; END $f$;
DO $do$
DECLARE r record; n int := 0; made int := 0;
BEGIN
  FOR r IN SELECT o.oprname, o.oprleft::regtype::text AS l, o.oprright::regtype::text AS r, o.oprresult::regtype::text AS res, o.oprleft
           FROM pg_operator o WHERE o.oprnamespace = 'pg_catalog'::regnamespace LOOP
    n := n + 1;
    BEGIN
      IF r.oprleft = 0 THEN
        EXECUTE format('CREATE FUNCTION evil.op_%s(r %s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION ''PWNED''; END $f$', n, r.r, r.res);
        EXECUTE format('CREATE OPERATOR evil.%s (FUNCTION = evil.op_%s, RIGHTARG = %s)', r.oprname, n, r.r);
      ELSE
        EXECUTE format('CREATE FUNCTION evil.op_%s(l %s, r %s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION ''PWNED''; END $f$', n, r.l, r.r, r.res);
        EXECUTE format('CREATE OPERATOR evil.%s (FUNCTION = evil.op_%s, LEFTARG = %s, RIGHTARG = %s)', r.oprname, n, r.l, r.r);
      END IF;
      made := made + 1;
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
  END LOOP;
  FOR r IN SELECT p.proname, pg_get_function_identity_arguments(p.oid) AS args, pg_get_function_result(p.oid) AS res
           FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' LOOP
    BEGIN
      EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION ''PWNED''; END $f$', r.proname, r.args, r.res);
      made := made + 1;
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
  END LOOP;
  FOR r IN SELECT t.typname FROM pg_type t WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype IN ('b', 'r') AND t.typname NOT LIKE '\_%' LOOP
    EXECUTE format('CREATE DOMAIN evil.%I AS text CHECK (evil.fail() IS NULL AND FALSE)', r.typname);
  END LOOP;
  IF made < 2000 THEN RAISE EXCEPTION 'only % copies were made', made; END IF;
END $do$;
CREATE COLLATION evil."C" FROM "POSIX";
CREATE VIEW evil.orders AS SELECT 666 AS id;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
"#;

#[test]
fn nothing_on_the_search_path_is_called() {
    let database = database();
    let mut honest = session(&database);
    database.execute(EVIL);
    let mut attacked = session(&database);
    attacked.execute("SET search_path = evil, pg_catalog, public");
    // The trap works: as they were submitted, most statements fall into it.
    let submitted: Vec<&str> = CORPUS.lines().collect();
    let caught = submitted.iter().filter(|sql| attacked.try_query(sql.split(" --").next().unwrap()).is_err()).count();
    assert!(caught > submitted.len() / 2, "only {caught} of {} were caught", submitted.len());

    let mut wrong = Vec::new();
    for sql in submitted {
        let text = postgres(sql).unwrap();
        let expected = honest.try_query(&text);
        let found = attacked.try_query(&text);
        match (expected, found) {
            (Ok(expected), Ok(found)) if expected == found || !sql.contains("ORDER BY") => {}
            (expected, found) => wrong.push(format!("{sql}\n  {text}\n  expected: {expected:?}\n  found: {found:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn listed_functions_change_nothing_and_exist() {
    let database = database();
    // `any_value` came with 16, the others with 14 to 16.
    let later = ["any_value"];
    let listed = asuser_sql::listed_functions(asuser_sql::Dialect::Postgres);
    let mut seen = std::collections::BTreeSet::new();
    for name in listed {
        assert!(seen.insert(name), "{name} is listed twice");
        let rows = database.query(&format!(
            "SELECT provolatile, prosrc, pg_get_function_identity_arguments(oid) FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = '{name}'"
        ));
        assert!(!rows.is_empty() || later.contains(&name), "{name} does not exist");
        for row in rows {
            let arguments = row[2].clone().unwrap();
            assert_ne!(row[0].as_deref(), Some("v"), "{name}({arguments}) is volatile");
            for type_name in ["reg", "xml", "refcursor", "internal", "cstring"] {
                let harmful = arguments.split([' ', ',']).any(|word| word.starts_with(type_name));
                assert!(!harmful, "{name}({arguments})");
            }
        }
    }
}
