//! A certificate authority on disk. In: a folder. Out: the authority, or what is kept there. Refuses a key that others can read, a
//! folder that others can write to, and to overwrite a key. Every file appears whole or not at all.
//!
//! ```text
//! ca.crt, ca.key       what mints now
//! ca-bundle.crt        for PostgreSQL's ssl_ca_file: all roots that certificates in use can hang from
//! next.crt, next.key   a rotation is prepared
//! old.crt, old.key     a rotation is under way: what minted before
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use asuser_core::Secret;
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::authority::LIFETIME_S_MAX;
use crate::{CertificateAuthority, CredentialError, Facts, NewAuthority, facts};

/// The certificate of the authority that mints.
pub const CERTIFICATE: &str = "ca.crt";
/// Its key.
pub const KEY: &str = "ca.key";
/// What the database trusts.
pub const BUNDLE: &str = "ca-bundle.crt";
const NEXT: (&str, &str) = ("next.crt", "next.key");
const OLD: (&str, &str) = ("old.crt", "old.key");

/// Four certificates and a large RSA key fit many times over.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Where an authority is kept.
#[derive(Debug, Clone)]
pub struct AuthorityFolder(PathBuf);

/// What kind of authority is made.
#[derive(Debug, Clone, Copy)]
pub enum Kind<'a> {
    /// A root that mints by itself.
    Own,
    /// A root that is kept offline.
    OfflineRoot,
    /// An authority of one node, under the offline root in that folder.
    Under(&'a AuthorityFolder),
}

/// A certificate in the folder, and how its key is kept.
#[derive(Debug)]
pub struct Kept {
    /// The certificate's file.
    pub file: &'static str,
    /// What it says.
    pub facts: Facts,
    /// Its key.
    pub key: KeyState,
}

/// How a key is kept.
#[derive(Debug)]
pub enum KeyState {
    /// Readable by its owner alone, and the certificate's own.
    Fine,
    /// There is none here.
    Absent,
    /// It may not be used.
    Refused(CredentialError),
}

impl AuthorityFolder {
    /// The folder at `path`, which need not be there yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The authority that mints.
    pub fn open(&self, now_ms: i64) -> Result<CertificateAuthority, CredentialError> {
        self.check()?;
        self.pair((CERTIFICATE, KEY), now_ms)
    }

    /// What is kept here: the authority that mints, the next one, the one before. At least the first must be here.
    pub fn kept(&self) -> Result<Vec<Kept>, CredentialError> {
        let mut kept = Vec::new();
        for (file, key) in [(CERTIFICATE, KEY), NEXT, OLD] {
            if file != CERTIFICATE && !self.has(file) {
                continue;
            }
            let certificates = facts::certificates(&self.read(file)?)?;
            let own = certificates.first().ok_or(CredentialError::Certificate)?;
            let key = if self.has(key) {
                self.key(key)
                    .and_then(|key| crate::signer::belong_together(own, &key))
                    .map_or_else(KeyState::Refused, |()| KeyState::Fine)
            } else {
                KeyState::Absent
            };
            kept.push(Kept { file, facts: Facts::of(own)?, key });
        }
        Ok(kept)
    }

    /// What the database is to trust.
    pub fn bundle(&self) -> Result<Vec<CertificateDer<'static>>, CredentialError> {
        facts::certificates(&self.read(BUNDLE)?)
    }

    /// Makes an authority here. Refuses when any of its files is here already.
    pub fn init(&self, kind: Kind<'_>, name: &str, years: u32, now_ms: i64) -> Result<(), CredentialError> {
        let made = make(kind, name, years, now_ms)?;
        match DirBuilder::new().mode(0o700).create(&self.0) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(file(&self.0, error)),
            _ => {}
        }
        self.check()?;
        let _lock = self.lock()?;
        for name in [CERTIFICATE, KEY, BUNDLE, NEXT.0, NEXT.1, OLD.0, OLD.1] {
            if self.has(name) {
                return Err(CredentialError::Exists(self.0.join(name)));
            }
        }
        let bundle = trusted(kind, &made)?;
        self.write_new(KEY, made.key_pem.expose(), 0o600)?;
        self.write_new(CERTIFICATE, &made.certificate_pem, 0o644)?;
        self.write_new(BUNDLE, &bundle, 0o644)
    }

    /// First step of a rotation: makes the next authority beside the one that mints, and a bundle with the roots of both. Nothing
    /// changes for anyone until [`Self::activate`].
    ///
    /// An authority under an offline root needs that root's folder, or a newer root's. The name is kept unless another is given.
    pub fn prepare(
        &self,
        under: Option<&Self>,
        name: Option<&str>,
        years: u32,
        now_ms: i64,
    ) -> Result<(), CredentialError> {
        self.check()?;
        let _lock = self.lock()?;
        if self.has(NEXT.1) {
            return Err(CredentialError::Rotation(
                "a rotation is prepared already: install ca-bundle.crt in the database, then `asuser ca rotate --activate`",
            ));
        }
        if self.has(OLD.0) || self.has(OLD.1) {
            return Err(CredentialError::Rotation("the last rotation is not over: `asuser ca rotate --finish`"));
        }
        let current =
            Facts::of(facts::certificates(&self.read(CERTIFICATE)?)?.first().ok_or(CredentialError::Certificate)?)?;
        if current.path_length != Some(0) {
            return Err(CredentialError::Rotation(
                "an offline root is not rotated in place: make a new one in another folder, then `asuser ca rotate --under` on each node",
            ));
        }
        let kind = match under {
            Some(root) => Kind::Under(root),
            None if current.self_signed => Kind::Own,
            None => {
                return Err(CredentialError::Rotation(
                    "this authority is under an offline root: give the root's folder with --under",
                ));
            }
        };
        let name = name.or(current.common_name.as_deref()).ok_or(CredentialError::Name)?;
        let made = make(kind, name, years, now_ms)?;
        let new = trusted(kind, &made)?;
        let mut bundle = facts::certificates(new.as_bytes())?;
        for trusted in self.bundle()? {
            if !bundle.contains(&trusted) {
                bundle.push(trusted);
            }
        }
        // Left by a preparation that was interrupted before its key was written.
        self.remove(NEXT.0)?;
        // The bundle first: when the next authority is seen, what the database needs is there.
        self.replace(BUNDLE, &bundle.iter().map(facts::pem).collect::<String>())?;
        self.write_new(NEXT.0, &made.certificate_pem, 0o644)?;
        self.write_new(NEXT.1, made.key_pem.expose(), 0o600)
    }

    /// Second step, once every database has the bundle: the next authority mints. Goes on where it was interrupted.
    pub fn activate(&self, now_ms: i64) -> Result<(), CredentialError> {
        self.check()?;
        let _lock = self.lock()?;
        if !self.has(NEXT.1) {
            return Err(CredentialError::Rotation("no rotation is prepared: `asuser ca rotate`"));
        }
        let next = if self.has(NEXT.0) { NEXT.0 } else { CERTIFICATE };
        self.pair((next, NEXT.1), now_ms)?;
        // Each step is a rename to a name that is free, so that after an interruption those that are done are skipped.
        for (from, to) in [(KEY, OLD.1), (CERTIFICATE, OLD.0), (NEXT.0, CERTIFICATE), (NEXT.1, KEY)] {
            if self.has(from) && !self.has(to) {
                self.rename(from, to)?;
            }
        }
        self.sync()
    }

    /// Last step, once no certificate of the old authority is in force any more: removes its key and certificate, and from the bundle
    /// the roots that nothing hangs from.
    pub fn finish(&self, now_ms: i64) -> Result<(), CredentialError> {
        self.check()?;
        let _lock = self.lock()?;
        if self.has(NEXT.0) || self.has(NEXT.1) {
            return Err(CredentialError::Rotation(
                "the next authority does not mint yet: `asuser ca rotate --activate`",
            ));
        }
        let old = self.0.join(OLD.0);
        let retired = match fs::metadata(&old) {
            Ok(metadata) => metadata.ctime().saturating_mul(1000),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(CredentialError::Rotation("no rotation is under way"));
            }
            Err(error) => return Err(file(&old, error)),
        };
        if now_ms < retired.saturating_add(i64::from(LIFETIME_S_MAX) * 1000) {
            return Err(CredentialError::Rotation(
                "certificates of the old authority may still be in force: again ten minutes after `--activate`",
            ));
        }
        self.pair((CERTIFICATE, KEY), now_ms)?;
        let current = facts::certificates(&self.read(CERTIFICATE)?)?;
        let mut bundle = String::new();
        for trusted in self.bundle()? {
            if current
                .iter()
                .map(|below| facts::signed_by(below, &trusted))
                .collect::<Result<Vec<_>, _>>()?
                .contains(&true)
            {
                bundle.push_str(&facts::pem(&trusted));
            }
        }
        self.replace(BUNDLE, &bundle)?;
        self.remove(OLD.1)?;
        self.remove(OLD.0)?;
        self.sync()
    }

    fn pair(&self, (certificate, key): (&str, &str), now_ms: i64) -> Result<CertificateAuthority, CredentialError> {
        CertificateAuthority::load(&self.read(certificate)?, &self.key(key)?, now_ms)
    }
}

fn make(kind: Kind<'_>, name: &str, years: u32, now_ms: i64) -> Result<NewAuthority, CredentialError> {
    match kind {
        Kind::Own => CertificateAuthority::init(name, years, now_ms),
        Kind::OfflineRoot => CertificateAuthority::init_offline_root(name, years, now_ms),
        Kind::Under(root) => {
            root.check()?;
            let (certificate, key) = (root.read(CERTIFICATE)?, root.key(KEY)?);
            CertificateAuthority::init_intermediate(name, years, &certificate, &key, now_ms)
        }
    }
}

/// The root that the database must trust.
fn trusted(kind: Kind<'_>, made: &NewAuthority) -> Result<String, CredentialError> {
    match kind {
        Kind::Own | Kind::OfflineRoot => Ok(made.certificate_pem.clone()),
        Kind::Under(root) => Ok(root.bundle()?.iter().map(facts::pem).collect()),
    }
}

/// Files.
impl AuthorityFolder {
    fn has(&self, name: &str) -> bool {
        // A link that leads nowhere is there too: nothing may be written in its place.
        self.0.join(name).symlink_metadata().is_ok()
    }

    fn check(&self) -> Result<(), CredentialError> {
        let metadata = fs::metadata(&self.0).map_err(|error| file(&self.0, error))?;
        if !metadata.is_dir() {
            return Err(file(&self.0, ErrorKind::NotADirectory.into()));
        }
        if metadata.mode() & 0o022 != 0 { Err(CredentialError::LooseFolder(self.0.clone())) } else { Ok(()) }
    }

    /// Held while files change; freed when it is dropped.
    fn lock(&self) -> Result<File, CredentialError> {
        let folder = File::open(&self.0).map_err(|error| file(&self.0, error))?;
        folder.try_lock().map_err(|_| CredentialError::Busy(self.0.clone()))?;
        Ok(folder)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, CredentialError> {
        let path = self.0.join(name);
        let file_open = File::open(&path).map_err(|error| file(&path, error))?;
        read_all(&file_open, &path)
    }

    /// The permissions are those of the file that is read, whatever the name leads to a moment later.
    fn key(&self, name: &str) -> Result<Secret, CredentialError> {
        let path = self.0.join(name);
        let opened = File::open(&path).map_err(|error| file(&path, error))?;
        let metadata = opened.metadata().map_err(|error| file(&path, error))?;
        if metadata.mode() & 0o077 != 0 {
            return Err(CredentialError::Loose { path, mode: metadata.mode() & 0o7777 });
        }
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(CredentialError::Foreign(path));
        }
        let bytes = Zeroizing::new(read_all(&opened, &path)?);
        std::str::from_utf8(&bytes).map(|text| Secret::new(text.to_owned())).map_err(|_| CredentialError::Key)
    }

    /// Appears under its name whole, and only if the name is free.
    fn write_new(&self, name: &str, text: &str, mode: u32) -> Result<(), CredentialError> {
        let (path, temporary) = (self.0.join(name), self.temporary(name, text, mode)?);
        let linked = fs::hard_link(&temporary, &path);
        fs::remove_file(&temporary).map_err(|error| file(&temporary, error))?;
        match linked {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(CredentialError::Exists(path)),
            Err(error) => Err(file(&path, error)),
            Ok(()) => self.sync(),
        }
    }

    fn replace(&self, name: &str, text: &str) -> Result<(), CredentialError> {
        let (path, temporary) = (self.0.join(name), self.temporary(name, text, 0o644)?);
        fs::rename(temporary, &path).map_err(|error| file(&path, error))?;
        self.sync()
    }

    /// One is left only by a command that was killed, and the lock says that none is at work.
    fn temporary(&self, name: &str, text: &str, mode: u32) -> Result<PathBuf, CredentialError> {
        let path = self.0.join(format!(".{name}.new"));
        let written = (|| {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })();
        written.map_err(|error| file(&path, error))?;
        Ok(path)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), CredentialError> {
        let from = self.0.join(from);
        fs::rename(&from, self.0.join(to)).map_err(|error| file(&from, error))
    }

    fn remove(&self, name: &str) -> Result<(), CredentialError> {
        let path = self.0.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(file(&path, error)),
            _ => Ok(()),
        }
    }

    fn sync(&self) -> Result<(), CredentialError> {
        File::open(&self.0).and_then(|folder| folder.sync_all()).map_err(|error| file(&self.0, error))
    }
}

fn read_all(opened: &File, path: &Path) -> Result<Vec<u8>, CredentialError> {
    let metadata = opened.metadata().map_err(|error| file(path, error))?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        return Err(CredentialError::NotAFile(path.to_owned()));
    }
    let mut bytes = Vec::with_capacity(FILE_BYTES_MAX as usize);
    opened.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| file(path, error))?;
    Ok(bytes)
}

fn file(path: &Path, source: io::Error) -> CredentialError {
    CredentialError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
