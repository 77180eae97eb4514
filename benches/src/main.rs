//! What a request costs, as ratios: single times drift with the machine, so that everything that is compared runs in one run.
//!
//! ```sh
//! cargo build --release -p asuser
//! cargo run --release -p asuser-bench                         # SQLite
//! cargo run --release -p asuser-bench -- postgres             # PostgreSQL, beside pgbench; --write: into docs/performance.md
//! ```

mod gateway;
mod http;
mod load;
mod postgres;
mod process;
mod sqlite;

use std::io::Write as _;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    bench: Option<Bench>,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// SQLite, with the same rows read straight from the file as the floor.
    Sqlite,
    /// PostgreSQL as the person, with pgbench as the floor, and other gateways where benches/peers.sh installed them.
    Postgres(postgres::PostgresArguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().bench.unwrap_or(Bench::Sqlite) {
        Bench::Sqlite => sqlite::run(),
        Bench::Postgres(arguments) => postgres::run(&arguments),
    }
}

fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
