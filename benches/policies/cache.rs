//! A cache of bytes around a policy.

use std::collections::HashMap;

/// Who goes next.
pub(crate) trait Policy {
    fn name(&self) -> &'static str;
    /// A key came in.
    fn insert(&mut self, key: u64, bytes: u64);
    /// A key that is there was read.
    fn hit(&mut self, key: u64);
    /// Chooses a key, which leaves.
    fn evict(&mut self) -> Option<u64>;
    /// A key was replaced: it leaves without a choice.
    fn remove(&mut self, key: u64);
}

pub(crate) struct Cache {
    policy: Box<dyn Policy>,
    room: u64,
    used: u64,
    sizes: HashMap<u64, u64>,
}

impl Cache {
    pub(crate) fn new(policy: Box<dyn Policy>, room: u64) -> Self {
        let (used, sizes) = (0, HashMap::new());
        Self {
            policy,
            room,
            used,
            sizes,
        }
    }

    pub(crate) fn read(&mut self, key: u64) -> bool {
        let is_hit = self.sizes.contains_key(&key);
        if is_hit {
            self.policy.hit(key);
        }
        is_hit
    }

    pub(crate) fn write(&mut self, key: u64, bytes: u64) {
        if bytes > self.room {
            return;
        }
        if let Some(former) = self.sizes.remove(&key) {
            self.policy.remove(key);
            self.used -= former;
        }
        while self.used + bytes > self.room {
            let Some(victim) = self.policy.evict() else { break };
            self.used -= self.sizes.remove(&victim).unwrap_or(0);
        }
        self.policy.insert(key, bytes);
        self.sizes.insert(key, bytes);
        self.used += bytes;
    }
}
