//! Cutting text to size, with a mark that says how much is gone.

/// Cuts `text` to at most `max` bytes (at least 64), on a character boundary, and says how long it was.
pub(crate) fn clip(text: &mut String, max: usize) {
    if text.len() <= max {
        return;
    }
    let mark = format!("…[{} bytes]", text.len());
    let mut end = max.saturating_sub(mark.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.truncate(end);
    text.push_str(&mark);
}

/// Cuts each text to `each_max` bytes and the list to `max` bytes in all; a cut list ends with how many more there were.
pub(crate) fn clip_list(list: &mut Vec<String>, max: usize, each_max: usize) {
    let mut used = 0_usize;
    let mut kept = 0_usize;
    for text in list.iter_mut() {
        clip(text, each_max);
        used = used.saturating_add(text.len()).saturating_add(4);
        if used > max {
            break;
        }
        kept = kept.saturating_add(1);
    }
    if kept < list.len() {
        let more = list.len().saturating_sub(kept);
        list.truncate(kept);
        list.push(format!("…[{more} more]"));
    }
}

#[cfg(test)]
mod tests {
    use super::{clip, clip_list};

    #[test]
    fn long_text_is_cut_on_a_character_and_marked() {
        let mut text = "ü".repeat(1_000);
        clip(&mut text, 65);
        assert!(text.len() <= 65);
        assert!(text.ends_with("…[2000 bytes]"), "{text}");
        let mut short = "a".repeat(65);
        clip(&mut short, 65);
        assert_eq!(short.len(), 65);
    }

    #[test]
    fn a_long_list_says_how_many_more() {
        let mut list: Vec<String> = (0..100).map(|i| format!("column{i:03}")).collect();
        clip_list(&mut list, 130, 64);
        assert_eq!(list.len(), 11);
        assert_eq!(list.last().map(String::as_str), Some("…[90 more]"));
    }
}
