//! [`Entry`]: one request in the log, from its beginning to its one end.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use asuser_audit_log::{
    Draft, Expected, Field, Health, Kind, Leaf, Log, LogError, Metrics, Personal, SubjectKey, SubjectRef, Who,
};
use asuser_core::{Actor, AuditId, Catalog, Clock, Digest, PrincipalKey, Problem, Reason, RequestId, ServiceName};
use asuser_delegation::Delegation;
use asuser_identity::Verified;
use asuser_query::{Plan, Sql};

use crate::intent::Content;
use crate::receipt::Places;
use crate::record::{Known, Recorded};
use crate::{Answer, Body, Intent, Opened, Released, ReleasedStream, Unreleased};

/// What is known of a request before anything is looked at.
#[derive(Debug, Clone)]
pub struct RequestFacts {
    /// The caller's name for it, or ours.
    pub request_id: RequestId,
    /// Where it came from: personal.
    pub source: IpAddr,
    /// The route as a template, without a name or key of the caller's.
    pub route: &'static str,
}

/// Which configuration and policies are in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionDigests {
    /// Of the configuration's text.
    pub config: Digest,
    /// Of the policies, masks and defaults.
    pub policy: Digest,
}

/// How a request ends.
#[derive(Debug)]
pub enum Outcome {
    /// With data.
    Released(Unreleased<Body>),
    /// Without.
    Refused(Problem),
}

impl Outcome {
    /// Why there is no data, if there is none.
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Released(_) => None,
            Self::Refused(problem) => Some(problem.reason),
        }
    }
}

/// The audit: begins entries.
pub struct Audit {
    log: Log,
    clock: Arc<dyn Clock>,
    receipts: Places,
    suppressed: Mutex<Suppressed>,
}

/// Refusals that were counted, not recorded singly.
#[derive(Debug, Default)]
struct Suppressed {
    count: u64,
    from_ms: i64,
    to_ms: i64,
    /// One of the sources, for whoever looks into it.
    source: Option<IpAddr>,
}

/// A summary is written when its window is this old.
const WINDOW_MS: i64 = 60_000;

impl Audit {
    /// Over an open log.
    #[must_use]
    pub fn new(log: Log, clock: Arc<dyn Clock>) -> Self {
        Self { log, clock, receipts: Places::new(tokio::sync::Semaphore::new(1)), suppressed: Mutex::default() }
    }
    /// Begins the entry of a request. Its id exists from here on; its record when it ends.
    #[must_use]
    pub fn begin(self: &Arc<Self>, facts: RequestFacts, digests: VersionDigests) -> Entry {
        let known = Known {
            facts,
            digests,
            catalogue: None,
            service: None,
            action: None,
            actors: Vec::new(),
            established: None,
            plan: None,
        };
        // Without random bytes there is no id: the entry ends as a fault, and nothing is answered.
        let expected = self.log.expect();
        let id = AuditId::random().ok();
        Entry {
            id,
            audit: Arc::clone(self),
            who: None,
            known,
            ended: false,
            counted: None,
            expected: Some(expected),
            intended: false,
        }
    }
    /// Records that a configuration came into force.
    ///
    /// # Errors
    /// When the log does not take it: the configuration must then not be used.
    pub async fn configured(&self, digests: VersionDigests, note: &str) -> Result<(), LogError> {
        let mut leaf = self.own_leaf(Kind::Config)?;
        leaf.config = Some(digests.config);
        leaf.policy = Some(digests.policy);
        leaf.note = Some(note.to_owned());
        self.log.append(vec![Draft::new(leaf)]).await.map(drop)
    }
    /// Writes the summary of suppressed refusals when its window has passed, or now if `closing`.
    ///
    /// # Errors
    /// When the log does not take it; the count is then kept for the next time.
    pub async fn summarise(&self, closing: bool) -> Result<(), LogError> {
        let now_ms = self.clock.now_ms();
        let due = {
            let mut suppressed = self.suppressed();
            let due = suppressed.count > 0 && (closing || now_ms.saturating_sub(suppressed.from_ms) >= WINDOW_MS);
            due.then(|| std::mem::take(&mut *suppressed))
        };
        let Some(due) = due else { return Ok(()) };
        let mut leaf = self.own_leaf(Kind::Summary)?;
        leaf.count = Some(due.count);
        leaf.window = Some(asuser_audit_log::Window { from_ms: due.from_ms, to_ms: due.to_ms });
        leaf.reason = Some(Reason::TooManyRequests.code().to_owned());
        let personal = Personal::none().with_some(Field::Address, due.source.map(|source| source.to_string()));
        let written = self.log.append(vec![Draft::with_personal(leaf, self.log.day_key(), personal)]).await;
        if written.is_err() {
            let mut suppressed = self.suppressed();
            suppressed.count = suppressed.count.saturating_add(due.count);
            suppressed.from_ms = due.from_ms;
            suppressed.to_ms = suppressed.to_ms.max(due.to_ms);
        }
        written.map(drop)
    }
    /// The log, for commands that append to it or read it.
    #[must_use]
    pub const fn log(&self) -> &Log {
        &self.log
    }
    pub(crate) fn receipt_place(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        Arc::clone(&self.receipts).try_acquire_owned().ok()
    }
    /// How the log is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.log.health()
    }
    /// What the log counted.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.log.metrics()
    }

    fn own_leaf(&self, kind: Kind) -> Result<Leaf, LogError> {
        let id = AuditId::random().map_err(|_| LogError::Seal)?;
        Ok(Leaf::new(kind, id, 0, self.clock.now_ms()))
    }
    fn suppressed(&self) -> std::sync::MutexGuard<'_, Suppressed> {
        self.suppressed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request in the log. Dropped before its end (the caller went away), it records just that.
///
/// ```compile_fail,E0616
/// // Law 7: nobody but the audit says that an entry has ended.
/// fn hush(entry: &mut asuser_audit::Entry) {
///     entry.ended = true;
/// }
/// ```
pub struct Entry {
    id: Option<AuditId>,
    pub(crate) audit: Arc<Audit>,
    who: Option<Arc<Who>>,
    pub(crate) known: Known,
    pub(crate) ended: bool,
    counted: Option<OnEnd>,
    /// While its records are to come; a stream has no hurry.
    pub(crate) expected: Option<Expected>,
    /// Its intent is in the log already: what follows is the outcome.
    intended: bool,
}

/// Told once how an entry has ended.
type OnEnd = Box<dyn FnOnce(Result<(), Reason>) + Send + Sync>;

impl Entry {
    /// Has this told how the entry ends: a stream long after its answer was given. It learns the reason, and nothing else.
    pub fn on_end(&mut self, told: impl FnOnce(Result<(), Reason>) + Send + Sync + 'static) {
        self.counted = Some(Box::new(told));
    }
    /// A provider vouches for this principal. Their `who` record is durable when this returns, so that whatever becomes of the
    /// request, a dropped one too, its record can name them, and an erasure reaches it.
    ///
    /// # Errors
    /// When the log takes nothing: the request ends here, before any database is asked.
    pub async fn identified(&mut self, verified: &Verified) -> Result<(), Problem> {
        self.audit.log.admit().map_err(|error| error.problem())?;
        self.who = Some(self.audit.log.who(verified.data()).await.map_err(|error| error.problem())?);
        Ok(())
    }
    /// Whether anybody was verified.
    #[must_use]
    pub const fn is_identified(&self) -> bool {
        self.who.is_some()
    }
    /// Refused, but a good signature named this principal, and this agent.
    pub fn established(&mut self, key: Option<PrincipalKey>, actor: Option<Actor>) {
        self.known.established = key;
        self.known.actors = actor.into_iter().collect();
    }
    /// The agents whose authority is in force.
    pub fn acts_through(&mut self, delegation: &Delegation) {
        self.known.actors = delegation.actors().to_vec();
    }
    /// What is asked of which service.
    pub fn asks(&mut self, service: &ServiceName, action: &'static str, catalog: Option<&Catalog>) {
        self.known.service = Some(service.to_string());
        self.known.action = Some(action);
        self.known.catalogue = catalog.map(|catalog| catalog.version);
    }
    /// Puts a plan under this entry. A structured read changes nothing, so its intent and outcome are one record, and share one
    /// fdatasync, at the end (SPEC: structured reads).
    #[must_use]
    pub fn intend<A>(&mut self, plan: Plan<A>) -> Intent<A>
    where
        Plan<A>: Recorded,
    {
        self.known.plan = Some(plan.facts());
        Intent::new(self.id.unwrap_or(AuditId::from_bytes([0; 16])), plan)
    }
    /// Puts a statement under this entry. What SQL does no type can tell, so its intent is durable before it runs.
    ///
    /// # Errors
    /// When the log takes nothing: the statement must not run.
    pub async fn intend_durably(&mut self, plan: Plan<Sql>) -> Result<Intent<Sql>, Problem> {
        let id = self.id.ok_or_else(no_id)?;
        self.known.plan = Some(plan.facts());
        let key = self.who.as_ref().map_or_else(|| self.audit.log.day_key(), |who| Arc::clone(&who.key));
        let leaf = self.known.intended(self.leaf(Kind::Intent, id, 0));
        let draft = self.draft(leaf, self.known.personal(None), key);
        let pending = self.audit.log.append(vec![draft]);
        // Queued: an end that comes before it is durable still follows it.
        self.intended = true;
        if let Err(error) = pending.await {
            // It is not there, so nothing refers to it.
            self.intended = false;
            return Err(error.problem());
        }
        Ok(Intent::new(id, plan))
    }
    /// Whose entry it is, as the log names them.
    pub(crate) fn owner(&self) -> Option<SubjectRef> {
        self.who.as_ref().map(|who| who.key.id())
    }
    pub(crate) const fn audit(&self) -> &Arc<Audit> {
        &self.audit
    }
    pub(crate) const fn does(&mut self, action: &'static str) {
        self.known.action = Some(action);
    }
    /// An answer that needs no plan.
    pub(crate) fn own_answer(&self, body: Vec<u8>) -> Unreleased<Body> {
        Unreleased::of_identity(self.id.unwrap_or(AuditId::from_bytes([0; 16])), body)
    }
    /// The caller's own identity as an answer: it needs no plan.
    #[must_use]
    pub fn identity(
        &mut self,
        verified: &Verified,
        delegation: &Delegation,
        face: fn(&Verified, &Delegation) -> Vec<u8>,
    ) -> Unreleased<Body> {
        self.does("whoami");
        self.own_answer(face(verified, delegation))
    }
    /// An answer out of what is configured and what is public; it needs no plan. No record of a database can be in it: nothing but
    /// [`Self::finish`] opens a result.
    #[must_use]
    pub fn tells(&mut self, action: &'static str, body: Vec<u8>) -> Unreleased<Body> {
        self.does(action);
        self.own_answer(body)
    }

    /// Ends the entry. The record is durable before there is an answer; if it cannot be, the answer is that (law 7). A long answer
    /// takes the entry along, and ends it when it ends itself.
    pub async fn finish(self, outcome: Outcome) -> Answer {
        let (id, request_id) = (self.id, self.known.facts.request_id.clone());
        let result = self.record(outcome).await;
        let audit_id = match &result {
            Err(problem) if problem.reason == Reason::AuditUnavailable => None,
            _ => id,
        };
        Answer::new(Opened { audit_id, request_id, result })
    }

    async fn record(mut self, outcome: Outcome) -> Result<Released, Problem> {
        let Some(id) = self.id else {
            return self.refuse(no_id());
        };
        let (kind, n) = self.last();
        let key = match (&self.who, &self.known.established) {
            (Some(who), _) => Arc::clone(&who.key),
            // Under the subject's own key, so that an erasure reaches this record too.
            (None, Some(principal)) => match self.audit.log.subject_key(principal).await {
                Ok(key) => key,
                Err(error) => {
                    self.ended = true;
                    return self.refuse(error.problem());
                }
            },
            (None, None) => self.audit.log.day_key(),
        };
        let outcome = match outcome {
            // Cannot happen while a pipeline ends the entry that it began; closed all the same.
            Outcome::Released(unreleased) if unreleased.entry != id => {
                Outcome::Refused(Problem::new(Reason::Internal, "the result belongs to another request"))
            }
            outcome => outcome,
        };
        let (leaf, personal, result) = match outcome {
            Outcome::Released(unreleased) => {
                let Unreleased { rows, database, payload: Body(content), .. } = unreleased;
                let body = match content {
                    Content::Whole(body) => body,
                    Content::Long(long) => {
                        // Only structured reads stream, and those have no intent of their own.
                        let stream = ReleasedStream::begin(self, id, key, long, database).await?;
                        return Ok(Released::Stream(Box::new(stream)));
                    }
                };
                let database = database.as_ref();
                let leaf = self.known.released(self.leaf(kind, id, n), rows, database, &body);
                (leaf, self.known.personal(database), Ok(body))
            }
            Outcome::Refused(problem) => {
                let leaf = self.known.refused(self.leaf(kind, id, n), &problem);
                (leaf, self.known.personal(None), Err(problem))
            }
        };
        let pending = self.audit.log.append(vec![self.draft(leaf, personal, key)]);
        // Queued: whatever happens to this future now, the record will be written.
        self.ended = true;
        let result = match pending.await {
            Ok(_) => result.map(Released::Whole),
            Err(error) => Err(error.problem()),
        };
        self.count(result.as_ref().map(drop).map_err(|problem| problem.reason));
        result
    }

    fn refuse(&mut self, problem: Problem) -> Result<Released, Problem> {
        self.count(Err(problem.reason));
        Err(problem)
    }

    pub(crate) fn count(&mut self, ended: Result<(), Reason>) {
        if let Some(told) = self.counted.take() {
            told(ended);
        }
    }

    /// Ends an entry that is counted instead of recorded.
    #[must_use]
    pub fn suppress(mut self, problem: Problem) -> Answer {
        self.ended = true;
        self.count(Err(problem.reason));
        let now_ms = self.audit.clock.now_ms();
        let mut suppressed = self.audit.suppressed();
        if suppressed.count == 0 {
            suppressed.from_ms = now_ms;
            suppressed.source = Some(self.known.facts.source);
        }
        suppressed.count = suppressed.count.saturating_add(1);
        suppressed.to_ms = now_ms;
        drop(suppressed);
        Answer::new(Opened { audit_id: None, request_id: self.known.facts.request_id.clone(), result: Err(problem) })
    }

    /// The kind and number of the record that ends the entry.
    const fn last(&self) -> (Kind, u32) {
        if self.intended { (Kind::Outcome, 1) } else { (Kind::Whole, 0) }
    }
    pub(crate) fn leaf(&self, kind: Kind, id: AuditId, n: u32) -> Leaf {
        Leaf::new(kind, id, n, self.audit.clock.now_ms())
    }
    pub(crate) fn draft(&self, mut leaf: Leaf, personal: Personal, key: Arc<SubjectKey>) -> Draft {
        leaf.who = self.who.as_ref().map(|who| who.at);
        Draft::with_personal(leaf, key, personal)
    }
}

fn no_id() -> Problem {
    Problem::new(Reason::Internal, "the audit entry has no id, so nothing is answered")
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Some(id) = self.id.filter(|_| !self.ended) else { return };
        let problem = Problem::new(Reason::Cancelled, "the caller went away");
        self.count(Err(problem.reason));
        if self.who.is_none() {
            // Their key cannot be waited for here, and under the key of the day an erasure would not reach the name.
            self.known.established = None;
        }
        let key = self.who.as_ref().map_or_else(|| self.audit.log.day_key(), |who| Arc::clone(&who.key));
        let (kind, n) = self.last();
        let leaf = self.known.refused(self.leaf(kind, id, n), &problem);
        let draft = self.draft(leaf, self.known.personal(None), key);
        self.audit.log.submit(vec![draft]);
    }
}
