//! A tool's arguments: each known, of its type, and none left over.
//!
//! What is wrong with them is said so that a model can mend it: the argument, what it takes, the nearest name.

use asuser_core::{Problem, Reason, ServiceName};
use serde_json::{Value as Json, json};

use super::Services;
use crate::mcp::message::Object;

/// Longer texts are refused here; the body's limit holds besides.
const TEXT_BYTES_MAX: usize = 256 * 1024;
const NAME_BYTES_MAX: usize = 256;
/// What some client adds to say who asks: nobody is whom they name.
const IDENTITY: &[&str] =
    &["user", "username", "user_id", "role", "on_behalf_of", "as_user", "run_as", "login", "email", "token"];

/// The arguments of one call.
pub(super) struct Arguments<'a> {
    tool: &'static str,
    given: &'a Object,
}

impl<'a> Arguments<'a> {
    /// Refuses what the tool does not take.
    pub(super) fn of(tool: &'static str, known: &[&'static str], given: &'a Object) -> Result<Self, Problem> {
        match given.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(Self { tool, given }),
            Some(name) => Err(unknown(tool, known, name)),
        }
    }

    /// `null` is as good as nothing.
    fn value(&self, name: &str) -> Option<&'a Json> {
        self.given.get(name).filter(|value| !value.is_null())
    }
    pub(super) fn wrong(&self, name: &str, expected: &str) -> Problem {
        let message = format!("`{name}` of `{}` must be {expected}", self.tool);
        Problem::new(Reason::BadParameter, message).context(json!({ "parameter": name, "expected": [expected] }))
    }
    pub(super) fn missing(&self, name: &str, why: &str) -> Problem {
        let message = format!("`{}` needs `{name}`: {why}", self.tool);
        Problem::new(Reason::BadParameter, message).context(json!({ "parameter": name }))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Problem> {
        match self.value(name) {
            None => Ok(None),
            Some(Json::String(text)) if text.len() <= TEXT_BYTES_MAX => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "a text")),
        }
    }
    /// A table's name: it is repeated in messages.
    pub(super) fn table(&self) -> Result<&'a str, Problem> {
        let name = self.needed_text("table", "`list_tables` names those that you can reach")?;
        if name.len() > NAME_BYTES_MAX {
            return Err(self.wrong("table", "a name of at most 256 bytes"));
        }
        Ok(name)
    }
    pub(super) fn needed_text(&self, name: &str, why: &str) -> Result<&'a str, Problem> {
        self.text(name)?.filter(|text| !text.trim().is_empty()).ok_or_else(|| self.missing(name, why))
    }
    pub(super) fn texts(&self, name: &str, most: usize) -> Result<Vec<&'a str>, Problem> {
        let refused = || self.wrong(name, "a list of texts");
        match self.value(name) {
            None => Ok(Vec::new()),
            Some(Json::Array(list)) if list.len() <= most => {
                list.iter().map(|item| item.as_str().ok_or_else(refused)).collect()
            }
            Some(_) => Err(refused()),
        }
    }
    /// A whole number from 1.
    pub(super) fn count(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(value) = self.value(name) else { return Ok(None) };
        // 10.0 is a whole number to JSON Schema, and some clients write it so.
        let whole = value.as_u64().or_else(|| {
            let text = value.as_f64().filter(|number| number.fract() == 0.0)?.to_string();
            text.parse().ok()
        });
        whole.filter(|count| *count >= 1).map(Some).ok_or_else(|| self.wrong(name, "a whole number, 1 or more"))
    }
    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.value(name) {
            None => Ok(false),
            Some(Json::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(name, "true or false")),
        }
    }
    pub(super) fn object(&self, name: &str) -> Result<Option<&'a Object>, Problem> {
        match self.value(name) {
            None => Ok(None),
            Some(Json::Object(object)) => Ok(Some(object)),
            Some(_) => Err(self.wrong(name, "an object")),
        }
    }
    pub(super) fn list(&self, name: &str) -> Result<Option<&'a [Json]>, Problem> {
        match self.value(name) {
            None => Ok(None),
            Some(Json::Array(list)) => Ok(Some(list)),
            Some(_) => Err(self.wrong(name, "a list")),
        }
    }
    /// The service; where there is only one it need not be named.
    pub(super) fn service(&self, services: &Services<'_>) -> Result<ServiceName, Problem> {
        match (self.text("service")?, services.only()) {
            (Some(name), _) => Ok(name.into()),
            (None, Some(only)) => Ok(only.clone()),
            (None, None) => Err(self.missing("service", "`list_services` names those that you can reach")),
        }
    }
}

fn unknown(tool: &str, known: &[&'static str], name: &str) -> Problem {
    let shown = shortened(name);
    let near = nearest(name, known.iter().copied());
    let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    let takes = if known.is_empty() { "nothing".to_owned() } else { format!("`{}`", known.join("`, `")) };
    let lower = name.to_ascii_lowercase();
    let identity = if IDENTITY.contains(&lower.as_str()) { ". Who asks is settled by the token alone" } else { "" };
    let message = format!("`{tool}` has no argument `{shown}`{hint}; it takes {takes}{identity}");
    Problem::new(Reason::BadParameter, message).context(json!({ "parameter": shown, "suggestion": near }))
}

/// At most 64 characters, without control characters: it goes into a message.
pub(super) fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(64).is_some() {
        short.push('…');
    }
    short
}

/// The nearest of the names, if any is near.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower: String = name.chars().take(64).collect::<String>().to_lowercase();
    known
        .map(|known| (strsim::damerau_levenshtein(&lower, known), known))
        .filter(|(distance, known)| *distance <= known.len() / 3)
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Json) -> Object {
        let Json::Object(object) = value else { panic!("an object") };
        object
    }

    #[test]
    fn unknown_arguments_are_refused_with_the_known_ones() {
        let given = object(json!({ "tabel": "orders" }));
        let problem = Arguments::of("query_table", &["service", "table"], &given).err().unwrap();
        assert_eq!(
            problem.message,
            "`query_table` has no argument `tabel`; did you mean `table`?; it takes `service`, `table`"
        );
        for name in ["user", "Role", "on_behalf_of"] {
            let given = object(json!({ name: "bob" }));
            let problem = Arguments::of("whoami", &[], &given).err().unwrap();
            assert!(problem.message.ends_with("Who asks is settled by the token alone"), "{}", problem.message);
            assert!(!problem.message.contains("bob"));
        }
        let odd = object(json!({ ("x".repeat(100) + "\u{1b}"): 1 }));
        assert!(!Arguments::of("whoami", &[], &odd).err().unwrap().message.contains('\u{1b}'));
    }

    #[test]
    fn types_are_checked_and_null_is_nothing() {
        let given = object(json!({
            "t": "a", "n": 10, "f": 10.0, "b": true, "l": ["a"], "o": {}, "null": null,
            "half": 1.5, "zero": 0, "minus": -1, "mixed": ["a", 1], "word": "10", "huge": 1e300
        }));
        let names: Vec<&'static str> =
            vec!["t", "n", "f", "b", "l", "o", "null", "half", "zero", "minus", "mixed", "word", "huge"];
        let arguments = Arguments::of("tool", &names, &given).unwrap();
        assert_eq!(arguments.text("t").unwrap(), Some("a"));
        assert_eq!((arguments.count("n").unwrap(), arguments.count("f").unwrap()), (Some(10), Some(10)));
        assert!(arguments.flag("b").unwrap() && arguments.object("o").unwrap().is_some());
        assert_eq!(arguments.texts("l", 5).unwrap(), ["a"]);
        assert_eq!((arguments.text("null").unwrap(), arguments.count("null").unwrap()), (None, None));
        assert!(!arguments.flag("null").unwrap() && arguments.texts("null", 5).unwrap().is_empty());
        for name in ["half", "zero", "minus", "word", "b", "huge"] {
            assert!(arguments.count(name).is_err(), "{name}");
        }
        for wrong in [
            arguments.text("n").err(),
            arguments.flag("t").err(),
            arguments.texts("mixed", 5).err(),
            arguments.texts("l", 0).err(),
            arguments.object("l").err(),
        ] {
            assert_eq!(wrong.unwrap().reason, Reason::BadParameter);
        }
        assert_eq!(
            arguments.count("word").err().unwrap().message,
            "`word` of `tool` must be a whole number, 1 or more"
        );
    }
}
