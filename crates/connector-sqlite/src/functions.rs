//! The SQL functions of ours: masks, the exact `like` of policies and the LIKE of callers. In: a cell. Out: text, 0, 1 or
//! NULL; an error only where the read's budget is spent.
//!
//! SQLite's own text functions stop at a NUL character and its `GLOB` needs escapes; these run the rule of
//! [`MaskKind::apply`] itself, so that there is one rule and not two.

use std::sync::{Arc, Mutex};

use asuser_core::{LikePattern, MaskKind, PatternPart};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result, ffi};

use crate::connect::{Watch, unpoisoned};
use crate::matching::{LikePieces, Meter, Stopped};

/// The name of a mask's function; `null` has none, it prints as NULL.
pub(crate) const fn mask_function(kind: MaskKind) -> Option<&'static str> {
    match kind {
        MaskKind::Full => Some("asuser_mask_full"),
        MaskKind::Partial => Some("asuser_mask_partial"),
        MaskKind::Email => Some("asuser_mask_email"),
        MaskKind::Null => None,
    }
}

/// `asuser_like(pattern, text)`: 1 or 0; NULL where the second is not text.
pub(crate) const LIKE_FUNCTION: &str = "asuser_like";

/// `asuser_text_like(pattern, text)`: SQLite's LIKE with the escape `\`, but stopped by the read's budget; NULL for NULL.
pub(crate) const TEXT_LIKE_FUNCTION: &str = "asuser_text_like";

/// `asuser_value(n)`: the n-th value bound to a confined session, since a view can hold no parameter.
pub(crate) const VALUE_FUNCTION: &str = "asuser_value";

/// All of them: what an authorizer lets our own text call.
pub(crate) const OWN_FUNCTIONS: &[&str] = &[
    "asuser_mask_full",
    "asuser_mask_partial",
    "asuser_mask_email",
    LIKE_FUNCTION,
    TEXT_LIKE_FUNCTION,
    VALUE_FUNCTION,
];

/// INNOCUOUS: they may stand in a view although the schema is not trusted.
fn flags() -> FunctionFlags {
    FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS
}

/// Registers the masks and both kinds of `like`, over the budget that the connection's work has.
pub(crate) fn register(connection: &Connection, watch: &Arc<Watch>) -> Result<()> {
    for kind in [MaskKind::Full, MaskKind::Partial, MaskKind::Email] {
        if let Some(name) = mask_function(kind) {
            connection.create_scalar_function(name, 1, flags(), move |context| Ok(masked(kind, context.get_raw(0))))?;
        }
    }
    connection.create_scalar_function(LIKE_FUNCTION, 2, flags(), |context| like(context))?;
    let watch = Arc::clone(watch);
    let meter = Mutex::new(Meter::new(move || watch.is_spent()));
    connection.create_scalar_function(TEXT_LIKE_FUNCTION, 2, flags(), move |context| {
        text_like(context, &mut unpoisoned(&meter))
    })
}

/// Registers `asuser_value` over these values; a number out of range is NULL, which no filter leaf matches.
pub(crate) fn register_values(connection: &Connection, values: Vec<Value>) -> Result<()> {
    connection.create_scalar_function(VALUE_FUNCTION, 1, flags(), move |context| {
        let at: i64 = context.get(0)?;
        let place = usize::try_from(at).ok().and_then(|at| at.checked_sub(1));
        Ok(place.and_then(|at| values.get(at)).cloned().unwrap_or(Value::Null))
    })
}

/// The masked form of a cell: NULL where it holds no text.
fn masked(kind: MaskKind, cell: ValueRef<'_>) -> Option<String> {
    match cell {
        ValueRef::Text(bytes) => kind.apply(&String::from_utf8_lossy(bytes)),
        _ => None,
    }
}

fn like(context: &Context<'_>) -> Result<Option<bool>> {
    let ValueRef::Text(text) = context.get_raw(1) else { return Ok(None) };
    // The pattern is constant for the statement: SQLite keeps the parsed one beside the argument.
    let pattern: Arc<Pattern> = context.get_or_create_aux(0, |value| match value {
        ValueRef::Text(bytes) => Ok(Pattern::decode(bytes)),
        _ => Err("the pattern is no text"),
    })?;
    Ok(Some(pattern.matches(text)))
}

fn text_like(context: &Context<'_>, meter: &mut Meter<impl FnMut() -> bool>) -> Result<Option<bool>> {
    let ValueRef::Text(text) = context.get_raw(1) else { return Ok(None) };
    let pieces: Arc<LikePieces> = context.get_or_create_aux(0, |value| match value {
        ValueRef::Text(bytes) => Ok(LikePieces::parse(bytes)),
        _ => Err("the pattern is no text"),
    })?;
    let interrupted = || rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_INTERRUPT), None);
    pieces.matches(text, meter).map(Some).map_err(|Stopped| interrupted())
}

/// A `like` pattern: literal pieces with a wildcard between each two.
#[derive(Debug, PartialEq, Eq)]
struct Pattern(Vec<Vec<u8>>);

/// A pattern on its way through a bound parameter.
pub(crate) struct BoundPattern(String);

impl BoundPattern {
    /// `*` for a wildcard; a backslash before a literal `*` or backslash.
    pub(crate) fn encode(pattern: &LikePattern) -> Self {
        let mut text = String::new();
        for part in &pattern.0 {
            match part {
                PatternPart::Any => text.push('*'),
                PatternPart::Text(literal) => {
                    for character in literal.chars() {
                        if matches!(character, '*' | '\\') {
                            text.push('\\');
                        }
                        text.push(character);
                    }
                }
            }
        }
        Self(text)
    }
    /// As a value to bind.
    pub(crate) fn into_value(self) -> Value {
        Value::Text(self.0)
    }
}

impl Pattern {
    fn decode(encoded: &[u8]) -> Self {
        let mut pieces = vec![Vec::new()];
        let mut bytes = encoded.iter().copied();
        while let Some(byte) = bytes.next() {
            let literal = match byte {
                b'*' => {
                    pieces.push(Vec::new());
                    continue;
                }
                b'\\' => bytes.next().unwrap_or(b'\\'),
                other => other,
            };
            if let Some(piece) = pieces.last_mut() {
                piece.push(literal);
            }
        }
        Self(pieces)
    }

    /// Bytes compare as code points do: in valid UTF-8 a piece can only be found at a character's border.
    fn matches(&self, text: &[u8]) -> bool {
        let [first, rest @ ..] = self.0.as_slice() else { return false };
        let Some((last, middle)) = rest.split_last() else { return text == first.as_slice() };
        let Some(text) = text.strip_prefix(first.as_slice()) else { return false };
        let Some(mut text) = text.strip_suffix(last.as_slice()) else { return false };
        for piece in middle {
            match find(text, piece).and_then(|at| text.get(at + piece.len()..)) {
                Some(after) => text = after,
                None => return false,
            }
        }
        true
    }
}

/// Where the piece first stands.
fn find(text: &[u8], piece: &[u8]) -> Option<usize> {
    if piece.is_empty() {
        return Some(0);
    }
    text.windows(piece.len()).position(|window| window == piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(parts: &[PatternPart]) -> Pattern {
        Pattern::decode(BoundPattern::encode(&LikePattern(parts.to_vec())).0.as_bytes())
    }
    fn text(literal: &str) -> PatternPart {
        PatternPart::Text(literal.to_owned())
    }

    #[test]
    fn like_is_exact() {
        use PatternPart::Any;
        let cases: &[(&[PatternPart], &str, bool)] = &[
            (&[], "", true),
            (&[], "a", false),
            (&[Any], "", true),
            (&[Any], "a\0b", true),
            (&[text("a")], "A", false),
            (&[text("a"), Any, text("b")], "a\0ü*b", true),
            (&[text("a"), Any, text("a")], "a", false),
            (&[text("*")], "*", true),
            (&[text("*")], "x", false),
            (&[text("\\*")], "\\*", true),
            (&[text("\\")], "\\", true),
            (&[text("a\\"), Any], "a\\b", true),
            (&[Any, text("ab"), Any, text("ab"), Any], "xabx", false),
            (&[Any, text("ab"), Any, text("ab"), Any], "xabab", true),
            (&[Any, Any, text("ü")], "grü", true),
        ];
        for (parts, value, expected) in cases {
            assert_eq!(pattern(parts).matches(value.as_bytes()), *expected, "{parts:?} {value:?}");
        }
    }
}
