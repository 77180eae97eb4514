//! Text that must appear in no log, error, metric or audit record (law 8).

use std::fmt;

use zeroize::Zeroize;

/// A token, password or key: prints as `[secret]`, is wiped when dropped, and compares in constant time.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes the secret text.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }
    /// The text, for the one place that verifies or sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_bytes(), other.0.as_bytes()).into()
    }
}
impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".into())), "[secret]");
    }
}
