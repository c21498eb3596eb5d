//! The state of the journal's stream of one namespace, and its catch-ups.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::store::journal::Ulid;

/// The clocks of two servers may differ by this much, and a record may be on its way for as long.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60);
/// Look-ups wait this long for a catch-up, from its begin on.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(2);
/// Look-ups wait this long for the first catch-up of a namespace.
const FIRST_CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);
/// A stream is idle if no look-up asked for it in this time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(super) struct StreamState {
    /// All records before it are known, but for the last [`MAX_CLOCK_SKEW`].
    pub(super) cursor: Option<Ulid>,
    /// Names within [`MAX_CLOCK_SKEW`] before the cursor, and after it.
    pub(super) known: BTreeSet<Ulid>,
    running: Option<CatchUp>,
    ended: Option<Instant>,
}

/// A catch-up that look-ups wait for.
#[derive(Debug, Clone)]
pub(super) struct CatchUp {
    pub(super) done: CancellationToken,
    pub(super) deadline: Instant,
}

/// The part of a look-up in a catch-up.
pub(super) enum Join {
    /// Run a new catch-up, and wait for it.
    Begin(CatchUp),
    /// Wait for the one that runs.
    Wait(CatchUp),
    /// Nothing: the last one ended a moment ago, or the running one takes too long.
    Skip,
}

impl StreamState {
    /// A stream of which all records before `cursor` are known.
    pub(super) fn new(cursor: Option<Ulid>) -> Self {
        Self {
            cursor,
            ..Self::default()
        }
    }

    /// Joins the running catch-up, or begins one if the last one ended `interval` ago.
    pub(super) fn join(&mut self, interval: Duration) -> Join {
        let now = Instant::now();
        match &self.running {
            Some(running) if running.deadline > now => return Join::Wait(running.clone()),
            Some(_) => return Join::Skip,
            None => {}
        }
        if self.ended.is_some_and(|ended| now - ended < interval) {
            return Join::Skip;
        }
        let limit = match self.cursor {
            Some(_) => CATCH_UP_TIMEOUT,
            None => FIRST_CATCH_UP_TIMEOUT,
        };
        let begun = CatchUp {
            done: CancellationToken::new(),
            deadline: now + limit,
        };
        self.running = Some(begun.clone());
        Join::Begin(begun)
    }

    /// The running catch-up has ended.
    pub(super) fn end(&mut self) {
        self.running = None;
        self.ended = Some(Instant::now());
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub(super) fn is_idle(&self) -> bool {
        let is_old = self.ended.is_some_and(|ended| ended.elapsed() > IDLE_TIMEOUT);
        is_old && self.running.is_none()
    }

    /// Moves the cursor forward.
    pub(super) fn advance(&mut self, cursor: Ulid) {
        self.cursor = self.cursor.max(Some(cursor));
        if let Some(cursor) = self.cursor {
            self.known = self.known.split_off(&earliest(cursor));
        }
    }
}

/// The earliest name that may still arrive when the records before `id` were read.
pub(super) fn earliest(id: Ulid) -> Ulid {
    let skew = MAX_CLOCK_SKEW.as_millis() as u64;
    Ulid::from_parts(id.timestamp_ms().saturating_sub(skew), 0)
}
