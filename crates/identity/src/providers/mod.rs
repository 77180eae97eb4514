//! The kinds of identity providers, a file each.

pub(crate) mod jwt;
