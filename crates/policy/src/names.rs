//! Names of the catalogue as Cedar spells them.
//!
//! A name that is a Cedar identifier stays as it is: table `orders` of service `db` is `db::orders`. Any other name, and one
//! that Cedar or the schema reserves (`in`, `String`, `User`), becomes `quoted_` and the name, in which each character but an
//! ASCII letter or digit is written as `_` + its code point in lower-case hexadecimal + `_`: `order items` is
//! `quoted_order_20_items`. The rule is injective among quoted names; one that meets a name spelt like it is a load error.

use asuser_core::{PrincipalKey, ServiceName, TableName};

/// Cedar's keywords and built-in types, and the types of our own schema.
const RESERVED: &[&str] = &[
    "if",
    "then",
    "else",
    "in",
    "is",
    "like",
    "has",
    "true",
    "false",
    "__cedar",
    "Bool",
    "Boolean",
    "String",
    "Long",
    "Set",
    "Record",
    "Entity",
    "Extension",
    "datetime",
    "decimal",
    "duration",
    "ipaddr",
    "Action",
    "Agent",
    "Column",
    "Group",
    "Table",
    "User",
    "permit",
    "forbid",
    "when",
    "unless",
    "principal",
    "action",
    "resource",
    "context",
];

/// The Cedar identifier for a service or table.
pub(crate) fn identifier(name: &str) -> String {
    let mut characters = name.chars();
    let plain = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !RESERVED.contains(&name);
    if plain {
        return name.to_owned();
    }
    name.chars().fold(String::from("quoted_"), |mut text, c| {
        if c.is_ascii_alphanumeric() {
            text.push(c);
        } else {
            text.push_str(&format!("_{:x}_", u32::from(c)));
        }
        text
    })
}

/// The entity type of a table's rows, as policies write it.
pub(crate) fn row_type(service: &ServiceName, table: &TableName) -> String {
    format!("{}::{}", identifier(service.as_str()), identifier(table.as_str()))
}

/// The id of a `Table` entity.
pub(crate) fn table_id(service: &ServiceName, table: &TableName) -> String {
    format!("{service}.{table}")
}

/// The id of a `Column` entity.
pub(crate) fn column_id(service: &ServiceName, table: &TableName, column: &str) -> String {
    format!("{service}.{table}.{column}")
}

/// The id of a `User` entity: the issuer with `%` and `|` percent-encoded, `|`, and the subject as it is. The first `|`
/// divides, so no two principals share an id.
pub(crate) fn user_id(key: &PrincipalKey) -> String {
    let issuer = key.issuer.as_str().replace('%', "%25").replace('|', "%7C");
    format!("{issuer}|{}", key.subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_where_cedar_allows_it_and_injective_elsewhere() {
        let cases = [
            ("orders", "orders"),
            ("_x1", "_x1"),
            ("order items", "quoted_order_20_items"),
            ("in", "quoted_in"),
            ("User", "quoted_User"),
            ("order_items-2", "quoted_order_5f_items_2d_2"),
            ("größe", "quoted_gr_f6__df_e"),
            ("1st", "quoted_1st"),
            ("", "quoted_"),
        ];
        for (name, expected) in cases {
            assert_eq!(identifier(name), expected);
        }
    }

    #[test]
    fn two_principals_never_share_an_id() {
        let key = |issuer: &str, subject: &str| PrincipalKey { issuer: issuer.into(), subject: subject.into() };
        assert_eq!(user_id(&key("https://idp", "u|1")), "https://idp|u|1");
        assert_ne!(user_id(&key("a|b", "c")), user_id(&key("a", "b|c")));
        assert_ne!(user_id(&key("a%7Cb", "c")), user_id(&key("a|b", "c")));
    }
}
