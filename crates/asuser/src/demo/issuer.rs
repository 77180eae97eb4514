//! The demo's own identity provider: it signs tokens for a few people, shaped like those of RFC 9068. Not linked to `serve`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use asuser_core::{Clock as _, SystemClock};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use data_encoding::BASE64URL_NOPAD;
use serde_json::json;

use super::company::Person;
use super::company::postgres::Names;

pub(super) const ISSUER: &str = "https://login.company.example/";
pub(super) const AUDIENCE: &str = "https://data.company.example";
pub(super) const AGENT: &str = "sales-copilot";
const KEY_ID: &str = "demo-1";
const KEY_FILE: &str = "issuer.key";

/// An ES256 key that lives in the demo's folder, so that `asuser demo token` can go on signing.
pub(crate) struct DemoIssuer(EcdsaKeyPair);

impl DemoIssuer {
    /// Makes a key and writes it with its public JWK Set.
    pub(super) fn create(folder: &Path) -> anyhow::Result<Self> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).context("no ES256 key could be made")?;
        let secret = key.to_pkcs8v1().context("the ES256 key could not be written")?;
        super::write_private(&folder.join(KEY_FILE), secret.as_ref())?;
        let issuer = Self(key);
        fs::write(folder.join("issuer.jwks.json"), issuer.jwks().to_string())?;
        Ok(issuer)
    }
    /// Takes up the key of an earlier start.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(folder.join(KEY_FILE))
            .with_context(|| format!("{} is not a demo's folder: start `asuser demo` first", folder.display()))?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &bytes);
        Ok(Self(key.map_err(|_| anyhow::anyhow!("{} holds no usable key", folder.display()))?))
    }

    fn jwks(&self) -> serde_json::Value {
        // An uncompressed point: 0x04, x, y (SEC 1 §2.3.3).
        let point = self.0.public_key().as_ref();
        let (x, y) = point.get(1..).unwrap_or_default().split_at(32);
        json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KEY_ID,
            "x": BASE64URL_NOPAD.encode(x), "y": BASE64URL_NOPAD.encode(y),
        }]})
    }

    /// An access token for a person, through an agent.
    pub(super) fn token(&self, person: &Person, agent: &str, life: Duration) -> anyhow::Result<String> {
        let now = SystemClock.now_ms() / 1000;
        let header = json!({ "typ": "at+jwt", "alg": "ES256", "kid": KEY_ID });
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": person.subject, "client_id": agent,
            "iat": now, "exp": now + i64::try_from(life.as_secs()).unwrap_or(3600),
            "jti": asuser_core::AuditId::random()?.to_string(),
            "preferred_username": person.login, "name": person.name, "email": person.email(), "email_verified": true,
            "groups": person.groups, "region": person.region,
            // Where the demo's database is somebody's, its roles have names of their own.
            "database_role": Names::GIVEN.role(person.login),
        });
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature =
            self.0.sign(&SystemRandom::new(), signed.as_bytes()).context("the token could not be signed")?;
        Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref())))
    }
}

fn encode(value: &serde_json::Value) -> String {
    BASE64URL_NOPAD.encode(value.to_string().as_bytes())
}
