//! The index against a list that does the same the slow way.

use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::{ExpectedVersion, FileRecord, Index, ListKind};
use crate::store::disk::hot::HotCell;
use crate::store::disk::probe::digest;
use crate::store::shares::{
    NumberedTenancy, ReservedBytes, ShareTable, Shares, TenantHandle, TenantNumber, Victim,
};
use crate::store::{Rank, Tenant};

/// What the index should do, the slow way: who goes next comes first.
#[derive(Default)]
struct Naive(Vec<Known>);

#[derive(Clone, Copy)]
struct Known {
    name: u64,
    generation: u64,
    belongs: NumberedTenancy,
    /// When it came, or was used last when it got another round.
    stamp: u64,
    visited: Option<u64>,
}

impl Naive {
    fn find(&mut self, name: u64) -> Option<&mut Known> {
        self.0.iter_mut().find(|known| known.name == name)
    }

    fn take(&mut self, name: u64) -> Option<u64> {
        let at = self.0.iter().position(|known| known.name == name)?;
        Some(self.0.remove(at).generation)
    }

    fn take_next(&mut self, whose: NumberedTenancy) -> Option<u64> {
        let mut spared: Vec<(u64, u64)> = Vec::new();
        loop {
            let at = self.0.iter().position(|known| known.belongs == whose)?;
            let Some(used) = self.0[at].visited.take() else {
                let is_newer = |(used, _): &(u64, u64)| self.0[at].stamp > *used;
                let goes = match spared.iter().all(is_newer) {
                    true => spared.iter().min().map(|(_, name)| *name),
                    false => None,
                };
                let next = self.0[at].name;
                if goes.is_some() {
                    let newest = self.0.remove(at);
                    self.0.push(newest);
                }
                return self.take(goes.unwrap_or(next));
            };
            let mut known = self.0.remove(at);
            known.stamp = known.stamp.max(used);
            spared.push((used, known.name));
            self.0.push(known);
        }
    }
}

/// As a request does it. Answers the generation.
pub(super) fn hit(index: &mut Index, name: u64, now: u64) -> Option<u64> {
    let hit = index.warm(&digest(name))?;
    hit.cell.touch(now);
    Some(hit.generation)
}

pub(super) fn index() -> Index {
    // Nobody is above its share: whoever holds most gives room.
    Index::new(0, 0, Arc::new(Shares::new(u64::MAX)))
}

pub(super) fn anybody(shares: &mut ShareTable) -> Option<Victim> {
    shares.victim(None)
}

pub(super) fn record(name: u64, generation: u64) -> FileRecord {
    FileRecord {
        digest: digest(name),
        generation,
        stamp: generation,
        blocks: 1,
        belongs: None,
    }
}

/// Four tenants, the unknown one among them, with numbers that the test holds.
fn tenants(index: &Index) -> Vec<TenantHandle> {
    let tenant = |nth: u8| Tenant::new("https://issuer.test", &nth.to_string(), Some("group"));
    let handle = |nth| TenantHandle::new(&index.shares, tenant(nth).filter(|_| nth > 0).as_ref());
    (0..4).map(handle).collect()
}

fn check(
    index: &mut Index,
    naive: &mut Naive,
    step: (u8, u64, usize, Rank),
    tenants: &[TenantHandle],
    now: u64,
) {
    let (what, name, who, rank) = step;
    let tenant = tenants[who].number();
    let belongs = NumberedTenancy { tenant, rank };
    match what {
        0 | 1 => {
            let new = FileRecord {
                belongs: Some(belongs),
                ..record(name, now)
            };
            let former = index.commit(new, None, HotCell::empty());
            let former = former.expect("not full").map(|former| former.generation);
            assert_eq!(former, naive.take(name));
            naive.0.push(Known {
                name,
                generation: now,
                belongs,
                stamp: now,
                visited: None,
            });
        }
        2 => {
            let known = naive.find(name).map(|known| {
                // To within the grain of a cell.
                known.visited.get_or_insert(now);
                known.generation
            });
            assert_eq!(hit(index, name, now), known);
        }
        3 => {
            let removed = index.remove(&digest(name), ExpectedVersion::Any);
            let known = naive.take(name);
            assert_eq!(removed.map(|removed| removed.generation), known);
        }
        4 => {
            let generation = index.current(&digest(name));
            generation.inspect(|generation| index.assign(&digest(name), *generation, belongs));
            if let Some(known) = naive.find(name).filter(|known| known.belongs != belongs) {
                // It is the newest of its new list.
                let known = Known { belongs, ..*known };
                naive.take(name);
                naive.0.push(known);
            }
        }
        _ => {
            let whose = index.shares.table().victim(None);
            let evicted = index.evict(1, 1, anybody);
            let next = whose.and_then(|victim| naive.take_next(victim.whose));
            assert_eq!(evicted.first().map(|(victim, _)| victim.generation), next);
        }
    }
    assert_eq!(index.len(), naive.0.len());
    let bytes = index.shares.table().entry_bytes();
    assert_eq!(bytes, 4096 * naive.0.len() as u64);
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
    let mut index = index();
    for name in 0..40 {
        index.found(&record(name, 1 + name * 17 % 41));
    }
    let (mut round, mut used) = (100, HashSet::new());
    order(&mut index, ListKind::Found, 4, |index| {
        round += 1;
        hit(index, round % 40, round);
        used.insert(digest(round % 40));
        index.remove(&digest(round % 37), ExpectedVersion::Any);
        // Takes the slot of the removed one.
        index
            .commit(record(round, round), None, HotCell::empty())
            .expect("not full");
        index.pin(&digest(round % 31));
        index
            .commit(record(round % 29, 2 * round), None, HotCell::empty())
            .expect("not full");
        index.unpin(&digest(round % 31));
    });
    let mut stamps = std::collections::HashMap::new();
    index.records(0, 100, |record| {
        stamps.insert(record.generation, record.stamp);
    });
    let evicted = index.evict(u64::MAX, usize::MAX, anybody);
    assert_eq!(evicted.len(), stamps.len());
    let unused = evicted
        .iter()
        .filter(|(victim, _)| !used.contains(&victim.digest));
    let order: Vec<u64> = unused.map(|(victim, _)| stamps[&victim.generation]).collect();
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(index.len(), 0);
}

#[test]
fn a_row_of_the_snapshot_overrules_nothing_that_this_run_knows() {
    let mut index = index();
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
    hit(&mut index, 3, 100);
    index
        .commit(row(4, 9, 1), None, HotCell::empty())
        .expect("not full");
    for name in 2..5 {
        assert_eq!(index.restore(&row(name, 6, 2)), 0);
        assert_eq!(index.restore_gone(&digest(name), 99), 0);
    }
    let now = [2, 3, 4].map(|name| index.current(&digest(name)));
    assert_eq!(now, [Some(5), Some(5), Some(9)]);
}

#[test]
fn pins_and_versions_count_for_whom_they_belong_to() {
    let mut index = index();
    let tenants = tenants(&index);
    let numbers = [1, 2].map(|who: usize| tenants[who].number());
    let of = |who: usize, name, blocks| FileRecord {
        blocks,
        belongs: Some(NumberedTenancy {
            tenant: numbers[who],
            rank: Rank::Pushed,
        }),
        ..record(name, name + 10 * blocks as u64)
    };
    let held = |index: &Index| numbers.map(|number| *index.shares.table().holdings(number));
    index.shares.table().reserve(numbers[0], 9000);
    let reserved = Some(ReservedBytes {
        tenant: numbers[0],
        bytes: 9000,
    });
    index
        .commit(of(0, 1, 2), reserved, HotCell::empty())
        .expect("not full");
    drop(tenants);
    assert_eq!((held(&index)[0].reserved, held(&index)[0].bytes()), (0, 8192));
    index.pin(&digest(1));
    assert_eq!((held(&index)[0].pinned.bytes, index.pinned_bytes()), (8192, 8192));
    assert!(index.evict(1, 1, anybody).is_empty());
    // The next writer is another tenant, whose number is new again.
    let second = TenantHandle::new(&index.shares, Tenant::new("i", "2", None).as_ref());
    let mut other = of(1, 1, 3);
    other.belongs = other.belongs.map(|belongs| NumberedTenancy {
        tenant: second.number(),
        ..belongs
    });
    index.commit(other, None, HotCell::empty()).expect("not full");
    let sum = *index.shares.table().holdings(second.number());
    assert_eq!(
        (sum.pinned.bytes, sum.entries(), index.pinned_bytes()),
        (3 * 4096, 1, 3 * 4096)
    );
    index.unpin(&digest(1));
    let sum = *index.shares.table().holdings(second.number());
    assert_eq!(
        (sum.pinned.bytes, sum.bytes(), index.pinned_bytes()),
        (0, 3 * 4096, 0)
    );
    assert_eq!(index.evict(1, 1, anybody).len(), 1);
    assert_eq!(index.shares.table().entry_bytes(), 0);
    assert_ne!(second.number(), TenantNumber::UNKNOWN);
}

#[test]
fn the_snapshot_gets_each_change_once_and_nothing_else() {
    let mut index = index();
    let changed = |index: &mut Index| {
        index.log_uses(&(0..400).map(digest).collect::<Vec<_>>());
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
        hit(&mut index, 7, 200 + round);
    }
    index
        .commit(record(200, 300), None, HotCell::empty())
        .expect("not full");
    index.remove(&digest(9), ExpectedVersion::Any);
    // Takes the slot of the removed one, and leaves it before it was ever written.
    index
        .commit(record(201, 301), None, HotCell::empty())
        .expect("not full");
    index.remove(&digest(201), ExpectedVersion::Any);
    index
        .commit(record(202, 302), None, HotCell::empty())
        .expect("not full");
    let (rows, gone) = changed(&mut index);
    assert_eq!(rows, [300, 302, 8]);
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
    fn the_index_is_a_map_in_which_what_was_used_gets_another_round_in_its_rank(
        steps in prop::collection::vec((0..6_u8, 0..12_u64, 0..4_usize, prop::sample::select(Rank::ALL)), 1..200)
    ) {
        let mut index = index();
        let tenants = tenants(&index);
        let mut naive = Naive::default();
        for (now, step) in (1..).zip(steps) {
            check(&mut index, &mut naive, step, &tenants, now);
        }
        while !naive.0.is_empty() {
            check(&mut index, &mut naive, (5, 0, 0, Rank::Other), &tenants, 0);
        }
    }

    #[test]
    fn found_files_take_their_place_by_their_time(known in prop::collection::vec(1..1000_u64, 0..20), found in prop::collection::vec(1..1000_u64, 0..20)) {
        let mut index = index();
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
        let evicted = index.evict(u64::MAX, usize::MAX, anybody);
        let stamp = |generation| left.iter().find(|(other, _)| *other == generation).map(|(_, stamp)| *stamp);
        let order: Vec<u64> = evicted.iter().filter_map(|(victim, _)| stamp(victim.generation)).collect();
        all.sort_unstable();
        prop_assert_eq!(order, all);
    }
}
