//! The account of what waits for the remote tier.

use std::collections::HashMap;

use super::{ChangeKind, UploadQueue};
use crate::store::budget::{BLOCK_BYTES, WaitingBounds, whole_blocks};
use crate::store::{Asker, StoreKey};

/// The most keys that wait at once: their jobs are in memory.
const MAX_KEYS: u64 = 1 << 16;
/// Deletes of keys of which nothing is known here take at most this part of the account.
const UNKNOWN_SHARE: u64 = 8;

/// A tenant leaves an eighth of what is left to others that come later: what waits cannot be taken back. This server's own
/// changes, and those of a former run, are no tenant's.
const OWN_PARTS: u64 = 7;

/// Bytes and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Amount {
    bytes: u64,
    keys: u64,
}

impl Amount {
    fn of(bytes: u64) -> Self {
        let keys = u64::from(bytes > 0);
        Self { bytes, keys }
    }

    fn with(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            keys: self.keys.saturating_add(other.keys),
        }
    }

    fn without(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            keys: self.keys.saturating_sub(other.keys),
        }
    }

    fn fits(self, most: Self) -> bool {
        self.bytes <= most.bytes && self.keys <= most.keys
    }

    fn times(self, factor: u64) -> Self {
        Self {
            bytes: self.bytes.saturating_mul(factor),
            keys: self.keys.saturating_mul(factor),
        }
    }
}

/// What waits, with what is about to.
#[derive(Debug, Default)]
pub(super) struct Usage {
    all: Amount,
    /// Of those that have something there.
    own: HashMap<Asker, Amount>,
}

impl Usage {
    /// Counts one more key, whether or not there is room.
    pub(super) fn force(&mut self, asker: Asker, bytes: u64) {
        if bytes > 0 {
            let more = Amount::of(bytes);
            self.all = self.all.with(more);
            let own = self.own.entry(asker).or_default();
            *own = own.with(more);
        }
    }

    pub(super) fn give_back(&mut self, asker: Asker, bytes: u64) {
        let less = Amount::of(bytes);
        self.all = self.all.without(less);
        if let Some(own) = self.own.get_mut(&asker) {
            *own = own.without(less);
            if *own == Amount::default() {
                self.own.remove(&asker);
            }
        }
    }

    fn own(&self, asker: Asker) -> Amount {
        self.own.get(&asker).copied().unwrap_or_default()
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
    asker: Asker,
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
            self.queue.lock().usage.give_back(self.asker, self.bytes);
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
    /// Takes room for a change of this key; `None` if too much waits already, of all or of this asker. What its former
    /// change takes, which goes with it, counts as free. The caller holds the lock of the key.
    pub(in crate::store::tiered) fn reserve(
        &self,
        key: &StoreKey,
        kind: &ChangeKind,
        claim: Claim,
        bounds: WaitingBounds,
    ) -> Option<QueueRoom<'_>> {
        let (bytes, asker) = (bytes_of(kind), key.asker());
        let mut state = self.lock();
        let former = state.jobs.get(key.digest());
        let (held, whose) = former.map_or((0, asker), |job| (job.room, job.key.asker()));
        let own_held = if whose == asker { held } else { 0 };
        let all = state.usage.all.without(Amount::of(held)).with(Amount::of(bytes));
        let own = state.usage.own(asker).without(Amount::of(own_held));
        let own = own.with(Amount::of(bytes));
        // A change that takes no more than the former one of its key makes nothing worse.
        if bytes > held && !self.admits(all, own, (asker, claim), bounds) {
            return None;
        }
        state.usage.force(asker, bytes);
        drop(state);
        Some(QueueRoom {
            queue: self,
            asker,
            bytes,
        })
    }

    /// Whether so much may wait, `own` of it the asker's.
    fn admits(
        &self,
        all: Amount,
        own: Amount,
        (asker, claim): (Asker, Claim),
        bounds: WaitingBounds,
    ) -> bool {
        let part = match claim {
            Claim::Known => 1,
            Claim::Unknown => UNKNOWN_SHARE,
        };
        let most = |bytes: u64| Amount {
            bytes: bytes / part,
            keys: MAX_KEYS / part,
        };
        let shared = most(self.limit.min(bounds.most));
        let left = shared.without(all).times(OWN_PARTS);
        let has_part = asker == Asker::SERVER || own.fits(left);
        // What a rule reserves for a tenant is its own, whatever the others have there.
        let is_reserved = own.bytes <= bounds.reserved && all.fits(most(self.limit));
        all.fits(shared) && has_part || is_reserved
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

    const WIDE: WaitingBounds = WaitingBounds {
        most: u64::MAX,
        reserved: 0,
    };

    fn add(queue: &UploadQueue, key: &StoreKey, kind: &ChangeKind, claim: Claim) -> bool {
        add_within(queue, key, (kind, claim), WIDE)
    }

    fn add_within(
        queue: &UploadQueue,
        key: &StoreKey,
        (kind, claim): (&ChangeKind, Claim),
        bounds: WaitingBounds,
    ) -> bool {
        let room = queue.reserve(key, kind, claim, bounds);
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
        assert!(state.usage.own.len() as u64 <= state.usage.all.keys);
        (state.usage.all.bytes, state.usage.all.keys)
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
        let room = queue.reserve(&key(0), &upload(1000), Claim::Known, WIDE);
        assert_eq!(usage(&queue), (3 * BLOCK_BYTES, 1));
        drop(room);
        assert_eq!(usage(&queue), (0, 0));
    }

    fn of(asker: u64, name: u64) -> StoreKey {
        key(asker << 32 | name).asked_by(Asker::from_number(asker))
    }

    #[test]
    fn a_flood_that_waits_leaves_room_for_all_who_come_later() {
        let queue = UploadQueue::new(800 << 20);
        let mut taken = Vec::new();
        for asker in 1..=4 {
            let fits = |name: &u64| add(&queue, &of(asker, *name), &upload(1 << 20), Claim::Known);
            taken.push((0..800).filter(fits).count());
        }
        assert!((690..=700).contains(&taken[0]), "{taken:?}");
        assert!(taken.iter().all(|count| *count > 0), "{taken:?}");
        // What the others have there is no reason to refuse whoever has little.
        queue.settle(of(1, 0).digest());
        queue.settle(of(1, 1).digest());
        assert!(!add(&queue, &of(1, 900), &upload(1 << 20), Claim::Known));
        assert!(add(&queue, &of(4, 900), &upload(1 << 20), Claim::Known));
        // Nor are many small ones.
        let wide = UploadQueue::new(u64::MAX);
        let keys = (0..100_000).filter(|name| add(&wide, &of(1, *name), &upload(0), Claim::Known));
        assert_eq!(keys.count() as u64, MAX_KEYS / 8 * 7);
        assert!(add(&wide, &of(2, 0), &upload(0), Claim::Known));
    }

    #[test]
    fn what_is_reserved_for_a_tenant_is_not_taken_by_what_others_have_waiting() {
        let queue = UploadQueue::new(100 << 20);
        let bounds = |reserved: u64| WaitingBounds {
            most: 40 << 20,
            reserved: reserved << 20,
        };
        let change = (&upload(1 << 20), Claim::Known);
        let fits = |name: &u64| add_within(&queue, &of(1, *name), change, bounds(0));
        let flood = (0..100).filter(fits).count();
        assert!((33..=35).contains(&flood), "{flood}");
        let fits = |name: &u64| add_within(&queue, &of(2, *name), change, bounds(50));
        let reserved = (0..100).filter(fits).count();
        assert!((48..=50).contains(&reserved), "{reserved}");
        assert!(usage(&queue).0 <= 100 << 20);
    }

    #[test]
    fn an_overwrite_by_another_tenant_moves_what_waits_to_its_account() {
        let queue = UploadQueue::new(100 << 20);
        let (first, second) = (Asker::from_number(1), Asker::from_number(2));
        assert!(add(
            &queue,
            &key(1).asked_by(first),
            &upload(1 << 20),
            Claim::Known
        ));
        assert!(add(
            &queue,
            &key(1).asked_by(second),
            &upload(2 << 20),
            Claim::Known
        ));
        assert_eq!(queue.lock().usage.own(first), Amount::default());
        assert_eq!(
            queue.lock().usage.own(second),
            Amount::of((2 << 20) + 2 * BLOCK_BYTES)
        );
        queue.settle(key(1).digest());
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
