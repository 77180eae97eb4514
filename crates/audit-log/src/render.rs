//! Records as JSON, for people and tools that read the log.

use data_encoding::HEXLOWER;
use serde_json::{Map, Value as Json, json};

use crate::leaf::Leaf;
use crate::personal::PersonalState;
use crate::read::RecordView;

impl Leaf {
    /// The facts by name; digests in hexadecimal, absent fields left out.
    #[must_use]
    pub fn json(&self) -> Json {
        let text = |value: &Option<String>| value.clone().map(Json::from);
        let list = |values: &[String]| (!values.is_empty()).then(|| json!(values));
        let masks: Map<String, Json> =
            self.masks.iter().map(|masked| (masked.column.clone(), json!(masked.mask))).collect();
        let fields = [
            ("kind", Some(json!(self.kind.as_str()))),
            ("entry", Some(json!(self.audit_id().to_string()))),
            ("n", Some(json!(self.n))),
            ("t_ms", Some(json!(self.t_ms))),
            ("policy", self.policy.map(|digest| json!(digest.to_string()))),
            ("catalogue", self.catalogue.map(|digest| json!(digest.to_string()))),
            ("config", self.config.map(|digest| json!(digest.to_string()))),
            ("service", text(&self.service)),
            ("action", text(&self.action)),
            ("route", text(&self.route)),
            ("tables", list(&self.tables)),
            ("columns", list(&self.columns)),
            ("used", list(&self.used)),
            ("masks", (!masks.is_empty()).then_some(Json::Object(masks))),
            ("statement", self.statement.map(|digest| json!(digest.to_string()))),
            (
                "actor",
                self.actor.as_ref().map(
                    |actor| json!({ "id": actor.id, "assurance": actor.assurance.as_str(), "chain": actor.chain }),
                ),
            ),
            ("reason", text(&self.reason)),
            ("status", self.status.map(Json::from)),
            ("rows", self.rows.map(Json::from)),
            ("bytes", self.bytes.map(Json::from)),
            ("body", self.body.map(|digest| json!(digest.to_string()))),
            ("who", self.who.map(|who| json!({ "index": who.index, "hash": who.hash.to_string() }))),
            ("subject", self.subject.map(|subject| json!(HEXLOWER.encode(&subject.0)))),
            ("run_as", text(&self.run_as)),
            ("request_id", text(&self.request_id)),
            ("count", self.count.map(Json::from)),
            ("window", self.window.map(|window| json!({ "from_ms": window.from_ms, "to_ms": window.to_ms }))),
            ("note", text(&self.note)),
        ];
        let present = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Json::Object(present.collect())
    }
}

impl PersonalState {
    /// The fields by name where they are open; else `"sealed"`, `"erased"`, `"missing"` or `"mismatch"`; null where there
    /// are none.
    #[must_use]
    pub fn json(&self) -> Json {
        match self {
            Self::None => Json::Null,
            Self::Open(personal) => {
                personal.iter().map(|(field, value)| (field.as_str().to_owned(), json!(value))).collect()
            }
            Self::Sealed => json!("sealed"),
            Self::Erased => json!("erased"),
            Self::Missing => json!("missing"),
            Self::Mismatch => json!("mismatch"),
        }
    }
}

impl RecordView {
    /// The record: `index`, `hash`, the facts, and `personal`.
    #[must_use]
    pub fn json(&self) -> Json {
        let mut record = Map::new();
        record.insert("index".into(), json!(self.index));
        record.insert("hash".into(), json!(self.hash.to_string()));
        if let Json::Object(facts) = self.leaf.json() {
            record.extend(facts);
        }
        if self.personal != PersonalState::None {
            record.insert("personal".into(), self.personal.json());
        }
        Json::Object(record)
    }
}
