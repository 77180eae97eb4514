//! Where PostgreSQL's programs are on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// Debian keeps each version's programs apart, and none on the path.
const DEBIAN: &str = "/usr/lib/postgresql";
const MAJOR_MIN: u32 = 13;

/// Programs of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installed {
    pub(super) bin: PathBuf,
    pub(super) major: u32,
}

/// The newest; if `major` is given, of that version.
pub(super) fn find(major: Option<u32>) -> anyhow::Result<Installed> {
    let mut found: Vec<Installed> = places().into_iter().filter_map(|bin| Installed::at(&bin)).collect();
    found.sort_by_key(|installed| std::cmp::Reverse(installed.major));
    let old = found.first().map(|installed| installed.major);
    found.retain(|installed| installed.major >= MAJOR_MIN && major.is_none_or(|major| installed.major == major));
    match (found.into_iter().next(), major, old) {
        (Some(installed), ..) => Ok(installed),
        (None, Some(major), _) => bail!("the kept database is of PostgreSQL {major}, which is not installed any more"),
        (None, None, Some(old)) => bail!("PostgreSQL {old} is installed; {MAJOR_MIN} or later is needed"),
        (None, None, None) => bail!(
            "no PostgreSQL is installed here (looked in {DEBIAN}, pg_config and PATH): `apt-get install postgresql`, or give the \
             address of a server: `asuser demo --postgres postgres://admin@host/database`"
        ),
    }
}

impl Installed {
    fn at(bin: &Path) -> Option<Self> {
        if !bin.join("initdb").is_file() || !bin.join("postgres").is_file() {
            return None;
        }
        let output = Command::new(bin.join("postgres")).arg("--version").output().ok()?;
        // `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`
        let text = String::from_utf8(output.stdout).ok()?;
        let version = text.split_once("(PostgreSQL) ")?.1;
        let major = version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        Some(Self { bin: bin.to_owned(), major })
    }
}

fn places() -> Vec<PathBuf> {
    let debian = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let config = Command::new("pg_config").arg("--bindir").output().ok();
    let config = config.and_then(|output| String::from_utf8(output.stdout).ok());
    let config = config.map(|text| PathBuf::from(text.trim())).filter(|bin| bin.is_absolute());
    debian.chain(config).chain(std::env::split_paths(&path).filter(|folder| folder.is_absolute())).collect()
}

/// Whom the server runs as where asuser runs as root, which PostgreSQL refuses: name, user and group.
pub(super) fn unprivileged() -> anyhow::Result<Option<(&'static str, u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").context("/etc/passwd cannot be read")?;
    let ids = |name: &'static str| {
        let mut fields = users.lines().find(|line| line.split(':').next() == Some(name))?.split(':').skip(2);
        Some((name, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let found = ids("postgres").or_else(|| ids("nobody"));
    Ok(Some(found.context(
        "PostgreSQL refuses to run as root, and there is no user `postgres` here: run the demo as another user",
    )?))
}
