//! `asuser catalog`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use asuser_core::ServiceName;
use clap::{Args, Subcommand};

use super::ConfigFile;
use crate::config::Loaded;
use crate::wiring::known::{Known, dump};
use crate::{out, wiring};

#[derive(Debug, Subcommand)]
pub(super) enum CatalogCommand {
    /// Write down which tables and columns there are, as the services' logins see them.
    ///
    /// Review it, keep it with the configuration, and name it with `catalog = "FILE"` in the service: whatever a table gets later is
    /// then closed until it stands there too, over restarts.
    Dump(DumpArguments),
}

#[derive(Debug, Args)]
pub(super) struct DumpArguments {
    #[command(flatten)]
    file: ConfigFile,
    /// This service alone; by default all.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

pub(super) fn run(command: &CatalogCommand) -> anyhow::Result<ExitCode> {
    let CatalogCommand::Dump(arguments) = command;
    super::start_log("error");
    let loaded = Loaded::read(&arguments.file.config)?;
    let wanted = |name: &ServiceName| arguments.service.as_deref().is_none_or(|service| service == name.as_str());
    let mut known = BTreeMap::new();
    let runtime = super::runtime()?;
    for config in loaded.config.service.iter().filter(|config| wanted(&config.name)) {
        let read = runtime.block_on(wiring::read_catalog(&loaded, config));
        let catalog = read.with_context(|| format!("service \"{}\"", config.name))?;
        known.insert(config.name.clone(), Known::of(&catalog));
    }
    if known.is_empty() {
        bail!("there is no [[service]] named \"{}\"", arguments.service.as_deref().unwrap_or_default());
    }
    let text = dump(known)?;
    match &arguments.write {
        Some(path) => {
            let mut file = tempfile::NamedTempFile::new_in(
                path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(".".as_ref()),
            )?;
            std::io::Write::write_all(&mut file, text.as_bytes())?;
            file.persist(path).with_context(|| format!("{} cannot be written", path.display()))?;
        }
        None => out::line(text.trim_end())?,
    }
    Ok(ExitCode::SUCCESS)
}
