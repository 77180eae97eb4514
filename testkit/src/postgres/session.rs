//! PostgreSQL's simple query protocol over the server's socket, as the superuser: enough for tests, and not asuser's own client.
//!
//! In: statements. Out: rows in text form, or the server's refusal. (PostgreSQL documentation, "Message Formats".)

use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A row's values in text form; `None` is NULL.
pub type Row = Vec<Option<String>>;

/// What the server said no with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// SQLSTATE; `08006` when the connection ended without a word.
    pub code: String,
    /// Its message.
    pub message: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.code, self.message)
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self { code: "08006".into(), message: error.to_string() }
    }
}

/// A server that says nothing for so long fails the test.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// A connection as the superuser.
#[derive(Debug)]
pub struct PgSession {
    stream: BufReader<UnixStream>,
}

impl PgSession {
    pub(super) fn connect(folder: &Path, port: u16, database: &str) -> Result<Self, Refusal> {
        let stream = UnixStream::connect(folder.join(format!(".s.PGSQL.{port}")))?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        let mut session = Self { stream: BufReader::new(stream) };
        let options = [("user", "postgres"), ("database", database), ("client_encoding", "UTF8")];
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        for (name, value) in options {
            body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
        }
        body.push(0);
        session.send(None, &body)?;
        session.answer(None)?;
        Ok(session)
    }

    /// Runs statements; several go in one implicit transaction.
    ///
    /// # Panics
    /// When one fails.
    pub fn execute(&mut self, sql: &str) {
        let _rows = self.query(sql);
    }

    /// The last statement's rows.
    ///
    /// # Panics
    /// When a statement fails.
    #[must_use]
    pub fn query(&mut self, sql: &str) -> Vec<Row> {
        self.try_query(sql).unwrap_or_else(|refusal| panic!("{refusal}\n{}", sql.get(..2_000).unwrap_or(sql)))
    }

    /// The last statement's rows, or what the server has against it.
    ///
    /// # Errors
    /// The first refusal.
    pub fn try_query(&mut self, sql: &str) -> Result<Vec<Row>, Refusal> {
        self.send(Some(b'Q'), format!("{sql}\0").as_bytes())?;
        self.answer(None)
    }

    /// Runs `COPY … FROM STDIN` with this as its input.
    ///
    /// # Panics
    /// When it fails.
    pub fn copy_in(&mut self, sql: &str, input: &[u8]) {
        let sent = self.send(Some(b'Q'), format!("{sql}\0").as_bytes());
        let copied = sent.map_err(Refusal::from).and_then(|()| self.answer(Some(input)));
        copied.unwrap_or_else(|refusal| panic!("{refusal}\n{sql}"));
    }

    /// A message: its tag, except for the first, its length with itself, its body.
    fn send(&mut self, tag: Option<u8>, body: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(body.len() + 4).map_err(std::io::Error::other)?;
        let mut message = Vec::with_capacity(body.len() + 5);
        message.extend(tag);
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(body);
        self.stream.get_mut().write_all(&message)
    }

    fn receive(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let [tag, length @ ..] = head;
        let mut body = vec![0; (u32::from_be_bytes(length) as usize).saturating_sub(4)];
        self.stream.read_exact(&mut body)?;
        Ok((tag, body))
    }

    /// Everything up to ReadyForQuery.
    fn answer(&mut self, input: Option<&[u8]>) -> Result<Vec<Row>, Refusal> {
        let mut rows = Vec::new();
        let mut refusal = None;
        loop {
            let received = self.receive();
            let (tag, body) = match received {
                Ok(message) => message,
                // What it said before it hung up says more.
                Err(error) => return Err(refusal.unwrap_or_else(|| error.into())),
            };
            match tag {
                b'T' => rows.clear(),
                b'D' => rows.push(row(&body)),
                b'E' => refusal = refusal.or_else(|| Some(refused(&body))),
                b'G' => match input {
                    Some(input) => {
                        for piece in input.chunks(1 << 20) {
                            self.send(Some(b'd'), piece)?;
                        }
                        self.send(Some(b'c'), &[])?;
                    }
                    None => self.send(Some(b'f'), b"no input\0")?,
                },
                b'Z' => return refusal.map_or(Ok(rows), Err),
                _ => {}
            }
        }
    }
}

/// A DataRow: how many values, then the length of each (-1 for NULL) and its bytes.
fn row(mut body: &[u8]) -> Row {
    let mut take = |length: usize| {
        let (taken, rest) = body.split_at(length);
        body = rest;
        taken
    };
    let count = take(2).iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let length = i32::from_be_bytes(take(4).try_into().expect("four bytes"));
        values.push(usize::try_from(length).ok().map(|length| String::from_utf8_lossy(take(length)).into_owned()));
    }
    values
}

/// An ErrorResponse: a letter and a text for each field.
fn refused(body: &[u8]) -> Refusal {
    let text = String::from_utf8_lossy(body);
    let field = |letter: char| text.split('\0').find_map(|field| field.strip_prefix(letter)).unwrap_or_default();
    Refusal { code: field('C').to_owned(), message: field('M').to_owned() }
}
