//! Visited bits in place of lists that move: a hit writes one bit, the rest happens when somebody has to go.

use std::collections::{HashMap, HashSet};

use super::cache::Policy;
use super::list::Order;
use super::segments::Segments;

/// Most that get another round for one that has to go.
const MAX_SPARED: usize = 16;

/// First in, first out, with another round for what was read: as the index of the disk does it. Of those that got a
/// round the idlest goes if they are many, or if what comes next is newer than all their uses.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    order: Order,
    now: u64,
    /// When it came, or was used last when it got another round.
    stamps: HashMap<u64, u64>,
    visited: HashMap<u64, u64>,
}

impl Clock {
    fn choose(&mut self) -> Option<u64> {
        let mut spared: Vec<(u64, u64)> = Vec::new();
        while spared.len() < MAX_SPARED {
            let (_, key) = self.order.from(0)?;
            let Some(used) = self.visited.remove(&key) else {
                let is_newer = spared.iter().all(|(used, _)| self.stamps[&key] > *used);
                let Some((_, idlest)) = spared.iter().min().filter(|_| is_newer) else {
                    return Some(key);
                };
                self.order.touch(key);
                return Some(*idlest);
            };
            self.order.touch(key);
            self.stamps.insert(key, used);
            spared.push((used, key));
        }
        spared.iter().min().map(|(_, key)| *key)
    }
}

impl Policy for Clock {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn insert(&mut self, key: u64, _bytes: u64) {
        self.now += 1;
        self.order.touch(key);
        self.stamps.insert(key, self.now);
        self.visited.remove(&key);
    }

    fn hit(&mut self, key: u64) {
        self.now += 1;
        self.visited.insert(key, self.now);
    }

    fn evict(&mut self) -> Option<u64> {
        let key = self.choose()?;
        self.remove(key);
        Some(key)
    }

    fn remove(&mut self, key: u64) {
        self.order.remove(key);
        self.stamps.remove(&key);
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
