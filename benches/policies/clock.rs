//! Visited bits in place of lists that move: a hit writes one bit, the rest happens when somebody has to go.

use std::collections::HashSet;

use super::cache::Policy;
use super::list::Order;
use super::segments::Segments;

/// First in, first out, with another round for what was read.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    order: Order,
    visited: HashSet<u64>,
}

impl Policy for Clock {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn insert(&mut self, key: u64, _bytes: u64) {
        self.order.touch(key);
    }

    fn hit(&mut self, key: u64) {
        self.visited.insert(key);
    }

    fn evict(&mut self) -> Option<u64> {
        loop {
            let key = self.order.pop()?;
            if !self.visited.remove(&key) {
                return Some(key);
            }
            self.order.touch(key);
        }
    }

    fn remove(&mut self, key: u64) {
        self.order.remove(key);
        self.visited.remove(&key);
    }
}

/// Two segments like those of [`super::lru::Segmented`], moved between by visited bits.
#[derive(Debug, Default)]
pub(crate) struct SegmentedClock {
    segments: Segments,
    visited: HashSet<u64>,
}

impl SegmentedClock {
    fn forget(&mut self, key: u64) {
        self.segments.forget(key);
        self.visited.remove(&key);
    }

    fn shrink_protected(&mut self) {
        while self.segments.is_too_protected() {
            let Some(key) = self.segments.protected.pop() else {
                break;
            };
            if self.visited.remove(&key) {
                self.segments.protected.touch(key);
            } else {
                self.segments.demote(key);
            }
        }
    }
}

impl Policy for SegmentedClock {
    fn name(&self) -> &'static str {
        "slru-bit"
    }

    fn insert(&mut self, key: u64, bytes: u64) {
        self.segments.insert(key, bytes);
    }

    fn hit(&mut self, key: u64) {
        self.visited.insert(key);
    }

    fn evict(&mut self) -> Option<u64> {
        loop {
            let Some((_, key)) = self.segments.probation.from(0) else {
                let (_, key) = self.segments.protected.from(0)?;
                self.forget(key);
                return Some(key);
            };
            if !self.visited.remove(&key) {
                self.forget(key);
                return Some(key);
            }
            self.segments.protect(key);
            self.shrink_protected();
        }
    }

    fn remove(&mut self, key: u64) {
        self.forget(key);
    }
}
