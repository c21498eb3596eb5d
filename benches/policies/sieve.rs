//! SIEVE: one queue, a visited bit, and a hand that goes from the oldest to the youngest.

use std::collections::HashSet;

use super::cache::Policy;
use super::list::Order;

#[derive(Debug, Default)]
pub(crate) struct Sieve {
    order: Order,
    visited: HashSet<u64>,
    hand: u64,
}

impl Policy for Sieve {
    fn name(&self) -> &'static str {
        "sieve"
    }

    fn insert(&mut self, key: u64, _bytes: u64) {
        self.order.touch(key);
    }

    fn hit(&mut self, key: u64) {
        self.visited.insert(key);
    }

    fn evict(&mut self) -> Option<u64> {
        loop {
            let (time, key) = self.order.from(self.hand).or_else(|| self.order.from(0))?;
            // Past the youngest it begins anew, before another one comes in.
            self.hand = self.order.from(time + 1).map_or(0, |(next, _)| next);
            if !self.visited.remove(&key) {
                self.order.remove(key);
                return Some(key);
            }
        }
    }

    fn remove(&mut self, key: u64) {
        self.order.remove(key);
        self.visited.remove(&key);
    }
}
