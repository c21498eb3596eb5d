//! Paths that belong to protocols which this version does not speak yet.
//!
//! They are no keys: a client of such a protocol must see "not here" and never read or write a plain
//! entry by accident. Authentication comes first, as everywhere, so that nobody can probe.

use axum::extract::Request;
use http::StatusCode;

use super::Frontend;
use super::admit::{Admitted, admit};
use super::app::App;
use super::reply::Reply;
use crate::telemetry::access::Outcome;

const PREFIXES: &[&[&str]] = &[
    &["_chacha"],
];

/// The front-end.
pub(super) fn frontend() -> Frontend {
    Frontend {
        name: "none",
        claims: |path| PREFIXES.iter().any(|prefix| path.is_below(prefix)),
        answer: |app, request| Box::pin(refuse(app, request)),
        fault: super::plain::fault,
    }
}

async fn refuse(app: App, request: Request) -> Reply {
    match admit(&app, request, "none", "reserved").await {
        Err((failure, report)) => failure.into_reply(report),
        Ok(Admitted {
            parts,
            body,
            mut report,
            ..
        }) => {
            app.discard(&parts, body);
            report.outcome = Outcome::Refused;
            Reply::new(
                StatusCode::NOT_FOUND,
                "this path is reserved and serves nothing\n",
                report,
            )
        }
    }
}
