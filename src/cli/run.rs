//! `chacha run`: serve until a signal.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, ListenAddr};
use crate::server::Server;
use crate::telemetry::access::AccessLog;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The configuration; see config.example.yaml
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Listen here instead of where the configuration says: host:port or unix:/path
    #[arg(short, long, value_name = "ADDR")]
    listen: Option<ListenAddr>,
}

pub(super) fn execute(args: &RunArgs, log: AccessLog) -> anyhow::Result<ExitCode> {
    let loaded = match super::load(&args.file) {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let mut config = loaded.config;
    if let Some(listen) = &args.listen {
        config.override_listen(vec![listen.clone()]).context("--listen")?;
    }
    super::block_on(serve(config, log))?
}

async fn serve(config: Config, log: AccessLog) -> anyhow::Result<ExitCode> {
    let server = Server::start(config, log).await?;
    until_asked_to_stop().await?;
    server.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Waits for SIGTERM or SIGINT. SIGHUP, which would end the process, is answered in the log.
pub(super) async fn until_asked_to_stop() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => tracing::warn!("SIGHUP: nothing can be reloaded yet; restart to apply a new configuration"),
        }
    }
}
