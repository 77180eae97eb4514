//! Random policies over a real PostgreSQL, against what Cedar itself says of each row (SPEC.md, D), under either default.
//!
//! The whole way: a signed token with the principal's attributes, verified; the catalogue that the connector read; the policies
//! loaded against it; a sealed plan, run as a database role under an entry of a real audit log. The rows that come back are those
//! for which [`Case::row_expected`] holds, and the masked column is clear in those for which [`Case::clear_expected`] does.
//! Among the values are NULL, `NaN`, infinity, microseconds, and texts that differ in case, blanks and combining characters.
//! `PROPTEST_CASES` asks for more policy sets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a test"
)]

use std::cell::Cell as Counter;
use std::sync::Arc;

use asuser_conformance::{Failure, Person, Rig, Service, run};
use asuser_connector::RoleMapping;
use asuser_connector_postgres::{PostgresConnector, PostgresOptions};
use asuser_core::{Clock as _, ColumnKind, DatabaseKind, MaskKind, Reason, Secret, SystemClock};
use asuser_policy::ServiceDefault;
use asuser_postgres::Target;
use asuser_testkit::{PgDatabase, PostgresServer, Version};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value as Json, json};

#[path = "../../policy/tests/cases/asking.rs"]
mod asking;
#[path = "../../policy/tests/cases/mod.rs"]
mod cases;

use cases::{Case, Cell, ColumnSpec, Row};

/// What the random cases came to, so that a suite which never finds a row is noticed.
#[derive(Debug, Default)]
struct Seen {
    sets: Counter<u32>,
    askers: Counter<u32>,
    refused_logins: Counter<u32>,
    no_table: Counter<u32>,
    rows_shown: Counter<u32>,
    rows_hidden: Counter<u32>,
    ill_typed_shown: Counter<u32>,
    ill_typed_hidden: Counter<u32>,
    clear: Counter<u32>,
    masked: Counter<u32>,
}

fn count(counter: &Counter<u32>) {
    counter.set(counter.get() + 1);
}

/// A database with the cases' table, whose rows each case replaces, and asuser in front of it.
struct Bench {
    rig: Arc<Rig>,
    database: PgDatabase,
    connector: Arc<PostgresConnector>,
    seen: Seen,
}

impl Bench {
    fn new(server: &Arc<PostgresServer>) -> Self {
        let (login, role) = (server.unique("asuser"), server.unique("reader"));
        server.execute(&format!(
            "CREATE ROLE {login} LOGIN NOINHERIT PASSWORD 'an honest password'; CREATE ROLE {role} NOLOGIN; GRANT {role} TO {login}"
        ));
        let database = server.database("policy");
        database.execute(&format!("{}; GRANT SELECT ON orders TO {role}", cases::postgres_ddl()));
        let target = Target::parse(&database.url(&login)).unwrap();
        let options = PostgresOptions {
            password: Some(Secret::new("an honest password".to_owned())),
            connections: 2,
            ..PostgresOptions::new(Service::NAME.into(), target, RoleMapping::Constant(role))
        };
        let connector = Arc::new(PostgresConnector::open(options).unwrap());
        Self { rig: Rig::new(&asking::attributes()), database, connector, seen: Seen::default() }
    }

    fn write(&self, case: &Case) {
        let rows = case.rows.iter().map(|row| {
            let cells: Vec<_> = columns().iter().zip(row).map(|(spec, cell)| in_sql(spec, cell)).collect();
            format!("({})", cells.join(", "))
        });
        let rows: Vec<_> = rows.collect();
        self.database.execute(&format!("TRUNCATE orders; INSERT INTO orders VALUES {}", rows.join(", ")));
    }

    async fn check(&self, case: Case) -> Result<(), TestCaseError> {
        self.write(&case);
        let narrowed = case.without_permits();
        for (case, default, askers) in [(case, ServiceDefault::Deny, 8), (narrowed, ServiceDefault::Database, 2)] {
            let connector = Arc::clone(&self.connector);
            let masks = Some(cases::POSTGRES_MASKS);
            let service = match Service::open_with(&self.rig, connector, default, &case.text(), masks).await {
                Ok(service) => service,
                Err(errors) => {
                    let impossible =
                        errors.iter().all(|error| error.message == "this policy can never apply to anything");
                    prop_assert!(impossible, "{:#?}\n{}", errors, case.text());
                    continue;
                }
            };
            if default == ServiceDefault::Deny {
                count(&self.seen.sets);
            }
            for principal in case.principals.iter().take(askers) {
                match asking::person(&self.rig, principal).await {
                    Some(person) => self.compare(&service, &case, &person, default).await?,
                    None => count(&self.seen.refused_logins),
                }
            }
        }
        Ok(())
    }

    async fn compare(
        &self,
        service: &Service,
        case: &Case,
        person: &Person,
        default: ServiceDefault,
    ) -> Result<(), TestCaseError> {
        count(&self.seen.askers);
        // None of the cases' times is near.
        let case = &Case { now_ms: SystemClock.now_ms(), ..case.clone() };
        let expected = self.expected(case, person, default == ServiceDefault::Database);
        let principal = person.verified.data();
        let context = || format!("{default:?} {principal:?}\n{}\n{:#?}", case.text(), case.rows);
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
                    count(&self.seen.no_table);
                }
                Err(other) => prop_assert!(false, "{:?} {}", other, context()),
            }
        }
        Ok(())
    }

    /// The records as the answer must have them, by their key.
    fn expected(&self, case: &Case, person: &Person, permitted: bool) -> Vec<Json> {
        let (seen, principal) = (&self.seen, person.verified.data());
        let mut rows: Vec<&Row> = case.rows.iter().collect();
        rows.sort_by_key(|row| match row[0] {
            Cell::Integer(id) => id,
            _ => i64::MAX,
        });
        let mut expected = Vec::new();
        for row in rows {
            let is_shown = case.row_expected(principal, row, permitted);
            count(if is_shown { &seen.rows_shown } else { &seen.rows_hidden });
            if row
                .iter()
                .any(|cell| matches!(cell, Cell::Text(text) if ["NaN", "infinity", "-infinity"].contains(&&**text)))
            {
                count(if is_shown { &seen.ill_typed_shown } else { &seen.ill_typed_hidden });
            }
            if is_shown {
                let clear = case.clear_expected(principal, row, permitted);
                count(if clear { &seen.clear } else { &seen.masked });
                expected.push(record(row, clear));
            }
        }
        expected
    }
}

fn columns() -> &'static [ColumnSpec] {
    cases::columns(DatabaseKind::Postgres)
}

/// A cell as a literal.
fn in_sql(spec: &ColumnSpec, cell: &Cell) -> String {
    let text = |text: &str| format!("'{}'::{}", text.replace('\'', "''"), spec.postgres);
    match (spec.kind, cell) {
        (_, Cell::Null) => "NULL".to_owned(),
        (ColumnKind::Boolean, Cell::Integer(number)) => (*number == 1).to_string(),
        (ColumnKind::Timestamp, Cell::Integer(us)) => text(&iso(*us)),
        (_, Cell::Integer(number)) => text(&number.to_string()),
        (_, Cell::Real(real)) => text(&real.to_string()),
        (_, Cell::Text(value)) => text(value),
        (_, Cell::Blob(_)) => unreachable!("no column holds bytes"),
    }
}

/// A cell as the answer has it.
fn in_json(spec: &ColumnSpec, cell: &Cell) -> Json {
    match (spec.kind, cell) {
        (_, Cell::Null) => Json::Null,
        (ColumnKind::Boolean, Cell::Integer(number)) => json!(*number == 1),
        (ColumnKind::Timestamp, Cell::Integer(us)) => json!(iso(*us)),
        (ColumnKind::Decimal, Cell::Text(number)) if number != "NaN" => serde_json::from_str(number).unwrap(),
        (_, Cell::Integer(number)) => json!(number),
        (_, Cell::Real(real)) => json!(real),
        (_, Cell::Text(text)) => json!(text),
        (_, Cell::Blob(_)) => unreachable!("no column holds bytes"),
    }
}

/// ISO 8601 in UTC, with as many digits as it takes.
fn iso(us: i64) -> String {
    let whole = chrono::DateTime::from_timestamp_micros(us).unwrap().format("%Y-%m-%dT%H:%M:%S").to_string();
    match us.rem_euclid(1_000_000) {
        0 => format!("{whole}Z"),
        fraction => format!("{whole}.{}Z", format!("{fraction:06}").trim_end_matches('0')),
    }
}

fn record(row: &Row, clear: bool) -> Json {
    let mut object = Map::new();
    for (at, (spec, cell)) in columns().iter().zip(row).enumerate() {
        let value = match cell {
            Cell::Text(text) if at == usize::from(cases::MASKED.0) && !clear => json!(MaskKind::Email.apply(text)),
            cell => in_json(spec, cell),
        };
        object.insert(spec.name.to_owned(), value);
    }
    Json::Object(object)
}

/// Policy sets.
fn cases_wanted() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(120)
}

/// Random policy sets, each asked by eight principals under one default and by two under the other.
fn random_policies(server: &Arc<PostgresServer>, sets: u32) {
    let config = ProptestConfig { cases: sets, failure_persistence: None, ..ProptestConfig::default() };
    let bench = Bench::new(server);
    run(async {
        let handle = tokio::runtime::Handle::current();
        // Each case of its own to the end, on this thread.
        let result = tokio::task::block_in_place(|| {
            TestRunner::new(config).run(&cases::postgres_case(), |case| handle.block_on(bench.check(case)))
        });
        println!("{:?}, {} records in the audit log", bench.seen, bench.rig.log_size());
        if let Err(error) = result {
            std::panic::panic_any(error.to_string());
        }
    });
    let seen = &bench.seen;
    let of = |counter: &Counter<u32>, of: u32| counter.get() * of >= seen.sets.get();
    assert!(seen.sets.get() * 10 >= sets * 6, "too many policy sets do not load: {seen:?}");
    let often = [&seen.rows_shown, &seen.rows_hidden, &seen.ill_typed_shown, &seen.ill_typed_hidden];
    assert!(often.iter().all(|counter| of(counter, 1)) && of(&seen.clear, 10) && of(&seen.masked, 10), "{seen:?}");
}

#[test]
fn the_rows_are_those_that_cedar_permits() {
    random_policies(&PostgresServer::shared(Version::Fifteen), cases_wanted());
}

#[test]
fn so_they_are_on_postgresql_18() {
    let Some(server) = PostgresServer::shared_if_installed(Version::Eighteen) else { return };
    random_policies(&server, cases_wanted() / 4);
}

/// Every operator, value and cell, which chance would not bring together.
#[test]
fn decimals_and_times_compare_as_in_cedar_to_the_last_digit() {
    let bench = Bench::new(&PostgresServer::shared(Version::Fifteen));
    run(async {
        let cases = cases::comparisons();
        bench.write(&cases[0]);
        let person = asking::person(&bench.rig, &cases[0].principals[0]).await.unwrap();
        let principal = person.verified.data();
        for case in &cases {
            let default = if case.only_forbids() { ServiceDefault::Database } else { ServiceDefault::Deny };
            let connector = Arc::clone(&bench.connector);
            let service = Service::open_with(&bench.rig, connector, default, &case.text(), None).await.unwrap();
            let expected: Vec<_> = (case.rows.iter())
                .filter(|row| case.row_expected(principal, row, default == ServiceDefault::Database))
                .map(|row| record(row, true))
                .collect();
            match service.read(&person, case.table, None, &[]).await {
                Ok(answer) => assert_eq!(answer.resource, expected, "{}", case.text()),
                Err(failure) => panic!("{failure:?}\n{}", case.text()),
            }
        }
        println!("{} comparisons of {} rows", cases.len(), cases[0].rows.len());
    });
}

/// What the connector reads of the table is what the cases, and so the test of the translator alone, take it for.
#[test]
fn the_catalogue_is_the_one_that_the_cases_assume() {
    let bench = Bench::new(&PostgresServer::shared(Version::Fifteen));
    run(async {
        let service = Service::open(&bench.rig, Arc::clone(&bench.connector) as _, "", None).await.unwrap();
        let assumed = cases::postgres_catalog();
        assert_eq!(service.catalog().table("orders"), assumed.table("orders"));
    });
}
