//! From a configuration to a running server: the only place that knows every type.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::accept::Acceptor;
use super::listener::{self, ListenError, Listener};
use super::{Server, ops};
use crate::auth::{Authenticator, SetupError};
use crate::cache::Cache;
use crate::config::Config;
use crate::protocol::Dispatch;
use crate::protocol::app::{App, Limits};
use crate::store::disk::{Disk, OpenError};
use crate::tasks::Tasks;
use crate::telemetry::access::Recorder;
use crate::telemetry::metrics::{Kind, Metrics, Sample};

/// Why the server cannot start. Every message names the key of the configuration and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The disk tier.
    #[error(transparent)]
    Disk(#[from] OpenError),
    /// An identity provider.
    #[error(transparent)]
    Auth(#[from] SetupError),
    /// There is no tier that this version can serve from.
    #[error("disk: this version needs a disk tier; add a `disk` section with `dir` and `limit`")]
    NoTier,
}

pub(super) async fn start(config: Config) -> Result<Server, StartError> {
    let (requests, background) = (Tasks::new(), Tasks::new());
    // Listeners first: a port in use must not leave an opened directory behind.
    let listeners = bind(&config)?;
    let ops_listener = config
        .ops_listen
        .as_ref()
        .map(|address| Listener::bind(address, "ops_listen"))
        .transpose()?;
    let auth = Authenticator::start(config.providers.clone(), &background)?;
    let disk_config = config.disk.as_ref().ok_or(StartError::NoTier)?;
    let disk = Disk::open(disk_config, &background).await?;
    let metrics = Arc::new(Metrics::new());
    add_samples(&metrics, &disk, &auth);

    let cache = Cache::new(Arc::clone(&disk) as Arc<_>, disk.spools());
    let limits = Limits {
        max_entry_size: config.limits.max_entry_size,
        body_idle_timeout: config.limits.body_idle_timeout,
    };
    let app = App::new(cache, auth.clone(), limits, requests.clone());
    let closing = CancellationToken::new();
    let acceptor = Acceptor {
        dispatch: Dispatch::new(&app),
        recorder: Recorder::new(Arc::clone(&metrics)),
        metrics: Arc::clone(&metrics),
        tasks: requests.clone(),
        permits: Arc::new(Semaphore::new(config.limits.max_connections)),
        keep_alive: config.limits.keep_alive,
    };
    let mut server = Server {
        addresses: listeners.iter().map(Listener::address).collect(),
        ops_address: ops_listener.as_ref().map(Listener::address),
        closing: closing.clone(),
        loops: Vec::new(),
        requests,
        background,
        disk: Arc::clone(&disk),
        drain_timeout: config.limits.drain_timeout,
    };
    for listener in listeners {
        let serve = acceptor.clone().run(listener, closing.clone());
        server.loops.push(server.requests.spawn(serve));
    }
    if let Some(listener) = ops_listener {
        serve_ops(
            &server,
            listener,
            ops::Ops {
                metrics,
                auth,
                disk,
                closing,
            },
        );
    }
    announce(&server);
    Ok(server)
}

fn bind(config: &Config) -> Result<Vec<Listener>, ListenError> {
    config
        .listen
        .iter()
        .map(|address| Listener::bind(address, "listen"))
        .collect()
}

/// The listener for operators needs neither the speed nor the limits of the other one. It lives until
/// the very end, so that a draining server can still be asked.
fn serve_ops(server: &Server, listener: Listener, ops: ops::Ops) {
    let router = ops::router(ops);
    let stopping = server.background.stopping();
    server.background.spawn(async move {
        let until = stopping.cancelled_owned();
        let served = match listener {
            Listener::Tcp(listener) => axum::serve(listener, router).with_graceful_shutdown(until).await,
            Listener::Unix(listener, _file) => {
                axum::serve(listener, router).with_graceful_shutdown(until).await
            }
        };
        if let Err(error) = served {
            tracing::error!(%error, "the ops listener ended");
        }
    });
}

fn announce(server: &Server) {
    for address in &server.addresses {
        tracing::info!(address = listener::display(address), "listening");
    }
    if let Some(address) = &server.ops_address {
        tracing::info!(
            address = listener::display(address),
            "health, readiness and metrics"
        );
    }
}

/// Connects the numbers that other parts keep to the metrics.
fn add_samples(metrics: &Metrics, disk: &Arc<Disk>, auth: &Authenticator) {
    let disk = Arc::clone(disk);
    metrics.add_samples(move || {
        let stats = disk.stats();
        let gauge = |name, help, value| Sample {
            name,
            help,
            kind: Kind::Gauge,
            value,
        };
        let counter = |name, help, value| Sample {
            name,
            help,
            kind: Kind::Counter,
            value,
        };
        vec![
            gauge(
                "chacha_disk_limit_bytes",
                "Configured limit of the disk tier",
                stats.limit,
            ),
            gauge(
                "chacha_disk_used_bytes",
                "Bytes that the disk tier takes",
                stats.used,
            ),
            gauge(
                "chacha_disk_reserved_bytes",
                "Bytes reserved for uploads that are running",
                stats.reserved,
            ),
            gauge(
                "chacha_disk_entries",
                "Entries of the disk tier",
                stats.entries as u64,
            ),
            gauge(
                "chacha_disk_indexing",
                "1 while the disk tier is scanned after a start",
                u64::from(stats.indexing),
            ),
            gauge(
                "chacha_disk_open_files",
                "Entries kept open",
                stats.open_files as u64,
            ),
            gauge(
                "chacha_disk_memory_bytes",
                "Bytes of small bodies kept in memory",
                stats.hot_bytes,
            ),
            counter("chacha_disk_evictions", "Entries evicted", stats.evictions),
            counter("chacha_disk_evicted_bytes", "Bytes evicted", stats.evicted_bytes),
            counter(
                "chacha_disk_damaged",
                "Entries found damaged and removed",
                stats.corrupt,
            ),
        ]
    });
    let auth = auth.clone();
    metrics.add_samples(move || {
        let counters = auth.counters();
        let counter = |name, help, value: &AtomicU64| Sample {
            name,
            help,
            kind: Kind::Counter,
            value: value.load(Ordering::Relaxed),
        };
        vec![
            counter("chacha_auth_verified", "Tokens verified", &counters.verified),
            counter(
                "chacha_auth_remembered",
                "Requests with a token verified before",
                &counters.remembered,
            ),
            counter(
                "chacha_auth_refused",
                "Requests refused for their token",
                &counters.refused,
            ),
            counter(
                "chacha_auth_unavailable",
                "Requests whose issuer's keys were not known",
                &counters.unavailable,
            ),
            counter(
                "chacha_auth_refreshes",
                "Key sets fetched",
                &counters.refreshes_ok,
            ),
            counter(
                "chacha_auth_refresh_failures",
                "Key sets that could not be fetched",
                &counters.refreshes_failed,
            ),
        ]
    });
}
