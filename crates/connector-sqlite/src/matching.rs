//! SQLite's LIKE for a caller's condition, in bounded time. In: a pattern and a text. Out: whether it matches, as
//! `text LIKE pattern ESCAPE '\'` says, or that the meter has stopped it.
//!
//! SQLite's own costs text × pattern for each wildcard and looks at no deadline meanwhile. Here the pieces between wildcards are
//! found from left to right, each once: in time that grows with the text alone (Knuth, Morris and Pratt), or text × piece where
//! a piece holds `_`; and each step is metered.

/// Ignores the case of ASCII letters and of no others.
fn folded(character: u32) -> u32 {
    u8::try_from(character).map_or(character, |byte| u32::from(byte.to_ascii_lowercase()))
}

/// Counts steps, and asks from time to time whether to go on.
pub(crate) struct Meter<A> {
    ask: A,
    steps: u32,
}

/// The meter said no.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stopped;

/// Steps between two questions: some tenths of a millisecond.
const STEPS_BETWEEN_QUESTIONS: u32 = 64 * 1024;

impl<A: FnMut() -> bool> Meter<A> {
    /// Asks with this: `true` stops.
    pub(crate) const fn new(ask: A) -> Self {
        Self { ask, steps: 0 }
    }
    /// One step, of whichever text: many short ones count like a long one.
    fn step(&mut self) -> Result<(), Stopped> {
        self.advance(1)
    }
    /// As many.
    fn advance(&mut self, steps: usize) -> Result<(), Stopped> {
        self.steps = self.steps.saturating_add(u32::try_from(steps).unwrap_or(u32::MAX));
        if self.steps < STEPS_BETWEEN_QUESTIONS {
            return Ok(());
        }
        self.steps = 0;
        if (self.ask)() { Err(Stopped) } else { Ok(()) }
    }
}

/// What stands for one character of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum One {
    /// `_`
    Any,
    /// This one, folded.
    This(u32),
}

impl One {
    fn is(self, character: u32) -> bool {
        match self {
            Self::Any => true,
            Self::This(wanted) => wanted == folded(character),
        }
    }
}

/// What stands between two `%`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Piece {
    ones: Vec<One>,
    /// For each place the length of the longest proper prefix that ends there too; empty where the piece holds `_`.
    fallback: Vec<usize>,
}

/// A parsed pattern: pieces with a `%` between each two. None: nothing matches.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LikePieces(Vec<Piece>);

impl LikePieces {
    /// Up to the first NUL, as SQLite reads it. A pattern that ends with a lone `\` matches nothing.
    pub(crate) fn parse(pattern: &[u8]) -> Self {
        let mut rest = until_nul(pattern);
        let mut pieces = vec![Vec::new()];
        while let Some(character) = next(&mut rest) {
            let one = match char::from_u32(character) {
                Some('%') => {
                    pieces.push(Vec::new());
                    continue;
                }
                Some('_') => One::Any,
                Some('\\') => match next(&mut rest) {
                    Some(escaped) => One::This(folded(escaped)),
                    None => return Self(Vec::new()),
                },
                _ => One::This(folded(character)),
            };
            if let Some(piece) = pieces.last_mut() {
                piece.push(one);
            }
        }
        Self(pieces.into_iter().map(Piece::new).collect())
    }

    /// The text up to its first NUL.
    pub(crate) fn matches<A: FnMut() -> bool>(&self, text: &[u8], meter: &mut Meter<A>) -> Result<bool, Stopped> {
        let text = until_nul(text);
        let Some((first, others)) = self.0.split_first() else { return Ok(false) };
        let Some(mut rest) = first.after_start(text, meter)? else { return Ok(false) };
        let Some((last, middle)) = others.split_last() else { return Ok(rest.is_empty()) };
        for piece in middle {
            match piece.after_found(rest, meter)? {
                Some(after) => rest = after,
                None => return Ok(false),
            }
        }
        last.ends(rest, meter)
    }
}

impl Piece {
    fn new(ones: Vec<One>) -> Self {
        if ones.contains(&One::Any) {
            return Self { ones, fallback: Vec::new() };
        }
        let mut fallback = vec![0_usize];
        let mut length = 0_usize;
        for one in ones.iter().skip(1) {
            while length > 0 && ones.get(length) != Some(one) {
                length = fallen(&fallback, length);
            }
            length += usize::from(ones.get(length) == Some(one));
            fallback.push(length);
        }
        Self { ones, fallback }
    }

    /// What follows the piece, if the text starts with it.
    fn after_start<'t, A: FnMut() -> bool>(
        &self,
        mut text: &'t [u8],
        meter: &mut Meter<A>,
    ) -> Result<Option<&'t [u8]>, Stopped> {
        for one in &self.ones {
            meter.step()?;
            match next(&mut text) {
                Some(character) if one.is(character) => {}
                _ => return Ok(None),
            }
        }
        Ok(Some(text))
    }

    /// What follows the piece where it first stands.
    fn after_found<'t, A: FnMut() -> bool>(
        &self,
        mut text: &'t [u8],
        meter: &mut Meter<A>,
    ) -> Result<Option<&'t [u8]>, Stopped> {
        if self.ones.is_empty() {
            return Ok(Some(text));
        }
        if self.fallback.is_empty() {
            loop {
                if let Some(after) = self.after_start(text, meter)? {
                    return Ok(Some(after));
                }
                if next(&mut text).is_none() {
                    return Ok(None);
                }
            }
        }
        let mut length = 0_usize;
        loop {
            if length == 0 {
                text = self.past_what_cannot_begin(text, meter)?;
            }
            let Some(character) = next(&mut text) else { return Ok(None) };
            meter.step()?;
            let fits = |length: usize| self.ones.get(length).is_some_and(|one| one.is(character));
            while length > 0 && !fits(length) {
                meter.step()?;
                length = fallen(&self.fallback, length);
            }
            length += usize::from(fits(length));
            if length == self.ones.len() {
                return Ok(Some(text));
            }
        }
    }

    /// The text from where the piece's first character may stand: a quick look, since most of most texts is passed over. An
    /// ASCII byte is a character wherever it stands.
    fn past_what_cannot_begin<'t, A: FnMut() -> bool>(
        &self,
        text: &'t [u8],
        meter: &mut Meter<A>,
    ) -> Result<&'t [u8], Stopped> {
        let Some(One::This(first)) = self.ones.first() else { return Ok(text) };
        let Some(first) = u8::try_from(*first).ok().filter(u8::is_ascii) else { return Ok(text) };
        let at = text.iter().position(|byte| byte.eq_ignore_ascii_case(&first)).unwrap_or(text.len());
        meter.advance(at)?;
        Ok(text.get(at..).unwrap_or_default())
    }

    /// Whether the text ends with the piece.
    fn ends<A: FnMut() -> bool>(&self, text: &[u8], meter: &mut Meter<A>) -> Result<bool, Stopped> {
        if self.ones.is_empty() {
            return Ok(true);
        }
        // Forward: where a character begins in bytes that are no UTF-8 depends on what stands before.
        let (mut characters, mut rest) = (0_usize, text);
        while next(&mut rest).is_some() {
            meter.step()?;
            characters += 1;
        }
        let Some(before) = characters.checked_sub(self.ones.len()) else { return Ok(false) };
        let mut rest = text;
        for _ in 0..before {
            meter.step()?;
            let _ = next(&mut rest);
        }
        Ok(self.after_start(rest, meter)?.is_some())
    }
}

fn fallen(fallback: &[usize], length: usize) -> usize {
    fallback.get(length.saturating_sub(1)).copied().unwrap_or(0)
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.get(..end).unwrap_or(bytes)
}

/// The next character as SQLite reads it (`sqlite3Utf8Read`): bytes that are no UTF-8 give something too.
fn next(rest: &mut &[u8]) -> Option<u32> {
    let (first, mut after) = rest.split_first()?;
    let mut character = u32::from(*first);
    if *first >= 0xc0 {
        // The lead's own bits.
        character &= match *first {
            0xc0..=0xdf => 0x1f,
            0xe0..=0xef => 0x0f,
            0xf0..=0xf7 => 0x07,
            0xf8..=0xfb => 0x03,
            0xfc..=0xfd => 0x01,
            _ => 0,
        };
        while let Some((byte, further)) = after.split_first().filter(|(byte, _)| **byte & 0xc0 == 0x80) {
            character = (character << 6) | u32::from(*byte & 0x3f);
            after = further;
        }
        if character < 0x80 || character & 0xffff_f800 == 0xd800 || character & 0xffff_fffe == 0xfffe {
            character = 0xfffd;
        }
    }
    *rest = after;
    Some(character)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;
    use rusqlite::types::Value;

    use super::{LikePieces, Meter, STEPS_BETWEEN_QUESTIONS, Stopped};

    /// Small numbers that look random, the same each time.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, most: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % most
        }
        fn bytes(&mut self, alphabet: &[&[u8]], most: usize) -> Vec<u8> {
            (0..self.below(most)).flat_map(|_| alphabet[self.below(alphabet.len())].to_vec()).collect()
        }
    }

    #[test]
    fn it_matches_what_sqlites_like_matches() {
        let sqlite = Connection::open_in_memory().unwrap();
        let mut like = sqlite.prepare(r"SELECT CAST(?1 AS TEXT) LIKE CAST(?2 AS TEXT) ESCAPE '\'").unwrap();
        let texts: &[&[u8]] = &[b"a", b"a", b"B", b"b", b"%", b"_", b"\\", "ü".as_bytes(), "Ü".as_bytes()];
        let odd: &[&[u8]] =
            &[b"a", b"\0", b"\x80", b"\xfc", b"\xc0", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"\xff", b"%", b"\\", b"_"];
        let mut dice = Dice(1);
        let mut matched = 0;
        for round in 0..200_000 {
            let alphabet = if round % 3 == 0 { odd } else { texts };
            let wild: Vec<&[u8]> = [alphabet, &[b"%", b"%", b"_", b"a"]].concat();
            let (text, pattern) = (dice.bytes(alphabet, 9), dice.bytes(&wild, 7));
            let expected: bool =
                like.query_row([Value::Blob(text.clone()), Value::Blob(pattern.clone())], |row| row.get(0)).unwrap();
            let found = LikePieces::parse(&pattern).matches(&text, &mut Meter::new(|| false));
            assert_eq!(found, Ok(expected), "{text:x?} {pattern:x?}");
            matched += usize::from(expected);
        }
        assert!(matched > 10_000, "{matched}");
    }

    /// How often the meter was asked.
    fn questions(pattern: &str, text: &str) -> u32 {
        let mut asked = 0;
        let mut meter = Meter::new(|| {
            asked += 1;
            false
        });
        assert_eq!(LikePieces::parse(pattern.as_bytes()).matches(text.as_bytes(), &mut meter), Ok(false));
        asked
    }

    #[test]
    fn the_cost_without_underscores_is_that_of_the_text() {
        let text = "a".repeat(1_000_000);
        let most = 2 * text.len() as u32 / STEPS_BETWEEN_QUESTIONS + 1;
        let run = "a".repeat(1_000);
        let many = "%a".repeat(500);
        for pattern in [format!("%{run}b%"), format!("%{run}b"), format!("{run}b%"), format!("{many}b%"), many + "b"] {
            assert!(questions(&pattern, &text) <= most, "{pattern}");
        }
        let dear = questions(&format!("%_{run}b%"), "a".repeat(30_000).as_str());
        assert!(dear > 10 * most, "with them it is more, and metered: {dear}");
    }

    #[test]
    fn a_meter_stops_it_also_over_many_short_texts() {
        let pieces = LikePieces::parse(format!("%_{}b%", "a".repeat(1_000)).as_bytes());
        let mut meter = Meter::new(|| true);
        assert_eq!(pieces.matches("a".repeat(100_000).as_bytes(), &mut meter), Err(Stopped));
        let mut meter = Meter::new(|| true);
        let short = |meter: &mut Meter<_>| LikePieces::parse(b"%b%").matches(b"aaaaaaaaaa", meter);
        assert_eq!(short(&mut meter), Ok(false), "the twin: what is short is done before it is asked");
        assert!((0..STEPS_BETWEEN_QUESTIONS).any(|_| short(&mut meter) == Err(Stopped)));
    }
}
