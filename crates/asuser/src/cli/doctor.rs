//! `asuser doctor`.

use std::process::ExitCode;

use asuser_ops::doctor::{Report, count, examine, without_users};
use clap::Args;

use super::ConfigFile;
use super::audit::operator_acts;
use super::operator::{OperatorArguments, facts};
use crate::config::{Loaded, ServiceConfig, ServiceKind};
use crate::{out, wiring};

/// A service that was not examined.
const NOT_EXAMINED: u8 = 2;

#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// Examine this service only.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Count every table's rows too: what a shared service account would see.
    #[arg(long)]
    counts: bool,
    /// Count what this database role would see, beside what a shared service account would.
    #[arg(long = "as", value_name = "ROLE")]
    as_role: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: OperatorArguments,
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) fn run(arguments: &DoctorArguments) -> anyhow::Result<ExitCode> {
    super::start_log("error");
    let loaded = Loaded::read(&arguments.file.config)?;
    let wanted = |service: &&ServiceConfig| arguments.service.as_ref().is_none_or(|name| service.name.as_str() == name);
    let services: Vec<&ServiceConfig> = loaded.config.service.iter().filter(wanted).collect();
    if services.is_empty() {
        anyhow::bail!("there is no [[service]] named \"{}\"", arguments.service.as_deref().unwrap_or_default());
    }
    let runtime = super::runtime()?;
    let (mut code, mut reports) = (0, Vec::new());
    for service in services {
        let name = service.name.as_str();
        match runtime.block_on(one(&loaded, service, arguments)) {
            Ok(report) => {
                code = code.max(report.exit_code());
                if arguments.json {
                    reports.push(serde_json::to_value(&report)?);
                } else {
                    out::line(&report)?;
                }
            }
            Err(error) => {
                code = NOT_EXAMINED;
                let why = wiring::in_one_line(&error);
                if arguments.json {
                    reports.push(serde_json::json!({ "service": name, "error": why }));
                } else {
                    out::line(format_args!("{name}: could not be examined: {why}\n"))?;
                }
            }
        }
    }
    if arguments.json {
        out::line(serde_json::to_string_pretty(&reports)?)?;
    }
    Ok(ExitCode::from(code))
}

async fn one(loaded: &Loaded, service: &ServiceConfig, arguments: &DoctorArguments) -> anyhow::Result<Report> {
    if service.kind == ServiceKind::Sqlite {
        return Ok(without_users(service.name.as_str(), "SQLite"));
    }
    let facts = facts(loaded, service)?;
    let mut operator = arguments.operator.connect_or_as_service(loaded, service).await?;
    let mut report = examine(&mut operator, &facts).await?;
    if arguments.counts || arguments.as_role.is_some() {
        // What counts rows is recorded; the words about it are not the report's.
        operator_acts(loaded, &service.name, "doctor, counting rows").await?;
        report.counts = Some(count(&mut operator, &facts, arguments.as_role.as_deref()).await?);
    }
    operator.close().await;
    Ok(report)
}
