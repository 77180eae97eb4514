//! `asuser`: the command line.

mod cli;
mod config;
mod control;
mod demo;
mod out;
mod running;
mod wiring;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    match cli::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            // All of the chain: what was tried, and why it did not work.
            tracing_free_error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Standard error without a log's decoration: a person reads it.
fn tracing_free_error(error: &anyhow::Error) {
    use std::io::Write as _;
    // Nobody is left to tell if standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "asuser: {error:#}");
}
