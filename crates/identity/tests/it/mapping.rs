//! What claims mean. RM-06: a claim that is missing, empty, null or ill-typed is absent or refused, never a default.

use asuser_core::{AttributeValue, Reason};
use asuser_identity::{AttributeConfig, AttributeType};
use serde_json::{Value as Json, json};

use crate::rig::Rig;

fn rig_with_attributes() -> Rig {
    Rig::with(|config| {
        for (name, claim, kind) in [
            ("region", "address.region", AttributeType::String),
            ("clearance", "clearance", AttributeType::Long),
            ("manager", "manager", AttributeType::Bool),
            ("regions", "https://example.com/regions", AttributeType::Strings),
        ] {
            config.attributes.insert(name.into(), AttributeConfig { claim: claim.into(), kind });
        }
    })
}

#[test]
fn rm_06_attributes_have_their_type_or_are_absent() {
    let rig = rig_with_attributes();
    let read = |claims: &Json| rig.accepts(&rig.token(claims.clone())).data().attributes.clone();
    let text = |text: &str| AttributeValue::String(text.into());
    let good = [
        ("region", json!({ "address": { "region": "EU" } }), text("EU")),
        ("region", json!({ "address": { "region": "O'Brien % _ \"x\"" } }), text("O'Brien % _ \"x\"")),
        (
            "region",
            json!({ "address.region": "whole name first", "address": { "region": "EU" } }),
            text("whole name first"),
        ),
        ("clearance", json!({ "clearance": -3 }), AttributeValue::Long(-3)),
        ("clearance", json!({ "clearance": i64::MAX }), AttributeValue::Long(i64::MAX)),
        ("manager", json!({ "manager": false }), AttributeValue::Bool(false)),
        (
            "regions",
            json!({ "https://example.com/regions": ["b", "a", "", "b"] }),
            AttributeValue::Strings(vec!["a".into(), "b".into()]),
        ),
        ("regions", json!({ "https://example.com/regions": "a" }), AttributeValue::Strings(vec!["a".into()])),
    ];
    for (name, claims, value) in good {
        assert_eq!(read(&claims), [(name.to_owned(), value)].into(), "{claims}");
    }
    let region = |value: Json| json!({ "address": { "region": value } });
    let absent = [
        json!({}),
        region(json!(null)),
        region(json!("")),
        region(json!([])),
        region(json!(["EU"])),
        region(json!(1)),
        region(json!(true)),
        region(json!({ "region": "EU" })),
        region(json!("a\nb")),
        region(json!("e\u{301}")),
        region(json!("EU\u{202e}")),
        region(json!("x".repeat(1025))),
        json!({ "address": null }),
        json!({ "address": "EU" }),
        json!({ "address": ["region", "EU"] }),
        json!({ "region": "EU" }),
        json!({ "clearance": "3" }),
        json!({ "clearance": 3.0 }),
        json!({ "clearance": 3.5 }),
        json!({ "clearance": u64::MAX }),
        json!({ "clearance": null }),
        json!({ "clearance": true }),
        json!({ "manager": "true" }),
        json!({ "manager": 1 }),
        json!({ "manager": null }),
        json!({ "https://example.com/regions": [] }),
        json!({ "https://example.com/regions": [""] }),
        json!({ "https://example.com/regions": ["a", 1] }),
        json!({ "https://example.com/regions": ["a", null] }),
        json!({ "https://example.com/regions": { "a": true } }),
        json!({ "https://example.com/regions": "" }),
    ];
    for claims in absent {
        assert_eq!(read(&claims), [].into(), "{claims}");
    }
}

#[test]
fn groups_are_complete_or_refused() {
    let rig = Rig::new();
    let groups = |claims: Json| {
        let verified = rig.accepts(&rig.token(claims));
        verified.data().groups.iter().map(|group| group.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(groups(json!({ "groups": ["b", "a", "b"] })), ["a", "b"]);
    assert_eq!(groups(json!({ "groups": "one" })), ["one"]);
    assert_eq!(groups(json!({ "groups": ["/path/x", "a,b"] })), ["/path/x", "a,b"]);
    for none in [json!(null), json!([]), json!(""), json!([""])] {
        assert_eq!(groups(json!({ "groups": none })), [""; 0]);
    }
    for claims in [
        json!({ "groups": 1 }),
        json!({ "groups": { "a": true } }),
        json!({ "groups": ["a", 1] }),
        json!({ "groups": ["a", null] }),
        json!({ "groups": [["a"]] }),
        json!({ "groups": ["a\u{0}"] }),
        json!({ "groups": ["e\u{301}"] }),
        json!({ "groups": [" a"] }),
        json!({ "groups": ["g".repeat(256)] }),
        // Entra beyond 200 groups.
        json!({ "groups": null, "_claim_names": { "groups": "src1" }, "_claim_sources": { "src1": { "endpoint": "https://graph" } } }),
        json!({ "_claim_names": { "groups": "src1" } }),
        json!({ "_claim_names": "groups" }),
        json!({ "hasgroups": true }),
        json!({ "hasgroups": "true" }),
    ] {
        let refused = rig.refuses(&rig.token(claims.clone()), Reason::NotMapped, &claims.to_string());
        assert!(refused.established.is_some());
    }
    for claims in
        [json!({ "hasgroups": false }), json!({ "_claim_names": { "other": "src1" } }), json!({ "_claim_names": {} })]
    {
        assert_eq!(groups(claims), ["sales", "staff"]);
    }
    let without = Rig::with(|config| config.mapping.groups = String::new());
    let verified = without.accepts(&without.token(json!({ "hasgroups": true, "_claim_names": { "groups": "src1" } })));
    assert!(verified.data().groups.is_empty());
}

#[test]
fn an_attribute_that_was_left_out_is_not_absent() {
    let rig = rig_with_attributes();
    for name in ["clearance", "address"] {
        rig.refuses(&rig.token(json!({ "_claim_names": { name: "src1" } })), Reason::NotMapped, name);
    }
    rig.accepts(&rig.token(json!({ "_claim_names": { "photo": "src1" } })));
}

/// A claim may be named by an address with dots, or be within another: `_claim_names` may name either.
#[test]
fn no_mapped_claim_may_be_elsewhere() {
    let rig = Rig::with(|config| {
        config.mapping.groups = "https://x.example/groups".into();
        config.mapping.login = "user.name".into();
        config.mapping.database_role = "https://x.example/role".into();
        let claim = "https://x.example/regions".into();
        config.attributes.insert("regions".into(), AttributeConfig { claim, kind: AttributeType::Strings });
    });
    for name in [
        "https://x.example/groups",
        "https://x.example/regions",
        "https://x.example/role",
        "https://x",
        "user.name",
        "user",
        "email",
        "email_verified",
        "name",
    ] {
        rig.refuses(&rig.token(json!({ "_claim_names": { name: "src1" } })), Reason::NotMapped, name);
    }
    for name in ["groups", "https://x.example/photos", "https://x.example", "name.given", "preferred_username"] {
        rig.accepts(&rig.token(json!({ "_claim_names": { name: "src1" } })));
    }
}

#[test]
fn names_hold_nothing_unseen() {
    let rig = Rig::with(|config| {
        config.mapping.database_role = "role".into();
        let attribute = AttributeConfig { claim: "region".into(), kind: AttributeType::String };
        config.attributes.insert("region".into(), attribute);
    });
    for (unseen, c) in crate::rig::UNSEEN.iter().map(|c| (true, c)).chain(crate::rig::SEEN.iter().map(|c| (false, c))) {
        let text = format!("jo{c}hn");
        let what = text.escape_unicode().to_string();
        for claims in [json!({ "preferred_username": text }), json!({ "groups": [text] }), json!({ "role": text })] {
            match unseen {
                true => drop(rig.refuses(&rig.token(claims), Reason::NotMapped, &what)),
                false => drop(rig.accepts(&rig.token(claims))),
            }
        }
        // What need not be there is absent.
        let claims = json!({ "name": text, "region": text, "email": format!("{text}@example.com") });
        let verified = rig.accepts(&rig.token(claims));
        let data = verified.data();
        assert_eq!(
            (data.name.is_none(), data.email.is_none(), data.attributes.is_empty()),
            (unseen, unseen, unseen),
            "{what}"
        );
    }
}

#[test]
fn groups_can_be_nested() {
    let rig = Rig::with(|config| config.mapping.groups = "realm_access.roles".into());
    let verified = rig.accepts(&rig.token(json!({ "realm_access": { "roles": ["r"] } })));
    assert_eq!(verified.data().groups.iter().map(|group| group.as_str()).collect::<Vec<_>>(), ["r"]);
    rig.refuses(&rig.token(json!({ "_claim_names": { "realm_access": "s" } })), Reason::NotMapped, "left out");
}

#[test]
fn a_login_reads_as_it_looks() {
    let rig = Rig::new();
    let login = |value: Json| {
        rig.accepts(&rig.token(json!({ "preferred_username": value })))
            .data()
            .login
            .as_ref()
            .map(|login| login.as_str().to_owned())
    };
    for good in ["john", "Jöhn", "john.doe@example.com", "o'brien", "EXAMPLE\\john", "王", &"l".repeat(255)] {
        assert_eq!(login(json!(good)).as_deref(), Some(good));
    }
    for absent in [json!(null), json!(""), json!(1), json!(["john"]), json!({})] {
        assert_eq!(login(absent), None);
    }
    for bad in [
        "john\n",
        "jo\u{0}hn",
        "john\u{85}",
        " john",
        "john ",
        "Jo\u{308}hn",
        "\u{202e}nhoj",
        "jo\u{200b}hn",
        &"l".repeat(256),
    ] {
        rig.refuses(&rig.token(json!({ "preferred_username": bad })), Reason::NotMapped, bad);
    }
}

#[test]
fn an_address_is_verified_and_in_the_domains() {
    let open = Rig::new();
    let closed = Rig::with(|config| config.domains = vec!["Example.com".into(), "sub.example.org".into()]);
    let email = |rig: &Rig, claims: Json| rig.accepts(&rig.token(claims)).data().email.clone();
    for (claims, by_open, by_closed) in [
        (json!({}), true, true),
        (json!({ "email": "john@EXAMPLE.com" }), true, true),
        (json!({ "email_verified": "true" }), true, true),
        (json!({ "email": "john@sub.example.org" }), true, true),
        (json!({ "email": "john@other.com" }), true, false),
        (json!({ "email": "john@notexample.com" }), true, false),
        (json!({ "email": "john@x.example.com" }), true, false),
        (json!({ "email_verified": false }), false, false),
        (json!({ "email_verified": "false" }), false, false),
        (json!({ "email_verified": "TRUE" }), false, false),
        (json!({ "email_verified": 1 }), false, false),
        (json!({ "email_verified": null }), false, false),
        (json!({ "email": "john@evil.com@example.com" }), false, false),
        (json!({ "email": "john example@example.com" }), false, false),
        (json!({ "email": "@example.com" }), false, false),
        (json!({ "email": "john" }), false, false),
        (json!({ "email": "john@example.com\n" }), false, false),
        (json!({ "email": ["john@example.com"] }), false, false),
        (json!({ "email": null }), false, false),
        (json!({ "email": "" }), false, false),
    ] {
        assert_eq!(email(&open, claims.clone()).is_some(), by_open, "{claims}");
        assert_eq!(email(&closed, claims.clone()).is_some(), by_closed, "{claims} with domains");
    }
    let entra = Rig::with(|config| config.mapping.email_verified = "xms_edov".into());
    assert!(email(&entra, json!({ "xms_edov": true, "email_verified": false })).is_some());
    assert!(email(&entra, json!({ "email_verified": true })).is_none());
}

#[test]
fn a_database_role_comes_from_a_claim_that_people_cannot_change() {
    let rig = Rig::with(|config| config.mapping.database_role = "db.role".into());
    let role = |rig: &Rig, claims: Json| rig.accepts(&rig.token(claims)).data().database_role.clone();
    assert_eq!(role(&rig, json!({ "db": { "role": "john_ro" } })).as_deref(), Some("john_ro"));
    for absent in
        [json!({}), json!({ "db": { "role": "" } }), json!({ "db": { "role": ["a"] } }), json!({ "db": null })]
    {
        assert_eq!(role(&rig, absent), None);
    }
    for bad in ["r".repeat(64), "a\u{0}b".into(), " a".into(), "e\u{301}".into()] {
        rig.refuses(&rig.token(json!({ "db": { "role": bad } })), Reason::NotMapped, &bad);
    }
    let by_email = Rig::with(|config| {
        config.mapping.database_role = "email".into();
        config.domains = vec!["example.com".into()];
    });
    assert_eq!(role(&by_email, json!({})).as_deref(), Some("john@example.com"));
    assert_eq!(role(&by_email, json!({ "email_verified": false })), None);
    assert_eq!(role(&by_email, json!({ "email": "john@evil.com" })), None);
}

#[test]
fn the_explanation_says_what_is_absent() {
    let rig = rig_with_attributes();
    let token = rig.token(json!({ "email_verified": false, "clearance": "3" }));
    let explanation = rig.identities.explain(&crate::rig::bearer(&token), crate::rig::NOW_MS);
    let words = &explanation.steps.last().unwrap().words;
    assert!(words.contains("no e-mail address: the provider does not say that it is verified"), "{words}");
    assert!(words.contains("no clearance: `clearance` is missing, empty or no long"), "{words}");
    assert!(explanation.to_string().ends_with("accepted\n"));
}
