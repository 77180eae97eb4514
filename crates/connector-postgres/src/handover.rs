//! Records on their way from a connection to whoever sends them. In: segments. Out: the first as the read's result, the others
//! through a channel of one place. Refuses to wait longer than the read's time, or for a reader that has gone.

use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Instant;

use asuser_audit::Rest;
use asuser_connector::ConnectorError;
use asuser_core::{End, Problem, Records, Segment};
use tokio::sync::mpsc;
use tokio::time::timeout_at;

use crate::PostgresError;

/// What a read gave.
#[derive(Debug)]
pub(crate) enum Got {
    /// All of it.
    Whole(Records),
    /// How it begins, and the way to the rest.
    Long(Records, Remainder),
}

/// The reader's end. Dropping it cancels the read.
#[derive(Debug)]
pub(crate) struct Remainder {
    segments: mpsc::Receiver<Segment>,
    failure: Arc<OnceLock<PostgresError>>,
    deadline: Instant,
}

/// The connection's end.
#[derive(Debug)]
pub(crate) struct Outlet {
    segments: mpsc::Sender<Segment>,
    failure: Arc<OnceLock<PostgresError>>,
    deadline: Instant,
    time_ms_max: u64,
}

/// Both ends.
pub(crate) fn channel(deadline: Instant, time_ms_max: u64) -> (Outlet, Remainder) {
    let (sender, segments) = mpsc::channel(1);
    let failure = Arc::new(OnceLock::new());
    let outlet = Outlet { segments: sender, failure: Arc::clone(&failure), deadline, time_ms_max };
    (outlet, Remainder { segments, failure, deadline })
}

impl Outlet {
    /// Hands over what is not the end; waits until there is a place for it.
    pub(crate) async fn hand_over(&self, records: Records) -> Result<(), PostgresError> {
        self.send(Segment { json: records.json, rows: records.rows, end: None }).await
    }

    /// Hands over the end.
    pub(crate) async fn end(&self, records: Records) -> Result<(), PostgresError> {
        let end = Some(End { more: records.more });
        self.send(Segment { json: records.json, rows: records.rows, end }).await
    }

    /// What went wrong lies beside the channel, and is found when the channel ends.
    pub(crate) fn fail(self, error: PostgresError) {
        let _ = self.failure.set(error.with_limit(self.time_ms_max));
    }

    /// Returns when nobody waits any longer.
    pub(crate) async fn gone(&self) {
        self.segments.closed().await;
    }

    async fn send(&self, segment: Segment) -> Result<(), PostgresError> {
        match timeout_at(self.deadline.into(), self.segments.send(segment)).await {
            Ok(sent) => sent.map_err(|_| PostgresError::Cancelled),
            Err(_) => Err(PostgresError::Timeout { time_ms_max: self.time_ms_max }),
        }
    }
}

impl Rest for Remainder {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Segment, Problem>> {
        self.segments.poll_recv(context).map(|segment| {
            let ended = || PostgresError::Internal("the read ended without a word".to_owned());
            let failed = || ConnectorError::from(self.failure.get().cloned().unwrap_or_else(ended)).into();
            segment.ok_or_else(failed)
        })
    }
    fn deadline(&self) -> Option<Instant> {
        Some(self.deadline)
    }
}
