//! Requests that this server does not answer by itself: those that belong to another server of the same
//! bucket, and those for GitHub's other services.
//!
//! The caller is known before anything is passed on, and the other server asks for itself again. What was
//! passed on once is answered where it is.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use url::Url;

use super::app::App;
use super::http_error::HttpError;
use super::metered::metered;
use super::relay::{Hosted, Relay, RelayError, was_passed};
use super::reply::Reply;
use crate::auth::Identity;
use crate::cache::actions::{CacheKey, UploadAuth, UploadId, Version};
use crate::cache::peers::Owner;
use crate::error::chain;
use crate::telemetry::access::{Outcome, RequestRecord};

/// How often a request that waits looks whether the other server is still there.
const LOOK: Duration = Duration::from_secs(1);

/// The way to others.
#[derive(Debug, Clone)]
pub struct Elsewhere {
    relay: Relay,
    foreign: Option<Arc<Url>>,
}

impl Elsewhere {
    /// `foreign` is the service that answers what no server of ours has; `None` for nobody.
    pub fn new(relay: Relay, foreign: Option<Url>) -> Self {
        Self {
            relay,
            foreign: foreign.map(Arc::new),
        }
    }
}

/// The other server that has the upload with this number. `None` if the request is to be answered here, also
/// because that server is gone and the upload with it.
pub(crate) async fn home(app: &App, parts: &Parts, id: UploadId) -> Option<Arc<Url>> {
    if was_passed(&parts.headers) {
        return None;
    }
    match app.actions().owner(id).await {
        Owner::Peer(url) => Some(url),
        Owner::Local | Owner::Lost => None,
    }
}

/// The other server where an upload of key and version belongs that `caller` begins.
pub(crate) fn home_of(
    app: &App,
    parts: &Parts,
    caller: &Identity,
    key: &CacheKey,
    version: &Version,
) -> Option<Arc<Url>> {
    match app.actions().owner_of(caller, key, version) {
        Owner::Peer(url) if !was_passed(&parts.headers) => Some(url),
        _ => None,
    }
}

/// Asks the other servers for the upload of key and version that `auth` ends, one after the other, as long as
/// they do not know it. `None` if it is here, or nobody has it.
pub(crate) async fn find(
    app: &App,
    (parts, body): (&Parts, &Bytes),
    auth: &UploadAuth,
    key: &CacheKey,
    version: &Version,
    record: &RequestRecord,
) -> Option<Reply> {
    if was_passed(&parts.headers) {
        return None;
    }
    let mut asked = Vec::new();
    for is_last in [false, true] {
        let mut others = app.actions().upload_candidates(auth, key, version)?;
        others.retain(|url| !asked.contains(url));
        for url in &others {
            let reply = call(app, url, parts, body, record).await;
            let knows = |reply: &Reply| reply.response.status() != StatusCode::NOT_FOUND;
            if let Some(reply) = reply.filter(knows) {
                return Some(reply);
            }
        }
        asked.append(&mut others);
        if !is_last {
            // It may have been begun on a server that has come a moment ago.
            app.actions().refresh_peers().await;
        }
    }
    None
}

/// Passes a request on whose body was read already. `None` if the other server cannot be reached.
pub(crate) async fn call(
    app: &App,
    url: &Url,
    parts: &Parts,
    body: &Bytes,
    record: &RequestRecord,
) -> Option<Reply> {
    let body = Body::from(body.clone());
    match send_to_peer(app, url, parts.clone(), body).await {
        Ok(response) => Some(reply(response, "peer", record.clone())),
        Err(error) => {
            tracing::debug!(%url, "a request is not passed on: {}", chain(&error));
            None
        }
    }
}

/// Passes a request on to another server while its body arrives.
///
/// # Errors
/// The other server cannot be reached, which passes; or the client did not send the whole body.
pub(crate) async fn pass(
    app: &App,
    url: &Url,
    parts: Parts,
    body: Body,
    record: RequestRecord,
) -> Result<Reply, (HttpError, RequestRecord)> {
    let send = |parts, body| send_to_peer(app, url, parts, body);
    through(app, parts, body, "peer", record, send).await
}

/// Passes a request on to the service that answers what is none of ours; `None` if there is no such service,
/// or another server has done so already. The caller must be known: this is no open relay.
pub(crate) fn foreign(app: &App, parts: &Parts) -> Option<Arc<Url>> {
    let url = app.elsewhere().foreign.clone()?;
    (!was_passed(&parts.headers)).then_some(url)
}

/// Passes a request on to [`foreign`], both bodies as streams.
///
/// # Errors
/// As [`pass`].
pub(crate) async fn forward(
    app: &App,
    url: &Url,
    parts: Parts,
    body: Body,
    record: RequestRecord,
) -> Result<Reply, (HttpError, RequestRecord)> {
    let relay = &app.elsewhere().relay;
    let send = |parts, body| relay.pass(url, parts, body, Hosted::ByTarget);
    through(app, parts, body, "foreign", record, send).await
}

async fn through<F>(
    app: &App,
    parts: Parts,
    body: Body,
    tier: &'static str,
    mut record: RequestRecord,
    send: impl FnOnce(Parts, Body) -> F,
) -> Result<Reply, (HttpError, RequestRecord)>
where
    F: Future<Output = Result<Response, RelayError>>,
{
    record.tier = tier;
    let (body, meter) = match metered(app, &parts, body) {
        Ok(metered) => metered,
        Err(failure) => return Err((failure, record)),
    };
    let sent = send(parts, body).await;
    record.received = meter.bytes();
    match sent {
        Ok(response) => Ok(reply(response, tier, record)),
        Err(error) => Err((meter.failure(&error), record)),
    }
}

/// Waits for the head of the answer as long as the other server shows that it is there: one that was frozen
/// must not hold its clients for ever.
async fn send_to_peer(app: &App, url: &Url, parts: Parts, body: Body) -> Result<Response, RelayError> {
    let passing = app.elsewhere().relay.pass(url, parts, body, Hosted::AsAsked);
    let gone = async {
        let mut looks = tokio::time::interval(LOOK);
        while app.actions().others().iter().any(|other| **other == *url) {
            looks.tick().await;
        }
    };
    tokio::select! {
        biased;
        answer = passing => answer,
        () = gone => Err(RelayError::Gone),
    }
}

/// The answer of another server is ours. It has counted what it stored, so here the request is a plain call.
fn reply(response: Response, tier: &'static str, mut record: RequestRecord) -> Reply {
    record.tier = tier;
    record.outcome = match response.status() {
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Outcome::Condition,
        status if status.is_server_error() => Outcome::Failed,
        status if status.is_client_error() => Outcome::Refused,
        _ => Outcome::Control,
    };
    Reply {
        response,
        file: None,
        named: None,
        record,
    }
}
