//! What real servers declare, and what the catalogue makes of it. Read by a login that has no right whatever.

use std::sync::Arc;

use asuser_core::{ColumnKind, Secret, ServiceName, TableKind};
use asuser_postgres::{Client, Credentials, Target};
use asuser_testkit::{PgDatabase, PostgresServer, Version};

use super::*;
use crate::types::Form;

/// 15 always, 18 where it is installed.
pub(crate) fn servers() -> Vec<Arc<PostgresServer>> {
    let mut servers = vec![PostgresServer::shared(Version::Fifteen)];
    servers.extend(PostgresServer::shared_if_installed(Version::Eighteen));
    servers
}

/// One of them, for what no version does differently: each test process starts its own servers.
pub(crate) fn one_server() -> Arc<PostgresServer> {
    let newer = PostgresServer::shared_if_installed(Version::Eighteen);
    newer.unwrap_or_else(|| PostgresServer::shared(Version::Fifteen))
}

/// A connection of a login without rights.
pub(crate) async fn connect(database: &PgDatabase, login: &str) -> Client {
    let target = Target::parse(&database.url(login)).expect("the kit's URL");
    let credentials = Credentials::of(login, Some(Secret::new("pw".to_owned())));
    Client::connect(&target, &credentials).await.expect("the login may come in")
}

struct Fixture {
    database: PgDatabase,
    client: Client,
}

impl Fixture {
    async fn new(server: &Arc<PostgresServer>, sql: &str) -> Self {
        let database = server.database("catalog");
        let login = server.unique("nobody");
        database.execute(&format!("CREATE ROLE {login} LOGIN NOINHERIT PASSWORD 'pw'"));
        database.execute(sql);
        let client = connect(&database, &login).await;
        Self { database, client }
    }

    async fn read(&mut self, schemas: &[&str]) -> Result<Known, PostgresError> {
        let schemas: Vec<String> = schemas.iter().map(|name| (*name).to_owned()).collect();
        read(&mut self.client, &ServiceName::from("db"), &schemas).await
    }

    async fn known(&mut self, schemas: &[&str]) -> Known {
        self.read(schemas).await.expect("the catalogue can be read")
    }
}

impl Known {
    fn pg(&self, name: &str) -> &PgTable {
        self.tables.get(name).unwrap_or_else(|| panic!("{name} is not in {:?}", self.tables.keys()))
    }
    fn column(&self, table: &str, name: &str) -> (&Column, &PgColumn) {
        let table = self.pg(table);
        let ix = table.table.column_ix(name).unwrap_or_else(|| panic!("{name} is not in {table:?}"));
        (&table.table.columns[usize::from(ix.0)], &table.columns[usize::from(ix.0)])
    }
}

const EVERY_TYPE: &str = r#"
    CREATE SCHEMA ext; GRANT USAGE ON SCHEMA ext TO PUBLIC; CREATE EXTENSION citext SCHEMA ext; CREATE EXTENSION hstore SCHEMA ext;
    CREATE TYPE "Mood" AS ENUM ('sad', 'ok');
    CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%');
    CREATE DOMAIN work_email AS email NOT NULL;
    CREATE DOMAIN handle AS ext.citext;
    CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE TABLE every (
        t text, vc varchar(40), nm name, ch char(5), c1 "char", ci ext.citext, fo text COLLATE folded, cc text COLLATE "C",
        i2 int2, i4 int, i8 bigint, oi oid, bo bool, nu numeric(12,2), f4 real, f8 float8,
        tz timestamptz(3), ts timestamp, da date, ti time, iv interval, by bytea, js json, jb jsonb, uu uuid, ne inet,
        en "Mood", ra int8range, co pair, ar int[], ae "Mood"[], hs ext.hstore,
        em email, we work_email, ha handle, xm xml)"#;

#[tokio::test]
async fn a_column_is_what_its_type_is() {
    use ColumnKind::{Binary, Boolean, Date, Decimal, Float, Integer, Other, Text, Timestamp};
    // Column, kind, form, the type for a cast, the schema of its operators, whether it compares by code point.
    let cases = [
        ("t", Text, Form::Text, r#"pg_catalog."text""#, "pg_catalog", true),
        ("vc", Text, Form::Text, r#"pg_catalog."varchar""#, "pg_catalog", true),
        ("nm", Text, Form::Text, r#"pg_catalog."text""#, "pg_catalog", true),
        ("ch", Text, Form::Text, r#"pg_catalog."bpchar""#, "pg_catalog", false),
        ("c1", Other, Form::Text, r#"pg_catalog."char""#, "pg_catalog", false),
        ("ci", Text, Form::Text, r#""ext"."citext""#, r#""ext""#, false),
        ("fo", Text, Form::Text, r#"pg_catalog."text""#, "pg_catalog", false),
        ("cc", Text, Form::Text, r#"pg_catalog."text""#, "pg_catalog", true),
        ("i2", Integer, Form::Integer, r#"pg_catalog."int2""#, "pg_catalog", false),
        ("i4", Integer, Form::Integer, r#"pg_catalog."int4""#, "pg_catalog", false),
        ("i8", Integer, Form::Bigint, r#"pg_catalog."int8""#, "pg_catalog", false),
        ("oi", Other, Form::Integer, r#"pg_catalog."oid""#, "pg_catalog", false),
        ("bo", Boolean, Form::Boolean, r#"pg_catalog."bool""#, "pg_catalog", false),
        ("nu", Decimal, Form::Numeric, r#"pg_catalog."numeric""#, "pg_catalog", false),
        ("f4", Float, Form::Float4, r#"pg_catalog."float4""#, "pg_catalog", false),
        ("f8", Float, Form::Float8, r#"pg_catalog."float8""#, "pg_catalog", false),
        ("tz", Timestamp, Form::Timestamptz, r#"pg_catalog."timestamptz""#, "pg_catalog", false),
        ("ts", Timestamp, Form::Timestamp, r#"pg_catalog."timestamp""#, "pg_catalog", false),
        ("da", Date, Form::Date, r#"pg_catalog."date""#, "pg_catalog", false),
        ("ti", Other, Form::Text, r#"pg_catalog."time""#, "pg_catalog", false),
        ("iv", Other, Form::Text, r#"pg_catalog."interval""#, "pg_catalog", false),
        ("by", Binary, Form::Bytes, r#"pg_catalog."bytea""#, "pg_catalog", false),
        ("js", Other, Form::Json, r#"pg_catalog."json""#, "pg_catalog", false),
        ("jb", Other, Form::Json, r#"pg_catalog."jsonb""#, "pg_catalog", false),
        ("uu", Other, Form::Text, r#"pg_catalog."uuid""#, "pg_catalog", false),
        ("ne", Other, Form::Text, r#"pg_catalog."inet""#, "pg_catalog", false),
        ("en", Other, Form::Text, r#""public"."Mood""#, "pg_catalog", false),
        ("ra", Other, Form::Text, r#"pg_catalog."int8range""#, "pg_catalog", false),
        ("co", Other, Form::ToJson, r#""public"."pair""#, "pg_catalog", false),
        ("ar", Other, Form::ToJson, r#"pg_catalog."_int4""#, "pg_catalog", false),
        ("ae", Other, Form::ToJson, r#""public"."_Mood""#, "pg_catalog", false),
        ("hs", Other, Form::Text, r#""ext"."hstore""#, r#""ext""#, false),
        ("em", Text, Form::Text, r#"pg_catalog."text""#, "pg_catalog", true),
        ("we", Text, Form::Text, r#"pg_catalog."text""#, "pg_catalog", true),
        ("ha", Text, Form::Text, r#""ext"."citext""#, r#""ext""#, false),
        ("xm", Other, Form::Text, r#"pg_catalog."xml""#, "pg_catalog", false),
    ];
    for server in servers() {
        let mut fixture = Fixture::new(&server, EVERY_TYPE).await;
        let known = fixture.known(&["public"]).await;
        assert_eq!(known.warnings, Vec::<String>::new());
        assert_eq!(known.server_version_num / 10_000, server.major());
        assert_eq!(known.pg("every").table.columns.len(), cases.len());
        for (name, kind, form, type_name, operators, by_code_point) in cases {
            let (column, detail) = known.column("every", name);
            assert_eq!((column.kind, detail.form), (kind, form), "{name}");
            assert_eq!((detail.type_name.as_str(), detail.operators.as_str()), (type_name, operators), "{name}");
            assert_eq!(column.binary_collation, by_code_point, "{name}");
            assert_eq!(column.strictly_typed, name != "ts", "{name}");
            assert_eq!(detail.nondeterministic, name == "fo", "{name}");
            assert!(column.nullable, "{name}");
        }
        let declared = |name| known.column("every", name).0.declared_type.as_str();
        assert_eq!(declared("nu"), "numeric(12,2)");
        assert_eq!(declared("vc"), "character varying(40)");
        assert_eq!(declared("tz"), "timestamp(3) with time zone");
        assert_eq!(declared("en"), "public.\"Mood\"");
        // What the server calls a column of a domain is its base type.
        let (_, email) = known.column("every", "we");
        assert_eq!(email.base_oid, 25);
        assert_ne!(email.type_oid, 25);
        // Every cast and operator that is named exists.
        for (name, _, _, type_name, operators, _) in cases {
            if !["js", "xm"].contains(&name) {
                let sql = format!("SELECT NULL::{type_name} OPERATOR({operators}.=) NULL::{type_name}");
                fixture.client.query(&sql, &[]).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            }
        }
    }
}

#[tokio::test]
async fn columns_keep_their_numbers_and_keys_their_order() {
    let sql = "CREATE TABLE plain (gone int, id int NOT NULL, a text NOT NULL, b text, c int GENERATED ALWAYS AS (id + 1) STORED);
         ALTER TABLE plain DROP COLUMN gone;
         CREATE TABLE keyed (a int, b int, c int, PRIMARY KEY (c, a) INCLUDE (b));
         CREATE TABLE uniquely (a int NOT NULL UNIQUE);
         CREATE TABLE parted (a int, b int, PRIMARY KEY (b, a)) PARTITION BY RANGE (b);
         CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
         CREATE VIEW seen AS SELECT id, a FROM plain;
         CREATE MATERIALIZED VIEW stored AS SELECT id, a FROM plain;
         CREATE TABLE nothing ();
         CREATE SEQUENCE numbers; CREATE INDEX another ON plain (a);";
    let server = one_server();
    let mut fixture = Fixture::new(&server, sql).await;
    let known = fixture.known(&["public"]).await;
    let names: Vec<&str> = known.tables.keys().map(TableName::as_str).collect();
    // A partition is read through its table.
    assert_eq!(names, ["keyed", "parted", "plain", "seen", "stored", "uniquely"]);
    assert_eq!(known.warnings, ["`public.nothing` is left out: it has no columns"]);
    let facts = |table: &str| -> Vec<(String, i16, bool)> {
        let table = known.pg(table);
        let columns = table.table.columns.iter().zip(&table.columns);
        columns.map(|(column, detail)| (column.name.to_string(), detail.number, column.nullable)).collect()
    };
    let is = |name: &str, number, nullable| (name.to_owned(), number, nullable);
    assert_eq!(facts("plain"), [is("id", 2, false), is("a", 3, false), is("b", 4, true), is("c", 5, true)]);
    assert_eq!(facts("seen"), [is("id", 1, true), is("a", 2, true)]);
    let key = |table: &str| known.pg(table).table.primary_key.iter().map(|ix| ix.0).collect::<Vec<_>>();
    assert_eq!(key("keyed"), [2, 0]);
    assert_eq!(key("parted"), [1, 0]);
    assert_eq!((key("plain"), key("uniquely"), key("seen")), (vec![], vec![], vec![]));
    let kind = |table: &str| known.pg(table).table.kind;
    assert_eq!((kind("parted"), kind("plain")), (TableKind::Table, TableKind::Table));
    assert_eq!((kind("seen"), kind("stored")), (TableKind::View, TableKind::View));
    let oid = fixture.database.query("SELECT 'plain'::regclass::oid");
    assert_eq!(oid[0][0], Some(known.pg("plain").oid.to_string()));
}

#[tokio::test]
async fn a_column_is_not_nullable_only_where_every_row_was_checked() {
    let sql = "CREATE DOMAIN filled AS text NOT NULL;
         CREATE TABLE sure (a text NOT NULL, d filled);
         CREATE TABLE parent (a text NOT NULL, b text NOT NULL); CREATE TABLE child () INHERITS (parent);
         CREATE TABLE grandchild () INHERITS (child);
         CREATE TABLE parted (a text NOT NULL) PARTITION BY LIST (a);
         CREATE TABLE parted_1 PARTITION OF parted DEFAULT;";
    for server in servers() {
        let mut fixture = Fixture::new(&server, sql).await;
        if server.major() < 18 {
            fixture.database.execute("ALTER TABLE grandchild ALTER a DROP NOT NULL");
        } else {
            fixture.database.execute(
                "CREATE TABLE late (a text, b text NOT NULL); ALTER TABLE late ADD CONSTRAINT c NOT NULL a NOT VALID",
            );
        }
        let known = fixture.known(&["public"]).await;
        let nullable = |table: &str, column: &str| known.column(table, column).0.nullable;
        assert!(!nullable("sure", "a"));
        // `INSERT … ((SELECT d FROM sure WHERE false))` would put a NULL there.
        assert!(nullable("sure", "d"));
        assert!(!nullable("parent", "b"));
        assert!(!nullable("parted", "a"));
        if server.major() < 18 {
            assert!(nullable("parent", "a"), "an heir two steps down allows it");
        } else {
            assert!(!nullable("parent", "a"), "an heir can no longer allow it");
            assert!(nullable("late", "a") && !nullable("late", "b"));
        }
    }
}

#[tokio::test]
async fn tables_of_the_first_schema_have_bare_names_and_none_can_be_anothers() {
    let sql = r#"CREATE SCHEMA sales; CREATE SCHEMA "odd.one"; CREATE SCHEMA "Mixed";
         CREATE TABLE orders (a int); CREATE TABLE sales.orders (a int, b int); CREATE TABLE "sales.orders" (a int);
         CREATE TABLE sales."a.b" (a int); CREATE TABLE "odd.one".t (a int); CREATE TABLE "Mixed"."Two words" (a int);
         CREATE SCHEMA hidden; CREATE TABLE hidden.t (a int);"#;
    let server = one_server();
    let mut fixture = Fixture::new(&server, sql).await;
    let known = fixture.known(&["public", "sales", "odd.one", "Mixed", "gone"]).await;
    let names: Vec<&str> = known.tables.keys().map(TableName::as_str).collect();
    assert_eq!(names, ["Mixed.Two words", "orders", "sales.orders"]);
    assert_eq!(known.pg("sales.orders").columns.len(), 2);
    let mixed = known.pg("Mixed.Two words");
    assert_eq!((mixed.schema.as_str(), mixed.relation.as_str()), ("Mixed", "Two words"));
    let mut warnings = known.warnings.clone();
    warnings.sort();
    let dot = |name: &str| format!("`{name}` is left out: its name holds a dot, and could be another's");
    assert_eq!(
        warnings,
        [dot("odd.one.t"), dot("public.sales.orders"), dot("sales.a.b"), "there is no schema `gone`".to_owned()]
    );
    let known = fixture.known(&["sales", "public"]).await;
    let names: Vec<&str> = known.tables.keys().map(TableName::as_str).collect();
    assert_eq!(names, ["orders", "public.orders"]);
    assert_eq!(known.pg("orders").columns.len(), 2);
}

#[tokio::test]
async fn an_unchanged_database_is_the_same_version_and_a_replaced_table_another() {
    let server = one_server();
    let mut fixture = Fixture::new(&server, "CREATE TABLE t (a int, b text); CREATE TABLE u (a int)").await;
    let before = fixture.known(&["public"]).await.catalog;
    let again = fixture.known(&["public"]).await.catalog;
    assert_eq!((before.version, &before.tables), (again.version, &again.tables));
    fixture.database.execute("INSERT INTO t VALUES (1, 'x')");
    assert_eq!(fixture.known(&["public"]).await.catalog.version, before.version);
    let mut seen = vec![before.version];
    for change in [
        "DROP TABLE t; CREATE TABLE t (a int, b text)",
        "ALTER TABLE t DROP COLUMN b; ALTER TABLE t ADD COLUMN b text",
        "CREATE DOMAIN text2 AS text; ALTER TABLE t ALTER b TYPE text2",
        "CREATE FUNCTION f() RETURNS bool LANGUAGE sql AS 'SELECT true';
         CREATE POLICY p ON t USING (f()); ALTER TABLE t ENABLE ROW LEVEL SECURITY",
    ] {
        fixture.database.execute(change);
        let version = fixture.known(&["public"]).await.catalog.version;
        assert!(!seen.contains(&version), "{change}");
        seen.push(version);
    }
}

const REACHES: &str = "
    CREATE SCHEMA app;
    CREATE FUNCTION app.who() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_setting('request.jwt.claims', true) $$;
    CREATE FUNCTION app.who(int) RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'x' $$;
    CREATE FUNCTION app.insert_only() RETURNS bool LANGUAGE sql AS $$ SELECT true $$;
    CREATE FUNCTION app.near(int, int) RETURNS bool LANGUAGE sql AS $$ SELECT true $$;
    CREATE OPERATOR app.~~~ (LEFTARG = int, RIGHTARG = int, FUNCTION = app.near);
    CREATE FUNCTION app.fine(text) RETURNS bool LANGUAGE sql AS $$ SELECT true $$;
    CREATE DOMAIN app.checked AS text CHECK (app.fine(VALUE));
    CREATE FUNCTION app.add(int, int) RETURNS int LANGUAGE sql AS $$ SELECT $1 $$;
    CREATE AGGREGATE app.total(int) (SFUNC = app.add, STYPE = int, INITCOND = '0');
    CREATE TYPE app.pair AS (a int, b int);
    CREATE FUNCTION app.pair_json(app.pair) RETURNS json LANGUAGE sql AS $$ SELECT '1'::json $$;
    CREATE CAST (app.pair AS json) WITH FUNCTION app.pair_json(app.pair);
    CREATE FUNCTION app.on_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;

    CREATE TABLE plain (a int, owner text DEFAULT app.who(1));
    CREATE INDEX ON plain (lower(owner)); CREATE TRIGGER t BEFORE UPDATE ON plain EXECUTE FUNCTION app.on_change();
    CREATE TABLE app.rows (a int, owner text);
    ALTER TABLE app.rows ENABLE ROW LEVEL SECURITY;
    CREATE POLICY r ON app.rows FOR SELECT USING (owner = app.who());
    CREATE POLICY i ON app.rows FOR INSERT WITH CHECK (app.insert_only());
    CREATE TABLE looked (a int); ALTER TABLE looked ENABLE ROW LEVEL SECURITY;
    CREATE POLICY r ON looked USING (a IN (SELECT a FROM app.rows));
    CREATE VIEW app.inner_view AS SELECT a FROM app.rows;
    CREATE VIEW outer_view AS SELECT a FROM app.inner_view WHERE a OPERATOR(app.~~~) 1;
    CREATE VIEW checking AS SELECT (owner::app.checked)::text AS owner FROM plain;
    CREATE VIEW totals AS SELECT app.total(a) AS a FROM plain;
    CREATE MATERIALIZED VIEW stored AS SELECT a, app.who() AS who FROM app.rows;
    CREATE VIEW over_stored AS SELECT a FROM stored;
    CREATE TABLE pairs (p app.pair[]); CREATE VIEW one_of_pairs AS SELECT 1 AS one FROM pairs;
    CREATE VIEW builtin AS SELECT lower(owner) AS owner FROM plain;
    CREATE FUNCTION app.inner_part() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
    CREATE FUNCTION app.standard() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT app.inner_part(); END;
    CREATE VIEW atomic AS SELECT app.standard() AS a;";

#[tokio::test]
async fn every_function_that_a_read_may_run_is_found_and_no_other() {
    let cases: [(&str, &[&str]); 11] = [
        ("plain", &[]),
        ("builtin", &[]),
        ("looked", &["app.who()"]),
        ("outer_view", &["app.near(integer, integer)", "app.who()"]),
        ("checking", &["app.fine(text)"]),
        ("totals", &["app.add(integer, integer)", "app.total(integer)"]),
        ("stored", &[]),
        ("over_stored", &[]),
        ("pairs", &["app.pair_json(app.pair)"]),
        ("one_of_pairs", &[]),
        ("atomic", &["app.inner_part()", "app.standard()"]),
    ];
    for server in servers() {
        let mut fixture = Fixture::new(&server, REACHES).await;
        let known = fixture.known(&["public"]).await;
        assert_eq!(known.tables.len(), cases.len());
        for (table, functions) in cases {
            assert_eq!(known.pg(table).functions, functions, "{table}");
            assert!(!known.pg(table).signed, "{table}");
        }
    }
}

const CLAIMS: &str = "
    CREATE SCHEMA asuser;
    CREATE FUNCTION asuser.claims() RETURNS jsonb LANGUAGE sql STABLE SECURITY DEFINER PARALLEL RESTRICTED
        AS $$ SELECT NULL::jsonb $$;";

const SIGNED: &str = "
    CREATE FUNCTION mine(text) RETURNS bool LANGUAGE sql AS $$ SELECT true $$;
    CREATE TABLE members (who text);
    CREATE TABLE signed (owner text); ALTER TABLE signed ENABLE ROW LEVEL SECURITY;
    CREATE POLICY r ON signed USING (owner = (SELECT asuser.claims()->>'email') AND owner IN (SELECT who FROM members));
    CREATE TABLE signed_too (owner text); ALTER TABLE signed_too ENABLE ROW LEVEL SECURITY;
    CREATE POLICY r ON signed_too FOR SELECT USING (owner = asuser.claims()->>'email');
    CREATE POLICY w ON signed_too FOR INSERT WITH CHECK (mine(owner));
    CREATE TABLE off (owner text); CREATE POLICY r ON off USING (owner = asuser.claims()->>'email');
    CREATE TABLE half (owner text); ALTER TABLE half ENABLE ROW LEVEL SECURITY;
    CREATE POLICY r ON half USING (owner = asuser.claims()->>'email'); CREATE POLICY also ON half USING (mine(owner));
    CREATE TABLE through (owner text); ALTER TABLE through ENABLE ROW LEVEL SECURITY;
    CREATE POLICY r ON through USING (owner = asuser.claims()->>'email' AND owner IN (SELECT owner FROM half));
    CREATE TABLE locked (owner text); ALTER TABLE locked ENABLE ROW LEVEL SECURITY;
    CREATE VIEW over_signed AS SELECT s.owner FROM signed s JOIN signed_too t ON s.owner = t.owner;
    CREATE VIEW over_view AS SELECT owner FROM over_signed;
    CREATE VIEW over_plain AS SELECT owner FROM signed UNION SELECT who FROM members;
    CREATE VIEW calling AS SELECT owner FROM signed WHERE mine(owner);
    CREATE VIEW from_nothing AS SELECT asuser.claims() AS claims;
    CREATE MATERIALIZED VIEW stored AS SELECT owner FROM signed;";

#[tokio::test]
async fn only_what_signed_claims_alone_decide_is_signed() {
    let server = one_server();
    let mut fixture = Fixture::new(&server, &format!("{CLAIMS}{SIGNED}")).await;
    let known = fixture.known(&["public"]).await;
    let signed: Vec<&str> =
        known.tables.iter().filter(|(_, table)| table.signed).map(|(name, _)| name.as_str()).collect();
    assert_eq!(signed, ["locked", "over_signed", "over_view", "signed", "signed_too"]);
    // The genuine function is nobody's to vouch for.
    assert_eq!(known.pg("signed").functions, Vec::<String>::new());
    assert_eq!(known.pg("half").functions, ["public.mine(text)"]);
}

#[tokio::test]
async fn a_function_that_only_has_the_name_of_the_claims_signs_nothing() {
    let server = PostgresServer::shared(Version::Fifteen);
    for fake in [
        CLAIMS.replace("SECURITY DEFINER", "SECURITY INVOKER"),
        CLAIMS.replace("PARALLEL RESTRICTED", "PARALLEL SAFE"),
        CLAIMS.replace("claims()", "claims(int DEFAULT 1)"),
    ] {
        let mut fixture = Fixture::new(&server, &format!("{fake}{SIGNED}")).await;
        let known = fixture.known(&["public"]).await;
        assert!(known.tables.iter().all(|(name, table)| !table.signed || name.as_str() == "locked"), "{fake}");
        let functions = &known.pg("signed").functions;
        assert_eq!(functions.len(), 1);
        assert!(functions[0].starts_with("asuser.claims("), "{functions:?}");
    }
}

#[tokio::test]
async fn another_servers_rows_are_not_taken_at_their_word() {
    let sql = "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
         CREATE FOREIGN TABLE far (a text NOT NULL, n int NOT NULL) SERVER s;
         CREATE VIEW over_far AS SELECT a FROM far;
         CREATE TABLE mixed (a text NOT NULL) PARTITION BY LIST (a);
         CREATE TABLE mixed_here PARTITION OF mixed FOR VALUES IN ('h') PARTITION BY LIST (a);
         CREATE FOREIGN TABLE mixed_far PARTITION OF mixed_here FOR VALUES IN ('h') SERVER s;
         CREATE TABLE near (a text NOT NULL) PARTITION BY LIST (a);
         CREATE TABLE near_1 PARTITION OF near FOR VALUES IN ('h') PARTITION BY LIST (a);
         CREATE TABLE looking (a text NOT NULL); ALTER TABLE looking ENABLE ROW LEVEL SECURITY;
         CREATE POLICY r ON looking USING (a IN (SELECT a FROM far));";
    let server = one_server();
    let mut fixture = Fixture::new(&server, sql).await;
    let known = fixture.known(&["public"]).await;
    for (table, here) in [("far", false), ("over_far", false), ("mixed", false), ("near", true), ("looking", true)] {
        let (column, _) = known.column(table, "a");
        assert_eq!((column.binary_collation, column.strictly_typed), (here, here), "{table}");
        assert_eq!(column.nullable, !here, "{table}");
    }
    assert_eq!(known.pg("far").table.kind, TableKind::Table);
}

#[tokio::test]
async fn what_a_virtual_generated_column_runs_is_built_in() {
    let Some(server) = PostgresServer::shared_if_installed(Version::Eighteen) else { return };
    let mut fixture =
        Fixture::new(&server, "CREATE TABLE t (a text, b text GENERATED ALWAYS AS (lower(a)) VIRTUAL)").await;
    let known = fixture.known(&["public"]).await;
    assert_eq!(known.column("t", "b").1.number, 2);
    assert_eq!(known.pg("t").functions, Vec::<String>::new());
}

#[tokio::test]
async fn operators_of_anybodys_schema_are_not_used_and_a_failure_leaves_the_connection_usable() {
    let server = PostgresServer::shared(Version::Fifteen);
    let mut fixture = Fixture::new(
        &server,
        "CREATE TABLE t (a int);
         CREATE FUNCTION boom(name, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'used'; END $$;
         CREATE OPERATOR = (LEFTARG = name, RIGHTARG = text, FUNCTION = boom);
         CREATE FUNCTION to_json(name) RETURNS json LANGUAGE plpgsql AS $$ BEGIN RAISE 'used'; END $$;",
    )
    .await;
    fixture.client.execute("SET search_path = public, pg_catalog").await.expect("a path");
    let failed = facts(&mut fixture.client, [("SELECT to_json('x'::name)", &[]), ("SELECT 1/0", &[])]).await;
    assert!(matches!(failed, Err(PostgresError::Refused(ref words)) if words.contains("22012")), "{failed:?}");
    assert_eq!(fixture.known(&["public"]).await.tables.len(), 1);
    // The transaction's path ended with it.
    let path = fixture.client.query("SHOW search_path", &[]).await.expect("a path");
    assert_eq!(path[0].get(0), Some("public, pg_catalog"));
    let written = facts(&mut fixture.client, [("CREATE TEMP TABLE x (a int)", &[])]).await;
    assert!(matches!(written, Err(PostgresError::Refused(ref words)) if words.contains("25006")), "{written:?}");
}

#[tokio::test]
async fn more_tables_than_allowed_are_refused_in_words() {
    let server = PostgresServer::shared(Version::Fifteen);
    let views =
        "DO $$ BEGIN FOR n IN 1..5000 LOOP EXECUTE format('CREATE VIEW v%s AS SELECT 1 AS a', n); END LOOP; END $$";
    let mut fixture = Fixture::new(&server, views).await;
    assert_eq!(fixture.known(&["public"]).await.tables.len(), 5_000);
    fixture.database.execute("CREATE VIEW one_more AS SELECT 1 AS a");
    let refused = fixture.read(&["public"]).await.map(|_| ());
    let words = "the schemas hold more than 5000 tables and views: name fewer schemas";
    assert_eq!(refused, Err(PostgresError::Options(words.to_owned())));
}
