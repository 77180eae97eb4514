//! What others say, made fit for a terminal.

/// A stranger's text: without control characters, which a terminal would obey, and not long.
pub(crate) fn clean(text: &str) -> String {
    const CHARS_MAX: usize = 300;
    // Bidirectional controls make a line read as another.
    let shown = |c: &char| {
        !c.is_control() && !matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(shown).take(CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn a_terminal_is_not_told_what_to_do() {
        assert_eq!(clean("denied\u{1b}[2J\r\n by\u{202e} you"), "denied[2J by you");
        assert_eq!(clean(&"x".repeat(1000)).len(), 300);
    }
}
