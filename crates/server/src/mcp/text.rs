//! JSON text inside JSON: written without a detour over values.
//!
//! What could steer a terminal or break a line somewhere on the way (C1 controls, DEL, U+2028 and U+2029, signs that turn the direction
//! of writing) is escaped besides what JSON demands. The value stays the same.

/// JSON text as a JSON string.
pub(super) fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    push_escaped(out, text, true);
    out.push(b'"');
}

/// JSON as it is, but for signs that are escaped. They can stand in its strings alone.
pub(super) fn push_json(out: &mut Vec<u8>, json: &[u8]) {
    push_escaped(out, json, false);
}

fn push_escaped(out: &mut Vec<u8>, text: &[u8], quoted: bool) {
    let mut from = 0;
    let mut at = 0;
    while let Some(byte) = text.get(at).copied() {
        let ordinary = if quoted { byte >= 0x20 && byte != b'"' && byte != b'\\' } else { byte >= 0x20 };
        // Only these lead to a sign that is escaped.
        if ordinary && byte < 0x7f {
            at += 1;
            continue;
        }
        let rest = text.get(at..).unwrap_or_default();
        let (escape, length) = match escape(rest, quoted) {
            Some(found) => found,
            None => {
                at += 1;
                continue;
            }
        };
        out.extend_from_slice(text.get(from..at).unwrap_or_default());
        push_escape(out, escape, quoted);
        at += length;
        from = at;
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
}

enum Escape {
    /// A backslash before it.
    Mark(u8),
    Code(u32),
    /// White space between values: it can stand in no string.
    Space,
}

/// The first sign's escape, and how many bytes it has.
fn escape(rest: &[u8], quoted: bool) -> Option<(Escape, usize)> {
    Some(match rest {
        [mark @ (b'"' | b'\\'), ..] if quoted => (Escape::Mark(*mark), 1),
        [b'\t' | b'\n' | b'\r', ..] => (Escape::Space, 1),
        [byte @ (0..=0x1f | 0x7f), ..] => (Escape::Code(u32::from(*byte)), 1),
        [0xc2, second @ 0x80..=0x9f, ..] => (Escape::Code(u32::from(*second)), 2),
        // U+200E, U+200F; U+2028 to U+202E; U+2066 to U+2069
        [0xe2, 0x80, third @ (0x8e | 0x8f | 0xa8..=0xae), ..] => (Escape::Code(0x2000 + u32::from(*third & 0x3f)), 3),
        [0xe2, 0x81, third @ 0xa6..=0xa9, ..] => (Escape::Code(0x2040 + u32::from(*third & 0x3f)), 3),
        _ => return None,
    })
}

fn push_escape(out: &mut Vec<u8>, escape: Escape, quoted: bool) {
    match escape {
        Escape::Mark(mark) => out.extend_from_slice(&[b'\\', mark]),
        Escape::Space => out.push(b' '),
        // In JSON text inside a string the sign's own escape is what stands there, so its backslash has one, too.
        Escape::Code(code) => {
            let slash = if quoted { "\\\\" } else { "\\" };
            out.extend_from_slice(format!("{slash}u{code:04x}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;

    proptest! {
        /// JSON that goes through both ways is the same value, and shows no sign that is escaped.
        #[test]
        fn json_stays_the_same(text in ".*", odd in "[\u{0}-\u{1f}\u{7f}-\u{9f}\u{2028}-\u{202e}\u{2066}\"\\\\]*") {
            let value = json!({ "a": text, (odd.clone()): odd });
            let json = serde_json::to_vec_pretty(&value).unwrap();
            let mut raw = Vec::new();
            push_json(&mut raw, &json);
            prop_assert_eq!(&serde_json::from_slice::<Json>(&raw).unwrap(), &value);
            let mut string = Vec::new();
            push_string(&mut string, &json);
            let inner: String = serde_json::from_slice(&string).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Json>(&inner).unwrap(), &value);
            for text in [String::from_utf8(raw).unwrap(), String::from_utf8(string).unwrap(), inner] {
                let odd = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
                prop_assert!(!text.chars().any(odd));
            }
        }
    }
}
