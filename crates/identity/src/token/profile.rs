//! The shapes of access tokens, as data: a provider's profile is a row of this table.

use asuser_core::{Problem, Reason};

use super::jws::{Header, shown};

/// What a profile asks of a token.
#[derive(Debug)]
pub(crate) struct Profile {
    /// Its name in the configuration.
    pub(crate) name: &'static str,
    /// The accepted header `typ`, in lower case without `application/`.
    pub(crate) typ: &'static [&'static str],
    /// `typ` must be there.
    pub(crate) typ_required: bool,
    /// `iat` must be there.
    pub(crate) iat_required: bool,
    /// Claims that must be there as non-empty texts, besides `iss` and `sub`.
    pub(crate) required: &'static [&'static str],
    /// The claims that name the client, which is the actor where `act` is absent.
    pub(crate) client: &'static [&'static str],
    /// The claims that may hold the scope.
    pub(crate) scope: &'static [&'static str],
}

/// RFC 9068: `typ` at+jwt (§2.1), `iss exp aud sub client_id iat jti` (§2.2), `scope` (§2.2.3).
const RFC9068: Profile = Profile {
    name: "rfc9068",
    typ: &["at+jwt"],
    typ_required: true,
    iat_required: true,
    required: &["client_id", "jti"],
    client: &["client_id", "azp"],
    scope: &["scope"],
};

/// Providers that sign access tokens without RFC 9068: the audience and the absence of ID-token marks must do.
const CUSTOM: Profile = Profile {
    name: "custom",
    typ: &["jwt", "at+jwt"],
    typ_required: false,
    iat_required: false,
    required: &[],
    client: &["client_id", "azp", "appid", "cid"],
    scope: &["scope", "scp"],
};

/// All profiles.
pub(crate) const PROFILES: &[&Profile] = &[&RFC9068, &CUSTOM];

/// The profile of this name.
pub(crate) fn find(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().copied().find(|profile| profile.name == name)
}

impl Profile {
    /// Refuses a header whose `typ` is another kind of token (RFC 8725 §3.11).
    pub(crate) fn check_typ(&self, header: &Header) -> Result<(), Problem> {
        let detail = match header.typ() {
            None if !self.typ_required => return Ok(()),
            Some(typ) if self.typ.contains(&typ.as_str()) => return Ok(()),
            None => format!("the header has no `typ`; the profile {} demands {:?}", self.name, self.typ),
            Some(typ) => {
                format!("the header's `typ` is {:?}; the profile {} demands {:?}", shown(&typ), self.name, self.typ)
            }
        };
        let message =
            "the token's type is not that of an access token here: send the access token, not the ID or refresh token";
        Err(Problem::new(Reason::WrongTokenType, message).detail(detail))
    }
}
