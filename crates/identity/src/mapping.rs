//! What a provider's claims mean here.
//!
//! In: the claims of a good token. Out: login, e-mail, name, groups, database role and typed attributes.
//! Optional facts that are missing, empty, null or ill-typed are absent, never a default. Refuses what would be dangerous to read as
//! absent: groups that the provider left out for their number, groups of a wrong shape, names that do not read as they look.

use std::collections::BTreeMap;

use asuser_core::{AttributeValue, GroupName, Login, Problem, Reason};
use serde_json::Value as Json;

use crate::config::{AttributeType, IdentityConfig};
use crate::token::hidden::is_hidden;
use crate::token::json::Object;
use crate::token::profile::Profile;

const LOGIN_BYTES_MAX: usize = 255;
/// PostgreSQL's longest name (NAMEDATALEN − 1).
const ROLE_BYTES_MAX: usize = 63;
/// RFC 5321 §4.5.3.1.3 less the angle brackets.
const EMAIL_BYTES_MAX: usize = 254;
const ATTRIBUTE_BYTES_MAX: usize = 1024;
const ATTRIBUTES_MAX: usize = 64;
const PATH_PARTS_MAX: usize = 8;

/// Claims whose value people can change, or which a provider may give to another person later: no key, and no role.
const MUTABLE: [&str; 10] = [
    "email",
    "preferred_username",
    "username",
    "upn",
    "unique_name",
    "name",
    "nickname",
    "given_name",
    "family_name",
    "phone_number",
];

/// What policies know by other means.
const RESERVED: [&str; 11] = [
    "login",
    "email",
    "name",
    "groups",
    "issuer",
    "subject",
    "provider",
    "database_role",
    "scope",
    "actor",
    "attributes",
];

/// A checked mapping.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) subject: String,
    login: Option<ClaimPath>,
    email: Option<ClaimPath>,
    email_verified: Option<ClaimPath>,
    name: Option<ClaimPath>,
    groups: Option<ClaimPath>,
    database_role: Option<ClaimPath>,
    /// The role is the e-mail address, under the address's rules.
    role_is_email: bool,
    domains: Vec<String>,
    pub(crate) attributes: BTreeMap<String, (ClaimPath, AttributeType)>,
    /// A list of as many may be cut short.
    groups_max: Option<usize>,
    /// The claim that must be one of `domains`.
    organisation: Option<&'static str>,
}

/// What the claims say.
#[derive(Debug, Default)]
pub(crate) struct Mapped {
    pub(crate) login: Option<Login>,
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) groups: Vec<GroupName>,
    pub(crate) database_role: Option<String>,
    pub(crate) attributes: BTreeMap<String, AttributeValue>,
    /// For the operator: what is absent, and why.
    pub(crate) notes: Vec<String>,
}

/// Where a claim is: its whole name, or else a path of names with dots between. So `https://example.com/groups` needs no escape.
#[derive(Debug, Clone)]
pub(crate) struct ClaimPath(String);

impl ClaimPath {
    fn parse(text: &str) -> Result<Option<Self>, String> {
        if text.split('.').count() > PATH_PARTS_MAX && !text.contains("://") {
            return Err(format!("the claim `{text}` has more than {PATH_PARTS_MAX} parts"));
        }
        Ok((!text.is_empty()).then(|| Self(text.to_owned())))
    }
    fn find<'a>(&self, claims: &'a Object) -> Option<&'a Json> {
        claims.get(&self.0).or_else(|| {
            let mut parts = self.0.split('.');
            let first = claims.get(parts.next()?)?;
            parts.try_fold(first, |value, part| value.as_object()?.get(part))
        })
    }
    /// Whether one of these top-level claims is, or would hold, this claim: by its whole name or by the first part of its path.
    fn is_within(&self, names: &Object) -> bool {
        names.contains_key(&self.0) || self.0.split('.').next().is_some_and(|root| names.contains_key(root))
    }
}

impl Mapping {
    /// Checks the mapping of one provider. Errors say what to change.
    pub(crate) fn new(config: &IdentityConfig, profile: &Profile) -> Result<Self, String> {
        let mapping = &config.mapping.under(profile);
        let is_mutable = |claim: &str| is_mutable(claim) || profile.changeable.contains(&claim);
        if mapping.subject.is_empty() || is_mutable(&mapping.subject) {
            return Err(format!(
                "mapping.subject = \"{}\" can change or be given to another person: name a stable claim, such as sub, oid or uid",
                mapping.subject
            ));
        }
        if profile.has_tenants && mapping.subject != profile.subject {
            return Err(format!(
                "mapping.subject = \"{}\": with profile {} the key is `oid` within `tid`, and nothing else; remove the line",
                mapping.subject, profile.name
            ));
        }
        // Elsewhere such a claim has a name that says so.
        if profile.changeable.contains(&mapping.login.as_str()) && !mapping.login_managed {
            return Err(format!(
                "mapping.login = \"{}\" can be given to another person with profile {}: if only the directory sets it, say \
                 mapping.login_managed = true",
                mapping.login, profile.name
            ));
        }
        let role_is_email = !mapping.database_role.is_empty() && mapping.database_role == mapping.email;
        if role_is_email && config.domains.is_empty() {
            return Err("mapping.database_role is the e-mail address: say by `domains` which mail domains this provider speaks for".into());
        }
        if !role_is_email && is_mutable(&mapping.database_role) {
            return Err(format!(
                "mapping.database_role = \"{}\" can be changed by people: name a claim that only the directory sets, or the e-mail claim \
                 together with `domains`",
                mapping.database_role
            ));
        }
        Ok(Self {
            subject: mapping.subject.clone(),
            login: ClaimPath::parse(&mapping.login)?,
            email: ClaimPath::parse(&mapping.email)?,
            email_verified: ClaimPath::parse(&mapping.email_verified)?,
            name: ClaimPath::parse(&mapping.name)?,
            groups: ClaimPath::parse(&mapping.groups)?,
            database_role: ClaimPath::parse(&mapping.database_role)?,
            role_is_email,
            domains: config.domains.iter().map(|domain| checked_domain(domain)).collect::<Result<_, _>>()?,
            attributes: checked_attributes(config)?,
            groups_max: profile.groups_max,
            organisation: profile.domain,
        })
    }

    /// Reads the claims.
    pub(crate) fn read(&self, claims: &Object) -> Result<Mapped, Problem> {
        self.refuse_overage(claims)?;
        self.refuse_strangers(claims)?;
        let mut notes = Vec::new();
        let email = self.email(claims, &mut notes);
        let database_role = if self.role_is_email {
            email.as_deref().map(|email| name(email, "database role", ROLE_BYTES_MAX)).transpose()?
        } else {
            required_name(self.database_role.as_ref(), claims, "database role", ROLE_BYTES_MAX)?
        };
        Ok(Mapped {
            login: self.login(claims)?,
            email,
            name: optional_text(self.name.as_ref(), claims, LOGIN_BYTES_MAX),
            groups: self.groups(claims)?,
            database_role,
            attributes: self.attributes(claims, &mut notes),
            notes,
        })
    }

    /// The login. What is not a text, or empty, is absent; what does not read as it looks is refused.
    pub(crate) fn login(&self, claims: &Object) -> Result<Option<Login>, Problem> {
        Ok(required_name(self.login.as_ref(), claims, "login", LOGIN_BYTES_MAX)?.map(Login::from))
    }

    /// The mapped address as it stands in the token: proof of nothing.
    pub(crate) fn address<'a>(&self, claims: &'a Object) -> Option<&'a str> {
        self.email.as_ref()?.find(claims)?.as_str()
    }

    /// Every claim that the mapping reads, besides the subject, which must be there anyway.
    fn paths(&self) -> impl Iterator<Item = &ClaimPath> {
        let Self { login, email, email_verified, name, groups, database_role, .. } = self;
        let named = [groups, login, email, email_verified, name, database_role];
        named.into_iter().flatten().chain(self.attributes.values().map(|(path, _)| path))
    }

    /// Entra leaves out groups beyond 200 and says so (`_claim_names`, `hasgroups`; OpenID Connect Core §5.6.2 has the form).
    /// Read as "no groups" it would lift what a policy forbids to a group; so with every claim that a policy may read.
    fn refuse_overage(&self, claims: &Object) -> Result<(), Problem> {
        let is_elsewhere = |path: &&ClaimPath| match claims.get("_claim_names") {
            None => false,
            Some(Json::Object(names)) => path.is_within(names),
            Some(_) => true,
        };
        if let Some(path) = self.paths().find(is_elsewhere) {
            return Err(not_mapped(
                format!("the provider left `{}` out of the token: ask your administrator", path.0),
                "`_claim_names` says that the claim is elsewhere (too many groups): have the provider send assigned groups only, \
                 or application roles; nothing is fetched",
            ));
        }
        if self.groups.is_some() && claims.get("hasgroups").is_some_and(|value| value != &Json::Bool(false)) {
            return Err(not_mapped(
                "the provider left the groups out of the token: ask your administrator",
                "`hasgroups` says that there are groups that the token does not name",
            ));
        }
        Ok(())
    }

    /// Where anybody can have an account, the organisation that vouches for this one must be one of `domains`.
    fn refuse_strangers(&self, claims: &Object) -> Result<(), Problem> {
        let Some(claim) = self.organisation else { return Ok(()) };
        let domain = claims.get(claim).and_then(Json::as_str).map(str::to_ascii_lowercase);
        if domain.is_some_and(|domain| self.domains.contains(&domain)) {
            return Ok(());
        }
        Err(not_mapped(
            "the account does not belong to an organisation that is known here: use your company's account",
            format!("`{claim}` is not in `domains`"),
        ))
    }

    fn groups(&self, claims: &Object) -> Result<Vec<GroupName>, Problem> {
        let listed: Vec<&Json> = match self.groups.as_ref().and_then(|path| path.find(claims)) {
            None | Some(Json::Null) => Vec::new(),
            Some(Json::Array(list)) => list.iter().collect(),
            Some(one) => vec![one],
        };
        if let Some(max) = self.groups_max.filter(|max| listed.len() >= *max) {
            return Err(not_mapped(
                "the token may not name all of the groups: ask your administrator",
                format!(
                    "{} groups: the provider writes no more than {max}, so some may be missing; have it filter them",
                    listed.len()
                ),
            ));
        }
        let mut groups = Vec::with_capacity(listed.len());
        for group in listed {
            match group {
                Json::String(text) if text.is_empty() => {}
                Json::String(text) => groups.push(GroupName::from(name(text, "groups", LOGIN_BYTES_MAX)?)),
                _ => {
                    return Err(not_mapped(
                        "the token's groups have a form that is not understood: ask your administrator",
                        "the groups claim is neither a text nor a list of texts",
                    ));
                }
            }
        }
        groups.sort();
        groups.dedup();
        Ok(groups)
    }

    /// The address, where the provider says that it is verified and, if domains are configured, speaks for its domain.
    fn email(&self, claims: &Object, notes: &mut Vec<String>) -> Option<String> {
        let email = optional_text(self.email.as_ref(), claims, EMAIL_BYTES_MAX)?;
        let verified = match self.email_verified.as_ref().and_then(|path| path.find(claims)) {
            Some(Json::Bool(verified)) => *verified,
            // Google and Cognito write it as a text.
            Some(Json::String(text)) => text == "true",
            _ => false,
        };
        let domain = email
            .rsplit_once('@')
            .filter(|(local, _)| well_formed_local(local))
            .map(|(_, domain)| domain.to_ascii_lowercase());
        let why_not = match domain {
            None => "it is no address",
            Some(_) if !verified => "the provider does not say that it is verified",
            Some(domain) if !self.domains.is_empty() && !self.domains.contains(&domain) => {
                "its domain is not in `domains`"
            }
            Some(_) => return Some(email),
        };
        notes.push(format!("no e-mail address: {why_not}"));
        None
    }

    fn attributes(&self, claims: &Object, notes: &mut Vec<String>) -> BTreeMap<String, AttributeValue> {
        let mut attributes = BTreeMap::new();
        for (name, (path, kind)) in &self.attributes {
            match path.find(claims).and_then(|value| attribute(value, *kind)) {
                Some(value) => {
                    attributes.insert(name.clone(), value);
                }
                None => notes.push(format!("no {name}: `{}` is missing, empty or no {}", path.0, kind.as_str())),
            }
        }
        attributes
    }
}

/// A claim as an attribute of its declared type; nothing is converted.
fn attribute(value: &Json, kind: AttributeType) -> Option<AttributeValue> {
    match (kind, value) {
        (AttributeType::String, Json::String(text)) => {
            plain(text, ATTRIBUTE_BYTES_MAX).ok().map(|text| AttributeValue::String(text.into()))
        }
        (AttributeType::Long, value) => value.as_i64().map(AttributeValue::Long),
        (AttributeType::Bool, Json::Bool(value)) => Some(AttributeValue::Bool(*value)),
        (AttributeType::Strings, Json::String(_)) => strings(std::slice::from_ref(value)),
        (AttributeType::Strings, Json::Array(list)) => strings(list),
        _ => None,
    }
}

/// A set of texts: all good, or absent.
fn strings(list: &[Json]) -> Option<AttributeValue> {
    let mut texts = Vec::with_capacity(list.len());
    for value in list {
        match value.as_str()? {
            "" => {}
            text => texts.push(plain(text, ATTRIBUTE_BYTES_MAX).ok()?.to_owned()),
        }
    }
    texts.sort();
    texts.dedup();
    (!texts.is_empty()).then_some(AttributeValue::Strings(texts))
}

fn optional_text(path: Option<&ClaimPath>, claims: &Object, bytes_max: usize) -> Option<String> {
    plain(path?.find(claims)?.as_str()?, bytes_max).ok().map(str::to_owned)
}

/// A name by which somebody is known elsewhere: absent, or sound.
fn required_name(
    path: Option<&ClaimPath>,
    claims: &Object,
    what: &str,
    bytes_max: usize,
) -> Result<Option<String>, Problem> {
    match path.and_then(|path| path.find(claims)) {
        Some(Json::String(text)) if !text.is_empty() => name(text, what, bytes_max).map(Some),
        _ => Ok(None),
    }
}

fn name(text: &str, what: &str, bytes_max: usize) -> Result<String, Problem> {
    let problem = |why: &str| {
        not_mapped(format!("the token's {what} cannot be used: ask your administrator"), format!("the {what} {why}"))
    };
    let text = plain(text, bytes_max).map_err(problem)?;
    if text.trim() != text {
        return Err(problem("begins or ends with a blank"));
    }
    Ok(text.to_owned())
}

/// Text that reads as it looks: not empty, bounded, NFC (UAX #15), without characters that cannot be seen.
fn plain(text: &str, bytes_max: usize) -> Result<&str, &'static str> {
    if text.is_empty() {
        Err("is empty")
    } else if text.len() > bytes_max {
        Err("is too long")
    } else if text.chars().any(is_hidden) {
        Err("holds characters that cannot be seen")
    } else if !unicode_normalization::is_nfc(text) {
        Err("is not in Unicode normal form C")
    } else {
        Ok(text)
    }
}

/// Whether people can change a claim, or a provider may give its value to another person later: by its whole name or by the last
/// part of its path.
#[must_use]
pub fn is_mutable(claim: &str) -> bool {
    MUTABLE.contains(&claim) || claim.rsplit('.').next().is_some_and(|last| MUTABLE.contains(&last))
}

fn well_formed_local(local: &str) -> bool {
    !local.is_empty() && !local.contains(|c: char| c == '@' || c.is_whitespace())
}

fn checked_domain(domain: &str) -> Result<String, String> {
    let sound = !domain.is_empty() && domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    if sound {
        Ok(domain.to_ascii_lowercase())
    } else {
        Err(format!("domains: `{domain}` is no domain; write it like example.com"))
    }
}

fn checked_attributes(config: &IdentityConfig) -> Result<BTreeMap<String, (ClaimPath, AttributeType)>, String> {
    if config.attributes.len() > ATTRIBUTES_MAX {
        return Err(format!("{} attributes; at most {ATTRIBUTES_MAX} are read", config.attributes.len()));
    }
    let mut attributes = BTreeMap::new();
    for (name, attribute) in &config.attributes {
        let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        let rest = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !first || !rest || name.len() > 63 {
            return Err(format!(
                "the attribute `{name}` needs another name: a letter, then a-z, 0-9 and _, at most 63"
            ));
        }
        if RESERVED.contains(&name.as_str()) {
            return Err(format!(
                "the attribute `{name}` has the name of something that policies know already: rename it"
            ));
        }
        let path =
            ClaimPath::parse(&attribute.claim)?.ok_or_else(|| format!("the attribute `{name}` names no claim"))?;
        attributes.insert(name.clone(), (path, attribute.kind));
    }
    Ok(attributes)
}

fn not_mapped(message: impl Into<String>, detail: impl Into<String>) -> Problem {
    Problem::new(Reason::NotMapped, message).detail(detail)
}
