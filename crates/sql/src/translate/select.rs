//! SELECT: what it gives, filters, groups and windows.

use sqlparser::ast;

use super::Translator;
use crate::lex::at_span;
use crate::tree::{Body, Bound, Distinct, Frame, Grouping, Item, Qualifier, Select, Window};
use crate::{At, SqlError};

/// Clauses that `sqlparser` knows and the databases do not.
const FOREIGN: &str = "this clause is not allowed: use SELECT … FROM … WHERE … GROUP BY … HAVING … ORDER BY … LIMIT";

impl Translator<'_> {
    pub(super) fn select(&mut self, select: ast::Select) -> Result<Select, SqlError> {
        let ast::Select {
            select_token,
            optimizer_hints,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        let at = at_span(select_token.0.span);
        if into.is_some() {
            return Err(SqlError::not_allowed("SELECT … INTO is not allowed: nothing can be created", at));
        }
        let foreign = !optimizer_hints.is_empty()
            || select_modifiers.is_some_and(|modifiers| modifiers.is_any_set())
            || top.is_some()
            || exclude.is_some()
            || !lateral_views.is_empty()
            || prewhere.is_some()
            || !connect_by.is_empty()
            || !cluster_by.is_empty()
            || !distribute_by.is_empty()
            || !sort_by.is_empty()
            || qualify.is_some()
            || value_table_mode.is_some()
            || flavor != ast::SelectFlavor::Standard;
        if foreign {
            return Err(SqlError::not_allowed(FOREIGN, at));
        }
        if projection.is_empty() {
            return Err(SqlError::syntax("SELECT names no columns", at));
        }
        let distinct = self.distinct(distinct)?;
        let from = self.sources(from)?;
        let mut items = Vec::with_capacity(projection.len());
        for item in projection {
            items.push(self.item(item, at)?);
        }
        let condition = selection.map(|condition| self.expr(condition)).transpose()?;
        let group_by = self.group_by(group_by, at)?;
        let having = having.map(|having| self.expr(having)).transpose()?;
        let mut windows = Vec::new();
        for ast::NamedWindowDefinition(name, window) in named_window {
            let name = self.ident(name)?;
            let window = match window {
                ast::NamedWindowExpr::WindowSpec(spec) => self.window(spec)?,
                ast::NamedWindowExpr::NamedWindow(_) => {
                    return Err(SqlError::not_allowed("write the window's definition in brackets", name.at));
                }
            };
            windows.push((name, window));
        }
        Ok(Select { distinct, items, from, condition, group_by, having, windows, outputs: Vec::new(), at })
    }

    fn distinct(&mut self, distinct: Option<ast::Distinct>) -> Result<Distinct, SqlError> {
        match distinct {
            None | Some(ast::Distinct::All) => Ok(Distinct::All),
            Some(ast::Distinct::Distinct) => Ok(Distinct::Rows),
            Some(ast::Distinct::On(list)) if list.is_empty() => {
                Err(SqlError::syntax("DISTINCT ON names no columns", At::default()))
            }
            Some(ast::Distinct::On(list)) if self.postgres() => Ok(Distinct::On(self.exprs(list)?)),
            Some(ast::Distinct::On(_)) => {
                Err(SqlError::not_allowed("SQLite has no DISTINCT ON: use row_number()", At::default()))
            }
        }
    }

    fn item(&mut self, item: ast::SelectItem, at: At) -> Result<Item, SqlError> {
        match item {
            ast::SelectItem::UnnamedExpr(expr) => Ok(Item::Expr { expr: self.expr(expr)?, alias: None }),
            ast::SelectItem::ExprWithAlias { expr, alias } => {
                let alias = self.ident(alias)?;
                Ok(Item::Expr { expr: self.expr(expr)?, alias: Some(alias) })
            }
            ast::SelectItem::Wildcard(options) => star(options, at).map(Item::Star),
            ast::SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                let at = star(options, at)?;
                let mut parts = self.name_parts(name)?.into_iter();
                match (parts.next(), parts.next(), parts.next()) {
                    (Some(table), None, None) => Ok(Item::StarOf(Qualifier { schema: None, table }, at)),
                    (Some(schema), Some(table), None) => {
                        Ok(Item::StarOf(Qualifier { schema: Some(schema), table }, at))
                    }
                    _ => Err(SqlError::not_allowed("write `table.*`", at)),
                }
            }
            ast::SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::Expr(_), _) => {
                Err(SqlError::not_allowed("`(expression).*` is not allowed: name the columns, or write `table.*`", at))
            }
            ast::SelectItem::ExprWithAliases { .. } => Err(SqlError::not_allowed("a column has one alias", at)),
        }
    }

    fn group_by(&mut self, group_by: ast::GroupByExpr, at: At) -> Result<Vec<Grouping>, SqlError> {
        match group_by {
            ast::GroupByExpr::Expressions(list, modifiers) if modifiers.is_empty() => {
                list.into_iter().map(|expr| self.grouping(expr)).collect()
            }
            _ => Err(SqlError::not_allowed("this GROUP BY is not allowed: name the columns", at)),
        }
    }

    fn grouping(&mut self, expr: ast::Expr) -> Result<Grouping, SqlError> {
        Ok(match expr {
            ast::Expr::Tuple(list) if list.is_empty() => Grouping::Nothing,
            ast::Expr::Tuple(list) if self.postgres() => Grouping::Tuple(self.exprs(list)?),
            ast::Expr::Rollup(lists) => Grouping::Rollup(self.expr_lists(lists)?),
            ast::Expr::Cube(lists) => Grouping::Cube(self.expr_lists(lists)?),
            ast::Expr::GroupingSets(lists) => {
                let lists = self.expr_lists(lists)?;
                let sets = lists
                    .into_iter()
                    .map(|list| if list.is_empty() { Grouping::Nothing } else { Grouping::Tuple(list) });
                Grouping::Sets(sets.collect())
            }
            other => Grouping::Expr(self.expr(other)?),
        })
    }

    fn expr_lists(&mut self, lists: Vec<Vec<ast::Expr>>) -> Result<Vec<Vec<crate::tree::Expr>>, SqlError> {
        lists.into_iter().map(|list| self.exprs(list)).collect()
    }

    pub(super) fn window(&mut self, spec: ast::WindowSpec) -> Result<Window, SqlError> {
        let ast::WindowSpec { window_name, partition_by, order_by, window_frame } = spec;
        let base = window_name.map(|name| self.ident(name)).transpose()?;
        let partition_by = self.exprs(partition_by)?;
        let order_by = self.orders(order_by)?;
        let frame = match window_frame {
            None => None,
            Some(ast::WindowFrame { units, start_bound, end_bound }) => Some(Frame {
                units: match units {
                    ast::WindowFrameUnits::Rows => "ROWS",
                    ast::WindowFrameUnits::Range => "RANGE",
                    ast::WindowFrameUnits::Groups => "GROUPS",
                },
                start: self.bound(start_bound)?,
                end: end_bound.map(|bound| self.bound(bound)).transpose()?,
            }),
        };
        Ok(Window { base, partition_by, order_by, frame })
    }

    fn bound(&mut self, bound: ast::WindowFrameBound) -> Result<Bound, SqlError> {
        let mut boxed = |expr: Option<Box<ast::Expr>>| expr.map(|expr| self.expr(*expr).map(Box::new)).transpose();
        Ok(match bound {
            ast::WindowFrameBound::CurrentRow => Bound::CurrentRow,
            ast::WindowFrameBound::Preceding(expr) => Bound::Preceding(boxed(expr)?),
            ast::WindowFrameBound::Following(expr) => Bound::Following(boxed(expr)?),
        })
    }

    /// `TABLE orders`
    pub(super) fn table(&mut self, table: ast::Table) -> Result<(Body, At), SqlError> {
        let ast::Table { table_name: Some(name), schema_name } = table else {
            return Err(SqlError::syntax("TABLE needs a name", At::default()));
        };
        let name = self.ident(name)?;
        let at = name.at;
        let schema = schema_name.map(|schema| self.ident(schema)).transpose()?;
        let source = self.named_source(schema, name, None)?;
        let select = Select {
            distinct: Distinct::All,
            items: vec![Item::Star(at)],
            from: vec![crate::tree::From::Source(source)],
            condition: None,
            group_by: Vec::new(),
            having: None,
            windows: Vec::new(),
            outputs: Vec::new(),
            at,
        };
        Ok((Body::Select(Box::new(select)), at))
    }
}

fn star(options: ast::WildcardAdditionalOptions, at: At) -> Result<At, SqlError> {
    let ast::WildcardAdditionalOptions {
        wildcard_token,
        opt_ilike: None,
        opt_exclude: None,
        opt_except: None,
        opt_replace: None,
        opt_rename: None,
        opt_alias: None,
    } = options
    else {
        return Err(SqlError::not_allowed("`*` takes no options: name the columns", at));
    };
    Ok(at_span(wildcard_token.0.span))
}
