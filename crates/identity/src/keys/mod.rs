//! A provider's keys.
//!
//! In: a JWK Set, a JWK, PEM blocks or a shared secret. Out: keys that each know the algorithms they may verify. Refuses private keys,
//! symmetric keys in a set, weak keys, two keys of one name. Every key is parsed once, at the start.

mod der;
mod jwk;
mod pem;
mod rsa;
#[cfg(test)]
mod vectors;

use asuser_core::Problem;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm};

use crate::algorithm::{Algorithm, Family};
use crate::token::jws::{Compact, Header, bad_signature, shown};

/// A set may hold this many keys.
const KEYS_MAX: usize = 64;
/// A token without `kid` is tried with at most this many keys.
const CANDIDATES_MAX: usize = 8;

/// The keys of one provider.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    kid: Option<String>,
    /// The thumbprint of its certificate, where the set has one.
    x5t: Option<String>,
    /// Entra: whose tokens it signs, with `{tenantid}` for any tenant.
    pub(crate) issuer: Option<String>,
    verifiers: Vec<(Algorithm, Verifier)>,
}

#[derive(Debug)]
enum Verifier {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

impl KeySet {
    /// The keys of a JWK Set (RFC 7517 §5). Keys for other uses are passed over.
    pub(crate) fn from_jwks(text: &str) -> Result<Self, String> {
        Self::new(jwk::read_set(text, jwk::Accept::Public)?)
    }
    /// The keys that a provider publishes. What cannot be used is passed over, since one odd key must not shut out everybody; what
    /// was passed over is said. Two keys of one name are both passed over: a token could choose.
    pub(crate) fn from_published(text: &str) -> Result<(Self, Vec<String>), String> {
        let (mut keys, mut notes) = jwk::read_published(text)?;
        let named = |keys: &[Key], kid: &str| keys.iter().filter(|key| key.kid.as_deref() == Some(kid)).count();
        let twice: Vec<String> =
            keys.iter().filter_map(|key| key.kid.clone()).filter(|kid| named(&keys, kid) > 1).collect();
        keys.retain(|key| !key.kid.as_ref().is_some_and(|kid| twice.contains(kid)));
        if let Some(kid) = twice.first() {
            notes.push(format!("several keys have the kid {:?}: none of them is used", shown(kid)));
        }
        if keys.is_empty() && !notes.is_empty() {
            return Err(format!("no key that can verify a signature ({})", notes.join("; ")));
        }
        Ok((Self::new(keys)?, notes))
    }
    /// The key of one JWK.
    pub(crate) fn from_jwk(text: &str) -> Result<Self, String> {
        Self::new(jwk::read_one(text)?)
    }
    /// The keys of PEM blocks (RFC 7468).
    pub(crate) fn from_pem(text: &str) -> Result<Self, String> {
        Self::new(pem::read(text)?)
    }
    /// A shared secret, for these algorithms alone.
    pub(crate) fn from_secret(secret: &[u8], algorithms: &[Algorithm]) -> Result<Self, String> {
        Self::new(vec![Key::secret(None, secret, algorithms)?])
    }
    #[cfg(test)]
    pub(crate) fn from_secret_jwks(text: &str) -> Result<Self, String> {
        Self::new(jwk::read_set(text, jwk::Accept::Secret)?)
    }

    fn new(keys: Vec<Key>) -> Result<Self, String> {
        if keys.is_empty() {
            return Err("no key that can verify a signature".into());
        }
        if keys.len() > KEYS_MAX {
            return Err(format!("{} keys; at most {KEYS_MAX} are read", keys.len()));
        }
        for (at, key) in keys.iter().enumerate() {
            // RFC 7517 §4.5 says "SHOULD" be distinct; two keys of one name would let a token choose.
            if let Some(kid) = &key.kid
                && keys.iter().take(at).any(|before| before.kid.as_ref() == Some(kid))
            {
                return Err(format!("two keys have the kid {:?}: keep one", shown(kid)));
            }
        }
        Ok(Self { keys })
    }

    /// Whether any key can do this algorithm.
    pub(crate) fn can(&self, algorithm: Algorithm) -> bool {
        self.keys.iter().any(|key| key.can(algorithm))
    }

    /// The algorithms that any key can do.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        Algorithm::ALL.iter().copied().filter(|algorithm| self.can(*algorithm)).collect()
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys' names, for the operator.
    pub(crate) fn names(&self) -> Vec<String> {
        self.keys.iter().map(|key| shown(key.kid.as_deref().unwrap_or("(no kid)"))).collect()
    }

    /// Whether a token names a key that is not here. One that names none may be any key's.
    pub(crate) fn lacks(&self, header: &Header) -> bool {
        let named = |name: &str| self.keys.iter().any(|key| key.is_named(name));
        match (&header.kid, &header.x5t) {
            (Some(kid), _) => !self.keys.iter().any(|key| key.kid.as_ref() == Some(kid)),
            (None, Some(x5t)) => !named(x5t),
            (None, None) => false,
        }
    }

    /// The keys to try. With `kid`: exactly the key of that name, or, where the configured keys have no names (PEM), those without;
    /// an unknown name is refused. Without `kid`: the key whose certificate `x5t` names, as AD FS does; else every key that can do
    /// the algorithm, at most eight.
    pub(crate) fn candidates(&self, algorithm: Algorithm, header: &Header) -> Result<Vec<&Key>, Problem> {
        let kid = header.kid.as_deref();
        let fitting = || self.keys.iter().filter(|key| key.can(algorithm));
        let candidates: Vec<&Key> = match kid {
            None => match header.x5t.as_deref().and_then(|x5t| fitting().find(|key| key.is_named(x5t))) {
                Some(key) => vec![key],
                None => fitting().collect(),
            },
            Some(kid) => match self.keys.iter().find(|key| key.kid.as_deref() == Some(kid)) {
                Some(key) if key.can(algorithm) => vec![key],
                Some(_) => return Err(bad_signature(format!("the key {:?} is not for {algorithm}", shown(kid)))),
                None => fitting().filter(|key| key.kid.is_none()).collect(),
            },
        };
        match (candidates.len(), kid) {
            (0, Some(kid)) => {
                Err(bad_signature(format!("no key has the kid {:?}: have the provider's keys changed?", shown(kid))))
            }
            (0, None) => Err(bad_signature(format!("no key can do {algorithm}"))),
            (count, _) if count > CANDIDATES_MAX => {
                Err(bad_signature(format!("{count} keys could have signed it: the token must name one by `kid`")))
            }
            _ => Ok(candidates),
        }
    }
}

/// The key among `candidates` that made the token's signature.
pub(crate) fn verify<'k>(
    candidates: &[&'k Key],
    algorithm: Algorithm,
    token: &Compact<'_>,
) -> Result<&'k Key, Problem> {
    let made_by = |key: &&Key| key.verify(algorithm, token.signed, &token.signature);
    candidates.iter().copied().find(made_by).ok_or_else(|| {
        let labels: Vec<String> = candidates.iter().map(|key| key.label()).collect();
        bad_signature(format!(
            "{algorithm}: not signed by {}; the token was changed, or the provider's keys are new",
            labels.join(", ")
        ))
    })
}

impl Key {
    /// The key's name, for the operator.
    pub(crate) fn label(&self) -> String {
        self.kid.as_ref().map_or_else(|| "the key without a name".into(), |kid| format!("the key {:?}", shown(kid)))
    }

    /// By its certificate's thumbprint, which some providers use as `kid` too.
    fn is_named(&self, x5t: &str) -> bool {
        [&self.x5t, &self.kid].into_iter().any(|name| name.as_deref() == Some(x5t))
    }

    fn can(&self, algorithm: Algorithm) -> bool {
        self.verifiers.iter().any(|(able, _)| *able == algorithm)
    }

    /// Whether this key made `signature` over `message`.
    fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match self.verifiers.iter().find(|(able, _)| *able == algorithm) {
            None => false,
            Some((_, Verifier::Public(key))) => key.verify_sig(message, signature).is_ok(),
            // Compares in constant time.
            Some((_, Verifier::Secret(key))) => hmac::verify(key, message, signature).is_ok(),
        }
    }

    /// An RSA key from its components, without leading zeros.
    fn rsa(kid: Option<String>, n: &[u8], e: &[u8], only: Option<Algorithm>) -> Result<Self, String> {
        rsa::check(n, e)?;
        let components = RsaPublicKeyComponents { n, e };
        Self::build(kid, Family::Rsa, only, |algorithm| {
            components.to_parsed_public_key(rsa_parameters(algorithm)?).map_err(|error| error.to_string())
        })
    }

    /// A key on a NIST curve, as an uncompressed point, or an Ed25519 key.
    fn curve(kid: Option<String>, family: Family, public: &[u8], only: Option<Algorithm>) -> Result<Self, String> {
        Self::build(kid, family, only, |algorithm| {
            let parameters: &'static dyn VerificationAlgorithm = match algorithm {
                Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
                Algorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
                Algorithm::Es512 => &signature::ECDSA_P521_SHA512_FIXED,
                Algorithm::EdDsa => &signature::ED25519,
                other => return Err(format!("{other} takes no such key")),
            };
            ParsedPublicKey::new(parameters, public).map_err(|error| error.to_string())
        })
    }

    fn build(
        kid: Option<String>,
        family: Family,
        only: Option<Algorithm>,
        parse: impl Fn(Algorithm) -> Result<ParsedPublicKey, String>,
    ) -> Result<Self, String> {
        if let Some(only) = only.filter(|only| only.family() != family) {
            return Err(format!("`alg` {only} does not fit the kind of key"));
        }
        let able = Algorithm::ALL.iter().copied().filter(|algorithm| algorithm.family() == family);
        let verifiers = able
            .filter(|algorithm| only.is_none_or(|only| only == *algorithm))
            .map(|algorithm| parse(algorithm).map(|key| (algorithm, Verifier::Public(key))))
            .collect::<Result<_, _>>()
            .map_err(|error| format!("not a valid public key: {error}"))?;
        Ok(Self { kid, x5t: None, issuer: None, verifiers })
    }

    /// A shared secret, at least as long as the digest (RFC 7518 §3.2).
    fn secret(kid: Option<String>, secret: &[u8], algorithms: &[Algorithm]) -> Result<Self, String> {
        let verifiers = algorithms
            .iter()
            .map(|algorithm| {
                let (digest, bytes_min) = match algorithm {
                    Algorithm::Hs256 => (hmac::HMAC_SHA256, 32),
                    Algorithm::Hs384 => (hmac::HMAC_SHA384, 48),
                    Algorithm::Hs512 => (hmac::HMAC_SHA512, 64),
                    other => return Err(format!("{other} takes no secret")),
                };
                if secret.len() < bytes_min {
                    return Err(format!(
                        "the secret has {} bytes; {algorithm} needs at least {bytes_min}",
                        secret.len()
                    ));
                }
                Ok((*algorithm, Verifier::Secret(Box::new(hmac::Key::new(digest, secret)))))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { kid, x5t: None, issuer: None, verifiers })
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Result<&'static RsaParameters, String> {
    Ok(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        other => return Err(format!("{other} takes no RSA key")),
    })
}

/// Everything about a signature in one call, for the public vectors.
#[cfg(test)]
pub(crate) fn verify_jws(keys: &KeySet, pinned: &[Algorithm], token: &str) -> Result<Vec<u8>, Problem> {
    let token = Compact::parse(token)?;
    let algorithm = token.header.algorithm(pinned)?;
    let candidates = keys.candidates(algorithm, &token.header)?;
    verify(&candidates, algorithm, &token)?;
    Ok(token.payload)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::KeySet;

    fn value() -> impl Strategy<Value = Json> {
        let text = prop_oneof![
            "[A-Za-z0-9_-]{0,100}",
            Just("AQAB".to_owned()),
            Just("RSA".to_owned()),
            Just("EC".to_owned()),
            Just("P-256".to_owned()),
            Just("sig".to_owned()),
            any::<String>(),
        ];
        prop_oneof![4 => text.prop_map(Json::from), 1 => any::<i64>().prop_map(Json::from), 1 => Just(Json::Null), 1 => Just(json!([]))]
    }

    fn name() -> impl Strategy<Value = String> {
        const KNOWN: &[&str] =
            &["kty", "kid", "use", "alg", "n", "e", "crv", "x", "y", "k", "d", "x5t", "issuer", "key_ops"];
        prop_oneof![9 => proptest::sample::select(KNOWN).prop_map(str::to_owned), 1 => any::<String>()]
    }

    proptest! {
        /// What a provider publishes may be anything: keys, or an error.
        #[test]
        fn a_published_set_is_read_or_refused(
            keys in proptest::collection::vec(proptest::collection::btree_map(name(), value(), 0..8), 0..6),
            text in any::<String>(),
        ) {
            let set = json!({ "keys": keys.iter().collect::<Vec<_>>() }).to_string();
            if let Ok((keys, _)) = KeySet::from_published(&set) {
                prop_assert!(keys.len() > 0);
            }
            let _read = KeySet::from_published(&text);
        }
    }
}
