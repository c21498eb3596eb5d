//! What the servers of one bucket tell each other. The message is its own credential: nobody without the key
//! of these servers can write one, and no token is looked at.

use axum::body::Body;
use axum::extract::Request;
use http::{HeaderValue, Method, StatusCode, header};

use super::Frontend;
use super::app::App;
use super::herald::ENTRIES;
use super::http_error::HttpError;
use super::path::DecodedPath;
use super::reply::Reply;
use super::{http_error, incoming, key};
use crate::auth::TicketError;
use crate::error::Class;
use crate::telemetry::access::{Outcome, RequestRecord};

const NAME: &str = "peer";

/// Longest message in bytes: several times what a ticket may have.
const MOST_BYTES: usize = 64 * 1024;

/// The front-end.
pub(super) fn frontend() -> Frontend {
    Frontend {
        name: NAME,
        claims,
        answer: |app, request| Box::pin(answer(app, request)),
        fault: http_error::fault,
    }
}

/// Exactly this path: what lies beside and below it is reserved.
fn claims(path: &DecodedPath<'_>) -> bool {
    matches!(path.after(&["_chacha", "peer", "entries"]), Some(None))
}

async fn answer(app: App, request: Request) -> Reply {
    let mut record = RequestRecord {
        protocol: NAME,
        route: ENTRIES,
        outcome: Outcome::Refused,
        ..RequestRecord::default()
    };
    if request.method() != Method::POST {
        let (parts, body) = request.into_parts();
        app.discard(&parts, body);
        let mut reply = Reply::new(StatusCode::METHOD_NOT_ALLOWED, Body::empty(), record);
        let methods = HeaderValue::from_static("POST");
        reply.headers_mut().insert(header::ALLOW, methods);
        return reply;
    }
    match hear(&app, request, &mut record).await {
        Ok(()) => {
            record.outcome = Outcome::Control;
            Reply::new(StatusCode::NO_CONTENT, Body::empty(), record)
        }
        Err(failure) => failure.into_reply(record),
    }
}

async fn hear(app: &App, request: Request, record: &mut RequestRecord) -> Result<(), HttpError> {
    let (parts, body) = request.into_parts();
    let message = incoming::small(app, &parts, body, MOST_BYTES).await?;
    record.received = message.len() as u64;
    key::host(&parts)?;
    app.actions().hear(&message).await.map_err(|error| {
        let text = match error {
            TicketError::Forged => "the message was not written by a server with the same key",
            TicketError::Expired => "the message has expired",
        };
        HttpError::new(Class::Forbidden, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_the_one_that_others_call() {
        let claimed = |path: &str| claims(&DecodedPath::of(&path.parse().expect("uri")));
        assert!(claimed(ENTRIES));
        for path in [
            "/_chacha/peer",
            "/_chacha/peer/entriesx",
            "/_chacha/peer/entries/x",
        ] {
            assert!(!claimed(path), "{path}");
        }
    }
}
