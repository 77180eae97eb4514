//! A provider's own description (OpenID Connect Discovery 1.0 §3 and §4, RFC 8414 §2 and §3).
//!
//! In: its text. Out: where its keys are. Refuses a description of another issuer: it would put somebody else's keys in the place of
//! this provider's.

use asuser_fetch::Url;
use serde_json::Value as Json;

use super::oidc::{of_all_tenants, url};
use crate::token::json::parse_object;
use crate::token::jws::shown;

/// What is read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    /// Where the keys are.
    pub(super) jwks_url: Url,
    /// AD FS: what `iss` of its access tokens is.
    pub(super) access_token_issuer: Option<String>,
}

/// Where the description may be, in the order in which to look.
pub(super) fn urls(issuer: &str, configured: Option<&str>) -> Result<Vec<Url>, String> {
    if let Some(configured) = configured {
        return Ok(vec![url(configured, "discovery_url")?]);
    }
    let issuer = of_all_tenants(issuer);
    let base = url(&issuer, "issuer").map_err(|error| format!("{error}; or name the metadata by discovery_url"))?;
    // Discovery §4.1: behind the issuer, without a slash at its end.
    let behind = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    // RFC 8414 §3.1: between host and path.
    let text = base.text();
    let root = text.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let path = text.get(root.len()..).unwrap_or_default().trim_end_matches('/');
    let between = format!("{root}/.well-known/oauth-authorization-server{path}");
    Ok(vec![url(&behind, "issuer")?, url(&between, "issuer")?])
}

impl Metadata {
    /// Reads the description of `issuer`.
    pub(super) fn read(text: &str, issuer: &str) -> Result<Self, String> {
        let object =
            parse_object(text.as_bytes()).map_err(|error| format!("the metadata is no JSON object: {error}"))?;
        let text = |name: &str| object.get(name).and_then(Json::as_str);
        let said = text("issuer").ok_or("the metadata names no `issuer`")?;
        // Discovery §4.3, RFC 8414 §3.3: identical.
        if said != issuer {
            let hint = if said.trim_end_matches('/') == issuer.trim_end_matches('/') {
                " (only the trailing slash differs)"
            } else {
                ""
            };
            return Err(format!(
                "the metadata is that of {:?}, and the configuration says issuer = {issuer:?}{hint}: copy the issuer from the metadata",
                shown(said)
            ));
        }
        let jwks_url = url(text("jwks_uri").ok_or("the metadata names no `jwks_uri`")?, "jwks_uri")?;
        Ok(Self { jwks_url, access_token_issuer: text("access_token_issuer").map(shown) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(issuer: &str) -> Vec<String> {
        urls(issuer, None).unwrap().iter().map(Url::text).collect()
    }

    #[test]
    fn looks_behind_the_issuer_and_between_host_and_path() {
        assert_eq!(
            places("https://idp.example.com/realms/one"),
            [
                "https://idp.example.com/realms/one/.well-known/openid-configuration",
                "https://idp.example.com/.well-known/oauth-authorization-server/realms/one"
            ]
        );
        assert_eq!(
            places("https://idp.example.com/"),
            [
                "https://idp.example.com/.well-known/openid-configuration",
                "https://idp.example.com/.well-known/oauth-authorization-server"
            ]
        );
        assert_eq!(
            places("https://login.microsoftonline.com/{tenantid}/v2.0")[0],
            "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration"
        );
        assert_eq!(urls("anything", Some("https://x/meta")).unwrap().len(), 1);
        for (issuer, configured) in
            [("idp", None), ("urn:idp", None), ("https://x", Some("ftp://x")), ("https://a:b@x", None)]
        {
            assert!(urls(issuer, configured).is_err(), "{issuer}");
        }
    }

    #[test]
    fn a_description_is_that_of_this_issuer_to_the_letter() {
        let read = |text: &str| Metadata::read(text, "https://idp/");
        let good =
            r#"{"issuer":"https://idp/","jwks_uri":"https://idp/keys","access_token_issuer":"http://idp/trust"}"#;
        let metadata = read(good).unwrap();
        assert_eq!(metadata.jwks_url.text(), "https://idp/keys");
        assert_eq!(metadata.access_token_issuer.as_deref(), Some("http://idp/trust"));
        for (text, word) in [
            (good.replace("\"https://idp/\"", "\"https://idp\""), "trailing slash"),
            (good.replace("\"https://idp/\"", "\"https://evil/\""), "copy the issuer"),
            (good.replace("\"https://idp/\"", "7"), "no `issuer`"),
            (good.replace("jwks_uri", "jwks"), "no `jwks_uri`"),
            (good.replace("https://idp/keys", "file:///etc/passwd"), "jwks_uri"),
            ("[]".into(), "JSON object"),
            ("<html>".into(), "JSON object"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
