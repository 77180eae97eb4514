//! Where the people of these tests sign in: a real provider, where it is installed.

use asuser_testkit::OidcProvider;

use crate::site::Site;

/// npm's oidc-provider; in CI it must be there.
pub(super) fn installed() -> Option<OidcProvider> {
    let provider = OidcProvider::start_if_installed();
    assert!(provider.is_some() || std::env::var_os("CI").is_none(), "CI has to have npm's oidc-provider");
    provider
}

/// A running asuser, and who vouches for its people: npm's oidc-provider, else the tests' own issuer.
pub(super) struct Company {
    pub(super) site: Site,
    provider: Option<OidcProvider>,
}

impl Company {
    pub(super) fn start() -> Self {
        let Some(provider) = installed() else { return Self { site: Site::new().started(), provider: None } };
        let site = site(&provider.config("company", ""));
        wait_for_keys(&site, &provider.token("alice"));
        Self { site, provider: Some(provider) }
    }

    /// A token of somebody who signed in with PKCE (RFC 7636), for this asuser.
    pub(super) fn token(&self, person: &str) -> String {
        match &self.provider {
            Some(provider) => provider.token(person),
            None => self.site.issuer.token_for(person),
        }
    }

    pub(super) fn rotate_keys(&self) {
        if let Some(provider) = &self.provider {
            provider.rotate_keys();
        }
    }
}

/// A running asuser that trusts this provider.
pub(super) fn site(identity: &str) -> Site {
    let site = Site::new();
    site.write(
        "asuser.toml",
        &format!(
            r#"
[server]
listen = "127.0.0.1:0"
[audit]
checkpoint_to = ["file:checkpoints"]
{identity}
[[service]]
name = "db"
kind = "sqlite"
path = "company.db"
"#
        ),
    );
    site.started()
}

/// At the start the provider's keys are on their way.
pub(super) fn wait_for_keys(site: &Site, token: &str) {
    while site.get("/whoami", token).status == 503 {}
}
