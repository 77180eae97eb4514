//! `aggregate`: counts, sums and the like, over all records or by groups.

use asuser_core::{Aggregate, AggregateFunction, AggregateRequest, ColumnName, Problem, RequestTree};
use asuser_gateway::Ask;
use serde_json::Value as Json;

use super::arguments::{Arguments, nearest, shortened};
use super::query::{LIMIT, conditions};
use super::{Call, Services};

pub(super) const ARGUMENTS: &[&str] =
    &["service", "table", "group_by", "aggregates", "filter", "params", "order", "limit"];
const MEMBERS: &[&str] = &["function", "column", "as"];
const AGGREGATES_MAX: usize = 32;
const GROUP_MAX: usize = 16;
const NAME_BYTES_MAX: usize = 128;

/// The functions by their names.
pub(super) const FUNCTIONS: &[(&str, AggregateFunction)] = &[
    ("count", AggregateFunction::Count),
    ("count_distinct", AggregateFunction::CountDistinct),
    ("sum", AggregateFunction::Sum),
    ("avg", AggregateFunction::Avg),
    ("min", AggregateFunction::Min),
    ("max", AggregateFunction::Max),
];

pub(super) fn read(arguments: &Arguments<'_>, services: Services<'_>) -> Result<Call, Problem> {
    let service = arguments.service(&services)?;
    let read = conditions(arguments)?;
    let group: Vec<ColumnName> = arguments.texts("group_by", GROUP_MAX)?.into_iter().map(ColumnName::from).collect();
    let list = arguments.list("aggregates")?.unwrap_or_default();
    if (list.is_empty() && group.is_empty()) || list.len() > AGGREGATES_MAX {
        let expected = "a list of 1 to 32 objects such as {\"function\": \"sum\", \"column\": \"amount\"}";
        return Err(arguments.wrong("aggregates", expected));
    }
    let aggregates: Vec<Aggregate> = list.iter().map(|item| aggregate(arguments, item)).collect::<Result<_, _>>()?;
    let names: Vec<&str> =
        group.iter().map(ColumnName::as_str).chain(aggregates.iter().map(|one| &*one.name)).collect();
    let again = |(at, name): (usize, &&str)| names.iter().take(at).any(|other| other == name);
    if let Some(twice) = names.iter().enumerate().find(|named| again(*named)).map(|(_, name)| shortened(name)) {
        let expected = format!("such that each result has its own name: two are named `{twice}`; use `as`");
        return Err(arguments.wrong("aggregates", &expected));
    }
    let request = AggregateRequest {
        table: read.table,
        group,
        aggregates,
        condition: read.condition,
        order: read.order,
        limit: Some(arguments.count("limit")?.unwrap_or(LIMIT)),
    };
    Ok(Ask::Service(service, RequestTree::Aggregate(Box::new(request))).into())
}

fn aggregate(arguments: &Arguments<'_>, item: &Json) -> Result<Aggregate, Problem> {
    let wrong = |expected: &str| arguments.wrong("aggregates", expected);
    let object = item.as_object().ok_or_else(|| wrong("a list of objects"))?;
    if let Some(name) = object.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        return Err(wrong(&format!("a list of objects with `function`, `column`, `as`, not `{}`", shortened(name))));
    }
    let text = |name: &str| match object.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) if !text.is_empty() && text.len() <= NAME_BYTES_MAX => Ok(Some(text.as_str())),
        Some(_) => Err(wrong(&format!("a list of objects whose `{name}` is a short text"))),
    };
    let named = text("function")?.ok_or_else(|| wrong("a list of objects with a `function`"))?;
    let lower = named.to_ascii_lowercase();
    let found = FUNCTIONS.iter().find(|(name, _)| *name == lower);
    let Some((word, function)) = found else {
        let near = nearest(named, FUNCTIONS.iter().map(|(name, _)| *name));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        let words = "with a `function` of count, count_distinct, sum, avg, min, max";
        return Err(wrong(&format!("a list of objects {words}, not `{}`{hint}", shortened(named))));
    };
    // COUNT(*), as SQL writes it.
    let column = text("column")?.filter(|column| *column != "*");
    if column.is_none() && *function != AggregateFunction::Count {
        return Err(wrong(&format!("a list of objects: `{word}` needs a `column`")));
    }
    let name = match (text("as")?, column) {
        (Some(name), _) => name.to_owned(),
        (None, Some(column)) => format!("{word}_{column}"),
        (None, None) => (*word).to_owned(),
    };
    Ok(Aggregate { function: *function, column: column.map(Into::into), name })
}

#[cfg(test)]
mod tests {
    use asuser_core::ServiceName;
    use serde_json::json;

    use super::*;

    fn asked(given: &Json) -> Result<AggregateRequest, Problem> {
        let services: Vec<ServiceName> = vec!["db".into()];
        let arguments = Arguments::of("aggregate", ARGUMENTS, given.as_object().unwrap())?;
        match read(&arguments, Services(&services))?.ask {
            Ask::Service(_, RequestTree::Aggregate(request)) => Ok(*request),
            _ => panic!("another ask"),
        }
    }

    #[test]
    fn functions_columns_and_names_are_read() {
        let request = asked(&json!({
            "table": "orders", "group_by": ["region"], "filter": "id > 1",
            "aggregates": [
                { "function": "count" }, { "function": "SUM", "column": "amount", "as": "total" },
                { "function": "count_distinct", "column": "owner" }, { "function": "count", "column": "*", "as": "n" }
            ]
        }))
        .unwrap();
        let read: Vec<_> = request
            .aggregates
            .iter()
            .map(|a| (a.function, a.column.as_ref().map(ColumnName::as_str), &*a.name))
            .collect();
        assert_eq!(
            read,
            [
                (AggregateFunction::Count, None, "count"),
                (AggregateFunction::Sum, Some("amount"), "total"),
                (AggregateFunction::CountDistinct, Some("owner"), "count_distinct_owner"),
                (AggregateFunction::Count, None, "n"),
            ]
        );
        assert_eq!((request.group.as_slice(), request.limit), (&[ColumnName::from("region")][..], Some(LIMIT)));
    }

    #[test]
    fn mistakes_say_what_is_meant() {
        for (aggregates, word) in [
            (json!({}), "a list"),
            (json!(["count"]), "a list of objects"),
            (json!([{ "column": "a" }]), "with a `function`"),
            (json!([{ "function": "summ", "column": "a" }]), "did you mean `sum`?"),
            (json!([{ "function": "sum" }]), "`sum` needs a `column`"),
            (json!([{ "function": "count", "colum": "a" }]), "not `colum`"),
            (json!([{ "function": "count", "as": 7 }]), "`as` is a short text"),
            (json!([{ "function": "count" }, { "function": "count" }]), "two are named `count`"),
            (json!([{ "function": "count", "as": "region" }]), "two are named `region`"),
        ] {
            let given = json!({ "table": "orders", "group_by": ["region"], "aggregates": aggregates });
            let problem = asked(&given).unwrap_err();
            assert!(problem.message.contains(word), "{given}: {}", problem.message);
        }
        // The combinations alone can be asked for; nothing at all cannot.
        assert!(asked(&json!({ "table": "orders", "group_by": ["region"] })).is_ok());
        assert!(asked(&json!({ "table": "orders" })).unwrap_err().message.contains("1 to 32 objects"));
    }
}
