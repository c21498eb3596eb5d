//! Whether the directory could be used at the last look.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// A look that takes longer says that the disk does not answer.
pub(super) const LOOK_TIMEOUT: Duration = Duration::from_secs(20);

/// Why the directory cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiskFault {
    /// The operating system refuses to read or write.
    #[error("reading or writing fails ({0}); check the volume, then restart if it was mounted anew")]
    Failing(String),
    /// A look did not come back.
    #[error("the volume has not answered for {} s; check it", LOOK_TIMEOUT.as_secs())]
    Silent,
    /// Another volume is there than at the start.
    #[error("another volume is there than at the start; mount the former one again, or restart the server")]
    OtherVolume,
    /// The lock file was replaced, and another process holds the new one.
    #[error("another process has taken the directory over; stop one of the two servers")]
    TakenOver,
}

/// What the last look found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DiskHealth {
    /// The directory can be used.
    #[default]
    Up,
    /// It cannot.
    Down {
        /// Why, with the remedy.
        fault: DiskFault,
        /// Since when.
        since: SystemTime,
    },
}

/// What the last look found, for those who ask.
#[derive(Debug)]
pub(super) struct HealthCheck {
    last: Mutex<DiskHealth>,
    /// The volume of the start.
    pub(super) volume: u64,
}

impl HealthCheck {
    /// `volume`: the device of the directory.
    pub(super) fn new(volume: u64) -> Self {
        Self {
            last: Mutex::default(),
            volume,
        }
    }

    pub(super) fn last(&self) -> DiskHealth {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note(&self, found: Result<(), DiskFault>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let since = match &*last {
            DiskHealth::Down { since, .. } => *since,
            DiskHealth::Up => SystemTime::now(),
        };
        *last = match found {
            Ok(()) => DiskHealth::Up,
            Err(fault) => DiskHealth::Down { fault, since },
        };
    }
}
