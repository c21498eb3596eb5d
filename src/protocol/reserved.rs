//! Paths that belong to protocols which this version does not speak yet.
//!
//! They are no keys: a client of such a protocol must see "not here" and never read or write a plain
//! entry by accident. Authentication comes first, as everywhere, so that nobody can probe.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::admit::{Admitted, admit};
use super::app::App;
use super::{Frontend, Handler};
use crate::telemetry::access::Outcome;

const PREFIXES: &[&[&str]] = &[
    &["_apis", "artifactcache"],
    &["twirp", "github.actions.results.api.v1.CacheService"],
    &["_chacha"],
];

/// The front-end.
pub(super) fn frontend(app: &App) -> Frontend {
    Frontend {
        name: "none",
        claims: |path| PREFIXES.iter().any(|prefix| path.is_below(prefix)),
        handler: Handler::Routed(Router::new().fallback(refuse).with_state(app.clone())),
    }
}

async fn refuse(State(app): State<App>, request: Request) -> Response {
    match admit(&app, request, "none", "reserved").await {
        Err((failure, report)) => failure.into_response_with(report),
        Ok(Admitted {
            parts,
            body,
            mut report,
            ..
        }) => {
            app.discard(&parts, body);
            report.outcome = Outcome::Refused;
            let mut response = (
                StatusCode::NOT_FOUND,
                "this path is reserved and serves nothing\n",
            )
                .into_response();
            response.extensions_mut().insert(report);
            response
        }
    }
}
