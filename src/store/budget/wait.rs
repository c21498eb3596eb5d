//! Reservations that wait for room.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::owner::CountedBytes;
use super::revoke::Room;
use super::waiter::Waiter;
use super::{Ask, Budget, BudgetState, Owner, Reservation, all_reserved};
use crate::store::{Error, Result};

/// The longest wait of a reservation while no room is given back.
pub(super) const IDLE_WAIT_TIMEOUT: Duration = Duration::from_secs(30);
/// The same for a tenant that is above its share: its own bodies that are on their way become entries meanwhile.
pub(super) const ABOVE_WAIT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest wait of a reservation in all. No client waits longer.
pub(super) const MAX_WAIT_TIMEOUT: Duration = Duration::from_secs(120);

/// Gives the turn to the next one when a waiter leaves without an answer.
struct Waiting<'a> {
    budget: &'a Arc<Budget>,
    answer: oneshot::Receiver<Result<Reservation>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.answer.close();
        let mut state = self.budget.lock();
        state.waiters.forget_gone();
        drop(state);
        self.budget.grant();
    }
}

enum Turn {
    Now(Reservation),
    Later(oneshot::Receiver<Result<Reservation>>),
}

impl Budget {
    /// Reserves `bytes` for nobody in particular. See [`Budget::reserve_for`].
    pub(crate) async fn reserve(self: &Arc<Self>, bytes: u64, ask: Ask) -> Result<Reservation> {
        self.reserve_for(&Owner::default(), bytes, ask).await
    }

    /// Reserves `bytes` for `owner`; waits for eviction if it must.
    ///
    /// # Errors
    /// [`Error::NoSpace`]. At once if a rule allows no more to its tenant, or if the tenant is above its share, nothing can
    /// be evicted, and none of its other bodies is on its way to become an entry; at once, too, for a body that grows
    /// without having announced it if nothing can be evicted for anybody. Otherwise if no room is given back for a
    /// while, or not enough for two minutes. [`Error::Stopping`].
    pub(crate) async fn reserve_for(
        self: &Arc<Self>,
        owner: &Owner,
        bytes: u64,
        ask: Ask,
    ) -> Result<Reservation> {
        let counted = CountedBytes::new(owner, bytes);
        self.wait_for(counted, ask, None).await
    }

    /// The same for a reservation that grows.
    pub(super) async fn grow(
        self: &Arc<Self>,
        owner: &Owner,
        room: &Arc<Room>,
        bytes: u64,
        ask: Ask,
    ) -> Result<Reservation> {
        let counted = CountedBytes::new(owner, bytes);
        self.wait_for(counted, ask, Some(Arc::clone(room))).await
    }

    async fn wait_for(
        self: &Arc<Self>,
        counted: CountedBytes,
        ask: Ask,
        growing: Option<Arc<Room>>,
    ) -> Result<Reservation> {
        if !self.settled.is_cancelled() {
            // After the deadline the figures are as good as they get.
            let _known = tokio::time::timeout_at(self.settle_by, self.settled.cancelled()).await;
        }
        let (owner, bytes) = (counted.owner().clone(), counted.bytes());
        self.keep_bound(&owner, bytes).await?;
        let mut waiting = match self.take_or_queue(counted, ask, growing)? {
            Turn::Now(reservation) => return Ok(reservation),
            Turn::Later(answer) => Waiting { budget: self, answer },
        };
        let give_up = Instant::now() + MAX_WAIT_TIMEOUT;
        loop {
            let before = self.lock().releases;
            let above = self.is_above(&owner);
            let idle = if above {
                ABOVE_WAIT_TIMEOUT
            } else {
                IDLE_WAIT_TIMEOUT
            };
            match tokio::time::timeout(idle, &mut waiting.answer).await {
                Ok(answer) => return answer.unwrap_or(Err(Error::Stopping)),
                Err(_) if self.lock().releases != before && Instant::now() < give_up => {}
                Err(_) if above => return Err(self.share_used_up(&owner, bytes)),
                Err(_) => return Err(all_reserved(bytes)),
            }
        }
    }

    fn take_or_queue(
        self: &Arc<Self>,
        counted: CountedBytes,
        ask: Ask,
        growing: Option<Arc<Room>>,
    ) -> Result<Turn> {
        let bytes = counted.bytes();
        let mut state = self.lock();
        if state.closed {
            return Err(Error::Stopping);
        }
        if self.is_first(&state, counted.owner(), ask) && self.fits(&state, bytes) {
            state.reserve(bytes);
            if state.total() > self.high() {
                self.work.notify_one();
            }
            return Ok(Turn::Now(Reservation::new(self, counted)));
        }
        let (answer, receiver) = oneshot::channel();
        self.divide_with(&state);
        state.waiters.add(Waiter {
            above: self.is_above(counted.owner()),
            counted,
            ask,
            growing,
            answer,
        });
        self.note_pressure(&mut state);
        self.work.notify_one();
        Ok(Turn::Later(receiver))
    }

    /// Whether nobody who waits goes before a new reservation of `owner`.
    fn is_first(&self, state: &BudgetState, owner: &Owner, ask: Ask) -> bool {
        if state.is_room_promised() && self.is_above(owner) {
            return false;
        }
        ask != Ask::New || self.next_waiter(state).is_none()
    }

    /// Whether a tenant is above its share, with all that it holds and waits for.
    pub(super) fn is_above(&self, owner: &Owner) -> bool {
        let number = owner.number();
        number.is_some_and(|number| self.shares.table().is_above(number, 0))
    }

    /// Serves waiters in order as far as there is room.
    pub(super) fn grant(self: &Arc<Self>) {
        let mut granted = Vec::new();
        let mut state = self.lock();
        let mut at = 0;
        let is_coming = state.is_room_promised();
        while let Some(next) = state.waiters.get(at) {
            // Whoever was passed over is still the first in the line.
            let is_promised =
                is_coming && next.above && state.waiters.get(0).is_some_and(|first| !first.above);
            let fits = !is_promised && self.fits(&state, next.bytes());
            if fits || !next.is_there() {
                if let Some(waiter) = state.waiters.remove(at)
                    && waiter.is_there()
                {
                    state.reserve(waiter.bytes());
                    granted.push((waiter.answer, Reservation::new(self, waiter.counted)));
                }
            } else if self.can_have(&state, next) {
                break;
            } else {
                at += 1;
            }
        }
        self.note_pressure(&mut state);
        if !state.waiters.is_empty() || state.total() > self.high() {
            self.work.notify_one();
        }
        drop(state);
        for (answer, reservation) in granted {
            // A waiter that left meanwhile drops it, outside of the lock.
            let _unclaimed = answer.send(Ok(reservation));
        }
    }

    /// Whether there is room for `bytes` at this moment.
    pub(super) fn fits(&self, state: &BudgetState, bytes: u64) -> bool {
        self.shortage(state, bytes) == 0
    }

    /// How much has to be given back until there is room for `bytes`.
    pub(super) fn shortage(&self, state: &BudgetState, bytes: u64) -> u64 {
        let total = state.total().saturating_add(bytes);
        let least_free = self.min_free.saturating_add(bytes);
        let on_volume = state
            .volume_free
            .map_or(0, |free| least_free.saturating_sub(free));
        let with_held = total.saturating_add(state.held);
        (total.saturating_sub(self.limit))
            .max(with_held.saturating_sub(self.limit + self.slack()))
            .max(on_volume)
    }

    /// Whether evictions alone could make room for `waiter`. What unlinked files hold is no matter of evictions: a
    /// cache that is thrown away for it frees nothing.
    pub(super) fn can_have(&self, state: &BudgetState, waiter: &Waiter) -> bool {
        let least = state.reserved.saturating_add(waiter.bytes());
        waiter.is_there()
            && least <= self.limit
            && least.saturating_add(state.held) <= self.limit + self.slack()
    }

    /// Whether somebody waits who could have room if unlinked files were closed.
    pub(super) fn note_pressure(&self, state: &mut BudgetState) {
        let over = |waiter: &Waiter| {
            let total = state.total().saturating_add(waiter.bytes());
            waiter.is_there() && total.saturating_add(state.held) > self.limit + self.slack()
        };
        let pressed = state.held > 0 && (state.stranded > 0 || state.waiters.iter().any(over));
        state.pressed_since = match pressed {
            true => state.pressed_since.or_else(|| Some(Instant::now())),
            false => None,
        };
        self.pressed.store(pressed, std::sync::atomic::Ordering::Relaxed);
    }
}
