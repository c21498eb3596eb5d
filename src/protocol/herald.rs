//! How messages of the Actions cache get to other servers.

use std::io;

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use http::Request;
use url::Url;

use super::relay::{Hosted, Relay};
use crate::cache::actions::PeerNotifier;

/// Where servers take messages of each other.
pub(crate) const ENTRIES: &str = "/_chacha/peer/entries";

#[async_trait]
impl PeerNotifier for Relay {
    async fn notify(&self, url: &Url, message: Bytes) -> io::Result<()> {
        let request = Request::post(ENTRIES).body(()).map_err(io::Error::other)?;
        let (parts, ()) = request.into_parts();
        let answer = self.pass(url, parts, Body::from(message), Hosted::ByTarget).await;
        let status = answer.map_err(io::Error::other)?.status();
        match status.is_success() {
            true => Ok(()),
            false => Err(io::Error::other(format!("it answered {status}"))),
        }
    }
}
