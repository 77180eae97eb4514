//! All configured providers: a credential goes to the one that its issuer names.
//!
//! In: a credential and the time. Out: [`Verified`], or why not. Refuses every issuer that is not exactly a configured one.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use asuser_core::{Clock, Issuer, PrincipalData, Problem, ProviderName, Reason, Secret};
use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::task::JoinSet;

use crate::explanation::{Step, Trace};
use crate::providers::remote::{KeysStatus, Remote};
use crate::providers::{Established, Keys, Provider};
use crate::token::claims::{Times, bad_claim, identifier};
use crate::token::json::{Object, parse_object};
use crate::token::jws::{Compact, shown};
use crate::{AttributeType, ConfigError, Credential, Explanation, IdentityConfig, Refusal, Refused, Verified};

/// The verdict cache remembers tokens of this many bytes in all.
const CACHE_TOKEN_BYTES: u64 = 8 << 20;
/// About as many as that makes.
const CACHE_TOKENS: usize = 8192;

/// All configured providers and the verdicts on tokens seen before. Immutable but for the verdicts and the keys that are fetched: a
/// reload makes a new one, and no verdict outlives the keys that it rests on.
#[derive(Debug)]
pub struct Identities {
    providers: Vec<Provider>,
    /// Which provider has this issuer: exactly, whatever the token.
    issuers: HashMap<Issuer, usize>,
    attributes: BTreeMap<String, AttributeType>,
    verdicts: Cache<[u8; 32], Verdict, TokenBytes>,
    /// Whoever fetches keys; ends with this.
    tasks: Mutex<JoinSet<()>>,
}

/// A good verdict. Bad ones are not remembered.
#[derive(Debug, Clone)]
struct Verdict {
    verified: Arc<Verified>,
    times: Times,
    token_bytes: u32,
    provider: usize,
    /// The keys that it rests on.
    keys_version: u64,
}

/// What a good token says, and what that rests on.
struct Checked {
    data: PrincipalData,
    times: Times,
    provider: usize,
    keys_version: u64,
}

/// Why a token is not accepted, and whose newer keys might change that.
struct NotAccepted {
    refused: Box<Refused>,
    wants: Option<Arc<Remote>>,
}

/// A provider, as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ProviderStatus {
    /// Its name.
    pub provider: ProviderName,
    /// Its issuer.
    pub issuer: Issuer,
    /// Its tokens can be verified now.
    pub ready: bool,
    /// The keys that are fetched; `None` where the configuration holds them.
    pub fetched: Option<KeysStatus>,
}

#[derive(Debug, Clone)]
struct TokenBytes;

impl Weighter<[u8; 32], Verdict> for TokenBytes {
    fn weight(&self, _: &[u8; 32], verdict: &Verdict) -> u64 {
        u64::from(verdict.token_bytes.max(1))
    }
}

impl Identities {
    /// Checks the configuration and loads the keys that it holds. Relative paths start at `folder`; `secret` finds what `env:NAME` or
    /// `file:PATH` means. Nothing is fetched: see [`Self::spawn_refresh`].
    ///
    /// # Errors
    /// When a block is wrong, or two contradict each other; the message names the provider and says how to mend it.
    pub fn new(
        configs: &[IdentityConfig],
        folder: &Path,
        secret: &dyn Fn(&str) -> Result<Secret, String>,
    ) -> Result<Self, ConfigError> {
        if configs.is_empty() {
            return Err(ConfigError::None);
        }
        let mut providers: Vec<Provider> = Vec::with_capacity(configs.len());
        let mut issuers: HashMap<Issuer, usize> = HashMap::new();
        for config in configs {
            if providers.iter().any(|other| other.config.name == config.name) {
                return Err(ConfigError::DuplicateName(config.name.clone()));
            }
            if let Some(other) = providers.iter().find(|other| other.config.issuer == config.issuer) {
                let (first, second) = (other.config.name.clone(), config.name.clone());
                return Err(ConfigError::DuplicateIssuer(first, second, config.issuer.clone()));
            }
            if let Some(other) = providers.iter().find(|other| maps_roles(&other.config) && maps_roles(config)) {
                return Err(ConfigError::SharedRoles(other.config.name.clone(), config.name.clone()));
            }
            let provider = Provider::new(config, folder, secret)
                .map_err(|what| ConfigError::Provider { provider: config.name.clone(), what })?;
            for issuer in provider.issuers() {
                if let Some(other) = issuers.insert(issuer.clone(), providers.len()).and_then(|at| providers.get(at)) {
                    let (first, second) = (other.config.name.clone(), config.name.clone());
                    return Err(ConfigError::DuplicateIssuer(first, second, issuer));
                }
            }
            providers.push(provider);
        }
        let verdicts = Cache::with_weighter(CACHE_TOKENS, CACHE_TOKEN_BYTES, TokenBytes);
        let attributes = attribute_schema(configs)?;
        Ok(Self { providers, issuers, attributes, verdicts, tasks: Mutex::default() })
    }

    /// Starts to fetch the keys of the providers that publish them, and goes on until this value is dropped. To be called once, within
    /// a tokio runtime; does not wait.
    pub fn spawn_refresh(&self, clock: &Arc<dyn Clock>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if tasks.is_empty() {
            for remote in self.remotes() {
                tasks.spawn(Arc::clone(remote).serve(Arc::clone(clock)));
            }
        }
    }

    /// Fetches the keys that it is time to fetch, and waits for them; for a command that verifies once.
    pub async fn refresh(&self, now_ms: i64) {
        let mut tasks = JoinSet::new();
        for remote in self.remotes() {
            let remote = Arc::clone(remote);
            tasks.spawn(async move { remote.refresh(now_ms).await });
        }
        tasks.join_all().await;
    }

    /// Takes over the keys that `before` fetched for providers whose block fetches the same, so that a reload fetches nothing anew.
    pub fn adopt_keys(&self, before: &Self) {
        for remote in self.remotes() {
            before.remotes().for_each(|other| remote.adopt(other));
        }
    }

    fn remotes(&self) -> impl Iterator<Item = &Arc<Remote>> {
        self.providers.iter().filter_map(|provider| match &provider.keys {
            Keys::Fetched(remote) => Some(remote),
            Keys::Fixed(_) => None,
        })
    }

    /// How every provider is, for the operator.
    #[must_use]
    pub fn status(&self, now_ms: i64) -> Vec<ProviderStatus> {
        let status = |provider: &Provider| ProviderStatus {
            provider: provider.config.name.clone(),
            issuer: provider.config.issuer.clone(),
            ready: provider.keys_version(now_ms).is_some(),
            fetched: match &provider.keys {
                Keys::Fetched(remote) => Some(remote.status(now_ms)),
                Keys::Fixed(_) => None,
            },
        };
        self.providers.iter().map(status).collect()
    }

    /// The URLs of the providers, as `authorization_servers` names them (RFC 9728 §2): in the order of the configuration, one for each
    /// tenant where there are several. An issuer that is no URL is none.
    #[must_use]
    pub fn issuers(&self) -> Vec<Issuer> {
        let is_url = |issuer: &Issuer| ["https://", "http://"].iter().any(|scheme| issuer.as_str().starts_with(scheme));
        self.providers.iter().flat_map(Provider::own_issuers).filter(is_url).collect()
    }

    /// Verifies a credential at `now_ms`. A token seen before costs a hash; it is asked again whether it is still in force, and whether
    /// its keys are. Waits only where a token names a key that is not known, and no longer than two seconds.
    ///
    /// # Errors
    /// When the credential is not accepted.
    pub async fn verify(&self, credential: &Credential, now_ms: i64) -> Result<Arc<Verified>, Box<Refused>> {
        let Credential::Bearer(token) = credential;
        let token = token.expose();
        let key = cache_key(token);
        if let Some(key) = &key
            && let Some(verdict) = self.verdicts.get(key)
        {
            let keys_version = self.providers.get(verdict.provider).and_then(|provider| provider.keys_version(now_ms));
            if keys_version == Some(verdict.keys_version) && verdict.times.check(now_ms).is_ok() {
                return Ok(verdict.verified);
            }
            self.verdicts.remove(key);
        }
        let mut checked = self.check(token, now_ms, &mut Trace::silent());
        if let Err(NotAccepted { wants: Some(remote), .. }) = &checked
            && remote.hope(now_ms).await
        {
            checked = self.check(token, now_ms, &mut Trace::silent());
        }
        let Checked { data, times, provider, keys_version } = checked.map_err(|not| not.refused)?;
        let verified = Arc::new(Verified::mint(data));
        if let (Some(key), Ok(token_bytes)) = (key, u32::try_from(token.len())) {
            self.verdicts
                .insert(key, Verdict { verified: verified.clone(), times, token_bytes, provider, keys_version });
        }
        Ok(verified)
    }

    /// What [`Self::verify`] finds, step by step; for the operator. Takes the same steps, but neither reads nor writes the cache, and
    /// waits for nothing.
    #[must_use]
    pub fn explain(&self, credential: &Credential, now_ms: i64) -> Explanation {
        let Credential::Bearer(token) = credential;
        let mut trace = Trace::writing();
        let result = self.check(token.expose(), now_ms, &mut trace);
        let steps = trace.finish();
        match result {
            Ok(Checked { data: principal, .. }) => Explanation {
                accepted: true,
                provider: Some(principal.provider.clone()),
                steps,
                established: Some(principal.key.clone()),
                principal: Some(principal),
                refusal: None,
            },
            Err(NotAccepted { refused, .. }) => Explanation {
                accepted: false,
                provider: refused.provider,
                steps,
                established: refused.established,
                principal: None,
                refusal: Some(Refusal::from(&refused.problem)),
            },
        }
    }

    /// The attributes that any provider declares, with their types. Each of them is optional: a token may lack it.
    #[must_use]
    pub const fn attribute_schema(&self) -> &BTreeMap<String, AttributeType> {
        &self.attributes
    }

    /// The issuers whose tokens must carry a scope of ours; `delegation` enforces it.
    pub fn scope_required_issuers(&self) -> impl Iterator<Item = Issuer> + '_ {
        self.providers
            .iter()
            .filter(|provider| provider.config.scope_required)
            .map(|provider| provider.config.issuer.clone())
    }

    /// All steps of a verification, whoever asks for it.
    fn check(&self, token: &str, now_ms: i64, trace: &mut Trace) -> Result<Checked, NotAccepted> {
        let parsed = Compact::parse(token).and_then(|token| Ok((claims(&token.payload)?, token)));
        let (claims, token) = trace.note(Step::Parse, parsed, |_| "a signed token in compact form".into())?;
        let (at, provider) = trace.note(Step::Issuer, self.provider(&claims), |(_, provider)| {
            format!("{:?} is provider `{}`", provider.config.issuer, provider.config.name)
        })?;
        let mut established = Established::default();
        match provider.check(&token, &claims, now_ms, trace, &mut established) {
            Ok((data, times)) => Ok(Checked { data, times, provider: at, keys_version: established.keys_version }),
            Err(problem) => {
                let wants = match &provider.keys {
                    Keys::Fetched(remote) if established.wants_keys => Some(Arc::clone(remote)),
                    _ => None,
                };
                let refused = Refused {
                    problem,
                    established: established.key,
                    actor: established.actor,
                    provider: Some(provider.config.name.clone()),
                };
                Err(NotAccepted { refused: Box::new(refused), wants })
            }
        }
    }

    /// The provider whose issuer is exactly `iss`. Nothing in the token is believed yet: this only chooses whose keys judge it.
    fn provider(&self, claims: &Object) -> Result<(usize, &Provider), Problem> {
        let iss = identifier(claims, "iss")?.ok_or_else(|| bad_claim("iss", "it is missing"))?;
        let found = self.issuers.get(iss).and_then(|at| Some((*at, self.providers.get(*at)?)));
        found.ok_or_else(|| {
            let mut configured: Vec<&str> = self.issuers.keys().map(Issuer::as_str).collect();
            configured.sort_unstable();
            let hint = match configured.iter().any(|other| other.trim_end_matches('/') == iss.trim_end_matches('/')) {
                true => " (only the trailing slash differs: copy the issuer exactly)",
                false => "",
            };
            let message = "no identity provider that is configured here issued the token: ask for one from yours, or ask your administrator";
            Problem::new(Reason::UnknownIssuer, message)
                .detail(format!("`iss` is {:?}; configured: {}{hint}", shown(iss), configured.join(", ")))
        })
    }
}

impl From<Problem> for NotAccepted {
    fn from(problem: Problem) -> Self {
        Self { refused: problem.into(), wants: None }
    }
}

fn claims(payload: &[u8]) -> Result<Object, Problem> {
    parse_object(payload).map_err(|error| {
        Problem::new(
            Reason::MalformedCredential,
            "the token's content is not acceptable: ask your identity provider for a new one",
        )
        .detail(format!("the payload: {error}"))
    })
}

/// SHA-256 of the token: the cache holds no credential.
fn cache_key(token: &str) -> Option<[u8; 32]> {
    let fits = token.len() <= crate::token::jws::TOKEN_BYTES_MAX;
    fits.then(|| digest(&SHA256, token.as_bytes()).as_ref().try_into().ok()).flatten()
}

fn maps_roles(config: &IdentityConfig) -> bool {
    !config.mapping.database_role.is_empty()
}

fn attribute_schema(configs: &[IdentityConfig]) -> Result<BTreeMap<String, AttributeType>, ConfigError> {
    let mut declared: BTreeMap<String, (AttributeType, &ProviderName)> = BTreeMap::new();
    for config in configs {
        for (name, attribute) in &config.attributes {
            let (first_type, first) = *declared.entry(name.clone()).or_insert((attribute.kind, &config.name));
            if first_type != attribute.kind {
                return Err(ConfigError::AttributeConflict {
                    attribute: name.clone(),
                    first: first.clone(),
                    first_type: first_type.as_str(),
                    second: config.name.clone(),
                    second_type: attribute.kind.as_str(),
                });
            }
        }
    }
    Ok(declared.into_iter().map(|(name, (kind, _))| (name, kind)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(token_bytes: u32) -> Verdict {
        let data = PrincipalData {
            key: asuser_core::PrincipalKey { issuer: "i".into(), subject: "s".into() },
            provider: "p".into(),
            login: None,
            email: None,
            name: None,
            groups: Vec::new(),
            attributes: BTreeMap::new(),
            database_role: None,
            scope: None,
            actor: None,
            client: None,
            not_after_ms: 0,
        };
        let claims = parse_object(b"{\"exp\":1}").unwrap();
        let profile = crate::token::profile::find("custom").unwrap();
        let times = Times::read(&claims, profile, 0, None).unwrap();
        Verdict { verified: Arc::new(Verified::mint(data)), times, token_bytes, provider: 0, keys_version: 0 }
    }

    #[test]
    fn remembered_verdicts_are_bounded_by_the_size_of_their_tokens() {
        for token_bytes in [0, 300, 16 * 1024] {
            let verdicts = Cache::with_weighter(CACHE_TOKENS, CACHE_TOKEN_BYTES, TokenBytes);
            let tokens = 3 * CACHE_TOKEN_BYTES / u64::from(token_bytes.max(1000));
            for number in 0..tokens {
                let key = digest(&SHA256, &number.to_be_bytes()).as_ref().try_into().unwrap();
                verdicts.insert(key, verdict(token_bytes));
            }
            assert!(verdicts.weight() <= CACHE_TOKEN_BYTES && !verdicts.is_empty());
        }
    }
}
