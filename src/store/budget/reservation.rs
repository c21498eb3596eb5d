//! Room that an upload holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Ask, Budget, Owner};
use crate::store::{Error, Result};

/// Reserved bytes; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    owner: Owner,
    bytes: AtomicU64,
}

impl Reservation {
    pub(super) fn new(budget: &Arc<Budget>, bytes: u64) -> Self {
        Self {
            budget: Arc::clone(budget),
            owner: Owner::default(),
            bytes: AtomicU64::new(bytes),
        }
    }

    /// For whom it is held.
    pub(crate) fn owner(&self) -> Owner {
        self.owner
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Makes sure that at least `bytes` are held, in steps of `step` bytes. Fails as [`Budget::reserve`] does.
    pub(crate) async fn ensure(&self, bytes: u64, step: u64) -> Result<()> {
        self.grow(bytes, step, Ask::Growth).await
    }

    /// The same for a body that will have `most` bytes with all that belongs to it: never holds more.
    pub(crate) async fn ensure_of(&self, bytes: u64, step: u64, most: u64) -> Result<()> {
        let held = self.bytes();
        let step = step.min(most.saturating_sub(held));
        self.grow(bytes, step, Ask::Announced { held }).await
    }

    async fn grow(&self, bytes: u64, step: u64, ask: Ask) -> Result<()> {
        let held = self.bytes();
        if bytes <= held {
            return Ok(());
        }
        let missing = bytes - held;
        let more = match self.budget.reserve(missing.max(step), ask).await {
            // The step was too long: perhaps the need itself is not.
            Err(refused @ Error::NoSpace { .. }) => self.budget.take(missing).ok_or(refused)?,
            other => other?,
        };
        self.bytes
            .fetch_add(more.bytes.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        Ok(())
    }

    /// Gives back what exceeds `bytes`.
    pub(crate) fn shrink(&self, bytes: u64) {
        let held = self.bytes();
        if held > bytes {
            self.bytes.store(bytes, Ordering::Relaxed);
            self.give_back(held - bytes, 0);
        }
    }

    /// Gives back `bytes`, or all that is held if that is less.
    pub(crate) fn release(&self, bytes: u64) {
        let taken = self.take_out(bytes);
        if taken > 0 {
            self.give_back(taken, 0);
        }
    }

    /// Hands `bytes` to another reservation of the same account, or all that is held if that is less.
    pub(crate) fn move_to(&self, other: &Self, bytes: u64) {
        other.bytes.fetch_add(self.take_out(bytes), Ordering::Relaxed);
    }

    /// A reservation of its own for `bytes` of this one, or all that is held if that is less.
    pub(crate) fn split(&self, bytes: u64) -> Self {
        let mut part = Self::new(&self.budget, self.take_out(bytes));
        part.owner = self.owner;
        part
    }

    fn take_out(&self, bytes: u64) -> u64 {
        let left = |held: u64| Some(held.saturating_sub(bytes));
        let held = (self.bytes).fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
        held.unwrap_or_else(|held| held).min(bytes)
    }

    /// Turns the reservation into `used` bytes in use; nothing is held afterwards.
    pub(crate) fn settle(&self, used: u64) {
        self.give_back(self.bytes.swap(0, Ordering::Relaxed), used);
    }

    fn give_back(&self, bytes: u64, used: u64) {
        let mut state = self.budget.lock();
        state.reserved = state.reserved.saturating_sub(bytes);
        state.used = state.used.saturating_add(used);
        state.releases += u64::from(bytes > used);
        let idle = state.waiters.is_empty() && state.total() <= self.budget.high();
        drop(state);
        if !idle {
            self.budget.grant();
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let held = self.bytes.swap(0, Ordering::Relaxed);
        if held > 0 {
            self.give_back(held, 0);
        }
    }
}
