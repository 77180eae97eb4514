//! SQL over MCP: `run_sql`, `aggregate` and configured tools, and the same over REST. What SQL may be is tested beside the guard.

use std::io::Write as _;

use serde_json::json;

use crate::mcp_client::{Client, MODERN, send};
use crate::site::Site;

const MORE: &str = r#"
[[agent]]
client_id = "analyst"
may = ["db:read", "db:raw_sql"]
[[tool]]
name = "big_orders"
title = "Big orders"
service = "db"
description = "Orders of at least an amount."
sql = "SELECT id, amount, email FROM orders WHERE amount >= :least ORDER BY id"
[tool.parameters.least]
type = "integer"
description = "The amount."
"#;

fn site() -> Site {
    let site = Site::new();
    site.write("asuser.toml", &Site::config(MORE));
    site.started()
}
fn analyst<'a>(site: &'a Site, person: &str) -> Client<'a> {
    Client::with(site, site.issuer.token_with(person, &json!({"client_id": "analyst"})), MODERN)
}

#[test]
fn sql_runs_as_the_person_and_sees_masks() {
    let site = site();
    let alice = analyst(&site, "alice");
    let rows = |sql: &str| alice.data("run_sql", json!({ "sql": sql }))["rows"].clone();
    assert_eq!(
        rows("SELECT id, email FROM orders ORDER BY id"),
        json!([{ "id": 1, "email": "a***@one.example" }, { "id": 3, "email": "c***@three.example" }])
    );
    assert_eq!(rows("SELECT count(*) AS n FROM orders"), json!([{ "n": 2 }]));
    let cut = alice.data("run_sql", json!({ "sql": "SELECT id FROM orders ORDER BY id", "limit": 1 }));
    assert_eq!(cut, json!({ "rows": [{ "id": 1 }], "row_count": 1, "truncated": true }));
    for (sql, words) in [
        ("DELETE FROM orders", "ASU-507"),
        ("SELECT ammount FROM orders", "did you mean `amount`?"),
        ("SELECT 1; SELECT 2", "ASU-50"),
        ("SELECT v FROM secrets", "ASU-50"),
    ] {
        let text = alice.failure("run_sql", json!({ "sql": sql }));
        assert!(text.contains(words), "{sql}: {text}");
    }
}

#[test]
fn an_agent_without_the_right_submits_no_sql() {
    let site = site();
    let plain = Client::of(&site, "alice", MODERN);
    assert!(plain.failure("run_sql", json!({ "sql": "SELECT 1" })).contains("ASU-303"));
    let scope = |scope: &str| site.issuer.token_with("alice", &json!({"client_id": "analyst", "scope": scope}));
    let narrow = Client::with(&site, scope("db:read"), MODERN);
    let reply = narrow.request("tools/call", json!({ "name": "run_sql", "arguments": { "sql": "SELECT 1" } }));
    assert_eq!(reply.status, 403, "{reply:?}");
    assert!(reply.header("www-authenticate").unwrap().contains(r#"scope="db:read db:raw_sql""#));
    let wide = Client::with(&site, scope("db:read db:raw_sql"), MODERN);
    assert_eq!(wide.data("run_sql", json!({ "sql": "SELECT count(*) AS n FROM orders" }))["rows"], json!([{ "n": 2 }]));
    let listed =
        |client: &Client<'_>| client.result("tools/list", json!({}))["tools"].to_string().contains("\"run_sql\"");
    assert_eq!((listed(&plain), listed(&narrow), listed(&wide)), (false, false, true));
}

#[test]
fn aggregates_see_the_persons_rows_and_masks() {
    let site = site();
    let alice = Client::of(&site, "alice", "2025-11-25");
    let sum = json!([{ "function": "sum", "column": "amount" }, { "function": "count" }]);
    assert_eq!(
        alice.data("aggregate", json!({ "table": "orders", "aggregates": sum })),
        json!({ "rows": [{ "sum_amount": 400, "count": 2 }], "row_count": 1, "truncated": false })
    );
    let grouped = alice.data(
        "aggregate",
        json!({
            "table": "orders", "group_by": ["region"], "filter": "amount > 100", "order": "n desc",
            "aggregates": [{ "function": "count", "as": "n" }, { "function": "min", "column": "email", "as": "first" }]
        }),
    );
    assert_eq!(grouped["rows"], json!([{ "region": "EU", "n": 1, "first": "c***@three.example" }]));
    let count =
        |table: &str, column: &str| json!({ "table": table, "aggregates": [{ "function": "max", "column": column }] });
    assert!(alice.failure("aggregate", count("staff", "salary")).contains("ASU-404"));
    assert!(alice.failure("aggregate", count("orders", "ammount")).contains("`amount`"));
    assert!(alice.failure("aggregate", count("secrets", "v")).contains("ASU-402"));
}

#[test]
fn a_configured_tool_is_a_tool_like_any_other() {
    let site = site();
    let alice = Client::of(&site, "alice", MODERN);
    let tools = alice.result("tools/list", json!({}))["tools"].clone();
    let tool = tools.as_array().unwrap().iter().find(|tool| tool["name"] == "big_orders").unwrap();
    assert_eq!((&tool["title"], &tool["description"]), (&json!("Big orders"), &json!("Orders of at least an amount.")));
    assert_eq!(tool["inputSchema"]["properties"]["least"], json!({ "type": "integer", "description": "The amount." }));
    assert_eq!(
        (&tool["inputSchema"]["required"], &tool["annotations"]["readOnlyHint"]),
        (&json!(["least"]), &json!(true))
    );
    let expected = json!([{ "id": 3, "amount": 300, "email": "c***@three.example" }]);
    assert_eq!(alice.data("big_orders", json!({ "least": 200 }))["rows"], expected);
    let bob = Client::of(&site, "bob", MODERN);
    assert_eq!(bob.data("big_orders", json!({ "least": 800 }))["row_count"], 1, "as the person");
    for (arguments, words) in [
        (json!({}), "`least` is missing"),
        (json!({ "least": "x' OR 1=1" }), "whole number"),
        (json!({ "least": 1, "user": "bob" }), "no argument `user`"),
    ] {
        let text = alice.failure("big_orders", arguments);
        assert!(text.contains(words) && text.contains("ASU-104"), "{text}");
    }
    // One that cannot be reached reads like one that there is not.
    let narrow = Client::with(
        &site,
        site.issuer.token_with("alice", &json!({"client_id": "nobody", "scope": "db:read"})),
        MODERN,
    );
    assert_eq!(narrow.data("big_orders", json!({ "least": 200 }))["row_count"], 1);
    let unknown = alice.request("tools/call", json!({ "name": "big_order", "arguments": {} })).json()["error"].clone();
    assert_eq!((&unknown["code"], &unknown["data"]["reason"]), (&json!(-32602), &json!("ASU-406")));
}

#[test]
fn rest_has_the_same() {
    let site = site();
    let token = analyst(&site, "alice").token;
    let bearer = format!("Bearer {token}");
    let ask = |line: &str, body: &str| send(&site, line, &[("Authorization", &bearer)], body);
    let sql = ask("POST /api/v2/db/_sql", r#"{"sql":"SELECT id FROM orders ORDER BY id","limit":1}"#);
    assert_eq!((sql.status, sql.json()), (200, json!({ "resource": [{ "id": 1 }], "meta": { "truncated": true } })));
    let all = ask("POST /api/v2/db/_sql", r#"{"sql":"SELECT id FROM orders ORDER BY id"}"#);
    assert_eq!(all.json(), json!({ "resource": [{ "id": 1 }, { "id": 3 }] }));
    let expected = json!({ "resource": [{ "id": 3, "amount": 300, "email": "c***@three.example" }] });
    for reply in [
        ask("GET /api/v2/db/_proc/big_orders?least=200", ""),
        ask("POST /api/v2/db/_proc/big_orders", r#"{"params":{"least":200}}"#),
        ask("POST /api/v2/db/_proc/big_orders?least=200", "{}"),
    ] {
        assert_eq!((reply.status, reply.json()), (200, expected.clone()));
    }
    for (line, body, reason) in [
        ("GET /api/v2/db/_proc/big_orders", "", "ASU-104"),
        ("GET /api/v2/db/_proc/big_orders?least=1&least=2", "", "ASU-104"),
        ("GET /api/v2/db/_proc/big_orders?least=1&token=x", "", "ASU-213"),
        ("POST /api/v2/db/_proc/big_orders?least=1", r#"{"params":{"least":2}}"#, "ASU-104"),
        ("GET /api/v2/other/_proc/big_orders?least=1", "", "ASU-406"),
        ("GET /api/v2/db/_proc/nothing", "", "ASU-406"),
    ] {
        assert_eq!(ask(line, body).reason(), reason, "{line} {body}");
    }
}

/// Going away cancels: the one connection is free again, long before the statement's own time is over.
#[test]
fn a_client_that_goes_away_cancels_its_statement() {
    let schema = "CREATE TABLE orders (id INTEGER PRIMARY KEY) STRICT;
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO orders SELECT i FROM n;";
    let mut site = Site::with_schema(schema);
    site.write("policies/db/rows.cedar", "permit (principal, action == Action::\"read\", resource is db::orders);");
    site.write("policies/db/masks.toml", "");
    let limits = "statement_ms_max = 600000\nconnections = 1\n[[agent]]\nclient_id = \"analyst\"\nmay = [\"db:read\", \"db:raw_sql\"]\n";
    site.write("asuser.toml", &Site::config(limits));
    site.start();
    let token = analyst(&site, "alice").token;
    let sql = "SELECT count(*) AS n FROM orders a, orders b, orders c, orders d WHERE a.id + b.id + c.id + d.id = 7";
    let call = json!({ "name": "run_sql", "arguments": { "sql": sql } });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call }).to_string();
    let mut stream = std::net::TcpStream::connect(site.address()).unwrap();
    write!(
        stream,
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        site.address(),
        body.len()
    )
    .unwrap();
    // Its intent is durable before it runs.
    let entries = |site: &Site| {
        let output = site.command(&["audit", "search", "--json", "--limit", "100"]);
        String::from_utf8(output.stdout).unwrap().lines().filter(|line| line.contains("tools/call run_sql")).count()
    };
    let started = std::time::Instant::now();
    while entries(&site) == 0 {
        assert!(started.elapsed() < std::time::Duration::from_secs(60), "the statement never began");
    }
    drop(stream);
    let next = analyst(&site, "alice").data("run_sql", json!({ "sql": "SELECT count(*) AS n FROM orders" }));
    assert_eq!(next["rows"], json!([{ "n": 3000 }]));
    site.stop();
    let output = site.command(&["audit", "search", "--json", "--reason", "ASU-109"]);
    assert!(
        String::from_utf8(output.stdout).unwrap().contains("tools/call run_sql"),
        "its record says that the caller went away"
    );
}
