//! Subjects and their keys, on a thread of their own: the store may block, and one at a time decides who is new.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use asuser_core::{AuditId, Digest, PrincipalData, PrincipalKey};
use tokio::sync::oneshot;

use crate::error::LogError;
use crate::gate::Watch;
use crate::leaf::{Kind, Leaf, WhoRef};
use crate::log::{Draft, Shared};
use crate::personal::{Field, KeyStore, Personal, SubjectKey, SubjectRef, VALUE_MAX};

/// A principal as records refer to it.
#[derive(Debug)]
pub struct Who {
    /// For [`Leaf::who`].
    pub at: WhoRef,
    /// For the personal parts of this principal's records.
    pub key: Arc<SubjectKey>,
    /// What the `who` record says.
    pub(crate) facts: Personal,
}

/// Whom to erase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Erasure {
    /// A principal.
    Principal(PrincipalKey),
    /// A subject as the log names it.
    Subject(SubjectRef),
    /// The unauthenticated sources of a day (days since 1970-01-01).
    Day(i64),
}

type Reply<T> = oneshot::Sender<Result<T, LogError>>;

pub(crate) enum Job {
    Who { principal: PrincipalKey, facts: Personal, reply: Reply<Arc<Who>> },
    SubjectKey { principal: PrincipalKey, reply: Reply<Arc<SubjectKey>> },
    Erase { subject: Erasure, leaf: Box<Leaf>, reply: Reply<AuditId> },
}

/// What a `who` record keeps of a principal.
pub(crate) fn facts(principal: &PrincipalData) -> Personal {
    Personal::none()
        .with(Field::Issuer, principal.key.issuer.as_str())
        .with(Field::Subject, principal.key.subject.as_str())
        .with_some(Field::Login, principal.login.as_ref().map(asuser_core::Login::as_str))
        .with_some(Field::Email, principal.email.as_deref())
        .with_some(Field::Name, principal.name.as_deref())
}

/// Whether these are the facts of this principal; allocates nothing in all but the strangest cases.
pub(crate) fn is_same(known: &Personal, principal: &PrincipalData) -> bool {
    let fields = [
        (Field::Issuer, Some(principal.key.issuer.as_str())),
        (Field::Subject, Some(principal.key.subject.as_str())),
        (Field::Login, principal.login.as_ref().map(asuser_core::Login::as_str)),
        (Field::Email, principal.email.as_deref()),
        (Field::Name, principal.name.as_deref()),
    ];
    if fields.iter().any(|(_, value)| value.is_some_and(|value| value.len() > VALUE_MAX)) {
        return *known == facts(principal);
    }
    fields.iter().all(|(field, value)| known.value(*field) == *value)
}

pub(crate) struct Keys {
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Arc<dyn KeyStore>,
}

impl Keys {
    pub(crate) fn run(self, jobs: &Receiver<Job>) {
        let _watch = Watch(Arc::clone(&self.shared.gate), "keys");
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Who { principal, facts, reply } => drop(reply.send(self.who(principal, facts))),
                Job::SubjectKey { principal, reply } => {
                    drop(reply.send(self.store.subject_key(&principal).map_err(LogError::from)));
                }
                Job::Erase { subject, leaf, reply } => drop(reply.send(self.erase(&subject, *leaf))),
            }
        }
    }

    fn who(&self, principal: PrincipalKey, facts: Personal) -> Result<Arc<Who>, LogError> {
        if let Some(who) = self.shared.known(&principal, &facts) {
            return Ok(who);
        }
        // Before the store is asked: at the reserve nobody new is made.
        self.shared.gate.admit(false)?;
        let key = self.store.subject_key(&principal)?;
        let mut leaf = Leaf::new(Kind::Who, fresh_entry()?, 0, self.shared.clock.now_ms());
        leaf.subject = Some(key.id());
        let at = self.write(Draft::with_personal(leaf, Arc::clone(&key), facts.clone()))?;
        let who = Arc::new(Who { at, key, facts });
        self.shared.known.insert(principal, Arc::clone(&who));
        Ok(who)
    }

    fn erase(&self, subject: &Erasure, leaf: Leaf) -> Result<AuditId, LogError> {
        let found = match subject {
            Erasure::Principal(principal) => self.store.find(principal)?,
            Erasure::Day(day) => self.store.find_day(*day)?,
            Erasure::Subject(id) => self.store.key(*id)?.map(|key| key.id()),
        };
        let subject = found.ok_or(LogError::NoSuchSubject)?;
        let entry = leaf.audit_id();
        let erase = Leaf { kind: Kind::Erase, n: 0, subject: Some(subject), ..leaf };
        let erased = Leaf { kind: Kind::Erased, n: 1, ..erase.clone() };
        self.write(Draft::new(erase))?;
        self.store.erase(subject)?;
        self.forget(subject)?;
        self.write(Draft::new(Leaf { t_ms: self.shared.clock.now_ms(), ..erased }))?;
        Ok(entry)
    }

    fn forget(&self, subject: SubjectRef) -> Result<(), LogError> {
        self.shared.known.retain(|_, who| who.key.id() != subject);
        if self.shared.day_key.current().id() == subject {
            self.shared.day_key.renew(&*self.store, self.shared.day_key.day())?;
        }
        Ok(())
    }

    fn write(&self, draft: Draft) -> Result<WhoRef, LogError> {
        let positions = self.shared.append(vec![draft]).wait()?;
        let position = positions.first().ok_or(LogError::Closed)?;
        Ok(WhoRef { index: position.index, hash: Digest(position.leaf_hash.0) })
    }
}

pub(crate) fn fresh_entry() -> Result<AuditId, LogError> {
    AuditId::random().map_err(|_| LogError::Seal)
}
