//! The servers of one bucket: who is there, and which of them is the home of what one server must keep to
//! itself, such as an upload that arrives in blocks.
//!
//! Every server with an `advertise_url` writes its name again and again ([`heartbeat`]); who does not for a
//! while is gone. The home of something new follows from its digest and from who is there (rendezvous
//! hashing), so that two servers agree without talking; the home of something that exists is a part of its
//! number. Where they disagree for a moment, the conditional commit in the bucket decides.

mod heartbeat;
mod name;

use std::sync::Arc;

use arc_swap::ArcSwap;
use url::Url;

pub use heartbeat::Timing;
pub use name::ServerId;

use self::heartbeat::Looking;
use crate::store::shared::Shared;
use crate::tasks::Tasks;

/// Where something is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// On this server.
    Here,
    /// On the one that is reached with this URL.
    There(Arc<Url>),
    /// On one that is not there any more.
    Gone,
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
    looking: Arc<Looking>,
}

impl Peers {
    /// A server that knows no other.
    pub fn alone(me: ServerId) -> Self {
        Self {
            me,
            others: Arc::default(),
            looking: Arc::default(),
        }
    }

    /// Shows this server to the others as `me` at `url`, and follows who they are, until the tasks stop.
    /// Returns when the others are known, or after [`Timing::patience`].
    pub async fn join(
        shared: Arc<dyn Shared>,
        me: ServerId,
        url: Url,
        timing: Timing,
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

    /// Where the server with this number is.
    pub fn at(&self, id: ServerId) -> Home {
        if id == self.me {
            return Home::Here;
        }
        let others = self.others.load();
        let found = others.iter().find(|peer| peer.id == id);
        found.map_or(Home::Gone, |peer| Home::There(Arc::clone(&peer.url)))
    }

    /// Looks who is there now, for whoever misses a server that may have come a moment ago: some seconds at most.
    pub async fn look(&self) {
        self.looking.look().await;
    }

    /// Where something new with this digest belongs.
    pub fn home_of(&self, digest: &[u8; 32]) -> Home {
        let others = self.others.load();
        let best = others.iter().max_by_key(|peer| weight(peer.id, digest));
        match best {
            Some(peer) if weight(peer.id, digest) > weight(self.me, digest) => {
                Home::There(Arc::clone(&peer.url))
            }
            _ => Home::Here,
        }
    }

    /// The URLs of all others.
    pub fn others(&self) -> Vec<Arc<Url>> {
        self.others
            .load()
            .iter()
            .map(|peer| Arc::clone(&peer.url))
            .collect()
    }
}

/// The highest weight is the home; the number of the server decides between equal ones.
fn weight(id: ServerId, digest: &[u8; 32]) -> ([u8; 8], ServerId) {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&id.number().to_be_bytes());
    hasher.update(digest);
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    (bytes, id)
}

#[cfg(test)]
mod tests;
