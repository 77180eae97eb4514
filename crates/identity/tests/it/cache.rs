//! A remembered verdict is never better than a fresh one.

use std::sync::Arc;

use asuser_core::{Clock, FixedClock, Reason};
use asuser_testkit::issuer::TestIssuer;
use serde_json::json;

use crate::rig::{AUDIENCE, ISSUER, NOW_MS, NOW_S, Rig, bearer, ready, verify};

#[test]
fn a_verdict_is_remembered_and_ends_with_its_token() {
    let rig = Rig::new();
    let clock = FixedClock::at(NOW_MS);
    let token = rig.token(json!({ "exp": NOW_S + 60 }));
    let ask = || ready(rig.identities.verify(&bearer(&token), clock.now_ms()));
    let first = ask().unwrap();
    clock.set((NOW_S + 60 + 30) * 1000 - 1);
    assert!(Arc::ptr_eq(&first, &ask().unwrap()), "remembered");
    clock.set((NOW_S + 60 + 30) * 1000);
    for _ in 0..2 {
        assert_eq!(ask().unwrap_err().problem.reason, Reason::NotInForce);
    }
    // A clock that goes back meets the token's beginning, too.
    clock.set(NOW_MS);
    ask().unwrap();
    clock.set(NOW_MS - 30_001);
    assert_eq!(ask().unwrap_err().problem.reason, Reason::NotInForce);
    clock.set(NOW_MS);
    ask().unwrap();
}

#[test]
fn a_removed_key_takes_its_verdicts_along() {
    let rig = Rig::new();
    let token = rig.token(json!({}));
    rig.accepts(&token);
    let reloaded = Rig::of(TestIssuer::new(ISSUER, AUDIENCE), |_| {});
    assert_eq!(verify(&reloaded.identities, &token, NOW_MS).unwrap_err().problem.reason, Reason::BadSignature);
    reloaded.accepts(&reloaded.token(json!({})));
}

#[test]
fn a_refusal_is_not_remembered() {
    let rig = Rig::new();
    let token = rig.token(json!({ "nbf": NOW_S + 60 }));
    rig.refuses(&token, Reason::NotInForce, "not yet");
    verify(&rig.identities, &token, NOW_MS + 60_000).unwrap();
}

#[test]
fn one_letter_is_another_token() {
    let rig = Rig::new();
    let token = rig.token(json!({}));
    rig.accepts(&token);
    let (rest, signature) = token.rsplit_once('.').unwrap();
    let forged = format!("{rest}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]);
    rig.refuses(&forged, Reason::BadSignature, "forged");
}
