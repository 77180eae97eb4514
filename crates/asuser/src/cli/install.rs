//! `asuser install` and `asuser uninstall`: the signed `asuser.claims()`, and its key.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use asuser_core::Secret;
use asuser_credential::claims::ClaimsKey;
use asuser_ops::{INSTALL_SQL, install, key_ids, uninstall};
use clap::Args;
use tempfile::NamedTempFile;

use super::ConfigFile;
use super::audit::operator_acts;
use super::operator::{OperatorArguments, service};
use crate::config::{Loaded, ServiceConfig};
use crate::out;

#[derive(Debug, Args)]
pub(super) struct InstallArguments {
    /// The service.
    #[arg(long, value_name = "NAME")]
    service: String,
    /// Make a new key. The one before stays valid until the next rotation.
    #[arg(long)]
    rotate: bool,
    /// Where the key goes; by default where the service's `claims_key = "file:…"` says, else `claims-NAME.key` beside the configuration.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Print the SQL, and do nothing.
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    operator: OperatorArguments,
    #[command(flatten)]
    file: ConfigFile,
}

#[derive(Debug, Args)]
pub(super) struct UninstallArguments {
    /// The service.
    #[arg(long, value_name = "NAME")]
    service: String,
    /// Drop the policies and views that use it too. A table that loses its policies is closed to everybody.
    #[arg(long)]
    cascade: bool,
    #[command(flatten)]
    operator: OperatorArguments,
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) fn run(arguments: &InstallArguments) -> anyhow::Result<ExitCode> {
    super::start_log("error");
    if arguments.print {
        out::line(INSTALL_SQL.trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    let loaded = Loaded::read(&arguments.file.config)?;
    let service = service(&loaded, &arguments.service)?;
    super::runtime()?.block_on(install_into(&loaded, service, arguments))
}

async fn install_into(
    loaded: &Loaded,
    service: &ServiceConfig,
    arguments: &InstallArguments,
) -> anyhow::Result<ExitCode> {
    let mut operator = arguments.operator.connect(loaded, service).await?;
    let known = key_ids(&mut operator).await?;
    if !known.is_empty() && !arguments.rotate {
        out::line(operator_acts(loaded, &service.name, "install").await?)?;
        let done = install(&mut operator, None).await?;
        out::line(format_args!(
            "asuser.claims() is there; keys {:?} are valid (--rotate makes another)",
            done.key_ids
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    let path = key_path(loaded, service, arguments.key_file.as_deref())?;
    if path.exists() && known.is_empty() {
        bail!("{} is there already, and may be another database's key: --key-file names another place", path.display());
    }
    let last = known.last().copied().unwrap_or_default();
    let key = ClaimsKey::random(last.checked_add(1).context("there is no number left for a key")?)?;
    // On disk before the database believes in it: a key that nobody has would sign nothing.
    let file = written(&path, key.text())?;
    out::line(
        operator_acts(loaded, &service.name, if known.is_empty() { "install" } else { "install, new key" }).await?,
    )?;
    let done = install(&mut operator, Some(&key)).await?;
    file.persist(&path).with_context(|| {
        format!("the database has the new key, {} does not: run this again with --rotate", path.display())
    })?;
    operator.close().await;
    out::line(format_args!("asuser.claims() is installed; keys {:?} are valid", done.key_ids))?;
    if service.claims_key.is_none() {
        out::line(format_args!("add to the service:  claims_key = \"file:{}\"", path.display()))?;
    }
    out::line(
        "then have asuser read its configuration (SIGHUP), and write policies with (select asuser.claims() ->> 'sub')",
    )?;
    Ok(ExitCode::SUCCESS)
}

fn key_path(loaded: &Loaded, service: &ServiceConfig, given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    match service.claims_key.as_deref() {
        Some(reference) => {
            let path = reference.strip_prefix("file:").with_context(|| {
                format!("claims_key = \"{reference}\" is no file: name one with --key-file, and put its text there")
            })?;
            Ok(loaded.path(Path::new(path)))
        }
        None => Ok(loaded.path(Path::new(&format!("claims-{}.key", service.name)))),
    }
}

/// A file beside `path` with the key, which only its owner may read.
fn written(path: &Path, key: &Secret) -> anyhow::Result<NamedTempFile> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || {
        let mut file = NamedTempFile::new_in(folder)?;
        writeln!(file, "{}", key.expose())?;
        file.as_file().sync_all()?;
        std::io::Result::Ok(file)
    };
    write().with_context(|| format!("no key can be written to {}", folder.display()))
}

pub(super) fn run_uninstall(arguments: &UninstallArguments) -> anyhow::Result<ExitCode> {
    super::start_log("error");
    let loaded = Loaded::read(&arguments.file.config)?;
    let service = service(&loaded, &arguments.service)?;
    super::runtime()?.block_on(async {
        let mut operator = arguments.operator.connect(&loaded, service).await?;
        out::line(operator_acts(&loaded, &service.name, "uninstall").await?)?;
        let done = uninstall(&mut operator, arguments.cascade).await?;
        operator.close().await;
        if !done.was_installed {
            out::line("asuser.claims() is not installed")?;
        } else if done.dropped.is_empty() {
            out::line("asuser.claims() and its keys are removed")?;
        } else {
            out::line(format_args!(
                "asuser.claims() and its keys are removed, and with them: {}",
                done.dropped.join(", ")
            ))?;
        }
        if service.claims_key.is_some() {
            out::line("now remove claims_key from the service")?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_file_is_its_owner_s_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("claims.key");
        let key = ClaimsKey::random(3).unwrap();
        let file = written(&path, key.text()).unwrap();
        assert!(!path.exists(), "not before the database has it");
        file.persist(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.parse::<ClaimsKey>().unwrap().text(), key.text());
        assert!(written(&folder.path().join("no/where"), key.text()).is_err());
    }
}
