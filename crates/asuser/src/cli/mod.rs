//! What the command line offers: a file a subcommand.

pub(crate) mod audit;
mod ca;
mod catalog;
mod completions;
mod doctor;
mod init;
mod install;
mod login;
mod logout;
mod mcp;
mod operator;
mod policy;
mod provision;
mod serve;
mod whoami;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::demo;

/// Identity passthrough for AI agents: every question runs as the person behind the agent.
///
/// An agent sends the person's own token; asuser verifies it, decides by policy what that person may see, asks the database
/// for just that, and answers only once the audit record is durable.
///
/// Start with `asuser demo`. For your own database: `asuser init`, edit asuser.toml, `asuser policy check`, `asuser serve`.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the configured databases.
    ///
    /// Reads the configuration, opens the audit log (and repairs its torn tail after a crash), and listens. SIGHUP reads the
    /// configuration and policies anew, all or nothing; SIGTERM and SIGINT end it after the requests under way.
    Serve(ConfigFile),
    /// Show what asuser does, with a small company's database, on this machine alone.
    ///
    /// Needs no server and no configuration. Plays a scene, prints commands to try, and keeps serving until Ctrl-C.
    Demo(demo::DemoArguments),
    /// Write a commented asuser.toml and a first policy.
    Init(init::InitArguments),
    /// Explain what asuser makes of a token, step by step, an unacceptable one too.
    Whoami(whoami::WhoamiArguments),
    /// Read, verify and erase in the audit log.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// The certificate authority of run-as mode `certificate`.
    #[command(subcommand)]
    Ca(ca::CaCommand),
    /// Say what each service's run-as mode is worth, what gets around it, and the SQL that mends it.
    ///
    /// Reads catalogues and counts, changes nothing. Exit code 0: nothing critical; 1: something is; 2: a service could not be examined.
    Doctor(doctor::DoctorArguments),
    /// Make roles, memberships and grants from a group list, on PostgreSQL.
    Provision(provision::ProvisionArguments),
    /// Install signed claims (`asuser.claims()`) in a PostgreSQL service.
    Install(install::InstallArguments),
    /// Remove them.
    Uninstall(install::UninstallArguments),
    /// Write down the tables and columns of the databases.
    #[command(subcommand)]
    Catalog(catalog::CatalogCommand),
    /// Sign in at an asuser, so that agents on this machine can ask for you.
    ///
    /// Prints an address, opens it in the browser, and keeps the tokens that come back, in the keyring or in a file that only you can read.
    Login(login::LoginArguments),
    /// Delete the tokens of `asuser login`, and revoke them.
    Logout(logout::LogoutArguments),
    /// Speak MCP on standard input and output, for clients that start a program.
    ///
    /// Passes each message on to the /mcp of an asuser, with your token. Exit code 2: there is no token.
    Mcp(mcp::McpArguments),
    /// Check policies.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Print completions for a shell: `asuser completions bash > /etc/bash_completion.d/asuser`.
    Completions(completions::CompletionsArguments),
}

/// Where the configuration is.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigFile {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "asuser.toml", env = "ASUSER_CONFIG")]
    pub(crate) config: PathBuf,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Serve(file) => serve::run(&file),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Whoami(arguments) => whoami::run(arguments),
        Command::Audit(command) => audit::run(command),
        Command::Ca(command) => ca::run(&command),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Provision(arguments) => provision::run(&arguments),
        Command::Install(arguments) => install::run(&arguments),
        Command::Uninstall(arguments) => install::run_uninstall(&arguments),
        Command::Catalog(command) => catalog::run(&command),
        Command::Login(arguments) => login::run(&arguments),
        Command::Logout(arguments) => logout::run(&arguments),
        Command::Mcp(arguments) => mcp::run(&arguments),
        Command::Policy(command) => policy::run(&command),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}

/// The operator's log, on standard error: standard output belongs to what the command prints. `ASUSER_LOG` overrides the level.
pub(crate) fn start_log(level: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("ASUSER_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    // A second start in one process is no fault: the first log goes on.
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let _ = log.with_ansi(colours).try_init();
}

pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
