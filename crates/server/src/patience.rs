//! A socket that says until when its peer must take something of what waits to be written.
//!
//! In: what hyper writes. Out: the same, and a deadline for whoever owns the connection, from the moment that nothing more could be
//! written until something can. A peer that reads, however slowly, has it set anew.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// A socket with its patience.
pub(crate) struct Patient {
    stream: TcpStream,
    patience: Duration,
    deadline: watch::Sender<Option<Instant>>,
}

impl Patient {
    /// The socket and its deadline.
    pub(crate) fn new(stream: TcpStream, patience: Duration) -> (Self, watch::Receiver<Option<Instant>>) {
        let (deadline, until) = watch::channel(None);
        (Self { stream, patience, deadline }, until)
    }

    fn noted(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let waits = polled.is_pending();
        self.deadline.send_if_modified(|deadline| {
            let changed = deadline.is_some() != waits;
            if changed {
                // Too far away to be said: never.
                *deadline = if waits { Instant::now().checked_add(self.patience) } else { None };
            }
            changed
        });
        polled
    }
}

impl AsyncRead for Patient {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.noted(polled)
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(context, pieces);
        this.noted(polled)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
