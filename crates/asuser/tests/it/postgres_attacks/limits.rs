//! Too much, too long, too many (FA-04): each is bounded, ends with its caller, and costs the others nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use asuser_testkit::{PostgresServer, Version};
use serde_json::json;

use super::{BY_ROLE, Firm, PATIENCE};

/// FA-04: long tokens, views that never end.
#[test]
fn what_takes_too_long_or_is_too_much_is_ended() {
    let server = PostgresServer::own(Version::Fifteen);
    let sql = format!(
        "{BY_ROLE}
         CREATE VIEW sleeper AS SELECT 1 AS id, pg_sleep(3600)::text AS slept;
         CREATE VIEW endless AS WITH RECURSIVE n(x) AS (SELECT 1::numeric UNION ALL SELECT x + 1 FROM n) SELECT max(x) AS x FROM n;
         CREATE VIEW huge AS SELECT 1 AS id, repeat('x', 100000000) AS x;
         GRANT SELECT ON sleeper, endless, huge TO alice, bob;
         ALTER ROLE alice SET statement_timeout = '300ms'"
    );
    let firm = Firm::new(&server, &["alice", "bob"], "\"{login}\"", &sql, "connections = 2").started();
    for view in ["sleeper", "endless"] {
        Firm::refused(&firm.get("alice", &format!("/api/v2/db/_table/{view}")), 503, "ASU-602");
    }
    Firm::refused(&firm.get("bob", "/api/v2/db/_table/huge"), 413, "ASU-604");
    // Bob has no limit of his own; when he leaves, his query ends.
    for view in ["sleeper", "endless"] {
        let token = firm.site.issuer.token_for("bob");
        let mut socket = TcpStream::connect(firm.site.address()).unwrap();
        write!(socket, "GET /api/v2/db/_table/{view} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n")
            .unwrap();
        until(|| running(&firm) == 1, "the view runs");
        drop(socket);
        until(|| running(&firm) == 0, "the view ends");
    }
    // Ten thousand groups: too long for a header, or read in full; either way for this caller alone.
    let many: Vec<String> = (0..10_000).map(|number| format!("group-{number}")).collect();
    let token = firm.site.issuer.token_with("alice", &json!({ "groups": many }));
    let reply = firm.site.get("/api/v2/db/_table/orders", &token);
    assert!(matches!(reply.status, 200 | 400 | 401 | 431), "{reply:?}");
    let some: Vec<String> = (0..1_000).map(|number| format!("g{number}")).collect();
    assert_eq!(firm.get_as("alice", &json!({ "groups": some }), "/api/v2/db/_table/orders?order=id").ids(), [1, 3]);
    assert_eq!(firm.orders("alice", "?order=id").ids(), [1, 3]);
    firm.audited();
}

/// FA-04: a long answer that nobody takes holds little memory, and its query ends with its reader.
#[test]
fn a_slow_reader_costs_little_and_its_query_ends_with_it() {
    let server = PostgresServer::own(Version::Fifteen);
    let sql = format!(
        "{BY_ROLE}
         CREATE TABLE long (id int PRIMARY KEY, note text NOT NULL);
         ALTER TABLE long ALTER note SET STORAGE PLAIN;
         INSERT INTO long SELECT n, repeat(md5(n::text), 32) FROM generate_series(1, 100000) AS n;
         GRANT SELECT ON long TO alice, bob"
    );
    let more = "max_records = 100000\nanswer_mib_max = 1024\nconnections = 4\nperson_connections_max = 4\nstatement_ms_max = 60000";
    let firm = Firm::new(&server, &["alice", "bob"], "\"{login}\"", &sql, more).started();
    assert_eq!(firm.orders("alice", "?order=id").ids(), [1, 3]);
    let before = resident_kib(firm.site.pid());
    let token = firm.site.issuer.token_for("alice");
    let readers: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut socket = TcpStream::connect(firm.site.address()).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            write!(
                socket,
                "GET /api/v2/db/_table/long?limit=100000 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n"
            )
            .unwrap();
            // Its beginning, and no more.
            socket.read_exact(&mut [0; 4096]).unwrap();
            socket
        })
        .collect();
    until(|| running(&firm) == 3, "the reads wait for their readers");
    // Others are served meanwhile.
    for _ in 0..20 {
        assert_eq!(firm.orders("alice", "?order=id").ids(), [1, 3]);
    }
    let grown = resident_kib(firm.site.pid()).saturating_sub(before);
    println!("three answers of 100 MB that nobody takes: {grown} KiB more");
    assert!(grown < 32 * 1024, "{grown} KiB for 3 × 100 MB");
    drop(readers);
    until(|| running(&firm) == 0, "the queries end with their readers");
    assert_eq!(firm.orders("bob", "").ids(), [2]);
    firm.audited();
}

/// How many statements of asuser run now.
fn running(firm: &Firm) -> usize {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{}' AND state = 'active' AND query NOT LIKE '%pg_roles%'",
        firm.login
    );
    firm.database.query(&sql)[0][0].as_deref().unwrap().parse().unwrap()
}

fn resident_kib(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn until(holds: impl Fn() -> bool, what: &str) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}

/// Two hundred tables, and ten roles or ten thousand: it serves, and what a query costs does not hang on how many there are. The
/// times are printed, not judged.
#[test]
fn ten_thousand_roles_and_two_hundred_tables_are_served() {
    for people in [10, 10_000] {
        let server = PostgresServer::own(Version::Fifteen);
        let firm = Firm::new(&server, &["alice", "bob"], "\"{login}\"", BY_ROLE, "");
        firm.database.execute(&format!(
            "CREATE ROLE staff NOLOGIN;
             DO $$ BEGIN
                 FOR n IN 1..200 LOOP
                     EXECUTE format('CREATE TABLE t%s (id bigint PRIMARY KEY, owner text NOT NULL, a int, b text, c numeric(12,2), d timestamptz, e jsonb)', n);
                     EXECUTE format('ALTER TABLE t%s ENABLE ROW LEVEL SECURITY', n);
                     EXECUTE format('CREATE POLICY own ON t%s USING (owner = current_user::text)', n);
                     EXECUTE format('CREATE INDEX ON t%s (owner)', n);
                     EXECUTE format('GRANT SELECT ON t%s TO staff', n);
                 END LOOP;
                 FOR n IN 1..{people} LOOP
                     EXECUTE format('CREATE ROLE person%s LOGIN IN ROLE staff', n);
                     EXECUTE format('GRANT person%s TO {}', n);
                 END LOOP;
             END $$;
             INSERT INTO t7 SELECT n, 'person' || n % 10 + 1, n FROM generate_series(1, 1000) AS n; ANALYZE",
            firm.login
        ));
        let begun = Instant::now();
        let firm = firm.started();
        let served = begun.elapsed();
        let ask = |person: &str| {
            let begun = Instant::now();
            let reply = firm.get(person, "/api/v2/db/_table/t7?limit=1&order=id");
            assert_eq!(reply.ids().len(), 1, "{reply:?}");
            begun.elapsed()
        };
        let first = ask("person3");
        let mut warm: Vec<_> = (0..400).map(|at| ask(&format!("person{}", at % 10 + 1))).skip(100).collect();
        warm.sort();
        println!(
            "{people} roles: serves after {served:?}, the first query {first:?}, warm p50 {:?}, p90 {:?}",
            warm[150], warm[270]
        );
        Firm::refused(&firm.get("person10001", "/api/v2/db/_table/t7"), 403, "ASU-607");
        firm.audited();
    }
}
