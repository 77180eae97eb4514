//! No input panics, and nothing but the provider's own text verifies.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::rig::{NOW_MS, Rig, verify};

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        ".{0,20}".prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-z_.]{0,8}", inner, 0..4)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_never_verifies(text in prop_oneof![".{0,200}", "[A-Za-z0-9_-]{0,80}(\\.[A-Za-z0-9_-]{0,80}){0,5}"]) {
        let rig = Rig::new();
        prop_assert!(verify(&rig.identities, &text, NOW_MS).is_err());
    }

    #[test]
    fn arbitrary_headers_and_payloads_of_a_stranger_never_verify(header in any_json(), payload in any_json()) {
        let (rig, stranger) = (Rig::new(), Rig::new());
        let token = stranger.issuer.mint_with(&header, &payload);
        prop_assert!(verify(&rig.identities, &token, NOW_MS).is_err());
    }

    #[test]
    fn a_changed_token_never_verifies(at in any::<prop::sample::Index>(), to in any::<char>(), cut in any::<bool>()) {
        let rig = Rig::new();
        let token = rig.token(json!({}));
        let at = at.index(token.len());
        let mut changed = token.clone();
        if cut {
            changed.truncate(at);
        } else {
            changed.replace_range(at..=at, &to.to_string());
        }
        prop_assert_eq!(verify(&rig.identities, &changed, NOW_MS).is_ok(), changed == token);
    }

    /// Even the provider itself cannot make a claim of any shape crash us; and whatever verifies keeps the rules of its fields.
    #[test]
    fn any_claim_of_the_provider_is_accepted_soundly_or_refused(
        name in prop::sample::select(vec![
            "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "azp", "act", "scope", "cnf", "typ", "events", "groups", "email",
            "email_verified", "name", "preferred_username", "idtyp", "gty", "_claim_names", "hasgroups",
            "oid", "clientHost", "scp",
        ]),
        value in any_json(),
    ) {
        let rig = Rig::new();
        let token = rig.token(json!({ name: value }));
        if let Ok(verified) = verify(&rig.identities, &token, NOW_MS) {
            let data = verified.data();
            prop_assert!(!data.key.subject.as_str().is_empty() && data.key.subject.as_str().len() <= 255);
            prop_assert!(data.not_after_ms + 30_000 > NOW_MS);
            prop_assert!(data.groups.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(data.groups.iter().all(|group| !group.as_str().is_empty()));
            prop_assert!(data.login.as_ref().is_none_or(|login| !login.as_str().is_empty() && login.as_str().len() <= 255));
        }
    }
}
