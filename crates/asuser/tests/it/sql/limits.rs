//! What submitted SQL may cost: time, rows, bytes; and that whoever goes away takes their statement along (FA-04).

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use asuser_testkit::{PostgresServer, Version};
use serde_json::json;

use super::{Firm, MAY_SUBMIT, ROW_SECURITY, refused};

/// Takes hours if nobody ends it.
const ENDLESS: &str =
    "SELECT count(*) AS n FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b, orders o";

/// Statements of people that run now.
fn running(firm: &Firm) -> usize {
    let sql = format!(
        "SELECT 1 FROM pg_stat_activity WHERE datname = '{}' AND state = 'active' AND query LIKE '%generate_series%' AND pid <> pg_backend_pid()",
        firm.database.name()
    );
    firm.database.query(&sql).len()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_statement_ends_at_its_time_and_others_are_served() {
    let server = PostgresServer::shared(Version::Fifteen);
    let firm = Firm::new(&server, ROW_SECURITY, "statement_ms_max = 700\nsql_cost_max = 0", MAY_SUBMIT).started();
    refused(&firm.sql("alice", ENDLESS), 503, "ASU-602");
    until("the statement goes on in the database", || running(&firm) == 0);
    assert_eq!(firm.rows("alice", "SELECT count(*) AS n FROM orders"), json!([{ "n": 2 }]));
}

#[test]
fn whoever_goes_away_takes_the_statement_along() {
    let server = PostgresServer::shared(Version::Fifteen);
    let firm = Firm::new(&server, ROW_SECURITY, "statement_ms_max = 600000\nsql_cost_max = 0", MAY_SUBMIT).started();
    let body = json!({ "sql": ENDLESS }).to_string();
    let mut gone = TcpStream::connect(firm.site.address()).unwrap();
    write!(
        gone,
        "POST /api/v2/db/_sql HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        firm.site.address(),
        firm.site.issuer.token_for("alice"),
        body.len()
    )
    .unwrap();
    until("the statement never ran", || running(&firm) == 1);
    drop(gone);
    until("the statement goes on in the database", || running(&firm) == 0);
    assert_eq!(firm.rows("bob", "SELECT count(*) AS n FROM orders"), json!([{ "n": 1 }]));
}

#[test]
fn rows_and_bytes_are_bounded() {
    let server = PostgresServer::shared(Version::Fifteen);
    let firm = Firm::new(&server, ROW_SECURITY, "sql_cost_max = 0\nmax_records = 50", MAY_SUBMIT).started();
    let many = firm.sql("alice", "SELECT g FROM orders, generate_series(1, 100000000) AS g");
    assert_eq!(many.json()["resource"].as_array().unwrap().len(), 50, "{}", many.text);
    assert_eq!(many.json()["meta"]["truncated"], true);
    let wide = "SELECT string_agg(lpad(g::text, 10000, 'x'), '') AS s FROM generate_series(1, 2000) AS g, orders";
    refused(&firm.sql("bob", wide), 413, "ASU-604");
    for huge in [
        "SELECT repeat('x', 1000000000) FROM orders",
        "SELECT lpad('x', 1000000000) FROM orders",
        "SELECT repeat('x', amount * 1000000) FROM orders",
    ] {
        let reply = firm.sql("alice", huge);
        assert!(matches!(reply.status, 400 | 403), "{huge}: {reply:?}");
    }
    let deep = format!("SELECT {}1{} FROM orders", "(".repeat(50_000), ")".repeat(50_000));
    refused(&firm.sql("alice", &deep), 400, "ASU-505");
    let long = format!("SELECT '{}' FROM orders", "x".repeat(200_000));
    refused(&firm.sql("alice", &long), 400, "ASU-505");
    let recursive = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n FROM r, orders";
    assert_eq!(firm.sql("alice", recursive).json()["resource"].as_array().unwrap().len(), 50);
    assert_eq!(firm.rows("alice", "SELECT count(*) AS n FROM orders"), json!([{ "n": 2 }]));
}
