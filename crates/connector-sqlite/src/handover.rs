//! Records on their way from a connection's thread to whoever sends them. In: segments. Out: the first as the read's result,
//! the others through a channel of one place. Refuses to wait longer than the read's budget, or for a reader that has gone.

use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Instant;

use asuser_audit::Rest;
use asuser_connector::ConnectorError;
use asuser_core::{End, Problem, Records, Segment};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::SqliteError;
use crate::connect::Budget;
use crate::pool::CancelOnDrop;

/// What a read gave.
#[derive(Debug)]
pub(crate) enum Got {
    /// All of it.
    Whole(Records),
    /// How it begins, and the way to the rest.
    Long(Records, Remainder),
}

/// The thread's end.
pub(crate) struct Outlet {
    runtime: Handle,
    budget: Budget,
    way: Way,
    failure: Arc<OnceLock<SqliteError>>,
}

enum Way {
    /// Nothing was handed over yet.
    First(oneshot::Sender<Result<Got, SqliteError>>),
    Rest(mpsc::Sender<Segment>),
    Closed,
}

impl Outlet {
    pub(crate) fn new(runtime: Handle, budget: Budget, first: oneshot::Sender<Result<Got, SqliteError>>) -> Self {
        Self { runtime, budget, way: Way::First(first), failure: Arc::default() }
    }

    /// Hands over what is not the end; waits until there is a place for it.
    pub(crate) fn hand_over(&mut self, records: Records) -> Result<(), SqliteError> {
        match std::mem::replace(&mut self.way, Way::Closed) {
            Way::First(first) => {
                let (segments, received) = mpsc::channel(1);
                self.way = Way::Rest(segments);
                let rest = Remainder {
                    segments: received,
                    failure: Arc::clone(&self.failure),
                    budget: self.budget.clone(),
                    _cancel: CancelOnDrop::of(&self.budget),
                };
                first.send(Ok(Got::Long(records, rest))).map_err(|_| SqliteError::Cancelled)
            }
            Way::Rest(segments) => self.send(segments, Segment { json: records.json, rows: records.rows, end: None }),
            Way::Closed => Err(SqliteError::Internal("a segment came after the end".to_owned())),
        }
    }

    /// Hands over the end, which may be all.
    pub(crate) fn end(&mut self, records: Records) -> Result<(), SqliteError> {
        match std::mem::replace(&mut self.way, Way::Closed) {
            Way::First(first) => first.send(Ok(Got::Whole(records))).map_err(|_| SqliteError::Cancelled),
            Way::Rest(segments) => {
                let end = Some(End { more: records.more });
                self.send(segments, Segment { json: records.json, rows: records.rows, end })
            }
            Way::Closed => Err(SqliteError::Internal("a read ended twice".to_owned())),
        }
    }

    /// The read has failed. Never waits: what went wrong lies beside the channel, and is found when the channel ends.
    pub(crate) fn fail(&mut self, error: SqliteError) {
        match std::mem::replace(&mut self.way, Way::Closed) {
            // Whoever waited may have gone.
            Way::First(first) => drop(first.send(Err(error))),
            Way::Rest(segments) => {
                let _ = self.failure.set(error);
                drop(segments);
            }
            Way::Closed => {}
        }
    }

    /// The channel stays open also where this fails, so that whoever reads it finds the failure at its end.
    fn send(&mut self, segments: mpsc::Sender<Segment>, segment: Segment) -> Result<(), SqliteError> {
        let sent = match segments.try_send(segment) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(SqliteError::Cancelled),
            Err(mpsc::error::TrySendError::Full(segment)) => self.wait(&segments, segment),
        };
        self.way = Way::Rest(segments);
        sent
    }

    fn wait(&self, segments: &mpsc::Sender<Segment>, segment: Segment) -> Result<(), SqliteError> {
        let send = segments.send(segment);
        let gone = |_| SqliteError::Cancelled;
        self.runtime.block_on(async {
            match self.budget.deadline() {
                None => send.await.map_err(gone),
                Some(deadline) => match tokio::time::timeout_at(deadline.into(), send).await {
                    Ok(sent) => sent.map_err(gone),
                    Err(_) => Err(self.budget.spent_error()),
                },
            }
        })
    }
}

/// The reader's end. Dropping it cancels the read.
#[derive(Debug)]
pub(crate) struct Remainder {
    segments: mpsc::Receiver<Segment>,
    failure: Arc<OnceLock<SqliteError>>,
    budget: Budget,
    _cancel: CancelOnDrop,
}

impl Remainder {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Segment, SqliteError>> {
        self.segments.poll_recv(context).map(|segment| {
            let ended = || SqliteError::Internal("the pool gave no answer".to_owned());
            segment.ok_or_else(|| self.failure.get().cloned().unwrap_or_else(ended))
        })
    }

    /// Reads it to its end, as one.
    #[cfg(test)]
    pub(crate) async fn join(mut self, mut records: Records) -> Result<Records, SqliteError> {
        loop {
            let segment = std::future::poll_fn(|context| self.poll(context)).await?;
            records.json.extend_from_slice(&segment.json);
            records.rows += segment.rows;
            if let Some(end) = segment.end {
                records.more = end.more;
                return Ok(records);
            }
        }
    }
}

impl Rest for Remainder {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Segment, Problem>> {
        self.poll(context).map_err(|error| ConnectorError::from(error).into())
    }
    fn deadline(&self) -> Option<Instant> {
        self.budget.deadline()
    }
}
