//! A provider whose signed access tokens are verified with keys that the configuration holds (`kind = "jwt"`).
//!
//! In: one `[[identity]]` block; then tokens that name its issuer. Out: who it is about, or the first thing that is wrong.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use asuser_core::{Actor, ActorId, PrincipalData, PrincipalKey, Problem, Secret};

use crate::algorithm::Algorithm;
use crate::config::IdentityConfig;
use crate::explanation::{Step, Trace};
use crate::keys::{self, KeySet};
use crate::mapping::{Mapped, Mapping};
use crate::token::claims::{self, Times};
use crate::token::human;
use crate::token::json::Object;
use crate::token::jws::Compact;
use crate::token::profile::{self, Profile};

const LEEWAY_S_MAX: u32 = 300;
const KEY_FILE_BYTES_MAX: u64 = 1 << 20;
/// What is accepted where the configuration does not say (RFC 9068 §2.1 asks for RS256; ES256 is the other customary one).
const DEFAULT_ALGORITHMS: [Algorithm; 2] = [Algorithm::Rs256, Algorithm::Es256];

/// One configured provider.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) config: IdentityConfig,
    profile: &'static Profile,
    algorithms: Vec<Algorithm>,
    keys: KeySet,
    pub(crate) mapping: Mapping,
}

/// What is known of a refused token, once its signature is good.
#[derive(Debug, Default)]
pub(crate) struct Established {
    pub(crate) key: Option<PrincipalKey>,
    pub(crate) actor: Option<Actor>,
    pub(crate) client: Option<ActorId>,
}

impl Provider {
    /// Checks the block and loads the keys. Errors say what to change.
    pub(crate) fn new(
        config: &IdentityConfig,
        folder: &Path,
        secret: &dyn Fn(&str) -> Result<Secret, String>,
    ) -> Result<Self, String> {
        let profile = profile::find(&config.profile).ok_or_else(|| {
            let known: Vec<&str> = profile::PROFILES.iter().map(|profile| profile.name).collect();
            format!("profile = \"{}\" is unknown: {} are known", config.profile, known.join(" and "))
        })?;
        check_identifiers(config)?;
        let keys = load_keys(config, folder, secret)?;
        Ok(Self {
            profile,
            algorithms: pin_algorithms(config, &keys)?,
            keys,
            mapping: Mapping::new(config)?,
            config: config.clone(),
        })
    }

    /// Takes every step of a verification after the issuer was found. The first that fails ends it.
    pub(crate) fn check(
        &self,
        token: &Compact<'_>,
        claims: &Object,
        now_ms: i64,
        trace: &mut Trace,
        established: &mut Established,
    ) -> Result<(PrincipalData, Times), Problem> {
        self.check_signature(token, trace)?;

        let config = &self.config;
        trace.note(Step::Subject, self.establish(claims, established), |key| {
            format!("{:?} of {:?}", key.subject, key.issuer)
        })?;
        let times = Times::read(claims, self.profile, config.leeway_s, config.lifetime_s_max)
            .and_then(|times| times.check(now_ms).map(|()| times));
        let times = trace.note(Step::Times, times, |times| format!("ends in {} s", times.exp_s - now_ms / 1000))?;
        let ours = config.audience.as_slice();
        trace.note(Step::Audience, claims::audience(claims, ours), |()| format!("names one of {ours:?}"))?;
        trace.note(Step::Type, claims::access_token(claims, self.profile), |()| "an access token".into())?;
        trace.note(Step::Human, self.check_human(claims, established), |()| "no mark of a machine".into())?;
        trace.note(Step::Binding, claims::binding(claims), |()| "a bearer token".into())?;
        let data = trace.note(Step::Mapping, self.map(claims, established, times), |(_, words)| words.clone())?.0;
        Ok((data, times))
    }

    fn check_signature(&self, token: &Compact<'_>, trace: &mut Trace) -> Result<(), Problem> {
        trace.note(Step::Profile, self.profile.check_typ(&token.header), |()| self.profile.name.into())?;
        let algorithm = trace.note(Step::Algorithm, token.header.algorithm(&self.algorithms), ToString::to_string)?;
        let candidates = self.keys.candidates(algorithm, token.header.kid.as_deref());
        let candidates = trace.note(Step::Key, candidates, |keys| match keys.as_slice() {
            [key] => key.label(),
            keys => format!("{} keys fit", keys.len()),
        })?;
        let key = keys::verify(&candidates, algorithm, token);
        trace.note(Step::Signature, key, |key| format!("made by {}", key.label()))?;
        Ok(())
    }

    /// From here on the token's words are the provider's: who it is about may be recorded, whatever comes next.
    fn establish(&self, claims: &Object, established: &mut Established) -> Result<PrincipalKey, Problem> {
        let subject = claims::subject(claims, &self.mapping.subject)?;
        let key = PrincipalKey { issuer: self.config.issuer.clone(), subject };
        established.key = Some(key.clone());
        (established.actor, established.client) = claims::actor(claims, self.profile)?;
        Ok(key)
    }

    fn check_human(&self, claims: &Object, established: &Established) -> Result<(), Problem> {
        let login = self.mapping.login(claims)?;
        let subject = established.key.as_ref().map_or("", |key| key.subject.as_str());
        human::check(claims, subject, login.as_ref().map(asuser_core::Login::as_str), self.mapping.address(claims))
    }

    fn map(
        &self,
        claims: &Object,
        established: &Established,
        times: Times,
    ) -> Result<(PrincipalData, String), Problem> {
        let scope = claims::scope(claims, self.profile)?;
        let mapped = self.mapping.read(claims)?;
        let words = words(&mapped);
        let key = established.key.clone().ok_or_else(|| claims::bad_claim("sub", "it is missing"))?;
        let data = PrincipalData {
            key,
            provider: self.config.name.clone(),
            login: mapped.login,
            email: mapped.email,
            name: mapped.name,
            groups: mapped.groups,
            attributes: mapped.attributes,
            database_role: mapped.database_role,
            scope,
            actor: established.actor.clone(),
            client: established.client.clone(),
            not_after_ms: times.exp_s.saturating_mul(1000),
        };
        Ok((data, words))
    }
}

fn words(mapped: &Mapped) -> String {
    let login = mapped.login.as_ref().map_or_else(|| "no login".to_owned(), |login| format!("login {login:?}"));
    let mut words = vec![login, format!("{} groups", mapped.groups.len())];
    words.extend(mapped.notes.iter().cloned());
    words.join("; ")
}

fn check_identifiers(config: &IdentityConfig) -> Result<(), String> {
    let sound = |text: &str| {
        !text.is_empty() && text.len() <= 255 && !text.chars().any(|c| c.is_control() || c.is_whitespace())
    };
    if !sound(config.issuer.as_str()) {
        return Err("issuer is empty, too long or holds blanks: copy it exactly from the provider's metadata".into());
    }
    let audience = config.audience.as_slice();
    if audience.is_empty() || !audience.iter().all(|one| sound(one)) {
        return Err(
            "audience is empty, too long or holds blanks: name what the provider writes into `aud` for this installation".into(),
        );
    }
    if config.leeway_s > LEEWAY_S_MAX {
        return Err(format!("leeway_s = {}: at most {LEEWAY_S_MAX}; set the clocks by NTP instead", config.leeway_s));
    }
    Ok(())
}

fn load_keys(
    config: &IdentityConfig,
    folder: &Path,
    secret: &dyn Fn(&str) -> Result<Secret, String>,
) -> Result<KeySet, String> {
    let file = |path: &Path| read_key_file(&folder.join(path));
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
fn read_key_file(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(KEY_FILE_BYTES_MAX + 1).read_to_string(&mut text));
    match read {
        Err(error) => Err(format!("{}: {error}", path.display())),
        Ok(length) if length as u64 > KEY_FILE_BYTES_MAX => Err(format!("{}: larger than 1 MiB", path.display())),
        Ok(_) => Ok(text),
    }
}

/// The algorithms that tokens may use: what the configuration says, else the default as far as the keys go.
fn pin_algorithms(config: &IdentityConfig, keys: &KeySet) -> Result<Vec<Algorithm>, String> {
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
