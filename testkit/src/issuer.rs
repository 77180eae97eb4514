//! An identity provider for tests: keys made at run time, tokens of any shape, honest or broken.
//!
//! In: an issuer, an audience, an algorithm. Out: a JWK Set, an [`IdentityConfig`] that trusts it, and tokens. Nothing is refused.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot make its keys fails at once")]

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use asuser_identity::{Algorithm, IdentityConfig, MappingConfig, OneOrMore, ProviderKind};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use aws_lc_rs::{hmac, rand::SystemRandom, rsa};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value as Json, json};

/// A provider that signs whatever it is told to.
#[derive(Debug)]
pub struct TestIssuer {
    /// `iss`
    pub issuer: String,
    /// `aud`
    pub audience: String,
    /// Its keys; the first signs.
    pub keys: Vec<SigningKey>,
}

/// A key pair, or a secret, and its name.
#[derive(Debug)]
pub struct SigningKey {
    /// `kid`
    pub kid: String,
    /// `alg`
    pub algorithm: Algorithm,
    pair: Pair,
}

#[derive(Debug)]
enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(rsa::KeyPair),
    Secret(Box<hmac::Key>),
}

impl TestIssuer {
    /// A provider with a fresh ES256 key.
    #[must_use]
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self::signing_with(issuer, audience, Algorithm::Es256)
    }
    /// A provider with a fresh key for this algorithm. RSA keys take a while to make.
    #[must_use]
    pub fn signing_with(issuer: impl Into<String>, audience: impl Into<String>, algorithm: Algorithm) -> Self {
        let keys = vec![SigningKey::generate("test-1", algorithm)];
        Self { issuer: issuer.into(), audience: audience.into(), keys }
    }
    /// Adds a key; it is published, but does not sign by itself.
    #[must_use]
    pub fn with_key(mut self, key: SigningKey) -> Self {
        self.keys.push(key);
        self
    }
    /// The key that signs.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        self.keys.first().expect("an issuer has a key")
    }
    /// The public keys as a JWK Set (RFC 7517 §5).
    #[must_use]
    pub fn jwks(&self) -> String {
        json!({ "keys": self.keys.iter().map(SigningKey::public_jwk).collect::<Vec<_>>() }).to_string()
    }
    /// Writes the JWK Set into a folder and says where.
    #[must_use]
    pub fn write_jwks(&self, folder: &Path) -> PathBuf {
        let path = folder.join("jwks.json");
        std::fs::write(&path, self.jwks()).expect("the JWK Set can be written");
        path
    }
    /// A configuration that trusts this issuer: profile rfc9068, keys inline.
    #[must_use]
    pub fn config(&self, name: &str) -> IdentityConfig {
        let algorithms = self.keys.iter().map(|key| key.algorithm).collect();
        IdentityConfig {
            name: name.into(),
            kind: ProviderKind::Jwt,
            profile: "rfc9068".into(),
            issuer: self.issuer.as_str().into(),
            access_token_issuers: Vec::new(),
            tenants: Vec::new(),
            discovery_url: None,
            tls_ca: None,
            allow_addresses: Vec::new(),
            keys_refresh_s: None,
            keys_max_age_s: None,
            audience: OneOrMore::One(self.audience.clone()),
            algorithms: Some(algorithms),
            jwks_file: None,
            jwk_file: None,
            pem_file: None,
            jwks: Some(self.jwks()),
            pem: None,
            secret: None,
            leeway_s: 30,
            lifetime_s_max: None,
            domains: Vec::new(),
            scope_required: false,
            mapping: MappingConfig::default(),
            attributes: Default::default(),
        }
    }
    /// The claims of an honest access token (RFC 9068 §2.2), issued at `now_s` for an hour: `john` comes through the agent
    /// `sales-copilot`, has the e-mail address `john@example.com` and the groups `sales` and `staff`.
    #[must_use]
    pub fn claims_for(&self, login: &str, now_s: i64) -> Json {
        json!({
            "iss": self.issuer,
            "aud": self.audience,
            "sub": format!("user-{login}"),
            "client_id": "sales-copilot",
            "iat": now_s,
            "exp": now_s + 3600,
            "jti": format!("{login}-{now_s}"),
            "scope": "profile",
            "preferred_username": login,
            "name": format!("{login} of the tests"),
            "email": format!("{login}@example.com"),
            "email_verified": true,
            "groups": ["staff", "sales"],
        })
    }
    /// An honest access token that is in force now, by the machine's clock.
    #[must_use]
    pub fn token_for(&self, login: &str) -> String {
        self.mint(&self.claims_for(login, now_s()))
    }
    /// An honest token with claims replaced or added; `null` removes a claim.
    #[must_use]
    pub fn token_with(&self, login: &str, changes: &Json) -> String {
        let mut claims = self.claims_for(login, now_s());
        change(&mut claims, changes);
        self.mint(&claims)
    }
    /// Signs claims with an honest header.
    #[must_use]
    pub fn mint(&self, claims: &Json) -> String {
        self.mint_with(&self.header(), claims)
    }
    /// Signs claims under any header.
    #[must_use]
    pub fn mint_with(&self, header: &Json, claims: &Json) -> String {
        self.mint_text(&header.to_string(), &claims.to_string())
    }
    /// Signs any two texts as header and payload.
    #[must_use]
    pub fn mint_text(&self, header: &str, payload: &str) -> String {
        self.key().sign_compact(header, payload)
    }
    /// An honest header (RFC 9068 §2.1).
    #[must_use]
    pub fn header(&self) -> Json {
        json!({ "typ": "at+jwt", "alg": self.key().algorithm.as_str(), "kid": self.key().kid })
    }
}

impl SigningKey {
    /// A fresh key for an asymmetric algorithm.
    ///
    /// # Panics
    /// For HS*: give the secret yourself, see [`Self::secret`].
    #[must_use]
    pub fn generate(kid: impl Into<String>, algorithm: Algorithm) -> Self {
        let ec = |algorithm| Pair::Ec(EcdsaKeyPair::generate(algorithm).expect("an EC key can be made"));
        let pair = match algorithm {
            Algorithm::Es256 => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::Es384 => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::Es512 => ec(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            Algorithm::EdDsa => Pair::Ed(Ed25519KeyPair::generate().expect("an Ed25519 key can be made")),
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
                panic!("HS* needs a secret: SigningKey::secret")
            }
            _ => Pair::Rsa(rsa::KeyPair::generate(rsa::KeySize::Rsa2048).expect("an RSA key can be made")),
        };
        Self { kid: kid.into(), algorithm, pair }
    }
    /// A shared secret for HS256, HS384 or HS512.
    #[must_use]
    pub fn secret(kid: impl Into<String>, algorithm: Algorithm, secret: &[u8]) -> Self {
        let digest = match algorithm {
            Algorithm::Hs384 => hmac::HMAC_SHA384,
            Algorithm::Hs512 => hmac::HMAC_SHA512,
            _ => hmac::HMAC_SHA256,
        };
        Self { kid: kid.into(), algorithm, pair: Pair::Secret(Box::new(hmac::Key::new(digest, secret))) }
    }
    /// The same key pair, used with another algorithm of its kind (RSA only).
    #[must_use]
    pub fn used_as(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }
    /// A compact JWS (RFC 7515 §3.1) over any two texts.
    #[must_use]
    pub fn sign_compact(&self, header: &str, payload: &str) -> String {
        let signed =
            format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(payload.as_bytes()));
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&self.sign(signed.as_bytes())))
    }
    /// The signature of a message, in the form of RFC 7518 §3.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Ec(pair) => pair.sign(&SystemRandom::new(), message).expect("EC signs").as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Secret(key) => hmac::sign(key, message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let padding: &'static dyn signature::RsaEncoding = match self.algorithm {
                    Algorithm::Rs384 => &signature::RSA_PKCS1_SHA384,
                    Algorithm::Rs512 => &signature::RSA_PKCS1_SHA512,
                    Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
                    Algorithm::Ps384 => &signature::RSA_PSS_SHA384,
                    Algorithm::Ps512 => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signed = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &SystemRandom::new(), message, &mut signed).expect("RSA signs");
                signed
            }
        }
    }
    /// The public key as a JWK (RFC 7517 §4). Of a secret, only its name.
    #[must_use]
    pub fn public_jwk(&self) -> Json {
        let mut jwk = json!({ "kid": self.kid, "use": "sig", "alg": self.algorithm.as_str() });
        let members = match &self.pair {
            Pair::Secret(_) => json!({ "kty": "oct" }),
            Pair::Ed(pair) => json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()) }),
            Pair::Ec(pair) => {
                // An uncompressed point: 04, x, y (SEC 1 §2.3.3).
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at(point.len() / 2);
                let curve = match x.len() {
                    32 => "P-256",
                    48 => "P-384",
                    _ => "P-521",
                };
                json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
            }
            Pair::Rsa(pair) => {
                let (n, e) = rsa_components(pair.public_key().as_ref());
                json!({ "kty": "RSA", "n": encode(n), "e": encode(e) })
            }
        };
        change(&mut jwk, &members);
        jwk
    }
    /// The public key as a `PUBLIC KEY` block (RFC 7468 §13).
    #[must_use]
    pub fn public_pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = match &self.pair {
            Pair::Ec(pair) => pair.public_key().as_der(),
            Pair::Ed(pair) => pair.public_key().as_der(),
            Pair::Rsa(pair) => pair.public_key().as_der(),
            Pair::Secret(_) => panic!("a secret has no public key"),
        }
        .expect("a public key can be written");
        pem("PUBLIC KEY", der.as_ref())
    }
}

/// A PEM block (RFC 7468 §2).
#[must_use]
pub fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64 is ASCII")).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Replaces or adds the members of `changes`; `null` removes one.
pub fn change(object: &mut Json, changes: &Json) {
    let object = object.as_object_mut().expect("an object can be changed");
    for (name, value) in changes.as_object().expect("changes are an object") {
        match value {
            Json::Null => object.remove(name),
            value => object.insert(name.clone(), value.clone()),
        };
    }
}

fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// n and e of an `RSAPublicKey` (RFC 8017 §A.1.1), without leading zeros.
fn rsa_components(der: &[u8]) -> (&[u8], &[u8]) {
    let (_, sequence, _) = tlv(der);
    let (_, n, rest) = tlv(sequence);
    let (_, e, _) = tlv(rest);
    let strip = |bytes: &'_ [u8]| bytes.iter().take_while(|byte| **byte == 0).count();
    (n.split_at(strip(n)).1, e.split_at(strip(e)).1)
}

/// Tag, content and rest of a DER value that this kit's own library wrote.
fn tlv(der: &[u8]) -> (u8, &[u8], &[u8]) {
    let (tag, rest) = der.split_first().expect("a tag");
    let (first, rest) = rest.split_first().expect("a length");
    let long = if *first < 0x80 { 0 } else { usize::from(first & 0x7f) };
    let (digits, rest) = rest.split_at(long);
    let length = if long == 0 {
        usize::from(*first)
    } else {
        digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit))
    };
    let (content, rest) = rest.split_at(length);
    (*tag, content, rest)
}

fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since.as_secs()).expect("the clock is sane")
}
