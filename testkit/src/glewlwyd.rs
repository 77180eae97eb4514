//! A real OpenID provider by another hand, on 127.0.0.1: Debian's `glewlwyd`, over SQLite.
//!
//! In: who may sign in. Out: an issuer, and tokens of people who signed in.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test without its provider fails at once"
)]

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value as Json, json};

use crate::node::Script;
use crate::oidc_provider::{CLIENT, RESOURCE, Tokens};

const SCRIPT: &str = include_str!("glewlwyd/provider.mjs");
/// Where `scripts/setup test` unpacks Debian's package and the libraries that it needs.
const HOME: &str = "target/glewlwyd/usr";

/// A running provider. It ends when it is dropped.
#[derive(Debug)]
pub struct Glewlwyd {
    script: Mutex<Script>,
    issuer: String,
}

impl Glewlwyd {
    /// A provider with these people.
    ///
    /// # Panics
    /// Where it is not installed, or does not start.
    #[must_use]
    pub fn start(people: &[&str]) -> Self {
        assert!(Self::is_installed(), "glewlwyd or Node.js is not installed: scripts/setup test does it");
        let folder =
            tempfile::Builder::new().prefix("asuser-glewlwyd-").tempdir().expect("a folder can be made").keep();
        let mut script = Script::start("asuser-testkit-glewlwyd.mjs", SCRIPT, &[]);
        let started = script.order(
            &json!({ "order": "start", "home": home(), "folder": folder, "people": people, "client": CLIENT, "resource": RESOURCE }),
        );
        let issuer = started["issuer"].as_str().expect("an issuer").to_owned();
        Self { script: Mutex::new(script), issuer }
    }

    /// The same where it is installed; otherwise says so in one line and gives none.
    #[must_use]
    #[expect(clippy::print_stdout, reason = "a test that looks at nothing must not look like one that passed")]
    pub fn start_if_installed(people: &[&str]) -> Option<Self> {
        if Self::is_installed() {
            return Some(Self::start(people));
        }
        println!("skipped: glewlwyd is not installed (scripts/setup test)");
        None
    }

    /// Whether it is installed, and Node.js, by which it is set up.
    #[must_use]
    pub fn is_installed() -> bool {
        Script::can_run() && home().join("bin/glewlwyd").exists()
    }

    /// `http://127.0.0.1:port/api/oidc`, without a slash at its end.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// An `[[identity]]` block that trusts it, for [`RESOURCE`].
    #[must_use]
    pub fn config(&self, name: &str, more: &str) -> String {
        format!(
            "[[identity]]\nname = \"{name}\"\nkind = \"oidc\"\nissuer = \"{}\"\naudience = \"{RESOURCE}\"\nallow_addresses = \
             [\"127.0.0.1\"]\n{more}\n",
            self.issuer
        )
    }

    /// The tokens of somebody who signed in for [`CLIENT`] and [`RESOURCE`]. The access token is RFC 9068's, with `preferred_username`;
    /// `sub` is a name of glewlwyd's own making.
    ///
    /// # Panics
    /// When the provider refuses.
    #[must_use]
    pub fn tokens(&self, login: &str) -> Tokens {
        let order = json!({ "order": "signIn", "login": login, "client": CLIENT, "resource": RESOURCE });
        let said: Json = self.script.lock().unwrap_or_else(PoisonError::into_inner).order(&order);
        let text = |name: &str| said[name].as_str().map(str::to_owned);
        Tokens {
            access_token: text("access_token").unwrap_or_else(|| panic!("no access token: {said}")),
            id_token: text("id_token").unwrap_or_default(),
            refresh_token: text("refresh_token"),
        }
    }
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the kit is in the workspace").join(HOME)
}
