//! `asuser policy`.

use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;

use super::ConfigFile;
use crate::config::Loaded;
use crate::{out, wiring};

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Check the configuration and all policies against the databases' tables, and change nothing.
    ///
    /// Every error has its file and line. Exit code 0 only if `asuser serve` would load them.
    Check(ConfigFile),
}

pub(super) fn run(command: &PolicyCommand) -> anyhow::Result<ExitCode> {
    let PolicyCommand::Check(file) = command;
    super::start_log("error");
    let loaded = Loaded::read(&file.config)?;
    let (state, _) = super::runtime()?.block_on(wiring::build(loaded))?;
    for warning in state.policies.warnings() {
        out::line(format_args!("warning: {warning}"))?;
    }
    let missing: Vec<_> = state
        .services
        .iter()
        .filter(|(_, service)| service.catalog.is_none())
        .map(|(name, _)| name.to_string())
        .collect();
    if !missing.is_empty() {
        bail!("these databases cannot be reached, so their policies were not checked: {}", missing.join(", "));
    }
    let tables: usize =
        state.services.values().filter_map(|service| service.catalog.as_ref()).map(|c| c.tables.len()).sum();
    out::line(format_args!(
        "ok: {} service(s), {tables} table(s), policies {}",
        state.services.len(),
        state.policies.digest()
    ))?;
    Ok(ExitCode::SUCCESS)
}
