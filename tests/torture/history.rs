//! What clients asked for and what they were told, with the times of both: what the oracle judges.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

/// Microseconds since the round began.
pub(crate) type Micros = u64;

/// Later than everything.
pub(crate) const NEVER: Micros = Micros::MAX;

/// The server that only looks at what a bucket holds.
pub(crate) const WITNESS: usize = 9;

/// A place that clients write to: one key of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot {
    pub(crate) tenant: usize,
    pub(crate) key: String,
    /// Whether it is an entry of the Actions cache.
    pub(crate) actions: bool,
}

/// What a client knows of its write or delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing: no answer, or one that leaves it open (5xx).
    Unknown,
    /// Done, as the server said.
    Done,
    /// Not done, as the server said, or never sent.
    Refused,
    /// The body was never sent as a whole.
    Incomplete,
}

/// A write, or a delete.
#[derive(Debug, Clone)]
pub(crate) struct Mutation {
    pub(crate) id: u64,
    pub(crate) server: usize,
    /// Bytes of the body; nothing for a delete.
    pub(crate) len: Option<u64>,
    pub(crate) begin: Micros,
    /// When the client stopped waiting for it.
    pub(crate) end: Micros,
    pub(crate) fate: Fate,
}

/// One look at a slot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight {
    pub(crate) server: usize,
    pub(crate) begin: Micros,
    pub(crate) end: Micros,
    /// The write whose body was served; nothing is a miss.
    pub(crate) seen: Option<u64>,
    /// Whether everything was at rest.
    pub(crate) settled: bool,
}

/// All that happened to one slot.
#[derive(Debug, Clone, Default)]
pub(crate) struct Track {
    pub(crate) mutations: Vec<Mutation>,
    pub(crate) sights: Vec<Sight>,
}

impl Track {
    pub(crate) fn mutation(&self, id: u64) -> Option<&Mutation> {
        self.mutations.iter().find(|mutation| mutation.id == id)
    }
}

/// What happened to the servers, which bounds how long something may stay undecided.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks {
    /// When a server answered again after a start.
    pub(crate) ready: Vec<(usize, Micros)>,
    /// When all servers were at rest.
    pub(crate) settled: Vec<Micros>,
    /// Times in which servers could not tell each other anything.
    pub(crate) troubles: Vec<(Micros, Micros)>,
    /// Outages of the bucket that began.
    pub(crate) outages: usize,
}

/// The book of one round.
pub(crate) struct History {
    clock: Instant,
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    tracks: BTreeMap<Slot, Track>,
    slots: Vec<Slot>,
    marks: Marks,
}

impl History {
    pub(crate) fn new() -> Self {
        Self {
            clock: Instant::now(),
            pages: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Micros {
        self.clock.elapsed().as_micros() as Micros
    }

    /// Begins a write (with a length) or a delete; its number.
    pub(crate) fn begin(&self, slot: &Slot, server: usize, len: Option<u64>) -> u64 {
        let mut pages = self.pages.lock().unwrap();
        pages.slots.push(slot.clone());
        let id = pages.slots.len() as u64;
        let begin = self.now();
        pages
            .tracks
            .entry(slot.clone())
            .or_default()
            .mutations
            .push(Mutation {
                id,
                server,
                len,
                begin,
                end: NEVER,
                fate: Fate::Unknown,
            });
        id
    }

    pub(crate) fn finish(&self, slot: &Slot, id: u64, fate: Fate) {
        let end = self.now();
        let mut pages = self.pages.lock().unwrap();
        let track = pages.tracks.get_mut(slot).expect("a slot that was written");
        let found = track.mutations.iter_mut().find(|mutation| mutation.id == id);
        let mutation = found.expect("a write that began");
        (mutation.end, mutation.fate) = (end, fate);
    }

    pub(crate) fn saw(&self, slot: &Slot, sight: Sight) {
        let mut pages = self.pages.lock().unwrap();
        pages.tracks.entry(slot.clone()).or_default().sights.push(sight);
    }

    /// The slot of a write, and the length of its body.
    pub(crate) fn write(&self, id: u64) -> Option<(Slot, u64)> {
        let pages = self.pages.lock().unwrap();
        let slot = pages.slots.get(usize::try_from(id.checked_sub(1)?).ok()?)?;
        let len = pages.tracks.get(slot)?.mutation(id)?.len?;
        Some((slot.clone(), len))
    }

    /// All writes to a slot so far.
    pub(crate) fn writes(&self, slot: &Slot) -> Vec<Mutation> {
        let pages = self.pages.lock().unwrap();
        let track = pages.tracks.get(slot);
        track.map_or_else(Vec::new, |track| track.mutations.clone())
    }

    pub(crate) fn slots(&self) -> Vec<Slot> {
        self.pages.lock().unwrap().tracks.keys().cloned().collect()
    }

    pub(crate) fn mark(&self, note: impl FnOnce(&mut Marks, Micros)) {
        let now = self.now();
        note(&mut self.pages.lock().unwrap().marks, now);
    }

    pub(crate) fn tracks(&self) -> (BTreeMap<Slot, Track>, Marks) {
        let pages = self.pages.lock().unwrap();
        (pages.tracks.clone(), pages.marks.clone())
    }
}
