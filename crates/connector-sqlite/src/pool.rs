//! Threads that own a connection each, and a queue of bounded length before them. In: a piece of work. Out: its result, or how it
//! begins while the thread goes on with the rest. Refuses work when the queue is full.
//! Whoever waits is answered when their time is up, also where the thread cannot be stopped: what it does late is dropped. A
//! connection whose work failed in any way, or came too late, is closed; the next work opens another.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use asuser_core::Records;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::connect::{Budget, Connected, unpoisoned};
use crate::handover::{Got, Outlet};
use crate::permit::Permit;
use crate::{SqliteError, SqliteOptions};

/// How long after its time the thread may say itself how the work ended, in milliseconds.
const GRACE_MS: u64 = 100;

type Task = Box<dyn FnOnce(&SqliteOptions, &mut Option<Connected>) + Send>;

/// The threads end after the pool is dropped. Nobody waits for them: one that is busy goes on until it is stopped, or with the
/// process.
#[derive(Debug)]
pub(crate) struct Pool {
    tasks: SyncSender<Task>,
    waiting_max: usize,
}

/// Cancels the work when whoever waits for it is dropped.
#[derive(Debug)]
pub(crate) struct CancelOnDrop(Option<Budget>);

impl CancelOnDrop {
    pub(crate) fn of(budget: &Budget) -> Self {
        Self(Some(budget.clone()))
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(budget) = &self.0 {
            budget.cancel();
        }
    }
}

impl Pool {
    /// Starts the threads; opens no file yet.
    pub(crate) fn start(options: &Arc<SqliteOptions>) -> Result<Self, SqliteError> {
        Self::of_threads(options, (0..options.connections).map(|number| format!("sqlite-{number}")))
    }

    /// Starts one thread.
    pub(crate) fn single(options: &Arc<SqliteOptions>, name: &str) -> Result<Self, SqliteError> {
        Self::of_threads(options, [name.to_owned()])
    }

    fn of_threads(options: &Arc<SqliteOptions>, names: impl IntoIterator<Item = String>) -> Result<Self, SqliteError> {
        let (tasks, queue) = sync_channel(options.waiting_max);
        let queue = Arc::new(Mutex::new(queue));
        for name in names {
            let (options, queue) = (Arc::clone(options), Arc::clone(&queue));
            thread::Builder::new()
                .name(name)
                .spawn(move || serve(&options, &queue))
                .map_err(|error| SqliteError::Internal(format!("no thread can be started: {error}")))?;
        }
        Ok(Self { tasks, waiting_max: options.waiting_max })
    }

    /// Runs the work on a connection. Dropping the future cancels it.
    pub(crate) async fn run<T, W>(&self, budget: Budget, work: W) -> Result<T, SqliteError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Connected, &Budget) -> Result<T, SqliteError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let waited = budget.clone();
        self.queue(Box::new(move |options, slot| {
            let result = attempt(options, slot, &budget, work);
            if reply.send(result).is_err() {
                // Nobody waits any more: what is left on the connection serves nobody else.
                *slot = None;
            }
        }))?;
        answered(&waited, answer).await
    }

    /// Runs a read on a connection. Its result is there as soon as it is known whether it is a long one; the thread then goes
    /// on as its segments are taken. Dropping the future, or the rest of a long result, cancels it.
    pub(crate) async fn read<W>(&self, budget: Budget, work: W) -> Result<Got, SqliteError>
    where
        W: FnOnce(&mut Connected, &Budget, &mut Outlet) -> Result<Records, SqliteError> + Send + 'static,
    {
        let (first, answer) = oneshot::channel();
        let waited = budget.clone();
        let mut outlet = Outlet::new(Handle::current(), budget.clone(), first);
        self.queue(Box::new(move |options, slot| {
            let result = attempt(options, slot, &budget, |connected, budget| {
                let last = work(connected, budget, &mut outlet)?;
                // While whoever reads it can still go away: the connection then serves nobody else.
                outlet.end(last)
            });
            if let Err(error) = result {
                outlet.fail(error);
            }
        }))?;
        answered(&waited, answer).await
    }

    fn queue(&self, task: Task) -> Result<(), SqliteError> {
        self.tasks.try_send(task).map_err(|error| match error {
            TrySendError::Full(_) => SqliteError::Busy { waiting_max: self.waiting_max },
            TrySendError::Disconnected(_) => SqliteError::Internal("the pool has no threads".to_owned()),
        })
    }
}

/// The answer, or at the end of the budget's time that there is none.
async fn answered<T>(budget: &Budget, answer: oneshot::Receiver<Result<T, SqliteError>>) -> Result<T, SqliteError> {
    let mut guard = CancelOnDrop::of(budget);
    let last = budget.deadline().and_then(|deadline| deadline.checked_add(Duration::from_millis(GRACE_MS)));
    let answered = match last {
        None => answer.await,
        Some(last) => tokio::time::timeout_at(last.into(), answer).await.map_err(|_| budget.spent_error())?,
    };
    guard.0 = None;
    answered.map_err(|_| SqliteError::Internal("the pool gave no answer".to_owned()))?
}

/// A thread's life.
fn serve(options: &SqliteOptions, queue: &Mutex<Receiver<Task>>) {
    let mut slot = None;
    loop {
        // One thread waits in `recv` with the lock held, the others wait for the lock: the same to the sender.
        let task = unpoisoned(queue).recv();
        let Ok(task) = task else { return };
        task(options, &mut slot);
    }
}

/// The connection is taken out, and put back only if all went well.
fn attempt<T, W>(
    options: &SqliteOptions,
    slot: &mut Option<Connected>,
    budget: &Budget,
    work: W,
) -> Result<T, SqliteError>
where
    W: FnOnce(&mut Connected, &Budget) -> Result<T, SqliteError>,
{
    if budget.is_spent() {
        return Err(budget.spent_error());
    }
    let kept = slot.take().filter(|connected| connected.is_current(options));
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let mut connected = match kept {
            Some(connected) => connected,
            None => Connected::open(options, budget)?,
        };
        connected.watch.set(Some(budget.clone()));
        let result = work(&mut connected, budget)?;
        connected.permit(Permit::Nothing);
        connected.watch.set(None);
        Ok((result, connected))
    }));
    let (result, connected) = ran.unwrap_or_else(|_| Err(SqliteError::Internal("the read panicked".to_owned())))?;
    *slot = Some(connected);
    Ok(result)
}
