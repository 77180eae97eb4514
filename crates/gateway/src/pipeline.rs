//! One request, from credential to answer.
//!
//! In: what a face understood of a request, a misunderstanding included. Out: an [`Answer`], always. The order is fixed: who asks
//! is settled before what was asked is looked at, so an unknown caller learns nothing, and a known one is named in the record
//! of every refusal.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use asuser_audit::{Answer, Audit, Body, Entry, Outcome, RecordsFace, RequestFacts, SqlFace, Unreleased};
use asuser_core::{AuditId, Clock, Problem, Reach, Reason, RequestTree, Secret, ServiceName};
use asuser_delegation::{Action, Delegation};
use asuser_identity::{Credential, Verified};
use asuser_policy::{ListingDecision, Policies, PolicyError};
use asuser_query::{CatalogView, Listing, Plan, Sql, TableEntry};
use serde_json::Value as Json;

use crate::limits::Flood;
use crate::{FloodLimits, Metrics, Service, ServiceView, State, Tool, ToolsView};

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
    /// Which services may I reach?
    Services,
    /// Which tools may I use?
    Tools,
    /// Which tables of all services may I reach?
    Tables,
    /// Run a configured tool.
    Tool {
        /// Its name.
        name: String,
        /// Values for its parameters.
        arguments: BTreeMap<String, Json>,
    },
    /// Something that needs nothing but a verified caller: the face has written it out of what is public.
    Told {
        /// For the record.
        action: &'static str,
        /// The body.
        body: Vec<u8>,
    },
}

/// How a face writes answers: plain functions, which can carry nothing out, and its own words about the request.
pub struct Face {
    /// Records.
    pub records: RecordsFace,
    /// What SQL gave.
    pub sql: SqlFace,
    /// What may be known of the catalogue.
    pub listing: fn(&Plan<Listing>) -> Vec<u8>,
    /// The caller's own identity.
    pub whoami: fn(&Verified, &Delegation) -> Vec<u8>,
    /// The services that the caller may reach.
    pub services: fn(&[ServiceView]) -> Vec<u8>,
    /// The tools that the caller may use.
    pub tools: fn(&ToolsView<'_>) -> Vec<u8>,
    /// The tables of all services that the caller may reach.
    pub tables: fn(&[ServiceTables]) -> Vec<u8>,
    /// The face's own words about this request, such as its number in a protocol.
    pub frame: String,
    /// Puts the protocol around a whole body.
    pub wrap: fn(&str, Vec<u8>) -> Vec<u8>,
}

/// A service, and its tables that the caller may reach.
pub type ServiceTables = (ServiceView, Vec<TableEntry>);

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

        let asked = Asked { state, verified: &verified, delegation: &delegation, now_ms };
        let face = &request.face;
        let body = match request.ask? {
            Ask::Receipt(id) => entry.receipt(id, state.receipt_reader(&verified)).await?,
            Ask::Whoami => entry.identity(&verified, &delegation, face.whoami),
            Ask::Told { action, body } => entry.tells(action, body),
            Ask::Services => {
                let views: Vec<ServiceView> = asked.reachable().await.into_iter().map(|(view, ..)| view).collect();
                entry.tells("list_services", (face.services)(&views))
            }
            Ask::Tables => entry.tells("list_tables", (face.tables)(&asked.tables().await)),
            Ask::Tools => entry.tells("list_tools", asked.tools(face.tools).await),
            Ask::Tool { name, arguments } => asked.tool(entry, &name, &arguments, face, request.takes_streams).await?,
            Ask::Service(name, tree) => {
                let answered = asked.service(entry, &name, &tree, face, request.takes_streams).await;
                match answered {
                    Err(problem) if problem.reason == Reason::NoSuchTable => {
                        return Err(asked.with_suggestion(&name, &tree, problem).await);
                    }
                    other => other?,
                }
            }
        };
        Ok(body.wrap(&face.frame, face.wrap))
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

/// A verified caller's question, and what judges it.
struct Asked<'a> {
    state: &'a State,
    verified: &'a Arc<Verified>,
    delegation: &'a Arc<Delegation>,
    now_ms: i64,
}

impl Asked<'_> {
    /// Something of one service.
    async fn service(
        &self,
        entry: &mut Entry,
        name: &ServiceName,
        tree: &RequestTree,
        face: &Face,
        takes_streams: bool,
    ) -> Result<Unreleased<Body>, Problem> {
        let action = if matches!(tree, RequestTree::Sql(_)) { Action::RawSql } else { Action::Read };
        let (name, service) = self.entered(entry, name, action)?;
        let reach = service.connector.reach(self.verified).await?;
        match tree {
            RequestTree::Read(read) => {
                let decision =
                    self.policies().decide_read(self.verified, self.delegation, name, &read.table, self.now_ms)?;
                let plan = asuser_query::seal_read(decision, read, &service.limits, &reach)?;
                let single = plan.single_record();
                let intent = entry.intend(plan);
                let unreleased = service.connector.read(intent).await?;
                if single && unreleased.is_empty() {
                    return Err(no_such_record());
                }
                if single && unreleased.has_more() {
                    return Err(ambiguous_key());
                }
                if unreleased.is_long() && !takes_streams {
                    return Err(no_stream());
                }
                Ok(unreleased.render(face.records))
            }
            RequestTree::ListTables { as_list } => {
                let plan = asuser_query::seal_tables(self.listing(name)?, *as_list, &reach);
                Ok(entry.intend(plan).render(face.listing))
            }
            RequestTree::DescribeTable { table } => {
                let plan = asuser_query::seal_description(self.listing(name)?, table, &reach)?;
                Ok(entry.intend(plan).render(face.listing))
            }
            RequestTree::Schema { tables } => {
                let plan = asuser_query::seal_schema(self.listing(name)?, tables, &reach)?;
                Ok(entry.intend(plan).render(face.listing))
            }
            RequestTree::Aggregate(asked) => {
                let plan = asuser_query::seal_aggregate(self.listing(name)?, asked, &service.limits, &reach)?;
                run_sql(entry, service, plan, face, takes_streams).await
            }
            RequestTree::Sql(asked) => {
                let decision = self.listing(name)?;
                let statement = asuser_query::parse_sql(&asked.text, decision.database(), &service.functions, &[])?;
                let plan = asuser_query::seal_sql(decision, statement, asked.limit, &service.limits, &reach)?;
                run_sql(entry, service, plan, face, takes_streams).await
            }
        }
    }

    /// A configured tool: the administrator wrote what it runs, so reading is right enough.
    async fn tool(
        &self,
        entry: &mut Entry,
        name: &str,
        arguments: &BTreeMap<String, Json>,
        face: &Face,
        takes_streams: bool,
    ) -> Result<Unreleased<Body>, Problem> {
        let tool = self.state.tools.get(name).ok_or_else(|| no_such_tool(name))?;
        let decision = match self.listing(&tool.service) {
            // Whoever may see nothing of the tool's service learns of no tool.
            Err(PolicyError::Denied(_)) => return Err(no_such_tool(name)),
            other => other,
        };
        let (_, service) = self.entered(entry, &tool.service, Action::Read)?;
        let arguments = tool.arguments(arguments)?;
        let reach = service.connector.reach(self.verified).await?;
        let plan = asuser_query::seal_tool(decision?, tool.statement.clone(), arguments, &service.limits, &reach)?;
        run_sql(entry, service, plan, face, takes_streams).await
    }

    /// The service, where the caller's agent may do this with it.
    fn entered(
        &self,
        entry: &mut Entry,
        name: &ServiceName,
        action: Action,
    ) -> Result<(&ServiceName, &Service), Problem> {
        let found = self.state.services.get_key_value(name.as_str());
        let (name, service) = found.ok_or_else(|| no_such_service(name))?;
        entry.asks(name, action.as_str(), service.catalog.as_deref());
        // SQL reads: whoever may submit it, and not read, may not.
        let needed: &[Action] = match action {
            Action::RawSql => &[Action::Read, Action::RawSql],
            Action::Read => &[Action::Read],
        };
        self.delegation.permits_all(name, needed)?;
        if service.catalog.is_none() {
            return Err(not_ready(name));
        }
        Ok((name, service))
    }

    fn policies(&self) -> &Policies {
        &self.state.policies
    }
    fn listing(&self, service: &ServiceName) -> Result<ListingDecision, PolicyError> {
        self.policies().decide_listing(self.verified, self.delegation, service, self.now_ms)
    }

    /// A table's name that is nearly one that the caller may reach is answered with that one.
    async fn with_suggestion(&self, service: &ServiceName, tree: &RequestTree, problem: Problem) -> Problem {
        let reach = match self.state.services.get(service.as_str()) {
            Some(service) => service.connector.reach(self.verified).await,
            None => return problem,
        };
        let (Ok(reach), Ok(decision)) = (reach, self.listing(service)) else { return problem };
        let plan = asuser_query::seal_tables(decision, false, &reach);
        let CatalogView::Tables { resource } = plan.listing() else { return problem };
        let is_known = |table: &str| resource.iter().any(|entry| entry.name.as_str() == table);
        let Some(asked) = tree.tables().find(|table| !is_known(table)) else { return problem };
        let asked: String = asked.chars().take(64).collect::<String>().to_lowercase();
        let distance = |entry: &TableEntry| strsim::damerau_levenshtein(&asked, &entry.name.as_str().to_lowercase());
        let near = resource.iter().map(|entry| (distance(entry), entry.name.as_str())).min();
        match near {
            Some((distance, name)) if distance <= name.chars().count().div_ceil(3) => {
                let message = format!("{}; did you mean `{name}`?", problem.message);
                Problem { message, ..problem }.context(serde_json::json!({ "suggestion": name }))
            }
            _ => problem,
        }
    }

    /// The services of which the caller may reach something now.
    async fn reachable(&self) -> Vec<(ServiceView, ListingDecision, Arc<Reach>)> {
        let mut found = Vec::new();
        for (name, service) in &self.state.services {
            let Some(catalog) = &service.catalog else { continue };
            if self.delegation.permits(name, Action::Read).is_err() {
                continue;
            }
            let (Ok(decision), Ok(reach)) = (self.listing(name), service.connector.reach(self.verified).await) else {
                continue;
            };
            let view = ServiceView {
                name: name.clone(),
                database: catalog.database,
                raw_sql: self.delegation.permits(name, Action::RawSql).is_ok(),
                description: service.description.clone(),
            };
            found.push((view, decision, reach));
        }
        found
    }

    async fn tables(&self) -> Vec<ServiceTables> {
        let entries = |(view, decision, reach): (ServiceView, ListingDecision, Arc<Reach>)| {
            let plan = asuser_query::seal_tables(decision, false, &reach);
            match plan.listing() {
                CatalogView::Tables { resource } => (view, resource.clone()),
                _ => (view, Vec::new()),
            }
        };
        self.reachable().await.into_iter().map(entries).collect()
    }

    async fn tools(&self, face: fn(&ToolsView<'_>) -> Vec<u8>) -> Vec<u8> {
        let services: Vec<ServiceView> = self.reachable().await.into_iter().map(|(view, ..)| view).collect();
        let is_reached = |tool: &&Tool| services.iter().any(|service| service.name == tool.service);
        let tools: Vec<&Tool> = self.state.tools.values().filter(is_reached).collect();
        let raw_sql = services.iter().any(|service| service.raw_sql);
        face(&ToolsView { raw_sql, services: &services, tools: &tools })
    }
}

/// Runs SQL whose intent is durable first.
async fn run_sql(
    entry: &mut Entry,
    service: &Service,
    plan: Plan<Sql>,
    face: &Face,
    takes_long: bool,
) -> Result<Unreleased<Body>, Problem> {
    let intent = entry.intend_durably(plan).await?;
    let unreleased = service.connector.sql(intent).await?;
    if unreleased.is_long() && !takes_long {
        return Err(too_long());
    }
    Ok(unreleased.render(face.sql))
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

fn no_such_tool(name: &str) -> Problem {
    let shown: String = name.chars().take(64).collect();
    Problem::new(Reason::NoSuchTool, format!("there is no tool `{shown}`"))
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

fn too_long() -> Problem {
    let kib = asuser_core::SEGMENT_BYTES_MAX / 1024;
    let message = format!("the answer is larger than {kib} KiB: ask for fewer columns, or less with LIMIT");
    Problem::new(Reason::AnswerTooLarge, message)
}

fn no_stream() -> Problem {
    let kib = asuser_core::SEGMENT_BYTES_MAX / 1024;
    let message = format!(
        "the answer is larger than {kib} KiB, and HTTP/1.0 cannot show whether all of it came: use HTTP/1.1, or ask for fewer \
         fields or a smaller `limit`"
    );
    Problem::new(Reason::AnswerTooLarge, message)
}
