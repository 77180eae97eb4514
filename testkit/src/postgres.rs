//! Real PostgreSQL servers for tests.
//!
//! In: a [`Version`]. Out: a [`PostgresServer`] of this process, on 127.0.0.1 with TLS, and databases in it. Nothing is refused: a
//! server that does not start fails the test, with its log.
//!
//! Who may come in: `postgres` through the server's own socket without a password (that is how the kit's own statements run), members
//! of `asuser_users` over TCP with a client certificate that names them, everybody else over TCP with a password.
//!
//! A server never outlives its test: a shell of its own process group starts it, and ends it and removes its folder once the test's
//! end of a pipe is closed, however the test ended.
#![expect(clippy::expect_used, clippy::panic, reason = "a test without its server fails at once")]

mod certificates;
mod installation;
mod session;
mod watchdog;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

pub use certificates::TestCa;
pub use installation::Version;
pub use session::{PgSession, Refusal, Row};

use installation::Installation;
use watchdog::Watchdog;

/// A server that belongs to this process.
#[derive(Debug)]
pub struct PostgresServer {
    major: u32,
    folder: PathBuf,
    port: u16,
    server_ca: TestCa,
    client_ca: TestCa,
    watchdog: Mutex<Watchdog>,
    names: AtomicU32,
}

impl PostgresServer {
    /// Where every server listens.
    pub const HOST: &'static str = "127.0.0.1";

    /// The one server of this version in this process, started at first use. Roles are shared by all its databases: see
    /// [`Self::unique`].
    ///
    /// # Panics
    /// Where the version is not installed: `scripts/setup test` does it.
    #[must_use]
    pub fn shared(version: Version) -> Arc<Self> {
        static SHARED: [OnceLock<Arc<PostgresServer>>; 2] = [const { OnceLock::new() }; 2];
        let [fifteen, eighteen] = &SHARED;
        let place = match version {
            Version::Fifteen => fifteen,
            Version::Eighteen => eighteen,
        };
        Arc::clone(place.get_or_init(|| Self::own(version)))
    }

    /// As [`Self::shared`]; where the version is not installed, says so in one line and gives none.
    #[must_use]
    #[expect(clippy::print_stdout, reason = "a test that looks at nothing must not look like one that passed")]
    pub fn shared_if_installed(version: Version) -> Option<Arc<Self>> {
        if version.is_installed() {
            return Some(Self::shared(version));
        }
        println!("skipped: {version:?} of PostgreSQL is not installed (scripts/setup test)");
        None
    }

    /// A server for this caller alone, to be stopped and started again. It ends when it is dropped.
    ///
    /// # Panics
    /// Where the version is not installed, or does not start.
    #[must_use]
    pub fn own(version: Version) -> Arc<Self> {
        let mut installation = Installation::find(version).unwrap_or_else(|| {
            panic!("PostgreSQL ({version:?}) is not installed: scripts/setup test does it");
        });
        let server_ca = TestCa::new("asuser tests: servers");
        let client_ca = TestCa::new("asuser tests: clients");
        let (folder, port, watchdog) = watchdog::first_start(&mut installation, &server_ca, &client_ca);
        let server = Self {
            major: installation.major,
            folder,
            port,
            server_ca,
            client_ca,
            watchdog: Mutex::new(watchdog),
            names: AtomicU32::new(0),
        };
        server.execute("CREATE ROLE asuser_users NOLOGIN");
        Arc::new(server)
    }

    /// The TCP port; the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The major version: 15, 18, or what Debian has.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The folder of the server's socket, for `psql -h`: `postgres` needs no password there.
    #[must_use]
    pub fn socket_folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// The certificate of the authority that signed the server's own (127.0.0.1, localhost).
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.server_ca.pem()
    }

    /// The authority whose client certificates are trusted until [`Self::trust_client_ca`] names another.
    #[must_use]
    pub fn client_ca(&self) -> &TestCa {
        &self.client_ca
    }

    /// Trusts client certificates of these authorities (one or several `CERTIFICATE` blocks), and no longer of others. Holds for
    /// connections made after this call.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn trust_client_ca(&self, pem: &str) {
        std::fs::write(self.folder.join("client-ca.pem"), pem).expect("the authorities can be written");
        self.reload();
    }

    /// Reads the configuration again, after `ALTER SYSTEM SET …`. The server does so before it accepts another connection.
    pub fn reload(&self) {
        self.execute("SELECT pg_reload_conf()");
    }

    /// A fresh database, dropped when it is let go of.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn database(self: &Arc<Self>, prefix: &str) -> PgDatabase {
        let name = self.unique(prefix);
        let strategy = if self.major >= 15 { " STRATEGY file_copy" } else { "" };
        self.execute(&format!("CREATE DATABASE {} TEMPLATE template0{strategy}", quoted(&name)));
        PgDatabase { server: Arc::clone(self), name }
    }

    /// A name that nobody else has in this server: `prefix_1`. For roles, which all databases share.
    #[must_use]
    pub fn unique(&self, prefix: &str) -> String {
        format!("{prefix}_{}", self.names.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Runs statements in the database `postgres`, as the superuser.
    ///
    /// # Panics
    /// When one fails.
    pub fn execute(&self, sql: &str) {
        self.session("postgres").execute(sql);
    }

    /// The last statement's rows, from the database `postgres`, as the superuser.
    ///
    /// # Panics
    /// When a statement fails.
    #[must_use]
    pub fn query(&self, sql: &str) -> Vec<Row> {
        self.session("postgres").query(sql)
    }

    /// A connection as the superuser to one of the databases.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn session(&self, database: &str) -> PgSession {
        PgSession::connect(&self.folder, self.port, database).unwrap_or_else(|refusal| panic!("{database}: {refusal}"))
    }

    /// All that the server has logged: `%m [%p] u=%u d=%d a=%a x=%x` before each message. What it logged for a statement is there
    /// before the statement's answer is.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.join("log")).expect("the log can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Ends the server as an operator would (`pg_ctl stop -m fast`): connections are told, nothing listens when this returns.
    pub fn stop(&self) {
        self.watchdog().stop("INT");
    }

    /// Ends the server as if its machine had failed (`-m immediate`).
    pub fn crash(&self) {
        self.watchdog().stop("QUIT");
    }

    /// Starts a stopped server again, on the same port.
    pub fn start(&self) {
        self.watchdog().start(&self.folder).unwrap_or_else(|log| panic!("PostgreSQL does not start again:\n{log}"));
    }

    /// Stops and starts.
    pub fn restart(&self) {
        self.stop();
        self.start();
    }

    fn watchdog(&self) -> MutexGuard<'_, Watchdog> {
        self.watchdog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One database of a server.
#[derive(Debug)]
pub struct PgDatabase {
    server: Arc<PostgresServer>,
    name: String,
}

impl PgDatabase {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its server.
    #[must_use]
    pub fn server(&self) -> &Arc<PostgresServer> {
        &self.server
    }

    /// The server's port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// `postgres://user@127.0.0.1:port/name`
    #[must_use]
    pub fn url(&self, user: &str) -> String {
        format!("postgres://{user}@{}:{}/{}", PostgresServer::HOST, self.server.port, self.name)
    }

    /// Runs statements as the superuser, in a connection of their own; several go in one implicit transaction.
    ///
    /// # Panics
    /// When one fails.
    pub fn execute(&self, sql: &str) {
        self.session().execute(sql);
    }

    /// The last statement's rows, as the superuser; values in text form.
    ///
    /// # Panics
    /// When a statement fails.
    #[must_use]
    pub fn query(&self, sql: &str) -> Vec<Row> {
        self.session().query(sql)
    }

    /// A connection as the superuser, to be kept: for a transaction that stays open, or settings.
    #[must_use]
    pub fn session(&self) -> PgSession {
        self.server.session(&self.name)
    }
}

impl Drop for PgDatabase {
    fn drop(&mut self) {
        // A stopped server is no reason to fail, and takes its databases along.
        if let Ok(mut session) = PgSession::connect(&self.server.folder, self.server.port, "postgres") {
            let _gone = session.try_query(&format!("DROP DATABASE {} WITH (FORCE)", quoted(&self.name)));
        }
    }
}

/// An identifier in double quotes.
#[must_use]
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
