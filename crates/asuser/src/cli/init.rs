//! `asuser init`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::out;

#[derive(Debug, Args)]
pub(super) struct InitArguments {
    /// The folder to write to.
    #[arg(default_value = ".")]
    folder: PathBuf,
}

const FILES: [(&str, &str); 3] = [
    ("asuser.toml", include_str!("init/asuser.toml")),
    ("policies/db/first.cedar", include_str!("init/first.cedar")),
    ("policies/db/masks.toml", include_str!("init/masks.toml")),
];

/// Writes nothing if any of the files is there already.
pub(super) fn run(arguments: &InitArguments) -> anyhow::Result<ExitCode> {
    for (name, _) in FILES {
        let path = arguments.folder.join(name);
        if path.exists() {
            bail!("{} is there already: nothing was written", path.display());
        }
    }
    for (name, text) in FILES {
        let path = arguments.folder.join(name);
        write_new(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        out::line(format_args!("wrote {}", path.display()))?;
    }
    out::line(
        "next: edit asuser.toml (the database and your identity provider), then `asuser policy check` and `asuser serve`",
    )?;
    Ok(ExitCode::SUCCESS)
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::File::create_new(path)?.write_all(text.as_bytes())
}
