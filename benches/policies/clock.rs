//! Visited bits in place of lists that move: a hit writes one bit, the rest happens when somebody has to go.

use std::collections::{HashMap, HashSet};

use super::cache::Policy;
use super::list::Order;

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
    probation: Order,
    protected: Order,
    visited: HashSet<u64>,
    bytes: HashMap<u64, u64>,
    all: u64,
    protected_bytes: u64,
}

impl SegmentedClock {
    fn forget(&mut self, key: u64) {
        let bytes = self.bytes.remove(&key).unwrap_or(0);
        self.all -= bytes;
        if self.protected.remove(key) {
            self.protected_bytes -= bytes;
        }
        self.probation.remove(key);
        self.visited.remove(&key);
    }

    fn shrink_protected(&mut self) {
        while self.protected_bytes > self.all / 5 * 4 {
            let Some(key) = self.protected.pop() else { break };
            if self.visited.remove(&key) {
                self.protected.touch(key);
            } else {
                self.protected_bytes -= self.bytes[&key];
                self.probation.touch(key);
            }
        }
    }
}

impl Policy for SegmentedClock {
    fn name(&self) -> &'static str {
        "slru-bit"
    }

    fn insert(&mut self, key: u64, bytes: u64) {
        self.bytes.insert(key, bytes);
        self.all += bytes;
        self.probation.touch(key);
    }

    fn hit(&mut self, key: u64) {
        self.visited.insert(key);
    }

    fn evict(&mut self) -> Option<u64> {
        loop {
            let Some((_, key)) = self.probation.from(0) else {
                let (_, key) = self.protected.from(0)?;
                self.forget(key);
                return Some(key);
            };
            if !self.visited.remove(&key) {
                self.forget(key);
                return Some(key);
            }
            self.probation.remove(key);
            self.protected.touch(key);
            self.protected_bytes += self.bytes[&key];
            self.shrink_protected();
        }
    }

    fn remove(&mut self, key: u64) {
        self.forget(key);
    }
}
