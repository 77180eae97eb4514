//! The keys of a provider that publishes them, in memory.
//!
//! In: where they are. Out: those in force now, at once and without waiting; or why there are none. They are fetched in the background:
//! at the start, then every hour or so, and when a token names a key that is not known, which happens at most once in five minutes
//! whatever tokens come. A provider that is slow or away costs nobody anything whose key is known; keys that could not be fetched again
//! for too long are no longer used, and then its tokens are refused. Nothing that a token says is ever fetched.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use asuser_core::{Clock, Issuer, Problem, ProviderName, Reason};
use asuser_fetch::{Allowed, Answer, Client, FetchError, Url};
use aws_lc_rs::digest::{SHA256, digest};
use tokio::sync::{Notify, watch};

use super::metadata::Metadata;
use crate::keys::KeySet;

/// `Cache-Control` cannot ask for more frequent fetches than this.
const REFRESH_MS_MIN: i64 = 300_000;
/// Unknown keys make it fetch once in this time.
const UNKNOWN_MS: i64 = 300_000;
/// A token whose key is not known waits this long for a fetch.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// As many wait at a time; the others are refused at once.
const WAITING_MAX: usize = 256;
/// After a failure it is tried again after so long, doubled each time, up to the second; where there are keys, up to the third.
const RETRY_MS: i64 = 1000;
const RETRY_MS_MAX: i64 = 60_000;
const RETRY_MS_MAX_WITH_KEYS: i64 = 300_000;
/// The background looks at its schedule this often.
const TICK: Duration = Duration::from_secs(1);

/// What of the configuration decides which keys these are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) provider: ProviderName,
    pub(crate) issuer: Issuer,
    pub(crate) discovery: Vec<Url>,
    pub(crate) allowed: Allowed,
    pub(crate) ca_pem: Option<Vec<u8>>,
    pub(crate) refresh_ms: i64,
    pub(crate) max_age_ms: i64,
}

/// One provider's keys, and who fetches them.
#[derive(Debug)]
pub(crate) struct Remote {
    settings: Settings,
    client: Client,
    current: ArcSwapOption<Snapshot>,
    schedule: Mutex<Schedule>,
    /// Only one fetch at a time. Holds what is known of where the keys are.
    fetching: tokio::sync::Mutex<Option<Metadata>>,
    /// Counts the fetches that ended.
    ended: watch::Sender<u64>,
    /// Wakes the background before its time.
    hurry: Notify,
    /// Somebody fetches in the background.
    is_served: AtomicBool,
    waiting: AtomicUsize,
}

/// The keys of one fetch.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) keys: KeySet,
    /// Another number for other keys.
    pub(crate) version: u64,
    digest: [u8; 32],
    fetched_ms: i64,
}

#[derive(Debug, Clone, Default)]
struct Schedule {
    /// When to fetch next. 0: at once.
    next_ms: i64,
    /// A token named an unknown key.
    is_wanted: bool,
    is_under_way: bool,
    /// From when on an unknown key makes it fetch again.
    unknown_from_ms: i64,
    /// One after another.
    failures: u32,
    error: Option<String>,
    notes: Vec<String>,
}

/// How a provider's keys are, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct KeysStatus {
    /// Keys in force.
    pub keys: usize,
    /// Their names.
    pub key_ids: Vec<String>,
    /// When they were fetched last, in ms since 1970.
    pub fetched_ms: Option<i64>,
    /// Why the last fetch failed, if it did.
    pub error: Option<String>,
    /// What is odd about what was fetched.
    pub notes: Vec<String>,
}

impl Remote {
    pub(crate) fn new(settings: Settings, client: Client) -> Self {
        Self {
            settings,
            client,
            current: ArcSwapOption::empty(),
            schedule: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
            ended: watch::Sender::new(0),
            hurry: Notify::new(),
            is_served: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
        }
    }

    /// The version of the keys in force; `None` where there are none.
    pub(crate) fn version(&self, now_ms: i64) -> Option<u64> {
        self.current.load().as_ref().filter(|snapshot| self.is_fresh(snapshot, now_ms)).map(|snapshot| snapshot.version)
    }

    /// The keys in force.
    pub(crate) fn current(&self, now_ms: i64) -> Result<Arc<Snapshot>, Problem> {
        let current = self.current.load_full().filter(|snapshot| self.is_fresh(snapshot, now_ms));
        current.ok_or_else(|| {
            let schedule = self.schedule();
            let why = schedule.error.as_deref().unwrap_or("they are being fetched for the first time");
            let message =
                "the identity provider's keys could not be fetched, so its tokens cannot be verified: try again later";
            let retry_s = u32::try_from((schedule.next_ms - now_ms) / 1000).unwrap_or(0).clamp(1, 60);
            Problem::new(Reason::KeysUnavailable, message)
                .detail(format!("provider `{}`: {why}", self.settings.provider))
                .retry_after(retry_s)
        })
    }

    fn is_fresh(&self, snapshot: &Snapshot, now_ms: i64) -> bool {
        now_ms < snapshot.fetched_ms.saturating_add(self.settings.max_age_ms)
    }

    /// Waits, within bounds, for keys that are fetched because of an unknown one. True: it is worth looking again.
    pub(crate) async fn hope(&self, now_ms: i64) -> bool {
        if !self.is_served.load(Ordering::Acquire) {
            return false;
        }
        let mut ended = self.ended.subscribe();
        if !self.want(now_ms) {
            return false;
        }
        let Some(_place) = Waiting::among(&self.waiting) else { return false };
        self.hurry.notify_one();
        tokio::time::timeout(WAIT_MAX, ended.changed()).await.is_ok_and(|changed| changed.is_ok())
    }

    /// Whether a fetch is under way, or may be because of an unknown key.
    fn want(&self, now_ms: i64) -> bool {
        let has_keys = self.version(now_ms).is_some();
        let mut schedule = self.schedule();
        if schedule.is_under_way || schedule.is_wanted || now_ms >= schedule.next_ms {
            return true;
        }
        // Where there are no keys at all, the schedule of failures decides.
        if !has_keys || now_ms < schedule.unknown_from_ms {
            return false;
        }
        schedule.unknown_from_ms = now_ms.saturating_add(UNKNOWN_MS);
        schedule.is_wanted = true;
        true
    }

    /// Fetches whenever it is time to, until it is dropped. From this call on it is worth waiting for.
    pub(crate) fn serve(self: Arc<Self>, clock: Arc<dyn Clock>) -> impl Future<Output = ()> + Send {
        self.is_served.store(true, Ordering::Release);
        async move {
            loop {
                self.refresh(clock.now_ms()).await;
                // Hurried or not, it looks again.
                let _hurried = tokio::time::timeout(TICK, self.hurry.notified()).await;
            }
        }
    }

    /// Fetches, if it is time to.
    pub(crate) async fn refresh(&self, now_ms: i64) {
        let mut metadata = self.fetching.lock().await;
        let scheduled = {
            let mut schedule = self.schedule();
            let scheduled = now_ms >= schedule.next_ms;
            if !scheduled && !schedule.is_wanted {
                return;
            }
            schedule.is_wanted = false;
            schedule.is_under_way = true;
            scheduled
        };
        if scheduled {
            // The place of the keys may have changed too.
            *metadata = None;
        }
        let fetched = self.fetch(&mut metadata).await;
        self.record(fetched, metadata.as_ref(), now_ms);
        self.ended.send_modify(|count| *count = count.wrapping_add(1));
    }

    async fn fetch(&self, known: &mut Option<Metadata>) -> Result<(Answer, KeySet, Vec<String>), String> {
        let metadata = match known {
            Some(metadata) => metadata,
            None => known.insert(self.discover().await?),
        };
        let answer = self.client.get(&metadata.jwks_url).await.map_err(|error| format!("the keys: {error}"))?;
        let text = answer.text().map_err(|error| format!("the keys: {error}"))?;
        let (keys, notes) =
            KeySet::from_published(text).map_err(|error| format!("the keys of {}: {error}", metadata.jwks_url))?;
        Ok((answer, keys, notes))
    }

    async fn discover(&self) -> Result<Metadata, String> {
        let mut first = None;
        for url in &self.settings.discovery {
            match self.client.get(url).await {
                Ok(answer) => {
                    let text = answer.text().map_err(|error| format!("the metadata: {error}"))?;
                    return Metadata::read(text, self.settings.issuer.as_str())
                        .map_err(|error| format!("{url}: {error}"));
                }
                // Nothing is there: it may be at the next place.
                Err(error @ FetchError::Status { status: 400..=499, .. }) => _ = first.get_or_insert(error),
                Err(error) => return Err(format!("the metadata: {error}")),
            }
        }
        Err(first
            .map_or_else(|| "there is no address to fetch from".to_owned(), |error| format!("the metadata: {error}")))
    }

    fn record(&self, fetched: Result<(Answer, KeySet, Vec<String>), String>, metadata: Option<&Metadata>, now_ms: i64) {
        let provider = &self.settings.provider;
        let has_keys = self.version(now_ms).is_some();
        match fetched {
            Ok((answer, keys, mut notes)) => {
                if let Some(issuer) = metadata.and_then(|metadata| metadata.access_token_issuer.as_deref())
                    && issuer != self.settings.issuer.as_str()
                {
                    notes.push(format!("its access tokens have the issuer {issuer:?} (access_token_issuers)"));
                }
                let said_ms = answer.max_age_s().and_then(|seconds| i64::try_from(seconds.saturating_mul(1000)).ok());
                let refresh_ms = said_ms.unwrap_or(i64::MAX).min(self.settings.refresh_ms).max(REFRESH_MS_MIN);
                self.take(&answer, keys, now_ms);
                let mut schedule = self.schedule();
                if schedule.notes != notes {
                    notes
                        .iter()
                        .for_each(|note| tracing::warn!(%provider, note = in_one_line(note), "the provider's keys"));
                }
                if schedule.error.is_some() {
                    tracing::info!(%provider, "the provider's keys could be fetched again");
                }
                let unknown_from_ms = schedule.unknown_from_ms;
                *schedule = Schedule {
                    next_ms: now_ms.saturating_add(refresh_ms),
                    unknown_from_ms,
                    notes,
                    ..Schedule::default()
                };
            }
            Err(error) => {
                let mut schedule = self.schedule();
                schedule.is_under_way = false;
                let most = if has_keys { RETRY_MS_MAX_WITH_KEYS } else { RETRY_MS_MAX };
                let retry_ms = RETRY_MS.saturating_mul(1 << schedule.failures.min(20)).min(most);
                schedule.failures = schedule.failures.saturating_add(1);
                schedule.next_ms = now_ms.saturating_add(retry_ms);
                if schedule.error.as_ref() != Some(&error) {
                    tracing::warn!(%provider, error = in_one_line(&error), still_in_force = has_keys, "the provider's keys could not be fetched");
                }
                schedule.error = Some(error);
            }
        }
    }

    /// Puts keys in force. The same keys stay the same version, so what was verified with them stays verified.
    fn take(&self, answer: &Answer, keys: KeySet, now_ms: i64) {
        static VERSIONS: AtomicU64 = AtomicU64::new(1);
        let digest: [u8; 32] = digest(&SHA256, &answer.body).as_ref().try_into().unwrap_or_default();
        let before = self.current.load_full();
        let version = match &before {
            Some(before) if before.digest == digest => before.version,
            _ => {
                let names = keys.names().join(", ");
                tracing::info!(provider = %self.settings.provider, keys = in_one_line(&names), "the provider's keys are in force");
                VERSIONS.fetch_add(1, Ordering::Relaxed)
            }
        };
        self.current.store(Some(Arc::new(Snapshot { keys, version, digest, fetched_ms: now_ms })));
    }

    /// Takes over what another of the same settings fetched.
    pub(crate) fn adopt(&self, other: &Self) {
        if self.settings != other.settings {
            return;
        }
        let schedule = other.schedule().clone();
        *self.schedule() = Schedule { is_wanted: false, is_under_way: false, ..schedule };
        self.current.store(other.current.load_full());
    }

    pub(crate) fn status(&self, now_ms: i64) -> KeysStatus {
        let current = self.current.load_full();
        let fresh = current.as_ref().filter(|snapshot| self.is_fresh(snapshot, now_ms));
        let schedule = self.schedule();
        KeysStatus {
            keys: fresh.map_or(0, |snapshot| snapshot.keys.len()),
            key_ids: fresh.map_or_else(Vec::new, |snapshot| snapshot.keys.names()),
            fetched_ms: current.as_ref().map(|snapshot| snapshot.fetched_ms),
            error: schedule.error.clone(),
            notes: schedule.notes.clone(),
        }
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among those who wait.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn among(count: &'a AtomicUsize) -> Option<Self> {
        let place = Self(count);
        (count.fetch_add(1, Ordering::AcqRel) < WAITING_MAX).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a log line can hold: providers name their keys as they like.
fn in_one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
