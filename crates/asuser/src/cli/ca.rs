//! `asuser ca`: the certificate authority of run-as mode `certificate`.
//!
//! In: a folder. Out: files in it, and the lines that PostgreSQL needs. Refuses to overwrite a key, or to call one well that others can read.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use asuser_core::{Clock as _, SystemClock};
use asuser_credential::{AuthorityFolder, Facts, Kept, KeyState, Kind};
use chrono::DateTime;
use clap::{Args, Subcommand};

use crate::out;

/// Time enough to rotate without haste.
const DAYS_LEFT_MIN: i64 = 30;

#[derive(Debug, Subcommand)]
pub(super) enum CaCommand {
    /// Make a certificate authority, and print what PostgreSQL needs to trust it.
    ///
    /// Writes ca.key (readable by you alone), ca.crt and ca-bundle.crt, and overwrites nothing.
    Init(InitArguments),
    /// Replace the certificate authority in three steps, without an interruption.
    ///
    /// Without a flag: makes the next authority beside the one that mints, and a bundle with both. --activate, once every database has
    /// the bundle: the next one mints. --finish, ten minutes later: the old one is removed.
    Rotate(RotateArguments),
    /// Print what the authority is, how its key is kept, and how long it lasts.
    ///
    /// Exit code 0 only if it can mint.
    Show(ShowArguments),
}

#[derive(Debug, Args)]
struct Folder {
    /// The authority's folder.
    #[arg(long, value_name = "FOLDER", default_value = "asuser-ca")]
    dir: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct InitArguments {
    #[command(flatten)]
    folder: Folder,
    /// The authority's common name.
    #[arg(long, default_value = "asuser")]
    name: String,
    /// How long it lasts.
    #[arg(long, default_value_t = 5)]
    years: u32,
    /// Make a root to be kept offline; nodes get theirs with --under.
    #[arg(long, conflicts_with = "under")]
    offline_root: bool,
    /// Make this node's authority under the offline root in that folder.
    #[arg(long, value_name = "FOLDER")]
    under: Option<PathBuf>,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, Args)]
pub(super) struct RotateArguments {
    #[command(flatten)]
    folder: Folder,
    /// The next authority's common name; by default that of the present one.
    #[arg(long)]
    name: Option<String>,
    /// How long the next authority lasts.
    #[arg(long, default_value_t = 5)]
    years: u32,
    /// The folder of the offline root, for an authority that is under one.
    #[arg(long, value_name = "FOLDER")]
    under: Option<PathBuf>,
    /// Let the next authority mint.
    #[arg(long, conflicts_with_all = ["finish", "name", "under", "years"])]
    activate: bool,
    /// Remove the old authority.
    #[arg(long, conflicts_with_all = ["name", "under", "years"])]
    finish: bool,
}

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    #[command(flatten)]
    folder: Folder,
    /// Print what PostgreSQL needs, too.
    #[arg(long)]
    postgres: bool,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Debug, Args)]
struct Gateway {
    /// The address that asuser connects from, for the lines that are printed.
    #[arg(long, value_name = "ADDRESS")]
    gateway: Option<std::net::IpAddr>,
}

pub(super) fn run(command: &CaCommand) -> anyhow::Result<ExitCode> {
    match command {
        CaCommand::Init(arguments) => init(arguments, SystemClock.now_ms()),
        CaCommand::Rotate(arguments) => rotate(arguments, SystemClock.now_ms()),
        CaCommand::Show(arguments) => show(arguments, SystemClock.now_ms()),
    }
}

fn init(arguments: &InitArguments, now_ms: i64) -> anyhow::Result<ExitCode> {
    let InitArguments { folder: Folder { dir }, name, years, offline_root, under, gateway } = arguments;
    let (folder, root) = (AuthorityFolder::new(dir), under.as_ref().map(AuthorityFolder::new));
    let kind = match &root {
        Some(root) => Kind::Under(root),
        None if *offline_root => Kind::OfflineRoot,
        None => Kind::Own,
    };
    folder.init(kind, name, *years, now_ms)?;
    out::line(format_args!("wrote ca.key, ca.crt and ca-bundle.crt to {}\n", dir.display()))?;
    out::line(report(&folder, now_ms)?.text)?;
    if *offline_root {
        out::line(format_args!(
            "Keep it off every server. For each node: asuser ca init --under {} --dir asuser-ca --name node-1",
            dir.display()
        ))?;
    } else {
        out::line(for_postgres(gateway))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn rotate(arguments: &RotateArguments, now_ms: i64) -> anyhow::Result<ExitCode> {
    let folder = AuthorityFolder::new(&arguments.folder.dir);
    let next = if arguments.activate {
        folder.activate(now_ms)?;
        "The next authority mints as soon as asuser has reloaded (SIGHUP) or restarted, on every node that uses this folder.\n\
         Ten minutes after that: asuser ca rotate --finish"
    } else if arguments.finish {
        folder.finish(now_ms)?;
        "The old authority is gone. Copy ca-bundle.crt to every database once more and reload it (SELECT pg_reload_conf()): then\n\
         the old one is trusted nowhere."
    } else {
        let under = arguments.under.as_ref().map(AuthorityFolder::new);
        folder.prepare(under.as_ref(), arguments.name.as_deref(), arguments.years, now_ms)?;
        "Nothing has changed yet for anyone.\n\
         1. Copy ca-bundle.crt to every database (ssl_ca_file) and reload it: SELECT pg_reload_conf()\n\
         2. asuser ca rotate --activate"
    };
    out::line(report(&folder, now_ms)?.text)?;
    out::line(next)?;
    Ok(ExitCode::SUCCESS)
}

fn show(arguments: &ShowArguments, now_ms: i64) -> anyhow::Result<ExitCode> {
    let Report { text, well } = report(&AuthorityFolder::new(&arguments.folder.dir), now_ms)?;
    out::line(text)?;
    if arguments.postgres {
        out::line(for_postgres(&arguments.gateway))?;
    }
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is kept in a folder, for people.
struct Report {
    text: String,
    /// It does what it is there for.
    well: bool,
}

fn report(folder: &AuthorityFolder, now_ms: i64) -> anyhow::Result<Report> {
    let (mut text, mut findings) = (String::new(), String::new());
    let kept = folder.kept()?;
    for kept in &kept {
        describe(&mut text, kept, now_ms)?;
    }
    match folder.bundle() {
        Ok(trusted) => {
            writeln!(text, "ca-bundle.crt (for the database)")?;
            for facts in trusted.iter().map(Facts::of) {
                let Facts { subject, not_after_ms, fingerprint, .. } = facts?;
                writeln!(text, "  trusts      {subject}, until {}, SHA-256 {fingerprint}", moment(not_after_ms))?;
            }
        }
        // Nothing is minted with it; the database has its copy.
        Err(error) => writeln!(text, "ca-bundle.crt is not usable: {error}")?,
    }
    let mut well = true;
    let mints = kept.first().is_none_or(|kept| kept.facts.path_length == Some(0));
    match folder.open(now_ms) {
        Err(error) if mints => {
            well = false;
            writeln!(findings, "FAILED: {error}")?;
        }
        _ => {}
    }
    for Kept { file, facts, key } in &kept {
        if let KeyState::Refused(error) = key
            && (!mints || *file != asuser_credential::CERTIFICATE)
        {
            well = false;
            writeln!(findings, "FAILED: {error}")?;
        }
        let days = facts.days_left(now_ms);
        if (0..DAYS_LEFT_MIN).contains(&days) && *file == asuser_credential::CERTIFICATE {
            writeln!(findings, "warning: {file} has {days} days left: asuser ca rotate")?;
        }
    }
    if !findings.is_empty() {
        write!(text, "\n{findings}")?;
    }
    Ok(Report { text, well })
}

fn describe(text: &mut String, Kept { file, facts, key }: &Kept, now_ms: i64) -> anyhow::Result<()> {
    let place = match (*file, facts.path_length) {
        (asuser_credential::CERTIFICATE, Some(0)) => "mints",
        (asuser_credential::CERTIFICATE, _) => "a root to be kept offline",
        ("next.crt", _) => "mints after `asuser ca rotate --activate`",
        _ => "minted before; removed by `asuser ca rotate --finish`",
    };
    let by = if facts.self_signed { "itself" } else { facts.issuer.as_str() };
    let days = facts.days_left(now_ms);
    let left = if days < 0 { "expired".to_owned() } else { format!("{days} days left") };
    let key = match key {
        KeyState::Fine => "readable by its owner alone".to_owned(),
        KeyState::Absent => "not here".to_owned(),
        KeyState::Refused(error) => error.to_string(),
    };
    writeln!(text, "{file} ({place})")?;
    writeln!(text, "  subject     {}", facts.subject)?;
    writeln!(text, "  signed by   {by}")?;
    writeln!(text, "  serial      {}", facts.serial)?;
    writeln!(text, "  valid       {} to {} ({left})", moment(facts.not_before_ms), moment(facts.not_after_ms))?;
    writeln!(text, "  SHA-256     {}", facts.fingerprint)?;
    writeln!(text, "  key         {key}")?;
    Ok(())
}

fn moment(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms)
        .map_or_else(|| "an unknown time".to_owned(), |time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn for_postgres(Gateway { gateway }: &Gateway) -> String {
    let address = match gateway {
        Some(address) if address.is_ipv6() => format!("{address}/128"),
        Some(address) => format!("{address}/32"),
        None => "<gateway address>/32".to_owned(),
    };
    format!(
        "On the database server, with ca-bundle.crt copied into its data directory:

postgresql.conf
  ssl = on
  ssl_ca_file = 'ca-bundle.crt'
pg_hba.conf, above every line that could match the same connections
  hostssl all +asuser_users {address} cert map=asuser
pg_ident.conf
  asuser /^(.*)$ \\1
SQL, as an administrator
  CREATE ROLE asuser_users NOLOGIN;
  GRANT asuser_users TO \"ann@example.com\";   -- each person's role
  SELECT pg_reload_conf();

Why +asuser_users and not all: a certificate with the name postgres would log in as the superuser. With the group only its members
are logged in by certificate; a superuser is none unless it was granted the group, so never grant it to one. pg_hba.conf is read from
the top, and the first line that matches decides: let no `trust` and no wider `cert` line stand above.
"
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn made(years: u32) -> (tempfile::TempDir, AuthorityFolder, i64) {
        // Certificates know no milliseconds; half a second makes the days that are left the same each time.
        let (outer, now_ms) = (tempfile::tempdir().unwrap(), SystemClock.now_ms().div_euclid(1000) * 1000 + 500);
        let folder = AuthorityFolder::new(outer.path().join("asuser-ca"));
        folder.init(Kind::Own, "asuser", years, now_ms).unwrap();
        (outer, folder, now_ms)
    }

    #[test]
    fn postgresql_is_told_to_admit_members_only() {
        let lines = for_postgres(&Gateway { gateway: Some("10.0.0.5".parse().unwrap()) });
        assert!(lines.contains("  hostssl all +asuser_users 10.0.0.5/32 cert map=asuser\n"));
        assert!(lines.contains("  asuser /^(.*)$ \\1\n"));
        assert!(for_postgres(&Gateway { gateway: Some("fd00::5".parse().unwrap()) }).contains(" fd00::5/128 "));
        assert!(for_postgres(&Gateway { gateway: None }).contains(" <gateway address>/32 "));
    }

    #[test]
    fn an_authority_that_can_mint_is_well() {
        let (_outer, folder, now_ms) = made(5);
        let Report { text, well } = report(&folder, now_ms).unwrap();
        assert!(well, "{text}");
        for shown in
            ["ca.crt (mints)", "CN=asuser", "signed by   itself", "1824 days left", "by its owner alone", "trusts"]
        {
            assert!(text.contains(shown), "{shown}: {text}");
        }
        assert!(!text.contains("warning") && !text.contains("PRIVATE"));
    }

    #[test]
    fn its_end_is_announced_a_month_ahead() {
        let (_outer, folder, now_ms) = made(1);
        let at = |days: i64| report(&folder, now_ms + days * DAY_MS).unwrap();
        assert!(!at(334).text.contains("warning"));
        let near = at(336);
        assert!(near.well && near.text.contains("warning: ca.crt has 28 days left: asuser ca rotate"), "{}", near.text);
        let over = at(366);
        assert!(!over.well && over.text.contains("FAILED: the certificate authority expired on"), "{}", over.text);
    }

    #[test]
    fn a_loose_key_fails() {
        let (outer, folder, now_ms) = made(1);
        let key = outer.path().join("asuser-ca/ca.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let Report { text, well } = report(&folder, now_ms).unwrap();
        assert!(!well && text.contains("mode 0644") && text.contains("chmod 600"), "{text}");
        assert_eq!(text.matches("FAILED").count(), 1);
        fs::remove_file(&key).unwrap();
        assert!(!report(&folder, now_ms).unwrap().well);
    }

    #[test]
    fn a_bundle_is_not_needed_to_mint() {
        let (outer, folder, now_ms) = made(1);
        fs::remove_file(outer.path().join("asuser-ca/ca-bundle.crt")).unwrap();
        let Report { text, well } = report(&folder, now_ms).unwrap();
        assert!(well && text.contains("ca-bundle.crt is not usable"), "{text}");
    }

    #[test]
    fn a_rotation_shows_both() {
        let (_outer, folder, now_ms) = made(1);
        folder.prepare(None, None, 1, now_ms).unwrap();
        let Report { text, well } = report(&folder, now_ms).unwrap();
        assert!(well && text.contains("next.crt (mints after") && text.matches("  trusts ").count() == 2, "{text}");
        folder.activate(now_ms).unwrap();
        assert!(report(&folder, now_ms).unwrap().text.contains("old.crt (minted before"));
    }

    #[test]
    fn an_offline_root_is_well_though_it_does_not_mint() {
        let (outer, now_ms) = (tempfile::tempdir().unwrap(), SystemClock.now_ms());
        let root = AuthorityFolder::new(outer.path().join("root"));
        root.init(Kind::OfflineRoot, "root", 10, now_ms).unwrap();
        let Report { text, well } = report(&root, now_ms).unwrap();
        assert!(well && text.contains("kept offline"), "{text}");
        let node = AuthorityFolder::new(outer.path().join("node"));
        node.init(Kind::Under(&root), "node-1", 1, now_ms).unwrap();
        let Report { text, well } = report(&node, now_ms).unwrap();
        assert!(well && text.contains("signed by   CN=root"), "{text}");
        fs::set_permissions(outer.path().join("root/ca.key"), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(!report(&root, now_ms).unwrap().well);
    }
}
