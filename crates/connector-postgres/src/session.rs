//! A connection that serves reads, and the statements that it knows.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::time::{Duration, Instant};

use asuser_postgres::{Client, Credentials, PgError, Target, bind, frontend};
use foldhash::fast::RandomState;
use tokio::time::timeout;

use crate::PostgresError;

/// Statements kept prepared on one connection: beyond it the longest unused one goes.
const PREPARED_MAX: usize = 128;

/// A connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: Client,
    /// Whose transaction was the last: its plans are still good for the same role.
    pub(crate) role: String,
    /// It serves nobody after this.
    pub(crate) ends: Instant,
    /// When the server's process began, for signed claims: microseconds since 1970.
    pub(crate) backend_start_us: i64,
    /// What was queued last ends with the statements that clear the session.
    pub(crate) clears: bool,
    /// It serves one person's own SQL.
    pub(crate) is_sql: bool,
    /// After each transaction everything that a session can hold is discarded.
    pub(crate) discards: bool,
    statements: Statements,
}

#[derive(Debug)]
struct Statements {
    prepare: bool,
    hasher: RandomState,
    known: HashMap<u64, Known>,
    clock: u64,
}

/// A prepared statement.
#[derive(Debug)]
struct Known {
    path: String,
    sql: String,
    name: String,
    used: u64,
    /// The `RowDescription` that was found to be right.
    described: Vec<u8>,
}

/// What was queued for one statement: whether the server answers a Parse before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Queued {
    pub(crate) parsed: bool,
    pub(crate) closed: bool,
    /// Where its description is kept.
    pub(crate) place: Option<u64>,
}

impl Session {
    pub(crate) async fn open(
        target: &Target,
        credentials: &Credentials,
        ends: Instant,
        prepare: bool,
        signs: bool,
    ) -> Result<Self, PgError> {
        let mut client = Client::connect(target, credentials).await?;
        let backend_start_us = if signs { backend_start(&mut client).await? } else { 0 };
        let statements = Statements { prepare, hasher: RandomState::default(), known: HashMap::new(), clock: 0 };
        Ok(Self {
            client,
            role: String::new(),
            ends,
            backend_start_us,
            clears: false,
            is_sql: false,
            discards: false,
            statements,
        })
    }

    /// From now on it serves somebody's own SQL: nothing is kept, prepared statements neither.
    pub(crate) fn for_sql(&mut self) {
        self.is_sql = true;
        // Behind a pooler the next message may go to another session of the server.
        self.discards = self.statements.prepare;
        self.statements.prepare = false;
    }

    /// Has the server find out which roles the login may take. It does so once per connection, and with ten thousand of them it takes
    /// a third of a second (PostgreSQL 15): not in the first read.
    pub(crate) async fn warm(&mut self) -> Result<(), PgError> {
        let sql = "SELECT CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.>=) 160000 \
                   THEN pg_catalog.pg_has_role('pg_monitor', 'SET') ELSE pg_catalog.pg_has_role('pg_monitor', 'MEMBER') END";
        self.client.query(sql, &[]).await.map(|_| ())
    }

    /// Has the server cancel what runs, waits until it is done, and closes.
    pub(crate) async fn cancel(mut self, time: Duration) {
        let canceller = self.client.canceller();
        let ended = async {
            if let Err(error) = canceller.cancel().await {
                tracing::warn!(%error, "a statement could not be cancelled");
            }
            self.client.drain().await
        };
        if timeout(time, ended).await.is_err() {
            tracing::warn!("a cancelled statement has not ended in time; its connection is closed");
        }
        self.client.close().await;
    }

    /// Queues a statement: Parse where it is new here, Bind, Describe where `describe` says so, Execute.
    ///
    /// A statement belongs to the `search_path` under which it was parsed.
    pub(crate) fn queue<'a>(
        &mut self,
        path: &str,
        sql: &str,
        values: impl IntoIterator<Item = Option<&'a str>>,
        formats: impl IntoIterator<Item = i16>,
        describe: bool,
    ) -> Result<Queued, PostgresError> {
        let unsendable = |error: std::io::Error| PostgresError::Plan(error.to_string());
        let (name, mut queued) = self.statements.find(path, sql);
        let out = self.client.output();
        if let Some(evicted) = self.statements.make_room(queued.parsed) {
            frontend::close(b'S', &evicted, out).map_err(unsendable)?;
            queued.closed = true;
        }
        if queued.parsed {
            frontend::parse(&name, sql, [], out).map_err(unsendable)?;
            self.statements.remember(queued.place, path, sql, &name);
        }
        bind(&name, values, formats, out)?;
        if describe {
            frontend::describe(b'P', "", out).map_err(unsendable)?;
        }
        frontend::execute("", 0, out).map_err(unsendable)?;
        Ok(queued)
    }

    /// Whether the statement was described like this before, and that was right.
    pub(crate) fn is_described(&self, queued: Queued, description: &[u8]) -> bool {
        let known = queued.place.and_then(|place| self.statements.known.get(&place));
        known.is_some_and(|known| known.described == description)
    }

    /// This description is right.
    pub(crate) fn described(&mut self, queued: Queued, description: Vec<u8>) {
        if let Some(known) = queued.place.and_then(|place| self.statements.known.get_mut(&place)) {
            known.described = description;
        }
    }
}

impl Statements {
    /// The name of a statement, and whether it must be parsed first.
    fn find(&mut self, path: &str, sql: &str) -> (String, Queued) {
        if !self.prepare {
            return (String::new(), Queued { parsed: true, closed: false, place: None });
        }
        self.clock += 1;
        let place = self.hasher.hash_one((path, sql));
        match self.known.get_mut(&place) {
            Some(known) if known.path == path && known.sql == sql => {
                known.used = self.clock;
                (known.name.clone(), Queued { parsed: false, closed: false, place: Some(place) })
            }
            // Two texts with one hash: the second is parsed each time, under no name.
            Some(_) => (String::new(), Queued { parsed: true, closed: false, place: None }),
            None => (format!("s{}", self.clock), Queued { parsed: true, closed: false, place: Some(place) }),
        }
    }

    /// Forgets the longest unused one where there are too many.
    fn make_room(&mut self, for_another: bool) -> Option<String> {
        if !for_another || self.known.len() < PREPARED_MAX {
            return None;
        }
        let oldest = *self.known.iter().min_by_key(|(_, known)| known.used)?.0;
        self.known.remove(&oldest).map(|known| known.name)
    }

    fn remember(&mut self, place: Option<u64>, path: &str, sql: &str, name: &str) {
        if let Some(place) = place {
            let (path, sql, name) = (path.to_owned(), sql.to_owned(), name.to_owned());
            self.known.insert(place, Known { path, sql, name, used: self.clock, described: Vec::new() });
        }
    }
}

async fn backend_start(client: &mut Client) -> Result<i64, PgError> {
    let sql = "SELECT (extract(epoch FROM pg_catalog.pg_stat_get_backend_start(s)) * 1000000)::pg_catalog.int8 \
               FROM pg_catalog.pg_stat_get_backend_idset() AS s WHERE pg_catalog.pg_stat_get_backend_pid(s) = pg_catalog.pg_backend_pid()";
    let rows = client.query(sql, &[]).await?;
    let found = rows.first().and_then(|row| row.get(0)).and_then(|us| us.parse().ok());
    found.ok_or_else(|| PgError::Protocol("the server does not say when its process began".to_owned()))
}
