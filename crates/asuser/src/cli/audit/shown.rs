//! A record as people read it.

use std::collections::HashMap;
use std::fmt;

use asuser_audit_log::{Field, Kind, Personal, PersonalState, Reader, RecordView};
use serde_json::{Value as Json, json};

/// What a record says, with the names of those whom it is about where they are not erased.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) audit_id: String,
    pub(crate) email: Option<String>,
    pub(crate) actor: Option<String>,
    /// Data was given out.
    pub(crate) released: bool,
    index: u64,
    time: String,
    kind: Kind,
    person: Option<Json>,
    facts: Json,
}

/// Who the `who` records are about, as far as they were met.
#[derive(Default)]
pub(super) struct People(HashMap<u64, Option<Personal>>);

/// More than this many people are looked up again.
const PEOPLE_MAX: usize = 10_000;

impl People {
    /// `None`: a record that is only there for others to refer to.
    pub(super) fn shown(&mut self, reader: &Reader, record: &RecordView) -> Option<Shown> {
        if record.leaf.kind == Kind::Who {
            return None;
        }
        let who = record.leaf.who.and_then(|at| self.person(reader, at.index));
        let own = match &record.personal {
            PersonalState::Open(personal) => Some(personal.clone()),
            _ => None,
        };
        Some(Shown::new(record, who.as_ref(), own.as_ref()))
    }

    fn person(&mut self, reader: &Reader, index: u64) -> Option<Personal> {
        if self.0.len() >= PEOPLE_MAX {
            self.0.clear();
        }
        let known = self.0.entry(index).or_insert_with(|| match reader.record(index) {
            Ok(Some(RecordView { personal: PersonalState::Open(personal), .. })) => Some(personal),
            _ => None,
        });
        known.clone()
    }
}

impl Shown {
    fn new(record: &RecordView, who: Option<&Personal>, own: Option<&Personal>) -> Self {
        let leaf = &record.leaf;
        let of =
            |personal: Option<&Personal>, field| personal.and_then(|personal| personal.value(field)).map(str::to_owned);
        // A refusal may know the person only by what a good signature said.
        let about = |field| of(who, field).or_else(|| of(own, field));
        let person = (leaf.who.is_some() || about(Field::Subject).is_some()).then(|| {
            json!({
                "issuer": about(Field::Issuer), "subject": about(Field::Subject), "login": about(Field::Login),
                "email": about(Field::Email), "name": about(Field::Name),
                "erased": leaf.who.is_some() && who.is_none(),
            })
        });
        let actor = leaf.actor.as_ref();
        let masks: Vec<Json> =
            leaf.masks.iter().map(|mask| json!({ "column": mask.column, "mask": mask.mask })).collect();
        let facts = json!({
            "service": leaf.service, "action": leaf.action, "route": leaf.route, "tables": leaf.tables, "columns": leaf.columns,
            "used": leaf.used, "masks": masks, "statement": leaf.statement.map(|digest| digest.to_string()),
            "actor": actor.map(|actor| json!({ "id": actor.id, "assurance": actor.assurance.as_str(), "chain": actor.chain })),
            "reason": leaf.reason, "status": leaf.status, "rows": leaf.rows, "bytes": leaf.bytes,
            "body_sha256": leaf.body.map(|digest| digest.to_string()), "run_as": leaf.run_as, "database_user": of(own, Field::DatabaseUser),
            "address": of(own, Field::Address), "request_id": leaf.request_id,
            "policy": leaf.policy.map(|digest| digest.to_string()), "catalogue": leaf.catalogue.map(|digest| digest.to_string()),
            "config": leaf.config.map(|digest| digest.to_string()), "count": leaf.count,
            "window": leaf.window.map(|window| json!({ "from_ms": window.from_ms, "to_ms": window.to_ms })), "note": leaf.note,
        });
        Self {
            audit_id: leaf.audit_id().to_string(),
            email: about(Field::Email),
            actor: actor.map(|actor| actor.id.clone()),
            released: matches!(leaf.kind, Kind::Whole | Kind::Outcome) && leaf.reason.is_none(),
            index: record.index,
            time: rfc3339(leaf.t_ms),
            kind: leaf.kind,
            person,
            facts,
        }
    }

    /// The kind of record, in a reader's words.
    fn outcome(&self) -> &'static str {
        match self.kind {
            Kind::Whole | Kind::Outcome if self.released => "answered",
            Kind::Whole | Kind::Outcome => "refused",
            other => other.as_str(),
        }
    }

    fn fact(&self, name: &str) -> &Json {
        self.facts.get(name).unwrap_or(&Json::Null)
    }

    /// Whether it is about this login, e-mail address or subject.
    pub(super) fn is_person(&self, wanted: &str) -> bool {
        let named = |field: &str| self.person.as_ref().and_then(|person| person[field].as_str()) == Some(wanted);
        ["login", "email", "subject"].into_iter().any(named)
    }

    /// Everything that the record says; what it does not say is left out.
    pub(crate) fn json(&self) -> Json {
        let mut all = json!({
            "index": self.index, "audit_id": self.audit_id, "time": self.time, "kind": self.kind.as_str(), "principal": self.person,
        });
        if let (Json::Object(all), Json::Object(facts)) = (&mut all, &self.facts) {
            let said = |value: &Json| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty());
            all.retain(|_, value| said(value));
            all.extend(
                facts.iter().filter(|(_, value)| said(value)).map(|(name, value)| (name.clone(), value.clone())),
            );
        }
        all
    }
}

/// One line, aligned for the eye. Nothing in it can move the cursor or forge a line.
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |name: &str| self.fact(name).as_str().unwrap_or_default().to_owned();
        let person = match &self.person {
            None => "-".to_owned(),
            Some(person) if person.get("erased") == Some(&Json::Bool(true)) => "(erased)".to_owned(),
            Some(person) => ["email", "login", "subject"]
                .into_iter()
                .find_map(|field| person[field].as_str())
                .unwrap_or("-")
                .to_owned(),
        };
        let what = match self.kind {
            Kind::Start | Kind::Config | Kind::Erase | Kind::Erased | Kind::Abandoned => text("note"),
            Kind::Summary => format!("{} refusals counted", self.fact("count")),
            _ => {
                let tables: Vec<&str> =
                    self.fact("tables").as_array().into_iter().flatten().filter_map(Json::as_str).collect();
                let target = if tables.is_empty() { text("route") } else { tables.join(",") };
                let service = text("service");
                let place = if service.is_empty() { target } else { format!("{service} {target}") };
                let end = match self.fact("reason").as_str() {
                    Some(reason) => format!("{reason} ({})", self.fact("status")),
                    None => match self.fact("rows").as_u64() {
                        Some(rows) => format!("{rows} row(s)"),
                        None if self.kind == Kind::Intent => "is about to run".to_owned(),
                        None => "ok".to_owned(),
                    },
                };
                format!("{} {place}: {end}", text("action"))
            }
        };
        let line = format!(
            "{}  {}  {:<8} {person:<26} {:<16} {}",
            self.time,
            self.audit_id,
            self.outcome(),
            self.actor.as_deref().unwrap_or("-"),
            what.trim_start()
        );
        let plain: String = line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        f.write_str(plain.trim_end())
    }
}

/// UTC, to the millisecond (RFC 3339); a time that no calendar has, as the number it is.
fn rfc3339(t_ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(t_ms)
        .map_or_else(|| t_ms.to_string(), |time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn times_are_right() {
        for (t_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (1_795_478_400_123, "2026-11-24T00:00:00.123Z"),
            (i64::MAX, "9223372036854775807"),
        ] {
            assert_eq!(rfc3339(t_ms), text);
        }
    }
}
