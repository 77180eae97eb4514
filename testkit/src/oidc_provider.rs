//! A real OpenID provider on 127.0.0.1: npm's `oidc-provider`, with people, clients, resource indicators and PKCE.
//!
//! In: what it is to sign with. Out: an issuer, tokens of people who signed in through its forms, and what its addresses were asked. Its
//! keys can be changed and its addresses be made slow, broken or absent while it runs.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test without its provider fails at once"
)]

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use asuser_identity::Algorithm;
use serde_json::{Value as Json, json};

use crate::node::Script;
use crate::postgres::TestCa;

const SCRIPT: &str = include_str!("oidc_provider/provider.mjs");
const PACKAGE: &str = "oidc-provider";

/// The audience of this kit's tokens, unless a test asks for another.
pub const RESOURCE: &str = "https://data.example.com";
/// The client of this kit's tokens, unless a test asks for another; its secret is `sales-copilot-secret`.
pub const CLIENT: &str = "sales-copilot";
/// A native client without a secret: `http://127.0.0.1/callback`, on any port.
pub const NATIVE_CLIENT: &str = "asuser-cli";

/// A running provider. It ends when it is dropped.
#[derive(Debug)]
pub struct OidcProvider {
    script: Mutex<Script>,
    issuer: String,
    port: u16,
    /// Node.js reads it once.
    _ca: Option<tempfile::NamedTempFile>,
}

/// How a provider is to be.
#[derive(Debug, Clone)]
pub struct OidcOptions {
    /// What it signs with: RS256 (default), ES256 or EdDSA.
    pub algorithm: Algorithm,
    /// Its scopes besides `openid`, `offline_access`, `profile` and `email`.
    pub scopes: Vec<String>,
    /// Clients with a secret: `{id}-secret`.
    pub clients: Vec<String>,
    /// The resource where a client names none.
    pub resource: Option<String>,
    /// Claims of single people, besides what [`OidcProvider::token`] says: `{"alice": {"groups": ["hr"]}}`.
    pub people: Json,
}

impl Default for OidcOptions {
    fn default() -> Self {
        let scopes = ["db:read", "db:raw_sql", "hr:read", "*:read"];
        Self {
            algorithm: Algorithm::Rs256,
            scopes: scopes.map(str::to_owned).to_vec(),
            clients: vec![CLIENT.to_owned(), "other-agent".to_owned()],
            resource: None,
            people: json!({}),
        }
    }
}

/// What a sign-in gives.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// The access token: a JWT (RFC 9068).
    pub access_token: String,
    /// The ID token.
    pub id_token: String,
    /// Where `offline_access` was among the scopes.
    pub refresh_token: Option<String>,
}

/// One request that came.
#[derive(Debug, Clone)]
pub struct SeenRequest {
    /// `GET`
    pub method: String,
    /// With its query.
    pub path: String,
    /// Names in lower case.
    pub headers: Json,
}

/// What a client's callback answered.
#[derive(Debug, Clone)]
pub struct Callback {
    /// Where the browser was sent back to, with `code` and `state`.
    pub url: String,
    /// The callback's status.
    pub status: u16,
    /// Its page.
    pub text: String,
}

/// How the addresses of metadata and keys behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As they should.
    Well,
    /// 500.
    Broken,
    /// No answer, until another mode comes.
    Slow,
    /// Nobody listens at the whole provider.
    Down,
}

impl OidcProvider {
    /// A provider as usual.
    ///
    /// # Panics
    /// Where it is not installed, or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&OidcOptions::default())
    }

    /// The same where it is installed; otherwise says so in one line and gives none.
    #[must_use]
    #[expect(clippy::print_stdout, reason = "a test that looks at nothing must not look like one that passed")]
    pub fn start_if_installed() -> Option<Self> {
        if Self::is_installed() {
            return Some(Self::start());
        }
        println!("skipped: npm's oidc-provider is not installed (scripts/setup test)");
        None
    }

    /// Whether it is installed.
    #[must_use]
    pub fn is_installed() -> bool {
        Script::can_import(PACKAGE)
    }

    /// A provider with these options.
    ///
    /// # Panics
    /// Where it is not installed, or does not start.
    #[must_use]
    pub fn start_with(options: &OidcOptions) -> Self {
        Self::run(options, None)
    }

    /// A provider behind TLS, with a certificate of this authority.
    ///
    /// # Panics
    /// Where it is not installed, or does not start.
    #[must_use]
    pub fn start_tls(options: &OidcOptions, ca: &TestCa) -> Self {
        Self::run(options, Some(ca))
    }

    fn run(options: &OidcOptions, ca: Option<&TestCa>) -> Self {
        assert!(Self::is_installed(), "npm's oidc-provider is not installed: scripts/setup test does it");
        let file = ca.map(|ca| {
            let mut file = tempfile::NamedTempFile::new().expect("a file can be made");
            file.write_all(ca.pem().as_bytes()).expect("the authority can be written");
            file
        });
        let path = file.as_ref().map(|file| file.path().display().to_string());
        let environment: Vec<(&str, &str)> = path.iter().map(|path| ("NODE_EXTRA_CA_CERTS", path.as_str())).collect();
        let mut script = Script::start("asuser-testkit-oidc-provider.mjs", SCRIPT, &environment);
        let tls = ca.map(|ca| {
            let (cert, key) = ca.server();
            json!({ "cert": cert, "key": key })
        });
        let OidcOptions { algorithm, scopes, clients, resource, people } = options;
        let started = script.order(&json!({
            "order": "start", "alg": algorithm.as_str(), "scopes": scopes, "clients": clients, "resource": resource,
            "people": people, "tls": tls,
        }));
        let issuer = started["issuer"].as_str().expect("an issuer").to_owned();
        let port = started["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
        Self { script: Mutex::new(script), issuer, port, _ca: file }
    }

    /// `http://127.0.0.1:port`, without a slash at its end.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Its port; the same whatever happens to it.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// An `[[identity]]` block that trusts it, for [`RESOURCE`]; keys of `[identity.mapping]` may follow it, and more of the block's own
    /// keys go into `more`.
    #[must_use]
    pub fn config(&self, name: &str, more: &str) -> String {
        format!(
            "[[identity]]\nname = \"{name}\"\nkind = \"oidc\"\nissuer = \"{}\"\naudience = \"{RESOURCE}\"\nallow_addresses = \
             [\"127.0.0.1\"]\n{more}\n",
            self.issuer
        )
    }

    /// The access token of somebody who signed in for [`CLIENT`] and [`RESOURCE`] with all that the forms ask. Besides RFC 9068's claims
    /// it has `preferred_username` (the login), `name`, `email` (`login@example.com`, verified) and `groups` (`staff`).
    #[must_use]
    pub fn token(&self, login: &str) -> String {
        self.tokens(login, CLIENT, RESOURCE, "openid").access_token
    }

    /// The tokens of somebody who signed in for a client and a resource, with these scopes.
    ///
    /// # Panics
    /// When the provider refuses.
    #[must_use]
    pub fn tokens(&self, login: &str, client: &str, resource: &str, scope: &str) -> Tokens {
        let said = self.order(
            &json!({ "order": "signIn", "login": login, "client": client, "resource": resource, "scope": scope }),
        );
        let text = |name: &str| said[name].as_str().map(str::to_owned);
        Tokens {
            access_token: text("access_token").unwrap_or_else(|| panic!("no access token: {said}")),
            id_token: text("id_token").unwrap_or_default(),
            refresh_token: text("refresh_token"),
        }
    }

    /// An access token that a client got for itself (`client_credentials`).
    ///
    /// # Panics
    /// When the provider refuses.
    #[must_use]
    pub fn machine_token(&self, client: &str, resource: &str, scope: &str) -> String {
        let said = self.order(&json!({ "order": "machine", "client": client, "resource": resource, "scope": scope }));
        said["access_token"].as_str().unwrap_or_else(|| panic!("no access token: {said}")).to_owned()
    }

    /// Does with a client's authorization request what a person in a browser would: opens the URL, signs in as `login`, consents, and
    /// goes where the provider sends it, which is the client's callback.
    #[must_use]
    pub fn browse(&self, url: &str, login: &str) -> Callback {
        let said = self.order(&json!({ "order": "browse", "url": url, "login": login }));
        Callback {
            url: said["url"].as_str().unwrap_or_default().to_owned(),
            status: said["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(0),
            text: said["text"].as_str().unwrap_or_default().to_owned(),
        }
    }

    /// A new key signs from now on; the old ones stay published. Gives its `kid`.
    pub fn rotate_keys(&self) -> String {
        self.rotate(true)
    }

    /// A new key signs from now on, and is the only one published. Gives its `kid`.
    pub fn replace_keys(&self) -> String {
        self.rotate(false)
    }

    fn rotate(&self, keep: bool) -> String {
        self.order(&json!({ "order": "rotate", "keep": keep }))["kid"].as_str().expect("a kid").to_owned()
    }

    /// Changes how it behaves.
    pub fn set_mode(&self, mode: Mode) {
        let mode = match mode {
            Mode::Well => "ok",
            Mode::Broken => "error",
            Mode::Slow => "slow",
            Mode::Down => "down",
        };
        self.order(&json!({ "order": "mode", "mode": mode }));
    }

    /// Every request so far (the first 20,000), the kit's own included.
    #[must_use]
    pub fn requests(&self) -> Vec<SeenRequest> {
        let said = self.order(&json!({ "order": "seen" }));
        let read = |request: &Json| SeenRequest {
            method: request["method"].as_str().unwrap_or_default().to_owned(),
            path: request["path"].as_str().unwrap_or_default().to_owned(),
            headers: request["headers"].clone(),
        };
        said["seen"].as_array().expect("a list").iter().map(read).collect()
    }

    /// How often the keys were asked for.
    #[must_use]
    pub fn jwks_requests(&self) -> usize {
        self.requests().iter().filter(|request| request.path.starts_with("/jwks")).count()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.order(&json!({ "order": "forget" }));
    }

    fn order(&self, order: &Json) -> Json {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).order(order)
    }
}
