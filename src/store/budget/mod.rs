//! Room on the volume: what is used, what is promised, and who waits for more.
//!
//! Invariant: used + reserved never exceeds the limit by anything that this process writes. Bytes of
//! a file count as used until it is unlinked; a file under construction is reserved before it is
//! written. The index decides *what* goes ([`super::disk`]'s evictor); this module says *how much*.
//!
//! New reservations are served in order. A growing upload goes ahead of them, since it holds room
//! that only its end gives back; when nothing can be evicted, the youngest growing upload fails at
//! once instead of waiting for the others, which wait for it.

mod reservation;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use reservation::Reservation;

use super::{Error, Result};

/// The unit in which volumes hand out room, in bytes.
pub(crate) const BLOCK: u64 = 4096;

/// How long a new reservation waits while nobody gives room back.
const PATIENCE: Duration = Duration::from_secs(30);

/// `bytes` rounded up to whole blocks.
pub(crate) fn whole_blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK).saturating_mul(BLOCK)
}

/// Who asks for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// A new body: waits its turn, with patience.
    New,
    /// A body that holds room already: goes first, and fails at once when nothing can be evicted.
    Growth,
}

/// The account of one directory. See the module.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    state: Mutex<State>,
    work: Notify,
    settled: CancellationToken,
    settle_by: Instant,
}

#[derive(Debug, Default)]
struct State {
    used: u64,
    reserved: u64,
    /// Grows with every release; tells a waiter whether anything moves.
    releases: u64,
    waiters: VecDeque<Waiter>,
    demands: Vec<(u64, oneshot::Sender<u64>)>,
    /// The count of releases when a growing upload was made to fail: its room comes back later.
    failed_at: Option<u64>,
    closed: bool,
}

#[derive(Debug)]
struct Waiter {
    bytes: u64,
    ask: Ask,
    answer: oneshot::Sender<Result<Reservation>>,
}

/// Gives the turn to the next one when a waiter leaves without an answer.
struct Waiting<'a> {
    budget: &'a Arc<Budget>,
    answer: oneshot::Receiver<Result<Reservation>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.answer.close();
        self.budget.grant();
    }
}

impl Budget {
    /// An account of `limit` bytes of which `used` are taken. Until [`Budget::settled`] is called, at
    /// most `patience`, nothing is handed out: the bytes in use may not be known yet.
    pub(crate) fn new(limit: u64, used: u64, patience: Duration) -> Arc<Self> {
        let state = State {
            used,
            ..State::default()
        };
        Arc::new(Self {
            limit,
            state: Mutex::new(state),
            work: Notify::new(),
            settled: CancellationToken::new(),
            settle_by: Instant::now() + patience,
        })
    }

    /// The configured limit in bytes.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// The most that one entry can ever take, with everything that belongs to it: what is left below
    /// the high-water mark when all others are evicted. Some folders, the snapshot and small files stay.
    pub(crate) fn largest(&self) -> u64 {
        self.high().saturating_sub(144 * 1024)
    }

    /// Bytes in use and bytes reserved.
    pub(crate) fn figures(&self) -> (u64, u64) {
        let state = self.lock();
        (state.used, state.reserved)
    }

    /// The bytes in use are known from now on.
    pub(crate) fn settled(&self) {
        self.settled.cancel();
    }

    /// Reserves `bytes`; waits for eviction if it must.
    ///
    /// # Errors
    /// [`Error::NoSpace`] if nothing can be evicted and nobody gives room back, [`Error::Stopping`].
    pub(crate) async fn reserve(self: &Arc<Self>, bytes: u64, ask: Ask) -> Result<Reservation> {
        if !self.settled.is_cancelled() {
            // After the deadline the figures are as good as they get.
            let _known = tokio::time::timeout_at(self.settle_by, self.settled.cancelled()).await;
        }
        let mut waiting = match self.take_or_queue(bytes, ask)? {
            Turn::Now(reservation) => return Ok(reservation),
            Turn::Later(answer) => Waiting { budget: self, answer },
        };
        loop {
            let before = self.lock().releases;
            match tokio::time::timeout(PATIENCE, &mut waiting.answer).await {
                Ok(answer) => return answer.unwrap_or(Err(Error::Stopping)),
                Err(_) if self.lock().releases != before => {}
                Err(_) => return Err(all_reserved(bytes)),
            }
        }
    }

    /// Reserves `bytes` if there is room at this moment, whoever waits: for our own housekeeping.
    pub(crate) fn take(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let mut state = self.lock();
        if state.total().saturating_add(bytes) > self.limit {
            return None;
        }
        state.reserved += bytes;
        // Who was made to fail and is content with less will not give anything back now.
        state.failed_at = None;
        self.work.notify_one();
        Some(Reservation::new(self, bytes))
    }

    /// Bytes that stand on the volume already and belong to somebody, whether or not there is room.
    pub(crate) fn hold(self: &Arc<Self>, bytes: u64) -> Reservation {
        self.lock().reserved += bytes;
        // Something may have to go now.
        self.grant();
        Reservation::new(self, bytes)
    }

    fn take_or_queue(self: &Arc<Self>, bytes: u64, ask: Ask) -> Result<Turn> {
        let mut state = self.lock();
        if state.closed {
            return Err(Error::Stopping);
        }
        let first = ask == Ask::Growth || state.waiters.is_empty();
        if first && state.total().saturating_add(bytes) <= self.limit {
            state.reserved += bytes;
            if state.total() > self.high() {
                self.work.notify_one();
            }
            return Ok(Turn::Now(Reservation::new(self, bytes)));
        }
        let (answer, receiver) = oneshot::channel();
        let waiter = Waiter { bytes, ask, answer };
        match ask {
            Ask::Growth => state.waiters.push_front(waiter),
            Ask::New => state.waiters.push_back(waiter),
        }
        self.work.notify_one();
        Ok(Turn::Later(receiver))
    }

    /// Serves waiters in order as far as there is room.
    fn grant(self: &Arc<Self>) {
        let mut granted = Vec::new();
        let mut state = self.lock();
        while let Some(first) = state.waiters.front() {
            let bytes = first.bytes;
            if !first.answer.is_closed() && state.total().saturating_add(bytes) > self.limit {
                break;
            }
            let Some(waiter) = state.waiters.pop_front() else {
                break;
            };
            if !waiter.answer.is_closed() {
                state.reserved += bytes;
                granted.push((waiter.answer, Reservation::new(self, bytes)));
            }
        }
        if !state.waiters.is_empty() || state.total() > self.high() {
            self.work.notify_one();
        }
        drop(state);
        for (answer, reservation) in granted {
            // Who left meanwhile gives it back by dropping it, outside of the lock.
            let _unclaimed = answer.send(Ok(reservation));
        }
    }

    /// Bytes became used or free without a reservation: folders, the snapshot, found files.
    pub(crate) fn adjust(self: &Arc<Self>, bytes: i64) {
        let mut state = self.lock();
        state.used = state.used.saturating_add_signed(bytes);
        state.releases += u64::from(bytes < 0);
        drop(state);
        self.grant();
    }

    /// A file of `bytes` is unlinked.
    pub(crate) fn freed(self: &Arc<Self>, bytes: u64) {
        self.adjust(-i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Asks the evictor to free `bytes` although the account has room: the volume is full for
    /// other reasons. Answers how many bytes were freed.
    pub(crate) async fn make_room(&self, bytes: u64) -> u64 {
        let (answer, freed) = oneshot::channel();
        {
            let mut state = self.lock();
            if state.closed {
                return 0;
            }
            state.demands.push((bytes, answer));
        }
        self.work.notify_one();
        freed.await.unwrap_or(0)
    }

    fn high(&self) -> u64 {
        self.limit - self.limit / 50
    }

    fn low(&self) -> u64 {
        self.limit - self.limit / 20
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The evictor's side.
impl Budget {
    /// Resolves when there may be something to evict.
    pub(crate) async fn wanted(&self) {
        self.work.notified().await;
    }

    /// How many bytes should be freed now: down to the low-water mark, with room for everybody who
    /// can be served at once.
    pub(crate) fn goal(&self) -> u64 {
        let state = self.lock();
        let mut waiting = 0_u64;
        for waiter in &state.waiters {
            let more = waiting.saturating_add(waiter.bytes);
            if waiting > 0 && state.reserved.saturating_add(more) > self.low() {
                break;
            }
            waiting = more;
        }
        if waiting == 0 && state.total() <= self.high() {
            return 0;
        }
        state.total().saturating_add(waiting).saturating_sub(self.low())
    }

    /// Takes what [`Budget::make_room`] asked for.
    pub(crate) fn demands(&self) -> Vec<(u64, oneshot::Sender<u64>)> {
        std::mem::take(&mut self.lock().demands)
    }

    /// Nothing is left to evict: the youngest growing upload that waits has to give up. The next one
    /// only if what that gives back is not enough.
    pub(crate) fn exhausted(&self) {
        let mut state = self.lock();
        if state.failed_at == Some(state.releases) {
            return;
        }
        let youngest = state
            .waiters
            .iter()
            .position(|waiter| waiter.ask == Ask::Growth && !waiter.answer.is_closed());
        let waiter = youngest.and_then(|at| state.waiters.remove(at));
        if waiter.is_some() {
            state.failed_at = Some(state.releases);
        }
        drop(state);
        if let Some(waiter) = waiter {
            let _gone = waiter.answer.send(Err(all_reserved(waiter.bytes)));
        }
    }

    /// No evictor any more: whoever waits, or would have to, gets [`Error::Stopping`].
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let gone = (
            std::mem::take(&mut state.waiters),
            std::mem::take(&mut state.demands),
        );
        drop(state);
        drop(gone);
    }
}

enum Turn {
    Now(Reservation),
    Later(oneshot::Receiver<Result<Reservation>>),
}

impl State {
    fn total(&self) -> u64 {
        self.used.saturating_add(self.reserved)
    }
}

fn all_reserved(needed: u64) -> Error {
    Error::NoSpace {
        needed,
        reason: "nothing can be evicted, all room is reserved by uploads that are still running",
    }
}

#[cfg(test)]
mod tests;
