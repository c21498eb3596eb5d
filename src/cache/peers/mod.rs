//! The servers of one bucket, and which of them owns something that only one server can have, such as an
//! upload that arrives in blocks.
//!
//! Every server with an `advertise_url` writes its name into the bucket periodically ([`heartbeat`]). A server
//! that stops doing so is lost. The owner of a new upload follows from its digest and from the servers that are
//! there (rendezvous hashing), so that two servers agree without talking. The owner of a running upload is a
//! part of its number. Where servers disagree for a moment, the conditional commit in the bucket decides.

mod heartbeat;
mod name;

use std::sync::Arc;

use arc_swap::ArcSwap;
use url::Url;

pub use heartbeat::HeartbeatTiming;
pub use name::ServerId;

use self::heartbeat::PeerRefresh;
use crate::store::Digest;
use crate::store::shared::SharedObjects;
use crate::tasks::Tasks;

/// The server that has an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// This server.
    Local,
    /// The server with this URL.
    Peer(Arc<Url>),
    /// A server that is not there any more.
    Lost,
}

/// One other server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    id: ServerId,
    url: Arc<Url>,
}

/// The servers of one bucket as this one sees them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Peers {
    me: ServerId,
    others: Arc<ArcSwap<Vec<Peer>>>,
    refresh: Arc<PeerRefresh>,
}

impl Peers {
    /// A server that knows no other.
    pub fn alone(me: ServerId) -> Self {
        Self {
            me,
            others: Arc::default(),
            refresh: Arc::default(),
        }
    }

    /// Shows this server to the others as `me` at `url`, and follows their heartbeats until the tasks stop.
    /// Returns when the others are known, or after [`HeartbeatTiming::join_timeout`].
    pub async fn join(
        shared: Arc<dyn SharedObjects>,
        me: ServerId,
        url: Url,
        timing: HeartbeatTiming,
        tasks: &Tasks,
    ) -> Self {
        let this = Self::alone(me);
        heartbeat::start(shared, url, timing, tasks, &this).await;
        this
    }

    /// This server.
    pub fn me(&self) -> ServerId {
        self.me
    }

    /// The owner with this number.
    pub fn owner(&self, id: ServerId) -> Owner {
        if id == self.me {
            return Owner::Local;
        }
        let others = self.others.load();
        let found = others.iter().find(|peer| peer.id == id);
        found.map_or(Owner::Lost, |peer| Owner::Peer(Arc::clone(&peer.url)))
    }

    /// Lists the servers anew, for a caller that misses one which may have come a moment ago. Takes some seconds at
    /// most.
    pub async fn refresh(&self) {
        self.refresh.wait().await;
    }

    /// The owner of a new upload with this digest.
    pub fn owner_of(&self, digest: &Digest) -> Owner {
        let others = self.others.load();
        let best = others.iter().max_by_key(|peer| weight(peer.id, digest));
        match best {
            Some(peer) if weight(peer.id, digest) > weight(self.me, digest) => {
                Owner::Peer(Arc::clone(&peer.url))
            }
            _ => Owner::Local,
        }
    }

    /// The URLs of all others.
    pub fn others(&self) -> Vec<Arc<Url>> {
        let others = self.others.load();
        others.iter().map(|peer| Arc::clone(&peer.url)).collect()
    }
}

/// The server with the highest weight is the owner. Numbers decide between equal weights.
fn weight(id: ServerId, digest: &Digest) -> ([u8; 8], ServerId) {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&id.number().to_be_bytes());
    hasher.update(digest.as_bytes());
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    (bytes, id)
}

#[cfg(test)]
mod tests;
