//! A peer where changes wait for the bucket, and its entries as a source of bytes.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::entry::{ENTRY_PATH, PeerAnswer, decode_meta};
use super::link::PeerLink;
use super::{Peer, Peers, ServerId, StatedBody, StatedRequest};
use crate::store::source::{EntrySource, ReadPlan, SourceOpen, SourceStream};
use crate::store::tiered::{ChangeHolder, HeldEntry};
use crate::store::{Error, RemoteErrorKind, Result, StoreKey};

/// Longest pause of a body.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that goes away earlier says nothing of the peer.
const MIN_SILENCE: Duration = Duration::from_secs(1);
/// One request reads a whole entry.
const PART_BYTES: u64 = 1 << 40;

impl Peers {
    /// The server with this number, to be asked for what waits there. `None` if it is not there.
    pub fn holder(&self, id: ServerId) -> Option<Arc<dyn ChangeHolder>> {
        let (link, peer) = (Arc::clone(self.link.as_ref()?), self.peer(id)?);
        let peers = self.clone();
        Some(Arc::new(PeerHolder { peers, link, peer }))
    }
}

/// One entry of one peer. Cheap to clone.
#[derive(Debug, Clone)]
struct PeerEntry {
    link: Arc<PeerLink>,
    peer: Peer,
    key: StoreKey,
}

/// A peer where changes wait.
#[derive(Debug)]
struct PeerHolder {
    /// Whether it is still there.
    peers: Peers,
    link: Arc<PeerLink>,
    peer: Peer,
}

#[async_trait]
impl ChangeHolder for PeerHolder {
    async fn open(&self, key: &StoreKey) -> Result<HeldEntry> {
        let entry = PeerEntry {
            link: Arc::clone(&self.link),
            peer: self.peer.clone(),
            key: key.clone(),
        };
        if !self.peers.others().contains(&self.peer) || self.link.is_silent(&self.peer) {
            return Err(fault(
                "it is not there, or did not answer a moment ago".to_owned(),
            ));
        }
        let mut silence = SilenceGuard {
            holder: self,
            since: Instant::now(),
        };
        let asked = entry.ask(None).await;
        silence.since = Instant::now();
        let answer = asked.inspect_err(|_| self.link.note_silent(&self.peer))?;
        match answer.status {
            200 => {
                let open = opened(answer)?;
                Ok(HeldEntry::Entry(Arc::new(entry), open))
            }
            410 => Ok(HeldEntry::Deleted),
            404 => Ok(HeldEntry::Arrived),
            other => Err(fault(format!("it answered {other}"))),
        }
    }
}

/// Notes a peer that the caller did not wait for any longer.
struct SilenceGuard<'a> {
    holder: &'a PeerHolder,
    since: Instant,
}

impl Drop for SilenceGuard<'_> {
    fn drop(&mut self) {
        if self.since.elapsed() >= MIN_SILENCE {
            self.holder.link.note_silent(&self.holder.peer);
        }
    }
}

impl PeerEntry {
    async fn ask(&self, range: Option<Range<u64>>) -> Result<PeerAnswer> {
        let request = StatedRequest {
            method: "GET",
            target: ENTRY_PATH,
        };
        let statement = self
            .link
            .state(&self.peer, request, StatedBody::Unknown, &self.key.canonical());
        let answer = self
            .link
            .client
            .get(self.peer.url(), ENTRY_PATH, &statement, range)
            .await;
        answer.map_err(|error| Error::remote(OPERATION, RemoteErrorKind::Unreachable, error))
    }
}

const OPERATION: &str = "reading from another server";

fn fault(text: String) -> Error {
    Error::remote(OPERATION, RemoteErrorKind::Other, text)
}

fn opened(answer: PeerAnswer) -> Result<SourceOpen> {
    let meta = answer.meta.as_deref().and_then(decode_meta);
    let meta = meta.ok_or_else(|| fault("it does not describe the entry".to_owned()))?;
    Ok(SourceOpen {
        version: meta.etag.as_str().into(),
        length: meta.size,
        first: pieces(answer.body),
        meta: Arc::new(meta),
    })
}

/// The bytes; a pause that is too long is an error.
fn pieces(body: BoxStream<'static, io::Result<Bytes>>) -> SourceStream {
    let broken = |error: io::Error| Error::remote(OPERATION, RemoteErrorKind::Unreachable, error);
    let next = |mut body: BoxStream<'static, io::Result<Bytes>>| async move {
        match tokio::time::timeout(IDLE_TIMEOUT, body.next()).await {
            Ok(None) => None,
            Ok(Some(piece)) => Some((piece, body)),
            Err(late) => Some((Err(io::Error::other(late)), futures_util::stream::empty().boxed())),
        }
    };
    futures_util::stream::unfold(body, next).map_err(broken).boxed()
}

#[async_trait]
impl EntrySource for PeerEntry {
    async fn open(&self) -> Result<Option<SourceOpen>> {
        let answer = self.ask(None).await?;
        match answer.status {
            200 => opened(answer).map(Some),
            _ => Ok(None),
        }
    }

    async fn read(&self, version: &str, range: Range<u64>) -> Result<SourceStream> {
        let answer = self.ask(Some(range)).await?;
        let meta = answer.meta.as_deref().and_then(decode_meta);
        match meta.is_some_and(|meta| answer.status == 206 && meta.etag.as_str() == version) {
            true => Ok(pieces(answer.body)),
            false => Err(Error::remote(
                OPERATION,
                RemoteErrorKind::Changed,
                "it has another version",
            )),
        }
    }

    fn plan(&self) -> ReadPlan {
        ReadPlan {
            part_size: PART_BYTES,
            parallel: 1,
        }
    }
}
