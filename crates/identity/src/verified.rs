//! The proof that a human was verified (law 1).

use asuser_core::PrincipalData;

/// A human whom a configured provider vouches for, now. Made only in this crate, after every check; shared by `Arc`, never cloned.
///
/// It cannot be put together elsewhere:
/// ```compile_fail,E0451
/// fn forge(data: asuser_core::PrincipalData) -> asuser_identity::Verified {
///     asuser_identity::Verified { data }
/// }
/// ```
/// nor minted,
/// ```compile_fail,E0624
/// fn forge(data: asuser_core::PrincipalData) -> asuser_identity::Verified {
///     asuser_identity::Verified::mint(data)
/// }
/// ```
/// nor converted,
/// ```compile_fail,E0277
/// fn forge(data: asuser_core::PrincipalData) -> asuser_identity::Verified {
///     data.into()
/// }
/// ```
/// nor defaulted,
/// ```compile_fail,E0277
/// fn forge() -> asuser_identity::Verified {
///     fn default<T: Default>() -> T {
///         T::default()
///     }
///     default::<asuser_identity::Verified>()
/// }
/// ```
/// nor read from text,
/// ```compile_fail,E0277
/// fn forge(text: &str) -> asuser_identity::Verified {
///     serde_json::from_str::<asuser_identity::Verified>(text).unwrap()
/// }
/// ```
/// nor copied to outlive its cause,
/// ```compile_fail,E0277
/// fn copy<T: Clone>(value: &T) -> T {
///     value.clone()
/// }
/// fn keep(verified: &asuser_identity::Verified) -> asuser_identity::Verified {
///     copy::<asuser_identity::Verified>(verified)
/// }
/// ```
/// nor changed.
/// ```compile_fail,E0616
/// fn promote(verified: &mut asuser_identity::Verified) {
///     verified.data.groups.push("admins".into());
/// }
/// ```
/// It can be read.
/// ```
/// fn login(verified: &asuser_identity::Verified) -> Option<&str> {
///     verified.data().login.as_ref().map(|login| login.as_str())
/// }
/// ```
#[derive(Debug)]
pub struct Verified {
    data: PrincipalData,
}

impl Verified {
    /// What was verified.
    #[must_use]
    pub const fn data(&self) -> &PrincipalData {
        &self.data
    }
    pub(crate) const fn mint(data: PrincipalData) -> Self {
        Self { data }
    }
}
