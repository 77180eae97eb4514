//! From a token to a sealed plan, with a real issuer and real policies.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{SystemTime, UNIX_EPOCH};

use asuser_core::{
    Catalog, ColumnIx, DatabaseKind, Digest, Filter, MaskKind, Problem, Reach, ReachedColumns, ReadRequest, Reason,
    Secret, ServiceName, Table,
};
use asuser_delegation::{Agents, Delegation};
use asuser_identity::{Credential, Identities, Verified};
use asuser_policy::{
    Decision, ListingDecision, Policies, PolicyFile, PolicyFolder, PolicySources, ServiceDefault, ServiceSource,
};
use asuser_testkit::issuer::TestIssuer;

use super::{LIMITS, notes, people, request, stock};
use crate::{Plan, PlanError, Read, seal_description, seal_read, seal_tables};

const POLICY: &str = r#"
permit (principal, action == Action::"read", resource is db::people)
when { context has actor && context.actor == "sales-copilot" };
permit (principal, action == Action::"read", resource is db::stock);
forbid (principal, action == Action::"read", resource == Column::"db.people.secret");
"#;

pub(super) struct World {
    policies: Policies,
    verified: Arc<Verified>,
    delegation: Arc<Delegation>,
    now_ms: i64,
}

fn world(policy: &str) -> World {
    world_of(policy, DatabaseKind::Sqlite, ServiceDefault::Deny, [people(), stock(), notes()])
}

pub(super) fn world_of(
    policy: &str,
    database: DatabaseKind,
    default: ServiceDefault,
    tables: impl IntoIterator<Item = Arc<Table>>,
) -> World {
    let tables: BTreeMap<_, Arc<Table>> = tables.into_iter().map(|table| (table.name.clone(), table)).collect();
    let home_schema = Some(if database == DatabaseKind::Postgres { "public" } else { "main" }.to_owned());
    let catalog = Catalog { service: "db".into(), database, home_schema, version: Digest([1; 32]), tables };
    let folder = PolicyFolder {
        policies: vec![PolicyFile { name: "policies/db/all.cedar".into(), text: policy.into() }],
        masks: Some(PolicyFile { name: "policies/db/masks.toml".into(), text: "[people]\nemail = \"email\"\n".into() }),
    };
    let sources = PolicySources { folders: [("db".to_owned(), folder)].into() };
    let service = ServiceSource { catalog: Arc::new(catalog), default };
    let policies = Policies::load(&sources, &[service], &BTreeMap::new()).expect("the policies load");

    let issuer = TestIssuer::new("https://issuer.example.com", "https://data.example.com");
    let no_secret = |_: &str| Err("none".to_owned());
    let identities = Identities::new(&[issuer.config("test")], Path::new("."), &no_secret).expect("the issuer loads");
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("past 1970");
    let now_ms = i64::try_from(since.as_millis()).expect("a sane clock");
    let credential = Credential::Bearer(Secret::new(issuer.token_for("john")));
    let verified = at_once(identities.verify(&credential, now_ms)).expect("an honest token");
    let delegation = Arc::new(Agents::default().resolve(&verified, None).expect("a delegation"));
    World { policies, verified, delegation, now_ms }
}

/// The provider holds its keys, so its verdict is there at the first asking.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing to wait for"),
    }
}

impl World {
    fn decide(&self, table: &str) -> Decision {
        let service = ServiceName::from("db");
        self.policies
            .decide_read(&self.verified, &self.delegation, &service, table, self.now_ms)
            .expect("the table is open")
    }
    pub(super) fn listing(&self) -> ListingDecision {
        let service = ServiceName::from("db");
        self.policies
            .decide_listing(&self.verified, &self.delegation, &service, self.now_ms)
            .expect("something is open")
    }
    fn seal(&self, asked: &ReadRequest) -> Result<Plan<Read>, PlanError> {
        seal_read(self.decide(&asked.table), asked, &LIMITS, &Reach::Everything)
    }
}

#[test]
fn a_plan_holds_its_decision_and_what_follows_from_it() {
    let world = world(POLICY);
    let plan = world.seal(&request(&people(), None, &[("filter", "salary > 5")])).expect("sealed");
    assert_eq!(plan.decision().verified().data().login.as_ref().map(|login| login.as_str()), Some("john"));
    assert_eq!(plan.decision().service().as_str(), "db");
    assert_eq!(plan.spec().table.name.as_str(), "people");
    assert_eq!(plan.spec().row_filter, *plan.decision().row_filter());
    assert_eq!(plan.spec().access, plan.decision().access());
    let names: Vec<&str> = plan.spec().output.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["id", "name", "email", "salary"]);
    let masked = asuser_core::ColumnAccess::Masked { kind: MaskKind::Email, unmask: Filter::False };
    assert_eq!(plan.spec().access[2], masked);
    assert!(!plan.single_record() && !plan.as_list());
    let one = world.seal(&request(&people(), Some("7"), &[])).expect("sealed");
    assert!(one.single_record());
}

#[test]
fn the_database_s_own_word_narrows_and_never_widens() {
    let world = world(POLICY);
    let reach = |columns: ReachedColumns| Reach::Tables([("people".into(), columns)].into());
    let seal = |asked: &ReadRequest, reach: &Reach| seal_read(world.decide(&asked.table), asked, &LIMITS, reach);
    let asked = request(&people(), None, &[]);
    let some = reach(ReachedColumns::Some(vec![ColumnIx(0), ColumnIx(2), ColumnIx(3), ColumnIx(4), ColumnIx(5)]));
    let plan = seal(&asked, &some).expect("sealed");
    let names: Vec<&str> = plan.spec().output.iter().map(|output| output.name.as_str()).collect();
    // `name` is the database's to give, `secret` the policy's.
    assert_eq!(names, ["id", "email", "salary"]);
    let named =
        seal(&request(&people(), None, &[("fields", "name")]), &some).expect_err("the database does not give it");
    assert_eq!(Problem::from(named).reason, Reason::ColumnDenied);
    assert!(seal(&request(&people(), None, &[("fields", "name")]), &reach(ReachedColumns::All)).is_ok());

    for nothing in [Reach::Tables([].into()), reach(ReachedColumns::Some(Vec::new()))] {
        assert_eq!(Problem::from(seal(&asked, &nothing).expect_err("none")).reason, Reason::NoSuchTable);
        assert!(seal_description(world.listing(), "people", &nothing).is_err());
        let listed = serde_json::to_value(seal_tables(world.listing(), true, &nothing).listing()).unwrap();
        assert_eq!(listed, serde_json::json!({ "resource": [] }));
    }
    let listed = serde_json::to_value(seal_tables(world.listing(), true, &some).listing()).unwrap();
    assert_eq!(listed, serde_json::json!({ "resource": ["people"] }));
}

#[test]
fn policy_s_refusals_reach_the_plan() {
    let world = world(POLICY);
    let refused = |parameters: &[(&str, &str)]| {
        world.seal(&request(&people(), None, parameters)).map(|_| ()).map_err(|error| Problem::from(error).reason)
    };
    assert_eq!(refused(&[("fields", "secret")]), Err(Reason::ColumnDenied));
    assert_eq!(refused(&[("fields", "email")]), Ok(()));
}

#[test]
fn a_decision_on_one_table_seals_nothing_about_another() {
    let world = world(POLICY);
    let about_people = request(&people(), None, &[]);
    let crossed = seal_read(world.decide("stock"), &about_people, &LIMITS, &Reach::Everything);
    assert!(matches!(crossed, Err(PlanError::Inconsistent { .. })));
    assert_eq!(Problem::from(crossed.expect_err("refused")).reason, Reason::Internal);
    assert!(seal_read(world.decide("people"), &about_people, &LIMITS, &Reach::Everything).is_ok());
}

#[test]
fn a_fingerprint_is_of_the_shape_and_never_of_a_value() {
    let world = world(POLICY);
    let print =
        |parameters: &[(&str, &str)]| world.seal(&request(&people(), None, parameters)).expect("sealed").fingerprint();
    let base = print(&[("filter", "name = 'a' AND id IN (1,2)"), ("limit", "5")]);
    assert_eq!(base, print(&[("filter", "name = 'zzz' AND id IN (3)"), ("limit", "9"), ("offset", "3")]));
    assert_eq!(base, print(&[("filter", "(name EQ :n) && [id] in (:n)"), ("params", r#"{"n":7}"#)]));
    let others = [
        print(&[]),
        print(&[("filter", "name = 'a' OR id IN (1,2)")]),
        print(&[("filter", "name != 'a' AND id IN (1,2)")]),
        print(&[("filter", "email = 'a' AND id IN (1,2)")]),
        print(&[("filter", "NOT (name = 'a' AND id IN (1,2))")]),
        print(&[("filter", "name = 'a' XOR id IN (1,2)")]),
        print(&[("filter", "name = 'a' AND id IN (1,2)"), ("fields", "id")]),
        print(&[("filter", "name = 'a' AND id IN (1,2)"), ("fields", "name,id")]),
        print(&[("filter", "name = 'a' AND id IN (1,2)"), ("order", "name")]),
        print(&[("filter", "name = 'a' AND id IN (1,2)"), ("order", "name desc")]),
        print(&[("filter", "name = 'a' AND id IN (1,2)"), ("order", "name nulls first")]),
        print(&[("filter", "name = 'a' AND id IN (1,2)"), ("include_count", "1")]),
        print(&[("filter", "name = 'a' AND id IN (1,2)"), ("as_list", "1")]),
    ];
    for (n, one) in others.iter().enumerate() {
        assert_ne!(*one, base, "{n}");
        assert!(others[..n].iter().all(|other| other != one), "{n}");
    }
}

#[test]
fn a_plan_prints_neither_values_nor_people() {
    let world = world(POLICY);
    let plan = world.seal(&request(&people(), None, &[("filter", "name = 'hunter2'")])).expect("sealed");
    let shown = format!("{plan:?}");
    assert!(
        shown.starts_with("Plan { fingerprint: ") && !shown.contains("hunter2") && !shown.contains("john"),
        "{shown}"
    );
}

#[test]
fn a_listing_holds_the_reachable_tables_and_no_other() {
    let world = world(POLICY);
    let names = seal_tables(world.listing(), true, &Reach::Everything);
    assert_eq!(serde_json::to_string(names.listing()).expect("JSON"), r#"{"resource":["people","stock"]}"#);
    assert_eq!(names.decision().service().as_str(), "db");
    let described = seal_description(world.listing(), "people", &Reach::Everything).expect("reachable");
    let body = serde_json::to_string(described.listing()).expect("JSON");
    assert!(
        body.contains(r#""name":"email""#) && body.contains(r#""mask":"email""#) && !body.contains("secret"),
        "{body}"
    );
    assert_ne!(names.fingerprint(), described.fingerprint());
    for unreachable in ["notes", "PEOPLE", "nix"] {
        let problem = Problem::from(
            seal_description(world.listing(), unreachable, &Reach::Everything).expect_err("not reachable"),
        );
        assert_eq!(problem.reason, Reason::NoSuchTable);
        assert_eq!(problem.message, format!("there is no table `{unreachable}` in `db` that you can reach"));
    }
}
