//! Who waits for room, and in which order.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::ask::Ask;
use super::owner::CountedBytes;
use super::reservation::Reservation;
use super::revoke::Room;
use crate::store::Result;
use crate::store::shares::TenantNumber;

/// Somebody who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    /// What it waits for counts in the share of its tenant.
    pub(super) counted: CountedBytes,
    pub(super) ask: Ask,
    /// Its tenant was above its share, these bytes included, when it came.
    pub(super) above: bool,
    /// The reservation that grows.
    pub(super) growing: Option<Arc<Room>>,
    pub(super) answer: oneshot::Sender<Result<Reservation>>,
}

impl Waiter {
    pub(super) fn bytes(&self) -> u64 {
        self.counted.bytes()
    }

    /// Bytes that its body holds already.
    pub(super) fn held(&self) -> u64 {
        self.growing.as_ref().map_or(0, |room| room.bytes())
    }

    /// What it holds was taken back.
    pub(super) fn is_revoked(&self) -> bool {
        self.growing.as_ref().is_some_and(|room| room.is_revoked())
    }

    pub(super) fn is_there(&self) -> bool {
        !self.answer.is_closed()
    }

    /// A lower one is served first.
    fn class(&self) -> (bool, u8) {
        let kind = match self.ask {
            Ask::Growth => 0,
            Ask::Announced => 1,
            Ask::New => 2,
        };
        (self.above, kind)
    }
}

/// All waiters, in the order in which they are served.
#[derive(Debug, Default)]
pub(super) struct WaitingLine(VecDeque<Waiter>);

impl WaitingLine {
    /// Takes a waiter in: the youngest of those that grow goes first among them, all others wait behind their equals.
    pub(super) fn add(&mut self, waiter: Waiter) {
        let class = waiter.class();
        let ahead = |other: &&Waiter| match waiter.ask {
            Ask::Growth => other.class() < class,
            Ask::Announced | Ask::New => other.class() <= class,
        };
        let at = self.0.iter().take_while(ahead).count();
        self.0.insert(at, waiter);
    }

    pub(super) fn get(&self, at: usize) -> Option<&Waiter> {
        self.0.get(at)
    }

    pub(super) fn remove(&mut self, at: usize) -> Option<Waiter> {
        self.0.remove(at)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiter> {
        self.0.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those who left are not there any more.
    pub(super) fn forget_gone(&mut self) {
        self.0.retain(Waiter::is_there);
    }

    /// Takes out all for whom `refused` holds.
    pub(super) fn take(&mut self, mut refused: impl FnMut(&Waiter) -> bool) -> Vec<Waiter> {
        let (mut out, mut stay) = (Vec::new(), VecDeque::new());
        for waiter in std::mem::take(&mut self.0) {
            match refused(&waiter) {
                true => out.push(waiter),
                false => stay.push_back(waiter),
            }
        }
        self.0 = stay;
        out
    }

    /// Bytes that the waiters of each tenant hold and wait for.
    pub(super) fn by_tenant(&self) -> HashMap<TenantNumber, u64> {
        let mut all = HashMap::new();
        for waiter in self.0.iter().filter(|waiter| waiter.is_there()) {
            if let Some(tenant) = waiter.counted.owner().number() {
                *all.entry(tenant).or_default() += waiter.held().saturating_add(waiter.bytes());
            }
        }
        all
    }
}
