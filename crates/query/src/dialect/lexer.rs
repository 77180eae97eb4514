//! Filter text in, tokens with positions out.

use super::cursor::Cursor;
use super::error::{Found, Syntax};

/// Longer numbers are no numbers of any database.
pub(super) const NUMBER_CHARS_MAX: usize = 100;

/// A piece of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword or a column.
    Word(String),
    /// A column in backticks or brackets.
    Name(String),
    /// A value in quotes.
    Text(String),
    /// A number, as written.
    Number(String),
    /// `:name`
    Parameter(String),
    /// A sign.
    Sign(&'static str),
    /// Nothing is left.
    End,
}

/// The longer of two signs that begin alike comes first.
const SIGNS: &[&str] = &["&&", "||", "!=", "<>", "<=", ">=", "<", ">", "=", "(", ")", ",", "."];

impl Token {
    /// Its name in an error message; a value is not repeated.
    pub(super) fn found(&self) -> Found {
        match self {
            Self::Word(text) | Self::Name(text) => Found::word(text),
            Self::Parameter(name) => Found::word(&format!(":{name}")),
            Self::Sign(sign) => Found::word(sign),
            Self::Text(_) => Found::Thing("a text"),
            Self::Number(_) => Found::Thing("a number"),
            Self::End => Found::Thing("the end"),
        }
    }
}

/// The next token, and where it begins.
pub(super) fn token(cursor: &mut Cursor) -> Result<(Token, u32), Syntax> {
    cursor.skip_space();
    let at = cursor.position();
    let Some(c) = cursor.peek() else { return Ok((Token::End, at)) };
    let token = match c {
        '\'' | '"' => Token::Text(quoted(cursor, c)?),
        '`' => Token::Name(name(cursor, '`')?),
        '[' => Token::Name(name(cursor, ']')?),
        ':' => {
            cursor.bump();
            match identifier(cursor) {
                Some(name) => Token::Parameter(name),
                None => return Err(syntax(at, Found::word(":"), &["a name after the colon"])),
            }
        }
        _ if c.is_ascii_digit() || (c == '-' && cursor.peek_at(1).is_some_and(|next| next.is_ascii_digit())) => {
            Token::Number(number(cursor)?)
        }
        _ => match identifier(cursor) {
            Some(word) => Token::Word(word),
            None => Token::Sign(sign(cursor)?),
        },
    };
    Ok((token, at))
}

fn syntax(position: u32, found: Found, expected: &'static [&'static str]) -> Syntax {
    Syntax { parameter: "filter", position, found, expected }
}

/// A letter or underscore, then letters, digits, `_` and `$`; letters of any script.
fn identifier(cursor: &mut Cursor) -> Option<String> {
    cursor.peek().filter(|&c| c == '_' || c.is_alphabetic())?;
    Some(cursor.take_while(|c| c == '_' || c == '$' || c.is_alphanumeric()))
}

fn quoted(cursor: &mut Cursor, close: char) -> Result<String, Syntax> {
    let at = cursor.position();
    cursor.bump();
    let text =
        cursor.quoted(close).ok_or_else(|| syntax(at, Found::Thing("an opening mark"), &["its closing mark"]))?;
    // No database has one common meaning for it, and some end the text there.
    if text.contains('\0') {
        return Err(syntax(at, Found::Thing("a text with a NUL character"), &["a text without one"]));
    }
    Ok(text)
}

fn name(cursor: &mut Cursor, close: char) -> Result<String, Syntax> {
    let at = cursor.position();
    let name = quoted(cursor, close)?;
    if name.is_empty() {
        return Err(syntax(at, Found::Thing("an empty name"), &["a column"]));
    }
    Ok(name)
}

/// `-`, digits, a fraction, an exponent. It must end where a number can end: `2026-01-01` is a date and needs quotes.
fn number(cursor: &mut Cursor) -> Result<String, Syntax> {
    let at = cursor.position();
    let text = cursor.take_while(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '$' | ':' | '+'));
    if !is_number(&text) {
        return Err(syntax(at, Found::Thing("an ill-formed number"), &["a number", "text in quotes"]));
    }
    Ok(text)
}

/// The form of a number in the dialect, which is JSON's with leading zeros allowed.
pub(crate) fn is_number(text: &str) -> bool {
    fn digits(text: &str) -> Option<&str> {
        let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
        (rest.len() < text.len()).then_some(rest)
    }
    fn all(text: &str) -> Option<&str> {
        let mut rest = digits(text.strip_prefix('-').unwrap_or(text))?;
        if let Some(fraction) = rest.strip_prefix('.') {
            rest = digits(fraction)?;
        }
        if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
            rest = digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))?;
        }
        Some(rest)
    }
    text.len() <= NUMBER_CHARS_MAX && all(text) == Some("")
}

fn sign(cursor: &mut Cursor) -> Result<&'static str, Syntax> {
    let found = SIGNS.iter().find(|sign| sign.chars().enumerate().all(|(ahead, c)| cursor.peek_at(ahead) == Some(c)));
    let Some(sign) = found else {
        let c = cursor.peek().map(String::from).unwrap_or_default();
        return Err(syntax(cursor.position(), Found::word(&c), &["a column", "an operator", "a value"]));
    };
    for _ in sign.chars() {
        cursor.bump();
    }
    Ok(sign)
}
