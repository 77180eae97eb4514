//! The signature algorithms (RFC 7518 §3.1, RFC 8037 §3.1). `none` is not among them, so it cannot be chosen.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! algorithms {
    ($($name:ident = $text:literal, $family:ident;)*) => {
        /// A signature algorithm, spelt as in `alg`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Algorithm {$(
            #[doc = concat!("`", $text, "`")]
            #[serde(rename = $text)]
            $name,
        )*}
        impl Algorithm {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
            /// The name in `alg`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {$(Self::$name => $text,)*}
            }
            /// Which kind of key it takes.
            pub(crate) const fn family(self) -> Family {
                match self {$(Self::$name => Family::$family,)*}
            }
        }
    };
}

algorithms! {
    Rs256 = "RS256", Rsa;
    Rs384 = "RS384", Rsa;
    Rs512 = "RS512", Rsa;
    Ps256 = "PS256", Rsa;
    Ps384 = "PS384", Rsa;
    Ps512 = "PS512", Rsa;
    Es256 = "ES256", P256;
    Es384 = "ES384", P384;
    Es512 = "ES512", P521;
    EdDsa = "EdDSA", Ed25519;
    Hs256 = "HS256", Secret;
    Hs384 = "HS384", Secret;
    Hs512 = "HS512", Secret;
}

/// A kind of key. An algorithm takes exactly one, so a public key can never serve as a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    Rsa,
    P256,
    P384,
    P521,
    Ed25519,
    Secret,
}

impl Algorithm {
    /// The algorithm with exactly this name, case included (RFC 7515 §4.1.1).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|algorithm| algorithm.as_str() == text)
    }
    pub(crate) const fn is_symmetric(self) -> bool {
        matches!(self.family(), Family::Secret)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
