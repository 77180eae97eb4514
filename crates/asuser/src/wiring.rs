//! The one place that names every provider and connector: a configuration in, the [`State`] that decides out, or all that is wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use asuser_audit::VersionDigests;
use asuser_connector::Connector;
use asuser_connector_sqlite::{SqliteConnector, SqliteOptions};
use asuser_core::{Catalog, ServiceName};
use asuser_delegation::Agents;
use asuser_gateway::{Service, State};
use asuser_identity::Identities;
use asuser_policy::{LoadError, Policies, PolicyFile, PolicyFolder, PolicySources, ServiceSource};
use asuser_query::ServiceLimits;

use crate::config::{Loaded, ServiceConfig, ServiceKind};

/// At most this many bytes in one policy file.
const POLICY_BYTES_MAX: u64 = 1024 * 1024;

/// Builds the state. A database that cannot be reached makes its own service not ready; a policy that does not load stops all.
pub(crate) async fn state(loaded: &Loaded) -> anyhow::Result<State> {
    let identities = identities(loaded)?;
    let agents = agents(loaded, &identities)?;
    let mut services = BTreeMap::new();
    for config in &loaded.config.service {
        services.insert(config.name.clone(), service(loaded, config).await?);
    }
    let policies = policies(loaded, &identities, &services)?;
    for warning in policies.warnings() {
        tracing::warn!(%warning, "policy");
    }
    let digests = VersionDigests { config: loaded.digest, policy: policies.digest() };
    Ok(State { identities, agents, auditors: loaded.config.audit.auditors.clone(), policies, services, digests })
}

/// The same providers, agents and databases, seen anew: `None` if no catalogue changed.
///
/// Where the policies no longer fit a changed catalogue, its service is not ready until they are mended: the others serve.
pub(crate) async fn refreshed(loaded: &Loaded, state: &State) -> anyhow::Result<Option<State>> {
    let mut changed = Vec::new();
    let mut services = BTreeMap::new();
    for (name, service) in &state.services {
        let catalog = catalog(name, &*service.connector).await;
        if catalog.as_ref().map(|catalog| catalog.version) != service.catalog.as_ref().map(|known| known.version) {
            changed.push(name.clone());
        }
        let (connector, limits) = (Arc::clone(&service.connector), service.limits);
        services.insert(name.clone(), Service { connector, catalog, limits });
    }
    if changed.is_empty() {
        return Ok(None);
    }
    let identities = identities(loaded)?;
    let agents = agents(loaded, &identities)?;
    let policies = match policies(loaded, &identities, &services) {
        Ok(policies) => policies,
        Err(error) => {
            tracing::error!(
                "these services' tables changed, and their policies no longer fit, so they are not ready: {changed:?}: {error:#}"
            );
            for name in &changed {
                if let Some(service) = services.get_mut(name) {
                    service.catalog = None;
                }
            }
            self::policies(loaded, &identities, &services)?
        }
    };
    let digests = VersionDigests { config: loaded.digest, policy: policies.digest() };
    Ok(Some(State { identities, agents, auditors: loaded.config.audit.auditors.clone(), policies, services, digests }))
}

pub(crate) fn identities(loaded: &Loaded) -> anyhow::Result<Identities> {
    Ok(Identities::new(&loaded.config.identity, &loaded.folder, &|reference| loaded.secret(reference))?)
}

fn agents(loaded: &Loaded, identities: &Identities) -> anyhow::Result<Agents> {
    let config = &loaded.config;
    Ok(Agents::new(config.agent.clone(), config.actor.clone(), identities.scope_required_issuers())?)
}

async fn service(loaded: &Loaded, config: &ServiceConfig) -> anyhow::Result<Service> {
    let connector: Arc<dyn Connector> = match config.kind {
        ServiceKind::Sqlite => {
            let mut options = SqliteOptions::new(config.name.clone(), loaded.path(&config.path));
            options.connections = config.connections;
            let opened = SqliteConnector::open(options);
            Arc::new(opened.with_context(|| format!("service \"{}\"", config.name))?)
        }
    };
    let limits = ServiceLimits {
        max_records: config.max_records,
        bytes_max: config.answer_mib_max * 1024 * 1024,
        time_ms_max: config.statement_ms_max,
    };
    let catalog = catalog(&config.name, &*connector).await;
    Ok(Service { connector, catalog, limits })
}

async fn catalog(name: &ServiceName, connector: &dyn Connector) -> Option<Arc<Catalog>> {
    match connector.catalog().await {
        Ok(catalog) => Some(catalog),
        Err(error) => {
            tracing::error!(service = %name, %error, "the service is not ready");
            None
        }
    }
}

/// Loads the policies of the services whose catalogue is known; those of the others wait with their service.
fn policies(
    loaded: &Loaded,
    identities: &Identities,
    services: &BTreeMap<ServiceName, Service>,
) -> anyhow::Result<Policies> {
    let mut sources = sources(&loaded.path(&loaded.config.policy.path))?;
    for folder in sources.folders.keys() {
        let known = loaded.config.service.iter().any(|service| service.name.as_str() == folder);
        if !known && folder != PolicySources::ALL {
            bail!("policies/{folder}: there is no [[service]] named \"{folder}\"");
        }
    }
    let mut ready = Vec::new();
    for config in &loaded.config.service {
        match services.get(&config.name).and_then(|service| service.catalog.clone()) {
            Some(catalog) => ready.push(ServiceSource { catalog, default: config.default.into() }),
            None => _ = sources.folders.remove(config.name.as_str()),
        }
    }
    Policies::load(&sources, &ready, identities.attribute_schema()).map_err(|errors| listed(&errors))
}

fn listed(errors: &[LoadError]) -> anyhow::Error {
    let lines: Vec<String> = errors.iter().map(|error| format!("  {error}")).collect();
    anyhow!("the policies do not load:\n{}", lines.join("\n"))
}

/// Reads `policies/`: every `*.cedar` and `masks.toml`, one folder deep. What else lies there is refused, since somebody
/// believes that it is in force.
fn sources(folder: &Path) -> anyhow::Result<PolicySources> {
    let mut sources = PolicySources::default();
    let shown = folder.file_name().map_or_else(|| "policies".into(), |name| name.to_string_lossy().into_owned());
    for path in entries(folder)? {
        let name = file_name(&path)?;
        if !path.is_dir() {
            bail!("{}: policies stand in a folder named like their service, such as {shown}/db/", path.display());
        }
        let mut found = PolicyFolder::default();
        for path in entries(&path)? {
            let file = file_name(&path)?;
            let shown = format!("{shown}/{name}/{file}");
            match file.as_str() {
                "masks.toml" => found.masks = Some(read(&path, shown)?),
                cedar if cedar.ends_with(".cedar") => found.policies.push(read(&path, shown)?),
                _ => bail!("{shown}: only *.cedar and masks.toml belong here"),
            }
        }
        sources.folders.insert(name, found);
    }
    Ok(sources)
}

/// What a folder holds, in the order of names; hidden files (editors' and backups') are passed over.
fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let listed = fs::read_dir(folder).with_context(|| format!("the folder {} cannot be read", folder.display()))?;
    let mut paths: Vec<PathBuf> = listed.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.retain(|path| path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b".")));
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> anyhow::Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(name.with_context(|| format!("{} has a name that is not UTF-8", path.display()))?.to_owned())
}

fn read(path: &Path, name: String) -> anyhow::Result<PolicyFile> {
    let length = fs::metadata(path).with_context(|| format!("{name} cannot be read"))?.len();
    if length > POLICY_BYTES_MAX {
        bail!("{name} is larger than {POLICY_BYTES_MAX} bytes");
    }
    let text = fs::read_to_string(path).with_context(|| format!("{name} cannot be read"))?;
    Ok(PolicyFile { name, text })
}
