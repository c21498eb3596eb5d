//! Why uploads end before they are entries, without their clients' doing.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::named::named_enum;

named_enum! {
    /// See the module.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum GivenUp {
        /// Without traffic, while others need what it holds.
        Room = "room",
        /// Without traffic for `gha.upload_timeout`.
        Idle = "idle",
        /// Older than `gha.upload_age`.
        Age = "age",
        /// Its tenant is above its share, and others need the room.
        Share = "share",
        /// Its token has expired.
        Expired = "expired",
    }
}

impl GivenUp {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Room => "an upload without traffic makes way for others",
            Self::Idle => "an upload without traffic is given up",
            Self::Age => "an upload older than gha.upload_age is given up",
            Self::Share => "an upload makes way: others need what is above its tenant's share",
            Self::Expired => "an upload whose token has expired is given up",
        }
    }
}

/// How many were given up, by the number of the reason.
#[derive(Debug, Default)]
pub(super) struct GivenUpCounts([AtomicU64; GivenUp::ALL.len()]);

impl GivenUpCounts {
    pub(super) fn count(&self, reason: GivenUp) {
        self.0[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn all(&self) -> [u64; GivenUp::ALL.len()] {
        self.0.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}
