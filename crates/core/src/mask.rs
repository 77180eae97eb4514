//! Column masks. The rule of each kind stands here once; a connector's SQL must agree with it (differential test).

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a masked column reads. NULL stays NULL under every kind. `full`, `partial` and `email` give text; on a column that is
/// not text, or a value that is not (SQLite), they give NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MaskKind {
    /// `****` whatever the value, so that its length stays hidden.
    Full,
    /// `****` and the last four characters of a text of at least eight; `****` for a shorter one.
    Partial,
    /// The first character of the local part, `***`, and the domain: `j***@example.com`. Split at the last `@`;
    /// `****` where there is no `@`, or nothing before it.
    Email,
    /// NULL.
    Null,
}

impl MaskKind {
    /// The masked form of a text.
    #[must_use]
    pub fn apply(self, text: &str) -> Option<String> {
        const HIDDEN: &str = "****";
        match self {
            Self::Null => None,
            Self::Full => Some(HIDDEN.to_owned()),
            Self::Partial => {
                let length = text.chars().count();
                let tail: String = text.chars().skip(length.saturating_sub(4)).collect();
                Some(if length < 8 { HIDDEN.to_owned() } else { format!("{HIDDEN}{tail}") })
            }
            Self::Email => Some(match text.rsplit_once('@') {
                Some((local, domain)) if !local.is_empty() => {
                    let first: String = local.chars().take(1).collect();
                    format!("{first}***@{domain}")
                }
                _ => HIDDEN.to_owned(),
            }),
        }
    }
    /// `full`, `partial`, `email` or `null`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::Email => "email",
            Self::Null => "null",
        }
    }
}

impl FromStr for MaskKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Full, Self::Partial, Self::Email, Self::Null]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no mask: full, partial, email and null are"))
    }
}

#[cfg(test)]
mod tests {
    use super::MaskKind;

    #[test]
    fn masks_hide_what_they_say() {
        let cases = [
            (MaskKind::Full, "x", Some("****")),
            (MaskKind::Partial, "4111111111111111", Some("****1111")),
            (MaskKind::Partial, "1234567", Some("****")),
            (MaskKind::Partial, "grüße-ÄÖÜ", Some("****-ÄÖÜ")),
            (MaskKind::Email, "john.doe@company.com", Some("j***@company.com")),
            (MaskKind::Email, "a@b@c.d", Some("a***@c.d")),
            (MaskKind::Email, "@company.com", Some("****")),
            (MaskKind::Email, "no address", Some("****")),
            (MaskKind::Null, "x", None),
        ];
        for (kind, clear, masked) in cases {
            assert_eq!(kind.apply(clear).as_deref(), masked, "{kind:?} {clear}");
        }
    }
}
