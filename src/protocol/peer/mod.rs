//! What the servers of one bucket say to each other. A statement in the head of a request says which of them sends
//! it; without a good one nothing is read. No token is looked at.
//!
//! A server that has no way to others has nothing here.

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};

use super::Frontend;
use super::app::App;
use super::call::{Call, Reply};
use super::entry;
use super::forward::ENTRY;
use super::http_error::{self, HttpError};
use super::key;
use super::path::DecodedPath;
use crate::cache::notes::NOTES_PATH;
use crate::cache::peers::{ENTRY_PATH, HELLO_PATH, Statement, encode_meta};
use crate::error::Class;
use crate::store::tiered::WaitingEntry;
use crate::telemetry::access::Outcome;

/// Longest message in bytes: several times what a ticket may have.
const MAX_BYTES: usize = 64 * 1024;

const ROOT: &[&str] = &["_chacha", "peer"];

/// The front-end.
pub(super) fn frontend() -> Frontend {
    Frontend {
        name: "peer",
        claims: |path| path.is_below(ROOT),
        answer: |mut call| {
            Box::pin(async move {
                let outcome = handle(&mut call).await;
                call.finish(outcome, HttpError::render)
            })
        },
        fault: http_error::fault,
    }
}

async fn handle(call: &mut Call) -> Result<Reply, HttpError> {
    call.record.route = "/_chacha/peer/*";
    call.record.outcome = Outcome::Refused;
    if !call.app.forwarder().peers().is_on() {
        return Ok(nothing());
    }
    let statement = call.statement().map_err(not_a_peer)?.cloned();
    let statement = statement.ok_or_else(|| not_a_peer(HttpError::new(Class::Forbidden, "")))?;
    key::host(&call.parts)?;
    let path = DecodedPath::of(&call.parts.uri);
    let name = path.after(ROOT).flatten().unwrap_or_default();
    let method = call.parts.method.clone();
    match name {
        b"hello" => call.record.route = HELLO_PATH,
        b"notes" => call.record.route = NOTES_PATH,
        b"entry" if method == Method::GET => {
            call.record.route = ENTRY_PATH;
            return waiting(call, &statement).await;
        }
        _ => return Ok(nothing()),
    }
    if method != Method::POST {
        return Ok(Reply::new(StatusCode::METHOD_NOT_ALLOWED, Body::empty()).method_not_allowed("POST"));
    }
    let message = stated_body(call, &statement).await?;
    match call.record.route {
        HELLO_PATH => hello(&call.app, &statement)?,
        _ => notes(&call.app, &statement, &message).await?,
    }
    call.record.outcome = Outcome::Control;
    Ok(Reply::new(StatusCode::NO_CONTENT, Body::empty()))
}

fn nothing() -> Reply {
    let mut reply = Reply::new(StatusCode::NOT_FOUND, "not found\n");
    let form = HeaderValue::from_static("text/plain; charset=utf-8");
    reply.headers_mut().insert(header::CONTENT_TYPE, form);
    reply
}

/// Whatever was wrong with the statement.
fn not_a_peer(error: HttpError) -> HttpError {
    HttpError::new(
        Class::Forbidden,
        "only the servers of the same bucket are answered here",
    )
    .because(format!(
        "a request that should be from a peer: {}",
        error.public()
    ))
}

/// The body, which the statement has to name.
async fn stated_body(call: &mut Call, statement: &Statement) -> Result<Bytes, HttpError> {
    let body = call.small_body(MAX_BYTES).await?;
    match statement.names(&body) {
        true => Ok(body),
        false => Err(HttpError::new(
            Class::Forbidden,
            "the sender does not state the body",
        )),
    }
}

fn hello(app: &App, statement: &Statement) -> Result<(), HttpError> {
    let greeted = app.forwarder().peers().greeted(statement);
    greeted.ok_or_else(|| HttpError::new(Class::Invalid, "the greeting holds no address of another server"))
}

async fn notes(app: &App, statement: &Statement, message: &[u8]) -> Result<(), HttpError> {
    let refused = || HttpError::new(Class::Forbidden, "the message holds no notes of its sender");
    let notes = app.actions().notes().ok_or_else(refused)?;
    notes
        .on_message(statement.sender, message)
        .await
        .ok_or_else(refused)
}

/// What waits here for the bucket under the key that the statement holds.
async fn waiting(call: &mut Call, statement: &Statement) -> Result<Reply, HttpError> {
    let found = call.app.actions().waiting(&statement.content).await?;
    call.record.outcome = Outcome::Control;
    let found = match found {
        WaitingEntry::Entry(found) => found,
        WaitingEntry::Deleted => return Ok(Reply::new(StatusCode::GONE, Body::empty())),
        WaitingEntry::Nothing => return Ok(nothing()),
    };
    let meta = HeaderValue::try_from(URL_SAFE_NO_PAD.encode(encode_meta(&found.meta)));
    let mut reply = entry::serve(call, found);
    let too_long = |_| HttpError::new(Class::Internal, "the entry cannot be described");
    reply.headers_mut().insert(ENTRY, meta.map_err(too_long)?);
    Ok(reply)
}
