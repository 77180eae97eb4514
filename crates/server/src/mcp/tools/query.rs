//! `query_table`: records of one table, in small pages.

use asuser_core::{ColumnName, Fields, Problem, ReadRequest, Reason, RequestTree};
use asuser_gateway::Ask;
use serde_json::{Value as Json, json};

use super::arguments::Arguments;
use super::{Call, Services};
use crate::mcp::cursor;

pub(super) const ARGUMENTS: &[&str] =
    &["service", "table", "fields", "filter", "params", "order", "limit", "cursor", "include_count"];
/// What a page holds where nothing is said: a model reads all of it.
pub(super) const LIMIT: u64 = 50;
const FIELDS_MAX: usize = 2_000;

pub(super) fn read(arguments: &Arguments<'_>, services: Services<'_>) -> Result<Call, Problem> {
    let service = arguments.service(&services)?;
    let fields: Vec<ColumnName> = arguments.texts("fields", FIELDS_MAX)?.into_iter().map(Into::into).collect();
    let mut request = conditions(arguments)?;
    let include_count = arguments.flag("include_count")?;
    let shape = shape("query_table", service.as_str(), &request, &fields, arguments, &[])?;
    request.fields = match fields.as_slice() {
        [] => Fields::All,
        [star] if star.as_str() == "*" => Fields::All,
        _ => Fields::Named(fields),
    };
    request.limit = Some(arguments.count("limit")?.unwrap_or(LIMIT));
    request.offset = place(arguments, shape)?;
    request.include_count = include_count;
    Ok(Call { ask: Ask::Service(service, RequestTree::Read(Box::new(request))), shape })
}

/// Table, filter and order, in the dialect's grammar.
pub(super) fn conditions(arguments: &Arguments<'_>) -> Result<ReadRequest, Problem> {
    let table = arguments.table()?;
    let mut parameters = Vec::new();
    for name in ["filter", "order"] {
        if let Some(text) = arguments.text(name)? {
            parameters.push((name.to_owned(), text.to_owned()));
        }
    }
    if let Some(values) = arguments.object("params")? {
        parameters.push(("params".to_owned(), Json::Object(values.clone()).to_string()));
    }
    Ok(asuser_query::dialect::parse_read(table, None, &parameters)?)
}

/// What a cursor belongs to: all that was asked but the size of a page.
pub(super) fn shape(
    tool: &str,
    service: &str,
    request: &ReadRequest,
    fields: &[ColumnName],
    arguments: &Arguments<'_>,
    more: &[&str],
) -> Result<u64, Problem> {
    let mut parts = vec![tool, service, &request.table];
    for name in ["filter", "order"] {
        parts.push(arguments.text(name)?.unwrap_or_default());
    }
    let values = arguments.object("params")?.map(|values| Json::Object(values.clone()).to_string());
    parts.push(values.as_deref().unwrap_or_default());
    parts.extend_from_slice(more);
    parts.extend(fields.iter().map(ColumnName::as_str));
    Ok(cursor::shape(&parts))
}

/// Where a page begins.
fn place(arguments: &Arguments<'_>, shape: u64) -> Result<u64, Problem> {
    let Some(text) = arguments.text("cursor")?.filter(|text| !text.is_empty()) else { return Ok(0) };
    cursor::decode(text, shape).ok_or_else(|| {
        let message = "`cursor` belongs to another question: send it with the same arguments as the page that it came from, or \
                       leave it out to begin anew";
        Problem::new(Reason::BadParameter, message).context(json!({ "parameter": "cursor" }))
    })
}

#[cfg(test)]
mod tests {
    use asuser_core::ServiceName;

    use super::*;
    use crate::mcp::message::Object;

    fn asked(given: &Json) -> Result<(ReadRequest, u64), Problem> {
        let services: Vec<ServiceName> = vec!["db".into()];
        let given: &Object = given.as_object().unwrap();
        let call = read(&Arguments::of("query_table", ARGUMENTS, given)?, Services(&services))?;
        match call.ask {
            Ask::Service(_, RequestTree::Read(request)) => Ok((*request, call.shape)),
            _ => panic!("another ask"),
        }
    }

    #[test]
    fn a_query_reads_in_the_dialect() {
        let (request, _) = asked(&json!({
            "table": "orders", "fields": ["id", "order date"], "filter": "total > :least", "params": { "least": 5 },
            "order": "id desc", "include_count": true
        }))
        .unwrap();
        assert_eq!(request.fields, Fields::Named(vec!["id".into(), "order date".into()]));
        assert!(request.condition.is_some() && request.include_count);
        assert_eq!((request.limit, request.offset, request.order.len()), (Some(LIMIT), 0, 1));
        let (all, _) = asked(&json!({ "table": "orders", "fields": ["*"], "limit": 7 })).unwrap();
        assert_eq!((all.fields, all.limit), (Fields::All, Some(7)));
    }

    #[test]
    fn mistakes_say_where() {
        for (given, word) in [
            (json!({}), "needs `table`"),
            (json!({ "table": "x".repeat(257) }), "a name of at most 256 bytes"),
            (json!({ "table": "orders", "filter": "total >" }), "character"),
            (json!({ "table": "orders", "filter": "total > :x" }), "`:x`"),
            (json!({ "table": "orders", "order": "id sideways" }), "`order`"),
            (json!({ "table": "orders", "fields": "id" }), "a list of texts"),
            (json!({ "table": "orders", "limit": "5" }), "a whole number"),
            (json!({ "table": "orders", "offset": 5 }), "no argument `offset`"),
        ] {
            let problem = asked(&given).unwrap_err();
            assert!(problem.message.contains(word), "{given}: {}", problem.message);
        }
    }

    #[test]
    fn a_cursor_goes_on_with_the_same_question_only() {
        let question = json!({ "table": "orders", "filter": "id > 1", "fields": ["id"] });
        let (_, shape) = asked(&question).unwrap();
        let next = |change: Json| {
            let mut given = question.clone();
            given["cursor"] = cursor::encode(50, shape).into();
            for (name, value) in change.as_object().unwrap() {
                given[name] = value.clone();
            }
            asked(&given)
        };
        assert_eq!(next(json!({})).unwrap().0.offset, 50);
        assert_eq!(next(json!({ "limit": 10 })).unwrap().0.offset, 50, "a page may have another size");
        for change in [
            json!({ "filter": "id > 2" }),
            json!({ "table": "customers" }),
            json!({ "fields": ["id", "total"] }),
            json!({ "order": "id" }),
            json!({ "cursor": "50" }),
        ] {
            let problem = next(change).unwrap_err();
            assert!(problem.message.starts_with("`cursor` belongs to another question"), "{problem}");
        }
    }
}
