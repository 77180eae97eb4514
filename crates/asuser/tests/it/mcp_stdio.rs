//! `asuser mcp --stdio`: a conversation over pipes, with a real asuser behind it, and with servers that do what they should not.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use asuser_testkit::oidc_provider::{NATIVE_CLIENT, OidcProvider};
use serde_json::{Value as Json, json};

use crate::login::stub::{Said, Seen, Stub};
use crate::login::{Person, TELLTALE, private, site_of};
use crate::site::{Site, said};

const PATIENCE: Duration = Duration::from_secs(20);
const META: &str = "io.modelcontextprotocol/protocolVersion";

/// A running `asuser mcp`.
struct Talk {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Talk {
    fn start(person: &Person, url: &str, more: &[&str]) -> Self {
        let mut command = person.command(&[&["mcp", "--stdio", "--url", url], more].concat());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { stdin: child.stdin.take(), child, lines }
    }
    fn with_token(url: &str) -> Self {
        Self::start(&Person::new().with("ASUSER_TOKEN", TELLTALE), url, &[])
    }
    fn say(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(format!("{text}\n").as_bytes()).unwrap();
        stdin.flush().unwrap();
    }
    fn request(&mut self, id: impl Into<Json>, method: &str, params: Json) {
        self.say(&json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params }).to_string());
    }
    /// The next line.
    fn hear(&self) -> Json {
        let line = self.lines.recv_timeout(PATIENCE).expect("a line");
        assert!(!line.contains(TELLTALE), "a token was shown: {line}");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
    fn ask(&mut self, id: impl Into<Json>, method: &str, params: Json) -> Json {
        let id = id.into();
        self.request(id.clone(), method, params);
        let answer = self.hear();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }
    /// Ends the input. Gives the exit code, the lines that were still to come, and the log.
    fn end(mut self) -> (Option<i32>, Vec<String>, String) {
        drop(self.stdin.take());
        let lines = self.lines.iter().collect();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(!log.contains(TELLTALE), "a token was logged: {log}");
        (self.child.wait().unwrap().code(), lines, log)
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn modern(mut params: Json) -> Json {
    params["_meta"] = json!({ META: "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} });
    params
}
fn ok(seen: &Seen, result: Json) -> Said {
    Said::json(200, &json!({ "jsonrpc": "2.0", "id": seen.json()["id"], "result": result }))
}
/// Answers with what it was asked.
fn echo(seen: &Seen) -> Said {
    let message = seen.json();
    if message.get("id").is_none() {
        return Said::text(202, "text/plain", "");
    }
    match message["method"].as_str() {
        Some("initialize") => ok(seen, json!({ "protocolVersion": message["params"]["protocolVersion"] })),
        _ => ok(seen, json!({ "echo": message["params"] })),
    }
}
/// A gate that opens once.
#[derive(Default)]
struct Gate {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}
impl Gate {
    /// Comes to the gate and waits until it is open.
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.1).unwrap());
    }
    fn wait_for(&self, count: usize) {
        let state = self.state.lock().unwrap();
        let (state, late) = self.changed.wait_timeout_while(state, PATIENCE, |state| state.0 < count).unwrap();
        assert!(!late.timed_out(), "{} of {count} came", state.0);
    }
    fn count(&self) -> usize {
        self.state.lock().unwrap().0
    }
    fn open(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}

// ---- a real asuser

#[test]
fn a_real_asuser_is_asked_in_every_revision() {
    let site = Site::new().started();
    let person = Person::new().with("ASUSER_TOKEN", &site.issuer.token_for("alice"));
    for revision in ["2025-06-18", "2025-11-25"] {
        let mut talk = Talk::start(&person, &site.url(), &[]);
        let hello = talk.ask(
            0,
            "initialize",
            json!({ "protocolVersion": revision, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } }),
        );
        assert_eq!(hello["result"]["protocolVersion"], revision);
        talk.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        let who = talk.ask("a", "tools/call", json!({ "name": "whoami", "arguments": {} }));
        assert_eq!(who["result"]["structuredContent"]["principal"]["login"], "alice", "{who}");
        let unknown = talk.ask(2, "no/such", json!({}));
        assert_eq!(unknown["error"]["code"], -32601);
        let (code, rest, log) = talk.end();
        assert_eq!((code, rest.len(), log.as_str()), (Some(0), 0, ""));
    }
    let mut talk = Talk::start(&person, &format!("{}/mcp", site.url()), &[]);
    let found = talk.ask(1, "server/discover", modern(json!({})));
    assert!(found["result"]["supportedVersions"].is_array(), "{found}");
    let rows = talk.ask(2, "tools/call", modern(json!({ "name": "query_table", "arguments": { "table": "orders" } })));
    assert_eq!(rows["result"]["isError"], false, "{rows}");
    assert!(!rows.to_string().contains("SECRET"), "{rows}");
    assert_eq!(talk.end().0, Some(0));
}

#[test]
fn whoever_signed_in_is_asked_for_and_renewed() {
    let Some(provider) = OidcProvider::start_if_installed() else { return };
    let site = site_of(&provider);
    let (url, person) = (site.url(), Person::new());
    let signing_in = person.begin(&url, &["--client-id", NATIVE_CLIENT, "--store", "file"]);
    assert_eq!(provider.browse(signing_in.address(), "alice").status, 200);
    assert_eq!(signing_in.end().0, Some(0));
    person.change(|kept| kept["tokens"]["expires_ms"] = json!(1));
    let before = person.kept();
    let mut talks: Vec<Talk> = (0..3).map(|_| Talk::start(&person, &url, &[])).collect();
    for talk in &mut talks {
        talk.request(1, "tools/call", modern(json!({ "name": "whoami", "arguments": {} })));
    }
    for talk in talks {
        let who = talk.hear();
        assert_eq!(who["result"]["structuredContent"]["principal"]["login"], "alice", "{who}");
        assert_eq!(talk.end().0, Some(0));
    }
    assert_ne!(before["tokens"]["refresh_token"], person.kept()["tokens"]["refresh_token"]);

    // Signed out, and in as somebody else, while it runs: both count at once.
    let mut talk = Talk::start(&person, &url, &[]);
    let mut who = |id: i64| talk.ask(id, "tools/call", modern(json!({ "name": "whoami", "arguments": {} })));
    assert_eq!(who(1)["result"]["structuredContent"]["principal"]["login"], "alice");
    assert!(person.run(&["logout", "--url", &url]).status.success());
    let refused = who(2);
    assert!(refused["error"]["message"].as_str().unwrap().contains("asuser login"), "{refused}");
    let signing_in = person.begin(&url, &["--client-id", NATIVE_CLIENT, "--store", "file"]);
    assert_eq!(provider.browse(signing_in.address(), "bob").status, 200);
    assert_eq!(signing_in.end().0, Some(0));
    assert_eq!(who(3)["result"]["structuredContent"]["principal"]["login"], "bob");
    assert_eq!(talk.end().0, Some(0));
}

/// What a client cancels ends in the database: the one connection is free again, long before the statement's own time is over.
#[test]
fn a_cancelled_call_ends_in_the_database() {
    let schema = "CREATE TABLE orders (id INTEGER PRIMARY KEY) STRICT;
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO orders SELECT i FROM n;";
    let mut site = Site::with_schema(schema);
    site.write("policies/db/rows.cedar", "permit (principal, action == Action::\"read\", resource is db::orders);");
    site.write("policies/db/masks.toml", "");
    let limits = "statement_ms_max = 600000\nconnections = 1\n[[agent]]\nclient_id = \"analyst\"\nmay = [\"db:read\", \"db:raw_sql\"]\n";
    site.write("asuser.toml", &Site::config(limits));
    site.start();
    let token = site.issuer.token_with("alice", &json!({"client_id": "analyst"}));
    let mut talk = Talk::start(&Person::new().with("ASUSER_TOKEN", &token), &site.url(), &[]);
    let run = |sql: &str| modern(json!({ "name": "run_sql", "arguments": { "sql": sql } }));
    let slow = "SELECT count(*) AS n FROM orders a, orders b, orders c, orders d WHERE a.id + b.id + c.id + d.id = 7";
    talk.request(1, "tools/call", run(slow));
    // Its intent is durable before it runs.
    let started = std::time::Instant::now();
    while !said(&site.command(&["audit", "search", "--json", "--limit", "100"])).contains("tools/call run_sql") {
        assert!(started.elapsed() < 3 * PATIENCE, "the statement never began");
    }
    talk.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    let next = talk.ask(2, "tools/call", run("SELECT count(*) AS n FROM orders"));
    assert_eq!(next["result"]["structuredContent"]["rows"], json!([{ "n": 3000 }]), "{next}");
    let (code, rest, _) = talk.end();
    assert_eq!((code, rest.len()), (Some(0), 0));
    site.stop();
    let cancelled = said(&site.command(&["audit", "search", "--json", "--reason", "ASU-109"]));
    assert!(cancelled.contains("tools/call run_sql"), "its record says that the caller went away: {cancelled}");
}

// ---- the token

#[test]
fn without_a_token_it_does_not_start() {
    let stub = Stub::start(|_| |seen: &Seen, _: &TcpStream| echo(seen));
    let url = stub.url();
    let refused = |person: &Person, more: &[&str], wanted: &str| {
        let output = person.run(&[&["mcp", "--stdio", "--url", &url], more].concat());
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(output.stdout.is_empty(), "{}", said(&output));
        assert!(said(&output).contains(wanted) && !said(&output).contains(TELLTALE), "{}", said(&output));
    };
    refused(&Person::new(), &[], "asuser login --url");
    refused(&Person::new().with("ASUSER_TOKEN", ""), &[], "ASUSER_TOKEN");
    refused(&Person::new().with("ASUSER_TOKEN", &format!("{TELLTALE} x")), &[], "ASUSER_TOKEN");
    // Nobody asks as somebody else because a file is missing.
    let other = Person::new().with("ASUSER_TOKEN", TELLTALE);
    let path = other.path("token");
    let file = ["--token-file", path.to_str().unwrap()];
    refused(&other, &file, "cannot be read");
    std::fs::write(&path, TELLTALE).unwrap();
    private(&path, 0o644);
    refused(&other, &file, "others can read it");
    let open = Person::new();
    open.sign_in(&url, &json!({ "access_token": TELLTALE }));
    private(&open.file().unwrap(), 0o640);
    refused(&open, &[], "others can read it");
    assert!(stub.seen().is_empty());
    let plain = other.run(&["mcp", "--stdio", "--url", "http://data.example.com"]);
    assert!(plain.status.code() == Some(2) && said(&plain).contains("this machine alone"));
    let transport = other.run(&["mcp", "--url", &url]);
    assert!(transport.status.code() == Some(2) && said(&transport).contains("--stdio"));
}

#[test]
fn a_token_file_is_read_anew_when_it_changes() {
    let stub = Stub::start(|_| {
        |seen: &Seen, _: &TcpStream| match seen.token() {
            "one" | "two" => ok(seen, json!({ "as": seen.token() })),
            _ => Said::json(
                401,
                &json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": 204, "message": "it is over" } }),
            ),
        }
    });
    let person = Person::new();
    let path = person.path("token");
    let replace = |token: &str| {
        let next = person.path("next");
        std::fs::write(&next, format!("{token}\n")).unwrap();
        private(&next, 0o600);
        std::fs::rename(&next, &path).unwrap();
    };
    replace("one");
    let mut talk = Talk::start(&person, &stub.url(), &["--token-file", path.to_str().unwrap()]);
    assert_eq!(talk.ask(1, "x", json!({}))["result"]["as"], "one");
    replace("two");
    assert_eq!(talk.ask(2, "x", json!({}))["result"]["as"], "two");
    replace("three");
    let refused = talk.ask(1, "x", json!({}));
    let words = refused["error"]["message"].as_str().unwrap();
    assert!(words.starts_with("it is over: put a new token into ") && refused["error"]["code"] == 204, "{words}");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(talk.ask(3, "x", json!({}))["error"]["code"], 201);
    replace("one");
    assert_eq!(talk.ask(4, "x", json!({}))["result"]["as"], "one");
    assert_eq!(talk.end().0, Some(0));
}

/// asuser and token endpoint: `good` is what asuser accepts, and each refresh token works once.
fn renewing(answer_to_refresh: impl Fn(usize) -> Said + Send + Sync + 'static) -> Stub {
    let renewals = Mutex::new(0);
    Stub::start(|_| {
        move |seen: &Seen, _: &TcpStream| {
            if seen.target == "/token" {
                let mut count = renewals.lock().unwrap();
                *count += 1;
                return answer_to_refresh(*count);
            }
            match seen.token() {
                token if token.starts_with("good") => ok(seen, json!({ "as": token })),
                _ => Said::json(
                    401,
                    &json!({ "jsonrpc": "2.0", "id": null, "error": { "code": 204, "message": "it is over" } }),
                ),
            }
        }
    })
}

#[test]
fn a_refused_token_is_renewed_once_and_the_new_refresh_token_kept() {
    let stub = renewing(|count| {
        Said::json(
            200,
            &json!({ "access_token": format!("good{count}"), "token_type": "Bearer", "refresh_token": format!("{TELLTALE}-r{count}") }),
        )
    });
    let person = Person::new();
    person.sign_in(&stub.url(), &json!({ "access_token": "old", "refresh_token": format!("{TELLTALE}-r0") }));
    let mut talk = Talk::start(&person, &stub.url(), &[]);
    for id in 0..6 {
        talk.request(id, "x", json!({}));
    }
    let mut ids: Vec<i64> = (0..6)
        .map(|_| talk.hear())
        .map(|answer| {
            assert_eq!(answer["result"]["as"], "good1", "{answer}");
            answer["id"].as_i64().unwrap()
        })
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2, 3, 4, 5]);
    let renewals = stub.seen_at("/token");
    assert_eq!(renewals.len(), 1, "those that were refused together share one renewal");
    assert_eq!(renewals[0].field("refresh_token"), Some(format!("{TELLTALE}-r0")));
    assert_eq!(renewals[0].header("authorization"), None, "no access token goes to the token endpoint");
    let kept = person.kept();
    assert_eq!(
        (&kept["tokens"]["access_token"], &kept["tokens"]["refresh_token"]),
        (&json!("good1"), &json!(format!("{TELLTALE}-r1")))
    );
    assert_eq!(talk.end().0, Some(0));
}

#[test]
fn what_cannot_be_renewed_is_told_to_each_request_and_a_new_sign_in_is_found() {
    let over = || Said::json(400, &json!({ "error": "invalid_grant" }));
    for (refresh, renewals) in [(json!(TELLTALE), 1), (Json::Null, 0)] {
        let stub = renewing(move |_| over());
        let person = Person::new();
        person.sign_in(&stub.url(), &json!({ "access_token": "old", "refresh_token": refresh, "expires_ms": 1 }));
        let mut talk = Talk::start(&person, &stub.url(), &[]);
        for id in 0..3 {
            let refused = talk.ask(id, "x", json!({}));
            assert_eq!(refused["error"]["code"], 201);
            assert!(
                refused["error"]["message"]
                    .as_str()
                    .unwrap()
                    .contains(&format!("run `asuser login --url {}`", stub.url())),
                "{refused}"
            );
        }
        assert_eq!(
            stub.seen().len(),
            renewals,
            "a refresh token that is no good is tried once, and no token that is over is sent"
        );
        person.sign_in(&stub.url(), &json!({ "access_token": "good7", "expires_ms": 4_000_000_000_000_i64 }));
        assert_eq!(talk.ask(9, "x", json!({}))["result"]["as"], "good7");
        assert_eq!(talk.end().0, Some(0));
    }
}

#[test]
fn a_token_endpoint_that_fails_for_a_while_loses_nothing() {
    let stub = renewing(|count| match count {
        1 => Said::text(503, "text/html", "busy"),
        _ => Said::json(200, &json!({ "access_token": "good", "token_type": "Bearer" })),
    });
    let person = Person::new();
    person.sign_in(&stub.url(), &json!({ "access_token": "old", "refresh_token": TELLTALE, "expires_ms": 1 }));
    let mut talk = Talk::start(&person, &stub.url(), &[]);
    assert_eq!(talk.ask(1, "x", json!({}))["error"]["code"], -32603);
    assert_eq!(talk.ask(2, "x", json!({}))["result"]["as"], "good");
    assert_eq!(person.kept()["tokens"]["refresh_token"], TELLTALE, "a server that sends no new one means the old one");
    assert_eq!(talk.end().0, Some(0));
}

#[test]
fn an_asuser_that_refuses_what_is_new_does_not_have_it_renewed_each_time() {
    let stub = renewing(|_| Said::json(200, &json!({ "access_token": "bad", "token_type": "Bearer" })));
    let person = Person::new();
    person.sign_in(&stub.url(), &json!({ "access_token": "old", "refresh_token": TELLTALE }));
    let mut talk = Talk::start(&person, &stub.url(), &[]);
    for id in 0..3 {
        let refused = talk.ask(id, "x", json!({}));
        assert!(refused["error"]["message"].as_str().unwrap().contains("it is over: run `asuser login"), "{refused}");
    }
    assert_eq!(stub.seen_at("/token").len(), 1);
    assert_eq!(talk.end().0, Some(0));
}

#[test]
fn the_token_goes_nowhere_else() {
    let elsewhere = Stub::start(|_| |seen: &Seen, _: &TcpStream| echo(seen));
    let to = elsewhere.url();
    let stub = Stub::start(|_| {
        move |_: &Seen, _: &TcpStream| Said {
            status: 307,
            kind: "text/plain",
            body: String::new(),
            location: Some(to.clone()),
        }
    });
    let mut talk = Talk::with_token(&stub.url());
    let refused = talk.ask(1, "x", json!({}));
    assert!(refused["error"]["message"].as_str().unwrap().contains("redirects are not followed"), "{refused}");
    assert!(elsewhere.seen().is_empty());
    assert_eq!(talk.end().0, Some(0));
}

// ---- the conversation

#[test]
fn messages_go_out_with_the_headers_of_their_revision() {
    let stub = Stub::start(|_| |seen: &Seen, _: &TcpStream| echo(seen));
    let mut talk = Talk::with_token(&stub.url());
    talk.ask(1, "tools/call", modern(json!({ "name": "whoami", "arguments": { "n": 1 } })));
    talk.ask(2, "initialize", json!({ "protocolVersion": "2025-06-18" }));
    talk.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    talk.ask(3, "tools/list", json!({}));
    let (code, rest, _) = talk.end();
    assert_eq!((code, rest.len()), (Some(0), 0), "a notification has no answer");
    let seen = stub.seen();
    let headers = |method: &str| {
        let seen = seen.iter().find(|seen| seen.json()["method"] == method).unwrap();
        assert_eq!((seen.method.as_str(), seen.target.as_str(), seen.token()), ("POST", "/mcp", TELLTALE));
        assert_eq!(seen.header("accept"), Some("application/json, text/event-stream"));
        assert_eq!(seen.header("content-type"), Some("application/json"));
        ["mcp-protocol-version", "mcp-method", "mcp-name"].map(|name| seen.header(name).map(str::to_owned))
    };
    let texts = |values: [Option<&str>; 3]| values.map(|value| value.map(str::to_owned));
    assert_eq!(headers("tools/call"), texts([Some("2026-07-28"), Some("tools/call"), Some("whoami")]));
    assert_eq!(headers("initialize"), texts([None, None, None]));
    assert_eq!(headers("notifications/initialized"), texts([Some("2025-06-18"), None, None]));
    assert_eq!(headers("tools/list"), texts([Some("2025-06-18"), None, None]));
}

#[test]
fn eight_are_under_way_at_once_and_answers_come_as_they_are_ready() {
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let stub = Stub::start(|_| {
        move |seen: &Seen, _: &TcpStream| {
            if seen.json()["method"] == "slow" {
                held.pass();
            }
            echo(seen)
        }
    });
    let mut talk = Talk::with_token(&stub.url());
    for id in 0..7 {
        talk.request(id, "slow", json!({}));
    }
    gate.wait_for(7);
    // The eighth place is free: what is quick is not kept waiting.
    assert_eq!(talk.ask("quick", "quick", json!({}))["result"]["echo"], json!({}));
    for id in 7..12 {
        talk.request(id, "slow", json!({}));
    }
    gate.wait_for(8);
    talk.request(0, "slow", json!({}));
    let twice = talk.hear();
    assert_eq!((&twice["id"], &twice["error"]["code"]), (&json!(0), &json!(-32600)), "this id is under way");
    assert_eq!(gate.count(), 8);
    gate.open();
    let mut ids: Vec<i64> = (0..12).map(|_| talk.hear()["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..12).collect::<Vec<_>>());
    assert_eq!(talk.ask(0, "quick", json!({}))["id"], 0, "an id that was answered may come again");
    assert_eq!(talk.end().0, Some(0));
}

#[test]
fn a_cancelled_request_loses_its_connection_and_gets_no_answer() {
    let (gone, is_gone) = channel();
    let gate = Arc::new(Gate::default());
    let come = Arc::clone(&gate);
    let gone = Mutex::new(gone);
    let stub = Stub::start(|_| {
        move |seen: &Seen, mut stream: &TcpStream| {
            if seen.json()["method"] == "slow" {
                come.open();
                come.pass();
                // Until the other side closes.
                let ended = stream.read(&mut [0; 1]);
                gone.lock().unwrap().send(matches!(ended, Ok(0) | Err(_))).unwrap();
            }
            echo(seen)
        }
    });
    let mut talk = Talk::with_token(&stub.url());
    talk.request("a", "slow", json!({}));
    gate.wait_for(1);
    // Another's id, and none at all: nothing happens.
    talk.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"b"}}"#);
    talk.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#);
    assert_eq!(talk.ask(1, "quick", json!({}))["id"], 1);
    assert!(is_gone.try_recv().is_err());
    talk.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}"#);
    assert!(is_gone.recv_timeout(PATIENCE).unwrap());
    assert_eq!(talk.ask("a", "quick", json!({}))["id"], "a", "the id is free again");
    let (code, rest, _) = talk.end();
    assert_eq!((code, rest.len()), (Some(0), 0));
    assert!(stub.seen().iter().all(|seen| seen.json()["method"] != "notifications/cancelled"));
}

#[test]
fn the_end_of_the_input_waits_for_answers() {
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let stub = Stub::start(|_| {
        move |seen: &Seen, _: &TcpStream| {
            held.pass();
            echo(seen)
        }
    });
    let mut talk = Talk::with_token(&stub.url());
    for id in 0..3 {
        talk.request(id, "slow", json!({}));
    }
    gate.wait_for(3);
    drop(talk.stdin.take());
    gate.open();
    let (code, rest, _) = talk.end();
    assert_eq!((code, rest.len()), (Some(0), 3));
}

#[test]
fn a_signal_ends_it_although_something_is_under_way() {
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let stub = Stub::start(|_| {
        move |seen: &Seen, _: &TcpStream| {
            held.pass();
            echo(seen)
        }
    });
    let mut talk = Talk::with_token(&stub.url());
    talk.request(1, "slow", json!({}));
    gate.wait_for(1);
    let killed = std::process::Command::new("kill").args(["-TERM", &talk.child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(talk.child.wait().unwrap().code(), Some(0));
    // Also when the input has ended and it waits for the last answers.
    let mut talk = Talk::with_token(&stub.url());
    talk.request(1, "slow", json!({}));
    gate.wait_for(2);
    drop(talk.stdin.take());
    let killed = std::process::Command::new("kill").args(["-TERM", &talk.child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(talk.child.wait().unwrap().code(), Some(0));
    gate.open();
}

#[test]
fn garbage_is_answered_and_the_conversation_goes_on() {
    let stub = Stub::start(|_| |seen: &Seen, _: &TcpStream| echo(seen));
    let mut talk = Talk::with_token(&stub.url());
    for (line, code) in [
        ("nonsense", -32700),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"", -32700),
        ("\u{feff}\u{0}", -32700),
        ("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", -32600),
        ("{}", -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}", -32600),
    ] {
        talk.say(line);
        let said = talk.hear();
        assert_eq!((&said["id"], &said["error"]["code"]), (&Json::Null, &json!(code)), "{line}");
    }
    talk.say("\n   \n\r");
    talk.say(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    let long = json!({ "jsonrpc": "2.0", "id": 1, "method": "x", "params": { "t": "a".repeat(1 << 20) } });
    talk.say(&long.to_string());
    assert_eq!(talk.hear()["error"]["code"], -32600, "the line is too long");
    let longest = "a".repeat((1 << 20) - 100);
    assert_eq!(talk.ask(1, "x", json!({ "t": longest }))["result"]["echo"]["t"].as_str().unwrap().len(), longest.len());
    talk.stdin.as_mut().unwrap().write_all(b"\xff\xfe\n").unwrap();
    assert_eq!(talk.hear()["error"]["code"], -32700);
    let odd = talk.ask(2, "tools/list", json!({ "_meta": { META: "2026-07-28\r\nX: y" } }));
    assert_eq!(odd["error"]["code"], -32600);
    let (code, rest, _) = talk.end();
    assert_eq!((code, rest.len()), (Some(0), 0));
    assert_eq!(stub.seen().len(), 1, "nothing of it went on");
}

#[test]
fn whatever_the_server_says_each_request_has_one_answer_on_one_line() {
    let stub = Stub::start(|_| {
        |seen: &Seen, _: &TcpStream| {
            let (id, answer) =
                (&seen.json()["id"], json!({ "jsonrpc": "2.0", "id": seen.json()["id"], "result": { "n": 1 } }));
            match seen.json()["method"].as_str().unwrap() {
                "events" => {
                    let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": {} });
                    let text = format!(": hi\n\nevent: message\ndata: {progress}\n\ndata: {answer}\n\n");
                    Said::text(200, "text/event-stream", &text)
                }
                "pretty" => Said::text(200, "application/json", &serde_json::to_string_pretty(&answer).unwrap()),
                "page" => Said::text(502, "text/html", "<h1>Bad gateway</h1>"),
                "half" => Said::text(200, "application/json", &answer.to_string()[..20]),
                "other" => Said::json(200, &json!({ "jsonrpc": "2.0", "id": format!("not {id}"), "result": {} })),
                "nothing" => Said::text(202, "application/json", ""),
                "large" => Said::text(200, "application/json", &" ".repeat(33 << 20)),
                _ => Said::json(
                    400,
                    &json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32020, "message": "m" } }),
                ),
            }
        }
    });
    let mut talk = Talk::with_token(&stub.url());
    talk.request(1, "events", json!({}));
    assert_eq!(talk.hear()["method"], "notifications/progress");
    assert_eq!(talk.hear()["result"], json!({ "n": 1 }));
    assert_eq!(talk.ask(2, "pretty", json!({}))["result"], json!({ "n": 1 }));
    for method in ["page", "half", "other", "nothing", "large"] {
        assert_eq!(talk.ask(3, method, json!({}))["error"]["code"], -32603, "{method}");
    }
    assert_eq!(talk.ask(4, "refused", json!({}))["error"]["code"], -32020);
    let (code, rest, _) = talk.end();
    assert_eq!((code, rest.len()), (Some(0), 0));
}

#[test]
fn a_server_that_is_not_there_is_told_to_each_request() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut talk = Talk::with_token(&format!("http://{free}"));
    for id in 0..2 {
        let refused = talk.ask(id, "x", json!({}));
        assert!(refused["error"]["message"].as_str().unwrap().contains("was not reached"), "{refused}");
    }
    talk.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let (code, rest, log) = talk.end();
    assert_eq!((code, rest.len()), (Some(0), 0));
    assert!(log.contains("was not reached"), "{log}");
}
