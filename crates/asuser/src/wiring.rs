//! The one place that names every provider and connector: a configuration in, the [`State`] that decides out, or all that is wrong.

pub(crate) mod known;
pub(crate) mod postgres;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use asuser_audit::VersionDigests;
use asuser_connector::Connector;
use asuser_connector_postgres::PostgresConnector;
use asuser_connector_sqlite::{SqliteConnector, SqliteOptions};
use asuser_core::{Catalog, Clock, Digest, ServiceName, SystemClock};
use asuser_delegation::Agents;
use asuser_gateway::{Service, State};
use asuser_identity::{Identities, IdentityConfig};
use asuser_policy::{LoadError, Policies, PolicyFile, PolicyFolder, PolicySources, ServiceSource};
use asuser_query::ServiceLimits;
use sha2::Digest as _;

use self::known::Known;
use crate::config::{Loaded, ServiceConfig, ServiceKind, tools};

/// At most this many bytes in one policy file.
const POLICY_BYTES_MAX: u64 = 1024 * 1024;

/// What is in force: the configuration and the policy texts as they were read, and nothing that the disk says since.
pub(crate) struct InForce {
    pub(crate) loaded: Loaded,
    pub(crate) sources: PolicySources,
    /// The columns that somebody has looked at.
    pub(crate) seen: BTreeMap<ServiceName, Known>,
}

/// Reads policies and keys and builds the state. A database that cannot be reached makes its own service not ready; a policy that
/// does not load stops all.
pub(crate) async fn build(loaded: Loaded) -> anyhow::Result<(State, InForce)> {
    let sources = sources(&loaded.path(&loaded.config.policy.path))?;
    let keys = key_files(&loaded)?;
    let identities = Arc::new(identities(&loaded)?);
    if key_files(&loaded)? != keys {
        bail!("a key file changed while it was read: try again");
    }
    let agents = Arc::new(agents(&loaded, &identities)?);
    let tools = tools(&loaded.config)?;
    let mut services = BTreeMap::new();
    for config in &loaded.config.service {
        services.insert(config.name.clone(), service(&loaded, config).await?);
    }
    let mut seen = BTreeMap::new();
    for config in &loaded.config.service {
        if let Some(path) = &config.catalog {
            let known = Known::read(&loaded.path(path), &config.name)
                .with_context(|| format!("service \"{}\"", config.name))?;
            seen.insert(config.name.clone(), known);
        }
    }
    let policies = policies(&loaded, &sources, &identities, &services)?;
    let policies = without_unseen(policies, &loaded, &mut seen, &services);
    for warning in policies.warnings() {
        tracing::warn!(%warning, "policy");
    }
    let digests = VersionDigests { config: digest(&loaded, &keys), policy: policies.digest() };
    let auditors = loaded.config.audit.auditors.clone();
    let state = State { identities, agents, auditors, policies, services, tools, digests };
    Ok((state, InForce { loaded, sources, seen }))
}

/// What each service's tables look like; `None`: not reachable.
pub(crate) type Catalogs = BTreeMap<ServiceName, Option<Arc<Catalog>>>;

/// What the databases look like now; `None`: not reachable. Slow where one hangs, and changes nothing.
pub(crate) async fn catalogs(state: &State) -> Catalogs {
    let mut found = BTreeMap::new();
    for (name, service) in &state.services {
        found.insert(name.clone(), catalog(name, &*service.connector).await);
    }
    found
}

/// The same configuration, providers, agents and policy texts over new catalogues: `None` if none changed.
///
/// Where the policies no longer fit a changed catalogue, its service is not ready until they are mended: the others serve. A column
/// that a table has got since somebody last looked is closed until a reload, since no policy or mask can have meant it.
pub(crate) fn recompiled(in_force: &mut InForce, state: &State, catalogs: &Catalogs) -> anyhow::Result<Option<State>> {
    let mut changed = Vec::new();
    let mut services = BTreeMap::new();
    for (name, service) in &state.services {
        let catalog = catalogs.get(name).cloned().flatten();
        if catalog.as_ref().map(|catalog| catalog.version) != service.catalog.as_ref().map(|known| known.version) {
            changed.push(name.clone());
        }
        let (connector, limits) = (Arc::clone(&service.connector), service.limits);
        let (functions, description) = (service.functions.clone(), service.description.clone());
        services.insert(name.clone(), Service { connector, catalog, limits, functions, description });
    }
    if changed.is_empty() {
        return Ok(None);
    }
    let InForce { loaded, sources, seen } = in_force;
    let policies = match policies(loaded, sources, &state.identities, &services) {
        Ok(policies) => policies,
        Err(error) => {
            let why = in_one_line(&error);
            tracing::error!(
                ?changed,
                "the tables of these services changed, and their policies no longer fit, so they are not ready: {why}"
            );
            for name in &changed {
                if let Some(service) = services.get_mut(name) {
                    service.catalog = None;
                }
            }
            self::policies(loaded, sources, &state.identities, &services)?
        }
    };
    let policies = without_unseen(policies, loaded, seen, &services);
    let digests = VersionDigests { policy: policies.digest(), ..state.digests };
    let (identities, agents) = (Arc::clone(&state.identities), Arc::clone(&state.agents));
    let (auditors, tools) = (state.auditors.clone(), state.tools.clone());
    Ok(Some(State { identities, agents, auditors, policies, services, tools, digests }))
}

/// Closes the columns that nobody has looked at.
fn without_unseen(
    mut policies: Policies,
    loaded: &Loaded,
    seen: &mut BTreeMap<ServiceName, Known>,
    services: &BTreeMap<ServiceName, Service>,
) -> Policies {
    for config in &loaded.config.service {
        let name = &config.name;
        let Some(catalog) = services.get(name).and_then(|service| service.catalog.as_ref()) else { continue };
        let from_file = config.catalog.is_some();
        let known = seen.entry(name.clone()).or_insert_with(|| Known::of(catalog));
        let new = known.new_columns(catalog, !from_file);
        if !new.is_empty() {
            let shown: Vec<String> = new.iter().map(|(table, column)| format!("{table}.{column}")).collect();
            let until = if from_file { "they stand in the catalog file (asuser catalog dump)" } else { "a reload" };
            tracing::warn!(service = %name, columns = shown.join(", "), "new columns are closed until {until}: look at the policies and masks first");
            policies = policies.closing(name, new);
        }
    }
    policies
}

/// Policy files that were in force with something in them, and are now gone or empty: half of an edit, as often as a wish, and
/// what they forbade or masked would be open.
pub(crate) fn lost_files(before: &InForce, now: &InForce) -> Vec<String> {
    let texts = |sources: &PolicySources| -> BTreeMap<String, bool> {
        let files = sources.folders.values().flat_map(|folder| folder.policies.iter().chain(&folder.masks));
        files.map(|file| (file.name.clone(), !file.text.trim().is_empty())).collect()
    };
    let now_texts = texts(&now.sources);
    let concerns = |name: &str| {
        let of = |service: &ServiceConfig| name.split('/').nth(1) == Some(service.name.as_str());
        name.split('/').nth(1) == Some(PolicySources::ALL) || now.loaded.config.service.iter().any(of)
    };
    texts(&before.sources)
        .into_iter()
        .filter(|(name, held)| *held && concerns(name) && now_texts.get(name) != Some(&true))
        .map(|(name, _)| name)
        .collect()
}

/// What a log line can hold: what follows a line break there would look like somebody else's.
pub(crate) fn in_one_line(error: &anyhow::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}

/// Digests of the files that keys, trust and known columns come from.
fn key_files(loaded: &Loaded) -> anyhow::Result<Vec<[u8; 32]>> {
    let keys = loaded.config.identity.iter().flat_map(|config| {
        let IdentityConfig { jwks_file, jwk_file, pem_file, tls_ca, .. } = config;
        [jwks_file, jwk_file, pem_file, tls_ca]
    });
    let of_services = loaded.config.service.iter().flat_map(|service| {
        let authority = service.ca_dir.as_ref().map(|folder| folder.join(asuser_credential::CERTIFICATE));
        [service.tls_ca.clone(), service.catalog.clone(), authority]
    });
    let files = keys.cloned().chain(of_services);
    let digest = |path: PathBuf| {
        let path = &path;
        let path = loaded.path(path);
        let bytes = fs::read(&path).with_context(|| format!("the key file {} cannot be read", path.display()))?;
        anyhow::Ok(sha2::Sha256::digest(bytes).into())
    };
    files.flatten().map(digest).collect()
}

/// The configuration as the audit names it: its text, and the keys that it trusts.
fn digest(loaded: &Loaded, keys: &[[u8; 32]]) -> Digest {
    let mut hash = sha2::Sha256::new_with_prefix(loaded.digest.0);
    for key in keys {
        hash.update(key);
    }
    Digest(hash.finalize().into())
}

pub(crate) fn identities(loaded: &Loaded) -> anyhow::Result<Identities> {
    Ok(Identities::new(&loaded.config.identity, &loaded.folder, &|reference| loaded.secret(reference))?)
}

/// Has the keys of providers that publish them fetched from now on, in the background; what `before` fetched is taken over.
pub(crate) fn fetch_keys(identities: &Identities, before: Option<&Identities>) {
    if let Some(before) = before {
        identities.adopt_keys(before);
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    identities.spawn_refresh(&clock);
}

fn agents(loaded: &Loaded, identities: &Identities) -> anyhow::Result<Agents> {
    let config = &loaded.config;
    let services = config.service.iter().map(|service| service.name.clone());
    Ok(Agents::new(config.agent.clone(), config.actor.clone(), identities.scope_required_issuers(), services)?)
}

/// The tables of a service, as they are now.
pub(crate) async fn read_catalog(loaded: &Loaded, config: &ServiceConfig) -> anyhow::Result<Arc<Catalog>> {
    Ok(connector(loaded, config)?.catalog().await?)
}

async fn service(loaded: &Loaded, config: &ServiceConfig) -> anyhow::Result<Service> {
    let connector = connector(loaded, config).with_context(|| format!("service \"{}\"", config.name))?;
    let limits = ServiceLimits {
        max_records: config.max_records,
        bytes_max: config.answer_mib_max * 1024 * 1024,
        time_ms_max: config.statement_ms_max,
    };
    let catalog = catalog(&config.name, &*connector).await;
    let (functions, description) = (config.functions()?, config.description.clone());
    Ok(Service { connector, catalog, limits, functions, description })
}

fn connector(loaded: &Loaded, config: &ServiceConfig) -> anyhow::Result<Arc<dyn Connector>> {
    match config.kind {
        ServiceKind::Sqlite => {
            let path = config.path.as_deref().context("path is missing")?;
            let mut options = SqliteOptions::new(config.name.clone(), loaded.path(path));
            options.connections = config.connections.unwrap_or(options.connections);
            options.waiting_max = config.waiting_max.unwrap_or(options.waiting_max);
            Ok(Arc::new(SqliteConnector::open(options)?))
        }
        ServiceKind::Postgres => Ok(Arc::new(PostgresConnector::open(postgres::options(loaded, config)?)?)),
    }
}

async fn catalog(name: &ServiceName, connector: &dyn Connector) -> Option<Arc<Catalog>> {
    match connector.catalog().await {
        Ok(catalog) => Some(catalog),
        Err(error) => {
            // It may name tables, which are called whatever somebody called them.
            let error = error.to_string();
            tracing::error!(service = %name, error = %error.escape_debug(), "the service is not ready");
            None
        }
    }
}

/// Loads the policies of the services whose catalogue is known; those of the others wait with their service.
fn policies(
    loaded: &Loaded,
    sources: &PolicySources,
    identities: &Identities,
    services: &BTreeMap<ServiceName, Service>,
) -> anyhow::Result<Policies> {
    let mut sources = sources.clone();
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
