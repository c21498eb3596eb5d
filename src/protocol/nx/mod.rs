//! Nx 20.8 and later: `GET` and `PUT` on `/v1/cache/{hash}`.
//!
//! Nx fails the user's run for every status that it does not know, so storage trouble is "not here"
//! on a read and "not allowed" on a write, both of which it takes in silence.

use axum::body::Body;
use axum::extract::Request;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};

use super::Frontend;
use super::admit::{Admitted, admit};
use super::app::App;
use super::entry;
use super::http_error::HttpError;
use super::reply::Reply;
use crate::auth::Identity;
use crate::cache::EntryName;
use crate::error::Class;
use crate::store::{Metadata, Protocol};
use crate::telemetry::access::{Outcome, RequestRecord};

/// The front-end.
pub(super) fn frontend() -> Frontend {
    Frontend {
        name: "nx",
        claims: |path| path.is_child_of(&["v1", "cache"]),
        answer: |app, request| Box::pin(answer(app, request)),
        fault: super::http_error::fault,
    }
}

async fn answer(app: App, request: Request) -> Reply {
    let admitted = admit(&app, request, "nx", "/v1/cache/{hash}").await;
    let Admitted {
        caller,
        parts,
        body,
        mut record,
    } = match admitted {
        Ok(admitted) => admitted,
        Err((failure, record)) => return failure.into_reply(record),
    };
    let name = match name(&parts) {
        Ok(name) => name,
        Err(failure) => {
            app.discard(&parts, body);
            return failure.into_reply(record);
        }
    };
    match parts.method {
        Method::GET | Method::HEAD => match entry::read(&app, &caller, &name, &parts, record).await {
            Ok((reply, _)) => reply,
            Err(record) => Reply::new(StatusCode::NOT_FOUND, "not found\n", record),
        },
        Method::PUT | Method::POST => write(&app, &caller, &name, &parts, body, record).await,
        _ => {
            app.discard(&parts, body);
            record.outcome = Outcome::Refused;
            let mut reply = Reply::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n", record);
            reply
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, PUT, POST"));
            reply
        }
    }
}

async fn write(
    app: &App,
    caller: &Identity,
    name: &EntryName,
    parts: &Parts,
    body: Body,
    mut record: RequestRecord,
) -> Reply {
    let received = entry::receive(app, caller, name, parts, body, Metadata::default()).await;
    record.received = received.bytes;
    match received.result {
        Ok(_) => {
            record.tier = "disk";
            record.outcome = Outcome::Stored;
            Reply::new(StatusCode::OK, "", record)
        }
        Err(failure) => {
            let class = failure.class();
            let mut reply = failure.into_reply(record);
            match class {
                // Of others than Nx.
                Class::Truncated | Class::Invalid => {}
                Class::PreconditionFailed => reply.set_status(StatusCode::CONFLICT),
                // Not stored for any other reason: the status that Nx takes in silence.
                _ => reply.set_status(StatusCode::FORBIDDEN),
            }
            reply
        }
    }
}

/// The hash is opaque; the whole path is checked as strictly as a plain key.
fn name(parts: &Parts) -> Result<EntryName, HttpError> {
    let key = super::key::decode(parts)?;
    let hash = key.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    EntryName::new(Protocol::Nx, hash)
        .ok_or_else(|| HttpError::new(Class::NameTooLong, "the hash is too long"))
}
