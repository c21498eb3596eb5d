//! `chacha run`: serve until a signal.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{self, SignalKind};

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
    match args.config()? {
        Ok(config) => super::block_on(serve(args, config, log))?,
        Err(code) => Ok(code),
    }
}

impl RunArgs {
    /// The configuration, with what the command line says; or the exit code after its problems were
    /// printed.
    fn config(&self) -> anyhow::Result<Result<Config, ExitCode>> {
        let loaded = match super::load(&self.file) {
            Ok(loaded) => loaded,
            Err(code) => return Ok(Err(code)),
        };
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let mut config = loaded.config;
        if let Some(listen) = &self.listen {
            config.override_listen(vec![listen.clone()]).context("--listen")?;
        }
        Ok(Ok(config))
    }
}

async fn serve(args: &RunArgs, config: Config, log: AccessLog) -> anyhow::Result<ExitCode> {
    // Before the ports open, so that no signal is lost.
    let mut signals = Signals::new()?;
    let mut server = Server::start(config, log).await?;
    while let Signal::Reload = signals.next().await {
        reload(args, &mut server).await;
    }
    server.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Keeps everything as it is if the file cannot be used.
async fn reload(args: &RunArgs, server: &mut Server) {
    let config = match args.config() {
        Ok(Ok(config)) => config,
        Ok(Err(_)) => {
            tracing::error!("SIGHUP: the configuration was not reloaded; the problems stand above");
            return;
        }
        Err(error) => {
            let error = super::told_once(&error);
            tracing::error!(error, "SIGHUP: the configuration was not reloaded");
            return;
        }
    };
    match server.reload(config).await {
        Ok(fixed) if fixed.is_empty() => tracing::info!("SIGHUP: configuration reloaded"),
        Ok(fixed) => tracing::warn!(
            keys = fixed.join(", "),
            "SIGHUP: reloaded, but these keys need a restart"
        ),
        Err(error) => tracing::error!(%error, "SIGHUP: the configuration was not reloaded"),
    }
}

/// What the operator wants.
pub(super) enum Signal {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
}

/// The signals of the process.
pub(super) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hangup: unix::signal(SignalKind::hangup())?,
        })
    }

    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}
