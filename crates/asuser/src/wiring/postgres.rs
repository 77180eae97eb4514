//! A PostgreSQL service's configuration as options of its connector.

use anyhow::{Context as _, bail};
use asuser_connector_postgres::{PostgresOptions, RunAs};
use asuser_core::{Clock as _, Secret, SystemClock};
use asuser_credential::AuthorityFolder;
use asuser_credential::claims::ClaimsKey;
use asuser_postgres::{Target, Tls};

use crate::config::{
    AppNameSetting, BigintSetting, Loaded, RunAsSetting, ServiceConfig, TlsSetting, ValidUntilSetting,
};

/// Where Debian, Red Hat and Alpine keep the certificates of the machine's trusted authorities.
const SYSTEM_CA_FILES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

pub(crate) fn options(loaded: &Loaded, config: &ServiceConfig) -> anyhow::Result<PostgresOptions> {
    let mut options = PostgresOptions::new(config.name.clone(), target(loaded, config)?, config.role_mapping()?);
    options.password = password(loaded, config)?;
    options.role_providers.clone_from(&config.role_providers);
    if config.run_as == Some(RunAsSetting::Certificate) {
        let folder = loaded.path(config.ca_dir.as_deref().context("ca_dir is missing")?);
        options.run_as = RunAs::Certificate(Box::new(AuthorityFolder::new(folder).open(SystemClock.now_ms())?));
        options.nologin_roles = false;
    }
    let set = |to: &mut usize, from: Option<usize>| *to = from.unwrap_or(*to);
    set(&mut options.connections, config.connections);
    set(&mut options.waiting_max, config.waiting_max);
    options.person_connections_max = config.person_connections_max;
    options.connection_age_s_max = config.connection_age_s_max.unwrap_or(options.connection_age_s_max);
    options.nologin_roles = config.nologin_roles.unwrap_or(options.nologin_roles);
    options.prepare = config.prepare.unwrap_or(true);
    options.bigint_as_text = config.bigint == Some(BigintSetting::Text);
    options.valid_until_enforced = config.role_valid_until != Some(ValidUntilSetting::PasswordOnly);
    options.login_in_app_name = config.app_name != Some(AppNameSetting::Id);
    if let Some(schemas) = &config.schemas {
        options.schemas.clone_from(schemas);
    }
    options.trusted_functions = config.trusted_functions.clone().unwrap_or_default();
    if let Some(cost_max) = config.sql_cost_max {
        options.sql_cost_max = (cost_max > 0).then_some(cost_max);
    }
    if let Some(reference) = &config.claims_key {
        let key = loaded.secret(reference).map_err(|why| anyhow::anyhow!("claims_key: {why}"))?;
        options.claims_key = Some(key.expose().parse::<ClaimsKey>()?);
    }
    Ok(options)
}

/// Where the server is, and how the way there is protected.
pub(crate) fn target(loaded: &Loaded, config: &ServiceConfig) -> anyhow::Result<Target> {
    let url = config.url.as_deref().context("url is missing")?;
    let resolved;
    let url = if url.starts_with("env:") || url.starts_with("file:") {
        resolved = loaded.secret(url).map_err(|why| anyhow::anyhow!("url: {why}"))?;
        resolved.expose()
    } else {
        url
    };
    let mut target = Target::parse(url)?;
    target.tls = match (config.tls, &config.tls_ca) {
        (Some(TlsSetting::Off), Some(_)) => bail!("tls = \"off\" and tls_ca contradict each other"),
        (Some(TlsSetting::Off), None) => Tls::Off,
        (_, Some(path)) => {
            let path = loaded.path(path);
            let pem = std::fs::read(&path).with_context(|| format!("tls_ca: {} cannot be read", path.display()))?;
            Tls::verified(&pem)?
        }
        (None, None) if target.is_local() => Tls::Off,
        (_, None) => {
            let found = SYSTEM_CA_FILES.iter().find_map(|path| std::fs::read(path).ok());
            Tls::verified(&found.context("tls_ca is missing: whose certificates does the server have?")?)?
        }
    };
    Ok(target)
}

pub(crate) fn password(loaded: &Loaded, config: &ServiceConfig) -> anyhow::Result<Option<Secret>> {
    let Some(reference) = &config.password else { return Ok(None) };
    Ok(Some(loaded.secret(reference).map_err(|why| anyhow::anyhow!("password: {why}"))?))
}
