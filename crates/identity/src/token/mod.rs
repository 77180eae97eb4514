//! Access tokens: the compact form and its JSON, what a provider's profile asks of them, and what their claims must say.

pub(crate) mod claims;
pub(crate) mod hidden;
pub(crate) mod human;
pub(crate) mod json;
pub(crate) mod jws;
pub(crate) mod profile;
