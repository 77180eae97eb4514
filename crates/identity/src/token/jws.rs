//! The compact serialization of a signed token (RFC 7515 §3.1, §7.1).
//!
//! In: the text of a bearer token. Out: its header, payload and signature, none of it believed yet. Refuses, before any cryptography:
//! every other serialization, encrypted tokens, base64url that is not canonical, headers that bring their own key or want an extension.

use asuser_core::{Problem, Reason};
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value as Json;

use super::json::{Object, parse_object};
use crate::algorithm::Algorithm;

/// A longer token is refused unread.
pub(crate) const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// A longer `kid` is refused.
const KID_BYTES_MAX: usize = 256;

const SEND_ACCESS_TOKEN: &str = "the credential is not a signed access token: send the access token that your identity provider issued, \
                                 a JWT of three parts";
const BAD_SIGNATURE: &str = "the token's signature is not acceptable: ask your identity provider for a new token";

/// A signed token, taken apart. Not printable: with its signature it is a credential.
pub(crate) struct Compact<'a> {
    pub(crate) header: Header,
    pub(crate) payload: Vec<u8>,
    /// The octets that are signed (RFC 7515 §5.2, step 8).
    pub(crate) signed: &'a [u8],
    pub(crate) signature: Vec<u8>,
}

/// The members of a JOSE header (RFC 7515 §4.1) that matter here; others are ignored, as RFC 7515 §4 demands.
#[derive(Debug)]
pub(crate) struct Header {
    /// As written; judged by [`Header::algorithm`].
    alg: Option<String>,
    pub(crate) kid: Option<String>,
    /// The certificate's thumbprint, by which AD FS names its key (RFC 7515 §4.1.7). It names; it brings nothing along.
    pub(crate) x5t: Option<String>,
    pub(crate) typ: Option<String>,
    /// Entra's tokens for Graph have a `nonce` here.
    pub(crate) has_nonce: bool,
}

impl<'a> Compact<'a> {
    /// Takes a token apart.
    pub(crate) fn parse(token: &'a str) -> Result<Self, Problem> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(malformed(format!("{} bytes; at most {TOKEN_BYTES_MAX} are read", token.len())));
        }
        if token.starts_with('{') {
            return Err(malformed("the JSON serialization is not accepted"));
        }
        let mut segments = token.split('.');
        let (header, payload, signature) = match (segments.next(), segments.next(), segments.next(), segments.next()) {
            (Some(header), Some(payload), Some(signature), None) => (header, payload, signature),
            _ => return Err(wrong_segments(token)),
        };
        if header.is_empty() || signature.is_empty() {
            return Err(malformed("an empty segment: unsigned tokens are not accepted"));
        }
        let decode = |name: &str, segment: &str| {
            BASE64URL_NOPAD
                .decode(segment.as_bytes())
                .map_err(|error| malformed(format!("the {name} is not canonical base64url without padding: {error}")))
        };
        let header = Header::parse(&decode("header", header)?)?;
        let signed_length = token.len() - signature.len() - 1;
        Ok(Self {
            header,
            payload: decode("payload", payload)?,
            signature: decode("signature", signature)?,
            signed: token.as_bytes().get(..signed_length).unwrap_or_default(),
        })
    }
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let object = parse_object(bytes).map_err(|error| malformed(format!("the header: {error}")))?;
        refuse_extensions(&object)?;
        let kid = text(&object, "kid")?;
        if kid.as_ref().is_some_and(|kid| kid.is_empty() || kid.len() > KID_BYTES_MAX) {
            return Err(bad_signature(format!("`kid` must have 1 to {KID_BYTES_MAX} bytes")));
        }
        let x5t = text(&object, "x5t")?.filter(|x5t| x5t.len() <= KID_BYTES_MAX);
        let has_nonce = object.contains_key("nonce");
        Ok(Self { alg: text(&object, "alg")?, kid, x5t, typ: text(&object, "typ")?, has_nonce })
    }

    /// The algorithm, if it is one of `pinned`: exact spelling, no negotiation (RFC 8725 §3.1).
    pub(crate) fn algorithm(&self, pinned: &[Algorithm]) -> Result<Algorithm, Problem> {
        let alg = self.alg.as_deref().ok_or_else(|| bad_signature("the header has no `alg`"))?;
        Algorithm::parse(alg).filter(|algorithm| pinned.contains(algorithm)).ok_or_else(|| {
            let pinned: Vec<&str> = pinned.iter().map(|algorithm| algorithm.as_str()).collect();
            bad_signature(format!("`alg` is {:?}; this provider's tokens use {}", shown(alg), pinned.join(", ")))
        })
    }

    /// `typ` in lower case without the optional `application/` (RFC 7515 §4.1.9).
    pub(crate) fn typ(&self) -> Option<String> {
        let typ = self.typ.as_ref()?.to_ascii_lowercase();
        Some(match typ.strip_prefix("application/") {
            Some(rest) if !rest.contains('/') => rest.to_owned(),
            _ => typ,
        })
    }
}

/// Refuses what would change how the token is read, and keys that the token brings along: those are never used, and nobody honest
/// sends them in an access token.
fn refuse_extensions(header: &Object) -> Result<(), Problem> {
    // `crit` names extensions that must be understood (RFC 7515 §4.1.11); none is, `b64` (RFC 7797) included.
    for name in ["crit", "b64", "enc", "zip"] {
        if header.contains_key(name) {
            return Err(malformed(format!("the header has `{name}`: extensions and encryption are not accepted")));
        }
    }
    for name in ["jwk", "jku", "x5u", "x5c"] {
        if header.contains_key(name) {
            return Err(bad_signature(format!(
                "the header brings its own key (`{name}`): only configured keys are used"
            )));
        }
    }
    // A token within a token (RFC 7519 §5.2).
    match text(header, "cty")? {
        Some(cty) if cty.to_ascii_lowercase().ends_with("jwt") => {
            Err(malformed("a nested token (`cty`) is not accepted"))
        }
        _ => Ok(()),
    }
}

fn text(header: &Object, name: &str) -> Result<Option<String>, Problem> {
    match header.get(name) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(malformed(format!("the header's `{name}` is not a text"))),
    }
}

fn wrong_segments(token: &str) -> Problem {
    malformed(match token.split('.').count() {
        1 => "not a JWT: it has no dots. An opaque token comes from a provider that was not asked for an audience"
            .to_owned(),
        5 => "an encrypted token (JWE); only signed tokens are accepted".to_owned(),
        count => format!("{count} segments; a signed token has three"),
    })
}

/// The first characters of something that a token says, for the operator.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(Reason::MalformedCredential, SEND_ACCESS_TOKEN).detail(detail)
}

pub(crate) fn bad_signature(detail: impl Into<String>) -> Problem {
    Problem::new(Reason::BadSignature, BAD_SIGNATURE).detail(detail)
}
