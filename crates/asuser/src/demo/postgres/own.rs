//! A server of the demo's own, in its folder. It listens on no network, only on a socket in a folder that its owner alone enters, so
//! nobody needs a password there. It ends with the demo, however that ends: a shell watches the other end of a pipe.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use asuser_postgres::{Client, Target};

use super::installed::{self, Installed};
use super::{Login, Place, Postgres};
use crate::config::{Loaded, ServiceConfig};
use crate::demo::company::postgres::{self as company, Names};
use crate::demo::{Keys, say};

const NAMES: Names = Names::OWN;
const DATABASE: &str = "company";
const SUPERUSER: &str = "postgres";
/// In the socket's name: no network port is used.
const PORT: u16 = 5432;
/// Linux's `sun_path`, without the NUL.
const SOCKET_BYTES_MAX: usize = 107;
const START_MAX: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Runs the server ($1: its program, $2: its folder) until the demo's end of the pipe is closed; then stops it by its process id.
/// `read` and the server share no descriptor, and the shell is there until the server is gone, so the id stays the server's.
const SCRIPT: &str = r#"
umask 077
exec 3<&0
program=$1 folder=$2
shift 2
"$program" -D "$folder/data" "$@" </dev/null >>"$folder/log" 2>&1 3<&- & server=$!
(read -r _ <&3; kill -INT "$server") & watcher=$!
exec 3<&- </dev/null
wait "$server"
kill "$watcher"
"#;

const SETTINGS: [&str; 7] = [
    "listen_addresses=",
    "unix_socket_directories=..",
    "max_connections=60",
    "shared_buffers=16MB",
    "log_line_prefix=%m [%p] user=%u application=%a ",
    "log_checkpoints=off",
    "lc_messages=C",
];

/// A server that runs; it ends when it is dropped.
pub(super) struct Server {
    log: PathBuf,
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Server {
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until it takes logins.
    async fn ready(&mut self, first: &Login) -> anyhow::Result<Client> {
        let until = Instant::now() + START_MAX;
        let mut look = tokio::time::interval(BETWEEN_LOOKS);
        loop {
            look.tick().await;
            match first.connect().await {
                Ok(client) => return Ok(client),
                Err(error) if self.shell.try_wait()?.is_some() || Instant::now() > until => {
                    let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                    bail!("PostgreSQL does not start ({error}); the end of its log:\n{}", last_lines(&log));
                }
                Err(_) => {}
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // It cannot be started again before it has ended, nor its folder be removed.
        let _ended = self.shell.wait();
    }
}

/// What will be started, and where: everything that can be wrong before something is made.
pub(super) struct Plan {
    installed: Installed,
    user: Option<(&'static str, u32, u32)>,
    place: PathBuf,
    /// There is no database yet.
    new: bool,
    keep: bool,
    pub(super) address: String,
}

impl Plan {
    pub(super) fn of(folder: &Path, kept: bool, keep: bool) -> anyhow::Result<Self> {
        let place = folder.join("postgres");
        let address = service_url(&place)?;
        let data = place.join("data");
        let major = match std::fs::read_to_string(data.join("PG_VERSION")) {
            Ok(text) if kept => text.trim().parse().ok(),
            Ok(_) => {
                bail!("{} is there already, and of no finished demo: name another folder with --keep", data.display())
            }
            Err(_) => None,
        };
        let installed = installed::find(major)?;
        let user = installed::unprivileged()?;
        if let Some((name, ..)) = user {
            let_in(folder, name, keep)?;
        }
        Ok(Self { installed, user, place, new: major.is_none(), keep, address })
    }

    fn ids(&self) -> Option<(u32, u32)> {
        self.user.map(|(_, user, group)| (user, group))
    }

    fn announce(&self) -> anyhow::Result<()> {
        let user = self.user.map_or_else(String::new, |(name, ..)| format!(", as the user `{name}`"));
        say(format_args!(
            "Starting PostgreSQL {} ({}){user}. It keeps its files in {},\nlistens on a socket there and on no network, and ends with \
             the demo.",
            self.installed.major,
            self.installed.bin.display(),
            self.place.display()
        ))
    }
}

/// Where asuser finds the company.
fn service_url(place: &Path) -> anyhow::Result<String> {
    let socket = place.join(format!(".s.PGSQL.{PORT}"));
    if socket.as_os_str().len() > SOCKET_BYTES_MAX {
        bail!("{} is too long for a socket's path: name a shorter folder with --keep", socket.display());
    }
    let encoded: String = place.as_os_str().as_encoded_bytes().iter().map(|byte| escaped(*byte)).collect();
    Ok(format!("postgres://{}@{encoded}:{PORT}/{DATABASE}", NAMES.login))
}

/// RFC 3986 §2.1
fn escaped(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}

/// For the configuration.
pub(super) fn keys(address: &str) -> Keys {
    Keys {
        mapping: "# The demo's directory gives a login to nobody else later, so it may name a database role.\nmapping.login_managed = true\n",
        service: format!("kind = \"postgres\"\nurl = \"{address}\"\nrole = \"{{login}}\"\ndefault = \"database\""),
    }
}

pub(super) async fn start(plan: Plan, loaded: &Loaded, service: &ServiceConfig) -> anyhow::Result<Postgres> {
    plan.announce()?;
    let login = super::login(loaded, service)?;
    let owner = |database: &str| {
        let target = Target { user: SUPERUSER.to_owned(), database: database.to_owned(), ..login.target.clone() };
        Login { target, password: None }
    };
    let (first, admin, new, ids) = (owner(SUPERUSER), owner(DATABASE), plan.new, plan.ids());
    let plan = tokio::task::spawn_blocking(move || {
        if new {
            initialise(&plan.installed, &plan.place, ids)?;
        }
        anyhow::Ok(plan)
    });
    let plan = plan.await??;
    let mut server = run(&plan)?;
    let mut client = server.ready(&first).await?;
    if new {
        client.execute(&format!("CREATE DATABASE {DATABASE}")).await?;
        make(&admin).await.context("the company cannot be written into its database")?;
    }
    client.close().await;
    Ok(Postgres { names: NAMES, admin, login, place: Place::Own { server } })
}

/// The server's user must be able to pass through the demo's folder to its own.
fn let_in(folder: &Path, user: &str, keep: bool) -> anyhow::Result<()> {
    if !keep {
        // Made by us as root's alone. Passing is not reading; what is secret in it has a mode of its own.
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711))?;
    }
    let closed =
        folder.ancestors().find(|folder| std::fs::metadata(folder).is_ok_and(|found| found.mode() & 0o001 == 0));
    if let Some(closed) = closed {
        bail!(
            "PostgreSQL refuses to run as root, and the user `{user}` cannot enter {}: name another folder with --keep, or run the demo \
             as another user",
            closed.display()
        );
    }
    Ok(())
}

fn initialise(installed: &Installed, place: &Path, ids: Option<(u32, u32)>) -> anyhow::Result<()> {
    std::fs::create_dir_all(place)?;
    std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o700))?;
    if let Some((user, group)) = ids {
        chown(place, Some(user), Some(group))?;
    }
    let output = command(installed.bin.join("initdb"), ids)
        .args([
            "--encoding=UTF8",
            "--no-locale",
            "--auth-local=trust",
            "--auth-host=reject",
            "--no-sync",
            "--no-instructions",
        ])
        .args(["--username", SUPERUSER, "-D"])
        .arg(place.join("data"))
        .output()
        .with_context(|| format!("{} cannot be run", installed.bin.join("initdb").display()))?;
    if !output.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// A command in a process group of its own: Ctrl-C is for the demo, which ends the others in order.
fn command(program: impl AsRef<std::ffi::OsStr>, ids: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = ids {
        command.uid(user).gid(group);
    }
    command.stdin(Stdio::null()).current_dir("/").process_group(0);
    command
}

fn run(plan: &Plan) -> anyhow::Result<Server> {
    let Plan { installed, place, keep, .. } = plan;
    let mut shell = command("/bin/sh", plan.ids());
    shell.args(["-c", SCRIPT, "asuser-demo-postgres"]).arg(installed.bin.join("postgres")).arg(place);
    for setting in SETTINGS {
        shell.args(["-c", setting]);
    }
    if !keep {
        // It goes with the demo, so it need not survive the machine.
        shell.args(["-c", "fsync=off"]);
    }
    let shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut shell = shell.context("/bin/sh cannot be run")?;
    let pipe = shell.stdin.take();
    Ok(Server { log: place.join("log"), shell, pipe })
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(8)).copied().collect::<Vec<_>>().join("\n")
}

async fn make(admin: &Login) -> anyhow::Result<()> {
    let mut client: Client = admin.connect().await?;
    client.execute("BEGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC").await?;
    company::create(&mut client, &NAMES, "", "LOGIN").await?;
    // Only asuser's login may set who asks; and what it does stands in the server's log.
    let set_config = "EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean)";
    let login = NAMES.login;
    client
        .execute(&format!(
            "REVOKE {set_config} FROM PUBLIC; GRANT {set_config} TO {login}; ALTER ROLE {login} SET log_statement = 'all'; COMMIT"
        ))
        .await?;
    client.close().await;
    Ok(())
}
