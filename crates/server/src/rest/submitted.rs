//! Bodies of `_sql` and `_proc`.
//!
//! In: a JSON object. Out: a statement, or a tool's arguments. Refuses members that are not known and types that do not fit.

use std::collections::BTreeMap;

use asuser_core::{Problem, Reason, SqlRequest};
use serde_json::{Map, Value as Json, json};

use crate::mcp::{parse_json, plain_arguments};

fn bad(message: impl Into<String>) -> Problem {
    Problem::new(Reason::BadMessage, message)
}

fn object(body: &[u8], known: &[&str]) -> Result<Map<String, Json>, Problem> {
    let value = parse_json(body).map_err(|error| bad(format!("the body is not JSON that has one meaning: {error}")))?;
    let Json::Object(object) = value else { return Err(bad("the body must be a JSON object")) };
    if let Some(name) = object.keys().find(|name| !known.contains(&name.as_str())) {
        let shown: String = name.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let takes = known.join("`, `");
        let problem = Problem::new(Reason::BadParameter, format!("the body has `{shown}`, but takes `{takes}`"));
        return Err(problem.context(json!({ "parameter": shown })));
    }
    Ok(object)
}

/// `{"sql":"…","limit":n}`; a limit of 0 means the service's own, as in the dialect.
pub(super) fn sql(body: &[u8]) -> Result<SqlRequest, Problem> {
    let mut object = object(body, &["sql", "limit"])?;
    let wrong = |name: &str, expected: &str| {
        let problem = Problem::new(Reason::BadParameter, format!("`{name}` must be {expected}"));
        problem.context(json!({ "parameter": name, "expected": [expected] }))
    };
    let limit = match object.get("limit") {
        None | Some(Json::Null) => None,
        Some(limit) => Some(limit.as_u64().ok_or_else(|| wrong("limit", "a whole number, 0 or more"))?),
    };
    match object.remove("sql") {
        Some(Json::String(text)) if !text.trim().is_empty() => Ok(SqlRequest { text, limit: limit.filter(|n| *n > 0) }),
        _ => Err(wrong("sql", "one SELECT statement")),
    }
}

/// `{"params":{…}}`, or the query's parameters as texts. One of them, so that none is ranked above another.
pub(super) fn arguments(
    parameters: &[(String, String)],
    body: Option<&[u8]>,
) -> Result<BTreeMap<String, Json>, Problem> {
    let mut arguments = BTreeMap::new();
    for (name, value) in parameters {
        if arguments.insert(name.clone(), Json::String(value.clone())).is_some() {
            let shown: String = name.chars().take(64).collect();
            return Err(Problem::new(Reason::BadParameter, format!("`{shown}` came twice: send it once")));
        }
    }
    let Some(body) = body.filter(|body| !body.is_empty()) else { return Ok(arguments) };
    let given = match object(body, &["params"])?.remove("params") {
        None | Some(Json::Null) => Map::new(),
        Some(Json::Object(given)) => given,
        Some(_) => return Err(Problem::new(Reason::BadParameter, "`params` must be an object of names and values")),
    };
    if !arguments.is_empty() && !given.is_empty() {
        let message = "parameters came in the query and in the body: send them in one place";
        return Err(Problem::new(Reason::BadParameter, message));
    }
    arguments.extend(plain_arguments(given)?);
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_comes_alone() {
        let text = |body: &str| sql(body.as_bytes());
        assert_eq!(text(r#"{"sql":"SELECT 1"}"#).unwrap(), SqlRequest { text: "SELECT 1".into(), limit: None });
        assert_eq!(text(r#"{"sql":"SELECT 1","limit":5}"#).unwrap().limit, Some(5));
        assert_eq!(text(r#"{"sql":"SELECT 1","limit":0}"#).unwrap().limit, None);
        for (body, reason) in [
            ("", Reason::BadMessage),
            ("[]", Reason::BadMessage),
            (r#"{"sql":"a","sql":"b"}"#, Reason::BadMessage),
            (&*format!(r#"{{"sql":{}{}}}"#, "[".repeat(100), "]".repeat(100)), Reason::BadMessage),
            ("{}", Reason::BadParameter),
            (r#"{"sql":7}"#, Reason::BadParameter),
            (r#"{"sql":"  "}"#, Reason::BadParameter),
            (r#"{"sql":"a","limit":-1}"#, Reason::BadParameter),
            (r#"{"sql":"a","user":"bob"}"#, Reason::BadParameter),
        ] {
            assert_eq!(text(body).unwrap_err().reason, reason, "{body:.60}");
        }
    }

    #[test]
    fn arguments_come_in_one_place() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let given = arguments(&[pair("a", "1")], None).unwrap();
        assert_eq!(given, BTreeMap::from([("a".to_owned(), json!("1"))]));
        let given = arguments(&[], Some(br#"{"params":{"a":1,"b":null}}"#)).unwrap();
        assert_eq!(given.get("a"), Some(&json!(1)));
        assert!(arguments(&[], Some(b"{}")).unwrap().is_empty() && arguments(&[], Some(b"")).unwrap().is_empty());
        assert!(arguments(&[pair("a", "1"), pair("a", "2")], None).is_err());
        assert!(arguments(&[pair("a", "1")], Some(br#"{"params":{"b":1}}"#)).is_err());
        assert!(arguments(&[], Some(br#"{"params":[]}"#)).is_err());
        assert!(arguments(&[], Some(br#"{"params":{"a":[]}}"#)).is_err());
        assert!(arguments(&[], Some(br#"{"returns":"x"}"#)).is_err());
    }
}
