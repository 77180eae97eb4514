//! A message's JSON.
//!
//! In: the bytes of a body. Out: a value. Refuses what two parsers could read differently, or what costs more than it says: a member
//! that occurs twice (RFC 8259 §4), text that is not UTF-8, half a surrogate pair, a number out of range, deep nesting, anything after
//! the value.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};

/// Deeper nesting is refused.
pub(super) const DEPTH_MAX: usize = 64;

/// Reads one value that fills the whole text. The error says where and why, and repeats nothing of the text but a member's name.
pub(crate) fn parse(bytes: &[u8]) -> Result<Json, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }.deserialize(&mut deserializer).map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Json;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Json;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("a number is out of range"))
    }
    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let seed = self.deeper()?;
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(seed)? {
            list.push(value);
        }
        Ok(Json::Array(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let seed = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            if object.contains_key(&name) {
                let shown: String = name.chars().take(40).collect();
                return Err(A::Error::custom(format!("the member {shown:?} occurs twice")));
            }
            let value = access.next_value_seed(seed)?;
            object.insert(name, value);
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> Vec<u8> {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth)).into_bytes()
    }

    #[test]
    fn reads_what_has_one_meaning() {
        let text = br#" {"a":[1,-2,3.5,true,null,"\u00e4\ud83d\ude00",18446744073709551615],"b":{"a":{}}} "#;
        assert_eq!(parse(text).unwrap(), serde_json::from_slice::<Json>(text).unwrap());
        assert!(parse(&nested(DEPTH_MAX)).is_ok());
    }

    #[test]
    fn refuses_what_has_two() {
        let twice = [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"x":[{"b":1,"b":2}]}"#];
        let malformed = [
            "",
            "{",
            "{} {}",
            "{}x",
            "{\"a\":1,}",
            "{'a':1}",
            "[NaN]",
            "[1e999]",
            "[01]",
            "[\"\\ud800\"]",
            "\u{feff}{}",
            "[\"a\nb\"]",
            "// x\n{}",
        ];
        for text in twice.into_iter().chain(malformed) {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"{\"a\":\"\xff\"}").is_err());
        assert!(parse(&nested(DEPTH_MAX + 1)).is_err());
        assert!(parse(&nested(100_000)).is_err());
        assert!(parse("{\"a\":".repeat(100_000).as_bytes()).is_err());
    }

    /// The public JSONTestSuite: what it calls no JSON is refused, and nothing of it panics.
    #[test]
    fn the_public_vectors() {
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/jsontestsuite/test_parsing");
        let Ok(files) = std::fs::read_dir(&folder) else {
            println!("skipped: the vectors of JSONTestSuite are not there");
            return;
        };
        let (mut refused, mut read) = (0, 0);
        for file in files {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let parsed = parse(&std::fs::read(&path).unwrap());
            if name.starts_with("n_") {
                assert!(parsed.is_err(), "{name}");
                refused += 1;
            }
            // Members that occur twice are JSON, but no message.
            if name.starts_with("y_") && !name.contains("duplicated_key") {
                assert!(parsed.is_ok(), "{name}: {parsed:?}");
                read += 1;
            }
        }
        assert!(refused > 100 && read > 50, "{refused} {read}");
    }
}
