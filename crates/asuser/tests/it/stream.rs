//! Answers over 256 KiB: streamed in pieces whose records come first, whole or visibly broken off.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use crate::site::{Site, said};

const PATIENCE: Duration = Duration::from_secs(30);
const KIB_256: usize = 256 * 1024;
/// The most that the two ends' kernels hold of an answer which nobody reads, and more.
const MORE_THAN_BUFFERS: usize = 2_000;
const SOME_MIB: usize = 200;

/// Ten thousand rows for each of two people, with notes of about this length.
fn site(note: usize, more: &str) -> Site {
    let site = Site::with_schema(&format!(
        "CREATE TABLE orders (
             id INTEGER PRIMARY KEY, owner TEXT NOT NULL, region TEXT NOT NULL, amount INTEGER NOT NULL, email TEXT NOT NULL,
             note TEXT
         ) STRICT;
         CREATE INDEX orders_owner ON orders(owner);
         WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 20000)
         INSERT INTO orders SELECT x, iif(x % 2, 'alice', 'bob'), 'EU', x * 7 % 1000, 'someone' || x || '@company.example',
             iif(x % 2, 'note ' || x || ' \"ü\\', 'SECRET') || substr(hex(zeroblob({note})), 1, {note}) FROM c;
         CREATE TABLE staff (id INTEGER PRIMARY KEY, name TEXT NOT NULL, salary INTEGER NOT NULL) STRICT;"
    ));
    site.write("asuser.toml", &Site::config(&format!("max_records = 100000\n{more}")));
    site
}

/// A request on a socket, of which the test reads as much as it likes.
struct Call {
    socket: TcpStream,
}

/// What came on a connection until it ended.
struct Heard {
    head: String,
    /// The chunks' content.
    body: Vec<u8>,
    /// The last chunk came.
    complete: bool,
}

impl Call {
    fn new(site: &Site, person: &str, path: &str) -> Self {
        let mut socket = TcpStream::connect(site.address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let token = site.issuer.token_for(person);
        write!(socket, "GET {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n")
            .unwrap();
        Self { socket }
    }
    /// Some of the answer.
    fn begin(&mut self) -> Vec<u8> {
        let mut first = vec![0; 1000];
        self.socket.read_exact(&mut first).unwrap();
        first
    }
    fn rest(mut self, mut heard: Vec<u8>) -> Heard {
        match self.socket.read_to_end(&mut heard) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{error}"),
        }
        Heard::parse(&heard)
    }
    fn all(self) -> Heard {
        self.rest(Vec::new())
    }
}

impl Heard {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        assert!(head.to_ascii_lowercase().contains("transfer-encoding: chunked\r\n"), "{head}");
        let (mut rest, mut body, mut complete) = (&bytes[end..], Vec::new(), false);
        // RFC 9112 §7.1
        while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
            rest = &rest[line + 2..];
            if size == 0 {
                complete = rest == b"\r\n";
                break;
            }
            body.extend_from_slice(&rest[..size.min(rest.len())]);
            rest = rest.get(size + 2..).unwrap_or_default();
        }
        Self { head, body, complete }
    }
    fn audit_id(&self) -> String {
        let line = self.head.lines().find_map(|line| line.strip_prefix("audit-id: "));
        line.expect("an audit id").to_owned()
    }
}

const ALL: &str = "/api/v2/db/_table/orders?limit=100000&order=id";

/// The records of one entry, in their order.
fn records(site: &Site, id: &str) -> Vec<Json> {
    let output = site.command(&["audit", "search", "--json", "--limit", "1000000"]);
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let all = text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    let mut found: Vec<Json> = all.filter(|record| record["audit_id"] == *id).collect();
    found.sort_by_key(|record| record["index"].as_u64());
    found
}

fn kinds(records: &[Json]) -> Vec<&str> {
    records.iter().map(|record| record["kind"].as_str().unwrap()).collect()
}

/// Waits until the entry has ended, and gives its records.
fn ended(site: &Site, id: &str) -> Vec<Json> {
    let started = Instant::now();
    loop {
        let found = records(site, id);
        if found.last().is_some_and(|record| record["kind"] == "outcome") {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "the entry never ended: {found:?}");
        std::thread::yield_now();
    }
}

fn verified(site: &Site) {
    let output = site.command(&["audit", "verify"]);
    assert!(output.status.success(), "{}", said(&output));
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn metric(site: &Site, name: &str) -> u64 {
    let text = site.get_with("/metrics", &[]).text;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or(" 0");
    line.trim().parse().unwrap()
}

#[test]
fn a_long_answer_is_what_its_pages_are_and_its_record_says_so() {
    let mut site = site(SOME_MIB, "").started();
    let heard = Call::new(&site, "alice", &format!("{ALL}&include_count=true")).all();
    assert!(heard.complete && heard.body.len() > 2_000_000, "{}", heard.body.len());
    let whole: Json = serde_json::from_slice(&heard.body).unwrap();
    assert_eq!(whole["meta"], json!({"count": 10_000}));
    let mut pages: Vec<Json> = Vec::new();
    while pages.len() < 10_000 {
        let offset = pages.len().to_string();
        let page = site.ask("alice", "orders", &[("limit", "500"), ("order", "id"), ("offset", &offset)]);
        pages.extend(page.json()["resource"].as_array().unwrap().iter().cloned());
    }
    assert_eq!(whole["resource"], Json::from(pages));
    let text = String::from_utf8(heard.body.clone()).unwrap();
    assert!(!text.contains("SECRET") && !text.contains("bob"), "her rows alone");
    assert!(!text.contains("someone") && text.contains("s***@company.example"), "masked");
    assert_eq!(metric(&site, "asuser_answers_total"), 21);

    site.stop();
    let found = records(&site, &heard.audit_id());
    let [intent, progress @ .., outcome] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((intent["kind"].as_str(), outcome["kind"].as_str()), (Some("intent"), Some("outcome")));
    assert!(progress.len() > 5 && progress.iter().all(|record| record["kind"] == "progress"));
    for record in [intent, outcome] {
        assert_eq!(record["principal"]["email"], "alice@example.com");
        assert_eq!(record["actor"]["id"], "sales-copilot");
        assert_eq!(record["tables"], json!(["orders"]));
        assert_eq!(record["masks"], json!([{"column": "email", "mask": "email"}]));
    }
    // Each says what had been released with it.
    for record in progress {
        let bytes = usize::try_from(record["bytes"].as_u64().unwrap()).unwrap();
        assert_eq!(record["body_sha256"], sha256(&heard.body[..bytes]));
    }
    assert_eq!(outcome["rows"], 10_000);
    assert_eq!(outcome["bytes"], heard.body.len());
    assert_eq!(outcome["body_sha256"], sha256(&heard.body));
    assert_eq!((outcome["status"].as_u64(), outcome["run_as"].as_str()), (Some(200), Some("filter")));
    assert!(outcome["reason"].is_null());
    verified(&site);
}

#[test]
fn lists_and_pages_stream_as_well() {
    let site = site(SOME_MIB, "").started();
    let heard = Call::new(&site, "alice", &format!("{ALL}&as_list=true&id_field=note")).all();
    let list: Json = serde_json::from_slice(&heard.body).unwrap();
    let list = list["resource"].as_array().unwrap();
    assert!(heard.complete && list.len() == 10_000 && list.iter().all(Json::is_string));
    let heard = Call::new(&site, "alice", "/api/v2/db/_table/orders?limit=9000&offset=10&order=id").all();
    let page: Json = serde_json::from_slice(&heard.body).unwrap();
    assert_eq!((page["meta"].clone(), page["resource"][0]["id"].clone()), (json!({"next": 9010}), json!(21)));
}

/// 256 KiB are one record and one piece; one byte more is a stream. A single record streams too.
#[test]
fn the_boundary_is_256_kib() {
    let mut site = Site::with_schema(&format!(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, region TEXT, amount INTEGER, email TEXT, note TEXT) STRICT;
         CREATE TABLE staff (id INTEGER PRIMARY KEY, name TEXT NOT NULL, salary INTEGER NOT NULL) STRICT;
         INSERT INTO orders SELECT x, 'alice', NULL, NULL, NULL, substr(hex(zeroblob(200000)), 1, {} + x)
             FROM (SELECT 1 AS x UNION ALL SELECT 2);",
        KIB_256 - r#"{"id":1,"note":""}"#.len() - 1
    ))
    .started();
    let token = site.issuer.token_for("alice");
    let whole = site.get("/api/v2/db/_table/orders?ids=1&fields=id,note", &token);
    assert_eq!(whole.text.len(), r#"{"resource":[]}"#.len() + KIB_256);
    let long = Call::new(&site, "alice", "/api/v2/db/_table/orders?ids=2&fields=id,note").all();
    assert_eq!((long.body.len(), long.complete), (whole.text.len() + 1, true));
    let single = Call::new(&site, "alice", "/api/v2/db/_table/orders/2?fields=id,note").all();
    let record: Json = serde_json::from_slice(&single.body).unwrap();
    assert_eq!((record["id"].as_u64(), single.body.len()), (Some(2), KIB_256 + 1));
    site.stop();
    assert_eq!(kinds(&records(&site, whole.header("audit-id").unwrap())), ["whole"]);
    assert_eq!(kinds(&records(&site, &long.audit_id())), ["intent", "progress", "outcome"]);
    verified(&site);
}

#[test]
fn an_answer_over_the_cap_is_broken_off() {
    let mut site = site(SOME_MIB, "answer_mib_max = 1\n").started();
    let heard = Call::new(&site, "alice", ALL).all();
    assert!(!heard.complete && heard.body.len() <= 1024 * 1024, "{}", heard.body.len());
    assert!(serde_json::from_slice::<Json>(&heard.body).is_err());
    let found = ended(&site, &heard.audit_id());
    let outcome = found.last().unwrap();
    assert_eq!(outcome["reason"], "ASU-604");
    let bytes = usize::try_from(outcome["bytes"].as_u64().unwrap()).unwrap();
    assert!(heard.body.len() <= bytes, "no more has left than is recorded");
    assert_eq!(metric(&site, r#"asuser_refusals_total{reason="ASU-604"}"#), 1);
    // The twin: what fits is served.
    let fitting = Call::new(&site, "alice", "/api/v2/db/_table/orders?limit=2000&order=id").all();
    assert!(fitting.complete && fitting.body.len() > KIB_256);
    site.stop();
    verified(&site);
}

#[test]
fn a_caller_that_goes_away_ends_its_entry_and_nobody_elses() {
    let mut site = site(MORE_THAN_BUFFERS, "connections = 1\n").started();
    let mut call = Call::new(&site, "alice", ALL);
    let id = Heard::parse(&call.begin()).audit_id();
    call.socket.shutdown(Shutdown::Both).unwrap();
    drop(call);
    let found = ended(&site, &id);
    assert_eq!(found.last().unwrap()["reason"], "ASU-109", "{found:?}");
    assert_eq!(found.iter().filter(|record| record["kind"] == "outcome").count(), 1);
    assert_eq!(site.ask("alice", "orders", &[("limit", "3")]).status, 200, "the one connection serves again");
    site.stop();
    verified(&site);
}

#[test]
fn killed_in_the_middle_the_caller_sees_a_torn_body_and_the_entry_is_abandoned() {
    let mut site = site(MORE_THAN_BUFFERS, "").started();
    let mut call = Call::new(&site, "alice", ALL);
    let first = call.begin();
    site.kill();
    let heard = call.rest(first);
    assert!(!heard.complete);
    site.start();
    site.stop();
    let found = records(&site, &heard.audit_id());
    assert_eq!(
        (found[0]["kind"].as_str(), found.last().unwrap()["kind"].as_str()),
        (Some("intent"), Some("abandoned"))
    );
    // What the caller has is recorded: the record of each piece was durable before it left.
    let recorded = found.iter().filter_map(|record| record["bytes"].as_u64()).max().unwrap();
    assert!(heard.body.len() as u64 <= recorded);
    verified(&site);
}

/// A reader that stops reading is cut off when its time is over; others are served meanwhile.
#[test]
fn a_slow_reader_is_cut_and_blocks_nobody() {
    let mut site = site(MORE_THAN_BUFFERS, "connections = 2\nstatement_ms_max = 3000\n").started();
    let mut slow = Call::new(&site, "alice", ALL);
    let first = slow.begin();
    let id = Heard::parse(&first).audit_id();
    let mut answered = 0;
    while !records(&site, &id).iter().any(|record| record["kind"] == "outcome") {
        assert_eq!(site.ask("bob", "orders", &[("limit", "3")]).status, 200);
        answered += 1;
    }
    assert!(answered > 0);
    let found = records(&site, &id);
    assert_eq!(found.last().unwrap()["reason"], "ASU-602", "{found:?}");
    let heard = slow.rest(first);
    assert!(!heard.complete);
    site.stop();
    verified(&site);
}

/// Where the end of the connection is the end of the body a torn one would look whole.
#[test]
fn http_1_0_gets_no_stream() {
    let mut site = site(SOME_MIB, "").started();
    let old = |path: &str| {
        let token = site.issuer.token_for("alice");
        let request = format!("GET {path} HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n");
        crate::site::Reply::parse(&site.send(request.as_bytes()))
    };
    let refused = old(ALL);
    assert_eq!((refused.status, refused.reason().as_str()), (413, "ASU-604"), "{refused:?}");
    assert!(refused.text.contains("HTTP/1.1"));
    let short = old("/api/v2/db/_table/orders?limit=3");
    assert_eq!(short.status, 200);
    let id = refused.header("audit-id").unwrap().to_owned();
    site.stop();
    assert_eq!(kinds(&records(&site, &id)), ["whole"]);
    verified(&site);
}

/// A stream that has ended leaves the connection as it was.
#[test]
fn a_connection_serves_on_after_a_stream() {
    let site = site(SOME_MIB, "").started();
    let bearer = format!("Authorization: Bearer {}\r\n", site.issuer.token_for("alice"));
    let get = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n{bearer}{more}\r\n");
    let requests =
        [get(ALL, ""), get("/api/v2/db/_table/orders?limit=1&order=id", ""), get(ALL, "Connection: close\r\n")];
    let heard = site.send(requests.concat().as_bytes());
    let text = String::from_utf8_lossy(&heard);
    let answers: Vec<&str> = text.split("HTTP/1.1 200 OK\r\n").skip(1).collect();
    assert_eq!(answers.len(), 3);
    let ends: Vec<bool> = answers.iter().map(|answer| answer.ends_with("}\r\n0\r\n\r\n")).collect();
    assert_eq!(ends, [true, false, true], "two streams to their ends");
    assert!(answers[1].ends_with("}],\"meta\":{\"next\":1}}"), "{}", answers[1]);
}
