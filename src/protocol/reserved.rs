//! Paths below `/_chacha/` that nothing is served at.
//!
//! They are no keys: a later version may serve something there, which must never be an entry that a client
//! wrote. Authentication comes first, as everywhere, so that a client without a token learns nothing.

use http::StatusCode;

use super::call::{Call, Reply};
use super::http_error::{self, HttpError};
use super::{Frontend, NO_FRONTEND};
use crate::telemetry::access::Outcome;

/// The front-end.
pub(super) fn frontend() -> Frontend {
    Frontend {
        name: NO_FRONTEND,
        claims: |path| path.is_below(&["_chacha"]),
        answer: |mut call| {
            Box::pin(async move {
                let outcome = refuse(&mut call).await;
                call.finish(outcome, HttpError::render)
            })
        },
        fault: http_error::fault,
    }
}

async fn refuse(call: &mut Call) -> Result<Reply, HttpError> {
    call.record.route = "reserved";
    call.caller().await?;
    call.record.outcome = Outcome::Refused;
    let text = "this path is reserved and serves nothing\n";
    Ok(Reply::new(StatusCode::NOT_FOUND, text))
}
