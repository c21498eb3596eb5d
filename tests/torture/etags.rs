//! Which tag belongs to which write: the same bytes must have the same tag, on every server.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::history::Slot;

#[derive(Default)]
pub(crate) struct Etags(Mutex<HashMap<Slot, Vec<(String, u64)>>>);

impl Etags {
    pub(crate) fn learn(&self, slot: &Slot, etag: &str, id: u64) {
        let mut known = self.0.lock().unwrap();
        let known = known.entry(slot.clone()).or_default();
        known.retain(|(_, other)| *other != id);
        known.push((etag.to_owned(), id));
    }

    /// The tag that was seen last.
    pub(crate) fn last(&self, slot: &Slot) -> Option<String> {
        Some(self.0.lock().unwrap().get(slot)?.last()?.0.clone())
    }

    /// The write with this tag, if there is only one: empty bodies share theirs.
    pub(crate) fn write_of(&self, slot: &Slot, etag: &str) -> Option<u64> {
        let known = self.0.lock().unwrap();
        let mut fitting = known.get(slot)?.iter().filter(|(tag, _)| tag == etag);
        let (_, id) = fitting.next()?;
        fitting.next().is_none().then_some(*id)
    }
}
