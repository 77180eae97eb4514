//! Names and texts inside of SQL that an operator will read. Values that asuser itself sends are parameters.

/// A name as an identifier, always in quotes (PostgreSQL documentation, "Identifiers and Key Words").
#[must_use]
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A schema's object.
#[must_use]
pub(crate) fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", identifier(schema), identifier(name))
}

/// A text as a constant, whatever `standard_conforming_strings` says.
#[must_use]
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') { format!(" E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// A name that a grant is for: `PUBLIC` is a word, not a name.
#[must_use]
pub(crate) fn grantee(name: Option<&str>) -> String {
    name.map_or_else(|| "PUBLIC".to_owned(), identifier)
}

/// An array constant for a `text[]` or `oid[]` parameter.
pub(crate) fn array<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> String {
    let quoted: Vec<String> = values
        .into_iter()
        .map(|value| format!("\"{}\"", value.as_ref().replace('\\', "\\\\").replace('"', "\\\"")))
        .collect();
    format!("{{{}}}", quoted.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_quotes() {
        assert_eq!(identifier("a\"; DROP"), "\"a\"\"; DROP\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("\\'"), " E'\\\\'''");
        assert_eq!(array(["a\"b", "c\\d"]), "{\"a\\\"b\",\"c\\\\d\"}");
        assert_eq!(grantee(None), "PUBLIC");
        assert_eq!(grantee(Some("PUBLIC")), "\"PUBLIC\"");
    }
}
