//! The evictor's side of the account.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Ask, Budget, BudgetState, Waiter, all_reserved};

impl Budget {
    /// Resolves when there may be something to evict.
    pub(crate) async fn wanted(&self) {
        self.work.notified().await;
    }

    /// How many bytes should be freed now: down to the low-water mark, with room for all waiters
    /// that can be served at once.
    pub(crate) fn goal(&self) -> u64 {
        let state = self.lock();
        let mut waiting = 0_u64;
        let can_have = |waiter: &&Waiter| self.can_have(&state, waiter);
        for waiter in state.waiters.iter().filter(can_have) {
            let more = waiting.saturating_add(waiter.bytes);
            if waiting > 0 && state.reserved.saturating_add(more) > self.low() {
                break;
            }
            waiting = more;
        }
        if waiting == 0 && state.total() <= self.high() {
            return 0;
        }
        let total = state.total().saturating_add(waiting);
        // The cache is not thrown away for what readers hold: those that hardly read are ended first.
        let over = match state.is_pressed_for_long() {
            true => (total.saturating_add(state.held)).saturating_sub(self.limit + self.slack()),
            false => 0,
        };
        if waiting == 0 {
            return total.saturating_sub(self.low());
        }
        let short = |free: u64| self.min_free.saturating_add(waiting).saturating_sub(free);
        let short = state.volume_free.map_or(0, short);
        total.saturating_sub(self.low()).max(over).max(short)
    }

    /// So many bytes of the volume are free at this moment.
    pub(crate) fn look(self: &Arc<Self>, free: u64) {
        self.lock().volume_free = Some(free);
        self.grant();
    }

    /// Takes what [`Budget::make_room`] asked for.
    pub(crate) fn demands(&self) -> Vec<(u64, oneshot::Sender<u64>)> {
        std::mem::take(&mut self.lock().demands)
    }

    /// Nothing can be evicted for the waiters: the youngest growing upload among them has to give up. The next
    /// one only if what that gives back is not enough.
    pub(crate) fn exhausted(&self) {
        let mut state = self.lock();
        // What is about to become an entry, or is held by a reader that ends soon, is worth waiting for.
        if state.committing > 0 || self.is_pressed() || state.failed_at == Some(state.releases) {
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

    /// The evictor has ended: all waiters, and all that would have to wait, get [`crate::store::Error::Stopping`].
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let (waiters, demands) = (
            std::mem::take(&mut state.waiters),
            std::mem::take(&mut state.demands),
        );
        drop(state);
        drop((waiters, demands));
    }
}

impl BudgetState {
    /// Which waiter has to give up when nothing can be evicted. One of known length only when all room is held
    /// by waiters: then no upload can end and help the others.
    fn in_the_way(&self) -> Option<usize> {
        let is_there = |(_, waiter): &(usize, &Waiter)| !waiter.answer.is_closed();
        let waiting = || self.waiters.iter().enumerate().filter(is_there);
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
