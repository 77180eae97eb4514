//! FROM: relations, common table expressions, subqueries, functions and joins. Here a name is found to be a common table expression or
//! a relation, by the scopes of the database.

use sqlparser::ast;

use super::Translator;
use crate::error::cut;
use crate::functions;
use crate::tree::{From, Ident, JoinKind, JoinOn, Source, SourceId, SourceKind, TableFunction};
use crate::types::Type;
use crate::{At, Dialect, RELATIONS_MAX, RelationName, SqlError};

/// How many things may stand in all FROM clauses together.
const SOURCES_MAX: usize = 256;

/// An alias with its columns.
type Alias = Option<(Ident, Vec<ast::TableAliasColumnDef>)>;

const SAMPLE: &str = "TABLESAMPLE is not allowed: use LIMIT";

impl Translator<'_> {
    pub(super) fn sources(&mut self, list: Vec<ast::TableWithJoins>) -> Result<Vec<From>, SqlError> {
        list.into_iter().map(|item| self.joined(item)).collect()
    }

    fn joined(&mut self, item: ast::TableWithJoins) -> Result<From, SqlError> {
        let ast::TableWithJoins { relation, joins } = item;
        // The tree of a chain of joins is as deep as the chain is long.
        if joins.len() > RELATIONS_MAX {
            return Err(SqlError::TooComplex("it joins too many tables"));
        }
        self.deeper(|this| {
            let mut left = this.factor(relation)?;
            for join in joins {
                left = this.join(left, join)?;
            }
            Ok(left)
        })
    }

    fn join(&mut self, left: From, join: ast::Join) -> Result<From, SqlError> {
        use ast::JoinOperator as Op;
        let ast::Join { relation, global, join_operator } = join;
        let at = self.sources.last().map_or_else(At::default, |source| source.name.at);
        let right = self.factor(relation)?;
        let (kind, constraint) = match join_operator {
            Op::Join(constraint) | Op::Inner(constraint) => (JoinKind::Inner, constraint),
            Op::Left(constraint) | Op::LeftOuter(constraint) => (JoinKind::Left, constraint),
            Op::Right(constraint) | Op::RightOuter(constraint) => (JoinKind::Right, constraint),
            Op::FullOuter(constraint) => (JoinKind::Full, constraint),
            Op::CrossJoin(constraint) => (JoinKind::Cross, constraint),
            _ => {
                return Err(SqlError::not_allowed(
                    "this kind of join is not allowed: use [LEFT | RIGHT | FULL] JOIN … ON",
                    at,
                ));
            }
        };
        if global {
            return Err(SqlError::not_allowed("GLOBAL is not allowed", at));
        }
        let (kind, on) = match (kind, constraint) {
            (JoinKind::Cross, ast::JoinConstraint::None) => (JoinKind::Cross, JoinOn::Nothing),
            (JoinKind::Inner, ast::JoinConstraint::None) if !self.postgres() => (JoinKind::Cross, JoinOn::Nothing),
            (_, ast::JoinConstraint::None) | (JoinKind::Cross, _) => {
                return Err(SqlError::syntax("a join needs ON or USING, and a CROSS JOIN has neither", at));
            }
            (kind, ast::JoinConstraint::On(condition)) => (kind, JoinOn::Condition(self.expr(condition)?)),
            (kind, ast::JoinConstraint::Using(names)) => (kind, JoinOn::Using(self.using(names)?)),
            (kind, ast::JoinConstraint::Natural) => (kind, JoinOn::Natural),
            (_, ast::JoinConstraint::UsingAlias(..)) => {
                return Err(SqlError::not_allowed("USING (…) AS is not allowed: name the table's column", at));
            }
        };
        Ok(From::Join { kind, left: Box::new(left), right: Box::new(right), on, at })
    }

    fn using(&self, names: Vec<ast::ObjectName>) -> Result<Vec<Ident>, SqlError> {
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            let mut parts = self.name_parts(name)?;
            match (parts.pop(), parts.pop()) {
                (Some(column), None) => columns.push(column),
                _ => return Err(SqlError::syntax("USING takes plain column names", At::default())),
            }
        }
        Ok(columns)
    }

    fn factor(&mut self, factor: ast::TableFactor) -> Result<From, SqlError> {
        use ast::TableFactor as Factor;
        self.deeper(|this| match factor {
            Factor::Table {
                name,
                alias,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_directives,
                inheritance,
            } => {
                let alias = this.alias(alias)?;
                let parts = this.name_parts(name)?;
                let at = parts.first().map_or_else(At::default, |part| part.at);
                if sample.is_some() {
                    return Err(SqlError::not_allowed(SAMPLE, at));
                }
                if inheritance.is_some() {
                    return Err(SqlError::not_allowed(
                        "ONLY and `*` after a table are not allowed: write the table's name alone",
                        at,
                    ));
                }
                if !with_hints.is_empty()
                    || version.is_some()
                    || !partitions.is_empty()
                    || json_path.is_some()
                    || !index_directives.is_empty()
                {
                    return Err(SqlError::not_allowed(
                        "a table takes no hints or versions: write its name and an alias",
                        at,
                    ));
                }
                match args {
                    Some(ast::TableFunctionArgs { args, settings: None }) => {
                        this.function(parts, args, with_ordinality, alias, false).map(From::Source)
                    }
                    Some(_) => Err(SqlError::not_allowed("SETTINGS are not allowed", at)),
                    None if with_ordinality => Err(SqlError::syntax("WITH ORDINALITY follows a function", at)),
                    None => this.relation(parts, alias).map(From::Source),
                }
            }
            Factor::Derived { lateral, subquery, alias, sample: None } => this.derived(lateral, *subquery, alias),
            Factor::Derived { .. } => Err(SqlError::not_allowed(SAMPLE, At::default())),
            Factor::Function { lateral, name, args, with_ordinality, alias } => {
                let alias = this.alias(alias)?;
                let parts = this.name_parts(name)?;
                this.function(parts, args, with_ordinality, alias, lateral).map(From::Source)
            }
            Factor::UNNEST { alias, array_exprs, with_offset: false, with_offset_alias: None, with_ordinality } => {
                let alias = this.alias(alias)?;
                let args =
                    array_exprs.into_iter().map(|expr| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)));
                let at = alias.as_ref().map_or_else(At::default, |(name, _)| name.at);
                let name = Ident { text: "unnest".to_owned(), at };
                this.function(vec![name], args.collect(), with_ordinality, alias, false).map(From::Source)
            }
            Factor::NestedJoin { table_with_joins, alias: None } => this.joined(*table_with_joins),
            Factor::NestedJoin { .. } => {
                Err(SqlError::not_allowed("a join in brackets takes no alias: name the tables inside", At::default()))
            }
            Factor::XmlTable { .. } | Factor::JsonTable { .. } | Factor::OpenJsonTable { .. } => {
                Err(SqlError::not_allowed(
                    "XMLTABLE and JSON_TABLE are not allowed: use jsonb_to_recordset or jsonb_array_elements",
                    At::default(),
                ))
            }
            _ => Err(SqlError::not_allowed(
                "this cannot stand in FROM: use tables, subqueries, functions and joins",
                At::default(),
            )),
        })
    }

    fn derived(
        &mut self,
        lateral: bool,
        subquery: ast::Query,
        alias: Option<ast::TableAlias>,
    ) -> Result<From, SqlError> {
        let alias = self.alias(alias)?;
        let (name, columns) = match alias {
            Some((name, columns)) => (Some(name), columns),
            None => (None, Vec::new()),
        };
        let at = name.as_ref().map_or_else(At::default, |name| name.at);
        let column_aliases = self.alias_columns(columns)?;
        self.only_postgres(lateral || !column_aliases.is_empty(), "LATERAL and column aliases", at)?;
        let query = self.query(subquery)?;
        let kind = SourceKind::Derived(Some(Box::new(query)));
        let name = name.unwrap_or_else(|| Ident { text: String::new(), at: At::default() });
        self.source(kind, lateral, name, None, column_aliases).map(From::Source)
    }

    fn only_postgres(&self, found: bool, what: &str, at: At) -> Result<(), SqlError> {
        if found && self.dialect == Dialect::Sqlite {
            return Err(SqlError::not_allowed(
                format!("{what} in FROM are not part of SQLite: name the columns in a subquery"),
                at,
            ));
        }
        Ok(())
    }

    fn alias(&self, alias: Option<ast::TableAlias>) -> Result<Alias, SqlError> {
        match alias {
            None => Ok(None),
            Some(ast::TableAlias { explicit: _, name, columns, at: None }) => Ok(Some((self.ident(name)?, columns))),
            Some(_) => Err(SqlError::not_allowed("this alias is not allowed", At::default())),
        }
    }

    /// A relation or a common table expression.
    fn relation(&mut self, mut parts: Vec<Ident>, alias: Alias) -> Result<SourceId, SqlError> {
        let name = parts.pop();
        let schema = parts.pop();
        match name {
            Some(name) if parts.is_empty() => self.named_source(schema, name, alias),
            Some(name) => {
                Err(SqlError::not_allowed("a table's name has at most two parts: write `schema.table`", name.at))
            }
            None => Err(SqlError::syntax("a table has no name", At::default())),
        }
    }

    pub(super) fn named_source(
        &mut self,
        schema: Option<Ident>,
        name: Ident,
        alias: Alias,
    ) -> Result<SourceId, SqlError> {
        let cte = if schema.is_none() { self.visible_cte(&name.text) } else { None };
        let (alias, columns) = match alias {
            Some((alias, columns)) => (Some(alias), columns),
            None => (None, Vec::new()),
        };
        let column_aliases = self.alias_columns(columns)?;
        let qualified_by = if alias.is_none() { schema.as_ref().map(|schema| schema.text.clone()) } else { None };
        let at = name.at;
        let kind = match cte {
            Some(id) => {
                if self.inside.contains(&id)
                    && let Some(cte) = self.ctes.get_mut(id)
                {
                    cte.recursive = true;
                }
                self.only_postgres(!column_aliases.is_empty(), "Column aliases", at)?;
                SourceKind::Cte(id)
            }
            None => {
                if !column_aliases.is_empty() {
                    let message = "a table takes no column aliases: write them after the columns in SELECT";
                    return Err(SqlError::not_allowed(message, at));
                }
                SourceKind::Relation(self.relation_number(schema, &name)?)
            }
        };
        self.source(kind, false, alias.unwrap_or(name), qualified_by, column_aliases)
    }

    /// The common table expression that an unqualified name means.
    fn visible_cte(&self, name: &str) -> Option<usize> {
        let scopes = self.scopes.iter().rev().flat_map(|scope| scope.iter().rev());
        scopes.copied().find(|id| self.ctes.get(*id).is_some_and(|cte| self.dialect.same(&cte.name.text, name)))
    }

    fn relation_number(&mut self, schema: Option<Ident>, name: &Ident) -> Result<usize, SqlError> {
        let schema = schema.map(|schema| schema.text);
        let same = |known: &RelationName| {
            let schemas = match (&known.schema, &schema) {
                (None, None) => true,
                (Some(a), Some(b)) => self.dialect.same(a, b),
                _ => false,
            };
            schemas && self.dialect.same(&known.name, &name.text)
        };
        if let Some(at) = self.relations.iter().position(same) {
            return Ok(at);
        }
        self.relations.push(RelationName { schema, name: name.text.clone(), at: name.at });
        Ok(self.relations.len() - 1)
    }

    fn source(
        &mut self,
        kind: SourceKind,
        lateral: bool,
        name: Ident,
        schema: Option<String>,
        column_aliases: Vec<Ident>,
    ) -> Result<SourceId, SqlError> {
        let is_relation = |source: &&Source| matches!(source.kind, SourceKind::Relation(_));
        if self.sources.len() >= SOURCES_MAX || self.sources.iter().filter(is_relation).count() > RELATIONS_MAX {
            return Err(SqlError::TooComplex("it reads from too many tables"));
        }
        self.sources.push(Source {
            kind,
            lateral,
            name,
            schema,
            printed: String::new(),
            column_aliases,
            columns: Vec::new(),
        });
        Ok(self.sources.len() - 1)
    }

    fn function(
        &mut self,
        parts: Vec<Ident>,
        args: Vec<ast::FunctionArg>,
        with_ordinality: bool,
        alias: Alias,
        lateral: bool,
    ) -> Result<SourceId, SqlError> {
        let at = parts.first().map_or_else(At::default, |part| part.at);
        if !self.postgres() {
            return Err(SqlError::not_allowed("a function cannot stand in FROM on SQLite here: use it in SELECT", at));
        }
        let call = self.plain_call(parts, args)?;
        let (name, columns) = match alias {
            Some((name, columns)) => (name, columns),
            None => (Ident { text: call.name.clone(), at }, Vec::new()),
        };
        let mut definitions = Vec::new();
        let mut column_aliases = Vec::new();
        for ast::TableAliasColumnDef { name, data_type } in columns {
            let name = self.ident(name)?;
            match data_type {
                Some(ty) => definitions.push((name.clone(), Type::of(&ty, self.dialect, name.at)?)),
                None => column_aliases.push(name),
            }
        }
        let records = call.schema.is_none() && functions::gives_records(&call.name);
        if records == definitions.is_empty() || (records && (with_ordinality || !column_aliases.is_empty())) {
            let message = format!(
                "`{}` in FROM: a function that returns records needs AS name(column type, …), and no other has it",
                cut(&call.name)
            );
            return Err(SqlError::not_allowed(message, at));
        }
        let kind = SourceKind::Function(Box::new(TableFunction { call, with_ordinality, definitions }));
        self.source(kind, lateral, name, None, column_aliases)
    }
}
