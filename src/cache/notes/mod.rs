//! Notes: what the servers of a bucket tell each other of changes. A note goes two ways at once: to every peer, in a
//! message, and into the bucket, where one prefix holds the notes of all servers as a log.
//!
//! The body of a note belongs to its kind, and to whoever takes that kind ([`NoteSink`]). A kind that nobody takes is
//! skipped. Both ways may bring the same note, so taking one twice changes nothing.

mod batch;
mod changes;
mod codec;
mod follow;
mod kept;
mod retention;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;

pub use changes::{ChangeTaker, ChangeTeller};

use self::batch::{Batcher, Patience};
use self::follow::Follower;
use super::KeyRing;
use super::peers::{BucketClock, Peer, Peers, ServerId};
use crate::store::Result;
use crate::store::journal::millis;
use crate::store::shared::SharedObjects;
use crate::tasks::Tasks;

/// Servers take the notes of others on this path.
pub const NOTES_PATH: &str = "/_chacha/peer/notes";
/// A change waits this long for each of the other servers.
const TELL_TIMEOUT: Duration = Duration::from_millis(500);

/// What a note is about. Numbers are kept for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoteKind(pub u16);

impl NoteKind {
    /// An entry of the Actions cache was committed.
    pub const COMMITTED: Self = Self(1);
    /// A plain key was overwritten or deleted.
    pub const CHANGED: Self = Self(2);
}

/// One note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is about.
    pub kind: NoteKind,
    /// What it says, in the form of its kind; some KiB at most.
    pub body: Bytes,
}

/// Takes the notes of one kind.
#[async_trait]
pub trait NoteSink: Debug + Send + Sync + 'static {
    /// The kind.
    fn kind(&self) -> NoteKind;

    /// Takes the bodies of some notes of another server, in their order. One may come twice.
    async fn take(&self, sender: ServerId, bodies: Vec<Bytes>);
}

/// The parts of a log.
#[derive(Debug)]
pub struct NoteLogParts {
    /// The bucket.
    pub objects: Arc<dyn SharedObjects>,
    /// The keys that all servers share.
    pub keys: KeyRing,
    /// The other servers.
    pub peers: Peers,
    /// The clock of the bucket.
    pub clock: Arc<BucketClock>,
}

/// Figures of one moment, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoteStats {
    /// How long ago the log was read to its end.
    pub age: Duration,
    /// Notes that are not in the log yet.
    pub unsent: usize,
    /// Notes that found too many others waiting for the log.
    pub dropped: u64,
}

/// The notes of all servers of a bucket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct NoteLog(Arc<LogShared>);

#[derive(Debug)]
struct LogShared {
    objects: Arc<dyn SharedObjects>,
    keys: KeyRing,
    peers: Peers,
    clock: Arc<BucketClock>,
    /// Empty before they follow, and after the end: they hold what holds this.
    sinks: ArcSwap<Vec<Arc<dyn NoteSink>>>,
    to_bucket: Batcher,
    to_peers: Mutex<HashMap<ServerId, (Peer, Batcher)>>,
    follower: Arc<Follower>,
    tasks: Tasks,
}

impl NoteLog {
    /// A log that is not followed yet.
    pub fn new(parts: NoteLogParts, tasks: &Tasks) -> Self {
        let (objects, keys) = (Arc::clone(&parts.objects), parts.keys.clone());
        let (clock, me) = (Arc::clone(&parts.clock), parts.peers.me());
        let append = move |notes: Vec<Note>| {
            let (objects, keys, clock) = (Arc::clone(&objects), keys.clone(), Arc::clone(&clock));
            Box::pin(async move { append(&*objects, &keys, &clock, me, &notes).await.is_ok() }) as _
        };
        Self(Arc::new(LogShared {
            to_bucket: Batcher::new(Arc::new(append), Patience::Endless, tasks),
            to_peers: Mutex::default(),
            follower: Arc::default(),
            sinks: ArcSwap::default(),
            objects: parts.objects,
            keys: parts.keys,
            peers: parts.peers,
            clock: parts.clock,
            tasks: tasks.clone(),
        }))
    }

    /// Gives the notes from `since` on to these sinks, until the tasks stop. Call it once.
    pub fn follow(&self, sinks: Vec<Arc<dyn NoteSink>>, since: SystemTime) {
        self.0.sinks.store(Arc::new(sinks));
        self.0.follower.begin(since);
        follow::start(&self.0);
        retention::start(&self.0);
        let (stopping, this) = (self.0.tasks.stopping(), Arc::clone(&self.0));
        drop(self.0.tasks.spawn(async move {
            stopping.cancelled().await;
            this.sinks.store(Arc::default());
        }));
    }

    /// Tells all other servers, and waits until they know or a short time is over.
    pub async fn tell(&self, note: &Note) {
        let others = self.0.peers.others();
        join_all(others.iter().map(|peer| self.tell_one(peer, note))).await;
    }

    /// Adds a note to the log and waits until it is there, however long that takes. `false` if it was dropped.
    pub async fn append_for_sure(&self, note: Note) -> bool {
        self.0.to_bucket.send(note).await
    }

    /// Adds a note to the log later. `false` if too many wait already: then it is dropped.
    pub fn append_later(&self, note: Note) -> bool {
        self.0.to_bucket.push(note, None)
    }

    /// Takes the notes that another server tells.
    ///
    /// # Errors
    /// The message was not sealed with a key of this server.
    pub async fn on_message(&self, sender: ServerId, message: &[u8]) -> Option<()> {
        let (stated, notes) = codec::open(&self.0.keys, codec::TOLD, message)?;
        (stated == sender).then_some(())?;
        self.0.dispatch(sender, notes).await;
        Some(())
    }

    /// Reads what is new in the log, for a caller that misses something; at most once a second, unless
    /// [`NoteLog::expect`] was called. `false` if there was nothing to wait for.
    pub async fn catch_up(&self) -> bool {
        follow::catch_up(&self.0).await
    }

    /// Something is to be expected: for the next seconds, whoever misses something reads the log.
    pub fn expect(&self) {
        self.0.follower.expect();
    }

    /// When the log was read to its end last; `None` if it was not yet.
    pub fn read_until(&self) -> Option<SystemTime> {
        let age = self.0.follower.age()?;
        self.0.clock.now().checked_sub(age)
    }

    /// The other servers.
    pub fn peers(&self) -> &Peers {
        &self.0.peers
    }

    /// Whether this server has a way to others.
    pub fn has_peers(&self) -> bool {
        self.0.peers.is_on()
    }

    /// The bucket's time in milliseconds since 1970.
    pub fn now_millis(&self) -> u64 {
        millis(self.0.clock.now())
    }

    /// Figures of this moment.
    pub fn stats(&self) -> NoteStats {
        NoteStats {
            age: self.0.follower.age().unwrap_or_default(),
            unsent: self.0.to_bucket.len(),
            dropped: self.0.to_bucket.dropped(),
        }
    }

    async fn tell_one(&self, peer: &Peer, note: &Note) {
        let batcher = self.0.batcher(peer);
        let told = batcher.send(note.clone());
        if tokio::time::timeout(TELL_TIMEOUT, told).await != Ok(true) {
            tracing::debug!(url = %peer.url(), "another server was not told of a change; it will read it in the bucket");
        }
    }
}

impl LogShared {
    /// The way to a peer. One that has moved gets another.
    fn batcher(&self, peer: &Peer) -> Batcher {
        let mut all = self.to_peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, batcher)) = all.get(&peer.id()).filter(|(known, _)| known == peer) {
            return batcher.clone();
        }
        let others = self.peers.others();
        all.retain(|_, (known, _)| others.contains(known));
        let (peers, keys, to) = (self.peers.clone(), self.keys.clone(), peer.clone());
        let tell = move |notes: Vec<Note>| {
            let (peers, keys, to) = (peers.clone(), keys.clone(), to.clone());
            Box::pin(async move {
                let message = codec::seal(&keys, codec::TOLD, peers.me(), &notes);
                let posting = peers.post(&to, NOTES_PATH, b"", message.into());
                matches!(tokio::time::timeout(TELL_TIMEOUT, posting).await, Ok(Ok(())))
            }) as _
        };
        let batcher = Batcher::new(Arc::new(tell), Patience::Once, &self.tasks);
        all.insert(peer.id(), (peer.clone(), batcher.clone()));
        batcher
    }

    /// Gives notes to whoever takes them.
    async fn dispatch(&self, sender: ServerId, notes: Vec<Note>) {
        for sink in self.sinks.load_full().iter() {
            let own = notes.iter().filter(|note| note.kind == sink.kind());
            let bodies: Vec<Bytes> = own.map(|note| note.body.clone()).collect();
            if !bodies.is_empty() {
                sink.take(sender, bodies).await;
            }
        }
    }
}

/// Writes one object with these notes. Each attempt has a name of its own.
async fn append(
    objects: &dyn SharedObjects,
    keys: &KeyRing,
    clock: &BucketClock,
    me: ServerId,
    notes: &[Note],
) -> Result<()> {
    clock.learn(objects, me).await?;
    let (name, content) = codec::object(keys, clock.now(), me, notes, objects.max_name_bytes());
    objects.append(&name, content).await
}

#[cfg(test)]
mod tests;
