//! The kinds of identity providers, a file each, and what is common to them: the steps of a verification.
//!
//! In: one `[[identity]]` block; then tokens that name its issuer. Out: who it is about, or the first thing that is wrong.

mod jwt;
mod metadata;
mod oidc;
pub(crate) mod remote;

use std::path::Path;
use std::sync::Arc;

use asuser_core::{Actor, ActorId, Issuer, PrincipalData, PrincipalKey, Problem, Secret};

use self::remote::{Remote, Snapshot};
use crate::algorithm::Algorithm;
use crate::config::{IdentityConfig, ProviderKind};
use crate::explanation::{Step, Trace};
use crate::keys::{self, Key, KeySet};
use crate::mapping::{Mapped, Mapping};
use crate::token::claims::{self, Times};
use crate::token::human;
use crate::token::json::Object;
use crate::token::jws::{Compact, bad_signature};
use crate::token::profile::{self, Profile};

const LEEWAY_S_MAX: u32 = 300;
/// What is accepted where the configuration does not say (RFC 9068 §2.1 asks for RS256; ES256 is the other customary one).
const DEFAULT_ALGORITHMS: [Algorithm; 2] = [Algorithm::Rs256, Algorithm::Es256];
/// What stands for a tenant in an issuer (as in Entra's `common` metadata).
const TENANT: &str = "{tenantid}";

/// One configured provider.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) config: IdentityConfig,
    profile: &'static Profile,
    algorithms: Vec<Algorithm>,
    pub(crate) keys: Keys,
    pub(crate) mapping: Mapping,
}

/// Where the keys come from.
#[derive(Debug)]
pub(crate) enum Keys {
    /// The configuration.
    Fixed(KeySet),
    /// The provider.
    Fetched(Arc<Remote>),
}

/// What is known of a refused token, once its signature is good; and what newer keys might change.
#[derive(Debug, Default)]
pub(crate) struct Established {
    pub(crate) key: Option<PrincipalKey>,
    pub(crate) actor: Option<Actor>,
    pub(crate) client: Option<ActorId>,
    /// It may be signed with a key that is not known yet.
    pub(crate) wants_keys: bool,
    /// The keys that it was verified with.
    pub(crate) keys_version: u64,
}

impl Provider {
    /// Checks the block, and loads the keys where they are at hand. Errors say what to change.
    pub(crate) fn new(
        config: &IdentityConfig,
        folder: &Path,
        secret: &dyn Fn(&str) -> Result<Secret, String>,
    ) -> Result<Self, String> {
        let profile = profile::find(&config.profile).ok_or_else(|| {
            let known: Vec<&str> = profile::PROFILES.iter().map(|profile| profile.name).collect();
            format!("profile = \"{}\" is unknown: {} are known", config.profile, known.join(", "))
        })?;
        check_identifiers(config, profile)?;
        let (keys, algorithms) = match config.kind {
            ProviderKind::Jwt => {
                oidc::refuse_keys_of_fetching(config)?;
                let keys = jwt::load_keys(config, folder, secret)?;
                let algorithms = jwt::pin_algorithms(config, &keys)?;
                (Keys::Fixed(keys), algorithms)
            }
            ProviderKind::Oidc => (Keys::Fetched(oidc::remote(config, folder)?), oidc::algorithms(config)?),
        };
        Ok(Self { profile, algorithms, keys, mapping: Mapping::new(config, profile)?, config: config.clone() })
    }

    /// Its issuer, or one for each tenant.
    pub(crate) fn own_issuers(&self) -> Vec<Issuer> {
        self.of_tenants(&self.config.issuer)
    }

    fn of_tenants(&self, issuer: &Issuer) -> Vec<Issuer> {
        let named = |tenant: &String| issuer.as_str().replace(TENANT, &tenant.to_ascii_lowercase()).as_str().into();
        if issuer.as_str().contains(TENANT) {
            self.config.tenants.iter().map(named).collect()
        } else {
            vec![issuer.clone()]
        }
    }

    /// Every value that `iss` of its tokens may have. All are written down here: a token can only choose one.
    pub(crate) fn issuers(&self) -> Vec<Issuer> {
        let config = &self.config;
        let mut issuers = self.own_issuers();
        issuers.extend(config.access_token_issuers.iter().flat_map(|issuer| self.of_tenants(issuer)));
        // Google writes it with and without the scheme (Google Identity, "Validate an ID token").
        if self.profile.is_id_token && config.issuer.as_str() == "https://accounts.google.com" {
            issuers.push("accounts.google.com".into());
        }
        issuers.sort();
        issuers.dedup();
        issuers
    }

    /// The version of the keys that are in force now; 0 for those of the configuration, which do not change. `None`: there are none.
    pub(crate) fn keys_version(&self, now_ms: i64) -> Option<u64> {
        match &self.keys {
            Keys::Fixed(_) => Some(0),
            Keys::Fetched(remote) => remote.version(now_ms),
        }
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
        trace.note(Step::Profile, self.profile.check_header(&token.header), |()| self.profile.name.into())?;
        let algorithm = trace.note(Step::Algorithm, token.header.algorithm(&self.algorithms), ToString::to_string)?;
        match &self.keys {
            Keys::Fixed(keys) => self.check_signature(keys, algorithm, token, claims, trace)?,
            Keys::Fetched(remote) => {
                let current = remote.current(now_ms);
                established.wants_keys = current.as_ref().map_or(true, |current| current.keys.lacks(&token.header));
                let current = match current {
                    Ok(current) => current,
                    Err(problem) => {
                        return trace.note(Step::Key, Err(problem), |_: &(PrincipalData, Times)| String::new());
                    }
                };
                established.keys_version = current.version;
                let Snapshot { keys, .. } = &*current;
                let signed = self.check_signature(keys, algorithm, token, claims, trace);
                // A token that names no key may be signed with a new one.
                established.wants_keys |= signed.is_err() && token.header.kid.is_none();
                signed?;
                established.wants_keys = false;
            }
        }

        let (config, profile) = (&self.config, self.profile);
        trace.note(Step::Subject, self.establish(claims, established), |key| {
            format!("{:?} of {:?}", key.subject, key.issuer)
        })?;
        let times = Times::read(claims, profile, config.leeway_s, config.lifetime_s_max)
            .and_then(|times| times.check(now_ms).map(|()| times));
        let times = trace.note(Step::Times, times, |times| format!("ends in {} s", times.exp_s - now_ms / 1000))?;
        let ours = config.audience.as_slice();
        trace.note(Step::Audience, claims::audience(claims, ours, profile), |()| format!("names one of {ours:?}"))?;
        trace.note(Step::Type, claims::access_token(claims, profile), |()| "an access token".into())?;
        trace.note(Step::Human, self.check_human(claims, established), |()| "no mark of a machine".into())?;
        trace.note(Step::Binding, claims::binding(claims), |()| "a bearer token".into())?;
        let data = trace.note(Step::Mapping, self.map(claims, established, times), |(_, words)| words.clone())?.0;
        Ok((data, times))
    }

    fn check_signature(
        &self,
        keys: &KeySet,
        algorithm: Algorithm,
        token: &Compact<'_>,
        claims: &Object,
        trace: &mut Trace,
    ) -> Result<(), Problem> {
        let candidates =
            trace.note(Step::Key, keys.candidates(algorithm, &token.header), |keys| match keys.as_slice() {
                [key] => key.label(),
                keys => format!("{} keys fit", keys.len()),
            })?;
        let key = keys::verify(&candidates, algorithm, token)
            .and_then(|key| self.check_key_issuer(key, claims).map(|()| key));
        trace.note(Step::Signature, key, |key| format!("made by {}", key.label()))?;
        Ok(())
    }

    /// Entra's set for several tenants says of each key whose tokens it signs. A token of version 1 is measured by the issuer that it
    /// would have under version 2, since only that stands beside the keys.
    fn check_key_issuer(&self, key: &Key, claims: &Object) -> Result<(), Problem> {
        let Some(issuer) = key.issuer.as_deref() else { return Ok(()) };
        let text = |name: &str| claims.get(name).and_then(serde_json::Value::as_str);
        let of_tenant = |issuer: &str| text("tid").map_or_else(|| issuer.to_owned(), |tid| issuer.replace(TENANT, tid));
        let issuer = of_tenant(issuer);
        if text("iss") == Some(&issuer) || of_tenant(self.config.issuer.as_str()) == issuer {
            return Ok(());
        }
        Err(bad_signature(format!("{} signs tokens of another issuer only", key.label())))
    }

    /// From here on the token's words are the provider's: who it is about may be recorded, whatever comes next.
    fn establish(&self, claims: &Object, established: &mut Established) -> Result<PrincipalKey, Problem> {
        let subject = claims::subject(claims, self.mapping.subject.as_str(), self.profile).map_err(|problem| {
            // An ID token or a program's has no such claim by its nature, which says more than that it is missing.
            let nature = claims::access_token(claims, self.profile)
                .and_then(|()| human::check(claims, "", None, None, self.profile));
            nature.err().unwrap_or(problem)
        })?;
        claims::tenant(claims, self.profile)?;
        let key = PrincipalKey { issuer: self.config.issuer.clone(), subject };
        established.key = Some(key.clone());
        (established.actor, established.client) = claims::actor(claims, self.profile)?;
        Ok(key)
    }

    fn check_human(&self, claims: &Object, established: &Established) -> Result<(), Problem> {
        let login = self.mapping.login(claims)?;
        let subject = established.key.as_ref().map_or("", |key| key.subject.as_str());
        let login = login.as_ref().map(asuser_core::Login::as_str);
        human::check(claims, subject, login, self.mapping.address(claims), self.profile)
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

fn check_identifiers(config: &IdentityConfig, profile: &Profile) -> Result<(), String> {
    let sound = |text: &str| {
        !text.is_empty() && text.len() <= 255 && !text.chars().any(|c| c.is_control() || c.is_whitespace())
    };
    if !sound(config.issuer.as_str()) {
        return Err("issuer is empty, too long or holds blanks: copy it exactly from the provider's metadata".into());
    }
    if let Some(other) = config.access_token_issuers.iter().find(|issuer| !sound(issuer.as_str())) {
        return Err(format!("access_token_issuers: {:?} is empty, too long or holds blanks", other.as_str()));
    }
    check_tenants(config, profile)?;
    if profile.domain.is_some() && config.domains.is_empty() {
        return Err(format!(
            "with profile {} anybody on earth can have a token: say by `domains` whose accounts are let in",
            profile.name
        ));
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

/// A template and its tenants go together.
fn check_tenants(config: &IdentityConfig, profile: &Profile) -> Result<(), String> {
    let is_template = |issuer: &Issuer| issuer.as_str().contains(TENANT);
    let templates = is_template(&config.issuer) || config.access_token_issuers.iter().any(is_template);
    if templates && !profile.has_tenants {
        return Err(format!(
            "issuer has {TENANT}, which only the profiles entra-v1 and entra-v2 know: write the issuer itself"
        ));
    }
    if templates && config.tenants.is_empty() {
        return Err(format!("issuer has {TENANT}: list the tenants whose people are let in by `tenants`"));
    }
    if !templates && !config.tenants.is_empty() {
        return Err(format!("tenants go with an issuer that has {TENANT}: remove them, or write it there"));
    }
    match config.tenants.iter().find(|tenant| !claims::is_guid(tenant)) {
        Some(tenant) => Err(format!("tenants: `{tenant}` is no GUID; Entra's overview page shows the tenant's id")),
        None => Ok(()),
    }
}
