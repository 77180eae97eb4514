//! Where the token comes from.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use asuser_core::Secret;

use crate::cli::login::address::Address;
use crate::cli::login::endpoint::check_token;
use crate::cli::login::session::{NoToken, Session};
use crate::cli::login::store::{Stamp, TokenStore, read_private};

const VARIABLE: &str = "ASUSER_TOKEN";

/// A source of tokens.
#[derive(Debug)]
pub(super) enum Source {
    /// From the environment: it stays what it is.
    Given(Secret),
    File(TokenFile),
    Session(Arc<Session>),
}

impl Source {
    /// The most particular one that there is. One that is there and cannot be used is an error: nobody asks as somebody else by mistake.
    pub(super) fn find(address: &Address, file: Option<&Path>, ca_pem: Option<&[u8]>) -> anyhow::Result<Self> {
        if let Some(path) = file {
            let file = TokenFile::new(path.to_owned());
            file.read()?;
            return Ok(Self::File(file));
        }
        match std::env::var(VARIABLE).map(Secret::new) {
            Ok(token) => {
                check_token(token.expose()).with_context(|| format!("{VARIABLE} cannot be used"))?;
                return Ok(Self::Given(token));
            }
            Err(std::env::VarError::NotUnicode(_)) => bail!("{VARIABLE} is no text"),
            Err(std::env::VarError::NotPresent) => {}
        }
        match Session::open(address, TokenStore::of_person()?, ca_pem)? {
            Some(session) => Ok(Self::Session(session)),
            None => bail!(
                "there is no token for {0}: run `asuser login --url {0}`, or set {VARIABLE}, or name a file with --token-file",
                address.as_str()
            ),
        }
    }

    /// The token for a request.
    pub(super) async fn token(&self) -> Result<Secret, NoToken> {
        match self {
            Self::Given(token) => Ok(token.clone()),
            Self::File(file) => file.read().map_err(|error| NoToken::SignIn(format!("{error:#}"))),
            Self::Session(session) => session.token(None).await,
        }
    }

    /// Another one than that which asuser refused, where there is one.
    pub(super) async fn after(&self, refused: &Secret) -> Option<Secret> {
        let other = match self {
            Self::Given(_) => return None,
            Self::File(file) => file.read().ok(),
            Self::Session(session) => session.token(Some(refused.clone())).await.ok(),
        };
        other.filter(|other| other != refused)
    }

    /// What a person can do when the token is refused.
    pub(super) fn advice(&self, address: &Address) -> String {
        match self {
            Self::Given(_) => {
                format!("get a new token for {VARIABLE}, or run `asuser login --url {}`", address.as_str())
            }
            Self::File(file) => format!("put a new token into {}", file.path.display()),
            Self::Session(_) => format!("run `asuser login --url {}`", address.as_str()),
        }
    }

    /// Waits until nothing is lost if the program ends.
    pub(super) async fn settle(&self) {
        if let Self::Session(session) = self {
            session.settle().await;
        }
    }
}

/// A file whose text is a token.
#[derive(Debug)]
pub(super) struct TokenFile {
    path: PathBuf,
    last: Mutex<Option<(Stamp, Secret)>>,
}

impl TokenFile {
    fn new(path: PathBuf) -> Self {
        Self { path, last: Mutex::new(None) }
    }

    /// The token in it now.
    fn read(&self) -> anyhow::Result<Secret> {
        let shown = self.path.display();
        let file = File::open(&self.path).with_context(|| format!("{shown} cannot be read"))?;
        let stamp = Stamp::of(&file.metadata()?);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, token)) = last.as_ref().filter(|(known, _)| *known == stamp) {
            return Ok(token.clone());
        }
        *last = None;
        let text = read_private(file).with_context(|| format!("{shown} holds no token that can be used"))?;
        let token = Secret::new(text.expose().trim().to_owned());
        check_token(token.expose()).with_context(|| format!("{shown} holds no token that can be used"))?;
        *last = Some((stamp, token.clone()));
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_is_read_anew_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        write(&path, "one\n", 0o600);
        let file = TokenFile::new(path.clone());
        assert_eq!(file.read().unwrap().expose(), "one");
        assert_eq!(file.read().unwrap().expose(), "one");
        let next = folder.path().join("next");
        write(&next, "two\n", 0o600);
        fs::rename(&next, &path).unwrap();
        assert_eq!(file.read().unwrap().expose(), "two");
        fs::remove_file(&path).unwrap();
        assert!(file.read().is_err());
    }

    #[test]
    fn what_others_can_read_or_what_is_no_token_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let file = TokenFile::new(path.clone());
        write(&path, "secret1", 0o600);
        assert!(file.read().is_ok());
        for mode in [0o644, 0o640, 0o620, 0o602] {
            write(&path, "secret1", mode);
            let words = format!("{:#}", file.read().unwrap_err());
            assert!(words.contains("others can read it") && !words.contains("secret1"), "{words}");
        }
        for text in
            ["", "\n", "secret1 secret2", "secret1\nsecret2", "Bearer secret1", "sécret1", &"a".repeat(40 * 1024)]
        {
            write(&path, text, 0o600);
            let words = format!("{:#}", file.read().unwrap_err());
            assert!(!words.contains("secret1"), "{words}");
        }
        assert!(TokenFile::new(folder.path().to_owned()).read().is_err(), "a folder");
        write(&path, "secret2", 0o400);
        assert_eq!(file.read().unwrap().expose(), "secret2");
    }
}
