//! Why a certificate authority cannot be used, or does not sign. All of it is for the operator; none of it holds key material.

use std::path::PathBuf;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// No certificate in PEM form, or one that does not parse.
    #[error("the certificate is not PEM, or does not parse")]
    Certificate,
    /// More certificates than a chain has.
    #[error("more than {0} certificates in one file")]
    ChainTooLong(usize),
    /// A certificate is not followed by the one that signed it.
    #[error("the certificates are no chain: each must be signed by the one that follows it")]
    Chain,
    /// No private key in PEM form, or of a kind that cannot sign.
    #[error("the key is not an unencrypted private key in PEM form (ECDSA, Ed25519 or RSA)")]
    Key,
    /// The key is another certificate's.
    #[error("the key does not belong to the certificate")]
    KeyOfAnother,
    /// The certificate may not sign certificates.
    #[error("the certificate is not a certificate authority's: it needs CA:TRUE and the key usage keyCertSign")]
    NotAuthority,
    /// A key that could sign further authorities does not belong on a gateway.
    #[error(
        "the certificate authority could sign further authorities; asuser's own has path length 0: `asuser ca init --under` makes one"
    )]
    SignsAuthorities,
    /// A root that may not sign an authority below it.
    #[error(
        "this certificate authority has path length 0, so it cannot sign one below it: make it with `asuser ca init --offline-root`"
    )]
    SignsNoAuthorities,
    /// What it signs would not verify: an odd name, or a signature of another kind than the key's.
    #[error("a certificate signed with this certificate authority does not verify against it")]
    SelfCheck,
    /// The authority is not valid yet.
    #[error("the certificate authority is not valid before {0}: look at this machine's clock")]
    NotYetValid(String),
    /// The authority has expired.
    #[error("the certificate authority expired on {0}: make a new one with `asuser ca rotate`")]
    Expired(String),
    /// No lifetime is left.
    #[error("a certificate without a lifetime is not made")]
    NoLifetime,
    /// A time outside what a certificate can say.
    #[error("a time is outside of what a certificate can say")]
    Time,
    /// Not a name that PostgreSQL can have for a role.
    #[error("a database role's name is 1 to 63 bytes long and without control characters")]
    Role,
    /// Not a name for a certificate authority.
    #[error("a certificate authority's name is 1 to 64 characters long and without control characters")]
    Name,
    /// Not a lifetime for a certificate authority.
    #[error("a certificate authority lives 1 to {0} years")]
    Years(u32),
    /// The cryptography failed.
    #[error("the certificate cannot be signed: {0}")]
    Sign(#[from] rcgen::Error),
    /// No random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// The text is no claims key.
    #[error("the claims key is not of the form `v1.<id>.<64 hexadecimal digits>`, as `asuser install` writes it")]
    ClaimsKey,

    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is there already; no key is ever overwritten.
    #[error("{} is there already, and is never overwritten", .0.display())]
    Exists(PathBuf),
    /// A file is larger than a certificate or key can be.
    #[error("{} is not a certificate or key file: it is too large, or no file", .0.display())]
    NotAFile(PathBuf),
    /// Others can read the key.
    #[error("{} can be read by others (mode {mode:04o}): chmod 600, and rotate if others may have read it", path.display())]
    Loose {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Somebody else owns the key.
    #[error("{} belongs to another user: asuser's own user must own its key", .0.display())]
    Foreign(PathBuf),
    /// Others could put an authority of theirs into the folder.
    #[error("{} can be written to by others: chmod go-w", .0.display())]
    LooseFolder(PathBuf),
    /// Another command works on the folder.
    #[error("another command is at work in {}", .0.display())]
    Busy(PathBuf),
    /// The step does not follow from where the rotation stands.
    #[error("{0}")]
    Rotation(&'static str),
}
