//! A logged-in connection. Messages are queued, flushed and read by its owner; `query` and `execute` are for the few things that
//! need no pipeline.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::input::{Frame, Input, server_error};
use crate::login::{Greeting, log_in};
use crate::stream::{Address, Stream, connector};
use crate::{Credentials, PgError, Target};

/// A result's row, as texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(Vec<Option<String>>);

impl Row {
    /// The value of a column; `None` is NULL, or no such column.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&str> {
        self.0.get(at)?.as_deref()
    }
    /// How many columns.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    input: Input,
    output: BytesMut,
    canceller: Canceller,
    process_id: i32,
}

/// Asks the server to cancel what one connection runs. Harmless once that connection is gone: its key dies with it.
#[derive(Debug, Clone)]
pub struct Canceller(Arc<Cancel>);

struct Cancel {
    address: Address,
    tls: Option<TlsConnector>,
    greeting: Greeting,
    time: Duration,
}

impl std::fmt::Debug for Cancel {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cancel").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Canceller {
    /// Sends the request and waits until the server has taken it.
    ///
    /// # Errors
    /// When the server cannot be reached in time.
    pub async fn cancel(&self) -> Result<(), PgError> {
        let cancel = &*self.0;
        let sent = async {
            let mut stream = cancel.address.open(cancel.tls.as_ref()).await?;
            let mut out = BytesMut::new();
            frontend::cancel_request(cancel.greeting.process_id, cancel.greeting.secret_key, &mut out);
            let closed = |error: std::io::Error| PgError::Closed(error.to_string());
            stream.write_all(&out).await.map_err(closed)?;
            stream.flush().await.map_err(closed)?;
            // The server says nothing and closes, having passed the signal on.
            let mut nothing = [0; 16];
            stream.read(&mut nothing).await.map_err(closed)?;
            Ok(())
        };
        timeout(cancel.time, sent).await.unwrap_or_else(|_| Err(PgError::TimedOut(millis(cancel.time))))
    }
}

impl Client {
    /// Logs in at the first host that is there and fit.
    ///
    /// # Errors
    /// When none is. A host that refuses the login ends the search: it is there, and it said no.
    pub async fn connect(target: &Target, credentials: &Credentials) -> Result<Self, PgError> {
        let tls = connector(&target.tls, credentials)?;
        // Cancelling shows the connection's own key, and no certificate, which may have ended by then.
        let cancel_tls = connector(&target.tls, &Credentials::of("", None))?;
        let mut last = PgError::Target("no host".to_owned());
        for host in &target.hosts {
            let time = target.connect_time();
            let addresses = match timeout(time, Address::of(host)).await {
                Ok(Ok(addresses)) => addresses,
                Ok(Err(error)) => {
                    last = error;
                    continue;
                }
                Err(_) => {
                    last = PgError::TimedOut(target.connect_ms_max);
                    continue;
                }
            };
            for address in addresses {
                let attempt = Self::connect_to(&address, (tls.as_ref(), cancel_tls.as_ref()), target, credentials);
                match timeout(time, attempt).await {
                    Ok(Ok(client)) => return Ok(client),
                    Ok(Err(error)) if ends_the_search(&error) => return Err(error),
                    Ok(Err(PgError::Connect(why))) => last = PgError::Connect(format!("{host}: {why}")),
                    Ok(Err(error)) => last = error,
                    Err(_) => last = PgError::Connect(format!("{host}: no answer within {} ms", target.connect_ms_max)),
                }
            }
        }
        Err(last)
    }

    async fn connect_to(
        address: &Address,
        (tls, cancel_tls): (Option<&TlsConnector>, Option<&TlsConnector>),
        target: &Target,
        credentials: &Credentials,
    ) -> Result<Self, PgError> {
        let mut stream = address.open(tls).await?;
        let mut input = Input::new();
        let greeting = log_in(&mut stream, &mut input, &target.database, credentials).await?;
        let cancel =
            Cancel { address: address.clone(), tls: cancel_tls.cloned(), greeting, time: target.connect_time() };
        let canceller = Canceller(Arc::new(cancel));
        let output = BytesMut::with_capacity(4 * 1024);
        let mut client = Self { stream, input, output, canceller, process_id: greeting.process_id };
        if target.read_write && (greeting.standby || client.is_read_only().await?) {
            return Err(PgError::Connect("the server takes no writes".to_owned()));
        }
        Ok(client)
    }

    async fn is_read_only(&mut self) -> Result<bool, PgError> {
        let rows = self.query("SELECT pg_catalog.pg_is_in_recovery() OR pg_catalog.current_setting('default_transaction_read_only')::pg_catalog.bool", &[]).await?;
        Ok(rows.first().and_then(|row| row.get(0)) != Some("f"))
    }

    /// The server process, as `pg_stat_activity.pid` has it.
    #[must_use]
    pub const fn process_id(&self) -> i32 {
        self.process_id
    }

    /// What cancels this connection's statement.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Where messages are queued (see `postgres_protocol::message::frontend`).
    pub const fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// A message that is longer ends the connection with [`PgError::TooLarge`].
    pub const fn limit_frames(&mut self, bytes_max: usize) {
        self.input.frame_bytes_max = bytes_max;
    }

    /// Sends what is queued.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn flush(&mut self) -> Result<(), PgError> {
        let sent = async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        };
        let sent: std::io::Result<()> = sent.await;
        self.output.clear();
        sent.map_err(|error| PgError::Closed(error.to_string()))
    }

    /// The next message that belongs to a statement: an `ErrorResponse` is an error, and what the server says at any time
    /// (notices, parameters, notifications) is passed over.
    ///
    /// # Errors
    /// When the server reports one, or the connection has ended.
    pub async fn next(&mut self) -> Result<Frame<'_>, PgError> {
        loop {
            self.input.fill(&mut self.stream).await?;
            let tag = self.input.frame()?.tag;
            match tag {
                b'N' | b'S' | b'A' => {}
                b'E' => return Err(PgError::Server(Box::new(server_error(self.input.frame()?.body)))),
                _ => break,
            }
        }
        self.input.frame()
    }

    /// The next message where it has come already and is a row; else [`Self::next`] gives whatever it is.
    ///
    /// # Errors
    /// When the message is longer than allowed, or none.
    pub fn next_row(&mut self) -> Result<Option<&[u8]>, PgError> {
        if !self.input.step()? {
            return Ok(None);
        }
        if self.input.frame()?.tag != b'D' {
            self.input.step_back();
            return Ok(None);
        }
        Ok(Some(self.input.frame()?.body))
    }

    /// Whether nothing has come that nobody read.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.input.is_empty()
    }

    /// Reads to the end of what runs and keeps nothing of it, whatever it says; its errors too.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn drain(&mut self) -> Result<(), PgError> {
        while self.input.pass_over(&mut self.stream).await? != b'Z' {}
        Ok(())
    }

    /// Says good-bye. Dropping the connection does without.
    pub async fn close(mut self) {
        self.output.clear();
        frontend::terminate(&mut self.output);
        // It is over in any case.
        let _ = timeout(Duration::from_secs(1), self.flush()).await;
    }

    /// Runs one statement with parameters as texts; gives its rows as texts. Nothing is prepared under a name.
    ///
    /// # Errors
    /// What the server reports (the connection can go on), or why the connection has ended.
    pub async fn query(&mut self, sql: &str, values: &[Option<&str>]) -> Result<Vec<Row>, PgError> {
        let unsendable = |error: std::io::Error| PgError::Target(error.to_string());
        self.output.clear();
        frontend::parse("", sql, [], &mut self.output).map_err(unsendable)?;
        bind("", values.iter().copied(), [], &mut self.output)?;
        frontend::execute("", 0, &mut self.output).map_err(unsendable)?;
        frontend::sync(&mut self.output);
        self.flush().await?;
        let mut rows = Vec::new();
        let mut failed = None;
        loop {
            match self.next().await {
                Ok(Frame { tag: b'Z', .. }) => return failed.map_or(Ok(rows), Err),
                Ok(Frame { tag: b'D', body }) => {
                    let text = |field: Option<&[u8]>| field.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                    rows.push(Row(crate::fields(body).map(text).collect()));
                }
                Ok(_) => {}
                Err(error @ PgError::Server(_)) => failed = Some(error),
                Err(error) => return Err(failed.unwrap_or(error)),
            }
        }
    }

    /// Runs statements of the simple protocol: several in one text are one transaction.
    ///
    /// # Errors
    /// What the server reports (the connection can go on), or why the connection has ended.
    pub async fn execute(&mut self, sql: &str) -> Result<(), PgError> {
        self.output.clear();
        frontend::query(sql, &mut self.output).map_err(|error| PgError::Target(error.to_string()))?;
        self.flush().await?;
        let mut failed = None;
        loop {
            match self.next().await {
                Ok(frame) if frame.tag == b'Z' => return failed.map_or(Ok(()), Err),
                Ok(_) => {}
                Err(error @ PgError::Server(_)) => failed = Some(error),
                Err(error) => return Err(failed.unwrap_or(error)),
            }
        }
    }
}

/// Queues a Bind of the unnamed portal with parameters as texts. `formats` are those of the result's columns: 0 text, 1 binary.
///
/// # Errors
/// Where a value is too long for the protocol.
pub fn bind<'a>(
    statement: &str,
    values: impl IntoIterator<Item = Option<&'a str>>,
    formats: impl IntoIterator<Item = i16>,
    out: &mut BytesMut,
) -> Result<(), PgError> {
    let write = |value: Option<&str>, out: &mut BytesMut| {
        Ok(value.map_or(IsNull::Yes, |text| {
            out.extend_from_slice(text.as_bytes());
            IsNull::No
        }))
    };
    frontend::bind("", statement, [], values, write, formats, out)
        .map_err(|_| PgError::Target("the statement cannot be sent".to_owned()))
}

/// A server that answered so is there, and another host would say the same.
fn ends_the_search(error: &PgError) -> bool {
    match error {
        // cannot_connect_now: it starts or stops. too_many_connections: another may have room.
        PgError::Server(server) => !matches!(server.code.as_str(), "57P03" | "53300" | "57P01" | "57P02"),
        PgError::Authentication(_) => true,
        _ => false,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
