//! The accept loop: one task for each listener, one for each connection.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::listener::Listener;
use super::service::Service;
use super::wire::{Outbox, Socket, WireStream};
use crate::protocol::Dispatch;
use crate::tasks::Tasks;
use crate::telemetry::access::Recorder;
use crate::telemetry::metrics::Metrics;

/// What every connection needs.
#[derive(Clone)]
pub(super) struct Acceptor {
    pub(super) dispatch: Dispatch,
    pub(super) recorder: Recorder,
    pub(super) metrics: Arc<Metrics>,
    pub(super) tasks: Tasks,
    /// Bounds the connections that are served at once; further ones wait in the kernel's queue.
    pub(super) permits: Arc<Semaphore>,
    pub(super) keep_alive: Duration,
}

/// hyper's read buffer grows up to this: the length of the frames of a large upload.
const READ_BUFFER: usize = 512 * 1024;
/// Largest head of an HTTP/2 request; a Basic header with a long token needs 16 KiB.
const HTTP2_HEAD: u32 = 64 * 1024;
/// Bytes that an HTTP/2 peer may send ahead for one stream, and for all streams of a connection.
const HTTP2_WINDOWS: (u32, u32) = (1 << 20, 4 << 20);

impl Acceptor {
    /// Accepts until `closing`, then waits until the last connection has ended. Idle connections end at
    /// once, running requests when they are done.
    pub(super) async fn run(self, listener: Listener, closing: CancellationToken) {
        let graceful = GracefulShutdown::new();
        while let Some(socket) = self.next(&listener, &closing).await {
            self.serve(socket.0, socket.1, graceful.watcher());
        }
        drop(listener);
        graceful.shutdown().await;
    }

    async fn next(
        &self,
        listener: &Listener,
        closing: &CancellationToken,
    ) -> Option<(Socket, tokio::sync::OwnedSemaphorePermit)> {
        loop {
            let accepted = async {
                let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
                Some((listener.accept().await, permit))
            };
            let (socket, permit) = tokio::select! {
                () = closing.cancelled() => return None,
                accepted = accepted => accepted?,
            };
            match socket {
                Ok(socket) => return Some((socket, permit)),
                Err(error) => pause(&error).await,
            }
        }
    }

    fn serve(&self, socket: Socket, permit: tokio::sync::OwnedSemaphorePermit, watcher: Watcher) {
        let outbox = Outbox::default();
        let stream = TokioIo::new(WireStream::new(socket, outbox.clone()));
        let service = Service {
            dispatch: self.dispatch.clone(),
            recorder: self.recorder.clone(),
            outbox,
        };
        let builder = self.builder();
        let stopping = self.tasks.stopping();
        let metrics = Arc::clone(&self.metrics);
        metrics.connections().inc();
        self.tasks.spawn(async move {
            let connection = builder.serve_connection(stream, service).into_owned();
            tokio::select! {
                // Clients leave all the time; what matters is in the records of their requests.
                _ = watcher.watch(connection) => {}
                // The time to drain is over.
                () = stopping.cancelled() => {}
            }
            metrics.connections().dec();
            drop(permit);
        });
    }

    fn builder(&self) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            // Also the time that an idle connection may live: hyper starts this clock when it
            // begins to wait for the next head.
            .header_read_timeout(self.keep_alive)
            .max_buf_size(READ_BUFFER)
            .writev(true);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(HTTP2_HEAD)
            .initial_stream_window_size(HTTP2_WINDOWS.0)
            .initial_connection_window_size(HTTP2_WINDOWS.1)
            .max_concurrent_streams(256);
        builder
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
    let wait = std::pin::pin!(std::future::pending::<()>());
    tokio::time::timeout(Duration::from_millis(50), wait).await.ok();
}
