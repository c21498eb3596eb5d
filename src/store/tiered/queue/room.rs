//! The account of what waits for the remote tier.

use super::{ChangeKind, UploadQueue};
use crate::store::Digest;
use crate::store::budget::{BLOCK_BYTES, whole_blocks};

/// The most keys that wait at once: their jobs are in memory.
const MAX_KEYS: u64 = 1 << 16;
/// Deletes of keys of which nothing is known here take at most this part of the account.
const UNKNOWN_SHARE: u64 = 8;

/// What waits, with what is about to.
#[derive(Debug, Default)]
pub(super) struct Usage {
    bytes: u64,
    keys: u64,
}

impl Usage {
    /// Counts one more key, whether or not there is room.
    pub(super) fn force(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.keys += u64::from(bytes > 0);
    }

    pub(super) fn give_back(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.keys = self.keys.saturating_sub((bytes > 0).into());
    }
}

/// Who asks for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::tiered) enum Claim {
    /// A write, or a delete of something that is on the disk or waits.
    Known,
    /// A delete of a key of which nothing is known here.
    Unknown,
}

/// Room for one change that is about to wait, beside what its key takes already. Given back when it is dropped.
#[derive(Debug)]
pub(in crate::store::tiered) struct QueueRoom<'q> {
    queue: &'q UploadQueue,
    bytes: u64,
}

impl QueueRoom<'_> {
    /// The bytes, which somebody else gives back.
    pub(super) fn keep(mut self) -> u64 {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for QueueRoom<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.queue.lock().usage.give_back(self.bytes);
        }
    }
}

/// What a job takes of the account: the entry with its trailer and the record. 0 if it does not wait.
pub(in crate::store::tiered) fn bytes_of(kind: &ChangeKind) -> u64 {
    match kind {
        ChangeKind::Upload { size, .. } => upload_bytes(*size),
        ChangeKind::Unresolved(intent) => upload_bytes(intent.size),
        ChangeKind::Delete => BLOCK_BYTES,
        ChangeKind::Drop | ChangeKind::Clear => 0,
    }
}

fn upload_bytes(size: u64) -> u64 {
    whole_blocks(size) + 2 * BLOCK_BYTES
}

impl UploadQueue {
    /// Takes room for a change of this key; `None` if too much waits already. What its former change takes, which
    /// goes with it, counts as free. The caller holds the lock of the key.
    pub(in crate::store::tiered) fn reserve(
        &self,
        digest: &Digest,
        kind: &ChangeKind,
        claim: Claim,
    ) -> Option<QueueRoom<'_>> {
        let bytes = bytes_of(kind);
        let part = match claim {
            Claim::Known => 1,
            Claim::Unknown => UNKNOWN_SHARE,
        };
        let mut state = self.lock();
        let held = state.jobs.get(digest).map_or(0, |job| job.room);
        let (others, keys) = (
            state.usage.bytes.saturating_sub(held),
            state.usage.keys.saturating_sub((held > 0).into()),
        );
        // A change that takes no more than the former one of its key makes nothing worse.
        let fits = others.saturating_add(bytes) <= self.limit / part && keys < MAX_KEYS / part;
        if !fits && bytes > held {
            return None;
        }
        state.usage.force(bytes);
        drop(state);
        Some(QueueRoom { queue: self, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Protocol, StoreKey};

    fn key(name: u64) -> StoreKey {
        let name = name.to_string().into_bytes();
        StoreKey::new("issuer".into(), "namespace".into(), Protocol::Http, name)
    }

    fn add(queue: &UploadQueue, key: &StoreKey, kind: &ChangeKind, claim: Claim) -> bool {
        let room = queue.reserve(key.digest(), kind, claim);
        let taken = room.is_some();
        room.into_iter()
            .for_each(|room| queue.add(key, kind.clone(), room));
        taken
    }

    fn upload(size: u64) -> ChangeKind {
        ChangeKind::Upload {
            first: false,
            size,
            etag: None,
        }
    }

    fn usage(queue: &UploadQueue) -> (u64, u64) {
        let state = queue.lock();
        (state.usage.bytes, state.usage.keys)
    }

    #[test]
    fn an_overwrite_of_what_waits_counts_what_it_grows() {
        let queue = UploadQueue::new(10 << 20);
        for name in 0..40 {
            assert!(add(&queue, &key(name), &upload(1), Claim::Known));
        }
        let grown = (0..40).filter(|name| add(&queue, &key(*name), &upload(3_000_000), Claim::Known));
        assert_eq!(grown.count(), 3);
        assert!(usage(&queue).0 <= 10 << 20);
        // The same length again, and less, is always taken.
        assert!(add(&queue, &key(0), &upload(3_000_000), Claim::Known));
        assert!(add(&queue, &key(0), &ChangeKind::Delete, Claim::Known));
        for name in 0..40 {
            queue.settle(key(name).digest());
        }
        assert_eq!(usage(&queue), (0, 0));
    }

    #[test]
    fn overwrites_while_nothing_is_sent_leave_no_line_that_grows() {
        let queue = UploadQueue::new(10 << 20);
        for nth in 0..20_000 {
            assert!(add(&queue, &key(nth % 3), &upload(1), Claim::Known));
            queue.add_local(&key(3), ChangeKind::Clear);
        }
        let state = queue.lock();
        assert!(state.remote.ready() < 1100 && state.disk.ready() < 1100);
    }

    #[test]
    fn room_that_is_not_used_comes_back() {
        let queue = UploadQueue::new(1 << 20);
        let room = queue.reserve(key(0).digest(), &upload(1000), Claim::Known);
        assert_eq!(usage(&queue), (3 * BLOCK_BYTES, 1));
        drop(room);
        assert_eq!(usage(&queue), (0, 0));
    }

    #[test]
    fn deletes_of_keys_that_nobody_knows_are_few() {
        let queue = UploadQueue::new(8 << 20);
        let taken = (0..12_000).filter(|name| add(&queue, &key(*name), &ChangeKind::Delete, Claim::Unknown));
        assert_eq!(taken.count() as u64, (1 << 20) / BLOCK_BYTES);
        assert!(add(&queue, &key(20_000), &upload(1 << 20), Claim::Known));
        let wide = UploadQueue::new(u64::MAX);
        let taken = (0..100_000).filter(|name| add(&wide, &key(*name), &upload(0), Claim::Known));
        assert_eq!(taken.count() as u64, MAX_KEYS);
    }
}
