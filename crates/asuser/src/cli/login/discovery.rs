//! Who issues tokens for an asuser, and how one is asked for.
//!
//! In: what asuser says of itself (RFC 9728), and what the authorization server says (RFC 8414, OpenID Connect Discovery). Out: a
//! [`Provider`]. Refuses documents that are about somebody else, and servers that do no PKCE with S256.

use anyhow::{Context as _, bail, ensure};
use asuser_fetch::{Client, Url};
use serde_json::Value as Json;

use super::address::Address;
use super::words::clean;

const PROTECTED_RESOURCE: &str = "/.well-known/oauth-protected-resource";
/// What one list of a document may hold.
const ENTRIES_MAX: usize = 256;

/// What asuser says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    /// What a token must be for.
    pub(crate) identifier: String,
    pub(crate) issuers: Vec<String>,
    pub(crate) scopes: Vec<String>,
}

/// What an authorization server says of itself.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: Url,
    pub(crate) token_endpoint: Url,
    pub(crate) registration_endpoint: Option<Url>,
    pub(crate) revocation_endpoint: Option<Url>,
    /// It names itself in its answers (RFC 9207 §3).
    pub(crate) says_issuer: bool,
    pub(crate) scopes: Vec<String>,
}

/// Asks an asuser about itself: as what MCP clients know it, else as a whole.
pub(crate) async fn resource(client: &Client, address: &Address) -> anyhow::Result<Resource> {
    for path in ["/mcp", ""] {
        let url = address.at(&format!("{PROTECTED_RESOURCE}{path}"))?;
        let answer = client.send(asuser_fetch::Request::get(url)).await?;
        if answer.status == 404 {
            continue;
        }
        let answer = answer.success()?;
        let document: Json = serde_json::from_slice(&answer.body)
            .with_context(|| format!("{} is no JSON: is an asuser there?", answer.url))?;
        return parse_resource(&document, &format!("{}{path}", address.as_str()));
    }
    bail!("{} says nothing about who issues its tokens ({PROTECTED_RESOURCE}): is an asuser there?", address.as_str())
}

/// RFC 9728 §3.3: a document about another resource must not be used.
fn parse_resource(document: &Json, identifier: &str) -> anyhow::Result<Resource> {
    let said = text(document, "resource").context("what asuser says of itself names no `resource`")?;
    ensure!(
        said == identifier,
        "asuser was asked at `{identifier}` and calls itself `{}`: use that address, or correct its `server.public_url`",
        clean(said)
    );
    Ok(Resource {
        identifier: identifier.to_owned(),
        issuers: list(document, "authorization_servers"),
        scopes: list(document, "scopes_supported"),
    })
}

/// The issuer to sign in at: the wanted one, or the only one.
pub(crate) fn choose<'a>(resource: &'a Resource, wanted: Option<&str>) -> anyhow::Result<&'a str> {
    let known = || resource.issuers.iter().map(|issuer| format!("\n  {}", clean(issuer))).collect::<String>();
    match (wanted, resource.issuers.as_slice()) {
        (_, []) => bail!("this asuser names no authorization server: tokens for it are had in another way"),
        (Some(wanted), issuers) => issuers
            .iter()
            .find(|issuer| *issuer == wanted)
            .map(String::as_str)
            .with_context(|| format!("this asuser does not accept tokens of `{wanted}`, but of:{}", known())),
        (None, [issuer]) => Ok(issuer),
        (None, _) => bail!("this asuser accepts tokens of several: choose one with --issuer{}", known()),
    }
}

/// Asks an authorization server about itself.
pub(crate) async fn provider(client: &Client, issuer: &str, assume_pkce: bool) -> anyhow::Result<Provider> {
    let mut tried = Vec::new();
    for url in well_known(issuer)? {
        let answer = client.send(asuser_fetch::Request::get(url)).await?;
        if answer.status != 200 {
            tried.push(format!("{} ({})", answer.url, answer.status));
            continue;
        }
        let document: Json =
            serde_json::from_slice(&answer.body).with_context(|| format!("{} is no JSON", answer.url))?;
        return parse_provider(&document, issuer, assume_pkce).with_context(|| format!("{}", answer.url));
    }
    bail!("the authorization server `{}` says nothing of itself; tried {}", clean(issuer), tried.join(", "))
}

/// RFC 8414 §3.1 and §5, and OpenID Connect Discovery §4.1.
fn well_known(issuer: &str) -> anyhow::Result<Vec<Url>> {
    let url: Url = issuer.parse()?;
    ensure!(!url.text().contains('?'), "the issuer `{}` has a query", clean(issuer));
    let plain = issuer.trim_end_matches('/');
    let (scheme, rest) = plain.split_once("://").context("the issuer is no URL")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let mut texts = vec![
        format!("{scheme}://{authority}/.well-known/oauth-authorization-server{path}"),
        format!("{scheme}://{authority}/.well-known/openid-configuration{path}"),
        format!("{plain}/.well-known/openid-configuration"),
    ];
    texts.dedup();
    texts.iter().map(|text| Ok(text.parse()?)).collect()
}

fn parse_provider(document: &Json, issuer: &str, assume_pkce: bool) -> anyhow::Result<Provider> {
    // RFC 8414 §3.3: identical, or the document is somebody else's (RFC 9207 §1: mix-up).
    let said = text(document, "issuer").unwrap_or_default();
    ensure!(said == issuer, "the issuer `{}` was asked for, and `{}` answers", clean(issuer), clean(said));
    let methods = list(document, "code_challenge_methods_supported");
    let is_silent = document.get("code_challenge_methods_supported").is_none();
    ensure!(
        methods.iter().any(|method| method == "S256") || (assume_pkce && is_silent),
        "this authorization server does not say that it does PKCE with S256, without which a code could be stolen{}",
        if is_silent { " (Entra does it and does not say so: --assume-pkce)" } else { "" }
    );
    let responses = list(document, "response_types_supported");
    ensure!(responses.is_empty() || responses.iter().any(|kind| kind == "code"), "it has no authorization code flow");
    let endpoint = |name: &str| -> anyhow::Result<Option<Url>> {
        let Some(value) = text(document, name) else { return Ok(None) };
        let url: Url = value.parse().with_context(|| format!("its `{name}`"))?;
        // A browser opens one of them: it would not mind.
        let secure = url.is_https() || issuer.starts_with("http://");
        ensure!(secure, "its `{name}` is not encrypted");
        Ok(Some(url))
    };
    Ok(Provider {
        issuer: issuer.to_owned(),
        authorization_endpoint: endpoint("authorization_endpoint")?.context("it has no `authorization_endpoint`")?,
        token_endpoint: endpoint("token_endpoint")?.context("it has no `token_endpoint`")?,
        registration_endpoint: endpoint("registration_endpoint")?,
        revocation_endpoint: endpoint("revocation_endpoint")?,
        says_issuer: document.get("authorization_response_iss_parameter_supported") == Some(&Json::Bool(true)),
        scopes: list(document, "scopes_supported"),
    })
}

fn text<'a>(document: &'a Json, name: &str) -> Option<&'a str> {
    document.get(name).and_then(Json::as_str)
}

fn list(document: &Json, name: &str) -> Vec<String> {
    let entries = document.get(name).and_then(Json::as_array).into_iter().flatten();
    entries.filter_map(Json::as_str).take(ENTRIES_MAX).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://login.example.com/tenant";

    fn document() -> Json {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://login.example.com/auth?realm=a",
            "token_endpoint": "https://login.example.com/token",
            "code_challenge_methods_supported": ["plain", "S256"],
            "response_types_supported": ["code", "id_token"],
            "scopes_supported": ["openid", "offline_access"],
            "authorization_response_iss_parameter_supported": true,
        })
    }
    fn changed(name: &str, value: Json) -> Json {
        let mut document = document();
        document[name] = value;
        document
    }
    fn without(name: &str) -> Json {
        let mut document = document();
        document.as_object_mut().unwrap().remove(name);
        document
    }
    fn refused(document: &Json) -> String {
        format!("{:#}", parse_provider(document, ISSUER, false).unwrap_err())
    }

    #[test]
    fn a_provider_is_read() {
        let provider = parse_provider(&document(), ISSUER, false).unwrap();
        assert_eq!(provider.authorization_endpoint.text(), "https://login.example.com/auth?realm=a");
        assert!(provider.says_issuer && provider.registration_endpoint.is_none());
        assert_eq!(provider.scopes, ["openid", "offline_access"]);
    }

    #[test]
    fn a_document_of_somebody_else_is_refused() {
        for other in
            ["https://login.example.com/tenant/", "https://login.example.com/Tenant", "https://evil.example", ""]
        {
            assert!(refused(&changed("issuer", json!(other))).contains("answers"), "{other}");
        }
        assert!(refused(&without("issuer")).contains("answers"));
    }

    #[test]
    fn without_s256_there_is_no_sign_in() {
        for methods in [json!(["plain"]), json!([]), json!("S256")] {
            let document = changed("code_challenge_methods_supported", methods);
            assert!(refused(&document).contains("PKCE"));
            assert!(parse_provider(&document, ISSUER, true).is_err(), "what it says counts more than what is assumed");
        }
        let silent = without("code_challenge_methods_supported");
        assert!(refused(&silent).contains("--assume-pkce"));
        assert!(parse_provider(&silent, ISSUER, true).is_ok());
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for document in [
            without("authorization_endpoint"),
            without("token_endpoint"),
            changed("response_types_supported", json!(["id_token"])),
            changed("token_endpoint", json!("http://login.example.com/token")),
            changed("authorization_endpoint", json!("http://127.0.0.1/auth")),
            changed("authorization_endpoint", json!("javascript:alert(1)")),
            changed("authorization_endpoint", json!("file:///etc/passwd")),
            changed("revocation_endpoint", json!("https://u:p@login.example.com/")),
            json!([]),
            json!(null),
        ] {
            assert!(parse_provider(&document, ISSUER, false).is_err(), "{document}");
        }
    }

    #[test]
    fn metadata_is_looked_for_where_the_standards_put_it() {
        let urls = |issuer| well_known(issuer).unwrap().iter().map(Url::text).collect::<Vec<_>>();
        assert_eq!(
            urls("https://a.example/t/1/"),
            [
                "https://a.example/.well-known/oauth-authorization-server/t/1",
                "https://a.example/.well-known/openid-configuration/t/1",
                "https://a.example/t/1/.well-known/openid-configuration",
            ]
        );
        assert_eq!(urls("https://a.example").len(), 2);
        for wrong in ["", "urn:issuer", "https://a.example/?x", "https://a.example/#x", "file:///x"] {
            assert!(well_known(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_asuser_speaks_of_itself() {
        let said = |resource: &str| json!({ "resource": resource, "authorization_servers": [ISSUER] });
        let read = parse_resource(&said("https://d.example/mcp"), "https://d.example/mcp").unwrap();
        assert_eq!((read.issuers.as_slice(), read.scopes.len()), (&[ISSUER.to_owned()][..], 0));
        for other in ["https://d.example", "https://evil.example/mcp", "https://d.example/mcp/"] {
            let words = parse_resource(&said(other), "https://d.example/mcp").unwrap_err().to_string();
            assert!(words.contains("public_url"), "{words}");
        }
        assert!(parse_resource(&json!({}), "https://d.example/mcp").is_err());
    }

    #[test]
    fn of_several_issuers_one_is_chosen_by_a_person() {
        let resource = |issuers: &[&str]| Resource {
            identifier: String::new(),
            issuers: issuers.iter().map(|issuer| (*issuer).to_owned()).collect(),
            scopes: Vec::new(),
        };
        assert!(choose(&resource(&[]), None).is_err());
        assert_eq!(choose(&resource(&["a"]), None).unwrap(), "a");
        assert!(choose(&resource(&["a", "b"]), None).unwrap_err().to_string().contains("--issuer"));
        assert_eq!(choose(&resource(&["a", "b"]), Some("b")).unwrap(), "b");
        assert!(choose(&resource(&["a"]), Some("c")).is_err());
    }
}
