//! The scene: one agent, one question, two people. Every sentence it prints was checked before it is printed.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value as Json, json};

use super::client::{self, Reply};
use super::company::{self, PEOPLE, Person};
use super::issuer::{AGENT, DemoIssuer};
use super::postgres::Postgres;
use super::say;
use super::witness;
use crate::cli::audit::{self, Shown};
use crate::running::Running;

pub(super) const QUESTION: &str = "/api/v2/db/_table/orders?fields=id,customer_email,status,total_cents&order=id";
const ROWS_SHOWN: usize = 4;

/// What was expected, and whether it held.
pub(super) struct Checks {
    held: bool,
}

impl Checks {
    pub(super) fn expect(&mut self, what: &str, ok: bool) -> anyhow::Result<()> {
        self.held &= ok;
        say(format_args!("   {} {what}", if ok { "✓" } else { "✗ NOT SO:" }))
    }
}

/// Plays it; true if every expectation held.
pub(super) async fn play(
    running: &Running,
    issuer: &DemoIssuer,
    folder: &Path,
    postgres: Option<&Postgres>,
) -> anyhow::Result<bool> {
    let server = running.address;
    let [john, jane, ..] = PEOPLE;
    let mut checks = Checks { held: true };
    let life = Duration::from_secs(3600);
    let (johns, janes) = (issuer.token(&john, AGENT, life)?, issuer.token(&jane, AGENT, life)?);
    let mut audit_ids = Vec::new();

    say(format_args!("\nOne agent ({AGENT}), one question, two people:\n\n   GET {QUESTION}\n"))?;
    for (nth, (person, token)) in [(john, &johns), (jane, &janes)].into_iter().enumerate() {
        say(format_args!("{}. It asks for {}.", nth + 1, person.name))?;
        let reply = client::get(server, QUESTION, token).await?;
        own_orders(&mut checks, &person, &reply)?;
        audit_ids.push((reply.audit_id, person, true));
    }

    let target = company::first_order_of(jane.login);
    say(format_args!("\n3. John's agent reaches for order {target}, which is Jane's."))?;
    let path = format!("/api/v2/db/_table/orders/{target}");
    let reply = client::get(server, &path, &johns).await?;
    checks.expect("404: for John it does not exist", reply.status == StatusCode::NOT_FOUND)?;
    audit_ids.push((reply.audit_id, john, false));
    let twin = client::get(server, &path, &janes).await?;
    checks.expect(
        "Jane's agent gets it",
        twin.status == StatusCode::OK && twin.body.get("id").and_then(Json::as_i64) == Some(target),
    )?;

    say("\n4. Somebody edits John's token so that it says Jane.")?;
    let reply = client::get(server, QUESTION, &tampered(&johns, &john, &jane)?).await?;
    checks.expect(
        "401: the signature no longer fits, and nothing was asked of the database",
        reply.status == StatusCode::UNAUTHORIZED,
    )?;

    let reply = over_mcp(&mut checks, server, &john, &johns).await?;
    audit_ids.push((reply.audit_id, john, true));

    say("\n6. What the audit log says:\n")?;
    audit_trail(&mut checks, running, folder, &audit_ids).await?;

    let last = if let Some(postgres) = postgres {
        say("\n7. What PostgreSQL itself says:\n")?;
        witness::hear(&mut checks, running, folder, postgres, &john, &johns).await?;
        8
    } else {
        7
    };

    let (all, his) = (company::orders_total(), company::orders_of(john.login));
    say(format_args!(
        "\n{last}. With a shared service account the agent's session would have exposed {all} of {all} orders, addresses in clear.\n   \
         As John it exposed {his} of {all}, addresses masked."
    ))?;
    Ok(checks.held)
}

fn own_orders(checks: &mut Checks, person: &Person, reply: &Reply) -> anyhow::Result<()> {
    let rows = reply.body.get("resource").and_then(Json::as_array).cloned().unwrap_or_default();
    say("      id     customer_email                   status     total_cents")?;
    for row in rows.iter().take(ROWS_SHOWN) {
        let text = |name: &str| row[name].as_str().unwrap_or("?").to_owned();
        let (email, status) = (text("customer_email"), text("status"));
        let number = |name: &str| row[name].as_i64().unwrap_or_default();
        say(format_args!("      {:<6} {email:<32} {status:<10} {:>11}", number("id"), number("total_cents")))?;
    }
    if rows.len() > ROWS_SHOWN {
        say(format_args!("      … and {} more", rows.len() - ROWS_SHOWN))?;
    }
    let (expected, all) = (company::orders_of(person.login), company::orders_total());
    let first = company::first_order_of(person.login);
    let ids = rows.iter().filter_map(|row| row["id"].as_i64());
    let own = ids.zip(first..).filter(|(id, own)| id == own).count() == expected && rows.len() == expected;
    checks
        .expect(&format!("{expected} of {all} orders: {}'s own", person.name), own && reply.status == StatusCode::OK)?;
    let masked = |row: &Json| row["customer_email"].as_str().is_some_and(|email| email.get(1..5) == Some("***@"));
    checks.expect("the customers' addresses are masked", !rows.is_empty() && rows.iter().all(masked))
}

/// SQL of the agent's own, as a tool's call.
async fn over_mcp(checks: &mut Checks, server: SocketAddr, john: &Person, token: &str) -> anyhow::Result<Reply> {
    const SQL: &str =
        "SELECT status, count(*) AS orders, sum(total_cents) AS cents FROM orders GROUP BY status ORDER BY status";
    say(format_args!("\n5. Over MCP it writes SQL itself, for {}:\n\n   run_sql {SQL}\n", john.name))?;
    let reply = client::call_tool(server, token, "run_sql", &json!({ "sql": SQL })).await?;
    let rows =
        reply.body.pointer("/result/structuredContent/rows").and_then(Json::as_array).cloned().unwrap_or_default();
    let mut counted = 0;
    for row in &rows {
        let number = |name: &str| row[name].as_i64().unwrap_or_default();
        counted += number("orders");
        let status = row["status"].as_str().unwrap_or("?");
        say(format_args!("      {status:<10} {:>3} orders {:>11} cents", number("orders"), number("cents")))?;
    }
    let own = company::orders_of(john.login);
    checks.expect(
        &format!("it counts {own} orders: those that exist for {}", john.name),
        usize::try_from(counted) == Ok(own),
    )?;
    let refused = client::call_tool(server, token, "run_sql", &json!({ "sql": "DELETE FROM orders" })).await?;
    checks.expect(
        "DELETE is refused: SQL here only reads",
        refused.body.pointer("/result/isError") == Some(&Json::Bool(true)),
    )?;
    Ok(reply)
}

/// The same token with another subject and login in it, and the old signature.
fn tampered(token: &str, from: &Person, to: &Person) -> anyhow::Result<String> {
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(signature)) = (parts.next(), parts.next(), parts.next()) else {
        anyhow::bail!("the demo's token has not three parts");
    };
    let claims = String::from_utf8(data_encoding::BASE64URL_NOPAD.decode(claims.as_bytes())?)?;
    let claims = claims.replace(from.subject, to.subject).replace(from.login, to.login);
    Ok(format!("{header}.{}.{signature}", data_encoding::BASE64URL_NOPAD.encode(claims.as_bytes())))
}

async fn audit_trail(
    checks: &mut Checks,
    running: &Running,
    folder: &Path,
    expected: &[(String, Person, bool)],
) -> anyhow::Result<()> {
    running.checkpoint().await?;
    let entries = audit::entries(folder)?;
    for entry in &entries {
        say(format_args!("      {entry}"))?;
    }
    for (audit_id, person, released) in expected {
        // The last record of an entry says how it ended.
        let found = entries.iter().rfind(|entry| entry.audit_id == *audit_id);
        let named = found.is_some_and(|entry: &Shown| {
            entry.email.as_deref() == Some(&*person.email())
                && entry.actor.as_deref() == Some(AGENT)
                && entry.released == *released
        });
        let outcome = if *released { "what was answered" } else { "what was refused" };
        checks.expect(&format!("it names {} and {AGENT} for {outcome}", person.email()), named)?;
    }
    let verdict = audit::verify_folder(folder)?;
    checks.expect("it verifies: no record was changed, removed or added", verdict)
}

/// What a newcomer can do now.
pub(super) fn invite(
    server: SocketAddr,
    folder: &Path,
    temporary: bool,
    postgres: Option<&Postgres>,
) -> anyhow::Result<()> {
    let program = std::env::current_exe().ok().map_or_else(|| "asuser".to_owned(), |path| path.display().to_string());
    let fate = if temporary { " (deleted when the demo ends; --keep DIR keeps one)" } else { "" };
    say(format_args!(
        r#"
It goes on serving at http://{server}; everything is in {folder}{fate}.
Try, in another terminal:

  curl -s http://{server}/api/v2/db/_table/orders -H "Authorization: Bearer $({program} demo token john)"
  curl -s http://{server}/api/v2/db/_table/orders -H "Authorization: Bearer $({program} demo token jane)"
  curl -s -G http://{server}/api/v2/db/_table/orders --data-urlencode "filter=status = 'open' AND total_cents > 50000" \
       -H "Authorization: Bearer $({program} demo token sam)"
  curl -s http://{server}/api/v2/db/_table/employees -H "Authorization: Bearer $({program} demo token maria)"
  curl -s http://{server}/whoami -H "Authorization: Bearer $({program} demo token john)"

An MCP client of yours asks for John with this in its configuration (Claude Desktop, Cursor, VS Code: docs/clients):

  {{"mcpServers": {{"asuser-demo": {{"command": "sh", "args": ["-c",
    "ASUSER_TOKEN=$({program} demo token john) exec {program} mcp --stdio --url http://{server}"]}}}}}}

  {program} audit tail --config {folder}/asuser.toml
  {program} audit verify --config {folder}/asuser.toml
{database}
Ctrl-C ends it."#,
        folder = folder.display(),
        database = postgres.map(database).unwrap_or_default(),
    ))
}

/// The same, without asuser.
fn database(postgres: &Postgres) -> String {
    let log = postgres.log().map(|log| format!("  grep application=asuser/ {} | tail -n 3\n", log.display()));
    format!("  {}\n{}", postgres.psql(), log.unwrap_or_default())
}
