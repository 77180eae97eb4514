//! One row a provider: what is known of its access tokens (2026-11). None was compared with the real service; what differs between two
//! products of one vendor is said at the line.

use super::{Audience, Profile};

/// What holds where a row says nothing: RFC 7519 and the absence of an ID token's marks.
const BASE: Profile = Profile {
    name: "",
    typ: &["jwt", "at+jwt"],
    typ_required: false,
    iat_required: true,
    sub_required: true,
    required: &[],
    access_marks: &[],
    access_values: &[],
    human_marks: &[],
    audience: Audience::Aud,
    client: &["client_id", "azp"],
    scope: &["scope"],
    is_id_token: false,
    has_tenants: false,
    changeable: &[],
    groups_max: None,
    domain: None,
    subject: "sub",
    login: "preferred_username",
    email_verified: "email_verified",
    groups: "groups",
};

/// RFC 9068: `typ` at+jwt (§2.1), `iss exp aud sub client_id iat jti` (§2.2), `scope` (§2.2.3).
const RFC9068: Profile =
    Profile { name: "rfc9068", typ: &["at+jwt"], typ_required: true, required: &["client_id", "jti"], ..BASE };

/// Providers that sign access tokens without RFC 9068: the audience and the absence of ID-token marks must do.
const CUSTOM: Profile = Profile {
    name: "custom",
    iat_required: false,
    client: &["client_id", "azp", "appid", "cid"],
    scope: &["scope", "scp"],
    ..BASE
};

/// `scp` is written only where a user delegated (an application alone has `roles`); ID tokens name no client by `azp` or `appid`.
/// `sub` differs from client to client, so the key is `oid` within `tid`. Both versions of the client's claim are read, since one
/// API can get both.
const ENTRA_V2: Profile = Profile {
    name: "entra-v2",
    access_marks: &[&["azp", "appid"]],
    access_values: &[("ver", &["2.0", "1.0"])],
    human_marks: &["scp"],
    client: &["azp", "appid"],
    scope: &["scp"],
    has_tenants: true,
    subject: "oid",
    email_verified: "xms_edov",
    ..BASE
};
const ENTRA_V1: Profile = Profile { name: "entra-v1", login: "upn", ..ENTRA_V2 };

/// Custom authorization servers; the org server's access tokens are not for others to read. `uid` is the person, and absent where
/// an application acts for itself; `sub` is the login, which can be given to somebody else. A claim has at most 100 groups.
const OKTA: Profile = Profile {
    name: "okta",
    access_marks: &[&["cid"]],
    human_marks: &["uid"],
    client: &["cid"],
    scope: &["scp"],
    changeable: &["sub"],
    groups_max: Some(100),
    subject: "uid",
    ..BASE
};

/// Both dialects: `azp`, or RFC 9068's `client_id` with `jti`. `sub` is `connection|id`, and `…@clients` for a program.
const AUTH0: Profile = Profile { name: "auth0", access_marks: &[&["azp", "client_id"]], ..BASE };

/// The payload's `typ` tells Bearer, ID, Refresh and others apart. A lightweight token has no `preferred_username`.
const KEYCLOAK: Profile =
    Profile { name: "keycloak", access_marks: &[&["azp"]], access_values: &[("typ", &["Bearer"])], ..BASE };

/// No `aud`, unless the client asked for a resource: the client is the audience, and `token_use` tells the kinds apart. A program's
/// token has no `username`. `username` can be an address, and be given again.
const COGNITO: Profile = Profile {
    name: "cognito",
    access_marks: &[&["client_id"]],
    access_values: &[("token_use", &["access"])],
    human_marks: &["username"],
    audience: Audience::AudOrClient,
    client: &["client_id"],
    login: "username",
    groups: "cognito:groups",
    ..BASE
};

/// Access tokens have an issuer of their own, no `kid`, and sometimes no `sub`. A program's has no `scp`.
const ADFS: Profile = Profile {
    name: "adfs",
    sub_required: false,
    access_marks: &[&["appid"]],
    human_marks: &["scp"],
    client: &["appid"],
    scope: &["scp"],
    login: "upn",
    ..BASE
};

/// Access tokens are opaque, so the ID token it is, with our client as its audience. Anybody on earth can get one: `hd` says whose
/// organisation vouches for the account.
const GOOGLE: Profile = Profile {
    name: "google",
    typ: &["jwt"],
    typ_required: true,
    client: &["azp"],
    scope: &[],
    is_id_token: true,
    domain: Some("hd"),
    login: "",
    groups: "",
    ..BASE
};

/// PingOne and PingFederate. PingFederate writes `client_id` and may leave out `iat`.
const PING: Profile =
    Profile { name: "ping", iat_required: false, access_marks: &[&["client_id"]], client: &["client_id"], ..BASE };

/// All profiles.
pub(crate) const PROFILES: &[&Profile] =
    &[&RFC9068, &ENTRA_V1, &ENTRA_V2, &OKTA, &AUTH0, &KEYCLOAK, &COGNITO, &ADFS, &GOOGLE, &PING, &CUSTOM];
