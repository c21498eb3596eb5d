//! Reservations of rules (`min_share`): one amount of bytes for each rule, which the tenants that match it divide.
//!
//! Each of them is covered up to what it holds, and all of them up to the level at which the reservation is used up.
//! What is covered does not count when somebody has to give room. A tenant of several rules takes from the first of them
//! first.
//!
//! Levels are computed when they are asked for after a change, in time for the tenants that have a part of any
//! reservation. No level changes while a tenant only gives room that is not covered.

use std::collections::{BTreeSet, HashMap};

use super::level::divide;
use super::seat::Seat;

/// All reservations.
#[derive(Debug, Default)]
pub(super) struct Guarantees {
    all: Vec<Guarantee>,
    outdated: bool,
}

#[derive(Debug)]
struct Guarantee {
    bytes: u64,
    /// Tenants that hold something and have a part of it.
    members: BTreeSet<u32>,
}

impl Guarantees {
    pub(super) fn new(bytes: Vec<u64>) -> Self {
        let guarantee = |bytes| Guarantee {
            bytes,
            members: BTreeSet::new(),
        };
        Self {
            all: bytes.into_iter().map(guarantee).collect(),
            outdated: false,
        }
    }

    /// Bytes of all of them: what is not divided among groups.
    pub(super) fn bytes(&self) -> u64 {
        self.all.iter().map(|guarantee| guarantee.bytes).sum()
    }

    /// A tenant holds something else, or nothing any more.
    pub(super) fn note(&mut self, number: u32, seat: &Seat) {
        for at in &seat.limits.reservations {
            let Some(guarantee) = self.all.get_mut(*at) else {
                continue;
            };
            let has_moved = match seat.holdings.is_empty() {
                true => guarantee.members.remove(&number),
                false => guarantee.members.insert(number),
            };
            // Who was above what is covered, and is, moves no level.
            let is_capped = seat.known.over > 0 && seat.holdings.bytes() > seat.covered;
            self.outdated |= has_moved || !is_capped;
        }
    }

    /// What is covered of which tenants, if that may have changed since it was asked for last.
    pub(super) fn take_covered(&mut self, seats: &[Seat]) -> Vec<(u32, u64)> {
        if !std::mem::take(&mut self.outdated) {
            return Vec::new();
        }
        let mut covered = HashMap::new();
        for guarantee in &self.all {
            let bytes = |number: u32| seats[number as usize].holdings.bytes();
            guarantee.cover(None, bytes, &mut covered);
        }
        covered.into_iter().collect()
    }

    /// How many bytes of a tenant would be covered if it held everything.
    pub(super) fn part(&self, number: u32, seats: &[Seat]) -> u64 {
        if seats[number as usize].limits.reservations.is_empty() {
            return 0;
        }
        let bytes = |other: u32| match other == number {
            true => u64::MAX,
            false => seats[other as usize].holdings.bytes(),
        };
        let mut covered = HashMap::new();
        for (at, guarantee) in self.all.iter().enumerate() {
            let joins = seats[number as usize].limits.reservations.contains(&at);
            let newcomer = Some(number).filter(|_| joins && !guarantee.members.contains(&number));
            guarantee.cover(newcomer, bytes, &mut covered);
        }
        covered.get(&number).copied().unwrap_or(0)
    }
}

impl Guarantee {
    /// Adds what this one covers to what those before it cover.
    fn cover(&self, newcomer: Option<u32>, bytes: impl Fn(u32) -> u64, covered: &mut HashMap<u32, u64>) {
        let members = self.members.iter().copied().chain(newcomer);
        let left = |number: u32| bytes(number) - covered.get(&number).copied().unwrap_or(0);
        let mut demands: Vec<_> = members.map(|number| (left(number), number)).collect();
        divide(self.bytes, &mut demands, |number, part| {
            *covered.entry(number).or_default() += part;
        });
    }
}
