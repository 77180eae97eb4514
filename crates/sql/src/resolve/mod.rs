//! What names mean. In: a statement of our tree, and the columns of its relations. Out: the same tree in which each column points to its
//! source, each `*` is a list of columns, and each USING is a condition. Refuses names that mean nothing, or more than one thing, and
//! rows of a table that a name in a wrong scope would have meant.
//!
//! Scopes are a stack of levels, one for each SELECT that is being looked at; a name is searched from the innermost outwards, as both
//! databases do.

mod expr;
mod from;
mod lookup;
mod outputs;
mod select;

use std::cell::Cell;
use std::collections::BTreeSet;

use crate::names::Unique;
use crate::tree::{Body, Cte, CteId, CteState, Expr, Order, Output, Query, SetOp, Source, SourceId, Target};
use crate::{Dialect, Relation, RelationName, Resolved, SqlError, Statement};

/// How many columns one SELECT may give; PostgreSQL's own limit is 1664.
const OUTPUTS_MAX: usize = 1_664;
/// How many columns may be compared with names, all together: tables can be wide, and names many.
const LOOKED_AT_MAX: usize = 20_000_000;
/// How many columns all SELECTs may give together, after each `*` has become a list.
const OUTPUTS_TOTAL_MAX: usize = 20_000;

/// Resolves every name.
pub(crate) fn statement(mut statement: Statement, relations: &[Relation]) -> Result<Resolved, SqlError> {
    if relations.len() != statement.relations.len() {
        return Err(SqlError::Internal("a relation without its columns"));
    }
    let mut resolver = Resolver {
        dialect: statement.dialect,
        relations,
        names: &statement.relations,
        sources: std::mem::take(&mut statement.sources),
        ctes: std::mem::take(&mut statement.ctes),
        used: vec![BTreeSet::new(); relations.len()],
        whole_row: vec![false; relations.len()],
        levels: Vec::new(),
        outputs_total: 0,
        looked_at: Cell::new(0),
    };
    resolver.name_anew();
    resolver.query(&mut statement.query, None)?;
    let Resolver { sources, ctes, used, whole_row, .. } = resolver;
    let output = statement.query.outputs.iter().map(|output| output.name.clone()).collect();
    statement.sources = sources;
    statement.ctes = ctes;
    let columns_used = used.into_iter().map(|used| used.into_iter().collect()).collect();
    Ok(Resolved { statement, columns_used, whole_row, output })
}

struct Resolver<'a> {
    dialect: Dialect,
    relations: &'a [Relation],
    names: &'a [RelationName],
    sources: Vec<Source>,
    ctes: Vec<Cte>,
    used: Vec<BTreeSet<usize>>,
    whole_row: Vec<bool>,
    levels: Vec<Level>,
    outputs_total: usize,
    /// How many columns were compared with names.
    looked_at: Cell<usize>,
}

/// One SELECT that is being looked at.
#[derive(Debug, Default)]
struct Level {
    frames: Vec<Frame>,
    /// A subquery in FROM without LATERAL does not see its neighbours.
    hidden: bool,
    /// The names that it gives to its columns; only for the words of an error.
    aliases: Vec<String>,
}

/// What one item of FROM brings into sight.
#[derive(Debug, Default, Clone)]
struct Frame {
    /// For qualified names.
    tables: Vec<SourceId>,
    /// For unqualified names, in the order of `*`.
    columns: Vec<Seen>,
}

/// A column in sight.
#[derive(Debug, Clone)]
struct Seen {
    name: String,
    target: Target,
}

impl Resolver<'_> {
    /// Gives every source and common table expression a name that no other one has, so that no inner one hides an outer one, and none
    /// a relation.
    fn name_anew(&mut self) {
        let mut unique = Unique::default();
        for relation in self.names {
            unique.take(&relation.name);
        }
        for cte in &mut self.ctes {
            cte.printed = unique.take(&cte.name.text);
        }
        let mut unique = Unique::default();
        for source in &mut self.sources {
            source.printed = unique.take(if source.name.text.is_empty() { "t" } else { &source.name.text });
        }
    }

    /// Resolves a query. `publish` is the common table expression that it defines and that reads itself.
    fn query(&mut self, query: &mut Query, publish: Option<CteId>) -> Result<(), SqlError> {
        for id in &query.with {
            self.cte(*id)?;
        }
        query.outputs = match &mut query.body {
            Body::Select(select) => {
                self.select(select, &mut query.order_by)?;
                select.outputs.clone()
            }
            body => {
                let outputs = self.body(body, publish)?;
                for order in &mut query.order_by {
                    self.order_by_output(order, &outputs)?;
                }
                outputs
            }
        };
        Ok(())
    }

    /// The n-th common table expression, and what its columns are called.
    fn cte(&mut self, id: CteId) -> Result<(), SqlError> {
        let cte = self.ctes.get_mut(id).ok_or(SqlError::Internal("an unknown common table expression"))?;
        let (recursive, at) = (cte.recursive, cte.name.at);
        let mut query = cte.query.take().ok_or(SqlError::Internal("a common table expression twice"))?;
        if recursive && !matches!(query.body, Body::Set { op: SetOp::Union, .. }) {
            let message = "a WITH query that reads itself must be `first part UNION [ALL] part that reads it`";
            return Err(SqlError::not_allowed(message, at));
        }
        self.query(&mut query, recursive.then_some(id))?;
        if !recursive {
            self.publish(id, &query.outputs)?;
        }
        if let Some(cte) = self.ctes.get_mut(id) {
            cte.query = Some(query);
        }
        Ok(())
    }

    /// From here on it can be read.
    fn publish(&mut self, id: CteId, outputs: &[Output]) -> Result<(), SqlError> {
        let dialect = self.dialect;
        let cte = self.ctes.get_mut(id).ok_or(SqlError::Internal("an unknown common table expression"))?;
        let all = cte.column_aliases.len() == outputs.len() || cte.column_aliases.is_empty();
        if cte.column_aliases.len() > outputs.len() || (dialect == Dialect::Sqlite && !all) {
            let message =
                format!("`{}` has {} columns, not {}", cte.name.text, outputs.len(), cte.column_aliases.len());
            return Err(SqlError::not_allowed(message, cte.name.at));
        }
        let names = renamed(outputs.iter().map(|output| output.name.clone()), &cte.column_aliases);
        cte.columns = unique(names);
        cte.state = CteState::Known;
        Ok(())
    }

    /// The columns that a body gives.
    fn body(&mut self, body: &mut Body, publish: Option<CteId>) -> Result<Vec<Output>, SqlError> {
        match body {
            Body::Select(select) => {
                self.select(select, &mut Vec::new())?;
                Ok(select.outputs.clone())
            }
            Body::Query(query) => {
                self.query(query, None)?;
                Ok(query.outputs.clone())
            }
            Body::Set { op: _, all: _, left, right } => {
                let outputs = self.body(left, None)?;
                if let Some(id) = publish {
                    self.publish(id, &outputs)?;
                }
                let others = self.body(right, None)?;
                if outputs.len() != others.len() {
                    let message =
                        format!("the parts of a set operation give {} and {} columns", outputs.len(), others.len());
                    return Err(SqlError::not_allowed(message, crate::At::default()));
                }
                Ok(outputs)
            }
            Body::Values(rows) => {
                let width = rows.first().map_or(0, Vec::len);
                self.count_outputs(width)?;
                for expr in rows.iter_mut().flatten() {
                    self.expr(expr)?;
                }
                Ok(unique((1..=width).map(|number| format!("column{number}"))))
            }
        }
    }

    /// After a set operation only its columns can be ordered by.
    fn order_by_output(&mut self, order: &mut Order, outputs: &[Output]) -> Result<(), SqlError> {
        let found = match &order.expr {
            Expr::Number(digits) => outputs::ordinal(digits, outputs.len())?,
            Expr::Column(column) if column.qualifier.is_none() => {
                let same = |output: &&Output| self.dialect.same(&output.name, &column.name.text);
                if outputs.iter().filter(same).count() > 1 {
                    return Err(lookup::ambiguous(&column.name));
                }
                let place = outputs.iter().position(|output| same(&output));
                place.ok_or_else(|| lookup::unknown_output(&column.name, outputs))?
            }
            _ => {
                let message = "ORDER BY after UNION, VALUES or brackets takes names or numbers of output columns";
                return Err(SqlError::not_allowed(message, crate::At::default()));
            }
        };
        order.expr = Expr::Ordinal(found);
        Ok(())
    }

    /// Counts columns that are about to be compared or copied.
    fn look_at(&self, columns: usize) -> Result<(), SqlError> {
        let looked_at = self.looked_at.get().saturating_add(columns);
        self.looked_at.set(looked_at);
        if looked_at > LOOKED_AT_MAX {
            return Err(SqlError::TooComplex("it names too many columns of tables that are too wide"));
        }
        Ok(())
    }

    fn count_outputs(&mut self, count: usize) -> Result<(), SqlError> {
        self.outputs_total = self.outputs_total.saturating_add(count);
        if count > OUTPUTS_MAX || self.outputs_total > OUTPUTS_TOTAL_MAX {
            return Err(SqlError::TooComplex("it gives too many columns: name the ones that you need instead of `*`"));
        }
        Ok(())
    }
}

/// Names, of which the first are replaced by aliases.
fn renamed<'a>(
    names: impl Iterator<Item = String> + 'a,
    aliases: &'a [crate::tree::Ident],
) -> impl Iterator<Item = String> + 'a {
    names.enumerate().map(|(at, name)| aliases.get(at).map_or(name, |alias| alias.text.clone()))
}

/// Each with a printed name that no other one has.
fn unique(names: impl Iterator<Item = String>) -> Vec<Output> {
    let mut printed = Unique::default();
    names.map(|name| Output { printed: printed.take(&name), name }).collect()
}
