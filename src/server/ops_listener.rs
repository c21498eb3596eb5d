//! The listener for operators, with bounds of its own: it answers while all places for clients are taken, and whoever
//! reaches it cannot take much.
//!
//! It lives until the very end, so that a draining server can still be asked.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use super::accept;
use super::connections::{Activity, ConnectionLimits, Connections};
use super::http_bounds::HttpBounds;
use super::listener::Listener;
use super::wire::{LargeSendBuffers, SendQueue, Socket, WireStream};
use crate::store::memory::MemoryAccount;
use crate::tasks::Tasks;

/// Connections; a further one ends the oldest of those that wait for an answer to nothing.
const MAX_CONNECTIONS: usize = 64;
/// Of them, those of one address.
const MAX_PER_ADDRESS: usize = 32;
/// Longer than the intervals of scrapers.
const KEEP_ALIVE: Duration = Duration::from_secs(120);
/// Requests that are answered at once of each of the routers; others wait.
const MAX_REQUESTS: usize = 8;
/// How long an answer may take, the wait included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// No request here needs a body; some clients send one.
const MAX_BODY_BYTES: usize = 1024;
/// How long an answer may take when everything else has ended.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

const BOUNDS: HttpBounds = HttpBounds {
    // Head of a request, and what else hyper may hold of a connection.
    read_buffer: 16 * 1024,
    http2_head: 16 * 1024,
    http2_windows: (16 * 1024, 16 * 1024),
    http2_streams: 8,
};

/// What the listener works with.
pub(super) struct OpsListener {
    router: Router,
    connections: Connections,
    tasks: Tasks,
    memory: MemoryAccount,
}

/// Answers the requests of one connection.
struct OpsService {
    router: Router,
    activity: Activity,
}

impl OpsListener {
    /// A listener for these routers, none of which waits for another; its tasks are those of `tasks`.
    pub(super) fn new(
        routers: impl IntoIterator<Item = Router>,
        tasks: Tasks,
        memory: MemoryAccount,
    ) -> Self {
        let connections = Connections::new(ConnectionLimits {
            keep_alive: KEEP_ALIVE,
            places: MAX_CONNECTIONS,
            per_address: MAX_PER_ADDRESS,
        });
        Self {
            router: bounded(routers),
            connections,
            tasks,
            memory,
        }
    }

    /// Serves until `stopping`, and for a moment longer what has begun.
    pub(super) async fn run(self, listener: Listener, stopping: CancellationToken) {
        self.tasks
            .spawn(self.connections.clone().run_silently(stopping.clone()));
        while let Some((socket, peer, place)) = accept::next(&listener, &self.connections, &stopping).await {
            let (activity, send_queue) = (self.connections.activity(), SendQueue::default());
            let answering = self.answer(socket, send_queue, &activity);
            let task = self.tasks.spawn(async move {
                answering.await;
                drop(place);
            });
            self.connections.add(&activity, task.abort_handle(), || false);
            self.connections.comes_from(&activity, peer);
        }
        drop(listener);
        if tokio::time::timeout(DRAIN_TIMEOUT, self.connections.drain())
            .await
            .is_err()
        {
            // A client that stalls in the middle of a request must not hold the end of the server.
            self.connections.cut();
        }
    }

    fn answer(
        &self,
        socket: Socket,
        send_queue: SendQueue,
        activity: &Activity,
    ) -> impl Future<Output = ()> + Send + use<> {
        let service = OpsService {
            router: self.router.clone(),
            activity: activity.clone(),
        };
        let stream = WireStream::new(
            (socket, bytes::Bytes::new()),
            send_queue,
            activity.clone(),
            LargeSendBuffers::none(),
            self.memory.clone(),
        );
        let connection = BOUNDS
            .builder(&self.tasks)
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        async move {
            // Whatever was wrong with it, nobody waits for the end of this connection.
            connection.await.ok();
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for OpsService {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let running = self.activity.begin_known();
        let mut router = self.router.clone();
        Box::pin(async move {
            let response = tower::Service::call(&mut router, request.map(Body::new)).await;
            drop(running);
            response
        })
    }
}

/// The layers around the answers.
fn bounded(routers: impl IntoIterator<Item = Router>) -> Router {
    let at_once = |router: Router| router.layer(GlobalConcurrencyLimitLayer::new(MAX_REQUESTS));
    let all = routers.into_iter().map(at_once);
    all.fold(Router::new(), Router::merge)
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            ANSWER_TIMEOUT,
        ))
        .layer(RequestBodyLimitLayer::new(MAX_BODY_BYTES))
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::time::Instant;

    use super::*;

    async fn ask(router: &Router, body: &'static str) -> StatusCode {
        ask_at(router, "/", body).await
    }

    async fn ask_at(router: &Router, path: &str, body: &'static str) -> StatusCode {
        let request = Request::get(path)
            .header("content-length", body.len())
            .body(Body::from(body))
            .unwrap();
        let answer = tower::Service::call(&mut router.clone(), request);
        answer.await.unwrap().status()
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_takes_too_long_ends_and_so_do_those_that_wait_for_it() {
        let stuck = get(async || std::future::pending::<&str>().await);
        let router = bounded([Router::new().route("/", stuck)]);
        let begin = Instant::now();
        let asked = (0..2 * MAX_REQUESTS).map(|_| ask(&router, ""));
        for status in futures_util::future::join_all(asked).await {
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        }
        assert_eq!(begin.elapsed().as_secs(), ANSWER_TIMEOUT.as_secs());
    }

    /// A volume that hangs keeps scrapes, and a probe that waits for them has the server restarted.
    #[tokio::test(start_paused = true)]
    async fn a_probe_does_not_wait_for_scrapes_that_hang() {
        let stuck = get(async || std::future::pending::<&str>().await);
        let router = bounded([
            Router::new().route("/probe", get(async || "ok")),
            Router::new().route("/", stuck),
        ]);
        let begin = Instant::now();
        let mut stuck = Box::pin(futures_util::future::join_all((0..50).map(|_| ask(&router, ""))));
        assert!(futures_util::poll!(&mut stuck).is_pending());
        assert_eq!(ask_at(&router, "/probe", "").await, StatusCode::OK);
        assert_eq!(begin.elapsed().as_secs(), 0);
    }

    #[tokio::test]
    async fn no_more_than_some_requests_are_answered_at_once() {
        static RUNNING: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        use std::sync::atomic::Ordering::Relaxed;
        let counted = get(async || {
            let running = RUNNING.fetch_add(1, Relaxed);
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            RUNNING.fetch_sub(1, Relaxed);
            assert!(running < MAX_REQUESTS);
        });
        let router = bounded([Router::new().route("/", counted)]);
        let asked = (0..10 * MAX_REQUESTS).map(|_| ask(&router, ""));
        for status in futures_util::future::join_all(asked).await {
            assert_eq!(status, StatusCode::OK);
        }
    }

    #[tokio::test]
    async fn a_long_body_is_refused() {
        let router = bounded([Router::new().route("/", get(async || "x"))]);
        const LONG: &str = match std::str::from_utf8(&[b'x'; MAX_BODY_BYTES + 1]) {
            Ok(text) => text,
            Err(_) => panic!("ASCII"),
        };
        assert_eq!(ask(&router, LONG).await, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(ask(&router, "short").await, StatusCode::OK);
    }
}
