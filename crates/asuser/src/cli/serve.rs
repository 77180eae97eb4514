//! `asuser serve`.

use std::process::ExitCode;

use super::ConfigFile;
use crate::config::Loaded;
use crate::running;

pub(super) fn run(file: &ConfigFile) -> anyhow::Result<ExitCode> {
    super::start_log("info");
    super::runtime()?.block_on(async {
        let loaded = Loaded::read(&file.config)?;
        let hang_ups = running::hang_ups()?;
        let running = running::start(&loaded, None).await?;
        tracing::info!(address = %running.address, "serving");
        running::until_asked_to_stop_or_reload(&running, &file.config, hang_ups).await?;
        running.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}
