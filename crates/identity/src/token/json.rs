//! JSON objects of headers, payloads and keys.
//!
//! In: bytes. Out: an object. Refuses what two parsers could read differently: a member that occurs twice (RFC 7515 §4, RFC 7519 §4),
//! anything but an object, and nesting that costs more than it says.

use serde_json::{Map, Value as Json};

/// Deeper nesting is refused.
const DEPTH_MAX: usize = 32;

pub(crate) type Object = Map<String, Json>;

/// Reads one object that fills the whole text.
pub(crate) fn parse_object(bytes: &[u8]) -> Result<Object, String> {
    match asuser_core::json::strict(bytes, DEPTH_MAX)? {
        Json::Object(object) => Ok(object),
        _ => Err("an object is expected".into()),
    }
}

#[cfg(test)]
mod vectors;

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> Vec<u8> {
        format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth)).into_bytes()
    }

    #[test]
    fn reads_what_has_one_meaning() {
        let text = br#" {"a":[1,-2,3.5,true,null,"\u00e4"],"b":{"a":{}}} "#;
        let object = parse_object(text).unwrap();
        assert_eq!(Json::Object(object), serde_json::from_slice::<Json>(text).unwrap());
        assert!(parse_object(&nested(31)).is_ok());
    }

    #[test]
    fn refuses_what_has_two() {
        let twice = [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"x":[{"b":1,"b":2}]}"#];
        let malformed =
            ["", "{", "[]", "1", "null", "{} {}", "{}x", "{\"a\":1,}", "{'a':1}", "{\"a\":NaN}", "{\"a\":1e999}"];
        for text in twice.into_iter().chain(malformed) {
            assert!(parse_object(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse_object(b"{\"a\":\"\xff\"}").is_err());
        assert!(parse_object(&nested(32)).is_err());
        assert!(parse_object(&nested(100_000)).is_err());
    }
}
