//! The product's listener, gateway and audit over one SQLite database, with the suite's fixtures; before it a proxy that adds a token.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use asuser_audit::{Audit, VersionDigests};
use asuser_audit_log::{KeyStore, Log, Options};
use asuser_connector::Connector;
use asuser_connector_sqlite::{SqliteConnector, SqliteOptions};
use asuser_core::{Digest, SystemClock};
use asuser_delegation::{ActorConfig, Agents};
use asuser_gateway::{FloodLimits, Gateway, Service, State};
use asuser_identity::Identities;
use asuser_policy::{
    AttributeSchema, Policies, PolicyFile, PolicyFolder, PolicySources, ServiceDefault, ServiceSource,
};
use asuser_query::{AllowedFunctions, ServiceLimits};
use asuser_server::{Listener, ListenerOptions};
use asuser_store::Store;
use asuser_testkit::TestIssuer;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::fixtures::Fixtures;
use crate::site::Reply;

/// A running server; it ends with this value.
pub(super) struct Serving {
    runtime: Runtime,
    stop: watch::Sender<bool>,
    audit: Arc<Audit>,
    /// The listener itself.
    pub(super) server: SocketAddr,
    /// The same with a token.
    pub(super) proxy: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Serving {
    pub(super) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let issuer = TestIssuer::new("https://login.example.com", "https://data.example.com");
        let (stop, stopped) = watch::channel(false);
        let (audit, server) = runtime.block_on(async {
            let audit = audit(folder.path());
            let state = state(folder.path(), &issuer).await;
            let gateway = Gateway::new(
                state,
                Arc::clone(&audit),
                Arc::new(SystemClock),
                FloodLimits { burst: 100_000, per_second: 1 },
            );
            let options = ListenerOptions { extra: Some(Arc::new(Fixtures)), ..ListenerOptions::default() };
            let listener = Listener::bind(([127, 0, 0, 1], 0).into(), Arc::new(gateway), options).await.unwrap();
            let server = listener.address().unwrap();
            tokio::spawn(listener.serve(stopped));
            (audit, server)
        });
        let proxy = proxy(server, issuer.token_for("alice"));
        Self { runtime, stop, audit, server, proxy, _folder: folder }
    }

    /// By a name: the suite is written for `localhost`.
    pub(super) fn url(&self) -> String {
        format!("http://localhost:{}/mcp", self.proxy.port())
    }

    /// A message, as the smallest client there is would send it.
    pub(super) fn post(&self, to: SocketAddr, body: &str) -> Reply {
        let length = body.len();
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n"
        );
        let mut stream = TcpStream::connect(to).unwrap();
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        Reply::parse(&answer)
    }

    /// Ends it, and gives how many records its log has.
    pub(super) fn stop(self) -> u64 {
        let _ = self.stop.send(true);
        self.runtime.block_on(async { self.audit.log().checkpoint().await.unwrap() });
        self.audit.log().size()
    }
}

fn audit(folder: &Path) -> Arc<Audit> {
    let store = Arc::new(Store::open(folder.join("store.db")).unwrap()) as Arc<dyn KeyStore>;
    let options = Options::new(folder.join("audit"), "asuser.example.com/conformance");
    let (log, _) = Log::open(options, Arc::new(SystemClock), store).unwrap();
    Arc::new(Audit::new(log, Arc::new(SystemClock)))
}

/// One database, open to alice.
async fn state(folder: &Path, issuer: &TestIssuer) -> State {
    let path = folder.join("company.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY, owner TEXT NOT NULL) STRICT").unwrap();
    let identities =
        Identities::new(&[issuer.config("company")], folder, &|name: &str| Err(format!("no secret {name}"))).unwrap();
    let agents = Agents::new(Vec::new(), ActorConfig::default(), [], ["db".into()]).unwrap();
    let connector = Arc::new(SqliteConnector::open(SqliteOptions::new("db".into(), path)).unwrap());
    let catalog = connector.catalog().await.unwrap();
    let permit = "permit (principal, action == Action::\"read\", resource is db::orders);";
    let rules = PolicyFile { name: "rows.cedar".into(), text: permit.into() };
    let policies = PolicySources {
        folders: BTreeMap::from([("db".to_owned(), PolicyFolder { policies: vec![rules], masks: None })]),
    };
    let source = ServiceSource { catalog: Arc::clone(&catalog), default: ServiceDefault::Deny };
    let policies = Policies::load(&policies, &[source], &AttributeSchema::default()).unwrap();
    let service = Service {
        connector: connector as Arc<dyn Connector>,
        catalog: Some(catalog),
        limits: ServiceLimits { max_records: 100, bytes_max: 1 << 20, time_ms_max: 5000 },
        functions: AllowedFunctions::none(),
        description: None,
    };
    let digests = VersionDigests { config: Digest([0; 32]), policy: policies.digest() };
    State {
        identities: Arc::new(identities),
        agents: Arc::new(agents),
        auditors: Vec::new(),
        policies,
        services: BTreeMap::from([("db".into(), service)]),
        tools: BTreeMap::new(),
        digests,
    }
}

/// Adds the token to each request, and leaves `Host` and `Origin` alone. One request a connection; it ends with the test.
fn proxy(server: SocketAddr, token: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let token = token.clone();
            // A client that goes away in the middle is none of the proxy's business.
            std::thread::spawn(move || _ = pass(&client, server, &token));
        }
    });
    address
}

fn pass(client: &TcpStream, server: SocketAddr, token: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {}
    let mut lines = head.lines();
    let mut request = format!("{}\r\nAuthorization: Bearer {token}\r\n", lines.next().unwrap_or_default());
    for line in lines.filter(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default();
        if !name.eq_ignore_ascii_case("connection") {
            request.push_str(&format!("{line}\r\n"));
        }
    }
    request.push_str("Connection: close\r\n\r\n");
    let mut upstream = TcpStream::connect(server)?;
    upstream.write_all(request.as_bytes())?;
    let mut answers = upstream.try_clone()?;
    let mut back = client.try_clone()?;
    let answering = std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(std::net::Shutdown::Both);
    });
    // Ends when the client has closed, or the answer is whole.
    let _ = std::io::copy(&mut reader, &mut upstream);
    let _ = upstream.shutdown(std::net::Shutdown::Both);
    let _ = answering.join();
    Ok(())
}
