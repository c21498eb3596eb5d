//! Sets of numbers as ranges: which bytes of a file are taken, which blocks of it exist.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of numbers; neighbouring ranges are one.
#[derive(Debug, Default, Clone)]
pub(super) struct Intervals {
    /// Start to end.
    ranges: BTreeMap<u64, u64>,
    total: u64,
}

impl Intervals {
    /// How many numbers are in the set.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Of how many ranges it consists.
    pub(super) fn count(&self) -> u64 {
        self.ranges.len() as u64
    }

    /// The first number beyond all of the set.
    pub(super) fn end(&self) -> u64 {
        self.ranges.last_key_value().map_or(0, |(_, end)| *end)
    }

    /// Whether the set and `range` have a number in common.
    pub(super) fn overlaps(&self, range: &Range<u64>) -> bool {
        !range.is_empty()
            && self
                .last_before(range.end)
                .is_some_and(|(_, end)| end > range.start)
    }

    /// Whether all of `range` is in the set.
    pub(super) fn covers(&self, range: &Range<u64>) -> bool {
        let last = self.last_before(range.end);
        range.is_empty() || last.is_some_and(|(start, end)| start <= range.start && range.end <= end)
    }

    pub(super) fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        while let Some((from, to)) = self.last_before(end + 1).filter(|(_, to)| *to >= start) {
            self.take(from, to);
            start = start.min(from);
            end = end.max(to);
        }
        self.put(start, end);
    }

    pub(super) fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        while let Some((from, to)) = self.last_before(range.end).filter(|(_, to)| *to > range.start) {
            self.take(from, to);
            self.put(from, range.start.min(to));
            self.put(range.end.max(from), to);
        }
    }

    /// The last range that begins before `end`.
    fn last_before(&self, end: u64) -> Option<(u64, u64)> {
        self.ranges
            .range(..end)
            .next_back()
            .map(|(from, to)| (*from, *to))
    }

    fn take(&mut self, from: u64, to: u64) {
        self.ranges.remove(&from);
        self.total -= to - from;
    }

    fn put(&mut self, from: u64, to: u64) {
        if from < to {
            self.ranges.insert(from, to);
            self.total += to - from;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_set(steps in prop::collection::vec((any::<bool>(), 0_u64..60, 0_u64..20), 1..60)) {
            let (mut found, mut expected) = (Intervals::default(), BTreeSet::new());
            for (insert, start, length) in steps {
                let range = start..start + length;
                prop_assert_eq!(found.overlaps(&range), range.clone().any(|n| expected.contains(&n)));
                prop_assert_eq!(found.covers(&range), range.clone().all(|n| expected.contains(&n)));
                if insert {
                    found.insert(range.clone());
                    expected.extend(range);
                } else {
                    found.remove(range.clone());
                    expected.retain(|n| !range.contains(n));
                }
                prop_assert_eq!(found.total(), expected.len() as u64);
                prop_assert_eq!(found.end(), expected.last().map_or(0, |last| last + 1));
                let starts = expected.iter().filter(|n| **n == 0 || !expected.contains(&(**n - 1)));
                prop_assert_eq!(found.count(), starts.count() as u64);
            }
        }
    }
}
