//! Tokens shaped like those of each vendor: the honest one is accepted as the person that it is, and each thing that must not pass for it
//! is refused with its reason.

use std::sync::OnceLock;

use asuser_core::Reason;
use asuser_identity::{Algorithm, Identities, IdentityConfig};
use asuser_testkit::issuer::{TestIssuer, change};
use serde_json::{Value as Json, json};

use crate::rig::{NOW_MS, NOW_S, identities, verify};

const TID: &str = "72f988bf-0000-41af-91ab-2d7cd011db47";
const OTHER_TID: &str = "11111111-2222-4333-8444-555555555555";
const OID: &str = "6c1b2f2e-5a7d-4a3e-9d55-0a8f3b8f6c11";
const API: &str = "2f0f5d4c-6e0b-4c38-9f0e-0c6f8b6a4a10";
const CLIENT: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
const GRAPH: &str = "00000003-0000-0000-c000-000000000000";

#[derive(serde::Deserialize)]
struct File {
    identity: Vec<IdentityConfig>,
}

/// One key for all: they take a while to make.
fn issuer() -> &'static TestIssuer {
    static ISSUER: OnceLock<TestIssuer> = OnceLock::new();
    ISSUER.get_or_init(|| TestIssuer::signing_with("-", "-", Algorithm::Rs256))
}

/// A vendor's honest token, and the provider that trusts it.
struct Fixture {
    profile: &'static str,
    issuer: &'static str,
    audience: &'static str,
    /// More of the block.
    more: &'static str,
    /// `typ` and whatever else stands in the header besides `alg` and `kid`.
    header: Json,
    claims: Json,
}

impl Fixture {
    fn config(&self) -> IdentityConfig {
        let Self { profile, issuer: iss, audience, more, .. } = self;
        let text = format!(
            "[[identity]]\nname = \"{profile}\"\nkind = \"jwt\"\nprofile = \"{profile}\"\nissuer = \"{iss}\"\naudience = \"{audience}\"\n{more}"
        );
        let mut config =
            toml::from_str::<File>(&text).unwrap_or_else(|error| panic!("{text}: {error}")).identity.remove(0);
        config.jwks = Some(issuer().jwks());
        config
    }
    fn identities(&self) -> Identities {
        identities(&[self.config()]).unwrap_or_else(|error| panic!("{error}"))
    }
    /// With these claims and header members in their place; `null` removes one.
    fn token(&self, claims: Json, header: Json) -> String {
        let mut full = json!({ "alg": "RS256", "kid": "test-1" });
        change(&mut full, &self.header);
        change(&mut full, &header);
        let mut all = json!({ "iss": self.issuer, "iat": NOW_S, "nbf": NOW_S, "exp": NOW_S + 3600 });
        change(&mut all, &self.claims);
        change(&mut all, &claims);
        issuer().mint_with(&full, &all)
    }
    fn accepts(&self, claims: Json) -> std::sync::Arc<asuser_identity::Verified> {
        verify(&self.identities(), &self.token(claims, json!({})), NOW_MS)
            .unwrap_or_else(|refused| panic!("{}: {refused:?}", self.profile))
    }
    /// Says why to the operator.
    fn refuses(&self, reason: Reason, what: &str, claims: Json, header: Json) -> String {
        match verify(&self.identities(), &self.token(claims, header), NOW_MS) {
            Ok(verified) => panic!("{}: {what}: accepted as {verified:?}", self.profile),
            Err(refused) => {
                assert_eq!(refused.problem.reason, reason, "{}: {what}: {:?}", self.profile, refused.problem);
                format!("{} {}", refused.problem.message, refused.problem.detail.unwrap_or_default())
            }
        }
    }
}

fn entra_v2() -> Fixture {
    Fixture {
        profile: "entra-v2",
        issuer: "https://login.microsoftonline.com/72f988bf-0000-41af-91ab-2d7cd011db47/v2.0",
        audience: API,
        more: "domains = [\"contoso.example\"]\n",
        header: json!({ "typ": "JWT" }),
        claims: json!({
            "aud": API, "aio": "AWQAm/8", "azp": CLIENT, "azpacr": "0", "name": "Ada Example", "oid": OID,
            "preferred_username": "ada@contoso.example", "rh": "0.ARoAv4j5", "scp": "access_as_user db.read",
            "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ", "tid": TID, "uti": "fqiBqXLPj0eQa82S-IYFAA", "ver": "2.0",
            "email": "ada@contoso.example", "xms_edov": true, "groups": ["9c3ab0d2-3d25-4c30-8b3a-1f0e4ad1a001"],
        }),
    }
}

fn entra_v1() -> Fixture {
    Fixture {
        profile: "entra-v1",
        issuer: "https://sts.windows.net/72f988bf-0000-41af-91ab-2d7cd011db47/",
        audience: "api://2f0f5d4c-6e0b-4c38-9f0e-0c6f8b6a4a10",
        more: "",
        header: json!({ "typ": "JWT", "x5t": "test-1" }),
        claims: json!({
            "aud": "api://2f0f5d4c-6e0b-4c38-9f0e-0c6f8b6a4a10", "acr": "1", "amr": ["pwd"], "appid": CLIENT, "appidacr": "0",
            "family_name": "Example", "given_name": "Ada", "ipaddr": "203.0.113.9", "name": "Ada Example", "oid": OID,
            "scp": "user_impersonation", "sub": "IuZ3oxJ6d-abc", "tid": TID, "unique_name": "ada@contoso.example",
            "upn": "ada@contoso.example", "uti": "abc", "ver": "1.0",
        }),
    }
}

fn okta() -> Fixture {
    Fixture {
        profile: "okta",
        issuer: "https://example.okta.com/oauth2/aus1234",
        audience: "api://default",
        more: "[identity.mapping]\nlogin = \"sub\"\nlogin_managed = true\n",
        header: json!({}),
        claims: json!({
            "ver": 1, "jti": "AT.abc", "aud": "api://default", "cid": "0oa1client", "uid": "00u1ada",
            "scp": ["openid", "profile"], "auth_time": NOW_S - 10, "sub": "ada@example.com", "groups": ["Everyone", "Sales"],
        }),
    }
}

fn auth0() -> Fixture {
    Fixture {
        profile: "auth0",
        issuer: "https://example.eu.auth0.com/",
        audience: "https://data.example.com",
        more: "[identity.mapping]\ngroups = \"https://example.com/groups\"\n",
        header: json!({ "typ": "JWT" }),
        claims: json!({
            "sub": "auth0|5f7c8ec7c33c6c004bbafe82", "aud": ["https://data.example.com", "https://example.eu.auth0.com/userinfo"],
            "azp": "my_client_id", "scope": "openid profile read:orders", "permissions": ["read:orders"],
            "https://example.com/groups": ["sales"],
        }),
    }
}

fn keycloak() -> Fixture {
    Fixture {
        profile: "keycloak",
        issuer: "https://sso.example.com/realms/company",
        audience: "asuser",
        more: "",
        header: json!({ "typ": "JWT" }),
        claims: json!({
            "jti": "onrtac:8f7", "aud": ["asuser", "account"], "sub": "f5b1a2c3-1111-4222-8333-444455556666", "typ": "Bearer",
            "azp": "sales-copilot", "sid": "a1", "acr": "1", "realm_access": { "roles": ["offline_access"] },
            "resource_access": { "account": { "roles": ["view-profile"] } }, "scope": "openid email profile",
            "email_verified": true, "name": "Ada Example", "groups": ["/devs", "/sales/eu"], "preferred_username": "ada",
            "email": "ada@example.com",
        }),
    }
}

fn cognito() -> Fixture {
    Fixture {
        profile: "cognito",
        issuer: "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_aBcDeF",
        audience: "7lbgvjhk3exampleclient",
        more: "",
        header: json!({}),
        claims: json!({
            "sub": "a3c4e5f6-0000-4000-8000-123456789abc", "cognito:groups": ["sales"], "client_id": "7lbgvjhk3exampleclient",
            "origin_jti": "o", "event_id": "e", "token_use": "access", "scope": "openid", "auth_time": NOW_S, "jti": "j",
            "username": "ada", "version": 2,
        }),
    }
}

fn adfs() -> Fixture {
    Fixture {
        profile: "adfs",
        issuer: "https://fs.example.com/adfs",
        audience: "microsoft:identityserver:https://data.example.com",
        more: "access_token_issuers = [\"http://fs.example.com/adfs/services/trust\"]\n",
        header: json!({ "typ": "JWT", "kid": null, "x5t": "test-1" }),
        claims: json!({
            "iss": "http://fs.example.com/adfs/services/trust", "aud": "microsoft:identityserver:https://data.example.com",
            "apptype": "Public", "appid": "e2a1", "authmethod": "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
            "auth_time": "2026-11-25T04:00:00.000Z", "ver": "1.0", "scp": "openid", "sub": "x9Fq0pAq", "upn": "ada@corp.example",
            "unique_name": "CORP\\ada",
        }),
    }
}

fn google() -> Fixture {
    Fixture {
        profile: "google",
        issuer: "https://accounts.google.com",
        audience: "1234-abc.apps.googleusercontent.com",
        more: "domains = [\"example.com\"]\n",
        header: json!({ "typ": "JWT" }),
        claims: json!({
            "aud": "1234-abc.apps.googleusercontent.com", "azp": "1234-abc.apps.googleusercontent.com",
            "sub": "110169484474386276334", "hd": "example.com", "email": "ada@example.com", "email_verified": "true",
            "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q", "nonce": "0394852", "name": "Ada Example",
        }),
    }
}

fn ping() -> Fixture {
    Fixture {
        profile: "ping",
        issuer: "https://auth.pingone.eu/7c2f/as",
        audience: "https://data.example.com",
        more: "",
        header: json!({}),
        claims: json!({
            "client_id": "b6f7", "jti": "1", "aud": ["https://data.example.com"], "scope": "openid profile",
            "sub": "d3b0", "env": "7c2f", "org": "o", "sid": "s", "preferred_username": "ada",
        }),
    }
}

fn all() -> Vec<Fixture> {
    vec![entra_v1(), entra_v2(), okta(), auth0(), keycloak(), cognito(), adfs(), google(), ping()]
}

#[test]
fn an_honest_token_is_the_person_it_is() {
    let expected = [
        ("entra-v1", format!("{OID}.{TID}"), Some("ada@contoso.example"), Some(CLIENT), vec!["user_impersonation"]),
        (
            "entra-v2",
            format!("{OID}.{TID}"),
            Some("ada@contoso.example"),
            Some(CLIENT),
            vec!["access_as_user", "db.read"],
        ),
        ("okta", "00u1ada".into(), Some("ada@example.com"), Some("0oa1client"), vec!["openid", "profile"]),
        (
            "auth0",
            "auth0|5f7c8ec7c33c6c004bbafe82".into(),
            None,
            Some("my_client_id"),
            vec!["openid", "profile", "read:orders"],
        ),
        (
            "keycloak",
            "f5b1a2c3-1111-4222-8333-444455556666".into(),
            Some("ada"),
            Some("sales-copilot"),
            vec!["openid", "email", "profile"],
        ),
        (
            "cognito",
            "a3c4e5f6-0000-4000-8000-123456789abc".into(),
            Some("ada"),
            Some("7lbgvjhk3exampleclient"),
            vec!["openid"],
        ),
        ("adfs", "x9Fq0pAq".into(), Some("ada@corp.example"), Some("e2a1"), vec!["openid"]),
        ("google", "110169484474386276334".into(), None, Some("1234-abc.apps.googleusercontent.com"), vec![]),
        ("ping", "d3b0".into(), Some("ada"), Some("b6f7"), vec!["openid", "profile"]),
    ];
    for (fixture, (profile, subject, login, client, scope)) in all().iter().zip(expected) {
        assert_eq!(fixture.profile, profile);
        let verified = fixture.accepts(json!({}));
        let data = verified.data();
        assert_eq!(
            (data.key.issuer.as_str(), data.key.subject.as_str()),
            (fixture.issuer, subject.as_str()),
            "{profile}"
        );
        assert_eq!(data.login.as_ref().map(asuser_core::Login::as_str), login, "{profile}");
        assert_eq!(data.actor.as_ref().map(|actor| actor.id.as_str()), client, "{profile}");
        assert_eq!(data.scope.clone().unwrap_or_default(), scope, "{profile}");
    }
    let groups = |fixture: Fixture| -> Vec<String> {
        fixture.accepts(json!({})).data().groups.iter().map(|group| group.as_str().to_owned()).collect()
    };
    assert_eq!(groups(okta()), ["Everyone", "Sales"]);
    assert_eq!(groups(cognito()), ["sales"]);
    assert_eq!(groups(keycloak()), ["/devs", "/sales/eu"]);
    assert_eq!(groups(auth0()), ["sales"]);
    assert_eq!(entra_v2().accepts(json!({})).data().email.as_deref(), Some("ada@contoso.example"));
    assert_eq!(google().accepts(json!({})).data().email.as_deref(), Some("ada@example.com"));
}

#[test]
fn for_somebody_else() {
    for fixture in all() {
        let elsewhere = match fixture.profile {
            "cognito" => json!({ "client_id": "another" }),
            _ => json!({ "aud": "https://other.example.com" }),
        };
        fixture.refuses(Reason::WrongAudience, "another audience", elsewhere, json!({}));
        fixture.refuses(Reason::UnknownIssuer, "another issuer", json!({ "iss": "https://evil.example" }), json!({}));
        let slash = match fixture.issuer.strip_suffix('/') {
            Some(bare) => bare.to_owned(),
            None => format!("{}/", fixture.issuer),
        };
        fixture.refuses(Reason::UnknownIssuer, "a slash", json!({ "iss": slash }), json!({}));
        fixture.accepts(json!({}));
    }
    // A resource that was asked for counts, and then the client does not.
    cognito().accepts(json!({ "aud": "7lbgvjhk3exampleclient" }));
    cognito().refuses(Reason::WrongAudience, "a resource", json!({ "aud": "https://other.example.com" }), json!({}));
    for fixture in all().into_iter().filter(|fixture| fixture.profile != "cognito") {
        fixture.refuses(Reason::BadClaim, "no audience", json!({ "aud": null }), json!({}));
    }
    // Keycloak before an audience is mapped.
    keycloak().refuses(Reason::WrongAudience, "account", json!({ "aud": "account" }), json!({}));
}

#[test]
fn a_program_of_its_own() {
    let machines: [(Fixture, Json); 11] = [
        (
            entra_v2(),
            json!({ "scp": null, "roles": ["Data.Read.All"], "sub": OID, "preferred_username": null, "name": null }),
        ),
        (entra_v2(), json!({ "scp": null, "roles": ["Data.Read.All"] })),
        (entra_v2(), json!({ "idtyp": "app" })),
        (entra_v1(), json!({ "scp": null, "roles": ["Data.Read.All"], "sub": OID, "upn": null, "unique_name": null })),
        (okta(), json!({ "uid": null, "sub": "0oa1client" })),
        (auth0(), json!({ "sub": "my_client_id@clients", "gty": "client-credentials" })),
        (keycloak(), json!({ "preferred_username": "service-account-sales-copilot", "clientHost": "10.0.0.1" })),
        (cognito(), json!({ "sub": "7lbgvjhk3exampleclient", "username": null })),
        (adfs(), json!({ "scp": null, "upn": null, "unique_name": null })),
        (google(), json!({ "email": "bot@project.iam.gserviceaccount.com" })),
        (ping(), json!({ "sub": "b6f7" })),
    ];
    for (fixture, claims) in machines {
        let words = fixture.refuses(Reason::MachineToken, "a machine", claims, json!({}));
        assert!(words.contains("no person"), "{words}");
    }
    // Where neither `sub` nor another key is there, it is still called what it is.
    adfs().refuses(Reason::MachineToken, "no sub", json!({ "scp": null, "sub": null }), json!({}));
    adfs().refuses(Reason::BadClaim, "no sub", json!({ "sub": null }), json!({}));
}

#[test]
fn an_id_token_or_another() {
    let ids: [(Fixture, Json); 12] = [
        (entra_v2(), json!({ "nonce": "n" })),
        (entra_v2(), json!({ "azp": null, "azpacr": null, "scp": null })),
        (entra_v2(), json!({ "ver": null })),
        (entra_v1(), json!({ "at_hash": "h" })),
        (okta(), json!({ "cid": null, "uid": null, "scp": null, "sub": "00u1ada", "jti": "ID.x", "at_hash": "h" })),
        (okta(), json!({ "cid": null, "uid": null, "scp": null, "sub": "00u1ada", "jti": "ID.x" })),
        (auth0(), json!({ "azp": null, "scope": null, "nonce": "n" })),
        (auth0(), json!({ "azp": null })),
        (keycloak(), json!({ "typ": "ID" })),
        (keycloak(), json!({ "typ": "Refresh" })),
        (cognito(), json!({ "token_use": "id", "aud": "7lbgvjhk3exampleclient" })),
        (ping(), json!({ "client_id": null, "at_hash": "h" })),
    ];
    for (fixture, claims) in ids {
        fixture.refuses(Reason::WrongTokenType, "no access token", claims, json!({}));
    }
    for (fixture, claims) in [
        (keycloak(), json!({ "typ": null })),
        (cognito(), json!({ "token_use": null })),
        (ping(), json!({ "client_id": null })),
        (adfs(), json!({ "appid": null, "c_hash": "h" })),
    ] {
        fixture.refuses(Reason::WrongTokenType, "no mark of an access token", claims, json!({}));
    }
    for fixture in all() {
        fixture.refuses(Reason::WrongTokenType, "a logout token", json!({}), json!({ "typ": "logout+jwt" }));
        fixture.refuses(Reason::WrongTokenType, "a security event", json!({ "events": {} }), json!({}));
    }
    // RFC 9068's header is welcome where a vendor can be set to it.
    for fixture in [auth0(), keycloak(), ping(), okta(), entra_v2()] {
        let token = fixture.token(json!({}), json!({ "typ": "at+jwt" }));
        verify(&fixture.identities(), &token, NOW_MS).unwrap();
    }
    // Google has nothing else to give; the marks of an ID token are no sin there, and its audience is our client.
    google().accepts(json!({ "nonce": null, "at_hash": null }));
}

#[test]
fn a_token_for_graph_is_explained() {
    for fixture in [entra_v1(), entra_v2()] {
        // What Graph gets has a header that only Graph can undo.
        for (claims, header) in [
            (json!({ "aud": GRAPH }), json!({ "nonce": "AQABAAAAAAD" })),
            (json!({}), json!({ "nonce": "AQABAAAAAAD" })),
            (json!({ "aud": GRAPH }), json!({})),
            (json!({ "aud": "https://graph.microsoft.com" }), json!({})),
        ] {
            let words = fixture.refuses(Reason::WrongAudience, "Graph", claims, header);
            assert!(words.contains("own API"), "{words}");
        }
    }
    // With a spoilt signature it is explained all the same.
    let fixture = entra_v2();
    let token = fixture.token(json!({ "aud": GRAPH }), json!({ "nonce": "x" }));
    let (rest, _) = token.rsplit_once('.').unwrap();
    let refused = verify(&fixture.identities(), &format!("{rest}.AAAA"), NOW_MS).unwrap_err();
    assert_eq!((refused.problem.reason, refused.established), (Reason::WrongAudience, None));
    // Elsewhere such a member means nothing.
    let other = okta();
    verify(&other.identities(), &other.token(json!({}), json!({ "nonce": "x" })), NOW_MS).unwrap();
}

#[test]
fn groups_that_were_left_out_are_not_none() {
    let overage = json!({
        "groups": null, "_claim_names": { "groups": "src1" },
        "_claim_sources": { "src1": { "endpoint": "https://graph.windows.net/evil/getMemberObjects" } },
    });
    for fixture in [entra_v1(), entra_v2()] {
        fixture.refuses(Reason::NotMapped, "overage", overage.clone(), json!({}));
        fixture.refuses(Reason::NotMapped, "overage", json!({ "groups": null, "hasgroups": true }), json!({}));
        fixture.accepts(json!({ "groups": null }));
    }
    let groups = |count: usize| json!({ "groups": (0..count).map(|at| format!("g{at}")).collect::<Vec<_>>() });
    okta().accepts(groups(99));
    okta().refuses(Reason::NotMapped, "as many as Okta writes", groups(100), json!({}));
    keycloak().accepts(groups(150));
}

/// JW-12: who controls another tenant controls `email`, `upn` and `preferred_username` there.
#[test]
fn another_tenant_is_another_person_whatever_it_calls_itself() {
    let victim = entra_v2().accepts(json!({})).data().key.clone();
    let template = Fixture {
        issuer: "https://login.microsoftonline.com/{tenantid}/v2.0",
        more: "tenants = [\"72f988bf-0000-41af-91ab-2d7cd011db47\", \"11111111-2222-4333-8444-555555555555\"]\n\
               access_token_issuers = [\"https://sts.windows.net/{tenantid}/\"]\ndomains = [\"contoso.example\"]\n",
        ..entra_v2()
    };
    let iss = |tid: &str| format!("https://login.microsoftonline.com/{tid}/v2.0");
    let data = |claims: Json| template.accepts(claims).data().clone();
    let honest = data(json!({ "iss": iss(TID) }));
    assert_eq!(honest.key.subject, victim.subject);
    assert_eq!(honest.key.issuer.as_str(), template.issuer);
    // The attacker's tenant is let in too, and has the victim's names and even the victim's `oid`.
    let attacker =
        data(json!({ "iss": iss(OTHER_TID), "tid": OTHER_TID, "xms_edov": false, "upn": "ada@contoso.example" }));
    assert_eq!(attacker.key.subject.as_str(), format!("{OID}.{OTHER_TID}"));
    assert_eq!(attacker.email, None, "an address that its provider does not vouch for is none");
    // A tenant in `tid` that is not the issuer's is nobody; so is a tenant that is not listed.
    template.refuses(Reason::BadClaim, "tid", json!({ "iss": iss(OTHER_TID), "tid": TID }), json!({}));
    template.refuses(Reason::BadClaim, "tid", json!({ "iss": iss(TID), "tid": OTHER_TID }), json!({}));
    template.refuses(Reason::BadClaim, "no tid", json!({ "iss": iss(TID), "tid": null }), json!({}));
    template.refuses(Reason::BadClaim, "no oid", json!({ "iss": iss(TID), "oid": null }), json!({}));
    template.refuses(Reason::BadClaim, "oid", json!({ "iss": iss(TID), "oid": "ada" }), json!({}));
    let stranger = "99999999-2222-4333-8444-555555555555";
    template.refuses(Reason::UnknownIssuer, "a stranger", json!({ "iss": iss(stranger), "tid": stranger }), json!({}));
    template.refuses(Reason::UnknownIssuer, "the template", json!({ "iss": template.issuer }), json!({}));
    // The same person by the other version of the protocol, in either case of letters.
    let v1 = json!({ "iss": format!("https://sts.windows.net/{TID}/"), "ver": "1.0", "azp": null, "appid": CLIENT });
    assert_eq!(data(v1).key, honest.key);
    assert_eq!(data(json!({ "iss": iss(TID), "oid": OID.to_uppercase(), "tid": TID.to_uppercase() })).key, honest.key);
    // With one tenant configured, the other is another issuer.
    entra_v2().refuses(
        Reason::UnknownIssuer,
        "a tenant",
        json!({ "iss": iss(OTHER_TID), "tid": OTHER_TID }),
        json!({}),
    );
    entra_v2().refuses(
        Reason::UnknownIssuer,
        "v1",
        json!({ "iss": format!("https://sts.windows.net/{TID}/") }),
        json!({}),
    );
}

#[test]
fn google_accounts_belong_to_an_organisation() {
    google().accepts(json!({ "iss": "accounts.google.com" }));
    google().accepts(json!({ "hd": "Example.COM" }));
    for hd in [json!(null), json!("evil.example"), json!(""), json!(["example.com"])] {
        let words = google().refuses(Reason::NotMapped, "another organisation", json!({ "hd": hd }), json!({}));
        assert!(words.contains("organisation"), "{words}");
    }
    let open = Fixture { more: "", ..google() };
    assert!(identities(&[open.config()]).unwrap_err().to_string().contains("`domains`"));
}

#[test]
fn a_person_who_gets_a_new_login_stays_who_they_are() {
    assert_eq!(okta().accepts(json!({ "sub": "ada.new@example.com" })).data().key.subject.as_str(), "00u1ada");
    let wrong =
        |fixture: Fixture| identities(&[fixture.config()]).expect_err("the configuration must be refused").to_string();
    // What is written is meant, the usual name included; what is not written is the profile's.
    assert!(wrong(Fixture { more: "[identity.mapping]\nlogin = \"sub\"\n", ..okta() }).contains("login_managed"));
    assert!(wrong(Fixture { more: "[identity.mapping]\nsubject = \"sub\"\n", ..okta() }).contains("stable claim"));
    assert!(
        wrong(Fixture { more: "[identity.mapping]\ndatabase_role = \"sub\"\n", ..okta() }).contains("can be changed")
    );
    for more in ["[identity.mapping]\nsubject = \"sub\"\n", "[identity.mapping]\nsubject = \"uti\"\n"] {
        assert!(wrong(Fixture { more, ..entra_v2() }).contains("`oid` within `tid`"));
    }
    let written = Fixture { more: "[identity.mapping]\nsubject = \"uid\"\nlogin = \"preferred_username\"\n", ..okta() };
    assert_eq!(written.accepts(json!({})).data().login, None);
}

#[test]
fn templates_and_tenants_go_together() {
    let wrong = |fixture: Fixture| identities(&[fixture.config()]).expect_err("refused").to_string();
    let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
    assert!(wrong(Fixture { issuer: template, ..entra_v2() }).contains("by `tenants`"));
    assert!(wrong(Fixture { issuer: template, more: "tenants = [\"contoso\"]\n", ..entra_v2() }).contains("no GUID"));
    assert!(wrong(Fixture { issuer: template, ..ping() }).contains("entra-v1 and entra-v2"));
    let alone = "tenants = [\"11111111-2222-4333-8444-555555555555\"]\n";
    assert!(wrong(Fixture { more: alone, ..entra_v2() }).contains("tenants go with"));
    // Two providers cannot share what is written into either.
    let (mut first, second) = (ping().config(), auth0().config());
    first.access_token_issuers = vec![second.issuer.clone()];
    assert!(identities(&[first.clone(), second.clone()]).unwrap_err().to_string().contains("same issuer"));
    first.access_token_issuers.clear();
    identities(&[first, second]).unwrap();
}
