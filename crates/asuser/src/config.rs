//! `asuser.toml`: one file, unknown keys refused with the line and a suggestion, secrets only as `env:NAME` or `file:PATH`.

mod server;
mod service;
mod tool;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use asuser_audit_log::SinkName;
use asuser_core::{Digest, Secret};
use asuser_delegation::{ActorConfig, AgentConfig};
use asuser_gateway::Auditors;
use asuser_identity::IdentityConfig;
use serde::Deserialize;
use sha2::Digest as _;

pub(crate) use tool::{ToolConfig, tools};

pub(crate) use server::ServerConfig;
pub(crate) use service::{
    AppNameSetting, BigintSetting, RunAsSetting, ServiceConfig, ServiceKind, TlsSetting, ValidUntilSetting,
};

/// Two segments of the log.
const RESERVE_MIB_MIN: u64 = 32;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default)]
    pub(crate) server: ServerConfig,
    #[serde(default)]
    pub(crate) store: StoreConfig,
    #[serde(default)]
    pub(crate) audit: AuditConfig,
    #[serde(default)]
    pub(crate) policy: PolicyConfig,
    #[serde(default)]
    pub(crate) identity: Vec<IdentityConfig>,
    #[serde(default)]
    pub(crate) service: Vec<ServiceConfig>,
    #[serde(default)]
    pub(crate) agent: Vec<AgentConfig>,
    #[serde(default)]
    pub(crate) tool: Vec<ToolConfig>,
    #[serde(default)]
    pub(crate) actor: ActorConfig,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StoreConfig {
    pub(crate) path: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuditConfig {
    pub(crate) path: PathBuf,
    pub(crate) origin: String,
    pub(crate) checkpoint_to: Vec<String>,
    pub(crate) reserve_mib: u64,
    pub(crate) refusals: RefusalsConfig,
    pub(crate) auditors: Vec<Auditors>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RefusalsConfig {
    pub(crate) burst: u32,
    pub(crate) per_second: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PolicyConfig {
    pub(crate) path: PathBuf,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { path: "asuser-state".into() }
    }
}
impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            path: "asuser-audit".into(),
            origin: "asuser".into(),
            checkpoint_to: vec!["stdout".into()],
            reserve_mib: 64,
            refusals: RefusalsConfig::default(),
            auditors: Vec::new(),
        }
    }
}
impl AuditConfig {
    /// What takes a restart to change: all but who audits.
    pub(crate) fn without_auditors(&self) -> Self {
        Self { auditors: Vec::new(), ..self.clone() }
    }
}
impl Default for RefusalsConfig {
    fn default() -> Self {
        let limits = asuser_gateway::FloodLimits::default();
        Self { burst: limits.burst, per_second: limits.per_second }
    }
}
impl Default for PolicyConfig {
    fn default() -> Self {
        Self { path: "policies".into() }
    }
}
/// A configuration with the folder that its relative paths start at, and the digest of its text.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) folder: PathBuf,
    pub(crate) digest: Digest,
}

impl Loaded {
    /// Reads and checks a file.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("the configuration {} cannot be read (`asuser init` writes one to start from)", path.display())
        })?;
        let config = parse(&text).with_context(|| format!("{} is not usable", path.display()))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = parent.canonicalize().with_context(|| format!("{} is not reachable", parent.display()))?;
        Ok(Self { config, folder, digest: Digest(sha2::Sha256::digest(text.as_bytes()).into()) })
    }
    /// A path of the configuration, seen from here.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }
    /// Resolves `env:NAME` and `file:PATH`.
    pub(crate) fn secret(&self, reference: &str) -> Result<Secret, String> {
        if let Some(name) = reference.strip_prefix("env:") {
            return std::env::var(name)
                .map(Secret::new)
                .map_err(|_| format!("the environment variable {name} is not set"));
        }
        if let Some(path) = reference.strip_prefix("file:") {
            let path = self.path(Path::new(path));
            let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            return Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()));
        }
        Err("a secret is written `env:NAME` or `file:PATH`, never as itself".to_owned())
    }
}

fn parse(text: &str) -> anyhow::Result<Config> {
    let config: Config = toml::from_str(text).map_err(|error| anyhow::anyhow!(with_suggestion(&error.to_string())))?;
    check(&config)?;
    Ok(config)
}

fn check(config: &Config) -> anyhow::Result<()> {
    config.server.check()?;
    if config.audit.reserve_mib < RESERVE_MIB_MIN {
        bail!(
            "audit.reserve_mib is {}: at least {RESERVE_MIB_MIN} are needed, two segments of the log",
            config.audit.reserve_mib
        );
    }
    for auditors in &config.audit.auditors {
        if !config.identity.iter().any(|identity| identity.name == auditors.provider) {
            bail!("audit.auditors: there is no [[identity]] named \"{}\"", auditors.provider);
        }
    }
    for place in &config.audit.checkpoint_to {
        let parsed: Result<SinkName, String> = place.parse();
        parsed.map_err(|error| anyhow::anyhow!("audit.checkpoint_to: {error}"))?;
    }
    if config.service.is_empty() {
        bail!("no [[service]] block: add one with name, kind (\"sqlite\" or \"postgres\") and where it is");
    }
    for (at, service) in config.service.iter().enumerate() {
        let name = &service.name;
        service.check(&config.identity).with_context(|| format!("service \"{name}\""))?;
        if config.service.iter().take(at).any(|other| other.name == service.name) {
            bail!("two [[service]] blocks are named \"{name}\": rename one");
        }
    }
    tools(config).map(drop)
}

/// Adds "did you mean" to what the TOML reader says of an unknown key.
fn with_suggestion(message: &str) -> String {
    let message = message.trim_end();
    let mut quoted = message.split("unknown field").nth(1).unwrap_or_default().split('`').skip(1).step_by(2);
    let Some(unknown) = quoted.next() else { return message.to_owned() };
    let close = quoted.map(|known| (strsim::osa_distance(unknown, known), known)).min();
    match close {
        Some((distance, known)) if distance <= 3 => format!("{message}\ndid you mean `{known}`?"),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[[service]]\nname = \"db\"\nkind = \"sqlite\"\npath = \"x.db\"\n";

    #[test]
    fn defaults_fill_a_short_file() {
        let config = parse(GOOD).unwrap();
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.service[0].max_records, 1000);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_a_suggestion() {
        let message = parse(&format!("[server]\nlisten_ = \"127.0.0.1:1\"\n{GOOD}")).unwrap_err().to_string();
        assert!(message.contains("line 2") && message.ends_with("did you mean `listen`?"), "{message}");
    }

    #[test]
    fn what_would_be_unsafe_or_useless_is_refused() {
        for (text, word) in [
            (String::new(), "[[service]]"),
            (format!("[server]\nlisten = \"0.0.0.0:80\"\n{GOOD}"), "behind_tls_proxy"),
            (GOOD.replace("\"db\"", "\"DB\""), "a-z"),
            (GOOD.replace("\"db\"", "\"user\""), "none of"),
            (format!("{GOOD}{GOOD}"), "two [[service]]"),
            (format!("{GOOD}default = \"database\"\n"), "no users"),
            (format!("{GOOD}max_records = 0\n"), "range"),
            (format!("{GOOD}answer_mib_max = 0\n"), "range"),
            (format!("{GOOD}answer_mib_max = 1025\n"), "range"),
        ] {
            let message = format!("{:#}", parse(&text).unwrap_err());
            assert!(message.contains(word), "{text}: {message}");
        }
        let proxied = format!("[server]\nlisten = \"0.0.0.0:80\"\nbehind_tls_proxy = true\n{GOOD}");
        assert!(parse(&proxied).is_ok());
    }
}
