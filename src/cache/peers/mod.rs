//! The servers of one bucket, and which of them owns something that only one server can have, such as an
//! upload that arrives in blocks.
//!
//! Every server with an `advertise_url` writes its sealed name into the bucket periodically ([`heartbeat`]). A
//! server that stops doing so is lost. The owner of a new upload follows from its digest and from the servers that are
//! there (rendezvous hashing), so that two servers agree without talking. The owner of a running upload is a
//! part of its number. Where servers disagree for a moment, the conditional commit in the bucket decides.
//!
//! What one server sends to another carries a [`Statement`]. Only servers with the same key can make one.

mod claim;
mod clock;
mod entry;
mod heartbeat;
mod holder;
mod link;
mod name;
mod statement;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::time::Instant;
use url::Url;

pub use claim::ServerNumber;
pub use clock::BucketClock;
pub use entry::{ENTRY_PATH, PeerAnswer, encode_meta};
pub use heartbeat::HeartbeatTiming;
pub use link::PeerClient;
pub use name::ServerId;
pub use statement::{StatedBody, StatedRequest, Statement, StatementError};

use self::heartbeat::PeerRefresh;
use self::link::PeerLink;
use super::KeyRing;
use crate::store::Digest;
use crate::store::shared::SharedObjects;
use crate::tasks::Tasks;

/// Servers greet each other on this path.
pub const HELLO_PATH: &str = "/_chacha/peer/hello";

/// The server that has an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// This server.
    Local,
    /// Another server.
    Peer(Peer),
    /// A server that is not there any more.
    Lost,
}

/// A server as the others see it. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    id: ServerId,
    url: Arc<Url>,
}

impl Peer {
    /// The server `id` at `url`.
    pub fn new(id: ServerId, url: Url) -> Self {
        Self { id, url: url.into() }
    }

    /// Its number.
    pub fn id(&self) -> ServerId {
        self.id
    }

    /// Where it is reached.
    pub fn url(&self) -> &Arc<Url> {
        &self.url
    }
}

/// How a server joins the others.
#[derive(Debug)]
pub struct Membership {
    /// The bucket.
    pub shared: Arc<dyn SharedObjects>,
    /// The number of this server.
    pub number: ServerNumber,
    /// Where the others reach it.
    pub url: Url,
    /// The keys that all servers share.
    pub keys: KeyRing,
    /// The clock of the bucket, which this sets.
    pub clock: Arc<BucketClock>,
    /// The way to the others.
    pub client: Arc<dyn PeerClient>,
}

/// The servers of one bucket as this one sees them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Peers {
    me: ServerId,
    others: Arc<ArcSwap<Vec<Peer>>>,
    refresh: Arc<PeerRefresh>,
    link: Option<Arc<PeerLink>>,
}

impl Peers {
    /// A server that knows no other, and that none knows.
    pub fn alone(me: ServerId) -> Self {
        Self {
            me,
            others: Arc::default(),
            refresh: Arc::default(),
            link: None,
        }
    }

    /// Shows this server to the others, and follows their heartbeats until the tasks stop. Returns when the others
    /// are known and have been greeted, or after [`HeartbeatTiming::join_timeout`].
    pub async fn join(membership: Membership, timing: HeartbeatTiming, tasks: &Tasks) -> Self {
        let Membership {
            shared,
            mut number,
            url,
            keys,
            clock,
            client,
        } = membership;
        number.claim(&*shared).await;
        let link = Arc::new(PeerLink::new(Peer::new(number.id, url), keys, clock, client));
        let this = Self {
            link: Some(Arc::clone(&link)),
            ..Self::alone(number.id)
        };
        heartbeat::start(shared, number, timing, tasks, (&this, &link)).await;
        this
    }

    /// This server.
    pub fn me(&self) -> ServerId {
        self.me
    }

    /// Whether this server has a way to others: a bucket and an address of its own.
    pub fn is_on(&self) -> bool {
        self.link.is_some()
    }

    /// The owner with this number.
    pub fn owner(&self, id: ServerId) -> Owner {
        if id == self.me {
            return Owner::Local;
        }
        self.peer(id).map_or(Owner::Lost, Owner::Peer)
    }

    /// The other server with this number.
    pub fn peer(&self, id: ServerId) -> Option<Peer> {
        let others = self.others.load();
        others.iter().find(|peer| peer.id == id).cloned()
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
            Some(peer) if weight(peer.id, digest) > weight(self.me, digest) => Owner::Peer(peer.clone()),
            _ => Owner::Local,
        }
    }

    /// All others.
    pub fn others(&self) -> Arc<Vec<Peer>> {
        self.others.load_full()
    }

    /// Takes what a listing showed that began at `listed_from`. Returns the servers that are new.
    fn replace(&self, mut others: Vec<Peer>, listed_from: Instant) -> Vec<Peer> {
        let mut greeted = self.link.as_ref().map(|link| link.greeted());
        if let Some(greeted) = &mut greeted {
            greeted.retain(|(_, at)| *at >= listed_from);
            for (peer, _) in greeted.iter() {
                others.retain(|other| other.id != peer.id);
                others.push(peer.clone());
            }
        }
        let former = self.others.load_full();
        if *former == others {
            return Vec::new();
        }
        let new = others.iter().filter(|peer| !former.contains(peer));
        let new: Vec<Peer> = new.cloned().collect();
        self.store(others);
        new
    }

    fn store(&self, others: Vec<Peer>) {
        let urls: Vec<&str> = others.iter().map(|peer| peer.url.as_str()).collect();
        tracing::info!(
            others = others.len(),
            urls = urls.join(" "),
            "the servers that share the bucket changed"
        );
        self.others.store(Arc::new(others));
        if let Some(link) = &self.link {
            link.note_change();
        }
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
