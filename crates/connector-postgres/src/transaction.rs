//! One transaction as one person, in one round trip: begin, identity, read, commit (SPEC C).
//!
//! In: a session, who asks, a printed read. Out: the database's own word on who asked, then rows. Refuses to give any unless the
//! identity statement gave the one row that it must; and an end of it unless the transaction was committed.
//!
//! The identity statement *raises* where the role may not be used: one that merely found no row would let the read go on as
//! asuser's login. The role is set last. All of its settings end with the transaction.

use std::fmt::Write as _;
use std::time::Instant;

use asuser_core::Records;
use asuser_postgres::{Frame, PgError, ServerError, fields, frontend};

use crate::PostgresError;
use crate::print::Statement;
use crate::rows::Writer;
use crate::session::{Queued, Session};
use crate::types::PgTable;

/// How the session becomes the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    /// By taking the role.
    Role,
    /// It has been the person since it logged in.
    Login,
}

/// The identity statement of a role: its text, made once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdentityText {
    sql: String,
    mode: Mode,
    signed: bool,
}

/// Who asks, for one transaction.
#[derive(Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) text: &'a IdentityText,
    pub(crate) login: &'a str,
    pub(crate) role: &'a str,
    pub(crate) claims: &'a str,
    pub(crate) app_name: &'a str,
    pub(crate) search_path: &'a str,
    pub(crate) timeout_ms: &'a str,
    pub(crate) nologin_roles: bool,
    pub(crate) valid_until_enforced: bool,
    /// Values of the role's own settings, in the order of the text.
    pub(crate) settings: &'a [(String, String)],
    /// The signed claims, where the text has a place for them.
    pub(crate) signed: Option<&'a str>,
}

impl IdentityText {
    /// The text for a role with these settings of its own.
    pub(crate) fn new(mode: Mode, settings: &[(String, String)], signed: bool) -> Self {
        let mut sql = String::from(
            "SELECT pg_catalog.set_config('search_path',$4::pg_catalog.text,true),\
             pg_catalog.set_config('application_name',$3::pg_catalog.text,true),\
             pg_catalog.set_config('statement_timeout',$5::pg_catalog.text,true),\
             pg_catalog.set_config('request.jwt.claims',$2::pg_catalog.text,true),",
        );
        let mut next = 9;
        for (name, _) in settings {
            // Writing to a String cannot fail.
            let _ = write!(sql, "pg_catalog.set_config('{}',${next}::pg_catalog.text,true),", name.replace('\'', ""));
            next += 1;
        }
        if signed {
            let _ = write!(sql, "pg_catalog.set_config('asuser.claims',${next}::pg_catalog.text,true),");
        }
        // A statement that is kept was allowed when it was parsed, maybe for another role: the server does not ask again.
        sql.push_str(
            "pg_catalog.has_schema_privilege($1::pg_catalog.text::pg_catalog.name,$8::pg_catalog.text,'USAGE'),",
        );
        sql.push_str(
            "1 OPERATOR(pg_catalog./) coalesce((SELECT (NOT rolsuper AND NOT rolbypassrls AND NOT rolreplication AND NOT rolcreaterole \
             AND (rolcanlogin OR $6::pg_catalog.bool) AND (NOT $7::pg_catalog.bool OR \
             coalesce(rolvaliduntil OPERATOR(pg_catalog.>) pg_catalog.now(),true)))::pg_catalog.int4 \
             FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.name),0),",
        );
        sql.push_str(match mode {
            Mode::Role => "pg_catalog.set_config('role',$1::pg_catalog.text,true),session_user,current_user",
            Mode::Login => {
                "1 OPERATOR(pg_catalog./) (session_user OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.name AND \
                 current_user OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.name)::pg_catalog.int4,session_user,current_user"
            }
        });
        Self { sql, mode, signed }
    }
}

/// What ends that somebody's function may have left for the session. Not reached: what lives inside of a procedural language.
const CLEARS: [&str; 5] =
    ["RESET ALL", "RESET ROLE", "CLOSE ALL", "UNLISTEN *", "SELECT pg_catalog.pg_advisory_unlock_all()"];

/// What a transaction reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    /// Its schema must be open to the role; one of the server's own always is.
    pub(crate) schema: &'a str,
    /// The one relation that plain columns come from, where there is one.
    pub(crate) oid: u32,
    /// Reading it runs what may outlive the transaction.
    pub(crate) leaves_state: bool,
    /// Somebody wrote the statement: what the server says of it is about their own words.
    pub(crate) is_sql: bool,
    /// The server is asked first what the statement is expected to cost: at most this.
    pub(crate) cost_max: Option<u64>,
}

impl<'a> Source<'a> {
    pub(crate) fn of(table: &'a PgTable) -> Self {
        let (oid, leaves_state) = (table.oid, table.leaves_state);
        Self { schema: &table.schema, oid, leaves_state, is_sql: false, cost_max: None }
    }
}

/// Where in the pipeline something went wrong.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The connection was gone before the server had taken anything: another may do.
    Lost(PostgresError),
    /// It failed for good.
    Of(PostgresError),
}

impl From<PostgresError> for Failure {
    fn from(error: PostgresError) -> Self {
        Self::Of(error)
    }
}

/// A transaction under way.
#[derive(Debug)]
pub(crate) struct Begun {
    /// `session_user/current_user`
    pub(crate) user: String,
    pub(crate) count: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begin,
    Identity,
    /// Until the server has taken text and values.
    Bind,
    Run,
    /// The same of somebody's own SQL.
    BindSql,
    RunSql,
}

/// Sends all of the transaction, and reads up to the first row.
pub(crate) async fn begin(
    session: &mut Session,
    identity: &Identity<'_>,
    statement: &Statement,
    source: Source<'_>,
) -> Result<Begun, Failure> {
    let mut queued = queue(session, identity, statement, source)?;
    session.role.clear();
    session.role.push_str(identity.role);
    let lost = |error: PgError| match error {
        PgError::Closed(_) | PgError::TimedOut(_) => Failure::Lost(error.into()),
        PgError::Server(server) if server.code.starts_with("57P0") => Failure::Lost(unavailable(&server)),
        other => Failure::Of(failed(Stage::Begin, other, identity.role)),
    };
    session.client.flush().await.map_err(lost)?;
    // The first answer tells whether somebody is there.
    completes(session, queued.begin).await.map_err(lost)?;
    let user = identified(session, identity, queued.identity).await?;
    let bind = if source.is_sql { Stage::BindSql } else { Stage::Bind };
    let at = |stage: Stage| move |error: PgError| failed(stage, error, identity.role);
    if let Some(explain) = queued.explain {
        weighed(session, explain, source.cost_max).await.map_err(|error| match error {
            Weighed::Failed(error) => at(Stage::BindSql)(error),
            Weighed::Refused(error) => error,
        })?;
        queued.read = queue_read(session, identity, statement, source)?;
        session.client.flush().await.map_err(at(Stage::BindSql))?;
    }
    let count = match queued.count {
        None => None,
        Some(queued) => Some(counted(session, queued, identity.role).await?),
    };
    parsed_and_bound(session, queued.read).await.map_err(at(bind))?;
    let description = expect(session, b'T').await.map_err(at(bind))?.to_vec();
    if !session.is_described(queued.read, &description) {
        check_description(&description, statement, source)?;
        session.described(queued.read, description);
    }
    Ok(Begun { user, count })
}

/// Reads rows until a segment is full (`Some`) or the read has ended (`None`).
pub(crate) async fn read(
    session: &mut Session,
    writer: &mut Writer,
    role: &str,
) -> Result<Option<Records>, PostgresError> {
    let stage = if session.is_sql { Stage::RunSql } else { Stage::Run };
    loop {
        if let Some(full) = writer.take_segment() {
            return Ok(Some(full));
        }
        let bytes_max = writer.bytes_max();
        let at = |error: PgError| match error {
            PgError::TooLarge(_) => PostgresError::AnswerTooLarge { bytes_max },
            other => failed(stage, other, role),
        };
        // Rows come many at a time: those that are here are read without asking the runtime.
        if let Some(row) = session.client.next_row().map_err(at)? {
            writer.record(fields(row))?;
            continue;
        }
        match session.client.next().await.map_err(at)? {
            Frame { tag: b'D', body } => writer.record(fields(body))?,
            Frame { tag: b'C', .. } => return Ok(None),
            frame => return Err(unexpected(frame.tag)),
        }
    }
}

/// Reads the end: only a transaction that was committed is one. A failed one answers COMMIT by rolling back.
pub(crate) async fn end(session: &mut Session, role: &str) -> Result<(), PostgresError> {
    let stage = if session.is_sql { Stage::RunSql } else { Stage::Run };
    let at = |error: PgError| failed(stage, error, role);
    loop {
        match session.client.next().await.map_err(at)? {
            Frame { tag: b'1' | b'2' | b'3', .. } => {}
            Frame { tag: b'C', body: b"COMMIT\0" } => break,
            Frame { tag: b'C', .. } => {
                return Err(PostgresError::Internal("the transaction was not committed".to_owned()));
            }
            frame => return Err(unexpected(frame.tag)),
        }
    }
    if session.clears {
        let mut left = CLEARS.len();
        while left > 0 {
            match session.client.next().await.map_err(at)?.tag {
                b'1' | b'2' | b'3' | b'D' => {}
                b'C' => left -= 1,
                tag => return Err(unexpected(tag)),
            }
        }
    }
    if expect(session, b'Z').await.map_err(at)? != b"I" {
        return Err(PostgresError::Internal("the connection is not at rest after its transaction".to_owned()));
    }
    if session.discards {
        // A message of its own, outside of any transaction: what it ends must not be in one.
        loop {
            match session.client.next().await.map_err(at)? {
                Frame { tag: b'1' | b'2' | b'3' | b'C', .. } => {}
                Frame { tag: b'Z', body: b"I" } => break,
                frame => return Err(unexpected(frame.tag)),
            }
        }
    }
    // Whatever the server says after that, such as good-bye, is nothing for the next one.
    if !session.client.is_quiet() {
        session.ends = Instant::now();
    }
    Ok(())
}

struct Pipeline {
    begin: Queued,
    identity: Queued,
    explain: Option<Queued>,
    count: Option<Queued>,
    read: Queued,
}

fn queue(
    session: &mut Session,
    identity: &Identity<'_>,
    statement: &Statement,
    source: Source<'_>,
) -> Result<Pipeline, PostgresError> {
    // Count and records are of one snapshot.
    let begin = match statement.count {
        None => "BEGIN READ ONLY",
        Some(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    };
    let truth = |value: bool| if value { "t" } else { "f" };
    let begin = session.queue("", begin, [], [], false)?;
    let first = [
        identity.role,
        identity.claims,
        identity.app_name,
        identity.search_path,
        identity.timeout_ms,
        truth(identity.nologin_roles),
        truth(identity.valid_until_enforced),
        source.schema,
    ];
    let settings = identity.settings.iter().map(|(_, value)| value.as_str());
    if identity.signed.is_some() != identity.text.signed {
        return Err(PostgresError::Internal("claims and identity statement do not fit".to_owned()));
    }
    let values = first.into_iter().chain(settings).chain(identity.signed).map(Some);
    let identified = session.queue("", &identity.text.sql, values, [], false)?;
    if source.cost_max.is_some() {
        let values = statement.values.iter().map(|value| Some(value.as_str()));
        let explain = format!("EXPLAIN (FORMAT JSON) {}", statement.select);
        let explain = session.queue(identity.search_path, &explain, values, [], false)?;
        // The transaction stays open over it.
        frontend::sync(session.client.output());
        return Ok(Pipeline { begin, identity: identified, explain: Some(explain), count: None, read: explain });
    }
    let values = || statement.values.iter().map(|value| Some(value.as_str()));
    let count = match &statement.count {
        None => None,
        Some(sql) => {
            Some(session.queue(identity.search_path, sql, values().take(statement.count_values), [], false)?)
        }
    };
    let read = queue_read(session, identity, statement, source)?;
    Ok(Pipeline { begin, identity: identified, explain: None, count, read })
}

/// The read, and the end of the transaction.
fn queue_read(
    session: &mut Session,
    identity: &Identity<'_>,
    statement: &Statement,
    source: Source<'_>,
) -> Result<Queued, PostgresError> {
    let values = statement.values.iter().map(|value| Some(value.as_str()));
    let formats = statement.columns.iter().map(|column| i16::from(column.binary));
    let read = session.queue(identity.search_path, &statement.select, values, formats, true)?;
    session.queue("", "COMMIT", [], [], false)?;
    // What somebody's function set or locked for the session is not the next one's (law 6).
    session.clears = source.leaves_state;
    if session.clears {
        for statement in CLEARS {
            session.queue("", statement, [], [], false)?;
        }
    }
    frontend::sync(session.client.output());
    if session.discards {
        session.queue("", "DISCARD ALL", [], [], false)?;
        frontend::sync(session.client.output());
    }
    Ok(read)
}

/// Why a statement was weighed and not run.
enum Weighed {
    Failed(PgError),
    Refused(PostgresError),
}

/// What the planner expects a statement to cost.
async fn weighed(session: &mut Session, queued: Queued, cost_max: Option<u64>) -> Result<(), Weighed> {
    parsed_and_bound(session, queued).await.map_err(Weighed::Failed)?;
    let row = expect(session, b'D').await.map_err(Weighed::Failed)?;
    let cost = fields(row).next().flatten().and_then(total_cost);
    expect(session, b'C').await.map_err(Weighed::Failed)?;
    expect(session, b'Z').await.map_err(Weighed::Failed)?;
    let unreadable = || Weighed::Refused(PostgresError::Internal("the plan of a statement has no cost".to_owned()));
    let (cost, cost_max) = (cost.ok_or_else(unreadable)?, cost_max.unwrap_or(u64::MAX));
    if cost > cost_max { Err(Weighed::Refused(PostgresError::TooCostly { cost, cost_max })) } else { Ok(()) }
}

/// Of `EXPLAIN (FORMAT JSON)`.
fn total_cost(plan: &[u8]) -> Option<u64> {
    let plan: serde_json::Value = serde_json::from_slice(plan).ok()?;
    let cost = plan.get(0)?.get("Plan")?.get("Total Cost")?.as_f64()?;
    // Saturates; no plan has a cost below zero.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturating, and never negative")]
    Some(cost.max(0.0) as u64)
}

async fn identified(session: &mut Session, identity: &Identity<'_>, queued: Queued) -> Result<String, PostgresError> {
    let at = |error: PgError| failed(Stage::Identity, error, identity.role);
    parsed_and_bound(session, queued).await.map_err(at)?;
    let row = expect(session, b'D').await.map_err(at)?;
    let [may_enter, session_user, current_user] = users(row, identity)?;
    if may_enter != b"t" {
        return Err(PostgresError::Denied("permission denied for schema".to_owned()));
    }
    let expected = match identity.text.mode {
        Mode::Role => identity.login,
        Mode::Login => identity.role,
    };
    if session_user != expected.as_bytes() || current_user != identity.role.as_bytes() {
        return Err(PostgresError::Internal("the database says that somebody else asks".to_owned()));
    }
    let user = format!("{expected}/{}", identity.role);
    expect(session, b'C').await.map_err(at)?;
    Ok(user)
}

/// Of the identity statement's one row: whether the schema is open, and the last two columns.
fn users<'a>(row: &'a [u8], identity: &Identity<'_>) -> Result<[&'a [u8]; 3], PostgresError> {
    let before = identity.settings.len() + usize::from(identity.text.signed) + 4;
    let mut last = fields(row).skip(before);
    let may_enter = last.next().flatten();
    // The check, which has not raised, and what made the session the person.
    let mut last = last.skip(2);
    match (may_enter, last.next().flatten(), last.next().flatten(), last.next()) {
        (Some(may_enter), Some(session_user), Some(current_user), None) => Ok([may_enter, session_user, current_user]),
        _ => Err(PostgresError::Internal("the identity statement gave another row than it must".to_owned())),
    }
}

async fn counted(session: &mut Session, queued: Queued, role: &str) -> Result<u64, PostgresError> {
    parsed_and_bound(session, queued).await.map_err(|error| failed(Stage::Bind, error, role))?;
    let at = |error: PgError| failed(Stage::Run, error, role);
    let row = expect(session, b'D').await.map_err(at)?;
    let count = fields(row).next().flatten().and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let count = count.ok_or_else(|| PostgresError::Internal("the count is no number".to_owned()))?;
    expect(session, b'C').await.map_err(at)?;
    Ok(count)
}

/// A statement without rows.
async fn completes(session: &mut Session, queued: Queued) -> Result<(), PgError> {
    parsed_and_bound(session, queued).await?;
    expect(session, b'C').await.map(|_| ())
}

async fn parsed_and_bound(session: &mut Session, queued: Queued) -> Result<(), PgError> {
    if queued.closed {
        expect(session, b'3').await?;
    }
    if queued.parsed {
        expect(session, b'1').await?;
    }
    expect(session, b'2').await.map(|_| ())
}

async fn expect(session: &mut Session, tag: u8) -> Result<&[u8], PgError> {
    let frame = session.client.next().await?;
    if frame.tag != tag {
        return Err(PgError::Protocol(format!(
            "a message `{}` instead of `{}`",
            char::from(frame.tag).escape_default(),
            char::from(tag)
        )));
    }
    Ok(frame.body)
}

/// Compares what the server is about to send with what the catalogue says: a table that was replaced, or whose columns changed
/// places or types, gives nothing.
fn check_description(body: &[u8], statement: &Statement, source: Source<'_>) -> Result<(), PostgresError> {
    let malformed = || PostgresError::Internal("the description of the rows is malformed".to_owned());
    let (count, mut rest) = body.split_first_chunk::<2>().ok_or_else(malformed)?;
    if usize::from(u16::from_be_bytes(*count)) != statement.columns.len() {
        return Err(malformed());
    }
    for column in &statement.columns {
        let end = rest.iter().position(|byte| *byte == 0).ok_or_else(malformed)?;
        let (facts, after) =
            rest.get(end + 1..).and_then(|rest| rest.split_first_chunk::<18>()).ok_or_else(malformed)?;
        rest = after;
        let [o1, o2, o3, o4, a1, a2, t1, t2, t3, t4, .., f1, f2] = *facts;
        let (relation, number) = (u32::from_be_bytes([o1, o2, o3, o4]), i16::from_be_bytes([a1, a2]));
        let (ty, format) = (u32::from_be_bytes([t1, t2, t3, t4]), i16::from_be_bytes([f1, f2]));
        if format != i16::from(column.binary) {
            return Err(malformed());
        }
        let as_planned = column.origin.is_none_or(|origin| (source.oid, origin) == (relation, (number, ty)));
        if !as_planned {
            return Err(PostgresError::SchemaChanged);
        }
    }
    Ok(())
}

/// A message as one line of harmless characters.
fn words(message: &str) -> String {
    message.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// What happened to a value, without the value (Appendix A of PostgreSQL's manual).
fn value_error(code: &str) -> &'static str {
    match code {
        "22012" => "a division by zero: use NULLIF(divisor, 0)",
        "22003" => "a number is out of its type's range",
        "22P02" | "22P03" => "a text is not of the type that it is cast to",
        "22007" | "22008" => "a date or time is malformed or out of range",
        "2201B" => "a regular expression is malformed",
        "21000" => "a subquery used as a value gave more than one row",
        "2202E" | "2202H" | "22023" => "a function got a value that it does not take",
        "22030" | "22032" | "22033" | "22037" | "22038" => "JSON is not as the function needs it",
        _ => "a function or cast got a value that it does not take",
    }
}

fn unexpected(tag: u8) -> PostgresError {
    PostgresError::Internal(format!("the server sent an unexpected message `{}`", char::from(tag).escape_default()))
}

fn unavailable(server: &ServerError) -> PostgresError {
    PostgresError::Unavailable(server.to_string())
}

/// What an error means, by where it came and its SQLSTATE. A message that may quote data stays out: it could be of rows that
/// nobody here may see (law 8).
fn failed(stage: Stage, error: PgError, role: &str) -> PostgresError {
    let server = match error {
        PgError::Server(server) => server,
        PgError::Protocol(why) => return PostgresError::Internal(why),
        other => return other.into(),
    };
    let code = server.code.as_str();
    let state = || format!("SQLSTATE {code}");
    match (stage, code) {
        (_, "57014") => PostgresError::Timeout { time_ms_max: 0 },
        (_, "57P01" | "57P02" | "57P03" | "53300") => unavailable(&server),
        (Stage::Identity, "22012") => {
            PostgresError::Role(format!("`{role}` does not exist, is privileged, cannot log in, or has expired"))
        }
        (Stage::Identity, "42501" | "22023" | "42704") => {
            PostgresError::Role(format!("`{role}` cannot be taken: {}", server.message))
        }
        (Stage::Identity, "3F000") => PostgresError::SchemaChanged,
        (Stage::Begin | Stage::Identity, _) => PostgresError::Refused(server.to_string()),
        (Stage::Bind | Stage::BindSql, "42501") => PostgresError::Denied(server.message.clone()),
        (Stage::Run | Stage::RunSql, "42501") => PostgresError::Denied(state()),
        // Before anything runs the server speaks of names and types alone, and those are the statement's own.
        (Stage::BindSql, code) if code.starts_with("42") => PostgresError::Statement(words(&server.message)),
        (Stage::BindSql | Stage::RunSql, code) if code.starts_with("22") || code.starts_with("21") => {
            PostgresError::Failed(value_error(code))
        }
        (Stage::BindSql, "0A000") => PostgresError::Statement("it uses what this server does not support".to_owned()),
        (Stage::BindSql, "54001" | "54000" | "54011" | "54023") => {
            PostgresError::TooComplex("the server's limits are reached")
        }
        // Of the statement itself; what a function in a view says while it runs is the view's fault.
        (Stage::Bind, "42703" | "42P01" | "42883" | "42804" | "3F000" | "0A000") => PostgresError::SchemaChanged,
        (Stage::Bind, "54001" | "54000" | "54011" | "54023") | (_, "54001") => {
            PostgresError::TooComplex("the server's limits are reached")
        }
        // 42601 is what the types of text search say of a text that is none of theirs.
        (Stage::Bind, code) if code.starts_with("22") || code == "42601" => PostgresError::BadValue(state()),
        _ => PostgresError::Refused(state()),
    }
}
