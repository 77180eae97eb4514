//! How a statement is refused: a kind that a reason can be made of, and words that say what to write instead. The words quote the
//! statement itself and names that the caller may see, nothing else.

use std::fmt;

/// A place in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct At {
    /// From 1; 0 where it is not known.
    pub line: u32,
    /// In characters, from 1; 0 where it is not known.
    pub column: u32,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return Ok(());
        }
        write!(f, " (line {}, column {})", self.line, self.column)
    }
}

/// Why a statement was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// It is no SQL that we can read.
    #[error("{message}{at}")]
    Syntax {
        /// What is wrong.
        message: String,
        /// Where.
        at: At,
    },
    /// It is SQL, and not allowed here.
    #[error("{message}{at}")]
    NotAllowed {
        /// What is not allowed, and what to do instead.
        message: String,
        /// Where.
        at: At,
    },
    /// It names a relation that is not there for this caller.
    #[error("{message}{at}")]
    UnknownRelation {
        /// Which, and what it may have meant.
        message: String,
        /// Where.
        at: At,
    },
    /// It names a column that is not there for this caller, or that could be several.
    #[error("{message}{at}")]
    UnknownColumn {
        /// Which, and what it may have meant.
        message: String,
        /// Where.
        at: At,
    },
    /// It calls a function that is not listed.
    #[error("{message}{at}")]
    UnknownFunction {
        /// Which, and what it may have meant.
        message: String,
        /// Where.
        at: At,
    },
    /// It is too long.
    #[error("the statement is too long: at most {bytes_max} bytes are read")]
    TooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// It is too deep, or holds too much.
    #[error("the statement is too complex: {0}")]
    TooComplex(&'static str),
    /// A fault of ours: the tree does not hold what it should.
    #[error("the statement could not be printed")]
    Internal(&'static str),
}

impl SqlError {
    /// For the one who looked a relation up and found none: `table` is as the statement has it, `visible` are those to suggest.
    #[must_use]
    pub fn unknown_relation<'a>(name: &crate::RelationName, visible: impl Iterator<Item = &'a str>) -> Self {
        let hint = suggestion(&name.name, visible);
        let written =
            name.schema.as_ref().map_or_else(|| name.name.clone(), |schema| format!("{schema}.{}", name.name));
        Self::UnknownRelation { message: format!("table `{}` does not exist{hint}", cut(&written)), at: name.at }
    }
    /// Where in the text, if it is known.
    #[must_use]
    pub fn at(&self) -> Option<At> {
        match self {
            Self::Syntax { at, .. }
            | Self::NotAllowed { at, .. }
            | Self::UnknownRelation { at, .. }
            | Self::UnknownColumn { at, .. }
            | Self::UnknownFunction { at, .. } => (at.line > 0).then_some(*at),
            Self::TooLong { .. } | Self::TooComplex(_) | Self::Internal(_) => None,
        }
    }
    pub(crate) fn syntax(message: impl Into<String>, at: At) -> Self {
        Self::Syntax { message: message.into(), at }
    }
    pub(crate) fn not_allowed(message: impl Into<String>, at: At) -> Self {
        Self::NotAllowed { message: message.into(), at }
    }
    pub(crate) fn column(message: impl Into<String>, at: At) -> Self {
        Self::UnknownColumn { message: message.into(), at }
    }
}

/// `; did you mean …?`, or nothing.
pub(crate) fn suggestion<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let lower = name.to_lowercase();
    let scored = known.take(4_000).filter(|known| known.len() <= 200).map(|known| {
        let other = known.to_lowercase();
        (strsim::damerau_levenshtein(&cut(&lower), &other), known)
    });
    let nearest = scored.min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((distance, known)) if distance <= 1.max(lower.chars().count() / 3) => format!("; did you mean `{known}`?"),
        _ => String::new(),
    }
}

/// At most 100 characters of what the caller wrote, without control characters.
pub(crate) fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(100).map(|char| if char.is_control() { ' ' } else { char }).collect();
    if short.len() < text.len() && text.chars().nth(100).is_some() {
        short.push('…');
    }
    short
}
