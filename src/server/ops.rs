//! Health, readiness and metrics, on a listener of their own: `/health` and `/metrics` are legal keys.
//!
//! Metrics ask volumes, which may not answer. Probes must not wait for that, nor may it take thread after thread.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::condition::Condition;
use super::conditions;
use super::tiers::Tiers;
use crate::protocol::app::App;
use crate::sys;
use crate::telemetry::metrics::Metrics;

/// How long a scrape waits for the end of another one. They take milliseconds, unless a volume hangs.
const EXPOSITION_WAIT: Duration = Duration::from_secs(1);

/// What the listener reports on.
#[derive(Clone)]
pub(super) struct Ops {
    pub(super) metrics: Arc<Metrics>,
    pub(super) app: App,
    pub(super) tiers: Tiers,
    /// Set when the server has begun to drain.
    pub(super) closing: CancellationToken,
}

/// What probes ask, and what scrapers ask: neither waits for the other.
pub(super) fn routers(ops: Ops) -> [Router; 2] {
    let expositions = Expositions::new(Arc::clone(&ops.metrics));
    let probes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(ops);
    let metrics = Router::new()
        .route("/metrics", get(metrics))
        .with_state(expositions);
    [probes, metrics]
}

/// 200 if requests should be sent here. A draining server answers 503, and so does one that can store nothing or
/// verify no token. One of several issuers without keys, a running index, and a bucket behind a disk are reported, but
/// the server stays in service: it can serve all other requests.
async fn ready(State(ops): State<Ops>) -> impl IntoResponse {
    let seen = conditions::look(&ops.app, &ops.tiers, ops.closing.is_cancelled());
    let status = match seen.refusal {
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
        None => StatusCode::OK,
    };
    let mut text = format!("{}\n", seen.refusal.unwrap_or("ready"));
    for Condition {
        subject, text: what, ..
    } in seen.conditions
    {
        text.push_str(&format!("{subject}: {what}\n"));
    }
    (status, text)
}

/// Makes the text of the metrics, one at a time. Cheap to clone.
#[derive(Clone)]
struct Expositions {
    render: Arc<dyn Fn() -> String + Send + Sync>,
    turn: Arc<Semaphore>,
}

impl Expositions {
    fn new(metrics: Arc<Metrics>) -> Self {
        Self::of(move || metrics.render())
    }

    fn of(render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self {
            render: Arc::new(render),
            turn: Arc::new(Semaphore::new(1)),
        }
    }
}

async fn metrics(State(Expositions { render, turn }): State<Expositions>) -> Response {
    const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    const BUSY: &str =
        "the metrics of another request are still being collected; does the volume of disk.dir hang?\n";
    let Ok(Ok(turn)) = tokio::time::timeout(EXPOSITION_WAIT, turn.acquire_owned()).await else {
        return (StatusCode::SERVICE_UNAVAILABLE, BUSY).into_response();
    };
    let rendered = sys::run_blocking(move || {
        // The turn of the thread, not of the request: who asked may be gone long before a volume answers.
        let _turn = turn;
        render()
    });
    match rendered.await {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc;

    use super::*;

    /// Each thread that waits for a dead volume is one that clients do not have.
    #[tokio::test]
    async fn scrapes_of_a_volume_that_hangs_take_one_thread_and_are_told_so() {
        let (volume, answers) = mpsc::channel::<()>();
        let (answers, begun) = (Mutex::new(answers), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&begun);
        let expositions = Expositions::of(move || {
            count.fetch_add(1, SeqCst);
            answers.lock().unwrap().recv().ok();
            "text".to_owned()
        });
        let ask = || metrics(State(expositions.clone()));
        let mut first = Box::pin(ask());
        assert!(futures_util::poll!(&mut first).is_pending());
        // Its client has left.
        drop(first);
        for answer in futures_util::future::join_all((0..5).map(|_| ask())).await {
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        }
        assert_eq!(begun.load(SeqCst), 1);
        volume.send(()).unwrap();
        volume.send(()).unwrap();
        assert_eq!(ask().await.status(), StatusCode::OK);
        assert_eq!(begun.load(SeqCst), 2);
    }
}
