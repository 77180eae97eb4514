//! The database under test: 100,000 rows of 100 people, clustered by owner, with row security by claim; one role for all people; one
//! login that may take that role, and nothing else.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use asuser_testkit::{PgDatabase, PostgresServer, Version};

use crate::process;

pub(crate) const ROWS: u32 = 100_000;
pub(crate) const OWNERS: u32 = 100;
pub(crate) const ROLE: &str = "people";
/// May take the role, and nothing else.
pub(crate) const LOGIN: &str = "gateway";
/// Sees all rows: for a gateway that filters by itself.
pub(crate) const SERVICE: &str = "service";
pub(crate) const PASSWORD: &str = "bench";

pub(crate) struct Database {
    // Dropped before the server.
    database: PgDatabase,
    server: Arc<PostgresServer>,
    pid: u32,
}

/// The person's login; with `@example.com`, the owner's name in the rows.
pub(crate) fn person(owner: u32) -> String {
    format!("p{owner}")
}

impl Database {
    pub(crate) fn create() -> anyhow::Result<Self> {
        let server = PostgresServer::own(Version::Fifteen);
        // What fits in memory is what is measured; the tests' server is a small one.
        for setting in ["shared_buffers = '256MB'", "max_connections = 300", "log_min_messages = fatal"] {
            server.execute(&format!("ALTER SYSTEM SET {setting}"));
        }
        server.restart();
        let database = server.database("bench");
        database.execute(&format!(
            "CREATE ROLE {ROLE} NOLOGIN;
             CREATE ROLE {LOGIN} LOGIN NOINHERIT PASSWORD '{PASSWORD}'; GRANT {ROLE} TO {LOGIN};
             CREATE ROLE {SERVICE} LOGIN BYPASSRLS PASSWORD '{PASSWORD}';
             CREATE TABLE orders (id integer PRIMARY KEY, owner text NOT NULL, region text NOT NULL, amount integer NOT NULL,
               email text NOT NULL, note text NOT NULL);
             INSERT INTO orders SELECT i, 'p' || i / {} || '@example.com', 'EMEA', i % 977, 'customer' || i || '@shop.example', 'call before delivery'
               FROM generate_series(0, {ROWS} - 1) AS i;
             CREATE INDEX orders_owner ON orders (owner, id);
             ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own ON orders FOR SELECT
               USING (owner = (SELECT current_setting('request.jwt.claims', true)::json ->> 'email'));
             GRANT SELECT ON orders TO {ROLE}, {SERVICE};",
            ROWS / OWNERS
        ));
        database.execute("VACUUM (ANALYZE, FREEZE) orders");
        let pid = std::fs::read_to_string(server.socket_folder().join("data/postmaster.pid"))?;
        let pid = pid.lines().next().and_then(|line| line.parse().ok()).context("no postmaster.pid")?;
        Ok(Self { database, server, pid })
    }

    /// A login for each person, for certificates that name them.
    pub(crate) fn logins(&self) {
        let mut sql = String::new();
        for owner in 0..OWNERS {
            let person = person(owner);
            // Writing to a String does not fail.
            let _ = write!(sql, "CREATE ROLE {person} LOGIN; GRANT asuser_users, {ROLE} TO {person};");
        }
        self.database.execute(&sql);
    }

    pub(crate) fn server(&self) -> &PostgresServer {
        &self.server
    }
    pub(crate) fn version(&self) -> u32 {
        self.server.major()
    }
    pub(crate) fn name(&self) -> &str {
        self.database.name()
    }
    pub(crate) fn port(&self) -> u16 {
        self.database.port()
    }
    pub(crate) fn url(&self, user: &str) -> String {
        self.database.url(user)
    }
    /// As the superuser, in a connection that ends afterwards.
    pub(crate) fn query(&self, sql: &str) -> Vec<asuser_testkit::postgres::Row> {
        self.database.query(sql)
    }
    /// CPU time of all its processes so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        process::cpu_with_children(self.pid)
    }
}
