//! Connections: hardened, bounded, interrupted, and closed after a fault.

use std::fs;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use asuser_core::{Catalog, Condition, Filter, LikePattern, PatternPart, ReadSpec, ServiceName, Test, TestKind};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;

use super::{Fixture, digests, options, spec};
use crate::connect::{Budget, Connected, open_hardened};
use crate::permit::Permit;
use crate::pool::Pool;
use crate::{SqliteConnector, SqliteError, SqliteOptions};

fn budget(fixture: &Fixture, time_ms_max: u64) -> Budget {
    Budget::new(fixture.path.as_path().into(), time_ms_max)
}

/// Ten thousand rows whose filter does much work for each.
async fn slow() -> (Fixture, ReadSpec) {
    let fixture = Fixture::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
         WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 10000)
         INSERT INTO t SELECT x, hex(zeroblob(1000)) FROM c;",
    )
    .await;
    let table = fixture.table("t");
    let mut spec = spec(&table);
    let part = |at: usize| PatternPart::Text(format!("{at}"));
    let pattern = |at: usize| LikePattern(vec![PatternPart::Any, part(at), PatternPart::Any]);
    let tests = (1..200).map(|at| Filter::test(super::column(&table, "v"), asuser_core::FilterOp::Like(pattern(at))));
    spec.row_filter = Filter::Any(tests.collect());
    (fixture, spec)
}

#[tokio::test]
async fn a_read_ends_with_its_time_and_the_next_one_runs() {
    let (fixture, mut slow) = slow().await;
    slow.time_ms_max = 20;
    assert_eq!(fixture.read(&slow).await, Err(SqliteError::Timeout { time_ms_max: 20 }));
    slow.time_ms_max = 0;
    assert_eq!(fixture.read(&slow).await, Err(SqliteError::Timeout { time_ms_max: 0 }));
    let mut quick = spec(&fixture.table("t"));
    quick.limit = 10;
    assert_eq!(fixture.read(&quick).await.unwrap().rows, 10);
}

/// Work that waits until it is told, or until its budget is spent, as SQLite does in a long statement.
fn pool(connections: usize, waiting_max: usize, fixture: &Fixture) -> Pool {
    let options = SqliteOptions { connections, waiting_max, ..options(&fixture.path) };
    Pool::start(&Arc::new(options)).unwrap()
}

#[tokio::test]
async fn a_full_queue_refuses_and_an_emptied_one_serves() {
    let fixture = Fixture::new("CREATE TABLE t (x)").await;
    let pool = Arc::new(pool(1, 1, &fixture));
    let (started, is_started) = channel();
    let (release, released) = channel::<()>();
    let budget = || budget(&fixture, 60_000);
    let first = pool.run(budget(), move |_, _| {
        started.send(()).unwrap();
        released.recv().unwrap();
        Ok(1)
    });
    let mut first = Box::pin(first);
    assert!(futures_poll(&mut first).is_none());
    is_started.recv().unwrap();
    let mut second = Box::pin(pool.run(budget(), |_, _| Ok(2)));
    assert!(futures_poll(&mut second).is_none());
    assert_eq!(pool.run(budget(), |_, _| Ok(3)).await, Err(SqliteError::Busy { waiting_max: 1 }));
    release.send(()).unwrap();
    assert_eq!((first.await, second.await), (Ok(1), Ok(2)));
    assert_eq!(pool.run(budget(), |_, _| Ok(4)).await, Ok(4));
}

/// Polls once.
fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn dropping_the_future_interrupts_the_statement() {
    let (fixture, slow) = slow().await;
    let pool = pool(1, 4, &fixture);
    let printed = crate::print::statement(&slow).unwrap();
    let (started, is_started) = channel();
    let (ended, has_ended) = channel();
    // The statement is run over and over: it can only end by being interrupted.
    let read = pool.run(budget(&fixture, 600_000), move |connected, budget| -> Result<(), SqliteError> {
        started.send(()).unwrap();
        connected.permit(Permit::Table { table: Arc::clone(&printed.table), columns: printed.used.clone() });
        loop {
            let values = rusqlite::params_from_iter(printed.values.iter());
            let counted =
                connected.connection.prepare_cached(&printed.select).and_then(|mut s| s.query_row(values, |_| Ok(())));
            match counted {
                Ok(()) | Err(rusqlite::Error::QueryReturnedNoRows) => {}
                Err(error) => {
                    let error = SqliteError::from_sqlite(&error, budget);
                    ended.send(error.clone()).unwrap();
                    return Err(error);
                }
            }
        }
    });
    let mut read = Box::pin(read);
    assert!(futures_poll(&mut read).is_none());
    is_started.recv().unwrap();
    drop(read);
    assert_eq!(has_ended.recv_timeout(Duration::from_secs(60)), Ok(SqliteError::Cancelled));
    // A cancel that comes late hits nobody: the next read on the same thread runs.
    assert_eq!(pool.run(budget(&fixture, 60_000), |_, _| Ok(7)).await, Ok(7));
}

/// A thread that nothing can stop: whoever waits is told in time, and the late work's connection serves nobody.
#[tokio::test]
async fn a_thread_that_cannot_be_stopped_holds_nobody_up() {
    let fixture = Fixture::new("CREATE TABLE t (x)").await;
    let pool = pool(1, 4, &fixture);
    let (release, released) = channel::<()>();
    let stuck = |released: std::sync::mpsc::Receiver<()>| {
        move |connected: &mut Connected, _: &Budget| {
            connected.permit(Permit::Frame);
            connected.connection.execute_batch("BEGIN").unwrap();
            let _ = released.recv();
            Ok(())
        }
    };
    let timeout = Err(SqliteError::Timeout { time_ms_max: 20 });
    assert_eq!(pool.run(budget(&fixture, 20), stuck(released)).await, timeout);
    assert_eq!(pool.run(budget(&fixture, 20), |_, _| Ok(())).await, timeout, "one that waits behind it is told too");
    release.send(()).unwrap();
    let fresh = pool.run(budget(&fixture, 60_000), |connected, _| Ok(connected.connection.is_autocommit())).await;
    assert_eq!(fresh, Ok(true), "the twin: the next runs, on another connection");

    // The same for a read; and a pool is gone at once, though its thread is not.
    let (release, released) = channel::<()>();
    let read = pool
        .read(budget(&fixture, 20), move |_, _, _| {
            let _ = released.recv();
            Ok(asuser_core::Records::default())
        })
        .await;
    assert!(matches!(read, Err(SqliteError::Timeout { time_ms_max: 20 })));
    drop(pool);
    drop(release);
}

#[tokio::test]
async fn a_busy_pool_does_not_hide_the_catalogue() {
    let fixture = Fixture::new("CREATE TABLE t (x)").await;
    let mut held = Vec::new();
    for _ in 0..options(&fixture.path).connections {
        let (release, released) = channel::<()>();
        let stuck = fixture.connector.pool.run(budget(&fixture, 20), move |_, _| {
            let _ = released.recv();
            Ok(())
        });
        assert!(matches!(stuck.await, Err(SqliteError::Timeout { .. })));
        held.push(release);
    }
    let mut read = spec(&fixture.table("t"));
    read.time_ms_max = 20;
    assert!(matches!(fixture.read(&read).await, Err(SqliteError::Timeout { .. })), "the pool is busy");
    assert!(fixture.connector.catalog().await.is_ok());
    drop(held);
    read.time_ms_max = 60_000;
    assert!(fixture.read(&read).await.is_ok(), "the twin");
}

/// Few steps of the machine, much work in one of them.
#[tokio::test]
async fn a_spent_budget_ends_one_long_like() {
    let fixture =
        Fixture::new("CREATE TABLE t (v TEXT); INSERT INTO t VALUES (replace(hex(zeroblob(50000)), '0', 'a'))").await;
    let connected = Connected::open(&options(&fixture.path), &budget(&fixture, 60_000)).unwrap();
    connected.permit(Permit::Table { table: fixture.table("t"), columns: vec![true] });
    let pattern = format!("%_{}bN", "a".repeat(1_000));
    let run = |pattern: &str| {
        let mut statement = connected.connection.prepare_cached("SELECT asuser_text_like(?1, v) FROM main.t").unwrap();
        statement.query_row([pattern], |row| row.get::<_, bool>(0))
    };
    assert_eq!(run("%aab%"), Ok(false), "the twin");
    let spent = budget(&fixture, 60_000);
    spent.cancel();
    connected.watch.set(Some(spent.clone()));
    let error = run(&pattern).unwrap_err();
    assert_eq!(SqliteError::from_sqlite(&error, &spent), SqliteError::Cancelled);
}

/// What once took half a minute: many patterns over long texts, none of which match.
#[tokio::test]
async fn patterns_that_almost_match_long_texts_end_in_time() {
    let fixture = Fixture::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT);
         WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 20)
         INSERT INTO t SELECT x, replace(hex(zeroblob(50000)), '0', 'a') FROM c;",
    )
    .await;
    let table = fixture.table("t");
    let body = super::column(&table, "body");
    let any = |pattern: &dyn Fn(usize) -> String| {
        let test = |at| Test { column: body, at: 0, kind: TestKind::Like(pattern(at)) };
        Some(Condition::Any((0..14).map(|at| Condition::Test(test(at))).collect()))
    };
    let mut read = spec(&table);
    read.condition = any(&|at| format!("%{}b{at}", "a".repeat(1_000)));
    assert_eq!(fixture.read(&read).await.unwrap().rows, 0, "it is cheap");
    read.condition = any(&|at| format!("%_{}b{at}%", "a".repeat(1_000)));
    read.time_ms_max = 300;
    assert_eq!(fixture.read(&read).await, Err(SqliteError::Timeout { time_ms_max: 300 }), "it is stopped");
}

#[tokio::test]
async fn a_connection_that_failed_or_panicked_is_replaced() {
    let fixture = Fixture::new("CREATE TABLE t (x)").await;
    let pool = pool(1, 4, &fixture);
    let mark = |connected: &mut Connected| connected.connection.prepare_cached("SELECT 1").is_ok();
    // Each permit holds for one read only.
    let permitted = pool
        .run(budget(&fixture, 60_000), move |connected, _| {
            connected.permit(Permit::Frame);
            Ok(connected.connection.execute_batch("BEGIN").is_ok())
        })
        .await;
    assert_eq!(permitted, Ok(true));
    let refused = pool.run(budget(&fixture, 60_000), move |connected, _| Ok(mark(connected))).await;
    assert_eq!(refused, Ok(false), "nothing is permitted before a read says what");
    let failed: Result<(), _> = pool
        .run(budget(&fixture, 60_000), |connected, _| {
            assert!(!connected.connection.is_autocommit(), "the open transaction is still there");
            Err(SqliteError::Refused("on purpose".to_owned()))
        })
        .await;
    assert_eq!(failed, Err(SqliteError::Refused("on purpose".to_owned())));
    let fresh = pool.run(budget(&fixture, 60_000), |connected, _| Ok(connected.connection.is_autocommit())).await;
    assert_eq!(fresh, Ok(true));
    let panicked: Result<(), _> = pool.run(budget(&fixture, 60_000), |_, _| panic!("on purpose")).await;
    assert!(matches!(panicked, Err(SqliteError::Internal(_))));
    assert_eq!(pool.run(budget(&fixture, 60_000), |_, _| Ok(1)).await, Ok(1));
}

#[tokio::test]
async fn a_missing_or_damaged_file_is_a_service_that_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("later.db");
    let connector = SqliteConnector::open(options(&path)).unwrap();
    let why = async |connector: &SqliteConnector| match connector.catalog().await {
        Err(SqliteError::Unavailable { why, .. }) => why,
        other => panic!("{other:?}"),
    };
    assert!(why(&connector).await.contains("No such file"));
    assert!(!path.exists(), "a missing file is not made");
    fs::create_dir(&path).unwrap();
    assert!(why(&connector).await.contains("no regular file"));
    fs::remove_dir(&path).unwrap();
    fs::write(&path, "this is no database, it is a text that is long enough to be looked at by SQLite ".repeat(20))
        .unwrap();
    assert!(why(&connector).await.contains("not a database"));
    fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (x)").unwrap();
    assert!(why(&connector).await.contains("UTF-16le"));
    fs::remove_file(&path).unwrap();
    // The twin: as soon as there is a good one, it serves.
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
    let catalog = connector.catalog().await.unwrap();
    let read = spec(catalog.table("t").unwrap());
    assert_eq!(super::run(&connector, &read).await.unwrap().rows, 1);
    // A damaged page is an error, not a panic.
    let mut bytes = fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    // Past the header, so that it is still a database; the schema's counter moves, so that no cached page serves.
    bytes[28..32].fill(0);
    bytes[24] ^= 1;
    bytes[half..].fill(0xff);
    fs::write(&path, bytes).unwrap();
    assert!(connector.run(&read).await.is_err());
}

#[tokio::test]
async fn a_replaced_file_is_the_one_that_is_read() {
    let fixture = Fixture::new("CREATE TABLE t (x); INSERT INTO t VALUES ('old')").await;
    let read = spec(&fixture.table("t"));
    assert_eq!(fixture.json(&read).await[0]["x"], "old");
    let other = fixture.folder.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES ('new')").unwrap();
    fs::rename(&other, &fixture.path).unwrap();
    for _ in 0..4 {
        assert_eq!(fixture.json(&read).await[0]["x"], "new");
    }
    fs::remove_file(&fixture.path).unwrap();
    for _ in 0..4 {
        assert!(matches!(fixture.read(&read).await, Err(SqliteError::Unavailable { .. })));
    }
}

#[tokio::test]
async fn a_link_that_points_elsewhere_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (link, one, two) = (folder.path().join("link"), folder.path().join("one"), folder.path().join("two"));
    for (path, value) in [(&one, "one"), (&two, "two")] {
        let script = format!("CREATE TABLE t (x); INSERT INTO t VALUES ('{value}')");
        Connection::open(path).unwrap().execute_batch(&script).unwrap();
    }
    std::os::unix::fs::symlink(&one, &link).unwrap();
    let connector = SqliteConnector::open(options(&link)).unwrap();
    let read = spec(connector.catalog().await.unwrap().table("t").unwrap());
    let value = async || super::parsed(&super::run(&connector, &read).await.unwrap())[0]["x"].clone();
    assert_eq!(value().await, "one");
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&two, &link).unwrap();
    assert_eq!(value().await, "two");
    assert_eq!(value().await, "two");
}

#[tokio::test]
async fn a_read_before_a_catalogue_is_refused() {
    let fixture = Fixture::new("CREATE TABLE t (x)").await;
    let connector = SqliteConnector::open(options(&fixture.path)).unwrap();
    let read = spec(&fixture.table("t"));
    assert_eq!(connector.run(&read).await.map(|_| ()), Err(SqliteError::NotReady));
    let _catalog: Arc<Catalog> = connector.catalog().await.unwrap();
    let (_, identity) = connector.run(&read).await.unwrap();
    assert_eq!((identity.mode, identity.user), ("filter", None));
}

#[tokio::test]
async fn a_writer_and_readers_work_side_by_side() {
    for mode in ["WAL", "DELETE"] {
        let fixture = Fixture::new("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)").await;
        let mut writer = Connection::open(&fixture.path).unwrap();
        let set: String = writer.query_row(&format!("PRAGMA journal_mode = {mode}"), [], |row| row.get(0)).unwrap();
        assert!(set.eq_ignore_ascii_case(mode));
        let mut read = spec(&fixture.table("t"));
        read.count = true;
        for rows in 1..20_u64 {
            let records = fixture.read(&read).await.unwrap();
            assert_eq!((records.rows, records.count), (rows, Some(rows)), "{mode}");
            let transaction = writer.transaction().unwrap();
            transaction.execute("INSERT INTO t DEFAULT VALUES", []).unwrap();
            // What is not committed is not seen.
            assert_eq!(fixture.read(&read).await.unwrap().rows, rows, "{mode}");
            transaction.commit().unwrap();
        }
    }
}

/// A reader leaves a WAL database as it is, whether its writer is there, has gone, or died.
#[tokio::test]
async fn a_wal_database_without_its_writer_is_read_and_not_changed() {
    let fixture = Fixture::new(
        "PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2)",
    )
    .await;
    let read = spec(&fixture.table("t"));
    let file = fs::read(&fixture.path).unwrap();
    assert_eq!(fixture.read(&read).await.unwrap().rows, 2);
    let writer = Connection::open(&fixture.path).unwrap();
    writer.execute_batch("INSERT INTO t VALUES (3)").unwrap();
    assert_eq!(fixture.read(&read).await.unwrap().rows, 3);
    // As if the writer had died: nobody folds the log into the file, and a copy of both is read.
    let copy = tempfile::tempdir().unwrap();
    let path = copy.path().join("copy.db");
    fs::copy(&fixture.path, &path).unwrap();
    fs::copy(fixture.path.with_extension("db-wal"), path.with_extension("db-wal")).unwrap();
    let connector = SqliteConnector::open(options(&path)).unwrap();
    let before = fs::read(&path).unwrap();
    let catalog = connector.catalog().await.unwrap();
    assert_eq!(super::run(&connector, &spec(catalog.table("t").unwrap())).await.unwrap().rows, 3);
    drop(connector);
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read(&fixture.path).unwrap(), file);
}

#[tokio::test]
async fn a_locked_file_is_waited_for_and_then_given_up() {
    let fixture = Fixture::new("CREATE TABLE t (x); INSERT INTO t VALUES (1)").await;
    let mut read = spec(&fixture.table("t"));
    let writer = Connection::open(&fixture.path).unwrap();
    writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    read.time_ms_max = 30;
    assert_eq!(fixture.read(&read).await, Err(SqliteError::Timeout { time_ms_max: 30 }));
    writer.execute_batch("COMMIT").unwrap();
    read.time_ms_max = 30_000;
    assert_eq!(fixture.read(&read).await.unwrap().rows, 1);
}

#[tokio::test]
async fn reading_changes_nothing_on_disk() {
    let fixture = Fixture::new("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'x')").await;
    let before = digests(fixture.folder.path());
    let read = spec(&fixture.table("t"));
    for _ in 0..10 {
        fixture.read(&read).await.unwrap();
        fixture.connector.catalog().await.unwrap();
    }
    assert_eq!(digests(fixture.folder.path()), before);
}

#[tokio::test]
async fn a_connection_is_hardened() {
    let fixture = Fixture::new("CREATE TABLE t (x); CREATE TABLE u (x)").await;
    let (connection, _watch) = open_hardened(&options(&fixture.path), &budget(&fixture, 60_000)).unwrap();
    assert!(connection.is_readonly("main").unwrap());
    for (config, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
    ] {
        assert_eq!(connection.db_config(config).unwrap(), on, "{config:?}");
    }
    assert_eq!(connection.limit(Limit::SQLITE_LIMIT_ATTACHED).unwrap(), 0);
    for sql in [
        "INSERT INTO t VALUES (1)",
        "ATTACH ':memory:' AS m",
        "SELECT load_extension('x')",
        "SELECT \"text\" FROM t",
        "CREATE TABLE v (x)",
    ] {
        let ran = connection
            .prepare(sql)
            .and_then(|mut statement| statement.query([]).and_then(|mut rows| rows.next().map(|_| ())));
        assert!(ran.is_err(), "{sql}");
    }
}

/// The authorizer stands behind the printer: even a wrong text could read only the plan's own columns.
#[tokio::test]
async fn a_structured_connection_reads_only_the_plans_columns() {
    let fixture =
        Fixture::new("CREATE TABLE t (a TEXT, b TEXT); CREATE TABLE u (a TEXT); CREATE VIEW v AS SELECT a FROM t")
            .await;
    let connected = Connected::open(&options(&fixture.path), &budget(&fixture, 60_000)).unwrap();
    connected.permit(Permit::Table { table: fixture.table("t"), columns: vec![true, false] });
    let may = |sql: &str| connected.connection.prepare(sql).is_ok();
    for allowed in [
        "SELECT a FROM main.t",
        "SELECT count(*) FROM t WHERE asuser_text_like('x', a)",
        "SELECT asuser_mask_full(A) FROM T",
    ] {
        assert!(may(allowed), "{allowed}");
    }
    for denied in [
        "SELECT b FROM main.t",
        "SELECT a FROM t WHERE b = 'x'",
        "SELECT rowid FROM t",
        "SELECT a FROM u",
        "SELECT count(*) FROM u",
        "SELECT a FROM v",
        "SELECT a FROM (SELECT b AS a FROM t)",
        "WITH t AS (SELECT a FROM u) SELECT a FROM t",
        "SELECT upper(a) FROM t",
        "SELECT a FROM t WHERE a LIKE 'x'",
        "SELECT asuser_value(1) FROM t",
        "SELECT sqlite_version()",
        "SELECT name FROM sqlite_schema",
        "PRAGMA schema_version",
        "PRAGMA query_only = OFF",
        "BEGIN",
        "CREATE TEMP TABLE x (y)",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c",
    ] {
        assert!(!may(denied), "{denied}");
    }
    connected.permit(Permit::Nothing);
    assert!(!may("SELECT 1"));
    connected.permit(Permit::Frame);
    assert!(may("PRAGMA schema_version") && may("BEGIN"));
    assert!(!may("PRAGMA schema_version = 4") && !may("PRAGMA query_only = OFF") && !may("SELECT a FROM t"));
}

#[test]
fn options_out_of_range_are_refused() {
    let good = SqliteOptions::new(ServiceName::from("db"), "x.db");
    assert!(SqliteConnector::open(good.clone()).is_ok());
    for wrong in [
        SqliteOptions { connections: 0, ..good.clone() },
        SqliteOptions { connections: 65, ..good.clone() },
        SqliteOptions { waiting_max: 0, ..good.clone() },
        SqliteOptions { waiting_max: 10_001, ..good.clone() },
        SqliteOptions { path: "".into(), ..good },
    ] {
        assert!(matches!(SqliteConnector::open(wrong), Err(SqliteError::Options(_))));
    }
}
