//! The accept loop: one task for each listener, one for each connection.

use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::connections::{Activity, Connections};
use super::http_bounds::HttpBounds;
use super::listener::Listener;
use super::proxy_header;
use super::service::{Context, Service};
use super::source::Source;
use super::wire::{LargeSendBuffers, SendQueue, Socket, WireStream};
use crate::config::TrustedProxies;
use crate::tasks::{self, Tasks};
use crate::telemetry::metrics::Metrics;

/// What every connection needs.
#[derive(Clone)]
pub(super) struct Acceptor {
    pub(super) context: Arc<Context>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) tasks: Tasks,
    pub(super) send_buffers: LargeSendBuffers,
}

/// An open connection counts until it is dropped, however its task ends.
struct OpenConnection {
    metrics: Arc<Metrics>,
    _place: OwnedSemaphorePermit,
}

/// A socket, and where it comes from.
struct Accepted {
    socket: Socket,
    source: Source,
}

impl Accepted {
    /// Where the connection comes from in truth, and what was read of it to know that. `None`: it is to be closed.
    async fn begin(self, trusted: &TrustedProxies) -> Option<(Source, Socket, Bytes)> {
        let Self { mut socket, source } = self;
        if !source.is_proxy {
            return Some((source, socket, Bytes::new()));
        }
        // Boxed to keep the task of the common case small.
        let read = Box::pin(proxy_header::read(&mut socket)).await;
        let (client, early) = read
            .inspect_err(|error| {
                if error.kind() == std::io::ErrorKind::InvalidData {
                    tracing::info!("closed a connection of a trusted proxy: its PROXY header cannot be read");
                }
            })
            .ok()?;
        let source = client.map_or(source, |client| Source::of(Some(client), trusted));
        Some((source, socket, early))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.metrics.connections().dec();
    }
}

const BOUNDS: HttpBounds = HttpBounds {
    // The length of the frames of a large upload.
    read_buffer: 128 * 1024,
    // A Basic header with a long token needs 16 KiB.
    http2_head: 32 * 1024,
    http2_windows: (1 << 20, 4 << 20),
    // What RFC 9113, section 6.5.2, calls the least. Each of them may keep some memory
    // ([`super::wire::GrowingPieces`]).
    http2_streams: 100,
};

/// Before the next attempt to accept after an error of the process, such as too many open files.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(50);

impl Acceptor {
    /// Accepts until `closing`. The connections that it accepted live on.
    pub(super) async fn run(self, listener: Listener, closing: CancellationToken) {
        while let Some((socket, peer, place)) = next(&listener, &self.context.connections, &closing).await {
            let source = Source::of(peer, &self.context.trusted_proxies);
            self.serve(Accepted { socket, source }, place);
        }
    }

    fn serve(&self, accepted: Accepted, place: OwnedSemaphorePermit) {
        let connections = &self.context.connections;
        let (activity, send_queue) = (connections.activity(), SendQueue::default());
        let (watched, sending) = (activity.clone(), send_queue.watch());
        self.metrics.connections().inc();
        let open = OpenConnection {
            metrics: Arc::clone(&self.metrics),
            _place: place,
        };
        // What comes from a proxy is told apart by what the proxy says.
        let stranger = accepted.source.stranger();
        let this = self.clone();
        let task = self.tasks.spawn(async move {
            if let Some((source, socket, early)) = accepted.begin(&this.context.trusted_proxies).await {
                if stranger.is_none() {
                    let connections = &this.context.connections;
                    connections.comes_from(&activity, source.stranger());
                }
                let stream = WireStream::new(
                    (socket, early),
                    send_queue.clone(),
                    activity.clone(),
                    this.send_buffers.clone(),
                    this.context.memory.clone(),
                );
                let service = Service {
                    context: Arc::clone(&this.context),
                    source,
                    send_queue,
                    activity: activity.clone(),
                };
                this.answer(stream, service, &activity).await;
            }
            drop(open);
        });
        connections.add(&watched, task.abort_handle(), move || sending.is_wanted());
        connections.comes_from(&watched, stranger);
    }

    /// Answers the requests of a connection until it ends.
    async fn answer(&self, stream: WireStream, service: Service, activity: &Activity) {
        let connection = BOUNDS
            .builder(&self.tasks)
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let mut connection = pin!(connection);
        let mut ending = false;
        let ended = poll_fn(|context| {
            if !ending && activity.must_end(context) {
                ending = true;
                connection.as_mut().graceful_shutdown();
            }
            connection.as_mut().poll(context)
        });
        // Clients leave all the time; what matters is in the records of their requests.
        if let Err(error) = ended.await {
            log_unreadable(&*error);
        }
    }
}

/// The next socket with the address of its peer and a place; `None` when `closing`.
pub(super) async fn next(
    listener: &Listener,
    connections: &Connections,
    closing: &CancellationToken,
) -> Option<(Socket, Option<IpAddr>, OwnedSemaphorePermit)> {
    loop {
        // A socket first: a listener without clients must not hold the place of a connection.
        let accepted = async {
            let (socket, peer) = listener.accept().await?;
            Ok::<_, std::io::Error>((socket, peer, connections.place().await))
        };
        let accepted = tokio::select! {
            () = closing.cancelled() => return None,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((socket, peer, place)) => return Some((socket, peer, place?)),
            Err(error) => pause(&error).await,
        }
    }
}

/// A request that hyper could not read has no record: it got an empty 400 or 431.
fn log_unreadable(error: &(dyn std::error::Error + 'static)) {
    if let Some(error) = error.downcast_ref::<hyper::Error>()
        && error.is_parse()
    {
        // What the client sent is not part of this text.
        tracing::info!(cause = %error, "refused what is no HTTP request; a client that speaks TLS, or a head that is too long?");
    }
}

/// The loop survives "too many open files": it waits until some are closed. Errors of one connection
/// that died before it was accepted need no wait.
async fn pause(error: &std::io::Error) {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    ) {
        return;
    }
    tracing::warn!(%error, "cannot accept connections; trying again (is the limit of open files too low?)");
    tasks::pause(ACCEPT_RETRY_INTERVAL).await;
}
