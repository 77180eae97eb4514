//! The policies of one service, each with what its scope says, and its masks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use asuser_core::{Catalog, Column, ColumnIx, ColumnName, MaskKind, Table, TableName};
use cedar_policy::pst::{self, ActionConstraint, EntityOrSlot, EntityUID, ResourceConstraint};
use cedar_policy::{Effect, Policy};

use crate::names;

/// What holds where no policy says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceDefault {
    /// Nothing is open but what a permit opens. Always so where the database has no users of its own.
    Deny,
    /// All that the database gives is open, and only `forbid` narrows it.
    Database,
}

/// An action of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PolicyAction {
    Read,
    Unmask,
}

impl PolicyAction {
    pub(crate) const ALL: [Self; 2] = [Self::Read, Self::Unmask];
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Unmask => "unmask",
        }
    }
}

/// What the scope of a policy says of the resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Nothing: the rows of every table of the service, and its columns.
    Any,
    /// The rows of the table whose type this is.
    Rows(String),
    /// Some `Column` entities.
    Columns,
    /// Something that is no resource of the schema, or one row by an id that rows do not have.
    Other(String),
}

/// One policy.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) policy: Policy,
    pub(crate) scope: Scope,
    actions: ActionConstraint,
}

impl Rule {
    pub(crate) fn new(policy: Policy, body: &pst::Template) -> Self {
        Self { scope: scope_of(&body.resource), actions: body.action.clone(), policy }
    }
    pub(crate) fn is_permit(&self) -> bool {
        self.policy.effect() == Effect::Permit
    }
    pub(crate) fn covers(&self, action: PolicyAction) -> bool {
        let names = |uid: &EntityUID| uid.ty.to_string() == "Action" && uid.eid == action.as_str();
        match &self.actions {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(uid) => names(uid),
            ActionConstraint::In(uids) => uids.iter().any(names),
        }
    }
    pub(crate) fn names_an_action(&self) -> bool {
        self.actions != ActionConstraint::Any
    }
    pub(crate) fn concerns_rows_of(&self, row_type: &str) -> bool {
        match &self.scope {
            Scope::Any => true,
            Scope::Rows(name) => name == row_type,
            Scope::Columns | Scope::Other(_) => false,
        }
    }
    fn concerns_columns(&self) -> bool {
        matches!(self.scope, Scope::Any | Scope::Columns)
    }
}

fn scope_of(resource: &ResourceConstraint) -> Scope {
    let of_type = |name: String| if name == "Column" { Scope::Columns } else { Scope::Rows(name) };
    match resource {
        ResourceConstraint::Any => Scope::Any,
        ResourceConstraint::Is(ty) => of_type(ty.to_string()),
        ResourceConstraint::IsIn(ty, _) if ty.to_string() == "Column" => Scope::Columns,
        ResourceConstraint::Eq(EntityOrSlot::Entity(uid)) if uid.ty.to_string() == "Column" => Scope::Columns,
        ResourceConstraint::In(EntityOrSlot::Entity(uid)) if matches!(&*uid.ty.to_string(), "Column" | "Table") => {
            Scope::Columns
        }
        other => Scope::Other(other.to_string()),
    }
}

/// What holds for one service.
#[derive(Debug)]
pub(crate) struct ServiceRules {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) default: ServiceDefault,
    pub(crate) rules: Vec<Rule>,
    pub(crate) masks: BTreeMap<TableName, BTreeMap<ColumnIx, MaskKind>>,
    /// Columns that came after the policies were looked at: closed to everybody.
    pub(crate) unseen: BTreeSet<(TableName, ColumnName)>,
}

impl ServiceRules {
    pub(crate) fn row_type(&self, table: &Table) -> String {
        names::row_type(&self.catalog.service, &table.name)
    }
    /// The policies that may concern rows of the table.
    pub(crate) fn row_policies(&self, table: &Table, action: PolicyAction) -> Vec<Policy> {
        let row_type = self.row_type(table);
        let concerns = |rule: &&Rule| rule.covers(action) && rule.concerns_rows_of(&row_type);
        self.rules.iter().filter(concerns).map(|rule| rule.policy.clone()).collect()
    }
    /// The `forbid`s that may concern columns; a `permit` adds nothing, since columns are readable unless forbidden.
    pub(crate) fn column_forbids(&self) -> Vec<Policy> {
        let concerns = |rule: &&Rule| !rule.is_permit() && rule.covers(PolicyAction::Read) && rule.concerns_columns();
        self.rules.iter().filter(concerns).map(|rule| rule.policy.clone()).collect()
    }
    pub(crate) fn is_unseen(&self, table: &Table, column: &Column) -> bool {
        !self.unseen.is_empty() && self.unseen.contains(&(table.name.clone(), column.name.clone()))
    }
    pub(crate) fn mask(&self, table: &Table, column: ColumnIx) -> Option<MaskKind> {
        self.masks.get(&table.name)?.get(&column).copied()
    }
}
