//! No state crosses users (law 6): many callers, few connections, errors in between; every answer is its caller's.
//! 10 s in the suite; `ASUSER_TEST_LONG=1` makes it 60 s.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use asuser_testkit::TestIssuer;
use serde_json::json;

use crate::site::{Site, get};

const PEOPLE: u64 = 50;
const CALLERS: usize = 16;

fn schema() -> String {
    let mut sql = String::from(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, amount INTEGER NOT NULL, email TEXT NOT NULL) STRICT; CREATE INDEX o ON orders(owner);",
    );
    let mut id = 0;
    for person in 0..PEOPLE {
        for nth in 0..=person {
            id += 1;
            sql.push_str(&format!("INSERT INTO orders VALUES ({id}, 'p{person}', {nth}, 'x{id}@p{person}.example');"));
        }
    }
    sql
}

#[test]
fn every_answer_is_its_callers() {
    let mut site = Site::with_schema(&schema());
    site.write(
        "policies/db/rows.cedar",
        "permit (principal, action == Action::\"read\", resource is db::orders)\nwhen { principal has login && resource.owner == principal.login };",
    );
    site.start();
    let seconds = if std::env::var_os("ASUSER_TEST_LONG").is_some() { 60 } else { 10 };
    let until = Instant::now() + Duration::from_secs(seconds);
    let tokens: Vec<String> = (0..PEOPLE).map(|person| bearer(&site.issuer, person)).collect();
    let (asked, address) = (AtomicU64::new(0), site.address());
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (tokens, asked) = (&tokens, &asked);
            scope.spawn(move || {
                let mut nth = caller as u64;
                while Instant::now() < until {
                    nth = nth.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let person = (nth >> 33) % PEOPLE;
                    let token = &tokens[usize::try_from(person).unwrap()];
                    match (nth >> 20) % 8 {
                        // Errors and callers that go away, between the honest ones.
                        0 => drop(
                            get(address, "/api/v2/db/_table/orders?filter=amount='x'", &[("Authorization", token)])
                                .unwrap(),
                        ),
                        1 => abandon(address, token),
                        _ => check(address, person, token),
                    }
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(asked.load(Ordering::Relaxed) > 100, "too few requests to mean anything");
    site.stop();
    let verified = site.command(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", crate::site::said(&verified));
}

fn bearer(issuer: &TestIssuer, person: u64) -> String {
    format!(
        "Bearer {}",
        issuer.token_with(
            &format!("p{person}"),
            &json!({"preferred_username": format!("p{person}"), "sub": format!("sub-{person}")})
        )
    )
}

fn check(address: std::net::SocketAddr, person: u64, token: &str) {
    let reply =
        get(address, "/api/v2/db/_table/orders?include_count=true&limit=100", &[("Authorization", token)]).unwrap();
    let body = reply.json();
    assert_eq!(body["meta"]["count"], person + 1, "{reply:?}");
    let rows = body["resource"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["owner"] == format!("p{person}")), "{reply:?}");
}

/// Sends a request and goes away without reading.
fn abandon(address: std::net::SocketAddr, token: &str) {
    use std::io::Write as _;
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let _ = write!(stream, "GET /api/v2/db/_table/orders HTTP/1.1\r\nHost: h\r\nAuthorization: {token}\r\n\r\n");
}
