//! Long answers: handed over in segments, from one snapshot, without waiting for a reader longer than the read's time.

use std::future::poll_fn;
use std::task::Poll;

use asuser_audit::Rest as _;
use asuser_core::{ReadSpec, Reason, Records, SEGMENT_BYTES_MAX, Segment};
use rusqlite::Connection;

use super::{Fixture, options, parsed, spec};
use crate::handover::{Got, Remainder};
use crate::{SqliteConnector, SqliteError, SqliteOptions};

/// Some ten segments of rows.
const MANY: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
    WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 20000)
    INSERT INTO t SELECT x, 'row ' || x || ' \"ü' || hex(zeroblob(50)) FROM c;";

fn all(fixture: &Fixture) -> ReadSpec {
    ReadSpec { limit: 100_000, bytes_max: 64 << 20, ..spec(&fixture.table("t")) }
}

async fn long(connector: &SqliteConnector, spec: &ReadSpec) -> (Records, Remainder) {
    match connector.run(spec).await.unwrap().0 {
        Got::Long(first, rest) => (first, rest),
        Got::Whole(records) => panic!("a whole answer of {} bytes", records.json.len()),
    }
}

async fn next(rest: &mut Remainder) -> Result<Segment, asuser_core::Problem> {
    poll_fn(|context| rest.poll_next(context)).await
}

#[tokio::test]
async fn segments_are_what_pages_are() {
    let fixture = Fixture::new(MANY).await;
    let mut read = all(&fixture);
    (read.count, read.limit) = (true, 19_999);
    let (first, mut rest) = long(&fixture.connector, &read).await;
    assert_eq!((first.json.len(), first.count), (SEGMENT_BYTES_MAX, Some(20_000)));
    let (mut json, mut rows, mut segments) = (first.json, first.rows, 1);
    let more = loop {
        let segment = next(&mut rest).await.unwrap();
        assert!(!segment.json.is_empty() && segment.json.len() <= SEGMENT_BYTES_MAX);
        json.extend_from_slice(&segment.json);
        rows += segment.rows;
        segments += 1;
        if let Some(end) = segment.end {
            break end.more;
        }
        assert_eq!(segment.json.len(), SEGMENT_BYTES_MAX);
    };
    assert!(segments > 10 && more && rows == 19_999);
    let (mut pages, mut page) = (Vec::new(), read.clone());
    page.limit = 1_000;
    while page.offset < 19_999 {
        page.limit = page.limit.min(19_999 - page.offset);
        let Got::Whole(records) = fixture.connector.run(&page).await.unwrap().0 else { panic!("a page is long") };
        pages.push(String::from_utf8(records.json).unwrap());
        page.offset += page.limit;
    }
    assert_eq!(String::from_utf8(json).unwrap(), pages.join(","));
}

#[tokio::test]
async fn one_byte_more_than_a_segment_makes_a_long_answer() {
    let text = SEGMENT_BYTES_MAX - r#"{"id":1,"v":""}"#.len();
    let fixture = Fixture::new(&format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
         INSERT INTO t SELECT x, substr(hex(zeroblob(200000)), 1, {text} + x - 1) FROM (SELECT 1 AS x UNION ALL SELECT 2);"
    ))
    .await;
    let one = |id: i64| {
        let mut read = all(&fixture);
        let id = asuser_core::FilterOp::Eq(asuser_core::Operand::Value(asuser_core::Value::Integer(id)));
        read.row_filter = asuser_core::Filter::test(super::column(&fixture.table("t"), "id"), id);
        read
    };
    let Got::Whole(whole) = fixture.connector.run(&one(1)).await.unwrap().0 else { panic!("long") };
    assert_eq!((whole.json.len(), whole.rows), (SEGMENT_BYTES_MAX, 1));
    let (first, mut rest) = long(&fixture.connector, &one(2)).await;
    assert_eq!((first.json.len(), first.rows), (SEGMENT_BYTES_MAX, 0), "its record does not end there");
    let last = next(&mut rest).await.unwrap();
    assert_eq!((last.json.as_slice(), last.rows, last.end.unwrap().more), (&b"}"[..], 1, false));
}

#[tokio::test]
async fn cells_longer_than_a_segment_arrive_whole() {
    let fixture = Fixture::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v);
         INSERT INTO t VALUES (1, randomblob(1000001)), (2, replace(hex(randomblob(500000)), 'A', char(10) || '\"ü')), (3, 'end');",
    )
    .await;
    let records = fixture.read(&all(&fixture)).await.unwrap();
    let rows = parsed(&records);
    let database = Connection::open(&fixture.path).unwrap();
    let blob: Vec<u8> = database.query_row("SELECT v FROM t WHERE id = 1", [], |row| row.get(0)).unwrap();
    let text: String = database.query_row("SELECT v FROM t WHERE id = 2", [], |row| row.get(0)).unwrap();
    assert!(rows[0]["v"] == data_encoding::BASE64.encode(&blob) && rows[1]["v"] == text && rows[2]["v"] == "end");
    // Several key columns as one text.
    let mut list = all(&fixture);
    list.as_list = true;
    assert!(parsed(&fixture.read(&list).await.unwrap())[1] == format!("(2,{text})"));
}

#[tokio::test]
async fn the_limit_of_bytes_breaks_a_long_answer_off_and_refuses_what_has_not_begun() {
    let fixture = Fixture::new(MANY).await;
    let connector = one_connection(&fixture).await;
    let mut read = all(&fixture);
    read.bytes_max = SEGMENT_BYTES_MAX * 3;
    let (_, mut rest) = long(&connector, &read).await;
    let problem = loop {
        match next(&mut rest).await {
            Ok(segment) => assert_eq!(segment.end, None),
            Err(problem) => break problem,
        }
    };
    assert_eq!(problem.reason, Reason::AnswerTooLarge);
    read.bytes_max = SEGMENT_BYTES_MAX;
    let refused = connector.run(&read).await.map(|_| ());
    assert_eq!(refused, Err(SqliteError::AnswerTooLarge { bytes_max: SEGMENT_BYTES_MAX }));
    // The twin: exactly as long as the answer is.
    read.bytes_max = 64 << 20;
    let whole = super::run(&connector, &read).await.unwrap();
    read.bytes_max = whole.json.len();
    assert_eq!(super::run(&connector, &read).await.unwrap(), whole);
}

async fn one_connection(fixture: &Fixture) -> SqliteConnector {
    let connector = SqliteConnector::open(SqliteOptions { connections: 1, ..options(&fixture.path) }).unwrap();
    connector.catalog().await.unwrap();
    connector
}

#[tokio::test]
async fn a_reader_that_stops_is_given_up_and_the_next_is_served() {
    let fixture = Fixture::new(MANY).await;
    let connector = one_connection(&fixture).await;
    let mut quick = spec(&fixture.table("t"));
    quick.limit = 10;

    // Gone: its connection is closed and the next read runs.
    let (_, rest) = long(&connector, &all(&fixture)).await;
    drop(rest);
    assert_eq!(super::run(&connector, &quick).await.unwrap().rows, 10);

    // Still there, taking nothing: the next read runs as soon as the time of the first is over.
    let mut slow = all(&fixture);
    slow.time_ms_max = 500;
    let (_, mut rest) = long(&connector, &slow).await;
    assert_eq!(super::run(&connector, &quick).await.unwrap().rows, 10);
    assert_eq!(next(&mut rest).await.unwrap().end, None, "what was in the channel");
    assert_eq!(next(&mut rest).await.unwrap_err().reason, Reason::DatabaseTimeout);
}

#[tokio::test]
async fn a_long_answer_is_one_snapshot() {
    let fixture = Fixture::new(&format!("PRAGMA journal_mode = WAL; {MANY}")).await;
    let mut read = all(&fixture);
    read.count = true;
    let (first, rest) = long(&fixture.connector, &read).await;
    let writer = Connection::open(&fixture.path).unwrap();
    writer.execute_batch("DELETE FROM t WHERE id > 10000; UPDATE t SET v = 'changed'").unwrap();
    let records = rest.join(first).await.unwrap();
    assert_eq!((records.rows, records.count), (20_000, Some(20_000)));
    assert!(!String::from_utf8(records.json).unwrap().contains("changed"));
    assert_eq!(fixture.read(&read).await.unwrap().rows, 10_000);
}

/// At most one segment is in the channel and one is held by the thread: memory does not grow with the answer.
#[tokio::test]
async fn the_thread_runs_one_segment_ahead() {
    let fixture = Fixture::new(MANY).await;
    let (_, mut rest) = long(&fixture.connector, &all(&fixture)).await;
    next(&mut rest).await.unwrap();
    let mut ready = 0;
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    // Without giving the runtime a chance, and so the thread no room that it could not have filled before.
    while let Poll::Ready(segment) = rest.poll_next(&mut context) {
        assert_eq!(segment.unwrap().end, None);
        ready += 1;
    }
    assert!(ready < 10, "{ready} segments were ready");
}
