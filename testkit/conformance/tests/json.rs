//! The parameter `params` of the REST dialect is JSON: malformed JSON is refused, whatever else the parameter would allow.
//! The public vectors (JSONTestSuite) are tried where they lie beside the checkout; our own cases always.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a test")]

use asuser_conformance::parameters;
use asuser_query::dialect::{DialectError, parse_read};

fn is_read(params: &str) -> bool {
    match parse_read("t", None, &parameters(&[("params", params)])) {
        Ok(_) => true,
        Err(
            DialectError::BadParameter { parameter: "params", .. }
            | DialectError::TooComplex { parameter: "params", .. },
        ) => false,
        Err(other) => unreachable!("{other:?}"),
    }
}

fn vectors() -> Vec<(String, Vec<u8>)> {
    let folder = format!("{}/../../../shared/vectors/jsontestsuite/test_parsing", env!("CARGO_MANIFEST_DIR"));
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped the JSON vectors: there is no shared/vectors/jsontestsuite beside the checkout");
        return Vec::new();
    };
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    };
    entries.map(read).collect()
}

/// Valid objects that are no set of values: a nested value, or a name that comes twice.
const NO_VALUES: [&str; 4] = [
    "y_object_duplicated_key.json",
    "y_object_duplicated_key_and_value.json",
    "y_object_simple.json",
    "y_object_long_strings.json",
];

#[test]
fn malformed_vectors_are_refused() {
    for (name, bytes) in vectors() {
        // What is no UTF-8 never comes this far: a parameter is text.
        let Ok(text) = String::from_utf8(bytes) else { continue };
        // An empty or blank parameter is as if it were not there.
        if text.trim().is_empty() {
            continue;
        }
        match name.as_bytes() {
            [b'n', ..] => assert!(!is_read(&text), "{name}"),
            [b'y', ..] => {
                let object = serde_json::from_str::<serde_json::Value>(&text).unwrap().is_object();
                assert_eq!(is_read(&text), object && !NO_VALUES.contains(&name.as_str()), "{name}");
            }
            _ => drop(is_read(&text)),
        }
    }
}

#[test]
fn what_has_one_meaning_is_read_and_nothing_else() {
    for good in
        [r#"{"a":1,"b":-2.5,"c":"x","d":true,"e":null}"#, "{}", " {\"a\" : 1e3} ", r#"{"\u00e4":"\ud83d\ude00"}"#]
    {
        assert!(is_read(good), "{good}");
    }
    for bad in [
        "{",
        "[]",
        "1",
        "null",
        "\"a\"",
        "{} {}",
        "{}x",
        "{\"a\":1,}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":'b'}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":0x1}",
        "{\"a\":1}/**/",
        "//\n{}",
        "\u{feff}{}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\":a\":1}",
        "{\"a\":[1]}",
        "{\"a\":{}}",
        "{\"a\":\"\\u0000\"}",
    ] {
        assert!(!is_read(bad), "{bad}");
    }
}
