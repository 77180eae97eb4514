//! Where sign-ins are kept: a file for each asuser, with the tokens in it or a word that the keyring has them.
//!
//! In: a URL and what is kept for it. Out: the same, later. A file is written whole or not at all, and refused where others can read it.
//! Whoever renews tokens holds the lock meanwhile, since a refresh token often works but once.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use asuser_core::Secret;
use clap::ValueEnum;
use data_encoding::HEXLOWER;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::kept::Kept;
use super::keyring;

/// The only format so far.
const VERSION: u32 = 1;
const FILE_BYTES_MAX: u64 = 1 << 20;
/// What others may do with a file that holds tokens: nothing.
const OTHERS: u32 = 0o077;

/// Where a person wants tokens kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wanted {
    /// In the keyring if there is one that works, else in a file.
    Auto,
    /// In the keyring (`secret-tool`, from libsecret).
    Keyring,
    /// In a file that only you can read.
    File,
}

/// Where tokens are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    Keyring,
    File,
}

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    url: String,
    kept: Place,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<Kept>,
}

/// The folder of all sign-ins.
#[derive(Debug, Clone)]
pub(crate) struct TokenStore {
    folder: PathBuf,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: (u64, u64),
    length: u64,
    /// Of its content, and of its owner and mode.
    times: [i64; 4],
    mode: u32,
}

impl Stamp {
    pub(crate) fn of(found: &Metadata) -> Self {
        let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
        Self { inode: (found.dev(), found.ino()), length: found.len(), times, mode: found.mode() }
    }
}

/// While it lives, nobody else renews these tokens.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl TokenStore {
    /// The person's own, by the XDG base directory specification. Makes nothing yet.
    pub(crate) fn of_person() -> anyhow::Result<Self> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
        let state = state.context("neither XDG_STATE_HOME nor HOME says where your files are")?;
        Ok(Self::at(state.join("asuser/tokens")))
    }
    pub(crate) const fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The file of an asuser.
    pub(crate) fn path(&self, url: &str) -> PathBuf {
        self.folder.join(format!("{}.json", name(url)))
    }

    /// Whether a sign-in is there, and which: each one, and each renewal, has a file of its own.
    pub(crate) fn stamp(&self, url: &str) -> Option<Stamp> {
        fs::symlink_metadata(self.path(url)).ok().as_ref().map(Stamp::of)
    }

    /// What is kept for an asuser, and where.
    pub(crate) fn read(&self, url: &str) -> anyhow::Result<Option<(Kept, Place)>> {
        let path = self.path(url);
        let Some(record) = read_record(&path)? else { return Ok(None) };
        ensure!(record.url == url, "{} is about another asuser", path.display());
        let tokens = match record.kept {
            Place::File => record.tokens,
            Place::Keyring => keyring::lookup(url)?
                .map(|text| {
                    serde_json::from_str(text.expose()).context("what the keyring has is not what asuser put there")
                })
                .transpose()?,
        };
        let Some(tokens) = tokens else { return Ok(None) };
        ensure!(tokens.url == url, "the tokens in {} are for another asuser", path.display());
        Ok(Some((tokens, record.kept)))
    }

    /// Keeps a new sign-in where it is wanted. Gives where that is, and why it is not in the keyring if it was to be tried.
    pub(crate) fn keep(&self, kept: &Kept, wanted: Wanted) -> anyhow::Result<(Place, Option<anyhow::Error>)> {
        let in_keyring = || self.write(kept, Place::Keyring);
        let in_file = || {
            let had = read_record(&self.path(&kept.url));
            self.write(kept, Place::File)?;
            if matches!(had, Ok(Some(Record { kept: Place::Keyring, .. }))) {
                // What an earlier sign-in left there would be of no use to anybody but a thief.
                keyring::clear(&kept.url).context("the keyring still has what it had")?;
            }
            anyhow::Ok(Place::File)
        };
        match wanted {
            Wanted::Keyring => in_keyring().map(|()| (Place::Keyring, None)),
            Wanted::File => in_file().map(|place| (place, None)),
            Wanted::Auto => match in_keyring() {
                Ok(()) => Ok((Place::Keyring, None)),
                Err(why) => in_file().map(|place| (place, Some(why))),
            },
        }
    }

    /// Writes what is kept, where it is kept already.
    pub(crate) fn write(&self, kept: &Kept, place: Place) -> anyhow::Result<()> {
        self.make_folder()?;
        let tokens = match place {
            Place::File => Some(kept.clone()),
            Place::Keyring => {
                // First: a file that points to nothing would be a sign-in that is lost.
                keyring::store(&kept.url, &Secret::new(serde_json::to_string(kept)?))?;
                None
            }
        };
        let record = Record { version: VERSION, url: kept.url.clone(), kept: place, tokens };
        let text = Secret::new(serde_json::to_string_pretty(&record)?);
        let path = self.path(&kept.url);
        self.replace(&path, text.expose().as_bytes()).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// All or nothing, over a crash too.
    fn replace(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        // tempfile makes files that only their owner can read.
        let mut file = NamedTempFile::new_in(&self.folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(&self.folder)?.sync_all()
    }

    /// Forgets a sign-in. Gives whether there was one.
    pub(crate) fn delete(&self, url: &str) -> anyhow::Result<bool> {
        let path = self.path(url);
        let record = read_record(&path);
        if matches!(&record, Ok(Some(record)) if record.kept == Place::Keyring) {
            keyring::clear(url)?;
        }
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| format!("{} cannot be deleted", path.display())),
        }
    }

    /// Waits for the lock. Who holds it asks one token endpoint meanwhile, which takes a bounded time.
    pub(crate) fn lock(&self, url: &str) -> anyhow::Result<Lock> {
        self.make_folder()?;
        let path = self.folder.join(format!("{}.lock", name(url)));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(no_follow());
        let file = options.open(&path).with_context(|| format!("{} cannot be opened", path.display()))?;
        file.lock().with_context(|| format!("{} cannot be locked", path.display()))?;
        Ok(Lock { _file: file })
    }

    /// Makes the folder, or refuses one that others can enter.
    fn make_folder(&self) -> anyhow::Result<()> {
        let shown = self.folder.display();
        if let Some(parent) = self.folder.parent() {
            fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
        }
        match DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("{shown} cannot be made"));
            }
            _ => {}
        }
        let found = fs::symlink_metadata(&self.folder).with_context(|| format!("{shown} cannot be looked at"))?;
        ensure!(found.is_dir(), "{shown} is no folder");
        ensure!(found.uid() == me(), "{shown} is not yours: nothing is kept there");
        ensure!(found.mode() & OTHERS == 0, "{shown} is open to others: chmod 700 {shown}");
        Ok(())
    }
}

fn name(url: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(url.as_bytes()))
}

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn no_follow() -> i32 {
    i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default()
}

fn read_record(path: &Path) -> anyhow::Result<Option<Record>> {
    let shown = path.display();
    let file = match OpenOptions::new().read(true).custom_flags(no_follow()).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.with_context(|| format!("{shown} cannot be read"))?,
    };
    let text = read_private(file).with_context(|| shown.to_string())?;
    let record: Record =
        serde_json::from_str(text.expose()).map_err(|_| anyhow::anyhow!("{shown} is not what asuser wrote there"))?;
    if record.version != VERSION {
        bail!("{shown} has version {}, and this asuser knows {VERSION}: sign in again", record.version);
    }
    Ok(Some(record))
}

/// The text of a file that holds a secret: a plain file of the person's own, closed to all others.
pub(crate) fn read_private(file: File) -> anyhow::Result<Secret> {
    let found = file.metadata()?;
    ensure!(found.is_file(), "it is no plain file");
    // Whoever mounts secrets may own them; who can write it can in any case do all that its owner can.
    ensure!(found.uid() == me() || found.uid() == 0, "it belongs to somebody else");
    ensure!(found.mode() & OTHERS == 0, "others can read it, so it is not used: chmod 600 it, and get a new token");
    ensure!(found.len() <= FILE_BYTES_MAX, "it is too large");
    let mut text = String::new();
    let read = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
    // Held before the look at the error, so that it is wiped.
    let text = Secret::new(text);
    read.context("it is no text")?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::kept::sample;
    use super::*;

    const URL: &str = "https://d.example";

    fn store() -> (tempfile::TempDir, TokenStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = TokenStore::at(folder.path().join("asuser/tokens"));
        (folder, store)
    }
    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }
    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_sign_in_is_kept_privately_and_read_again() {
        let (_folder, store) = store();
        assert_eq!(store.read(URL).unwrap(), None);
        let kept = sample(URL);
        store.write(&kept, Place::File).unwrap();
        assert_eq!((mode(&store.path(URL)), mode(&store.folder)), (0o600, 0o700));
        assert_eq!(store.read(URL).unwrap(), Some((kept.clone(), Place::File)));
        assert_eq!(store.read("https://other.example").unwrap(), None);
        let rotated = Kept { refresh_token: Some(Secret::new("refresh-2".into())), ..kept };
        store.write(&rotated, Place::File).unwrap();
        assert_eq!(store.read(URL).unwrap(), Some((rotated, Place::File)));
        assert_eq!(fs::read_dir(&store.folder).unwrap().count(), 1, "no temporary file is left");
        assert!(store.delete(URL).unwrap() && !store.delete(URL).unwrap());
        assert_eq!(store.read(URL).unwrap(), None);
    }

    #[test]
    fn what_others_can_read_is_not_used() {
        let (_folder, store) = store();
        store.write(&sample(URL), Place::File).unwrap();
        for open in [0o640, 0o604, 0o660, 0o601] {
            chmod(&store.path(URL), open);
            let words = format!("{:#}", store.read(URL).unwrap_err());
            assert!(words.contains("chmod 600") && !words.contains("access-1"), "{words}");
        }
        chmod(&store.path(URL), 0o400);
        assert!(store.read(URL).unwrap().is_some());
        chmod(&store.folder, 0o755);
        let words = store.write(&sample(URL), Place::File).unwrap_err().to_string();
        assert!(words.contains("chmod 700"), "{words}");
        assert!(store.lock(URL).is_err());
        chmod(&store.folder, 0o700);
        assert!(store.write(&sample(URL), Place::File).is_ok());
    }

    #[test]
    fn what_asuser_did_not_write_is_not_used() {
        let (folder, store) = store();
        store.write(&sample(URL), Place::File).unwrap();
        let path = store.path(URL);
        let whole = fs::read_to_string(&path).unwrap();
        let other = whole.replace(URL, "https://evil.example");
        let tokens_of_other = whole.replacen(URL, "https://evil.example", 2).replacen("https://evil.example", URL, 1);
        for text in [
            "",
            "{}",
            "null",
            &whole[..whole.len() / 2],
            &whole.replace("\"version\": 1", "\"version\": 2"),
            &other,
            &tokens_of_other,
        ] {
            fs::write(&path, text).unwrap();
            let words = format!("{:#}", store.read(URL).unwrap_err());
            assert!(!words.contains("access-1"), "{words}");
        }
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, &whole).unwrap();
        chmod(&elsewhere, 0o600);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(store.read(URL).is_err(), "a link leads elsewhere");
        fs::remove_file(&path).unwrap();
        fs::rename(&elsewhere, &path).unwrap();
        assert!(store.read(URL).unwrap().is_some());
    }

    #[test]
    fn a_lock_is_had_by_one_at_a_time() {
        let (_folder, store) = store();
        let held = store.lock(URL).unwrap();
        let other = File::open(store.folder.join(format!("{}.lock", name(URL)))).unwrap();
        assert!(other.try_lock().is_err());
        drop(held);
        assert!(other.try_lock().is_ok());
    }
}
