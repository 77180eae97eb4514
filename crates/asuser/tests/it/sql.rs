//! Submitted SQL, through the whole program: as the person, on a real PostgreSQL and on SQLite. What is tried has its honest twin.

mod attacks;
mod limits;

use std::sync::Arc;

use asuser_testkit::{PgDatabase, PostgresServer, Version};
use serde_json::{Value as Json, json};

use crate::site::{Reply, Site, said};

/// Agents may submit SQL, named or not.
const MAY_SUBMIT: &str = "[actor.none]\nraw_sql = true\n[actor.unregistered]\nraw_sql = true\n";

const ORDERS: &str = "
    CREATE TABLE orders (id bigint PRIMARY KEY, owner text NOT NULL, region text NOT NULL, amount int NOT NULL, email text NOT NULL, placed date);
    INSERT INTO orders VALUES
        (1, 'alice', 'EU', 100, 'ada@one.example', '2026-01-01'), (2, 'bob', 'SECRET-US', 0, 'SECRET@two.example', NULL),
        (3, 'alice', 'APAC', 300, 'cem@three.example', '2026-02-01'), (4, 'carol', 'APAC', 5, 'dee@five.example', NULL);
    CREATE TABLE items (order_id bigint NOT NULL, article text NOT NULL, pieces int NOT NULL);
    INSERT INTO items VALUES (1, 'pen', 2), (1, 'ink', 1), (2, 'SECRET-ITEM', 9), (3, 'pen', 5);
    CREATE TABLE secrets (v text); INSERT INTO secrets VALUES ('SECRET-TABLE');
";
/// The database itself decides whose rows there are.
const ROW_SECURITY: &str = "
    ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON orders USING (owner = current_user::text COLLATE \"default\");
    ALTER TABLE items ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON items USING (EXISTS (SELECT FROM orders o WHERE o.id = order_id));
";

/// A company with people of their own roles.
struct Firm {
    site: Site,
    database: PgDatabase,
}

impl Firm {
    fn new(server: &Arc<PostgresServer>, sql: &str, service: &str, more: &str) -> Self {
        let database = server.database("sql");
        let login = server.unique("asuser_login");
        database.execute(&format!("CREATE ROLE {login} LOGIN NOINHERIT PASSWORD 'gate'"));
        database.execute(ORDERS);
        for role in ["alice", "bob", "carol"] {
            database.execute(&format!(
                "DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            ));
            database.execute(&format!("GRANT {role} TO {login}; GRANT SELECT ON orders, items TO {role}"));
        }
        database.execute(&sql.replace("{LOGIN}", &login));
        let site = Site::of_services(&format!(
            "[[service]]\nname = \"db\"\nkind = \"postgres\"\nurl = \"{}\"\npassword = \"env:DB_PASSWORD\"\nrole = \"{{login}}\"\n\
             run_as = \"role\"\ntls = \"off\"\ndefault = \"database\"\n{service}\n{more}\n",
            database.url(&login)
        ));
        Self { site, database }
    }
    fn started(mut self) -> Self {
        self.start();
        self
    }
    fn start(&mut self) {
        self.site.start_with(&[("DB_PASSWORD", "gate")]);
        let log = self.site.log();
        assert!(!log.contains("not ready"), "{log}");
    }
    fn sql(&self, person: &str, text: &str) -> Reply {
        submit(&self.site, person, text)
    }
    /// The records, which must be there.
    fn rows(&self, person: &str, text: &str) -> Json {
        rows(&self.sql(person, text), text)
    }
}

fn rows(reply: &Reply, text: &str) -> Json {
    assert_eq!(reply.status, 200, "{text}: {reply:?}");
    reply.json()["resource"].clone()
}

/// `POST …/_sql`
fn submit(site: &Site, person: &str, text: &str) -> Reply {
    post(site, "/api/v2/db/_sql", &site.issuer.token_for(person), &json!({ "sql": text }))
}

pub(crate) fn post(site: &Site, path: &str, token: &str, body: &Json) -> Reply {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        site.address(),
        body.len()
    );
    Reply::parse(&site.send(format!("{head}{body}").as_bytes()))
}

#[track_caller]
fn refused(reply: &Reply, status: u16, reason: &str) -> String {
    assert_eq!((reply.status, reply.reason().as_str()), (status, reason), "{reply:?}");
    assert!(!reply.text.contains("SECRET"), "{reply:?}");
    reply.json()["error"]["message"].as_str().unwrap().to_owned()
}

#[test]
fn submitted_sql_runs_as_the_person() {
    let server = PostgresServer::shared(Version::Fifteen);
    let firm = Firm::new(&server, ROW_SECURITY, "", MAY_SUBMIT).started();
    let totals = "SELECT region, sum(amount) AS total, count(*) AS n FROM orders GROUP BY region ORDER BY total DESC";
    assert_eq!(
        firm.rows("alice", totals),
        json!([{ "region": "APAC", "total": 300, "n": 1 }, { "region": "EU", "total": 100, "n": 1 }])
    );
    assert_eq!(firm.rows("carol", totals), json!([{ "region": "APAC", "total": 5, "n": 1 }]));
    let joined = "WITH mine AS (SELECT * FROM public.orders AS o WHERE o.placed >= DATE '2026-01-01')
                  SELECT m.id, i.article, i.pieces, upper(i.article) AS loud, current_user AS me,
                         rank() OVER (ORDER BY i.pieces DESC) AS place
                  FROM mine AS m JOIN items AS i ON i.order_id = m.id WHERE i.article LIKE 'p%' ORDER BY 1";
    assert_eq!(
        firm.rows("alice", joined),
        json!([
            { "id": 1, "article": "pen", "pieces": 2, "loud": "PEN", "me": "alice", "place": 2 },
            { "id": 3, "article": "pen", "pieces": 5, "loud": "PEN", "me": "alice", "place": 1 },
        ])
    );
    // Names that come twice lose nothing; a limit says that more exist.
    assert_eq!(firm.rows("bob", "SELECT id, id, id + 1 AS id FROM orders"), json!([{ "id": 2, "id_2": 2, "id_3": 3 }]));
    let limited = post(
        &firm.site,
        "/api/v2/db/_sql",
        &firm.site.issuer.token_for("alice"),
        &json!({ "sql": "SELECT id FROM orders ORDER BY id", "limit": 1 }),
    );
    assert_eq!(limited.ids(), [1]);
    assert_eq!(limited.json()["meta"]["truncated"], true, "{limited:?}");
    // A table that the database does not open is not there.
    let words = refused(&firm.sql("alice", "SELECT v FROM secrets"), 400, "ASU-506");
    assert!(words.contains("`secrets` does not exist"), "{words}");
}

#[test]
fn it_takes_a_right_of_its_own() {
    let server = PostgresServer::shared(Version::Fifteen);
    let firm = Firm::new(&server, ROW_SECURITY, "", "").started();
    refused(&firm.sql("alice", "SELECT id FROM orders"), 403, "ASU-303");
    assert_eq!(firm.site.ask("alice", "orders", &[]).ids(), [1, 3]);
    // A token's scope says which scopes are needed, all at once.
    let scoped = Firm::new(&server, ROW_SECURITY, "", MAY_SUBMIT).started();
    let token = scoped.site.issuer.token_with("alice", &json!({ "scope": "db:read" }));
    let body = json!({ "sql": "SELECT id FROM orders" });
    let reply = post(&scoped.site, "/api/v2/db/_sql", &token, &body);
    refused(&reply, 403, "ASU-302");
    assert!(reply.header("www-authenticate").unwrap().contains(r#"scope="db:read db:raw_sql""#), "{reply:?}");
    let token = scoped.site.issuer.token_with("alice", &json!({ "scope": "db:read db:raw_sql" }));
    assert_eq!(post(&scoped.site, "/api/v2/db/_sql", &token, &body).status, 200);
    // SQL reads, so reading must be allowed too.
    let token = scoped.site.issuer.token_with("alice", &json!({ "scope": "db:raw_sql" }));
    refused(&post(&scoped.site, "/api/v2/db/_sql", &token, &body), 403, "ASU-302");
}

#[test]
fn errors_tell_what_to_do() {
    let server = PostgresServer::shared(Version::Fifteen);
    let firm = Firm::new(&server, ROW_SECURITY, "sql_cost_max = 200000", MAY_SUBMIT).started();
    for (text, status, reason, words) in [
        ("SELECT amuont FROM orders", 400, "ASU-506", "did you mean `amount`?"),
        ("SELECT o.amuont FROM orders o", 400, "ASU-506", "did you mean `amount`?"),
        ("SELECT id FROM ordres", 400, "ASU-506", "did you mean `orders`?"),
        ("SELECT uper(region) FROM orders", 400, "ASU-506", "did you mean `upper`?"),
        ("SELEC id FROM orders", 400, "ASU-506", "line 1"),
        ("SELECT id FROM orders WHERE", 400, "ASU-506", ""),
        ("SELECT region + 1 FROM orders", 400, "ASU-506", "operator does not exist"),
        ("SELECT region FROM orders GROUP BY id, amount", 200, "", ""),
        ("SELECT region, count(*) FROM orders", 400, "ASU-506", "GROUP BY"),
        ("SELECT 1 / (amount - amount) FROM orders", 400, "ASU-609", "division by zero"),
        ("SELECT region::int FROM orders", 400, "ASU-609", "not of the type"),
        ("DELETE FROM orders", 403, "ASU-507", ""),
        ("SELECT id FROM orders; SELECT 1", 403, "ASU-507", ""),
        (
            "SELECT count(*) FROM orders a, orders b, generate_series(1, 1000000) g, generate_series(1, 1000000) h",
            400,
            "ASU-610",
            "cost",
        ),
    ] {
        let reply = firm.sql("alice", text);
        assert_eq!(reply.status, status, "{text}: {reply:?}");
        if status == 200 {
            continue;
        }
        let message = refused(&reply, status, reason);
        assert!(message.contains(words), "{text}: {message}");
    }
}

/// Policies narrow what the database gives: rows and masks hold in whatever way SQL reaches the table.
const POLICY: &str = "forbid (principal, action == Action::\"read\", resource is db::orders) when { resource.region == \"SECRET-US\" };\n\
                      forbid (principal, action == Action::\"read\", resource == Column::\"db.orders.placed\");\n\
                      forbid (principal, action == Action::\"unmask\", resource is db::orders);\n";

#[test]
fn what_policy_narrows_is_replaced_by_what_the_person_may_see() {
    let server = PostgresServer::shared(Version::Fifteen);
    let mut firm = Firm::new(
        &server,
        "CREATE VIEW all_orders WITH (security_invoker = false) AS SELECT * FROM orders; \
         GRANT SELECT ON all_orders TO alice",
        "",
        MAY_SUBMIT,
    );
    firm.site.write("policies/db/rows.cedar", POLICY);
    firm.site.write("policies/db/masks.toml", "[orders]\nemail = \"email\"\n");
    firm.start();
    assert_eq!(
        firm.rows("alice", "SELECT * FROM orders ORDER BY id"),
        json!([
            { "id": 1, "owner": "alice", "region": "EU", "amount": 100, "email": "a***@one.example" },
            { "id": 3, "owner": "alice", "region": "APAC", "amount": 300, "email": "c***@three.example" },
            { "id": 4, "owner": "carol", "region": "APAC", "amount": 5, "email": "d***@five.example" },
        ])
    );
    // A condition sees the mask; a column that is denied is not there; no error tells of a hidden row.
    assert_eq!(firm.rows("alice", "SELECT id FROM orders WHERE email = 'ada@one.example'"), json!([]));
    refused(&firm.sql("alice", "SELECT placed FROM orders"), 400, "ASU-506");
    assert_eq!(firm.rows("alice", "SELECT count(*) AS n FROM orders WHERE 100 / amount > 0"), json!([{ "n": 2 }]));
    // What a view would show of it is not shown by SQL; the structured way stays.
    let words = refused(&firm.sql("alice", "SELECT * FROM all_orders"), 403, "ASU-508");
    assert!(words.contains("query_table"), "{words}");
    assert_eq!(firm.site.ask("alice", "all_orders", &[("fields", "id")]).ids().len(), 4);
}

#[test]
fn aggregates_of_a_request_see_what_the_person_sees() {
    let server = PostgresServer::shared(Version::Fifteen);
    let firm = Firm::new(&server, ROW_SECURITY, "", "").started();
    let reply = firm.site.ask(
        "alice",
        "orders",
        &[("group", "region"), ("fields", "region, SUM(amount), COUNT(*)"), ("order", "region")],
    );
    assert_eq!(
        rows(&reply, "group"),
        json!([{ "region": "APAC", "SUM_amount": 300, "COUNT_ALL": 1 }, { "region": "EU", "SUM_amount": 100, "COUNT_ALL": 1 }])
    );
    let all =
        firm.site.ask("bob", "orders", &[("fields", "MAX(amount), COUNT(placed)"), ("filter", "region = 'SECRET-US'")]);
    assert_eq!(rows(&all, "all"), json!([{ "MAX_amount": 0, "COUNT_placed": 0 }]));
    refused(&firm.site.ask("alice", "orders", &[("fields", "SUM(region)")]), 400, "ASU-502");
}

const TOOL: &str = r#"
[[tool]]
name = "orders_since"
description = "Orders of a region since a day"
service = "db"
sql = "SELECT id, amount FROM orders WHERE region = :region AND (placed >= :since OR :since IS NULL) ORDER BY id"
[tool.parameters]
region = { type = "text", description = "EU or APAC" }
since = { type = "date", description = "the first day", required = false }
"#;

#[test]
fn a_configured_tool_runs_as_the_person_with_bound_values() {
    let server = PostgresServer::shared(Version::Fifteen);
    let firm = Firm::new(&server, ROW_SECURITY, "", TOOL).started();
    let call = |person: &str, params: Json| {
        post(
            &firm.site,
            "/api/v2/db/_proc/orders_since",
            &firm.site.issuer.token_for(person),
            &json!({ "params": params }),
        )
    };
    assert_eq!(call("alice", json!({ "region": "EU" })).ids(), [1]);
    assert_eq!(call("alice", json!({ "region": "APAC", "since": "2026-02-01" })).ids(), [3]);
    assert_eq!(call("carol", json!({ "region": "APAC" })).ids(), [4]);
    assert_eq!(call("alice", json!({ "region": "' OR true --" })).ids(), [] as [i64; 0]);
    refused(&call("alice", json!({})), 400, "ASU-104");
    refused(&call("alice", json!({ "region": "EU", "since": "tomorrow" })), 400, "ASU-104");
    let words = refused(&call("alice", json!({ "region": "EU", "user": "bob" })), 400, "ASU-104");
    assert!(words.contains("region"), "{words}");
    // Without the right to submit SQL, tools may be called all the same; there is no tool of another name.
    refused(&firm.sql("alice", "SELECT 1"), 403, "ASU-303");
    let none = post(&firm.site, "/api/v2/db/_proc/none", &firm.site.issuer.token_for("alice"), &json!({}));
    refused(&none, 404, "ASU-406");
}

#[test]
fn a_tool_that_cannot_work_is_an_error_of_the_configuration() {
    let server = PostgresServer::shared(Version::Fifteen);
    for (from, to, words) in [
        ("placed >= :since", "placed >= :sinse", "sinse"),
        ("\"orders_since\"", "\"run_sql\"", "asuser has a tool of this name"),
        ("service = \"db\"\nsql", "service = \"other\"\nsql", "no [[service]] named"),
        ("SELECT id, amount", "SELECT set_config('role', 'bob', true), amount", "set_config"),
        ("required = false", "required = true, default = \"2026-01-01\"", "needs no default"),
        ("required = false", "default = \"yesterday\"", "must be a date"),
        ("ORDER BY id\"", "ORDER BY id\"\nsqll = 1", "did you mean `sql`?"),
    ] {
        assert!(TOOL.contains(from), "{from}");
        let mut firm = Firm::new(&server, ROW_SECURITY, "", &TOOL.replace(from, to));
        let log = firm.site.try_start(&[("DB_PASSWORD", "gate")]).unwrap_err();
        assert!(log.contains(words), "{to}: {log}");
    }
}

/// The record is there before the statement runs, and says which columns it looked at; its values stand nowhere.
#[test]
fn the_audit_has_the_intent_and_the_outcome_and_no_value() {
    let server = PostgresServer::shared(Version::Fifteen);
    let mut firm = Firm::new(&server, ROW_SECURITY, "", MAY_SUBMIT).started();
    let reply = firm.sql("alice", "SELECT amount FROM orders WHERE email = 'needle@one.example'");
    assert_eq!(reply.status, 200, "{reply:?}");
    let failed = firm.sql("alice", "SELECT 1 / 0 AS needle FROM orders WHERE owner = 'needle'");
    assert_eq!(failed.status, 400, "{failed:?}");
    let show = |reply: &Reply| said(&firm.site.command(&["audit", "show", reply.header("audit-id").unwrap()]));
    let text = show(&reply);
    for part in ["intent", "outcome", "raw_sql", "orders.email", "orders.amount", "/alice"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = show(&failed);
    assert!(text.contains("ASU-609"), "{text}");
    let log = firm.site.stop();
    assert!(!log.contains("needle"), "{log}");
    let verified = firm.site.command(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", said(&verified));
    let grep =
        std::process::Command::new("grep").args(["-r", "needle"]).arg(firm.site.path("asuser-audit")).output().unwrap();
    assert!(grep.stdout.is_empty(), "{}", String::from_utf8_lossy(&grep.stdout));
}

#[test]
fn on_sqlite_the_policy_is_all_there_is_and_holds() {
    let mut site = Site::new();
    site.write("asuser.toml", &Site::config(MAY_SUBMIT));
    site.start();
    let ask = |person: &str, text: &str| rows(&submit(&site, person, text), text);
    assert_eq!(
        ask("alice", "SELECT region, sum(amount) AS total, min(email) AS mail FROM orders GROUP BY region"),
        json!([{ "region": "EU", "total": 400, "mail": "a***@one.example" }])
    );
    assert_eq!(
        ask("bob", "WITH o AS (SELECT * FROM Main.ORDERS) SELECT id FROM o WHERE amount BETWEEN 700 AND 800"),
        json!([{ "id": 2 }])
    );
    assert_eq!(ask("alice", "SELECT * FROM staff ORDER BY id LIMIT 1"), json!([{ "id": 1, "name": "Alice" }]));
    for (text, reason, words) in [
        ("SELECT salary FROM staff", "ASU-506", "does not exist"),
        ("SELECT v FROM secrets", "ASU-506", "does not exist"),
        ("SELECT name FROM sqlite_master", "ASU-506", "does not exist"),
        ("SELECT load_extension('x') FROM orders", "ASU-506", ""),
        ("PRAGMA writable_schema = 1", "ASU-507", ""),
        ("ATTACH DATABASE '/tmp/x' AS x", "ASU-507", ""),
    ] {
        let reply = submit(&site, "alice", text);
        assert_eq!(reply.reason(), reason, "{text}: {reply:?}");
        assert!(reply.text.contains(words) && !reply.text.contains("SECRET"), "{text}: {reply:?}");
    }
    let grouped = site.ask("alice", "orders", &[("group", "owner"), ("fields", "owner, AVG(amount)")]);
    assert_eq!(rows(&grouped, "group"), json!([{ "owner": "alice", "AVG_amount": 200.0 }]));
}

/// Of a service of which nothing is open to somebody, no tool is there for them either.
#[test]
fn a_tool_of_a_closed_service_is_no_tool() {
    let mut site = Site::new();
    let tool = "[[tool]]\nname = \"mine\"\ndescription = \"My orders\"\nservice = \"db\"\nsql = \"SELECT id FROM orders ORDER BY id\"\n";
    site.write("asuser.toml", &Site::config(tool));
    let only_alice = "permit (principal, action == Action::\"read\", resource is db::orders) \
                      when { principal has login && principal.login == \"alice\" };";
    site.write("policies/db/rows.cedar", only_alice);
    site.start();
    let call = |token: &str, name: &str| post(&site, &format!("/api/v2/db/_proc/{name}"), token, &json!({}));
    assert_eq!(call(&site.issuer.token_for("alice"), "mine").ids(), [1, 2, 3, 4, 5]);
    let (closed, none) = (call(&site.issuer.token_for("bob"), "mine"), call(&site.issuer.token_for("bob"), "none"));
    assert_eq!(refused(&closed, 404, "ASU-406").replace("mine", "none"), refused(&none, 404, "ASU-406"));
    // Whose token's scope is too narrow is told which one is needed.
    let narrow = site.issuer.token_with("alice", &json!({ "scope": "db:raw_sql" }));
    refused(&call(&narrow, "mine"), 403, "ASU-302");
}
