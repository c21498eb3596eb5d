//! Two segments: what came in stands on probation, what proved itself is protected.

use std::collections::HashMap;

use super::list::Order;

/// Keys of both segments and their bytes. The protected one has at most four fifths of them.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    pub(crate) probation: Order,
    pub(crate) protected: Order,
    bytes: HashMap<u64, u64>,
    all: u64,
    protected_bytes: u64,
}

impl Segments {
    pub(crate) fn insert(&mut self, key: u64, bytes: u64) {
        self.bytes.insert(key, bytes);
        self.all += bytes;
        self.probation.touch(key);
    }

    /// Makes `key` the last one of the protected segment, from whichever it stands in.
    pub(crate) fn protect(&mut self, key: u64) {
        if self.probation.remove(key) {
            self.protected_bytes += self.bytes[&key];
        }
        self.protected.touch(key);
    }

    pub(crate) fn is_too_protected(&self) -> bool {
        self.protected_bytes > self.all / 5 * 4
    }

    /// Puts a key that left the protected segment back on probation.
    pub(crate) fn demote(&mut self, key: u64) {
        self.protected_bytes -= self.bytes[&key];
        self.probation.touch(key);
    }

    pub(crate) fn forget(&mut self, key: u64) {
        let bytes = self.bytes.remove(&key).unwrap_or(0);
        self.all -= bytes;
        if self.protected.remove(key) {
            self.protected_bytes -= bytes;
        }
        self.probation.remove(key);
    }
}
