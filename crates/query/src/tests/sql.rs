//! SQL over relations: which stand as they are, which are replaced, which are refused; and aggregates as SQL.

use std::sync::Arc;

use asuser_core::{
    Aggregate, AggregateFunction, AggregateRequest, ArgumentKind, ColumnIx, ColumnName, DatabaseKind, Filter, Order,
    Problem, Reach, ReachedColumns, Reason, Table, TableKind, TableName, ToolArgument, Underlying,
};
use asuser_policy::ServiceDefault;

use super::seal::{World, world_of};
use super::{LIMITS, people, stock};
use crate::{AllowedFunctions, ParameterName, Plan, PlanError, Sql, parse_sql, seal_aggregate, seal_sql, seal_tool};

/// A table of another schema, and views over what is listed, what is not, and what cannot be told.
fn tables() -> Vec<Arc<Table>> {
    let like = |name: &str, kind, reads| Arc::new(Table { name: name.into(), kind, reads, ..(*stock()).clone() });
    let reads = |names: &[&str]| Underlying::Tables(names.iter().map(|name| TableName::from(*name)).collect());
    vec![
        people(),
        stock(),
        like("lab.stock", TableKind::Table, Underlying::Itself),
        like("stock_view", TableKind::View, reads(&["stock"])),
        like("people_view", TableKind::View, reads(&["stock", "people"])),
        like("outside_view", TableKind::View, reads(&["#16400"])),
        like("dark_view", TableKind::View, Underlying::Unknown),
    ]
}

const NARROWS: &str = r#"
forbid (principal, action == Action::"read", resource is db::people) when { resource.id == 7 };
forbid (principal, action == Action::"read", resource == Column::"db.people.secret");
forbid (principal, action == Action::"unmask", resource is db::people);
"#;

fn postgres(policy: &str) -> World {
    world_of(policy, DatabaseKind::Postgres, ServiceDefault::Database, tables())
}

fn sealed(world: &World, text: &str, reach: &Reach) -> Result<Plan<Sql>, Problem> {
    let listing = world.listing();
    let statement = parse_sql(text, listing.database(), &AllowedFunctions::none(), &[])?;
    Ok(seal_sql(listing, statement, None, &LIMITS, reach)?)
}

fn reason(world: &World, text: &str) -> Reason {
    sealed(world, text, &Reach::Everything).unwrap_err().reason
}

#[test]
fn a_relation_stands_as_it_is_only_where_nothing_is_taken_from_it() {
    let world = postgres(NARROWS);
    let plan = sealed(&world, "SELECT p.name, s.count FROM people p, stock s", &Reach::Everything).unwrap();
    let [people, stock] = plan.spec().relations.as_slice() else { panic!() };
    assert!(!people.is_whole && people.row_filter != Filter::True && stock.is_whole);
    // The denied column is none of its columns.
    assert_eq!(people.columns, [0, 1, 2, 3].map(ColumnIx));
    assert_eq!(people.column_name(1).map(ColumnName::as_str), Some("name"));
    // The mask alone is enough, and so is what the database withholds.
    let masks = postgres(r#"forbid (principal, action == Action::"unmask", resource is db::people);"#);
    assert!(!sealed(&masks, "SELECT id FROM people", &Reach::Everything).unwrap().spec().relations[0].is_whole);
    let clear = postgres("");
    assert!(sealed(&clear, "SELECT id FROM people", &Reach::Everything).unwrap().spec().relations[0].is_whole);
    let some = Reach::Tables([("people".into(), ReachedColumns::Some(vec![ColumnIx(0)]))].into());
    let plan = sealed(&clear, "SELECT * FROM people", &some).unwrap();
    assert!(!plan.spec().relations[0].is_whole);
    assert_eq!(plan.spec().output, ["id"]);
    assert_eq!(sealed(&clear, "SELECT name FROM people", &some).unwrap_err().reason, Reason::BadStatement);
    assert_eq!(sealed(&clear, "SELECT count FROM stock", &some).unwrap_err().reason, Reason::BadStatement);
}

#[test]
fn names_mean_the_tables_of_their_schemas() {
    let world = postgres("");
    let table = |text: &str| {
        let plan = sealed(&world, text, &Reach::Everything).unwrap();
        plan.spec().relations[0].table.name.to_string()
    };
    for text in ["SELECT count FROM stock", "SELECT count FROM public.stock", "SELECT count FROM PUBLIC.\"stock\""] {
        assert_eq!(table(text), "stock");
    }
    assert_eq!(table("SELECT count FROM lab.stock"), "lab.stock");
    for text in [
        "SELECT 1 FROM \"lab.stock\"",
        "SELECT 1 FROM \"STOCK\"",
        "SELECT 1 FROM lab.people",
        "SELECT 1 FROM public.\"lab.stock\"",
    ] {
        assert_eq!(reason(&world, text), Reason::BadStatement, "{text}");
    }
    let words = sealed(&world, "SELECT 1 FROM stok", &Reach::Everything).unwrap_err().message;
    assert!(words.contains("did you mean `stock`?"), "{words}");
}

#[test]
fn a_view_over_what_is_narrowed_is_not_for_sql() {
    let all = ["stock_view", "people_view", "outside_view", "dark_view"];
    let open = |world: &World| {
        let ask = |name: &&str| sealed(world, &format!("SELECT count FROM {name}"), &Reach::Everything);
        all.into_iter()
            .filter(|name| match ask(name) {
                Ok(plan) => plan.spec().relations[0].is_whole,
                Err(problem) => {
                    assert_eq!(problem.reason, Reason::NotForSql, "{name}");
                    false
                }
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(open(&postgres("")), all);
    assert_eq!(open(&postgres(NARROWS)), ["stock_view", "outside_view"]);
    // Where nothing is open but what is permitted, what nobody lists is closed.
    let permits = r#"permit (principal, action == Action::"read", resource is db::stock);
        permit (principal, action == Action::"read", resource is db::stock_view);
        permit (principal, action == Action::"read", resource is db::outside_view);
        permit (principal, action == Action::"read", resource is db::dark_view);
        permit (principal, action == Action::"read", resource is db::people_view);"#;
    assert_eq!(open(&world_of(permits, DatabaseKind::Postgres, ServiceDefault::Deny, tables())), ["stock_view"]);
    // SQLite cannot confine a view.
    let sqlite = world_of(permits, DatabaseKind::Sqlite, ServiceDefault::Deny, tables());
    assert_eq!(reason(&sqlite, "SELECT count FROM stock_view"), Reason::NotForSql);
    assert!(sealed(&sqlite, "SELECT COUNT(*) FROM Main.STOCK", &Reach::Everything).is_ok());
}

#[test]
fn the_fingerprint_is_of_the_shape_and_not_of_the_values() {
    let world = postgres("");
    let of = |text: &str| sealed(&world, text, &Reach::Everything).unwrap().fingerprint();
    let one = of("SELECT name FROM people WHERE salary > 5 AND name = 'x'");
    assert_eq!(one, of("select NAME from PEOPLE /* other */ where salary>77 and name='y''z'"));
    assert_ne!(one, of("SELECT name FROM people WHERE salary < 5 AND name = 'x'"));
    assert_ne!(of("SELECT count FROM stock"), of("SELECT count FROM lab.stock"));
}

#[test]
fn keys_are_told_apart() {
    let plan = sealed(&postgres(""), "SELECT id, id AS id_2, id FROM people", &Reach::Everything).unwrap();
    assert_eq!(plan.spec().output, ["id", "id_2", "id_3"]);
    assert_eq!(plan.spec().limit, LIMITS.max_records);
}

#[test]
fn a_tools_arguments_belong_to_its_parameters() {
    let world = postgres("");
    let names = [ParameterName::new("least").unwrap()];
    let listing = world.listing();
    let text = "SELECT name FROM people WHERE salary >= :least";
    let statement = parse_sql(text, listing.database(), &AllowedFunctions::none(), &names).unwrap();
    let argument = ToolArgument { kind: ArgumentKind::Integer, value: Some("48151623".into()) };
    let plan = seal_tool(listing, statement, vec![argument], &LIMITS, &Reach::Everything).unwrap();
    assert_eq!(plan.spec().statement.parameters(), [0]);
    assert!(!format!("{plan:?} {:?}", plan.spec().arguments).contains("48151623"));
    // What is submitted has no parameters.
    let problem = sealed(&world, text, &Reach::Everything).unwrap_err();
    assert!(matches!(problem.reason, Reason::BadStatement | Reason::StatementNotAllowed), "{problem}");
}

fn aggregate(world: &World, request: &AggregateRequest) -> Result<Plan<Sql>, PlanError> {
    seal_aggregate(world.listing(), request, &LIMITS, &Reach::Everything)
}

fn by_name() -> AggregateRequest {
    let sum = Aggregate { function: AggregateFunction::Sum, column: Some("salary".into()), name: "pay".into() };
    AggregateRequest {
        table: "people".into(),
        group: vec!["name".into()],
        aggregates: vec![sum],
        condition: None,
        order: vec![Order { column: "pay".into(), descending: true, nulls_first: None }],
        limit: Some(5),
    }
}

#[test]
fn aggregates_are_of_what_the_caller_sees() {
    let world = postgres(NARROWS);
    let plan = aggregate(&world, &by_name()).unwrap();
    assert_eq!(plan.spec().output, ["name", "pay"]);
    assert_eq!((plan.spec().limit, plan.spec().relations[0].is_whole), (5, false));
    assert_eq!(plan.spec().statement.columns_used(0), [1, 3]);
    // The condition stands in the relation, so it is not the whole table.
    let mut filtered =
        AggregateRequest { table: "stock".into(), group: vec!["region".into()], order: Vec::new(), ..by_name() };
    filtered.aggregates = vec![Aggregate { function: AggregateFunction::Count, column: None, name: "n".into() }];
    assert!(aggregate(&world, &filtered).unwrap().spec().relations[0].is_whole);
    filtered.condition =
        crate::dialect::parse_read("stock", None, &[("filter".into(), "count > 3".into())]).unwrap().condition;
    let plan = aggregate(&world, &filtered).unwrap();
    assert!(!plan.spec().relations[0].is_whole && plan.spec().relations[0].condition.is_some());
}

#[test]
fn an_aggregate_that_does_not_fit_is_refused() {
    let world = postgres(NARROWS);
    let refused = |change: &dyn Fn(&mut AggregateRequest)| {
        let mut request = by_name();
        change(&mut request);
        Problem::from(aggregate(&world, &request).unwrap_err()).reason
    };
    let with = |function, column: Option<&str>, name: &str| Aggregate {
        function,
        column: column.map(Into::into),
        name: name.into(),
    };
    assert_eq!(refused(&|request| request.table = "nothing".into()), Reason::NoSuchTable);
    assert_eq!(refused(&|request| request.group = vec!["secret".into()]), Reason::ColumnDenied);
    assert_eq!(refused(&|request| request.group = vec!["nam".into()]), Reason::NoSuchColumn);
    assert_eq!(
        refused(&|request| request.aggregates = vec![with(AggregateFunction::Max, Some("secret"), "s")]),
        Reason::ColumnDenied
    );
    assert_eq!(
        refused(&|request| request.aggregates = vec![with(AggregateFunction::Sum, Some("name"), "s")]),
        Reason::BadValue
    );
    assert_eq!(
        refused(&|request| request.aggregates = vec![with(AggregateFunction::Sum, None, "s")]),
        Reason::BadParameter
    );
    assert_eq!(refused(&|request| request.aggregates[0].name = "name".into()), Reason::BadParameter);
    assert_eq!(refused(&|request| request.order[0].column = "id".into()), Reason::BadParameter);
    assert_eq!(
        refused(&|request| (request.group, request.aggregates) = (Vec::new(), Vec::new())),
        Reason::BadParameter
    );
    assert_eq!(refused(&|request| request.group = vec!["name".into(); 17]), Reason::TooComplex);
}
