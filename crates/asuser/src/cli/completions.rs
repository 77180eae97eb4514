//! `asuser completions`.

use std::io;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// The shell.
    shell: Shell,
}

pub(super) fn run(arguments: &CompletionsArguments) -> anyhow::Result<ExitCode> {
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "asuser", &mut io::stdout().lock());
    Ok(ExitCode::SUCCESS)
}
