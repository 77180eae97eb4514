//! The erasable part of a record.
//!
//! In: what names a person, field by field. Out: for the leaf, salted commitments that tell nothing once the salts are
//! gone; for the frame, the fields and salts under the subject's key. Whoever deletes that key has erased them, and every
//! hash of the log still holds.
//!
//! ```text
//! commitment = SHA-256("asuser/1" | u8 length of the field's name | the field's name | salt, 32 bytes | value)
//! personal   = key id, 16 | nonce, 24 | XChaCha20-Poly1305(subject key, nonce, AAD = SHA-256(leaf), CBOR {field: [salt, value]})
//! ```
//! The name is length-prefixed and the salt has a fixed length, so no two inputs share a preimage. The salt is only inside
//! the ciphertext: beside the commitment it would let anyone who reads the log test guessed e-mail addresses.

use std::fmt;
use std::sync::Arc;

use asuser_core::{Digest, PrincipalKey, random};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use minicbor::decode::Decoder;
use minicbor::encode::Encoder;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::text::clip;

/// The longest personal value, in bytes; a longer one is cut and marked.
pub const VALUE_MAX: usize = 1024;
/// The longest personal part of a frame, in bytes: all fields at their longest, with salts, nonce, tag and framing.
pub(crate) const PERSONAL_MAX: usize = 9 * 1024;
const SALT: usize = 32;
const NONCE: usize = 24;
const KEY_ID: usize = 16;

/// 16 random bytes that stand for a subject (or for the unauthenticated sources of a day) in the log. Which subject it is
/// only the store knows, until it forgets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectRef(pub [u8; 16]);

impl fmt::Display for SubjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}
impl fmt::Debug for SubjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The key that a subject's personal parts are under. Wiped when dropped; prints its id alone.
pub struct SubjectKey {
    id: SubjectRef,
    key: Zeroizing<[u8; 32]>,
}

impl SubjectKey {
    /// The key `key` of the subject `id`.
    #[must_use]
    pub const fn new(id: SubjectRef, key: Zeroizing<[u8; 32]>) -> Self {
        Self { id, key }
    }
    /// A fresh subject with a fresh key.
    ///
    /// # Errors
    /// When the operating system has no random bytes to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        let (mut id, mut key) = ([0; 16], Zeroizing::new([0; 32]));
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut *key)?;
        Ok(Self { id: SubjectRef(id), key })
    }
    /// Whose it is.
    #[must_use]
    pub const fn id(&self) -> SubjectRef {
        self.id
    }
    /// The 32 secret bytes, for the store that keeps them.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.key
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubjectKey({})", self.id)
    }
}

/// Where subjects and their keys are kept, outside the log. Calls may block; the log makes them on threads of its own.
pub trait KeyStore: Send + Sync + 'static {
    /// The key of this principal; made and **durably committed before it is returned** if there is none.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    fn subject_key(&self, principal: &PrincipalKey) -> Result<Arc<SubjectKey>, KeyStoreError>;
    /// The key of the unauthenticated sources of this day (days since 1970-01-01), on the same terms.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    fn day_key(&self, day: i64) -> Result<Arc<SubjectKey>, KeyStoreError>;
    /// The key with this id, if it was not erased.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn key(&self, id: SubjectRef) -> Result<Option<Arc<SubjectKey>>, KeyStoreError>;
    /// Which subject this principal is, if it is known at all. Makes none.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn find(&self, principal: &PrincipalKey) -> Result<Option<SubjectRef>, KeyStoreError>;
    /// Which subject the unauthenticated sources of this day are, if any. Makes none.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn find_day(&self, day: i64) -> Result<Option<SubjectRef>, KeyStoreError>;
    /// Deletes the key and the mapping beyond recovery from the store's own files. Deleting what is gone is no error.
    ///
    /// # Errors
    /// When the store cannot be written; nothing may then be taken as erased.
    fn erase(&self, id: SubjectRef) -> Result<(), KeyStoreError>;
}

/// The store cannot do it. Holds no key and no personal value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store of subject keys failed: {0}")]
pub struct KeyStoreError(pub String);

/// What is personal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Field {
    /// `iss`
    Issuer = 1,
    /// `sub`
    Subject = 2,
    /// The login.
    Login = 3,
    /// The e-mail address.
    Email = 4,
    /// The display name.
    Name = 5,
    /// The network address that the request came from.
    Address = 6,
    /// The user as the database names it.
    DatabaseUser = 7,
}

impl Field {
    /// All of them.
    pub const ALL: &'static [Self] =
        &[Self::Issuer, Self::Subject, Self::Login, Self::Email, Self::Name, Self::Address, Self::DatabaseUser];
    /// The field with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| *field as u8 == number)
    }
    /// Its name, as commitments and renderings use it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Subject => "subject",
            Self::Login => "login",
            Self::Email => "email",
            Self::Name => "name",
            Self::Address => "address",
            Self::DatabaseUser => "database_user",
        }
    }
}

/// Personal fields and their values, ascending by field, each field at most once.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Personal(Vec<(Field, String)>);

impl Personal {
    /// Nothing personal.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }
    /// With this field set; over-long values are cut and marked.
    #[must_use]
    pub fn with(mut self, field: Field, value: impl Into<String>) -> Self {
        let mut value = value.into();
        clip(&mut value, VALUE_MAX);
        match self.0.binary_search_by_key(&field, |(known, _)| *known) {
            Ok(at) => {
                if let Some((_, old)) = self.0.get_mut(at) {
                    *old = value;
                }
            }
            Err(at) => self.0.insert(at, (field, value)),
        }
        self
    }
    /// With this field set, if there is a value.
    #[must_use]
    pub fn with_some(self, field: Field, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with(field, value),
            None => self,
        }
    }
    /// The value of a field.
    #[must_use]
    pub fn value(&self, field: Field) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == field).map(|(_, value)| value.as_str())
    }
    /// All fields.
    pub fn iter(&self) -> impl Iterator<Item = (Field, &str)> {
        self.0.iter().map(|(field, value)| (*field, value.as_str()))
    }
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Personal values do not print by accident: a debug line names the fields alone.
impl fmt::Debug for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(field, _)| field.as_str())).finish()
    }
}

/// Personal fields with fresh salts: first the leaf takes the commitments, then the encoded leaf seals the fields.
pub(crate) struct Salted {
    fields: Vec<(Field, [u8; SALT], String)>,
}

impl Salted {
    pub(crate) fn new(personal: Personal) -> Result<Self, getrandom::Error> {
        let mut fields = Vec::with_capacity(personal.0.len());
        for (field, value) in personal.0 {
            let mut salt = [0; SALT];
            random::fill(&mut salt)?;
            fields.push((field, salt, value));
        }
        Ok(Self { fields })
    }

    pub(crate) fn commitments(&self) -> Vec<(Field, Digest)> {
        self.fields.iter().map(|(field, salt, value)| (*field, commitment(*field, salt, value))).collect()
    }

    pub(crate) fn seal(&self, key: &SubjectKey, leaf: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE];
        random::fill(&mut nonce).map_err(|_| SealError)?;
        let plain = Zeroizing::new(self.encode().map_err(|_| SealError)?);
        let aad = Sha256::digest(leaf);
        let sealed =
            cipher(key).encrypt(&XNonce::from(nonce), Payload { msg: &plain, aad: &aad }).map_err(|_| SealError)?;
        let mut personal = Vec::with_capacity(KEY_ID.saturating_add(NONCE).saturating_add(sealed.len()));
        personal.extend_from_slice(&key.id.0);
        personal.extend_from_slice(&nonce);
        personal.extend_from_slice(&sealed);
        Ok(personal)
    }

    fn encode(&self) -> Result<Vec<u8>, minicbor::encode::Error<std::convert::Infallible>> {
        let mut e = Encoder::new(Vec::with_capacity(256));
        e.map(self.fields.len() as u64)?;
        for (field, salt, value) in &self.fields {
            e.u8(*field as u8)?.array(2)?.bytes(salt)?.str(value)?;
        }
        Ok(e.into_writer())
    }
}

/// Sealing failed: no random bytes, or the cipher refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SealError;

fn cipher(key: &SubjectKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&(*key.key).into())
}

/// The commitment to one value. The framing is this module's first words.
#[must_use]
pub fn commitment(field: Field, salt: &[u8; 32], value: &str) -> Digest {
    let name = field.as_str().as_bytes();
    let mut hash = Sha256::new();
    hash.update(b"asuser/1");
    hash.update([u8::try_from(name.len()).unwrap_or(u8::MAX)]);
    hash.update(name);
    hash.update(salt);
    hash.update(value.as_bytes());
    Digest(hash.finalize().into())
}

/// What became of a record's personal part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PersonalState {
    /// The record has none.
    None,
    /// It opens, and is what the leaf committed to.
    Open(Personal),
    /// No store was given, so it was not opened.
    Sealed,
    /// Its key was erased, and an `erase` record says so.
    Erased,
    /// The leaf commits to personal fields that are gone, or to ones whose key is gone without an `erase` record.
    Missing,
    /// It does not open, or opens to something else than the leaf committed to.
    Mismatch,
}

/// The key that a personal part is under.
pub(crate) fn key_id(personal: &[u8]) -> Option<SubjectRef> {
    personal.first_chunk::<KEY_ID>().map(|id| SubjectRef(*id))
}

/// Opens a personal part and holds it against the leaf's commitments. `None`: a mismatch.
pub(crate) fn open(
    personal: &[u8],
    key: &SubjectKey,
    leaf: &[u8],
    commitments: &[(Field, Digest)],
) -> Option<Personal> {
    let (id, rest) = personal.split_first_chunk::<KEY_ID>()?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
    if *id != key.id.0 {
        return None;
    }
    let aad = Sha256::digest(leaf);
    let plain = Zeroizing::new(cipher(key).decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &aad }).ok()?);
    let salted = decode(&plain)?;
    // Both ways round: every commitment opens, and nothing is there that was not committed to.
    if salted.commitments() != commitments || *salted.encode().ok()? != **plain {
        return None;
    }
    Some(Personal(salted.fields.into_iter().map(|(field, _, value)| (field, value)).collect()))
}

fn decode(plain: &[u8]) -> Option<Salted> {
    let mut d = Decoder::new(plain);
    let count = d.map().ok()??;
    let mut fields = Vec::new();
    for _ in 0..count {
        let field = Field::from_number(d.u8().ok()?)?;
        if d.array().ok()? != Some(2) {
            return None;
        }
        let salt = d.bytes().ok()?.try_into().ok()?;
        fields.push((field, salt, d.str().ok()?.to_owned()));
    }
    Some(Salted { fields })
}
