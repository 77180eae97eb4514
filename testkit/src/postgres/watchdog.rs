//! Starts a server and sees to it that it ends.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use super::certificates::TestCa;
use super::installation::Installation;

/// Told `copy`, `start` or a signal, it answers with a line. When its input ends, so does the server, and the folder is gone.
const SCRIPT: &str = r#"
# Nobody listening is no reason to leave.
trap '' PIPE
server=
while read -r word; do
    case $word in
        copy) cp -a "$3" "$2/data" && echo copied || echo failed ;;
        start) "$1" -D "$2/data" </dev/null >>"$2/log" 2>&1 & server=$!; echo "$server" ;;
        *) kill -"$word" "$server"; wait "$server"; server=; echo stopped ;;
    esac
done
[ -z "$server" ] || { kill -QUIT "$server"; wait "$server"; }
rm -rf "$2"
"#;

const START_MAX: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// Below the ports that systems give to outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const PORTS_TRIED_MAX: u16 = 500;
const STARTS_MAX: u32 = 5;

/// The shell between this process and the server.
#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    server: Option<u32>,
}

/// A new server: its folder, its port, and who watches it.
pub(super) fn first_start(
    installation: &mut Installation,
    server_ca: &TestCa,
    client_ca: &TestCa,
) -> (PathBuf, u16, Watchdog) {
    let template = installation.template();
    let folder = tempfile::Builder::new().prefix("asuser-pg-").tempdir().expect("a folder can be made").keep();
    installation.give(&folder, 0o700);
    let mut watchdog = Watchdog::new(installation, &folder, &template);
    assert_eq!(watchdog.order("copy"), "copied", "{} to {}", template.display(), folder.display());
    let (certificate, key) = server_ca.server();
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).expect("a file can be written");
        installation.give(&path, 0o600);
    };
    write("server.pem", &certificate);
    write("server.key", &key);
    write("client-ca.pem", &client_ca.pem());
    write("data/pg_hba.conf", HBA);
    write("data/pg_ident.conf", "m /^(.*)$ \\1\n");
    let mut last = String::new();
    for attempt in 0..STARTS_MAX {
        let port = free_port(attempt);
        write("data/postgresql.conf", &configuration(installation.major, &folder, port));
        match watchdog.start(&folder) {
            Ok(()) => return (folder, port, watchdog),
            // Somebody else took the port in between.
            Err(log) if log.contains("Address already in use") => last = log,
            Err(log) => panic!("PostgreSQL does not start:\n{log}"),
        }
    }
    panic!("PostgreSQL finds no port:\n{last}");
}

const HBA: &str = "\
local   all postgres                   trust
hostssl all +asuser_users 127.0.0.1/32 cert map=m
host    all all           127.0.0.1/32 scram-sha-256
";

/// As an installation has it, but for what a test does not need: that data survives the machine, and work that comes by itself.
fn configuration(major: u32, folder: &Path, port: u16) -> String {
    let folder = folder.display();
    let io = if major >= 18 { "io_method = sync\n" } else { "" };
    format!(
        "\
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
ssl = on
ssl_cert_file = '{folder}/server.pem'
ssl_key_file = '{folder}/server.key'
ssl_ca_file = '{folder}/client-ca.pem'
password_encryption = 'scram-sha-256'
max_connections = 120
shared_buffers = 16MB
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
autovacuum = off
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_checkpoints = off
log_line_prefix = '%m [%p] u=%u d=%d a=%a x=%x '
{io}"
    )
}

/// A port that is free now. Processes that run at the same time begin at different ones.
fn free_port(attempt: u32) -> u16 {
    let width = u32::from(PORTS.end - PORTS.start);
    let first = (std::process::id().wrapping_mul(7_919).wrapping_add(attempt * 1_237)) % width;
    (0..PORTS_TRIED_MAX)
        .filter_map(|step| u16::try_from((first + u32::from(step)) % width).ok())
        .map(|offset| PORTS.start + offset)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a port is free")
}

impl Watchdog {
    fn new(installation: &Installation, folder: &Path, template: &Path) -> Self {
        let mut shell = installation
            .command("/bin/sh")
            .args(["-c", SCRIPT, "asuser-test-server"])
            .arg(installation.program("postgres"))
            .arg(folder)
            .arg(template)
            // What ends the test's process group (Ctrl-C, a time-out) must not end who cleans up.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell can be run");
        let orders = shell.stdin.take();
        let answers = BufReader::new(shell.stdout.take().expect("the shell's output is a pipe"));
        Self { shell, orders, answers, server: None }
    }

    fn order(&mut self, word: &str) -> String {
        let orders = self.orders.as_mut().expect("the watchdog listens until it is dropped");
        orders.write_all(format!("{word}\n").as_bytes()).expect("the watchdog lives");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the watchdog answers");
        answer.trim().to_owned()
    }

    /// Starts the server and waits until it is ready.
    ///
    /// # Errors
    /// Its log, when it ended instead.
    pub(super) fn start(&mut self, folder: &Path) -> Result<(), String> {
        assert!(self.server.is_none(), "the server runs already");
        let answer = self.order("start");
        let server: u32 = answer.parse().unwrap_or_else(|_| panic!("`{answer}` is no process id"));
        self.server = Some(server);
        let until = Instant::now() + START_MAX;
        while !is_ready(folder, server) {
            if !is_alive(server) || Instant::now() > until {
                self.stop("QUIT");
                return Err(fs::read_to_string(folder.join("log")).unwrap_or_default());
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        Ok(())
    }

    /// Sends a signal and waits for the server's end.
    pub(super) fn stop(&mut self, signal: &str) {
        assert!(self.server.take().is_some(), "the server is stopped already");
        assert_eq!(self.order(signal), "stopped");
    }
}

/// The pid file's first line is the server's own, its eighth what it does (`pidfile.h`).
fn is_ready(folder: &Path, server: u32) -> bool {
    let text = fs::read_to_string(folder.join("data/postmaster.pid")).unwrap_or_default();
    let mut lines = text.lines().map(str::trim);
    lines.next() == Some(server.to_string().as_str()) && lines.nth(6) == Some("ready")
}

/// The state follows the name in parentheses (proc(5)); Z is ended, but not yet waited for.
fn is_alive(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ended = self.shell.wait();
    }
}
