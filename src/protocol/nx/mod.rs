//! Nx 20.8 and later: `GET` and `PUT` on `/v1/cache/{hash}`.
//!
//! Nx fails the user's run for every status that it does not know, so storage trouble is "not here"
//! on a read and "not allowed" on a write, both of which it takes in silence.

use http::request::Parts;
use http::{Method, StatusCode};

use super::Frontend;
use super::call::{Call, Reply};
use super::entry;
use super::http_error::{self, HttpError};
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
        answer: |mut call| {
            Box::pin(async move {
                let outcome = handle(&mut call).await;
                call.finish(outcome, NxError::render)
            })
        },
        fault: http_error::fault,
    }
}

async fn handle(call: &mut Call) -> Result<Reply, NxError> {
    call.record.route = "/v1/cache/{hash}";
    let caller = call.caller().await;
    let caller = caller.map_err(|error| NxError::of_caller(error, &call.parts.method))?;
    let name = name(&call.parts)?;
    match call.parts.method {
        Method::GET | Method::HEAD => match entry::read(call, &caller, &name).await {
            Some((reply, _)) => Ok(reply),
            None => Ok(http_error::not_found(&mut call.record)),
        },
        Method::PUT | Method::POST => write(call, &caller, &name).await.map_err(NxError::not_stored),
        _ => Ok(http_error::method_not_allowed(
            &mut call.record,
            "GET, HEAD, PUT, POST",
        )),
    }
}

async fn write(call: &mut Call, caller: &Identity, name: &EntryName) -> Result<Reply, HttpError> {
    entry::receive(call, caller, name, Metadata::default()).await?;
    call.record.outcome = Outcome::Stored;
    Ok(Reply::new(StatusCode::OK, ""))
}

/// An error with the status that lets a run of Nx go on.
struct NxError {
    error: HttpError,
    status: StatusCode,
}

impl NxError {
    /// A tenant with too much under way has a miss, or an entry that is not stored.
    fn of_caller(error: HttpError, method: &Method) -> Self {
        let reads = [Method::GET, Method::HEAD].contains(method);
        let status = match error.class() {
            Class::TooMany if reads => StatusCode::NOT_FOUND,
            Class::TooMany => StatusCode::FORBIDDEN,
            _ => error.status(),
        };
        Self { error, status }
    }

    fn not_stored(error: HttpError) -> Self {
        let status = match error.class() {
            // Of others than Nx.
            Class::Truncated | Class::Invalid | Class::LengthRequired | Class::Misdirected => error.status(),
            Class::PreconditionFailed => StatusCode::CONFLICT,
            // Not stored for any other reason: the status that Nx takes in silence.
            _ => StatusCode::FORBIDDEN,
        };
        Self { error, status }
    }

    fn render(self, record: &mut RequestRecord) -> Reply {
        let mut reply = self.error.render(record);
        reply.set_status(self.status);
        reply
    }
}

impl From<HttpError> for NxError {
    fn from(error: HttpError) -> Self {
        let status = error.status();
        Self { error, status }
    }
}

/// The hash is opaque; the whole path is checked as strictly as a plain key.
fn name(parts: &Parts) -> Result<EntryName, HttpError> {
    let key = super::key::decode(parts)?;
    let hash = key.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    EntryName::new(Protocol::Nx, hash)
        .ok_or_else(|| HttpError::new(Class::NameTooLong, "the hash is too long"))
}
