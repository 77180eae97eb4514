//! Queries: WITH, SELECT, set operations, FROM, grouping.

use super::{Naming, Place, Printer};
use crate::SqlError;
use crate::tree::{
    Body, Count, CteId, Distinct, Expr, From, Grouping, Item, JoinKind, JoinOn, Order, Output, Query, Select, SetOp,
    SourceId, SourceKind,
};

impl<P: Place> Printer<'_, P> {
    pub(super) fn query(&mut self, query: &Query, naming: Naming) -> Result<(), P::Error> {
        self.check_length()?;
        for (at, id) in query.with.iter().enumerate() {
            let word = if query.recursive { "WITH RECURSIVE " } else { "WITH " };
            self.push(if at == 0 { word } else { ", " });
            self.cte(*id)?;
        }
        if !query.with.is_empty() {
            self.push(" ");
        }
        self.body(&query.body, naming)?;
        self.order_by(&query.order_by)?;
        self.limit(query)
    }

    fn cte(&mut self, id: CteId) -> Result<(), P::Error> {
        let resolved = self.resolved;
        let cte = resolved.statement.ctes.get(id).ok_or(SqlError::Internal("an unknown common table expression"))?;
        let query = cte.query.as_ref().ok_or(SqlError::Internal("a common table expression without a query"))?;
        self.name(&cte.printed);
        self.columns(&cte.columns);
        self.push(match cte.materialized {
            Some(true) => " AS MATERIALIZED ",
            Some(false) => " AS NOT MATERIALIZED ",
            None => " AS ",
        });
        self.bracketed(query)
    }

    /// `("a", "b")`
    fn columns(&mut self, columns: &[Output]) {
        for (at, column) in columns.iter().enumerate() {
            self.push(if at == 0 { "(" } else { ", " });
            self.name(&column.printed);
        }
        if !columns.is_empty() {
            self.push(")");
        }
    }

    fn body(&mut self, body: &Body, naming: Naming) -> Result<(), P::Error> {
        self.check_length()?;
        match body {
            Body::Select(select) => self.select(select, naming),
            Body::Values(rows) => {
                self.push("VALUES ");
                for (at, row) in rows.iter().enumerate() {
                    self.push(if at == 0 { "(" } else { ", (" });
                    self.list(row)?;
                    self.push(")");
                }
                Ok(())
            }
            Body::Query(query) if self.postgres() => {
                self.push("(");
                self.query(query, naming)?;
                self.push(")");
                Ok(())
            }
            Body::Query(_) => Err(SqlError::Internal("a query in brackets, which SQLite does not have").into()),
            Body::Set { op, all, left, right } => self.set_operation(*op, *all, left, right, naming),
        }
    }

    fn set_operation(
        &mut self,
        op: SetOp,
        all: bool,
        left: &Body,
        right: &Body,
        naming: Naming,
    ) -> Result<(), P::Error> {
        self.part(left, naming)?;
        self.push(match op {
            SetOp::Union => " UNION ",
            SetOp::Intersect => " INTERSECT ",
            SetOp::Except => " EXCEPT ",
        });
        self.push(if all { "ALL " } else { "" });
        self.part(right, Naming::Inner)
    }

    /// A part of a set operation, in brackets where there are any.
    fn part(&mut self, body: &Body, naming: Naming) -> Result<(), P::Error> {
        let own = matches!(body, Body::Query(_));
        let (open, close) = if self.postgres() && !own { ("(", ")") } else { ("", "") };
        self.push(open);
        self.body(body, naming)?;
        self.push(close);
        Ok(())
    }

    fn select(&mut self, select: &Select, naming: Naming) -> Result<(), P::Error> {
        self.push("SELECT ");
        match &select.distinct {
            Distinct::All => {}
            Distinct::Rows => self.push("DISTINCT "),
            Distinct::On(list) => {
                self.push("DISTINCT ON (");
                self.list(list)?;
                self.push(") ");
            }
        }
        if select.items.len() != select.outputs.len() {
            return Err(SqlError::Internal("columns without names").into());
        }
        for (at, (item, output)) in select.items.iter().zip(&select.outputs).enumerate() {
            self.push(if at == 0 { "" } else { ", " });
            let Item::Expr { expr, .. } = item else { return Err(SqlError::Internal("a star").into()) };
            self.expr(expr)?;
            self.alias(output, naming);
        }
        for (at, item) in select.from.iter().enumerate() {
            self.push(if at == 0 { " FROM " } else { ", " });
            self.from(item)?;
        }
        self.clause(" WHERE ", select.condition.as_ref())?;
        for (at, grouping) in select.group_by.iter().enumerate() {
            self.push(if at == 0 { " GROUP BY " } else { ", " });
            self.grouping(grouping)?;
        }
        self.clause(" HAVING ", select.having.as_ref())?;
        for (at, (name, window)) in select.windows.iter().enumerate() {
            self.push(if at == 0 { " WINDOW " } else { ", " });
            self.name(&name.text);
            self.push(" AS ");
            self.window(window)?;
        }
        Ok(())
    }

    fn alias(&mut self, output: &Output, naming: Naming) {
        self.push(" AS ");
        self.name(if naming == Naming::Outermost { &output.name } else { &output.printed });
    }

    fn clause(&mut self, words: &str, expr: Option<&Expr>) -> Result<(), P::Error> {
        let Some(expr) = expr else { return Ok(()) };
        self.push(words);
        self.expr(expr)
    }

    fn grouping(&mut self, grouping: &Grouping) -> Result<(), P::Error> {
        match grouping {
            Grouping::Nothing => self.push("()"),
            Grouping::Expr(expr) => self.expr(expr)?,
            Grouping::Tuple(list) => {
                self.push("(");
                self.list(list)?;
                self.push(")");
            }
            Grouping::Sets(sets) => {
                for (at, set) in sets.iter().enumerate() {
                    self.push(if at == 0 { "GROUPING SETS (" } else { ", " });
                    self.grouping(set)?;
                }
                self.push(")");
            }
            Grouping::Rollup(lists) => self.grouped("ROLLUP (", lists)?,
            Grouping::Cube(lists) => self.grouped("CUBE (", lists)?,
        }
        Ok(())
    }

    fn grouped(&mut self, words: &str, lists: &[Vec<Expr>]) -> Result<(), P::Error> {
        self.push(words);
        for (at, list) in lists.iter().enumerate() {
            self.push(if at == 0 { "(" } else { ", (" });
            self.list(list)?;
            self.push(")");
        }
        self.push(")");
        Ok(())
    }

    fn from(&mut self, item: &From) -> Result<(), P::Error> {
        self.check_length()?;
        match item {
            From::Source(id) => self.source(*id),
            From::Join { kind, left, right, on, at: _ } => {
                // Brackets on the right alone: the left is read first anyway, and SQLite makes a subquery of a join in brackets.
                self.from(left)?;
                self.push(match kind {
                    JoinKind::Inner => " JOIN ",
                    JoinKind::Left => " LEFT JOIN ",
                    JoinKind::Right => " RIGHT JOIN ",
                    JoinKind::Full => " FULL JOIN ",
                    JoinKind::Cross => " CROSS JOIN ",
                });
                let nested = matches!(**right, From::Join { .. });
                self.push(if nested { "(" } else { "" });
                self.from(right)?;
                self.push(if nested { ")" } else { "" });
                match on {
                    JoinOn::Nothing if *kind == JoinKind::Cross => Ok(()),
                    JoinOn::Condition(condition) => {
                        self.push(" ON ");
                        self.expr(condition)
                    }
                    _ => Err(SqlError::Internal("a join without its condition").into()),
                }
            }
        }
    }

    fn source(&mut self, id: SourceId) -> Result<(), P::Error> {
        let resolved = self.resolved;
        let source = resolved.statement.sources.get(id).ok_or(SqlError::Internal("an unknown source"))?;
        if source.lateral {
            self.push("LATERAL ");
        }
        let mut columns: &[Output] = &[];
        match &source.kind {
            SourceKind::Relation(relation) => self.relation(*relation)?,
            SourceKind::Cte(cte) => {
                let cte = resolved
                    .statement
                    .ctes
                    .get(*cte)
                    .ok_or(SqlError::Internal("an unknown common table expression"))?;
                self.name(&cte.printed);
                columns = if source.column_aliases.is_empty() { &[] } else { &source.columns };
            }
            SourceKind::Derived(query) => {
                self.bracketed(query.as_ref().ok_or(SqlError::Internal("a missing subquery"))?)?;
                columns = if self.postgres() { &source.columns } else { &[] };
            }
            SourceKind::Function(function) => {
                self.table_function(function)?;
                if !function.definitions.is_empty() {
                    self.push(" AS ");
                    self.name(&source.printed);
                    for (at, (name, ty)) in function.definitions.iter().enumerate() {
                        self.push(if at == 0 { "(" } else { ", " });
                        let printed =
                            source.columns.get(at).map_or(name.text.as_str(), |column| column.printed.as_str());
                        self.name(printed);
                        self.push(" ");
                        self.type_name(ty);
                    }
                    self.push(")");
                    return Ok(());
                }
                columns = &source.columns;
            }
        }
        self.push(" AS ");
        self.name(&source.printed);
        self.columns(columns);
        Ok(())
    }

    pub(super) fn orders(&mut self, list: &[Order]) -> Result<(), P::Error> {
        for (at, order) in list.iter().enumerate() {
            self.push(if at == 0 { "ORDER BY " } else { ", " });
            self.expr(&order.expr)?;
            self.push(if order.descending { " DESC" } else { "" });
            self.push(match order.nulls_first {
                Some(true) => " NULLS FIRST",
                Some(false) => " NULLS LAST",
                None => "",
            });
        }
        Ok(())
    }

    fn order_by(&mut self, list: &[Order]) -> Result<(), P::Error> {
        self.push(if list.is_empty() { "" } else { " " });
        self.orders(list)
    }

    fn limit(&mut self, query: &Query) -> Result<(), P::Error> {
        if query.with_ties {
            self.counted(" OFFSET ", query.offset.as_ref())?;
            let number = matches!(query.limit, Some(Count::Number(_)));
            self.counted(if number { " FETCH FIRST " } else { " FETCH FIRST (" }, query.limit.as_ref())?;
            self.push(if number { " ROWS WITH TIES" } else { ") ROWS WITH TIES" });
            return Ok(());
        }
        if query.limit.is_none() && query.offset.is_some() && !self.postgres() {
            self.push(" LIMIT -1");
        }
        self.counted(" LIMIT ", query.limit.as_ref())?;
        self.counted(" OFFSET ", query.offset.as_ref())
    }

    fn counted(&mut self, words: &str, count: Option<&Count>) -> Result<(), P::Error> {
        match count {
            None => {}
            Some(Count::Number(digits)) => {
                self.push(words);
                let shown = if self.shape { "?" } else { digits };
                self.push(shown);
            }
            Some(Count::Parameter(parameter)) => {
                self.push(words);
                self.parameter(*parameter)?;
            }
        }
        Ok(())
    }
}
