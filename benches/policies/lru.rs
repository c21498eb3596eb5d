//! Least recently used, whole and in two segments.

use std::collections::HashMap;

use super::cache::Policy;
use super::list::Order;

#[derive(Debug, Default)]
pub(crate) struct Lru(Order);

impl Policy for Lru {
    fn name(&self) -> &'static str {
        "lru"
    }

    fn insert(&mut self, key: u64, _bytes: u64) {
        self.0.touch(key);
    }

    fn hit(&mut self, key: u64) {
        self.0.touch(key);
    }

    fn evict(&mut self) -> Option<u64> {
        self.0.pop()
    }

    fn remove(&mut self, key: u64) {
        self.0.remove(key);
    }
}

/// What was read once moves into the protected segment, which has at most four fifths of the bytes.
#[derive(Debug, Default)]
pub(crate) struct Segmented {
    probation: Order,
    protected: Order,
    bytes: HashMap<u64, u64>,
    all: u64,
    protected_bytes: u64,
}

impl Segmented {
    fn forget(&mut self, key: u64) {
        let bytes = self.bytes.remove(&key).unwrap_or(0);
        self.all -= bytes;
        if self.protected.remove(key) {
            self.protected_bytes -= bytes;
        }
        self.probation.remove(key);
    }
}

impl Policy for Segmented {
    fn name(&self) -> &'static str {
        "slru"
    }

    fn insert(&mut self, key: u64, bytes: u64) {
        self.bytes.insert(key, bytes);
        self.all += bytes;
        self.probation.touch(key);
    }

    fn hit(&mut self, key: u64) {
        if self.probation.remove(key) {
            self.protected_bytes += self.bytes[&key];
        }
        self.protected.touch(key);
        while self.protected_bytes > self.all / 5 * 4 {
            let Some(moved) = self.protected.pop() else { break };
            self.protected_bytes -= self.bytes[&moved];
            self.probation.touch(moved);
        }
    }

    fn evict(&mut self) -> Option<u64> {
        let victim = self.probation.from(0).or_else(|| self.protected.from(0));
        let (_, victim) = victim?;
        self.forget(victim);
        Some(victim)
    }

    fn remove(&mut self, key: u64) {
        self.forget(key);
    }
}
