//! What a read of a relation reaches, walked over `pg_depend`. In: the edges that `reach.sql` found. Out: for each relation the
//! functions that a read may run, whether its rows depend on signed claims alone, and whether another server holds some of them.
//!
//! A function whose body is a text may call anything: it stands for that itself. Functions of `pg_catalog` and the genuine
//! `asuser.claims()` are not listed.

use std::collections::{BTreeSet, HashMap, HashSet};

use asuser_postgres::Row;

use crate::PostgresError;

/// Beyond it the database is not one that a person wrote.
const EDGES_MAX: usize = 500_000;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Class {
    Relation,
    /// A view's query.
    Rule,
    /// A policy that applies to SELECT.
    Policy,
    /// The expression of a virtual generated column.
    Default,
    Function,
    Operator,
    Type,
    /// A domain's.
    Check,
    /// A table that is read with its parent.
    Heir,
    /// A type whose cast to json is used.
    Json,
}

type Node = (Class, u32);

/// What is known of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Label {
    /// A relation's or heir's `relkind`; a function's `schema.name(arguments)`.
    text: String,
    /// A relation has row security; a function is the genuine `asuser.claims()`.
    mark: bool,
}

/// The objects that reads reach.
#[derive(Debug, Default)]
pub(super) struct Graph {
    next: HashMap<Node, Vec<Node>>,
    labels: HashMap<Node, Label>,
}

/// What a read of one relation reaches.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reach {
    /// Sorted.
    pub(super) functions: Vec<String>,
    /// It runs what may set or lock something for the whole session.
    pub(super) leaves_state: bool,
    /// Only signed claims decide which rows there are.
    pub(super) signed: bool,
    /// Conditions may be sent to another server, which compares in its own way.
    pub(super) remote: bool,
    /// The relations behind it, without what its policies look into. Sorted.
    pub(super) relations: Vec<u32>,
    /// A function of somebody's own computes its rows, and may read anything.
    pub(super) opaque: bool,
}

/// What a walk came by.
#[derive(Default)]
struct Walk {
    functions: BTreeSet<String>,
    relations: Vec<Node>,
    sets: bool,
    remote: bool,
}

impl Graph {
    pub(super) fn of(rows: &[Row]) -> Result<Self, PostgresError> {
        if rows.len() > EDGES_MAX {
            let words = format!("views and policies of the schemas depend on more than {EDGES_MAX} things");
            return Err(PostgresError::Options(words));
        }
        let mut graph = Self::default();
        for row in rows {
            let target = node(row, 2)?;
            if let Some(text) = row.get(4) {
                let label = Label { text: text.to_owned(), mark: row.get(5) == Some("t") };
                graph.labels.insert(target, label);
            }
            if row.get(0) != Some("service") {
                graph.next.entry(node(row, 0)?).or_default().push(target);
            }
        }
        Ok(graph)
    }

    /// What a read of the relation with this oid reaches.
    pub(super) fn reach(&self, oid: u32) -> Reach {
        let start = (Class::Relation, oid);
        let whole = self.walk(start, true);
        let own = self.walk(start, false);
        let signed = match self.kind(start) {
            "r" | "p" => self.is_signed_table(start, &whole),
            "v" => self.is_signed_view(&own),
            _ => false,
        };
        let leaves_state = whole.sets || !whole.functions.is_empty();
        let mut relations: Vec<u32> = own.relations.iter().map(|node| node.1).filter(|id| *id != oid).collect();
        relations.sort_unstable();
        Reach {
            functions: whole.functions.into_iter().collect(),
            leaves_state,
            signed,
            remote: own.remote,
            relations,
            opaque: !own.functions.is_empty(),
        }
    }

    fn walk(&self, start: Node, through_policies: bool) -> Walk {
        let mut walk = Walk::default();
        let mut seen = HashSet::from([start]);
        let mut ahead = vec![start];
        while let Some(node) = ahead.pop() {
            let label = self.labels.get(&node);
            match (node.0, label) {
                (Class::Function, Some(function)) if function.mark => continue,
                (Class::Function, Some(function)) => {
                    walk.functions.insert(function.text.clone());
                }
                // Without a name: one of the server's own, of those that `reach.sql` looks for.
                (Class::Function, None) => walk.sets = true,
                (Class::Relation | Class::Heir, Some(relation)) => {
                    walk.remote |= relation.text == "f";
                    if node.0 == Class::Relation {
                        walk.relations.push(node);
                    }
                }
                _ => {}
            }
            for next in self.next.get(&node).into_iter().flatten() {
                let runs = match next.0 {
                    Class::Policy => through_policies,
                    // Only the relation that is asked for becomes JSON.
                    Class::Json => node == start || node.0 == Class::Json,
                    _ => true,
                };
                if runs && seen.insert(*next) {
                    ahead.push(*next);
                }
            }
        }
        walk
    }

    /// Row security is on, every policy asks for the signed claims, and so does every protected table that the policies look into.
    fn is_signed_table(&self, table: Node, whole: &Walk) -> bool {
        let protected = |node: &Node| self.labels.get(node).is_some_and(|relation| relation.mark);
        let with_signature = |node: &Node| {
            let mut policies = self.next.get(node).into_iter().flatten().filter(|next| next.0 == Class::Policy);
            policies.all(|policy| self.asks_for_claims(*policy))
        };
        protected(&table) && whole.relations.iter().all(|node| !protected(node) || with_signature(node))
    }

    /// Everything that the view takes its rows from is a signed table; nothing else has a say.
    fn is_signed_view(&self, own: &Walk) -> bool {
        let mut sources = own.relations.iter().filter(|node| self.kind(**node) != "v").peekable();
        own.functions.is_empty()
            && sources.peek().is_some()
            && sources.all(|node| {
                matches!(self.kind(*node), "r" | "p") && self.is_signed_table(*node, &self.walk(*node, true))
            })
    }

    fn asks_for_claims(&self, policy: Node) -> bool {
        let is_claims =
            |node: &Node| node.0 == Class::Function && self.labels.get(node).is_some_and(|label| label.mark);
        self.next.get(&policy).is_some_and(|next| next.iter().any(is_claims))
    }

    fn kind(&self, relation: Node) -> &str {
        self.labels.get(&relation).map_or("", |label| label.text.as_str())
    }
}

/// The node that two columns of a row name.
fn node(row: &Row, at: usize) -> Result<Node, PostgresError> {
    let class = match row.get(at) {
        Some("relation") => Class::Relation,
        Some("rule") => Class::Rule,
        Some("policy") => Class::Policy,
        Some("default") => Class::Default,
        Some("function") => Class::Function,
        Some("operator") => Class::Operator,
        Some("type") => Class::Type,
        Some("check") => Class::Check,
        Some("heir") => Class::Heir,
        Some("json") => Class::Json,
        _ => {
            return Err(PostgresError::Internal(
                "the catalogue's dependencies are not of the expected form".to_owned(),
            ));
        }
    };
    let oid = row.get(at + 1).and_then(|oid| oid.parse().ok());
    oid.map(|oid| (class, oid))
        .ok_or_else(|| PostgresError::Internal("the catalogue's dependencies hold no number".to_owned()))
}
