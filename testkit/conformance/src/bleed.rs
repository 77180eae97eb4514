//! No state crosses users (law 6): many callers, few connections, errors and dropped reads in between; every answer is its
//! caller's. 10 s in the suite; `ASUSER_TEST_LONG=1` makes it 60 s.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use asuser_connector::ConnectorError;
use asuser_core::ColumnKind::{Integer, Text};
use asuser_core::{MaskKind, Reason, SEGMENT_BYTES_MAX};
use asuser_policy::AttributeSchema;
use serde_json::{Value as Json, json};

use crate::people::column;
use crate::{Failure, Fixture, Person, PoolSize, Rig, Service, TableSpec, run};

const PEOPLE: usize = 40;
const CALLERS: u64 = 16;
const POOL: PoolSize = PoolSize { connections: 3, waiting_max: 64 };

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
    usual: Service,
    /// Answers of more than a few bytes fail while they are written.
    tiny: Service,
    /// Long answers break off after their first segment.
    cut: Service,
    people: Vec<Person>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    checked: AtomicU64,
    long: AtomicU64,
    broken: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    busy: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// N callers, M people, a small pool.
#[expect(clippy::print_stdout, reason = "how much was tried is the result of a test of chance")]
pub fn no_answer_is_anothers(fixture: &dyn Fixture) {
    let seconds = if std::env::var_os("ASUSER_TEST_LONG").is_some() { 60 } else { 10 };
    run(async {
        let rig = Rig::new(&AttributeSchema::new());
        let database = fixture.database(&[letters()], POOL);
        let open = || Service::open(&rig, database.connector(), POLICIES, Some("[letters]\nemail = \"email\"\n"));
        let (usual, mut tiny, mut cut) = (open().await.unwrap(), open().await.unwrap(), open().await.unwrap());
        tiny.limits.bytes_max = 100;
        cut.limits.bytes_max = SEGMENT_BYTES_MAX + 10_000;
        let mut people = Vec::new();
        for person in 0..PEOPLE {
            let groups = if person.is_multiple_of(2) { json!(["even"]) } else { json!([]) };
            people.push(rig.person(&format!("p{person}"), &json!({ "groups": groups })).await.unwrap());
        }
        let post = Arc::new(Post { usual, tiny, cut, people, counts: Counts::default() });
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..CALLERS {
            callers.spawn(call(Arc::clone(&post), caller, until));
        }
        callers.join_all().await;
        println!("{:?}", post.counts);
        let Counts { checked, long, broken, dropped, failed, .. } = &post.counts;
        for (least, counter) in [(100, checked), (5, long), (5, broken), (20, dropped), (20, failed)] {
            assert!(counter.load(Ordering::Relaxed) >= least, "too few to mean anything: {:?}", post.counts);
        }
    });
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
            _ => check(&post, person, SHORT).await,
        }
    }
}

async fn check(post: &Post, person: usize, fields: &str) {
    let asked = [("include_count", "true"), ("filter", "id >= 0"), ("fields", fields)];
    let answer = match post.usual.read(&post.people[person], "letters", None, &asked).await {
        Err(Failure::Connector(ConnectorError::Busy)) => return count(&post.counts.busy),
        other => other.unwrap(),
    };
    assert!(answer.resource == expected(person, fields), "p{person} got another's rows");
    assert_eq!(answer.count, Some(u64::try_from(person + 1).unwrap()));
    let is_long = fields == "*" && answer.resource.len() * body(person).len() > SEGMENT_BYTES_MAX;
    count(if is_long { &post.counts.long } else { &post.counts.checked });
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
        Err(other) => panic!("{other:?}"),
    }
}

/// Lets go of a read after a few polls, wherever it is then: waiting, running, or half sent.
async fn abandon(post: &Post, person: usize, fields: &str, polls: u64) {
    let patience = async {
        for _ in 0..polls * polls * polls {
            tokio::task::yield_now().await;
        }
    };
    let asked = [("fields", fields)];
    tokio::select! {
        biased;
        _ = post.usual.read(&post.people[person], "letters", None, &asked) => {}
        () = patience => count(&post.counts.dropped),
    }
}
