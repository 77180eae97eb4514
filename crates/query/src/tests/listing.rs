//! The catalogue as a caller sees it.

use asuser_core::{ColumnAccess, Filter, MaskKind};
use serde_json::json;

use super::{notes, people, people_access, stock};
use crate::listing::{description, tables};

fn json_of(value: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("plain data")
}

#[test]
fn tables_come_with_their_kind_or_by_name_alone() {
    let all = [people(), notes()];
    assert_eq!(
        json_of(&tables(all.iter().map(|table| &**table), false)),
        json!({"resource": [{"name": "people", "kind": "table"}, {"name": "notes", "kind": "view"}]})
    );
    assert_eq!(json_of(&tables(all.iter().map(|table| &**table), true)), json!({"resource": ["people", "notes"]}));
}

#[test]
fn a_description_leaves_denied_columns_out_and_marks_masked_ones() {
    let described = json_of(&description(&people(), &people_access()));
    assert_eq!(described["name"], "people");
    assert_eq!(described["primary_key"], json!(["id"]));
    let names: Vec<&str> =
        described["field"].as_array().expect("fields").iter().filter_map(|f| f["name"].as_str()).collect();
    assert_eq!(names, ["id", "name", "email", "salary"]);
    assert!(!described.to_string().contains("secret"));
    assert_eq!(
        described["field"][0],
        json!({
            "name": "id", "type": "integer", "db_type": "INTEGER", "allow_null": false, "is_primary_key": true, "mask": null,
        })
    );
    assert_eq!(described["field"][2]["mask"], "email");
    assert_eq!(described["field"][1]["mask"], json!(null));
}

#[test]
fn a_mask_that_never_applies_is_none_and_half_a_key_is_no_key() {
    let open = ColumnAccess::Masked { kind: MaskKind::Full, unmask: Filter::True };
    let described = json_of(&description(&stock(), &[open, ColumnAccess::Clear, ColumnAccess::Clear]));
    assert_eq!(described["field"][0]["mask"], json!(null));
    assert_eq!(described["primary_key"], json!(["region", "item"]));
    let half = [ColumnAccess::Clear, ColumnAccess::Denied, ColumnAccess::Clear];
    let described = json_of(&description(&stock(), &half));
    assert_eq!(described["primary_key"], json!([]));
    assert_eq!(described["field"][1]["is_primary_key"], json!(false));
    assert!(!described.to_string().contains("region"));
}
