//! Every load error, in the words that the author of a policy reads, and a twin that loads.

use super::*;

/// The errors of these files, the closed list of shapes and the advice on columns written as `LIST` and `ADVICE`.
fn errors(files: &[(&str, &str)]) -> Vec<String> {
    let list = "a row condition compares columns with ==, !=, <, <=, >, >=, like and set.contains(resource.column), decimals with \
                lessThan and its kin, tests columns with has, and joins such tests with &&, ||, ! and if";
    let shorten = |text: String| {
        text.replace(list, "LIST")
            .replace(crate::compare::advice(DatabaseKind::Sqlite), "ADVICE")
            .replace("policies/db/p.cedar", "P")
    };
    match try_load(files) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(|error| shorten(error.to_string())).collect(),
    }
}

/// A condition on orders that does not load, and why.
fn refused(condition: &str, expected: &str) {
    let text =
        format!("permit(principal, action == Action::\"read\", resource is db::orders)\nwhen {{ {condition} }};");
    assert_eq!(errors(&[("db", &text)]), [expected], "{condition}");
}

fn loads(files: &[(&str, &str)]) {
    assert_eq!(errors(files), [] as [&str; 0], "{files:?}");
}

fn condition_loads(condition: &str) {
    loads(&[(
        "db",
        &format!("permit(principal, action == Action::\"read\", resource is db::orders) when {{ {condition} }};"),
    )]);
}

#[test]
fn columns_that_do_not_exist_or_do_not_compare() {
    refused("resource.ownr == \"x\"", "P:2: the table `orders` has no column `ownr` (did you mean `owner`?)");
    refused("resource has ownr", "P:2: the table `orders` has no column `ownr` (did you mean `owner`?)");
    refused("resource.zzz == \"x\"", "P:2: the table `orders` has no column `zzz`");
    let why = [
        ("resource.price == 5", "`price` of `orders` is REAL: floating point cannot be compared in a row condition"),
        (
            "resource.total.lessThan(decimal(\"1.0\"))",
            "`total` of `orders` is DECIMAL(10,2): SQLite keeps decimals as floating point, which cannot be compared in a row condition",
        ),
        (
            "resource.placed == datetime(\"2026-01-01\")",
            "`placed` of `orders` is TIMESTAMP: SQLite has no type for points in time, so they cannot be compared in a row condition",
        ),
        (
            "resource.day == 1",
            "`day` of `orders` is DATE: SQLite has no type for dates, so they cannot be compared in a row condition",
        ),
        (
            "resource.photo == resource.photo",
            "`photo` of `orders` is BLOB: bytes cannot be compared in a row condition",
        ),
        (
            "resource.extra == 1",
            "`extra` of `orders` is untyped: a type that is not text, integer or boolean cannot be compared in a row condition",
        ),
        (
            "resource.label == \"x\"",
            "`label` of `orders` is TEXT: its collation does not compare by code point, so a row condition could match other spellings",
        ),
    ];
    for (condition, why) in why {
        refused(condition, &format!("P:2: column {why} (ADVICE)"));
    }
    condition_loads("resource.owner == \"x\" && resource has price && resource has photo");
    condition_loads("resource has region && resource.region like \"e*\"");
}

#[test]
fn whatever_cannot_become_a_row_filter() {
    let cannot = [
        ("resource.amount + 1 > 5", "arithmetic on a column"),
        ("-resource.amount > 5", "arithmetic on a column"),
        ("(if resource.paid then resource.owner else \"x\") == \"x\"", "`if` that chooses a value"),
        ("[resource.owner].contains(\"x\")", "`contains` on a set that is made of columns"),
        ("[\"x\"].containsAny([resource.owner])", "`containsAll` or `containsAny` on a column"),
        ("[\"x\"].containsAll([resource.owner])", "`containsAll` or `containsAny` on a column"),
        ("(resource.owner == \"x\") == true", "a comparison of anything but columns and plain values"),
        ("resource == resource", "a comparison of anything but columns and plain values"),
    ];
    for (condition, what) in cannot {
        let line = format!("P:1: {what} cannot become a row filter (LIST)");
        refused(condition, &line);
    }
    condition_loads(
        "[1, 2].contains(resource.amount) && (if resource.paid then resource.owner == \"x\" else resource.amount > 5)",
    );

    // Deeper than a thread's stack would bear without a look at it, and filters that would outgrow their limit.
    let any: Vec<_> = (0..120).map(|n| format!("resource.amount == {n}")).collect();
    condition_loads(&any.join(" || "));
    condition_loads(&format!("{}resource.paid{}", "(".repeat(300), ")".repeat(300)));
    let fold = |levels: i64| {
        (0..levels).fold("resource.owner == \"x\"".to_owned(), |text, n| {
            let (join, op) = if n % 2 == 0 { ("||", "==") } else { ("&&", "!=") };
            format!("({text} {join} resource.amount {op} {n})")
        })
    };
    condition_loads(&fold(8));
    refused(&fold(60), "P:1: the row filter is too large (split the policy, or compare with smaller sets)");
    refused(&fold(200), "P:1: the policy has more than 400 operators and nested brackets: split it");
    let nots = (0..120).fold("resource.paid".to_owned(), |text, _| format!("!({text})"));
    refused(&nots, "P:1: the condition is nested too deeply (split the policy)");
}

#[test]
fn names_of_principals_and_context() {
    refused(
        "principal has login && principal.logn == resource.owner",
        "P:2: principals have no attribute `logn` (did you mean `login`?)",
    );
    refused("principal has loginn", "P:2: principals have no attribute `loginn` (did you mean `login`?)");
    refused(
        "principal has shoe_size",
        "P:2: principals have no attribute `shoe_size` (map a claim to it in the configuration, or correct its name)",
    );
    refused("context has actr", "P:2: the context has no field `actr` (did you mean `actor`?)");
    refused(
        "context.column == \"x\"",
        "P:2: `context.column` is there for the action `unmask` only (write `action == Action::\"unmask\"` in the scope)",
    );
    condition_loads(
        "principal has login && principal.login == resource.owner && context has actor && context.actor == \"a\"",
    );
    loads(&[(
        "db",
        "permit(principal, action == Action::\"unmask\", resource is db::orders) when { context.column == \"owner\" };",
    )]);
}

#[test]
fn what_strict_validation_refuses() {
    refused(
        "resource.region == \"x\"",
        "P:2: unable to guarantee safety of access to optional attribute `region` on entity type `db::orders` \
         (try testing for the attribute's presence with `resource has region && ..`)",
    );
    refused(
        "resource.owner == principal.login",
        "P:2: unable to guarantee safety of access to optional attribute `login` on entity type `User` \
         (try testing for the attribute's presence with `principal has login && ..`)",
    );
    refused(
        "resource.owner == 5",
        "P:2: the types Long and String are not compatible \
         (both operands to a `==` expression must have compatible types. Types must be exactly equal to be compatible)",
    );
    refused("resource.owner < \"x\"", "P:2: unexpected type: expected datetime, or duration, or Long but saw String");
    refused("resource.amount", "P:2: unexpected type: expected Bool but saw Long");
    condition_loads("resource has region && resource.region == \"x\"");
    condition_loads("resource.paid");
}

#[test]
fn scopes() {
    let read = |resource: &str| format!("permit(principal, action == Action::\"read\", {resource});");
    let forbid = |resource: &str| format!("forbid(principal, action == Action::\"read\", {resource});");
    let cases = [
        (
            read("resource is db::order"),
            "P:1: `db::order` is no table of `db`, which this folder is about (did you mean `db::orders`?)",
        ),
        (read("resource is crm::contacts"), "P:1: `crm::contacts` is no table of `db`, which this folder is about"),
        (
            read("resource == db::orders::\"1\""),
            "P:1: `resource == db::orders::\"1\"` names one row, but rows have no ids here \
             (write `resource is db::orders` and compare the key column in a condition)",
        ),
        (
            read("resource == Table::\"db.orders\""),
            "P:1: `resource == Table::\"db.orders\"` names no resource \
             (write `resource is db::orders`, or `resource == Column::\"db.orders.amount\"`, for example)",
        ),
        (
            read("resource is db::orders in Table::\"db.orders\""),
            "P:1: `resource is db::orders in Table::\"db.orders\"` names no resource \
             (write `resource is db::orders`, or `resource == Column::\"db.orders.amount\"`, for example)",
        ),
        (read("resource is Table"), "P:1: `Table` is no table of `db`, which this folder is about"),
        (
            forbid("resource == Column::\"db.employees.salry\""),
            "P:1: `db.employees.salry` is no column of `db`, which this folder is about (did you mean `db.employees.salary`?)",
        ),
        (
            forbid("resource == Column::\"crm.contacts.owner\""),
            "P:1: `crm.contacts.owner` is no column of `db`, which this folder is about",
        ),
        (
            forbid("resource in Table::\"db.employes\""),
            "P:1: `db.employes` is no table of `db`, which this folder is about (did you mean `db.employees`?)",
        ),
        (
            "permit(principal, action == Action::\"raed\", resource);".to_owned(),
            "P:1: unrecognized action `Action::\"raed\"` (did you mean `Action::\"read\"`?)",
        ),
        (
            "permit(principal in Grup::\"x\", action, resource);".to_owned(),
            "P:1: unrecognized entity type `Grup` (did you mean `Group`?)",
        ),
        (
            "permit(principal, action, resource) when { resource is db::ordrs };".to_owned(),
            "P:1: `db::ordrs` is no table of `db`, which this folder is about (did you mean `db::orders`?)",
        ),
        (
            "permit(principal, action, resource) when { resource.owner == \"x\" };".to_owned(),
            "P:1: a condition on a column needs a scope that names its table (write `resource is db::orders`, for example)",
        ),
        (
            "permit(principal, action, resource) when { resource.onwer == \"x\" };".to_owned(),
            "P:1: no table here has a column `onwer` (did you mean `owner`?)",
        ),
        (
            "permit(principal, action, resource) when { resource is db::orders && resource.price == 1 };".to_owned(),
            "P:1: column `price` of `orders` is REAL: floating point cannot be compared in a row condition (ADVICE)",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(errors(&[("db", &text)]), [expected], "{text}");
    }
    for text in [
        read("resource is db::orders"),
        read("resource"),
        read("resource is db::quoted_order_20_items").replace(");", ") when { resource[\"unit price\"] == 1 };"),
        forbid("resource == Column::\"db.employees.salary\""),
        forbid("resource in Table::\"db.employees\"").replace(");", ") when { resource.name == \"salary\" };"),
        forbid("resource is Column").replace(");", ") when { resource.name like \"*_secret\" };"),
        "permit(principal, action, resource) when { resource is db::orders && resource.owner == \"x\" };".to_owned(),
    ] {
        loads(&[("db", &text)]);
    }
}

#[test]
fn columns_are_open_unless_forbidden_and_alike_for_all_rows() {
    let permit = "P:1: a permit on columns does nothing: columns are readable unless forbidden (remove it, or forbid the columns \
                  that are not to be read; to lift a mask, permit `unmask` on the table's rows)";
    for resource in
        ["resource == Column::\"db.employees.salary\"", "resource in Table::\"db.employees\"", "resource is Column"]
    {
        let text = format!("permit(principal, action == Action::\"read\", {resource});");
        assert_eq!(errors(&[("db", &text)]), [permit]);
    }
    let text = "forbid(principal, action == Action::\"read\", resource == Column::\"db.employees.salary\") when { resource.salary > 5 };";
    assert_eq!(
        errors(&[("db", text)]),
        ["P:1: columns have no attribute `salary` \
          (a column is open or not for all rows alike: conditions on it see only its name, table and service)"]
    );
    let text = "forbid(principal, action == Action::\"unmask\", resource == Column::\"db.employees.salary\");";
    assert_eq!(
        errors(&[("db", text)]),
        ["P:1: this policy can never apply to anything (correct its scope and conditions, or remove it)"]
    );
}

#[test]
fn folders_and_defaults() {
    assert_eq!(
        errors(&[("all", "permit(principal, action, resource);")]),
        ["policies/all/p.cedar:1: the folder `all` may hold only forbid \
          (move the permit into the folder of the service that it opens)"]
    );
    assert_eq!(
        errors(&[("all", "forbid(principal, action, resource is db::ordrs);")]),
        ["policies/all/p.cedar:1: `db::ordrs` is no table of any service (did you mean `db::orders`?)"]
    );
    loads(&[("all", "forbid(principal, action, resource is db::orders) when { resource.owner == \"x\" };")]);
    for action in ["action", "action == Action::\"unmask\""] {
        let text = format!("\npermit(principal, {action}, resource is pg::accounts);");
        assert_eq!(
            errors(&[("pg", &text)]),
            [
                "policies/pg/p.cedar:2: a permit would open nothing: this service has default = \"database\", which only forbid \
              narrows (write it as a forbid with the opposite condition, or set default = \"deny\" for the service)"
            ]
        );
    }
    loads(&[("pg", "forbid(principal, action, resource is pg::accounts) unless { principal in Group::\"bank\" };")]);
    loads(&[("pg", "forbid(principal, action, resource is pg::accounts) when { resource.owner == \"x\" };")]);
    assert_eq!(errors(&[("dbb", "")]), ["dbb: the folder `dbb` belongs to no service (did you mean `db`?)"]);
    assert_eq!(
        errors(&[("nowhere", "")]),
        ["nowhere: the folder `nowhere` belongs to no service (name it like a service, or `all`)"]
    );
}

#[test]
fn syntax() {
    let cases = [
        ("permit(principal, action, resource is db::orders", "P:1: unexpected end of input"),
        (
            "permit(principal, action, resource is db::orders)\nwhen { resource.owner = \"x\" };",
            "P:2: '=' is not a valid operator in Cedar (try using '==' instead)",
        ),
        (
            "permit(principal == ?principal, action, resource);",
            "P:1: expected a static policy, got a template containing the slot ?principal \
             (try removing the template slot(s) from this policy)",
        ),
        (
            "// c\npermit(principal, action, resource) when { \"x };",
            "P:2: invalid token (try checking that all strings are closed properly)",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(errors(&[("db", text)]), [expected], "{text}");
    }
    let two = "permit(principal, action, resource is db::orders) when { resource.ownr == 1 };\n\n\
               permit(principal, action, resource is db::orders) when {\n resource.amnt == 1 };";
    assert_eq!(
        errors(&[("db", two), ("crm", "forbid(")]),
        [
            "policies/crm/p.cedar:1: unexpected end of input",
            "P:1: the table `orders` has no column `ownr` (did you mean `owner`?)",
            "P:4: the table `orders` has no column `amnt` (did you mean `amount`?)",
        ]
    );
    // Text that reads otherwise than it works.
    let bidi = "forbid(principal, action, resource is db::orders) when { resource.owner == \"x\u{202e}\" };";
    assert_eq!(errors(&[("db", bidi)]).len(), 1);
    loads(&[("db", "// only a comment\n"), ("crm", "")]);
}

#[test]
fn masks() {
    let wrong = "[customers]\nemail = \"emial\"\nphon = \"full\"\n[custmers]\nx = \"full\"\n";
    assert_eq!(
        errors(&[("db/masks", wrong)]),
        [
            "policies/db/masks.toml:2: `emial` is no mask: full, partial, email and null are (did you mean `email`?)",
            "policies/db/masks.toml:3: the table `customers` has no column `phon` (did you mean `phone`?)",
            "policies/db/masks.toml:4: `db` has no table `custmers` (did you mean `customers`?)",
        ]
    );
    let cases = [
        ("[customers]\nemail = \"email\"\nemail = \"full\"\n", "3: not a table of masks: duplicate key"),
        ("[customers]\nemail = 5\n", "2: not a table of masks: invalid type: integer `5`, expected a string"),
        ("[customers\n", "1: not a table of masks: unclosed table, expected `]`"),
    ];
    for (text, why) in cases {
        let help = "write [table] and below it column = \"kind\", each column once";
        assert_eq!(errors(&[("db/masks", text)]), [format!("policies/db/masks.toml:{why} ({help})")]);
    }
    assert_eq!(
        errors(&[("all/masks", "[customers]\nemail = \"email\"\n")]),
        ["policies/all/masks.toml: masks belong to one service: move them into its folder"]
    );
    loads(&[(
        "db/masks",
        "[customers]\nemail = \"email\"\nphone = \"partial\"\n[orders]\nphoto = \"null\"\nlabel = \"full\"\n",
    )]);
}

#[test]
fn configuration() {
    let of = |services: &[ServiceSource], attributes: &AttributeSchema| {
        let errors = Policies::load(&PolicySources::default(), services, attributes).err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let (sqlite, deny) = (DatabaseKind::Sqlite, ServiceDefault::Deny);
    let orders = || [table("orders", &["id int"])];
    assert_eq!(
        of(&[service("db", sqlite, ServiceDefault::Database, orders())], &attributes()),
        ["configuration: `db` cannot have default = \"database\": SQLite has no users whose rights could hold \
          (set default = \"deny\")"]
    );
    assert_eq!(
        of(&[service("all", sqlite, deny, orders())], &attributes()),
        ["configuration: a service cannot be named `all`: that is the folder of policies for all"]
    );
    assert_eq!(
        of(&[service("db", sqlite, deny, orders())], &[("login".to_owned(), AttributeType::Long)].into()),
        ["configuration: the attribute `login` is built in: choose another name"]
    );
    let quoted = [table("in", &["id int"]), table("quoted_in", &["id int"])];
    assert_eq!(
        of(&[service("db", sqlite, deny, quoted)], &attributes()),
        [
            "catalogue: table `in` of `db` and table `quoted_in` of `db` are both `db::quoted_in` in policies: rename one"
        ]
    );
    let dotted = [table("a", &["b.c int"]), table("a.b", &["c int"])];
    assert_eq!(
        of(&[service("db", sqlite, deny, dotted)], &attributes()),
        [
            "catalogue: column `b.c` of `a` of `db` and column `c` of `a.b` of `db` are both `db.a.b.c` in policies: rename one"
        ]
    );
    // Names that Cedar or the schema reserves are spelt otherwise, and load.
    let odd = [
        "User",
        "Group",
        "Table",
        "Column",
        "Action",
        "String",
        "in",
        "if",
        "order items",
        "größe",
        "1st",
        "",
        "Agent",
    ];
    let odd = odd.map(|name| table(name, &["id int", "if int", "in text", "has bool?", "ü int", " int"]));
    assert_eq!(
        of(&[service("my-db", sqlite, deny, odd), service("User", sqlite, deny, orders())], &attributes()),
        [""; 0]
    );
    assert_eq!(of(&[], &AttributeSchema::new()), [""; 0]);
}

#[test]
fn warnings_are_given_for_what_is_hardly_meant() {
    let warnings = |files: &[(&str, &str)]| load(files).warnings().iter().map(ToString::to_string).collect::<Vec<_>>();
    let closed = |name: &str| {
        format!(
            "{name}: no policy opens anything in `{name}`, so all of it is denied (permit something in policies/{name}/)"
        )
    };
    assert_eq!(warnings(&[]), [closed("crm"), closed("db")]);
    let open = ("crm", "permit(principal, action, resource);");
    assert_eq!(warnings(&[open, ("db", open.1)]), [""; 0]);
    assert_eq!(
        warnings(&[open, ("db", open.1), ("db/masks", "[customers]\nemail = \"email\"")]),
        ["policies/db/p.cedar:1: this permit names no action, so it also lifts masks \
          (write `action == Action::\"read\"` if only reading is meant)"]
    );
    assert_eq!(
        warnings(&[open, ("db", "permit(principal, action, resource) when { false };")]),
        [
            "policies/db/p.cedar:1: this policy can never apply to anything (correct its scope and conditions, or remove it)"
        ]
    );
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 100, failure_persistence: None, ..Default::default() })]

    /// Nonsense is refused or loads, but never panics; every policy that a file holds is one piece.
    #[test]
    fn nonsense_does_no_harm(words in proptest::collection::vec(proptest::sample::select(vec![
        "permit", "forbid", "(", ")", "principal", ",", "action", "resource", ";", "when", "unless", "{", "}", "\"", "a;b", "//", "\n",
        "resource.owner", "==", "&&", "||", "!", "is db::orders", "has", "like", "\\", "permit(principal, action, resource);", "\"x\"", "é", "1",
        "resource is db::orders", "if", "then", "else", "[", "]", ".", "@id(\"x\")", "in", "Group::\"g\"", "-", "context", "\u{202e}", "\r",
    ]), 0..40)) {
        let text = words.join(" ");
        let pieces = crate::text::pieces(&text).unwrap();
        let joined: String = pieces.iter().map(|piece| piece.text).collect();
        proptest::prop_assert!(text.starts_with(&joined));
        let _ = try_load(&[("db", &text), ("db/masks", &text)]);
    }
}
