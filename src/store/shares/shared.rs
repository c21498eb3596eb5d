//! The table that index and account use together.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::table::ShareTable;

/// See [`super`].
#[derive(Debug)]
pub(crate) struct Shares(Mutex<ShareTable>);

impl Shares {
    /// `capacity` bytes are divided, and nobody holds anything.
    pub(crate) fn new(capacity: u64) -> Self {
        Self(Mutex::new(ShareTable::new(capacity)))
    }

    /// Nothing may be called that takes another lock while this one is held.
    pub(crate) fn table(&self) -> MutexGuard<'_, ShareTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
