//! Limits of size, time and connections: each ends in its own error, and the next read is right.

use std::sync::Arc;

use asuser_connector::ConnectorError;
use asuser_core::ColumnKind::{Integer, Text};
use asuser_core::{Reason, SEGMENT_BYTES_MAX};
use asuser_policy::AttributeSchema;
use serde_json::json;

use crate::people::{column, ids};
use crate::{Database, Failure, Fixture, Person, PoolSize, Rig, Service, TableSpec, run};

const ROWS: i64 = 60_000;
/// Tests in a slow filter; a plan holds 500 parts.
const TESTS: usize = 400;
/// For a read that takes milliseconds, and must not wait behind one that takes half a minute.
const SOON_MS: u64 = 5_000;
const NEVER_MS: u64 = 3_600_000;

/// Many rows, all to be looked at.
struct Heap {
    _database: Box<dyn Database>,
    service: Service,
    person: Person,
}

impl Heap {
    async fn new(fixture: &dyn Fixture, pool: PoolSize) -> Self {
        Self::of(fixture, pool, 8).await
    }

    /// With texts of some ten times so many characters.
    async fn of(fixture: &dyn Fixture, pool: PoolSize, length: usize) -> Self {
        let columns = vec![column("id", Integer, false), column("words", Text, false)];
        let words =
            |id: i64| format!("the {id} words of a row which nobody is looking for, {}", "and more ".repeat(length));
        let rows = (0..ROWS).map(|id| vec![id.into(), words(id).into()]).collect();
        let rig = Rig::new(&AttributeSchema::new());
        let database = fixture.database(&[TableSpec { name: "heap", columns, rows }], pool);
        let policies = "permit (principal, action == Action::\"read\", resource is db::heap);";
        let mut service = Service::open(&rig, database.connector(), policies, None).await.unwrap();
        service.limits.time_ms_max = NEVER_MS;
        let person = rig.person("alice", &json!({})).await.unwrap();
        Self { _database: database, service, person }
    }

    /// Finds nothing, after `tests` looks at each row.
    async fn search(&self, tests: usize) -> Result<usize, Failure> {
        let filter: Vec<String> = (0..tests).map(|at| format!("(words contains 'absent {at} {at}')")).collect();
        let filter = filter.join(" or ");
        let found = self.service.read(&self.person, "heap", None, &[("filter", &filter)]).await?;
        Ok(found.resource.len())
    }

    async fn one(&self) -> Result<Vec<i64>, Failure> {
        let filter = [("filter", "id = 41"), ("fields", "id")];
        Ok(ids(&self.service.read(&self.person, "heap", None, &filter).await?.resource))
    }
}

/// `bytes_max` is of the whole answer.
pub fn an_answer_beyond_its_limit_is_refused(fixture: &dyn Fixture) {
    run(async {
        let mut heap = Heap::new(fixture, PoolSize { connections: 1, waiting_max: 8 }).await;
        heap.service.limits.bytes_max = 10_000;
        let rows = heap.service.read(&heap.person, "heap", None, &[]).await;
        assert_eq!(rows.unwrap_err(), Failure::Connector(ConnectorError::AnswerTooLarge { bytes_max: 10_000 }));
        assert_eq!(heap.one().await, Ok(vec![41]));
        let few = heap.service.rows(&heap.person, "heap", &[("limit", "20")]).await;
        assert_eq!(few.len(), 20);
    });
}

/// A long answer, which comes in segments, holds what its pages hold; one that breaks off says so, and the next is right.
pub fn a_long_answer_is_what_its_pages_are(fixture: &dyn Fixture) {
    run(async {
        let mut heap = Heap::new(fixture, PoolSize { connections: 1, waiting_max: 8 }).await;
        heap.service.limits.max_records = 9_000;
        let whole = heap.service.rows(&heap.person, "heap", &[("order", "id desc")]).await;
        assert!(serde_json::to_string(&whole).unwrap().len() > 3 * SEGMENT_BYTES_MAX, "it is not long");
        for page in 0..9 {
            let offset = (page * 1_000).to_string();
            let page_of = [("order", "id desc"), ("limit", "1000"), ("offset", offset.as_str())];
            let found = heap.service.rows(&heap.person, "heap", &page_of).await;
            assert!(found == whole[page * 1_000..(page + 1) * 1_000], "page {page}");
        }
        heap.service.limits.bytes_max = 2 * SEGMENT_BYTES_MAX;
        for _ in 0..3 {
            let broken = heap.service.read(&heap.person, "heap", None, &[]).await;
            assert!(matches!(&broken, Err(Failure::Broken(why)) if why.reason == Reason::AnswerTooLarge), "{broken:?}");
            assert_eq!(heap.one().await, Ok(vec![41]));
        }
    });
}

/// The database's time is limited, the wait for a connection included.
pub fn a_slow_read_ends_in_time(fixture: &dyn Fixture) {
    run(async {
        let mut heap = Heap::new(fixture, PoolSize { connections: 1, waiting_max: 8 }).await;
        heap.service.limits.time_ms_max = 20;
        assert_eq!(heap.search(TESTS).await, Err(Failure::Connector(ConnectorError::Timeout { time_ms_max: 20 })));
        heap.service.limits.time_ms_max = NEVER_MS;
        assert_eq!(heap.one().await, Ok(vec![41]));
        assert_eq!(heap.search(1).await, Ok(0));
    });
}

/// One read more than connections and queue take is told so; those that were taken end well.
pub fn a_busy_pool_says_so_and_recovers(fixture: &dyn Fixture) {
    run(async {
        let heap = Arc::new(Heap::new(fixture, PoolSize { connections: 1, waiting_max: 1 }).await);
        let mut reads = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let heap = Arc::clone(&heap);
            reads.spawn(async move { heap.search(8).await });
        }
        let (mut done, mut busy) = (0, 0);
        for read in reads.join_all().await {
            match read {
                Ok(0) => done += 1,
                Err(Failure::Connector(ConnectorError::Busy)) => busy += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(done >= 1 && busy >= 1, "{done} done, {busy} busy");
        assert_eq!(heap.one().await, Ok(vec![41]));
    });
}

/// Whoever goes away takes the statement along: the only connection serves the next reader, who would wait too long otherwise.
pub fn a_dropped_read_frees_its_connection(fixture: &dyn Fixture) {
    run(async {
        let mut heap = Heap::of(fixture, PoolSize { connections: 1, waiting_max: 8 }, 120).await;
        for _ in 0..3 {
            // Polled until the statement runs for certain: it has then taken longer than a short one takes as a whole.
            heap.service.limits.time_ms_max = NEVER_MS;
            let dropped = tokio::time::timeout(std::time::Duration::from_millis(200), heap.search(TESTS)).await;
            assert!(dropped.is_err(), "the slow read is too fast to be dropped");
            heap.service.limits.time_ms_max = SOON_MS;
            assert_eq!(heap.one().await, Ok(vec![41]));
        }
    });
}
