//! Notifications between the servers of one bucket. The message is its own credential: only a server with the
//! key of the bucket can write one, and no token is looked at.

use axum::body::Body;
use http::{Method, StatusCode};

use super::Frontend;
use super::call::{Call, Reply};
use super::forward::PEER_ENTRIES_PATH;
use super::http_error::{self, HttpError};
use super::key;
use super::path::DecodedPath;
use crate::auth::TicketError;
use crate::error::Class;
use crate::telemetry::access::Outcome;

/// Longest message in bytes: several times what a ticket may have.
const MAX_BYTES: usize = 64 * 1024;

/// The front-end.
pub(super) fn frontend() -> Frontend {
    Frontend {
        name: "peer",
        claims,
        answer: |mut call| {
            Box::pin(async move {
                let outcome = handle(&mut call).await;
                call.finish(outcome, HttpError::render)
            })
        },
        fault: http_error::fault,
    }
}

/// Exactly this path: what lies beside and below it is reserved.
fn claims(path: &DecodedPath<'_>) -> bool {
    matches!(path.after(&["_chacha", "peer", "entries"]), Some(None))
}

async fn handle(call: &mut Call) -> Result<Reply, HttpError> {
    call.record.route = PEER_ENTRIES_PATH;
    if call.parts.method != Method::POST {
        call.record.outcome = Outcome::Refused;
        return Ok(Reply::new(StatusCode::METHOD_NOT_ALLOWED, Body::empty()).method_not_allowed("POST"));
    }
    let message = call.small_body(MAX_BYTES).await?;
    key::host(&call.parts)?;
    call.app
        .actions()
        .on_notification(&message)
        .await
        .map_err(|error| {
            let text = match error {
                TicketError::Forged => "the message was not written by a server with the same key",
                TicketError::Expired => "the message has expired",
            };
            HttpError::new(Class::Forbidden, text)
        })?;
    call.record.outcome = Outcome::Control;
    Ok(Reply::new(StatusCode::NO_CONTENT, Body::empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_the_one_that_others_call() {
        let claimed = |path: &str| claims(&DecodedPath::of(&path.parse().expect("uri")));
        assert!(claimed(PEER_ENTRIES_PATH));
        for path in [
            "/_chacha/peer",
            "/_chacha/peer/entriesx",
            "/_chacha/peer/entries/x",
        ] {
            assert!(!claimed(path), "{path}");
        }
    }
}
