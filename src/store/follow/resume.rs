//! Going on where a stream broke.

use std::time::Duration;

use crate::store::{Error, RemoteErrorKind, Result};
use crate::tasks;

/// How often a range is asked for again without a byte having arrived in between.
const MAX_ATTEMPTS: u32 = 7;
/// The first pause before that; each further one is twice as long.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Counts failures in a row of one range.
#[derive(Debug, Default)]
pub(super) struct Resumption {
    failures: u32,
}

impl Resumption {
    /// Bytes have arrived.
    pub(super) fn progressed(&mut self) {
        self.failures = 0;
    }

    /// Waits before the next attempt; `progress` says whether bytes had arrived before this failure.
    ///
    /// # Errors
    /// `error`, when another attempt cannot help or there were enough.
    pub(super) async fn wait_after(&mut self, error: Error, progress: bool) -> Result<()> {
        self.failures = if progress { 0 } else { self.failures + 1 };
        if is_final(&error) || self.failures >= MAX_ATTEMPTS {
            return Err(error);
        }
        tasks::pause(RETRY_INTERVAL * 2_u32.pow(self.failures)).await;
        Ok(())
    }
}

/// Whether asking again cannot help.
fn is_final(error: &Error) -> bool {
    !matches!(
        error.remote_error_kind(),
        Some(
            RemoteErrorKind::Unreachable
                | RemoteErrorKind::Throttled
                | RemoteErrorKind::ServerError
                | RemoteErrorKind::Timeout
                | RemoteErrorKind::Expired
                | RemoteErrorKind::Resting
                | RemoteErrorKind::Damaged
                | RemoteErrorKind::Other
        )
    )
}

/// A stream ended before its range did.
pub(super) fn cut() -> Error {
    let text = "the connection ended before the body did";
    Error::remote("fetching an entry", RemoteErrorKind::Other, text)
}
