//! First in, first out: one queue, and three of them.

use std::collections::HashMap;

use super::cache::Policy;
use super::list::Order;

#[derive(Debug, Default)]
pub(crate) struct Fifo(Order);

impl Policy for Fifo {
    fn name(&self) -> &'static str {
        "fifo"
    }

    fn insert(&mut self, key: u64, _bytes: u64) {
        self.0.touch(key);
    }

    fn hit(&mut self, _key: u64) {}

    fn evict(&mut self) -> Option<u64> {
        self.0.pop()
    }

    fn remove(&mut self, key: u64) {
        self.0.remove(key);
    }
}

/// S3-FIFO: a small queue of a tenth of the bytes, a main one, and the names of what left the small one.
#[derive(Debug, Default)]
pub(crate) struct S3Fifo {
    small: Order,
    main: Order,
    ghosts: Order,
    ghost_count: usize,
    /// Bytes and uses, at most 3.
    keys: HashMap<u64, (u64, u8)>,
    small_bytes: u64,
    all: u64,
}

impl S3Fifo {
    fn forget(&mut self, key: u64) {
        let (bytes, _) = self.keys.remove(&key).unwrap_or((0, 0));
        self.all -= bytes;
        if self.small.remove(key) {
            self.small_bytes -= bytes;
        }
        self.main.remove(key);
    }

    fn remember(&mut self, key: u64) {
        self.ghosts.touch(key);
        self.ghost_count += 1;
        while self.ghost_count > self.keys.len().max(1) && self.ghosts.pop().is_some() {
            self.ghost_count -= 1;
        }
    }

    fn evict_small(&mut self) -> Option<u64> {
        while let Some((_, key)) = self.small.from(0) {
            let (bytes, uses) = self.keys[&key];
            if uses == 0 {
                self.forget(key);
                self.remember(key);
                return Some(key);
            }
            self.small.remove(key);
            self.small_bytes -= bytes;
            self.keys.insert(key, (bytes, 0));
            self.main.touch(key);
        }
        None
    }

    fn evict_main(&mut self) -> Option<u64> {
        while let Some((_, key)) = self.main.from(0) {
            let (bytes, uses) = self.keys[&key];
            if uses == 0 {
                self.forget(key);
                return Some(key);
            }
            self.keys.insert(key, (bytes, uses - 1));
            self.main.touch(key);
        }
        None
    }
}

impl Policy for S3Fifo {
    fn name(&self) -> &'static str {
        "s3-fifo"
    }

    fn insert(&mut self, key: u64, bytes: u64) {
        self.keys.insert(key, (bytes, 0));
        self.all += bytes;
        if self.ghosts.contains(key) {
            self.ghosts.remove(key);
            self.ghost_count -= 1;
            self.main.touch(key);
        } else {
            self.small_bytes += bytes;
            self.small.touch(key);
        }
    }

    fn hit(&mut self, key: u64) {
        if let Some((_, uses)) = self.keys.get_mut(&key) {
            *uses = (*uses + 1).min(3);
        }
    }

    fn evict(&mut self) -> Option<u64> {
        let from_small = self.small_bytes > self.all / 10;
        let first = if from_small {
            self.evict_small()
        } else {
            self.evict_main()
        };
        first.or_else(|| self.evict_small()).or_else(|| self.evict_main())
    }

    fn remove(&mut self, key: u64) {
        self.forget(key);
    }
}
