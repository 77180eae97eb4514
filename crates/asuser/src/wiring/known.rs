//! Which columns somebody has looked at. A column that a table has got since is closed until somebody does, since no policy or mask
//! can have meant it (drift).
//!
//! Without a file, whoever starts asuser or has it reload has looked. With one (`catalog = "catalog.json"` of a service, written by
//! `asuser catalog dump`), what stands there has been looked at, and a restart changes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use asuser_core::{Catalog, ColumnName, ServiceName, TableName};
use serde::{Deserialize, Serialize};

const FORMAT: u32 = 1;

/// The columns of each table, with their types.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Known(BTreeMap<TableName, BTreeMap<ColumnName, String>>);

/// A file of known tables.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    asuser_catalog: u32,
    services: BTreeMap<ServiceName, Known>,
}

impl Known {
    pub(crate) fn of(catalog: &Catalog) -> Self {
        let columns = |table: &asuser_core::Table| {
            table.columns.iter().map(|column| (column.name.clone(), column.declared_type.clone())).collect()
        };
        Self(catalog.tables.iter().map(|(name, table)| (name.clone(), columns(table))).collect())
    }

    /// Reads one service's part of a file.
    pub(crate) fn read(path: &Path, service: &ServiceName) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("catalog: {shown} cannot be read (`asuser catalog dump --write` makes it)"))?;
        let mut file: File = serde_json::from_str(&text)
            .with_context(|| format!("catalog: {shown} is not what `asuser catalog dump` writes"))?;
        if file.asuser_catalog != FORMAT {
            bail!("catalog: {shown} has the format {}, and this asuser knows {FORMAT}", file.asuser_catalog);
        }
        let found = file.services.remove(service);
        found.with_context(|| format!("catalog: {shown} says nothing of service \"{service}\""))
    }

    /// Columns that a known table has now and had not then, or had with another type. A table that is not known at all adds itself.
    pub(crate) fn new_columns(&mut self, now: &Catalog, adds_tables: bool) -> Vec<(TableName, ColumnName)> {
        let fresh = Self::of(now);
        let mut new = Vec::new();
        for (name, columns) in fresh.0 {
            match self.0.get(&name) {
                Some(known) => {
                    let unseen = columns.into_iter().filter(|(column, ty)| known.get(column) != Some(ty));
                    new.extend(unseen.map(|(column, _)| (name.clone(), column)));
                }
                None if adds_tables => _ = self.0.insert(name, columns),
                None => new.extend(columns.into_keys().map(|column| (name.clone(), column))),
            }
        }
        new
    }
}

/// The file's text for these services.
pub(crate) fn dump(services: BTreeMap<ServiceName, Known>) -> anyhow::Result<String> {
    let mut text = serde_json::to_string_pretty(&File { asuser_catalog: FORMAT, services })?;
    text.push('\n');
    Ok(text)
}
