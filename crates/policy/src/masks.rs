//! `policies/<service>/masks.toml`: which columns are masked, and how. Whether, for whom, is a matter of the policies.
//!
//! ```toml
//! [customers]
//! email = "email"
//! phone = "partial"
//! ```

use std::collections::BTreeMap;

use asuser_core::{Catalog, ColumnIx, MaskKind, Table, TableName};
use toml::Spanned;

use crate::error::{LoadError, did_you_mean};
use crate::sources::PolicyFile;

type Written = BTreeMap<Spanned<String>, BTreeMap<Spanned<String>, Spanned<String>>>;
pub(crate) type Masks = BTreeMap<TableName, BTreeMap<ColumnIx, MaskKind>>;

/// Reads the masks of a service.
pub(crate) fn masks(file: &PolicyFile, catalog: &Catalog, errors: &mut Vec<LoadError>) -> Masks {
    let written: Written = match toml::from_str(&file.text) {
        Ok(written) => written,
        Err(error) => {
            let line = error.span().map_or(0, |span| line_at(&file.text, span.start));
            errors.push(
                LoadError::new(&file.name, line, format!("not a table of masks: {}", error.message()))
                    .suggest("write [table] and below it column = \"kind\", each column once"),
            );
            return Masks::new();
        }
    };
    let mut masks = Masks::new();
    for (name, columns) in &written {
        let at = |span: std::ops::Range<usize>| line_at(&file.text, span.start);
        let Some(table) = catalog.table(name.get_ref()) else {
            let names = catalog.tables.keys().map(TableName::as_str);
            let message = format!("`{}` has no table `{}`", catalog.service, name.get_ref());
            let error = LoadError::new(&file.name, at(name.span()), message);
            errors.push(error.suggest_if(did_you_mean(name.get_ref(), names)));
            continue;
        };
        for (column, kind) in columns {
            match (column_of(table, column.get_ref()), kind.get_ref().parse::<MaskKind>()) {
                (Ok(ix), Ok(kind)) => {
                    masks.entry(table.name.clone()).or_default().insert(ix, kind);
                }
                (Err((message, suggestion)), _) => {
                    errors.push(LoadError::new(&file.name, at(column.span()), message).suggest_if(suggestion));
                }
                (_, Err(message)) => {
                    let suggestion = did_you_mean(kind.get_ref(), ["full", "partial", "email", "null"]);
                    errors.push(LoadError::new(&file.name, at(kind.span()), message).suggest_if(suggestion));
                }
            }
        }
    }
    masks
}

fn column_of(table: &Table, name: &str) -> Result<ColumnIx, (String, Option<String>)> {
    table.column_ix(name).ok_or_else(|| {
        let names = table.columns.iter().map(|column| column.name.as_str());
        (format!("the table `{}` has no column `{name}`", table.name), did_you_mean(name, names))
    })
}

fn line_at(text: &str, offset: usize) -> u32 {
    let breaks = text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count();
    u32::try_from(breaks).unwrap_or(u32::MAX - 1) + 1
}
