//! The settings with which a role's sessions begin (ALTER ROLE … SET, ALTER DATABASE … SET). In: entries `name=value`, those that
//! win first. Out: those that asuser applies, which are in an allow-list; the names of the others; and those for whose sake nobody
//! may be the role: they say who a session is.

use super::path::names;

/// The settings of one role.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// Name and value, for `set_config`.
    pub(super) applied: Vec<(String, String)>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) read_only: bool,
    /// The role's own; `$user` is not resolved.
    pub(super) search_path: Option<Vec<String>>,
    /// Names of the role's own settings that are not in the list, or that cannot be read.
    pub(super) ignored: Vec<String>,
    pub(super) refused: Vec<String>,
}

impl Settings {
    /// From entries with whether they are the role's own.
    pub(super) fn of(entries: &[(bool, String)]) -> Self {
        let mut settings = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for (own, entry) in entries {
            let Some((written, value)) = entry.split_once('=') else { continue };
            // The server compares names of settings without case.
            let name = written.to_ascii_lowercase();
            // Refused wherever it stands: a later change of what wins must not make it effective.
            if says_who(&name) {
                if !settings.refused.contains(&name) {
                    settings.refused.push(name);
                }
                continue;
            }
            // The path of a database is not the role's: the service has its own.
            if seen.contains(&name) || (name == "search_path" && !own) {
                continue;
            }
            if !settings.take(&name, value) && *own {
                settings.ignored.push(written.to_owned());
            }
            seen.push(name);
        }
        settings
    }

    /// Whether the setting is in the list and has a value that can be read.
    fn take(&mut self, name: &str, value: &str) -> bool {
        match name {
            "search_path" => {
                self.search_path = names(value);
                self.search_path.is_some()
            }
            "statement_timeout" => {
                let time = milliseconds(value);
                self.timeout_ms = time.filter(|time| *time > 0);
                time.is_some()
            }
            // It has no effect within a transaction (SPEC C): the transaction itself is begun so.
            "default_transaction_read_only" => {
                self.read_only = is_true(value);
                true
            }
            _ => {
                let spelling = match name {
                    "lock_timeout" => "lock_timeout",
                    "timezone" => "TimeZone",
                    "datestyle" => "DateStyle",
                    "intervalstyle" => "IntervalStyle",
                    _ => return false,
                };
                self.applied.push((spelling.to_owned(), value.to_owned()));
                true
            }
        }
    }
}

/// A session that begins with it is somebody else's, or says so.
fn says_who(name: &str) -> bool {
    matches!(name, "role" | "session_authorization") || name.starts_with("request.") || name.starts_with("asuser.")
}

/// As the server reads a boolean setting: any start of the words that can only be one of them.
fn is_true(value: &str) -> bool {
    let value = value.trim().to_ascii_lowercase();
    let starts = |word: &str, least: usize| value.len() >= least && word.starts_with(value.as_str());
    starts("true", 1) || starts("yes", 1) || starts("on", 2) || value == "1"
}

/// As the server reads a time of milliseconds: a number, which may have a unit and a fraction. Rounded up, so that a limit of less
/// than 1 ms does not become none.
fn milliseconds(value: &str) -> Option<u64> {
    let value = value.trim();
    let end = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
    let (number, unit) = value.split_at_checked(end)?;
    let factor = match unit.trim() {
        "us" => 0.001,
        "" | "ms" => 1.0,
        "s" => 1_000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return None,
    };
    let time = (number.parse::<f64>().ok()? * factor).ceil();
    // The server's own bound.
    if !(0.0..=f64::from(i32::MAX)).contains(&time) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and between 0 and 2³¹")]
    let time = time as u64;
    Some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(entries: &[(bool, &str)]) -> Settings {
        let entries: Vec<(bool, String)> = entries.iter().map(|(own, entry)| (*own, (*entry).to_owned())).collect();
        Settings::of(&entries)
    }

    #[test]
    fn what_comes_first_wins_whatever_its_case() {
        let found = settings(&[
            (true, "TimeZone=Asia/Tokyo"),
            (true, "timezone=UTC"),
            (true, "statement_timeout=5s"),
            (false, "statement_timeout=1min"),
            (false, "DateStyle=ISO, DMY"),
        ]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(found.applied, [pair("TimeZone", "Asia/Tokyo"), pair("DateStyle", "ISO, DMY")]);
        assert_eq!(found.timeout_ms, Some(5_000));
        assert_eq!((found.ignored, found.refused), (vec![], vec![]));
    }

    #[test]
    fn a_setting_that_says_who_is_refused_at_every_level_and_others_are_not() {
        for name in
            ["role", "Role", "session_authorization", "request.jwt.claims", "REQUEST.jwt.claim.sub", "asuser.claims"]
        {
            for own in [true, false] {
                let found = settings(&[(own, &format!("{name}=bob"))]);
                assert_eq!(found.refused, [name.to_ascii_lowercase()], "{name}");
            }
        }
        let found = settings(&[(true, "app.tenant=7"), (true, "work_mem=64MB"), (false, "jit=off"), (true, "roles=x")]);
        assert_eq!(
            (found.refused, found.ignored),
            (vec![], vec!["app.tenant".into(), "work_mem".into(), "roles".into()])
        );
    }

    #[test]
    fn only_a_path_of_its_own_counts() {
        assert_eq!(settings(&[(true, "search_path=a, \"B\"")]).search_path, Some(vec!["a".into(), "B".into()]));
        assert_eq!(settings(&[(false, "search_path=a")]).search_path, None);
        assert_eq!(settings(&[(true, "search_path=a,")]).ignored, ["search_path"]);
    }

    #[test]
    fn times_and_booleans_are_read_as_the_server_reads_them() {
        let cases = [
            ("0", Some(0)),
            ("250", Some(250)),
            ("1.5s", Some(1_500)),
            ("2 min", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("1d", Some(86_400_000)),
            ("10us", Some(1)),
            ("30d", None),
            ("-1", None),
            ("s", None),
            ("5 S", None),
            ("0x10", None),
        ];
        for (value, expected) in cases {
            assert_eq!(milliseconds(value), expected, "{value}");
        }
        assert_eq!(settings(&[(true, "statement_timeout=0")]).timeout_ms, None);
        for (value, expected) in
            [("on", true), ("true", true), ("T", true), ("y", true), ("1", true), ("o", false), ("off", false)]
        {
            assert_eq!(is_true(value), expected, "{value}");
        }
    }
}
