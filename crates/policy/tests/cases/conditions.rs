//! Conditions, as somebody would write them and as the oracle reads them.

use std::fmt::Write as _;

use cedar_policy::Policy;

use super::COLUMNS;

/// One policy in both forms.
#[derive(Debug, Clone)]
pub struct PolicyText {
    /// As somebody would write it.
    pub written: String,
    pub(super) oracle: Policy,
    pub(super) permit: bool,
    pub(super) unmask: bool,
    pub(super) read: bool,
}

/// What a policy is made of.
#[derive(Debug, Clone)]
pub struct Parts {
    pub permit: bool,
    /// `read`, `unmask`, or empty for both.
    pub action: &'static str,
    pub scope: &'static str,
    pub table: &'static str,
    pub when: Cond,
    /// The condition stands in `unless`.
    pub unless: bool,
    pub more: Option<Cond>,
}

impl Parts {
    pub fn policy(&self) -> PolicyText {
        let (read, unmask) = (self.action != "unmask", self.action != "read");
        let oracle = Policy::parse(None, self.write(true)).unwrap();
        PolicyText { written: self.write(false), oracle, permit: self.permit, unmask, read }
    }

    fn write(&self, oracle: bool) -> String {
        let Self { scope, table, when, .. } = self;
        let writer = Writer { oracle };
        let effect = if self.permit { "permit" } else { "forbid" };
        let on =
            if self.action.is_empty() { "action".to_owned() } else { format!("action == Action::\"{}\"", self.action) };
        let clause = if self.unless { "unless" } else { "when" };
        let when = writer.write(when, &[]);
        let mut text = format!("{effect} ({scope}, {on}, resource is db::{table}) {clause} {{ {when} }}");
        if let Some(more) = &self.more {
            write!(text, " when {{ {} }}", writer.write(more, &[])).unwrap();
        }
        text + ";"
    }
}

/// 2020-01-31T12:00:00.250Z, around which the times of the cases lie.
pub const BASE_MS: i64 = 1_580_472_000_250;

/// A condition, before it is written down.
#[derive(Debug, Clone)]
pub enum Cond {
    Const(bool),
    /// `column op literal`, or the other way round.
    Literal {
        column: usize,
        op: &'static str,
        value: Lit,
        flipped: bool,
    },
    /// `column op context.now`, moved by a duration.
    Now {
        column: usize,
        op: &'static str,
        moved: &'static str,
        flipped: bool,
    },
    /// `column op principal.attribute`
    Attribute {
        column: usize,
        op: &'static str,
        attribute: &'static str,
        flipped: bool,
    },
    Columns {
        left: usize,
        op: &'static str,
        right: usize,
    },
    Like {
        column: usize,
        pattern: String,
    },
    InLiterals {
        column: usize,
        values: Vec<Lit>,
    },
    /// `principal.regions.contains(column)`
    InAttribute {
        column: usize,
    },
    Has(usize),
    Alone(usize),
    /// Conditions without the row: an attribute there or not, one that always errs, a group.
    PrincipalHas(&'static str),
    PrincipalErrs,
    InGroup(&'static str),
    And(Box<Cond>, Box<Cond>),
    Or(Box<Cond>, Box<Cond>),
    Not(Box<Cond>),
    If(Box<Cond>, Box<Cond>, Box<Cond>),
}

#[derive(Debug, Clone)]
pub enum Lit {
    Text(String),
    Long(i64),
    Bool(bool),
    Decimal(&'static str),
    /// In milliseconds.
    Time(i64),
}

impl Lit {
    fn write(&self) -> String {
        match self {
            Self::Text(text) => quoted(text, false),
            Self::Long(number) => number.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::Decimal(number) => format!("decimal(\"{number}\")"),
            Self::Time(BASE_MS) => "datetime(\"2020-01-31T14:00:00.250+0200\")".to_owned(),
            Self::Time(ms) => format!("datetime(\"1970-01-01\").offset(duration(\"{ms}ms\"))"),
        }
    }
}

/// A Cedar string; in a pattern, a bare `*` is the wildcard.
fn quoted(text: &str, pattern: bool) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '*' if pattern => out.push('*'),
            '\u{1}' if pattern => out.push_str("\\*"),
            c if c.is_ascii_graphic() && !matches!(c, '"' | '\\') || c == ' ' => out.push(c),
            c => write!(out, "\\u{{{:x}}}", u32::from(c)).unwrap(),
        }
    }
    out.push('"');
    out
}

struct Writer {
    oracle: bool,
}

impl Writer {
    fn access(&self, column: usize) -> String {
        let name = COLUMNS[column].name;
        let plain = if name.contains(' ') { format!("resource[\"{name}\"]") } else { format!("resource.{name}") };
        if self.oracle {
            format!("(if resource has \"bad {name}\" then 9223372036854775807 + 1 else {plain})")
        } else {
            plain
        }
    }

    /// With `has` before whatever may be absent, unless it came before already.
    fn guarded(&self, columns: &[usize], attribute: Option<&str>, known: &[usize], test: &str) -> String {
        let mut parts: Vec<_> = attribute.iter().map(|name| format!("principal has {name}")).collect();
        for column in columns {
            if COLUMNS[*column].nullable && !known.contains(column) {
                parts.push(format!("resource has \"{}\"", COLUMNS[*column].name));
            }
        }
        parts.push(test.to_owned());
        format!("({})", parts.join(" && "))
    }

    fn write(&self, cond: &Cond, known: &[usize]) -> String {
        let sides = |a: String, op: &str, b: String, flipped: bool| {
            let (a, b) = if flipped { (b, a) } else { (a, b) };
            // Decimals have methods for their order.
            if op.starts_with(char::is_alphabetic) { format!("{a}.{op}({b})") } else { format!("{a} {op} {b}") }
        };
        match cond {
            Cond::Const(value) => value.to_string(),
            Cond::Literal { column, op, value, flipped } => {
                let test = sides(self.access(*column), op, value.write(), *flipped);
                self.guarded(&[*column], None, known, &test)
            }
            Cond::Now { column, op, moved, flipped } => {
                let now = format!("context.now.offset(duration(\"{moved}\"))");
                let now = if *moved == "0s" { "context.now".to_owned() } else { now };
                self.guarded(&[*column], None, known, &sides(self.access(*column), op, now, *flipped))
            }
            Cond::Attribute { column, op, attribute, flipped } => {
                let test = sides(self.access(*column), op, format!("principal.{attribute}"), *flipped);
                self.guarded(&[*column], Some(attribute), known, &test)
            }
            Cond::Columns { left, op, right } => {
                let test = sides(self.access(*left), op, self.access(*right), false);
                self.guarded(&[*left, *right], None, known, &test)
            }
            Cond::Like { column, pattern } => {
                let test = format!("{} like {}", self.access(*column), quoted(pattern, true));
                self.guarded(&[*column], None, known, &test)
            }
            Cond::InLiterals { column, values } => {
                let values: Vec<_> = values.iter().map(Lit::write).collect();
                let test = format!("[{}].contains({})", values.join(", "), self.access(*column));
                self.guarded(&[*column], None, known, &test)
            }
            Cond::InAttribute { column } => {
                let test = format!("principal.regions.contains({})", self.access(*column));
                self.guarded(&[*column], Some("regions"), known, &test)
            }
            Cond::Has(column) => format!("(resource has \"{}\")", COLUMNS[*column].name),
            Cond::Alone(column) => self.guarded(&[*column], None, known, &self.access(*column)),
            Cond::PrincipalHas(name) => format!("(principal has {name})"),
            Cond::PrincipalErrs => {
                let test = "principal.clearance * 9223372036854775807 > principal.clearance - 3";
                self.guarded(&[], Some("clearance"), known, test)
            }
            Cond::InGroup(group) => format!("(principal in Group::\"{group}\")"),
            Cond::And(a, b) => {
                let mut inner = known.to_vec();
                if let Cond::Has(column) = **a {
                    inner.push(column);
                }
                format!("({} && {})", self.write(a, known), self.write(b, &inner))
            }
            Cond::Or(a, b) => format!("({} || {})", self.write(a, known), self.write(b, known)),
            Cond::Not(a) => format!("(!{})", self.write(a, known)),
            Cond::If(c, a, b) => {
                let mut inner = known.to_vec();
                if let Cond::Has(column) = **c {
                    inner.push(column);
                }
                format!("(if {} then {} else {})", self.write(c, known), self.write(a, &inner), self.write(b, known))
            }
        }
    }
}
