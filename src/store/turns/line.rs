//! Who holds permits, who waits, and who is next.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Asker;

/// See the module. `W` stands for one who waits. Every step takes logarithmic time; what nobody holds and nobody waits
/// for takes no room.
#[derive(Debug)]
pub(super) struct TurnLine<W> {
    free: usize,
    askers: HashMap<Asker, AskerState<W>>,
    /// Those that wait, the next one first. Empty while a permit is free.
    order: BTreeSet<Place>,
    /// Counts turns and those who wait.
    last: u64,
}

/// What one asker has and wants.
#[derive(Debug)]
struct AskerState<W> {
    held: usize,
    /// Its place among those that hold as many.
    turn: u64,
    /// By number, the first one first.
    waiting: BTreeMap<u64, W>,
}

/// Permits that are held, and turn.
type Place = (usize, u64, Asker);

impl<W> TurnLine<W> {
    pub(super) fn new(free: usize) -> Self {
        Self {
            free,
            askers: HashMap::new(),
            order: BTreeSet::new(),
            last: 0,
        }
    }

    pub(super) fn free(&self) -> usize {
        self.free
    }

    /// Takes a permit if one is free.
    pub(super) fn take(&mut self, asker: Asker) -> bool {
        if self.free == 0 {
            return false;
        }
        self.free -= 1;
        self.state(asker).held += 1;
        true
    }

    /// Waits for a permit. Answers the number for [`TurnLine::leave`].
    pub(super) fn wait(&mut self, asker: Asker, waiter: W) -> u64 {
        self.last += 1;
        let number = self.last;
        let state = self.state(asker);
        if state.waiting.is_empty() {
            state.turn = number;
            let place = (state.held, state.turn, asker);
            state.waiting.insert(number, waiter);
            self.order.insert(place);
        } else {
            state.waiting.insert(number, waiter);
        }
        number
    }

    /// Whoever has this number does not wait any more. `None` if it had got its permit.
    pub(super) fn leave(&mut self, asker: Asker, number: u64) -> Option<W> {
        let state = self.askers.get_mut(&asker)?;
        let left = state.waiting.remove(&number)?;
        if state.waiting.is_empty() {
            self.order.remove(&(state.held, state.turn, asker));
        }
        self.forget_if_idle(asker);
        Some(left)
    }

    /// Gives a permit of `asker` back, to whoever is next: it holds it from now on.
    pub(super) fn give_back(&mut self, asker: Asker) -> Option<(Asker, W)> {
        self.change_held(asker, |held| held.saturating_sub(1));
        let next = self.next();
        if next.is_none() {
            self.free += 1;
        }
        self.forget_if_idle(asker);
        next
    }

    fn next(&mut self) -> Option<(Asker, W)> {
        let (_, _, asker) = self.order.pop_first()?;
        self.last += 1;
        let turn = self.last;
        let state = self.askers.get_mut(&asker)?;
        let (_, waiter) = state.waiting.pop_first()?;
        state.held += 1;
        state.turn = turn;
        if !state.waiting.is_empty() {
            self.order.insert((state.held, turn, asker));
        }
        Some((asker, waiter))
    }

    fn change_held(&mut self, asker: Asker, change: impl FnOnce(usize) -> usize) {
        let Some(state) = self.askers.get_mut(&asker) else {
            return;
        };
        let waits = self.order.remove(&(state.held, state.turn, asker));
        state.held = change(state.held);
        if waits {
            self.order.insert((state.held, state.turn, asker));
        }
    }

    fn state(&mut self, asker: Asker) -> &mut AskerState<W> {
        self.askers.entry(asker).or_insert_with(|| AskerState {
            held: 0,
            turn: 0,
            waiting: BTreeMap::new(),
        })
    }

    fn forget_if_idle(&mut self, asker: Asker) {
        let is_idle = |state: &AskerState<W>| state.held == 0 && state.waiting.is_empty();
        if self.askers.get(&asker).is_some_and(is_idle) {
            self.askers.remove(&asker);
        }
    }

    /// How many askers it knows of.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.askers.len()
    }
}
