//! One request, from credential to answer.
//!
//! In: what a face understood of a request, a misunderstanding included. Out: an [`Answer`], always. The order is fixed: who asks
//! is settled before what was asked is looked at, so an unknown caller learns nothing, and a known one is named in the record
//! of every refusal.

use std::sync::Arc;

use arc_swap::ArcSwap;
use asuser_audit::{Answer, Audit, Body, Entry, Outcome, RecordsFace, RequestFacts, Unreleased};
use asuser_core::{AuditId, Clock, Problem, Reason, RequestTree, Secret, ServiceName};
use asuser_delegation::{Action, Delegation};
use asuser_identity::{Credential, Verified};
use asuser_query::{Listing, Plan};

use crate::limits::Flood;
use crate::{FloodLimits, Metrics, State};

/// A request as a face understood it.
pub struct Request {
    /// For the record.
    pub facts: RequestFacts,
    /// Who claims to ask; `Ok(None)`: nobody.
    pub credential: Result<Option<Credential>, Problem>,
    /// The agent's own credential.
    pub agent_key: Option<Secret>,
    /// What is asked.
    pub ask: Result<Ask, Problem>,
    /// How the face writes answers.
    pub face: Face,
    /// Whether an answer that breaks off can be told from a whole one on this connection, so that a long one may be streamed.
    pub takes_streams: bool,
}

/// What is asked.
pub enum Ask {
    /// Who am I, and what may I do?
    Whoami,
    /// The proof that an entry is in the audit log.
    Receipt(AuditId),
    /// Something of a service.
    Service(ServiceName, RequestTree),
}

/// How a face writes answers: plain functions, which can carry nothing out.
#[derive(Clone, Copy)]
pub struct Face {
    /// Records.
    pub records: RecordsFace,
    /// What may be known of the catalogue.
    pub listing: fn(&Plan<Listing>) -> Vec<u8>,
    /// The caller's own identity.
    pub whoami: fn(&Verified, &Delegation) -> Vec<u8>,
}

/// The core that every face calls.
pub struct Gateway {
    state: ArcSwap<State>,
    audit: Arc<Audit>,
    clock: Arc<dyn Clock>,
    flood: Flood,
    metrics: Arc<Metrics>,
}

impl Gateway {
    /// Puts the parts together.
    #[must_use]
    pub fn new(state: State, audit: Arc<Audit>, clock: Arc<dyn Clock>, flood: FloodLimits) -> Self {
        Self { state: ArcSwap::from_pointee(state), flood: Flood::new(flood), audit, clock, metrics: Arc::default() }
    }
    /// What decides now.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.state.load_full()
    }
    /// From now on this decides; requests under way end under what they began with.
    pub fn replace_state(&self, state: State) {
        self.state.store(Arc::new(state));
    }
    /// Counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
    /// The audit.
    #[must_use]
    pub const fn audit(&self) -> &Arc<Audit> {
        &self.audit
    }

    /// Answers one request. Every way through it ends in an entry's end, which makes the record durable first (law 7).
    pub async fn answer(&self, request: Request) -> Answer {
        let state = self.state.load_full();
        let source = request.facts.source;
        let mut entry = self.audit.begin(request.facts.clone(), state.digests);
        let metrics = Arc::clone(&self.metrics);
        entry.on_end(move |ended| metrics.count(ended));
        let outcome = match self.run(&state, &mut entry, request).await {
            Ok(unreleased) => Outcome::Released(unreleased),
            Err(problem) => Outcome::Refused(problem),
        };
        // A log that takes nothing says so itself, whoever asks.
        let stranger = !entry.is_identified() && outcome.reason() != Some(Reason::AuditUnavailable);
        if stranger && !self.flood.admits_refusal(source, self.clock.now_ms()) {
            return entry.suppress(too_many_requests(self.flood.burst()));
        }
        entry.finish(outcome).await
    }

    async fn run(&self, state: &State, entry: &mut Entry, request: Request) -> Result<Unreleased<Body>, Problem> {
        let now_ms = self.clock.now_ms();
        let verified = self.verify(state, entry, &request, now_ms).await?;
        let delegation = Arc::new(state.agents.resolve(&verified, request.agent_key.as_ref())?);
        entry.acts_through(&delegation);

        let (name, tree) = match request.ask? {
            Ask::Receipt(id) => return entry.receipt(id, state.receipt_reader(&verified)).await,
            Ask::Whoami => return Ok(entry.identity(&verified, &delegation, request.face.whoami)),
            Ask::Service(name, tree) => (name, tree),
        };
        let (name, service) = state.services.get_key_value(name.as_str()).ok_or_else(|| no_such_service(&name))?;
        entry.asks(name, Action::Read.as_str(), service.catalog.as_deref());
        delegation.permits(name, Action::Read)?;
        if service.catalog.is_none() {
            return Err(not_ready(name));
        }

        let policies = &state.policies;
        let reach = service.connector.reach(&verified).await?;
        match tree {
            RequestTree::Read(read) => {
                let decision = policies.decide_read(&verified, &delegation, name, &read.table, now_ms)?;
                let plan = asuser_query::seal_read(decision, &read, &service.limits, &reach)?;
                let single = plan.single_record();
                let intent = entry.intend(plan);
                let unreleased = service.connector.read(intent).await?;
                if single && unreleased.is_empty() {
                    return Err(no_such_record());
                }
                if single && unreleased.has_more() {
                    return Err(ambiguous_key());
                }
                if unreleased.is_long() && !request.takes_streams {
                    return Err(no_stream());
                }
                Ok(unreleased.render(request.face.records))
            }
            RequestTree::ListTables { as_list } => {
                let decision = policies.decide_listing(&verified, &delegation, name, now_ms)?;
                Ok(entry.intend(asuser_query::seal_tables(decision, as_list, &reach)).render(request.face.listing))
            }
            RequestTree::DescribeTable { table } => {
                let decision = policies.decide_listing(&verified, &delegation, name, now_ms)?;
                Ok(entry.intend(asuser_query::seal_description(decision, &table, &reach)?).render(request.face.listing))
            }
        }
    }

    /// Settles who asks.
    async fn verify(
        &self,
        state: &State,
        entry: &mut Entry,
        request: &Request,
        now_ms: i64,
    ) -> Result<Arc<Verified>, Problem> {
        let credential = request.credential.as_ref().map_err(Clone::clone)?.as_ref().ok_or_else(no_credential)?;
        match state.identities.verify(credential, now_ms).await {
            Ok(verified) => {
                entry.identified(&verified).await?;
                Ok(verified)
            }
            Err(refused) => {
                entry.established(refused.established, refused.actor);
                Err(refused.problem)
            }
        }
    }
}

fn no_credential() -> Problem {
    Problem::new(Reason::NoCredential, "no credential: send `Authorization: Bearer <the user's token>`")
}

fn too_many_requests(burst: u32) -> Problem {
    let message = "too many refused requests from this address: correct the credential and try again later";
    Problem::new(Reason::TooManyRequests, message).retry_after(1).context(serde_json::json!({ "limit": burst }))
}

fn no_such_service(name: &ServiceName) -> Problem {
    let shown: String = name.as_str().chars().take(64).collect();
    Problem::new(Reason::NoSuchService, format!("there is no service `{shown}`"))
}

fn not_ready(name: &ServiceName) -> Problem {
    Problem::new(Reason::DatabaseUnavailable, format!("the service `{name}` is not ready: try again later"))
        .retry_after(5)
}

fn no_such_record() -> Problem {
    Problem::new(Reason::NoSuchRecord, "there is no such record that you may see")
}

fn ambiguous_key() -> Problem {
    let message = "more than one record has this `id_field` value: ask for a list with a `filter` instead";
    Problem::new(Reason::BadKey, message)
}

fn no_stream() -> Problem {
    let kib = asuser_core::SEGMENT_BYTES_MAX / 1024;
    let message = format!(
        "the answer is larger than {kib} KiB, and HTTP/1.0 cannot show whether all of it came: use HTTP/1.1, or ask for fewer \
         fields or a smaller `limit`"
    );
    Problem::new(Reason::AnswerTooLarge, message)
}
