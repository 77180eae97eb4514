//! The Cedar schema of a set of catalogues: a policy that names a missing column does not load.
//!
//! ```text
//! entity Group; entity Agent; entity Table;
//! entity User in [Group] = { issuer: String, provider: String, login?: String, email?: String, name?: String, …the configured attributes, all optional };
//! entity Column in [Table] = { name: String, table: String, service: String };
//! namespace db { entity orders = { id: Long, owner: String, note?: String, price: decimal, placed: datetime, … }; }
//! action read   appliesTo { principal: User, resource: [Column, db::orders, …], context: { actor?, actor_assurance, now } };
//! action unmask appliesTo { principal: User, resource: [db::orders, …], context: { the same, and column: String } };
//! ```
//! A nullable column is an optional attribute. A column that does not compare (`compare.rs`) is there as an empty record, so
//! that `has` works on it and nothing else does.

use std::collections::BTreeMap;

use asuser_core::{Catalog, Column, DatabaseKind};
use cedar_policy::{Schema, SchemaError};
use serde_json::{Map, Value as Json, json};

use crate::compare::{CedarType, comparable};
use crate::names::{identifier, row_type};

pub use asuser_identity::AttributeType;

/// The attributes of a principal that policies may read besides `login`, `email` and `name`, which cannot be redefined. All are
/// optional (only `issuer` and `provider`, the configured name of who vouches, are always there), so a policy asks `principal has team` first.
pub type AttributeSchema = BTreeMap<String, AttributeType>;

/// The attributes that every principal may have.
pub(crate) const BUILT_IN: [&str; 3] = ["login", "email", "name"];
/// The attributes that every principal has: a group's name means nothing without who says it.
pub(crate) const ALWAYS: [&str; 2] = ["issuer", "provider"];
/// The attributes of a `Column`.
pub(crate) const COLUMN_ATTRIBUTES: [&str; 3] = ["name", "table", "service"];
/// The fields of the context; `column` is there for `unmask` only.
pub(crate) const CONTEXT: [&str; 4] = ["actor", "actor_assurance", "now", "column"];

/// The schema of these catalogues.
pub(crate) fn schema<'a>(
    catalogs: impl IntoIterator<Item = &'a Catalog>,
    attributes: &AttributeSchema,
) -> Result<Schema, Box<SchemaError>> {
    let mut namespaces = Map::new();
    let mut rows = Vec::new();
    for catalog in catalogs {
        let mut types = Map::new();
        for table in catalog.tables.values() {
            rows.push(json!(row_type(&catalog.service, &table.name)));
            types.insert(identifier(table.name.as_str()), entity(&[], columns(catalog.database, &table.columns)));
        }
        namespaces.insert(identifier(catalog.service.as_str()), json!({ "entityTypes": types, "actions": {} }));
    }
    namespaces.insert(String::new(), own_namespace(rows, attributes));
    Schema::from_json_value(Json::Object(namespaces)).map_err(Box::new)
}

fn own_namespace(rows: Vec<Json>, attributes: &AttributeSchema) -> Json {
    let mut user: Map<String, Json> = attributes.iter().map(|(name, ty)| (name.clone(), user_attribute(*ty))).collect();
    user.extend(BUILT_IN.map(|name| (name.to_owned(), user_attribute(AttributeType::String))));
    user.extend(ALWAYS.map(|name| (name.to_owned(), json!({ "type": "String" }))));
    let column: Map<String, Json> =
        COLUMN_ATTRIBUTES.map(|name| (name.to_owned(), json!({ "type": "String" }))).into_iter().collect();

    let context = json!({
        "actor": { "type": "String", "required": false },
        "actor_assurance": { "type": "String" },
        "now": { "type": "Extension", "name": "datetime" },
    });
    let mut unmask_context = context.clone();
    if let Json::Object(fields) = &mut unmask_context {
        fields.insert("column".to_owned(), json!({ "type": "String" }));
    }
    let mut readable = rows.clone();
    readable.push(json!("Column"));
    json!({
        "entityTypes": {
            "Group": {},
            "Agent": {},
            "Table": {},
            "User": entity(&["Group"], user),
            "Column": entity(&["Table"], column),
        },
        "actions": { "read": action(readable, context), "unmask": action(rows, unmask_context) },
    })
}

fn entity(parents: &[&str], attributes: Map<String, Json>) -> Json {
    json!({ "memberOfTypes": parents, "shape": { "type": "Record", "attributes": attributes } })
}

fn action(resources: Vec<Json>, context: Json) -> Json {
    json!({ "appliesTo": {
        "principalTypes": ["User"],
        "resourceTypes": resources,
        "context": { "type": "Record", "attributes": context },
    } })
}

fn user_attribute(ty: AttributeType) -> Json {
    match ty {
        AttributeType::String => json!({ "type": "String", "required": false }),
        AttributeType::Long => json!({ "type": "Long", "required": false }),
        AttributeType::Bool => json!({ "type": "Boolean", "required": false }),
        AttributeType::Strings => json!({ "type": "Set", "element": { "type": "String" }, "required": false }),
    }
}

fn columns(database: DatabaseKind, columns: &[Column]) -> Map<String, Json> {
    let attribute = |column: &Column| {
        let mut ty = match comparable(database, column) {
            Ok(CedarType::String) => json!({ "type": "String" }),
            Ok(CedarType::Long) => json!({ "type": "Long" }),
            Ok(CedarType::Bool) => json!({ "type": "Boolean" }),
            Ok(CedarType::Decimal) => json!({ "type": "Extension", "name": "decimal" }),
            Ok(CedarType::Datetime) => json!({ "type": "Extension", "name": "datetime" }),
            Err(_) => json!({ "type": "Record", "attributes": {} }),
        };
        if let Json::Object(fields) = &mut ty {
            fields.insert("required".to_owned(), json!(!column.nullable));
        }
        (column.name.as_str().to_owned(), ty)
    };
    columns.iter().map(attribute).collect()
}
