//! Finding one name.

use super::{Resolver, Seen};
use crate::error::{cut, suggestion};
use crate::tree::{Column, Expr, Ident, Output, Qualifier, SourceId, SourceKind, Target};
use crate::{Dialect, SqlError};

/// How many names an error lists.
const NAMES_MAX: usize = 20;

impl Resolver<'_> {
    /// What a column's name means: a column, or a whole row.
    pub(super) fn column(&mut self, column: &Column) -> Result<Expr, SqlError> {
        let target = match &column.qualifier {
            Some(qualifier) => self.qualified(qualifier, &column.name)?,
            None => match self.unqualified(&column.name, 0)? {
                Some(target) => target,
                None => return self.row(&column.name),
            },
        };
        self.mark(&target);
        let name = column.name.clone();
        Ok(Expr::Column(Column { qualifier: None, name, target: Some(target) }))
    }

    /// Notes which columns of relations are read.
    pub(super) fn mark(&mut self, target: &Target) {
        match target {
            Target::Of(source, column) => {
                if let Some(SourceKind::Relation(relation)) = self.sources.get(*source).map(|source| &source.kind)
                    && let Some(used) = self.used.get_mut(*relation)
                {
                    used.insert(*column);
                }
            }
            Target::Merged(left, right) => {
                self.mark(left);
                self.mark(right);
            }
        }
    }

    /// The column in sight with this name, from the innermost level outwards; `from` levels are looked at only (0: all).
    pub(super) fn unqualified(&self, name: &Ident, levels_max: usize) -> Result<Option<Target>, SqlError> {
        for (depth, level) in self.levels.iter().rev().enumerate() {
            if levels_max > 0 && depth >= levels_max {
                break;
            }
            if level.hidden {
                continue;
            }
            self.look_at(level.frames.iter().map(|frame| frame.columns.len()).sum())?;
            let all = level.frames.iter().flat_map(|frame| &frame.columns);
            let mut found = all.filter(|seen| self.dialect.same(&seen.name, &name.text));
            match (found.next(), found.next()) {
                (Some(_), Some(_)) => return Err(ambiguous(name)),
                (Some(seen), None) => return Ok(Some(seen.target.clone())),
                (None, _) => {}
            }
        }
        Ok(None)
    }

    /// The source with this name.
    pub(super) fn table(&self, qualifier: &Qualifier) -> Result<SourceId, SqlError> {
        for level in self.levels.iter().rev().filter(|level| !level.hidden) {
            let all = level.frames.iter().flat_map(|frame| &frame.tables).copied();
            let mut found = all.filter(|id| self.is_called(*id, qualifier));
            match (found.next(), found.next()) {
                (Some(_), Some(_)) => {
                    let message = format!("`{}` stands in FROM twice: give each an alias", cut(&qualifier.table.text));
                    return Err(SqlError::column(message, qualifier.table.at));
                }
                (Some(source), None) => return Ok(source),
                (None, _) => {}
            }
        }
        let known = self.levels.iter().filter(|level| !level.hidden).flat_map(|level| &level.frames);
        let names = known.flat_map(|frame| &frame.tables).filter_map(|id| self.sources.get(*id));
        let hint = suggestion(&qualifier.table.text, names.map(|source| source.name.text.as_str()));
        let message = format!("`{}` is not in FROM here{hint}", cut(&qualifier.table.text));
        Err(SqlError::column(message, qualifier.table.at))
    }

    fn is_called(&self, id: SourceId, qualifier: &Qualifier) -> bool {
        let Some(source) = self.sources.get(id) else { return false };
        let schema_fits = match (&qualifier.schema, &source.schema) {
            (None, _) => true,
            (Some(asked), Some(schema)) => self.dialect.same(&asked.text, schema),
            (Some(_), None) => false,
        };
        schema_fits && !source.name.text.is_empty() && self.dialect.same(&source.name.text, &qualifier.table.text)
    }

    fn qualified(&self, qualifier: &Qualifier, name: &Ident) -> Result<Target, SqlError> {
        let id = self.table(qualifier)?;
        let source = self.sources.get(id).ok_or(SqlError::Internal("an unknown source"))?;
        self.look_at(source.columns.len())?;
        let mut found =
            source.columns.iter().enumerate().filter(|(_, column)| self.dialect.same(&column.name, &name.text));
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(ambiguous(name)),
            (Some((column, _)), None) => Ok(Target::Of(id, column)),
            (None, _) => Err(self.unknown(name, Some(id))),
        }
    }

    /// A row as a value.
    fn row(&mut self, name: &Ident) -> Result<Expr, SqlError> {
        if self.dialect == Dialect::Sqlite {
            return Err(self.unknown(name, None));
        }
        let qualifier = Qualifier { schema: None, table: name.clone() };
        let Ok(id) = self.table(&qualifier) else { return Err(self.unknown(name, None)) };
        if let Some(SourceKind::Relation(relation)) = self.sources.get(id).map(|source| &source.kind) {
            let relation = *relation;
            let width = self.relations.get(relation).map_or(0, |relation| relation.columns.len());
            if let (Some(used), Some(whole)) = (self.used.get_mut(relation), self.whole_row.get_mut(relation)) {
                used.extend(0..width);
                *whole = true;
            }
        }
        if let Some(source) = self.sources.get_mut(id) {
            // A row has no qualified form, and a column of this name would come first: one that the caller may not see, even.
            source.printed = format!("asuser row {id}");
        }
        Ok(Expr::Row(id))
    }

    /// The refusal of a column's name. It suggests columns in sight only.
    pub(super) fn unknown(&self, name: &Ident, source: Option<SourceId>) -> SqlError {
        let written = cut(&name.text);
        if self.dialect.is_system_column(&name.text) {
            return SqlError::column(format!("`{written}` is a system column: it cannot be read"), name.at);
        }
        if let Some(source) = source.and_then(|id| self.sources.get(id)) {
            let hint = hint(&name.text, source.columns.iter().map(|column| column.name.as_str()));
            let message = format!("column `{written}` does not exist in `{}`{hint}", cut(self.shown(source)));
            return SqlError::column(message, name.at);
        }
        let aliases = self.levels.last().map_or(&[][..], |level| level.aliases.as_slice());
        if aliases.iter().any(|alias| self.dialect.same(alias, &name.text)) {
            let message = format!(
                "`{written}` is the name of an output column, which cannot be used here: repeat its expression, or select from a \
                 subquery"
            );
            return SqlError::column(message, name.at);
        }
        let frames = self.levels.iter().rev().filter(|level| !level.hidden).flat_map(|level| &level.frames);
        let seen: Vec<&Seen> = frames.flat_map(|frame| &frame.columns).collect();
        let hint = hint(&name.text, seen.iter().map(|seen| seen.name.as_str()));
        let mut message = format!("column `{written}` does not exist{}", self.only_table());
        if hint.is_empty() && seen.is_empty() {
            message.push_str(": a string is written in single quotes");
        }
        message.push_str(&hint);
        SqlError::column(message, name.at)
    }

    /// ` in …`, where only one table is in sight.
    fn only_table(&self) -> String {
        let level = self.levels.last().map_or(&[][..], |level| level.frames.as_slice());
        let mut tables = level.iter().flat_map(|frame| &frame.tables).filter_map(|id| self.sources.get(*id));
        match (tables.next(), tables.next()) {
            (Some(source), None) if !source.name.text.is_empty() => format!(" in `{}`", cut(self.shown(source))),
            _ => String::new(),
        }
    }

    /// The table's own name rather than its alias.
    fn shown<'b>(&'b self, source: &'b crate::tree::Source) -> &'b str {
        match &source.kind {
            SourceKind::Relation(relation) => self.names.get(*relation).map_or(&source.name.text, |name| &name.name),
            _ => &source.name.text,
        }
    }
}

/// The nearest name, or, where none is near, those that there are.
fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let nearest = suggestion(name, known.clone());
    if !nearest.is_empty() {
        return nearest;
    }
    let listed: Vec<String> = known.clone().take(NAMES_MAX).map(|known| format!("`{}`", cut(known))).collect();
    if listed.is_empty() {
        return String::new();
    }
    let more = if known.count() > NAMES_MAX { ", …" } else { "" };
    format!("; there are {}{more}", listed.join(", "))
}

pub(super) fn ambiguous(name: &Ident) -> SqlError {
    let message = format!("column `{}` could be several: write `table.column`", cut(&name.text));
    SqlError::column(message, name.at)
}

pub(super) fn unknown_output(name: &Ident, outputs: &[Output]) -> SqlError {
    let hint = suggestion(&name.text, outputs.iter().map(|output| output.name.as_str()));
    SqlError::column(format!("`{}` is no output column{hint}", cut(&name.text)), name.at)
}
