//! Health, readiness and metrics, on a listener of their own: `/health` and `/metrics` are legal keys.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{StatusCode, header};
use tokio_util::sync::CancellationToken;
use tower::limit::ConcurrencyLimitLayer;

use super::tiers::Tiers;
use crate::protocol::app::App;
use crate::telemetry::metrics::Metrics;

/// Expositions that are made at once. Each keeps a thread of the runtime until it is whole, and scrapers must
/// not take all threads from the clients.
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

/// 200 if requests should be sent here. A draining server answers 503. Issuers without keys and a running
/// index are reported, but the server stays in service: it can serve all other requests. A bucket that cannot
/// be used takes it out of service only if there is no disk.
async fn ready(State(ops): State<Ops>) -> impl IntoResponse {
    let draining = ops.closing.is_cancelled();
    let (lines, serving) = ops.tiers.state();
    let (status, word) = match (draining, serving) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (_, false) => (StatusCode::SERVICE_UNAVAILABLE, "no tier can be used"),
        _ => (StatusCode::OK, "ready"),
    };
    let mut text = format!("{word}\n");
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    for (issuer, has_keys) in ops.app.auth().issuers() {
        if !has_keys {
            text.push_str(&format!("issuer {issuer}: no keys yet, its tokens get 503\n"));
        }
    }
    (status, text)
}

async fn metrics(State(ops): State<Ops>) -> impl IntoResponse {
    const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], ops.metrics.render())
}
