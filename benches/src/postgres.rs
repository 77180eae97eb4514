//! PostgreSQL: what it costs that each request runs as the person, beside what the database can do by itself.
//!
//! In one run, in turn: pgbench doing what a careful program does by hand (a role and claims for each transaction), the same in one
//! pipeline, asuser with everything on (token verified, policy decided, mask applied, audit durable), and other gateways where they are
//! installed. Out: a table of ratios to the first.

mod contenders;
mod database;
mod pgbench;
mod report;

use std::time::Duration;

use asuser_identity::Algorithm;
use asuser_testkit::TestIssuer;
use clap::Args;

use crate::load::{self, Load};
use crate::{process, say};
use contenders::Contender;
use database::Database;
use report::{Row, Table};

#[derive(Debug, Args)]
pub(crate) struct PostgresArguments {
    /// How long each is measured, in seconds, for each number of rows.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// In how many turns: everything is measured once in each turn, so that all see the same weather.
    #[arg(long, default_value_t = 2)]
    turns: u32,
    /// Leave out what is not named: asuser, mcp, certificate, postgraphile, toolbox, toolbox-mcp. pgbench runs always.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Write the tables into docs/performance.md.
    #[arg(long)]
    write: bool,
}

const WARMED: Duration = Duration::from_millis(500);

/// How many rows an answer has.
const ANSWERS: [u32; 2] = [1, 100];

pub(crate) fn run(arguments: &PostgresArguments) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let sync_us = process::fdatasync_us(folder.path())?;
    say(&format!("audit disk: fdatasync p50 {sync_us:.0} µs\n"))?;
    let issuer = TestIssuer::signing_with("https://login.example/", "https://data.example", Algorithm::Rs256);
    let database = Database::create()?;
    let wanted = |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == name);
    let contenders = contenders::start(folder.path(), &database, &issuer, &wanted)?;
    let mut report = report::Report::new(database.version(), sync_us);
    for answer in ANSWERS {
        report.tables.push(measure(arguments, answer, folder.path(), &database, &issuer, &contenders)?);
    }
    report.notes.extend(contenders.iter().filter_map(|contender| contender.note.clone()));
    let text = report.markdown();
    say(&text)?;
    if arguments.write {
        report::write(&text)?;
    }
    Ok(())
}

fn measure(
    arguments: &PostgresArguments,
    answer: u32,
    folder: &std::path::Path,
    database: &Database,
    issuer: &TestIssuer,
    contenders: &[Contender],
) -> anyhow::Result<Table> {
    let turns = arguments.turns.max(1);
    let stretch = Duration::from_secs(u64::from(arguments.seconds)) / turns;
    let floors = [
        ("pgbench: one statement at a time", pgbench::Script::write(folder, database, issuer, answer, false)?),
        ("pgbench: the same in one pipeline", pgbench::Script::write(folder, database, issuer, answer, true)?),
    ];
    let mut rows: Vec<Row> =
        floors.iter().map(|(name, _)| Row::new(name, "yes")).chain(contenders.iter().map(Contender::row)).collect();
    for contender in contenders {
        contender.warm(answer)?;
        // With all its connections: what a first request costs is not what is measured.
        load::run(contender.address(), contender.requests(answer), WARMED)?;
    }
    for _ in 0..turns {
        let mut row = rows.iter_mut();
        for ((_, script), row) in floors.iter().zip(row.by_ref()) {
            let before = database.cpu()?;
            let floor = script.run(database, stretch)?;
            row.floor(&floor, database.cpu()?.saturating_sub(before));
        }
        for (contender, row) in contenders.iter().zip(row) {
            let before = (contender.cpu()?, database.cpu()?);
            let load: Load = load::run(contender.address(), contender.requests(answer), stretch)?;
            let cpu = (contender.cpu()?.saturating_sub(before.0), database.cpu()?.saturating_sub(before.1));
            row.load(load, cpu.0, cpu.1, contender.rss_mib()?);
        }
        say(".")?;
    }
    say("\n")?;
    Ok(Table { answer, rows })
}
