//! SQLite: the audit disk, the database alone and the whole gateway (token verified, policy decided, mask applied, audit durable) over the
//! same rows, one after another.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;
use asuser_testkit::TestIssuer;
use rusqlite::{Connection, OpenFlags};

use crate::gateway::Gateway;
use crate::{load, process, say};

const ROWS: u32 = 100_000;
const OWNERS: u32 = 100;
const MEASURED: Duration = Duration::from_secs(5);

const POLICY: &str = r#"permit (principal, action == Action::"read", resource is db::orders)
when { principal has login && resource.owner == principal.login };"#;

pub(crate) fn run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("bench.db");
    create(&database)?;
    let sync_us = process::fdatasync_us(folder.path())?;
    let issuer = configure(folder.path())?;
    let gateway = Gateway::asuser(folder.path())?;
    say(&format!("audit disk: fdatasync p50 {sync_us:.0} µs\nready after {} ms\n\n", gateway.ready_ms))?;
    say(
        "| rows | SQLite alone, µs | gateway, requests/s | gateway CPU, µs a request | CPU ÷ SQLite alone | p50 ms | p99 ms | RSS MiB |\n|---|---|---|---|---|---|---|---|\n",
    )?;
    for limit in [1, 100] {
        let alone_us = sqlite_alone_us(&database, limit)?;
        let requests: Vec<_> =
            (0..OWNERS).map(|owner| request(limit, &issuer.token_for(&format!("p{owner}")))).collect();
        load::warm(gateway.address, &requests, |_| Ok(()))?;
        let before = process::cpu(gateway.pid())?;
        let load = load::run(gateway.address, &requests, MEASURED)?;
        let cpu = process::cpu(gateway.pid())?.saturating_sub(before);
        let cpu_us = cpu.as_secs_f64() * 1e6 / load.requests() as f64;
        say(&format!(
            "| {limit} | {alone_us:.1} | {:.0} | {cpu_us:.1} | {:.1} | {:.2} | {:.2} | {} |\n",
            load.per_second(),
            cpu_us / alone_us,
            load.percentile_ms(50),
            load.percentile_ms(99),
            process::rss_mib(gateway.pid())?,
        ))?;
    }
    Ok(())
}

fn request(limit: u32, token: &str) -> Vec<u8> {
    format!("GET /api/v2/db/_table/orders?order=id&limit={limit} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n")
        .into_bytes()
}

fn configure(folder: &Path) -> anyhow::Result<TestIssuer> {
    let issuer = TestIssuer::new("https://login.example/", "https://data.example");
    fs::create_dir_all(folder.join("policies/db"))?;
    fs::write(folder.join("policies/db/rows.cedar"), POLICY)?;
    fs::write(folder.join("policies/db/masks.toml"), "[orders]\nemail = \"email\"\n")?;
    fs::write(folder.join("keys.json"), issuer.jwks())?;
    let config = "[server]\nlisten = \"127.0.0.1:0\"\n[audit]\ncheckpoint_to = [\"file:checkpoints\"]\n[[identity]]\nname = \"bench\"\n\
         kind = \"jwt\"\nissuer = \"https://login.example/\"\naudience = \"https://data.example\"\njwks_file = \"keys.json\"\n\
         [[service]]\nname = \"db\"\nkind = \"sqlite\"\npath = \"bench.db\"\n";
    fs::write(folder.join("asuser.toml"), config)?;
    Ok(issuer)
}

/// Rows of one owner lie together, as they do where a company's table is clustered by owner.
fn create(path: &Path) -> anyhow::Result<()> {
    let mut connection = Connection::open(path)?;
    connection.execute_batch(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, region TEXT NOT NULL, amount INTEGER NOT NULL,
           email TEXT NOT NULL, note TEXT NOT NULL) STRICT;
         CREATE INDEX orders_owner ON orders(owner);",
    )?;
    let transaction = connection.transaction()?;
    {
        let mut insert =
            transaction.prepare("INSERT INTO orders VALUES (?1, ?2, 'EMEA', ?3, ?4, 'call before delivery')")?;
        for id in 0..ROWS {
            let owner = id / (ROWS / OWNERS);
            insert.execute((id, format!("p{owner}"), id % 977, format!("customer{id}@shop.example")))?;
        }
    }
    Ok(transaction.commit()?)
}

/// The same rows straight from the file: one prepared statement, JSON built by SQLite.
fn sqlite_alone_us(path: &Path, limit: u32) -> anyhow::Result<f64> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut statement = connection.prepare(
        "SELECT json_group_array(json_object('id', id, 'owner', owner, 'region', region, 'amount', amount, 'email', email, 'note', note))
         FROM (SELECT * FROM orders WHERE owner = ?1 ORDER BY id LIMIT ?2)",
    )?;
    let begun = Instant::now();
    let mut reads = 0_u32;
    while begun.elapsed() < MEASURED / 5 {
        let text: String = statement.query_row((format!("p{}", reads % OWNERS), limit), |row| row.get(0))?;
        if text.len() < 10 {
            bail!("the table is empty");
        }
        reads += 1;
    }
    Ok(begun.elapsed().as_secs_f64() * 1e6 / f64::from(reads))
}
