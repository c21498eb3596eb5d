//! The running server: bind, serve, drain.
//!
//! The accept loop is our own (hyper-util around the axum routers), because a body may be a file that
//! the connection sends itself; [`wire`] is the only place that knows how.

mod accept;
mod actions;
mod assemble;
mod client_look;
mod condition;
mod conditions;
mod connections;
mod error;
mod held_body;
mod http_bounds;
mod listener;
mod memory;
mod ops;
mod ops_listener;
pub(crate) mod proxy_header;
mod reload;
mod reload_record;
mod samples;
mod service;
pub(crate) mod source;
mod tenant_samples;
mod tiers;
pub mod wire;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use error::StartError;
pub use listener::ListenError;

use connections::Connections;
use reload_record::ReloadRecord;
use tiers::Tiers;

use crate::config::{Config, ListenAddr};
use crate::protocol::app::App;
use crate::tasks::Tasks;
use crate::telemetry::access::AccessLog;

/// A server that accepts requests. Stop it with [`Server::stop`]; dropping it leaves its tasks to the
/// runtime.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<ListenAddr>,
    ops_address: Option<ListenAddr>,
    closing: CancellationToken,
    loops: Vec<JoinHandle<()>>,
    connections: Connections,
    /// Connections and what belongs to one request.
    requests: Tasks,
    /// What runs as long as the server does.
    background: Tasks,
    /// What fetches keys; replaced by a reload.
    identity: Tasks,
    app: App,
    tiers: Tiers,
    config: Config,
    reloads: ReloadRecord,
}

impl Server {
    /// Opens the tiers, binds the listeners and serves. Never waits for an issuer; for a bucket only if there
    /// is no disk, and, for some seconds, with `gha.advertise_url`: to know the other servers and the key of all.
    ///
    /// # Errors
    /// [`StartError`], with the key of the configuration and the remedy.
    pub async fn start(config: Config, access_log: AccessLog) -> Result<Self, StartError> {
        assemble::start(config, access_log).await
    }

    /// Where clients connect; shows the ports that were chosen for port 0.
    pub fn addresses(&self) -> &[ListenAddr] {
        &self.addresses
    }

    /// Where health and metrics are.
    pub fn ops_address(&self) -> Option<&ListenAddr> {
        self.ops_address.as_ref()
    }

    /// Resolves when the disk tier has finished its scan.
    pub async fn indexed(&self) {
        self.tiers.disk.indexed().await;
    }

    /// Takes no new connections, lets running requests end (at most `limits.drain_timeout`), ends
    /// every task and saves the index.
    pub async fn stop(self) {
        let drain_timeout = self.config.limits.drain_timeout;
        tracing::info!(at_most = ?drain_timeout, "draining: no new connections, running requests may end");
        self.closing.cancel();
        futures_util::future::join_all(self.loops).await;
        if tokio::time::timeout(drain_timeout, self.connections.drain())
            .await
            .is_err()
        {
            let connections = self.connections.cut();
            tracing::warn!(
                connections,
                "requests are still running; their connections are cut"
            );
        }
        self.requests.finish().await;
        self.tiers.close().await;
        self.identity.finish().await;
        self.background.finish().await;
        tracing::info!("stopped");
    }
}
