//! The forwarder: sends requests to the servers that answer them, which are the other servers of the same
//! bucket (peers) and the one for GitHub's other services (foreign).
//!
//! The caller is known before anything is forwarded, and a peer checks it again. A request that was forwarded
//! once is answered where it is.

mod client;
mod target;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use url::Url;

use crate::auth::Identity;
use crate::cache::actions::{Actions, CacheKey, UploadAuth, UploadId, Version};
use crate::cache::peers::Owner;
use crate::error::chain;

pub(crate) use client::PEER_ENTRIES_PATH;
pub use client::{ForwardClient, ForwardError};

use client::was_forwarded;
use target::HostHeader;

/// A request that waits for a peer checks this often that the peer still shows itself.
const PEER_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Knows which server answers a request, and sends it there. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Forwarder {
    client: ForwardClient,
    actions: Actions,
    foreign: Option<Arc<Url>>,
}

impl Forwarder {
    /// `foreign` is the service that answers the calls that are not of the cache; without one they are refused.
    pub fn new(client: ForwardClient, actions: Actions, foreign: Option<Url>) -> Self {
        Self {
            client,
            actions,
            foreign: foreign.map(Arc::new),
        }
    }

    /// The peer that has the upload with this number. `None` if this server answers, also because the peer is
    /// gone and the upload with it.
    pub(crate) async fn owner(&self, headers: &HeaderMap, id: UploadId) -> Option<Arc<Url>> {
        if was_forwarded(headers) {
            return None;
        }
        match self.actions.owner(id).await {
            Owner::Peer(url) => Some(url),
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
    ) -> Option<Arc<Url>> {
        match self.actions.owner_of(caller, key, version) {
            Owner::Peer(url) if !was_forwarded(headers) => Some(url),
            _ => None,
        }
    }

    /// The service that answers the calls that are not of the cache. `None` if there is none, or a peer has
    /// forwarded the call already. The caller must be known: this is no open relay.
    pub(crate) fn foreign(&self, headers: &HeaderMap) -> Option<Arc<Url>> {
        self.foreign.clone().filter(|_| !was_forwarded(headers))
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
            peers.retain(|url| !asked.contains(url));
            for url in &peers {
                let response = self.ask_peer(url, parts, body).await;
                let knows = |response: &Response| response.status() != StatusCode::NOT_FOUND;
                if let Some(response) = response.filter(knows) {
                    return Some(response);
                }
            }
            asked.append(&mut peers);
            if !is_last {
                // The upload may have been begun on a server that has come a moment ago.
                self.actions.refresh_peers().await;
            }
        }
        None
    }

    /// Sends a request whose body was read already. `None` if the peer cannot be reached.
    pub(crate) async fn ask_peer(&self, url: &Url, parts: &Parts, body: &Bytes) -> Option<Response> {
        let sent = self.send_to_peer(url, parts, Body::from(body.clone())).await;
        sent.inspect_err(|error| tracing::debug!(%url, "a request is not passed on: {}", chain(error)))
            .ok()
    }

    /// Sends a request to a peer, and waits for the head of the answer as long as the peer shows itself: one
    /// that was frozen must not hold its clients for ever.
    pub(crate) async fn send_to_peer(
        &self,
        url: &Url,
        parts: &Parts,
        body: Body,
    ) -> Result<Response, ForwardError> {
        let sending = self.client.send(url, parts, body, HostHeader::Original);
        let gone = async {
            let mut checks = tokio::time::interval(PEER_CHECK_INTERVAL);
            while self.actions.others().iter().any(|peer| **peer == *url) {
                checks.tick().await;
            }
        };
        tokio::select! {
            biased;
            answer = sending => answer,
            () = gone => Err(ForwardError::Gone),
        }
    }

    /// Sends a request to [`Forwarder::foreign`].
    pub(crate) async fn send_to_foreign(
        &self,
        url: &Url,
        parts: &Parts,
        body: Body,
    ) -> Result<Response, ForwardError> {
        self.client.send(url, parts, body, HostHeader::Target).await
    }
}
