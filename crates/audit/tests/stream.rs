//! A long answer, from the connector's segments to what leaves and what the log says, piece by piece.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Instant;

use asuser_audit::{
    Answer, Audit, Opened, Outcome, RecordsFace, Released, ReleasedStream, RequestFacts, Rest, VersionDigests,
};
use asuser_audit_log::{
    Files, Kind, Leaf, Log, LogFile, Options, Reader, RealFiles, RecordView, Space, VerifyOptions, verify,
};
use asuser_core::{
    AuditId, Catalog, Clock as _, Column, ColumnIx, ColumnKind, DatabaseIdentity, DatabaseKind, Digest, End, Problem,
    Reason, Records, Secret, Segment, ServiceName, SystemClock, Table, TableKind,
};
use asuser_delegation::{ActorConfig, Agents};
use asuser_identity::{Credential, Identities};
use asuser_policy::{
    AttributeSchema, Policies, PolicyFile, PolicyFolder, PolicySources, ServiceDefault, ServiceSource,
};
use asuser_query::ServiceLimits;
use asuser_store::Store;
use asuser_testkit::TestIssuer;
use serde_json::json;
use sha2::{Digest as _, Sha256};

const FACE: RecordsFace = RecordsFace {
    opening: |_| b"[".to_vec(),
    closing: |_, totals| format!("]{},{},{:?}", totals.rows, totals.more, totals.count).into_bytes(),
};

/// What a connector would give, as a test says it.
struct Script {
    segments: Vec<Result<Segment, Problem>>,
    deadline: Option<Instant>,
    given: Arc<AtomicU64>,
}

impl Rest for Script {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Result<Segment, Problem>> {
        if self.segments.is_empty() {
            return Poll::Pending;
        }
        self.given.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(self.segments.remove(0))
    }
    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

/// A disk whose syncs fail from some moment on.
#[derive(Clone, Default)]
struct Disk(Arc<AtomicBool>);

struct DiskFile(Box<dyn LogFile>, Disk);

impl LogFile for DiskFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        if self.1.0.load(Ordering::Relaxed) { Err(io::Error::other("on purpose")) } else { self.0.sync_data() }
    }
    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

impl Files for Disk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(DiskFile(RealFiles.create(path)?, self.clone())))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(DiskFile(RealFiles.open(path)?, self.clone())))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFiles.rename(from, to)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        RealFiles.sync_folder(folder)
    }
    fn space(&self, folder: &Path) -> io::Result<Space> {
        RealFiles.space(folder)
    }
}

struct Scene {
    folder: tempfile::TempDir,
    disk: Disk,
    audit: Arc<Audit>,
    ends: Arc<Mutex<Vec<Result<(), Reason>>>>,
    given: Arc<AtomicU64>,
}

fn segment(json: &str, rows: u64, end: Option<bool>) -> Result<Segment, Problem> {
    Ok(Segment { json: json.into(), rows, end: end.map(|more| End { more }) })
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

fn table() -> Arc<Table> {
    let column = Column {
        name: "id".into(),
        declared_type: "INTEGER".into(),
        kind: ColumnKind::Integer,
        nullable: false,
        strictly_typed: true,
        binary_collation: true,
    };
    Arc::new(Table {
        name: "orders".into(),
        kind: TableKind::Table,
        columns: vec![column],
        primary_key: vec![ColumnIx(0)],
        reads: Default::default(),
    })
}

#[expect(clippy::disallowed_methods, reason = "a test stands where the listener does")]
fn open(answer: Answer) -> Opened {
    answer.open()
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store.db")).unwrap();
        let disk = Disk::default();
        let options = Options {
            segment_bytes: 256 * 1024,
            reserve_bytes: 512 * 1024,
            files: Arc::new(disk.clone()),
            ..Options::new(folder.path().join("audit"), "test")
        };
        let log = Log::open(options, Arc::new(SystemClock), Arc::new(store)).unwrap().0;
        let audit = Arc::new(Audit::new(log, Arc::new(SystemClock)));
        Self { folder, disk, audit, ends: Arc::default(), given: Arc::default() }
    }

    /// A request whose answer begins with `1,2`, as the pipeline would make it.
    async fn answer(&self, segments: Vec<Result<Segment, Problem>>, deadline: Option<Instant>) -> Opened {
        let issuer = TestIssuer::new("https://idp.example.com", "https://data.example.com");
        let identities = Identities::new(&[issuer.config("idp")], Path::new("."), &|_| Err("none".into())).unwrap();
        let agents = Agents::new(Vec::new(), ActorConfig::default(), [], []).unwrap();
        let credential = Credential::Bearer(Secret::new(issuer.token_with("alice", &json!({}))));
        let now_ms = SystemClock.now_ms();
        let verified = identities.verify(&credential, now_ms).await.unwrap();
        let delegation = Arc::new(agents.resolve(&verified, None).unwrap());
        let name = ServiceName::from("db");
        let tables = [("orders".into(), table())].into();
        let catalog = Arc::new(Catalog {
            service: name.clone(),
            database: DatabaseKind::Sqlite,
            home_schema: None,
            version: Digest([1; 32]),
            tables,
        });
        let text = "permit (principal, action == Action::\"read\", resource is db::orders);";
        let policies = vec![PolicyFile { name: "rows.cedar".into(), text: text.into() }];
        let sources = PolicySources { folders: [("db".to_owned(), PolicyFolder { policies, masks: None })].into() };
        let source = ServiceSource { catalog: Arc::clone(&catalog), default: ServiceDefault::Deny };
        let policies = Policies::load(&sources, &[source], &AttributeSchema::new()).unwrap();

        let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let facts = RequestFacts { request_id: "r".into(), source, route: "/{table}" };
        let mut entry = self.audit.begin(facts, VersionDigests { config: Digest([2; 32]), policy: policies.digest() });
        let ends = Arc::clone(&self.ends);
        entry.on_end(move |ended| ends.lock().unwrap().push(ended));
        entry.identified(&verified).await.unwrap();
        entry.acts_through(&delegation);
        entry.asks(&name, "read", Some(&catalog));
        let request = asuser_query::dialect::parse_read("orders", None, &[]).unwrap();
        let decision = policies.decide_read(&verified, &delegation, &name, "orders", now_ms).unwrap();
        let limits = ServiceLimits { max_records: 100, bytes_max: 1 << 20, time_ms_max: 1_000 };
        let plan = asuser_query::seal_read(decision, &request, &limits, &asuser_core::Reach::Everything).unwrap();
        let first = Records { json: b"1,2".to_vec(), rows: 2, more: false, count: Some(9) };
        let rest = Script { segments, deadline, given: Arc::clone(&self.given) };
        let database = DatabaseIdentity { mode: "role", user: Some("login/alice".into()) };
        let unreleased = entry.intend(plan).begun(first, Box::new(rest), database).render(FACE);
        open(entry.finish(Outcome::Released(unreleased)).await)
    }

    async fn stream(&self, segments: Vec<Result<Segment, Problem>>) -> (AuditId, Box<ReleasedStream>) {
        let opened = self.answer(segments, None).await;
        let Released::Stream(stream) = opened.result.unwrap() else { panic!("a whole answer") };
        (opened.audit_id.unwrap(), stream)
    }

    /// The entry's leaves that are on the disk, which must be numbered without a gap.
    fn leaves(&self, id: AuditId) -> Vec<Leaf> {
        let reader = Reader::new(self.audit.log().folder(), self.audit.log().verifier_key().clone(), None);
        let records: Vec<RecordView> = reader.entry(id).unwrap();
        let leaves: Vec<Leaf> = records.into_iter().map(|record| record.leaf).collect();
        assert!(leaves.iter().zip(0..).all(|(leaf, n)| leaf.n == n), "{leaves:?}");
        leaves
    }
    /// Those, when all that was queued is written.
    async fn settled(&self, id: AuditId) -> Vec<Leaf> {
        self.audit
            .configured(VersionDigests { config: Digest([0; 32]), policy: Digest([0; 32]) }, "settled")
            .await
            .unwrap();
        self.leaves(id)
    }
    fn ends(&self) -> Vec<Result<(), Reason>> {
        self.ends.lock().unwrap().clone()
    }
    /// Closes the log, and verifies it.
    fn verified(self) {
        let (folder, verifier) = (self.audit.log().folder().to_owned(), self.audit.log().verifier_key().clone());
        drop(self.audit);
        let found = verify(&VerifyOptions { folder, verifier, store: None, outside: Vec::new() });
        assert!(found.ok(), "{:?}", found.findings);
        assert_eq!(found.open, []);
        drop(self.folder);
    }
}

async fn next(stream: &mut ReleasedStream) -> Option<Result<Vec<u8>, Problem>> {
    poll_fn(|context| stream.poll_next(context)).await
}

#[tokio::test]
async fn each_piece_leaves_after_its_record() {
    let scene = Scene::new();
    let segments = vec![segment(",3", 1, None), segment(",4,", 1, None), segment("5", 1, Some(true))];
    let (id, mut stream) = scene.stream(segments).await;
    let mut body = Vec::new();
    let mut rows = [2, 3, 4, 5].into_iter();
    for (piece, kind) in
        [("[1,2", Kind::Progress), (",3", Kind::Progress), (",4,", Kind::Progress), ("5]5,true,Some(9)", Kind::Outcome)]
    {
        assert!(!stream.is_ended());
        let got = next(&mut stream).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&got), piece);
        body.extend_from_slice(&got);
        // On the disk when it was given; perhaps the record of the next one as well.
        let leaves = scene.leaves(id);
        assert_eq!(leaves[0].kind, Kind::Intent);
        let said = leaves.iter().find(|leaf| leaf.bytes == Some(body.len() as u64)).expect("its record");
        assert_eq!((said.kind, said.rows, said.body), (kind, rows.next(), Some(sha256(&body))));
    }
    assert!(stream.is_ended() && next(&mut stream).await.is_none());
    assert_eq!(scene.ends(), [Ok(())]);
    drop(stream);
    let leaves = scene.settled(id).await;
    assert_eq!(leaves.len(), 5);
    let [intent, .., outcome] = leaves.as_slice() else { panic!("{leaves:?}") };
    assert_eq!((intent.tables.as_slice(), intent.rows, &intent.run_as), (&["orders".to_owned()][..], None, &None));
    assert_eq!((outcome.status, outcome.run_as.as_deref(), &outcome.reason), (Some(200), Some("role"), &None));
    assert_eq!(intent.who, outcome.who);
    assert_eq!(scene.ends().len(), 1, "counted once");
    scene.verified();
}

/// The record of the next piece is under way when a piece is given.
#[tokio::test]
async fn a_record_is_written_while_the_piece_before_is_in_flight() {
    let scene = Scene::new();
    let (id, mut stream) = scene.stream(vec![segment(",3", 1, None), segment(",4", 1, None)]).await;
    assert_eq!(scene.given.load(Ordering::Relaxed), 0, "nothing is taken before somebody asks");
    next(&mut stream).await.unwrap().unwrap();
    assert_eq!(scene.given.load(Ordering::Relaxed), 1, "one ahead, and no more");
    let leaves = scene.settled(id).await;
    assert_eq!(leaves.last().unwrap().bytes, Some("[1,2,3".len() as u64));
    // Dropped now: the piece was recorded and did not leave.
    drop(stream);
    let leaves = scene.settled(id).await;
    let outcome = leaves.last().unwrap();
    assert_eq!((outcome.kind, outcome.bytes, outcome.rows), (Kind::Outcome, Some(4), Some(2)));
    assert_eq!((outcome.reason.as_deref(), outcome.body), (Some("ASU-109"), Some(sha256(b"[1,2"))));
    assert_eq!(scene.ends(), [Err(Reason::Cancelled)]);
    scene.verified();
}

#[tokio::test]
async fn a_failure_breaks_it_off_with_its_reason() {
    let scene = Scene::new();
    let failure = Problem::new(Reason::DatabaseUnavailable, "gone");
    let (id, mut stream) = scene.stream(vec![segment(",3", 1, None), Err(failure)]).await;
    let mut body = Vec::new();
    let problem = loop {
        match next(&mut stream).await.expect("no end without an error") {
            Ok(piece) => body.extend_from_slice(&piece),
            Err(problem) => break problem,
        }
    };
    assert_eq!((problem.reason, body.as_slice()), (Reason::DatabaseUnavailable, &b"[1,2,3"[..]));
    assert!(next(&mut stream).await.is_none());
    drop(stream);
    let leaves = scene.settled(id).await;
    let outcome = leaves.last().unwrap();
    assert_eq!((outcome.kind, outcome.reason.as_deref(), outcome.status), (Kind::Outcome, Some("ASU-601"), Some(200)));
    assert_eq!(outcome.body, Some(sha256(&body)));
    assert_eq!(scene.ends(), [Err(Reason::DatabaseUnavailable)]);
    scene.verified();
}

#[tokio::test]
async fn dropped_before_anything_left_or_after_its_time() {
    let scene = Scene::new();
    let (id, stream) = scene.stream(Vec::new()).await;
    drop(stream);
    let leaves = scene.settled(id).await;
    let outcome = leaves.last().unwrap();
    assert_eq!((outcome.reason.as_deref(), outcome.status, outcome.bytes), (Some("ASU-109"), Some(499), Some(0)));
    // Too slow.
    let opened = scene.answer(Vec::new(), Some(Instant::now())).await;
    let Released::Stream(mut stream) = opened.result.unwrap() else { panic!("a whole answer") };
    next(&mut stream).await.unwrap().unwrap();
    drop(stream);
    let leaves = scene.settled(opened.audit_id.unwrap()).await;
    assert_eq!(leaves.last().unwrap().reason.as_deref(), Some("ASU-602"));
    scene.verified();
}

/// Dropped after the last piece's record was written and before the piece was given: the record is before the answer.
#[tokio::test]
async fn an_outcome_is_written_once() {
    let scene = Scene::new();
    let (id, mut stream) = scene.stream(vec![segment(",3", 1, Some(false))]).await;
    next(&mut stream).await.unwrap().unwrap();
    drop(stream);
    let leaves = scene.settled(id).await;
    assert_eq!(leaves.iter().filter(|leaf| leaf.kind == Kind::Outcome).count(), 1);
    assert_eq!(leaves.last().unwrap().rows, Some(3));
    assert_eq!(scene.ends(), [Err(Reason::Cancelled)]);
    scene.verified();
}

/// Law 7 in the middle of a stream: what cannot be recorded does not leave.
#[tokio::test]
async fn a_failing_log_breaks_it_off_and_begins_no_other() {
    let scene = Scene::new();
    let (_, mut other) = scene.stream(vec![segment(",3", 1, Some(false))]).await;
    let (_, mut stream) = scene.stream(vec![segment(",3", 1, None), segment(",4", 1, Some(false))]).await;
    scene.disk.0.store(true, Ordering::Relaxed);
    // Its record was durable before.
    assert_eq!(next(&mut stream).await.unwrap().unwrap(), b"[1,2");
    assert_eq!(next(&mut stream).await.unwrap().unwrap_err().reason, Reason::AuditUnavailable);
    assert!(next(&mut stream).await.is_none());
    // The last piece waits for its outcome as well.
    assert_eq!(next(&mut other).await.unwrap().unwrap(), b"[1,2");
    assert_eq!(next(&mut other).await.unwrap().unwrap_err().reason, Reason::AuditUnavailable);
    assert_eq!(scene.ends(), [Err(Reason::AuditUnavailable); 2]);
}

#[tokio::test]
async fn without_a_durable_intent_there_is_no_answer() {
    let scene = Scene::new();
    // Alice is known to the log from here on, and all that was queued for her is written.
    let stream = scene.stream(Vec::new()).await;
    drop(stream);
    scene.settled(AuditId::from_bytes([0; 16])).await;
    scene.disk.0.store(true, Ordering::Relaxed);
    let opened = scene.answer(vec![segment(",3", 1, Some(false))], None).await;
    assert_eq!(opened.result.map(|_| ()).unwrap_err().reason, Reason::AuditUnavailable);
    assert!(opened.audit_id.is_none());
    assert_eq!(scene.ends(), [Err(Reason::Cancelled), Err(Reason::AuditUnavailable)]);
}
