//! From a configuration to a running server: the only place that knows every type.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use url::Url;

use super::accept::Acceptor;
use super::actions::ThisServer;
use super::connections::{ConnectionLimits, Connections};
use super::listener::{ListenError, Listener};
use super::memory::MemoryPlan;
use super::ops_listener::OpsListener;
use super::reload_record::ReloadRecord;
use super::service::Context;
use super::tiers::Tiers;
use super::wire::LargeSendBuffers;
use super::{Server, StartError, actions, conditions, ops, samples};
use crate::auth::Authenticator;
use crate::cache::Cache;
use crate::cache::load::TenantLoads;
use crate::config::{Config, ListenAddr, NO_JOB_KEY};
use crate::outbound::Proxies;
use crate::protocol::app::{App, Limits};
use crate::protocol::forward::{ForwardClient, Forwarder};
use crate::protocol::links::Links;
use crate::protocol::{self, Dispatch};
use crate::store::disk;
use crate::store::tenant_rules::TenantRules;
use crate::sys;
use crate::tasks::Tasks;
use crate::telemetry::access::{AccessLog, Recorder};
use crate::telemetry::metrics::Metrics;

pub(super) async fn start(config: Config, access_log: AccessLog) -> Result<Server, StartError> {
    let (requests, background, identity) = (Tasks::new(), Tasks::new(), Tasks::new());
    // Listeners first: a port in use must not leave an opened directory behind.
    let listeners = bind(&config)?;
    let ops_listener = bind_ops(&config)?;
    let proxies = Proxies::load(config.outbound_proxy_file.as_deref());
    proxies.map_err(StartError::proxy)?.log();
    let auth = Authenticator::start_within(
        config.providers.clone(),
        &identity,
        MemoryPlan::tokens(&config.limits),
    )?;
    let rules = TenantRules::new(&config.tenants, config.local_limit());
    // Boxed: a remote tier may set up its client in a large future.
    let mut tiers = Box::pin(Tiers::open(&config, &background)).await?;
    tiers.follow(&rules);

    let links = links(&config, &listeners);
    let tasks = (&requests, &background);
    let app = Box::pin(app(&config, &tiers, &rules, auth, links, tasks)).await;
    if app.is_err() {
        // The directory must not stay locked.
        tiers.close().await;
    }
    let app = app?;
    let metrics = Arc::new(Metrics::new(protocol::names()));
    let (closing, reloads) = (CancellationToken::new(), ReloadRecord::new());
    let connections = Connections::new(connection_limits(&config));
    samples::connect(&metrics, &tiers, &app, &connections, (&closing, &reloads));
    let watch = conditions::watch(app.clone(), tiers.clone(), background.stopping());
    background.spawn(watch);
    background.spawn(connections.clone().run(background.stopping()));
    let acceptor = acceptor(&config, &app, &metrics, access_log, (&connections, &requests));
    let mut server = Server {
        addresses: listeners.iter().map(Listener::address).collect(),
        ops_address: ops_listener.as_ref().map(Listener::address),
        closing,
        loops: Vec::new(),
        connections,
        requests,
        background,
        identity,
        app,
        tiers,
        config,
        reloads,
    };
    for listener in listeners {
        let serve = acceptor.clone().run(listener, server.closing.clone());
        server.loops.push(server.requests.spawn(serve));
    }
    if let Some(listener) = ops_listener {
        serve_ops(&server, listener, metrics);
    }
    announce(&server);
    Ok(server)
}

fn acceptor(
    config: &Config,
    app: &App,
    metrics: &Arc<Metrics>,
    access_log: AccessLog,
    (connections, requests): (&Connections, &Tasks),
) -> Acceptor {
    Acceptor {
        context: Arc::new(Context {
            dispatch: Dispatch::new(app),
            recorder: Recorder::new(Arc::clone(metrics), access_log),
            connections: connections.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            memory: app.cache().memory().clone(),
        }),
        metrics: Arc::clone(metrics),
        tasks: requests.clone(),
        send_buffers: LargeSendBuffers::of_system(),
    }
}

fn bind(config: &Config) -> Result<Vec<Listener>, ListenError> {
    let addresses = config.listen.iter();
    addresses
        .map(|address| Listener::bind(address, "listen"))
        .collect()
}

fn bind_ops(config: &Config) -> Result<Option<Listener>, ListenError> {
    let address = config.ops_listen.as_ref();
    address
        .map(|address| Listener::bind(address, "ops_listen"))
        .transpose()
}

/// What front-ends use. Requests end before what runs in the background, and with that the way to other servers.
async fn app(
    config: &Config,
    tiers: &Tiers,
    rules: &TenantRules,
    auth: Authenticator,
    links: Links,
    (requests, background): (&Tasks, &Tasks),
) -> Result<App, StartError> {
    let loads = TenantLoads::new(rules.clone());
    let cache = Cache::new(Arc::clone(&tiers.store), tiers.spools.clone(), loads.clone());
    let client = peer_client(config, background)?;
    let way = Arc::new(client.clone());
    let server = ThisServer::load(config, tiers, &tiers.shared).await?;
    let auth = auth.with_job_tokens(server.job_tokens(config, tiers).await);
    let actions = actions::open(config, tiers, (way, loads, server), &tiers.shared).await?;
    let forwarder = Forwarder::new(client, actions.clone(), foreign(config, background)?);
    let tasks = requests.clone();
    Ok(App::new(
        cache,
        actions,
        auth,
        limits(config),
        links,
        forwarder,
        tasks,
    ))
}

fn connection_limits(config: &Config) -> ConnectionLimits {
    /// The share of the places that one address may have by default, and the least.
    const SHARE: usize = 4;
    const LEAST: usize = 64;
    let places = connection_limit(config);
    let per_address = config.limits.connections_per_address;
    ConnectionLimits {
        keep_alive: config.limits.keep_alive,
        places,
        per_address: per_address.unwrap_or((places / SHARE).max(LEAST)),
    }
}

/// Connections served at once: what is configured, or as many as the limit of open files leaves beside
/// the entries that are kept open and the files of running uploads.
fn connection_limit(config: &Config) -> usize {
    const SPARE: u64 = 256;
    const LEAST: u64 = 16;
    let limit = sys::open_file_limit();
    let entries = match (&config.disk, config.remote()) {
        (Some(disk), _) => disk::open_files(disk),
        (None, Some(remote)) => disk::open_files(&remote.tiering().staging),
        (None, None) => 0,
    };
    // A connection, and the file of its upload.
    let possible = (limit.saturating_sub(entries + SPARE) / 2).max(LEAST);
    let wanted = config.limits.max_connections;
    if (wanted as u64) <= possible {
        return wanted;
    }
    tracing::info!(
        wanted,
        possible,
        open_files = limit,
        "limits.max_connections is above what the limit of open files allows"
    );
    usize::try_from(possible).unwrap_or(wanted)
}

/// The part of the limits that front-ends keep.
pub(super) fn limits(config: &Config) -> Limits {
    Limits {
        max_entry_size: config.limits.max_entry_size,
        body_idle_timeout: config.limits.body_idle_timeout,
    }
}

/// What links in answers begin with. A Unix socket has no URL: its clients name a host.
fn links(config: &Config, listeners: &[Listener]) -> Links {
    let mut tcp = listeners.iter().filter_map(tcp_address);
    let first = tcp
        .next()
        .map_or_else(|| "localhost".to_owned(), |address| address.to_string());
    let all = listeners.iter().filter_map(tcp_address).collect();
    let base_url = config.base_url.as_ref();
    Links::new(base_url, first).at(base_url, all)
}

fn tcp_address(listener: &Listener) -> Option<SocketAddr> {
    match listener.address() {
        ListenAddr::Tcp(address) => Some(address),
        ListenAddr::Unix(_) => None,
    }
}

/// The client for peers. Most need no certificates, and a machine without any must still start.
fn peer_client(config: &Config, background: &Tasks) -> Result<ForwardClient, StartError> {
    let url = config.gha.advertise_url.as_ref();
    let https = url.is_some_and(|url| url.scheme() == "https");
    ForwardClient::new(background, https).map_err(StartError::Certificates)
}

/// GitHub's other services, and the client for them, which goes through the proxy as the one for issuers does.
fn foreign(config: &Config, background: &Tasks) -> Result<Option<(Url, ForwardClient)>, StartError> {
    let Some(url) = &config.gha.forward_unknown_to else {
        return Ok(None);
    };
    let proxies = Proxies::load(config.outbound_proxy_file.as_deref()).map_err(StartError::proxy)?;
    let client = ForwardClient::through(proxies, background, url.scheme() == "https");
    let client = client.map_err(StartError::Certificates)?;
    Ok(Some((url.clone(), client)))
}

/// The listener for operators lives as long as what runs in the background.
fn serve_ops(server: &Server, listener: Listener, metrics: Arc<Metrics>) {
    let ops = ops::Ops {
        metrics,
        app: server.app.clone(),
        tiers: server.tiers.clone(),
        closing: server.closing.clone(),
    };
    let (tasks, memory) = (server.background.clone(), server.app.cache().memory().clone());
    let stopping = tasks.stopping();
    let serve = OpsListener::new(ops::routers(ops), tasks, memory).run(listener, stopping);
    server.background.spawn(serve);
}

fn announce(server: &Server) {
    let largest = server.app.max_entry_size();
    tracing::info!(
        bytes = largest,
        "entries up to this size are taken: limits.max_entry_size"
    );
    if server.config.lacks_job_key() {
        tracing::info!("{NO_JOB_KEY}");
    }
    for address in &server.addresses {
        tracing::info!(address = address.to_string(), "listening");
    }
    if let Some(address) = &server.ops_address {
        tracing::info!(address = address.to_string(), "health, readiness and metrics");
    }
}
