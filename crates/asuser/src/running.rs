//! A running asuser, whichever command started it: log, state, socket, and what goes on beside the requests.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use asuser_audit::Audit;
use asuser_audit_log::{Log, Options, SinkName};
use asuser_core::{Clock, SystemClock};
use asuser_gateway::{FloodLimits, Gateway, State};
use asuser_server::Listener;
use asuser_store::Store;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::config::Loaded;
use crate::control;
use crate::wiring::{self, Catalogs, InForce};

/// Catalogues are read anew this often.
const REFRESH: Duration = Duration::from_secs(60);
/// And this often while a database cannot be reached.
const RETRY: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_secs(1);

/// A running asuser.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    gateway: Arc<Gateway>,
    /// Held while it changes: reloads and refreshes come one after another.
    in_force: Arc<Mutex<InForce>>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Starts everything that the configuration says; on another address than it says, if one is given.
pub(crate) async fn start(loaded: &Loaded, address: Option<SocketAddr>) -> anyhow::Result<Running> {
    // First what can be wrong without a trace, then the log, then the socket: a start that fails writes no record.
    let (state, in_force) = wiring::build(loaded.clone()).await?;
    let digests = state.digests;
    let options = loaded.config.server.options()?;
    if loaded.config.server.needs_public_url() {
        tracing::warn!(
            "server.public_url is not set: MCP clients on other machines are refused, and sign-in leads nowhere"
        );
    }
    let log = open_log(loaded).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let audit = Arc::new(Audit::new(log, Arc::clone(&clock)));
    wiring::fetch_keys(&state.identities, None);
    let refusals = loaded.config.audit.refusals;
    let flood = FloodLimits { burst: refusals.burst, per_second: refusals.per_second };
    let gateway = Arc::new(Gateway::new(state, Arc::clone(&audit), clock, flood));

    let address = address.unwrap_or(loaded.config.server.listen);
    let listener = Listener::bind(address, Arc::clone(&gateway), options).await;
    let listener = listener.with_context(|| format!("{address} cannot be listened on"))?;
    let address = listener.address()?;
    let control = control::Control::bind(&loaded.path(&loaded.config.audit.path), Arc::clone(&audit))?;
    audit.configured(digests, "start").await?;

    let (stop, stopped) = watch::channel(false);
    let in_force = Arc::new(Mutex::new(in_force));
    let tasks = vec![
        tokio::spawn(listener.serve(stopped.clone())),
        tokio::spawn(control.serve(stopped.clone())),
        tokio::spawn(maintain(Arc::clone(&gateway), Arc::clone(&in_force), stopped)),
    ];
    Ok(Running { address, gateway, in_force, stop, tasks })
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
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
    let unusable = || format!("the store {} cannot be used", file.display());
    if let Some(folder) = file.parent().filter(|folder| !folder.exists()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(unusable)?;
    }
    if let Some(folder) = file.parent() {
        let found = std::fs::metadata(folder).with_context(unusable)?;
        if found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o022 != 0 {
            bail!(
                "the store's folder {} can be written by others: chown it to this user, and chmod 700",
                folder.display()
            );
        }
    }
    Ok(Arc::new(Store::open(file).with_context(unusable)?))
}

/// What goes on beside the requests, until the end: summaries of refusals, and catalogues.
async fn maintain(gateway: Arc<Gateway>, in_force: Arc<Mutex<InForce>>, mut stopped: watch::Receiver<bool>) {
    let mut tick = tokio::time::interval(TICK);
    let mut refreshed = tokio::time::Instant::now();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            _ = tick.tick() => {}
        }
        if let Err(error) = gateway.audit().summarise(false).await {
            tracing::error!(%error, "the summary of refusals was not recorded");
        }
        let ready = gateway.state().services.values().all(|service| service.catalog.is_some());
        if refreshed.elapsed() >= if ready { REFRESH } else { RETRY } {
            tokio::select! {
                _ = stopped.changed() => break,
                () = refresh(&gateway, &in_force) => refreshed = tokio::time::Instant::now(),
            }
        }
    }
    if let Err(error) = gateway.audit().summarise(true).await {
        tracing::error!(%error, "the summary of refusals was not recorded");
    }
}

/// Looks at the databases' tables anew. A reload in the meantime wins: what was looked at then belonged to what it replaced.
async fn refresh(gateway: &Gateway, in_force: &Mutex<InForce>) {
    let state = gateway.state();
    let catalogs = wiring::catalogs(&state).await;
    apply(gateway, in_force, &state, &catalogs).await;
}

async fn apply(gateway: &Gateway, in_force: &Mutex<InForce>, seen: &Arc<State>, catalogs: &Catalogs) {
    let mut in_force = in_force.lock().await;
    if !Arc::ptr_eq(seen, &gateway.state()) {
        return;
    }
    match wiring::recompiled(&mut in_force, seen, catalogs) {
        Ok(None) => {}
        Ok(Some(fresh)) => _ = put_in_force(gateway, fresh, "a catalogue changed").await,
        Err(error) => tracing::error!("the catalogues were not refreshed: {}", wiring::in_one_line(&error)),
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
        // One at a time, and no refresh in between.
        let mut in_force = self.in_force.lock().await;
        let fresh = async {
            let fresh = Loaded::read(path)?;
            let (new, now) = (&fresh.config, &in_force.loaded.config);
            for (what, same) in [
                ("server", new.server == now.server),
                ("audit", new.audit.without_auditors() == now.audit.without_auditors()),
                ("store", new.store == now.store),
            ] {
                if !same {
                    tracing::warn!("[{what}] changed: that needs a restart, and stays as it was");
                }
            }
            let (state, fresh) = wiring::build(fresh).await?;
            wiring::fetch_keys(&state.identities, Some(&self.gateway.state().identities));
            let lost = wiring::lost_files(&in_force, &fresh);
            if !lost.is_empty() {
                bail!(
                    "these policy files are gone or empty: {}. If that is meant, leave a comment in them, or restart asuser",
                    lost.join(", ")
                );
            }
            Ok((state, fresh))
        };
        match fresh.await {
            Ok((state, fresh)) => {
                if put_in_force(&self.gateway, state, "reload").await {
                    *in_force = fresh;
                }
            }
            Err(error) => {
                tracing::error!("not reloaded, everything stays as it was: {}", wiring::in_one_line(&error));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo;

    /// How a column of the staff directory reads for somebody of the people department.
    async fn access(state: &State, token: &str, column: &str) -> asuser_core::ColumnAccess {
        let credential = asuser_identity::Credential::Bearer(asuser_core::Secret::new(token.to_owned()));
        let now_ms = SystemClock.now_ms();
        let verified = state.identities.verify(&credential, now_ms).await.unwrap();
        let delegation = Arc::new(state.agents.resolve(&verified, None).unwrap());
        let decided = state.policies.decide_read(&verified, &delegation, &"db".into(), "employees", now_ms).unwrap();
        let place = decided.table().column_ix(column).unwrap();
        decided.access()[usize::from(place.0)].clone()
    }

    /// A column that came after the policies were looked at is closed; a reload says that somebody looked.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_new_column_is_closed_until_a_reload() {
        use asuser_core::ColumnAccess::{Clear, Denied};
        let folder = tempfile::tempdir().unwrap();
        let (running, loaded) = started(folder.path()).await;
        let token = demo::token(folder.path(), "maria", "sales-copilot").unwrap();
        alter(folder.path());
        refresh(&running.gateway, &running.in_force).await;
        let state = running.gateway.state();
        assert_eq!(access(&state, &token, "bonus").await, Denied);
        assert_eq!(access(&state, &token, "salary").await, Clear, "its twin was there before");
        // Another change does not open it.
        let database = rusqlite::Connection::open(folder.path().join("company.db")).unwrap();
        database.execute_batch("ALTER TABLE customers ADD COLUMN vat TEXT").unwrap();
        refresh(&running.gateway, &running.in_force).await;
        assert_eq!(access(&running.gateway.state(), &token, "bonus").await, Denied);
        let (reloaded, _) = wiring::build(loaded).await.unwrap();
        assert_eq!(access(&reloaded, &token, "bonus").await, Clear);
        running.stop().await;
    }

    async fn started(folder: &Path) -> (Running, Loaded) {
        demo::prepare(folder).unwrap();
        let loaded = Loaded::read(&folder.join("asuser.toml")).unwrap();
        let running = start(&loaded, Some(SocketAddr::from(([127, 0, 0, 1], 0)))).await.unwrap();
        (running, loaded)
    }
    fn alter(folder: &Path) {
        let database = rusqlite::Connection::open(folder.join("company.db")).unwrap();
        database.execute_batch("ALTER TABLE order_items ADD COLUMN colour TEXT").unwrap();
        database.execute_batch("ALTER TABLE employees ADD COLUMN bonus INTEGER").unwrap();
    }

    /// What a reload took away does not come back with a look at the databases that began before it.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_reload_beats_a_refresh_that_began_before() {
        let folder = tempfile::tempdir().unwrap();
        let (running, loaded) = started(folder.path()).await;
        let seen = running.gateway.state();
        alter(folder.path());
        let catalogs = wiring::catalogs(&seen).await;
        let (state, _) = wiring::build(loaded).await.unwrap();
        assert!(put_in_force(&running.gateway, state, "reload").await);
        let reloaded = running.gateway.state();
        apply(&running.gateway, &running.in_force, &seen, &catalogs).await;
        assert!(Arc::ptr_eq(&reloaded, &running.gateway.state()));
        running.stop().await;
    }

    /// Its twin: without a reload the new table is in force, under the policy texts and keys that were read, not those on the disk.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_refresh_takes_up_tables_and_no_half_edited_file() {
        let folder = tempfile::tempdir().unwrap();
        let (running, loaded) = started(folder.path()).await;
        let before = running.gateway.state();
        std::fs::remove_file(folder.path().join("policies/db/masks.toml")).unwrap();
        std::fs::write(folder.path().join("issuer.jwks.json"), "half").unwrap();
        alter(folder.path());
        refresh(&running.gateway, &running.in_force).await;
        let after = running.gateway.state();
        assert!(!Arc::ptr_eq(&before, &after), "the new column is in force");
        assert_eq!(before.digests.config, after.digests.config, "and nothing else is");
        assert!(Arc::ptr_eq(&before.identities, &after.identities));
        assert!(wiring::build(loaded).await.is_err(), "what is on the disk would not load");
        running.stop().await;
    }

    #[test]
    fn a_store_that_others_can_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mode = |mode| std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o777);
        let refused = open_store(&folder.path().join("store.db")).err().unwrap().to_string();
        assert!(refused.contains("chmod 700"), "{refused}");
        mode(0o700);
        assert!(open_store(&folder.path().join("store.db")).is_ok());
    }
}
