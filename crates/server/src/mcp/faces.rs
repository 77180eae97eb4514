//! How answers are written for MCP: plain functions, as the gateway wants them. What JSON-RPC puts around them is [`super::frame`].

use asuser_audit::{RecordsFace, SqlFace};
use asuser_core::{DatabaseKind, TableKind, Totals};
use asuser_delegation::Delegation;
use asuser_gateway::{Face, ServiceView, ToolsView};
use asuser_identity::Verified;
use asuser_query::{CatalogView, FieldDescription, Listing, Plan, Read, Sql, TableDescription, TableEntry};
use serde_json::{Value as Json, json};

use super::frame::{self, Frame, NEXT_OFFSET};
use super::resources;
use super::tools::schemas;
use crate::{identity_words, schema_text};

/// The face of one request.
pub(super) fn face(frame: &Frame, one_service: bool) -> Face {
    Face {
        records: RecordsFace { opening, closing },
        sql: SqlFace { opening: sql_opening, closing: sql_closing },
        listing,
        whoami,
        services,
        tools: if one_service { tools_of_one } else { tools_of_many },
        tables,
        frame: frame.encode(),
        wrap: frame::wrap,
    }
}

fn opening(_plan: &Plan<Read>) -> Vec<u8> {
    br#"{"rows":["#.to_vec()
}

/// [`frame`] makes a cursor of the last member: it knows what was asked.
fn closing(plan: &Plan<Read>, totals: &Totals) -> Vec<u8> {
    let next = totals.more.then(|| plan.spec().offset.saturating_add(totals.rows));
    end(totals, next)
}

fn sql_opening(_plan: &Plan<Sql>) -> Vec<u8> {
    br#"{"rows":["#.to_vec()
}

fn sql_closing(_plan: &Plan<Sql>, totals: &Totals) -> Vec<u8> {
    end(totals, totals.more.then_some(totals.rows))
}

fn end(totals: &Totals, next: Option<u64>) -> Vec<u8> {
    let mut out = format!(r#"],"row_count":{}"#, totals.rows).into_bytes();
    if let Some(count) = totals.count {
        out.extend_from_slice(format!(r#","total_count":{count}"#).as_bytes());
    }
    out.extend_from_slice(NEXT_OFFSET);
    out.extend_from_slice(next.map_or_else(|| "null".to_owned(), |next| next.to_string()).as_bytes());
    out.push(b'}');
    out
}

fn listing(plan: &Plan<Listing>) -> Vec<u8> {
    bytes(&match plan.listing() {
        CatalogView::Tables { resource } => json!({ "tables": resource }),
        CatalogView::Names { resource } => json!({ "tables": resource }),
        CatalogView::Description(table) => description(table),
        CatalogView::Schema { resource } => {
            json!({ "schema": schema_text::lines(resource), "table_count": resource.len() })
        }
    })
}

fn description(table: &TableDescription) -> Json {
    json!({
        "table": table.name,
        "kind": table.kind,
        "primary_key": table.primary_key,
        "columns": table.field.iter().map(column).collect::<Vec<_>>(),
    })
}

fn column(field: &FieldDescription) -> Json {
    let mut column = json!({
        "name": field.name,
        "type": field.kind,
        "database_type": field.db_type,
        "nullable": field.allow_null,
    });
    if let (Some(mask), Some(object)) = (&field.mask, column.as_object_mut()) {
        object.insert("mask".to_owned(), json!(mask));
    }
    column
}

fn whoami(verified: &Verified, delegation: &Delegation) -> Vec<u8> {
    bytes(&identity_words::identity(verified, delegation))
}

fn services(services: &[ServiceView]) -> Vec<u8> {
    let service = |service: &ServiceView| {
        let mut words = json!({
            "name": service.name,
            "database": database(service.database),
            "raw_sql": service.raw_sql,
        });
        if let (Some(text), Some(object)) = (&service.description, words.as_object_mut()) {
            object.insert("description".to_owned(), text.clone().into());
        }
        words
    };
    bytes(&json!({ "services": services.iter().map(service).collect::<Vec<_>>() }))
}

const fn database(kind: DatabaseKind) -> &'static str {
    match kind {
        DatabaseKind::Sqlite => "SQLite",
        DatabaseKind::Postgres => "PostgreSQL",
        DatabaseKind::Mariadb => "MariaDB",
    }
}

fn tools_of_one(view: &ToolsView<'_>) -> Vec<u8> {
    schemas::lines(view, true)
}

fn tools_of_many(view: &ToolsView<'_>) -> Vec<u8> {
    schemas::lines(view, false)
}

/// A line for each table.
fn tables(services: &[(ServiceView, Vec<TableEntry>)]) -> Vec<u8> {
    let mut lines = Vec::new();
    for (service, tables) in services {
        for table in tables {
            let what = match table.kind {
                TableKind::Table => "table",
                TableKind::View => "view",
            };
            let entry = json!({
                "uri": resources::uri(service.name.as_str(), table.name.as_str()),
                "name": format!("{}.{}", service.name, table.name),
                "title": table.name,
                "description": format!("The columns of the {what} `{}` in `{}`, as you may see them.", table.name, service.name),
                "mimeType": "application/json",
            });
            lines.extend_from_slice(&bytes(&entry));
            lines.push(b'\n');
        }
    }
    lines
}

fn bytes(value: &Json) -> Vec<u8> {
    value.to_string().into_bytes()
}
