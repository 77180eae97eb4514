//! What a request costs: `cargo build --release -p asuser && cargo run --release -p asuser-bench`.
//!
//! One run measures the audit disk, the database alone and the whole gateway (token verified, policy decided, mask applied, audit
//! durable) over the same rows, one after another on the same machine, and prints ratios: single times drift with the machine.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use asuser_testkit::TestIssuer;
use rusqlite::{Connection, OpenFlags};

const ROWS: u32 = 100_000;
const OWNERS: u32 = 100;
const CONNECTIONS: usize = 16;
const MEASURED: Duration = Duration::from_secs(5);
const SYNCS: usize = 500;

const POLICY: &str = r#"permit (principal, action == Action::"read", resource is db::orders)
when { principal has login && resource.owner == principal.login };"#;

fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("bench.db");
    create(&database)?;
    let sync_us = fdatasync_us(folder.path())?;
    say(&format!("audit disk: fdatasync p50 {sync_us:.0} µs\n"))?;
    say(
        "| rows | SQLite alone, µs | gateway, requests/s | gateway CPU, µs a request | CPU ÷ SQLite alone | p50 ms | p99 ms | RSS MiB |\n|---|---|---|---|---|---|---|---|\n",
    )?;
    let gateway = Gateway::start(folder.path())?;
    for limit in [1, 100] {
        let alone_us = sqlite_alone_us(&database, limit)?;
        let load = gateway.load(limit)?;
        let cpu_us = load.cpu.as_secs_f64() * 1e6 / load.requests as f64;
        say(&format!(
            "| {limit} | {alone_us:.1} | {:.0} | {cpu_us:.1} | {:.1} | {:.2} | {:.2} | {} |\n",
            load.requests as f64 / MEASURED.as_secs_f64(),
            cpu_us / alone_us,
            load.percentile_ms(50),
            load.percentile_ms(99),
            gateway.rss_mib()?,
        ))?;
    }
    Ok(())
}

fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
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

/// A 4 KiB write into a file that is filled ahead, as the journal's are, and the sync that an answer waits for.
fn fdatasync_us(folder: &Path) -> anyhow::Result<f64> {
    let path = folder.join("sync");
    let file = fs::File::create_new(&path)?;
    file.write_all_at(&vec![0; 4096 * SYNCS], 0)?;
    file.sync_all()?;
    let mut times = Vec::with_capacity(SYNCS);
    for nth in 0..SYNCS {
        let begun = Instant::now();
        file.write_all_at(&[1; 4096], 4096 * nth as u64)?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    fs::remove_file(path)?;
    times.sort_unstable();
    Ok(times.get(SYNCS / 2).copied().unwrap_or_default().as_secs_f64() * 1e6)
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

struct Gateway {
    child: Child,
    address: SocketAddr,
    tokens: Vec<String>,
}

struct Load {
    requests: usize,
    cpu: Duration,
    latencies: Vec<Duration>,
}

impl Load {
    fn percentile_ms(&self, percent: usize) -> f64 {
        let at = self.latencies.len().saturating_sub(1) * percent / 100;
        self.latencies.get(at).copied().unwrap_or_default().as_secs_f64() * 1e3
    }
}

impl Gateway {
    fn start(folder: &Path) -> anyhow::Result<Self> {
        let issuer = TestIssuer::new("https://login.example/", "https://data.example");
        fs::create_dir_all(folder.join("policies/db"))?;
        fs::write(folder.join("policies/db/rows.cedar"), POLICY)?;
        fs::write(folder.join("policies/db/masks.toml"), "[orders]\nemail = \"email\"\n")?;
        fs::write(folder.join("keys.json"), issuer.jwks())?;
        let config = "[server]\nlisten = \"127.0.0.1:0\"\n[audit]\ncheckpoint_to = [\"file:checkpoints\"]\n[[identity]]\nname = \"bench\"\n\
             kind = \"jwt\"\nissuer = \"https://login.example/\"\naudience = \"https://data.example\"\njwks_file = \"keys.json\"\n\
             [[service]]\nname = \"db\"\nkind = \"sqlite\"\npath = \"bench.db\"\n";
        fs::write(folder.join("asuser.toml"), config)?;
        let begun = Instant::now();
        let log = fs::File::create(folder.join("log"))?;
        let child = Command::new(binary()?)
            .args(["serve", "--config"])
            .arg(folder.join("asuser.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let address = loop {
            let log = fs::read_to_string(folder.join("log"))?;
            if let Some((_, rest)) = log.split_once("address=") {
                break rest.lines().next().unwrap_or_default().trim().parse()?;
            }
            if begun.elapsed() > Duration::from_secs(20) {
                bail!("asuser did not start: {log}");
            }
            std::thread::yield_now();
        };
        say(&format!("ready after {} ms\n\n", begun.elapsed().as_millis()))?;
        let tokens = (0..OWNERS).map(|owner| issuer.token_for(&format!("p{owner}"))).collect();
        Ok(Self { child, address, tokens })
    }

    fn load(&self, limit: u32) -> anyhow::Result<Load> {
        let stop = AtomicBool::new(false);
        // Every token once: what is measured is the warm path.
        let mut warm = Client::connect(self.address)?;
        for token in &self.tokens {
            warm.get(limit, token)?;
        }
        let before = self.cpu()?;
        let latencies = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..CONNECTIONS)
                .map(|caller| {
                    let stop = &stop;
                    scope.spawn(move || -> anyhow::Result<Vec<Duration>> {
                        let (mut client, mut taken) = (Client::connect(self.address)?, Vec::new());
                        for token in self.tokens.iter().cycle().skip(caller * 7) {
                            if stop.load(Ordering::Relaxed) {
                                break;
                            }
                            let begun = Instant::now();
                            client.get(limit, token)?;
                            taken.push(begun.elapsed());
                        }
                        Ok(taken)
                    })
                })
                .collect();
            std::thread::sleep(MEASURED);
            stop.store(true, Ordering::Relaxed);
            let mut all = Vec::new();
            for caller in callers {
                all.append(&mut caller.join().map_err(|_| anyhow::anyhow!("a caller panicked"))??);
            }
            anyhow::Ok(all)
        });
        let mut latencies = latencies?;
        let cpu = self.cpu()?.saturating_sub(before);
        latencies.sort_unstable();
        Ok(Load { requests: latencies.len(), cpu, latencies })
    }

    /// User and system time so far: fields 14 and 15 of proc_pid_stat(5), in ticks of 10 ms.
    fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after_name = stat.rsplit_once(')').context("an odd /proc/PID/stat")?.1;
        let ticks: u64 =
            after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 10))
    }
    fn rss_mib(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It is ours, and it may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary beside this one, built with the same profile.
fn binary() -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("asuser");
    if !path.exists() {
        bail!("{} is missing: cargo build --release -p asuser", path.display());
    }
    Ok(path)
}

/// One kept connection.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 64 * 1024] })
    }
    fn get(&mut self, limit: u32, token: &str) -> anyhow::Result<()> {
        let request = format!(
            "GET /api/v2/db/_table/orders?order=id&limit={limit} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        self.stream.write_all(request.as_bytes())?;
        let mut filled = 0;
        loop {
            let room = self.buffer.get_mut(filled..).context("the answer is larger than expected")?;
            let read = self.stream.read(room)?;
            if read == 0 {
                bail!("the server closed the connection");
            }
            filled += read;
            let text = String::from_utf8_lossy(self.buffer.get(..filled).unwrap_or_default());
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            if !head.starts_with("HTTP/1.1 200") {
                bail!("refused: {text}");
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if body.len() >= length.context("no content-length")? {
                return Ok(());
            }
        }
    }
}
