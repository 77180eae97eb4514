//! A schema, and the way from a text to a printed one.

use asuser_core::ColumnName;
use asuser_sql::{
    AllowedFunctions, Dialect, ParameterName, Place, Relation, Resolved, SqlError, parse, print, resolve,
};

/// Tables that the statements of the tests may read, and the columns of each that may be seen.
pub(crate) const SCHEMA: &[(&str, &[&str])] = &[
    ("orders", &["id", "owner", "region", "amount", "placed_at", "status", "tags", "detail", "customer_id"]),
    ("customers", &["id", "name", "email", "country", "since"]),
    ("items", &["order_id", "line", "product", "quantity", "price"]),
    ("days", &["day", "open"]),
    ("words", &["w", "n"]),
];

/// Writes relations with their schema, and parameters as `$n`.
pub(crate) struct Plain(pub(crate) Dialect, pub(crate) Vec<String>);

impl Place for Plain {
    type Error = SqlError;

    fn relation(&mut self, out: &mut String, relation: usize) -> Result<(), SqlError> {
        let schema = if self.0 == Dialect::Postgres { "public" } else { "main" };
        out.push_str(&format!("\"{schema}\".\"{}\"", self.1[relation]));
        Ok(())
    }

    fn parameter(&mut self, out: &mut String, parameter: usize) -> Result<(), SqlError> {
        out.push_str(&format!("${}::pg_catalog.text", parameter + 1));
        Ok(())
    }
}

/// Parses and resolves against [`SCHEMA`].
pub(crate) fn resolved(text: &str, dialect: Dialect, parameters: &[&str]) -> Result<Resolved, SqlError> {
    let parameters: Vec<ParameterName> = parameters.iter().map(|name| ParameterName::new(name).unwrap()).collect();
    let allowed = AllowedFunctions::of(["app.region_of"]).unwrap();
    let statement = parse(text, dialect, &allowed, &parameters)?;
    let mut relations = Vec::new();
    for name in statement.relations() {
        let known = SCHEMA.iter().find(|(known, _)| match dialect {
            Dialect::Postgres => name.name == *known && matches!(name.schema.as_deref(), None | Some("public")),
            Dialect::Sqlite => {
                name.name.eq_ignore_ascii_case(known)
                    && name.schema.as_ref().is_none_or(|schema| schema.eq_ignore_ascii_case("main"))
            }
        });
        let Some((_, columns)) = known else {
            return Err(SqlError::unknown_relation(name, SCHEMA.iter().map(|(name, _)| *name)));
        };
        relations.push(Relation { columns: columns.iter().map(|&name| ColumnName::from(name)).collect() });
    }
    resolve(statement, &relations)
}

/// The printed text.
pub(crate) fn printed_with(text: &str, dialect: Dialect, parameters: &[&str]) -> Result<String, SqlError> {
    let resolved = resolved(text, dialect, parameters)?;
    let names = resolved.relations().iter().map(|name| name.name.to_lowercase()).collect();
    print(&resolved, &mut Plain(dialect, names))
}

pub(crate) fn postgres(text: &str) -> Result<String, SqlError> {
    printed_with(text, Dialect::Postgres, &[])
}

pub(crate) fn sqlite(text: &str) -> Result<String, SqlError> {
    printed_with(text, Dialect::Sqlite, &[])
}

/// A file of the public test vectors, where they are beside the checkout.
pub(crate) fn vectors(name: &str) -> Option<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    match std::fs::read(folder.join(name)) {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(_) => {
            println!("skipped: the public vectors are not there ({name})");
            None
        }
    }
}
