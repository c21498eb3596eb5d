//! Room on the volume: what is used, what is promised, and who waits for more.
//!
//! Invariant: used + reserved never exceeds the limit by anything that this process writes. Bytes of
//! a file count as used until it is unlinked; a file under construction is reserved before it is
//! written. The index decides *what* goes ([`super::disk`]'s evictor); this module says *how much*.
//!
//! New reservations are served in order. A growing upload goes ahead of them, since it holds room
//! that only its end gives back; when nothing can be evicted, the youngest growing upload fails at
//! once instead of waiting for the others, which wait for it. Whoever needs more than all evictions would
//! give is passed over, and nothing is evicted for it: only the end of another upload can help.

mod full_volume;
mod reservation;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use full_volume::{FullVolumeRetry, write_error};
pub(crate) use reservation::Reservation;

use super::{Error, Result};

/// The unit in which volumes hand out room, in bytes.
pub(crate) const BLOCK: u64 = 4096;

/// How long a reservation waits while nobody gives room back.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it waits at most. No client does longer.
const LONGEST: Duration = Duration::from_secs(120);

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
    /// A body of known length that grows: goes first, too, and waits with patience while others hold room that
    /// do not wait themselves.
    Announced {
        /// Bytes that it holds already.
        held: u64,
    },
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
        let mut state = self.budget.lock();
        state.waiters.retain(|waiter| !waiter.answer.is_closed());
        drop(state);
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
    /// [`Error::NoSpace`] if nothing can be evicted and nobody gives room back, or not enough for two minutes,
    /// [`Error::Stopping`].
    pub(crate) async fn reserve(self: &Arc<Self>, bytes: u64, ask: Ask) -> Result<Reservation> {
        if !self.settled.is_cancelled() {
            // After the deadline the figures are as good as they get.
            let _known = tokio::time::timeout_at(self.settle_by, self.settled.cancelled()).await;
        }
        let mut waiting = match self.take_or_queue(bytes, ask)? {
            Turn::Now(reservation) => return Ok(reservation),
            Turn::Later(answer) => Waiting { budget: self, answer },
        };
        let give_up = Instant::now() + LONGEST;
        loop {
            let before = self.lock().releases;
            match tokio::time::timeout(PATIENCE, &mut waiting.answer).await {
                Ok(answer) => return answer.unwrap_or(Err(Error::Stopping)),
                Err(_) if self.lock().releases != before && Instant::now() < give_up => {}
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
        let first = ask != Ask::New || !state.waiters.iter().any(|waiter| self.can_have(&state, waiter));
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
            Ask::Announced { .. } => {
                let growing = state.waiters.iter().take_while(|other| other.ask != Ask::New);
                let behind = growing.count();
                state.waiters.insert(behind, waiter);
            }
            Ask::New => state.waiters.push_back(waiter),
        }
        self.work.notify_one();
        Ok(Turn::Later(receiver))
    }

    /// Serves waiters in order as far as there is room.
    fn grant(self: &Arc<Self>) {
        let mut granted = Vec::new();
        let mut state = self.lock();
        let mut at = 0;
        while let Some(next) = state.waiters.get(at) {
            let fits = state.total().saturating_add(next.bytes) <= self.limit;
            if fits || next.answer.is_closed() {
                if let Some(waiter) = state.waiters.remove(at)
                    && !waiter.answer.is_closed()
                {
                    state.reserved += waiter.bytes;
                    granted.push((waiter.answer, Reservation::new(self, waiter.bytes)));
                }
            } else if self.can_have(&state, next) {
                break;
            } else {
                at += 1;
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

    /// Whether evictions alone could make room for `waiter`.
    fn can_have(&self, state: &State, waiter: &Waiter) -> bool {
        !waiter.answer.is_closed() && state.reserved.saturating_add(waiter.bytes) <= self.limit
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
        for waiter in state
            .waiters
            .iter()
            .filter(|waiter| self.can_have(&state, waiter))
        {
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

    /// Nothing can be evicted for those who wait: the youngest growing upload among them has to give up. The next
    /// one only if what that gives back is not enough.
    pub(crate) fn exhausted(&self) {
        let mut state = self.lock();
        if state.failed_at == Some(state.releases) {
            return;
        }
        let waiter = state.in_the_way().and_then(|at| state.waiters.remove(at));
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

    /// Which waiter has to give up when nothing can be evicted. One of known length only when all room is held
    /// by those who wait: then nobody's end helps the others.
    fn in_the_way(&self) -> Option<usize> {
        let waiting = || {
            self.waiters
                .iter()
                .enumerate()
                .filter(|(_, waiter)| !waiter.answer.is_closed())
        };
        if let Some((at, _)) = waiting().find(|(_, waiter)| waiter.ask == Ask::Growth) {
            return Some(at);
        }
        let (mut youngest, mut stuck) = (None, 0_u64);
        for (at, waiter) in waiting() {
            if let Ask::Announced { held } = waiter.ask {
                youngest = Some(at);
                stuck = stuck.saturating_add(held);
            }
        }
        youngest.filter(|_| stuck >= self.reserved)
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
