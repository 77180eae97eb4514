//! The ladder: which run-as mode a service really has, and the next rung.

use super::facts::{Mapping, RunAs, ServiceFacts};
use super::report::{Finding, Grade, Severity};

/// The verdict.
pub(super) struct Judged {
    pub(super) run_as: String,
    pub(super) grade: Grade,
    pub(super) because: String,
    pub(super) next_rung: String,
}

pub(super) fn judge(facts: &ServiceFacts, findings: &[Finding]) -> Judged {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (critical, warnings) = (count(Severity::Critical), count(Severity::Warning));
    let signed = facts.claims_signed && !findings.iter().any(|finding| finding.id.starts_with("claims-"));
    let mapping = match (&facts.mapping, signed) {
        (Mapping::Person, _) => "a role for each person",
        (Mapping::Provider, _) => "the role that the provider names",
        (Mapping::Groups(_), _) => "a role for each group",
        (Mapping::Shared(_), true) => "one role for all, with signed claims",
        (Mapping::Shared(_), false) => "one role for all, with claims in a setting",
    };
    let run_as = match facts.run_as {
        RunAs::Certificate => format!("certificate: the session is the person's own login; {mapping}"),
        RunAs::Role => {
            format!("role: asuser's login {} takes the person's role for each transaction; {mapping}", facts.login)
        }
    };
    let service = &facts.service;
    let (grade, because, next_rung) = if critical > 0 {
        (
            Grade::F,
            format!(
                "{critical} critical finding(s) let somebody past the person's own rights, or keep the service from running"
            ),
            "fix the critical findings below".to_owned(),
        )
    } else {
        rung(facts, signed, warnings, service)
    };
    Judged { run_as, grade, because, next_rung }
}

fn rung(facts: &ServiceFacts, signed: bool, warnings: usize, service: &str) -> (Grade, String, String) {
    let own = "give each person a role of their own (`asuser provision --plan`) and map `role = \"{login}\"`";
    match (&facts.mapping, facts.run_as) {
        (Mapping::Person, RunAs::Certificate) if warnings == 0 => (
            Grade::A,
            "PostgreSQL itself authenticates the person, and nothing bypasses it".to_owned(),
            "this is the top".to_owned(),
        ),
        (Mapping::Person, RunAs::Certificate) => (
            Grade::B,
            format!("PostgreSQL itself authenticates the person, but {warnings} warning(s) are open"),
            "fix the warnings below".to_owned(),
        ),
        (Mapping::Person, RunAs::Role) => (
            Grade::B,
            "the database decides for the person's own role, but trusts asuser's login to name it".to_owned(),
            "log people in as themselves: `asuser ca init`, then `run_as = \"certificate\"`".to_owned(),
        ),
        (Mapping::Provider, _) => (
            Grade::C,
            "the provider may name one role for several people, which the database then cannot tell apart".to_owned(),
            own.to_owned(),
        ),
        (Mapping::Groups(_), _) => {
            (Grade::C, "the database knows the person's group, not the person".to_owned(), own.to_owned())
        }
        (Mapping::Shared(_), _) if signed => (
            Grade::C,
            "the database knows the person by claims that only asuser can sign, under a role that all share".to_owned(),
            own.to_owned(),
        ),
        (Mapping::Shared(_), _) => (
            Grade::D,
            "whoever can change a setting in the session can be anybody".to_owned(),
            format!(
                "sign the claims: `asuser install --service {service}`, then use `(select asuser.claims() ->> 'sub')` in the policies"
            ),
        ),
    }
}
