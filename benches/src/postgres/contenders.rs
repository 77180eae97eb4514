//! Who answers over HTTP: asuser, and others where benches/peers.sh installed them. In: the database and who signs tokens. Out: started
//! gateways, each with a request for every person.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use asuser_core::{Clock as _, SystemClock};
use asuser_credential::{AuthorityFolder, BUNDLE, Kind};
use asuser_testkit::{PostgresServer, TestIssuer};
use serde_json::json;

use super::ANSWERS;
use super::database::{Database, LOGIN, OWNERS, PASSWORD, ROLE, SERVICE, person};
use super::report::Row;
use crate::gateway::Gateway;
use crate::http::Client;
use crate::load::CONNECTIONS;
use crate::{load, process, say};

/// A gateway that runs, and what it is asked.
pub(crate) struct Contender {
    name: &'static str,
    as_person: &'static str,
    gateway: Gateway,
    /// For each of `ANSWERS`, one a person.
    requests: Vec<Vec<Vec<u8>>>,
    /// How often an answer holds each row.
    copies: usize,
    /// What else was measured.
    pub(crate) note: Option<String>,
}

impl Contender {
    pub(crate) fn row(&self) -> Row {
        Row::new(self.name, self.as_person).ready(self.gateway.ready_ms)
    }
    pub(crate) const fn address(&self) -> SocketAddr {
        self.gateway.address
    }
    pub(crate) fn requests(&self, answer: u32) -> &[Vec<u8>] {
        let at = ANSWERS.iter().position(|one| *one == answer);
        at.and_then(|at| self.requests.get(at)).map_or(&[], Vec::as_slice)
    }
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        process::cpu(self.gateway.pid())
    }
    pub(crate) fn rss_mib(&self) -> anyhow::Result<u64> {
        process::rss_mib(self.gateway.pid())
    }
    /// Every answer has as many of the person's rows as were asked for.
    pub(crate) fn warm(&self, answer: u32) -> anyhow::Result<()> {
        load::warm(self.address(), self.requests(answer), |received| {
            let text = String::from_utf8_lossy(received);
            let rows = text.matches(NOTE).count();
            ensure!(rows == answer as usize * self.copies, "{}: {rows} rows instead of {answer}: {text}", self.name);
            Ok(())
        })
    }
    /// A token that was changed is worth nothing: what is compared does verify.
    fn refuses_forged(self) -> anyhow::Result<Self> {
        let honest = String::from_utf8(first(&self.requests)?.to_vec())?;
        let forged = forged(&honest).context("a request without a token")?;
        let answer = Client::connect(self.address())?.send(forged.as_bytes()).map(|answer| {
            let text = String::from_utf8_lossy(answer);
            text.contains(NOTE)
        });
        ensure!(!matches!(answer, Ok(true)), "{} answers a forged token", self.name);
        Ok(self)
    }
}

/// What every row holds.
const NOTE: &str = "call before delivery";

/// The request with another first character in the token's signature.
fn forged(request: &str) -> Option<String> {
    let (before, rest) = request.split_once("eyJ")?;
    let (header, rest) = rest.split_once('.')?;
    let (payload, signature) = rest.split_once('.')?;
    let other = if signature.starts_with('A') { "B" } else { "A" };
    Some(format!("{before}eyJ{header}.{payload}.{other}{}", signature.get(1..)?))
}

/// One token a person.
struct People {
    tokens: Vec<String>,
}

impl People {
    fn of(issuer: &TestIssuer) -> Self {
        Self { tokens: (0..OWNERS).map(|owner| issuer.token_for(&person(owner))).collect() }
    }
    fn requests(&self, of: impl Fn(&str, u32) -> String) -> Vec<Vec<Vec<u8>>> {
        let all = |answer: &u32| self.tokens.iter().map(|token| of(token, *answer).into_bytes()).collect();
        ANSWERS.iter().map(all).collect()
    }
}

pub(crate) fn start(
    folder: &Path,
    database: &Database,
    issuer: &TestIssuer,
    wanted: &dyn Fn(&str) -> bool,
) -> anyhow::Result<Vec<Contender>> {
    let people = People::of(issuer);
    let mut contenders = Vec::new();
    let all: [(&str, Start); 6] = [
        ("asuser", asuser_role),
        ("mcp", asuser_mcp),
        ("certificate", asuser_certificate),
        ("postgraphile", postgraphile),
        ("toolbox", toolbox),
        ("toolbox-mcp", toolbox_mcp),
    ];
    for (name, start) in all {
        if !wanted(name) {
            continue;
        }
        match start(folder, database, issuer, &people).with_context(|| name.to_owned())? {
            Some(contender) => contenders.push(contender.refuses_forged()?),
            None => say(&format!("{name} is not installed (benches/peers.sh): left out\n"))?,
        }
    }
    Ok(contenders)
}

type Start = fn(&Path, &Database, &TestIssuer, &People) -> anyhow::Result<Option<Contender>>;

/// One login takes the role that all people share, and tells the claims.
fn asuser_role(
    folder: &Path,
    database: &Database,
    issuer: &TestIssuer,
    people: &People,
) -> anyhow::Result<Option<Contender>> {
    let run_as = format!("run_as = \"role\"\nrole = \"{ROLE}\"\nconnections = {CONNECTIONS}\n");
    asuser("asuser, `role`", &folder.join("asuser"), database, issuer, people, &run_as)
}

/// The same, as an agent asks: a tool's call.
fn asuser_mcp(
    folder: &Path,
    database: &Database,
    issuer: &TestIssuer,
    people: &People,
) -> anyhow::Result<Option<Contender>> {
    let run_as = format!("run_as = \"role\"\nrole = \"{ROLE}\"\nconnections = {CONNECTIONS}\n");
    let over_rest = asuser("asuser over MCP, `role`", &folder.join("asuser-mcp"), database, issuer, people, &run_as)?;
    let requests = people.requests(|token, limit| {
        let arguments = json!({ "service": SERVICE_NAME, "table": "orders", "order": "id", "limit": limit });
        let authorization = format!("Authorization: Bearer {token}\r\nMCP-Protocol-Version: 2025-11-25\r\n");
        let host = over_rest.as_ref().map(|asuser| asuser.address().to_string()).unwrap_or_default();
        post("/mcp", &authorization, &call("query_table", &arguments)).replacen(
            "Host: bench",
            &format!("Host: {host}"),
            1,
        )
    });
    // As text, and as structured content.
    Ok(over_rest.map(|asuser| Contender { requests, copies: 2, ..asuser }))
}

fn call(tool: &str, arguments: &serde_json::Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool, "arguments": arguments } })
        .to_string()
}

/// asuser's service.
const SERVICE_NAME: &str = "db";

/// Each person logs in by certificate, over TLS. Fewer people than connections: none waits for a login.
fn asuser_certificate(
    folder: &Path,
    database: &Database,
    issuer: &TestIssuer,
    people: &People,
) -> anyhow::Result<Option<Contender>> {
    let folder = folder.join("asuser-certificate");
    fs::create_dir(&folder)?;
    let authority = AuthorityFolder::new(folder.join("ca"));
    authority.init(Kind::Own, "bench", 1, SystemClock.now_ms())?;
    database.server().trust_client_ca(&fs::read_to_string(folder.join("ca").join(BUNDLE))?);
    database.logins();
    fs::write(folder.join("server-ca.crt"), database.server().ca_pem())?;
    let some = People { tokens: people.tokens.iter().take(KEPT_PEOPLE).cloned().collect() };
    let run_as = "run_as = \"certificate\"\nca_dir = \"ca\"\ntls_ca = \"server-ca.crt\"\nrole = \"{login}\"\nconnections = 64\nperson_connections_max = 1\n";
    let Some(mut contender) = asuser("asuser, `certificate`", &folder, database, issuer, &some, run_as)? else {
        return Ok(None);
    };
    let requests = contender.requests.first().map_or(&[][..], Vec::as_slice);
    let (misses, hits) = (load::each(contender.address(), requests)?, load::each(contender.address(), requests)?);
    contender.note = Some(format!(
        "`certificate`: {KEPT_PEOPLE} people, a connection each, every request a hit. A miss (a person's first request, with the login by \
         certificate over TLS and the first look at the token and the role) takes {:.1} ms for a lone caller, the next {:.1} ms (medians).",
        misses.percentile_ms(50),
        hits.percentile_ms(50)
    ));
    Ok(Some(contender))
}

/// As many as have a connection each.
const KEPT_PEOPLE: usize = 60;

/// Policy, a mask and the audit log are on.
fn asuser(
    name: &'static str,
    folder: &Path,
    database: &Database,
    issuer: &TestIssuer,
    people: &People,
    run_as: &str,
) -> anyhow::Result<Option<Contender>> {
    fs::create_dir_all(folder.join("policies/db"))?;
    fs::write(folder.join("policies/db/masks.toml"), "[orders]\nemail = \"email\"\n")?;
    let policy = "forbid (principal, action == Action::\"unmask\", resource is db::orders);\n";
    fs::write(folder.join("policies/db/masks.cedar"), policy)?;
    fs::write(folder.join("keys.json"), issuer.jwks())?;
    fs::write(folder.join("password"), PASSWORD)?;
    let url = database.url(LOGIN);
    let configuration = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[audit]\ncheckpoint_to = [\"file:checkpoints\"]\n[[identity]]\nname = \"bench\"\nkind = \"jwt\"\n\
         issuer = \"https://login.example/\"\naudience = \"https://data.example\"\ndomains = [\"example.com\"]\njwks_file = \"keys.json\"\n[identity.mapping]\nlogin_managed = true\n\
         [[service]]\nname = \"db\"\nkind = \"postgres\"\nurl = \"{url}\"\npassword = \"file:password\"\ndefault = \"database\"\n{run_as}"
    );
    fs::write(folder.join("asuser.toml"), configuration)?;
    let gateway = Gateway::asuser(folder)?;
    let requests = people.requests(|token, limit| {
        format!(
            "GET /api/v2/db/_table/orders?order=id&limit={limit} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
    });
    Ok(Some(Contender { name, as_person: "yes", gateway, requests, copies: 1, note: None }))
}

/// The other gateways lie where benches/peers.sh put them.
fn peer(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/npm/peers/node_modules").join(path);
    path.exists().then_some(path)
}

/// A port that was free a moment ago.
fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nAccept: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// GraphQL over the same role and claims. Its settings come from a verified token, as its documentation has it.
fn postgraphile(
    folder: &Path,
    database: &Database,
    issuer: &TestIssuer,
    people: &People,
) -> anyhow::Result<Option<Contender>> {
    let Some(package) = peer("postgraphile") else { return Ok(None) };
    let (address, folder) = (free_port()?, folder.join("postgraphile"));
    fs::create_dir(&folder)?;
    let settings = json!({
        "database": format!("{}?sslmode=disable", with_password(&database.url(LOGIN))),
        "connections": CONNECTIONS, "port": address.port(), "key": issuer.key().public_pem(), "role": ROLE,
        "issuer": "https://login.example/", "audience": "https://data.example",
    });
    fs::write(folder.join("settings.json"), settings.to_string())?;
    let mut command = Command::new("node");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/postgraphile.cjs"));
    command.arg(folder.join("settings.json")).env("NODE_ENV", "production");
    command.env("NODE_PATH", package.parent().unwrap_or(&package));
    let requests = people.requests(|token, limit| {
        let query = "query($n: Int) { allOrders(first: $n, orderBy: PRIMARY_KEY_ASC) { nodes { id owner region amount email note } } }";
        let body = json!({ "query": query, "variables": { "n": limit } }).to_string();
        post("/graphql", &format!("Authorization: Bearer {token}\r\n"), &body)
    });
    let gateway = Gateway::start(&mut command, address, first(&requests)?, &folder.join("log"))?;
    Ok(Some(Contender { name: "PostGraphile", as_person: "yes", gateway, requests, copies: 1, note: None }))
}

/// Google's MCP Toolbox: the person of a verified token is a parameter of a fixed statement; the session is the service's.
fn toolbox(
    folder: &Path,
    database: &Database,
    issuer: &TestIssuer,
    people: &People,
) -> anyhow::Result<Option<Contender>> {
    let requests = people.requests(|token, limit| {
        let body = json!({ "limit": limit }).to_string();
        post("/api/tool/orders/invoke", &format!("bench_token: {token}\r\n"), &body)
    });
    toolbox_asked("MCP Toolbox", &folder.join("toolbox"), database, issuer, requests)
}

/// The same, as an agent asks.
fn toolbox_mcp(
    folder: &Path,
    database: &Database,
    issuer: &TestIssuer,
    people: &People,
) -> anyhow::Result<Option<Contender>> {
    let requests = people.requests(|token, limit| {
        let headers = format!("bench_token: {token}\r\nMCP-Protocol-Version: 2025-11-25\r\n");
        post("/mcp", &headers, &call("orders", &json!({ "limit": limit })))
    });
    toolbox_asked("MCP Toolbox over MCP", &folder.join("toolbox-mcp"), database, issuer, requests)
}

fn toolbox_asked(
    name: &'static str,
    folder: &Path,
    database: &Database,
    issuer: &TestIssuer,
    requests: Vec<Vec<Vec<u8>>>,
) -> anyhow::Result<Option<Contender>> {
    let Some(binary) = peer("@toolbox-sdk/server-linux-x64/bin/toolbox") else { return Ok(None) };
    let address = free_port()?;
    fs::create_dir(folder)?;
    let keys = keys::serve(issuer.jwks())?;
    let tools = format!(
        "kind: source\nname: db\ntype: postgres\nhost: {host}\nport: \"{port}\"\ndatabase: {database}\nuser: {SERVICE}\npassword: {PASSWORD}\n\
         queryParams:\n  sslmode: disable\n  pool_max_conns: \"{CONNECTIONS}\"\n---\n\
         kind: authService\nname: bench\ntype: generic\naudience: https://data.example\nauthorizationServer: http://{keys}\n---\n\
         kind: tool\nname: orders\ntype: postgres-sql\nsource: db\ndescription: The person's orders\nstatement: |\n  \
         SELECT id, owner, region, amount, email, note FROM orders WHERE owner = $1 ORDER BY id LIMIT $2\nparameters:\n  \
         - name: owner\n    type: string\n    description: The person\n    authServices:\n      - name: bench\n        field: email\n  \
         - name: limit\n    type: integer\n    description: How many\n",
        host = PostgresServer::HOST,
        port = database.port(),
        database = database.name(),
    );
    fs::write(folder.join("tools.yaml"), tools)?;
    let mut command = Command::new(binary);
    command.args(["--enable-api", "--disable-version-check", "--disable-reload", "--log-level", "ERROR"]);
    command.args(["--port", &address.port().to_string(), "--config"]).arg(folder.join("tools.yaml"));
    let gateway = Gateway::start(&mut command, address, first(&requests)?, &folder.join("log"))?;
    Ok(Some(Contender { name, as_person: "no", gateway, requests, copies: 1, note: None }))
}

fn first(requests: &[Vec<Vec<u8>>]) -> anyhow::Result<&[u8]> {
    match requests.first().and_then(|all| all.first()) {
        Some(request) => Ok(request),
        None => bail!("nobody to ask for"),
    }
}

fn with_password(url: &str) -> String {
    url.replacen('@', &format!(":{PASSWORD}@"), 1)
}

/// A provider's discovery document and keys, for who insists on fetching them.
mod keys {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::{SocketAddr, TcpListener, TcpStream};

    /// Until this process ends.
    pub(super) fn serve(jwks: String) -> anyhow::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who does not listen gets no answer.
                let _ = answer(stream, address, &jwks);
            }
        });
        Ok(address)
    }

    fn answer(mut stream: TcpStream, address: SocketAddr, jwks: &str) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let asked = lines.next().transpose()?.unwrap_or_default();
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let body = if asked.contains("/.well-known/") {
            format!(r#"{{"issuer":"https://login.example/","jwks_uri":"http://{address}/keys"}}"#)
        } else {
            jwks.to_owned()
        };
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::forged;

    #[test]
    fn a_forged_token_differs_in_its_signature_alone() {
        assert_eq!(forged("x: eyJa.b.cd\r\n").as_deref(), Some("x: eyJa.b.Ad\r\n"));
        assert_eq!(forged("x: eyJa.b.Ad\r\n").as_deref(), Some("x: eyJa.b.Bd\r\n"));
        assert_eq!(forged("no token"), None);
    }
}
