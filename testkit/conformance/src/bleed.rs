//! No state crosses users (law 6): 200 callers, 50 people, 4 connections; errors, dropped reads and killed connections in between;
//! every answer is its caller's. `ASUSER_TEST_LONG=1` makes it six times as long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use asuser_audit_log::{Field, PersonalState};
use asuser_connector::ConnectorError;
use asuser_core::ColumnKind::{Integer, Text};
use asuser_core::{MaskKind, Reason, SEGMENT_BYTES_MAX};
use asuser_policy::AttributeSchema;
use serde_json::{Value as Json, json};

use crate::people::column;
use crate::{Answered, Database, Failure, Fixture, Person, PoolSize, Rig, Service, TableSpec, run};

const PEOPLE: usize = 50;
const CALLERS: u64 = 200;
const POOL: PoolSize = PoolSize { connections: 4, waiting_max: 256 };
/// After so many requests, connections are killed.
const BETWEEN_KILLS: u64 = 50;

/// Own rows; the members of even number see clear addresses.
const POLICIES: &str = r#"
permit (principal, action == Action::"read", resource is db::letters)
when { principal has login && resource.owner == principal.login };
permit (principal in Group::"even", action == Action::"unmask", resource is db::letters);
"#;

/// Person n owns n + 1 letters.
fn letters() -> TableSpec {
    let columns = vec![
        column("id", Integer, false),
        column("owner", Text, false),
        column("email", Text, false),
        column("body", Text, false),
    ];
    let owners = (0..PEOPLE).flat_map(|person| std::iter::repeat_n(person, person + 1));
    let rows = owners.enumerate().map(|(id, person)| {
        let id = i64::try_from(id).unwrap();
        vec![id.into(), format!("p{person}").into(), address(person, id).into(), body(person).into()]
    });
    TableSpec { name: "letters", columns, rows: rows.collect() }
}

fn address(person: usize, id: i64) -> String {
    format!("x{id}@p{person}.example")
}

/// So long that the answers of the last people are longer than a segment.
fn body(person: usize) -> String {
    format!("p{person:02} ").repeat(2_000)
}

/// What most requests ask for.
const SHORT: &str = "id,owner,email";

struct Post {
    rig: Arc<Rig>,
    database: Box<dyn Database>,
    usual: Service,
    /// Answers of more than a few bytes fail while they are written.
    tiny: Service,
    /// Long answers break off after their first segment.
    cut: Service,
    people: Vec<Person>,
    /// There is a server whose connections can be killed.
    kills: bool,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    asked: AtomicU64,
    checked: AtomicU64,
    long: AtomicU64,
    submitted: AtomicU64,
    broken: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    busy: AtomicU64,
    kills: AtomicU64,
    /// Reads that a kill ended.
    lost: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// N callers, M people, a small pool.
#[expect(clippy::print_stdout, reason = "how much was tried is the result of a test of chance")]
pub fn no_answer_is_anothers(fixture: &dyn Fixture) {
    let times = if std::env::var_os("ASUSER_TEST_LONG").is_some() { 6 } else { 1 };
    let seconds = fixture.bleed_s() * times;
    run(async {
        let post = Arc::new(Post::new(fixture).await);
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..CALLERS {
            callers.spawn(call(Arc::clone(&post), caller, until));
        }
        callers.join_all().await;
        println!("{:?}", post.counts);
        let Counts { checked, long, submitted, broken, dropped, failed, kills, .. } = &post.counts;
        let kills_least = if post.kills { 5 } else { 0 };
        let tried = [
            (100, checked),
            (5, long),
            (10, submitted),
            (5, broken),
            (20, dropped),
            (20, failed),
            (kills_least, kills),
        ];
        for (least, counter) in tried {
            let least = (least * seconds).div_ceil(10);
            assert!(counter.load(Ordering::Relaxed) >= least, "too few to mean anything: {:?}", post.counts);
        }
        calm(&post, fixture).await;
    });
}

impl Post {
    async fn new(fixture: &dyn Fixture) -> Self {
        let rig = Rig::new(&AttributeSchema::new());
        let database = fixture.database(&[letters()], POOL);
        let open = || Service::open(&rig, database.connector(), POLICIES, Some("[letters]\nemail = \"email\"\n"));
        let (usual, mut tiny, mut cut) = (open().await.unwrap(), open().await.unwrap(), open().await.unwrap());
        tiny.limits.bytes_max = 100;
        cut.limits.bytes_max = SEGMENT_BYTES_MAX + 10_000;
        let mut people = Vec::new();
        for person in 0..PEOPLE {
            let group = if person.is_multiple_of(2) { "even" } else { "odd" };
            people.push(rig.person(&format!("p{person}"), &json!({ "groups": [group] })).await.unwrap());
        }
        let kills = database.kill_connections();
        Self { rig, database, usual, tiny, cut, people, kills, counts: Counts::default() }
    }

    /// Whether a kill is to blame. Where nobody kills, nothing may be lost.
    fn is_lost(&self, failure: &Failure) -> bool {
        let lost = self.kills && failure.reason() == Reason::DatabaseUnavailable;
        if lost {
            count(&self.counts.lost);
        }
        lost
    }

    async fn read(&self, service: &Service, person: usize, fields: &str) -> Result<Answered, Failure> {
        let asked = [("include_count", "true"), ("filter", "id >= 0"), ("fields", fields)];
        service.read(&self.people[person], "letters", None, &asked).await
    }
}

/// When the storm is over, everybody is served at once but for connections that died unnoticed, and the record names the right user.
async fn calm(post: &Post, fixture: &dyn Fixture) {
    for person in 0..PEOPLE {
        let mut tries = 0;
        let answer = loop {
            match post.read(&post.usual, person, SHORT).await {
                Err(failure) if tries < POOL.connections && post.is_lost(&failure) => tries += 1,
                other => break other.unwrap(),
            }
        };
        assert!(answer.resource == expected(person, SHORT), "p{person} got another's rows");
        let records = post.rig.entry(answer.audit_id);
        let PersonalState::Open(personal) = &records.last().unwrap().personal else { panic!("{records:?}") };
        assert_eq!(personal.value(Field::DatabaseUser), fixture.user(&format!("p{person}")).as_deref());
    }
}

async fn call(post: Arc<Post>, seed: u64, until: Instant) {
    let mut state = seed;
    while Instant::now() < until {
        // Knuth's generator: the order of the requests is the same in each run, what meets what is not.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let person = usize::try_from(state >> 33).unwrap() % PEOPLE;
        match (state >> 20) % 16 {
            0 => fail(&post, person, &post.tiny).await,
            1 => fail(&post, person, &post.cut).await,
            2 => abandon(&post, person, "*", (state >> 24) % 12).await,
            3 => abandon(&post, person, SHORT, (state >> 24) % 6).await,
            4 => check(&post, person, "*").await,
            5 | 6 => check_sql(&post, person).await,
            _ => check(&post, person, SHORT).await,
        }
        if post.counts.asked.fetch_add(1, Ordering::Relaxed) % BETWEEN_KILLS == BETWEEN_KILLS - 1 {
            let post = Arc::clone(&post);
            let killed = tokio::task::spawn_blocking(move || {
                if post.database.kill_connections() {
                    count(&post.counts.kills);
                }
            });
            killed.await.unwrap();
        }
    }
}

async fn check(post: &Post, person: usize, fields: &str) {
    let answer = match post.read(&post.usual, person, fields).await {
        Err(Failure::Connector(ConnectorError::Busy)) => return count(&post.counts.busy),
        Err(failure) if post.is_lost(&failure) => return,
        other => other.unwrap(),
    };
    assert!(answer.resource == expected(person, fields), "p{person} got another's rows");
    assert_eq!(answer.count, Some(u64::try_from(person + 1).unwrap()));
    let is_long = fields == "*" && answer.resource.len() * body(person).len() > SEGMENT_BYTES_MAX;
    count(if is_long { &post.counts.long } else { &post.counts.checked });
}

/// SQL of their own, on connections of their own.
async fn check_sql(post: &Post, person: usize) {
    let text = "SELECT l.id, l.owner, l.email FROM letters AS l ORDER BY l.id";
    let answer = match post.usual.sql(&post.people[person], text).await {
        Err(Failure::Connector(ConnectorError::Busy)) => return count(&post.counts.busy),
        Err(failure) if post.is_lost(&failure) => return,
        other => other.unwrap(),
    };
    assert!(answer.resource == expected(person, SHORT), "p{person} got another's rows by SQL");
    count(&post.counts.submitted);
}

fn expected(person: usize, fields: &str) -> Vec<Json> {
    let first = (0..person).map(|before| before + 1).sum::<usize>();
    let row = |id: usize| {
        let id = i64::try_from(id).unwrap();
        let clear = address(person, id);
        let email = if person.is_multiple_of(2) { Some(clear) } else { MaskKind::Email.apply(&clear) };
        let mut row = json!({ "id": id, "owner": format!("p{person}"), "email": email });
        if fields == "*" {
            row["body"] = body(person).into();
        }
        row
    };
    (first..=first + person).map(row).collect()
}

/// A read that fails while its rows are written, or after a part of them has left (or not at all, for whoever has few).
async fn fail(post: &Post, person: usize, service: &Service) {
    match service.read(&post.people[person], "letters", None, &[]).await {
        Err(Failure::Connector(ConnectorError::AnswerTooLarge { .. })) => count(&post.counts.failed),
        Err(Failure::Broken(problem)) if problem.reason == Reason::AnswerTooLarge => count(&post.counts.broken),
        Err(Failure::Connector(ConnectorError::Busy)) => count(&post.counts.busy),
        Ok(answer) => assert!(answer.resource == expected(person, "*"), "p{person} got another's rows"),
        Err(other) => assert!(post.is_lost(&other), "{other:?}"),
    }
}

/// Lets go of a read after a few polls or milliseconds, wherever it is then: waiting, running, or half sent.
async fn abandon(post: &Post, person: usize, fields: &str, polls: u64) {
    let patience = async {
        for _ in 0..polls * polls * polls {
            tokio::task::yield_now().await;
        }
        if polls.is_multiple_of(2) {
            let _late = tokio::time::timeout(Duration::from_millis(polls), std::future::pending::<()>()).await;
        }
    };
    let asked = [("fields", fields)];
    tokio::select! {
        biased;
        _ = post.usual.read(&post.people[person], "letters", None, &asked) => {}
        () = patience => count(&post.counts.dropped),
    }
}
