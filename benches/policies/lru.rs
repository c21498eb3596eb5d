//! Least recently used, whole and in two segments.

use super::cache::Policy;
use super::list::Order;
use super::segments::Segments;

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

/// What was read once moves into the protected segment.
#[derive(Debug, Default)]
pub(crate) struct Segmented(Segments);

impl Policy for Segmented {
    fn name(&self) -> &'static str {
        "slru"
    }

    fn insert(&mut self, key: u64, bytes: u64) {
        self.0.insert(key, bytes);
    }

    fn hit(&mut self, key: u64) {
        self.0.protect(key);
        while self.0.is_too_protected() {
            let Some(moved) = self.0.protected.pop() else {
                break;
            };
            self.0.demote(moved);
        }
    }

    fn evict(&mut self) -> Option<u64> {
        let victim = self.0.probation.from(0).or_else(|| self.0.protected.from(0));
        let (_, victim) = victim?;
        self.0.forget(victim);
        Some(victim)
    }

    fn remove(&mut self, key: u64) {
        self.0.forget(key);
    }
}
