//! One table, one asker: partial evaluation with the row unknown. The only module that calls Cedar's evaluators, since that
//! part of its interface is experimental; the version is pinned and a differential test watches it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use asuser_core::{
    Actor, AttributeValue, ColumnAccess, ColumnIx, Filter, FilterOp, FilterTest, MaskKind, PrincipalData, Table,
};
use cedar_policy::{
    Authorizer, Context, Effect, Entities, Entity, EntityId, EntityTypeName, EntityUid, PartialEntities,
    PartialEntityUid, PartialRequest, Policy, PolicySet, Request, RestrictedExpression, Schema, pst,
};

use crate::names;
use crate::residual::{Mode, Translator};
use crate::rules::{PolicyAction, ServiceDefault, ServiceRules};
use crate::schema::{AttributeSchema, AttributeType};
use crate::text::with_stack;

/// At most this many groups: more would make an evaluation as slow as it is unlikely to be meant.
const GROUPS_MAX: usize = 10_000;
/// At most this many nodes and values in all filters of one table together.
const FILTERS_SIZE_MAX: usize = 20_000;

/// Who asks, through which agent, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) principal: &'a PrincipalData,
    /// None, one, or two that disagree: then both must be allowed.
    pub(crate) actors: &'a [Actor],
    pub(crate) now_ms: i64,
}

/// What an asker may see of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compiled {
    pub(crate) table: Arc<Table>,
    pub(crate) row_filter: Filter,
    pub(crate) access: Vec<ColumnAccess>,
}

impl Compiled {
    /// Whether any row and any column can be seen.
    pub(crate) fn is_reachable(&self) -> bool {
        self.row_filter != Filter::False && self.access.iter().any(|access| *access != ColumnAccess::Denied)
    }
    /// Whether all of it is seen as it is.
    pub(crate) fn is_untouched(&self) -> bool {
        self.row_filter == Filter::True && self.access.iter().all(|access| *access == ColumnAccess::Clear)
    }
}

impl Compiled {
    /// Nodes and values of all its filters, and its columns.
    pub(crate) fn size(&self) -> usize {
        let unmasks = self.access.iter().map(|access| match access {
            ColumnAccess::Masked { unmask, .. } => 1 + size(unmask),
            ColumnAccess::Clear | ColumnAccess::Denied => 1,
        });
        size(&self.row_filter) + unmasks.sum::<usize>()
    }
}

fn size(filter: &Filter) -> usize {
    match filter {
        Filter::True | Filter::False => 1,
        Filter::All(parts) | Filter::Any(parts) => 1 + parts.iter().map(size).sum::<usize>(),
        Filter::Test(FilterTest { op: FilterOp::In(values) | FilterOp::NotIn(values), .. }) => 1 + values.len(),
        Filter::Test(_) => 1,
    }
}

/// What the policies are evaluated with.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) schema: Schema,
    pub(crate) attributes: AttributeSchema,
    /// How deep the deepest policy is.
    pub(crate) levels: usize,
}

/// Why it cannot be decided, for the operator.
pub(crate) type Why = String;

impl World {
    /// What the asker may see of the table. With two actors: what both may.
    pub(crate) fn evaluate(
        &self,
        service: &ServiceRules,
        table: &Arc<Table>,
        asker: Asker<'_>,
    ) -> Result<Compiled, Why> {
        with_stack(self.levels, || self.evaluate_here(service, table, asker))
    }

    fn evaluate_here(&self, service: &ServiceRules, table: &Arc<Table>, asker: Asker<'_>) -> Result<Compiled, Why> {
        let subject = self.subject(asker.principal)?;
        let first = asker.actors.first();
        let mut seen = self.evaluate_for(service, table, &subject, first, asker.now_ms)?;
        for actor in asker.actors.iter().skip(1) {
            let other = self.evaluate_for(service, table, &subject, Some(actor), asker.now_ms)?;
            if other != seen {
                seen = intersect(seen, other);
            }
        }
        if seen.size() > FILTERS_SIZE_MAX {
            return Err(format!("the filters of table `{}` are too large", table.name));
        }
        Ok(seen)
    }

    fn evaluate_for(
        &self,
        service: &ServiceRules,
        table: &Arc<Table>,
        subject: &Subject,
        actor: Option<&Actor>,
        now_ms: i64,
    ) -> Result<Compiled, Why> {
        let permitted = service.default == ServiceDefault::Database;
        let context = context(actor, now_ms, None)?;
        let policies = service.row_policies(table, PolicyAction::Read);
        let row_filter =
            self.filter(service, table, subject, PolicyAction::Read, policies, context.clone(), permitted)?;
        let denied = self.denied_columns(service, table, subject, &context)?;
        let unmasking = service.row_policies(table, PolicyAction::Unmask);

        let mut access = Vec::with_capacity(table.columns.len());
        for (place, column) in table.columns.iter().enumerate() {
            let ix =
                ColumnIx(u16::try_from(place).map_err(|_| format!("table `{}` has too many columns", table.name))?);
            access.push(match service.mask(table, ix) {
                _ if denied.contains(&ix) || service.is_unseen(table, column) => ColumnAccess::Denied,
                None => ColumnAccess::Clear,
                Some(kind) => {
                    let context = self::context(actor, now_ms, Some(column.name.as_str()))?;
                    let policies = unmasking.clone();
                    masked(
                        kind,
                        self.filter(service, table, subject, PolicyAction::Unmask, policies, context, permitted)?,
                    )
                }
            });
        }
        Ok(Compiled { table: Arc::clone(table), row_filter, access })
    }

    /// `(p1 is true or …) and f1 is false and …`; `permitted`: without the first part.
    #[expect(clippy::too_many_arguments, reason = "one call of Cedar, which takes as many")]
    fn filter(
        &self,
        service: &ServiceRules,
        table: &Table,
        subject: &Subject,
        action: PolicyAction,
        policies: Vec<Policy>,
        context: Context,
        permitted: bool,
    ) -> Result<Filter, Why> {
        if policies.is_empty() {
            return Ok(if permitted { Filter::True } else { Filter::False });
        }
        let request = PartialRequest::new(
            PartialEntityUid::from_concrete(subject.uid.clone()),
            action_uid(action)?,
            PartialEntityUid::new(entity_type(&service.row_type(table))?, None),
            Some(context),
            &self.schema,
        );
        let request = request.map_err(why)?;
        let policies = PolicySet::from_policies(policies).map_err(why)?;
        let response = policies.tpe(&request, &subject.partial, &self.schema).map_err(why)?;
        let mut translator = Translator::new(table, service.catalog.database, Mode::Decide);
        let (mut permits, mut forbids) = (Vec::new(), Vec::new());
        for policy in response.policies() {
            let permit = policy.effect() == Effect::Permit;
            let condition = condition_of(&policy)?;
            let rows = translator.rows_where(&condition, permit);
            let rows = rows.map_err(|unsupported| format!("policy `{}`: {}", policy.id(), unsupported.message))?;
            if permit { permits.push(rows) } else { forbids.push(rows) }
        }
        let permits = if permitted { Filter::True } else { Filter::any(permits) };
        Ok(Filter::all([permits].into_iter().chain(forbids)))
    }

    /// The columns that a `forbid` on `read` denies, or might: one that errs denies.
    fn denied_columns(
        &self,
        service: &ServiceRules,
        table: &Table,
        subject: &Subject,
        context: &Context,
    ) -> Result<HashSet<ColumnIx>, Why> {
        let forbids = service.column_forbids();
        if forbids.is_empty() {
            return Ok(HashSet::new());
        }
        let forbids = PolicySet::from_policies(forbids).map_err(why)?;
        let (entities, columns) = column_entities(service, table)?;
        let entities = subject.entities.clone().add_entities(entities, Some(&self.schema)).map_err(why)?;
        let mut denied = HashSet::new();
        for (ix, uid) in columns {
            let action = action_uid(PolicyAction::Read)?;
            let request = Request::new(subject.uid.clone(), action, uid, context.clone(), Some(&self.schema));
            let response = Authorizer::new().is_authorized(&request.map_err(why)?, &forbids, &entities);
            if response.diagnostics().reason().next().is_some() || response.diagnostics().errors().next().is_some() {
                denied.insert(ix);
            }
        }
        Ok(denied)
    }

    fn subject(&self, principal: &PrincipalData) -> Result<Subject, Why> {
        if principal.groups.len() > GROUPS_MAX {
            return Err(format!("the principal has more than {GROUPS_MAX} groups"));
        }
        let uid = uid("User", &names::user_id(&principal.key))?;
        let mut groups = HashSet::new();
        for group in &principal.groups {
            groups.insert(self::uid("Group", group.as_str())?);
        }
        let user = Entity::new(uid.clone(), self.attributes_of(principal)?, groups.clone()).map_err(why)?;
        let entities = groups.into_iter().map(|group| Entity::new_no_attrs(group, HashSet::new())).chain([user]);
        let entities = Entities::from_entities(entities, Some(&self.schema)).map_err(why)?;
        let partial = PartialEntities::from_concrete(entities.clone(), &self.schema).map_err(why)?;
        Ok(Subject { uid, entities, partial })
    }

    /// Empty is absent. A value of another type than the configured one is no attribute that a policy was checked against:
    /// dropping it could switch off a forbid, so nothing is decided.
    fn attributes_of(&self, principal: &PrincipalData) -> Result<HashMap<String, RestrictedExpression>, Why> {
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let built_in = [
            ("login", principal.login.as_ref().map(asuser_core::Login::as_str)),
            ("email", principal.email.as_deref()),
            ("name", principal.name.as_deref()),
            ("issuer", Some(principal.key.issuer.as_str())),
            ("provider", Some(principal.provider.as_str())),
        ];
        let mut attributes: HashMap<_, _> = built_in
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), text(value.filter(|value| !value.is_empty())?))))
            .collect();
        for (name, ty) in &self.attributes {
            let value = match (principal.attributes.get(name), ty) {
                (None, _) => continue,
                (Some(AttributeValue::String(value)), AttributeType::String) if value.is_empty() => continue,
                (Some(AttributeValue::Strings(values)), AttributeType::Strings) if values.is_empty() => continue,
                (Some(AttributeValue::String(value)), AttributeType::String) => text(value),
                (Some(AttributeValue::Long(value)), AttributeType::Long) => RestrictedExpression::new_long(*value),
                (Some(AttributeValue::Bool(value)), AttributeType::Bool) => RestrictedExpression::new_bool(*value),
                (Some(AttributeValue::Strings(values)), AttributeType::Strings) => {
                    RestrictedExpression::new_set(values.iter().map(|value| text(value)))
                }
                (Some(_), _) => {
                    return Err(format!("the attribute `{name}` of the principal has not its configured type"));
                }
            };
            attributes.insert(name.clone(), value);
        }
        Ok(attributes)
    }
}

/// The principal as Cedar sees it.
struct Subject {
    uid: EntityUid,
    entities: Entities,
    partial: PartialEntities,
}

fn masked(kind: MaskKind, unmask: Filter) -> ColumnAccess {
    if unmask == Filter::True { ColumnAccess::Clear } else { ColumnAccess::Masked { kind, unmask } }
}

/// What both show. The mask of a column is declared once, so its kind is the same in both.
fn intersect(one: Compiled, other: Compiled) -> Compiled {
    let access = one.access.into_iter().zip(other.access).map(|pair| match pair {
        (ColumnAccess::Denied, _) | (_, ColumnAccess::Denied) => ColumnAccess::Denied,
        (ColumnAccess::Clear, access) | (access, ColumnAccess::Clear) => access,
        (ColumnAccess::Masked { kind, unmask: a }, ColumnAccess::Masked { unmask: b, .. }) => {
            ColumnAccess::Masked { kind, unmask: Filter::all([a, b]) }
        }
    });
    Compiled { table: one.table, row_filter: Filter::all([one.row_filter, other.row_filter]), access: access.collect() }
}

/// The one condition of a policy that partial evaluation has made.
pub(crate) fn condition_of(policy: &Policy) -> Result<Arc<pst::Expr>, Why> {
    let pst = policy.to_pst().map_err(why)?;
    match pst.body().clauses().as_slice() {
        [pst::Clause::When(condition)] => Ok(Arc::clone(condition)),
        [] => Ok(Arc::new(pst::Expr::Literal(pst::Literal::Bool(true)))),
        _ => Err(format!("policy `{}` has a residual of another form than one condition", policy.id())),
    }
}

fn context(actor: Option<&Actor>, now_ms: i64, column: Option<&str>) -> Result<Context, Why> {
    let assurance = actor.map_or("none", |actor| actor.assurance.as_str());
    let now = format!("datetime(\"1970-01-01\").offset(duration(\"{}s\"))", now_ms.div_euclid(1_000));
    let mut pairs = vec![
        ("actor_assurance".to_owned(), RestrictedExpression::new_string(assurance.to_owned())),
        ("now".to_owned(), now.parse().map_err(why)?),
    ];
    if let Some(actor) = actor {
        pairs.push(("actor".to_owned(), RestrictedExpression::new_string(actor.id.to_string())));
    }
    if let Some(column) = column {
        pairs.push(("column".to_owned(), RestrictedExpression::new_string(column.to_owned())));
    }
    Context::from_pairs(pairs).map_err(why)
}

/// The columns of a table, their table, and which of them is which.
type ColumnEntities = (Vec<Entity>, Vec<(ColumnIx, EntityUid)>);

fn column_entities(service: &ServiceRules, table: &Table) -> Result<ColumnEntities, Why> {
    let of = &service.catalog.service;
    let parent = uid("Table", &names::table_id(of, &table.name))?;
    let mut entities = vec![Entity::new_no_attrs(parent.clone(), HashSet::new())];
    let mut columns = Vec::new();
    for (place, column) in table.columns.iter().enumerate() {
        let ix = ColumnIx(u16::try_from(place).map_err(why)?);
        let uid = self::uid("Column", &names::column_id(of, &table.name, column.name.as_str()))?;
        let attributes = [("name", column.name.as_str()), ("table", table.name.as_str()), ("service", of.as_str())];
        let attributes = attributes
            .map(|(name, value)| (name.to_owned(), RestrictedExpression::new_string(value.to_owned())))
            .into_iter()
            .collect();
        entities.push(Entity::new(uid.clone(), attributes, HashSet::from([parent.clone()])).map_err(why)?);
        columns.push((ix, uid));
    }
    Ok((entities, columns))
}

pub(crate) fn action_uid(action: PolicyAction) -> Result<EntityUid, Why> {
    uid("Action", action.as_str())
}

pub(crate) fn entity_type(name: &str) -> Result<EntityTypeName, Why> {
    name.parse().map_err(why)
}

fn uid(ty: &str, id: &str) -> Result<EntityUid, Why> {
    Ok(EntityUid::from_type_name_and_id(entity_type(ty)?, EntityId::new(id)))
}

fn why(error: impl std::fmt::Display) -> Why {
    error.to_string()
}
