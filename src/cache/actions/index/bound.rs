//! The bound of the memory that the index takes.
//!
//! When it is reached, records are dropped: the oldest ones of the tenants that take most. A look-up for one is a miss.
//! So a tenant that saves without end loses its own. Namespaces of which no tenant is known yet count as one tenant.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::TryLockError;
use std::sync::atomic::Ordering;

use super::oldest::OldestTrees;
use super::{ActionsIndex, lock, tidy};
use crate::store::Digest;
use crate::telemetry::seldom::is_time;

/// Room is made for this part of the bound at once: making it looks at all namespaces.
const ROOM_PART: u64 = 128;
/// Trees that are looked at for each tenant that gives, beside one for so many bytes. No entry takes less.
const LEAST_TREES: usize = 8;
const LEAST_BYTES: u64 = 128;

/// A tenant, or all that are not known.
pub(super) type Owner = Option<Digest>;

impl ActionsIndex {
    /// Bytes that all entries take.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many entries were dropped for the bound.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Says how many bytes the ledger holds for these entries. They count, up to half of the bound.
    pub fn set_beside(&self, bytes: u64) {
        self.beside.store(bytes, Ordering::Relaxed);
    }

    /// Bytes that the index and what is beside it take.
    pub fn bytes_with_beside(&self) -> u64 {
        self.bytes() + self.beside.load(Ordering::Relaxed)
    }

    /// Drops entries if they take too much.
    pub(super) fn keep_bound(&self) {
        let beside = self.beside.load(Ordering::Relaxed).min(self.bound / 2);
        let bound = self.bound - beside;
        if self.bytes() <= bound {
            return;
        }
        let _turn = match self.turn.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            // Another one does it.
            Err(TryLockError::WouldBlock) => return,
        };
        let goal = bound - bound / ROOM_PART;
        // Read once: others remove entries meanwhile.
        while let Some(over) = self.bytes().checked_sub(goal).filter(|over| *over > 0)
            && !self.is_empty()
        {
            self.drop_oldest(&self.who_gives(over));
        }
        if is_time(&self.complained) {
            tracing::warn!(
                bound = self.bound,
                entries = self.len(),
                "the index of the Actions cache has reached limits.index_memory: the oldest entries of the tenants that \
                 take most of it are no longer found; raise it if there is memory"
            );
        }
    }

    /// How many bytes which tenants give, so that all together are `over` fewer.
    fn who_gives(&self, over: u64) -> HashMap<Owner, u64> {
        let mut sizes: HashMap<Owner, u64> = HashMap::new();
        for shard in &self.shards {
            for trees in lock(shard).values() {
                *sizes.entry(trees.owner()).or_default() += trees.bytes();
            }
        }
        let mut order: Vec<u64> = sizes.values().copied().collect();
        order.sort_unstable_by_key(|bytes| Reverse(*bytes));
        let level = level(&order, over);
        sizes.retain(|_, bytes| *bytes > level);
        sizes.values_mut().for_each(|bytes| *bytes -= level);
        sizes
    }

    /// Drops the oldest entries of some tenants, at least one of each, until each has given so many bytes.
    pub(super) fn drop_oldest(&self, gives: &HashMap<Owner, u64>) {
        let mut lines: HashMap<Owner, OldestTrees> = HashMap::new();
        for shard in &self.shards {
            for trees in lock(shard).values() {
                let Some(bytes) = gives.get(&trees.owner()) else {
                    continue;
                };
                let most = (bytes / LEAST_BYTES) as usize + LEAST_TREES;
                let line = lines
                    .entry(trees.owner())
                    .or_insert_with(|| OldestTrees::new(most));
                trees.oldest().for_each(|oldest| line.push(oldest));
            }
        }
        for (owner, line) in lines {
            self.drop_line(line, gives.get(&owner).copied().unwrap_or(0));
        }
    }

    fn drop_line(&self, line: OldestTrees, bytes: u64) {
        let mut line = line.into_queue();
        // What is left to give. Noting what is free takes a little, so it may grow for a moment.
        let mut left = bytes;
        while let Some(oldest) = line.pop() {
            let until = line.next_record();
            let mut shard = self.locked(oldest.namespace.digest());
            let Entry::Occupied(mut trees) = shard.entry(*oldest.namespace.digest()) else {
                continue;
            };
            let before = trees.get().bytes();
            let (dropped, next) = trees.get_mut().remove_oldest(&oldest.version, until, left);
            self.entries.fetch_sub(dropped, Ordering::Relaxed);
            self.dropped.fetch_add(dropped as u64, Ordering::Relaxed);
            left = (left + trees.get().bytes_or_none()).saturating_sub(before);
            if self.settle(trees, before) {
                tidy(&mut shard);
            }
            drop(shard);
            if left == 0 {
                return;
            }
            if let Some(record) = next {
                line.push(oldest.at(record));
            }
        }
    }
}

/// Down to which size all have to go, the largest first, so that they are `over` fewer together. `sizes` begins with the
/// largest.
fn level(sizes: &[u64], over: u64) -> u64 {
    let (mut sum, mut count) = (0_u64, 0);
    for size in sizes {
        if sum.saturating_sub(size * count) >= over {
            break;
        }
        (sum, count) = (sum + size, count + 1);
    }
    sum.saturating_sub(over) / count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_give_until_they_are_as_small_as_the_others() {
        assert_eq!(level(&[100, 10, 10], 50), 50);
        assert_eq!(level(&[100, 60, 10], 40), 60);
        assert_eq!(level(&[100, 60, 10], 60), 50);
        assert_eq!(level(&[10, 10, 10], 3), 9);
        assert_eq!(level(&[10], 100), 0);
        assert_eq!(level(&[], 1), 0);
    }
}
