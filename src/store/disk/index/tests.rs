//! The index against a list that does the same the slow way.

use proptest::prelude::*;

use super::{ExpectedVersion, FileRecord, Index, ListKind};
use crate::store::disk::hot::HotCell;
use crate::store::disk::probe::digest;

/// What the index should do, the slow way: oldest first.
#[derive(Default)]
struct Naive(Vec<(u64, u64)>);

impl Naive {
    fn take(&mut self, name: u64) -> Option<u64> {
        let at = self.0.iter().position(|(other, _)| *other == name)?;
        Some(self.0.remove(at).1)
    }
}

fn record(name: u64, generation: u64) -> FileRecord {
    FileRecord {
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
            let removed = index.remove(&digest(name), ExpectedVersion::Any);
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
fn order(index: &mut Index, list: ListKind, slice: usize, mut between: impl FnMut(&mut Index)) {
    let (mut found, mut from) = (Vec::new(), 0);
    while index.list_slots(list, from, slice, &mut found) {
        from += slice;
    }
    found.sort_unstable();
    for slice in found.chunks(slice) {
        between(index);
        index.order(list, slice);
    }
}

#[test]
fn requests_between_the_slices_of_a_sort_do_not_tear_the_lists() {
    let mut index = Index::new(0, 0);
    for name in 0..40 {
        index.found(&record(name, 1 + name * 17 % 41));
    }
    let mut round = 100;
    order(&mut index, ListKind::Found, 4, |index| {
        round += 1;
        index.hit(&digest(round % 40), round);
        index.remove(&digest(round % 37), ExpectedVersion::Any);
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

#[test]
fn a_row_of_the_snapshot_overrules_nothing_that_this_run_knows() {
    let mut index = Index::new(0, 0);
    let row = |name, generation, blocks| FileRecord {
        blocks,
        ..record(name, generation)
    };
    assert_eq!(index.restore(&row(1, 5, 1)), 4096);
    assert_eq!(index.restore(&row(1, 7, 3)), 2 * 4096, "a later row");
    assert_eq!(index.restore_gone(&digest(1), 6), 0, "an older version is gone");
    assert_eq!(index.restore_gone(&digest(1), 7), -3 * 4096);
    assert_eq!((index.len(), index.current(&digest(1))), (0, None));
    // Met by the scan, used, and written in this run.
    index.found(&row(2, 5, 1));
    index.restore(&row(3, 5, 1));
    index.hit(&digest(3), 100);
    index.commit(row(4, 9, 1), HotCell::empty()).expect("not full");
    for name in 2..5 {
        assert_eq!(index.restore(&row(name, 6, 2)), 0);
        assert_eq!(index.restore_gone(&digest(name), 99), 0);
    }
    let now = [2, 3, 4].map(|name| index.current(&digest(name)));
    assert_eq!(now, [Some(5), Some(5), Some(9)]);
}

#[test]
fn the_snapshot_gets_each_change_once_and_nothing_else() {
    let mut index = Index::new(0, 0);
    let changed = |index: &mut Index| {
        let changes = index.take_changes();
        let mut rows = Vec::new();
        index.changed(&changes.slots, |record| rows.push(record.generation));
        (rows, changes.gone)
    };
    for name in 0..100 {
        index.restore(&record(name, 1 + name));
    }
    assert_eq!(changed(&mut index), (vec![], vec![]));
    for round in 0..3 {
        index.hit(&digest(7), 200 + round);
    }
    index
        .commit(record(200, 300), HotCell::empty())
        .expect("not full");
    index.remove(&digest(9), ExpectedVersion::Any);
    // Takes the slot of the removed one, and leaves it before it was ever written.
    index
        .commit(record(201, 301), HotCell::empty())
        .expect("not full");
    index.remove(&digest(201), ExpectedVersion::Any);
    index
        .commit(record(202, 302), HotCell::empty())
        .expect("not full");
    let (rows, gone) = changed(&mut index);
    assert_eq!(rows, [8, 300, 302]);
    assert_eq!(gone, [(digest(9), 10)]);
    assert_eq!(changed(&mut index), (vec![], vec![]));
    index.remove(&digest(202), ExpectedVersion::Any);
    assert_eq!(changed(&mut index), (vec![], vec![(digest(202), 302)]));
    // Found before its row was read.
    index.found(&record(300, 400));
    index.restore(&record(300, 400));
    assert_eq!(changed(&mut index), (vec![], vec![]));
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
        let mut index = Index::new(0, 0);
        let mut all = Vec::new();
        for (nth, stamp) in (0..).zip(known) {
            index.restore(&FileRecord { stamp, ..record(nth, nth + 1) });
            all.push(stamp);
        }
        for (nth, stamp) in (100..).zip(found) {
            index.found(&FileRecord { stamp, ..record(nth, nth + 1) });
            all.push(stamp);
        }
        order(&mut index, ListKind::Restored, 7, |_| {});
        order(&mut index, ListKind::Found, 7, |_| {});
        let mut left = Vec::new();
        index.records(0, 100, |record| left.push((record.generation, record.stamp)));
        let evicted = index.evict(u64::MAX, usize::MAX);
        let stamp = |generation| left.iter().find(|(other, _)| *other == generation).map(|(_, stamp)| *stamp);
        let order: Vec<u64> = evicted.iter().filter_map(|victim| stamp(victim.generation)).collect();
        all.sort_unstable();
        prop_assert_eq!(order, all);
    }
}
