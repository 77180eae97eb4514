//! Who it is about, which agent acts, whether a human is behind it, what the scope says.

use asuser_core::{Assurance, Reason};
use serde_json::{Value as Json, json};

use crate::rig::{ISSUER, NOW_S, Rig};

#[test]
fn an_honest_token_says_who_asks() {
    let rig = Rig::new();
    let verified = rig.accepts(&rig.token(json!({})));
    let data = verified.data();
    assert_eq!((data.key.issuer.as_str(), data.key.subject.as_str()), (ISSUER, "user-john"));
    assert_eq!(data.provider.as_str(), "test");
    assert_eq!(data.login.as_ref().unwrap().as_str(), "john");
    assert_eq!(data.email.as_deref(), Some("john@example.com"));
    assert_eq!(data.groups.iter().map(|group| group.as_str()).collect::<Vec<_>>(), ["sales", "staff"]);
    assert_eq!(data.database_role, None);
    assert_eq!(data.scope.as_deref(), Some(["profile".to_owned()].as_slice()));
    assert_eq!(data.not_after_ms, (NOW_S + 3600) * 1000);
    let actor = data.actor.as_ref().unwrap();
    assert_eq!((actor.id.as_str(), actor.assurance, actor.chain.len()), ("sales-copilot", Assurance::Token, 0));
}

#[test]
fn the_issuer_is_exact() {
    let rig = Rig::new();
    rig.accepts(&rig.token(json!({ "iss": ISSUER })));
    for iss in [
        "https://idp.example.com/",
        "https://IDP.example.com",
        "http://idp.example.com",
        "https://evil.example.com",
        " ",
    ] {
        let refused = rig.refuses(&rig.token(json!({ "iss": iss })), Reason::UnknownIssuer, iss);
        assert!(refused.established.is_none() && refused.provider.is_none());
        let slash = refused.problem.detail.unwrap().contains("trailing slash");
        assert_eq!(slash, iss.ends_with('/'));
    }
    for iss in [json!(null), json!(""), json!([ISSUER]), json!(1)] {
        rig.refuses(&rig.token(json!({ "iss": iss })), Reason::BadClaim, &iss.to_string());
    }
    rig.refuses(&rig.token_without(&["iss"]), Reason::BadClaim, "no iss");
}

#[test]
fn the_subject_is_a_sound_text() {
    let rig = Rig::new();
    for sub in ["a", "ü", "auth0|5f7c", "A B", &"s".repeat(255)] {
        let verified = rig.accepts(&rig.token(json!({ "sub": sub })));
        assert_eq!(verified.data().key.subject.as_str(), sub);
    }
    let bad = [
        json!(null),
        json!(""),
        json!(1),
        json!(["a"]),
        json!({}),
        json!("a\nb"),
        json!("a\u{0}"),
        json!("\u{9b}"),
        json!("s".repeat(256)),
    ];
    for sub in bad {
        let refused = rig.refuses(&rig.token(json!({ "sub": sub })), Reason::BadClaim, &sub.to_string());
        assert!(refused.established.is_none());
    }
    rig.refuses(&rig.token_without(&["sub"]), Reason::BadClaim, "no sub");
}

#[test]
fn another_stable_claim_can_be_the_subject() {
    let rig = Rig::with(|config| config.mapping.subject = "oid".into());
    let verified = rig.accepts(&rig.token(json!({ "oid": "0a1b" })));
    assert_eq!(verified.data().key.subject.as_str(), "0a1b");
    rig.refuses(&rig.token(json!({})), Reason::BadClaim, "no oid");
    for (oid, sub) in
        [("sales-copilot", "x"), ("x", "sales-copilot"), ("x", "Sales-Copilot"), ("x", "a@clients"), ("a@clients", "x")]
    {
        rig.refuses(&rig.token(json!({ "oid": oid, "sub": sub })), Reason::MachineToken, "the client itself");
    }
    rig.refuses(&rig.issuer.mint(&rig.claims(json!({ "oid": "x" }), &["sub"])), Reason::BadClaim, "no sub");
}

#[test]
fn machines_are_no_humans() {
    for rig in [Rig::new(), Rig::custom()] {
        rig.accepts(&rig.token(json!({ "idtyp": "user", "gty": "password", "appid": "sales-copilot" })));
        for claims in [
            json!({ "sub": "sales-copilot" }),
            json!({ "sub": "SALES-COPILOT" }),
            json!({ "sub": "x", "client_id": "x" }),
            json!({ "sub": "abc@clients" }),
            json!({ "sub": "service-account-etl" }),
            json!({ "preferred_username": "service-account-etl" }),
            json!({ "preferred_username": "Service-Account-ETL" }),
            json!({ "username": "service-account-etl" }),
            json!({ "idtyp": "app" }),
            json!({ "idtyp": "device" }),
            json!({ "idtyp": null }),
            json!({ "gty": "client-credentials" }),
            json!({ "gty": ["client-credentials", "x"] }),
            json!({ "grant_type": "client_credentials" }),
        ] {
            let refused = rig.refuses(&rig.token(claims.clone()), Reason::MachineToken, &claims.to_string());
            assert!(refused.established.is_some(), "the record names the machine");
        }
    }
    let custom = Rig::custom();
    for name in ["azp", "appid", "cid", "client_id"] {
        let claims = custom
            .claims(json!({ name: "robot", "sub": "robot" }), if name == "client_id" { &[] } else { &["client_id"] });
        custom.refuses(&custom.issuer.mint(&claims), Reason::MachineToken, name);
    }
    let mapped = Rig::with(|config| config.mapping.login = "user.name".into());
    mapped.refuses(
        &mapped.token(json!({ "user": { "name": "service-account-x" } })),
        Reason::MachineToken,
        "the mapped login",
    );
    mapped.accepts(&mapped.token(json!({ "user": { "name": "x-service-account-" } })));
}

/// A token with these claims and without the scope and the user name that the rig gives by itself.
fn bare(rig: &Rig, claims: &Json) -> String {
    let without: Vec<&str> =
        ["scope", "preferred_username", "email"].into_iter().filter(|name| claims.get(*name).is_none()).collect();
    rig.issuer.mint(&rig.claims(claims.clone(), &without))
}

/// Each machine beside a person whose token differs in what tells them apart.
#[test]
fn machines_are_no_humans_in_the_shapes_of_their_providers() {
    for rig in [Rig::new(), Rig::custom()] {
        for (machine, person) in [
            // Entra, without `idtyp`; Azure AD B2C gives people `oid` = `sub` too, and a scope.
            (
                json!({ "sub": "0a1b", "oid": "0a1b", "roles": ["r"] }),
                json!({ "sub": "0a1b", "oid": "0a1b", "scp": "read" }),
            ),
            (json!({ "sub": "0a1b", "oid": "0A1B" }), json!({ "sub": "pairwise", "oid": "0a1b" })),
            (
                json!({ "sub": "0a1b", "oid": "0a1b", "scp": " " }),
                json!({ "sub": "0a1b", "oid": "0a1b", "scope": "x" }),
            ),
            (
                json!({ "sub": "0a1b", "oid": "0a1b", "scp": [] }),
                json!({ "sub": "0a1b", "oid": "0a1b", "scope": ["x"] }),
            ),
            // Keycloak, lightweight.
            (json!({ "clientHost": "10.0.0.1" }), json!({ "clientHost": "10.0.0.1", "preferred_username": "john" })),
            (json!({ "clientAddress": "10.0.0.1", "clientId": "etl" }), json!({ "clientId": "etl" })),
            (json!({ "clientAddress": null }), json!({ "clientAddress": null, "preferred_username": "john" })),
            (json!({ "clientHost": "h", "preferred_username": "" }), json!({ "preferred_username": "" })),
            (
                json!({ "clientHost": "h", "preferred_username": "service-account-etl" }),
                json!({ "clientHost": "h", "preferred_username": "account-service-etl" }),
            ),
            // Google.
            (
                json!({ "email": "etl@project.iam.gserviceaccount.com" }),
                json!({ "email": "john@gserviceaccount.com.example.com" }),
            ),
            (
                json!({ "email": "1-compute@Developer.GServiceAccount.com" }),
                json!({ "email": "john@mygserviceaccount.com" }),
            ),
            (json!({ "sub": "etl@project.iam.gserviceaccount.com" }), json!({ "sub": "115044294372" })),
            (
                json!({ "preferred_username": "a@gserviceaccount.com" }),
                json!({ "preferred_username": "gserviceaccount.com" }),
            ),
        ] {
            let refused = rig.refuses(&bare(&rig, &machine), Reason::MachineToken, &machine.to_string());
            assert!(refused.established.is_some(), "the record names the machine");
            rig.accepts(&bare(&rig, &person));
        }
    }
    // Where no client is named it is no application's token.
    let custom = Rig::custom();
    let shape = |without: &[&str]| custom.issuer.mint(&custom.claims(json!({ "sub": "0a1b", "oid": "0a1b" }), without));
    custom.accepts(&shape(&["scope", "client_id"]));
    custom.refuses(&shape(&["scope"]), Reason::MachineToken, "a client");
    let mapped = Rig::with(|config| config.mapping.email = "mail.address".into());
    let address = |address: &str| mapped.token(json!({ "mail": { "address": address } }));
    mapped.refuses(&address("etl@p.iam.gserviceaccount.com"), Reason::MachineToken, "the mapped address");
    mapped.accepts(&address("john@example.com"));
}

#[test]
fn identifiers_hold_nothing_unseen() {
    let rig = Rig::new();
    let shapes = |id: &str| {
        [
            json!({ "sub": id }),
            json!({ "client_id": id }),
            json!({ "act": { "sub": id } }),
            json!({ "act": { "sub": "a", "act": { "sub": id } } }),
        ]
    };
    for claims in crate::rig::UNSEEN.iter().flat_map(|c| shapes(&format!("jo{c}hn"))) {
        rig.refuses(&rig.token(claims.clone()), Reason::BadClaim, &claims.to_string().escape_unicode().to_string());
    }
    for claims in crate::rig::SEEN.iter().flat_map(|c| shapes(&format!("jo{c}hn"))) {
        rig.accepts(&rig.token(claims));
    }
    let mapped = Rig::with(|config| config.mapping.subject = "oid".into());
    mapped.refuses(&mapped.token(json!({ "oid": "jo\u{ad}hn" })), Reason::BadClaim, "the mapped subject");
    mapped.accepts(&mapped.token(json!({ "oid": "jo-hn" })));
}

#[test]
fn a_bound_token_needs_a_proof() {
    let rig = Rig::new();
    for cnf in [
        json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" }),
        json!({ "x5t#S256": "x" }),
        json!({}),
        json!(null),
    ] {
        for _ in 0..2 {
            rig.refuses(&rig.token(json!({ "cnf": cnf })), Reason::UnprovenBinding, &cnf.to_string());
        }
    }
    rig.accepts(&rig.token(json!({})));
}

#[test]
fn the_actor_is_act_or_else_the_client() {
    let rig = Rig::new();
    let actor = |claims: Json| rig.accepts(&rig.token(claims)).data().actor.clone().unwrap();
    assert_eq!(actor(json!({})).id.as_str(), "sales-copilot");
    let nested = json!({ "act": { "sub": "a", "iss": "x", "act": { "sub": "b", "act": { "sub": "c" } } } });
    let found = actor(nested);
    assert_eq!(found.id.as_str(), "a");
    assert_eq!(found.chain.iter().map(|id| id.as_str()).collect::<Vec<_>>(), ["b", "c"]);

    // The client is known besides the actor where they differ.
    let client =
        |claims: Json| rig.accepts(&rig.token(claims)).data().client.as_ref().map(|client| client.as_str().to_owned());
    assert_eq!(client(json!({ "act": { "sub": "a" } })).as_deref(), Some("sales-copilot"));
    assert_eq!(client(json!({ "act": { "sub": "sales-copilot" } })), None);
    assert_eq!(client(json!({})), None);
    rig.refuses(&rig.token(json!({ "act": { "sub": "a" }, "azp": "other" })), Reason::BadClaim, "two clients");
    rig.accepts(&rig.token(json!({ "act": { "sub": "a" }, "azp": "sales-copilot" })));

    let deep = |depth: usize| (1..depth).fold(json!({ "sub": "x" }), |act, _| json!({ "sub": "x", "act": act }));
    assert_eq!(actor(json!({ "act": deep(5) })).chain.len(), 4);
    for act in [
        deep(6),
        deep(10),
        json!(null),
        json!("agent"),
        json!({}),
        json!([{ "sub": "a" }]),
        json!({ "sub": 1 }),
        json!({ "sub": "" }),
        json!({ "sub": "a\n" }),
        json!({ "sub": "a", "act": "b" }),
    ] {
        rig.refuses(&rig.token(json!({ "act": act })), Reason::BadClaim, &act.to_string());
    }
    for claims in
        [json!({ "azp": "other" }), json!({ "client_id": 1 }), json!({ "client_id": null }), json!({ "azp": null })]
    {
        rig.refuses(&rig.token(claims.clone()), Reason::BadClaim, &claims.to_string());
    }
    let custom = Rig::custom();
    for name in ["client_id", "azp", "appid", "cid"] {
        let claims = custom.claims(json!({ name: "agent" }), if name == "client_id" { &[] } else { &["client_id"] });
        let verified = custom.accepts(&custom.issuer.mint(&claims));
        assert_eq!(verified.data().actor.as_ref().unwrap().id.as_str(), "agent");
    }
    assert_eq!(custom.accepts(&custom.token_without(&["client_id"])).data().actor, None);
}

#[test]
fn the_scope_is_read_or_the_token_refused() {
    let rig = Rig::custom();
    let scope = |claims: Json| rig.accepts(&rig.issuer.mint(&rig.claims(claims, &["scope"]))).data().scope.clone();
    assert_eq!(scope(json!({})), None);
    let claims = |changes: Json| rig.issuer.mint(&rig.claims(changes, &[]));
    let read = |token: &str| rig.accepts(token).data().scope.clone().unwrap();
    assert_eq!(read(&claims(json!({ "scope": "db:read  db:write" }))), ["db:read", "db:write"]);
    assert_eq!(read(&claims(json!({ "scope": "" }))), [""; 0]);
    assert_eq!(read(&claims(json!({ "scope": ["a", "b"], "scp": "a b" }))), ["a", "b"]);
    for changes in [
        json!({ "scope": null }),
        json!({ "scope": 1 }),
        json!({ "scope": {} }),
        json!({ "scope": ["a", 1] }),
        json!({ "scope": "a", "scp": "a b" }),
    ] {
        rig.refuses(&claims(changes.clone()), Reason::BadClaim, &changes.to_string());
    }
    let required = Rig::with(|config| config.scope_required = true);
    assert_eq!(required.identities.scope_required_issuers().count(), 1);
    assert_eq!(rig.identities.scope_required_issuers().count(), 0);
}

#[test]
fn id_01_nothing_beside_the_mapping_makes_an_identity() {
    let rig = Rig::new();
    let plain = rig.accepts(&rig.token(json!({ "jti": "1" })));
    let tried = json!({ "jti": "1", "user": "jane", "role": "admin", "on_behalf_of": "jane", "login": "jane", "database_role": "postgres" });
    let tried = rig.accepts(&rig.token(tried));
    assert_eq!(plain.data(), tried.data());
}

#[test]
fn a_lifetime_can_be_capped() {
    let rig = Rig::with(|config| config.lifetime_s_max = Some(3600));
    rig.accepts(&rig.token(json!({})));
    rig.refuses(&rig.token(json!({ "exp": NOW_S + 3601 })), Reason::NotInForce, "too long");
    let custom = Rig::with(|config| {
        config.profile = "custom".into();
        config.lifetime_s_max = Some(3600);
    });
    custom.refuses(&custom.token_without(&["iat"]), Reason::NotInForce, "no iat to measure from");
}
