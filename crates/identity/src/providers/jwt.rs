//! Keys that the configuration holds (`kind = "jwt"`).
//!
//! In: one `[[identity]]` block. Out: its keys, and the algorithms that its tokens may use. Nothing is fetched.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use asuser_core::Secret;

use super::DEFAULT_ALGORITHMS;
use crate::algorithm::Algorithm;
use crate::config::IdentityConfig;
use crate::keys::KeySet;

const FILE_BYTES_MAX: u64 = 1 << 20;

/// Loads the keys, from exactly one place. Errors say what to change.
pub(super) fn load_keys(
    config: &IdentityConfig,
    folder: &Path,
    secret: &dyn Fn(&str) -> Result<Secret, String>,
) -> Result<KeySet, String> {
    let file = |path: &Path| read_file(&folder.join(path));
    let IdentityConfig { jwks_file, jwk_file, pem_file, jwks, pem, secret: reference, .. } = config;
    match (jwks_file, jwk_file, pem_file, jwks, pem, reference) {
        (Some(path), None, None, None, None, None) => {
            KeySet::from_jwks(&file(path)?).map_err(|error| format!("jwks_file: {error}"))
        }
        (None, Some(path), None, None, None, None) => {
            KeySet::from_jwk(&file(path)?).map_err(|error| format!("jwk_file: {error}"))
        }
        (None, None, Some(path), None, None, None) => {
            KeySet::from_pem(&file(path)?).map_err(|error| format!("pem_file: {error}"))
        }
        (None, None, None, Some(text), None, None) => KeySet::from_jwks(text).map_err(|error| format!("jwks: {error}")),
        (None, None, None, None, Some(text), None) => KeySet::from_pem(text).map_err(|error| format!("pem: {error}")),
        (None, None, None, None, None, Some(reference)) => {
            let algorithms = config.algorithms.as_deref().unwrap_or(&[Algorithm::Hs256]);
            if let Some(other) = algorithms.iter().find(|algorithm| !algorithm.is_symmetric()) {
                return Err(format!(
                    "{other} does not go together with `secret`: make it a provider of its own, or use HS256"
                ));
            }
            if !reference.starts_with("env:") && !reference.starts_with("file:") {
                return Err("secret must say where the secret is, env:NAME or file:PATH, and not be it".into());
            }
            let secret = secret(reference).map_err(|error| format!("secret: {error}"))?;
            KeySet::from_secret(secret.expose().as_bytes(), algorithms).map_err(|error| format!("secret: {error}"))
        }
        (None, None, None, None, None, None) => {
            Err("it has no keys: add jwks_file, jwk_file, pem_file, jwks, pem or secret".into())
        }
        _ => {
            Err("it has keys from several places: keep one of jwks_file, jwk_file, pem_file, jwks, pem and secret"
                .into())
        }
    }
}

/// The one place that reads key files.
pub(super) fn read_file(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    match read {
        Err(error) => Err(format!("{}: {error}", path.display())),
        Ok(length) if length as u64 > FILE_BYTES_MAX => Err(format!("{}: larger than 1 MiB", path.display())),
        Ok(_) => Ok(text),
    }
}

/// The algorithms that tokens may use: what the configuration says, else the default as far as the keys go.
pub(super) fn pin_algorithms(config: &IdentityConfig, keys: &KeySet) -> Result<Vec<Algorithm>, String> {
    let able: Vec<&str> = keys.algorithms().iter().map(|algorithm| algorithm.as_str()).collect();
    let able = able.join(", ");
    let Some(wanted) = &config.algorithms else {
        let defaults = DEFAULT_ALGORITHMS.into_iter().chain([Algorithm::Hs256]);
        let pinned: Vec<Algorithm> = defaults.filter(|algorithm| keys.can(*algorithm)).collect();
        return match pinned.as_slice() {
            [] => Err(format!("its keys are for {able}, which must be allowed expressly: add algorithms = [\"…\"]")),
            _ => Ok(pinned),
        };
    };
    if config.secret.is_none() && wanted.iter().any(|algorithm| algorithm.is_symmetric()) {
        return Err("HS256, HS384 and HS512 need a shared secret: add secret = \"env:NAME\" or \"file:PATH\"".into());
    }
    if !wanted.iter().any(|algorithm| keys.can(*algorithm)) {
        return Err(format!("no key can do any of its algorithms: the keys are for {able}"));
    }
    Ok(wanted.clone())
}
