//! What a verification found, step by step. For the operator alone: it names expected and found values.

use std::fmt;

use asuser_core::{PrincipalData, PrincipalKey, Problem, ProviderName};
use serde::Serialize;

/// The steps of a verification, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Three strict base64url segments, a strict JSON header and payload.
    Parse,
    /// The issuer is exactly that of a configured provider.
    Issuer,
    /// The header has the form that the provider's profile asks for.
    Profile,
    /// The algorithm is one of the provider's.
    Algorithm,
    /// A key of the provider fits.
    Key,
    /// The signature is good. From here on the token's words are the provider's.
    Signature,
    /// Issuer and subject make a key.
    Subject,
    /// It is in force now.
    Times,
    /// It is meant for us.
    Audience,
    /// It is an access token.
    Type,
    /// A human is behind it.
    Human,
    /// It is not bound to a key whose proof nobody checks.
    Binding,
    /// Its claims map to what asuser knows of a person.
    Mapping,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Parse,
        Self::Issuer,
        Self::Profile,
        Self::Algorithm,
        Self::Key,
        Self::Signature,
        Self::Subject,
        Self::Times,
        Self::Audience,
        Self::Type,
        Self::Human,
        Self::Binding,
        Self::Mapping,
    ];
    /// The step in one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Issuer => "issuer",
            Self::Profile => "profile",
            Self::Algorithm => "algorithm",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Subject => "subject",
            Self::Times => "times",
            Self::Audience => "audience",
            Self::Type => "type",
            Self::Human => "human",
            Self::Binding => "binding",
            Self::Mapping => "mapping",
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepOutcome {
    /// It held.
    Ok,
    /// It did not hold, which ended the verification.
    Failed,
    /// It was not reached.
    Skipped,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// Which.
    pub step: Step,
    /// How it ended.
    pub outcome: StepOutcome,
    /// What was found, in words.
    pub words: String,
}

/// Everything that a verification found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The credential is good.
    pub accepted: bool,
    /// The provider that its issuer chose.
    pub provider: Option<ProviderName>,
    /// Every step, in order.
    pub steps: Vec<StepReport>,
    /// Who it is, where the credential is good. Plain data: it proves nothing.
    pub principal: Option<PrincipalData>,
    /// Who it is about, where only the signature is good.
    pub established: Option<PrincipalKey>,
    /// Why it was refused.
    pub refusal: Option<Refusal>,
}

/// A refusal, as the caller and as the operator reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// `ASU-2xx`
    pub code: &'static str,
    /// What the caller is told.
    pub message: String,
    /// What the operator is told besides.
    pub detail: Option<String>,
}

impl From<&Problem> for Refusal {
    fn from(problem: &Problem) -> Self {
        Self { code: problem.reason.code(), message: problem.message.clone(), detail: problem.detail.clone() }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for StepReport { step, outcome, words } in &self.steps {
            let mark = match outcome {
                StepOutcome::Ok => "ok",
                StepOutcome::Failed => "FAILED",
                StepOutcome::Skipped => "-",
            };
            writeln!(f, "{mark:<7} {:<10} {words}", step.as_str())?;
        }
        match &self.refusal {
            None => writeln!(f, "accepted"),
            Some(refusal) => writeln!(f, "refused: {}: {}", refusal.code, refusal.message),
        }
    }
}

/// Writes down the steps as they are taken. Silent for a verification, so that both run the same code.
pub(crate) struct Trace {
    reports: Option<Vec<StepReport>>,
}

impl Trace {
    pub(crate) const fn silent() -> Self {
        Self { reports: None }
    }
    pub(crate) fn writing() -> Self {
        Self { reports: Some(Vec::with_capacity(Step::ALL.len())) }
    }
    /// Notes how `step` ended. `words` is asked only if somebody reads it.
    pub(crate) fn note<T>(
        &mut self,
        step: Step,
        result: Result<T, Problem>,
        words: impl FnOnce(&T) -> String,
    ) -> Result<T, Problem> {
        if let Some(reports) = &mut self.reports {
            let (outcome, words) = match &result {
                Ok(value) => (StepOutcome::Ok, words(value)),
                Err(problem) => {
                    (StepOutcome::Failed, problem.detail.clone().unwrap_or_else(|| problem.message.clone()))
                }
            };
            reports.push(StepReport { step, outcome, words });
        }
        result
    }
    /// All steps; those not reached as skipped.
    pub(crate) fn finish(self) -> Vec<StepReport> {
        let mut reports = self.reports.unwrap_or_default();
        let rest = Step::ALL.iter().skip(reports.len());
        let skipped: Vec<_> = rest
            .map(|step| StepReport { step: *step, outcome: StepOutcome::Skipped, words: "not reached".into() })
            .collect();
        reports.extend(skipped);
        reports
    }
}
