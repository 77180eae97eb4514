//! A `search_path` on which nobody can have put anything for this role to find. In: the names that it asks for, and what the server
//! says of them. Out: a ready value. Leaves out schemas that are not there, that it may not use, or that it can write to.

use serde::Deserialize;

use crate::catalog::kinds::quoted;

/// What the server says of a schema.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Schema {
    pub(super) name: String,
    /// The role has USAGE.
    pub(super) usable: bool,
    /// The role, or one that it is a member of, has CREATE.
    pub(super) writable: bool,
}

/// A path and what was left out of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) value: String,
    pub(super) writable: Vec<String>,
}

/// The path of these names. pg_catalog stands first and pg_temp last, so that a temporary object hides nothing.
pub(super) fn search_path(names: &[String], schemas: &[Schema]) -> Path {
    let mut kept: Vec<&str> = Vec::new();
    let mut writable = Vec::new();
    for name in names {
        let Some(schema) = schemas.iter().find(|schema| schema.name == *name) else { continue };
        if schema.writable {
            writable.push(name.clone());
        } else if schema.usable && !name.starts_with("pg_") && !kept.contains(&name.as_str()) {
            kept.push(name);
        }
    }
    let mut value = "pg_catalog".to_owned();
    for name in kept {
        value.push_str(", ");
        value.push_str(&quoted(name));
    }
    value.push_str(", pg_temp");
    Path { value, writable }
}

/// The names in a value of `search_path`, as the server splits it (`SplitIdentifierString`): apart by commas, quoted ones as they
/// are, others in lower case. `None` where it is no such list.
pub(super) fn names(value: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut rest = value.trim();
    if rest.is_empty() {
        return Some(names);
    }
    loop {
        let (name, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let end = rest.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(rest.len());
                let (name, after) = rest.split_at_checked(end)?;
                (name.to_ascii_lowercase(), after)
            }
        };
        if name.is_empty() {
            return None;
        }
        names.push(name);
        let after = after.trim_start();
        if after.is_empty() {
            return Some(names);
        }
        rest = after.strip_prefix(',')?.trim_start();
    }
}

/// A quoted name without its first quote, and what follows it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(name: &str, usable: bool, writable: bool) -> Schema {
        Schema { name: name.to_owned(), usable, writable }
    }

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_value_splits_as_the_server_splits_it() {
        let cases: [(&str, Option<&[&str]>); 12] = [
            ("", Some(&[])),
            ("public", Some(&["public"])),
            ("\"$user\", public", Some(&["$user", "public"])),
            ("  A ,b", Some(&["a", "b"])),
            ("\"A b\",\"say \"\"hi\"\"\"", Some(&["A b", "say \"hi\""])),
            ("\"a,b\"", Some(&["a,b"])),
            ("Ünder", Some(&["Ünder"])),
            ("a,", None),
            (",a", None),
            ("a b", None),
            ("\"a", None),
            ("\"\"", None),
        ];
        for (value, expected) in cases {
            assert_eq!(names(value), expected.map(strings), "{value}");
        }
    }

    #[test]
    fn a_path_holds_only_what_the_role_can_use_and_cannot_write_to() {
        let schemas = [
            schema("public", true, false),
            schema("Odd \"one\"", true, false),
            schema("mine", true, true),
            schema("closed", false, false),
            schema("pg_catalog", true, false),
        ];
        let asked = ["mine", "Odd \"one\"", "pg_catalog", "gone", "closed", "public", "public"];
        let path = search_path(&strings(&asked), &schemas);
        assert_eq!(path.value, "pg_catalog, \"Odd \"\"one\"\"\", \"public\", pg_temp");
        assert_eq!(path.writable, ["mine"]);
        assert_eq!(search_path(&[], &schemas).value, "pg_catalog, pg_temp");
    }
}
