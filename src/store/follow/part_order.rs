//! Which part of an entry is fetched next.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Parts in order, except those that a reader waits for.
#[derive(Debug)]
pub(super) struct PartOrder {
    state: Mutex<OrderState>,
    urgent: Notify,
}

#[derive(Debug, Default)]
struct OrderState {
    next: usize,
    taken: Vec<bool>,
    /// Asked for by readers, the latest last.
    wanted: Vec<usize>,
    closed: bool,
}

impl PartOrder {
    /// The first part is taken already: it was opened with the description.
    pub(super) fn new(count: usize) -> Self {
        let taken = (0..count).map(|part| part == 0).collect();
        Self {
            state: Mutex::new(OrderState {
                taken,
                ..OrderState::default()
            }),
            urgent: Notify::new(),
        }
    }

    /// The part to fetch now; `None` when all are taken.
    pub(super) fn take(&self) -> Option<usize> {
        let mut state = self.lock();
        if let Some(part) = state.take_wanted() {
            return Some(part);
        }
        while state.next < state.taken.len() {
            let part = state.next;
            state.next += 1;
            if !std::mem::replace(&mut state.taken[part], true) {
                return Some(part);
            }
        }
        None
    }

    /// A reader waits for this part: if it was not begun, it comes next.
    pub(super) fn want(&self, part: usize) {
        let mut state = self.lock();
        if state.taken.get(part) == Some(&false) {
            state.wanted.push(part);
            drop(state);
            self.urgent.notify_one();
        }
    }

    /// Waits for a part that a reader wants; `None` when all others have ended.
    pub(super) async fn wanted(&self) -> Option<usize> {
        loop {
            {
                let mut state = self.lock();
                if let Some(part) = state.take_wanted() {
                    return Some(part);
                }
                if state.closed {
                    return None;
                }
            }
            self.urgent.notified().await;
        }
    }

    /// Nothing is left to take.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.urgent.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, OrderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OrderState {
    fn take_wanted(&mut self) -> Option<usize> {
        while let Some(part) = self.wanted.pop() {
            if !std::mem::replace(&mut self.taken[part], true) {
                return Some(part);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_once_and_wanted_ones_first() {
        let parts = PartOrder::new(6);
        assert_eq!(parts.take(), Some(1));
        parts.want(4);
        parts.want(1);
        parts.want(3);
        parts.want(9);
        let order: Vec<usize> = std::iter::from_fn(|| parts.take()).collect();
        assert_eq!(order, [3, 4, 2, 5]);
    }

    #[test]
    fn a_reader_at_the_front_does_not_have_it_fetched_twice() {
        let parts = PartOrder::new(1);
        parts.want(0);
        assert_eq!(parts.take(), None);
    }

    #[tokio::test]
    async fn the_urgent_one_ends_with_the_others() {
        let parts = PartOrder::new(2);
        parts.want(1);
        assert_eq!(parts.wanted().await, Some(1));
        let (end, ()) = tokio::join!(parts.wanted(), async { parts.close() });
        assert_eq!(end, None);
    }
}
