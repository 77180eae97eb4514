//! Looks at a printed text of PostgreSQL with a reader of its own: is there anything that the server would look up along `search_path`?

/// Words before a bracket that are no function's name.
const SYNTAX: &[&str] = &[
    "CAST",
    "EXTRACT",
    "COALESCE",
    "GREATEST",
    "LEAST",
    "ROW",
    "GROUPING",
    "EXISTS",
    "ARRAY",
    "ANY",
    "ALL",
    "OVER",
    "FILTER",
    "GROUP",
    "VALUES",
    "AS",
    "MATERIALIZED",
    "ON",
    "AND",
    "OR",
    "NOT",
    "WHERE",
    "HAVING",
    "SELECT",
    "FROM",
    "JOIN",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "LATERAL",
    "ROLLUP",
    "CUBE",
    "SETS",
    "WHEN",
    "THEN",
    "ELSE",
    "BY",
    "LIMIT",
    "INTERVAL",
    "OPERATOR",
    "BETWEEN",
    "PRECEDING",
    "FOLLOWING",
    "IS",
    "NULL",
    "FIRST",
    "DISTINCT",
    "CASE",
    "CROSS",
    "ROWS",
];

/// What is not qualified, with a little of the text around it.
pub(crate) fn unqualified(text: &str) -> Option<String> {
    let chars: Vec<char> = text.chars().collect();
    let around = |at: usize| Some(chars[at.saturating_sub(30)..(at + 30).min(chars.len())].iter().collect::<String>());
    let mut at = 0;
    let mut word = String::new();
    let mut after_as_in_cast = false;
    while at < chars.len() {
        match chars[at] {
            quote @ ('\'' | '"') => {
                let escaped = quote == '\'' && at > 0 && chars[at - 1] == 'E';
                at += 1;
                loop {
                    match chars.get(at)? {
                        '\\' if escaped => at += 2,
                        c if *c == quote && chars.get(at + 1) == Some(&quote) => at += 2,
                        c if *c == quote => break,
                        _ => at += 1,
                    }
                }
                at += 1;
                word = "\"".to_owned();
            }
            c if c.is_ascii_alphanumeric() || c == '_' || c == '$' => {
                let start = at;
                while at < chars.len() && (chars[at].is_ascii_alphanumeric() || matches!(chars[at], '_' | '$' | '.')) {
                    at += 1;
                }
                word = chars[start..at].iter().collect();
                if word.starts_with("OPERATOR") && chars.get(at) == Some(&'(') {
                    let close = chars[at..].iter().position(|c| *c == ')')?;
                    let inside: String = chars[at..at + close].iter().collect();
                    if !inside.starts_with("(pg_catalog.") {
                        return around(at);
                    }
                    at += close + 1;
                }
                let quoted = chars.get(at) == Some(&'"') || chars.get(at) == Some(&'\'');
                let known = word.starts_with("pg_catalog.")
                    || word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
                    || word.starts_with(|c: char| c.is_ascii_digit() || c == '$');
                let field = word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                    && text[..].contains(&format!("EXTRACT({word} FROM"));
                if !known && !field && !quoted {
                    return around(start);
                }
                after_as_in_cast = word == "AS";
                continue;
            }
            '(' => {
                if !word.is_empty()
                    && word != "\""
                    && !word.starts_with("pg_catalog.")
                    && !SYNTAX.contains(&word.as_str())
                    && at > 0
                    && chars[at - 1] != ' '
                    && chars[at - 1] != '('
                {
                    return around(at);
                }
                at += 1;
            }
            '-' if chars.get(at.wrapping_sub(1)) == Some(&'(') => at += 1,
            '*' if chars.get(at.wrapping_sub(1)) == Some(&'(') => at += 1,
            '=' if chars.get(at + 1) == Some(&'>') => at += 2,
            ' ' | ',' | '.' | ')' | '[' | ']' | ':' => {
                if chars[at] != ' ' {
                    word.clear();
                }
                at += 1;
            }
            _ => return around(at),
        }
    }
    let _ = after_as_in_cast;
    None
}

#[test]
fn printed_statements_are_qualified() {
    for sql in crate::postgres::CORPUS.lines() {
        let text = crate::support::postgres(sql).unwrap();
        assert_eq!(unqualified(&text), None, "{text}");
    }
    // It sees what it is for.
    for text in [
        "SELECT lower('a')",
        "SELECT (1 + 2)",
        "SELECT CAST('1' AS int4)",
        "SELECT (1 OPERATOR(public.+) 2)",
        "SELECT 1 = 2",
        "SELECT 'a' LIKE 'b'x",
    ] {
        assert!(unqualified(text).is_some(), "{text}");
    }
}
