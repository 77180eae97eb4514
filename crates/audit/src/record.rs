//! What of a request goes into its record: names and digests, never a value. Personal facts stand apart, so that they can be erased.

use std::collections::HashSet;

use asuser_audit_log::{Field, Kind, Leaf, LeafActor, MaskedColumn, Personal};
use asuser_core::{
    Actor, ColumnAccess, ColumnIx, Condition, DatabaseIdentity, Digest, Filter, PrincipalKey, Problem, ReadSpec,
};
use asuser_query::{Listing, Plan, Read, Sql};
use sha2::Digest as _;

use crate::entry::{RequestFacts, VersionDigests};

/// What of a plan goes into the record.
#[derive(Debug, Clone, Default)]
pub struct PlanFacts {
    tables: Vec<String>,
    columns: Vec<String>,
    used: Vec<String>,
    masks: Vec<MaskedColumn>,
    statement: Option<Digest>,
}

/// A plan whose facts can be recorded: every kind of plan there is.
pub trait Recorded {
    /// Names and digests.
    fn facts(&self) -> PlanFacts;
}

impl Recorded for Plan<Read> {
    fn facts(&self) -> PlanFacts {
        PlanFacts::of_read(self)
    }
}

impl Recorded for Plan<Sql> {
    fn facts(&self) -> PlanFacts {
        PlanFacts::of_sql(self)
    }
}

impl Recorded for Plan<Listing> {
    fn facts(&self) -> PlanFacts {
        PlanFacts { statement: Some(self.fingerprint()), ..PlanFacts::default() }
    }
}

impl PlanFacts {
    /// Columns are `table.column` here, since a statement may name several tables. A column that is used may be shown, too.
    fn of_sql(plan: &Plan<Sql>) -> Self {
        let spec = plan.spec();
        let mut facts = Self { statement: Some(plan.fingerprint()), ..Self::default() };
        facts.columns = spec.output.clone();
        for (at, relation) in spec.relations.iter().enumerate() {
            let table = relation.table.name.as_str();
            if !facts.tables.iter().any(|known| known == table) {
                facts.tables.push(table.to_owned());
            }
            let mut touched: Vec<ColumnIx> = spec
                .statement
                .columns_used(at)
                .iter()
                .filter_map(|seen| relation.columns.get(*seen).copied())
                .collect();
            if let Some(condition) = &relation.condition {
                tested(condition, &mut touched);
            }
            for ix in once_each(touched) {
                let Some(column) = relation.table.column(ix) else { continue };
                let name = format!("{table}.{}", column.name);
                if let Some(ColumnAccess::Masked { kind, unmask }) = relation.access.get(usize::from(ix.0))
                    && *unmask != Filter::True
                {
                    facts.masks.push(MaskedColumn { column: name.clone(), mask: kind.as_str().to_owned() });
                }
                facts.used.push(name);
            }
        }
        facts
    }

    fn of_read(plan: &Plan<Read>) -> Self {
        let spec = plan.spec();
        let name = |ix: &ColumnIx| spec.table.column(*ix).map(|column| column.name.to_string());
        let masked = |ix: &ColumnIx| match spec.access.get(usize::from(ix.0)) {
            Some(ColumnAccess::Masked { kind, unmask }) if *unmask != Filter::True => {
                Some(MaskedColumn { column: name(ix)?, mask: kind.as_str().to_owned() })
            }
            _ => None,
        };
        let used = used(spec);
        let mut touched: Vec<ColumnIx> = spec.output.iter().map(|output| output.column).collect();
        touched.extend(&used);
        Self {
            tables: vec![spec.table.name.to_string()],
            columns: spec.output.iter().map(|output| output.name.clone()).collect(),
            used: used.iter().filter_map(name).collect(),
            masks: once_each(touched).iter().filter_map(masked).collect(),
            statement: Some(plan.fingerprint()),
        }
    }
}

/// The columns that the caller's key, condition and order look at. Neither the policy's, nor those that only break ties.
fn used(spec: &ReadSpec) -> Vec<ColumnIx> {
    let mut columns = Vec::new();
    if let Some(condition) = &spec.condition {
        tested(condition, &mut columns);
    }
    columns.extend(spec.order.iter().take(spec.order_asked).map(|term| term.column));
    once_each(columns)
}

fn tested(condition: &Condition<ColumnIx>, columns: &mut Vec<ColumnIx>) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => parts.iter().for_each(|part| tested(part, columns)),
        Condition::Not(part) => tested(part, columns),
        Condition::Xor(left, right) => {
            tested(left, columns);
            tested(right, columns);
        }
        Condition::Test(test) => columns.push(test.column),
    }
}

/// Where it first stands.
fn once_each(columns: Vec<ColumnIx>) -> Vec<ColumnIx> {
    let mut seen = HashSet::new();
    columns.into_iter().filter(|column| seen.insert(*column)).collect()
}

/// What is known of a request so far.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) facts: RequestFacts,
    pub(crate) digests: VersionDigests,
    pub(crate) catalogue: Option<Digest>,
    pub(crate) service: Option<String>,
    pub(crate) action: Option<&'static str>,
    pub(crate) actors: Vec<Actor>,
    /// A signature vouched for this principal, though the request was refused.
    pub(crate) established: Option<PrincipalKey>,
    /// What was about to run.
    pub(crate) plan: Option<PlanFacts>,
}

impl Known {
    /// The leaf of a request that was answered with data.
    pub(crate) fn released(&self, leaf: Leaf, rows: u64, database: Option<&DatabaseIdentity>, body: &[u8]) -> Leaf {
        Leaf {
            // Where no database was asked there are no rows to count.
            rows: database.map(|_| rows),
            bytes: Some(body.len() as u64),
            body: Some(Digest(sha2::Sha256::digest(body).into())),
            run_as: database.map(|database| database.mode.to_owned()),
            status: Some(200),
            ..self.common(leaf, self.plan.as_ref())
        }
    }
    /// The leaf of a long answer that begins.
    pub(crate) fn intended(&self, leaf: Leaf) -> Leaf {
        self.common(leaf, self.plan.as_ref())
    }
    /// The leaf of a long answer that has ended, or was broken off.
    pub(crate) fn ended(
        &self,
        leaf: Leaf,
        database: Option<&DatabaseIdentity>,
        status: u16,
        problem: Option<&Problem>,
    ) -> Leaf {
        Leaf {
            run_as: database.map(|database| database.mode.to_owned()),
            status: Some(status),
            reason: problem.map(|problem| problem.reason.code().to_owned()),
            ..self.common(leaf, self.plan.as_ref())
        }
    }
    /// The leaf of a request that was refused, or failed after it was sealed.
    pub(crate) fn refused(&self, leaf: Leaf, problem: &Problem) -> Leaf {
        let alone = leaf.kind != Kind::Outcome;
        Leaf {
            kind: if alone && self.plan.is_none() { Kind::Refused } else { leaf.kind },
            reason: Some(problem.reason.code().to_owned()),
            status: Some(problem.reason.status()),
            ..self.common(leaf, self.plan.as_ref())
        }
    }
    fn common(&self, leaf: Leaf, plan: Option<&PlanFacts>) -> Leaf {
        let plan = plan.cloned().unwrap_or_default();
        Leaf {
            policy: Some(self.digests.policy),
            config: Some(self.digests.config),
            catalogue: self.catalogue,
            service: self.service.clone(),
            action: self.action.map(str::to_owned),
            route: Some(self.facts.route.to_owned()),
            request_id: Some(self.facts.request_id.to_string()),
            actor: self.actor(),
            tables: plan.tables,
            columns: plan.columns,
            used: plan.used,
            masks: plan.masks,
            statement: plan.statement,
            ..leaf
        }
    }
    /// The actor, with those whose authority is asked besides (the token's client, the key's agent) at the head of its chain.
    fn actor(&self) -> Option<LeafActor> {
        let (first, others) = self.actors.split_first()?;
        let besides = others.iter().map(|actor| format!("{} (by {})", actor.id, actor.assurance.as_str()));
        Some(LeafActor {
            id: first.id.to_string(),
            assurance: first.assurance,
            chain: besides.chain(first.chain.iter().map(ToString::to_string)).collect(),
        })
    }
    /// The personal part. Who a verified caller is stands in their `who` record.
    pub(crate) fn personal(&self, database: Option<&DatabaseIdentity>) -> Personal {
        let established = self.established.as_ref();
        Personal::none()
            .with_some(Field::Issuer, established.map(|key| key.issuer.as_str()))
            .with_some(Field::Subject, established.map(|key| key.subject.as_str()))
            .with(Field::Address, self.facts.source.to_string())
            .with_some(Field::DatabaseUser, database.and_then(|database| database.user.as_deref()))
    }
}
