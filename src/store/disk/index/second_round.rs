//! Which entry of a rank goes: the one at the end of its lists, unless it was used since it took its place there. Such a one
//! goes on at the front, and its use is forgotten.
//!
//! Every use pays for one more round at most, so rounds cost no more than hits. But all that a tenant has may have been
//! used. So a choice gives a few rounds only; then it takes, of those that got one, the entry that was not used for longest.
//! It does the same if what comes next is newer than all their uses, and lets that go on behind them: nobody can have read
//! yet what was just written.

use super::{Index, ListKind};
use crate::store::Digest;
use crate::store::shares::NumberedTenancy;

/// Most entries that get another round for one victim.
pub(super) const MAX_SPARED: usize = 16;

impl Index {
    /// The entry of this tenant and rank whose turn it is to go. Adds to `spared` how many got another round for it.
    pub(super) fn next_victim(&mut self, whose: NumberedTenancy, spared: &mut usize) -> Option<u32> {
        let (mut idlest, mut latest): (Option<(u64, u32)>, u64) = (None, 0);
        for _ in 0..MAX_SPARED {
            let id = self.lists.oldest(whose, &self.slab)?;
            let slot = self.slab.get(id);
            let Some(used) = slot.hot.as_ref().and_then(|cell| cell.take_visit()) else {
                let Some((_, idlest)) = idlest.filter(|_| slot.stamp > latest) else {
                    return Some(id);
                };
                self.move_to_front(id);
                return Some(idlest);
            };
            self.give_round(id, used);
            *spared += 1;
            latest = latest.max(used);
            idlest = idlest.into_iter().chain([(used, id)]).min();
        }
        idlest.map(|(_, id)| id)
    }

    /// An entry that was used at `at` begins another round.
    pub(super) fn give_round(&mut self, id: u32, at: u64) {
        self.note_use(id, at);
        self.move_to_front(id);
    }

    /// Gives another round to what lost its cell after a use.
    pub(super) fn keep_uses(&mut self) {
        while let Some((id, at)) = self.cooled.used.pop() {
            self.give_round(id, at);
        }
    }

    /// The uses of these entries that the snapshot does not have go into it.
    pub(in crate::store::disk) fn log_uses(&mut self, digests: &[Digest]) {
        for digest in digests {
            let Some(id) = self.find(digest) else { continue };
            let cell = self.slab.get(id).hot.as_ref();
            if let Some(at) = cell.and_then(|cell| cell.take_unlogged()) {
                self.note_use(id, at);
            }
        }
    }

    fn note_use(&mut self, id: u32, at: u64) {
        let slot = self.slab.get_mut(id);
        if at > slot.stamp {
            slot.stamp = at;
            self.outdate(id);
        }
    }

    /// Puts an entry to the front of those that are known by this run. What is pinned takes its place when its pin ends.
    pub(super) fn move_to_front(&mut self, id: u32) {
        let slot = self.slab.get(id);
        if slot.list != ListKind::Pinned && self.lists.newest(slot.tenancy()) != Some(id) {
            self.unlink(id);
            self.link(id, ListKind::Used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{anybody, hit, index, record};
    use super::*;
    use crate::store::disk::hot::HotCell;
    use crate::store::disk::index::MAX_BATCH_SPARED;
    use crate::store::disk::probe::digest;

    fn full(names: std::ops::Range<u64>) -> Index {
        let mut index = index();
        names.for_each(|name| commit(&mut index, name));
        index
    }

    fn commit(index: &mut Index, name: u64) {
        let committed = index.commit(record(name, name + 1), None, HotCell::empty());
        committed.expect("not full");
    }

    /// The names of those that are evicted next.
    fn evict(index: &mut Index, most: usize) -> Vec<u64> {
        let evicted = index.evict(u64::MAX, most, anybody);
        let names = evicted.iter().map(|(victim, _)| victim.generation - 1);
        names.collect()
    }

    #[test]
    fn a_scan_pushes_out_nothing_that_is_in_use() {
        let mut index = full(0..100);
        for name in 100..1000 {
            if name % 20 == 0 {
                (0..10).for_each(|used| assert!(hit(&mut index, used, name).is_some(), "{used}"));
            }
            commit(&mut index, name);
            assert_eq!(evict(&mut index, 1).len(), 1);
        }
        assert_eq!(index.len(), 100);
    }

    #[test]
    fn what_was_just_written_does_not_go_for_what_was_used_before() {
        let mut index = full(0..3);
        (0..3).for_each(|name| assert!(hit(&mut index, name, 10 + name).is_some()));
        index
            .commit(record(3, 20), None, HotCell::empty())
            .expect("not full");
        let evicted = index.evict(1, 1, anybody);
        assert_eq!(evicted.first().map(|(victim, _)| victim.generation), Some(1));
        let evicted = index.evict(1, 1, anybody);
        assert_eq!(
            evicted.first().map(|(victim, _)| victim.generation),
            Some(2),
            "it is behind them"
        );
        // Used since that was written: it goes before them.
        assert!(hit(&mut index, 2, 30).is_some());
        let evicted = index.evict(1, 1, anybody);
        assert_eq!(evicted.first().map(|(victim, _)| victim.generation), Some(20));
    }

    #[test]
    fn a_choice_among_entries_that_were_all_used_ends_after_a_few_and_takes_the_idlest() {
        let mut index = full(0..5000);
        for name in 0..5000 {
            hit(&mut index, name, 10_000 + (name * 7) % 16);
        }
        let mut spared = 0;
        let victim = index.next_victim(NumberedTenancy::UNKNOWN, &mut spared);
        let victim = victim.and_then(|id| index.slab.get(id).generation.checked_sub(1));
        // 7 and 16 have no common divisor: one of any 16 was used before the others.
        assert_eq!((victim, spared), (Some(0), MAX_SPARED));
        // One of those that got a round goes each time, whatever that costs; so many and no more under one lock.
        let evicted = evict(&mut index, usize::MAX);
        assert_eq!(evicted.len(), MAX_BATCH_SPARED / MAX_SPARED);
    }

    #[test]
    fn a_use_is_not_lost_with_the_cell_that_noted_it() {
        let mut index = full(0..3);
        hit(&mut index, 0, 100);
        let seen = index.warm(&digest(0)).expect("an entry");
        index.distrust(&digest(0), &seen);
        assert_eq!(evict(&mut index, 2), [1, 2]);
        // It has had its round.
        commit(&mut index, 3);
        assert_eq!(evict(&mut index, 1), [0]);
    }

    #[test]
    fn what_the_snapshot_learns_of_a_use_takes_no_round_from_the_entry() {
        let mut index = full(0..2);
        drop(index.take_changes());
        index.all_as_logged(0, 10, |_| {});
        hit(&mut index, 0, 100);
        index.log_uses(&[digest(0), digest(1), digest(7)]);
        let mut rows = Vec::new();
        let changes = index.take_changes();
        index.changed(&changes.slots, |row| rows.push((row.generation, row.stamp)));
        assert_eq!(rows, [(1, 100)]);
        index.log_uses(&[digest(0)]);
        assert!(!index.has_changes());
        assert_eq!(evict(&mut index, 1), [1]);
    }
}
