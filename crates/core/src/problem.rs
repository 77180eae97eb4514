//! How a request is refused: a reason from a closed list, words for the caller, and, apart from them, words for the operator.

use std::fmt;

use serde_json::Value as Json;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal;)*) => {
        /// Why a request was refused or failed. The code is stable and documented in `docs/errors.md`; the HTTP status belongs to it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {$(
            $(#[$doc])* $name,
        )*}
        impl Reason {
            /// All of them, in the order of their codes.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
            /// `ASU-` and three digits: 1xx request, 2xx identity, 3xx delegation, 4xx policy, 5xx plan, 6xx connector, 7xx audit.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {$(Self::$name => concat!("ASU-", $code),)*}
            }
            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self {$(Self::$name => $status,)*}
            }
        }
    };
}

reasons! {
    /// The URL, method, header or body is malformed.
    BadRequest = "101", 400;
    /// No such route.
    NoSuchRoute = "102", 404;
    /// The route exists, not for this method.
    MethodNotAllowed = "103", 405;
    /// A parameter is unknown, repeated or malformed.
    BadParameter = "104", 400;
    /// The filter does not parse.
    BadFilter = "105", 400;
    /// This part of the dialect is not served.
    NotServed = "107", 501;
    /// Too many requests from this source before anyone was verified.
    TooManyRequests = "108", 429;
    /// The request was given up by the caller before it was answered.
    Cancelled = "109", 499;
    /// The body is no message of the protocol that the route speaks.
    BadMessage = "110", 400;
    /// The body has a media type that the route does not take.
    UnsupportedMediaType = "111", 415;
    /// The body is larger than the route takes.
    BodyTooLarge = "112", 413;
    /// The page that sent the request, or the host that it was sent to, is not one that is allowed.
    OriginDenied = "113", 403;

    /// No credential was sent.
    NoCredential = "201", 401;
    /// The credential is not one that any provider issues (not a JWT, malformed, unsupported form).
    MalformedCredential = "202", 401;
    /// No configured provider has this issuer.
    UnknownIssuer = "203", 401;
    /// The signature, key or algorithm is not acceptable.
    BadSignature = "204", 401;
    /// Expired, not yet valid, or without the times it needs.
    NotInForce = "205", 401;
    /// Made for someone else.
    WrongAudience = "206", 401;
    /// Not an access token (an ID, refresh or logout token, or a wrong `typ`).
    WrongTokenType = "207", 401;
    /// A machine's token: no human is behind it (law 1).
    MachineToken = "208", 401;
    /// A required claim is missing or ill-formed.
    BadClaim = "209", 401;
    /// The token is bound to a key (`cnf`) whose proof is not checked here.
    UnprovenBinding = "210", 401;
    /// The person is known, but cannot be mapped to what the service needs.
    NotMapped = "211", 403;
    /// The identity provider's keys are not at hand, so nothing of it can be verified.
    KeysUnavailable = "212", 503;
    /// A credential came by a way that is never accepted, such as the URL, or more than one came.
    MisplacedCredential = "213", 401;
    /// The agent's own credential is unknown.
    UnknownAgentCredential = "214", 401;

    /// No actor, and this installation demands one.
    ActorRequired = "301", 403;
    /// The token's scope does not cover this.
    InsufficientScope = "302", 403;
    /// The agent may not do this.
    ActorNotAllowed = "303", 403;

    /// No service of this name.
    NoSuchService = "401", 404;
    /// No table of this name that the caller may reach.
    NoSuchTable = "402", 404;
    /// Policy denies it.
    Denied = "403", 403;
    /// Policy denies a column that the request names.
    ColumnDenied = "404", 403;
    /// Policy could not decide.
    Undecidable = "405", 503;
    /// No tool of this name.
    NoSuchTool = "406", 404;

    /// No column of this name.
    NoSuchColumn = "501", 400;
    /// A value does not fit the column.
    BadValue = "502", 400;
    /// The table has no key, or the key has another form.
    BadKey = "503", 400;
    /// No such record that the caller may see.
    NoSuchRecord = "504", 404;
    /// The request is too complex.
    TooComplex = "505", 400;
    /// The submitted SQL does not parse, or names what does not exist.
    BadStatement = "506", 400;
    /// The submitted SQL uses what submitted SQL may not use.
    StatementNotAllowed = "507", 403;
    /// A table can be read, but not by submitted SQL.
    NotForSql = "508", 403;

    /// The database cannot be reached.
    DatabaseUnavailable = "601", 503;
    /// The statement took too long.
    DatabaseTimeout = "602", 503;
    /// All connections are busy.
    DatabaseBusy = "603", 503;
    /// The answer is larger than the limit.
    AnswerTooLarge = "604", 413;
    /// The database refused the statement.
    DatabaseRefused = "605", 502;
    /// The database does not let this person read it.
    DatabaseDenied = "606", 403;
    /// The person's database role may not be used.
    DatabaseRole = "607", 403;
    /// A function that nobody vouched for would run under a role that several people share.
    UntrustedFunction = "608", 403;
    /// The submitted SQL failed on a value while it ran.
    StatementFailed = "609", 400;
    /// The database expects the submitted SQL to cost more than is allowed.
    TooCostly = "610", 400;

    /// The audit log cannot be written, so nothing is answered (law 7).
    AuditUnavailable = "701", 503;
    /// A fault of asuser itself.
    Internal = "702", 500;
    /// No such audit entry that the caller may see.
    NoSuchEntry = "703", 404;
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A refusal or failure on its way to the caller.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// Why.
    pub reason: Reason,
    /// For the caller: what to do. Holds nothing that the caller may not see, and no secret.
    pub message: String,
    /// For the operator's log alone; holds no secret either.
    pub detail: Option<String>,
    /// Machine-readable particulars for the caller, such as the position in a filter.
    pub context: Option<Json>,
    /// When to come again, in seconds.
    pub retry_after_s: Option<u32>,
}

impl Problem {
    /// A problem with words for the caller.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), detail: None, context: None, retry_after_s: None }
    }
    /// Adds words for the operator.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
    /// Adds particulars for the caller.
    #[must_use]
    pub fn context(mut self, context: Json) -> Self {
        self.context = Some(context);
        self
    }
    /// Says when to come again.
    #[must_use]
    pub const fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}
impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn codes_are_unique_and_in_order() {
        assert!(Reason::ALL.windows(2).all(|pair| matches!(pair, [a, b] if a.code() < b.code())));
    }
}
