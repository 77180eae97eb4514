//! A provider that publishes its keys (`kind = "oidc"`).
//!
//! In: one `[[identity]]` block. Out: where its metadata is, and who fetches it. Refuses keys in the configuration beside it, shared
//! secrets, and addresses that nobody could fetch from.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use asuser_fetch::{Allowed, Client, Options, Url};

use super::remote::{Remote, Settings};
use super::{DEFAULT_ALGORITHMS, TENANT, jwt, metadata};
use crate::algorithm::Algorithm;
use crate::config::IdentityConfig;

/// For one request, everything included.
const FETCH_MAX: Duration = Duration::from_secs(5);
const REFRESH_S: u32 = 3600;
const MAX_AGE_S: u32 = 86_400;
const REFRESH_S_MIN: u32 = 300;
const REFRESH_S_MAX: u32 = 86_400;
/// Keys that could not be fetched again for a week are nobody's.
const MAX_AGE_S_MAX: u32 = 7 * 86_400;

/// Whoever fetches this provider's keys. Nothing is fetched yet.
pub(super) fn remote(config: &IdentityConfig, folder: &Path) -> Result<Arc<Remote>, String> {
    refuse_own_keys(config)?;
    let refresh_s = config.keys_refresh_s.unwrap_or(REFRESH_S);
    let max_age_s = config.keys_max_age_s.unwrap_or(MAX_AGE_S);
    if !(REFRESH_S_MIN..=REFRESH_S_MAX).contains(&refresh_s) {
        return Err(format!("keys_refresh_s = {refresh_s}: between {REFRESH_S_MIN} and {REFRESH_S_MAX}"));
    }
    if !(refresh_s..=MAX_AGE_S_MAX).contains(&max_age_s) {
        return Err(format!("keys_max_age_s = {max_age_s}: between keys_refresh_s and {MAX_AGE_S_MAX}"));
    }
    let discovery = metadata::urls(config.issuer.as_str(), config.discovery_url.as_deref())?;
    let allowed = Allowed::parse(config.allow_addresses.iter().map(String::as_str))
        .map_err(|error| format!("allow_addresses: {error}"))?;
    if let Some(plain) = discovery.iter().find(|url| !url.is_https() && config.allow_addresses.is_empty()) {
        return Err(format!("{plain} is not encrypted: use https"));
    }
    let ca_pem = match &config.tls_ca {
        Some(path) => {
            Some(jwt::read_file(&folder.join(path)).map_err(|error| format!("tls_ca: {error}"))?.into_bytes())
        }
        None => None,
    };
    let options =
        Options { timeout: FETCH_MAX, ca_pem: ca_pem.clone(), allowed: allowed.clone(), ..Options::default() };
    let client = Client::new(options).map_err(|error| format!("tls_ca: {error}"))?;
    let settings = Settings {
        provider: config.name.clone(),
        issuer: config.issuer.clone(),
        discovery,
        allowed,
        ca_pem,
        refresh_ms: i64::from(refresh_s) * 1000,
        max_age_ms: i64::from(max_age_s) * 1000,
    };
    Ok(Arc::new(Remote::new(settings, client)))
}

/// The algorithms that tokens may use. A published key is public, so never a shared secret.
pub(super) fn algorithms(config: &IdentityConfig) -> Result<Vec<Algorithm>, String> {
    let algorithms = config.algorithms.clone().unwrap_or_else(|| DEFAULT_ALGORITHMS.to_vec());
    match algorithms.as_slice() {
        [] => Err("algorithms is empty: remove it, or name what the provider signs with".into()),
        some if some.iter().any(|algorithm| algorithm.is_symmetric()) => {
            Err("HS256, HS384 and HS512 need a shared secret, which nobody publishes: use kind = \"jwt\" for them"
                .into())
        }
        _ => Ok(algorithms),
    }
}

fn refuse_own_keys(config: &IdentityConfig) -> Result<(), String> {
    let IdentityConfig { jwks_file, jwk_file, pem_file, jwks, pem, secret, .. } = config;
    let own = [
        ("jwks_file", jwks_file.is_some()),
        ("jwk_file", jwk_file.is_some()),
        ("pem_file", pem_file.is_some()),
        ("jwks", jwks.is_some()),
        ("pem", pem.is_some()),
        ("secret", secret.is_some()),
    ];
    match own.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(format!("kind = \"oidc\" fetches its keys: remove {name}, or use kind = \"jwt\"")),
        None => Ok(()),
    }
}

/// What only fetching needs, in a block that fetches nothing: somebody believes that it does.
pub(super) fn refuse_keys_of_fetching(config: &IdentityConfig) -> Result<(), String> {
    let fetching = [
        ("discovery_url", config.discovery_url.is_some()),
        ("tls_ca", config.tls_ca.is_some()),
        ("allow_addresses", !config.allow_addresses.is_empty()),
        ("keys_refresh_s", config.keys_refresh_s.is_some()),
        ("keys_max_age_s", config.keys_max_age_s.is_some()),
    ];
    match fetching.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(format!("kind = \"jwt\" fetches nothing: remove {name}, or use kind = \"oidc\"")),
        None => Ok(()),
    }
}

/// What an issuer with a place for tenants is fetched as.
pub(super) fn of_all_tenants(issuer: &str) -> String {
    issuer.replace(TENANT, "common")
}

/// A URL of the metadata.
pub(super) fn url(text: &str, what: &str) -> Result<Url, String> {
    text.parse().map_err(|error| format!("{what}: {error}"))
}
