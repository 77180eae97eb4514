//! Receipts over a face: the proof that an entry is in the log, for whoever it is about, or an auditor.
//!
//! In: an entry's id. Out: its leaves, inclusion proofs and a signed checkpoint, as JSON; the personal parts are not in it.
//! An entry of somebody else's reads like one that does not exist.

use std::sync::Arc;

use asuser_audit_log::{Log, Reader, Receipt, ReceiptError, SubjectRef};
use asuser_core::{AuditId, Problem, Reason};

use crate::{Body, Entry, Unreleased};

/// Who may see a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptFor {
    /// The person that the entry is about.
    Owner,
    /// Whoever audits: any entry.
    Auditor,
}

impl Entry {
    /// The receipt of an earlier entry as an answer. Fresh entries are put under a checkpoint first.
    ///
    /// # Errors
    /// When there is no such entry that this caller may see, when another receipt is being looked for, or the log cannot be read.
    pub async fn receipt(&mut self, id: AuditId, reader: ReceiptFor) -> Result<Unreleased<Body>, Problem> {
        let Some(owner) = self.owner() else { return Err(no_such_entry()) };
        self.does("receipt");
        // A search through the log is work that a caller could pile up: one at a time.
        let _place = self.audit().receipt_place().ok_or_else(busy)?;
        let log = self.audit().log().clone();
        let receipt = match find(log.clone(), id, owner, reader).await {
            Err(ReceiptError::NotCovered) => {
                log.checkpoint().await.map_err(|error| error.problem())?;
                find(log, id, owner, reader).await
            }
            other => other,
        };
        match receipt {
            Ok(receipt) => {
                let body = serde_json::to_vec(&receipt.json()).map_err(|error| fault(&error.to_string()))?;
                Ok(self.own_answer(body))
            }
            Err(ReceiptError::NoSuchEntry) => Err(no_such_entry()),
            Err(error) => Err(fault(&error.to_string())),
        }
    }
}

/// Reads files, so it runs where that blocks nobody.
async fn find(log: Log, id: AuditId, owner: SubjectRef, asked_by: ReceiptFor) -> Result<Receipt, ReceiptError> {
    let search = move || {
        let reader = Reader::new(log.folder(), log.verifier_key().clone(), None);
        if asked_by == ReceiptFor::Owner && !is_about(&reader, id, owner)? {
            return Err(ReceiptError::NoSuchEntry);
        }
        reader.receipt(id)
    };
    let stopped = |_| Err(ReceiptError::Tiles("the search was stopped".into()));
    tokio::task::spawn_blocking(search).await.unwrap_or_else(stopped)
}

/// Whether the entry's `who` record is about this subject.
fn is_about(reader: &Reader, id: AuditId, owner: SubjectRef) -> Result<bool, ReceiptError> {
    let who = reader.entry(id)?.iter().find_map(|record| record.leaf.who);
    let Some(who) = who else { return Ok(false) };
    Ok(reader.record(who.index)?.is_some_and(|record| record.leaf.subject == Some(owner)))
}

fn no_such_entry() -> Problem {
    Problem::new(Reason::NoSuchEntry, "there is no such audit entry that you may see")
}
fn busy() -> Problem {
    Problem::new(Reason::AuditUnavailable, "another receipt is being looked for: try again in a moment").retry_after(1)
}
fn fault(detail: &str) -> Problem {
    Problem::new(Reason::Internal, "the receipt cannot be made: ask the operator").detail(detail)
}

/// Shared by all entries: one search at a time.
pub(crate) type Places = Arc<tokio::sync::Semaphore>;
