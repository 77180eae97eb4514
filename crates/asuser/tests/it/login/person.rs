//! A person's machine: a home of their own, and `asuser` on it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value as Json, json};

/// What the tests' tokens have in common: no output may hold it.
pub(crate) const TELLTALE: &str = "sEcReT";

/// A home, removed in the end.
pub(crate) struct Person {
    home: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

impl Person {
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), environment: Vec::new() }
    }
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }
    /// The folder of tokens.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.path("state/asuser/tokens")
    }
    /// The only file of tokens.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        let files = std::fs::read_dir(self.tokens()).ok()?.map(|entry| entry.unwrap().path());
        files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "json"))
    }
    pub(crate) fn kept(&self) -> Json {
        serde_json::from_str(&std::fs::read_to_string(self.file().unwrap()).unwrap()).unwrap()
    }
    /// Changes what is kept.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Json)) {
        let mut kept = self.kept();
        change(&mut kept);
        std::fs::write(self.file().unwrap(), kept.to_string()).unwrap();
    }
    /// Puts a sign-in there, as `asuser login` would.
    pub(crate) fn sign_in(&self, url: &str, tokens: &Json) {
        let mut kept = json!({
            "url": url, "issuer": "http://127.0.0.1:1", "token_endpoint": format!("{url}/token"), "revocation_endpoint": null,
            "client": { "id": "asuser-cli", "auth": "none", "secret": null }, "resource": format!("{url}/mcp"), "scope": "db:read",
            "expires_ms": null, "refresh_token": null,
        });
        for (name, value) in tokens.as_object().unwrap() {
            kept[name] = value.clone();
        }
        let record = json!({ "version": 1, "url": url, "kept": "file", "tokens": kept });
        let folder = self.tokens();
        std::fs::create_dir_all(&folder).unwrap();
        private(&folder, 0o700);
        let digest = data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(url.as_bytes()));
        let path = folder.join(format!("{digest}.json"));
        std::fs::write(&path, record.to_string()).unwrap();
        private(&path, 0o600);
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_asuser"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in ["ASUSER_TOKEN", "ASUSER_URL", "DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS"] {
            command.env_remove(name);
        }
        command.env("HOME", self.home.path()).env("XDG_STATE_HOME", self.path("state"));
        command.env("XDG_RUNTIME_DIR", self.home.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
    /// Begins `asuser login --no-browser`, up to the address that it prints.
    pub(crate) fn begin(&self, url: &str, more: &[&str]) -> SigningIn {
        let mut child = self.command(&[&["login", "--no-browser", "--url", url], more].concat()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            if stdout.read_line(&mut line).unwrap() == 0 {
                break None;
            }
            said.push_str(&line);
            if line.starts_with("  http") {
                break Some(line.trim().to_owned());
            }
        };
        SigningIn { child, stdout, said, address }
    }
}

pub(crate) fn private(path: &std::path::Path, mode: u32) {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

/// `asuser login`, waiting for the browser.
pub(crate) struct SigningIn {
    pub(crate) child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    said: String,
    /// `None`: it ended before.
    pub(crate) address: Option<String>,
}

impl SigningIn {
    pub(crate) fn address(&self) -> &str {
        self.address.as_deref().unwrap()
    }
    /// A parameter of the address.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        super::stub::field(self.address().split_once('?').unwrap().1, name)
    }
    /// How it ended, and all that it said.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        self.stdout.read_to_string(&mut self.said).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut self.said).unwrap();
        assert!(!self.said.contains(TELLTALE), "a token was shown: {}", self.said);
        (self.child.wait().unwrap().code(), self.said)
    }
}
