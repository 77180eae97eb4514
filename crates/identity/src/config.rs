//! One `[[identity]]` block of `asuser.toml`: which provider is trusted, with which keys, and what its claims mean here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use asuser_core::{Issuer, ProviderName};
use serde::Deserialize;

use crate::algorithm::Algorithm;
use crate::token::profile::Profile;

/// One identity provider as configured. Nothing here is checked yet: [`crate::Identities::new`] does that.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityConfig {
    /// A name of your choice, for messages and records.
    pub name: ProviderName,
    /// What kind of provider it is.
    pub kind: ProviderKind,
    /// The shape of its access tokens: `rfc9068` (default), the name of a vendor, or `custom`.
    #[serde(default = "default_profile")]
    pub profile: String,
    /// `iss` of its tokens, compared exactly, a trailing slash included. With `tenants`, `{tenantid}` stands for each of them.
    pub issuer: Issuer,
    /// Further values that `iss` of its access tokens may have, signed with the same keys (AD FS; Entra's other version).
    #[serde(default)]
    pub access_token_issuers: Vec<Issuer>,
    /// The tenants whose people are let in, where `issuer` has `{tenantid}`.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// Where the provider's metadata is, if it is not at `{issuer}/.well-known/openid-configuration`.
    #[serde(default)]
    pub discovery_url: Option<String>,
    /// Certificates (PEM) that are trusted besides the system's when the keys are fetched. A relative path starts at the
    /// configuration's folder.
    #[serde(default)]
    pub tls_ca: Option<PathBuf>,
    /// What may be connected to besides the internet: networks and hosts.
    #[serde(default)]
    pub allow_addresses: Vec<String>,
    /// How often the keys are fetched, in seconds; the provider's `Cache-Control` can only shorten it. Default 3600, at least 300.
    #[serde(default)]
    pub keys_refresh_s: Option<u32>,
    /// How long fetched keys are used while they cannot be fetched again, in seconds. Default a day.
    #[serde(default)]
    pub keys_max_age_s: Option<u32>,
    /// Who the tokens must be meant for: this installation. One value of `aud` must be among these.
    pub audience: OneOrMore,
    /// The signature algorithms to accept. Default: `RS256` and `ES256`, as far as the keys can do them (with `secret`: `HS256`).
    #[serde(default)]
    pub algorithms: Option<Vec<Algorithm>>,
    /// A file with a JWK Set (RFC 7517 §5). A relative path starts at the configuration's folder.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// A file with one JWK.
    #[serde(default)]
    pub jwk_file: Option<PathBuf>,
    /// A file with `PUBLIC KEY` or `RSA PUBLIC KEY` blocks.
    #[serde(default)]
    pub pem_file: Option<PathBuf>,
    /// A JWK Set as text.
    #[serde(default)]
    pub jwks: Option<String>,
    /// `PUBLIC KEY` or `RSA PUBLIC KEY` blocks as text.
    #[serde(default)]
    pub pem: Option<String>,
    /// The shared secret of HS256, HS384 or HS512, as `env:NAME` or `file:PATH`; its UTF-8 bytes are the key.
    #[serde(default)]
    pub secret: Option<String>,
    /// How far the provider's clock may be off, in seconds: at most 300.
    #[serde(default = "default_leeway_s")]
    pub leeway_s: u32,
    /// Refuse tokens that were issued for longer than this (`exp` − `iat`), in seconds. Default: no limit.
    #[serde(default)]
    pub lifetime_s_max: Option<u32>,
    /// The mail domains that this provider speaks for.
    #[serde(default)]
    pub domains: Vec<String>,
    /// A token without a scope of ours may do nothing. Enforced by `delegation`.
    #[serde(default)]
    pub scope_required: bool,
    /// Which claims mean what.
    #[serde(default)]
    pub mapping: MappingConfig,
    /// Further attributes for policies: `region = { claim = "address.region", type = "string" }`.
    #[serde(default)]
    pub attributes: BTreeMap<String, AttributeConfig>,
}

/// The kinds of providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// Signed access tokens, verified with keys that the configuration holds. Nothing is ever fetched.
    Jwt,
    /// The same, with keys that the provider publishes (OpenID Connect Discovery 1.0, RFC 8414).
    Oidc,
}

/// Which claim holds what. A claim is its exact name, or else a path of names with dots between: `realm_access.roles`.
/// An empty text means: not mapped. The defaults below are the usual ones; a vendor's profile has its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "WrittenMapping")]
pub struct MappingConfig {
    /// The stable identifier that makes the key with the issuer. Default `sub`. Claims that people can change are refused.
    pub subject: String,
    /// The login. Default `preferred_username` (RFC 9068 §2.2.2, OpenID Connect Core §5.1).
    pub login: String,
    /// Only the directory sets the login, and gives it to nobody else later: then it may name a database role. Default false.
    pub login_managed: bool,
    /// The e-mail address. Default `email`. Taken only where `email_verified` says true and, if `domains` is given, in one of them.
    pub email: String,
    /// The claim that says whether the address is verified. Default `email_verified`.
    pub email_verified: String,
    /// The display name. Default `name`.
    pub name: String,
    /// The groups: a list of texts or one text. Default `groups` (RFC 9068 §2.2.3.1).
    pub groups: String,
    /// The person's role in the databases. Default: not mapped. A claim that people can change is refused, except the e-mail claim,
    /// which must then be verified and in one of `domains`.
    pub database_role: String,
    /// Which of those with a default of the profile the configuration wrote itself.
    written: Written,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Written {
    subject: bool,
    login: bool,
    email_verified: bool,
    groups: bool,
}

/// As it stands in the file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenMapping {
    subject: Option<String>,
    login: Option<String>,
    login_managed: bool,
    email: Option<String>,
    email_verified: Option<String>,
    name: Option<String>,
    groups: Option<String>,
    database_role: String,
}

impl From<WrittenMapping> for MappingConfig {
    fn from(text: WrittenMapping) -> Self {
        let written = Written {
            subject: text.subject.is_some(),
            login: text.login.is_some(),
            email_verified: text.email_verified.is_some(),
            groups: text.groups.is_some(),
        };
        let or = |text: Option<String>, default: &str| text.unwrap_or_else(|| default.to_owned());
        Self {
            subject: or(text.subject, "sub"),
            login: or(text.login, "preferred_username"),
            login_managed: text.login_managed,
            email: or(text.email, "email"),
            email_verified: or(text.email_verified, "email_verified"),
            name: or(text.name, "name"),
            groups: or(text.groups, "groups"),
            database_role: text.database_role,
            written,
        }
    }
}

impl Default for MappingConfig {
    fn default() -> Self {
        WrittenMapping::default().into()
    }
}

impl MappingConfig {
    /// With the profile's claims where the configuration names none.
    pub(crate) fn under(&self, profile: &Profile) -> Self {
        let usual = Self::default();
        let choose = |mine: &str, usual: &str, written: bool, profile: &str| {
            if written || mine != usual { mine.to_owned() } else { profile.to_owned() }
        };
        let written = self.written;
        Self {
            subject: choose(&self.subject, &usual.subject, written.subject, profile.subject),
            login: choose(&self.login, &usual.login, written.login, profile.login),
            email_verified: choose(
                &self.email_verified,
                &usual.email_verified,
                written.email_verified,
                profile.email_verified,
            ),
            groups: choose(&self.groups, &usual.groups, written.groups, profile.groups),
            ..self.clone()
        }
    }
}

/// One attribute: where it comes from and its type.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeConfig {
    /// The claim, as in [`MappingConfig`].
    pub claim: String,
    /// Its type. A claim of another type is absent.
    #[serde(rename = "type")]
    pub kind: AttributeType,
}

/// The type of an attribute, fixed by the configuration because policies are checked against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AttributeType {
    /// Text.
    String,
    /// A whole number of 64 bits.
    Long,
    /// True or false.
    Bool,
    /// A set of texts: a list, or one text.
    Strings,
}

impl AttributeType {
    /// `string`, `long`, `bool` or `strings`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Long => "long",
            Self::Bool => "bool",
            Self::Strings => "strings",
        }
    }
}

/// `"one"` or `["several", "values"]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts is expected")]
pub enum OneOrMore {
    /// One.
    One(String),
    /// Several.
    More(Vec<String>),
}

impl OneOrMore {
    /// The values.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

fn default_profile() -> String {
    "rfc9068".into()
}

const fn default_leeway_s() -> u32 {
    30
}

/// The identity providers cannot be used as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No provider at all: nobody could ever be verified.
    #[error("no [[identity]] block: add one with kind = \"jwt\", issuer, audience and jwks_file")]
    None,
    /// Two providers, one name.
    #[error("two [[identity]] blocks are named `{0}`: rename one")]
    DuplicateName(ProviderName),
    /// Two providers, one issuer.
    #[error("the providers `{0}` and `{1}` have the same issuer `{2}`: merge them into one [[identity]] block")]
    DuplicateIssuer(ProviderName, ProviderName, Issuer),
    /// Two providers could reach the same database role.
    #[error(
        "the providers `{0}` and `{1}` both map to database roles, so two people could reach the same one: \
         keep mapping.database_role in one of them"
    )]
    SharedRoles(ProviderName, ProviderName),
    /// Two providers give one attribute different types.
    #[error(
        "the attribute `{attribute}` has the type `{first_type}` in provider `{first}` and `{second_type}` in `{second}`: \
         use one type"
    )]
    AttributeConflict {
        /// The attribute.
        attribute: String,
        /// The provider that was first.
        first: ProviderName,
        /// Its type there.
        first_type: &'static str,
        /// The provider that differs.
        second: ProviderName,
        /// Its type there.
        second_type: &'static str,
    },
    /// One provider's block is wrong; the text says what to change.
    #[error("identity provider `{provider}`: {what}")]
    Provider {
        /// The provider.
        provider: ProviderName,
        /// What is wrong and how to mend it.
        what: String,
    },
}
