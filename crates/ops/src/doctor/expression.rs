//! Reads a policy's condition as `pg_get_expr` prints it, where PostgreSQL has no catalogue of what is inside: calls, sub-selects, and which
//! column is compared by equality. Sees too little rather than too much: what it does not recognise is no finding.

use std::ops::Range;

const WHO: [&str; 2] = ["CURRENT_USER", "SESSION_USER"];

/// The text with everything inside of single quotes (and of double ones, if `names`) blanked; positions stay.
fn code(text: &str, names: bool) -> Vec<u8> {
    let mut open = None;
    text.bytes()
        .map(|byte| match (open, byte) {
            (None, b'\'') => {
                open = Some(b'\'');
                byte
            }
            (None, b'"') if names => {
                open = Some(b'"');
                byte
            }
            (None, _) => byte,
            (Some(quote), _) if byte == quote => {
                open = None;
                byte
            }
            (Some(_), _) => b' ',
        })
        .collect()
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'"' | b'$') || byte >= 0x80
}

/// Where `needle` stands in `code` as a word of its own.
fn words(code: &[u8], needle: &str) -> Vec<usize> {
    let needle = needle.as_bytes();
    let ends = |at: Option<&u8>| at.is_none_or(|byte| !is_word(*byte));
    (0..code.len())
        .filter(|&at| code.get(at..).is_some_and(|rest| rest.starts_with(needle)))
        .filter(|&at| at.checked_sub(1).is_none_or(|before| ends(code.get(before))))
        .filter(|&at| needle.last().is_some_and(|last| !is_word(*last)) || ends(code.get(at + needle.len())))
        .collect()
}

/// Whether the position lies in a sub-select, which is planned and run once.
fn in_select(code: &[u8], at: usize) -> bool {
    let mut open: Vec<bool> = Vec::new();
    for (place, byte) in code.iter().enumerate().take(at) {
        match byte {
            b'(' => {
                let rest = code.get(place + 1..).unwrap_or_default();
                open.push(rest.trim_ascii_start().starts_with(b"SELECT "));
            }
            b')' => {
                open.pop();
            }
            _ => {}
        }
    }
    open.contains(&true)
}

/// A call from its name to its closing parenthesis.
fn call(code: &[u8], at: usize, name: &str) -> Option<Range<usize>> {
    let mut depth = 0_usize;
    for (place, byte) in code.iter().enumerate().skip(at + name.len()) {
        match byte {
            b'(' => depth += 1,
            b')' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at..place + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Whether the function is called.
pub(super) fn calls(text: &str, function: &str) -> bool {
    !words(&code(text, true), &format!("{function}(")).is_empty()
}

/// The condition with each call of these functions in a sub-select, if one was not.
pub(super) fn wrapped(text: &str, functions: &[&str]) -> Option<String> {
    let code = code(text, true);
    let mut ranges: Vec<Range<usize>> = functions
        .iter()
        .flat_map(|name| words(&code, &format!("{name}(")).into_iter().map(move |at| (at, *name)))
        .filter(|(at, _)| !in_select(&code, *at))
        .filter_map(|(at, name)| call(&code, at, name))
        .collect();
    ranges.sort_by_key(|range| std::cmp::Reverse(range.start));
    if ranges.is_empty() {
        return None;
    }
    let mut rewritten = text.to_owned();
    for range in ranges {
        let inner = rewritten.get(range.clone())?.to_owned();
        rewritten.replace_range(range, &format!("( SELECT {inner})"));
    }
    Some(rewritten)
}

/// Whether the column (spelt as `quote_ident` does) is compared by `=`, so that an index on it could serve.
pub(super) fn compares(text: &str, column: &str) -> bool {
    let code = code(text, false);
    let sides = [column.to_owned(), format!("({column})::text")];
    sides.iter().any(|side| {
        words(&code, side).into_iter().any(|at| {
            let after = code.get(at + side.len()..).unwrap_or_default();
            let before = code.get(..at).unwrap_or_default();
            after.starts_with(b" = ") || before.ends_with(b" = ")
        })
    })
}

/// The condition with `COLLATE "default"` on each name of the user, if one that is compared with this text column has none: as a `name` it
/// compares in collation C, for which an index in the database's own collation is of no use.
///
/// The inner `None`: it has that fault, in a form that is not rewritten here.
pub(super) fn with_collation(text: &str, column: &str) -> Option<Option<String>> {
    let sides = [column.to_owned(), format!("({column})::text")];
    let faulty = WHO.iter().any(|who| {
        let alias = who.to_lowercase();
        let forms = [
            who.to_string(),
            format!("({who})::text"),
            format!("( SELECT {who} AS \"{alias}\")"),
            format!("( SELECT ({who})::text AS \"{alias}\")"),
        ];
        let code = code(text, false);
        forms.iter().any(|form| {
            sides.iter().any(|side| {
                [format!("{side} = {form}"), format!("{form} = {side}")]
                    .iter()
                    .any(|pair| !words(&code, pair).is_empty())
            })
        })
    });
    faulty.then(|| rewrite_collation(text))
}

fn rewrite_collation(text: &str) -> Option<String> {
    let mut rewritten = text.to_owned();
    for (at, who) in WHO.iter().enumerate() {
        // Stands for the finished form while the others are looked for; no name or text of a catalogue holds it.
        let mark = format!("\u{1}{at}");
        let alias = who.to_lowercase();
        for form in [
            format!("((({who})::text)::text COLLATE \"default\")"),
            format!("(({who})::text COLLATE \"default\")"),
            format!("( SELECT ({who})::text AS \"{alias}\")"),
            format!("( SELECT {who} AS \"{alias}\")"),
            format!("({who})::text"),
        ] {
            rewritten = rewritten.replace(&form, &mark);
        }
        rewritten = rewritten
            .replace(&format!(" = {who}"), &format!(" = {mark}"))
            .replace(&format!("{who} = "), &format!("{mark} = "));
        if rewritten.contains(who) {
            return None;
        }
    }
    for (at, who) in WHO.iter().enumerate() {
        rewritten = rewritten.replace(&format!("\u{1}{at}"), &format!("(({who})::text COLLATE \"default\")"));
    }
    Some(rewritten)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_outside_of_quotes_only() {
        assert!(calls("(a = current_setting('x'::text, true))", "current_setting"));
        assert!(calls("(a = asuser.claims())", "asuser.claims"));
        for text in [
            "(a = 'current_setting('::text)",
            "(\"current_setting(\" = a)",
            "(a = my_current_setting('x'))",
            "(a = x.current_setting('x'))",
            "",
        ] {
            assert!(!calls(text, "current_setting"), "{text}");
        }
    }

    #[test]
    fn only_what_is_not_in_a_sub_select_is_wrapped() {
        let names = ["current_setting", "asuser.claims"];
        let wrap = |text| wrapped(text, &names);
        assert_eq!(
            wrap("(a = current_setting('x)'::text, true))").as_deref(),
            Some("(a = ( SELECT current_setting('x)'::text, true)))")
        );
        assert_eq!(
            wrap("((asuser.claims() ->> 'a'::text) = b) AND (c = (current_setting('y'::text))::integer)").as_deref(),
            Some(
                "((( SELECT asuser.claims()) ->> 'a'::text) = b) AND (c = (( SELECT current_setting('y'::text)))::integer)"
            )
        );
        assert_eq!(wrap("(a = ( SELECT current_setting('x'::text, true) AS current_setting))"), None);
        assert_eq!(wrap("(( SELECT ((current_setting('x'::text))::json ->> 'sub'::text)) = a)"), None);
        assert_eq!(wrap("(a = 'current_setting('::text)"), None);
        assert_eq!(
            wrap("((x IN ( SELECT 1)) AND (a = current_setting('x'::text)))").as_deref(),
            Some("((x IN ( SELECT 1)) AND (a = ( SELECT current_setting('x'::text))))")
        );
        assert_eq!(wrap("(a = current_setting('x'::text"), None);
    }

    #[test]
    fn a_column_compared_by_equality_is_seen() {
        for (text, column) in [
            ("(owner = CURRENT_USER)", "owner"),
            ("((vc)::text = 'x'::text)", "vc"),
            ("((( SELECT 1)) = owner)", "owner"),
            ("(\"Or Der\" = SESSION_USER)", "\"Or Der\""),
        ] {
            assert!(compares(text, column), "{text}");
        }
        for (text, column) in [
            ("(owner <> 'x'::text)", "owner"),
            ("(id = ANY (ARRAY[1]))", "own"),
            ("(the_owner = 'x'::text)", "owner"),
            ("(other.owner = 'x'::text)", "owner"),
            ("(a = 'owner = '::text)", "owner"),
            ("(lower(owner) = 'x'::text)", "owner"),
        ] {
            assert!(!compares(text, column), "{text}");
        }
    }

    #[test]
    fn the_users_name_gets_its_collation() {
        let good = "(owner = ((CURRENT_USER)::text COLLATE \"default\"))";
        for faulty in [
            "(owner = CURRENT_USER)",
            "(owner = (CURRENT_USER)::text)",
            "(owner = ( SELECT CURRENT_USER AS \"current_user\"))",
            "(owner = ( SELECT (CURRENT_USER)::text AS \"current_user\"))",
        ] {
            assert_eq!(with_collation(faulty, "owner"), Some(Some(good.to_owned())), "{faulty}");
        }
        assert_eq!(
            with_collation("((vc)::text = SESSION_USER)", "vc"),
            Some(Some("((vc)::text = ((SESSION_USER)::text COLLATE \"default\"))".to_owned()))
        );
        assert_eq!(with_collation(good, "owner"), None);
        assert_eq!(with_collation("(lower(owner) = CURRENT_USER)", "owner"), None);
        assert_eq!(with_collation("((owner = CURRENT_USER) OR (f(CURRENT_USER) > 1))", "owner"), Some(None));
    }
}
