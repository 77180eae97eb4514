//! Signed checkpoints: C2SP tlog-checkpoint in a C2SP signed-note, with ed25519.
//!
//! In: a tree's size and root. Out: a note that anyone with the verifier key can check with standard tools. The verifier
//! key is `origin+hash+base64`, the signing key file holds `PRIVATE+KEY+origin+hash+base64` (both as golang.org/x/mod's
//! sumdb/note writes them). Refused: notes of another origin, without a signature by the key, or in any other spelling
//! than the one that is signed.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use asuser_core::Digest;
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::error::OpenError;
use crate::file::{Files, replace};

/// The algorithm byte of ed25519 in C2SP signed-note.
const ED25519: u8 = 1;
/// The longest note that is read, in bytes.
const NOTE_MAX: usize = 16 * 1024;

/// The head of the log: how many records, and the root over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many records.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

/// Why a note is not a checkpoint of this log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not of the form.
    #[error("the checkpoint is not of the expected form: {0}")]
    Malformed(&'static str),
    /// No signature by the key.
    #[error("the checkpoint is not signed by the key of `{0}`")]
    Unsigned(String),
    /// Signed by the key, for another log.
    #[error("the checkpoint is of the log `{0}`, not of this one")]
    OtherOrigin(String),
    /// Not a verifier key.
    #[error("the verifier key is not of the form `origin+hash+base64`")]
    BadKey,
}

/// Whether a text may name a log (C2SP signed-note: no blanks, no plus).
#[must_use]
pub fn is_origin(text: &str) -> bool {
    (1..=200).contains(&text.len()) && !text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

fn key_hash(name: &str, public: &[u8; 32]) -> [u8; 4] {
    // C2SP signed-note: SHA-256(name ‖ 0x0A ‖ algorithm ‖ key), the first four bytes.
    let mut hash = Sha256::new();
    hash.update(name.as_bytes());
    hash.update([b'\n', ED25519]);
    hash.update(public);
    let [a, b, c, d, ..]: [u8; 32] = hash.finalize().into();
    [a, b, c, d]
}

/// The public key that checkpoints are checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key: VerifyingKey,
}

impl VerifierKey {
    /// Whose key it is.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.name
    }

    /// Reads `origin+hash+base64`.
    ///
    /// # Errors
    /// Where it is anything else.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.trim().splitn(3, '+');
        let (name, hash, key) = match (parts.next(), parts.next(), parts.next()) {
            (Some(name), Some(hash), Some(key)) if is_origin(name) => (name, hash, key),
            _ => return Err(NoteError::BadKey),
        };
        let bytes = BASE64.decode(key.as_bytes()).map_err(|_| NoteError::BadKey)?;
        let public: [u8; 32] = match bytes.split_first() {
            Some((&ED25519, key)) => key.try_into().map_err(|_| NoteError::BadKey)?,
            _ => return Err(NoteError::BadKey),
        };
        if hash != HEXLOWER.encode(&key_hash(name, &public)) {
            return Err(NoteError::BadKey);
        }
        let key = VerifyingKey::from_bytes(&public).map_err(|_| NoteError::BadKey)?;
        Ok(Self { name: name.to_owned(), key })
    }

    /// Reads one signed checkpoint and checks its signature and origin.
    ///
    /// # Errors
    /// Where the note is not of the form, of another log, or not signed by this key.
    pub fn open(&self, note: &str) -> Result<Checkpoint, NoteError> {
        if note.len() > NOTE_MAX {
            return Err(NoteError::Malformed("it is too long"));
        }
        let (text, signatures) = note.split_once("\n\n").ok_or(NoteError::Malformed("it has no signature"))?;
        let body = format!("{text}\n");
        let checkpoint = Checkpoint::parse(&body)?;
        if checkpoint.origin != self.name {
            return Err(NoteError::OtherOrigin(checkpoint.origin));
        }
        if signatures.lines().any(|line| self.signed(&body, line)) {
            Ok(checkpoint)
        } else {
            Err(NoteError::Unsigned(self.name.clone()))
        }
    }

    fn signed(&self, body: &str, line: &str) -> bool {
        let Some((name, signature)) = line.strip_prefix("— ").and_then(|rest| rest.split_once(' ')) else {
            return false;
        };
        let Ok(bytes) = BASE64.decode(signature.as_bytes()) else { return false };
        let Some((hash, signature)) = bytes.split_first_chunk::<4>() else { return false };
        let Ok(signature) = Signature::from_slice(signature) else { return false };
        name == self.name
            && *hash == key_hash(&self.name, self.key.as_bytes())
            && self.key.verify_strict(body.as_bytes(), &signature).is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let public = self.key.as_bytes();
        let mut encoded = vec![ED25519];
        encoded.extend_from_slice(public);
        write!(f, "{}+{}+{}", self.name, HEXLOWER.encode(&key_hash(&self.name, public)), BASE64.encode(&encoded))
    }
}

impl Checkpoint {
    /// The text that is signed: origin, size and root, a line each.
    #[must_use]
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(&self.root.0))
    }

    /// Reads what [`Self::body`] writes; extension lines may follow.
    fn parse(body: &str) -> Result<Self, NoteError> {
        let mut lines = body.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(NoteError::Malformed("three lines are expected"));
        };
        let number: u64 = size.parse().map_err(|_| NoteError::Malformed("the size is no number"))?;
        // "+5" and "007" parse as numbers, but a size has one spelling.
        if number.to_string() != size {
            return Err(NoteError::Malformed("the size is no number"));
        }
        let root = BASE64.decode(root.as_bytes()).map_err(|_| NoteError::Malformed("the root is no hash"))?;
        let root = root.try_into().map_err(|_| NoteError::Malformed("the root is no hash"))?;
        Ok(Self { origin: origin.to_owned(), size: number, root: Digest(root) })
    }
}

/// Splits a file of notes, one after another, blank lines between them or not.
#[must_use]
pub fn split_notes(text: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = String::new();
    let mut signed = false;
    for line in text.lines() {
        let signature = line.starts_with("— ");
        if signed && !signature {
            notes.push(std::mem::take(&mut note));
            signed = false;
        }
        if note.is_empty() && line.is_empty() {
            continue;
        }
        signed |= signature;
        note.push_str(line);
        note.push('\n');
    }
    if !note.is_empty() {
        notes.push(note);
    }
    notes
}

/// The key that signs checkpoints. It lies beside the log: it shows which log a checkpoint is of, and only a checkpoint
/// that has left the host shows that the log was not rewritten.
pub(crate) struct NoteSigner {
    name: String,
    key: SigningKey,
}

impl NoteSigner {
    /// Reads the key file, or makes it (0600) where `may_create`.
    pub(crate) fn open(
        files: &dyn Files,
        folder: &Path,
        name: &str,
        origin: &str,
        may_create: bool,
    ) -> Result<Self, OpenError> {
        let path = folder.join(name);
        let refused = |why: &str| OpenError::Key(path.clone(), why.to_owned());
        if !path.exists() {
            if !may_create {
                return Err(refused("it is missing, but the log has records: restore it"));
            }
            let mut seed = Zeroizing::new([0; 32]);
            getrandom::fill(&mut *seed).map_err(|_| refused("the system has no random bytes"))?;
            let signer = Self { name: origin.to_owned(), key: SigningKey::from_bytes(&seed) };
            replace(files, folder, name, signer.encode().as_bytes()).map_err(|error| OpenError::io(&path, &error))?;
            return Ok(signer);
        }
        let mode = path.metadata().map_err(|error| OpenError::io(&path, &error))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(refused("others may read it: chmod 600"));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| OpenError::io(&path, &error))?;
        Self::parse(&Zeroizing::new(text), origin).ok_or_else(|| refused("it is not a key of this log's origin"))
    }

    fn parse(text: &str, origin: &str) -> Option<Self> {
        let rest = text.trim().strip_prefix("PRIVATE+KEY+")?;
        let mut parts = rest.splitn(3, '+');
        let (name, hash, key) = (parts.next()?, parts.next()?, parts.next()?);
        let bytes = Zeroizing::new(BASE64.decode(key.as_bytes()).ok()?);
        let (&ED25519, seed) = bytes.split_first()? else { return None };
        let key = SigningKey::from_bytes(seed.try_into().ok()?);
        let expected = HEXLOWER.encode(&key_hash(name, key.verifying_key().as_bytes()));
        (name == origin && hash == expected).then(|| Self { name: name.to_owned(), key })
    }

    fn encode(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(vec![ED25519]);
        bytes.extend_from_slice(self.key.as_bytes());
        let hash = HEXLOWER.encode(&key_hash(&self.name, self.key.verifying_key().as_bytes()));
        Zeroizing::new(format!("PRIVATE+KEY+{}+{hash}+{}\n", self.name, BASE64.encode(&bytes)))
    }

    pub(crate) fn verifier(&self) -> VerifierKey {
        VerifierKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// The signed note of a tree head.
    pub(crate) fn sign(&self, size: u64, root: Digest) -> String {
        let body = Checkpoint { origin: self.name.clone(), size, root }.body();
        let signature = self.key.sign(body.as_bytes());
        let mut signed = key_hash(&self.name, self.key.verifying_key().as_bytes()).to_vec();
        signed.extend_from_slice(&signature.to_bytes());
        format!("{body}\n— {} {}\n", self.name, BASE64.encode(&signed))
    }
}
