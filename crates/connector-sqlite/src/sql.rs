//! SQL as one person. In: a sealed statement, whose relations are what this person may see. Out: its records. The statement was
//! guarded and printed anew; it still runs on a connection of its own, confined to those relations (`run_as.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;

use asuser_core::{ArgumentKind, DatabaseIdentity, Records, ToolArgument};
use asuser_query::{SqlError, SqlPlace, SqlSpec};
use rusqlite::types::Value;

use crate::connect::{Budget, Connected};
use crate::print::quoted;
use crate::run_as::{AnswerLimits, ConfinedSession, Relation};
use crate::{SqliteConnector, SqliteError};

impl SqliteConnector {
    /// Runs a statement. Dropping the future cancels it.
    pub(crate) async fn run_sql(&self, spec: &SqlSpec) -> Result<(Records, DatabaseIdentity), SqliteError> {
        let text = asuser_query::print(&spec.statement, &mut Text { spec })?;
        let work = Arc::new(Work {
            text,
            relations: relations(spec),
            arguments: arguments(spec)?,
            output: spec.output.clone(),
            rows_max: spec.limit,
            bytes_max: spec.bytes_max,
        });
        for relation in &work.relations {
            self.schema_version_of(&relation.table)?;
        }
        let options = Arc::clone(&self.options);
        let budget = Budget::new(Arc::clone(&self.path), spec.time_ms_max);
        let run = move |_: &mut Connected, budget: &Budget| {
            let limits =
                AnswerLimits { output: Some(&work.output), rows_max: work.rows_max, bytes_max: work.bytes_max };
            let mut session = ConfinedSession::open(&options, &work.relations, budget)?;
            session.read(&work.text, &work.arguments, limits, budget)
        };
        let records = self.pool.run(budget, run).await?;
        Ok((records, DatabaseIdentity { mode: "filter", user: None }))
    }
}

/// What goes to a thread.
struct Work {
    text: String,
    relations: Vec<Relation>,
    arguments: Vec<Value>,
    output: Vec<String>,
    rows_max: u64,
    bytes_max: usize,
}

/// A table that the statement names twice, in two spellings, is confined once.
fn relations(spec: &SqlSpec) -> Vec<Relation> {
    let mut by_name = BTreeMap::new();
    for relation in &spec.relations {
        by_name.entry(&relation.table.name).or_insert_with(|| Relation {
            table: Arc::clone(&relation.table),
            access: relation.access.clone(),
            row_filter: relation.row_filter.clone(),
            condition: relation.condition.clone(),
        });
    }
    by_name.into_values().collect()
}

fn arguments(spec: &SqlSpec) -> Result<Vec<Value>, SqliteError> {
    let value = |ToolArgument { kind, value }: &ToolArgument| {
        let Some(text) = value else { return Ok(Value::Null) };
        let misfit = || SqliteError::BadValue("an argument is not of its kind");
        Ok(match kind {
            ArgumentKind::Integer => Value::Integer(text.parse().map_err(|_| misfit())?),
            ArgumentKind::Number => match text.parse::<i64>() {
                Ok(whole) => Value::Integer(whole),
                Err(_) => Value::Real(text.parse().map_err(|_| misfit())?),
            },
            ArgumentKind::Boolean => Value::Integer(i64::from(text == "true")),
            ArgumentKind::Text | ArgumentKind::Date | ArgumentKind::Timestamp | ArgumentKind::Uuid => {
                Value::Text(text.clone())
            }
        })
    };
    spec.arguments.iter().map(value).collect()
}

/// What the statement's names are here: the views that stand for the tables have the tables' names.
struct Text<'a> {
    spec: &'a SqlSpec,
}

impl SqlPlace for Text<'_> {
    type Error = SqliteError;

    fn relation(&mut self, out: &mut String, relation: usize) -> Result<(), SqliteError> {
        let found = self.spec.relations.get(relation);
        let found = found.ok_or_else(|| SqliteError::Internal("a relation beyond the plan's".to_owned()))?;
        // With its schema: a WITH query of the same name is not meant.
        out.push_str(&format!("\"temp\".{}", quoted(found.table.name.as_str())));
        Ok(())
    }

    fn parameter(&mut self, out: &mut String, parameter: usize) -> Result<(), SqliteError> {
        out.push_str(&format!("?{}", parameter + 1));
        Ok(())
    }
}

impl From<SqlError> for SqliteError {
    fn from(error: SqlError) -> Self {
        Self::Internal(error.to_string())
    }
}
