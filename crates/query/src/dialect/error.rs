//! What is wrong with a request in the dialect, and how the caller reads it.

use std::fmt;

use asuser_core::{Problem, Reason};
use serde_json::json;

/// Why the parameters of a request are refused. No variant holds a quoted text, a number or a key that the caller sent, only names,
/// words, signs and positions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialectError {
    /// A credential in the URL.
    #[error("`{parameter}` is not accepted in a URL, which is logged everywhere: send it in the header `{header}`")]
    CredentialInUrl {
        /// The parameter.
        parameter: &'static str,
        /// Where it belongs.
        header: &'static str,
    },
    /// A part of the dialect that is not built.
    #[error("{what} is not served yet{}", place(.position))]
    NotServed {
        /// What was asked for.
        what: String,
        /// The parameter that asks for it.
        parameter: String,
        /// Where in the parameter.
        position: Option<u32>,
    },
    /// A parameter that the dialect does not have.
    #[error("there is no parameter `{name}`{}", did_you_mean(.suggestion))]
    UnknownParameter {
        /// As written, cut to 64 characters.
        name: String,
        /// The nearest that exists.
        suggestion: Option<&'static str>,
    },
    /// A parameter that came twice, perhaps once by its other name.
    #[error("`{name}` came twice{}: send it once", also_as(.name, .again_as))]
    RepeatedParameter {
        /// Its first name in the dialect.
        name: &'static str,
        /// How the second was written.
        again_as: &'static str,
    },
    /// A value of another form.
    #[error("`{parameter}` must be {expected}")]
    BadParameter {
        /// The parameter.
        parameter: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// Parameters that do not go together.
    #[error("`{parameter}` has no meaning for one record: leave it out, or ask for a list")]
    NotForOneRecord {
        /// The parameter.
        parameter: &'static str,
    },
    /// A filter or list that does not parse.
    #[error(transparent)]
    Syntax(#[from] Syntax),
    /// A `:name` that `params` does not hold.
    #[error("`filter` names `:{name}` at character {position}, but `params` has no such name")]
    UnboundName {
        /// The name, cut to 64 characters.
        name: String,
        /// Where it stands.
        position: u32,
    },
    /// `null` where only `=` and `!=` may have it.
    #[error("`null` at character {position} of `filter` can only follow `=` or `!=`: use IS NULL or IS NOT NULL")]
    NullValue {
        /// Where it stands.
        position: u32,
    },
    /// More than the limit.
    #[error("`{parameter}` is too large{}: at most {limit}", place(.position))]
    TooComplex {
        /// The parameter.
        parameter: &'static str,
        /// What it may hold.
        limit: &'static str,
        /// Where the limit was passed.
        position: Option<u32>,
    },
}

/// A text that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{parameter}` does not parse at character {position}: found {found}, expected {}", list(.expected))]
pub struct Syntax {
    /// The parameter.
    pub parameter: &'static str,
    /// 1-based, in characters.
    pub position: u32,
    /// What stands there.
    pub found: Found,
    /// What could stand there.
    pub expected: &'static [&'static str],
}

/// What stands where something else was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A word, name or sign, cut to 64 characters.
    Word(String),
    /// Something whose text is not repeated.
    Thing(&'static str),
}

impl Found {
    /// A word as it stands, cut short.
    #[must_use]
    pub fn word(text: &str) -> Self {
        Self::Word(shortened(text))
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Thing(thing) => f.write_str(thing),
        }
    }
}

impl From<DialectError> for Problem {
    fn from(error: DialectError) -> Self {
        let message = error.to_string();
        let (reason, context) = match error {
            DialectError::CredentialInUrl { parameter, header } => {
                (Reason::MisplacedCredential, json!({"parameter": parameter, "header": header}))
            }
            DialectError::NotServed { parameter, position, what: _ } => {
                (Reason::NotServed, json!({"parameter": parameter, "position": position}))
            }
            DialectError::UnknownParameter { name, suggestion } => {
                (Reason::BadParameter, json!({"parameter": name, "suggestion": suggestion}))
            }
            DialectError::RepeatedParameter { name, .. } => (Reason::BadParameter, json!({"parameter": name})),
            DialectError::BadParameter { parameter, expected } => {
                (Reason::BadParameter, json!({"parameter": parameter, "expected": [expected]}))
            }
            DialectError::NotForOneRecord { parameter } => (Reason::BadParameter, json!({"parameter": parameter})),
            DialectError::Syntax(Syntax { parameter, position, expected, found: _ }) => {
                let reason = if parameter == "filter" { Reason::BadFilter } else { Reason::BadParameter };
                (reason, json!({"parameter": parameter, "position": position, "expected": expected}))
            }
            DialectError::UnboundName { position, .. } | DialectError::NullValue { position } => {
                (Reason::BadFilter, json!({"parameter": "filter", "position": position}))
            }
            DialectError::TooComplex { parameter, position, limit: _ } => {
                (Reason::TooComplex, json!({"parameter": parameter, "position": position}))
            }
        };
        Self::new(reason, message).context(context)
    }
}

/// At most 64 characters of a text, control characters replaced: it goes into a message.
pub(crate) fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(64).is_some() {
        short.push('…');
    }
    short
}

fn place(position: &Option<u32>) -> String {
    position.map_or_else(String::new, |position| format!(" (at character {position})"))
}

fn did_you_mean(suggestion: &Option<&'static str>) -> String {
    suggestion.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

fn also_as(name: &str, again_as: &str) -> String {
    if name == again_as { String::new() } else { format!(", also as `{again_as}`") }
}

fn list(expected: &[&str]) -> String {
    match expected {
        [] => "something else".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
