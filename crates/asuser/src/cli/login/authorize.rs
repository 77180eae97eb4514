//! The authorization request, and what comes back for it (RFC 6749 §4.1, RFC 7636, RFC 9207).
//!
//! In: the target of a request that came to the loopback address. Out: the code, or why there is none. Refuses what does not carry this
//! sign-in's own `state`, and answers of another issuer.

use anyhow::{anyhow, ensure};
use asuser_core::Secret;
use asuser_fetch::Url;
use data_encoding::BASE64URL_NOPAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use super::words::clean;

/// Everything but unreserved characters (RFC 3986 §2.3) is escaped.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PARAMETERS_MAX: usize = 32;
/// The longest code that is taken.
const CODE_BYTES_MAX: usize = 8 * 1024;

/// What is secret about one sign-in.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) state: Secret,
    /// RFC 7636 §4.1
    pub(crate) verifier: Secret,
}

impl Attempt {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self { state: random()?, verifier: random()? })
    }
    /// RFC 7636 §4.2: S256
    fn challenge(&self) -> String {
        BASE64URL_NOPAD.encode(&Sha256::digest(self.verifier.expose().as_bytes()))
    }
}

/// 256 bits, as text.
fn random() -> anyhow::Result<Secret> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow!("the system gives no random bytes"))?;
    Ok(Secret::new(BASE64URL_NOPAD.encode(&bytes)))
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) redirect: &'a str,
    pub(crate) scope: &'a str,
    /// RFC 8707
    pub(crate) resource: Option<&'a str>,
    /// OpenID Connect Core §3.1.2.1
    pub(crate) prompt: Option<&'a str>,
}

/// The address that a browser opens.
pub(crate) fn url(endpoint: &Url, asked: Asked<'_>, attempt: &Attempt) -> String {
    let challenge = attempt.challenge();
    let parameters = [
        ("response_type", Some("code")),
        ("client_id", Some(asked.client_id)),
        ("redirect_uri", Some(asked.redirect)),
        ("scope", Some(asked.scope).filter(|scope| !scope.is_empty())),
        ("state", Some(attempt.state.expose())),
        ("code_challenge", Some(challenge.as_str())),
        ("code_challenge_method", Some("S256")),
        ("resource", asked.resource),
        ("prompt", asked.prompt),
    ];
    let written = parameters
        .iter()
        .filter_map(|(name, value)| value.map(|value| format!("{name}={}", utf8_percent_encode(value, QUERY))));
    let endpoint = endpoint.text();
    // RFC 6749 §3.1: a query that is there stays.
    let joint = if endpoint.contains('?') { '&' } else { '?' };
    format!("{endpoint}{joint}{}", written.collect::<Vec<_>>().join("&"))
}

/// What an answer must say.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) path: String,
    pub(crate) state: Secret,
    pub(crate) issuer: String,
    /// The server said that it names itself (RFC 9207 §2.4).
    pub(crate) says_issuer: bool,
}

/// What came to the loopback address.
#[derive(Debug)]
pub(crate) enum Came {
    /// Nothing of this sign-in: `favicon.ico`, or a page that guesses. It changes nothing.
    Foreign,
    /// The end of this sign-in.
    End(anyhow::Result<Secret>),
}

impl Expected {
    /// Judges a request by its target.
    pub(crate) fn judge(&self, target: &str) -> Came {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let Some(parameters) = Parameters::parse(query).filter(|_| path == self.path) else { return Came::Foreign };
        let Some(state) = parameters.one("state").map(|state| Secret::new(state.to_owned())) else {
            return Came::Foreign;
        };
        if state != self.state {
            return Came::Foreign;
        }
        Came::End(self.code(&parameters))
    }

    fn code(&self, parameters: &Parameters) -> anyhow::Result<Secret> {
        for name in ["code", "iss", "error", "error_description"] {
            ensure!(parameters.count(name) <= 1, "the authorization server's answer has `{name}` twice");
        }
        // RFC 9207 §2.4: compared as strings, before anything else of it is believed.
        match parameters.one("iss") {
            Some(issuer) => ensure!(
                issuer == self.issuer,
                "`{}` answered, and not `{}`, which was asked: somebody may have mixed them up; nothing was sent to either",
                clean(issuer),
                self.issuer
            ),
            None => ensure!(
                !self.says_issuer,
                "the answer does not say of whom it is, although `{}` says so always",
                self.issuer
            ),
        }
        if let Some(error) = parameters.one("error") {
            let description = parameters.one("error_description").map(clean).filter(|words| !words.is_empty());
            let description = description.map_or_else(String::new, |words| format!(": {words}"));
            return Err(anyhow!("the authorization server refused (`{}`){description}", clean(error)));
        }
        let code = parameters.one("code").unwrap_or_default();
        ensure!(
            !code.is_empty() && code.len() <= CODE_BYTES_MAX,
            "the authorization server's answer has no code in it"
        );
        Ok(Secret::new(code.to_owned()))
    }
}

/// The fields of a query.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn parse(query: &str) -> Option<Self> {
        let decoded = |text: &str| Some(percent_decode_str(&text.replace('+', " ")).decode_utf8().ok()?.into_owned());
        let mut found = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            found.push((decoded(name)?, decoded(value)?));
            if found.len() > PARAMETERS_MAX {
                return None;
            }
        }
        Some(Self(found))
    }
    fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
    fn count(&self, name: &str) -> usize {
        self.all(name).count()
    }
    /// The value of a field that is there once.
    fn one(&self, name: &str) -> Option<&str> {
        let mut all = self.all(name);
        all.next().filter(|_| all.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(says_issuer: bool) -> Expected {
        Expected {
            path: "/callback".into(),
            state: Secret::new("s1".into()),
            issuer: "https://login.example.com".into(),
            says_issuer,
        }
    }
    fn judged(says_issuer: bool, target: &str) -> Option<Result<String, String>> {
        match expected(says_issuer).judge(target) {
            Came::Foreign => None,
            Came::End(Ok(code)) => Some(Ok(code.expose().to_owned())),
            Came::End(Err(error)) => Some(Err(error.to_string())),
        }
    }
    const ISS: &str = "iss=https%3A%2F%2Flogin.example.com";

    #[test]
    fn a_request_says_all_that_the_standards_ask() {
        let attempt = Attempt {
            state: Secret::new("st".into()),
            // RFC 7636 appendix B
            verifier: Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into()),
        };
        let asked = Asked {
            client_id: "cli & co",
            redirect: "http://127.0.0.1:9/callback",
            scope: "db:read openid",
            resource: Some("https://d.example/mcp"),
            prompt: None,
        };
        assert_eq!(
            url(&"https://l.example/auth?realm=a".parse().unwrap(), asked, &attempt),
            "https://l.example/auth?realm=a&response_type=code&client_id=cli%20%26%20co&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcallback\
             &scope=db%3Aread%20openid&state=st&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256\
             &resource=https%3A%2F%2Fd.example%2Fmcp"
        );
        let bare = Asked { scope: "", resource: None, prompt: Some("consent"), ..asked };
        let bare = url(&"https://l.example/auth".parse().unwrap(), bare, &attempt);
        assert!(!bare.contains("resource=") && !bare.contains("scope=") && bare.ends_with("&prompt=consent"), "{bare}");
        let (one, other) = (Attempt::new().unwrap(), Attempt::new().unwrap());
        assert!(one.state != other.state && one.verifier != other.verifier && one.state != one.verifier);
        assert_eq!(one.verifier.expose().len(), 43);
    }

    #[test]
    fn an_answer_with_this_sign_ins_state_gives_its_code() {
        assert_eq!(judged(false, "/callback?code=c%2B1+2&state=s1"), Some(Ok("c+1 2".into())));
        assert_eq!(judged(true, &format!("/callback?code=c&state=s1&{ISS}")), Some(Ok("c".into())));
        assert_eq!(judged(false, &format!("/callback?code=c&state=s1&{ISS}&session_state=x")), Some(Ok("c".into())));
    }

    #[test]
    fn what_is_not_of_this_sign_in_changes_nothing() {
        for target in [
            "/callback",
            "/callback?",
            "/callback?code=c",
            "/callback?code=c&state=",
            "/callback?code=c&state=s2",
            "/callback?code=c&state=S1",
            "/callback?code=c&state=s1&state=s1",
            "/callback?code=c&state=s1&state=s2",
            "/callback?code=%ff&state=s1",
            "/other?code=c&state=s1",
            "/callback/?code=c&state=s1",
            "/favicon.ico",
            "",
            "*",
        ] {
            assert_eq!(judged(false, target), None, "{target}");
        }
        assert_eq!(judged(false, &format!("/callback?state=s1&code=c{}", "&a=b".repeat(40))), None);
    }

    #[test]
    fn an_answer_of_another_issuer_ends_the_sign_in() {
        for iss in ["iss=https%3A%2F%2Fevil.example", "iss=https%3A%2F%2Flogin.example.com%2F", "iss="] {
            for says in [false, true] {
                let words = judged(says, &format!("/callback?code=c&state=s1&{iss}")).unwrap().unwrap_err();
                assert!(words.contains("mixed"), "{iss}: {words}");
            }
        }
        assert!(judged(true, "/callback?code=c&state=s1").unwrap().unwrap_err().contains("of whom"));
        assert!(
            judged(false, &format!("/callback?code=c&state=s1&{ISS}&{ISS}")).unwrap().unwrap_err().contains("twice")
        );
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let words = judged(false, "/callback?error=access_denied&error_description=not%0Atoday%1b&state=s1");
        assert_eq!(words, Some(Err("the authorization server refused (`access_denied`): nottoday".into())));
        // Nobody ends a sign-in whose state they do not know.
        assert_eq!(judged(false, "/callback?error=access_denied&state=x"), None);
        assert!(judged(false, "/callback?state=s1").unwrap().unwrap_err().contains("no code"));
        assert!(judged(false, "/callback?state=s1&code=a&code=b").unwrap().unwrap_err().contains("twice"));
    }
}
