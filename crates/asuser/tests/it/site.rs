//! A whole installation in a temporary folder: database, provider, policies, configuration, and the running server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use asuser_testkit::TestIssuer;
use rusqlite::Connection;
use serde_json::Value as Json;

pub(crate) const AUDIENCE: &str = "https://data.example.com";
pub(crate) const ISSUER: &str = "https://login.example.com/";
/// Longer than anything here takes; a test that waits for it fails with what it waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Two sales people, a colleague, and what nobody may see.
const SCHEMA: &str = "
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, owner TEXT NOT NULL, region TEXT NOT NULL, amount INTEGER NOT NULL, email TEXT NOT NULL, note TEXT
) STRICT;
CREATE INDEX orders_owner ON orders(owner);
INSERT INTO orders VALUES
    (1, 'alice', 'EU', 100, 'ada@one.example', NULL), (2, 'bob', 'SECRET-US', 777, 'SECRET@two.example', 'SECRET note'),
    (3, 'alice', 'EU', 300, 'cem@three.example', '50% off'), (4, 'bob', 'SECRET-US', 900, 'SECRET2@two.example', NULL),
    (5, 'carol', 'APAC', 5, 'dee@five.example', 'it''s');
CREATE TABLE secrets (v TEXT) STRICT;
INSERT INTO secrets VALUES ('SECRET-TABLE');
CREATE TABLE staff (id INTEGER PRIMARY KEY, name TEXT NOT NULL, salary INTEGER NOT NULL) STRICT;
INSERT INTO staff VALUES (1, 'Alice', 100001), (2, 'Bob', 100002);
";

pub(crate) const POLICY: &str = r#"
permit (principal, action == Action::"read", resource is db::orders)
when { principal has login && resource.owner == principal.login };

permit (principal, action == Action::"read", resource is db::staff);
forbid (principal, action == Action::"read", resource == Column::"db.staff.salary")
unless { principal in Group::"hr" };
"#;

pub(crate) const MASKS: &str = "[orders]\nemail = \"email\"\n";

/// An installation, stopped or running.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    pub(crate) issuer: TestIssuer,
    server: Option<Server>,
}

struct Server {
    child: Child,
    address: SocketAddr,
    /// What it wrote to standard error.
    log: mpsc::Receiver<String>,
    seen: Vec<String>,
}

/// An HTTP answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_owned(), text: body.to_owned() }
    }
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.into_iter().find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    }
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
    pub(crate) fn reason(&self) -> String {
        self.json()["error"]["reason"].as_str().unwrap_or_default().to_owned()
    }
    /// The reason of a refusal; nothing of an answer.
    pub(crate) fn reason_or_none(&self) -> Option<String> {
        (self.status != 200).then(|| self.reason())
    }
    /// The ids of a list.
    pub(crate) fn ids(&self) -> Vec<i64> {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["resource"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
    }
}

impl Site {
    /// The usual company, not started yet.
    pub(crate) fn new() -> Self {
        Self::with_schema(SCHEMA)
    }
    pub(crate) fn with_schema(schema: &str) -> Self {
        let site =
            Self { folder: tempfile::tempdir().unwrap(), issuer: TestIssuer::new(ISSUER, AUDIENCE), server: None };
        Connection::open(site.path("company.db")).unwrap().execute_batch(schema).unwrap();
        site.write("keys.json", &site.issuer.jwks());
        site.write("policies/db/rows.cedar", POLICY);
        site.write("policies/db/masks.toml", MASKS);
        site.write("asuser.toml", &Self::config(""));
        site
    }
    /// A provider, no policies, and these `[[service]]` blocks.
    pub(crate) fn of_services(services: &str) -> Self {
        let site =
            Self { folder: tempfile::tempdir().unwrap(), issuer: TestIssuer::new(ISSUER, AUDIENCE), server: None };
        site.write("keys.json", &site.issuer.jwks());
        std::fs::create_dir_all(site.path("policies")).unwrap();
        site.write("asuser.toml", &Self::config_of(services));
        site
    }
    /// The configuration, with more at its end.
    pub(crate) fn config(more: &str) -> String {
        Self::config_of(&format!("[[service]]\nname = \"db\"\nkind = \"sqlite\"\npath = \"company.db\"\n{more}"))
    }
    /// The configuration with these services.
    pub(crate) fn config_of(services: &str) -> String {
        format!(
            r#"
[server]
listen = "127.0.0.1:0"
[audit]
checkpoint_to = ["file:checkpoints"]
[[identity]]
name = "test"
kind = "jwt"
issuer = "{ISSUER}"
audience = "{AUDIENCE}"
jwks_file = "keys.json"
[identity.attributes]
region = {{ claim = "region", type = "string" }}
[identity.mapping]
login_managed = true
{services}
"#
        )
    }
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    pub(crate) fn started(mut self) -> Self {
        self.start();
        self
    }
    /// Starts it and waits until it serves.
    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }
    pub(crate) fn start_with(&mut self, environment: &[(&str, &str)]) {
        self.try_start(environment).unwrap_or_else(|log| panic!("asuser did not start:\n{log}"));
    }
    /// Starts it; gives its log where it ended instead.
    pub(crate) fn try_start(&mut self, environment: &[(&str, &str)]) -> Result<(), String> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_asuser"))
            .args(["serve", "--config"])
            .arg(self.path("asuser.toml"))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut seen = Vec::new();
        loop {
            match log.recv_timeout(PATIENCE) {
                Ok(line) => {
                    let address = line.split_once("address=").and_then(|(_, rest)| rest.trim().parse().ok());
                    seen.push(line);
                    if let Some(address) = address {
                        self.server = Some(Server { child, address, log, seen });
                        return Ok(());
                    }
                }
                Err(_) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(seen.join("\n"));
                }
            }
        }
    }
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.as_ref().unwrap().address
    }
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }
    pub(crate) fn pid(&self) -> u32 {
        self.server.as_ref().unwrap().child.id()
    }
    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }
    /// Waits until the log has a line with this text, and gives it.
    pub(crate) fn wait_for_log(&mut self, text: &str) -> String {
        let server = self.server.as_mut().unwrap();
        loop {
            let line = server.log.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("the log never said `{text}`:\n{}", server.seen.join("\n")));
            server.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }
    /// Everything in the log so far.
    pub(crate) fn log(&mut self) -> String {
        let server = self.server.as_mut().unwrap();
        server.seen.extend(server.log.try_iter());
        server.seen.join("\n")
    }
    /// Ends it as an operator would, and gives its whole log.
    pub(crate) fn stop(&mut self) -> String {
        let Some(mut server) = self.server.take() else { return String::new() };
        let status = Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap();
        assert!(status.success());
        server.child.wait().unwrap();
        server.seen.extend(server.log.iter());
        server.seen.join("\n")
    }
    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.child.kill();
            let _ = server.child.wait();
        }
    }

    /// Sends bytes, and reads until the server closes.
    pub(crate) fn send(&self, bytes: &[u8]) -> Vec<u8> {
        send(self.address(), bytes).unwrap()
    }
    /// `GET` with headers.
    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        get(self.address(), path, headers).unwrap()
    }
    /// `GET` with a token.
    pub(crate) fn get(&self, path: &str, token: &str) -> Reply {
        self.get_with(path, &[("Authorization", &format!("Bearer {token}"))])
    }
    /// `GET` of a table with query parameters, as a person.
    pub(crate) fn ask(&self, person: &str, table: &str, parameters: &[(&str, &str)]) -> Reply {
        let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        self.get(&format!("/api/v2/db/_table/{table}?{}", query.join("&")), &self.issuer.token_for(person))
    }

    /// Runs `asuser` in the site's folder.
    pub(crate) fn command_in(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_asuser"));
        command.args(arguments).current_dir(self.folder()).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// Runs `asuser` with the site's configuration and more environment.
    pub(crate) fn command_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_asuser"));
        command.args(arguments).arg("--config").arg(self.path("asuser.toml")).envs(environment.iter().copied());
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Runs `asuser` with the site's configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_asuser"));
        command.args(arguments).arg("--config").arg(self.path("asuser.toml")).stdin(Stdio::null());
        command.output().unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Everything but unreserved characters (RFC 3986 §2.3), escaped.
pub(crate) fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

pub(crate) fn get(server: SocketAddr, path: &str, headers: &[(&str, &str)]) -> std::io::Result<Reply> {
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    Ok(Reply::parse(&send(server, request.as_bytes())?))
}

fn send(server: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // A server that closes with unread input resets the connection; what it said first still counts.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset && !answer.is_empty() => {}
        read => _ = read?,
    }
    Ok(answer)
}

/// The text of a command's output, both streams.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
