//! From `sqlparser`'s tree to ours. In: tokens. Out: a [`Statement`] whose relations are told from its common table expressions. Refuses
//! every node and every field of a node that our tree has no place for: structures are taken apart without `..`, so that what a
//! later `sqlparser` adds does not compile until somebody has decided about it.

mod call;
mod expr;
mod from;
mod select;
mod value;

use sqlparser::ast;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::cut;
use crate::lex::{at_span, parser_dialect};
use crate::tree::{Body, Count, Cte, CteId, CteState, Expr, Ident, Order, Query, SetOp, Source};
use crate::{AllowedFunctions, At, CTES_MAX, Dialect, ParameterName, RelationName, SqlError, Statement};

/// How deep the tree may be.
const DEPTH_MAX: usize = 200;
/// How deep `sqlparser` may go.
const PARSER_DEPTH_MAX: usize = 100;

/// Parses and translates.
pub(crate) fn statement(
    tokens: Vec<TokenWithSpan>,
    dialect: Dialect,
    allowed: &AllowedFunctions,
    parameters: &[ParameterName],
) -> Result<Statement, SqlError> {
    let mut parser =
        Parser::new(parser_dialect(dialect)).with_recursion_limit(PARSER_DEPTH_MAX).with_tokens_with_locations(tokens);
    let query = parser.parse_query().map_err(|error| unparsed(error, &parser))?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        return Err(SqlError::syntax(
            format!("`{}` is not expected here", cut(&next.token.to_string())),
            at_span(next.span),
        ));
    }
    let mut translator = Translator {
        dialect,
        allowed,
        parameters,
        relations: Vec::new(),
        sources: Vec::new(),
        ctes: Vec::new(),
        functions: std::collections::BTreeSet::new(),
        used: std::collections::BTreeSet::new(),
        scopes: Vec::new(),
        inside: Vec::new(),
        depth: 0,
    };
    let query = translator.query(*query)?;
    Ok(Statement {
        dialect,
        query,
        relations: translator.relations,
        sources: translator.sources,
        ctes: translator.ctes,
        functions: translator.functions.into_iter().collect(),
        parameters: translator.used.into_iter().collect(),
    })
}

/// `sqlparser`'s own words hold the token that it met, which is the caller's.
fn unparsed(error: ParserError, parser: &Parser<'_>) -> SqlError {
    match error {
        ParserError::RecursionLimitExceeded => SqlError::TooComplex("it is nested too deeply"),
        ParserError::ParserError(words) | ParserError::TokenizerError(words) => {
            let place = at_span(parser.peek_token().span);
            let words = words.split(" at Line:").next().unwrap_or_default();
            let mut message = format!("syntax error: {}", cut(words));
            if words.to_ascii_uppercase().contains("INTO") {
                message.push_str("; SELECT … INTO is not allowed");
            }
            SqlError::syntax(message, place)
        }
    }
}

struct Translator<'a> {
    dialect: Dialect,
    allowed: &'a AllowedFunctions,
    parameters: &'a [ParameterName],
    relations: Vec<RelationName>,
    sources: Vec<Source>,
    ctes: Vec<Cte>,
    functions: std::collections::BTreeSet<String>,
    used: std::collections::BTreeSet<usize>,
    /// Which common table expressions can be named, outermost first; in one scope, the last of a name.
    scopes: Vec<Vec<CteId>>,
    /// The common table expressions that are being translated.
    inside: Vec<CteId>,
    depth: usize,
}

impl Translator<'_> {
    fn postgres(&self) -> bool {
        self.dialect == Dialect::Postgres
    }

    /// One level deeper. On an error the whole translation ends, so nothing need be undone.
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, SqlError>) -> Result<T, SqlError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(SqlError::TooComplex("it is nested too deeply"));
        }
        let value = inner(self)?;
        self.depth -= 1;
        Ok(value)
    }

    /// A name, folded as the database folds it.
    fn ident(&self, ident: ast::Ident) -> Result<Ident, SqlError> {
        let at = at_span(ident.span);
        let text = match (self.dialect, ident.quote_style) {
            (Dialect::Postgres, None) => ident.value.to_ascii_lowercase(),
            (Dialect::Postgres, Some('"')) | (Dialect::Sqlite, None | Some('"' | '`' | '[')) => ident.value,
            _ => {
                return Err(SqlError::not_allowed(
                    "a name is written in double quotes: single quotes are for strings",
                    at,
                ));
            }
        };
        if text.is_empty() {
            return Err(SqlError::syntax("a name is empty", at));
        }
        Ok(Ident { text, at })
    }

    /// The parts of a name with points.
    fn name_parts(&self, name: ast::ObjectName) -> Result<Vec<Ident>, SqlError> {
        let parts = name.0.into_iter().map(|part| match part {
            ast::ObjectNamePart::Identifier(ident) => self.ident(ident),
            ast::ObjectNamePart::Function(function) => {
                Err(SqlError::not_allowed("a function cannot stand in a name", at_span(function.name.span)))
            }
        });
        parts.collect()
    }

    fn query(&mut self, query: ast::Query) -> Result<Query, SqlError> {
        self.deeper(|this| this.query_inner(query))
    }

    fn query_inner(&mut self, query: ast::Query) -> Result<Query, SqlError> {
        let ast::Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        if !locks.is_empty() || for_clause.is_some() {
            return Err(SqlError::not_allowed(
                "FOR UPDATE and FOR SHARE are not allowed: leave the clause out",
                At::default(),
            ));
        }
        if settings.is_some() || format_clause.is_some() || !pipe_operators.is_empty() {
            return Err(SqlError::not_allowed(
                "SETTINGS, FORMAT and `|>` are not allowed: leave them out",
                At::default(),
            ));
        }
        self.scopes.push(Vec::new());
        let (with, recursive) = match with {
            Some(with) => self.with(with)?,
            None => (Vec::new(), false),
        };
        let (body, at) = self.body(*body)?;
        let order_by = match order_by {
            Some(order_by) => self.order_by(order_by)?,
            None => Vec::new(),
        };
        let (mut limit, offset) = self.limit(limit_clause)?;
        let mut with_ties = false;
        if let Some(ast::Fetch { with_ties: ties, percent, quantity }) = fetch {
            if percent || limit.is_some() || !self.postgres() {
                return Err(SqlError::not_allowed("this FETCH is not allowed: write LIMIT", at));
            }
            with_ties = ties;
            limit = match quantity {
                Some(quantity) => self.count(quantity)?,
                None => Some(Count::Number("1".to_owned())),
            };
        }
        if with_ties && (order_by.is_empty() || limit.is_none()) {
            return Err(SqlError::not_allowed("WITH TIES needs ORDER BY and a number", at));
        }
        self.scopes.pop();
        Ok(Query { with, recursive, body, order_by, limit, offset, with_ties, outputs: Vec::new(), at })
    }

    fn with(&mut self, with: ast::With) -> Result<(Vec<CteId>, bool), SqlError> {
        let ast::With { with_token: _, recursive, cte_tables } = with;
        // SQLite lets each see all of them, whether RECURSIVE is written or not.
        let sees_all = recursive || self.dialect == Dialect::Sqlite;
        let mut ids = Vec::new();
        let mut queries = Vec::new();
        for cte in cte_tables {
            let ast::Cte { alias, query, from, materialized, closing_paren_token: _ } = cte;
            let ast::TableAlias { explicit: _, name, columns, at: None } = alias else {
                return Err(SqlError::not_allowed("this form of WITH is not allowed", At::default()));
            };
            let name = self.ident(name)?;
            if from.is_some() {
                return Err(SqlError::not_allowed("this form of WITH is not allowed", name.at));
            }
            if ids
                .iter()
                .any(|id| self.ctes.get(*id).is_some_and(|other: &Cte| self.dialect.same(&other.name.text, &name.text)))
            {
                return Err(SqlError::not_allowed(format!("WITH defines `{}` twice", cut(&name.text)), name.at));
            }
            if self.ctes.len() >= CTES_MAX {
                return Err(SqlError::TooComplex("it defines more than 64 common table expressions"));
            }
            let id = self.ctes.len();
            let column_aliases = self.alias_columns(columns)?;
            self.ctes.push(Cte {
                printed: String::new(),
                name,
                column_aliases,
                materialized: materialized.map(|kind| matches!(kind, ast::CteAsMaterialized::Materialized)),
                query: None,
                recursive: false,
                columns: Vec::new(),
                state: CteState::Ahead,
            });
            ids.push(id);
            queries.push(query);
        }
        if sees_all && let Some(scope) = self.scopes.last_mut() {
            scope.extend(&ids);
        }
        for (id, query) in ids.iter().zip(queries) {
            self.inside.push(*id);
            let query = self.query(*query)?;
            self.inside.pop();
            if let Some(cte) = self.ctes.get_mut(*id) {
                cte.query = Some(Box::new(query));
            }
            if !sees_all && let Some(scope) = self.scopes.last_mut() {
                scope.push(*id);
            }
        }
        let any_recursive = ids.iter().any(|id| self.ctes.get(*id).is_some_and(|cte| cte.recursive));
        Ok((ids, any_recursive))
    }

    /// Column aliases without types.
    fn alias_columns(&self, columns: Vec<ast::TableAliasColumnDef>) -> Result<Vec<Ident>, SqlError> {
        let names = columns.into_iter().map(|column| {
            let ast::TableAliasColumnDef { name, data_type } = column;
            let name = self.ident(name)?;
            match data_type {
                None => Ok(name),
                Some(_) => Err(SqlError::not_allowed(
                    "a column's type can only be given for a function that returns records",
                    name.at,
                )),
            }
        });
        names.collect()
    }

    /// The body, and where it stands.
    fn body(&mut self, body: ast::SetExpr) -> Result<(Body, At), SqlError> {
        self.deeper(|this| match body {
            ast::SetExpr::Select(select) => {
                let select = this.select(*select)?;
                let at = select.at;
                Ok((Body::Select(Box::new(select)), at))
            }
            ast::SetExpr::Query(query) => {
                let query = this.query(*query)?;
                let at = query.at;
                // Brackets around a whole query say nothing.
                let bare = query.with.is_empty()
                    && query.order_by.is_empty()
                    && query.limit.is_none()
                    && query.offset.is_none();
                if !bare && !this.postgres() {
                    let message = "SQLite has no brackets around a query with ORDER BY, LIMIT or WITH: put it into FROM (SELECT …)";
                    return Err(SqlError::not_allowed(message, at));
                }
                Ok((if bare { query.body } else { Body::Query(Box::new(query)) }, at))
            }
            ast::SetExpr::SetOperation { left, op, set_quantifier, right } => {
                this.set_operation(*left, op, set_quantifier, *right)
            }
            ast::SetExpr::Values(values) => this.values(values),
            ast::SetExpr::Table(table) => this.table(*table),
            ast::SetExpr::Insert(_) => Err(changes("INSERT")),
            ast::SetExpr::Update(_) => Err(changes("UPDATE")),
            ast::SetExpr::Delete(_) => Err(changes("DELETE")),
            ast::SetExpr::Merge(_) => Err(changes("MERGE")),
        })
    }

    fn set_operation(
        &mut self,
        left: ast::SetExpr,
        op: ast::SetOperator,
        quantifier: ast::SetQuantifier,
        right: ast::SetExpr,
    ) -> Result<(Body, At), SqlError> {
        let (left, at) = self.body(left)?;
        let (right, right_at) = self.body(right)?;
        let op = match op {
            ast::SetOperator::Union => SetOp::Union,
            ast::SetOperator::Intersect => SetOp::Intersect,
            ast::SetOperator::Except => SetOp::Except,
            ast::SetOperator::Minus => {
                return Err(SqlError::not_allowed("MINUS is not allowed: write EXCEPT", right_at));
            }
        };
        let all = match quantifier {
            ast::SetQuantifier::All => true,
            ast::SetQuantifier::Distinct | ast::SetQuantifier::None => false,
            ast::SetQuantifier::ByName | ast::SetQuantifier::AllByName | ast::SetQuantifier::DistinctByName => {
                return Err(SqlError::not_allowed("BY NAME is not allowed: name the columns in one order", right_at));
            }
        };
        if !self.postgres() {
            if all && op != SetOp::Union {
                return Err(SqlError::not_allowed("SQLite has ALL only after UNION", right_at));
            }
            // SQLite reads set operations from left to right and knows no brackets around their parts.
            if matches!(right, Body::Set { .. }) {
                let message =
                    "SQLite reads set operations from left to right: put the inner one into FROM (SELECT …) or WITH";
                return Err(SqlError::not_allowed(message, right_at));
            }
        }
        Ok((Body::Set { op, all, left: Box::new(left), right: Box::new(right) }, at))
    }

    fn values(&mut self, values: ast::Values) -> Result<(Body, At), SqlError> {
        let ast::Values { explicit_row, value_keyword, rows } = values;
        if explicit_row || value_keyword {
            return Err(SqlError::not_allowed("write VALUES (…), (…)", At::default()));
        }
        let mut translated = Vec::with_capacity(rows.len());
        for row in rows {
            translated.push(self.exprs(row.content)?);
        }
        let width = translated.first().map_or(0, Vec::len);
        if width == 0 || translated.iter().any(|row| row.len() != width) {
            return Err(SqlError::syntax("the rows of VALUES must be equally long", At::default()));
        }
        Ok((Body::Values(translated), At::default()))
    }

    fn order_by(&mut self, order_by: ast::OrderBy) -> Result<Vec<Order>, SqlError> {
        let ast::OrderBy { kind, interpolate } = order_by;
        match (kind, interpolate) {
            (ast::OrderByKind::Expressions(list), None) => self.orders(list),
            _ => Err(SqlError::not_allowed("ORDER BY ALL is not allowed: name the columns", At::default())),
        }
    }

    fn orders(&mut self, list: Vec<ast::OrderByExpr>) -> Result<Vec<Order>, SqlError> {
        let mut orders = Vec::with_capacity(list.len());
        for ast::OrderByExpr { expr, options, with_fill } in list {
            let ast::OrderByOptions { sort, nulls_first } = options;
            let descending = match sort {
                None | Some(ast::OrderBySort::Asc) => false,
                Some(ast::OrderBySort::Desc) => true,
                Some(ast::OrderBySort::Using(_)) => {
                    return Err(SqlError::not_allowed(
                        "ORDER BY … USING is not allowed: write ASC or DESC",
                        At::default(),
                    ));
                }
            };
            if with_fill.is_some() {
                return Err(SqlError::not_allowed("WITH FILL is not allowed", At::default()));
            }
            orders.push(Order { expr: self.expr(expr)?, descending, nulls_first });
        }
        Ok(orders)
    }

    fn limit(&mut self, limit: Option<ast::LimitClause>) -> Result<(Option<Count>, Option<Count>), SqlError> {
        match limit {
            None => Ok((None, None)),
            Some(ast::LimitClause::LimitOffset { limit, offset, limit_by }) => {
                if !limit_by.is_empty() {
                    return Err(SqlError::not_allowed("LIMIT … BY is not allowed", At::default()));
                }
                let limit = limit.map(|limit| self.count(limit)).transpose()?.flatten();
                let offset = offset.map(|ast::Offset { value, rows: _ }| self.count(value)).transpose()?.flatten();
                Ok((limit, offset))
            }
            Some(ast::LimitClause::OffsetCommaLimit { offset, limit }) => Ok((self.count(limit)?, self.count(offset)?)),
        }
    }

    /// A number of rows; none for ALL and NULL.
    fn count(&mut self, value: ast::Expr) -> Result<Option<Count>, SqlError> {
        match self.expr(value)? {
            Expr::Number(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.len() <= 18 => {
                Ok(Some(Count::Number(digits)))
            }
            Expr::Parameter(parameter) => Ok(Some(Count::Parameter(parameter))),
            Expr::Null => Ok(None),
            // To SQLite a negative number is no limit.
            Expr::Prefix("-", inner) if !self.postgres() && matches!(*inner, Expr::Number(_)) => Ok(None),
            _ => Err(SqlError::not_allowed("LIMIT and OFFSET take a plain number", At::default())),
        }
    }
}

fn changes(what: &str) -> SqlError {
    SqlError::not_allowed(
        format!("`{what}` is not allowed: only SELECT, VALUES and WITH … SELECT can be run"),
        At::default(),
    )
}
