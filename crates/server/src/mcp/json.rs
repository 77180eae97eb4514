//! A message's JSON: the strict reader, and how deep a message may be.

use serde_json::Value as Json;

/// Deeper nesting is refused.
pub(super) const DEPTH_MAX: usize = 64;

/// Reads one value that fills the whole text. The error says where and why, and repeats nothing of the text but a member's name.
pub(crate) fn parse(bytes: &[u8]) -> Result<Json, String> {
    asuser_core::json::strict(bytes, DEPTH_MAX)
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
