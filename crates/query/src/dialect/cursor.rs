//! Characters with positions: what the filter's lexer and the list parsers stand on.

/// A place in a text, counted in characters.
pub(super) struct Cursor {
    chars: Vec<char>,
    next: usize,
}

impl Cursor {
    pub(super) fn new(text: &str) -> Self {
        Self { chars: text.chars().collect(), next: 0 }
    }
    /// The position of the next character, 1-based; one past the last at the end.
    pub(super) fn position(&self) -> u32 {
        u32::try_from(self.next + 1).unwrap_or(u32::MAX)
    }
    pub(super) fn peek(&self) -> Option<char> {
        self.peek_at(0)
    }
    pub(super) fn peek_at(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.next + ahead).copied()
    }
    pub(super) fn bump(&mut self) -> Option<char> {
        let found = self.peek();
        self.next += usize::from(found.is_some());
        found
    }
    /// Steps over the character if it comes next.
    pub(super) fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.next += usize::from(found);
        found
    }
    pub(super) fn skip_space(&mut self) {
        self.take_while(char::is_whitespace);
    }
    pub(super) fn take_while(&mut self, keep: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(c) = self.peek().filter(|&c| keep(c)) {
            taken.push(c);
            self.next += 1;
        }
        taken
    }
    /// The text up to `close`, which stands for itself when doubled. The opening mark has been read. `None`: it never closes.
    pub(super) fn quoted(&mut self, close: char) -> Option<String> {
        let mut text = String::new();
        loop {
            match self.bump()? {
                c if c == close && !self.eat(close) => return Some(text),
                c => text.push(c),
            }
        }
    }
}
