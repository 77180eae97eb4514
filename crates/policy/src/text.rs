//! A policy file as pieces of one policy each, so that every message can name file and line.
//!
//! Cedar ends each policy with `;`, which else stands only in strings and comments. Each piece is then parsed by Cedar itself,
//! so a mistake here is a syntax error there, never another policy.

const FILE_BYTES_MAX: usize = 1024 * 1024;
const POLICY_BYTES_MAX: usize = 32 * 1024;
/// A policy may have this many levels: brackets inside each other, and operators, each of which can be a level of the tree.
const LEVELS_MAX: usize = 400;
/// Cedar's parser and type checker recurse without a look at the stack. Measured without optimisation: 52 KiB for a bracket,
/// 35 KiB for an operator, so a thread's usual 2 MiB ends at some 40 of them.
const STACK_BYTES_A_LEVEL: usize = 64 * 1024;
const STACK_BYTES_ELSE: usize = 512 * 1024;

/// The text of one policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    pub(crate) text: &'a str,
    /// The line of the file on which `text` begins, 1-based.
    first_line: u32,
    /// Where the policy's first word stands in `text`.
    start: usize,
    /// How deep any recursion over the policy can go.
    pub(crate) levels: usize,
}

/// Runs what recurses over policies of so many levels, on a larger stack if this thread's is too small.
pub(crate) fn with_stack<T>(levels: usize, run: impl FnOnce() -> T) -> T {
    let bytes = STACK_BYTES_ELSE + levels.min(LEVELS_MAX) * STACK_BYTES_A_LEVEL;
    stacker::maybe_grow(bytes, bytes, run)
}

/// Why a file or policy is not looked at.
pub(crate) type TooLarge = (u32, String);

impl Piece<'_> {
    /// The line of the policy's first word.
    pub(crate) fn line(&self) -> u32 {
        self.line_at(self.start)
    }
    /// The line of a byte of `text`.
    pub(crate) fn line_at(&self, offset: usize) -> u32 {
        let before = self.text.as_bytes().iter().take(offset);
        let breaks = before.filter(|byte| **byte == b'\n').count();
        self.first_line.saturating_add(u32::try_from(breaks).unwrap_or(u32::MAX))
    }
    /// The line where the word first stands, as an identifier or a whole string; else the policy's.
    pub(crate) fn line_of(&self, word: &str) -> u32 {
        let quoted = format!("\"{}\"", word.escape_debug());
        let found =
            tokens(self.text).find(|token| token.text == word || token.text == quoted || token.text.contains(&quoted));
        self.line_at(found.map_or(self.start, |token| token.at))
    }
}

/// The policies of a file in its order.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, TooLarge> {
    if text.len() > FILE_BYTES_MAX {
        return Err((0, format!("the file is larger than {FILE_BYTES_MAX} bytes: split it")));
    }
    let mut pieces = Vec::new();
    let (mut from, mut line) = (0, 1_u32);
    let mut policy = Shape::default();
    for token in tokens(text) {
        policy.see(&token);
        if token.text == ";" {
            let end = token.at + token.text.len();
            let piece = cut(text, from, end, line, &policy)?;
            line = piece.line_at(piece.text.len());
            pieces.push(piece);
            (from, policy) = (end, Shape::default());
        }
    }
    if policy.start.is_some() {
        pieces.push(cut(text, from, text.len(), line, &policy)?);
    }
    Ok(pieces)
}

fn cut<'a>(text: &'a str, from: usize, to: usize, first_line: u32, shape: &Shape) -> Result<Piece<'a>, TooLarge> {
    let piece = text.get(from..to).unwrap_or_default();
    let start = shape.start.unwrap_or(from).saturating_sub(from);
    let piece = Piece { text: piece, first_line, start, levels: shape.operators + shape.deepest };
    let too = |what: String| Err((piece.line(), format!("the policy {what}: split it")));
    if piece.text.len() > POLICY_BYTES_MAX {
        return too(format!("is larger than {POLICY_BYTES_MAX} bytes"));
    }
    if piece.levels > LEVELS_MAX {
        return too(format!("has more than {LEVELS_MAX} operators and nested brackets"));
    }
    Ok(piece)
}

#[derive(Default)]
struct Shape {
    start: Option<usize>,
    depth: usize,
    deepest: usize,
    operators: usize,
}

impl Shape {
    fn see(&mut self, token: &Token<'_>) {
        self.start.get_or_insert(token.at);
        match token.text {
            "(" | "[" | "{" => self.depth += 1,
            ")" | "]" | "}" => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        // `a && b && c`, `a.b["c"]`, `--a`, `if a then b else if …`, and clauses, which are joined by `&&`.
        if matches!(token.text, "&" | "|" | "+" | "-" | "*" | "!" | "." | "[" | "if" | "when" | "unless") {
            self.operators += 1;
        }
        self.deepest = self.deepest.max(self.depth);
    }
}

/// A word, a string with its quotes, or one other character.
struct Token<'a> {
    text: &'a str,
    at: usize,
}

fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = text.get(at..)?;
            let first = rest.chars().next()?;
            let length = if first.is_whitespace() {
                first.len_utf8()
            } else if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else {
                let length = length_of(rest, first);
                let token = Token { text: rest.get(..length)?, at };
                at += length;
                return Some(token);
            };
            at += length;
        }
    })
}

fn length_of(rest: &str, first: char) -> usize {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    if is_word(first) {
        return rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    }
    if first != '"' {
        return first.len_utf8();
    }
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|(_, c)| {
        let closes = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        closes
    });
    end.map_or(rest.len(), |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_falls_into_policies_with_their_lines() {
        let text = "// first; not a policy\n@id(\"a;b\\\"\")\npermit(principal, action, resource);\n\n  forbid(principal,\n  action,\n  resource == Column::\"db.t.c\"); // end\n";
        let pieces = pieces(text).unwrap();
        assert_eq!(pieces.iter().map(Piece::line).collect::<Vec<_>>(), [2, 5]);
        assert_eq!(pieces[1].line_of("db.t.c"), 7);
        assert_eq!(pieces[1].line_of("action"), 6);
        assert_eq!(pieces[1].line_of("absent"), 5);
        assert_eq!(super::pieces("// nothing\n").unwrap(), []);
        assert_eq!(super::pieces("permit(").unwrap().len(), 1);
    }

    #[test]
    fn what_could_exhaust_the_stack_is_not_looked_at() {
        let nested =
            format!("permit(principal, action, resource) when {{ {}true{} }};", "(".repeat(400), ")".repeat(400));
        let long = format!("permit(principal, action, resource) when {{ true{} }};", " && true".repeat(200));
        let large =
            format!("permit(principal, action, resource) when {{ \"{}\" == \"\" }};", "x".repeat(POLICY_BYTES_MAX));
        for text in [&nested, &long, &large] {
            assert!(pieces(text).is_err());
        }
        assert!(pieces(&"/".repeat(FILE_BYTES_MAX + 1)).is_err());
        assert!(pieces("permit(principal, action, resource) when { ((true)) && true };").is_ok());
    }
}
