//! What a policy's text says that Cedar's validator would let pass, or say worse: names of columns, attributes and entities,
//! and what each folder and default allows.

use std::sync::Arc;

use asuser_core::{Catalog, Table, TableName};
use cedar_policy::pst::{self, BinaryOp, Clause, EntityOrSlot, EntityUID, Expr, Literal, ResourceConstraint, Var};

use crate::compare::{comparable, refusal};
use crate::error::{LoadError, did_you_mean};
use crate::names;
use crate::residual::row_attribute;
use crate::rules::{PolicyAction, Rule, Scope, ServiceDefault};
use crate::schema::{ALWAYS, AttributeSchema, BUILT_IN, COLUMN_ATTRIBUTES, CONTEXT};
use crate::text::Piece;

/// What a policy is checked against.
pub(crate) struct Checker<'a> {
    pub(crate) file: &'a str,
    /// The service of the folder, or all of them.
    pub(crate) catalogs: &'a [&'a Catalog],
    /// The default of the folder's service; `None` in the folder of all.
    pub(crate) default: Option<ServiceDefault>,
    pub(crate) attributes: &'a AttributeSchema,
}

impl Checker<'_> {
    /// All that is wrong with the policy.
    pub(crate) fn check(&self, piece: &Piece<'_>, rule: &Rule, body: &pst::Template) -> Vec<LoadError> {
        let mut errors = Vec::new();
        self.permit(piece, rule, &mut errors);
        self.scope(piece, rule, &body.resource, &mut errors);
        for clause in body.clauses() {
            let (Clause::When(expr) | Clause::Unless(expr)) = clause;
            self.names_in(expr, piece, rule, &mut errors);
        }
        errors.sort();
        errors.dedup();
        errors
    }

    fn permit(&self, piece: &Piece<'_>, rule: &Rule, errors: &mut Vec<LoadError>) {
        if !rule.is_permit() {
            return;
        }
        let error = |message: &str, suggestion: &str| self.error(piece.line(), message).suggest(suggestion);
        match self.default {
            None => errors.push(error(
                "the folder `all` may hold only forbid",
                "move the permit into the folder of the service that it opens",
            )),
            Some(ServiceDefault::Database) => errors.push(error(
                "a permit would open nothing: this service has default = \"database\", which only forbid narrows",
                "write it as a forbid with the opposite condition, or set default = \"deny\" for the service",
            )),
            Some(ServiceDefault::Deny) if rule.scope == Scope::Columns => errors.push(error(
                "a permit on columns does nothing: columns are readable unless forbidden",
                "remove it, or forbid the columns that are not to be read; to lift a mask, permit `unmask` on the table's rows",
            )),
            Some(ServiceDefault::Deny) => {}
        }
    }

    fn scope(&self, piece: &Piece<'_>, rule: &Rule, resource: &ResourceConstraint, errors: &mut Vec<LoadError>) {
        match (&rule.scope, resource) {
            (Scope::Rows(row_type), _) => errors.extend(self.row_type(row_type, piece)),
            (
                Scope::Columns,
                ResourceConstraint::Eq(at) | ResourceConstraint::In(at) | ResourceConstraint::IsIn(_, at),
            ) => {
                if let EntityOrSlot::Entity(uid) = at {
                    errors.extend(self.entity(uid, piece));
                }
            }
            (
                Scope::Other(text),
                ResourceConstraint::Eq(EntityOrSlot::Entity(uid)) | ResourceConstraint::In(EntityOrSlot::Entity(uid)),
            ) if !is_own_type(&uid.ty.to_string()) => {
                let row_type = uid.ty.to_string();
                let no_ids = || self.no_row_ids(text, &row_type, piece);
                errors.push(self.row_type(&row_type, piece).unwrap_or_else(no_ids));
            }
            (Scope::Other(text), _) => errors.push(self.no_resource(text, piece)),
            (Scope::Any | Scope::Columns, _) => {}
        }
    }

    fn no_resource(&self, text: &str, piece: &Piece<'_>) -> LoadError {
        self.error(piece.line(), format!("`resource {text}` names no resource"))
            .suggest("write `resource is db::orders`, or `resource == Column::\"db.orders.amount\"`, for example")
    }

    fn no_row_ids(&self, text: &str, row_type: &str, piece: &Piece<'_>) -> LoadError {
        self.error(piece.line(), format!("`resource {text}` names one row, but rows have no ids here"))
            .suggest(format!("write `resource is {row_type}` and compare the key column in a condition"))
    }

    /// The error, if it is no table of this folder.
    fn row_type(&self, row_type: &str, piece: &Piece<'_>) -> Option<LoadError> {
        let mut known = Vec::new();
        for catalog in self.catalogs {
            known.extend(catalog.tables.keys().map(|table| names::row_type(&catalog.service, table)));
        }
        if known.iter().any(|name| name == row_type) {
            return None;
        }
        let word = row_type.rsplit("::").next().unwrap_or(row_type);
        let error = self.error(piece.line_of(word), format!("`{row_type}` is no table {}", self.of_where()));
        Some(error.suggest_if(did_you_mean(row_type, known.iter().map(String::as_str))))
    }

    fn of_where(&self) -> String {
        match (self.default, self.catalogs) {
            (Some(_), [catalog]) => format!("of `{}`, which this folder is about", catalog.service),
            _ => "of any service".to_owned(),
        }
    }

    /// The error, if it names a table or column that does not exist.
    fn entity(&self, uid: &EntityUID, piece: &Piece<'_>) -> Option<LoadError> {
        let ty = uid.ty.to_string();
        let mut known = Vec::new();
        for catalog in self.catalogs {
            for table in catalog.tables.values() {
                match ty.as_str() {
                    "Table" => known.push(names::table_id(&catalog.service, &table.name)),
                    "Column" => known.extend(
                        table.columns.iter().map(|c| names::column_id(&catalog.service, &table.name, c.name.as_str())),
                    ),
                    _ => return None,
                }
            }
        }
        if known.iter().any(|id| *id == uid.eid) {
            return None;
        }
        let kind = ty.to_lowercase();
        let error = self.error(piece.line_of(&uid.eid), format!("`{}` is no {kind} {}", uid.eid, self.of_where()));
        Some(error.suggest_if(did_you_mean(&uid.eid, known.iter().map(String::as_str))))
    }

    fn names_in(&self, expr: &Expr, piece: &Piece<'_>, rule: &Rule, errors: &mut Vec<LoadError>) {
        let found = expr.reduce(
            &|e| {
                let here = self.name(e, piece, rule);
                (!here.is_empty()).then_some(here)
            },
            &|mut a, b| {
                a.extend(b);
                a
            },
            Vec::new(),
        );
        errors.extend(found);
    }

    fn name(&self, expr: &Expr, piece: &Piece<'_>, rule: &Rule) -> Vec<LoadError> {
        let (of, attr) = match expr {
            Expr::Literal(Literal::EntityUID(uid)) => return self.entity(uid, piece).into_iter().collect(),
            Expr::Is { entity_type, .. } => {
                let ty = entity_type.to_string();
                return if is_own_type(&ty) { Vec::new() } else { self.row_type(&ty, piece).into_iter().collect() };
            }
            Expr::BinaryOp { op: BinaryOp::In, left: of, .. }
            | Expr::GetAttr { expr: of, .. }
            | Expr::HasAttr { expr: of, .. }
                if matches!(**of, Expr::Literal(Literal::EntityUID(_))) =>
            {
                let error = self.error(piece.line(), format!("nothing is known of `{of}`, only of who asks"));
                return vec![error.suggest("ask it of `principal`")];
            }
            Expr::GetAttr { expr, attr } => (&**expr, attr.as_str()),
            Expr::HasAttr { expr, attrs } => (&**expr, attrs.head.as_str()),
            _ => return Vec::new(),
        };
        let error = match of {
            Expr::Var(Var::Principal) => {
                let known = || self.attributes.keys().map(String::as_str).chain(BUILT_IN).chain(ALWAYS);
                self.unknown("principals have no attribute", attr, known().collect(), piece).map(|error| {
                    let fix = "map a claim to it in the configuration, or correct its name";
                    if error.suggestion.is_some() { error } else { error.suggest(fix) }
                })
            }
            Expr::Var(Var::Context) if attr == "column" && rule.covers(PolicyAction::Read) => Some(
                self.error(piece.line_of(attr), "`context.column` is there for the action `unmask` only")
                    .suggest("write `action == Action::\"unmask\"` in the scope"),
            ),
            Expr::Var(Var::Context) => self.unknown("the context has no field", attr, CONTEXT.to_vec(), piece),
            Expr::Var(Var::Resource) => self.column(expr, attr, piece, rule),
            _ => None,
        };
        error.into_iter().collect()
    }

    fn unknown(&self, what: &str, name: &str, known: Vec<&str>, piece: &Piece<'_>) -> Option<LoadError> {
        if known.contains(&name) {
            return None;
        }
        let error = self.error(piece.line_of(name), format!("{what} `{name}`"));
        Some(error.suggest_if(did_you_mean(name, known)))
    }

    /// A column of the row: where the scope names one table, all is known of it; else only that no table has it.
    fn column(&self, expr: &Expr, name: &str, piece: &Piece<'_>, rule: &Rule) -> Option<LoadError> {
        let known_to_columns = COLUMN_ATTRIBUTES.contains(&name);
        let mut tables = Vec::new();
        for catalog in self.catalogs {
            let of = |table: &TableName| rule.concerns_rows_of(&names::row_type(&catalog.service, table));
            tables.extend(catalog.tables.values().filter(|table| of(&table.name)).map(|table| (catalog, table)));
        }
        match (&rule.scope, tables.as_slice()) {
            (Scope::Columns, _) => {
                let error = self.unknown("columns have no attribute", name, COLUMN_ATTRIBUTES.to_vec(), piece)?;
                Some(error.suggest(
                    "a column is open or not for all rows alike: conditions on it see only its name, table and service",
                ))
            }
            (Scope::Rows(_), [(catalog, table)]) => {
                let columns = || table.columns.iter().map(|column| column.name.as_str());
                let missing = format!("the table `{}` has no column", table.name);
                let Some(column) = table.columns.iter().find(|column| column.name.as_str() == name) else {
                    return self.unknown(&missing, name, columns().collect(), piece);
                };
                row_attribute(expr)?;
                let no = comparable(catalog.database, column).err()?;
                Some(self.error(piece.line_of(name), refusal(table, column, no.why)).suggest(no.advice))
            }
            (Scope::Any, _) if !known_to_columns => {
                let columns = || tables.iter().flat_map(|(_, table)| table.columns.iter()).map(|c| c.name.as_str());
                self.unknown("no table here has a column", name, columns().collect(), piece).or_else(|| {
                    row_attribute(expr)?;
                    self.never_comparable(name, &tables, piece)
                })
            }
            _ => None,
        }
    }

    /// The refusal, if the column compares in none of the tables that have it.
    fn never_comparable(
        &self,
        name: &str,
        tables: &[(&&Catalog, &Arc<Table>)],
        piece: &Piece<'_>,
    ) -> Option<LoadError> {
        let mut refused = None;
        for (catalog, table) in tables {
            for column in table.columns.iter().filter(|column| column.name.as_str() == name) {
                let no = comparable(catalog.database, column).err()?;
                refused.get_or_insert_with(|| (refusal(table, column, no.why), no.advice));
            }
        }
        refused.map(|(message, advice)| self.error(piece.line_of(name), message).suggest(advice))
    }

    fn error(&self, line: u32, message: impl Into<String>) -> LoadError {
        LoadError::new(self.file, line, message)
    }
}

/// A type of the schema that is no table.
fn is_own_type(name: &str) -> bool {
    matches!(name, "User" | "Group" | "Agent" | "Table" | "Column")
}
