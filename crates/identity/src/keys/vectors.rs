//! The public test vectors of JSON Web Signatures and Keys (C2SP Wycheproof), where they lie beside the checkout. The folder is not part
//! of the project; the tests in `tests/` make keys and tokens of every kind themselves.

use serde_json::{Value as Json, json};

use super::{KeySet, verify_jws};
use crate::algorithm::Algorithm;

fn vectors(name: &str) -> Option<Vec<Json>> {
    let path = format!("{}/../../../shared/vectors/wycheproof/{name}", env!("CARGO_MANIFEST_DIR"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: the public vectors `{name}` are not there");
        return None;
    };
    let all: Json = serde_json::from_str(&text).unwrap();
    Some(all["testGroups"].as_array().unwrap().clone())
}

/// What the group's keys say of a token, every algorithm allowed: only the keys decide.
fn accepts(keys: &Json, token: &Json) -> Result<(), String> {
    let keys = match keys.get("keys") {
        Some(_) => keys.clone(),
        None => json!({ "keys": [keys] }),
    };
    let symmetric = keys["keys"].as_array().unwrap().iter().any(|key| key["kty"] == "oct");
    let text = keys.to_string();
    let set = if symmetric { KeySet::from_secret_jwks(&text) } else { KeySet::from_jwks(&text) }?;
    verify_jws(&set, Algorithm::ALL, token.as_str().unwrap()).map_err(|problem| format!("{problem:?}"))?;
    Ok(())
}

#[test]
fn json_web_signatures_are_judged_as_labelled() {
    let Some(groups) = vectors("json_web_signature_test.json") else { return };
    let (mut valid, mut invalid) = (0, 0);
    for group in groups {
        let keys = group.get("public").unwrap_or(&group["private"]);
        for test in group["tests"].as_array().unwrap() {
            let id = test["tcId"].as_u64().unwrap();
            let mut keys = keys.clone();
            match id {
                // The key is labelled ES521, the token says ES512, as RFC 7520 §4.3 has it.
                347 | 351 => keys["alg"] = json!("ES512"),
                // The key is labelled PS256, the token says PS384, as RFC 7520 §4.2 has it. As labelled, the key refuses.
                346 | 350 => {
                    assert!(accepts(&keys, &test["jws"]).is_err());
                    keys["alg"] = json!("PS384");
                }
                _ => {}
            }
            let verdict = accepts(&keys, &test["jws"]);
            // 367 and 370 were to show padding, but are letter for letter the token of 357, which is labelled valid.
            if matches!(id, 367 | 370) {
                assert_eq!(test["jws"], group["tests"][0]["jws"]);
                assert!(accepts(&keys, &json!(format!("{}=", test["jws"].as_str().unwrap()))).is_err());
                continue;
            }
            // 372 and 373 hold a `?` within base64url and are labelled valid; a strict decoder refuses them.
            if matches!(id, 372 | 373) {
                assert!(verdict.is_err(), "{id}");
                continue;
            }
            let expected = test["result"] == "valid";
            assert_eq!(verdict.is_ok(), expected, "{id} {}: {verdict:?}", test["comment"]);
            if expected { valid += 1 } else { invalid += 1 }
        }
    }
    assert_eq!((valid, invalid), (44, 353));
}

#[test]
fn json_web_keys_are_judged_as_labelled() {
    let Some(groups) = vectors("json_web_key_test.json") else { return };
    let mut judged = 0;
    for group in groups {
        let keys = group.get("public").unwrap_or(&group["private"]);
        for test in group["tests"].as_array().unwrap() {
            let verdict = accepts(keys, &test["jws"]);
            // 1 and 4 (mixed set, two keys of one name) are labelled ambiguous; here both are refused, as labelled.
            assert_eq!(verdict.is_ok(), test["result"] == "valid", "{} {}: {verdict:?}", test["tcId"], test["comment"]);
            judged += 1;
        }
    }
    assert_eq!(judged, 26);
}
