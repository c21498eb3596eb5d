//! The note of a change: a plain key was overwritten or deleted, and copies on other servers are old.
//!
//! ```text
//! format 1, flags 1 (1: all keys, 2: the bucket does not know it yet), digest of the key 32, id of the change 16
//! ```
//!
//! A new key is told as well: another server may hold a copy from before a delete that it has not heard of, and cannot be
//! told apart from one that was never there. Entries of the Actions cache never change.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::{Note, NoteKind, NoteLog, NoteSink};
use crate::cache::peers::{Peers, ServerId};
use crate::error::chain;
use crate::store::journal::next_ulid;
use crate::store::tiered::{ChangeObserver, Tiered};
use crate::store::{Digest, Protocol, StoreKey};

const FORMAT: u8 = 1;
const ALL_FLAG: u8 = 1;
const WAITS_FLAG: u8 = 2;
const BODY_BYTES: usize = 2 + 32 + 16;

/// Changes that are remembered, since each comes twice: told, and in the log.
const MAX_REMEMBERED: u64 = 1 << 16;
const REMEMBER_TIME: Duration = Duration::from_secs(600);

/// Tells the other servers of changes.
#[derive(Debug)]
pub struct ChangeTeller {
    log: NoteLog,
    /// A note did not fit into the line for the log.
    missed: AtomicBool,
}

impl ChangeTeller {
    /// Tells them through `log`.
    pub fn new(log: NoteLog) -> Self {
        Self {
            log,
            missed: AtomicBool::new(false),
        }
    }

    /// Servers that are not reached read the log. If it cannot hold all changes, they have to doubt all copies.
    fn log_later(&self, note: Note) {
        if self.missed.load(Ordering::Relaxed)
            && self.log.append_later(write(ALL_FLAG, &Digest::new([0; 32])))
        {
            self.missed.store(false, Ordering::Relaxed);
        }
        if !self.log.append_later(note) {
            self.missed.store(true, Ordering::Relaxed);
        }
    }
}

#[async_trait]
impl ChangeObserver for ChangeTeller {
    async fn changed(&self, key: &StoreKey, waits: bool) {
        // Nobody has another version of them. What waits is asked for all the same.
        if key.protocol() == Protocol::Gha && !waits {
            return;
        }
        let note = write(if waits { WAITS_FLAG } else { 0 }, key.digest());
        self.log_later(note.clone());
        self.log.tell(&note).await;
    }
}

/// Drops the copies that other servers have made old.
#[derive(Debug)]
pub struct ChangeTaker {
    store: Tiered,
    peers: Peers,
    taken: Cache<[u8; 16], ()>,
}

impl ChangeTaker {
    /// Drops those of `store`.
    pub fn new(store: Tiered, peers: Peers) -> Self {
        let taken = Cache::builder()
            .max_capacity(MAX_REMEMBERED)
            .time_to_live(REMEMBER_TIME)
            // The default policy may refuse a newcomer.
            .eviction_policy(EvictionPolicy::lru());
        Self {
            store,
            peers,
            taken: taken.build(),
        }
    }
}

#[async_trait]
impl NoteSink for ChangeTaker {
    fn kind(&self) -> NoteKind {
        NoteKind::CHANGED
    }

    async fn take(&self, sender: ServerId, bodies: Vec<Bytes>) {
        for (flags, digest, id) in bodies.iter().filter_map(|body| read(body)) {
            if !self.taken.entry(id).or_insert(()).is_fresh() {
                continue;
            }
            if flags & ALL_FLAG == 0 {
                let holder = || self.peers.holder(sender);
                self.store
                    .outdate(digest, (flags & WAITS_FLAG != 0).then(holder).flatten());
            } else if let Err(error) = self.store.doubt_copies().await {
                tracing::warn!(cause = chain(&error), "copies on the disk cannot be put in doubt");
            }
        }
    }
}

fn write(flags: u8, digest: &Digest) -> Note {
    let mut body = Vec::with_capacity(BODY_BYTES);
    body.extend_from_slice(&[FORMAT, flags]);
    body.extend_from_slice(digest.as_bytes());
    body.extend_from_slice(&next_ulid().0.to_be_bytes());
    Note {
        kind: NoteKind::CHANGED,
        body: body.into(),
    }
}

/// `None` if another version of this server wrote it. What it has added stands behind.
fn read(body: &[u8]) -> Option<(u8, Digest, [u8; 16])> {
    let ([format, flags], rest) = body.split_first_chunk()?;
    let (digest, rest) = rest.split_first_chunk()?;
    let (id, _) = rest.split_first_chunk()?;
    (*format == FORMAT).then(|| (*flags, Digest::new(*digest), *id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_as_it_was_written() {
        let digest = Digest::of(b"key");
        let note = write(WAITS_FLAG, &digest);
        let (flags, read_digest, _) = read(&note.body).unwrap();
        assert_eq!((flags, read_digest), (WAITS_FLAG, digest));
        for end in 0..note.body.len() {
            assert_eq!(read(&note.body[..end]), None, "{end}");
        }
        assert_eq!(read(&[&[FORMAT + 1], &note.body[1..]].concat()), None);
    }
}
