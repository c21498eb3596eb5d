//! Keys in an order that can be changed at any place.

use std::collections::{BTreeMap, HashMap};

/// The first key is the one that came in or moved first.
#[derive(Debug, Default)]
pub(crate) struct Order {
    by_time: BTreeMap<u64, u64>,
    times: HashMap<u64, u64>,
    clock: u64,
}

impl Order {
    /// Makes `key` the last one.
    pub(crate) fn touch(&mut self, key: u64) {
        self.remove(key);
        self.clock += 1;
        self.by_time.insert(self.clock, key);
        self.times.insert(key, self.clock);
    }

    pub(crate) fn remove(&mut self, key: u64) -> bool {
        let time = self.times.remove(&key);
        time.is_some_and(|time| self.by_time.remove(&time).is_some())
    }

    pub(crate) fn pop(&mut self) -> Option<u64> {
        let (_, key) = self.by_time.pop_first()?;
        self.times.remove(&key);
        Some(key)
    }

    pub(crate) fn contains(&self, key: u64) -> bool {
        self.times.contains_key(&key)
    }

    /// The first key at `from` or later, and its time.
    pub(crate) fn from(&self, from: u64) -> Option<(u64, u64)> {
        self.by_time.range(from..).next().map(|(time, key)| (*time, *key))
    }
}
