//! The audit log over the whole binary: what was answered is in it once, and nothing can be changed without being noticed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value as Json, json};

use crate::site::{Site, get, said};

const ORDERS: &str = "/api/v2/db/_table/orders";

fn records(site: &Site, arguments: &[&str]) -> Vec<Json> {
    let mut all = vec!["audit", "search", "--json", "--limit", "1000000"];
    all.extend(arguments);
    let output = site.command(&all);
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn verify(site: &Site, arguments: &[&str]) -> Result<String, String> {
    let mut all = vec!["audit", "verify"];
    all.extend(arguments);
    let output = site.command(&all);
    if output.status.success() { Ok(said(&output)) } else { Err(said(&output)) }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

fn segment(site: &Site) -> PathBuf {
    let mut paths: Vec<_> =
        fs::read_dir(site.path("asuser-audit/journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "j"));
    paths.sort();
    paths.remove(0)
}

#[test]
fn every_kind_of_request_has_one_record_that_names_person_and_agent() {
    let mut site = Site::new().started();
    let token = site.issuer.token_for("alice");
    let mut expected: BTreeMap<String, (&str, Option<&str>)> = BTreeMap::new();
    for (path, reason, table) in [
        (ORDERS, "", Some("orders")),
        ("/api/v2/db/_table/orders/2", "ASU-504", Some("orders")),
        ("/api/v2/db/_table/orders?filter=((", "ASU-105", None),
        ("/api/v2/db/_table/staff?fields=salary", "ASU-404", None),
        ("/api/v2/db/_table/secrets", "ASU-402", None),
        ("/api/v2/db/_table", "", None),
        ("/api/v2/db/_schema/orders", "", None),
        ("/api/v2/nowhere/_table", "ASU-401", None),
        ("/nothing", "ASU-102", None),
        ("/whoami", "", None),
    ] {
        let reply = site.get(path, &token);
        expected.insert(reply.header("audit-id").unwrap().to_owned(), (reason, table));
    }
    let stranger = site.get_with(ORDERS, &[]).header("audit-id").unwrap().to_owned();
    let wrong_audience = site.get(ORDERS, &site.issuer.token_with("bob", &json!({"aud": "https://other.example"})));
    site.stop();

    let all = records(&site, &[]);
    for (id, (reason, table)) in expected {
        let found: Vec<_> = all.iter().filter(|record| record["audit_id"] == *id).collect();
        let [record] = found.as_slice() else { panic!("{id} has {} records", found.len()) };
        assert_eq!(record["reason"].as_str().unwrap_or_default(), reason, "{record}");
        assert_eq!(record["principal"]["email"], "alice@example.com", "{record}");
        assert_eq!(record["actor"]["id"], "sales-copilot", "{record}");
        assert_eq!(record["actor"]["assurance"], "token");
        assert_eq!(record["address"], "127.0.0.1");
        if let Some(table) = table {
            assert_eq!(record["tables"], json!([table]));
        }
        assert!(!record["route"].as_str().unwrap().contains("orders/2"), "routes are templates");
    }
    let of = |id: &str| all.iter().filter(|record| record["audit_id"] == *id).cloned().collect::<Vec<_>>();
    assert!(
        matches!(of(&stranger).as_slice(), [record] if record["principal"].is_null() && record["reason"] == "ASU-201")
    );
    // A good signature on a token for somebody else: refused, and the record says whose it was.
    let wrong = of(wrong_audience.header("audit-id").unwrap());
    assert!(
        matches!(wrong.as_slice(), [record] if record["principal"]["subject"] == "user-bob" && record["actor"]["id"] == "sales-copilot"),
        "{wrong:?}"
    );
    let read = all.iter().find(|record| record["rows"] == 2).unwrap();
    assert_eq!(read["masks"], json!([{"column": "email", "mask": "email"}]));
    assert_eq!(read["run_as"], "filter");
    assert_eq!(read["columns"], json!(["id", "owner", "region", "amount", "email", "note"]));
    verify(&site, &[]).unwrap();
}

/// What a filter or an order looked at can be guessed from the answer, so the record names it too.
#[test]
fn a_record_names_what_the_filter_and_the_order_looked_at() {
    let mut site = Site::new().started();
    let asked = [
        &[("fields", "id"), ("filter", "email LIKE 'a%' AND id > 0"), ("order", "amount desc,id")][..],
        &[("fields", "id"), ("ids", "1")],
        &[("fields", "id")],
    ];
    let ids: Vec<String> = asked
        .iter()
        .map(|parameters| {
            let reply = site.ask("alice", "orders", parameters);
            assert_eq!(reply.status, 200, "{reply:?}");
            reply.header("audit-id").unwrap().to_owned()
        })
        .collect();
    site.stop();
    let all = records(&site, &[]);
    let of = |at: usize| all.iter().find(|record| record["audit_id"] == *ids[at]).unwrap();
    assert_eq!(of(0)["columns"], json!(["id"]));
    assert_eq!(of(0)["used"], json!(["email", "id", "amount"]));
    assert_eq!(of(0)["masks"], json!([{"column": "email", "mask": "email"}]), "it was used as its mask");
    assert_eq!(of(1)["used"], json!(["id"]));
    // Neither the policy's column nor the key that only breaks ties.
    assert_eq!((&of(2)["used"], &of(2)["masks"]), (&Json::Null, &Json::Null), "the twin");
    let shown = site.command(&["audit", "show", &ids[0]]);
    assert!(said(&shown).contains("amount"), "{}", said(&shown));
    verify(&site, &[]).unwrap();
}

/// A caller that goes away leaves a record too: nothing is asked without a trace.
#[test]
fn a_caller_that_goes_away_is_recorded() {
    let mut site = Site::new().started();
    let token = site.issuer.token_for("alice");
    let rounds = 50;
    for _ in 0..rounds {
        let mut stream = std::net::TcpStream::connect(site.address()).unwrap();
        write!(stream, "GET {ORDERS} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
    }
    // The last request's answer says that all before it were read from their sockets or refused by a reset.
    assert_eq!(site.get("/whoami", &token).status, 200);
    site.stop();
    let found = records(&site, &["--person", "alice", "--table", "orders"]).len()
        + records(&site, &["--reason", "ASU-109"]).len();
    assert!(found > 0 && found <= 2 * rounds, "{found}");
    verify(&site, &[]).unwrap();
}

/// AU-05: killed at random while answering; what was answered is there once, the log verifies, nothing forks.
/// 100 kills in the suite; `ASUSER_TEST_LONG=1` makes it 1,000.
#[test]
fn kill_nine_loses_no_answered_request() {
    let mut site = Site::new();
    let kills = if std::env::var_os("ASUSER_TEST_LONG").is_some() { 1000 } else { 100 };
    let bearers: Vec<String> =
        ["alice", "bob"].iter().map(|who| format!("Bearer {}", site.issuer.token_for(who))).collect();
    let mut answered: Vec<String> = Vec::new();
    for nth in 0..kills {
        site.start();
        let (address, stop, heard) = (site.address(), AtomicBool::new(false), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for bearer in &bearers {
                let (stop, heard) = (&stop, &heard);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        // A reset is no answer; a whole reply is.
                        if let Ok(reply) = get(address, ORDERS, &[("Authorization", bearer)])
                            && reply.status == 200
                            && reply.text.ends_with('}')
                        {
                            heard.lock().unwrap().push(reply.header("audit-id").unwrap().to_owned());
                        }
                    }
                });
            }
            // Somewhere between the first answer and the hundredth, differently each time.
            let wanted = 1 + (nth * 7) % 23;
            while heard.lock().unwrap().len() < wanted {
                std::thread::yield_now();
            }
            site.kill();
            stop.store(true, Ordering::Relaxed);
        });
        answered.append(&mut heard.into_inner().unwrap());
    }
    site.start();
    site.stop();
    let checkpoints = site.path("checkpoints");
    verify(&site, &["--checkpoint", checkpoints.to_str().unwrap()]).unwrap();
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    for record in records(&site, &[]) {
        *counted.entry(record["audit_id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert!(answered.len() >= kills);
    for id in &answered {
        assert_eq!(counted.get(id), Some(&1), "{id} was answered");
    }
}

/// AU-02: one flipped byte anywhere in a record is noticed, and the record named; asuser does not start over it.
#[test]
fn a_flipped_byte_is_noticed() {
    let mut site = Site::new().started();
    for _ in 0..5 {
        assert_eq!(site.ask("alice", "orders", &[]).status, 200);
    }
    site.stop();
    verify(&site, &[]).unwrap();
    let path = segment(&site);
    let whole = fs::read(&path).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
    // A spread over all records; the log's own tests flip every byte.
    for at in (64..=end).step_by(97) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        fs::write(&path, &bytes).unwrap();
        let failure = verify(&site, &[]).expect_err(&format!("byte {at}"));
        assert!(failure.contains("FAILED"), "{failure}");
    }
    let mut bytes = whole.clone();
    bytes[end / 2] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(verify(&site, &[]).unwrap_err().contains("record "), "the record is named");
    let refused = site.try_start(&[]).unwrap_err();
    assert!(refused.contains("corrupt") || refused.contains("checkpoint"), "{refused}");
    fs::write(&path, &whole).unwrap();
    verify(&site, &[]).unwrap();
    site.start();
}

/// AU-03: yesterday's copy verifies by itself, and fails against a checkpoint that had left the host.
#[test]
fn a_cut_tail_or_an_old_copy_fails_against_an_outside_checkpoint() {
    let mut site = Site::new().started();
    assert_eq!(site.ask("alice", "orders", &[]).status, 200);
    site.stop();
    copy(&site.path("asuser-audit"), &site.path("yesterday"));
    site.start();
    assert_eq!(site.ask("alice", "orders", &[]).status, 200);
    site.stop();
    let checkpoints = site.path("checkpoints");
    let checkpoints = checkpoints.to_str().unwrap();
    verify(&site, &["--checkpoint", checkpoints]).unwrap();
    fs::rename(site.path("asuser-audit"), site.path("today")).unwrap();
    copy(&site.path("yesterday"), &site.path("asuser-audit"));
    verify(&site, &[]).expect("an old copy is whole by itself: that is why checkpoints leave");
    assert!(verify(&site, &["--checkpoint", checkpoints]).unwrap_err().contains("FAILED"));
}

/// The independent verifier, in Python, from the published formats alone.
#[test]
fn an_independent_verifier_agrees() {
    let mut site = Site::new().started();
    for _ in 0..300 {
        assert_eq!(site.ask("alice", "orders", &[("limit", "1")]).status, 200);
    }
    site.stop();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/verify_audit.py");
    let run = || {
        let mut command = Command::new("python3");
        command.arg(&script).arg(site.path("asuser-audit")).arg("--checkpoint").arg(site.path("checkpoints"));
        command.output().unwrap()
    };
    let agreed = run();
    assert!(agreed.status.success(), "{}", said(&agreed));
    let ours = verify(&site, &[]).unwrap();
    let root = ours.lines().find_map(|line| line.strip_prefix("root ")).unwrap();
    assert!(said(&agreed).contains(root), "the same root: {root}\n{}", said(&agreed));
    // Its passing twin's opposite: a changed entry in the tiles.
    let bundle = site.path("asuser-audit/tile/entries/000");
    let mut bytes = fs::read(&bundle).unwrap();
    bytes[40] ^= 1;
    fs::write(&bundle, bytes).unwrap();
    assert!(!run().status.success());
}

#[test]
fn erased_people_cannot_be_read_and_the_log_verifies() {
    let mut site = Site::new().started();
    assert_eq!(site.ask("alice", "orders", &[]).status, 200);
    assert_eq!(site.ask("bob", "orders", &[]).status, 200);
    let before = records(&site, &["--person", "alice@example.com"]).len();
    assert_eq!(before, 1);
    // Through the running server, which has the log open.
    let erased = site.command(&["audit", "erase", "--subject", "user-alice", "--note", "request 4711"]);
    assert!(erased.status.success(), "{}", said(&erased));
    assert_eq!(records(&site, &["--person", "alice@example.com"]).len(), 0);
    assert_eq!(records(&site, &["--person", "bob@example.com"]).len(), 1, "Bob's are untouched");
    assert!(records(&site, &[]).iter().any(|record| record["principal"]["erased"] == true));
    assert!(verify(&site, &[]).unwrap().contains(" erased"));
    // She may come back, as somebody new to the log.
    assert_eq!(site.ask("alice", "orders", &[]).status, 200);
    assert_eq!(records(&site, &["--person", "alice@example.com"]).len(), 1);
    site.stop();
    // And without a server.
    let erased = site.command(&["audit", "erase", "--subject", "user-bob"]);
    assert!(erased.status.success(), "{}", said(&erased));
    assert_eq!(records(&site, &["--person", "bob@example.com"]).len(), 0);
    verify(&site, &["--checkpoint", site.path("checkpoints").to_str().unwrap()]).unwrap();
    let nobody = site.command(&["audit", "erase", "--subject", "user-nobody"]);
    assert!(!nobody.status.success() && said(&nobody).contains("no such subject"), "{}", said(&nobody));
    // Gone from the files themselves.
    for file in ["asuser-state/store.db", "asuser-state/store.db-wal"] {
        let bytes = fs::read(site.path(file)).unwrap_or_default();
        assert!(!contains(&bytes, b"user-bob"), "{file}");
    }
}

#[test]
fn a_receipt_proves_an_entry() {
    let mut site = Site::new().started();
    let id = site.ask("alice", "orders", &[]).header("audit-id").unwrap().to_owned();
    site.stop();
    let shown = site.command(&["audit", "show", &id]);
    assert!(said(&shown).contains("alice@example.com"), "{}", said(&shown));
    let receipt = site.command(&["audit", "show", &id, "--proof"]);
    let receipt: Json = serde_json::from_slice(&receipt.stdout).unwrap();
    assert_eq!(receipt["entry"], id);
    assert!(receipt["leaves"][0]["proof"].is_array() && receipt["checkpoint"].is_string());
    assert!(!site.command(&["audit", "show", "aaaaaaaaaaaaaaaaaaaaaaaaaa"]).status.success());
    assert!(!site.command(&["audit", "show", "nonsense"]).status.success());
}

/// The same over HTTP: for whose request it was, and for auditors; anybody else's reads like one that does not exist.
#[test]
fn a_receipt_is_for_its_owner_or_an_auditor() {
    let mut site = Site::new();
    let auditors = "[audit]\nauditors = [{ provider = \"test\", group = \"audit\" }]";
    site.write("asuser.toml", &Site::config("").replace("[audit]", auditors));
    site.start();
    let id = site.ask("alice", "orders", &[]).header("audit-id").unwrap().to_owned();
    let receipt = |id: &str, token: &str| site.get(&format!("/audit/{id}/receipt"), token);
    let own = receipt(&id, &site.issuer.token_for("alice"));
    assert_eq!(own.json()["entry"], *id, "{own:?}");
    assert!(!own.text.contains("alice@"), "nothing personal is in a receipt");
    let auditor = site.issuer.token_with("victor", &json!({"groups": ["audit"]}));
    assert_eq!(receipt(&id, &auditor).json()["entry"], *id);
    let bobs = receipt(&id, &site.issuer.token_for("bob"));
    let missing = receipt("aaaaaaaaaaaaaaaaaaaaaaaaaa", &site.issuer.token_for("bob"));
    assert_eq!((bobs.status, bobs.reason()), (404, "ASU-703".into()));
    assert_eq!(bobs.json()["error"]["message"], missing.json()["error"]["message"]);
    assert_eq!(site.get_with(&format!("/audit/{id}/receipt"), &[]).status, 401);
    assert_eq!(receipt("nonsense", &auditor).status, 400);
}

/// AU-06, AU-08: odd names and time-outs have one well-formed record each.
#[test]
fn odd_and_slow_requests_have_one_record_each() {
    let mut site = Site::with_schema(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, amount INTEGER NOT NULL, email TEXT NOT NULL) STRICT;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
         INSERT INTO orders SELECT i, 'alice', i, 'some' || i || '@where.example' FROM n;",
    );
    site.write(
        "policies/db/rows.cedar",
        "permit (principal, action == Action::\"read\", resource is db::orders)\nwhen { principal has login && resource.owner == principal.login };",
    );
    site.write("asuser.toml", &Site::config("statement_ms_max = 5"));
    site.start();
    let slow = site.ask("alice", "orders", &[("filter", "email LIKE '%nowhere%'"), ("include_count", "true")]);
    assert_eq!((slow.status, slow.reason()), (503, "ASU-602".into()));
    let token = site.issuer.token_for("alice");
    let mut ids = vec![(slow.header("audit-id").unwrap().to_owned(), "ASU-602")];
    for path in ["%1b%5b31m", "a%0d%0ab", "%22%7d%2c%7b%22index%22%3a0%7d", "%e2%80%ae", "x%00y"] {
        let reply = site.get(&format!("/api/v2/db/_table/{path}?filter=%1b%5b2J"), &token);
        assert!([400, 404].contains(&reply.status), "{path}");
        ids.push((reply.header("audit-id").unwrap().to_owned(), ""));
    }
    assert_eq!(site.ask("alice", "orders/7", &[]).status, 200, "the next one is served");
    site.stop();
    let all = records(&site, &[]);
    for (id, reason) in ids {
        let found: Vec<_> = all.iter().filter(|record| record["audit_id"] == *id).collect();
        assert!(
            matches!(found.as_slice(), [record] if reason.is_empty() || record["reason"] == reason),
            "{id}: {found:?}"
        );
    }
    let tail = said(&site.command(&["audit", "tail"]));
    assert!(tail.lines().count() >= 7 && !tail.contains('\u{1b}'), "{tail}");
    verify(&site, &[]).unwrap();
}

/// AU-08: one log, one process.
#[test]
fn a_second_process_is_refused() {
    let mut site = Site::new().started();
    let refused = site.command(&["serve"]);
    assert!(!refused.status.success() && said(&refused).contains("in use by another process"), "{}", said(&refused));
    assert_eq!(site.ask("alice", "orders", &[]).status, 200);
    site.stop();
    verify(&site, &[]).unwrap();
}

/// AU-01: where checkpoints cannot leave the host, nothing new is answered, and health says so.
#[test]
fn a_failing_checkpoint_sink_stops_answers() {
    let mut site = Site::new();
    site.write("asuser.toml", &Site::config("").replace("file:checkpoints", "file:/dev/full"));
    site.start();
    let token = site.issuer.token_for("alice");
    let started = std::time::Instant::now();
    let refused = loop {
        let reply = site.get(ORDERS, &token);
        if reply.status != 200 {
            break reply;
        }
        assert!(started.elapsed().as_secs() < 60, "it goes on answering");
        std::thread::yield_now();
    };
    assert_eq!((refused.status, refused.reason()), (503, "ASU-701".into()));
    assert!(refused.json()["error"]["audit_id"].is_null());
    // It goes on saying so, however often a verified caller comes: it is no flood of strangers.
    assert!((0..150).all(|_| site.get(ORDERS, &token).reason() == "ASU-701"));
    let health = site.get_with("/health", &[]);
    assert_eq!(health.status, 503);
    assert!(health.text.contains("checkpoints do not leave"), "{health:?}");
}

/// A flood of refusals is cut off and counted; a verified caller from the same address is served all along.
#[test]
fn refusals_cannot_fill_the_log() {
    let mut site = Site::new();
    site.write(
        "asuser.toml",
        &Site::config("").replace("[audit]", "[audit]\nrefusals = { burst = 5, per_second = 1 }"),
    );
    site.start();
    let token = site.issuer.token_for("alice");
    let statuses: Vec<u16> = (0..200).map(|_| site.get_with(ORDERS, &[]).status).collect();
    assert_eq!(statuses.iter().take(5).filter(|status| **status == 401).count(), 5);
    let limited = statuses.iter().filter(|status| **status == 429).count();
    assert!(limited > 100, "{statuses:?}");
    let last = (0..).map(|_| site.get_with(ORDERS, &[])).find(|reply| reply.status == 429).unwrap();
    assert_eq!((last.reason(), last.header("retry-after")), ("ASU-108".into(), Some("1")));
    assert_eq!((last.header("x-ratelimit-limit"), last.header("x-ratelimit-remaining")), (Some("5"), Some("0")));
    assert_eq!(site.get(ORDERS, &token).status, 200);
    site.stop();
    let summaries: Vec<_> = records(&site, &[]).into_iter().filter(|record| record["kind"] == "summary").collect();
    let counted: u64 = summaries.iter().map(|record| record["count"].as_u64().unwrap()).sum();
    assert!(counted > limited as u64, "{summaries:?}");
    assert!(summaries.len() <= 3);
    verify(&site, &[]).unwrap();
}

/// AU-07: no secret and no masked value in any log, record, error or metric.
#[test]
fn secrets_stay_secret() {
    let mut site = Site::new().started();
    let good = site.issuer.token_for("alice");
    let expired = site.issuer.token_with("alice", &json!({"exp": 1_000_000_000}));
    let mut told = String::new();
    for path in [
        ORDERS.to_owned(),
        format!("{ORDERS}?filter=email='ada@one.example'"),
        format!("{ORDERS}?filter=email&fields=ada@one.example"),
        format!("{ORDERS}/1"),
        format!("{ORDERS}?session_token={good}"),
        "/metrics".to_owned(),
    ] {
        for token in [&good, &expired] {
            told.push_str(&site.get(&path, token).text);
        }
        told.push_str(&site.get_with(&path, &[("Authorization", &format!("Basic {good}"))]).text);
        told.push_str(
            &site
                .get_with(
                    &path,
                    &[("X-DreamFactory-API-Key", "agent-key-4711"), ("Authorization", &format!("Bearer {good}"))],
                )
                .text,
        );
    }
    told.push_str(&site.stop());
    let mut secrets: Vec<&str> = vec!["SECRET", "agent-key-4711", "ada@one.example", "cem@three.example"];
    for token in [&good, &expired] {
        secrets.push(token.rsplit('.').next().unwrap());
    }
    let mut places = vec![("answers and log".to_owned(), told.into_bytes())];
    for file in walk(site.folder()) {
        // The company's own database holds its own values.
        if !file.ends_with("company.db") {
            places.push((file.display().to_string(), fs::read(&file).unwrap()));
        }
    }
    for (place, bytes) in &places {
        for secret in &secrets {
            assert!(!contains(bytes, secret.as_bytes()), "{place} holds {secret}");
        }
    }
    // Personal facts are in the log only under a key: neither name nor address can be read from its files.
    for (place, bytes) in places.iter().filter(|(place, _)| place.contains("asuser-audit")) {
        assert!(!contains(bytes, b"alice@example.com") && !contains(bytes, b"user-alice"), "{place}");
    }
}

/// DB-17: whatever is asked, the database file stays as it is.
#[test]
fn the_database_file_is_never_changed() {
    let mut site = Site::new();
    let before = fs::read(site.path("company.db")).unwrap();
    site.start();
    for filter in
        ["id > 0", "1; ATTACH 'x' AS y", "load_extension('x')", "id = (PRAGMA writable_schema=ON)", "note LIKE '%a%'"]
    {
        site.ask("alice", "orders", &[("filter", filter)]);
    }
    for table in ["pragma_table_info", "sqlite_master", "dbstat", "json_each"] {
        assert_eq!(site.ask("alice", table, &[]).status, 404, "{table}");
    }
    site.stop();
    assert_eq!(before, fs::read(site.path("company.db")).unwrap());
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}
