//! The open log: facts in, durable records out.
//!
//! In: groups of [`Draft`]s. They are encoded, committed to and sealed on the caller's thread; the writer numbers them and
//! makes them durable. Out: [`Pending`], which resolves when they are. Refused: everything once the log has failed; new
//! work at the disk's reserve or while checkpoints cannot leave.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use asuser_core::{AuditId, Clock, PrincipalData, PrincipalKey};
use quick_cache::sync::Cache;
use tokio::sync::oneshot;

use crate::checkpoint::{Checkpoint, VerifierKey};
use crate::error::LogError;
use crate::frame::frame_len;
use crate::gate::{Counters, Gate, Health, Metrics};
use crate::keeper::{Bell, DayKey};
use crate::keys::{Erasure, Job, Who, facts, is_same};
use crate::leaf::{Kind, Leaf};
use crate::merkle::leaf_hash;
use crate::personal::{Personal, Salted, SubjectKey};
use crate::writer::{Durable, Expected, GROUP_MAX, Group, NotQueued, Pending, Queue, Record};

/// A record to be written.
#[derive(Debug, Clone)]
pub struct Draft {
    leaf: Leaf,
    personal: Option<(Arc<SubjectKey>, Personal)>,
}

impl Draft {
    /// Facts without anything personal.
    #[must_use]
    pub const fn new(leaf: Leaf) -> Self {
        Self { leaf, personal: None }
    }
    /// Facts and personal fields, to be sealed under this key: the subject's ([`Who::key`]), or where nobody was
    /// authenticated the day's ([`Log::day_key`]).
    #[must_use]
    pub fn with_personal(leaf: Leaf, key: Arc<SubjectKey>, personal: Personal) -> Self {
        Self { leaf, personal: (!personal.is_empty()).then_some((key, personal)) }
    }

    pub(crate) fn seal(self) -> Result<Record, LogError> {
        let mut leaf = self.leaf.fitted();
        leaf.commitments.clear();
        let (bytes, personal) = match self.personal {
            None => (leaf.encode()?, Vec::new()),
            Some((key, personal)) => {
                let salted = Salted::new(personal).map_err(|_| LogError::Seal)?;
                leaf.commitments = salted.commitments();
                let bytes = leaf.encode()?;
                let sealed = salted.seal(&key, &bytes).map_err(|_| LogError::Seal)?;
                (bytes, sealed)
            }
        };
        Ok(Record { hash: leaf_hash(&bytes), leaf: bytes, personal })
    }
}

/// Whether a group belongs to what has begun: it then passes the reserve, which is kept for it.
fn begun(group: &[Draft]) -> bool {
    group.first().is_some_and(|draft| {
        draft.leaf.n > 0 || matches!(draft.leaf.kind, Kind::Erase | Kind::Start | Kind::Config | Kind::Abandoned)
    })
}

/// What the threads share.
pub(crate) struct Shared {
    pub(crate) queue: Arc<Queue>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) durable: Arc<Durable>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) day_key: Arc<DayKey>,
    pub(crate) known: Cache<PrincipalKey, Arc<Who>>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The longest group, so that it fits a segment.
    pub(crate) group_bytes_max: usize,
}

impl Shared {
    pub(crate) fn append(&self, group: Vec<Draft>) -> Pending {
        let begun = begun(&group);
        self.gate
            .admit(begun)
            .and_then(|()| self.seal(group))
            .and_then(|records| {
                let (sender, receiver) = oneshot::channel();
                match self.queue.push(Group::new(records, Some(sender)), begun) {
                    Ok(()) => Ok(Pending::queued(receiver)),
                    Err(NotQueued::Closed) => Err(self.gate.failure().unwrap_or(LogError::Closed)),
                    Err(NotQueued::Full) => {
                        self.counters.busy.fetch_add(1, Ordering::Relaxed);
                        Err(LogError::Busy)
                    }
                }
            })
            .unwrap_or_else(Pending::refused)
    }

    fn submit(&self, group: Vec<Draft>) {
        let count = group.len() as u64;
        let why = match (self.gate.failure(), self.seal(group)) {
            (Some(failure), _) => failure.to_string(),
            (None, Err(error)) => error.to_string(),
            (None, Ok(records)) => match self.queue.push(Group::new(records, None), true) {
                Ok(()) => return,
                Err(NotQueued::Full) => "the queue is full".into(),
                Err(NotQueued::Closed) => "the log is closed".into(),
            },
        };
        self.counters.lost.fetch_add(count, Ordering::Relaxed);
        self.gate.fail(format!("{count} audit records of a cancelled request are lost: {why}"));
    }

    fn seal(&self, group: Vec<Draft>) -> Result<Vec<Record>, LogError> {
        if group.is_empty() || group.len() > GROUP_MAX {
            return Err(LogError::Group("it must have 1 to 64 records"));
        }
        let in_order = group.windows(2).all(|pair| match pair {
            [a, b] => a.leaf.entry == b.leaf.entry && a.leaf.n.checked_add(1) == Some(b.leaf.n),
            _ => true,
        });
        if !in_order {
            return Err(LogError::Group("its records must be of one entry and numbered in order"));
        }
        let records = group.into_iter().map(Draft::seal).collect::<Result<Vec<_>, _>>()?;
        let bytes: usize = records.iter().map(|record| frame_len(&record.leaf, &record.personal)).sum();
        if bytes > self.group_bytes_max {
            return Err(LogError::Group("it does not fit a segment"));
        }
        Ok(records)
    }

    /// The known reference to this principal, if its facts are still the same.
    pub(crate) fn known(&self, key: &PrincipalKey, facts: &Personal) -> Option<Arc<Who>> {
        self.known.get(key).filter(|who| who.facts == *facts)
    }
}

/// The open log. Clones are the same log; when the last is dropped, what is queued is written, a last checkpoint is
/// made, and the folder is free.
#[derive(Clone)]
pub struct Log(Arc<Inner>);

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("folder", &self.0.folder).field("size", &self.size()).finish_non_exhaustive()
    }
}

pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) folder: PathBuf,
    pub(crate) verifier: VerifierKey,
    pub(crate) jobs: Option<SyncSender<Job>>,
    pub(crate) threads: Mutex<Threads>,
    /// Held for life: the lock on the folder.
    pub(crate) _lock: std::fs::File,
}

/// The log's threads, in the order in which they end.
#[derive(Default)]
pub(crate) struct Threads {
    pub(crate) keys: Option<JoinHandle<()>>,
    pub(crate) writer: Option<JoinHandle<()>>,
    pub(crate) keeper: Option<JoinHandle<()>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
        let join = |thread: Option<JoinHandle<()>>| drop(thread.map(JoinHandle::join));
        self.jobs = None;
        join(threads.keys.take());
        self.shared.queue.close();
        join(threads.writer.take());
        self.shared.bell.stop();
        join(threads.keeper.take());
    }
}

impl Log {
    pub(crate) fn from_inner(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Appends records of one entry, numbered `n`, `n + 1`, …, one after another without a gap. Queued when this returns
    /// (unless it is refused at once); durable when the [`Pending`] resolves. Over-long texts are cut and marked.
    pub fn append(&self, group: Vec<Draft>) -> Pending {
        self.0.shared.append(group)
    }

    /// Says that records will come: while several are expected, a commit waits a moment for them.
    #[must_use]
    pub fn expect(&self) -> Expected {
        Expected::by(&self.0.shared.queue)
    }

    /// Queues records that nobody waits for, such as those of a cancelled request: without blocking, from a `Drop` too.
    /// They pass the reserve and have room in the queue that new work has not; where they cannot be queued all the same,
    /// they are counted as lost and the log has failed.
    pub fn submit(&self, group: Vec<Draft>) {
        self.0.shared.submit(group);
    }

    /// The reference to this principal, if its `who` record is durable and says the same.
    #[must_use]
    pub fn known(&self, principal: &PrincipalData) -> Option<Arc<Who>> {
        self.0.shared.known.get(&principal.key).filter(|who| is_same(&who.facts, principal))
    }

    /// The reference to this principal; its `who` record is made, and durable, first. Concurrent first uses make one
    /// record. A principal whose login, e-mail or name has changed gets a new one, as does one that fell out of the cache.
    ///
    /// # Errors
    /// As [`Self::append`], and where the store of keys fails.
    pub async fn who(&self, principal: &PrincipalData) -> Result<Arc<Who>, LogError> {
        if let Some(who) = self.known(principal) {
            return Ok(who);
        }
        let facts = facts(principal);
        let (reply, receiver) = oneshot::channel();
        self.send(Job::Who { principal: principal.key.clone(), facts, reply })?;
        receiver.await.unwrap_or(Err(LogError::Closed))
    }

    /// The key for personal facts of a principal who was refused: a good signature named them, but there is no `who` record.
    ///
    /// # Errors
    /// Where the store of keys fails.
    pub async fn subject_key(&self, principal: &PrincipalKey) -> Result<Arc<SubjectKey>, LogError> {
        let (reply, receiver) = oneshot::channel();
        self.send(Job::SubjectKey { principal: principal.clone(), reply })?;
        receiver.await.unwrap_or(Err(LogError::Closed))
    }

    /// Erases a subject: an `erase` record, then its key and mapping in the store, then an `erased` record. `leaf` brings
    /// the entry, the time and who ordered it; its kind, number and subject are set here.
    ///
    /// # Errors
    /// As [`Self::append`]; [`LogError::NoSuchSubject`] (nothing was recorded); where the store fails after the `erase`
    /// record, the erasure is done again at the next start.
    pub async fn erase(&self, subject: Erasure, leaf: Leaf) -> Result<AuditId, LogError> {
        let (reply, receiver) = oneshot::channel();
        self.send(Job::Erase { subject, leaf: Box::new(leaf), reply })?;
        receiver.await.unwrap_or(Err(LogError::Closed))
    }

    fn send(&self, job: Job) -> Result<(), LogError> {
        let jobs = self.0.jobs.as_ref().ok_or(LogError::Closed)?;
        jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => LogError::Busy,
            TrySendError::Disconnected(_) => LogError::Closed,
        })
    }

    /// The key that sources without an authenticated principal are kept under today.
    #[must_use]
    pub fn day_key(&self) -> Arc<SubjectKey> {
        self.0.shared.day_key.current()
    }

    /// Makes a checkpoint over all that is durable now, and waits until it has left the host (or does not).
    ///
    /// # Errors
    /// Where it cannot be written. Whether it has left, [`Self::health`] says.
    pub async fn checkpoint(&self) -> Result<Checkpoint, LogError> {
        self.0.shared.bell.ask().await.unwrap_or(Err(LogError::Closed))
    }

    /// Whether new work is taken.
    ///
    /// # Errors
    /// Why it is not, as [`Self::append`] would say.
    pub fn admit(&self) -> Result<(), LogError> {
        self.0.shared.gate.admit(false)
    }
    /// How the log is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.0.shared.gate.health()
    }
    /// Counted since the log was opened.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.0.shared.counters.read(self.0.shared.durable.size())
    }
    /// How many records are durable.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.shared.durable.size()
    }
    /// The public key that checkpoints are checked with; prints as `origin+hash+base64`.
    #[must_use]
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.0.verifier
    }
    /// The log's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }
}
