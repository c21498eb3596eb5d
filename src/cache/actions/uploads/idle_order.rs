//! Uploads by their last traffic, as it was when somebody looked. Traffic itself never touches it: an upload stands
//! at or before its place, so the first one that stands where its traffic says is the most idle of all.

use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;

use crate::cache::actions::UploadId;

#[derive(Debug, Default)]
pub(super) struct IdleOrder {
    order: BTreeSet<(Instant, UploadId)>,
    seen: HashMap<UploadId, Instant>,
}

impl IdleOrder {
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    pub(super) fn insert(&mut self, id: UploadId, traffic: Instant) {
        self.remove(id);
        self.seen.insert(id, traffic);
        self.order.insert((traffic, id));
    }

    /// `false` if it stands there already, or is not in here.
    pub(super) fn update(&mut self, id: UploadId, traffic: Instant) -> bool {
        match self.seen.get(&id) {
            Some(seen) if *seen < traffic => {
                self.insert(id, traffic);
                true
            }
            _ => false,
        }
    }

    pub(super) fn remove(&mut self, id: UploadId) {
        if let Some(seen) = self.seen.remove(&id) {
            self.order.remove(&(seen, id));
        }
    }

    /// The first one, and the traffic by which it stands there.
    pub(super) fn first(&self) -> Option<(Instant, UploadId)> {
        self.order.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_first_is_the_one_that_was_seen_the_longest_ago() {
        let id = |number| UploadId::new(number).expect("a number");
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut order = IdleOrder::default();
        for (number, seconds) in [(1, 5), (2, 3), (3, 4)] {
            order.insert(id(number), at(seconds));
        }
        assert_eq!(order.first(), Some((at(3), id(2))));
        assert!(order.update(id(2), at(9)));
        assert!(!order.update(id(2), at(9)) && !order.update(id(2), at(1)));
        assert_eq!(order.first(), Some((at(4), id(3))));
        order.remove(id(3));
        assert!(!order.update(id(3), at(10)), "it is not in here");
        assert_eq!(order.first(), Some((at(5), id(1))));
        assert_eq!(order.len(), 2);
    }
}
