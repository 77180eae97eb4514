//! The shapes of access tokens, as data: a provider's profile is a row of the table.

mod table;

use asuser_core::{Problem, Reason};

use super::json::Object;
use super::jws::{Header, shown};

pub(crate) use table::PROFILES;

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
    /// `sub` must be there, even where another claim is the key.
    pub(crate) sub_required: bool,
    /// Claims that must be there as non-empty texts, besides `iss` and `sub`.
    pub(crate) required: &'static [&'static str],
    /// Only access tokens have one of each of these.
    pub(crate) access_marks: &'static [&'static [&'static str]],
    /// Access tokens have one of these values in the claim.
    pub(crate) access_values: &'static [(&'static str, &'static [&'static str])],
    /// Claims that every person's token has, and no program's.
    pub(crate) human_marks: &'static [&'static str],
    /// Where the audience stands.
    pub(crate) audience: Audience,
    /// The claims that name the client, which is the actor where `act` is absent.
    pub(crate) client: &'static [&'static str],
    /// The claims that may hold the scope.
    pub(crate) scope: &'static [&'static str],
    /// The provider's access tokens cannot be read by others, and its ID token takes their place.
    pub(crate) is_id_token: bool,
    /// Entra: the key is `oid` within `tid`, the issuer names the tenant, and Graph's tokens are not for us.
    pub(crate) has_tenants: bool,
    /// Claims whose value this provider may give to another person later, besides those that all may.
    pub(crate) changeable: &'static [&'static str],
    /// A list of as many groups may be cut short.
    pub(crate) groups_max: Option<usize>,
    /// The claim that names the organisation, which must be one of `domains`.
    pub(crate) domain: Option<&'static str>,
    /// Default of `mapping.subject`.
    pub(crate) subject: &'static str,
    /// Default of `mapping.login`.
    pub(crate) login: &'static str,
    /// Default of `mapping.email_verified`.
    pub(crate) email_verified: &'static str,
    /// Default of `mapping.groups`.
    pub(crate) groups: &'static str,
}

/// Where the audience stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// `aud` (RFC 7519 §4.1.3).
    Aud,
    /// `aud` where it is there, else `client_id` (Cognito).
    AudOrClient,
}

/// The audience of tokens for Microsoft Graph.
const GRAPH: [&str; 3] =
    ["00000003-0000-0000-c000-000000000000", "https://graph.microsoft.com", "https://graph.microsoft.com/"];

/// The profile of this name.
pub(crate) fn find(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().copied().find(|profile| profile.name == name)
}

impl Profile {
    /// Refuses a header whose `typ` is another kind of token (RFC 8725 §3.11), and tokens for Graph, whose signature nobody but
    /// Graph can verify: their header has a `nonce`.
    pub(crate) fn check_header(&self, header: &Header) -> Result<(), Problem> {
        if self.has_tenants && header.has_nonce {
            return Err(for_graph("the header has a `nonce`"));
        }
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

    /// Refuses tokens for Graph by their audience, in words that say what to ask for instead.
    pub(crate) fn check_graph(&self, claims: &Object) -> Result<(), Problem> {
        let audience = claims.get("aud").and_then(serde_json::Value::as_str);
        match audience {
            Some(audience) if self.has_tenants && GRAPH.contains(&audience) => {
                Err(for_graph(&format!("`aud` is {audience:?}")))
            }
            _ => Ok(()),
        }
    }
}

fn for_graph(detail: &str) -> Problem {
    let message =
        "the token is for Microsoft Graph: ask for a token for this service's own API (scope api://…/.default)";
    Problem::new(Reason::WrongAudience, message).detail(format!("{detail}: a token for Microsoft Graph"))
}
