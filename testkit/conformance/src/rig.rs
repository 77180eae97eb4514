//! The pipeline around a connector, as the gateway has it: everything real, in a temporary folder.

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use asuser_audit::{
    Answer, Audit, Body, Entry, Opened, Outcome, RecordsFace, Released, RequestFacts, SqlFace, SqlResult, Unreleased,
    VersionDigests,
};
use asuser_audit_log::{KeyStore, Log, Options, Reader, RecordView};
use asuser_connector::{Connector, ConnectorError};
use asuser_core::{AuditId, Catalog, Clock as _, Digest, Problem, Reason, Secret, ServiceName, SystemClock, Totals};
use asuser_delegation::{ActorConfig, Agents, Delegation};
use asuser_identity::{Credential, Identities, Verified};
use asuser_policy::{
    AttributeSchema, LoadError, Policies, PolicyFile, PolicyFolder, PolicySources, ServiceDefault, ServiceSource,
};
use asuser_query::{AllowedFunctions, Plan, Read, ServiceLimits};
use asuser_store::Store;
use asuser_testkit::TestIssuer;
use serde_json::{Value as Json, json};

/// The smallest that is useful: a suite goes through several.
const SEGMENT_BYTES: u64 = 256 * 1024;

/// Drives a check to its end on a runtime of its own.
pub fn run<T>(check: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(check)
}

/// An identity provider, agents and an audit log.
pub struct Rig {
    issuer: TestIssuer,
    identities: Identities,
    agents: Agents,
    attributes: AttributeSchema,
    audit: Arc<Audit>,
    store: Arc<Store>,
    folder: tempfile::TempDir,
}

/// Somebody who was verified, through an agent.
#[derive(Debug, Clone)]
pub struct Person {
    /// Who.
    pub verified: Arc<Verified>,
    /// What the agent may do for them.
    pub delegation: Arc<Delegation>,
}

impl Rig {
    /// With attributes that policies may read; the claim of each has its name.
    #[must_use]
    pub fn new(attributes: &AttributeSchema) -> Arc<Self> {
        let folder = tempfile::tempdir().unwrap();
        let issuer = TestIssuer::new("https://idp.example.com", "https://data.example.com");
        let mut config = issuer.config("idp");
        config.attributes = attributes
            .iter()
            .map(|(name, ty)| (name.clone(), serde_json::from_value(json!({ "claim": name, "type": ty })).unwrap()))
            .collect();
        let no_secret = |name: &str| Err(format!("no secret {name}"));
        let identities = Identities::new(&[config], Path::new("."), &no_secret).unwrap();
        let agents = Agents::new(Vec::new(), ActorConfig::default(), [], []).unwrap();
        let store = Arc::new(Store::open(folder.path().join("store.db")).unwrap());
        let audit = Arc::new(Audit::new(open_log(folder.path(), &store), Arc::new(SystemClock)));
        Arc::new(Self { issuer, identities, agents, attributes: attributes.clone(), audit, store, folder })
    }

    /// Verifies an honest token with these claims replaced or added; `null` removes one.
    ///
    /// # Errors
    /// Where identity or delegation refuses.
    pub async fn person(&self, login: &str, changes: &Json) -> Result<Person, Problem> {
        let credential = Credential::Bearer(Secret::new(self.issuer.token_with(login, changes)));
        let verified =
            self.identities.verify(&credential, SystemClock.now_ms()).await.map_err(|refused| refused.problem)?;
        let delegation = Arc::new(self.agents.resolve(&verified, None)?);
        Ok(Person { verified, delegation })
    }

    /// The records of an entry, read back from the disk, personal parts opened.
    #[must_use]
    pub fn entry(&self, id: AuditId) -> Vec<RecordView> {
        let (log, store) = (self.audit.log(), Arc::clone(&self.store) as Arc<dyn KeyStore>);
        Reader::new(log.folder(), log.verifier_key().clone(), Some(store)).entry(id).unwrap()
    }

    /// How many records the log has.
    #[must_use]
    pub fn log_size(&self) -> u64 {
        self.audit.log().size()
    }

    /// A folder that goes with the rig.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn open_log(folder: &Path, store: &Arc<Store>) -> Log {
    let options = Options {
        segment_bytes: SEGMENT_BYTES,
        reserve_bytes: 2 * SEGMENT_BYTES,
        ..Options::new(folder.join("audit"), "asuser.example.com/conformance")
    };
    Log::open(options, Arc::new(SystemClock), Arc::clone(store) as Arc<dyn KeyStore>).unwrap().0
}

/// A database as the service `db` under policies.
pub struct Service {
    rig: Arc<Rig>,
    connector: Arc<dyn Connector>,
    catalog: Arc<Catalog>,
    policies: Policies,
    /// What one read may cost.
    pub limits: ServiceLimits,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Its entry.
    pub audit_id: AuditId,
    /// The records.
    pub resource: Vec<Json>,
    /// `include_count`.
    pub count: Option<u64>,
    /// More exist.
    pub more: bool,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// Before the connector was asked.
    Refused(Problem),
    /// By the connector.
    Connector(ConnectorError),
    /// In the middle of a long answer, of which a part had left already.
    Broken(Problem),
}

impl Failure {
    /// What the caller is told.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Refused(problem) | Self::Broken(problem) => problem.reason,
            Self::Connector(error) => Problem::from(error.clone()).reason,
        }
    }
}

impl Service {
    /// The name of every service here.
    pub const NAME: &'static str = "db";

    /// Reads the catalogue and loads the policies against it.
    ///
    /// # Errors
    /// Where the policies do not load.
    pub async fn open(
        rig: &Arc<Rig>,
        connector: Arc<dyn Connector>,
        policies: &str,
        masks: Option<&str>,
    ) -> Result<Self, Vec<LoadError>> {
        Self::open_with(rig, connector, ServiceDefault::Deny, policies, masks).await
    }

    /// The same with a default of its own.
    ///
    /// # Errors
    /// Where the policies do not load.
    pub async fn open_with(
        rig: &Arc<Rig>,
        connector: Arc<dyn Connector>,
        default: ServiceDefault,
        policies: &str,
        masks: Option<&str>,
    ) -> Result<Self, Vec<LoadError>> {
        let catalog = connector.catalog().await.unwrap();
        let folder = PolicyFolder {
            policies: vec![PolicyFile { name: "policies/db/rows.cedar".into(), text: policies.into() }],
            masks: masks.map(|text| PolicyFile { name: "policies/db/masks.toml".into(), text: text.into() }),
        };
        let sources = PolicySources { folders: [(Self::NAME.to_owned(), folder)].into() };
        let source = ServiceSource { catalog: Arc::clone(&catalog), default };
        let policies = Policies::load(&sources, &[source], &rig.attributes)?;
        let limits = ServiceLimits { max_records: 1_000, bytes_max: 4 << 20, time_ms_max: 60_000 };
        Ok(Self { rig: Arc::clone(rig), connector, catalog, policies, limits })
    }

    /// What the connector read.
    #[must_use]
    pub const fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// One request, from the parameters to the answer. `key` is the path's last segment.
    ///
    /// # Errors
    /// Where it is refused or fails; the entry then says so.
    pub async fn read(
        &self,
        person: &Person,
        table: &str,
        key: Option<&str>,
        parameters: &[(&str, &str)],
    ) -> Result<Answered, Failure> {
        let mut entry = self.begin();
        let outcome = self.unreleased(&mut entry, person, table, key, &self::parameters(parameters)).await;
        finish(entry, outcome.map(|unreleased| unreleased.render(FACE))).await
    }

    /// SQL that a person submits.
    ///
    /// # Errors
    /// Where it is refused or fails; the entry then says so.
    pub async fn sql(&self, person: &Person, text: &str) -> Result<Answered, Failure> {
        let mut entry = self.begin();
        let outcome = self.unreleased_sql(&mut entry, person, text).await;
        finish(entry, outcome.map(|unreleased| unreleased.render(SQL_FACE))).await
    }

    /// The records alone, where nothing may go wrong.
    pub async fn rows(&self, person: &Person, table: &str, parameters: &[(&str, &str)]) -> Vec<Json> {
        match self.read(person, table, None, parameters).await {
            Ok(answered) => answered.resource,
            Err(failure) => panic!("{table} {parameters:?}: {failure:?}"),
        }
    }

    async fn unreleased_sql(
        &self,
        entry: &mut Entry,
        person: &Person,
        text: &str,
    ) -> Result<Unreleased<SqlResult>, Failure> {
        let refused = |problem: Problem| Failure::Refused(problem);
        let name = ServiceName::from(Self::NAME);
        entry.identified(&person.verified).await.map_err(refused)?;
        entry.acts_through(&person.delegation);
        entry.asks(&name, "raw_sql", Some(&self.catalog));
        let decision = self
            .policies
            .decide_listing(&person.verified, &person.delegation, &name, SystemClock.now_ms())
            .map_err(|error| refused(error.into()))?;
        let reach = self.connector.reach(&person.verified).await.map_err(Failure::Connector)?;
        let statement = asuser_query::parse_sql(text, self.catalog.database, &AllowedFunctions::none(), &[]);
        let statement = statement.map_err(|error| refused(error.into()))?;
        let plan = asuser_query::seal_sql(decision, statement, None, &self.limits, &reach);
        let plan = plan.map_err(|error| refused(error.into()))?;
        let intent = entry.intend_durably(plan).await.map_err(refused)?;
        self.connector.sql(intent).await.map_err(Failure::Connector)
    }

    fn begin(&self) -> Entry {
        // Counted, not random: the name of a request is for people.
        static NEXT: OnceLock<std::sync::atomic::AtomicU64> = OnceLock::new();
        let number = NEXT.get_or_init(Default::default).fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let facts = RequestFacts {
            request_id: format!("conformance-{number}").into(),
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            route: "/api/v2/{service}/_table/{table}",
        };
        let digests = VersionDigests { config: Digest([0; 32]), policy: self.policies.digest() };
        self.rig.audit.begin(facts, digests)
    }

    async fn unreleased(
        &self,
        entry: &mut Entry,
        person: &Person,
        table: &str,
        key: Option<&str>,
        parameters: &[(String, String)],
    ) -> Result<Unreleased<asuser_audit::ReadResult>, Failure> {
        let refused = |problem: Problem| Failure::Refused(problem);
        let name = ServiceName::from(Self::NAME);
        entry.identified(&person.verified).await.map_err(refused)?;
        entry.acts_through(&person.delegation);
        entry.asks(&name, "read", Some(&self.catalog));
        let request = asuser_query::dialect::parse_read(table, key, parameters).map_err(|e| refused(e.into()))?;
        let decision = self
            .policies
            .decide_read(&person.verified, &person.delegation, &name, table, SystemClock.now_ms())
            .map_err(|error| refused(error.into()))?;
        let reach = self.connector.reach(&person.verified).await.map_err(Failure::Connector)?;
        let plan =
            asuser_query::seal_read(decision, &request, &self.limits, &reach).map_err(|error| refused(error.into()))?;
        let intent = entry.intend(plan);
        self.connector.read(intent).await.map_err(Failure::Connector)
    }
}

/// As a face has them.
#[must_use]
pub fn parameters(parameters: &[(&str, &str)]) -> Vec<(String, String)> {
    parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The records and what is known of them.
const FACE: RecordsFace = RecordsFace { opening: |_| br#"{"resource":["#.to_vec(), closing };

const SQL_FACE: SqlFace = SqlFace { opening: |_| br#"{"resource":["#.to_vec(), closing: |_, totals| end(totals) };

fn closing(_: &Plan<Read>, totals: &Totals) -> Vec<u8> {
    end(totals)
}

fn end(totals: &Totals) -> Vec<u8> {
    let count = totals.count.map_or_else(|| "null".to_owned(), |count| count.to_string());
    format!("],\"count\":{count},\"rows\":{},\"more\":{}}}", totals.rows, totals.more).into_bytes()
}

#[expect(clippy::disallowed_methods, reason = "the end of the pipeline: a check stands where the listener does")]
fn open(answer: Answer) -> Opened {
    answer.open()
}

async fn finish(entry: Entry, outcome: Result<Unreleased<Body>, Failure>) -> Result<Answered, Failure> {
    match outcome {
        Ok(unreleased) => {
            let opened = open(entry.finish(Outcome::Released(unreleased)).await);
            answered(opened).await.map_err(Failure::Broken)
        }
        Err(failure) => {
            let problem = match &failure {
                Failure::Refused(problem) | Failure::Broken(problem) => problem.clone(),
                Failure::Connector(error) => error.clone().into(),
            };
            let opened = open(entry.finish(Outcome::Refused(problem.clone())).await);
            assert_eq!(opened.result.unwrap_err(), problem);
            Err(failure)
        }
    }
}

/// A long answer is taken to its end, or to where it is broken off.
async fn answered(opened: Opened) -> Result<Answered, Problem> {
    let bytes = match opened.result.unwrap() {
        Released::Whole(bytes) => bytes,
        Released::Stream(mut stream) => {
            let mut bytes = Vec::new();
            while let Some(piece) = poll_fn(|context| stream.poll_next(context)).await {
                bytes.extend_from_slice(&piece?);
            }
            bytes
        }
    };
    let body: Json = serde_json::from_slice(&bytes).unwrap();
    let resource = body["resource"].as_array().unwrap().clone();
    assert_eq!(body["rows"], resource.len(), "the number of records is not what the connector says");
    Ok(Answered {
        audit_id: opened.audit_id.unwrap(),
        count: body["count"].as_u64(),
        more: body["more"].as_bool().unwrap(),
        resource,
    })
}
