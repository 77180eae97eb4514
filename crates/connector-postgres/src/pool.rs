//! Connections that are open. In: whose it must be. Out: a lease of one. Refuses to wait behind too many, or beyond the deadline.
//!
//! A lease goes back only when its transaction ended as it should. One that is dropped in the middle of a statement has the
//! server cancel it, and keeps its place until the server is done, so that never more connections are open than configured. No
//! connection serves a second person unless identity lives inside the transaction alone (law 6).

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::PostgresError;
use crate::session::Session;

/// How long the server may take to end a cancelled statement before its connection is closed all the same.
const CANCEL_TIME: Duration = Duration::from_secs(5);

/// Whose connections may serve a read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// Everybody's: identity lives inside the transaction.
    Shared,
    /// One person's own login: issuer, subject, role.
    Person(Arc<(String, String, String)>),
    /// One person's own SQL, whatever the login: issuer, subject, role.
    Sql(Arc<(String, String, String)>),
}

#[derive(Debug)]
pub(crate) struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connections: usize,
    waiting_max: usize,
    person_max: usize,
    /// A permit for each lease.
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The longest unused first.
    idle: Vec<Idle>,
    /// Idle ones, those under lease, and those that are being opened or ended.
    open: usize,
    people: HashMap<Owner, Arc<Person>>,
}

/// One person's share of the pool.
#[derive(Debug)]
struct Person {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct Idle {
    owner: Owner,
    session: Session,
}

/// A connection for one transaction.
#[derive(Debug)]
pub(crate) struct Lease {
    session: Option<Session>,
    owner: Owner,
    inner: Arc<Inner>,
    /// Something was sent, and its end has not come.
    pub(crate) busy: bool,
    /// Of the pool, and of the person where each has a share.
    permits: Option<(OwnedSemaphorePermit, Option<OwnedSemaphorePermit>)>,
}

impl Pool {
    pub(crate) fn new(connections: usize, waiting_max: usize, person_max: usize) -> Self {
        Self(Arc::new(Inner {
            connections,
            waiting_max,
            person_max,
            permits: Arc::new(Semaphore::new(connections)),
            waiting: AtomicUsize::new(0),
            state: Mutex::default(),
        }))
    }

    /// Takes a connection of this owner, best one whose last transaction was this role's (its plans are then still good);
    /// opens one where none is idle.
    pub(crate) async fn take<F>(
        &self,
        owner: &Owner,
        person: Option<&Owner>,
        role: &str,
        open: impl FnOnce() -> F,
    ) -> Result<(Lease, bool), PostgresError>
    where
        F: Future<Output = Result<Session, PostgresError>>,
    {
        let inner = &self.0;
        // Their own share first: whoever asks for much waits behind themselves.
        let own = match person {
            None => None,
            Some(person) => {
                let person = inner.person(person);
                let most = (inner.waiting_max / 4).max(1);
                Some(inner.wait(Arc::clone(&person.permits), Some((&person.waiting, most))).await?)
            }
        };
        let permit = inner.wait(Arc::clone(&inner.permits), None).await?;
        let inner = Arc::clone(inner);
        let mut lease = Lease { session: None, owner: owner.clone(), inner, busy: false, permits: Some((permit, own)) };
        let inner = &self.0;
        if let Some(session) = inner.idle(owner, role) {
            lease.session = Some(session);
            return Ok((lease, true));
        }
        let place = Place::take(inner);
        let session = open().await?;
        place.keep();
        lease.session = Some(session);
        Ok((lease, false))
    }

    /// Opens one ahead for everybody, if none is open yet.
    pub(crate) async fn open_ahead<F>(&self, open: impl FnOnce() -> F) -> Result<(), PostgresError>
    where
        F: Future<Output = Result<Session, PostgresError>>,
    {
        if self.0.state().open > 0 {
            return Ok(());
        }
        let (lease, _) = self.take(&Owner::Shared, None, "", open).await?;
        lease.give_back();
        Ok(())
    }

    /// Closes what is idle: the server went away, or what it knows is out of date.
    pub(crate) fn clear(&self) {
        let idle = {
            let mut state = self.0.state();
            let idle = std::mem::take(&mut state.idle);
            state.open -= idle.len().min(state.open);
            idle
        };
        drop(idle);
    }
}

impl Inner {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn person(&self, owner: &Owner) -> Arc<Person> {
        let mut state = self.state();
        if state.people.len() > 4 * self.connections + self.waiting_max {
            // Whoever has no lease and waits for none.
            let most = self.person_max;
            state.people.retain(|_, person| Arc::strong_count(person) > 1 || person.permits.available_permits() < most);
        }
        if let Some(person) = state.people.get(owner) {
            return Arc::clone(person);
        }
        let permits = Arc::new(Semaphore::new(self.person_max));
        let person = Arc::new(Person { permits, waiting: AtomicUsize::new(0) });
        state.people.insert(owner.clone(), Arc::clone(&person));
        person
    }

    /// Waits for a permit, unless too many wait already: in all, or of this person.
    async fn wait(
        &self,
        semaphore: Arc<Semaphore>,
        own: Option<(&AtomicUsize, usize)>,
    ) -> Result<OwnedSemaphorePermit, PostgresError> {
        if let Ok(permit) = Arc::clone(&semaphore).try_acquire_owned() {
            return Ok(permit);
        }
        let _own = own.map(|(waiting, most)| Waiter::enter(waiting, most)).transpose()?;
        let _waiter = Waiter::enter(&self.waiting, self.waiting_max)?;
        semaphore.acquire_owned().await.map_err(|_| PostgresError::Internal("the pool is closed".to_owned()))
    }

    /// An idle connection of this owner that may still be used. Those that are too old are closed on the way.
    fn idle(&self, owner: &Owner, role: &str) -> Option<Session> {
        let now = Instant::now();
        let mut ended = Vec::new();
        let found = {
            let mut state = self.state();
            let mut at = 0;
            while let Some(idle) = state.idle.get(at) {
                if idle.session.ends <= now {
                    ended.push(state.idle.remove(at));
                } else {
                    at += 1;
                }
            }
            state.open -= ended.len().min(state.open);
            let is_like = |idle: &Idle| idle.owner == *owner && idle.session.role == role;
            let place = state
                .idle
                .iter()
                .rposition(is_like)
                .or_else(|| state.idle.iter().position(|idle| idle.owner == *owner));
            place.map(|place| state.idle.remove(place).session)
        };
        drop(ended);
        found
    }
}

struct Waiter<'a>(&'a AtomicUsize);

impl<'a> Waiter<'a> {
    fn enter(waiting: &'a AtomicUsize, most: usize) -> Result<Self, PostgresError> {
        if waiting.fetch_add(1, Ordering::AcqRel) >= most {
            waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(PostgresError::Busy { waiting_max: most });
        }
        Ok(Self(waiting))
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A place among the open connections, given back unless the connection comes to be.
struct Place<'a>(Option<&'a Inner>);

impl<'a> Place<'a> {
    fn take(inner: &'a Inner) -> Self {
        let evicted = {
            let mut state = inner.state();
            // Whoever has a permit has a place: where all are taken, one of them is idle.
            if state.open >= inner.connections && !state.idle.is_empty() {
                Some(state.idle.remove(0))
            } else {
                state.open += 1;
                None
            }
        };
        drop(evicted);
        Self(Some(inner))
    }
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(inner) = self.0 {
            let mut state = inner.state();
            state.open = state.open.saturating_sub(1);
        }
    }
}

impl Lease {
    pub(crate) const fn session(&mut self) -> Option<&mut Session> {
        self.session.as_mut()
    }

    /// The transaction ended as it should: the connection may serve again.
    pub(crate) fn give_back(mut self) {
        if let Some(session) = self.session.take() {
            if !self.busy && session.ends > Instant::now() {
                self.inner.state().idle.push(Idle { owner: self.owner.clone(), session });
            } else {
                self.inner.closed();
            }
        }
    }
}

impl Inner {
    fn closed(&self) {
        let mut state = self.state();
        state.open = state.open.saturating_sub(1);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        let (inner, permits) = (Arc::clone(&self.inner), self.permits.take());
        match Handle::try_current() {
            // The permits go along: the place is taken until the server is done with the statement.
            Ok(runtime) if self.busy => drop(runtime.spawn(async move {
                session.cancel(CANCEL_TIME).await;
                inner.closed();
                drop(permits);
            })),
            _ => {
                drop(session);
                inner.closed();
            }
        }
    }
}
