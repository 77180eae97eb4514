//! The public JSON parsing vectors (JSONTestSuite), where they lie beside the checkout; the folder is not part of the project, and
//! the tests of the module above have cases of every kind themselves.

use serde_json::Value as Json;

use super::parse_object;

/// Valid JSON that this reader refuses, and why. An object without one of these is accepted.
const REFUSED: [(&str, &str); 2] =
    [("y_object_duplicated_key.json", "occurs twice"), ("y_object_duplicated_key_and_value.json", "occurs twice")];

fn vectors() -> Option<Vec<(String, Vec<u8>)>> {
    let folder = format!("{}/../../../shared/vectors/jsontestsuite/test_parsing", env!("CARGO_MANIFEST_DIR"));
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped the JSON vectors: there is no shared/vectors/jsontestsuite beside the checkout");
        return None;
    };
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    };
    let mut all: Vec<_> = entries.map(read).collect();
    all.sort();
    Some(all)
}

/// The text as the value of a member, for those files that are no object.
fn within(text: &[u8]) -> Vec<u8> {
    [b"{\"member\":", text, b"}"].concat()
}

#[test]
fn each_is_read_as_labelled() {
    let Some(vectors) = vectors() else { return };
    let (mut invalid, mut objects, mut others, mut open) = (0, 0, 0, 0);
    for (name, text) in vectors {
        let read = parse_object(&text);
        match name.as_bytes() {
            [b'n', ..] => {
                assert!(read.is_err(), "{name}");
                invalid += 1;
            }
            [b'y', ..] => {
                let plain: Json = serde_json::from_slice(&text).unwrap();
                if let Some((_, why)) = REFUSED.iter().find(|(known, _)| *known == name) {
                    assert!(read.clone().is_err_and(|error| error.contains(why)), "{name}: {read:?}");
                } else if plain.is_object() {
                    assert_eq!(read.map(Json::Object), Ok(plain), "{name}");
                    objects += 1;
                } else {
                    // No header or payload, but a value that a claim may have.
                    assert!(read.is_err(), "{name}");
                    let member = parse_object(&within(&text)).map(|object| object["member"].clone());
                    assert_eq!(member, Ok(plain), "{name}");
                    others += 1;
                }
            }
            // What the standard leaves open: half surrogates, other encodings, a byte order mark, 500 levels. None is an object here.
            _ => {
                assert!(read.is_err(), "{name}");
                drop(parse_object(&within(&text)));
                open += 1;
            }
        }
    }
    assert_eq!((invalid, objects, others, open), (188, 10, 83, 35));
}
