//! The order of use: lists that run through the slots.

use super::slab::{NONE, Slab};

/// A doubly linked list of slots; the front was used last.
#[derive(Debug)]
pub(super) struct List {
    head: u32,
    tail: u32,
}

impl List {
    pub(super) fn new() -> Self {
        Self {
            head: NONE,
            tail: NONE,
        }
    }

    pub(super) fn front(&self) -> Option<u32> {
        (self.head != NONE).then_some(self.head)
    }

    pub(super) fn back(&self) -> Option<u32> {
        (self.tail != NONE).then_some(self.tail)
    }

    pub(super) fn push_front(&mut self, slab: &mut Slab, id: u32) {
        self.insert_before(slab, id, self.head);
    }

    /// Puts `id` in front of `next`; [`NONE`] means the very end.
    pub(super) fn insert_before(&mut self, slab: &mut Slab, id: u32, next: u32) {
        let prev = match next {
            NONE => std::mem::replace(&mut self.tail, id),
            next => std::mem::replace(&mut slab.get_mut(next).prev, id),
        };
        match prev {
            NONE => self.head = id,
            prev => slab.get_mut(prev).next = id,
        }
        let slot = slab.get_mut(id);
        slot.prev = prev;
        slot.next = next;
    }

    pub(super) fn unlink(&mut self, slab: &mut Slab, id: u32) {
        let (prev, next) = (slab.get(id).prev, slab.get(id).next);
        match prev {
            NONE => self.head = next,
            prev => slab.get_mut(prev).next = next,
        }
        match next {
            NONE => self.tail = prev,
            next => slab.get_mut(next).prev = prev,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::index::{Expect, Index, Record};
    use super::super::probe::digest;
    use crate::store::disk::hot::HotCell;
    use proptest::prelude::*;

    /// What the index should do, the slow way: oldest first.
    #[derive(Default)]
    struct Naive(Vec<(u64, u64)>);

    impl Naive {
        fn take(&mut self, name: u64) -> Option<u64> {
            let at = self.0.iter().position(|(other, _)| *other == name)?;
            Some(self.0.remove(at).1)
        }
    }

    fn record(name: u64, generation: u64) -> Record {
        Record {
            digest: digest(name),
            generation,
            stamp: generation,
            blocks: 1,
        }
    }

    fn check(index: &mut Index, naive: &mut Naive, step: (u8, u64), now: u64) {
        let (what, name) = step;
        match what {
            0 | 1 => {
                let former = index.commit(record(name, now), HotCell::empty());
                let former = former.expect("not full").map(|former| former.generation);
                assert_eq!(former, naive.take(name));
                naive.0.push((name, now));
            }
            2 => {
                let hit = index.hit(&digest(name), now).map(|hit| hit.generation);
                let known = naive.take(name);
                assert_eq!(hit, known);
                naive.0.extend(known.map(|generation| (name, generation)));
            }
            3 => {
                let removed = index.remove(&digest(name), Expect::Any);
                assert_eq!(removed.map(|removed| removed.generation), naive.take(name));
            }
            _ => {
                let evicted = index.evict(1, 1);
                let oldest = (!naive.0.is_empty()).then(|| naive.0.remove(0).1);
                assert_eq!(evicted.first().map(|victim| victim.generation), oldest);
            }
        }
        assert_eq!(index.len(), naive.0.len());
    }

    /// As the end of the scan does it, with other work between the slices.
    fn order(index: &mut Index, slice: usize, mut between: impl FnMut(&mut Index)) {
        let (mut found, mut from) = (Vec::new(), 0);
        while index.list_found(from, slice, &mut found) {
            from += slice;
        }
        found.sort_unstable();
        for slice in found.chunks(slice) {
            between(index);
            index.order_found(slice);
        }
    }

    #[test]
    fn requests_between_the_slices_of_a_sort_do_not_tear_the_lists() {
        let mut index = Index::new(0, 0);
        for name in 0..40 {
            index.found(&record(name, 1 + name * 17 % 41));
        }
        let mut round = 100;
        order(&mut index, 4, |index| {
            round += 1;
            index.hit(&digest(round % 40), round);
            index.remove(&digest(round % 37), Expect::Any);
            // Takes the slot of the removed one.
            index
                .commit(record(round, round), HotCell::empty())
                .expect("not full");
            index.pin(&digest(round % 31));
            index
                .commit(record(round % 29, 2 * round), HotCell::empty())
                .expect("not full");
            index.unpin(&digest(round % 31));
        });
        let mut stamps = std::collections::HashMap::new();
        index.records(0, 100, |record| {
            stamps.insert(record.generation, record.stamp);
        });
        let order: Vec<u64> = index
            .evict(u64::MAX, usize::MAX)
            .iter()
            .map(|victim| stamps[&victim.generation])
            .collect();
        assert_eq!(order.len(), stamps.len());
        assert!(order.is_sorted(), "{order:?}");
        assert_eq!(index.len(), 0);
    }

    proptest! {
        #[test]
        fn the_index_is_a_map_ordered_by_use(steps in prop::collection::vec((0..5_u8, 0..12_u64), 1..200)) {
            let mut index = Index::new(0, 0);
            let mut naive = Naive::default();
            for (now, step) in (1..).zip(steps) {
                check(&mut index, &mut naive, step, now);
            }
            let left: Vec<u64> = index.evict(u64::MAX, usize::MAX).iter().map(|victim| victim.generation).collect();
            let expected: Vec<u64> = naive.0.iter().map(|(_, generation)| *generation).collect();
            prop_assert_eq!(left, expected);
        }

        #[test]
        fn found_files_take_their_place_by_their_time(known in prop::collection::vec(1..1000_u64, 0..20), found in prop::collection::vec(1..1000_u64, 0..20)) {
            let mut known = known;
            known.sort_unstable();
            let mut index = Index::new(0, 0);
            let mut all = Vec::new();
            for (nth, stamp) in (0..).zip(known) {
                index.restore(&Record { stamp, ..record(nth, nth + 1) });
                all.push(stamp);
            }
            for (nth, stamp) in (100..).zip(found) {
                index.found(&Record { stamp, ..record(nth, nth + 1) });
                all.push(stamp);
            }
            order(&mut index, 7, |_| {});
            let mut left = Vec::new();
            index.records(0, 100, |record| left.push((record.generation, record.stamp)));
            let evicted = index.evict(u64::MAX, usize::MAX);
            let stamp = |generation| left.iter().find(|(other, _)| *other == generation).map(|(_, stamp)| *stamp);
            let order: Vec<u64> = evicted.iter().filter_map(|victim| stamp(victim.generation)).collect();
            all.sort_unstable();
            prop_assert_eq!(order, all);
        }
    }
}
