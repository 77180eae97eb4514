//! JSON text that is being written. In: pieces. Out: bytes. Refuses to grow beyond its limit, before a piece is copied.

use asuser_core::SEGMENT_BYTES_MAX;
use data_encoding::BASE64;

/// What small answers need.
const BYTES_AT_FIRST: usize = 4 * 1024;

/// Why a record cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The answer would be larger than allowed.
    TooLarge,
    /// The server sent this, which is not what was asked for.
    Malformed(&'static str),
}

/// Bytes of JSON, and how many they may be.
pub(super) struct Json {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Json {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes: Vec::with_capacity(BYTES_AT_FIRST.min(bytes_max)), bytes_max }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// What stands at this place and after it.
    pub(super) fn from(&self, at: usize) -> &[u8] {
        self.bytes.get(at..).unwrap_or_default()
    }

    /// Forgets the first bytes; they stay counted.
    pub(super) fn drop_front(&mut self, count: usize) {
        let count = count.min(self.bytes.len());
        self.bytes.drain(..count);
        self.bytes_max = self.bytes_max.saturating_sub(count);
        if self.bytes.capacity() > 4 * SEGMENT_BYTES_MAX {
            // One large record does not hold its memory until the end.
            self.bytes.shrink_to(2 * SEGMENT_BYTES_MAX);
        }
    }

    /// All of it; the bytes stay counted.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.bytes_max = self.bytes_max.saturating_sub(self.bytes.len());
        std::mem::take(&mut self.bytes)
    }

    /// Appends JSON.
    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.check(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends a finite number, as the shortest text that reads back the same.
    pub(super) fn push_float(&mut self, number: impl serde::Serialize) -> Result<(), Stop> {
        serde_json::to_writer(&mut self.bytes, &number).map_err(|_| Stop::Malformed("a number that JSON has not"))?;
        self.check(0)
    }

    /// Appends bytes as base64 with padding (RFC 4648 §4).
    pub(super) fn push_base64(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let coming = BASE64.encode_len(bytes.len());
        self.check(coming)?;
        let start = self.bytes.len();
        self.bytes.resize(start + coming, 0);
        if let Some(room) = self.bytes.get_mut(start..) {
            BASE64.encode_mut(bytes, room);
        }
        Ok(())
    }

    /// Appends what stands between the quotes of a text, with U+FFFD for bytes that are no UTF-8.
    pub(super) fn push_text(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.check(bytes.len())?;
        if is_plain(bytes) {
            // ASCII is UTF-8.
            self.bytes.extend_from_slice(bytes);
            return Ok(());
        }
        if std::str::from_utf8(bytes).is_ok() {
            return self.push_escaped(bytes);
        }
        for chunk in bytes.utf8_chunks() {
            self.push_escaped(chunk.valid().as_bytes())?;
            if !chunk.invalid().is_empty() {
                self.push("\u{FFFD}".as_bytes())?;
            }
        }
        Ok(())
    }

    /// RFC 8259 §7: quote, backslash and control characters are escaped, everything else stands as it is.
    fn push_escaped(&mut self, mut bytes: &[u8]) -> Result<(), Stop> {
        loop {
            let Some((clean, escaped, rest)) = bytes.split_at_checked(clean_len(bytes)).and_then(|(clean, rest)| {
                let (escaped, rest) = rest.split_first()?;
                Some((clean, *escaped, rest))
            }) else {
                return self.push(bytes);
            };
            self.push(clean)?;
            self.push_escape(escaped)?;
            bytes = rest;
        }
    }

    fn push_escape(&mut self, byte: u8) -> Result<(), Stop> {
        let letter = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0C => b'f',
            b'\r' => b'r',
            _ => {
                let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + half - 10 };
                return self.push(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 0x0F)]);
            }
        };
        self.push(&[b'\\', letter])
    }

    #[inline]
    fn check(&self, coming: usize) -> Result<(), Stop> {
        if self.bytes.len().saturating_add(coming) > self.bytes_max { Err(Stop::TooLarge) } else { Ok(()) }
    }
}

/// How many bytes at the beginning need no escape.
fn clean_len(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let clean = 8 * words.iter().take_while(|word| is_clean(u64::from_ne_bytes(**word))).count();
    let rest = bytes.get(clean..).unwrap_or_default();
    clean + rest.iter().take_while(|byte| !needs_escape(**byte)).count()
}

/// ASCII, and nothing of it needs an escape: what most texts are.
fn is_plain(bytes: &[u8]) -> bool {
    let plain = |word: &[u8; 8]| {
        let word = u64::from_ne_bytes(*word);
        is_clean(word) && word & HIGH_BITS == 0
    };
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().all(plain)
        && match bytes.last_chunk::<8>() {
            // The last eight bytes again are sooner looked at than the rest one by one.
            Some(last) => plain(last),
            None => rest.iter().all(|byte| byte.is_ascii() && !needs_escape(*byte)),
        }
}

const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// None of the eight bytes needs an escape. A byte below `n` borrows into its own highest bit when `n` is taken from it; a borrow
/// that came from the byte below it is one that was found there already.
const fn is_clean(word: u64) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const fn below(word: u64, n: u64) -> u64 {
        word.wrapping_sub(EACH * n) & !word
    }
    let quote = word ^ (EACH * 0x22);
    let backslash = word ^ (EACH * 0x5C);
    (below(word, 0x20) | below(quote, 1) | below(backslash, 1)) & HIGH_BITS == 0
}

#[cfg(test)]
mod tests {
    use super::{is_plain, needs_escape};

    #[test]
    fn one_byte_in_any_place_makes_a_text_not_plain() {
        for length in 0..=25 {
            let text = vec![b'a'; length];
            assert!(is_plain(&text));
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut other = text.clone();
                    other[at] = byte;
                    assert_eq!(is_plain(&other), byte.is_ascii() && !needs_escape(byte), "{byte} at {at} of {length}");
                }
            }
        }
    }
}
