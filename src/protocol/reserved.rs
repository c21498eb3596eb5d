//! Paths below `/_chacha/` that nothing is served at.
//!
//! They are no keys: what a later version puts there must never be a plain entry that somebody wrote.
//! Authentication comes first, as everywhere, so that nobody can probe.

use axum::extract::Request;
use http::StatusCode;

use super::Frontend;
use super::admit::{Admitted, admit};
use super::app::App;
use super::reply::Reply;
use crate::telemetry::access::Outcome;

/// The front-end.
pub(super) fn frontend() -> Frontend {
    Frontend {
        name: "none",
        claims: |path| path.is_below(&["_chacha"]),
        answer: |app, request| Box::pin(refuse(app, request)),
        fault: super::http_error::fault,
    }
}

async fn refuse(app: App, request: Request) -> Reply {
    match admit(&app, request, "none", "reserved").await {
        Err((failure, record)) => failure.into_reply(record),
        Ok(Admitted {
            parts,
            body,
            mut record,
            ..
        }) => {
            app.discard(&parts, body);
            record.outcome = Outcome::Refused;
            Reply::new(
                StatusCode::NOT_FOUND,
                "this path is reserved and serves nothing\n",
                record,
            )
        }
    }
}
