//! `params={"min":5,"region":"EU"}`: the values for the `:names` of a filter.

use std::collections::BTreeMap;
use std::fmt;

use asuser_core::Literal;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::DialectError;
use super::filter::number;
use super::lexer::is_number;

/// Parses the parameter. A name may begin with a colon, as DreamFactory writes it; none may come twice.
/// A name that the filter does not use is no fault: clients send one set of values with several filters.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, Literal>, DialectError> {
    let Object(pairs) = serde_json::from_str(text).map_err(|_| refused())?;
    let mut params = BTreeMap::new();
    for (name, raw) in pairs {
        let name = name.strip_prefix(':').unwrap_or(&name).to_owned();
        let value = literal(raw.get()).ok_or_else(refused)?;
        if params.insert(name, value).is_some() {
            return Err(refused());
        }
    }
    Ok(params)
}

fn refused() -> DialectError {
    DialectError::BadParameter {
        parameter: "params",
        expected: "a JSON object of names, each once, with texts, numbers, true, false or null",
    }
}

/// A number stays as written: through a float, 12345678901234567890 would become another number.
fn literal(json: &str) -> Option<Literal> {
    match json {
        "null" => Some(Literal::Null),
        "true" => Some(Literal::Bool(true)),
        "false" => Some(Literal::Bool(false)),
        quoted if quoted.starts_with('"') => {
            let text: String = serde_json::from_str(quoted).ok()?;
            (!text.contains('\0')).then_some(Literal::Text(text))
        }
        other => is_number(other).then(|| number(other)),
    }
}

/// An object's members, repeated ones included.
struct Object(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    if members.len() == 1_000 {
                        return Err(A::Error::custom("more than 1,000 names"));
                    }
                    members.push(member);
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}
