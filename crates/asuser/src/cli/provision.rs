//! `asuser provision`: prints before it acts, and the way back is on disk before anything changes.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use asuser_connector::RoleMapping;
use asuser_ops::{GroupPlan, ProvisionPlan, apply, plan};
use clap::Args;

use super::ConfigFile;
use super::audit::operator_acts;
use super::operator::{OperatorArguments, USERS_GROUP, service};
use crate::config::{Loaded, RunAsSetting, ServiceConfig};
use crate::out;
use crate::wiring::postgres;

#[derive(Debug, Args)]
pub(super) struct ProvisionArguments {
    /// The service.
    #[arg(long, value_name = "NAME")]
    service: String,
    /// Groups with what they may read, and people with their groups (docs/provision.md). The service's login and the roles of its
    /// mapping are added by themselves.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Print what is missing, and change nothing.
    #[arg(long, required_unless_present = "apply", conflicts_with = "apply")]
    plan: bool,
    /// Print it, write the script that takes it back, and do it: all of it or nothing.
    #[arg(long)]
    apply: bool,
    /// Where the script goes that takes it back. It must not be there yet.
    #[arg(long, value_name = "FILE", default_value = "provision-undo.sql")]
    undo: PathBuf,
    #[command(flatten)]
    operator: OperatorArguments,
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) fn run(arguments: &ProvisionArguments) -> anyhow::Result<ExitCode> {
    super::start_log("error");
    let loaded = Loaded::read(&arguments.file.config)?;
    let service = service(&loaded, &arguments.service)?;
    let wanted = wanted(&loaded, service, arguments.from.as_deref())?;
    super::runtime()?.block_on(provision(&loaded, service, arguments, &wanted))
}

async fn provision(
    loaded: &Loaded,
    service: &ServiceConfig,
    arguments: &ProvisionArguments,
    wanted: &ProvisionPlan,
) -> anyhow::Result<ExitCode> {
    let mut operator = arguments.operator.connect(loaded, service).await?;
    let plan = plan(&mut operator, wanted).await?;
    if plan.is_empty() {
        out::line("-- nothing is missing")?;
        return Ok(ExitCode::SUCCESS);
    }
    out::line(plan.script().trim_end())?;
    if !arguments.apply {
        out::line(format_args!("\n-- to take it back:\n{}", plan.undo_script().trim_end()))?;
        return Ok(ExitCode::SUCCESS);
    }
    write_new(&arguments.undo, &plan.undo_script())?;
    out::line(operator_acts(loaded, &service.name, "provision").await?)?;
    if let Err(error) = apply(&mut operator, &plan).await {
        // Nothing was changed, so there is nothing to take back.
        let _ = std::fs::remove_file(&arguments.undo);
        return Err(error.into());
    }
    operator.close().await;
    out::line(format_args!("-- done; psql -f {} takes it back", arguments.undo.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// The file, and what the configuration says anyway.
fn wanted(loaded: &Loaded, service: &ServiceConfig, from: Option<&Path>) -> anyhow::Result<ProvisionPlan> {
    let mut wanted = match from {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
            toml::from_str(&text).with_context(|| format!("{} is not usable", path.display()))?
        }
        None => ProvisionPlan::default(),
    };
    complete(&mut wanted, service, &postgres::target(loaded, service)?.user)?;
    Ok(wanted)
}

fn complete(wanted: &mut ProvisionPlan, service: &ServiceConfig, login: &str) -> anyhow::Result<()> {
    if service.run_as == Some(RunAsSetting::Certificate) {
        wanted.users_group.get_or_insert_with(|| USERS_GROUP.to_owned());
    } else {
        wanted.login.get_or_insert_with(|| login.to_owned());
    }
    let mapped: Vec<String> = match service.role_mapping()? {
        RoleMapping::Groups(map) => map.into_values().collect(),
        RoleMapping::Constant(role) => vec![role],
        RoleMapping::Login | RoleMapping::Email | RoleMapping::DatabaseRole => Vec::new(),
    };
    for role in mapped {
        if !wanted.group.iter().any(|group| group.role == role) {
            wanted.group.push(GroupPlan { role, read: Vec::new() });
        }
    }
    Ok(())
}

fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().with_context(|| {
        format!("{} cannot be written, so nothing was changed (--undo names another place)", path.display())
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn completed(service: &str, from: &str) -> ProvisionPlan {
        let service: ServiceConfig = toml::from_str(&format!("name = \"db\"\nkind = \"postgres\"\n{service}")).unwrap();
        let mut wanted = toml::from_str(from).unwrap();
        complete(&mut wanted, &service, "asuser_login").unwrap();
        wanted
    }

    #[test]
    fn what_the_configuration_says_need_not_be_said_again() {
        let groups = "role = { from = \"groups\", map = { a = \"sales\", b = \"support\" } }";
        let wanted = completed(groups, "[[group]]\nrole = \"sales\"\nread = [\"public.orders\"]");
        let roles: Vec<(&str, usize)> = wanted.group.iter().map(|one| (one.role.as_str(), one.read.len())).collect();
        assert_eq!(roles, [("sales", 1), ("support", 0)]);
        assert_eq!((wanted.login.as_deref(), wanted.users_group), (Some("asuser_login"), None));

        let wanted = completed("role = \"{login}\"\nrun_as = \"certificate\"", "");
        assert_eq!((wanted.login, wanted.users_group.as_deref()), (None, Some(USERS_GROUP)));
        assert_eq!(completed("role = \"everyone\"", "login = \"other\"").login.as_deref(), Some("other"));
    }

    #[test]
    fn the_way_back_replaces_no_file_and_is_its_owner_s() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("undo.sql");
        write_new(&path, "BEGIN;\nCOMMIT;\n").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write_new(&path, "other").unwrap_err().to_string().contains("--undo"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "BEGIN;\nCOMMIT;\n");
    }
}
