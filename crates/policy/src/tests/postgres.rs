//! PostgreSQL: what each type of column is in a condition, which do not load, and the second column of SPEC.md, D: all that
//! the database gives, narrowed by forbids.

use super::*;

/// Every type that the table of `compare.rs` knows.
fn invoices() -> (asuser_core::TableName, Arc<Table>) {
    table(
        "invoices",
        &[
            "id int!",
            "owner text!",
            "note text!?",
            "paid bool!",
            "total num2!",
            "fee num4!?",
            "at tz!",
            "seen tz!?",
            "wide num!",
            "fine num6!",
            "local ts",
            "nick citext!~",
            "code char!~",
            "ratio real!",
            "day date!",
            "scan blob!",
            "body json!",
        ],
    )
}

fn of_default(default: ServiceDefault, files: &[(&str, &str)]) -> Result<Policies, Vec<LoadError>> {
    let tables = [invoices(), table("accounts", &["id int!", "owner text!", "iban text!", "level int!?"])];
    Policies::load(&sources(files), &[service("erp", DatabaseKind::Postgres, default, tables)], &attributes())
}

/// What is wrong with a condition on invoices, under either default.
fn errors(condition: &str) -> Vec<String> {
    let text = |effect| {
        format!("{effect}(principal, action == Action::\"read\", resource is erp::invoices) when {{ {condition} }};")
    };
    let of = |default, effect| {
        let found = of_default(default, &[("erp", &text(effect))]).err().unwrap_or_default();
        found.iter().map(|error| error.to_string().replace("policies/erp/p.cedar", "P")).collect::<Vec<_>>()
    };
    let narrowed = of(ServiceDefault::Database, "forbid");
    assert_eq!(narrowed, of(ServiceDefault::Deny, "permit"), "{condition}");
    narrowed
}

/// The rows of invoices that a permit on the condition opens, at the second 60.
fn rows(condition: &str) -> String {
    let text = format!("permit(principal, action, resource is erp::invoices) when {{ {condition} }};");
    shown(ServiceDefault::Deny, &text, "invoices")
}

/// What a forbid on the condition leaves of all that the database gives.
fn left(condition: &str) -> String {
    let text = format!("forbid(principal, action, resource is erp::invoices) when {{ {condition} }};");
    shown(ServiceDefault::Database, &text, "invoices")
}

fn shown(default: ServiceDefault, text: &str, table: &str) -> String {
    let policies = of_default(default, &[("erp", text)]).unwrap();
    match read_as(&policies, &person("john", &["sales"]), &[], 60_999, "erp", table) {
        Ok(compiled) => show(&compiled.row_filter, &compiled.table),
        Err(PolicyError::Undecidable { why, .. }) => why,
        Err(error) => error.to_string(),
    }
}

#[test]
fn each_refused_type_says_why_and_its_twin_loads() {
    let cases = [
        (
            "resource.wide == decimal(\"1.0\")",
            "`wide` of `invoices` is numeric: not every value of it is a Cedar decimal, which has four places and fourteen digits \
             before them (declare it numeric(p,s) with s at most 4 and p - s at most 14, such as numeric(12,2); `has` works for \
             every column)",
            "resource.total == decimal(\"1.0\")",
        ),
        (
            "resource.fine.lessThan(decimal(\"1.0\"))",
            "`fine` of `invoices` is numeric(12,6): not every value of it is a Cedar decimal, which has four places and fourteen \
             digits before them (declare it numeric(p,s) with s at most 4 and p - s at most 14, such as numeric(12,2); `has` works \
             for every column)",
            "resource has fee && resource.fee.lessThan(decimal(\"1.0\"))",
        ),
        (
            "resource.local < datetime(\"2026-01-01\")",
            "`local` of `invoices` is timestamp without time zone: it is no point in time, having no time zone, or is read from \
             a foreign table (make it timestamptz in a table of this database, or compare another column; `has` works for every column)",
            "resource.at < datetime(\"2026-01-01\")",
        ),
        (
            "resource.nick == \"x\"",
            "`nick` of `invoices` is citext: it does not compare by code point, so a row condition could match other spellings \
             (compare a text or varchar column with a deterministic collation instead; citext, char(n), nondeterministic \
             collations and foreign tables do not compare; `has` works for every column)",
            "resource.owner == \"x\"",
        ),
        (
            "resource.code like \"x*\"",
            "`code` of `invoices` is character(8): it does not compare by code point, so a row condition could match other \
             spellings (compare a text or varchar column with a deterministic collation instead; citext, char(n), nondeterministic \
             collations and foreign tables do not compare; `has` works for every column)",
            "resource.owner like \"x*\"",
        ),
    ];
    for (refused, why, twin) in cases {
        assert_eq!(errors(refused), [format!("P:1: column {why}")], "{refused}");
        assert_eq!(errors(twin), [""; 0], "{twin}");
    }
    let general = "compare a text, integer, boolean, numeric(p,s) or timestamptz column instead, or leave these rows to the \
                   database's own row security; `has` works for every column";
    for (refused, why) in [
        ("resource.ratio == 1", "`ratio` of `invoices` is REAL: floating point cannot be compared in a row condition"),
        (
            "resource.day == datetime(\"2026-01-01\")",
            "`day` of `invoices` is DATE: Cedar has no type for calendar days, so they cannot be compared in a row condition",
        ),
        ("resource.scan == resource.scan", "`scan` of `invoices` is BLOB: bytes cannot be compared in a row condition"),
        (
            "resource.body == \"x\"",
            "`body` of `invoices` is jsonb: Cedar has no type whose values compare like this one's",
        ),
    ] {
        assert_eq!(errors(refused), [format!("P:1: column {why} ({general})")], "{refused}");
    }
    let has = ["wide", "fine", "local", "nick", "code", "ratio", "day", "scan", "body"];
    assert_eq!(errors(&has.map(|column| format!("resource has {column}")).join(" && ")), [""; 0]);
}

#[test]
fn whatever_cannot_become_a_row_filter() {
    let calculation = "P:1: a calculation with a column's time cannot become a row filter (calculate on the other side: \
                       resource.placed > context.now.offset(duration(\"-7d\")), for example)";
    for refused in [
        "resource.at.offset(duration(\"1d\")) > context.now",
        "context.now > resource.at.offset(duration(\"1d\"))",
        "resource.at.toDate() == datetime(\"2026-01-01\")",
        "resource.at.toTime() < duration(\"12h\")",
        "context.now.durationSince(resource.at) < duration(\"1d\")",
    ] {
        assert_eq!(errors(refused), [calculation], "{refused}");
    }
    assert_eq!(errors("resource.at > context.now.offset(duration(\"-1d\"))"), [""; 0]);
    assert_eq!(errors("[context.now].contains(resource.at)"), [""; 0]);

    let outside = "P:1: a time outside of the years 4714 BC to 99999 cannot stand in a row condition (compare with another value)";
    for refused in [
        "resource.at < datetime(\"9999-01-01\").offset(duration(\"33000000d\"))",
        "[datetime(\"0000-01-01\").offset(duration(\"-2000000d\"))].contains(resource.at)",
    ] {
        assert_eq!(errors(refused), [outside], "{refused}");
    }
    assert_eq!(errors("resource.at < datetime(\"9999-12-31\") && resource.at > datetime(\"0000-01-01\")"), [""; 0]);
    let nul = "P:1: a text with the character NUL cannot stand in a row condition (compare with another value)";
    for refused in
        ["resource.owner == \"a\\0b\"", "[\"x\", \"a\\0b\"].contains(resource.owner)", "resource.owner like \"a\\0*\""]
    {
        assert_eq!(errors(refused), [nul], "{refused}");
    }
    assert_eq!(errors("[\"x\", \"\"].contains(resource.owner)"), [""; 0]);
    assert_eq!(
        errors("resource.total < decimal(\"1.0\")"),
        ["P:1: unexpected type: expected datetime, or duration, or Long but saw decimal \
          (compare decimals with lessThan, lessThanOrEqual, greaterThan and greaterThanOrEqual)"]
    );
    assert_eq!(errors("resource.total.lessThan(decimal(\"1.0\"))"), [""; 0]);
}

#[test]
fn decimals() {
    let cases = [
        ("resource.total == decimal(\"12.5\")", "total = 125000"),
        ("decimal(\"-0.0001\") != resource.total", "total <> -1"),
        ("resource.total.lessThan(decimal(\"12.5\"))", "total < 125000"),
        ("decimal(\"12.5\").lessThan(resource.total)", "total > 125000"),
        ("resource.total.lessThanOrEqual(decimal(\"12.5\"))", "total <= 125000"),
        ("decimal(\"12.5\").lessThanOrEqual(resource.total)", "total >= 125000"),
        ("resource.total.greaterThan(decimal(\"12.5\"))", "total > 125000"),
        ("decimal(\"12.5\").greaterThan(resource.total)", "total < 125000"),
        ("resource.total.greaterThanOrEqual(decimal(\"12.5\"))", "total >= 125000"),
        ("!resource.total.greaterThanOrEqual(decimal(\"12.5\"))", "total < 125000"),
        (
            "[decimal(\"2.0\"), decimal(\"-1.50\"), decimal(\"2.00\")].contains(resource.total)",
            "total in [-15000,20000]",
        ),
        ("![decimal(\"2.0\")].contains(resource.total)", "total not in [20000]"),
        ("resource has fee && resource.fee.lessThan(resource.total)", "(fee is not null and fee < total)"),
        ("resource has fee && resource.total == resource.fee", "(fee is not null and total = fee)"),
        ("decimal(\"922337203685477.5807\").lessThan(resource.total)", "total > 9223372036854775807"),
        ("decimal(\"1.0\").lessThan(decimal(\"2.0\")) && resource.paid", "paid = true"),
    ];
    for (condition, expected) in cases {
        assert_eq!(rows(condition), expected, "{condition}");
    }
    // NaN errs: it is in NOT NULL columns too, and the left side counts.
    assert_eq!(
        rows("resource.total == decimal(\"1.0\") || resource.id == 1"),
        "(total = 10000 or (total <> 10000 and id = 1))"
    );
    assert_eq!(rows("resource.id == 1 || resource.total == decimal(\"1.0\")"), "(id = 1 or total = 10000)");
    assert_eq!(
        left("resource.total == decimal(\"1.0\") && resource.id == 1"),
        "(total <> 10000 or (total = 10000 and id <> 1))"
    );
}

#[test]
fn points_in_time() {
    let new_year = 1_767_225_600_000_i64;
    let cases = [
        ("resource.at == datetime(\"2026-01-01\")", format!("at = {new_year}")),
        ("resource.at < datetime(\"2026-01-01T00:00:00.250Z\")", format!("at < {}", new_year + 250)),
        ("datetime(\"2026-01-01T01:00:00+0100\") <= resource.at", format!("at >= {new_year}")),
        ("resource.at > datetime(\"1969-12-31T23:59:59.999Z\")", "at > -1".to_owned()),
        ("!(resource.at >= datetime(\"1970-01-01\"))", "at < 0".to_owned()),
        // The time of asking, in whole seconds.
        ("resource.at < context.now", "at < 60000".to_owned()),
        ("resource.at >= context.now.offset(duration(\"-1m1ms\"))", "at >= -1".to_owned()),
        ("resource.at > context.now.toDate()", "at > 0".to_owned()),
        ("[context.now, datetime(\"1970-01-01\")].contains(resource.at)", "at in [0,60000]".to_owned()),
        ("resource has seen && resource.seen <= resource.at", "(seen is not null and seen <= at)".to_owned()),
        ("resource.at == context.now || resource.paid", "(at = 60000 or (at <> 60000 and paid = true))".to_owned()),
    ];
    for (condition, expected) in cases {
        assert_eq!(rows(condition), expected, "{condition}");
    }
    // What overflows errs, and what is only known when somebody asks is looked at then.
    let nothing = "there is no table `invoices` in `erp` that you can reach";
    assert_eq!(rows("resource.at < context.now.offset(duration(\"9223372036854775807ms\"))"), nothing);
    let outside = "a time outside of the years 4714 BC to 99999 cannot stand in a row condition";
    assert!(rows("resource.at < context.now.offset(duration(\"100000000000d\"))").ends_with(outside));
}

#[test]
fn text_integers_and_booleans_err_on_null_alone() {
    assert_eq!(rows("resource.owner == \"x\" || resource.id == 1"), "(owner = \"x\" or id = 1)");
    assert_eq!(rows("resource.paid || resource.owner like \"x*\""), "(paid = true or owner like \"x\" *)");
    assert_eq!(left("resource has note && resource.note == \"secret\""), "(note is null or note <> \"secret\")");
}

/// SPEC.md, D: the second column.
#[test]
fn with_default_database_only_forbids_narrow() {
    let default = ServiceDefault::Database;
    let john = person("john", &["sales"]);
    let of = |files: &[(&str, &str)]| {
        let compiled = read(&of_default(default, files).unwrap(), &john, "erp", "accounts").unwrap();
        (show(&compiled.row_filter, &compiled.table), show_access(&compiled))
    };
    let rows = |text: &str| of(&[("erp", text)]).0;
    let on = |action: &str, condition: &str| {
        format!("forbid(principal, action == Action::\"{action}\", resource is erp::accounts) when {{ {condition} }};")
    };
    // No policy: all that the database gives.
    assert_eq!(of(&[]), ("true".to_owned(), String::new()));
    // Each forbid must be false.
    assert_eq!(rows(&on("read", "resource.owner == \"x\"")), "owner <> \"x\"");
    let two = on("read", "resource.owner == \"x\"") + &on("read", "resource.id > 5");
    assert!(["(owner <> \"x\" and id <= 5)", "(id <= 5 and owner <> \"x\")"].contains(&rows(&two).as_str()));
    // NULL is not false.
    assert_eq!(
        rows(&on("read", "if resource has level then resource.level > 5 else true")),
        "(level is not null and level <= 5)"
    );
    assert_eq!(
        rows(&on("read", "if resource has level then resource.level > 5 else false")),
        "((level is not null and level <= 5) or level is null)"
    );
    // A mask is lifted unless forbidden, row by row; one that errs keeps it.
    let masks = ("erp/masks", "[accounts]\niban = \"partial\"\n");
    assert_eq!(of(&[masks]), ("true".to_owned(), String::new()));
    let masked = |condition: &str| of(&[masks, ("erp", &on("unmask", condition))]);
    assert_eq!(masked("true"), ("true".to_owned(), "iban: partial unless false".to_owned()));
    assert_eq!(masked("resource.owner != \"john\"").1, "iban: partial unless owner = \"john\"");
    assert_eq!(
        masked("resource has level && resource.level > 5").1,
        "iban: partial unless (level is null or level <= 5)"
    );
    assert_eq!(masked("principal in Group::\"interns\"").1, "");
    // A column whose read is forbidden is gone; two agents narrow each other.
    let denied = "forbid(principal, action == Action::\"read\", resource == Column::\"erp.accounts.iban\");";
    assert_eq!(of(&[masks, ("erp", denied)]).1, "iban: denied");
    let of_copilot = on("read", "context has actor && context.actor == \"copilot\" && resource.id > 5");
    let policies = of_default(default, &[("erp", &of_copilot)]).unwrap();
    let through = |actors: &[Actor]| {
        let compiled = read_as(&policies, &john, actors, 0, "erp", "accounts").unwrap();
        show(&compiled.row_filter, &compiled.table)
    };
    let (copilot, helper) = (agent("copilot", Assurance::Token), agent("helper", Assurance::Credential));
    assert_eq!(through(&[]), "true");
    assert_eq!(through(std::slice::from_ref(&helper)), "true");
    assert_eq!(through(&[helper, copilot]), "id <= 5");
}

#[test]
fn with_default_database_a_permit_does_not_load() {
    let permit = "permit(principal, action, resource is erp::accounts);";
    let expected = "policies/erp/p.cedar:1: a permit would open nothing: this service has default = \"database\", which only forbid \
                    narrows (write it as a forbid with the opposite condition, or set default = \"deny\" for the service)";
    for text in [permit, "permit(principal, action == Action::\"unmask\", resource is erp::accounts);"] {
        let errors = of_default(ServiceDefault::Database, &[("erp", text)]).unwrap_err();
        assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
    }
    // The two fixes that it names.
    assert!(of_default(ServiceDefault::Deny, &[("erp", permit)]).is_ok());
    let opposite = "forbid(principal, action, resource is erp::accounts) when { resource.owner != \"john\" };";
    assert!(of_default(ServiceDefault::Database, &[("erp", opposite)]).is_ok());
}
