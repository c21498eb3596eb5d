//! One file of an upload: which bytes belong to whom, and what it takes on the volume.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::store::budget::BLOCK_BYTES;
use crate::store::spool::Checksums;

/// So many separate pieces of a file are described by one block of a volume, at least.
const PIECES_PER_MAP_BLOCK: u64 = 256;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct FileUsage {
    /// Bytes of complete blocks and of those that are on their way.
    taken: Intervals,
    /// Blocks of the volume that hold anything, by number. What is on its way is not among them: its room
    /// is its writer's.
    touched: Intervals,
}

impl FileUsage {
    /// Takes these bytes for one writer, unless one of them has an owner.
    pub(super) fn claim(&mut self, bytes: Range<u64>) -> bool {
        let free = !self.taken.overlaps(&bytes);
        if free {
            self.taken.insert(bytes);
        }
        free
    }

    /// Takes `length` bytes behind all others; they begin at the same distance from a whole MiB as `like`,
    /// so that their checksums can be compared.
    pub(super) fn append(&mut self, length: u64, like: u64) -> u64 {
        let end = self.taken.end();
        let ahead = (like % Checksums::BLOCK_BYTES + Checksums::BLOCK_BYTES - end % Checksums::BLOCK_BYTES)
            % Checksums::BLOCK_BYTES;
        self.taken.insert(end + ahead..end + ahead + length);
        end + ahead
    }

    /// Where the bytes of the last owner end.
    pub(super) fn end(&self) -> u64 {
        self.taken.end()
    }

    /// These bytes are on the volume, and stay.
    pub(super) fn keep(&mut self, bytes: &Range<u64>) {
        self.taken.insert(bytes.clone());
        self.touched.insert(blocks(bytes));
    }

    /// These bytes have no owner any more. `punched`: the volume holds nothing of the blocks that lie inside
    /// of them; else they stay on it as garbage.
    pub(super) fn release(&mut self, bytes: &Range<u64>, punched: bool) {
        self.taken.remove(bytes.clone());
        self.touched.insert(blocks(bytes));
        if punched {
            self.touched.remove(inner_blocks(bytes));
        }
    }

    /// Something was written there. The owner stays the same.
    pub(super) fn soil(&mut self, bytes: &Range<u64>) {
        self.touched.insert(blocks(bytes));
    }

    /// These bytes have no owner any more; nothing was written there.
    pub(super) fn forget(&mut self, bytes: &Range<u64>) {
        self.taken.remove(bytes.clone());
    }

    /// The file is cut to `length` bytes, all of which have an owner.
    pub(super) fn cut(&mut self, length: u64) {
        self.taken.remove(length..u64::MAX);
        self.touched.remove(length.div_ceil(BLOCK_BYTES)..u64::MAX);
        self.keep(&(0..length));
    }

    /// Bytes on the volume without those of the map.
    pub(super) fn bytes(&self) -> u64 {
        self.touched.total() * BLOCK_BYTES
    }

    /// Bytes on the volume, with the blocks that hold the map of the file.
    pub(super) fn cost(&self) -> u64 {
        self.bytes() + map(self.bytes()) + self.touched.count() / PIECES_PER_MAP_BLOCK * BLOCK_BYTES
    }
}

/// Blocks for the map of a file of `bytes` bytes, in bytes.
fn map(bytes: u64) -> u64 {
    match bytes > Checksums::BLOCK_BYTES {
        true => (1 + (bytes >> 27)) * BLOCK_BYTES,
        false => 0,
    }
}

/// The most that [`FileUsage::cost`] can grow by `length` more bytes.
pub(super) fn max_growth(length: u64) -> u64 {
    length.div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES) + (length >> 27) * BLOCK_BYTES + 4 * BLOCK_BYTES
}

fn blocks(bytes: &Range<u64>) -> Range<u64> {
    match bytes.is_empty() {
        true => 0..0,
        false => bytes.start / BLOCK_BYTES..bytes.end.div_ceil(BLOCK_BYTES),
    }
}

/// Blocks that hold nothing but these bytes.
fn inner_blocks(bytes: &Range<u64>) -> Range<u64> {
    let range = bytes.start.div_ceil(BLOCK_BYTES)..bytes.end / BLOCK_BYTES;
    if range.start < range.end { range } else { 0..0 }
}

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
        let last = self.last_before(range.end);
        !range.is_empty() && last.is_some_and(|(_, end)| end > range.start)
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
        let last = self.ranges.range(..end).next_back();
        last.map(|(from, to)| (*from, *to))
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

    #[test]
    fn bytes_have_one_owner_and_blocks_are_counted_once() {
        let mut usage = FileUsage::default();
        assert!(usage.claim(0..6000));
        assert!(!usage.claim(5999..6001));
        assert!(usage.claim(6000..7000));
        usage.keep(&(0..6000));
        usage.keep(&(6000..7000));
        assert_eq!(usage.cost(), 2 * BLOCK_BYTES);
        // The block that both share stays.
        usage.release(&(0..6000), true);
        assert_eq!(usage.cost(), BLOCK_BYTES);
        assert!(usage.claim(0..6000));
        usage.forget(&(0..6000));
        assert_eq!((usage.end(), usage.cost()), (7000, BLOCK_BYTES));
        usage.release(&(6000..7000), false);
        assert_eq!((usage.end(), usage.cost()), (0, BLOCK_BYTES));
    }

    #[test]
    fn a_repeated_block_is_cut_into_the_same_mib() {
        let mut usage = FileUsage::default();
        for like in [0, 1, 5 << 20, (3 << 20) - 1] {
            let at = usage.append(10, like);
            assert_eq!(at % Checksums::BLOCK_BYTES, like % Checksums::BLOCK_BYTES);
            assert_eq!(usage.end(), at + 10);
        }
    }

    #[test]
    fn growth_is_never_more_than_what_was_reserved() {
        for length in [0, 1, 4096, 5000, 1 << 20, (1 << 20) + 1, (1 << 27) - 1, 3 << 27] {
            for start in [0, 1, 4095, 1 << 20] {
                let mut usage = FileUsage::default();
                (0..PIECES_PER_MAP_BLOCK - 1)
                    .for_each(|nth| usage.keep(&(nth * 8192 + (1 << 40)..nth * 8192 + (1 << 40) + 1)));
                let before = usage.cost();
                usage.keep(&(start..start + length));
                assert!(usage.cost() - before <= max_growth(length), "{start} {length}");
            }
        }
    }

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
