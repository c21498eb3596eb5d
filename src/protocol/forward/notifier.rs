//! Notifications of the Actions cache to other servers.

use std::io;

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use http::Request;
use url::Url;

use super::client::ForwardClient;
use super::target::HostHeader;
use crate::cache::actions::PeerNotifier;

/// Servers take notifications of committed entries on this path.
pub(crate) const PEER_ENTRIES_PATH: &str = "/_chacha/peer/entries";

#[async_trait]
impl PeerNotifier for ForwardClient {
    async fn notify(&self, url: &Url, message: Bytes) -> io::Result<()> {
        let request = Request::post(PEER_ENTRIES_PATH)
            .body(())
            .map_err(io::Error::other)?;
        let (parts, ()) = request.into_parts();
        let sent = self.send(url, &parts, Body::from(message), HostHeader::Target);
        let status = sent.await.map_err(io::Error::other)?.status();
        match status.is_success() {
            true => Ok(()),
            false => Err(io::Error::other(format!("it answered {status}"))),
        }
    }
}
