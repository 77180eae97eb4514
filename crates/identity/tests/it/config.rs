//! Configurations that can be used, and those that cannot; each message names the provider and says what to do.

use std::path::Path;

use asuser_core::Secret;
use asuser_identity::{Algorithm, AttributeType, ConfigError, Identities, IdentityConfig};
use asuser_testkit::issuer::{SigningKey, TestIssuer, pem};
use serde_json::json;

use crate::rig::{AUDIENCE, ISSUER, NOW_MS, Rig, identities, verify};

#[derive(serde::Deserialize)]
struct File {
    identity: Vec<IdentityConfig>,
}

fn read(text: &str) -> Result<Vec<IdentityConfig>, String> {
    toml::from_str::<File>(text).map(|file| file.identity).map_err(|error| error.to_string())
}

/// What is wrong with an honest configuration after this change.
fn wrong(change: impl FnOnce(&mut IdentityConfig)) -> String {
    let mut config = TestIssuer::new(ISSUER, AUDIENCE).config("okta");
    identities(std::slice::from_ref(&config)).unwrap();
    change(&mut config);
    let error = identities(&[config]).expect_err("the configuration must be refused").to_string();
    assert!(error.contains("`okta`"), "{error}");
    error
}

#[test]
fn a_block_reads_from_toml() {
    let full = r#"
        [[identity]]
        name = "okta"
        kind = "jwt"
        profile = "custom"
        issuer = "https://idp.example.com"
        audience = ["https://data.example.com", "api://data"]
        algorithms = ["ES256", "EdDSA"]
        jwks_file = "keys/okta.json"
        leeway_s = 5
        lifetime_s_max = 3600
        domains = ["example.com"]
        scope_required = true
        [identity.mapping]
        subject = "oid"
        login = "upn"
        groups = "realm_access.roles"
        [identity.attributes]
        region = { claim = "address.region", type = "string" }
        [[identity]]
        name = "small"
        kind = "jwt"
        issuer = "https://small.example.com"
        audience = "https://data.example.com"
        pem_file = "small.pem"
    "#;
    let configs = read(full).unwrap();
    let [okta, small] = &configs[..] else { panic!("two blocks") };
    assert_eq!((okta.mapping.login.as_str(), okta.mapping.email.as_str()), ("upn", "email"));
    assert_eq!(okta.attributes["region"].kind, AttributeType::String);
    assert_eq!(
        (small.profile.as_str(), small.leeway_s, small.mapping.login.as_str()),
        ("rfc9068", 30, "preferred_username")
    );

    for (from, to) in [
        ("leeway_s = 5", "leeway = 5"),
        ("login = \"upn\"", "logn = \"upn\""),
        ("type = \"string\"", "type = \"text\""),
        ("kind = \"jwt\"", "kind = \"jvt\""),
        ("\"EdDSA\"", "\"none\""),
        ("\"EdDSA\"", "\"eddsa\""),
        ("audience = [", "audience = [1, "),
        ("audience = \"https", "audience2 = \"https"),
    ] {
        assert!(full.contains(from));
        assert!(read(&full.replace(from, to)).is_err(), "{to}");
    }
}

#[test]
fn keys_come_from_one_place() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let issuer = TestIssuer::new(ISSUER, AUDIENCE);
    let token = issuer.mint(&issuer.claims_for("john", NOW_MS / 1000));
    let path = issuer.write_jwks(folder);
    std::fs::write(folder.join("key.json"), issuer.key().public_jwk().to_string()).unwrap();
    std::fs::write(folder.join("key.pem"), format!("subject=x\n{}", issuer.key().public_pem())).unwrap();

    let with = |change: &dyn Fn(&mut IdentityConfig)| {
        let mut config = issuer.config("okta");
        (config.jwks, config.algorithms) = (None, None);
        change(&mut config);
        Identities::new(&[config], folder, &|_| Err("no secrets".into()))
    };
    let good: [&dyn Fn(&mut IdentityConfig); 6] = [
        &|config| config.jwks_file = Some("jwks.json".into()),
        &|config| config.jwks_file = Some(path.clone()),
        &|config| config.jwk_file = Some("key.json".into()),
        &|config| config.pem_file = Some("key.pem".into()),
        &|config| config.jwks = Some(issuer.jwks()),
        &|config| config.pem = Some(issuer.key().public_pem()),
    ];
    for change in good {
        verify(&with(change).unwrap(), &token, NOW_MS).unwrap();
    }
    assert!(with(&|_| {}).unwrap_err().to_string().contains("no keys: add jwks_file"));
    let two = with(&|config| (config.jwks, config.jwks_file) = (Some(issuer.jwks()), Some("jwks.json".into())));
    assert!(two.unwrap_err().to_string().contains("keep one"));
    assert!(
        with(&|config| config.jwks_file = Some("missing.json".into()))
            .unwrap_err()
            .to_string()
            .contains("missing.json")
    );
    std::fs::write(folder.join("large.json"), " ".repeat((1 << 20) + 1)).unwrap();
    assert!(
        with(&|config| config.jwks_file = Some("large.json".into()))
            .unwrap_err()
            .to_string()
            .contains("larger than 1 MiB")
    );
}

#[test]
fn pem_blocks_of_every_kind() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::Es512, Algorithm::EdDsa] {
        let issuer = TestIssuer::signing_with(ISSUER, AUDIENCE, algorithm);
        let other = SigningKey::generate("other", Algorithm::Es256).public_pem();
        let trusting = |pem: String| {
            let mut config = issuer.config("pem");
            (config.jwks, config.pem, config.algorithms) = (None, Some(pem), Some(vec![Algorithm::Es256, algorithm]));
            identities(&[config]).unwrap()
        };
        let token = issuer.mint(&issuer.claims_for("john", NOW_MS / 1000));
        verify(&trusting(format!("{other}{}", issuer.key().public_pem())), &token, NOW_MS).unwrap();
        assert!(verify(&trusting(other), &token, NOW_MS).is_err(), "{algorithm}");
    }
    let good = SigningKey::generate("x", Algorithm::Es256).public_pem();
    let der = pem("PUBLIC KEY", b"\x30\x03\x02\x01\x05");
    // A P-256 key in DER is 30 59, an algorithm of 21 octets, 03 42 00 04, x and y.
    let body: String = good.lines().filter(|line| !line.starts_with('-')).collect();
    let bytes = data_encoding::BASE64.decode(body.as_bytes()).unwrap();
    let (algorithm, x) = (&bytes[2..23], &bytes[27..59]);
    let compressed = [b"\x30\x39", algorithm, b"\x03\x22\x00\x02", x].concat();
    let longer_length = [b"\x30\x81", &bytes[1..]].concat();
    let trailing = [&bytes[..], b"\x00"].concat();
    for (text, what) in [
        (pem("PRIVATE KEY", b"x"), "private key"),
        (pem("EC PRIVATE KEY", b"x"), "private key"),
        (format!("{good}{}", pem("RSA PRIVATE KEY", b"x")), "private key"),
        (pem("CERTIFICATE", b"x"), "openssl x509"),
        (pem("SSH KEY", b"x"), "another kind"),
        (der, "malformed"),
        (pem("PUBLIC KEY", &compressed), "uncompressed"),
        (pem("PUBLIC KEY", &longer_length), "malformed"),
        (pem("PUBLIC KEY", &trailing), "malformed"),
        (good.replace("END PUBLIC", "END PRIVATE"), "does not end"),
        (good.replace("MF", "*F"), "base64"),
        (String::new(), "no key"),
        ("no block at all".into(), "no key"),
    ] {
        let error = wrong(|config| (config.jwks, config.pem) = (None, Some(text.clone())));
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn a_set_of_keys_is_sound() {
    let key = SigningKey::generate("a", Algorithm::Es256);
    let honest = key.public_jwk();
    let with = |changes: serde_json::Value| {
        let mut jwk = honest.clone();
        jwk.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        jwk
    };
    let set = |keys: &[serde_json::Value]| json!({ "keys": keys }).to_string();
    let other = SigningKey::generate("b", Algorithm::EdDsa).public_jwk();
    let encryption = json!({ "kty": "RSA", "kid": "e", "use": "enc", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB" });
    let unknown = json!({ "kty": "AKP", "kid": "f", "alg": "ML-DSA-44", "pub": "x" });
    let fine = set(&[
        honest.clone(),
        other.clone(),
        encryption.clone(),
        unknown.clone(),
        with(json!({ "kid": "c", "key_ops": ["verify"] })),
    ]);
    let mut config = TestIssuer::new(ISSUER, AUDIENCE).config("okta");
    config.jwks = Some(fine);
    identities(&[config]).unwrap();

    let secret =
        json!({ "kty": "oct", "kid": "s", "alg": "HS256", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T" });
    let coordinate = honest["x"].as_str().unwrap();
    let ones = |bytes: usize| data_encoding::BASE64URL_NOPAD.encode(&vec![0xff; bytes]);
    for (text, what) in [
        (set(&[honest.clone(), honest.clone()]), "two keys have the kid"),
        (set(&[honest.clone(), secret.clone()]), "symmetric"),
        (set(&[secret]), "symmetric"),
        (set(&[with(json!({ "k": "abc" }))]), "symmetric"),
        (set(&[with(json!({ "d": coordinate }))]), "private key"),
        (
            set(&[honest.clone(), json!({ "kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB", "d": "AQAB" })]),
            "private key",
        ),
        (set(&[encryption, unknown]), "no key that can verify"),
        (set(&[with(json!({ "use": "enc" }))]), "no key that can verify"),
        (set(&[with(json!({ "key_ops": ["sign"] }))]), "no key that can verify"),
        (set(&[with(json!({ "alg": "ES384" }))]), "does not fit"),
        (set(&[with(json!({ "alg": "RS256" }))]), "does not fit"),
        (set(&[with(json!({ "alg": "none" }))]), "no key that can verify"),
        (set(&[with(json!({ "crv": "P-384" }))]), "bytes instead of 48"),
        (set(&[with(json!({ "crv": "secp256k1" }))]), "no key that can verify"),
        (set(&[with(json!({ "y": coordinate }))]), "not a valid public key"),
        (set(&[with(json!({ "x": format!("{coordinate}=") }))]), "base64url"),
        (set(&[with(json!({ "kid": 1 }))]), "not a text"),
        (set(&[with(json!({ "kid": "" }))]), "empty"),
        (set(&[with(json!({ "kty": "RSA" }))]), "no `n`"),
        (set(&[json!({ "kty": "RSA", "n": ones(128), "e": "AQAB" })]), "1024 bits"),
        (set(&[json!({ "kty": "RSA", "n": ones(256), "e": "AQ" })]), "unacceptable"),
        (set(&[json!({ "kty": "RSA", "n": ones(256), "e": "Ag" })]), "unacceptable"),
        (set(&[]), "no key"),
        ("{}".into(), "no list"),
        ("[]".into(), "not a JWK Set"),
        (honest.to_string(), "no list"),
        (set(std::slice::from_ref(&honest)).replacen("\"kty\"", "\"kty\":\"EC\",\"kty\"", 1), "occurs twice"),
    ] {
        let error = wrong(|config| config.jwks = Some(text.clone()));
        assert!(error.contains(what), "{what}: {error}");
    }
    let many: Vec<_> = (0..65).map(|number| with(json!({ "kid": number.to_string() }))).collect();
    assert!(wrong(|config| config.jwks = Some(set(&many))).contains("65 keys"));
}

#[test]
fn too_many_nameless_keys_demand_a_name() {
    let mut keys: Vec<_> = (0..8).map(|_| SigningKey::generate("x", Algorithm::Es256)).collect();
    let jwks = |keys: &[SigningKey]| {
        let jwks: Vec<_> = keys
            .iter()
            .map(|key| {
                let mut jwk = key.public_jwk();
                jwk.as_object_mut().unwrap().remove("kid");
                jwk
            })
            .collect();
        json!({ "keys": jwks }).to_string()
    };
    let issuer = TestIssuer::new(ISSUER, AUDIENCE);
    let claims = issuer.claims_for("john", NOW_MS / 1000).to_string();
    let token = keys[7].sign_compact(r#"{"typ":"at+jwt","alg":"ES256"}"#, &claims);
    let mut config = issuer.config("okta");
    config.jwks = Some(jwks(&keys));
    verify(&identities(&[config.clone()]).unwrap(), &token, NOW_MS).unwrap();
    keys.push(SigningKey::generate("x", Algorithm::Es256));
    config.jwks = Some(jwks(&keys));
    let refused = verify(&identities(&[config]).unwrap(), &token, NOW_MS).unwrap_err();
    assert!(refused.problem.detail.unwrap().contains("must name one"));
}

#[test]
fn a_shared_secret_is_expressly_one() {
    let secret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let with = |reference: &str, algorithms: Option<Vec<Algorithm>>| {
        let mut config = TestIssuer::new(ISSUER, AUDIENCE).config("okta");
        (config.jwks, config.algorithms, config.secret) = (None, algorithms, Some(reference.into()));
        let resolve = |reference: &str| match reference.split_once(':') {
            Some(("env", length)) => Ok(Secret::new(secret[..length.parse::<usize>().unwrap()].to_owned())),
            _ => Err(format!("`{reference}` is not there")),
        };
        Identities::new(&[config], Path::new("."), &resolve)
    };
    for (algorithm, bytes_min) in [(Algorithm::Hs256, 32), (Algorithm::Hs384, 48), (Algorithm::Hs512, 64)] {
        let key = SigningKey::secret("s", algorithm, &secret.as_bytes()[..bytes_min]);
        let rig = Rig {
            issuer: TestIssuer { keys: vec![key], ..TestIssuer::new(ISSUER, AUDIENCE) },
            identities: with(&format!("env:{bytes_min}"), Some(vec![algorithm])).unwrap(),
        };
        let token = rig.token(json!({}));
        rig.accepts(&token);
        let wrong = SigningKey::secret("s", algorithm, &[7; 64]);
        let rig = Rig { issuer: TestIssuer { keys: vec![wrong], ..rig.issuer }, ..rig };
        rig.refuses(&rig.token(json!({})), asuser_core::Reason::BadSignature, "another secret");
        let short = with(&format!("env:{}", bytes_min - 1), Some(vec![algorithm])).unwrap_err().to_string();
        assert!(short.contains("needs at least") && !short.contains("0123"), "{short}");
        assert!(!format!("{:?}", with(&format!("env:{bytes_min}"), Some(vec![algorithm]))).contains("0123"));
    }
    with("env:32", None).unwrap();
    let literal = with(secret, None).unwrap_err().to_string();
    assert!(literal.contains("env:NAME or file:PATH") && !literal.contains(secret), "{literal}");
    assert!(
        with("env:64", Some(vec![Algorithm::Hs256, Algorithm::Rs256]))
            .unwrap_err()
            .to_string()
            .contains("RS256 does not go")
    );
    assert!(with("file:x", None).unwrap_err().to_string().contains("`file:x` is not there"));
    assert!(wrong(|config| config.algorithms = Some(vec![Algorithm::Hs256])).contains("need a shared secret"));
    assert!(
        wrong(|config| config.algorithms = Some(vec![Algorithm::Es256, Algorithm::Hs512]))
            .contains("need a shared secret")
    );
    assert!(wrong(|config| config.secret = Some("env:X".into())).contains("keep one"));
}

#[test]
fn blocks_are_complete_and_sane() {
    assert!(
        wrong(|config| config.profile = "entra".into()).contains(
            "rfc9068, entra-v1, entra-v2, okta, auth0, keycloak, cognito, adfs, google, ping, custom are known"
        )
    );
    assert!(wrong(|config| config.issuer = "".into()).contains("issuer is empty"));
    assert!(wrong(|config| config.issuer = "https://idp.example.com ".into()).contains("issuer is empty"));
    assert!(wrong(|config| config.audience = asuser_identity::OneOrMore::More(vec![])).contains("audience is empty"));
    assert!(
        wrong(|config| config.audience = asuser_identity::OneOrMore::One(String::new())).contains("audience is empty")
    );
    assert!(wrong(|config| config.leeway_s = 301).contains("at most 300"));
    assert!(wrong(|config| config.algorithms = Some(vec![])).contains("no key can do"));
    assert!(wrong(|config| config.algorithms = Some(vec![Algorithm::Rs256])).contains("the keys are for ES256"));
    for subject in ["", "email", "preferred_username", "upn", "user.email"] {
        assert!(wrong(|config| config.mapping.subject = subject.into()).contains("name a stable claim"), "{subject}");
    }
    assert!(wrong(|config| config.mapping.database_role = "email".into()).contains("say by `domains`"));
    for claim in ["preferred_username", "upn", "name", "profile.upn"] {
        let error = wrong(|config| {
            config.mapping.database_role = claim.into();
            config.domains = vec!["example.com".into()];
        });
        assert!(error.contains("can be changed by people"), "{error}");
    }
    for domain in ["", "@example.com", "exa mple.com", "https://example.com", "*"] {
        assert!(wrong(|config| config.domains = vec![domain.into()]).contains("is no domain"), "{domain}");
    }
    let attribute = |claim: &str| asuser_identity::AttributeConfig { claim: claim.into(), kind: AttributeType::Long };
    for name in ["", "Region", "1a", "a-b", "a.b", "ä", &"a".repeat(64)] {
        assert!(
            wrong(|config| drop(config.attributes.insert(name.into(), attribute("x")))).contains("needs another name"),
            "{name}"
        );
    }
    for name in ["groups", "email", "subject"] {
        assert!(wrong(|config| drop(config.attributes.insert(name.into(), attribute("x")))).contains("rename it"));
    }
    assert!(wrong(|config| drop(config.attributes.insert("a".into(), attribute("")))).contains("names no claim"));
    assert!(
        wrong(|config| drop(config.attributes.insert("a".into(), attribute("a.b.c.d.e.f.g.h.i")))).contains("parts")
    );
    assert!(
        wrong(|config| config.attributes.extend((0..65).map(|at| (format!("a{at}"), attribute("x")))))
            .contains("65 attributes")
    );
}

#[test]
fn providers_do_not_contradict_each_other() {
    assert_eq!(identities(&[]).unwrap_err(), ConfigError::None);
    let first = TestIssuer::new("https://a.example.com", AUDIENCE);
    let second = TestIssuer::new("https://b.example.com", AUDIENCE);
    let (mut a, mut b) = (first.config("a"), second.config("b"));
    let attribute = |kind| asuser_identity::AttributeConfig { claim: "x".into(), kind };
    a.attributes.insert("region".into(), attribute(AttributeType::String));
    a.attributes.insert("level".into(), attribute(AttributeType::Long));
    b.attributes.insert("region".into(), attribute(AttributeType::String));
    let both = identities(&[a.clone(), b.clone()]).unwrap();
    let schema = both.attribute_schema();
    assert_eq!(
        schema.iter().map(|(name, kind)| (name.as_str(), *kind)).collect::<Vec<_>>(),
        [("level", AttributeType::Long), ("region", AttributeType::String)]
    );

    // Each provider's keys judge its own issuer's tokens, and no other's.
    let claims = |issuer: &TestIssuer| issuer.claims_for("john", NOW_MS / 1000);
    assert_eq!(verify(&both, &first.mint(&claims(&first)), NOW_MS).unwrap().data().provider.as_str(), "a");
    assert_eq!(verify(&both, &second.mint(&claims(&second)), NOW_MS).unwrap().data().provider.as_str(), "b");
    assert!(verify(&both, &second.mint(&claims(&first)), NOW_MS).is_err());

    let mut clash = b.clone();
    clash.attributes.insert("region".into(), attribute(AttributeType::Strings));
    assert!(
        identities(&[a.clone(), clash])
            .unwrap_err()
            .to_string()
            .contains("the type `string` in provider `a` and `strings` in `b`")
    );
    let (mut first_role, mut second_role) = (a.clone(), b.clone());
    first_role.mapping.database_role = "db_role".into();
    identities(&[first_role.clone(), b.clone()]).unwrap();
    second_role.mapping.database_role = "other_claim".into();
    let error = identities(&[first_role, second_role]).unwrap_err();
    assert!(error.to_string().contains("keep mapping.database_role in one"), "{error}");
    let mut clash = b.clone();
    clash.name = "a".into();
    assert!(matches!(identities(&[a.clone(), clash]).unwrap_err(), ConfigError::DuplicateName(_)));
    let mut clash = b;
    clash.issuer = a.issuer.clone();
    assert!(matches!(identities(&[a, clash]).unwrap_err(), ConfigError::DuplicateIssuer(..)));
}

#[test]
fn the_providers_can_be_shared_between_threads() {
    const fn shared<T: Send + Sync + 'static>() {}
    shared::<Identities>();
}
