//! The evictor's side of the account.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::waiter::Waiter;
use super::{Ask, Budget, BudgetState, Owner, all_reserved};
use crate::store::shares::TenantNumber;
use crate::store::{Error, Shortage};

impl Budget {
    /// Resolves when there may be something to evict.
    pub(crate) async fn wanted(&self) {
        self.work.notified().await;
    }

    /// Has the evictor look whether there is something to evict.
    pub(crate) fn wake(&self) {
        self.work.notify_one();
    }

    /// How many bytes should be freed now: down to the low-water mark, with room for all waiters
    /// that can be served at once.
    pub(crate) fn goal(&self) -> u64 {
        let state = self.lock();
        let mut waiting = 0_u64;
        let can_have = |waiter: &&Waiter| self.can_have(&state, waiter);
        for waiter in state.waiters.iter().filter(can_have) {
            let more = waiting.saturating_add(waiter.bytes());
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

    /// How many bytes are missing for the next waiter alone; any number if nobody waits.
    pub(crate) fn need(&self) -> u64 {
        let state = self.lock();
        let next = self.next_waiter(&state);
        next.map_or(u64::MAX, |waiter| self.shortage(&state, waiter.bytes()).max(1))
    }

    /// The waiter that is served next, if evictions can make room for it.
    pub(super) fn next_waiter<'a>(&self, state: &'a BudgetState) -> Option<&'a Waiter> {
        state.waiters.iter().find(|waiter| self.can_have(state, waiter))
    }

    /// Whether somebody waits for room.
    pub(crate) fn is_waited_for(&self) -> bool {
        !self.lock().waiters.is_empty()
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

    /// The tenant for which room is made first.
    pub(crate) fn next_writer(&self) -> Owner {
        let state = self.lock();
        let next = self.next_waiter(&state);
        next.map_or_else(Owner::default, |waiter| waiter.counted.owner().clone())
    }

    /// Nothing can be evicted for the waiters.
    ///
    /// If one of them is not above its share, room is taken back for it from those who are. If there is none that can be, the
    /// youngest growing upload has to give up, and the next one only if what that gives back is not enough. If all are
    /// above, those are refused whose tenants have no other body on its way.
    pub(crate) fn exhausted(&self) {
        let mut state = self.lock();
        // What is about to become an entry, or is held by a reader that ends soon, is worth waiting for.
        if state.committing > 0 || self.is_pressed() || state.failed_at == Some(state.releases) {
            return;
        }
        self.divide_with(&state);
        let first = |waiter: &&Waiter| waiter.is_there() && !self.is_above(waiter.counted.owner());
        let first = state.waiters.iter().find(first);
        let first = first.map(|waiter| self.shortage(&state, waiter.bytes()).max(1));
        let refused = match first {
            Some(bytes) if self.revoke(&state.revocable, bytes) => state.waiters.take(Waiter::is_revoked),
            Some(_) => self.take_one(&mut state, BudgetState::in_the_way),
            None => self.take_hopeless(&mut state),
        };
        drop(state);
        for waiter in refused {
            let owner = waiter.counted.owner();
            let error = match waiter.is_revoked() || self.is_above(owner) {
                true => self.share_used_up(owner, waiter.bytes()),
                false => all_reserved(waiter.bytes()),
            };
            let _gone = waiter.answer.send(Err(error));
        }
    }

    /// Of waiters that are all above their shares: those that hold nothing, or the youngest of the others, whose tenants have
    /// nothing on its way that could become an entry.
    fn take_hopeless(&self, state: &mut BudgetState) -> Vec<Waiter> {
        let waiting = state.waiters.by_tenant();
        let is_idle = |waiter: &Waiter| {
            let tenant = waiter.counted.owner().number();
            tenant.is_some_and(|tenant| self.reserved(tenant) <= waiting.get(&tenant).copied().unwrap_or(0))
        };
        let new = (state.waiters).take(|waiter| waiter.ask == Ask::New && is_idle(waiter));
        if !new.is_empty() {
            return new;
        }
        self.take_one(state, |state| {
            let growing = |waiter: &Waiter| waiter.is_there() && waiter.ask != Ask::New && is_idle(waiter);
            state.waiters.iter().position(growing)
        })
    }

    /// Bytes that all bodies of a tenant hold and wait for.
    fn reserved(&self, tenant: TenantNumber) -> u64 {
        self.shares.table().holdings(tenant).reserved
    }

    /// The next one has to give up only if what this one gives back is not enough.
    fn take_one(
        &self,
        state: &mut BudgetState,
        which: impl Fn(&BudgetState) -> Option<usize>,
    ) -> Vec<Waiter> {
        let Some(at) = which(state) else {
            return Vec::new();
        };
        state.failed_at = Some(state.releases);
        state.waiters.remove(at).into_iter().collect()
    }

    /// A body of this tenant needs `needed` bytes more than there are, and those are within no share.
    pub(super) fn share_used_up(&self, owner: &Owner, needed: u64) -> Error {
        let share = |number| self.shares.table().share(number);
        match owner.number().map(share) {
            Some(share) => Error::NoSpace {
                needed,
                reason: Shortage::Share { share },
            },
            None => all_reserved(needed),
        }
    }

    /// The evictor has ended: all waiters, and all that would have to wait, get [`crate::store::Error::Stopping`].
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let waiters = std::mem::take(&mut state.waiters);
        let demands = (
            std::mem::take(&mut state.demands),
            std::mem::take(&mut state.own_demands),
        );
        drop(state);
        drop((waiters, demands));
    }
}

impl BudgetState {
    /// Which waiter has to give up when nothing can be evicted. One of known length only when all room is held
    /// by waiters: then no upload can end and help the others.
    fn in_the_way(&self) -> Option<usize> {
        let is_there = |(_, waiter): &(usize, &Waiter)| waiter.is_there();
        let waiting = || self.waiters.iter().enumerate().filter(is_there);
        if let Some((at, _)) = waiting().find(|(_, waiter)| waiter.ask == Ask::Growth) {
            return Some(at);
        }
        let (mut youngest, mut stuck) = (None, 0_u64);
        for (at, waiter) in waiting() {
            if waiter.ask == Ask::Announced {
                youngest = Some(at);
                stuck = stuck.saturating_add(waiter.held());
            }
        }
        youngest.filter(|_| stuck >= self.reserved)
    }
}
