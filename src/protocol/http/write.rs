//! `PUT` and `POST`: store the body, whatever its media type says (curl posts forms).

use axum::body::Body;
use http::StatusCode;
use http::request::Parts;

use super::entry_name;
use crate::auth::Identity;
use crate::protocol::app::App;
use crate::protocol::entry;
use crate::protocol::reply::Reply;
use crate::store::Metadata;
use crate::telemetry::access::{Outcome, RequestRecord};

pub(super) async fn answer(
    app: &App,
    caller: &Identity,
    parts: &Parts,
    body: Body,
    mut record: RequestRecord,
) -> Reply {
    let name = match entry_name(parts) {
        Ok(name) => name,
        Err(failure) => {
            app.discard(parts, body);
            return failure.into_reply(record);
        }
    };
    let received = entry::receive(app, caller, &name, parts, body, Metadata::default()).await;
    record.received = received.bytes;
    match received.result {
        Ok(meta) => {
            record.tier = "disk";
            record.outcome = Outcome::Stored;
            let mut reply = Reply::new(StatusCode::CREATED, Body::empty(), record);
            entry::insert_etag(reply.headers_mut(), &meta.etag);
            reply
        }
        Err(failure) => failure.into_reply(record),
    }
}
