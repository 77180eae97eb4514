//! Lists of injection payloads, and some of our own: in a value each is text, in a name or as a filter it is refused or a tree.

use std::path::Path;

use asuser_core::{CompareOp, Condition, Literal, Test, TestKind};

use super::{people, people_access, spec_of};
use crate::dialect::{DialectError, parse_read};

const OWN: &[&str] = &[
    "' OR '1'='1",
    "x'; DROP TABLE people; --",
    "1) UNION SELECT secret FROM people --",
    "id>0) OR (id>0",
    "id = 1 OR 1=1",
    "\" OR \"\"=\"",
    "%' OR name LIKE '%",
    "id = (SELECT id FROM people)",
    "\\'; SELECT sleep(9); --",
    "id = 1/**/OR/**/1=1",
    "{user.email}",
    "U&\"\\0073ecret\" = 1",
];

/// The lists' lines, or nothing where the lists are not there.
fn payloads() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/lists");
    let mut lines: Vec<String> = OWN.iter().map(|line| (*line).to_owned()).collect();
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped the public lists: there is no shared/vectors/lists beside the checkout");
        return lines;
    };
    for entry in entries.flatten().filter(|entry| entry.path().extension().is_some_and(|ext| ext == "txt")) {
        let bytes = std::fs::read(entry.path()).expect("a list can be read");
        lines.extend(String::from_utf8_lossy(&bytes).lines().map(str::to_owned));
    }
    lines.retain(|line| !line.contains('\0'));
    lines
}

fn parsed(name: &str, value: &str) -> Result<Option<Condition<asuser_core::ColumnName>>, DialectError> {
    parse_read("people", None, &[(name.to_owned(), value.to_owned())]).map(|request| request.condition)
}

#[test]
fn a_payload_in_a_value_is_that_text() {
    for payload in payloads() {
        let kind = TestKind::Compare(CompareOp::Eq, Literal::Text(payload.clone()));
        let bound = Some(Condition::Test(Test { column: "name".into(), at: 1, kind }));
        for quote in ['\'', '"'] {
            let doubled = payload.replace(quote, &format!("{quote}{quote}"));
            assert_eq!(parsed("filter", &format!("name={quote}{doubled}{quote}")), Ok(bound.clone()), "{payload}");
        }
    }
}

#[test]
fn a_payload_that_closes_the_quote_does_not_parse_or_is_a_tree_over_columns() {
    for payload in payloads() {
        for text in [payload.clone(), format!("name='{payload}'"), format!("id={payload}"), format!("(id={payload})")] {
            let Ok(request) = parse_read("people", None, &[("filter".to_owned(), text.clone())]) else { continue };
            let Some(tree) = &request.condition else { continue };
            assert!(columns_are_names(tree), "{text}");
        }
    }
}

#[test]
fn a_payload_as_a_name_names_no_column() {
    // The lists hold names of attributes too, and some are columns here.
    let columns = ["*", "id", "name", "email", "salary"];
    for payload in payloads().into_iter().filter(|payload| !payload.trim().is_empty()) {
        for name in ["fields", "order", "id_field"] {
            let sent = [(name.to_owned(), payload.clone()), ("ids".to_owned(), "1".to_owned())];
            if parse_read("people", None, &sent).is_ok() && !columns.contains(&payload.trim()) {
                let resolved = spec_of(&people(), &people_access(), None, &[(name, &payload), ("ids", "1")]);
                assert!(resolved.is_err(), "{name}={payload}");
            }
        }
    }
}

fn columns_are_names(tree: &Condition<asuser_core::ColumnName>) -> bool {
    match tree {
        Condition::All(parts) | Condition::Any(parts) => parts.iter().all(columns_are_names),
        Condition::Not(part) => columns_are_names(part),
        Condition::Xor(left, right) => columns_are_names(left) && columns_are_names(right),
        Condition::Test(test) => test.column.as_str().chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$'),
    }
}
