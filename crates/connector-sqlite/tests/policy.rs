//! Random policies over real SQLite files, against what Cedar itself says of each row (SPEC.md, D).
//!
//! The whole way: a signed token with the principal's attributes, verified; the catalogue that the connector read; the policies
//! loaded against it; a sealed plan, run under an entry of a real audit log. The rows that come back are those for which
//! [`Case::row_expected`] holds, and the masked column is clear in those for which [`Case::clear_expected`] does.
//! `PROPTEST_CASES` asks for more policy sets.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, missing_docs, reason = "a test")]

use std::cell::Cell as Counter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use asuser_conformance::{Failure, Person, Rig, Service, run};
use asuser_connector_sqlite::{SqliteConnector, SqliteOptions};
use asuser_core::{ColumnKind, MaskKind, Reason};
use data_encoding::BASE64;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use serde_json::{Map, Value as Json, json};

#[path = "../../policy/tests/cases/asking.rs"]
mod asking;
#[path = "../../policy/tests/cases/mod.rs"]
mod cases;

use asking::{attributes, person};
use cases::{Case, Cell, Row};

/// What the random cases came to, so that a suite which never finds a row is noticed.
#[derive(Debug, Default)]
struct Seen {
    sets: Counter<u32>,
    askers: Counter<u32>,
    refused_logins: Counter<u32>,
    no_table: Counter<u32>,
    rows_shown: Counter<u32>,
    rows_hidden: Counter<u32>,
    clear: Counter<u32>,
    masked: Counter<u32>,
}

fn count(counter: &Counter<u32>) {
    counter.set(counter.get() + 1);
}

/// STRICT tables have no BOOLEAN, so there no policy can ask whether such a column is true.
fn with_what_loads(mut case: Case) -> Case {
    if case.table == "firm" {
        let asks = |text: &str| text.contains("resource.active") || text.contains("resource[\"checked by\"]");
        case.policies.retain(|policy| !asks(&policy.written));
    }
    case
}

fn write(path: &Path, case: &Case) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA synchronous = OFF").unwrap();
    connection.execute_batch(&cases::ddl()).unwrap();
    for row in &case.rows {
        let cells = row.iter().map(|cell| match cell {
            Cell::Null => Value::Null,
            Cell::Integer(number) => Value::Integer(*number),
            Cell::Real(real) => Value::Real(*real),
            Cell::Text(text) => Value::Text(text.clone()),
            Cell::Blob(bytes) => Value::Blob(bytes.clone()),
        });
        let places = vec!["?"; row.len()].join(", ");
        connection.execute(&format!("INSERT INTO {} VALUES ({places})", case.table), params_from_iter(cells)).unwrap();
    }
}

/// A row as the answer must have it.
fn shown(service: &Service, case: &Case, row: &Row, clear: bool) -> Json {
    let table = service.catalog().table(case.table).unwrap();
    let mut object = Map::new();
    for ((at, column), cell) in table.columns.iter().enumerate().zip(row) {
        let masked = at == usize::from(cases::MASKED.0) && !clear;
        let value = match cell {
            Cell::Text(text) if masked => json!(MaskKind::Email.apply(text)),
            _ if masked => Json::Null,
            Cell::Null => Json::Null,
            Cell::Integer(number @ (0 | 1)) if column.kind == ColumnKind::Boolean => json!(*number == 1),
            Cell::Integer(number) => json!(number),
            Cell::Real(real) => json!(real),
            Cell::Text(text) => json!(text),
            Cell::Blob(bytes) => json!(BASE64.encode(bytes)),
        };
        object.insert(column.name.to_string(), value);
    }
    Json::Object(object)
}

async fn compare(seen: &Seen, service: &Service, case: &Case, person: &Person) -> Result<(), TestCaseError> {
    let principal = person.verified.data();
    let mut expected = Vec::new();
    let mut rows: Vec<&Row> = case.rows.iter().collect();
    rows.sort_by_key(|row| match row[0] {
        Cell::Integer(id) => id,
        _ => i64::MAX,
    });
    for row in rows {
        if !case.row_expected(principal, row, false) {
            count(&seen.rows_hidden);
            continue;
        }
        count(&seen.rows_shown);
        let clear = case.clear_expected(principal, row, false);
        count(if clear { &seen.clear } else { &seen.masked });
        expected.push(shown(service, case, row, clear));
    }
    let context = || format!("{principal:?}\n{}\n{:#?}", case.text(), case.rows);
    for (parameters, expected) in [
        (vec![("include_count", "true")], expected.clone()),
        // Conditions see what the caller sees.
        (
            vec![("include_count", "true"), ("filter", "email is null")],
            expected.iter().filter(|row| row["email"].is_null()).cloned().collect(),
        ),
    ] {
        match service.read(person, case.table, None, &parameters).await {
            Ok(answer) => {
                prop_assert_eq!(answer.count, Some(expected.len() as u64), "count {}", context());
                prop_assert_eq!(answer.resource, expected, "rows {}", context());
            }
            // A table of which no row can be open reads like one that does not exist.
            Err(Failure::Refused(problem)) if problem.reason == Reason::NoSuchTable => {
                prop_assert!(expected.is_empty(), "no such table {}", context());
                count(&seen.no_table);
            }
            Err(other) => prop_assert!(false, "{:?} {}", other, context()),
        }
    }
    Ok(())
}

async fn check(seen: &Seen, rig: &Arc<Rig>, path: PathBuf, case: Case) -> Result<(), TestCaseError> {
    let case = with_what_loads(case);
    write(&path, &case);
    let options = SqliteOptions { connections: 1, ..SqliteOptions::new(Service::NAME.into(), &path) };
    let connector = Arc::new(SqliteConnector::open(options).unwrap());
    let service = match Service::open(rig, connector, &case.text(), Some(cases::MASKS)).await {
        Ok(service) => service,
        Err(errors) => {
            let impossible = errors.iter().all(|error| error.message == "this policy can never apply to anything");
            prop_assert!(impossible, "{:#?}\n{}", errors, case.text());
            return Ok(());
        }
    };
    count(&seen.sets);
    for principal in &case.principals {
        match person(rig, principal).await {
            Some(person) => {
                count(&seen.askers);
                compare(seen, &service, &case, &person).await?;
            }
            None => count(&seen.refused_logins),
        }
    }
    drop(service);
    std::fs::remove_file(path).unwrap();
    Ok(())
}

/// Policy sets; each is asked by eight principals.
fn cases_wanted() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(120)
}

#[test]
fn the_rows_are_those_that_cedar_permits() {
    let config = ProptestConfig { cases: cases_wanted(), failure_persistence: None, ..ProptestConfig::default() };
    let seen = Seen::default();
    run(async {
        let rig = Rig::new(&attributes());
        let handle = tokio::runtime::Handle::current();
        let number = Counter::new(0);
        // Each case of its own to the end, on this thread.
        let result = tokio::task::block_in_place(|| {
            TestRunner::new(config).run(&cases::case(), |case| {
                count(&number);
                let path = rig.folder().join(format!("case-{}.db", number.get()));
                handle.block_on(check(&seen, &rig, path, case))
            })
        });
        println!("{seen:?}, {} records in the audit log", rig.log_size());
        if let Err(error) = result {
            std::panic::panic_any(error.to_string());
        }
    });
    let of = |counter: &Counter<u32>, of: u32| counter.get() * of >= seen.sets.get();
    assert!(seen.sets.get() * 10 >= cases_wanted() * 6, "too many policy sets do not load: {seen:?}");
    assert!(
        of(&seen.rows_shown, 1) && of(&seen.rows_hidden, 1) && of(&seen.clear, 10) && of(&seen.masked, 10),
        "{seen:?}"
    );
}
