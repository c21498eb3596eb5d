//! `chacha run`: serve until a signal.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{self, SignalKind};

use super::UsageError;
use crate::config::{KeyPlaces, ListenAddr, LoadedConfig};
use crate::server::{Server, StartError};
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
    let loaded = args.load()?;
    super::block_on(serve(args, loaded, log))?
}

impl RunArgs {
    /// The configuration, with what the command line says.
    fn load(&self) -> anyhow::Result<LoadedConfig> {
        let mut loaded = super::load(&self.file)?;
        loaded.warnings.extend(super::open_modes::warnings(&loaded));
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        if let Some(listen) = &self.listen {
            let replaced = loaded.config.override_listen(vec![listen.clone()]);
            replaced.context("--listen")?;
        }
        Ok(loaded)
    }

    /// Why the server cannot use a configuration that can be read, with the place in the file.
    fn located(&self, places: &KeyPlaces, error: StartError) -> anyhow::Error {
        let is_about_listen = matches!(&error, StartError::Listen(error) if error.key() == "listen");
        let told = super::error_text(&error.into());
        anyhow::Error::msg(match self.listen.is_some() && is_about_listen {
            true => told,
            false => places.located(&told),
        })
    }
}

async fn serve(args: &RunArgs, loaded: LoadedConfig, log: AccessLog) -> anyhow::Result<ExitCode> {
    // Before the ports open, so that no signal is lost.
    let mut signals = Signals::new()?;
    let started = Server::start(loaded.config, log).await;
    let mut server = started.map_err(|error| args.located(&loaded.places, error))?;
    while let Signal::Reload = signals.next().await {
        reload(args, &mut server).await;
    }
    server.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Keeps everything as it is if the file cannot be used.
async fn reload(args: &RunArgs, server: &mut Server) {
    let LoadedConfig { config, places, .. } = match args.load() {
        Ok(loaded) => loaded,
        Err(error) if error.is::<UsageError>() => {
            server.reload_failed();
            super::log_failure(&error);
            tracing::error!("SIGHUP: the configuration was not reloaded; the problems stand above");
            return;
        }
        Err(error) => {
            server.reload_failed();
            let error = super::error_text(&error);
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
        Err(error) => {
            let error = args.located(&places, error);
            tracing::error!(%error, "SIGHUP: the configuration was not reloaded");
        }
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
