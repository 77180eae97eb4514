//! SELECT: its scopes, and the rules by which ORDER BY and GROUP BY may name an output column.

use super::{Level, Resolver, lookup, outputs, unique};
use crate::tree::{Column, Distinct, Expr, Grouping, Item, Order, Select, Target};
use crate::{At, SqlError};

/// Which of the two a bare name means first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    /// ORDER BY, DISTINCT ON.
    Output,
    /// GROUP BY.
    Input,
}

impl Resolver<'_> {
    pub(super) fn select(&mut self, select: &mut Select, order_by: &mut [Order]) -> Result<(), SqlError> {
        self.levels.push(Level::default());
        for item in &mut select.from {
            let frame = self.from(item)?;
            if let Some(level) = self.levels.last_mut() {
                level.frames.push(frame);
            }
        }
        if let Some(level) = self.levels.last_mut() {
            let aliases = select.items.iter().filter_map(|item| match item {
                Item::Expr { alias: Some(alias), .. } => Some(alias.text.clone()),
                _ => None,
            });
            level.aliases = aliases.collect();
        }
        if let Some(condition) = &mut select.condition {
            self.expr(condition)?;
        }
        let items = std::mem::take(&mut select.items);
        select.items = self.items(items)?;
        let names = select.items.iter().map(|item| match item {
            Item::Expr { alias: Some(alias), .. } => alias.text.clone(),
            Item::Expr { expr, alias: None } => outputs::name(expr, self),
            Item::Star(_) | Item::StarOf(..) => String::new(),
        });
        select.outputs = unique(names.collect::<Vec<_>>().into_iter());

        let mut group_by = std::mem::take(&mut select.group_by);
        for grouping in &mut group_by {
            self.grouping(grouping, select)?;
        }
        select.group_by = group_by;
        if let Some(having) = &mut select.having {
            self.expr(having)?;
        }
        for (_, window) in &mut select.windows {
            self.window(window)?;
        }
        if matches!(select.distinct, Distinct::On(_)) {
            let mut distinct = std::mem::replace(&mut select.distinct, Distinct::All);
            if let Distinct::On(list) = &mut distinct {
                for expr in list {
                    self.term(expr, select, First::Output)?;
                }
            }
            select.distinct = distinct;
        }
        for order in order_by {
            self.term(&mut order.expr, select, First::Output)?;
        }
        self.levels.pop();
        Ok(())
    }

    /// Each `*` becomes columns.
    fn items(&mut self, items: Vec<Item>) -> Result<Vec<Item>, SqlError> {
        let mut expanded = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Item::Expr { mut expr, alias } => {
                    self.expr(&mut expr)?;
                    self.count_outputs(1)?;
                    expanded.push(Item::Expr { expr, alias });
                }
                Item::Star(at) => {
                    let level = self.levels.last().ok_or(SqlError::Internal("no level"))?;
                    let count = level.frames.iter().map(|frame| frame.columns.len()).sum();
                    if level.frames.is_empty() {
                        return Err(SqlError::not_allowed("`*` needs a FROM", at));
                    }
                    self.count_outputs(count)?;
                    let level = self.levels.last().ok_or(SqlError::Internal("no level"))?;
                    let seen: Vec<_> = level.frames.iter().flat_map(|frame| &frame.columns).cloned().collect();
                    expanded.extend(seen.into_iter().map(|seen| self.shown_column(&seen.name, seen.target, at)));
                }
                Item::StarOf(qualifier, at) => {
                    let id = self.table(&qualifier)?;
                    let count = self.sources.get(id).map_or(0, |source| source.columns.len());
                    self.count_outputs(count)?;
                    let columns = self.sources.get(id).map_or_else(Vec::new, |source| source.columns.clone());
                    let columns = columns.into_iter().enumerate();
                    expanded.extend(
                        columns.map(|(column, output)| self.shown_column(&output.name, Target::Of(id, column), at)),
                    );
                }
            }
        }
        if expanded.is_empty() || expanded.len() > super::OUTPUTS_MAX {
            return Err(SqlError::TooComplex("it gives no columns, or too many: name the ones that you need"));
        }
        Ok(expanded)
    }

    fn shown_column(&mut self, name: &str, target: Target, at: At) -> Item {
        self.mark(&target);
        let name = crate::tree::Ident { text: name.to_owned(), at };
        Item::Expr { expr: Expr::Column(Column { qualifier: None, name, target: Some(target) }), alias: None }
    }

    fn grouping(&mut self, grouping: &mut Grouping, select: &Select) -> Result<(), SqlError> {
        match grouping {
            Grouping::Nothing => Ok(()),
            Grouping::Expr(expr) => self.term(expr, select, First::Input),
            Grouping::Tuple(list) => list.iter_mut().try_for_each(|expr| self.term(expr, select, First::Input)),
            Grouping::Sets(sets) => sets.iter_mut().try_for_each(|set| self.grouping(set, select)),
            Grouping::Rollup(lists) | Grouping::Cube(lists) => {
                lists.iter_mut().flatten().try_for_each(|expr| self.term(expr, select, First::Input))
            }
        }
    }

    /// A term of ORDER BY, GROUP BY or DISTINCT ON: a number or a bare name may mean an output column. What does is printed as its
    /// number, which means the same everywhere.
    fn term(&mut self, expr: &mut Expr, select: &Select, first: First) -> Result<(), SqlError> {
        let name = match &*expr {
            Expr::Number(digits) => {
                *expr = Expr::Ordinal(outputs::ordinal(digits, select.outputs.len())?);
                return Ok(());
            }
            Expr::Prefix(_, inner) if matches!(**inner, Expr::Number(_)) => {
                return Err(SqlError::not_allowed(
                    "a number here means an output column: write 1, 2, …",
                    At::default(),
                ));
            }
            Expr::Column(Column { qualifier: None, name, .. }) => name.clone(),
            _ => return self.expr(expr),
        };
        if first == First::Input && self.unqualified(&name, 1)?.is_some() {
            return self.expr(expr);
        }
        let same =
            |at: &usize| select.outputs.get(*at).is_some_and(|output| self.dialect.same(&output.name, &name.text));
        let found: Vec<usize> = (0..select.outputs.len()).filter(same).collect();
        let Some(place) = found.first() else { return self.expr(expr) };
        let target = |at: &usize| match select.items.get(*at) {
            Some(Item::Expr { expr: Expr::Column(column), .. }) => column.target.clone(),
            _ => None,
        };
        let all_the_same = found.iter().all(|at| target(at).is_some() && target(at) == target(place));
        if found.len() > 1 && !all_the_same {
            return Err(lookup::ambiguous(&name));
        }
        *expr = Expr::Ordinal(*place);
        Ok(())
    }
}
