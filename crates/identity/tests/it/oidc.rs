//! Keys that a provider publishes: found, kept, renewed; and what becomes of tokens while they cannot be had.

use std::sync::Arc;

use asuser_core::{Clock, FixedClock, Reason};
use asuser_identity::{Algorithm, Identities, IdentityConfig, ProviderKind, Refused, Verified};
use asuser_testkit::issuer::{SigningKey, TestIssuer};
use serde_json::{Value as Json, json};

use crate::endpoint::Endpoint;
use crate::rig::{AUDIENCE, NOW_MS, NOW_S, bearer, identities, ready};

const META: &str = "/.well-known/openid-configuration";
const MINUTE_MS: i64 = 60_000;

/// A provider that publishes its keys, and an installation that trusts it.
struct Published {
    endpoint: Endpoint,
    issuer: TestIssuer,
}

impl Published {
    fn new() -> Self {
        Self::signing_with(Algorithm::Es256)
    }
    fn signing_with(algorithm: Algorithm) -> Self {
        let endpoint = Endpoint::start();
        let issuer = TestIssuer::signing_with(endpoint.url(), AUDIENCE, algorithm);
        let published = Self { endpoint, issuer };
        published.describe(json!({}));
        published.publish();
        published
    }
    fn describe(&self, more: Json) {
        let mut page = json!({ "issuer": self.issuer.issuer, "jwks_uri": format!("{}/keys", self.endpoint.url()) });
        asuser_testkit::issuer::change(&mut page, &more);
        self.endpoint.put(META, &page.to_string());
    }
    fn publish(&self) {
        self.endpoint.put("/keys", &self.issuer.jwks());
    }
    /// Another key signs, and is the only one. Published is what was before.
    fn rotate(&mut self, kid: &str) {
        self.issuer.keys = vec![SigningKey::generate(kid, self.issuer.key().algorithm)];
    }
    fn config(&self) -> IdentityConfig {
        let mut config = self.issuer.config("company");
        (config.kind, config.jwks) = (ProviderKind::Oidc, None);
        config.allow_addresses = vec!["127.0.0.1".into()];
        config
    }
    fn identities(&self) -> Identities {
        identities(&[self.config()]).unwrap()
    }
    async fn fetched(&self) -> Identities {
        let identities = self.identities();
        identities.refresh(NOW_MS).await;
        assert!(identities.status(NOW_MS)[0].ready, "{:?}", identities.status(NOW_MS));
        identities
    }
    fn token(&self) -> String {
        self.issuer.mint(&self.issuer.claims_for("john", NOW_S))
    }
    fn token_under(&self, header: Json) -> String {
        let mut full = self.issuer.header();
        asuser_testkit::issuer::change(&mut full, &header);
        self.issuer.mint_with(&full, &self.issuer.claims_for("john", NOW_S))
    }
}

/// Without waiting: a verification that waits for anything fails here.
fn at_once(identities: &Identities, token: &str, now_ms: i64) -> Result<Arc<Verified>, Box<Refused>> {
    ready(identities.verify(&bearer(token), now_ms))
}

fn reason(result: Result<Arc<Verified>, Box<Refused>>) -> Option<Reason> {
    result.err().map(|refused| refused.problem.reason)
}

fn error_of(identities: &Identities) -> String {
    identities.status(NOW_MS)[0].fetched.clone().unwrap().error.unwrap_or_default()
}

#[tokio::test]
async fn keys_are_found_and_used() {
    let published = Published::new();
    let identities = published.identities();
    assert_eq!(identities.issuers()[0].as_str(), published.endpoint.url());
    let status = identities.status(NOW_MS);
    assert!(!status[0].ready && status[0].fetched.clone().unwrap().fetched_ms.is_none());
    // Before: it is said that they are not there, and that it is worth coming again.
    let refused = at_once(&identities, &published.token(), NOW_MS).unwrap_err();
    assert_eq!((refused.problem.reason, refused.problem.reason.status()), (Reason::KeysUnavailable, 503));
    assert!(refused.problem.retry_after_s.is_some() && refused.established.is_none());
    identities.refresh(NOW_MS).await;
    let verified = at_once(&identities, &published.token(), NOW_MS).unwrap();
    assert_eq!(verified.data().login.as_ref().unwrap().as_str(), "john");
    let status = identities.status(NOW_MS).remove(0).fetched.unwrap();
    assert_eq!(
        (status.keys, status.key_ids, status.fetched_ms, status.error),
        (1, vec!["test-1".to_owned()], Some(NOW_MS), None)
    );
    let explanation = identities.explain(&bearer(&published.token()), NOW_MS);
    assert!(explanation.accepted, "{explanation}");
    // MC-09: what goes out holds no credential.
    for head in published.endpoint.seen() {
        let head = head.to_ascii_lowercase();
        assert!(!head.contains("authorization") && !head.contains("cookie") && !head.contains("eyj"), "{head}");
    }
}

#[tokio::test]
async fn the_metadata_is_looked_for_in_both_places_or_where_it_is_said_to_be() {
    let published = Published::new();
    let page = json!({ "issuer": published.issuer.issuer, "jwks_uri": format!("{}/keys", published.endpoint.url()) })
        .to_string();
    published.endpoint.put_as(META, 404, "", "");
    published.endpoint.put("/.well-known/oauth-authorization-server", &page);
    published.fetched().await;
    published.endpoint.put_as("/.well-known/oauth-authorization-server", 404, "", "");
    let identities = published.identities();
    identities.refresh(NOW_MS).await;
    assert!(error_of(&identities).contains("answers 404"), "{}", error_of(&identities));
    published.endpoint.put("/elsewhere", &page);
    let mut config = published.config();
    config.discovery_url = Some(format!("{}/elsewhere?appid=1", published.endpoint.url()));
    published.endpoint.put("/elsewhere?appid=1", &page);
    let identities = crate::rig::identities(&[config]).unwrap();
    identities.refresh(NOW_MS).await;
    at_once(&identities, &published.token(), NOW_MS).unwrap();
}

#[tokio::test]
async fn what_does_not_describe_this_issuer_gives_no_keys() {
    let published = Published::new();
    let url = published.endpoint.url();
    for (more, word) in [
        (json!({ "issuer": format!("{url}/") }), "trailing slash"),
        (json!({ "issuer": "https://evil.example" }), "copy the issuer"),
        (json!({ "jwks_uri": null }), "no `jwks_uri`"),
        (json!({ "jwks_uri": "http://10.0.0.1/keys" }), "private"),
        (json!({ "jwks_uri": "https://169.254.169.254/latest/meta-data" }), "metadata"),
        (json!({ "jwks_uri": "file:///etc/passwd" }), "it is no URL"),
        (json!({ "jwks_uri": format!("{url}/moved") }), "not followed"),
        (json!({ "jwks_uri": format!("{url}/gone") }), "answers 404"),
        (json!({ "jwks_uri": format!("{url}/html") }), "not a JWK Set"),
        (json!({ "jwks_uri": format!("{url}/none") }), "no key"),
    ] {
        published.endpoint.put_as("/moved", 302, &format!("Location: {url}/keys\r\n"), "");
        published.endpoint.put("/html", "<html>");
        published.endpoint.put("/none", "{\"keys\":[]}");
        published.describe(more.clone());
        let identities = published.identities();
        identities.refresh(NOW_MS).await;
        assert!(error_of(&identities).contains(word), "{more}: {}", error_of(&identities));
        assert_eq!(reason(at_once(&identities, &published.token(), NOW_MS)), Some(Reason::KeysUnavailable), "{more}");
    }
    assert_eq!(published.endpoint.count("/keys"), 0);
    // An address of this machine is not fetched from unless that is allowed.
    published.describe(json!({}));
    let mut config = published.config();
    config.allow_addresses = vec!["10.0.0.0/8".into()];
    let identities = crate::rig::identities(&[config]).unwrap();
    identities.refresh(NOW_MS).await;
    assert!(error_of(&identities).contains("this machine's own"), "{}", error_of(&identities));
    published.fetched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_fetched_when_its_first_token_comes() {
    let mut published = Published::new();
    let identities = published.fetched().await;
    let clock = Arc::new(FixedClock::at(NOW_MS));
    identities.spawn_refresh(&(clock.clone() as Arc<dyn Clock>));
    published.rotate("new-2");
    published.publish();
    let token = published.token();
    identities.verify(&bearer(&token), NOW_MS).await.unwrap();
    assert_eq!(published.endpoint.count("/keys"), 2);
    // One more rotation within five minutes has to wait; a verification does not wait for it.
    published.rotate("new-3");
    published.publish();
    let newer = published.token();
    assert_eq!(reason(at_once(&identities, &newer, NOW_MS + 5 * MINUTE_MS - 1)), Some(Reason::BadSignature));
    assert_eq!(published.endpoint.count("/keys"), 2);
    clock.set(NOW_MS + 5 * MINUTE_MS);
    identities.verify(&bearer(&newer), NOW_MS + 5 * MINUTE_MS).await.unwrap();
    assert_eq!((published.endpoint.count("/keys"), published.endpoint.count(META)), (3, 1));
}

/// JW-11.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unknown_keys_is_one_request() {
    let published = Published::new();
    let identities = Arc::new(published.fetched().await);
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::at(NOW_MS));
    identities.spawn_refresh(&clock);
    let mut flood = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let kid = match number % 4 {
            0 => "../../dev/null".to_owned(),
            1 => format!("' OR 1=1 --{number}"),
            2 => "k".repeat(10_000),
            _ => format!("key-{number}"),
        };
        let token = published.token_under(json!({ "kid": kid }));
        let identities = identities.clone();
        flood.spawn(async move { reason(identities.verify(&bearer(&token), NOW_MS + number * 10).await) });
    }
    for refused in flood.join_all().await {
        assert_eq!(refused, Some(Reason::BadSignature));
    }
    assert_eq!(published.endpoint.count("/keys"), 2);
    at_once(&identities, &published.token(), NOW_MS).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_does_not_answer_costs_nobody_whose_key_is_known() {
    let mut published = Published::new();
    let other = TestIssuer::new("https://other.example.com", AUDIENCE);
    let identities = identities(&[published.config(), other.config("other")]).unwrap();
    let clock = Arc::new(FixedClock::at(NOW_MS));
    published.endpoint.hold(true);
    identities.spawn_refresh(&(clock.clone() as Arc<dyn Clock>));
    // At the start there are no keys: its people wait a bounded time and are told; others do not wait.
    at_once(&identities, &other.mint(&other.claims_for("john", NOW_S)), NOW_MS).unwrap();
    let token = published.token();
    assert_eq!(reason(identities.verify(&bearer(&token), NOW_MS).await), Some(Reason::KeysUnavailable));
    published.endpoint.hold(false);
    while !identities.status(clock.now_ms())[0].ready {
        // A verification waits for a fetch that is under way.
        let _not_yet = identities.verify(&bearer(&token), clock.now_ms()).await;
        clock.set(clock.now_ms() + 100);
    }
    at_once(&identities, &token, clock.now_ms()).unwrap();
    // Later: an unknown key waits, known ones do not.
    published.endpoint.hold(true);
    let known = published.token_under(json!({ "typ": "application/at+jwt" }));
    published.rotate("new-2");
    let unknown = published.token();
    let now_ms = clock.now_ms();
    let shown = bearer(&unknown);
    let (waited, ()) = tokio::join!(identities.verify(&shown, now_ms), async {
        at_once(&identities, &known, now_ms).unwrap();
        at_once(&identities, &token, now_ms).unwrap();
    });
    assert_eq!(reason(waited), Some(Reason::BadSignature));
    published.endpoint.hold(false);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_are_counted() {
    let published = Published::new();
    let identities = published.fetched().await;
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::at(NOW_MS));
    identities.spawn_refresh(&clock);
    published.endpoint.hold(true);
    let credential = bearer(&published.token_under(json!({ "kid": "unknown" })));
    let mut asking: Vec<_> = (0..257).map(|_| Box::pin(identities.verify(&credential, NOW_MS))).collect();
    let mut last = asking.pop().unwrap();
    for one in &mut asking {
        assert!(poll(one.as_mut()).is_pending());
    }
    assert!(poll(last.as_mut()).is_ready(), "no place is left");
    drop(asking);
    let mut next = Box::pin(identities.verify(&credential, NOW_MS));
    assert!(poll(next.as_mut()).is_pending(), "who gave up left theirs");
    published.endpoint.hold(false);
    assert_eq!(reason(next.await), Some(Reason::BadSignature));
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

#[tokio::test]
async fn keys_that_were_known_serve_for_a_day() {
    let published = Published::new();
    let identities = published.fetched().await;
    let token = |now_ms: i64| published.issuer.mint(&published.issuer.claims_for("john", now_ms / 1000));
    published.endpoint.put_as("/keys", 500, "", "on fire");
    published.endpoint.put_as(META, 500, "", "on fire");
    let day_ms = 24 * 60 * MINUTE_MS;
    for hours in [1, 5, 23] {
        let now_ms = NOW_MS + hours * 60 * MINUTE_MS;
        identities.refresh(now_ms).await;
        at_once(&identities, &token(now_ms), now_ms).unwrap();
        let status = identities.status(now_ms).remove(0);
        assert!(status.ready && status.fetched.unwrap().error.unwrap().contains("answers 500"));
    }
    // A verdict that is remembered ends with them, too.
    let last = token(NOW_MS + day_ms - 1);
    at_once(&identities, &last, NOW_MS + day_ms - 1).unwrap();
    assert_eq!(reason(at_once(&identities, &last, NOW_MS + day_ms)), Some(Reason::KeysUnavailable));
    assert!(!identities.status(NOW_MS + day_ms)[0].ready);
    published.publish();
    published.describe(json!({}));
    identities.refresh(NOW_MS + day_ms + 5 * MINUTE_MS).await;
    at_once(&identities, &last, NOW_MS + day_ms + 5 * MINUTE_MS).unwrap();
}

#[tokio::test]
async fn a_removed_key_takes_its_verdicts_along_and_an_unchanged_set_keeps_them() {
    let mut published = Published::new();
    let identities = published.fetched().await;
    let token = published.token();
    let first = at_once(&identities, &token, NOW_MS).unwrap();
    let hour_ms = 60 * MINUTE_MS;
    identities.refresh(NOW_MS + hour_ms - 1).await;
    assert_eq!(published.endpoint.count("/keys"), 1, "not before it is time");
    identities.refresh(NOW_MS + hour_ms).await;
    assert_eq!(published.endpoint.count("/keys"), 2);
    let again = at_once(&identities, &token, NOW_MS + MINUTE_MS).unwrap();
    assert!(Arc::ptr_eq(&first, &again), "remembered");
    published.rotate("new-2");
    published.publish();
    identities.refresh(NOW_MS + 2 * hour_ms).await;
    assert_eq!(reason(at_once(&identities, &token, NOW_MS + MINUTE_MS)), Some(Reason::BadSignature));
    at_once(&identities, &published.token(), NOW_MS).unwrap();
}

#[tokio::test]
async fn cache_control_can_only_hurry_and_not_too_much() {
    for (said, due_s) in
        [("max-age=10", 300), ("no-store", 300), ("max-age=900", 900), ("max-age=999999", 3600), ("x", 3600)]
    {
        let published = Published::new();
        published.endpoint.put_as("/keys", 200, &format!("Cache-Control: {said}\r\n"), &published.issuer.jwks());
        let identities = published.fetched().await;
        identities.refresh(NOW_MS + due_s * 1000 - 1).await;
        assert_eq!(published.endpoint.count("/keys"), 1, "{said}");
        identities.refresh(NOW_MS + due_s * 1000).await;
        assert_eq!(published.endpoint.count("/keys"), 2, "{said}");
    }
}

#[tokio::test]
async fn a_provider_that_fails_is_not_hammered() {
    let published = Published::new();
    published.endpoint.put_as(META, 500, "", "");
    let identities = published.identities();
    for second in 0..600 {
        identities.refresh(NOW_MS + second * 1000).await;
    }
    let asked = published.endpoint.count(META);
    assert!((8..=20).contains(&asked), "{asked}");
}

#[tokio::test]
async fn one_odd_key_shuts_out_nobody() {
    let published = Published::new();
    let good = published.issuer.key().public_jwk();
    let odd = json!({ "keys": [
        7, {}, { "kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "weak" }, { "kty": "oct", "k": "c2VjcmV0", "kid": "secret" },
        { "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "AA", "kid": "private" },
        { "kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB", "kid": "encrypts" }, { "kty": "AKP", "alg": "ML-DSA-44", "kid": "new" },
        good,
    ] });
    published.endpoint.put("/keys", &odd.to_string());
    let identities = published.fetched().await;
    at_once(&identities, &published.token(), NOW_MS).unwrap();
    let status = identities.status(NOW_MS).remove(0).fetched.unwrap();
    assert_eq!(status.keys, 1);
    assert!(status.notes.iter().any(|note| note.contains("private key")), "{:?}", status.notes);
    // Two keys of one name: a token could choose.
    let second = SigningKey::generate("test-1", Algorithm::Es256).public_jwk();
    let other = SigningKey::generate("other", Algorithm::Es256).public_jwk();
    published.endpoint.put("/keys", &json!({ "keys": [good, second, other] }).to_string());
    let identities = published.fetched().await;
    assert_eq!(reason(at_once(&identities, &published.token(), NOW_MS)), Some(Reason::BadSignature));
    // Where nothing is left, what was before stays.
    published.publish();
    let identities = published.fetched().await;
    published.endpoint.put("/keys", &json!({ "keys": [{}] }).to_string());
    identities.refresh(NOW_MS + 60 * MINUTE_MS).await;
    at_once(&identities, &published.token(), NOW_MS + MINUTE_MS).unwrap();
}

#[tokio::test]
async fn a_reload_that_changes_nothing_here_fetches_nothing() {
    let published = Published::new();
    let before = published.fetched().await;
    let reloaded = |change: &dyn Fn(&mut IdentityConfig)| {
        let mut config = published.config();
        change(&mut config);
        let reloaded = identities(&[config]).unwrap();
        reloaded.adopt_keys(&before);
        reloaded
    };
    let same = reloaded(&|config| config.leeway_s = 60);
    same.refresh(NOW_MS).await;
    at_once(&same, &published.token(), NOW_MS).unwrap();
    assert_eq!(published.endpoint.count("/keys"), 1);
    // What says where they come from is another thing, and so is whom to trust there.
    for change in [
        (&|config: &mut IdentityConfig| config.name = "other".into()) as &dyn Fn(&mut IdentityConfig),
        &|config| config.discovery_url = Some(format!("{}{META}", published.endpoint.url())),
        &|config| config.allow_addresses.push("10.0.0.0/8".into()),
        &|config| config.keys_max_age_s = Some(7200),
    ] {
        let other = reloaded(change);
        let before = published.endpoint.count("/keys");
        assert!(!other.status(NOW_MS)[0].ready);
        other.refresh(NOW_MS).await;
        assert_eq!(published.endpoint.count("/keys"), before + 1 - usize::from(!other.status(NOW_MS)[0].ready));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_fetches_ends_with_it() {
    let published = Published::new();
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::at(NOW_MS));
    let identities = published.identities();
    identities.spawn_refresh(&clock);
    identities.spawn_refresh(&clock);
    identities.verify(&bearer(&published.token()), NOW_MS).await.unwrap();
    assert_eq!(Arc::strong_count(&clock), 2, "one task holds it, however often it is asked for");
    drop(identities);
    while Arc::strong_count(&clock) > 1 {
        tokio::task::yield_now().await;
    }
}

/// JW-03.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_names_is_never_fetched() {
    let published = Published::new();
    let canary = Endpoint::start();
    let attacker = TestIssuer::new(published.issuer.issuer.clone(), AUDIENCE);
    canary.put("/keys", &attacker.jwks());
    let identities = published.fetched().await;
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::at(NOW_MS));
    identities.spawn_refresh(&clock);
    let url = format!("{}/keys", canary.url());
    for header in [
        json!({ "jku": url }),
        json!({ "x5u": url }),
        json!({ "jku": url, "kid": "unknown" }),
        json!({ "jwk": attacker.key().public_jwk() }),
        json!({ "kid": url }),
        json!({ "iss": canary.url(), "kid": "x" }),
    ] {
        let mut full = attacker.header();
        asuser_testkit::issuer::change(&mut full, &header);
        let claims = attacker.claims_for("john", NOW_S);
        let token = attacker.mint_with(&full, &claims);
        assert_eq!(reason(identities.verify(&bearer(&token), NOW_MS).await), Some(Reason::BadSignature), "{header}");
    }
    let mut claims = attacker.claims_for("john", NOW_S);
    asuser_testkit::issuer::change(&mut claims, &json!({ "iss": canary.url(), "jwks_uri": url }));
    let refused = identities.verify(&bearer(&attacker.mint(&claims)), NOW_MS).await;
    assert_eq!(reason(refused), Some(Reason::UnknownIssuer));
    assert!(canary.seen().is_empty());
    at_once(&identities, &published.token(), NOW_MS).unwrap();
}

/// AD FS names its key by the certificate alone, and its access tokens have an issuer of their own.
#[tokio::test(flavor = "multi_thread")]
async fn adfs_keys_are_named_by_their_certificate() {
    let mut published = Published::signing_with(Algorithm::Rs256);
    published.describe(json!({ "access_token_issuer": "http://fs.example.com/adfs/services/trust" }));
    let mut config = published.config();
    (config.profile, config.algorithms) = ("adfs".into(), None);
    let claims = json!({
        "iss": "http://fs.example.com/adfs/services/trust", "aud": AUDIENCE, "sub": "x9", "appid": "e2a1", "scp": "openid",
        "iat": NOW_S, "exp": NOW_S + 3600, "upn": "ada@corp.example",
    });
    let other = SigningKey::generate("other", Algorithm::Rs256);
    let sign = |published: &Published, x5t: &str| {
        published.issuer.mint_with(&json!({ "typ": "JWT", "alg": "RS256", "x5t": x5t }), &claims)
    };
    let jwk = |key: &SigningKey, x5t: &str| {
        let mut jwk = key.public_jwk();
        asuser_testkit::issuer::change(&mut jwk, &json!({ "x5t": x5t, "kid": null, "alg": null }));
        jwk
    };
    published
        .endpoint
        .put("/keys", &json!({ "keys": [jwk(&other, "old"), jwk(published.issuer.key(), "now")] }).to_string());
    // The metadata says so where the configuration does not.
    let silent = identities(&[config.clone()]).unwrap();
    silent.refresh(NOW_MS).await;
    assert!(silent.status(NOW_MS)[0].fetched.clone().unwrap().notes[0].contains("access_token_issuers"));
    assert_eq!(reason(at_once(&silent, &sign(&published, "now"), NOW_MS)), Some(Reason::UnknownIssuer));
    config.access_token_issuers = vec!["http://fs.example.com/adfs/services/trust".into()];
    let identities = identities(&[config]).unwrap();
    identities.refresh(NOW_MS).await;
    let verified = at_once(&identities, &sign(&published, "now"), NOW_MS).unwrap();
    assert_eq!(verified.data().key.issuer.as_str(), published.endpoint.url());
    assert_eq!(reason(at_once(&identities, &sign(&published, "old"), NOW_MS)), Some(Reason::BadSignature));
    // A new certificate is fetched when its first token comes, as a new `kid` is.
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::at(NOW_MS));
    identities.spawn_refresh(&clock);
    published.rotate("-");
    published.endpoint.put("/keys", &json!({ "keys": [jwk(published.issuer.key(), "next")] }).to_string());
    identities.verify(&bearer(&sign(&published, "next")), NOW_MS).await.unwrap();
}

/// Entra's `common`: one set for all tenants, and each key says whose tokens it signs.
#[tokio::test]
async fn a_key_signs_for_the_tenants_that_it_names() {
    const TENANTS: [&str; 2] = ["72f988bf-0000-41af-91ab-2d7cd011db47", "11111111-2222-4333-8444-555555555555"];
    let published = Published::signing_with(Algorithm::Rs256);
    let url = published.endpoint.url();
    let template = format!("{url}/{{tenantid}}/v2.0");
    let page = json!({ "issuer": template, "jwks_uri": format!("{url}/keys") });
    published.endpoint.put("/common/v2.0/.well-known/openid-configuration", &page.to_string());
    let mut config = published.config();
    (config.profile, config.algorithms, config.issuer) = ("entra-v2".into(), None, template.as_str().into());
    config.tenants = TENANTS.map(str::to_owned).to_vec();
    config.access_token_issuers = vec!["https://sts.windows.net/{tenantid}/".into()];
    let token = |iss: String, tid: &str, ver: &str| {
        let claims = json!({
            "iss": iss, "aud": AUDIENCE, "sub": "x", "oid": TENANTS[1], "tid": tid, "azp": "agent", "scp": "a", "ver": ver,
            "iat": NOW_S, "exp": NOW_S + 3600,
        });
        published.issuer.mint_with(&json!({ "typ": "JWT", "alg": "RS256", "kid": "test-1" }), &claims)
    };
    for (key_issuer, first, second) in [
        (template.clone(), true, true),
        (template.replace("{tenantid}", TENANTS[0]), true, false),
        ("https://x".into(), false, false),
    ] {
        let mut jwk = published.issuer.key().public_jwk();
        asuser_testkit::issuer::change(&mut jwk, &json!({ "issuer": key_issuer }));
        published.endpoint.put("/keys", &json!({ "keys": [jwk] }).to_string());
        let identities = identities(&[config.clone()]).unwrap();
        identities.refresh(NOW_MS).await;
        for (tid, good) in [(TENANTS[0], first), (TENANTS[1], second)] {
            let v1 = token(format!("https://sts.windows.net/{tid}/"), tid, "1.0");
            for token in [token(template.replace("{tenantid}", tid), tid, "2.0"), v1] {
                let expected = (!good).then_some(Reason::BadSignature);
                assert_eq!(reason(at_once(&identities, &token, NOW_MS)), expected, "{key_issuer} {tid}");
            }
        }
        assert_eq!(identities.issuers().len(), 2);
    }
}

#[test]
fn blocks_are_complete_and_sane() {
    let published = Published::new();
    let wrong = |change: &dyn Fn(&mut IdentityConfig)| {
        let mut config = published.config();
        change(&mut config);
        identities(&[config]).expect_err("the configuration must be refused").to_string()
    };
    for (change, word) in [
        (
            (&|config: &mut IdentityConfig| config.jwks = Some("{}".into())) as &dyn Fn(&mut IdentityConfig),
            "remove jwks",
        ),
        (&|config| config.secret = Some("env:X".into()), "remove secret"),
        (&|config| config.pem_file = Some("x".into()), "remove pem_file"),
        (&|config| config.algorithms = Some(vec![Algorithm::Hs256]), "shared secret"),
        (&|config| config.algorithms = Some(Vec::new()), "algorithms is empty"),
        (&|config| config.keys_refresh_s = Some(299), "keys_refresh_s"),
        (&|config| config.keys_max_age_s = Some(3599), "keys_max_age_s"),
        (&|config| config.keys_max_age_s = Some(700_000), "keys_max_age_s"),
        (&|config| config.allow_addresses = vec!["10.1".into()], "allow_addresses"),
        (&|config| config.allow_addresses = Vec::new(), "not encrypted"),
        (&|config| config.issuer = "urn:idp".into(), "discovery_url"),
        (&|config| config.discovery_url = Some("idp".into()), "discovery_url"),
        (&|config| config.tls_ca = Some("missing.pem".into()), "missing.pem"),
        (&|config| config.access_token_issuers = vec!["".into()], "access_token_issuers"),
    ] {
        let error = wrong(change);
        assert!(error.contains(word) && error.contains("`company`"), "{error}");
    }
    for change in [
        (&|config: &mut IdentityConfig| config.discovery_url = Some("https://x".into()))
            as &dyn Fn(&mut IdentityConfig),
        &|config| config.tls_ca = Some("x".into()),
        &|config| config.allow_addresses = vec!["127.0.0.1".into()],
        &|config| config.keys_refresh_s = Some(3600),
        &|config| config.keys_max_age_s = Some(86_400),
    ] {
        let mut config = published.issuer.config("company");
        change(&mut config);
        assert!(identities(&[config]).unwrap_err().to_string().contains("fetches nothing"));
    }
}
