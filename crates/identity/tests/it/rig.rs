//! What the tests share: an issuer, a fixed time, and a verification that also asks for the explanation and compares.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use asuser_core::{Reason, Secret};
use asuser_identity::{ConfigError, Credential, Identities, IdentityConfig, Refused, Step, StepOutcome, Verified};
use asuser_testkit::issuer::TestIssuer;
use serde_json::{Value as Json, json};

pub(crate) const ISSUER: &str = "https://idp.example.com";
pub(crate) const AUDIENCE: &str = "https://data.example.com";
/// A second of 2027 at which the tests stand still.
pub(crate) const NOW_S: i64 = 1_800_000_000;
pub(crate) const NOW_MS: i64 = NOW_S * 1000;

/// Ends of each range of characters that names must not hold, and the neighbours of some that they may.
pub(crate) const UNSEEN: [char; 36] = [
    '\u{ad}',
    '\u{34f}',
    '\u{61c}',
    '\u{115f}',
    '\u{1160}',
    '\u{17b4}',
    '\u{17b5}',
    '\u{180b}',
    '\u{180f}',
    '\u{200b}',
    '\u{200f}',
    '\u{2028}',
    '\u{2029}',
    '\u{202a}',
    '\u{202e}',
    '\u{2060}',
    '\u{206f}',
    '\u{3164}',
    '\u{fe00}',
    '\u{fe0f}',
    '\u{feff}',
    '\u{ffa0}',
    '\u{fff0}',
    '\u{fff8}',
    '\u{1bca0}',
    '\u{1bca3}',
    '\u{1d173}',
    '\u{1d17a}',
    '\u{e0000}',
    '\u{e0001}',
    '\u{e0100}',
    '\u{e0fff}',
    '\u{0}',
    '\n',
    '\u{7f}',
    '\u{9f}',
];
pub(crate) const SEEN: [char; 10] =
    ['ö', '王', '®', '\u{1161}', '\u{17b6}', '\u{2010}', '\u{2070}', '\u{3163}', '\u{fffc}', '\u{1d17b}'];

/// One issuer and the providers that trust it.
pub(crate) struct Rig {
    pub(crate) issuer: TestIssuer,
    pub(crate) identities: Identities,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }
    /// A provider of profile `custom`.
    pub(crate) fn custom() -> Self {
        Self::with(|config| config.profile = "custom".into())
    }
    pub(crate) fn with(change: impl FnOnce(&mut IdentityConfig)) -> Self {
        Self::of(TestIssuer::new(ISSUER, AUDIENCE), change)
    }
    pub(crate) fn of(issuer: TestIssuer, change: impl FnOnce(&mut IdentityConfig)) -> Self {
        let mut config = issuer.config("test");
        change(&mut config);
        Self { issuer, identities: identities(&[config]).unwrap() }
    }
    /// Honest claims with others in their place; `null` stays `null`, and the names in `without` are left out.
    pub(crate) fn claims(&self, changes: Json, without: &[&str]) -> Json {
        let mut claims = self.issuer.claims_for("john", NOW_S);
        let object = claims.as_object_mut().unwrap();
        object.extend(changes.as_object().unwrap().clone());
        for name in without {
            object.remove(*name);
        }
        claims
    }
    pub(crate) fn token(&self, changes: Json) -> String {
        self.issuer.mint(&self.claims(changes, &[]))
    }
    pub(crate) fn token_without(&self, names: &[&str]) -> String {
        self.issuer.mint(&self.claims(json!({}), names))
    }
    pub(crate) fn token_under(&self, header: Json) -> String {
        let mut full = self.issuer.header();
        asuser_testkit::issuer::change(&mut full, &header);
        self.issuer.mint_with(&full, &self.claims(json!({}), &[]))
    }
    pub(crate) fn accepts(&self, token: &str) -> Arc<Verified> {
        verify(&self.identities, token, NOW_MS).unwrap_or_else(|refused| panic!("{refused:?}"))
    }
    pub(crate) fn refuses(&self, token: &str, reason: Reason, what: &str) -> Box<Refused> {
        match verify(&self.identities, token, NOW_MS) {
            Ok(verified) => panic!("{what}: accepted as {verified:?}"),
            Err(refused) => {
                assert_eq!(refused.problem.reason, reason, "{what}: {:?}", refused.problem);
                refused
            }
        }
    }
}

pub(crate) fn identities(configs: &[IdentityConfig]) -> Result<Identities, ConfigError> {
    Identities::new(configs, Path::new("."), &|reference| Err(format!("`{reference}` is not there")))
}

pub(crate) fn bearer(token: &str) -> Credential {
    Credential::Bearer(Secret::new(token.to_owned()))
}

/// Verifies, and checks that the explanation says the same, whatever the token.
pub(crate) fn verify(identities: &Identities, token: &str, now_ms: i64) -> Result<Arc<Verified>, Box<Refused>> {
    let result = ready(identities.verify(&bearer(token), now_ms));
    let explanation = identities.explain(&bearer(token), now_ms);
    let steps: Vec<Step> = explanation.steps.iter().map(|report| report.step).collect();
    assert_eq!(steps, Step::ALL, "every step once, in order");
    let failed = explanation.steps.iter().filter(|report| report.outcome == StepOutcome::Failed).count();
    match &result {
        Ok(verified) => {
            assert!(explanation.accepted && explanation.steps.iter().all(|report| report.outcome == StepOutcome::Ok));
            assert_eq!(explanation.principal.as_ref(), Some(verified.data()));
        }
        Err(refused) => {
            assert!(!explanation.accepted && explanation.principal.is_none() && failed == 1);
            let refusal = explanation.refusal.as_ref().unwrap();
            assert_eq!(refusal.code, refused.problem.reason.code());
            assert_eq!(refusal.message, refused.problem.message);
            assert_eq!(explanation.established, refused.established);
            assert_eq!(explanation.provider, refused.provider);
            let signed = explanation
                .steps
                .iter()
                .any(|report| report.step == Step::Signature && report.outcome == StepOutcome::Ok);
            assert!(signed || (refused.established.is_none() && refused.actor.is_none()), "named without a signature");
        }
    }
    // Neither the caller's words nor the operator's hold the credential.
    let said = format!("{result:?} {} {explanation}", serde_json::to_string(&explanation).unwrap());
    let signature = token.rsplit('.').next().filter(|part| part.len() > 20);
    assert!(signature.is_none_or(|signature| !said.contains(signature)), "the token leaked");
    result
}

/// The value of a future that does not wait: verification with keys at hand never does.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the verification waits"),
    }
}
