//! Forged and misused tokens (RFC 8725).

use std::net::TcpListener;

use asuser_core::Reason;
use asuser_identity::{Algorithm, OneOrMore};
use asuser_testkit::issuer::{SigningKey, TestIssuer};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value as Json, json};

use crate::rig::{AUDIENCE, ISSUER, NOW_MS, NOW_S, Rig, identities, verify};

fn base64(text: &str) -> String {
    BASE64URL_NOPAD.encode(text.as_bytes())
}

/// Header and payload with any third segment.
fn compact(header: &Json, payload: &Json, signature: &str) -> String {
    format!("{}.{}.{signature}", base64(&header.to_string()), base64(&payload.to_string()))
}

#[test]
fn jw_01_unsigned_tokens() {
    let rig = Rig::new();
    let honest = rig.token(json!({}));
    rig.accepts(&honest);
    let signature = honest.rsplit('.').next().unwrap();
    let claims = rig.claims(json!({}), &[]);
    for alg in ["none", "None", "NONE", "nOnE", "", "es256", "ES256 ", "RS256"] {
        let header = json!({ "typ": "at+jwt", "kid": "test-1", "alg": alg });
        rig.refuses(&compact(&header, &claims, ""), Reason::MalformedCredential, alg);
        rig.refuses(&compact(&header, &claims, signature), Reason::BadSignature, alg);
        rig.refuses(&rig.issuer.mint_with(&header, &claims), Reason::BadSignature, alg);
    }
    for alg in [json!(null), json!(["ES256"]), json!(256), json!({})] {
        let header = json!({ "typ": "at+jwt", "kid": "test-1", "alg": alg });
        rig.refuses(&rig.issuer.mint_with(&header, &claims), Reason::MalformedCredential, &alg.to_string());
    }
    let missing = json!({ "typ": "at+jwt", "kid": "test-1" });
    rig.refuses(&rig.issuer.mint_with(&missing, &claims), Reason::BadSignature, "no alg");
    let (header, _) = honest.split_once('.').unwrap();
    for changed in [
        format!("{header}.{}", signature),
        format!("{header}..{signature}"),
        honest.trim_end_matches(|c| c != '.').to_owned(),
    ] {
        rig.refuses(&changed, Reason::MalformedCredential, &changed);
    }
}

#[test]
fn jw_02_a_public_key_is_no_secret() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
        // The provider allows what the attacker would need, as far as a configuration can.
        let rig = Rig::of(TestIssuer::signing_with(ISSUER, AUDIENCE, algorithm), |config| config.algorithms = None);
        rig.accepts(&rig.token(json!({})));
        let key = rig.issuer.key();
        let (pem, jwk) = (key.public_pem(), key.public_jwk());
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = data_encoding::BASE64.decode(body.as_bytes()).unwrap();
        let number = jwk.get("n").or_else(|| jwk.get("x")).unwrap().as_str().unwrap().to_owned();
        let secrets = [
            pem.as_bytes().to_vec(),
            pem.trim_end().as_bytes().to_vec(),
            body.into_bytes(),
            der,
            jwk.to_string().into_bytes(),
            rig.issuer.jwks().into_bytes(),
            BASE64URL_NOPAD.decode(number.as_bytes()).unwrap(),
            number.into_bytes(),
            Vec::new(),
        ];
        for secret in secrets {
            for hs in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
                let forged = SigningKey::secret("test-1", hs, &secret);
                let header = json!({ "typ": "at+jwt", "alg": hs.as_str(), "kid": "test-1" });
                let token = forged.sign_compact(&header.to_string(), &rig.claims(json!({}), &[]).to_string());
                rig.refuses(&token, Reason::BadSignature, hs.as_str());
            }
        }
    }
}

#[test]
fn jw_03_a_token_brings_no_key_and_nothing_is_fetched() {
    let canary = TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let url = format!("http://{}/jwks.json", canary.local_addr().unwrap());
    let rig = Rig::new();
    let attacker = SigningKey::generate("test-1", Algorithm::Es256);
    let claims = rig.claims(json!({}), &[]).to_string();
    let certificate = json!(["MIIB"]);
    for (name, value) in [
        ("jwk", attacker.public_jwk()),
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("x5c", certificate),
        ("jwk", json!(null)),
    ] {
        let header = json!({ "typ": "at+jwt", "alg": "ES256", "kid": "test-1", name: value }).to_string();
        rig.refuses(&attacker.sign_compact(&header, &claims), Reason::BadSignature, name);
        // Even where the signature is the provider's.
        rig.refuses(&rig.issuer.mint_text(&header, &claims), Reason::BadSignature, name);
    }
    let sources = json!({ "_claim_names": { "x": "s" }, "_claim_sources": { "s": { "endpoint": url } } });
    rig.accepts(&rig.token(sources));
    let called = canary.accept().map_err(|error| error.kind());
    assert_eq!(called.map(|_| ()), Err(std::io::ErrorKind::WouldBlock), "the canary was called");
    rig.accepts(&rig.token(json!({})));
}

#[test]
fn jw_07_audiences_that_are_not_ours() {
    let rig = Rig::with(|config| {
        config.audience = OneOrMore::More(vec![AUDIENCE.into(), "api://data".into()]);
    });
    for aud in [json!(AUDIENCE), json!("api://data"), json!([AUDIENCE]), json!(["https://other", AUDIENCE])] {
        rig.accepts(&rig.token(json!({ "aud": aud })));
    }
    for (aud, reason) in [
        (json!("https://other"), Reason::WrongAudience),
        (json!("https://data.example.com/"), Reason::WrongAudience),
        (json!("HTTPS://DATA.EXAMPLE.COM"), Reason::WrongAudience),
        (json!(""), Reason::WrongAudience),
        (json!([]), Reason::BadClaim),
        (json!(null), Reason::BadClaim),
        (json!(["https://other"]), Reason::WrongAudience),
        (json!([AUDIENCE, 1]), Reason::BadClaim),
        (json!([[AUDIENCE]]), Reason::BadClaim),
        (json!({ AUDIENCE: true }), Reason::BadClaim),
        (json!(true), Reason::BadClaim),
    ] {
        let refused = rig.refuses(&rig.token(json!({ "aud": aud })), reason, &aud.to_string());
        assert_eq!(refused.established.unwrap().subject.as_str(), "user-john");
        assert!(!refused.problem.message.contains(AUDIENCE), "the caller is not told what would pass");
    }
    rig.refuses(&rig.token_without(&["aud"]), Reason::BadClaim, "no aud");
}

#[test]
fn jw_08_times() {
    let rig = Rig::new();
    let exp = |exp: Json| rig.token(json!({ "exp": exp, "iat": 0 }));
    // The leeway is 30 s, and "on or after" is refused.
    for good in [json!(NOW_S + 1), json!(NOW_S), json!(NOW_S - 29), json!((1_i64 << 53) - 1)] {
        rig.accepts(&exp(good));
    }
    for late in [NOW_S - 30, NOW_S - 31, NOW_S - 3600, 0] {
        let token = rig.token(json!({ "exp": late, "iat": (late - 60).max(0) }));
        let refused = rig.refuses(&token, Reason::NotInForce, "late");
        assert_eq!(refused.established.unwrap().subject.as_str(), "user-john");
    }
    rig.refuses(&rig.token_without(&["exp"]), Reason::NotInForce, "no exp");
    let ill_typed = [
        json!(null),
        json!(""),
        json!((NOW_S + 60).to_string()),
        json!(NOW_S as f64 + 60.5),
        json!(NOW_S as f64 + 60.0),
        json!(-1),
        json!(-1.0),
        json!(1e308),
        json!(1_u64 << 53),
        json!(1_u64 << 63),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(true),
        json!([NOW_S + 60]),
        json!({}),
    ];
    for value in ill_typed {
        for name in ["exp", "nbf", "iat"] {
            rig.refuses(&rig.token(json!({ name: value })), Reason::BadClaim, &format!("{name} {value}"));
        }
    }
    for text in ["1e999", "1e400", "18446744073709551616", "99999999999999999999999999", "NaN", "01", "1."] {
        let payload = rig
            .claims(json!({}), &[])
            .to_string()
            .replace(&format!("\"exp\":{}", NOW_S + 3600), &format!("\"exp\":{text}"));
        assert!(payload.contains(text));
        let token = rig.issuer.mint_text(&rig.issuer.header().to_string(), &payload);
        assert!(verify(&rig.identities, &token, NOW_MS).is_err(), "{text}");
    }
    for name in ["nbf", "iat"] {
        for good in [0, NOW_S, NOW_S + 30] {
            rig.accepts(&rig.token(json!({ name: good })));
        }
        for early in [NOW_S + 31, NOW_S + 3599, (1 << 53) - 1] {
            rig.refuses(&rig.token(json!({ name: early, "exp": (1_i64 << 53) - 1 })), Reason::NotInForce, name);
        }
    }
    rig.refuses(&rig.token(json!({ "iat": NOW_S, "exp": NOW_S })), Reason::NotInForce, "no life");
    rig.refuses(&rig.token_without(&["iat"]), Reason::NotInForce, "rfc9068 demands iat");
    let custom = Rig::custom();
    custom.accepts(&custom.token_without(&["iat", "jti", "client_id"]));
}

#[test]
fn no_clock_makes_a_verification_panic() {
    let rig = Rig::new();
    for now_ms in [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX] {
        assert!(verify(&rig.identities, &rig.token(json!({})), now_ms).is_err());
        assert!(
            verify(&rig.identities, &rig.token(json!({ "exp": (1_i64 << 53) - 1, "nbf": 0 })), now_ms).is_err()
                || now_ms > NOW_MS
        );
    }
}

#[test]
fn jw_10_other_kinds_of_tokens() {
    let rig = Rig::new();
    let custom = Rig::custom();
    for rig in [&rig, &custom] {
        rig.accepts(&rig.token(json!({})));
        for extra in [
            json!({ "nonce": "n-0S6_WzA2Mj" }),
            json!({ "at_hash": "77QmUPtjPfzWtF2AnpK9RQ" }),
            json!({ "c_hash": "LDktKdoQak3Pk0cnXxCltA" }),
            json!({ "nonce": null }),
            json!({ "events": { "http://schemas.openid.net/event/backchannel-logout": {} } }),
            json!({ "typ": "Refresh" }),
            json!({ "typ": "Offline" }),
            json!({ "typ": "ID" }),
            json!({ "typ": "Logout" }),
            json!({ "typ": 1 }),
            json!({ "token_use": "id" }),
            json!({ "token_type": "refresh" }),
        ] {
            rig.refuses(&rig.token(extra.clone()), Reason::WrongTokenType, &extra.to_string());
        }
        for extra in [json!({ "typ": "Bearer" }), json!({ "token_use": "access" })] {
            rig.accepts(&rig.token(extra));
        }
        for typ in ["logout+jwt", "dpop+jwt", "secevent+jwt", "id_token+jwt", "", "application/x/at+jwt", "at+jwt "] {
            rig.refuses(&rig.token_under(json!({ "typ": typ })), Reason::WrongTokenType, typ);
        }
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+JWT"] {
            rig.accepts(&rig.token_under(json!({ "typ": typ })));
        }
    }
    for typ in [json!("JWT"), json!(null)] {
        rig.refuses(&rig.token_under(json!({ "typ": typ })), Reason::WrongTokenType, "rfc9068 demands at+jwt");
        custom.accepts(&custom.token_under(json!({ "typ": typ })));
    }
    for name in ["client_id", "jti"] {
        rig.refuses(&rig.token_without(&[name]), Reason::BadClaim, name);
        custom.accepts(&custom.token_without(&[name]));
    }
}

#[test]
fn jw_10_other_forms_of_tokens() {
    let rig = Rig::new();
    let honest = rig.token(json!({}));
    rig.accepts(&honest);
    let parts: Vec<&str> = honest.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    let json = json!({ "protected": header, "payload": payload, "signature": signature });
    let general = json!({ "payload": payload, "signatures": [{ "protected": header, "signature": signature }] });
    for (what, token) in [
        ("JSON serialization", json.to_string()),
        ("general JSON serialization", general.to_string()),
        ("JWE", format!("{header}.{payload}.{signature}.{payload}.{signature}")),
        ("four", format!("{honest}.{signature}")),
        ("opaque", "2YotnFZFEjr1zCsicMWpAA".into()),
        ("empty", String::new()),
        ("dots", "..".into()),
        ("padding", format!("{honest}=")),
        ("blank before", format!(" {honest}")),
        ("newline after", format!("{honest}\n")),
        ("blank within", honest.replacen('.', ". ", 1)),
        ("question mark", format!("{header}?.{payload}.{signature}")),
        ("standard alphabet", format!("{header}.{payload}.+/{}", &signature[2..])),
        ("not ASCII", format!("{header}.{payload}.ä{signature}")),
        ("payload in clear", format!("{header}.{{}}.{signature}")),
    ] {
        rig.refuses(&token, Reason::MalformedCredential, what);
    }
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(["b64"])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("enc", json!("A256GCM")),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
        ("cty", json!("application/jwt")),
        ("typ", json!(1)),
        ("kid", json!(1)),
    ] {
        rig.refuses(&rig.token_under(json!({ name: value })), Reason::MalformedCredential, name);
    }
    rig.accepts(&rig.token_under(json!({ "x5t": "abc", "foo": { "bar": [] } })));
    let claims = rig.claims(json!({}), &[]).to_string();
    let header = rig.issuer.header().to_string();
    for (header, payload) in [
        (header.replacen('{', "{\"alg\":\"none\",", 1), claims.clone()),
        (header.clone(), claims.replacen('{', "{\"sub\":\"admin\",", 1)),
        (header.clone(), claims.replacen('{', "{\"\\u0073ub\":\"admin\",", 1)),
        (header.clone(), format!("[{claims}]")),
        (header.clone(), format!("{claims}{claims}")),
        (header.clone(), claims.replacen('{', &format!("{{\"x\":{}{},", "[".repeat(40), "]".repeat(40)), 1)),
        (header.clone(), String::new()),
        (header.clone(), "null".into()),
        (format!("{header} x"), claims.clone()),
    ] {
        rig.refuses(&rig.issuer.mint_text(&header, &payload), Reason::MalformedCredential, &payload);
    }
}

#[test]
fn jw_11_key_names() {
    let rig = Rig::new();
    for kid in [
        "../../dev/null".to_owned(),
        "' OR 1=1 --".into(),
        "test-1 ".into(),
        "TEST-1".into(),
        "test-1\u{0}".into(),
        String::new(),
        "k".repeat(10_000),
        "http://127.0.0.1/k".into(),
    ] {
        rig.refuses(&rig.token_under(json!({ "kid": kid })), Reason::BadSignature, &kid);
    }
    for number in 0..1000 {
        rig.refuses(&rig.token_under(json!({ "kid": format!("k{number}") })), Reason::BadSignature, "unknown kid");
    }
    // Two names in one header: not one JSON object with one meaning.
    let twice = rig.issuer.header().to_string().replacen('{', "{\"kid\":\"other\",", 1);
    rig.refuses(&rig.issuer.mint_text(&twice, "{}"), Reason::MalformedCredential, "two kids");
    rig.accepts(&rig.token(json!({})));
}

#[test]
fn a_key_without_a_name_serves_every_sound_name() {
    let rig = Rig::new();
    let mut config = rig.issuer.config("pem");
    (config.jwks, config.pem) = (None, Some(rig.issuer.key().public_pem()));
    let rig = Rig { identities: identities(&[config]).unwrap(), ..rig };
    for kid in ["test-1", "other", "../../dev/null", &"k".repeat(256)] {
        rig.accepts(&rig.token_under(json!({ "kid": kid })));
    }
    for kid in ["", &"k".repeat(257), &"k".repeat(10_000)] {
        rig.refuses(&rig.token_under(json!({ "kid": kid })), Reason::BadSignature, kid);
    }
    let stranger = Rig::new();
    rig.refuses(&stranger.token(json!({})), Reason::BadSignature, "a stranger's key");
}

#[test]
fn the_right_key_and_no_other() {
    let second = SigningKey::generate("test-2", Algorithm::Es256);
    let third = SigningKey::generate("test-3", Algorithm::EdDsa);
    let rig = Rig::of(TestIssuer::new(ISSUER, AUDIENCE).with_key(second).with_key(third), |_| {});
    let claims = rig.claims(json!({}), &[]).to_string();
    let signed = |by: usize, header: Json| rig.issuer.keys[by].sign_compact(&header.to_string(), &claims);
    for (by, kid, alg) in [(0, "test-1", "ES256"), (1, "test-2", "ES256"), (2, "test-3", "EdDSA")] {
        rig.accepts(&signed(by, json!({ "typ": "at+jwt", "kid": kid, "alg": alg })));
        // Without a name every key that fits is tried.
        rig.accepts(&signed(by, json!({ "typ": "at+jwt", "alg": alg })));
    }
    for (by, kid, alg) in [
        (0, "test-2", "ES256"),
        (1, "test-1", "ES256"),
        (0, "test-3", "ES256"),
        (2, "test-1", "EdDSA"),
        (2, "test-3", "ES256"),
    ] {
        let token = signed(by, json!({ "typ": "at+jwt", "kid": kid, "alg": alg }));
        rig.refuses(&token, Reason::BadSignature, &format!("{by} {kid} {alg}"));
    }
    let stranger = SigningKey::generate("test-1", Algorithm::Es256);
    rig.refuses(
        &stranger.sign_compact(&rig.issuer.header().to_string(), &claims),
        Reason::BadSignature,
        "a stranger's key",
    );
}

#[test]
fn every_algorithm_verifies_its_own_and_refuses_the_others() {
    let rsa =
        [Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512, Algorithm::Ps256, Algorithm::Ps384, Algorithm::Ps512];
    let mut pair = SigningKey::generate("test-1", Algorithm::Rs256);
    let mut issuers = Vec::new();
    // One RSA pair serves all six; what is published says which one it is for.
    for algorithm in rsa {
        pair = pair.used_as(algorithm);
        let mut jwk = pair.public_jwk();
        let jwks = json!({ "keys": [jwk] }).to_string();
        jwk.as_object_mut().unwrap().remove("alg");
        let open = json!({ "keys": [jwk] }).to_string();
        issuers.push((algorithm, jwks, open, pair.sign_compact(&header(algorithm), &payload())));
    }
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Es512, Algorithm::EdDsa] {
        let key = SigningKey::generate("test-1", algorithm);
        let jwks = json!({ "keys": [key.public_jwk()] }).to_string();
        issuers.push((algorithm, jwks.clone(), jwks, key.sign_compact(&header(algorithm), &payload())));
    }
    for (algorithm, jwks, open, token) in &issuers {
        for (other, .., other_token) in &issuers {
            // Only the key's own algorithm.
            let accepted = trusts(jwks, Some(vec![*algorithm, *other]), other_token);
            assert_eq!(accepted, algorithm == other, "{algorithm} key, {other} token");
            // Only what the configuration pins.
            let pinned = trusts(open, Some(vec![*algorithm]), other_token);
            assert_eq!(pinned, algorithm == other, "{algorithm} pinned, {other} token");
        }
        let customary = matches!(algorithm, Algorithm::Rs256 | Algorithm::Es256);
        let config = config_with(jwks, None);
        assert_eq!(identities(&[config]).is_ok(), customary, "{algorithm} by default");
        assert!(token.len() > 300);
    }
}

fn header(algorithm: Algorithm) -> String {
    json!({ "typ": "at+jwt", "alg": algorithm.as_str(), "kid": "test-1" }).to_string()
}

fn payload() -> String {
    Rig::new().claims(json!({}), &[]).to_string()
}

fn config_with(jwks: &str, algorithms: Option<Vec<Algorithm>>) -> asuser_identity::IdentityConfig {
    let mut config = TestIssuer::new(ISSUER, AUDIENCE).config("test");
    config.jwks = Some(jwks.into());
    config.algorithms = algorithms;
    config
}

fn trusts(jwks: &str, algorithms: Option<Vec<Algorithm>>, token: &str) -> bool {
    verify(&identities(&[config_with(jwks, algorithms)]).unwrap(), token, NOW_MS).is_ok()
}

#[test]
fn a_large_token_is_refused_unread() {
    let rig = Rig::new();
    let padded = |bytes: usize| rig.token(json!({ "x": "y".repeat(bytes) }));
    rig.accepts(&padded(10_000));
    for token in [padded(16_000), "a".repeat(1 << 20), ".".repeat(1 << 20), "{".repeat(1 << 20)] {
        let refused = rig.refuses(&token, Reason::MalformedCredential, "large");
        assert!(refused.established.is_none() && refused.problem.detail.unwrap().contains("bytes"));
    }
}
