//! The people of random cases, as identity verifies them. For a connector's test, which has the whole way in; it takes this file
//! by `#[path]` beside `mod.rs`.

#![allow(missing_docs, unreachable_pub, reason = "tests include this file")]

use asuser_conformance::{Person, Rig};
use asuser_core::{AttributeValue, PrincipalData, Reason};
use asuser_policy::AttributeSchema;
use serde_json::json;

use crate::cases::ATTRIBUTE_TYPES;

/// The attributes that the cases use.
pub fn attributes() -> AttributeSchema {
    ATTRIBUTE_TYPES.map(|(name, ty)| (name.to_owned(), serde_json::from_value(ty.into()).unwrap())).into()
}

/// Text that identity takes: normal form C, no control characters.
fn sound(text: &str) -> bool {
    !text.contains('\0') && !text.contains('\u{301}')
}

/// What identity makes of the principal's claims; `None` where it refuses the login.
fn as_verified(principal: &PrincipalData) -> Option<PrincipalData> {
    let mut expected = principal.clone();
    if let Some(login) = &expected.login
        && (!sound(login.as_str()) || login.as_str().trim() != login.as_str())
    {
        return None;
    }
    expected.attributes.retain(|_, value| match value {
        AttributeValue::String(text) => sound(text),
        AttributeValue::Strings(texts) => texts.iter().all(|text| sound(text)),
        AttributeValue::Long(_) | AttributeValue::Bool(_) => true,
    });
    Some(expected)
}

/// Verifies a token that says of its bearer what the case does.
pub async fn person(rig: &Rig, principal: &PrincipalData) -> Option<Person> {
    let mut claims = json!({
        "sub": principal.key.subject,
        "preferred_username": principal.login,
        "groups": principal.groups,
        "email": null,
        "name": null,
    });
    for (name, value) in &principal.attributes {
        claims[name] = json!(value);
    }
    let verified = rig.person("u1", &claims).await;
    let Some(expected) = as_verified(principal) else {
        assert_eq!(verified.unwrap_err().reason, Reason::NotMapped, "{principal:?}");
        return None;
    };
    let person = verified.unwrap();
    let data = person.verified.data();
    assert_eq!(data.key, expected.key);
    assert_eq!((&data.login, &data.groups), (&expected.login, &expected.groups));
    assert_eq!(data.attributes, expected.attributes);
    Some(person)
}
