//! The form of signed claims, version 1: what `asuser.claims()` checks and the gateway signs.
//!
//! The setting `asuser.claims` holds `v1.<key id>.<mac>.<payload>`: the id in decimal, the HMAC-SHA256 (RFC 2104) as 64 lower-case
//! hexadecimal digits, and one JSON object, the rest of the text. What is signed, with LF = 0x0A and NUL = 0x00:
//! ```text
//! "asuser.claims/1" LF
//! <pid> LF                 decimal: pg_backend_pid()
//! <backend start> LF       decimal: microseconds since the Unix epoch
//! <session_user> NUL       UTF-8
//! <role> NUL               UTF-8: what current_setting('role') says in the query, "none" where no role was set
//! <payload>                UTF-8: the bytes behind the third dot
//! ```
//! Neither a name nor JSON can hold NUL, so no two sets of parts have the same bytes. The payload's `exp_ms` (Unix epoch, milliseconds) must
//! lie after the statement's start t, and not after t + `statement_timeout` + 5 s. docs/signed-claims.md is the same for the reader.

use std::fmt;
use std::str::FromStr;

use asuser_core::Secret;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::CredentialError;

const LABEL: &str = "asuser.claims/1";
const KEY_BYTES: usize = 32;
/// HMAC's block with SHA-256 (RFC 2104 §2).
const BLOCK_BYTES: usize = 64;

/// What a signature is bound to besides the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// `pg_backend_pid()`
    pub pid: i32,
    /// `backend_start` of `pg_stat_get_activity`, microseconds since the Unix epoch.
    pub backend_start_us: i64,
    /// `session_user`
    pub session_user: &'a str,
    /// `current_setting('role')`; `none` where no role was set.
    pub role: &'a str,
}

/// The bytes that are signed.
#[must_use]
pub fn signing_input(place: Place<'_>, payload: &str) -> Vec<u8> {
    let Place { pid, backend_start_us, session_user, role } = place;
    format!("{LABEL}\n{pid}\n{backend_start_us}\n{session_user}\0{role}\0{payload}").into_bytes()
}

/// A key of `asuser.claims()`. As a text, and in its file: `v1.<id>.<64 hexadecimal digits>`.
#[derive(Clone)]
pub struct ClaimsKey {
    id: u32,
    text: Secret,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

impl ClaimsKey {
    /// A fresh key.
    ///
    /// # Errors
    /// When the operating system has no random bytes.
    pub fn random(id: u32) -> Result<Self, CredentialError> {
        let mut bytes = [0; KEY_BYTES];
        getrandom::fill(&mut bytes).map_err(|_| CredentialError::Random)?;
        Ok(Self::from_bytes(id, bytes))
    }
    fn from_bytes(id: u32, bytes: [u8; KEY_BYTES]) -> Self {
        Self { id, text: Secret::new(format!("v1.{id}.{}", HEXLOWER.encode(&bytes))), bytes: Zeroizing::new(bytes) }
    }
    /// Its number.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }
    /// What goes into the key file, without a line end.
    #[must_use]
    pub const fn text(&self) -> &Secret {
        &self.text
    }
    /// The value of the setting `asuser.claims`.
    #[must_use]
    pub fn sign(&self, place: Place<'_>, payload: &str) -> String {
        let mut mac = keyed(&self.bytes);
        mac.update(&signing_input(place, payload));
        let mac = mac.finalize().into_bytes();
        format!("v1.{}.{}.{payload}", self.id, HEXLOWER.encode(&mac))
    }
    /// The key XOR `ipad` and XOR `opad` (RFC 2104 §2), in hexadecimal: what the database keeps.
    #[must_use]
    pub fn pads(&self) -> (Secret, Secret) {
        let pad = |with: u8| {
            let mut block = [with; BLOCK_BYTES];
            block.iter_mut().zip(self.bytes.iter()).for_each(|(byte, key)| *byte ^= key);
            Secret::new(HEXLOWER.encode(&block))
        };
        (pad(0x36), pad(0x5c))
    }
}

fn keyed(key: &[u8; KEY_BYTES]) -> Hmac<Sha256> {
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    Hmac::<Sha256>::new(&block)
}

impl fmt::Debug for ClaimsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimsKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl FromStr for ClaimsKey {
    type Err = CredentialError;
    fn from_str(text: &str) -> Result<Self, CredentialError> {
        let refused = || CredentialError::ClaimsKey;
        let (id, hex) =
            text.trim_end().strip_prefix("v1.").and_then(|rest| rest.split_once('.')).ok_or_else(refused)?;
        let number: u32 = id.parse().map_err(|_| refused())?;
        let bytes = HEXLOWER.decode(hex.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(refused)?;
        if number == 0 || number.to_string() != id || i32::try_from(number).is_err() {
            return Err(refused());
        }
        Ok(Self::from_bytes(number, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_the_documentation_holds() {
        let key: ClaimsKey = "v1.1.000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n".parse().unwrap();
        let place = Place {
            pid: 4242,
            backend_start_us: 1_700_000_000_123_456,
            session_user: "asuser_login",
            role: "authenticated",
        };
        let payload = r#"{"iss":"https://i.example","sub":"u-1","delegation":"","exp_ms":1700000030000}"#;
        let mac = "fbf276765683af6e8bb6e621fb21855cf51e30a98191baae341563f3d7b9455f";
        assert_eq!(key.sign(place, payload), format!("v1.1.{mac}.{payload}"));
    }

    #[test]
    fn a_key_reads_back_prints_nothing_and_other_forms_are_refused() {
        let key = ClaimsKey::random(7).unwrap();
        let again: ClaimsKey = key.text().expose().parse().unwrap();
        assert_eq!(again.text(), key.text());
        assert!(!format!("{key:?}").contains(&HEXLOWER.encode(key.bytes.as_slice())));
        let hex = "0".repeat(64);
        for wrong in [
            "",
            "v1.1.",
            &format!("v2.1.{hex}"),
            &format!("v1.0.{hex}"),
            &format!("v1.01.{hex}"),
            &format!("v1.1.{hex}0"),
            &format!("v1.4294967295.{hex}"),
        ] {
            let error = wrong.parse::<ClaimsKey>().unwrap_err().to_string();
            assert!(!error.contains(&hex), "{error}");
        }
    }

    #[test]
    fn no_two_places_have_the_same_bytes() {
        let place = |session_user, role| Place { pid: 1, backend_start_us: 2, session_user, role };
        assert_ne!(signing_input(place("a", "b"), "c"), signing_input(place("a\nb", ""), "c"));
        assert_ne!(signing_input(place("a", "b\nc"), "d"), signing_input(place("a\nb", "c"), "d"));
    }
}
