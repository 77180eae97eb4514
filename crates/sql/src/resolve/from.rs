//! FROM: what each item brings into sight, who sees whom, and what USING merges.

use super::{Frame, Resolver, Seen, lookup, renamed, unique};
use crate::error::cut;
use crate::functions;
use crate::tree::{
    Column, CteState, Expr, From, Ident, JoinKind, JoinOn, Output, SourceId, SourceKind, TableFunction, Target,
};
use crate::{At, SqlError};

impl Resolver<'_> {
    /// Resolves one item. The frames of the current level are those that a lateral item may see.
    pub(super) fn from(&mut self, item: &mut From) -> Result<Frame, SqlError> {
        match item {
            From::Source(id) => self.source(*id),
            From::Join { kind, left, right, on, at } => self.join(*kind, left, right, on, *at),
        }
    }

    fn source(&mut self, id: SourceId) -> Result<Frame, SqlError> {
        let source = self.sources.get_mut(id).ok_or(SqlError::Internal("an unknown source"))?;
        let (lateral, aliases, at) = (source.lateral, source.column_aliases.clone(), source.name.at);
        let mut kind = std::mem::replace(&mut source.kind, SourceKind::Derived(None));
        let columns = match &mut kind {
            SourceKind::Relation(relation) => {
                let relation = self.relations.get(*relation).ok_or(SqlError::Internal("an unknown relation"))?;
                let names = relation.columns.iter().map(|column| column.as_str().to_owned());
                names.map(|name| Output { printed: name.clone(), name }).collect()
            }
            SourceKind::Cte(cte) => {
                let cte = self.ctes.get(*cte).ok_or(SqlError::Internal("an unknown common table expression"))?;
                if cte.state != CteState::Known {
                    let message = format!(
                        "`{}` is read before it is defined: define it first; a recursive one is read after UNION only",
                        cut(&cte.name.text)
                    );
                    return Err(SqlError::not_allowed(message, at));
                }
                if aliases.is_empty() { cte.columns.clone() } else { self.aliased(&cte.columns, &aliases, at)? }
            }
            SourceKind::Derived(query) => {
                let query = query.as_mut().ok_or(SqlError::Internal("a subquery twice"))?;
                let hidden = !lateral;
                let before = self.levels.last_mut().map(|level| std::mem::replace(&mut level.hidden, hidden));
                self.query(query, None)?;
                if let (Some(level), Some(before)) = (self.levels.last_mut(), before) {
                    level.hidden = before;
                }
                if aliases.is_empty() { query.outputs.clone() } else { self.aliased(&query.outputs, &aliases, at)? }
            }
            SourceKind::Function(function) => self.table_function(id, function, &aliases)?,
        };
        let source = self.sources.get_mut(id).ok_or(SqlError::Internal("an unknown source"))?;
        source.kind = kind;
        source.columns = columns;
        let seen = source.columns.iter().enumerate();
        let seen = seen.map(|(at, column)| Seen { name: column.name.clone(), target: Target::Of(id, at) });
        Ok(Frame { tables: vec![id], columns: seen.collect() })
    }

    fn aliased(&self, outputs: &[Output], aliases: &[Ident], at: At) -> Result<Vec<Output>, SqlError> {
        if aliases.len() > outputs.len() {
            let message = format!("there are {} columns and {} aliases for them", outputs.len(), aliases.len());
            return Err(SqlError::not_allowed(message, at));
        }
        Ok(unique(renamed(outputs.iter().map(|output| output.name.clone()), aliases)))
    }

    fn table_function(
        &mut self,
        id: SourceId,
        function: &mut TableFunction,
        aliases: &[Ident],
    ) -> Result<Vec<Output>, SqlError> {
        self.call(&mut function.call)?;
        let source = self.sources.get(id).ok_or(SqlError::Internal("an unknown source"))?;
        let mut names: Vec<String> = if function.definitions.is_empty() {
            let listed = if function.call.schema.is_none() { functions::columns(&function.call.name) } else { None };
            match listed {
                Some(columns) => columns.iter().map(|&column| column.to_owned()).collect(),
                None => {
                    let count = if function.call.name == "unnest" { function.call.args.len() } else { 1 };
                    let name = if count == 1 { &source.name.text } else { &function.call.name };
                    vec![name.clone(); count]
                }
            }
        } else {
            function.definitions.iter().map(|(name, _)| name.text.clone()).collect()
        };
        if function.with_ordinality {
            names.push("ordinality".to_owned());
        }
        self.count_outputs(names.len())?;
        self.aliased(&unique(names.into_iter()), aliases, function.call.at)
    }

    fn join(
        &mut self,
        kind: JoinKind,
        left: &mut From,
        right: &mut From,
        on: &mut JoinOn,
        at: At,
    ) -> Result<Frame, SqlError> {
        let left = self.from(left)?;
        self.look_at(left.columns.len().saturating_mul(4))?;
        self.push(left.clone())?;
        let right = self.from(right)?;
        let level = self.levels.last_mut().ok_or(SqlError::Internal("no level"))?;
        level.frames.pop();
        match std::mem::replace(on, JoinOn::Nothing) {
            JoinOn::Nothing => Ok(beside(left, right)),
            JoinOn::Condition(mut condition) => {
                // ON sees the two sides of its join, and nothing that stands before them.
                let both = vec![left.clone(), right.clone()];
                let others = std::mem::replace(&mut level.frames, both);
                self.expr(&mut condition)?;
                if let Some(level) = self.levels.last_mut() {
                    level.frames = others;
                }
                *on = JoinOn::Condition(condition);
                Ok(beside(left, right))
            }
            JoinOn::Using(names) => {
                let (condition, frame) = self.merge(kind, left, right, &names)?;
                *on = JoinOn::Condition(condition);
                Ok(frame)
            }
            JoinOn::Natural => {
                self.look_at(left.columns.len().saturating_mul(right.columns.len()))?;
                let mut names: Vec<Ident> = Vec::new();
                for seen in &left.columns {
                    let common = right.columns.iter().any(|other| self.dialect.same(&other.name, &seen.name));
                    if common && !names.iter().any(|name| self.dialect.same(&name.text, &seen.name)) {
                        names.push(Ident { text: seen.name.clone(), at });
                    }
                }
                let (condition, frame) = self.merge(kind, left, right, &names)?;
                *on = JoinOn::Condition(condition);
                Ok(frame)
            }
        }
    }

    fn push(&mut self, frame: Frame) -> Result<(), SqlError> {
        self.levels.last_mut().ok_or(SqlError::Internal("no level"))?.frames.push(frame);
        Ok(())
    }

    /// `USING (a, b)` is a condition, and `a` and `b` are seen once. (Printed as USING it would look `=` up along `search_path`.)
    fn merge(
        &mut self,
        kind: JoinKind,
        mut left: Frame,
        mut right: Frame,
        names: &[Ident],
    ) -> Result<(Expr, Frame), SqlError> {
        let mut conditions = Vec::new();
        let mut merged = Vec::new();
        for name in names {
            let (ours, theirs) = (self.take(&mut left, name)?, self.take(&mut right, name)?);
            self.mark(&ours);
            self.mark(&theirs);
            let column = |target: &Target| {
                Box::new(Expr::Column(Column { qualifier: None, name: name.clone(), target: Some(target.clone()) }))
            };
            conditions.push(Expr::Binary("=", column(&ours), column(&theirs)));
            let target = match kind {
                JoinKind::Right => theirs,
                JoinKind::Full => Target::Merged(Box::new(ours), Box::new(theirs)),
                JoinKind::Inner | JoinKind::Left | JoinKind::Cross => ours,
            };
            merged.push(Seen { name: name.text.clone(), target });
        }
        let condition = match conditions.len() {
            0 => Expr::Bool(true),
            1 => conditions.remove(0),
            _ => Expr::And(conditions),
        };
        let rest = beside(left, right);
        merged.extend(rest.columns);
        Ok((condition, Frame { tables: rest.tables, columns: merged }))
    }

    /// Takes the one column with this name out of a frame.
    fn take(&self, frame: &mut Frame, name: &Ident) -> Result<Target, SqlError> {
        self.look_at(frame.columns.len().saturating_mul(2))?;
        let same = |seen: &Seen| self.dialect.same(&seen.name, &name.text);
        if frame.columns.iter().filter(|seen| same(seen)).count() > 1 {
            return Err(lookup::ambiguous(name));
        }
        match frame.columns.iter().position(same) {
            Some(at) => Ok(frame.columns.remove(at).target),
            None => {
                let message = format!("column `{}` of USING does not exist on both sides of the join", cut(&name.text));
                Err(SqlError::column(message, name.at))
            }
        }
    }
}

fn beside(mut left: Frame, right: Frame) -> Frame {
    left.tables.extend(right.tables);
    left.columns.extend(right.columns);
    left
}
