//! The forwarder: sends requests to the servers that answer them, which are the other servers of the same
//! bucket (peers) and the one for GitHub's other services (foreign).
//!
//! The caller is known before anything is forwarded, and a peer checks it again. A request that was forwarded
//! once is answered where it is.

mod claim;
mod client;
mod foreign;
mod target;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use url::Url;

use crate::auth::Identity;
use crate::cache::actions::{Actions, CacheKey, UploadAuth, UploadId, Version};
use crate::cache::peers::{Owner, Peer, Peers, StatedBody, StatedRequest, Statement, StatementError};
use crate::error::chain;

pub(crate) use client::ENTRY;
pub use client::{ForwardClient, ForwardError};

use client::{STATEMENT, was_forwarded};
use foreign::ForeignService;
use target::HostHeader;

/// A request that waits for a peer checks this often that the peer still shows itself.
const PEER_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Knows which server answers a request, and sends it there. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Forwarder {
    client: ForwardClient,
    actions: Actions,
    foreign: Option<ForeignService>,
}

impl Forwarder {
    /// `foreign` is the service that answers the calls that are not of the cache, and the client for it; without one
    /// they are refused.
    pub fn new(client: ForwardClient, actions: Actions, foreign: Option<(Url, ForwardClient)>) -> Self {
        let foreign = foreign.map(|(url, client)| ForeignService {
            url: Arc::new(url),
            client,
        });
        Self {
            client,
            actions,
            foreign,
        }
    }

    /// The peer that has the upload with this number. `None` if this server answers, also because the peer is
    /// gone and the upload with it.
    pub(crate) async fn owner(&self, headers: &HeaderMap, id: UploadId) -> Option<Peer> {
        if was_forwarded(headers) {
            return None;
        }
        match self.actions.owner(id).await {
            Owner::Peer(peer) => Some(peer),
            Owner::Local | Owner::Lost => None,
        }
    }

    /// The peer where an upload of key and version belongs that `caller` begins.
    pub(crate) fn owner_of(
        &self,
        headers: &HeaderMap,
        caller: &Identity,
        key: &CacheKey,
        version: &Version,
    ) -> Option<Peer> {
        match self.actions.owner_of(caller, key, version) {
            Owner::Peer(peer) if !was_forwarded(headers) => Some(peer),
            _ => None,
        }
    }

    /// Whether another service answers this call of a caller, who must be known: this is no open relay. No if there
    /// is none, if a peer has forwarded the call already, or if the token must not go there ([`foreign::may_leave`]).
    pub(crate) fn is_foreign(&self, parts: &Parts, caller: &Identity) -> bool {
        let mut service = self.foreign.iter();
        service.any(|service| {
            !was_forwarded(&parts.headers) && foreign::may_leave(&parts.method, &caller.issuer, &service.url)
        })
    }

    /// Asks the peers for the upload of key and version that `auth` ends, one after the other, as long as they
    /// do not know it. `None` if it is here, or no server has it.
    pub(crate) async fn ask_candidates(
        &self,
        parts: &Parts,
        body: &Bytes,
        auth: &UploadAuth,
        (key, version): (&CacheKey, &Version),
    ) -> Option<Response> {
        if was_forwarded(&parts.headers) {
            return None;
        }
        let mut asked = Vec::new();
        for is_last in [false, true] {
            let mut peers = self.actions.upload_candidates(auth, key, version)?;
            peers.retain(|peer| !asked.contains(peer));
            for peer in &peers {
                let response = self.ask_peer(peer, parts, body, auth).await;
                let knows = |response: &Response| response.status() != StatusCode::NOT_FOUND;
                if let Some(response) = response.filter(knows) {
                    return Some(response);
                }
            }
            asked.append(&mut peers);
            if !is_last {
                // The upload may have been begun on a server that has come a moment ago.
                self.peers().refresh().await;
            }
        }
        None
    }

    /// Sends a request whose body was read already, for the caller that `auth` names. `None` if the peer cannot be
    /// reached.
    pub(crate) async fn ask_peer(
        &self,
        peer: &Peer,
        parts: &Parts,
        body: &Bytes,
        auth: &UploadAuth,
    ) -> Option<Response> {
        let sent = self
            .send_to_peer(
                peer,
                parts,
                Body::from(body.clone()),
                (StatedBody::of(body), Some(auth)),
            )
            .await;
        sent.inspect_err(
            |error| tracing::debug!(url = %peer.url(), "a request is not passed on: {}", chain(error)),
        )
        .ok()
    }

    /// Sends a request to a peer, and waits for the head of the answer as long as the peer shows itself: one
    /// that was frozen must not hold its clients for ever. Without `auth` the ticket in the URL says who calls.
    pub(crate) async fn send_to_peer(
        &self,
        peer: &Peer,
        parts: &Parts,
        body: Body,
        (stated, auth): (StatedBody, Option<&UploadAuth>),
    ) -> Result<Response, ForwardError> {
        let mut parts = parts.clone();
        parts.headers.remove(STATEMENT);
        if let Some(auth) = auth {
            let text = self
                .peers()
                .state(peer, stated_request(&parts), stated, &claim::encode(auth));
            let value = text.and_then(|text| HeaderValue::from_str(&text).ok());
            parts.headers.insert(STATEMENT, value.ok_or(ForwardError::Gone)?);
        }
        let sending = self.client.send(peer.url(), &parts, body, HostHeader::Original);
        let gone = async {
            let mut checks = tokio::time::interval(PEER_CHECK_INTERVAL);
            while self.peers().others().contains(peer) {
                checks.tick().await;
            }
        };
        let answer = tokio::select! {
            biased;
            answer = sending => answer?,
            () = gone => return Err(ForwardError::Gone),
        };
        // With a statement no token was judged there: what was refused is the statement.
        match auth.is_some() && answer.status() == StatusCode::UNAUTHORIZED {
            true => Err(ForwardError::Refused),
            false => Ok(answer),
        }
    }

    /// The servers of the same bucket.
    pub(crate) fn peers(&self) -> &Peers {
        self.actions.peers()
    }

    /// What a peer states of the request that it sent; `None` if the request is no peer's.
    ///
    /// # Errors
    /// The statement is not good for this request.
    pub(crate) fn statement(&self, parts: &Parts) -> Option<Result<Statement, StatementError>> {
        let text = parts.headers.get(STATEMENT).filter(|_| self.peers().is_on())?;
        let opened = self
            .peers()
            .open_statement(stated_request(parts), text.as_bytes());
        Some(opened.and_then(
            |statement| match statement.allows_length(length(&parts.headers)) {
                true => Ok(statement),
                false => Err(StatementError::Forged),
            },
        ))
    }

    /// Who calls, as a peer states it; `None` if it states something else.
    pub(crate) fn stated_auth(statement: &Statement) -> Option<UploadAuth> {
        claim::decode(&statement.content)
    }

    /// Sends a request for which [`Forwarder::is_foreign`] holds.
    pub(crate) async fn send_to_foreign(&self, parts: &Parts, body: Body) -> Result<Response, ForwardError> {
        let ForeignService { url, client } = self.foreign.as_ref().ok_or(ForwardError::Target)?;
        let mut parts = parts.clone();
        foreign::keep_request_headers(&mut parts.headers);
        let mut answer = client.send(url, &parts, body, HostHeader::Target).await?;
        foreign::keep_answer_headers(answer.headers_mut());
        Ok(answer)
    }
}

fn stated_request(parts: &Parts) -> StatedRequest<'_> {
    StatedRequest {
        method: parts.method.as_str(),
        target: parts.uri.path_and_query().map_or("/", |target| target.as_str()),
    }
}

/// The length of the body that the head announces.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
