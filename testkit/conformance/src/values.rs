//! What was put in comes back, digit for digit.

use asuser_core::ColumnKind::{Binary, Float, Integer, Text};
use asuser_policy::AttributeSchema;
use data_encoding::BASE64;
use serde_json::{Value as Json, json};

use crate::people::{column, ids};
use crate::{Cell, Database, Fixture, Person, PoolSize, Rig, Service, TableSpec, run};

const INTEGERS: [i64; 9] = [
    i64::MIN,
    -9_007_199_254_740_993,
    -1,
    0,
    1,
    // 2^53 and the first that a double cannot hold.
    9_007_199_254_740_992,
    9_007_199_254_740_993,
    i64::MAX - 1,
    i64::MAX,
];
const REALS: [f64; 8] = [0.1, -0.5, 1e300, 5e-324, f64::MAX, f64::MIN, 0.1 + 0.2, 123_456_789.125];
const TEXTS: [&str; 16] = [
    "",
    " ",
    "plain",
    "PLAIN",
    "it's",
    "say \"hi\"",
    "back\\slash",
    "%_*",
    "line\r\nbreak\ttab",
    "\u{1}\u{1f}\u{7f}\u{85}",
    "äöü ÄÖÜ ß",
    "e\u{301} é",
    "日本語 😀 \u{10ffff}",
    "\u{202e}\u{feff}",
    "</script>",
    "12345678901234567890",
];

/// Row n has the nth integer, real and text, and bytes made of them.
fn things(fixture: &dyn Fixture) -> TableSpec {
    let columns = vec![
        column("id", Integer, false),
        column("big", Integer, true),
        column("real_number", Float, true),
        column("words", Text, true),
        column("bytes", Binary, true),
    ];
    let mut texts: Vec<String> = TEXTS.iter().map(|text| (*text).to_owned()).collect();
    texts.push("long ".repeat(20_000));
    if fixture.text_holds_nul() {
        texts.extend(["a\0b".to_owned(), "\0".to_owned()]);
    }
    let rows = (0..texts.len()).map(|at| {
        let bytes = match at {
            0 => Vec::new(),
            1 => (0..=255).collect(),
            _ => texts[at].as_bytes().to_vec(),
        };
        vec![
            i64::try_from(at).unwrap().into(),
            INTEGERS.get(at).map_or(Cell::Null, |number| Cell::Integer(*number)),
            REALS.get(at).map_or(Cell::Null, |real| Cell::Real(*real)),
            Cell::Text(texts[at].clone()),
            Cell::Bytes(bytes),
        ]
    });
    let rows = rows.chain([vec![1_000.into(), Cell::Null, Cell::Null, Cell::Null, Cell::Null]]).collect();
    TableSpec { name: "things", columns, rows }
}

async fn ask(fixture: &dyn Fixture, spec: &TableSpec) -> (Box<dyn Database>, Service, Person) {
    let rig = Rig::new(&AttributeSchema::new());
    let database = fixture.database(std::slice::from_ref(spec), PoolSize::USUAL);
    let policies = "permit (principal, action == Action::\"read\", resource is db::things);";
    let service = Service::open(&rig, database.connector(), policies, None).await.unwrap();
    let person = rig.person("alice", &json!({})).await.unwrap();
    (database, service, person)
}

fn same(cell: &Cell, json: &Json) -> bool {
    match cell {
        Cell::Null => json.is_null(),
        Cell::Integer(number) => json.as_i64() == Some(*number) && json.is_i64() | json.is_u64(),
        Cell::Real(real) => json.as_f64() == Some(*real),
        Cell::Text(text) => json.as_str() == Some(text),
        Cell::Bytes(bytes) => json.as_str() == Some(&BASE64.encode(bytes)),
    }
}

/// Integers beyond 2^53, doubles, Unicode, bytes, NULL.
pub fn values_come_back_as_they_were(fixture: &dyn Fixture) {
    run(async {
        let spec = things(fixture);
        let (_database, service, person) = ask(fixture, &spec).await;
        let rows = service.rows(&person, "things", &[]).await;
        assert_eq!(rows.len(), spec.rows.len());
        for (cells, row) in spec.rows.iter().zip(&rows) {
            for (cell, column) in cells.iter().zip(&spec.columns) {
                assert!(same(cell, &row[column.name]), "{}: {cell:?} came back as {}", column.name, row[column.name]);
            }
        }
    });
}

/// Each value is found by itself, and by nothing near it.
pub fn conditions_find_the_exact_value(fixture: &dyn Fixture) {
    run(async {
        let spec = things(fixture);
        let (_database, service, person) = ask(fixture, &spec).await;
        for cells in &spec.rows {
            let Cell::Integer(id) = cells[0] else { panic!("a row has a key") };
            let mut filters = Vec::new();
            match &cells[1] {
                Cell::Integer(number) => {
                    filters.extend([
                        format!("big = {number}"),
                        format!("big in ({number})"),
                        format!("(big >= {number}) and (big <= {number})"),
                    ]);
                }
                _ => assert!(!ids(&service.rows(&person, "things", &[("filter", "big is null")]).await).is_empty()),
            }
            if let Cell::Text(text) = &cells[3]
                && !text.contains('\0')
                && text.len() < 1_000
            {
                filters.push(format!("words = '{}'", text.replace('\'', "''")));
            }
            for filter in filters {
                let found = service.rows(&person, "things", &[("filter", &filter)]).await;
                assert_eq!(ids(&found), [id], "{filter}");
            }
        }
        let none = service.rows(&person, "things", &[("filter", "(words is null) and (bytes is null)")]).await;
        assert_eq!(ids(&none), [1_000]);
        let greatest = [("order", "big desc nulls last"), ("limit", "3"), ("fields", "big")];
        let greatest = service.rows(&person, "things", &greatest).await;
        let expected = [json!({ "big": i64::MAX }), json!({ "big": i64::MAX - 1 }), json!({ "big": INTEGERS[6] })];
        assert_eq!(greatest, expected);
    });
}
