//! The floor: pgbench doing for each read what a careful program does by hand. Prepared statements, as many connections as the gateways
//! have callers, over the same loopback.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use asuser_testkit::{PostgresServer, TestIssuer};

use super::database::{self, Database, LOGIN, OWNERS, PASSWORD, ROLE};
use crate::load::{CONNECTIONS, THREADS};

pub(crate) struct Script(PathBuf);

/// What one stretch of it came to.
pub(crate) struct Floor {
    pub(crate) transactions: f64,
    pub(crate) took: Duration,
    /// The mean of one transaction.
    pub(crate) latency_ms: f64,
}

impl Script {
    /// One row as it is; several as one JSON text.
    pub(crate) fn write(
        folder: &Path,
        database: &Database,
        issuer: &TestIssuer,
        answer: u32,
        pipeline: bool,
    ) -> anyhow::Result<Self> {
        let columns = "id, owner, region, amount, email, note";
        let read = if answer == 1 {
            format!("SELECT {columns} FROM orders ORDER BY id LIMIT 1;")
        } else {
            format!("SELECT json_agg(t) FROM (SELECT {columns} FROM orders ORDER BY id LIMIT {answer}) AS t;")
        };
        let (begin, end) = if pipeline { ("\\startpipeline\n", "\\endpipeline\n") } else { ("", "") };
        let text = format!(
            "\\set owner random(0, {})\n{begin}BEGIN;\nSET LOCAL ROLE {ROLE};\nSELECT set_config('request.jwt.claims', {}, true);\n{read}\nCOMMIT;\n{end}",
            OWNERS - 1,
            claims(issuer)
        );
        let by_hand = format!(
            "BEGIN; SET LOCAL ROLE {ROLE}; SELECT set_config('request.jwt.claims', {}, true); {read}",
            claims(issuer)
        );
        let rows = database.query(&by_hand.replace(":owner", "7"));
        let found =
            rows.iter().flatten().flatten().map(|text| text.matches("call before delivery").count()).sum::<usize>();
        ensure!(found == answer as usize, "pgbench would read {found} rows instead of {answer}");
        let path = folder.join(format!("read-{answer}{}.sql", if pipeline { "-pipeline" } else { "" }));
        std::fs::write(&path, text)?;
        Ok(Self(path))
    }

    /// What pgbench says of itself.
    pub(crate) fn run(&self, database: &Database, how_long: Duration) -> anyhow::Result<Floor> {
        let (connections, threads) = (CONNECTIONS.to_string(), THREADS.to_string());
        let output = Command::new("pgbench")
            .args(["--no-vacuum", "--protocol=prepared", "--jobs", &threads, "--client", &connections])
            .args(["--time", &how_long.as_secs().max(1).to_string(), "--file"])
            .arg(&self.0)
            .args(["--host", PostgresServer::HOST, "--port", &database.port().to_string(), "--username", LOGIN])
            .arg(database.name())
            .env("PGPASSWORD", PASSWORD)
            .env("PGSSLMODE", "disable")
            .output()
            .context("pgbench cannot be run: scripts/setup test installs it")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let number = |before: &str| {
            let (_, rest) = text.split_once(before)?;
            rest.split_whitespace().next()?.parse::<f64>().ok()
        };
        match (number("actually processed: "), number("tps = "), number("latency average = ")) {
            (Some(transactions), Some(tps), Some(latency_ms)) if output.status.success() => {
                Ok(Floor { transactions, took: Duration::from_secs_f64(transactions / tps), latency_ms })
            }
            _ => bail!("pgbench: {text}{}", String::from_utf8_lossy(&output.stderr)),
        }
    }
}

/// The claims of a token, as an SQL expression over `:owner`. pgbench takes `:name` for a variable in a text too, hence the spaces.
fn claims(issuer: &TestIssuer) -> String {
    // A login that stands nowhere else in the claims.
    let claims = issuer.claims_for("\u{a7}", 1_800_000_000).to_string().replace("\":", "\": ");
    let person = database::person(0);
    let pieces: Vec<_> = claims.split('\u{a7}').map(|piece| format!("'{piece}'")).collect();
    pieces.join(&format!(" || '{}' || :owner || ", person.trim_end_matches('0')))
}
