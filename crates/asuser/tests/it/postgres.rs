//! The mission's program against a real PostgreSQL with row security and a masked view, in each mapping and mode; and what the server
//! itself says of who asked.

use std::sync::Arc;

use asuser_testkit::{PgDatabase, PostgresServer, Version};
use serde_json::{Value as Json, json};

use crate::mission;
use crate::site::{Site, said};

const SCHEMA: &str = "
CREATE TABLE orders (
    id bigint PRIMARY KEY, owner text NOT NULL, region text NOT NULL, amount integer NOT NULL, email text NOT NULL, note text
);
CREATE INDEX orders_owner ON orders (owner);
INSERT INTO orders VALUES
    (1, 'alice', 'EU', 100, 'ada@one.example', NULL), (2, 'bob', 'SECRET-US', 777, 'SECRET@two.example', 'SECRET note'),
    (3, 'alice', 'EU', 300, 'cem@three.example', '50% off'), (4, 'bob', 'SECRET-US', 900, 'SECRET2@two.example', NULL),
    (5, 'carol', 'APAC', 5, 'dee@five.example', 'it''s');
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE VIEW contacts WITH (security_invoker = true) AS
    SELECT id, left(email, 1) || '***' || substr(email, strpos(email, '@')) AS email FROM orders;
CREATE TABLE secrets (v text);
INSERT INTO secrets VALUES ('SECRET-TABLE');
REVOKE EXECUTE ON FUNCTION set_config(text, text, boolean) FROM PUBLIC;
";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mapping {
    PerPerson,
    PerGroup,
    Shared,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Role,
    Certificate,
}

/// A company's database, with asuser before it.
pub(crate) struct Company {
    pub(crate) site: Site,
    pub(crate) database: PgDatabase,
    login: String,
}

impl Company {
    /// People are `alice`, `bob` and `carol`; carol has no role of her own.
    fn new(server: &Arc<PostgresServer>, mapping: Mapping, mode: Mode, more: &str) -> Self {
        let database = server.database("company");
        let login = server.unique("asuser_login");
        database.execute(SCHEMA);
        database.execute(&format!("ALTER DATABASE {} SET log_statement = 'all'", database.name()));
        database.execute(&format!(
            "CREATE ROLE {login} LOGIN NOINHERIT PASSWORD 'gate'; GRANT EXECUTE ON FUNCTION set_config(text, text, boolean) TO {login}"
        ));
        let (roles, policy, role) = match mapping {
            Mapping::PerPerson => (
                vec!["alice", "bob"],
                "owner = (SELECT current_user)::text COLLATE \"default\"",
                r#""{login}""#.to_owned(),
            ),
            Mapping::PerGroup => (
                vec!["sales_role", "hr_role"],
                "owner = (SELECT current_setting('request.jwt.claims', true)::json ->> 'login')",
                r#"{ from = "groups", map = { sales = "sales_role", hr = "hr_role" } }"#.to_owned(),
            ),
            Mapping::Shared => (
                vec!["authenticated"],
                "owner = (SELECT current_setting('request.jwt.claims', true)::json ->> 'login')",
                r#""authenticated""#.to_owned(),
            ),
        };
        for name in &roles {
            let can_login = if mapping == Mapping::PerPerson { "LOGIN" } else { "NOLOGIN" };
            database.execute(&format!(
                "DO $$ BEGIN CREATE ROLE {name} {can_login}; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
            ));
            database.execute(&format!("GRANT SELECT ON orders, contacts TO {name}"));
            // In mode `certificate` the login becomes nobody: a member of their roles would count as one of asuser_users.
            match mode {
                Mode::Role => database.execute(&format!("GRANT {name} TO {login}")),
                Mode::Certificate => {
                    // The identity statement is then their own to run.
                    database.execute(&format!(
                        "GRANT asuser_users TO {name}; GRANT EXECUTE ON FUNCTION set_config(text, text, boolean) TO asuser_users"
                    ));
                }
            }
        }
        database.execute(&format!("CREATE POLICY own ON orders FOR SELECT USING ({policy})"));
        let mode_keys = match mode {
            Mode::Role => "run_as = \"role\"",
            Mode::Certificate => "run_as = \"certificate\"\nca_dir = \"ca\"\ntls_ca = \"server-ca.pem\"",
        };
        let site = Site::of_services(&format!(
            "[[service]]\nname = \"db\"\nkind = \"postgres\"\nurl = \"{}\"\npassword = \"env:DB_PASSWORD\"\nrole = {role}\n{mode_keys}\n\
             default = \"database\"\n{more}\n",
            database.url(&login)
        ));
        site.write("server-ca.pem", &server.ca_pem());
        Self { site, database, login }
    }

    fn started(mut self) -> Self {
        self.start();
        self
    }
    pub(crate) fn start(&mut self) {
        self.site.start_with(&[("DB_PASSWORD", "gate")]);
        let log = self.site.log();
        assert!(!log.contains("not ready"), "{log}");
    }

    /// As a person, with the groups that the mapping needs.
    fn token(&self, person: &str) -> String {
        self.site.issuer.token_with(person, &json!({ "groups": ["sales"] }))
    }
    fn get(&self, person: &str, path: &str) -> crate::site::Reply {
        self.site.get(path, &self.token(person))
    }
}

fn each_case(server: &Arc<PostgresServer>, check: impl Fn(&Company, Mapping, Mode)) {
    each_case_with(server, "", check);
}

fn each_case_with(server: &Arc<PostgresServer>, more: &str, check: impl Fn(&Company, Mapping, Mode)) {
    let cases = [
        (Mapping::PerPerson, Mode::Role),
        (Mapping::PerGroup, Mode::Role),
        (Mapping::Shared, Mode::Role),
        (Mapping::PerPerson, Mode::Certificate),
    ];
    for (mapping, mode) in cases {
        let mut company = Company::new(server, mapping, mode, more);
        if mode == Mode::Certificate {
            let made = company.site.command_in(&["ca", "init", "--dir", "ca"]);
            assert!(made.status.success(), "{}", said(&made));
            server.trust_client_ca(&std::fs::read_to_string(company.site.path("ca/ca-bundle.crt")).unwrap());
        }
        company.start();
        let tried = company.get("alice", "/api/v2/db/_table/orders");
        if tried.status != 200 {
            let log = server.log();
            panic!(
                "{mapping:?} {mode:?}: {tried:?}\n{}\n{}",
                company.site.log(),
                &log[log.len().saturating_sub(2000)..]
            );
        }
        check(&company, mapping, mode);
    }
}

#[test]
fn the_missions_program_gets_each_persons_rows_in_each_mapping_and_mode() {
    let server = PostgresServer::shared(Version::Fifteen);
    each_case(&server, |company, mapping, mode| {
        for (person, expected) in [("alice", vec![1, 3]), ("bob", vec![2, 4])] {
            let answer = mission::run_with(&company.site, &company.token(person));
            let ids: Vec<i64> =
                answer["resource"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect();
            assert_eq!(ids, expected, "{mapping:?} {mode:?} {person}: {answer}");
        }
        let contacts = company.get("alice", "/api/v2/db/_table/contacts?order=id");
        let expected = json!([{ "id": 1, "email": "a***@one.example" }, { "id": 3, "email": "c***@three.example" }]);
        assert_eq!(contacts.json()["resource"], expected, "{mapping:?} {mode:?}");

        // What the database does not open is not there, by any name.
        let secret = company.get("alice", "/api/v2/db/_table/secrets");
        assert_eq!((secret.status, secret.reason().as_str()), (404, "ASU-402"), "{secret:?}");
        let tables = company.get("alice", "/api/v2/db/_table?as_list=true").json();
        assert_eq!(tables["resource"], json!(["contacts", "orders"]));

        // PostgreSQL's own log names the person: by the login, or beside it.
        let log = server.log();
        let user = if mode == Mode::Certificate { "u=alice" } else { &format!("u={}", company.login) };
        let id = contacts.header("audit-id").unwrap();
        let line = |line: &&str| line.contains(user) && line.contains(&format!("a=asuser/{id}/alice"));
        assert!(log.lines().any(|l| line(&l)), "{mapping:?} {mode:?}: no line of {user} with {id}");
    });
}

/// SQL of the caller's own is theirs too, and the server says so; views and what is not opened as the database has them.
#[test]
fn submitted_sql_is_the_persons_in_each_mapping_and_mode() {
    let server = PostgresServer::shared(Version::Fifteen);
    let more = "[actor.none]\nraw_sql = true\n[actor.unregistered]\nraw_sql = true\n";
    each_case_with(&server, more, |company, mapping, mode| {
        let sql = |person: &str, text: &str| {
            let body = json!({ "sql": text });
            crate::sql::post(&company.site, "/api/v2/db/_sql", &company.token(person), &body)
        };
        for (person, total) in [("alice", 400), ("bob", 1677)] {
            let reply = sql(
                person,
                "SELECT sum(o.amount) AS total, count(c.id) AS n FROM orders o JOIN contacts c ON c.id = o.id",
            );
            assert_eq!(reply.status, 200, "{mapping:?} {mode:?} {person}: {reply:?}");
            assert_eq!(reply.json()["resource"], json!([{ "total": total, "n": 2 }]), "{mapping:?} {mode:?} {person}");
            let user = if mode == Mode::Certificate { "u=alice" } else { &format!("u={}", company.login) };
            let id = reply.header("audit-id").unwrap();
            let log = server.log();
            let line = |line: &&str| line.contains(&format!("a=asuser/{id}/{person}")) && line.contains("row_to_json");
            assert!(log.lines().any(|l| line(&l)), "{mapping:?} {mode:?}: no line with {id}");
            assert!(person == "bob" || log.lines().any(|l| line(&l) && l.contains(user)), "{mapping:?} {mode:?}");
        }
        let secret = sql("alice", "SELECT v FROM secrets");
        assert_eq!((secret.status, secret.reason().as_str()), (400, "ASU-506"), "{secret:?}");
    });
}

/// In a session that is the person's login, people of one login could see each other's statements: no SQL of their own there.
#[test]
fn a_login_that_several_people_share_runs_no_submitted_sql() {
    let server = PostgresServer::own(Version::Fifteen);
    let more = "[actor.none]\nraw_sql = true\n[actor.unregistered]\nraw_sql = true\n\
                [[tool]]\nname = \"mine\"\ndescription = \"My orders\"\nservice = \"db\"\nsql = \"SELECT id FROM orders ORDER BY id\"\n";
    let mut company = Company::new(&server, Mapping::PerGroup, Mode::Certificate, more);
    company.database.execute("ALTER ROLE sales_role LOGIN");
    let made = company.site.command_in(&["ca", "init", "--dir", "ca"]);
    assert!(made.status.success(), "{}", said(&made));
    server.trust_client_ca(&std::fs::read_to_string(company.site.path("ca/ca-bundle.crt")).unwrap());
    company.start();
    let post = |path: &str, body: Json| crate::sql::post(&company.site, path, &company.token("alice"), &body);
    let refused = post("/api/v2/db/_sql", json!({ "sql": "SELECT id FROM orders" }));
    assert_eq!((refused.status, refused.reason().as_str()), (403, "ASU-507"), "{refused:?}");
    assert_eq!(company.get("alice", "/api/v2/db/_table/orders").ids(), [1, 3]);
    assert_eq!(post("/api/v2/db/_proc/mine", json!({})).ids(), [1, 3]);
}

/// A function in a policy that nobody vouched for could say who asks, where the role alone does not (SPEC C).
#[test]
fn under_a_shared_role_sql_runs_no_function_that_is_not_trusted() {
    let server = PostgresServer::shared(Version::Fifteen);
    let more = "[actor.none]\nraw_sql = true\n[actor.unregistered]\nraw_sql = true\n";
    for (trusted, status) in [("", 403), ("trusted_functions = [\"public.who()\"]\n", 200)] {
        let company = Company::new(&server, Mapping::Shared, Mode::Role, &format!("{trusted}{more}"));
        company.database.execute(
            "CREATE FUNCTION who() RETURNS text LANGUAGE sql STABLE AS
                 $$ SELECT current_setting('request.jwt.claims', true)::json ->> 'login' $$;
             DROP POLICY own ON orders; CREATE POLICY own ON orders USING (owner = (SELECT who()))",
        );
        let company = company.started();
        let body = json!({ "sql": "SELECT id FROM orders ORDER BY id" });
        let reply = crate::sql::post(&company.site, "/api/v2/db/_sql", &company.token("alice"), &body);
        assert_eq!(reply.status, status, "{reply:?}");
        if status == 200 {
            assert_eq!(reply.ids(), [1, 3]);
        } else {
            assert_eq!(reply.reason(), "ASU-608");
        }
    }
}

#[test]
fn who_has_no_usable_role_gets_nothing() {
    let server = PostgresServer::shared(Version::Fifteen);
    let company = Company::new(&server, Mapping::PerPerson, Mode::Role, "").started();
    let ask = |person: &str| company.get(person, "/api/v2/db/_table/orders");
    let refused = |person: &str, reason: &str| {
        let reply = ask(person);
        assert_eq!((reply.status, reply.reason().as_str()), (403, reason), "{person}: {reply:?}");
        assert!(!reply.text.contains("SECRET") && !reply.text.contains(person), "{reply:?}");
    };
    assert_eq!(ask("alice").ids(), [1, 3]);
    // No such role; one that is privileged; asuser's own; names that the database reads otherwise.
    refused("carol", "ASU-607");
    refused("postgres", "ASU-607");
    for name in [company.login.as_str(), "none", "pg_read_all_data"] {
        refused(name, "ASU-211");
    }
    assert_eq!(ask("bob").ids(), [2, 4]);
    // Nor do they learn which tables there are, or that there are none of a name.
    for path in ["/api/v2/db/_table", "/api/v2/db/_schema/orders", "/api/v2/db/_table/no_such_table"] {
        let told = company.get("carol", path);
        assert_eq!((told.status, told.reason().as_str()), (403, "ASU-607"), "{path}: {told:?}");
        assert!(!told.text.contains("orders"), "{told:?}");
    }
    assert_eq!(company.get("bob", "/api/v2/db/_table?as_list=true").json()["resource"], json!(["contacts", "orders"]));
}

/// DN-01 and FA-03: what the company changes on a role holds at the next request, while the pool keeps its connections.
#[test]
fn what_changes_on_a_role_holds_at_the_next_request() {
    let server = PostgresServer::own(Version::Fifteen);
    each_case(&server, |company, mapping, mode| {
        if mapping != Mapping::PerPerson {
            return;
        }
        let ask = || company.get("alice", "/api/v2/db/_table/orders");
        assert_eq!(ask().ids(), [1, 3]);
        let changes = [
            ("ALTER ROLE alice NOLOGIN", "ALTER ROLE alice LOGIN", "ASU-607"),
            ("ALTER ROLE alice VALID UNTIL '2020-01-01'", "ALTER ROLE alice VALID UNTIL 'infinity'", "ASU-607"),
            ("ALTER ROLE alice BYPASSRLS", "ALTER ROLE alice NOBYPASSRLS", "ASU-607"),
            ("ALTER ROLE alice SUPERUSER", "ALTER ROLE alice NOSUPERUSER", "ASU-607"),
            ("REVOKE SELECT ON orders FROM alice", "GRANT SELECT ON orders TO alice", "ASU-606"),
            ("REVOKE USAGE ON SCHEMA public FROM PUBLIC", "GRANT USAGE ON SCHEMA public TO PUBLIC", "ASU-606"),
        ];
        for (change, back, reason) in changes {
            company.database.execute(change);
            let reply = ask();
            assert_eq!((reply.status, reply.reason().as_str()), (403, reason), "{mode:?} {change}: {reply:?}");
            company.database.execute(back);
            assert_eq!(ask().ids(), [1, 3], "{mode:?} {back}");
        }
        if mode == Mode::Role {
            company.database.execute(&format!("REVOKE alice FROM {}", company.login));
            assert_eq!(ask().reason(), "ASU-607");
            company.database.execute(&format!("GRANT alice TO {}", company.login));
            assert_eq!(ask().ids(), [1, 3]);
        }
        // A restart of the server: the connections are gone, the next read finds new ones.
        server.restart();
        assert_eq!(ask().ids(), [1, 3], "{mode:?} after a restart");
    });
}

/// The record says whom the database has seen.
#[test]
fn the_audit_names_the_databases_user() {
    let server = PostgresServer::shared(Version::Fifteen);
    let company = Company::new(&server, Mapping::PerPerson, Mode::Role, "").started();
    let reply = company.get("alice", "/api/v2/db/_table/orders");
    let shown = company.site.command(&["audit", "show", reply.header("audit-id").unwrap()]);
    let text = said(&shown);
    assert!(text.contains(&format!("{}/alice", company.login)), "{text}");
    assert!(text.contains("\"role\""), "{text}");
}

/// The types that people use come back whole.
#[test]
fn values_come_back_whole() {
    let server = PostgresServer::shared(Version::Fifteen);
    let mut company = Company::new(&server, Mapping::PerPerson, Mode::Role, "schemas = [\"public\", \"Lab 1\"]");
    company.database.execute(
        r#"
        CREATE SCHEMA "Lab 1";
        CREATE TYPE "Lab 1"."Mood" AS ENUM ('fine', 'so so');
        CREATE DOMAIN "Lab 1".cents AS numeric(12,2) CHECK (VALUE >= 0);
        CREATE TABLE "Lab 1"."Odd ""table""" (
            id bigint PRIMARY KEY, n numeric, price "Lab 1".cents, f8 double precision, f4 real, flag boolean, ts timestamptz,
            local timestamp, day date, span interval, doc json, docb jsonb, names text[], grid int[][], u uuid, raw bytea,
            mood "Lab 1"."Mood", period daterange, addr inet, short smallint, "Mixed Case" varchar(20), c char(4), t time,
            money money, b bit(4), doubled bigint GENERATED ALWAYS AS (id * 2) STORED
        );
        INSERT INTO "Lab 1"."Odd ""table""" VALUES (
            9007199254740993, 12345678901234567890.123456789012345678901234567890, 10.50, 0.1, 0.1, true,
            '2026-01-31 12:00:00.25+02', '2026-01-31 12:00', '0044-03-15 BC', '1 year 2 mons 3 days 04:05:06.7', '{"a": 1.10}',
            '{"b": [1, null]}', ARRAY['x', NULL, 'a"b,{}'], '{{1,2},{3,4}}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\x00ff10',
            'so so', '[2026-01-01,2026-02-01)', '10.0.0.1/8', -5, 'grüße', 'ab', '01:02:03', 12.5, B'1010'
        );
        GRANT USAGE ON SCHEMA "Lab 1" TO alice;
        GRANT SELECT ON "Lab 1"."Odd ""table""" TO alice;
        "#,
    );
    company.start();
    let path = format!("/api/v2/db/_table/{}", crate::site::escape("Lab 1.Odd \"table\""));
    let reply = company.get("alice", &path);
    assert_eq!(reply.status, 200, "{reply:?}");
    let text = &reply.text;
    for exact in
        ["9007199254740993", "12345678901234567890.123456789012345678901234567890", "10.50", "18014398509481986"]
    {
        assert!(text.contains(exact), "{exact}: {text}");
    }
    let mut row = reply.json()["resource"][0].clone();
    for exact in ["id", "n", "price", "doubled"] {
        row.as_object_mut().unwrap().remove(exact);
    }
    let expected: Json = json!({
        "f8": 0.1, "f4": 0.1, "flag": true, "ts": "2026-01-31T10:00:00.25Z", "local": "2026-01-31T12:00:00", "day": "-0043-03-15",
        "span": "1 year 2 mons 3 days 04:05:06.7", "doc": { "a": 1.10 }, "docb": { "b": [1, null] }, "names": ["x", null, "a\"b,{}"],
        "grid": [[1, 2], [3, 4]], "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "raw": "AP8Q", "mood": "so so",
        "period": "[2026-01-01,2026-02-01)", "addr": "10.0.0.1/8", "short": -5, "Mixed Case": "grüße", "c": "ab  ", "t": "01:02:03",
        "money": row["money"], "b": "1010",
    });
    assert_eq!(row, expected);
    for filter in [
        "u = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
        "ts = '2026-01-31T10:00:00.25Z'",
        "day < '2026-01-01'",
        "mood = 'so so'",
        "n > 12345678901234567890.1",
        "id = 9007199254740993",
        "addr = '10.0.0.1/8'",
        "([Mixed Case] = 'grüße') and (flag = true)",
        "short in (1,-5,7)",
        "span = '1 year 2 mons 3 days 04:05:06.7'",
    ] {
        let found = company.get("alice", &format!("{path}?fields=short&filter={}", crate::site::escape(filter)));
        assert_eq!(found.json()["resource"], json!([{ "short": -5 }]), "{filter}: {found:?}");
    }
    for (filter, reason) in
        [("u = 'x'", "ASU-502"), ("ts = 'yesterday'", "ASU-502"), ("mood = 'sad'", "ASU-502"), ("doc = '1'", "ASU-502")]
    {
        let refused = company.get("alice", &format!("{path}?filter={}", crate::site::escape(filter)));
        assert_eq!((refused.status, refused.reason().as_str()), (400, reason), "{filter}: {refused:?}");
    }
}

/// `asuser doctor` over the configuration: sound, then with something that gets around the mode, mended by the SQL that it prints.
#[test]
fn the_doctor_says_what_gets_around_and_how_to_mend_it() {
    let server = PostgresServer::shared(Version::Fifteen);
    let company = Company::new(&server, Mapping::PerPerson, Mode::Role, "").started();
    let examine = || {
        let output = company.site.command_with(&["doctor", "--json"], &[("DB_PASSWORD", "gate")]);
        let reports: Json = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
        (output.status.code().unwrap(), reports[0].clone())
    };
    let critical = |report: &Json| -> Vec<Json> {
        report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|finding| finding["severity"] == "critical")
            .cloned()
            .collect()
    };
    let (code, report) = examine();
    assert_eq!((code, critical(&report)), (0, Vec::new()), "{report}");
    company.database.execute("CREATE VIEW everything AS SELECT * FROM orders; GRANT SELECT ON everything TO alice");
    // It is what it says: alice gets everybody's rows through it.
    let asked = company.get("alice", "/api/v2/db/_table/everything");
    assert!(matches!(asked.status, 200 | 404), "{asked:?}");
    let (code, report) = examine();
    let found = critical(&report);
    assert_eq!(code, 1, "{report}");
    let finding = found.iter().find(|finding| finding["subject"].as_str().unwrap().contains("everything")).unwrap();
    company.database.execute(finding["fix"].as_str().unwrap());
    assert_eq!(examine().0, 0);
    let plain = company.site.command_with(&["doctor"], &[("DB_PASSWORD", "gate")]);
    assert!(said(&plain).contains("db"), "{}", said(&plain));
}

/// Signed claims: policies that ask `asuser.claims()` believe asuser, and nobody who sets the setting by hand.
#[test]
fn signed_claims_are_believed_and_forged_ones_are_not() {
    let server = PostgresServer::shared(Version::Fifteen);
    let mut company = Company::new(&server, Mapping::Shared, Mode::Role, "claims_key = \"file:claims.key\"");
    let operator = format!(
        "postgres://postgres@{}:{}/{}",
        crate::site::escape(server.socket_folder().to_str().unwrap()),
        server.port(),
        company.database.name()
    );
    let install = company
        .site
        .command_with(&["install", "--service", "db", "--operator-url", &operator], &[("DB_PASSWORD", "gate")]);
    assert!(install.status.success(), "{}", said(&install));
    company.database.execute(
        "DROP POLICY own ON orders;
         CREATE POLICY own ON orders FOR SELECT USING (owner = (SELECT asuser.claims() ->> 'login'));
         GRANT USAGE ON SCHEMA asuser TO authenticated",
    );
    company.start();
    for (person, expected) in [("alice", vec![1, 3]), ("bob", vec![2, 4]), ("carol", vec![5]), ("dave", vec![])] {
        assert_eq!(company.get(person, "/api/v2/db/_table/orders?order=id").ids(), expected, "{person}");
    }
    company.database.execute("GRANT EXECUTE ON FUNCTION set_config(text, text, boolean) TO PUBLIC");
    // What an operator does while asuser runs is recorded through it.
    let again = company
        .site
        .command_with(&["install", "--service", "db", "--operator-url", &operator], &[("DB_PASSWORD", "gate")]);
    assert!(said(&again).contains("recorded as"), "{}", said(&again));
    // By hand, as the role that everybody shares: the unsigned claims say nothing here.
    let forged = company.database.query(
        "SET ROLE authenticated; SELECT count(*) FROM (SELECT set_config('request.jwt.claims', '{\"login\":\"bob\"}', true)) AS x, orders",
    );
    assert_eq!(forged.last().unwrap()[0].as_deref(), Some("0"));
}
