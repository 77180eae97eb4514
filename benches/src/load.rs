//! Callers that each wait for an answer before they ask again. In: where, and a request for each person. Out: a [`Load`].

use std::iter::Cycle;
use std::net::SocketAddr;
use std::ops::Range;
use std::slice;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::http::Client;

pub(crate) const CONNECTIONS: usize = 16;
/// Of the load generator, and of pgbench.
pub(crate) const THREADS: usize = 2;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) took: Duration,
    /// Sorted.
    pub(crate) latencies: Vec<Duration>,
}

impl Load {
    pub(crate) fn requests(&self) -> usize {
        self.latencies.len()
    }
    pub(crate) fn per_second(&self) -> f64 {
        self.requests() as f64 / self.took.as_secs_f64()
    }
    pub(crate) fn percentile_ms(&self, percent: usize) -> f64 {
        let at = self.latencies.len().saturating_sub(1) * percent / 100;
        self.latencies.get(at).copied().unwrap_or_default().as_secs_f64() * 1e3
    }
    /// Two stretches of the same.
    pub(crate) fn and(mut self, mut other: Self) -> Self {
        self.took += other.took;
        self.latencies.append(&mut other.latencies);
        self.latencies.sort_unstable();
        self
    }
}

/// Every request once: what is measured is the warm path. `check` looks at each answer.
pub(crate) fn warm(
    address: SocketAddr,
    requests: &[Vec<u8>],
    check: impl Fn(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut client = Client::connect(address)?;
    requests.iter().try_for_each(|request| check(client.send(request)?))
}

/// One after another, each once.
pub(crate) fn each(address: SocketAddr, requests: &[Vec<u8>]) -> anyhow::Result<Load> {
    let (mut client, begun) = (Client::connect(address)?, Instant::now());
    let mut latencies = Vec::with_capacity(requests.len());
    for request in requests {
        let asked = Instant::now();
        client.send(request)?;
        latencies.push(asked.elapsed());
    }
    latencies.sort_unstable();
    Ok(Load { took: begun.elapsed(), latencies })
}

/// All callers at once, each through all requests in turn, beginning at different ones. As many threads as pgbench has.
pub(crate) fn run(address: SocketAddr, requests: &[Vec<u8>], how_long: Duration) -> anyhow::Result<Load> {
    let begun = Instant::now();
    let mut latencies = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let first = thread * CONNECTIONS / THREADS;
                let callers = first..(thread + 1) * CONNECTIONS / THREADS;
                scope.spawn(move || callers_of_a_thread(address, requests, callers, begun + how_long))
            })
            .collect();
        let mut all = Vec::new();
        for thread in threads {
            all.append(&mut thread.join().map_err(|_| anyhow!("a caller panicked"))??);
        }
        anyhow::Ok(all)
    })?;
    latencies.sort_unstable();
    Ok(Load { took: begun.elapsed(), latencies })
}

/// A caller, and what it waits for since when.
struct Caller<'a> {
    client: Client,
    next: Cycle<slice::Iter<'a, Vec<u8>>>,
    asked: Instant,
}

impl Caller<'_> {
    fn ask(&mut self) -> anyhow::Result<()> {
        let request = self.next.next().context("no requests")?;
        self.asked = Instant::now();
        self.client.ask(request)
    }
}

/// Serves all answers that have come, then waits for more: as a program with many connections does, and as pgbench does.
fn callers_of_a_thread(
    address: SocketAddr,
    requests: &[Vec<u8>],
    callers: Range<usize>,
    until: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let mut waiting = Vec::new();
    for caller in callers {
        let mut next = requests.iter().cycle();
        // Everyone begins with another person.
        next.by_ref().take(caller * 7).for_each(drop);
        let mut caller = Caller { client: Client::connect(address)?, next, asked: Instant::now() };
        caller.ask()?;
        waiting.push(caller);
    }
    let mut latencies = Vec::new();
    while !waiting.is_empty() {
        for at in ready(&waiting)?.into_iter().rev() {
            let caller = waiting.get_mut(at).context("a caller that is gone")?;
            if caller.client.advance()?.is_none() {
                continue;
            }
            latencies.push(caller.asked.elapsed());
            if Instant::now() < until {
                caller.ask()?;
            } else {
                waiting.swap_remove(at);
            }
        }
    }
    Ok(latencies)
}

/// Whose answers have come: places, in order.
fn ready(waiting: &[Caller<'_>]) -> anyhow::Result<Vec<usize>> {
    let mut asked: Vec<_> = waiting.iter().map(|caller| PollFd::new(&caller.client, PollFlags::IN)).collect();
    let within = Timespec { tv_sec: 20, tv_nsec: 0 };
    if poll(&mut asked, Some(&within))? == 0 {
        bail!("no answer for 20 seconds");
    }
    Ok(asked.iter().enumerate().filter(|(_, asked)| !asked.revents().is_empty()).map(|(at, _)| at).collect())
}
