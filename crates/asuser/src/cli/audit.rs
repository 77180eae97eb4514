//! `asuser audit`: for those who ask afterwards who saw what.

mod shown;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use asuser_audit_log::{KeyStore, Log, Options, Reader, RecordView, VerifierKey, VerifyOptions, verifier_key, verify};
use asuser_core::{AuditId, ServiceName, SystemClock};
use asuser_store::Store;
use clap::{Args, Subcommand};

use super::ConfigFile;
use crate::config::Loaded;
use crate::{control, out, running};
pub(crate) use shown::Shown;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Print the newest records.
    Tail {
        /// How many.
        #[arg(long, short = 'n', default_value_t = 20)]
        lines: usize,
        /// Print a JSON object a line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Print the records that match all that is asked for.
    Search(SearchArguments),
    /// Print one entry.
    Show {
        /// The answer's `Audit-Id`.
        audit_id: String,
        /// Print its receipt: leaves, inclusion proofs and a signed checkpoint, as JSON.
        #[arg(long)]
        proof: bool,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Check that no record was changed, removed or added.
    ///
    /// What is proved: the records are those that the signed checkpoints were made over. The signing key lies beside the log, so
    /// against whoever owns this host only checkpoints that were kept elsewhere prove anything: give them with --checkpoint.
    /// Works while the server runs. Exit code 0 only if all of it holds.
    Verify {
        /// A file of checkpoints that had left this host, one or many.
        #[arg(long, value_name = "FILE")]
        checkpoint: Vec<PathBuf>,
        /// The log's public key, from where you keep it; by default the one beside the log, which proves less.
        #[arg(long, value_name = "KEY")]
        verifier: Option<String>,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Make everything personal about somebody unreadable, for good. The log goes on verifying.
    ///
    /// Backups of the store still hold the key, and the database's own logs are not reached.
    Erase {
        /// The `sub` of the person to forget.
        #[arg(long)]
        subject: String,
        /// The `iss` that vouched for them; by default that of the only configured provider.
        #[arg(long)]
        issuer: Option<String>,
        /// Why, for the record. Must name nobody.
        #[arg(long)]
        note: Option<String>,
        #[command(flatten)]
        file: ConfigFile,
    },
}

#[derive(Debug, Args)]
pub(super) struct SearchArguments {
    /// The person: login, e-mail address or subject.
    #[arg(long)]
    person: Option<String>,
    /// The agent's client id.
    #[arg(long)]
    agent: Option<String>,
    /// The table.
    #[arg(long)]
    table: Option<String>,
    /// The reason of a refusal, such as ASU-404.
    #[arg(long)]
    reason: Option<String>,
    /// The caller's request id.
    #[arg(long)]
    request_id: Option<String>,
    /// Only refusals and failures.
    #[arg(long)]
    refused: bool,
    /// Print at most this many.
    #[arg(long, default_value_t = 1000)]
    limit: usize,
    /// Print a JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) fn run(command: AuditCommand) -> anyhow::Result<ExitCode> {
    super::start_log("error");
    match command {
        AuditCommand::Tail { lines, json, file } => tail(&Loaded::read(&file.config)?, lines, json),
        AuditCommand::Search(arguments) => search(&arguments),
        AuditCommand::Show { audit_id, proof, file } => show(&Loaded::read(&file.config)?, &audit_id, proof),
        AuditCommand::Verify { checkpoint, verifier, file } => {
            verify_log(&Loaded::read(&file.config)?, &checkpoint, verifier.as_deref())
        }
        AuditCommand::Erase { subject, issuer, note, file } => {
            let loaded = Loaded::read(&file.config)?;
            super::runtime()?.block_on(erase(&loaded, subject, issuer, note))
        }
    }
}

/// The log of a configuration, for reading; it may be in use.
struct Opened {
    reader: Reader,
    people: shown::People,
}

fn open(loaded: &Loaded) -> anyhow::Result<Opened> {
    let folder = loaded.path(&loaded.config.audit.path);
    let key = verifier_key(&folder).context("there is no audit log here yet: `asuser serve` makes one")?;
    let store = Store::open_read_only(running::store_file(loaded)).context("the store cannot be read")?;
    let store: Arc<dyn KeyStore> = Arc::new(store);
    Ok(Opened { reader: Reader::new(folder, key, Some(store)), people: shown::People::default() })
}

impl Opened {
    /// Requests, refusals and what changed, in order, from `from` on. Each is given with the person's name as of then.
    fn each(&mut self, from: u64, mut each: impl FnMut(Shown, &RecordView) -> ControlFlow<()>) -> anyhow::Result<()> {
        let Self { reader, people } = self;
        reader.records(from, |record| match people.shown(reader, &record) {
            Some(shown) => each(shown, &record),
            None => ControlFlow::Continue(()),
        })?;
        Ok(())
    }
}

fn print(shown: &Shown, json: bool) -> anyhow::Result<()> {
    if json { out::line(shown.json()) } else { out::line(shown) }
}

fn tail(loaded: &Loaded, lines: usize, json: bool) -> anyhow::Result<ExitCode> {
    let mut opened = open(loaded)?;
    // `who` records are not shown, so somewhat more is read than is printed; never the whole log for its end.
    let from = opened.reader.size()?.saturating_sub(u64::try_from(lines)?.saturating_mul(4));
    let mut newest = std::collections::VecDeque::new();
    opened.each(from, |shown, _| {
        if newest.len() == lines {
            newest.pop_front();
        }
        newest.push_back(shown);
        ControlFlow::Continue(())
    })?;
    newest.iter().take(lines).try_for_each(|shown| print(shown, json))?;
    Ok(ExitCode::SUCCESS)
}

fn search(arguments: &SearchArguments) -> anyhow::Result<ExitCode> {
    let mut opened = open(&Loaded::read(&arguments.file.config)?)?;
    let same =
        |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
    let (mut left, mut printed) = (arguments.limit, Ok(()));
    opened.each(0, |shown, record| {
        let person = arguments.person.as_deref().is_none_or(|wanted| shown.is_person(wanted));
        let table = arguments.table.as_ref().is_none_or(|wanted| record.leaf.tables.contains(wanted));
        let matches = person
            && table
            && same(&arguments.agent, shown.actor.as_deref())
            && same(&arguments.reason, record.leaf.reason.as_deref())
            && same(&arguments.request_id, record.leaf.request_id.as_deref())
            && !(arguments.refused && shown.released);
        if !matches {
            return ControlFlow::Continue(());
        }
        left = left.saturating_sub(1);
        printed = print(&shown, arguments.json);
        if left == 0 || printed.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    printed?;
    Ok(ExitCode::SUCCESS)
}

fn show(loaded: &Loaded, id: &str, proof: bool) -> anyhow::Result<ExitCode> {
    let id: AuditId = id.parse()?;
    let Opened { reader, mut people } = open(loaded)?;
    if proof {
        out::line(serde_json::to_string_pretty(&reader.receipt(id)?.json())?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let records = reader.entry(id)?;
    if records.is_empty() {
        bail!("the log has no entry `{id}`");
    }
    for record in &records {
        let shown = people.shown(&reader, record).map(|shown| shown.json()).unwrap_or_default();
        out::line(serde_json::to_string_pretty(&shown)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn verify_log(loaded: &Loaded, outside: &[PathBuf], verifier: Option<&str>) -> anyhow::Result<ExitCode> {
    let folder = loaded.path(&loaded.config.audit.path);
    let verifier = match verifier {
        Some(text) => VerifierKey::parse(text).map_err(|error| anyhow!("--verifier: {error}"))?,
        None => verifier_key(&folder)?,
    };
    let store = Store::open_read_only(running::store_file(loaded)).context("the store cannot be read")?;
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        anyhow::Ok((path.display().to_string(), text))
    };
    let outside = outside.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
    let given = !outside.is_empty();
    let result = verify(&VerifyOptions { folder, verifier, store: Some(&store), outside });
    for finding in &result.findings {
        out::line(finding)?;
    }
    let kinds: Vec<String> = result.kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let personal = result.personal;
    out::line(format_args!("{} records ({}), {} entries", result.size, kinds.join(", "), result.entries))?;
    out::line(format_args!(
        "personal parts: {} readable, {} erased, {} missing, {} not as committed",
        personal.open, personal.erased, personal.missing, personal.mismatch
    ))?;
    if let Some(root) = result.root {
        out::line(format_args!("root {root}"))?;
    }
    if !result.ok() {
        out::line(format_args!("FAILED: {} finding(s)", result.failures))?;
        return Ok(ExitCode::FAILURE);
    }
    out::line(if given {
        format!("ok: the log agrees with its own checkpoint and {} from outside", result.outside)
    } else {
        "ok: the log agrees with its own checkpoint. Against whoever owns this host, verify with --checkpoint and a copy from outside".into()
    })?;
    Ok(ExitCode::SUCCESS)
}

/// All that a demo's log shows.
pub(crate) fn entries(folder: &Path) -> anyhow::Result<Vec<Shown>> {
    let mut shown = Vec::new();
    open(&Loaded::read(&folder.join("asuser.toml"))?)?.each(0, |entry, _| {
        shown.push(entry);
        ControlFlow::Continue(())
    })?;
    Ok(shown)
}

/// Whether a demo's log verifies, against the checkpoints that left it too.
pub(crate) fn verify_folder(folder: &Path) -> anyhow::Result<bool> {
    let loaded = Loaded::read(&folder.join("asuser.toml"))?;
    let audit = loaded.path(&loaded.config.audit.path);
    let store = Store::open_read_only(running::store_file(&loaded))?;
    let outside = vec![("checkpoints".to_owned(), std::fs::read_to_string(folder.join("checkpoints"))?)];
    let options = VerifyOptions { verifier: verifier_key(&audit)?, folder: audit, store: Some(&store), outside };
    let result = verify(&options);
    Ok(result.ok() && result.outside > 0)
}

/// Through the running server if there is one, since it has the log open; else here.
async fn erase(
    loaded: &Loaded,
    subject: String,
    issuer: Option<String>,
    note: Option<String>,
) -> anyhow::Result<ExitCode> {
    let issuer = match (issuer, loaded.config.identity.as_slice()) {
        (Some(issuer), _) => issuer,
        (None, [only]) => only.issuer.to_string(),
        (None, _) => bail!("several providers are configured: say whose subject it is with --issuer"),
    };
    let folder = loaded.path(&loaded.config.audit.path);
    let command = control::Command::Erase { issuer: issuer.clone(), subject: subject.clone(), note: note.clone() };
    let audit_id = match control::send(&folder, &command).await? {
        Some(control::Answer::Erased { audit_id }) => audit_id,
        Some(control::Answer::Failed { why }) => bail!("not erased: {why}"),
        Some(control::Answer::Recorded { .. }) => bail!("not erased: the running asuser has misunderstood"),
        None => control::erase(&open_here(loaded).await?, issuer, subject, note).await?.to_string(),
    };
    out::line(format_args!(
        "erased; recorded as {audit_id}. Backups of the store still hold the key: destroy those too"
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Opens the log in this process, since no other has it.
async fn open_here(loaded: &Loaded) -> anyhow::Result<Log> {
    let mut options = Options::new(loaded.path(&loaded.config.audit.path), loaded.config.audit.origin.clone());
    options.reserve_bytes = loaded.config.audit.reserve_mib.saturating_mul(1024 * 1024);
    let store = running::open_store(&running::store_file(loaded))?;
    let opened = tokio::task::spawn_blocking(move || Log::open(options, Arc::new(SystemClock), store));
    Ok(opened.await??.0)
}

/// Records what an operator is about to do to a service's database, before it is done. Where nothing was ever served there is no
/// log yet, and none is made.
pub(super) async fn operator_acts(loaded: &Loaded, service: &ServiceName, action: &str) -> anyhow::Result<String> {
    let folder = loaded.path(&loaded.config.audit.path);
    if !folder.exists() {
        return Ok("-- there is no audit log yet, so this is not recorded".to_owned());
    }
    let command = control::Command::Operator { service: service.clone(), action: action.to_owned() };
    let audit_id = match control::send(&folder, &command).await? {
        Some(control::Answer::Recorded { audit_id }) => audit_id,
        Some(control::Answer::Failed { why }) => bail!("not recorded, so nothing was done: {why}"),
        Some(control::Answer::Erased { .. }) => bail!("not recorded: the running asuser has misunderstood"),
        None => control::operator_acts(&open_here(loaded).await?, service, action).await?.to_string(),
    };
    Ok(format!("-- recorded as {audit_id}"))
}
