//! Just enough DER (X.690 §10) to find the numbers of a public key.

/// Tag, content and rest of the first value. Definite lengths in their shortest form only.
pub(super) fn value(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = input.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        0x81 => {
            let (length, rest) = rest.split_first()?;
            (usize::from(*length), rest)
        }
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    let shortest = match *first {
        0x81 => length >= 0x80,
        0x82 => length >= 0x100,
        _ => true,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    shortest.then_some((*tag, content, rest))
}

/// The content of a value with this tag, and the rest.
pub(super) fn expect(tag: u8, input: &[u8]) -> Option<(&[u8], &[u8])> {
    value(input).filter(|(found, ..)| *found == tag).map(|(_, content, rest)| (content, rest))
}

/// The same, where nothing may follow.
pub(super) fn only(tag: u8, input: &[u8]) -> Option<&[u8]> {
    expect(tag, input).filter(|(_, rest)| rest.is_empty()).map(|(content, _)| content)
}

/// A non-negative INTEGER without its sign octet.
pub(super) fn unsigned(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, rest) = expect(0x02, input)?;
    match content {
        [0, number @ ..] if number.first().is_some_and(|first| *first >= 0x80) => Some((number, rest)),
        [first, ..] if (1..0x80).contains(first) => Some((content, rest)),
        _ => None,
    }
}
