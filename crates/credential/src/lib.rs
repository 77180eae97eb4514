//! Credentials that asuser makes for one moment: signed claims ([`claims`]), and a client certificate for each login of a person, signed by asuser's own certificate
//! authority, so that the database's session *is* the person (run-as mode `certificate`).
//!
//! In: the authority's certificate and key, from files; a role; how long. Out: a certificate and key that live in memory for minutes.
//! Refuses an authority that is not one, is not in force, or whose key others can read; and names that are no role's.
//! Knows no database and no person: who gets which role is decided before.

mod authority;
pub mod claims;
mod error;
mod facts;
mod folder;
mod shape;
mod signer;

pub use authority::{CertificateAuthority, ClientCertificate, LIFETIME_S_MAX, NewAuthority};
pub use error::CredentialError;
pub use facts::{Facts, certificates};
pub use folder::{AuthorityFolder, BUNDLE, CERTIFICATE, KEY, Kept, KeyState, Kind};
