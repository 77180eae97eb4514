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
use crate::token::jws::{Compact, bad_signature, shown};

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

    /// The keys to try. With `kid`: exactly the key of that name, or, where the configured keys have no names (PEM), those without;
    /// an unknown name is refused, and nothing is fetched. Without `kid`: every key that can do the algorithm, at most eight.
    pub(crate) fn candidates(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<Vec<&Key>, Problem> {
        let fitting = || self.keys.iter().filter(|key| key.can(algorithm));
        let candidates: Vec<&Key> = match kid {
            None => fitting().collect(),
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
        Ok(Self { kid, verifiers })
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
        Ok(Self { kid, verifiers })
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
    let candidates = keys.candidates(algorithm, token.header.kid.as_deref())?;
    verify(&candidates, algorithm, &token)?;
    Ok(token.payload)
}
