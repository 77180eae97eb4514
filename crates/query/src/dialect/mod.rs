//! The REST dialect of `/api/v2`: a request's parameters in, an [`asuser_core::ReadRequest`] out.
//!
//! Pure text work: no name is known to exist, nothing is authorised. What it refuses: credentials in the URL (401), parameters that
//! the dialect does not have, that came twice or that do not parse (400, with the character), parts that are not built (501).
//! Nothing is silently ignored, and no text, number or key of the caller's is repeated in an error.
//!
//! Where DreamFactory leaves it open:
//! - An empty parameter (`fields=`, `filter=`, `limit=`) is as if it were not there. `ids=` is refused: it names no record.
//! - `limit=0` means the service's default, as there. Flags are `true`, `false`, `1` or `0`.
//! - `ids` and `filter` together must both hold. One record (`…/{id}`) takes no `ids`, `offset`, `include_count` or `as_list`;
//!   a filter must hold of it too; `limit` and `order` change nothing there.
//! - `id_type` is checked to be a type; what decides is the type of the column.

mod cursor;
mod error;
mod filter;
mod lexer;
mod lists;
mod parameters;
mod params;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use asuser_core::{AggregateRequest, ColumnName, Fields, ReadRequest, RequestTree};

pub(crate) use error::shortened;
pub use error::{DialectError, Found, Syntax};
pub(crate) use lexer::is_number;
use parameters::Parameters;
pub use parameters::refuse_credentials;

/// Reads a request for records. `key` is the path's last segment, decoded.
///
/// # Errors
/// What the parameters ask is malformed, unknown or not served.
pub fn parse_read(
    table: &str,
    key: Option<&str>,
    parameters: &[(String, String)],
) -> Result<ReadRequest, DialectError> {
    let sent = Parameters::collect(parameters::READ, parameters)?;
    let params = sent.value("params").map_or_else(|| Ok(BTreeMap::new()), params::parse)?;
    check_id_type(&sent)?;
    let request = ReadRequest {
        table: table.to_owned(),
        key: key.map(lists::path_key).transpose()?,
        ids: sent.value("ids").map_or_else(|| Ok(Vec::new()), lists::ids)?,
        id_field: id_field(&sent)?,
        fields: sent.value("fields").map_or(Ok(Fields::All), lists::fields)?,
        condition: sent.value("filter").map(|text| filter::parse(text, &params)).transpose()?,
        order: sent.value("order").map_or_else(|| Ok(Vec::new()), lists::order)?,
        limit: sent.number("limit")?.filter(|limit| *limit > 0),
        offset: sent.number("offset")?.unwrap_or(0),
        include_count: sent.flag("include_count")?,
        as_list: sent.flag("as_list")?,
    };
    if key.is_some() {
        check_one_record(&request)?;
    }
    Ok(request)
}

/// Reads a request for records, or for what is computed over them: `group`, or functions such as `SUM(amount)` in `fields`.
///
/// # Errors
/// What the parameters ask is malformed, unknown or not served.
pub fn parse_records(
    table: &str,
    key: Option<&str>,
    parameters: &[(String, String)],
) -> Result<RequestTree, DialectError> {
    let computes = |(name, value): &(String, String)| match name.as_str() {
        "group" | "group_by" => !value.trim().is_empty(),
        // Only in quotes does a column's name hold a parenthesis.
        "fields" | "select" => value.contains('(') && !value.contains(['"', '`', '[']),
        _ => false,
    };
    if key.is_none() && parameters.iter().any(computes) {
        return Ok(RequestTree::Aggregate(Box::new(parse_aggregate(table, parameters)?)));
    }
    Ok(RequestTree::Read(Box::new(parse_read(table, key, parameters)?)))
}

fn parse_aggregate(table: &str, parameters: &[(String, String)]) -> Result<AggregateRequest, DialectError> {
    let sent = Parameters::collect(parameters::AGGREGATE, parameters)?;
    let params = sent.value("params").map_or_else(|| Ok(BTreeMap::new()), params::parse)?;
    let group = sent.value("group").map_or_else(|| Ok(Vec::new()), |text| lists::names("group", text))?;
    let (named, aggregates) = sent.value("fields").map_or_else(|| Ok(Default::default()), lists::aggregates)?;
    if named.iter().any(|name| !group.contains(name)) {
        return Err(DialectError::BadParameter {
            parameter: "fields",
            expected: "columns of `group`, and COUNT, SUM, AVG, MIN or MAX of others",
        });
    }
    Ok(AggregateRequest {
        table: table.to_owned(),
        group,
        aggregates,
        condition: sent.value("filter").map(|text| filter::parse(text, &params)).transpose()?,
        order: sent.value("order").map_or_else(|| Ok(Vec::new()), lists::order)?,
        limit: sent.number("limit")?.filter(|limit| *limit > 0),
    })
}

/// Reads a request for a listing of services, tables or columns: whether bare names are wanted (`as_list`).
///
/// # Errors
/// What the parameters ask is malformed, unknown or not served.
pub fn parse_listing(parameters: &[(String, String)]) -> Result<bool, DialectError> {
    Parameters::collect(parameters::LISTING, parameters)?.flag("as_list")
}

fn id_field(sent: &Parameters<'_>) -> Result<Option<ColumnName>, DialectError> {
    let Some(text) = sent.value("id_field") else { return Ok(None) };
    match <[ColumnName; 1]>::try_from(lists::names("id_field", text)?) {
        Ok([name]) => Ok(Some(name)),
        Err(_) => Err(DialectError::BadParameter { parameter: "id_field", expected: "one column" }),
    }
}

fn check_id_type(sent: &Parameters<'_>) -> Result<(), DialectError> {
    const TYPES: &[&str] = &["int", "integer", "string", "str", "text"];
    match sent.value("id_type") {
        Some(text) if !text.split(',').all(|word| TYPES.contains(&word.trim())) => {
            Err(DialectError::BadParameter { parameter: "id_type", expected: "int or string" })
        }
        _ => Ok(()),
    }
}

fn check_one_record(request: &ReadRequest) -> Result<(), DialectError> {
    let senseless = [
        ("ids", !request.ids.is_empty()),
        ("offset", request.offset > 0),
        ("include_count", request.include_count),
        ("as_list", request.as_list),
    ];
    match senseless.into_iter().find(|(_, sent)| *sent) {
        Some((parameter, _)) => Err(DialectError::NotForOneRecord { parameter }),
        None => Ok(()),
    }
}
