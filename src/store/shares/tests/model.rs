//! Random tenants write, reserve, pin, remove and evict; the oracle says who may have to give room.

use std::sync::Arc;

use proptest::prelude::*;

use super::TestRules;
use super::oracle::{Naive, Oracle};
use crate::store::shares::{EvictionCause, Place, Shares, TenantHandle, TenantNumber, Victim};
use crate::store::tenant::Rank;

const CAPACITY: u64 = 10_000;
/// Rounding of whole bytes and of floats.
const INEXACT: f64 = 8.0;
/// Less than a byte is nothing.
const BYTE: f64 = 0.5;

#[derive(Debug, Clone)]
enum Step {
    Write { who: usize, rank: Rank, bytes: u64 },
    Pin { who: usize, entry: usize },
    Unpin { who: usize, rank: Rank },
    Remove { who: usize, entry: usize },
    Reserve { who: usize, bytes: u64 },
    Release { who: usize, bytes: u64 },
}

fn steps(tenants: usize, stuck: bool) -> impl Strategy<Value = Vec<Step>> {
    let rank = || prop::sample::select(Rank::ALL);
    let write =
        (0..tenants, rank(), 1..1500_u64).prop_map(|(who, rank, bytes)| Step::Write { who, rank, bytes });
    let remove = (0..tenants, 0..20_usize).prop_map(|(who, entry)| Step::Remove { who, entry });
    let pin = (0..tenants, 0..20_usize).prop_map(|(who, entry)| Step::Pin { who, entry });
    let unpin = (0..tenants, rank()).prop_map(|(who, rank)| Step::Unpin { who, rank });
    let reserve = (0..tenants, 1..3000_u64).prop_map(|(who, bytes)| Step::Reserve { who, bytes });
    let release = (0..tenants, 1..5000_u64).prop_map(|(who, bytes)| Step::Release { who, bytes });
    let stuck = u32::from(stuck);
    let step = prop_oneof![
        12 => write, 2 => remove, stuck => pin, stuck => unpin, 2 * stuck => reserve, 2 * stuck => release,
    ];
    prop::collection::vec(step, 1..120)
}

/// Group, weight and reservations of tenants; bytes of reservations.
fn rules() -> impl Strategy<Value = (Vec<usize>, TestRules)> {
    let parts =
        prop::collection::btree_set(0..2_usize, 0..3).prop_map(|set| set.into_iter().collect::<Vec<_>>());
    let terms = (1..5_u32, prop_oneof![3 => Just(Vec::new()), 1 => parts]);
    let tenants = prop::collection::vec((0..4_usize, terms), 1..9);
    (tenants, prop::collection::vec(0..2500_u64, 0..3)).prop_map(|(tenants, reservations)| {
        let (groups, tenants) = tenants.into_iter().unzip();
        (
            groups,
            TestRules {
                reservations,
                tenants,
            },
        )
    })
}

/// Both sides.
struct Pair {
    shares: Arc<Shares>,
    handles: Vec<TenantHandle>,
    oracle: Oracle,
    largest: u64,
}

impl Pair {
    fn new(groups: &[usize], rules: &TestRules) -> Self {
        let shares = Arc::new(Shares::new(CAPACITY));
        shares.table().follow(rules.rules());
        let handle =
            |(at, group): (usize, &usize)| TenantHandle::new(&shares, Some(&rules.tenant(at, *group)));
        let naive = |(at, group): (usize, &usize)| Naive {
            group: *group,
            weight: rules.tenants[at].0,
            reservations: rules.tenants[at].1.clone(),
            ..Naive::default()
        };
        Self {
            handles: groups.iter().enumerate().map(handle).collect(),
            oracle: Oracle {
                capacity: CAPACITY,
                reservations: rules.reservations.clone(),
                tenants: groups.iter().enumerate().map(naive).collect(),
            },
            shares,
            largest: 0,
        }
    }

    fn number(&self, who: usize) -> TenantNumber {
        self.handles[who].number()
    }

    fn take(&mut self, who: usize, at: usize) {
        let (rank, bytes) = self.oracle.tenants[who].entries.remove(at);
        let place = rank.map_or(Place::Pinned, Place::Rank);
        self.shares.table().remove_entry(self.number(who), place, bytes);
    }

    fn add(&mut self, who: usize, rank: Option<Rank>, bytes: u64) {
        let place = rank.map_or(Place::Pinned, Place::Rank);
        self.shares.table().add_entry(self.number(who), place, bytes);
        self.oracle.tenants[who].entries.push((rank, bytes));
        self.largest = self.largest.max(bytes);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Write { who, rank, bytes } => self.add(who, Some(rank), bytes),
            Step::Remove { who, entry } if entry < self.oracle.tenants[who].entries.len() => {
                self.take(who, entry);
            }
            Step::Pin { who, entry } if entry < self.oracle.tenants[who].entries.len() => {
                let bytes = self.oracle.tenants[who].entries[entry].1;
                self.take(who, entry);
                self.add(who, None, bytes);
            }
            Step::Unpin { who, rank } => {
                let entries = &self.oracle.tenants[who].entries;
                if let Some(at) = entries.iter().position(|(rank, _)| rank.is_none()) {
                    let bytes = entries[at].1;
                    self.take(who, at);
                    self.add(who, Some(rank), bytes);
                }
            }
            Step::Reserve { who, bytes } => {
                self.shares.table().reserve(self.number(who), bytes);
                self.oracle.tenants[who].reserved += bytes;
            }
            Step::Release { who, bytes } => {
                let bytes = bytes.min(self.oracle.tenants[who].reserved);
                self.shares.table().release(self.number(who), bytes);
                self.oracle.tenants[who].reserved -= bytes;
            }
            Step::Remove { .. } | Step::Pin { .. } => {}
        }
    }

    /// Makes room down to the capacity, for a body of `writer`.
    fn evict(&mut self, writer: usize) {
        while self.oracle.bytes() > CAPACITY {
            let victim = self.shares.table().victim(Some(self.number(writer)));
            let shares = self.oracle.shares(INEXACT);
            let Some(Victim { whose: victim, cause }) = victim else {
                return self.check_nobody(writer, &shares);
            };
            let who = (0..self.handles.len()).find(|who| self.number(*who) == victim.tenant);
            let who = who.expect("a known tenant");
            let (share, _) = shares[who];
            let nobody = shares.iter().all(|(_, above)| !above);
            let right = match cause {
                // The table counts in whole bytes.
                EvictionCause::Above => self.oracle.shares(-INEXACT)[who].1,
                EvictionCause::Own => who == writer,
                EvictionCause::Nobody => nobody,
                EvictionCause::Rule | EvictionCause::Unused => false,
            };
            assert!(right, "{who} is at or below its share: {cause:?}, {shares:?}");
            let naive = &self.oracle.tenants[who];
            let exact = [share - INEXACT, share, share + INEXACT].map(|share| naive.rank(share));
            assert!(exact.contains(&Some(victim.rank)), "{exact:?} {:?}", victim.rank);
            let oldest = |(rank, _): &(Option<Rank>, u64)| *rank == Some(victim.rank);
            let at = naive
                .entries
                .iter()
                .position(oldest)
                .expect("it has such an entry");
            self.take(who, at);
        }
    }

    /// Nobody has to give room: who could is at or below its share, and somebody else is to blame.
    fn check_nobody(&self, writer: usize, shares: &[(f64, bool)]) {
        assert!(!self.oracle.tenants[writer].is_evictable(), "the writer could");
        for (tenant, (_, above)) in self.oracle.tenants.iter().zip(shares) {
            assert!(!above || !tenant.is_evictable(), "one above could: {shares:?}");
        }
        let has_some = self.oracle.tenants.iter().any(Naive::is_evictable);
        assert!(
            !has_some || self.oracle.shares(-INEXACT).iter().any(|(_, above)| *above),
            "nobody is above"
        );
    }

    fn check_sums(&self) {
        let table = self.shares.table();
        let mut entry_bytes = 0;
        for (who, naive) in self.oracle.tenants.iter().enumerate() {
            let holdings = table.holdings(self.number(who));
            assert_eq!(
                (holdings.bytes(), holdings.entries()),
                (naive.bytes(), naive.entries.len() as u64)
            );
            entry_bytes += holdings.entry_bytes();
        }
        assert_eq!(table.entry_bytes(), entry_bytes);
    }

    /// The share that is told is the one that holds: with what is covered for whoever is above it.
    fn check_shares(&self) {
        for (who, (share, above)) in self.oracle.shares(BYTE).into_iter().enumerate() {
            let told = self.shares.table().share(self.number(who)) as f64;
            if above {
                assert!((told - share).abs() < INEXACT, "{who}: {told} told, {share}");
                assert!(self.shares.table().is_above(self.number(who), INEXACT as u64));
            } else if self.oracle.tenants[who].holds() {
                assert!(told > share - INEXACT, "{who}: {told} told, {share}");
            }
        }
    }
}

proptest! {
    #[test]
    fn nobody_at_its_share_gives_room_whatever_happens((groups, rules) in rules(), steps in steps(9, true)) {
        let mut pair = Pair::new(&groups, &rules);
        for step in steps {
            let writer = match step {
                Step::Write { who, .. } | Step::Pin { who, .. } | Step::Unpin { who, .. }
                | Step::Remove { who, .. } | Step::Reserve { who, .. } | Step::Release { who, .. } => who,
            };
            if writer < groups.len() {
                pair.step(&step);
                pair.evict(writer);
                pair.check_sums();
                pair.check_shares();
            }
        }
    }

    #[test]
    fn what_stays_is_the_max_min_division_of_what_was_there((groups, rules) in rules(), steps in steps(9, false)) {
        let mut pair = Pair::new(&groups, &rules);
        for (nth, step) in steps.into_iter().enumerate() {
            let (Step::Write { who, .. } | Step::Remove { who, .. }) = step else { continue };
            if who >= groups.len() {
                continue;
            }
            pair.step(&step);
            // Now and then only, so that there is much to evict.
            if nth % 16 == 15 {
                let kept = pair.oracle.kept();
                pair.evict(who);
                prop_assert!(pair.oracle.bytes() <= CAPACITY);
                for (kept, tenant) in kept.iter().zip(&pair.oracle.tenants) {
                    let left = tenant.bytes() as f64;
                    prop_assert!(left + pair.largest as f64 + INEXACT >= *kept, "{left} of {kept}");
                }
            }
        }
    }
}
