//! What was found in the page cache a moment ago.

use std::ops::Range;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Instant;

/// Remembers for each block of a file that it was found in the page cache.
///
/// A probe costs a system call for each byte that is probed, which was a tenth of the CPU time of a large
/// read, and readers come in crowds: what one of them has found holds for the others for a moment. The kernel
/// takes pages that were just read last of all; the price of a wrong "yes" is one wait, after which the readers of
/// these blocks probe again.
#[derive(Debug)]
pub struct Residency {
    length: u64,
    /// The second in which a block was found; 0: never.
    found: Box<[AtomicU32]>,
}

impl Residency {
    /// Bytes of a block.
    const BLOCK_BYTES: u64 = 1 << 20;
    /// A probed byte stands for so many bytes around it: the kernel reads ahead and evicts in such steps.
    const READAHEAD_BYTES: u64 = 128 << 10;
    /// For how many seconds at most a block is taken to stay.
    const MAX_AGE_SECS: u32 = 2;

    /// Of a body of `length` bytes at the beginning of a file, of which nothing is known.
    pub fn new(length: u64) -> Self {
        Self {
            length,
            found: (0..length.div_ceil(Self::BLOCK_BYTES))
                .map(|_| AtomicU32::new(0))
                .collect(),
        }
    }

    /// Whether all of `range` is in the page cache, where `probe_byte` says it of one byte.
    pub fn holds(&self, range: &Range<u64>, probe_byte: impl Fn(u64) -> bool) -> bool {
        self.holds_at(now(), range, probe_byte)
    }

    fn holds_at(&self, now: u32, range: &Range<u64>, probe_byte: impl Fn(u64) -> bool) -> bool {
        if range.end > self.length {
            return false;
        }
        let mut at = range.start;
        while at < range.end {
            let block = at / Self::BLOCK_BYTES;
            let whole = block * Self::BLOCK_BYTES..((block + 1) * Self::BLOCK_BYTES).min(self.length);
            let end = range.end.min(whole.end);
            let Some(found) = self.found.get(block as usize) else {
                return false;
            };
            if now.wrapping_sub(found.load(Relaxed)) >= Self::MAX_AGE_SECS {
                if Self::probe(&whole, &probe_byte) {
                    found.store(now, Relaxed);
                } else if (at..end) == whole || !Self::probe(&(at..end), &probe_byte) {
                    return false;
                }
            }
            at = end;
        }
        true
    }

    /// A read of `range` had to wait: what was known of its blocks is no longer true.
    pub fn forget(&self, range: &Range<u64>) {
        let blocks = range.start / Self::BLOCK_BYTES..range.end.div_ceil(Self::BLOCK_BYTES);
        for found in blocks.filter_map(|block| self.found.get(block as usize)) {
            found.store(0, Relaxed);
        }
    }

    /// Probes a few bytes of `range`, which is at most a block, without remembering anything.
    pub fn probe(range: &Range<u64>, probe_byte: &impl Fn(u64) -> bool) -> bool {
        let length = range.end - range.start;
        probe_byte(range.end - 1)
            && (length <= Self::READAHEAD_BYTES
                || probe_byte(range.start) && probe_byte(range.start + length / 2))
    }
}

/// Seconds since the process began to ask, from [`Residency::MAX_AGE_SECS`] on: "never" is long ago from the start.
fn now() -> u32 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    (START.elapsed().as_secs() as u32).wrapping_add(Residency::MAX_AGE_SECS)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const MIB: u64 = 1 << 20;

    /// Asks once and answers what was said and where it looked.
    fn ask(residency: &Residency, now: u32, range: Range<u64>, cold: &[u64]) -> (bool, Vec<u64>) {
        let looked = RefCell::new(Vec::new());
        let held = residency.holds_at(now, &range, |at| {
            looked.borrow_mut().push(at);
            !cold.contains(&at)
        });
        (held, looked.into_inner())
    }

    #[test]
    fn a_block_is_looked_at_once_and_again_when_the_moment_is_over() {
        let residency = Residency::new(3 * MIB);
        let block = MIB..2 * MIB;
        let looks = vec![2 * MIB - 1, MIB, MIB + MIB / 2];
        assert_eq!(ask(&residency, 2, block.clone(), &[]), (true, looks.clone()));
        assert_eq!(ask(&residency, 2, block.clone(), &[]), (true, vec![]));
        assert_eq!(ask(&residency, 3, MIB + 5..MIB + 9, &[]), (true, vec![]));
        assert_eq!(ask(&residency, 4, block, &[]), (true, looks));
    }

    #[test]
    fn a_read_that_waited_makes_all_look_again() {
        let residency = Residency::new(3 * MIB);
        assert!(ask(&residency, 2, 0..3 * MIB, &[]).0);
        residency.forget(&(MIB + 1..2 * MIB));
        let looks = vec![2 * MIB - 1, MIB, MIB + MIB / 2];
        assert_eq!(ask(&residency, 2, 0..3 * MIB, &[]), (true, looks));
    }

    #[test]
    fn nothing_is_known_at_the_start() {
        assert!(now() >= Residency::MAX_AGE_SECS);
        let found = ask(&Residency::new(10), Residency::MAX_AGE_SECS, 0..10, &[9]);
        assert_eq!(found, (false, vec![9]));
    }

    #[test]
    fn what_was_cold_is_looked_at_again() {
        let residency = Residency::new(MIB);
        assert!(!ask(&residency, 2, 0..MIB, &[MIB / 2]).0);
        assert_eq!(ask(&residency, 2, 0..MIB, &[]).1.len(), 3);
    }

    #[test]
    fn a_hot_part_of_a_cold_block_is_hot_but_says_nothing_of_the_rest() {
        let residency = Residency::new(2 * MIB);
        assert!(ask(&residency, 2, 0..4096, &[MIB - 1]).0);
        assert!(!ask(&residency, 2, 0..MIB, &[MIB - 1]).0);
        assert!(!ask(&residency, 2, MIB - 10..MIB + 10, &[MIB - 1]).0);
    }

    #[test]
    fn ranges_over_several_blocks_look_at_all_of_them() {
        let residency = Residency::new(2 * MIB + 10);
        let last = 2 * MIB + 9;
        assert!(!ask(&residency, 2, MIB / 2..last + 1, &[last]).0);
        assert_eq!(ask(&residency, 2, MIB / 2..last + 1, &[]), (true, vec![last]));
    }

    #[test]
    fn nothing_is_there_beyond_the_end() {
        assert!(!ask(&Residency::new(MIB), 2, MIB..MIB + 1, &[]).0);
        assert!(!ask(&Residency::new(10), 2, 0..20, &[]).0);
        assert!(!ask(&Residency::new(MIB + 10), 2, MIB + 5..MIB + 11, &[]).0);
        assert!(ask(&Residency::new(0), 2, 0..0, &[]).0);
    }
}
