//! What PostgreSQL itself says of the scene, asked beside asuser: whom it serves, whom asuser recorded, and what it gives without any
//! policy of asuser's.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use asuser_postgres::{Client, PgError};

use super::client::{self, Reply};
use super::company::{self, Person};
use super::postgres::Postgres;
use super::say;
use super::scene::{Checks, QUESTION};
use crate::cli::audit;
use crate::running::Running;

const LOOKS_MAX: u32 = 200;
const BETWEEN_LOOKS: Duration = Duration::from_millis(25);
/// insufficient_privilege
const NOT_ALLOWED: &str = "42501";

/// Hears it about one person, and checks it.
pub(super) async fn hear(
    checks: &mut Checks,
    running: &Running,
    folder: &Path,
    postgres: &Postgres,
    person: &Person,
    token: &str,
) -> anyhow::Result<()> {
    let names = &postgres.names;
    let (role, short) = (names.role(person.login), person.name.split(' ').next().unwrap_or(person.name));
    let (seen, reply) = seen_at_work(running, postgres, person, token).await?;
    say(format_args!("      pg_stat_activity, while {short}'s agent waits for its answer:"))?;
    say("      usename            application_name")?;
    let (user, application) = seen.unwrap_or_default();
    say(format_args!("      {user:<18} {application}"))?;
    checks.expect(
        &format!("the login {} says for whom it works, and under which Audit-Id", names.login),
        user == names.login && application == format!("asuser/{}/{}", reply.audit_id, person.login),
    )?;

    running.checkpoint().await?;
    let entries = audit::entries(folder)?;
    let entry = entries.iter().find(|entry| entry.audit_id == reply.audit_id);
    let recorded = entry.and_then(|entry| entry.json().get("database_user")?.as_str().map(str::to_owned));
    let expected = format!("{}/{role}", names.login);
    checks.expect(
        &format!("the audit record of that answer has the database's own word for the user: {expected}"),
        recorded.as_deref() == Some(expected.as_str()),
    )?;

    let mut client = postgres.as_login().await?;
    let alone = become_and_count(&mut client, None, names.schema).await;
    checks.expect(
        &format!("{} alone may read no table", names.login),
        alone.is_err_and(|error| error.code() == Some(NOT_ALLOWED)),
    )?;
    let own = become_and_count(&mut client, Some(&role), names.schema).await?;
    let (all, his) = (company::orders_total(), company::orders_of(person.login));
    checks.expect(
        &format!("as {role}, without asuser, it gives {his} of {all} orders too: that is its own row security"),
        usize::try_from(own).ok() == Some(his),
    )?;
    let salaries = as_role(&mut client, Some(&role), &format!("SELECT salary FROM {}.employees", names.schema)).await;
    checks.expect(
        "and no salaries: those are its own grants",
        salaries.is_err_and(|error| error.code() == Some(NOT_ALLOWED)),
    )?;
    client.close().await;
    Ok(())
}

/// Asks the scene's question behind a lock, so that there is time to look who asks. Gives user and application name.
async fn seen_at_work(
    running: &Running,
    postgres: &Postgres,
    person: &Person,
    token: &str,
) -> anyhow::Result<(Option<(String, String)>, Reply)> {
    let (mut lock, mut watch) = (postgres.as_owner().await?, postgres.as_owner().await?);
    lock.execute(&format!("BEGIN; LOCK TABLE {}.orders IN ACCESS EXCLUSIVE MODE", postgres.names.schema)).await?;
    let (server, token) = (running.address, token.to_owned());
    let asked = tokio::spawn(async move { client::get(server, QUESTION, &token).await });
    let mut look = tokio::time::interval(BETWEEN_LOOKS);
    let mut seen = None;
    for _ in 0..LOOKS_MAX {
        look.tick().await;
        let sql = "SELECT usename, application_name FROM pg_catalog.pg_stat_activity
            WHERE datname = pg_catalog.current_database() AND application_name LIKE 'asuser/%/' || $1::text";
        let rows = watch.query(sql, &[Some(person.login)]).await?;
        seen = rows.first().and_then(|row| Some((row.get(0)?.to_owned(), row.get(1)?.to_owned())));
        if seen.is_some() || asked.is_finished() {
            break;
        }
    }
    lock.execute("ROLLBACK").await?;
    lock.close().await;
    watch.close().await;
    Ok((seen, asked.await.context("the question was not answered")??))
}

async fn become_and_count(client: &mut Client, role: Option<&str>, schema: &str) -> Result<u64, PgError> {
    let rows = as_role(client, role, &format!("SELECT count(*) FROM {schema}.orders")).await?;
    Ok(rows.first().and_then(|row| row.get(0)?.parse().ok()).unwrap_or_default())
}

/// What a statement gives in a transaction of somebody's.
async fn as_role(client: &mut Client, role: Option<&str>, sql: &str) -> Result<Vec<asuser_postgres::Row>, PgError> {
    client.execute("BEGIN READ ONLY").await?;
    if let Some(role) = role {
        client.query("SELECT pg_catalog.set_config('role', $1, true)", &[Some(role)]).await?;
    }
    let rows = client.query(sql, &[]).await;
    client.execute("ROLLBACK").await?;
    rows
}
