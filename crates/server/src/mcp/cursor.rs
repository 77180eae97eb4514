//! Where a list or a table's records go on. No credential: whoever makes one up sees what they may see from there.
//!
//! In: a place and what was asked. Out: an opaque text. A cursor of another question, or another text, is refused.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use data_encoding::BASE64URL_NOPAD;

/// What a cursor belongs to: the question without its place.
pub(super) fn shape(parts: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

pub(super) fn encode(offset: u64, shape: u64) -> String {
    let mut bytes = [0; 16];
    let (first, second) = bytes.split_at_mut(8);
    first.copy_from_slice(&offset.to_be_bytes());
    // The place is in both, so that one cursor's half does not fit another's.
    second.copy_from_slice(&(shape ^ offset.rotate_left(32)).to_be_bytes());
    BASE64URL_NOPAD.encode(&bytes)
}

/// The place, if it is a cursor of this question.
pub(super) fn decode(text: &str, shape: u64) -> Option<u64> {
    let bytes: [u8; 16] = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok()?;
    let (first, second) = bytes.split_at(8);
    let offset = u64::from_be_bytes(first.try_into().ok()?);
    let sealed = u64::from_be_bytes(second.try_into().ok()?);
    (sealed == shape ^ offset.rotate_left(32)).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_belongs_to_its_question() {
        let (one, other) = (shape(&["db", "orders"]), shape(&["db", "order", "s"]));
        let text = encode(50, one);
        assert_eq!(decode(&text, one), Some(50));
        assert_eq!(decode(&text, other), None);
        for wrong in ["", "50", "AAAA", &text[1..], &text.replace(&text[..1], "B"), &format!("{text}=")] {
            assert_eq!(decode(wrong, one), None, "{wrong}");
        }
    }
}
