//! What was measured, as Markdown, and where it is kept.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::pgbench::Floor;
use crate::load::{CONNECTIONS, Load};

/// One of those that were measured.
pub(crate) struct Row {
    name: String,
    as_person: &'static str,
    load: Load,
    /// pgbench counts for itself.
    transactions: f64,
    latency_ms: f64,
    took: Duration,
    cpu: Option<Duration>,
    database_cpu: Duration,
    rss_mib: Option<u64>,
    ready_ms: Option<u128>,
}

impl Row {
    pub(crate) fn new(name: &str, as_person: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            as_person,
            load: Load::default(),
            transactions: 0.0,
            latency_ms: 0.0,
            took: Duration::ZERO,
            cpu: None,
            database_cpu: Duration::ZERO,
            rss_mib: None,
            ready_ms: None,
        }
    }
    pub(crate) fn ready(mut self, ready_ms: u128) -> Self {
        self.ready_ms = Some(ready_ms);
        self
    }
    pub(crate) fn floor(&mut self, floor: &Floor, database_cpu: Duration) {
        self.transactions += floor.transactions;
        self.latency_ms = floor.latency_ms;
        self.took += floor.took;
        self.database_cpu += database_cpu;
    }
    pub(crate) fn load(&mut self, load: Load, cpu: Duration, database_cpu: Duration, rss_mib: u64) {
        self.transactions += load.requests() as f64;
        self.took += load.took;
        self.load = std::mem::take(&mut self.load).and(load);
        self.cpu = Some(self.cpu.unwrap_or_default() + cpu);
        self.database_cpu += database_cpu;
        self.rss_mib = Some(rss_mib);
    }
    fn per_second(&self) -> f64 {
        self.transactions / self.took.as_secs_f64()
    }
    fn us_each(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.transactions
    }
}

/// All of them, for one number of rows in an answer.
pub(crate) struct Table {
    pub(crate) answer: u32,
    pub(crate) rows: Vec<Row>,
}

pub(crate) struct Report {
    version: u32,
    sync_us: f64,
    pub(crate) tables: Vec<Table>,
    pub(crate) notes: Vec<String>,
}

/// Above it the disk, not the gateway, decides how many requests a fixed number of callers gets.
const SYNC_US_MAX: f64 = 200.0;

impl Report {
    pub(crate) fn new(version: u32, sync_us: f64) -> Self {
        Self { version, sync_us, tables: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "PostgreSQL {}, {} processors, fdatasync p50 {:.0} µs on the audit disk, {CONNECTIONS} connections.\n",
            self.version,
            std::thread::available_parallelism().map_or(1, usize::from),
            self.sync_us
        );
        for Table { answer, rows } in &self.tables {
            let floor = rows.first().map_or(1.0, Row::per_second);
            let noun = if *answer == 1 { "row" } else { "rows" };
            // Writing to a String does not fail.
            let _ = write!(
                text,
                "\n**{answer} {noun}**\n\n| | runs as the person | requests/s | ratio | its CPU, µs a request | PostgreSQL's CPU, µs | p50 ms | p99 ms | memory MiB | ready ms |\n|---|---|---|---|---|---|---|---|---|---|\n"
            );
            for row in rows {
                let _ = writeln!(text, "{}", line(row, floor));
            }
            if let Some(first) = rows.first().filter(|_| self.sync_us > SYNC_US_MAX) {
                let bound = CONNECTIONS as f64 / (first.latency_ms / 1e3 + self.sync_us / 1e6);
                let _ = writeln!(
                    text,
                    "\nThis disk takes longer than {SYNC_US_MAX:.0} µs to make a record durable: {CONNECTIONS} callers that wait for the database \
                     and then for the disk get at most {:.0} requests/s, a ratio of {:.2}.",
                    bound.min(floor),
                    bound.min(floor) / floor
                );
            }
        }
        for note in &self.notes {
            let _ = write!(text, "\n{note}\n");
        }
        text
    }
}

fn line(row: &Row, floor: f64) -> String {
    let cell = |value: Option<String>| value.unwrap_or_default();
    let percentile = |percent| row.cpu.map(|_| format!("{:.2}", row.load.percentile_ms(percent)));
    format!(
        "| {} | {} | {:.0} | {:.2} | {} | {:.0} | {} | {} | {} | {} |",
        row.name,
        row.as_person,
        row.per_second(),
        row.per_second() / floor,
        cell(row.cpu.map(|cpu| format!("{:.0}", row.us_each(cpu)))),
        row.us_each(row.database_cpu),
        percentile(50).unwrap_or_else(|| format!("mean {:.2}", row.latency_ms)),
        cell(percentile(99)),
        cell(row.rss_mib.map(|mib| mib.to_string())),
        cell(row.ready_ms.map(|ms| ms.to_string())),
    )
}

const BEGIN: &str = "<!-- written by `asuser-bench postgres --write`: begin -->\n";
const END: &str = "<!-- end -->";

/// Between the markers of docs/performance.md.
pub(crate) fn write(table: &str) -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.md");
    let text = std::fs::read_to_string(&path)?;
    Ok(std::fs::write(&path, placed(&text, table).context("docs/performance.md has lost its markers")?)?)
}

fn placed(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_replace_tables_and_nothing_else() {
        let page = format!("before\n{BEGIN}{END}\nafter\n");
        let first = placed(&page, "one").unwrap();
        assert_eq!(first, format!("before\n{BEGIN}\none\n{END}\nafter\n"));
        assert_eq!(placed(&first, "two").unwrap(), first.replace("one", "two"));
        assert_eq!(placed("no markers", "one"), None);
        let guide = include_str!("../../../docs/performance.md");
        assert!(placed(guide, "one").is_some());
    }

    #[test]
    fn figures_are_for_a_request_each() {
        let mut floor = Row::new("floor", "yes");
        let second = Duration::from_secs(1);
        floor.floor(&Floor { transactions: 10_000.0, took: second, latency_ms: 1.5 }, second / 2);
        floor.floor(&Floor { transactions: 10_000.0, took: second, latency_ms: 1.5 }, second / 2);
        assert_eq!(line(&floor, 10_000.0), "| floor | yes | 10000 | 1.00 |  | 50 | mean 1.50 |  |  |  |");
        let mut row = Row::new("gateway", "yes").ready(40);
        row.load(Load { took: second, latencies: vec![second / 1000; 5000] }, second / 4, second / 5, 30);
        assert_eq!(line(&row, 10_000.0), "| gateway | yes | 5000 | 0.50 | 50 | 40 | 1.00 | 1.00 | 30 | 40 |");
    }
}
