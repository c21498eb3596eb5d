//! The accept loop: one task for each listener, one for each connection.

use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::connections::{Activity, Connections};
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

/// hyper's read buffer grows up to this: the length of the frames of a large upload.
const READ_BUFFER_BYTES: usize = 128 * 1024;
/// Largest head of an HTTP/2 request; a Basic header with a long token needs 16 KiB.
const HTTP2_MAX_HEADER_BYTES: u32 = 32 * 1024;
/// Bytes that an HTTP/2 peer may send ahead for one stream, and for all streams of a connection.
const HTTP2_WINDOW_BYTES: (u32, u32) = (1 << 20, 4 << 20);
/// Requests of an HTTP/2 connection at once: what RFC 9113, section 6.5.2, calls the least. Each of them may keep some
/// memory ([`super::wire::GrowingPieces`]).
const HTTP2_MAX_STREAMS: u32 = 100;

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
        let connection = self
            .builder()
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

    fn builder(&self) -> auto::Builder<Tasks> {
        let mut builder = auto::Builder::new(self.tasks.clone());
        builder
            .http1()
            // Connections that idle are found by `connections`.
            .header_read_timeout(None)
            .max_buf_size(READ_BUFFER_BYTES)
            // Otherwise hyper reads while a request is answered, to notice a client that leaves. Each such read
            // takes a buffer of its own, since the request still holds the first. The write notices a client
            // that has left, and a client that has only ended its side still gets its answer.
            .half_close(true)
            .writev(true);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(HTTP2_MAX_HEADER_BYTES)
            .initial_stream_window_size(HTTP2_WINDOW_BYTES.0)
            .initial_connection_window_size(HTTP2_WINDOW_BYTES.1)
            .max_concurrent_streams(HTTP2_MAX_STREAMS);
        builder
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
