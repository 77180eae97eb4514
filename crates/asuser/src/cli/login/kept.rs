//! What a sign-in leaves behind, so that agents on this machine can ask for the person.

use asuser_core::Secret;
use serde::{Deserialize, Serialize};

/// How the client says who it is (RFC 6749 §2.3, OpenID Connect Core §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClientAuth {
    /// A public client has nothing to show.
    None,
    ClientSecretBasic,
    ClientSecretPost,
}

/// The client, as the authorization server knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OauthClient {
    pub(crate) id: String,
    pub(crate) auth: ClientAuth,
    #[serde(with = "secret_option", default)]
    pub(crate) secret: Option<Secret>,
}

/// Tokens, and all that renews and revokes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The asuser that they are for: they are sent nowhere else.
    pub(crate) url: String,
    pub(crate) issuer: String,
    pub(crate) token_endpoint: String,
    pub(crate) revocation_endpoint: Option<String>,
    pub(crate) client: OauthClient,
    pub(crate) resource: Option<String>,
    pub(crate) scope: String,
    #[serde(with = "secret")]
    pub(crate) access_token: Secret,
    #[serde(with = "secret_option", default)]
    pub(crate) refresh_token: Option<Secret>,
    /// Of the access token, where the server says it.
    pub(crate) expires_ms: Option<i64>,
}

impl Kept {
    /// Whether the access token ends within `margin_ms`, as far as is known.
    pub(crate) fn ends_within(&self, margin_ms: i64, now_ms: i64) -> bool {
        self.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms.saturating_add(margin_ms))
    }
}

/// Written out for the one file or keyring that keeps it.
mod secret {
    use asuser_core::Secret;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(secret.expose())
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
        String::deserialize(from).map(Secret::new)
    }
}

mod secret_option {
    use asuser_core::Secret;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(secret: &Option<Secret>, to: S) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Secret::expose).serialize(to)
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.map(Secret::new))
    }
}

#[cfg(test)]
pub(super) fn sample(url: &str) -> Kept {
    Kept {
        url: url.into(),
        issuer: "https://login.example.com".into(),
        token_endpoint: "https://login.example.com/token".into(),
        revocation_endpoint: None,
        client: OauthClient { id: "asuser-cli".into(), auth: ClientAuth::None, secret: None },
        resource: Some(format!("{url}/mcp")),
        scope: "db:read".into(),
        access_token: Secret::new("access-1".into()),
        refresh_token: Some(Secret::new("refresh-1".into())),
        expires_ms: Some(1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_written_for_the_store_and_printed_nowhere() {
        let kept = sample("https://d.example");
        let text = serde_json::to_string(&kept).unwrap();
        assert!(text.contains("access-1") && text.contains("refresh-1"));
        assert_eq!(serde_json::from_str::<Kept>(&text).unwrap(), kept);
        let printed = format!("{kept:?}");
        assert!(!printed.contains("access-1") && !printed.contains("refresh-1"), "{printed}");
    }

    #[test]
    fn a_token_without_a_known_end_does_not_end() {
        let mut kept = sample("https://d.example");
        assert!(kept.ends_within(0, 1_000_000) && kept.ends_within(10, 999_990) && !kept.ends_within(9, 999_990));
        kept.expires_ms = None;
        assert!(!kept.ends_within(i64::MAX, i64::MAX));
    }
}
