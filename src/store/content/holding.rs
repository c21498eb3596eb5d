//! What keeps the bytes of an unlinked file on the volume, and who can be made to let them go.

use std::sync::Weak;

/// Who knows whether the bytes of an open file are needed by others.
pub trait FileHolder: std::fmt::Debug + Send + Sync {
    /// Whether somebody waits for room that this file holds although it has no name any more.
    fn is_wanted(&self) -> bool;

    /// One more reader that can be ended.
    fn add_reader(&self, reader: Weak<dyn SlowReader>);
}

/// A reader that may be too slow to keep others waiting.
pub trait SlowReader: std::fmt::Debug + Send + Sync {
    /// Ends it if it took less than [`MIN_READ_BYTES`] in [`MIN_READ_TIME_SECONDS`]. The first call begins to count.
    fn end_if_slow(&self);
}

/// A reader that takes fewer bytes in [`MIN_READ_TIME_SECONDS`] is slow.
pub const MIN_READ_BYTES: u64 = 64 * 1024;
/// See [`MIN_READ_BYTES`].
pub const MIN_READ_TIME_SECONDS: u32 = 10;
