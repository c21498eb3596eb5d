//! Who writes.

use std::sync::atomic::{AtomicU64, Ordering};

/// One entry on its way in, in one request or in many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// An entry that comes in one request.
    Request(u64),
    /// An upload of the Actions cache, by its number.
    Upload(u64),
}

impl Writer {
    /// A request like no other.
    pub fn request() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self::Request(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}
