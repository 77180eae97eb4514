//! What typical conditions become, for a principal who has some attributes and not others.

use asuser_core::{FilterOp, Operand, Value};
use cedar_policy::pst::{BinaryOp, Expr, Var};

use super::*;
use crate::residual::{Mode, Translator};

/// john, login `john`, of `regions` eu and us, without a team.
fn john() -> PrincipalData {
    let regions = AttributeValue::Strings(vec!["eu".into(), "us".into()]);
    with(with(person("john", &["sales"]), "regions", regions), "clearance", AttributeValue::Long(3))
}

fn filter_of(text: &str, table: &str) -> String {
    let policies = load(&[("db", text)]);
    match read(&policies, &john(), "db", table) {
        Ok(compiled) => show(&compiled.row_filter, &compiled.table),
        Err(error) => error.to_string(),
    }
}

/// On a table whose every value has its type, so that nothing errs but a NULL.
fn firm(condition: &str) -> String {
    filter_of(&format!("permit(principal, action, resource is db::customers) when {{ {condition} }};"), "customers")
}

/// On a table that takes values of any type.
fn loose(condition: &str) -> String {
    filter_of(&format!("permit(principal, action, resource is db::orders) when {{ {condition} }};"), "orders")
}

/// The same, as what a forbid leaves.
fn forbidden(condition: &str) -> String {
    let text = format!(
        "permit(principal, action, resource is db::orders); forbid(principal, action, resource is db::orders) when {{ {condition} }};"
    );
    filter_of(&text, "orders")
}

#[test]
fn single_tests() {
    let cases = [
        ("resource.owner == \"x\"", "owner = \"x\""),
        ("principal has login && resource.owner == principal.login", "owner = \"john\""),
        ("principal has login && principal.login != resource.owner", "owner <> \"john\""),
        ("resource.amount > 5", "amount > 5"),
        ("5 > resource.amount", "amount < 5"),
        ("5 >= resource.amount", "amount <= 5"),
        ("!(resource.amount < -9223372036854775808)", "amount >= -9223372036854775808"),
        ("resource.amount <= resource.id", "amount <= id"),
        ("resource.paid", "paid = true"),
        ("!resource.paid", "paid = false"),
        ("resource.paid == false", "paid = false"),
        ("resource.owner like \"*50%_\\*x**\"", "owner like * \"50%_*x\" *"),
        ("!(resource.owner like \"\")", "owner not like "),
        ("[\"b\", \"a\", \"b\"].contains(resource.owner)", "owner in [\"a\",\"b\"]"),
        ("![1].contains(resource.amount)", "amount not in [1]"),
        ("principal has regions && principal.regions.contains(resource.owner)", "owner in [\"eu\",\"us\"]"),
        ("principal has clearance && resource.amount < principal.clearance * 100", "amount < 300"),
        ("resource.amount < (if principal has clearance then principal.clearance else 0)", "amount < 3"),
        ("resource has price", "price is not null"),
        ("!(resource has photo)", "photo is null"),
    ];
    for (condition, expected) in cases {
        assert_eq!(loose(condition), expected, "{condition}");
    }
}

#[test]
fn an_error_on_the_left_counts_and_on_the_right_only_where_it_is_reached() {
    // Any value may be of another type: `||` is true if the left is, or if the left is false, without error, and the right true.
    assert_eq!(
        loose("resource.owner == \"x\" || resource.amount == 1"),
        "(owner = \"x\" or (owner <> \"x\" and amount = 1))"
    );
    // The key is certain to be a number.
    assert_eq!(loose("resource.id == 7 || resource.amount == 1"), "(id = 7 or amount = 1)");
    assert_eq!(loose("resource.owner == \"x\" && resource.amount == 1"), "(owner = \"x\" and amount = 1)");
    assert_eq!(firm("resource.name == \"x\" || resource.id == 1"), "(name = \"x\" or id = 1)");
    assert_eq!(forbidden("resource.owner == \"x\""), "owner <> \"x\"");
    assert_eq!(
        forbidden("resource.owner == \"x\" && resource.amount == 1"),
        "(owner <> \"x\" or (owner = \"x\" and amount <> 1))"
    );
    assert_eq!(forbidden("resource.owner == \"x\" || resource.amount == 1"), "(owner <> \"x\" and amount <> 1)");
    // Decided, but only if it is reached without error.
    assert_eq!(
        forbidden("resource.owner == \"x\" && principal in Group::\"bosses\""),
        "(owner <> \"x\" or owner = \"x\")"
    );
    assert_eq!(loose("resource.owner == \"x\" || true"), "(owner = \"x\" or owner <> \"x\")");
}

#[test]
fn null_is_neither_true_nor_false() {
    assert_eq!(firm("resource has email && resource.email == \"x\""), "(email is not null and email = \"x\")");
    assert_eq!(firm("!(resource has email && resource.email == \"x\")"), "(email is null or email <> \"x\")");
    assert_eq!(
        forbidden("resource has region && resource.region == \"secret\""),
        "(region is null or region <> \"secret\")"
    );
    assert_eq!(
        firm("if resource has email then resource.email like \"*@a.b\" else resource.id > 5"),
        "((email is not null and email like * \"@a.b\") or (email is null and id > 5))"
    );
}

#[test]
fn what_the_principal_lacks_gives_nothing_and_what_errs_denies() {
    let nothing = "there is no table `orders` in `db` that you can reach";
    assert_eq!(loose("principal has team && resource.owner == principal.team"), nothing);
    assert_eq!(loose("principal in Group::\"interns\""), nothing);
    assert_eq!(loose("principal in Group::\"sales\""), "true");
    // An overflow errs: a permit is void, a forbid denies.
    let overflow = "principal has clearance && principal.clearance * 9223372036854775807 > 0";
    assert_eq!(loose(overflow), nothing);
    assert_eq!(forbidden(overflow), nothing);
    assert_eq!(loose(&format!("resource.id == 1 || ({overflow})")), "id = 1");
    assert_eq!(forbidden(&format!("resource.id == 1 && ({overflow})")), "id <> 1");
    assert_eq!(forbidden(&format!("resource.id == 1 || ({overflow})")), nothing);
}

#[test]
fn several_policies() {
    let text = "permit(principal in Group::\"sales\", action, resource is db::orders)\
                  when { principal has login && resource.owner == principal.login };\
                permit(principal, action, resource is db::orders) when { resource.paid };\
                forbid(principal, action, resource is db::orders) when { resource.amount > 100 }\
                  unless { principal in Group::\"bosses\" };";
    let both = "((owner = \"john\" or paid = true) and amount <= 100)";
    let swapped = "((paid = true or owner = \"john\") and amount <= 100)";
    let found = filter_of(text, "orders");
    assert!(found == both || found == swapped, "{found}");
    assert_eq!(filter_of(text, "customers"), "there is no table `customers` in `db` that you can reach");
}

#[test]
fn a_set_without_values_still_needs_a_value_of_the_type() {
    let (name, table) = table("t", &["a text"]);
    let column = Expr::GetAttr { expr: Expr::Var(Var::Resource).into(), attr: "a".into() };
    let contains = Expr::BinaryOp { op: BinaryOp::Contains, left: Expr::Set(Vec::new()).into(), right: column.into() };
    let mut translator = Translator::new(&table, DatabaseKind::Sqlite, Mode::Decide);
    assert_eq!(translator.rows_where(&contains, true), Ok(Filter::False), "{name}");
    assert_eq!(translator.rows_where(&contains, false), Ok(Filter::test(ColumnIx(0), FilterOp::WellTyped)));
}

#[test]
fn what_is_not_in_the_list_is_never_a_filter() {
    let (_, table) = table("t", &["a text", "n int"]);
    let column = |name: &str| Expr::GetAttr { expr: Expr::Var(Var::Resource).into(), attr: name.into() };
    let text = || Expr::Literal(cedar_policy::pst::Literal::String("x".into()));
    let wrong = [
        Expr::Var(Var::Resource),
        Expr::Var(Var::Principal),
        Expr::GetAttr { expr: Expr::Var(Var::Principal).into(), attr: "a".into() },
        Expr::Unknown { name: "x".into() },
        Expr::Record(BTreeMap::new()),
        column("missing"),
        column("a"),
        Expr::BinaryOp { op: BinaryOp::Eq, left: column("n").into(), right: text().into() },
        Expr::BinaryOp { op: BinaryOp::Eq, left: text().into(), right: text().into() },
        Expr::BinaryOp { op: BinaryOp::Less, left: column("a").into(), right: column("n").into() },
        Expr::BinaryOp { op: BinaryOp::GetTag, left: column("a").into(), right: text().into() },
    ];
    for expr in wrong {
        for wanted in [true, false] {
            let mut translator = Translator::new(&table, DatabaseKind::Sqlite, Mode::Decide);
            assert!(translator.rows_where(&expr, wanted).is_err(), "{expr:?}");
            let mut translator = Translator::new(&table, DatabaseKind::Postgres, Mode::Decide);
            assert!(translator.rows_where(&expr, wanted).is_err(), "{expr:?}");
        }
    }
    let right = Expr::BinaryOp { op: BinaryOp::Eq, left: column("a").into(), right: text().into() };
    let mut translator = Translator::new(&table, DatabaseKind::Sqlite, Mode::Decide);
    let expected = Filter::test(ColumnIx(0), FilterOp::Eq(Operand::Value(Value::Text("x".into()))));
    assert_eq!(translator.rows_where(&right, true), Ok(expected));
}

/// Cedar's type checker recurses deeper than a thread's usual stack bears, at a decision too.
#[test]
fn a_long_condition_is_decided() {
    let long: Vec<_> = (0..120).map(|n| format!("resource.id == {n}")).collect();
    let expected: Vec<_> = (0..120).map(|n| format!("id = {n}")).collect();
    assert_eq!(loose(&long.join(" || ")), format!("({})", expected.join(" or ")));
}

#[test]
fn a_filter_that_outgrows_its_limit_is_undecidable() {
    let text = "permit(principal, action, resource is db::orders) when { principal has regions && principal.regions.contains(resource.owner) };";
    let policies = load(&[("db", text)]);
    let of = |count: usize| {
        let regions = (0..count).map(|n| format!("r{n}")).collect();
        read(&policies, &with(person("john", &[]), "regions", AttributeValue::Strings(regions)), "db", "orders")
            .map(|_| ())
    };
    assert_eq!(of(1_000), Ok(()));
    assert!(matches!(of(2_000), Err(PolicyError::Undecidable { .. })));
}
