//! A volume that is full although the account has room.

use std::io;

use super::Budget;
use crate::store::Error;

/// How often a write is tried again after entries made way.
const MAX_ATTEMPTS: usize = 4;
/// Freed beyond the need.
const SPARE_BYTES: u64 = 1 << 20;

/// The attempts of one write.
#[derive(Debug, Default)]
pub(crate) struct FullVolumeRetry {
    attempts: usize,
}

impl FullVolumeRetry {
    /// Whether to try again a write of `length` bytes that ended with `error`: the volume is full, and entries
    /// made way.
    pub(crate) async fn makes_way(&mut self, budget: &Budget, error: &Error, length: u64) -> bool {
        self.attempts += 1;
        self.attempts <= MAX_ATTEMPTS
            && matches!(error, Error::NoSpace { .. })
            && budget.make_room(length + SPARE_BYTES).await > 0
    }
}

/// An error of a write of `length` bytes.
pub(crate) fn write_error(operation: &'static str, error: io::Error, length: u64) -> Error {
    match Error::io(operation, error) {
        Error::NoSpace { reason, .. } => Error::NoSpace {
            needed: length,
            reason,
        },
        other => other,
    }
}
