//! A running asuser, whichever command started it: log, state, socket, and what goes on beside the requests.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use asuser_audit::Audit;
use asuser_audit_log::{Log, Options, SinkName};
use asuser_core::{Clock, SystemClock};
use asuser_gateway::{FloodLimits, Gateway};
use asuser_server::{Listener, ServerLimits, TrustedProxies};
use asuser_store::Store;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::Loaded;
use crate::{control, wiring};

/// Catalogues are read anew this often.
const REFRESH: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_secs(1);

/// A running asuser.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    gateway: Arc<Gateway>,
    loaded: Arc<ArcSwap<Loaded>>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Starts everything that the configuration says; on another address than it says, if one is given.
pub(crate) async fn start(loaded: &Loaded, address: Option<SocketAddr>) -> anyhow::Result<Running> {
    // First what can be wrong without a trace, then the log, then the socket: a start that fails writes no record.
    let state = wiring::state(loaded).await?;
    let digests = state.digests;
    let proxies = TrustedProxies::parse(loaded.config.server.trusted_proxies.iter().map(String::as_str))
        .context("server.trusted_proxies")?;
    let log = open_log(loaded).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let audit = Arc::new(Audit::new(log, Arc::clone(&clock)));
    let refusals = loaded.config.audit.refusals;
    let flood = FloodLimits { burst: refusals.burst, per_second: refusals.per_second };
    let gateway = Arc::new(Gateway::new(state, Arc::clone(&audit), clock, flood));

    let address = address.unwrap_or(loaded.config.server.listen);
    let listener = Listener::bind(address, Arc::clone(&gateway), proxies, ServerLimits::default()).await;
    let listener = listener.with_context(|| format!("{address} cannot be listened on"))?;
    let address = listener.address()?;
    let control = control::Control::bind(&loaded.path(&loaded.config.audit.path), Arc::clone(&audit))?;
    audit.configured(digests, "start").await?;

    let (stop, stopped) = watch::channel(false);
    let loaded = Arc::new(ArcSwap::from_pointee(loaded.clone()));
    let tasks = vec![
        tokio::spawn(listener.serve(stopped.clone())),
        tokio::spawn(control.serve(stopped.clone())),
        tokio::spawn(maintain(Arc::clone(&gateway), Arc::clone(&loaded), stopped)),
    ];
    Ok(Running { address, gateway, loaded, stop, tasks })
}

async fn open_log(loaded: &Loaded) -> anyhow::Result<Log> {
    let config = &loaded.config.audit;
    let store = store_file(loaded);
    let mut options = Options::new(loaded.path(&config.path), config.origin.clone());
    options.reserve_bytes = config.reserve_mib.saturating_mul(1024 * 1024);
    options.config = Some(loaded.digest);
    for name in &config.checkpoint_to {
        let name: SinkName = name.parse().map_err(|error| anyhow::anyhow!("audit.checkpoint_to: {error}"))?;
        let sink = match name {
            SinkName::File(path) => SinkName::File(loaded.path(&path)),
            SinkName::Stdout => SinkName::Stdout,
        };
        options.sinks.push(sink.sink());
    }
    let opened = tokio::task::spawn_blocking(move || {
        let store = open_store(&store)?;
        anyhow::Ok(Log::open(options, Arc::new(SystemClock), store)?)
    });
    let (log, report) = opened.await??;
    if report.torn_bytes > 0 {
        tracing::warn!(
            bytes = report.torn_bytes,
            "the end of the audit log was torn by a crash and was cut off: none of it had been answered"
        );
    }
    if let Some(segment) = &report.suspect {
        tracing::warn!(%segment, "a segment of the audit log was copied, because writing to it had failed");
    }
    tracing::info!(records = report.size, abandoned = report.abandoned.len(), verifier = %log.verifier_key(), "audit log open");
    Ok(log)
}

/// The store's file, in its folder.
pub(crate) fn store_file(loaded: &Loaded) -> PathBuf {
    loaded.path(&loaded.config.store.path).join("store.db")
}

/// Opens the store for writing, in a folder that only its owner enters.
pub(crate) fn open_store(file: &Path) -> anyhow::Result<Arc<Store>> {
    use std::os::unix::fs::DirBuilderExt as _;
    let unusable = || format!("the store {} cannot be used", file.display());
    if let Some(folder) = file.parent().filter(|folder| !folder.exists()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(unusable)?;
    }
    Ok(Arc::new(Store::open(file).with_context(unusable)?))
}

/// What goes on beside the requests, until the end: summaries of refusals, and catalogues.
async fn maintain(gateway: Arc<Gateway>, loaded: Arc<ArcSwap<Loaded>>, mut stopped: watch::Receiver<bool>) {
    let mut tick = tokio::time::interval(TICK);
    let mut refresh = tokio::time::interval_at(tokio::time::Instant::now() + REFRESH, REFRESH);
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            _ = tick.tick() => {
                if let Err(error) = gateway.audit().summarise(false).await {
                    tracing::error!(%error, "the summary of refusals was not recorded");
                }
            }
            _ = refresh.tick() => {
                let state = gateway.state();
                match wiring::refreshed(&loaded.load_full(), &state).await {
                    Ok(None) => {}
                    Ok(Some(fresh)) => _ = put_in_force(&gateway, fresh, "a catalogue changed").await,
                    Err(error) => tracing::error!("the catalogues were not refreshed: {error:#}"),
                }
            }
        }
    }
    if let Err(error) = gateway.audit().summarise(true).await {
        tracing::error!(%error, "the summary of refusals was not recorded");
    }
}

/// Recorded first, then in force; false: neither.
async fn put_in_force(gateway: &Gateway, state: asuser_gateway::State, why: &str) -> bool {
    if let Err(error) = gateway.audit().configured(state.digests, why).await {
        tracing::error!(%error, "the change could not be recorded, so it is not in force");
        return false;
    }
    let digests = state.digests;
    gateway.replace_state(state);
    tracing::info!(policy = %digests.policy, config = %digests.config, why, "in force");
    true
}

impl Running {
    /// Makes a checkpoint over everything that is durable.
    pub(crate) async fn checkpoint(&self) -> anyhow::Result<()> {
        self.gateway.audit().log().checkpoint().await?;
        Ok(())
    }

    /// Ends it, after the requests under way.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task ended badly");
            }
        }
    }

    /// Reads the configuration anew, all or nothing.
    async fn reload(&self, path: &Path) {
        let fresh = async {
            let fresh = Loaded::read(path)?;
            let now = self.loaded.load_full();
            for (what, same) in [
                ("server", fresh.config.server == now.config.server),
                ("audit", fresh.config.audit.without_auditors() == now.config.audit.without_auditors()),
                ("store", fresh.config.store == now.config.store),
            ] {
                if !same {
                    tracing::warn!("[{what}] changed: that needs a restart, and stays as it was");
                }
            }
            let state = wiring::state(&fresh).await?;
            anyhow::Ok((fresh, state))
        };
        match fresh.await {
            Ok((fresh, state)) => {
                if put_in_force(&self.gateway, state, "reload").await {
                    self.loaded.store(Arc::new(fresh));
                }
            }
            Err(error) => {
                // One line: what follows it in the log is somebody else's.
                let why = format!("{error:#}").replace('\n', " ");
                tracing::error!("not reloaded, everything stays as it was: {why}");
            }
        }
    }
}

/// Waits for SIGINT or SIGTERM.
pub(crate) async fn until_asked_to_stop() -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// SIGHUP from here on asks for a reload; before, it would end the process.
pub(crate) fn hang_ups() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// The same, and reloads at SIGHUP.
pub(crate) async fn until_asked_to_stop_or_reload(
    running: &Running,
    path: &Path,
    mut hang_up: Signal,
) -> anyhow::Result<()> {
    let reloads = async {
        while hang_up.recv().await.is_some() {
            running.reload(path).await;
        }
    };
    tokio::select! {
        stop = until_asked_to_stop() => stop,
        () = reloads => Ok(()),
    }
}
