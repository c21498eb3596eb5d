//! Requests that another server answers. Their caller or ticket is checked before.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};

use super::{Call, Reply, RequestBody};
use crate::auth::Identity;
use crate::cache::actions::{CacheKey, UploadAuth, UploadId, Version};
use crate::cache::peers::{StatedBody, Statement};
use crate::error::{Class, chain};
use crate::protocol::app::App;
use crate::protocol::forward::{self, ForwardError, Forwarder};
use crate::protocol::framing;
use crate::protocol::http_error::HttpError;
use crate::telemetry::access::Outcome;

const PEER_TIER: &str = "peer";
const FOREIGN_TIER: &str = "foreign";

impl Call {
    /// The answer of the peer that has the upload with this number, which gets the body as it arrives. `None`
    /// if this server answers. Without `auth` the ticket in the URL says who calls.
    ///
    /// # Errors
    /// The peer cannot be reached, which passes; or the client did not send the whole body.
    pub(crate) async fn forward_to_owner(
        &mut self,
        id: UploadId,
        auth: Option<&UploadAuth>,
    ) -> Result<Option<Reply>, HttpError> {
        let forwarder = self.app.forwarder().clone();
        let Some(peer) = forwarder.owner(&self.parts.headers, id).await else {
            return Ok(None);
        };
        let (body, progress) = self.forwarded_body(PEER_TIER)?;
        let stated = forward::length(&self.parts.headers).map_or(StatedBody::Unknown, StatedBody::Length);
        let sent = forwarder
            .send_to_peer(&peer, &self.parts, body, (stated, auth))
            .await;
        self.end_forwarding(sent, &progress).map(Some)
    }

    /// The answer of the service for the calls that are not of the cache, both bodies as streams. `None` if
    /// there is none for this caller.
    pub(crate) async fn forward_to_foreign(&mut self, caller: &Identity) -> Result<Option<Reply>, HttpError> {
        let forwarder = self.app.forwarder().clone();
        if !forwarder.is_foreign(&self.parts, caller) {
            return Ok(None);
        }
        let (body, progress) = self.forwarded_body(FOREIGN_TIER)?;
        let sent = forwarder.send_to_foreign(&self.parts, body).await;
        self.end_forwarding(sent, &progress).map(Some)
    }

    /// The answer of the peer where an upload of key and version belongs that `caller` begins; `body` is that of
    /// this call. `None` if this server answers, also because the peer cannot be reached.
    pub(crate) async fn ask_owner_of(
        &mut self,
        caller: &Arc<Identity>,
        (key, version): (&CacheKey, &Version),
        body: &Bytes,
    ) -> Option<Reply> {
        let forwarder = self.app.forwarder();
        let peer = forwarder.owner_of(&self.parts.headers, caller, key, version)?;
        let auth = UploadAuth::Caller(Arc::clone(caller));
        let response = forwarder.ask_peer(&peer, &self.parts, body, &auth).await?;
        self.record.tier = PEER_TIER;
        Some(self.forwarded(response))
    }

    /// The answer of the peer that has the upload of key and version that `auth` ends; `body` is that of this
    /// call. `None` if it is here, or no server has it.
    pub(crate) async fn ask_candidates(
        &mut self,
        auth: &UploadAuth,
        name: (&CacheKey, &Version),
        body: &Bytes,
    ) -> Option<Reply> {
        let forwarder = self.app.forwarder();
        let response = forwarder.ask_candidates(&self.parts, body, auth, name).await?;
        self.record.tier = PEER_TIER;
        Some(self.forwarded(response))
    }

    /// What the peer states that sent this request; `None` if it is no peer's. Opened before the body is touched.
    ///
    /// # Errors
    /// The statement is not good for this request.
    pub(crate) fn statement(&mut self) -> Result<Option<&Statement>, HttpError> {
        if self.statement.is_none() {
            let opened = self.app.forwarder().statement(&self.parts).transpose();
            self.statement = opened.map_err(|error| {
                HttpError::new(
                    Class::Unauthenticated,
                    "the statement of the other server is not good",
                )
                .because(error.to_string())
            })?;
            if self.statement.is_some() {
                self.accept();
            }
        }
        Ok(self.statement.as_ref())
    }

    /// Who calls, if a peer says so in place of a token.
    ///
    /// # Errors
    /// As [`Call::statement`].
    pub(super) fn stated_auth(&mut self) -> Result<Option<UploadAuth>, HttpError> {
        let Some(statement) = self.statement()? else {
            return Ok(None);
        };
        let other = || HttpError::new(Class::Unauthenticated, "the other server does not say who calls");
        Forwarder::stated_auth(statement).ok_or_else(other).map(Some)
    }

    /// Refuses a body that is not the one that the sending peer has stated.
    pub(super) fn check_stated(&self, body: &[u8]) -> Result<(), HttpError> {
        match self
            .statement
            .as_ref()
            .is_none_or(|statement| statement.allows(body))
        {
            true => Ok(()),
            false => Err(HttpError::new(
                Class::Unauthenticated,
                "the body is not the one that the other server has stated",
            )),
        }
    }

    /// Takes the body away to send it to another server.
    fn forwarded_body(&mut self, tier: &'static str) -> Result<(Body, Arc<ForwardProgress>), HttpError> {
        self.record.tier = tier;
        // `Transfer-Encoding` belongs to this connection and is not forwarded, so its coding would be lost.
        framing::check(&self.parts.headers)?;
        let (body, progress) = (self.body.take(), Arc::<ForwardProgress>::default());
        let stream = match body.is_ended() {
            true => {
                // Said for every version of HTTP: the client for other servers does not.
                let none = HeaderValue::from_static("0");
                self.parts.headers.insert(header::CONTENT_LENGTH, none);
                Body::empty()
            }
            false => {
                let begin = (self.app.clone(), body, Arc::clone(&progress));
                Body::from_stream(stream::unfold(Some(begin), next))
            }
        };
        Ok((stream, progress))
    }

    fn end_forwarding(
        &mut self,
        sent: Result<Response, ForwardError>,
        progress: &ForwardProgress,
    ) -> Result<Reply, HttpError> {
        self.record.received = progress.bytes.load(Ordering::Relaxed);
        match sent {
            Ok(response) => Ok(self.forwarded(response)),
            Err(error) => Err(progress.explain(&error)),
        }
    }

    /// The answer of another server is ours. It has counted what it stored, so here the request is a plain call.
    fn forwarded(&mut self, response: Response) -> Reply {
        if let Some(notes) = self
            .app
            .actions()
            .notes()
            .filter(|_| response.status().is_success())
        {
            // It may have been a commit. Its note is in the log before it is answered.
            notes.expect();
        }
        self.record.outcome = match response.status() {
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Outcome::Condition,
            status if status.is_server_error() => Outcome::Failed,
            status if status.is_client_error() => Outcome::Refused,
            _ => Outcome::Control,
        };
        Reply {
            response,
            file: None,
            id_header: None,
        }
    }
}

/// What has become of a body that was forwarded.
#[derive(Debug, Default)]
struct ForwardProgress {
    bytes: AtomicU64,
    /// Why the client did not send all of it.
    error: Mutex<Option<HttpError>>,
}

type ForwardState = Option<(App, RequestBody, Arc<ForwardProgress>)>;

async fn next(state: ForwardState) -> Option<(io::Result<Bytes>, ForwardState)> {
    let (app, mut body, progress) = state?;
    match body.next(&app).await {
        Ok(Some(data)) => {
            progress.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
            Some((Ok(data), Some((app, body, progress))))
        }
        Ok(None) => None,
        Err(error) => {
            *progress.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            Some((Err(io::Error::other("the client did not send all")), None))
        }
    }
}

impl ForwardProgress {
    /// Why there is no answer: the connection to the other server may have broken because the one to the client
    /// did.
    fn explain(&self, error: &ForwardError) -> HttpError {
        let own = self.error.lock().unwrap_or_else(PoisonError::into_inner).take();
        own.unwrap_or_else(|| {
            HttpError::new(
                Class::Unavailable,
                "the server that answers this cannot be reached at this moment",
            )
            .because(chain(error))
        })
    }
}
