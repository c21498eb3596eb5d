//! Health, readiness and metrics, on a listener of their own: `/health` and `/metrics` are legal keys.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{StatusCode, header};
use tokio_util::sync::CancellationToken;
use tower::limit::ConcurrencyLimitLayer;

use super::condition::Condition;
use super::conditions;
use super::tiers::Tiers;
use crate::protocol::app::App;
use crate::sys;
use crate::telemetry::metrics::Metrics;

/// Expositions that are made at once. Each keeps a thread until it is whole, and scrapers must not take the threads
/// of the clients.
const MAX_EXPOSITIONS: usize = 1;

/// What the listener reports on.
#[derive(Clone)]
pub(super) struct Ops {
    pub(super) metrics: Arc<Metrics>,
    pub(super) app: App,
    pub(super) tiers: Tiers,
    /// Set when the server has begun to drain.
    pub(super) closing: CancellationToken,
}

pub(super) fn router(ops: Ops) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route(
            "/metrics",
            get(metrics).layer(ConcurrencyLimitLayer::new(MAX_EXPOSITIONS)),
        )
        .with_state(ops)
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

async fn metrics(State(ops): State<Ops>) -> impl IntoResponse {
    const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    // Some numbers are asked of the volume, which may take long.
    let rendered = sys::run_blocking(move || ops.metrics.render()).await;
    let status = match rendered {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (
        status,
        [(header::CONTENT_TYPE, CONTENT_TYPE)],
        rendered.unwrap_or_default(),
    )
}
