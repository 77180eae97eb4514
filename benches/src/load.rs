//! Callers that each wait for an answer before they ask again. In: where, and a request for each person. Out: a [`Load`].

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::anyhow;

use crate::http::Client;

pub(crate) const CONNECTIONS: usize = 16;

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

/// All callers at once, each through all requests in turn, beginning at different ones.
pub(crate) fn run(address: SocketAddr, requests: &[Vec<u8>], how_long: Duration) -> anyhow::Result<Load> {
    let (stop, begun) = (AtomicBool::new(false), Instant::now());
    let mut latencies = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CONNECTIONS)
            .map(|caller| {
                let stop = &stop;
                scope.spawn(move || -> anyhow::Result<Vec<Duration>> {
                    let (mut client, mut taken) = (Client::connect(address)?, Vec::new());
                    for request in requests.iter().cycle().skip(caller * 7) {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let asked = Instant::now();
                        client.send(request)?;
                        taken.push(asked.elapsed());
                    }
                    Ok(taken)
                })
            })
            .collect();
        std::thread::sleep(how_long);
        stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for caller in callers {
            all.append(&mut caller.join().map_err(|_| anyhow!("a caller panicked"))??);
        }
        anyhow::Ok(all)
    })?;
    latencies.sort_unstable();
    Ok(Load { took: begun.elapsed(), latencies })
}
