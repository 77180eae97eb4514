//! Which parameters the dialect has: each once, by whichever of its names; none unknown, none ignored.

use std::collections::BTreeMap;

use super::error::{DialectError, shortened};

/// A parameter that is served: its name first, then its aliases.
pub(super) type Served = &'static [&'static str];

/// What a read may carry.
pub(super) const READ: &[Served] = &[
    &["fields", "select"],
    &["filter", "where"],
    &["params"],
    &["limit", "top"],
    &["offset", "skip"],
    &["order", "sort", "order_by"],
    &["include_count"],
    &["ids"],
    &["id_field"],
    &["id_type"],
    &["as_list"],
];
/// What a request for aggregates may carry.
pub(super) const AGGREGATE: &[Served] = &[
    &["fields", "select"],
    &["filter", "where"],
    &["params"],
    &["limit", "top"],
    &["order", "sort", "order_by"],
    &["group", "group_by"],
];
/// What a listing may carry.
pub(super) const LISTING: &[Served] = &[&["as_list"]];

/// Parts of the dialect that are not built. A flag may still say `false`, which asks for nothing.
const NOT_BUILT: &[(&str, bool)] = &[
    ("having", false),
    ("related", false),
    ("include_schema", true),
    ("count_only", true),
    ("file", false),
    ("continue", true),
    ("rollback", true),
    ("force", true),
    ("replace", true),
    ("allow_related_delete", true),
    ("method", false),
    ("callback", false),
    ("format", false),
    ("accept", false),
];

/// Credentials that some client puts into a URL, as compared: lower case, `-` read as `_`.
const CREDENTIALS: &[(&str, &str)] = &[
    ("api_key", API_KEY),
    ("apikey", API_KEY),
    ("x_dreamfactory_api_key", API_KEY),
    ("session_token", BEARER),
    ("x_dreamfactory_session_token", BEARER),
    ("access_token", BEARER),
    ("id_token", BEARER),
    ("refresh_token", BEARER),
    ("bearer_token", BEARER),
    ("token", BEARER),
    ("jwt", BEARER),
    ("authorization", BEARER),
    ("password", BEARER),
];
const API_KEY: &str = "X-DreamFactory-API-Key";
const BEARER: &str = "Authorization";

const PARAMETERS_MAX: usize = 64;
const BYTES_MAX: usize = 16 * 1024;
/// A thousand UUIDs and their commas.
const IDS_BYTES_MAX: usize = 64 * 1024;

/// The parameters of one request by their first names. One that is empty is as if it were not there, except `ids`.
pub(super) struct Parameters<'a>(BTreeMap<&'static str, &'a str>);

impl<'a> Parameters<'a> {
    /// Refuses a credential before all else, then what is unknown, not built, repeated or too long.
    pub(super) fn collect(served: &[Served], sent: &'a [(String, String)]) -> Result<Self, DialectError> {
        refuse_credentials(sent)?;
        if sent.len() > PARAMETERS_MAX {
            return Err(DialectError::TooComplex { parameter: "query", limit: "64 parameters", position: None });
        }
        let mut seen: BTreeMap<&'static str, &'static str> = BTreeMap::new();
        let mut values = BTreeMap::new();
        for (name, value) in sent {
            let Some((first, written)) = find(served, name) else {
                not_served(name, value)?;
                continue;
            };
            if seen.insert(first, written).is_some() {
                return Err(DialectError::RepeatedParameter { name: first, again_as: written });
            }
            let (most, limit) = if first == "ids" { (IDS_BYTES_MAX, "64 KiB") } else { (BYTES_MAX, "16 KiB") };
            if value.len() > most {
                return Err(DialectError::TooComplex { parameter: first, limit, position: None });
            }
            // An empty `ids` names no record. Read as absent it would name them all.
            if first == "ids" || !value.trim().is_empty() {
                values.insert(first, value.as_str());
            }
        }
        Ok(Self(values))
    }

    /// The value of the parameter with this first name.
    pub(super) fn value(&self, name: &'static str) -> Option<&'a str> {
        self.0.get(name).copied()
    }

    /// `true`, `false`, `1` or `0`; absent is false.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, DialectError> {
        self.value(name).map_or(Ok(false), |value| {
            flag(value).ok_or(DialectError::BadParameter { parameter: name, expected: "true or false" })
        })
    }

    /// A whole number from 0 to 2^63 - 1.
    pub(super) fn number(&self, name: &'static str) -> Result<Option<u64>, DialectError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let digits = value.trim();
        let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i64>().ok()).flatten();
        match number.and_then(|number| u64::try_from(number).ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(DialectError::BadParameter { parameter: name, expected: "a whole number, 0 or more" }),
        }
    }
}

/// Refuses a credential among the parameters, whatever the resource: a URL is logged everywhere.
///
/// # Errors
/// [`DialectError::CredentialInUrl`], which names the header to use.
pub fn refuse_credentials(sent: &[(String, String)]) -> Result<(), DialectError> {
    sent.iter().find_map(|(name, _)| credential(name)).map_or(Ok(()), Err)
}

fn flag(value: &str) -> Option<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// The parameter's first name, and the name as it was written.
fn find(served: &[Served], name: &str) -> Option<(&'static str, &'static str)> {
    served.iter().find_map(|names| {
        let written = names.iter().find(|known| **known == name)?;
        Some((*names.first()?, *written))
    })
}

fn credential(name: &str) -> Option<DialectError> {
    let compared = name.trim().to_ascii_lowercase().replace('-', "_");
    let (parameter, header) = CREDENTIALS.iter().find(|(known, _)| *known == compared)?;
    Some(DialectError::CredentialInUrl { parameter, header })
}

/// A parameter outside the table: not built, or not known.
fn not_served(name: &str, value: &str) -> Result<(), DialectError> {
    let not_served = |what: String| DialectError::NotServed { what, parameter: shortened(name), position: None };
    if let Some((known, is_flag)) = NOT_BUILT.iter().find(|(known, _)| *known == name) {
        let asks_nothing = value.trim().is_empty() || (*is_flag && flag(value) == Some(false));
        return if asks_nothing { Ok(()) } else { Err(not_served(format!("the parameter `{known}`"))) };
    }
    if READ.iter().chain(AGGREGATE).flat_map(|names| names.iter()).any(|known| *known == name) {
        return Err(not_served(format!("the parameter `{name}` of this resource")));
    }
    // `params[:min]=5`, and `orders_by_customer_id.limit=5` of a related table
    if name.starts_with("params[") || name.starts_with("params.") {
        return Err(not_served("`params` in parts: send one JSON object as `params`,".to_owned()));
    }
    if let Some((relation, option)) = name.rsplit_once('.')
        && !relation.is_empty()
        && ["fields", "limit", "order", "filter"].contains(&option)
    {
        return Err(not_served(format!("the option `{option}` of a related table")));
    }
    Err(DialectError::UnknownParameter { name: shortened(name), suggestion: nearest(name) })
}

fn nearest(name: &str) -> Option<&'static str> {
    let lower: String = name.chars().take(64).collect::<String>().to_lowercase();
    READ.iter()
        .chain(AGGREGATE)
        .flat_map(|names| names.iter().copied())
        .map(|known| (strsim::damerau_levenshtein(&lower, known), known))
        .filter(|(distance, known)| *distance <= known.len() / 3)
        .min()
        .map(|(_, known)| known)
}
