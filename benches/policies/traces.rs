//! What CI asks of a cache, in four shapes.

use std::collections::{HashMap, HashSet};

use super::random::Random;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    /// A look-up. With `fill` the build makes what it missed, and stores it.
    Read { key: u64, bytes: u64, fill: bool },
    /// A store without a look-up.
    Write { key: u64, bytes: u64 },
}

#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) name: &'static str,
    pub(crate) events: Vec<Event>,
}

impl Trace {
    /// Bytes of all keys together.
    pub(crate) fn footprint(&self) -> u64 {
        let mut seen = HashSet::new();
        let bytes = self.events.iter().map(|event| match *event {
            Event::Read { key, bytes, .. } | Event::Write { key, bytes } => (key, bytes),
        });
        bytes
            .filter(|(key, _)| seen.insert(*key))
            .map(|(_, bytes)| bytes)
            .sum()
    }
}

pub(crate) fn all() -> Vec<Trace> {
    vec![targets(1), branches(2), nightly(3), scanned(4)]
}

/// Builds of 1,000 targets. A commit changes some; the build looks up every target in its present version.
struct Targets {
    versions: Vec<u64>,
    sizes: HashMap<u64, u64>,
    next: u64,
}

impl Targets {
    fn new(count: u64, random: &mut Random) -> Self {
        let mut this = Self {
            versions: Vec::new(),
            sizes: HashMap::new(),
            next: 0,
        };
        for _ in 0..count {
            let version = this.version(random);
            this.versions.push(version);
        }
        this
    }

    fn version(&mut self, random: &mut Random) -> u64 {
        self.next += 1;
        self.sizes.insert(self.next, random.size());
        self.next
    }

    /// A commit: some targets have a new version, those with a high number more often.
    fn commit(&mut self, random: &mut Random) {
        for _ in 0..1 + random.skewed(120) {
            let target = random.skewed(self.versions.len() as u64) as usize;
            self.versions[target] = self.version(random);
        }
    }

    fn build(&self, events: &mut Vec<Event>) {
        events.extend(self.versions.iter().map(|key| {
            let (key, bytes) = (*key, self.sizes[key]);
            Event::Read {
                key,
                bytes,
                fill: true,
            }
        }));
    }
}

/// A monorepo: one line of commits, builds of the latest one and of some that are behind.
fn targets(seed: u64) -> Trace {
    let mut random = Random::new(seed);
    let mut targets = Targets::new(1000, &mut random);
    let mut events = Vec::new();
    let mut former: Vec<Vec<u64>> = Vec::new();
    for _ in 0..600 {
        targets.commit(&mut random);
        targets.build(&mut events);
        former.push(targets.versions.clone());
        if random.chance(50) {
            let back = former.len() - 1 - random.skewed(former.len() as u64) as usize;
            events.extend(former[back].iter().map(|key| {
                let (key, bytes) = (*key, targets.sizes[key]);
                Event::Read {
                    key,
                    bytes,
                    fill: true,
                }
            }));
        }
    }
    Trace {
        name: "targets",
        events,
    }
}

/// The Actions cache of many repositories: saved at the end of a job, restored by later jobs of that branch and of others
/// by prefix; pull requests save what only they read, mostly never.
fn branches(seed: u64) -> Trace {
    let mut random = Random::new(seed);
    let mut events = Vec::new();
    let mut next = 0;
    let mut save = |random: &mut Random, events: &mut Vec<Event>| {
        next += 1;
        let bytes = (1 + random.skewed(40)) << 20;
        events.push(Event::Write { key: next, bytes });
        (next, bytes)
    };
    let mut main: Vec<(u64, u64)> = (0..200).map(|_| save(&mut random, &mut events)).collect();
    let mut requests: Vec<(u64, u64)> = Vec::new();
    for _ in 0..60_000 {
        let repository = random.skewed(main.len() as u64) as usize;
        let (key, bytes) = main[repository];
        events.push(Event::Read {
            key,
            bytes,
            fill: false,
        });
        match random.below(100) {
            0..=7 => main[repository] = save(&mut random, &mut events),
            8..=49 => requests.push(save(&mut random, &mut events)),
            50..=64 if !requests.is_empty() => {
                let back = requests.len() - 1 - random.skewed(requests.len() as u64) as usize;
                let (key, bytes) = requests[back];
                events.push(Event::Read {
                    key,
                    bytes,
                    fill: false,
                });
            }
            _ => {}
        }
    }
    Trace {
        name: "branches",
        events,
    }
}

/// Builds by day, and each night a clean build of a configuration that nobody reads.
fn nightly(seed: u64) -> Trace {
    let mut random = Random::new(seed);
    let mut targets = Targets::new(1000, &mut random);
    let mut events = Vec::new();
    for day in 0..40 {
        for _ in 0..12 {
            targets.commit(&mut random);
            targets.build(&mut events);
        }
        for nth in 0..1500 {
            let key = (1 << 40) + day * 10_000 + nth;
            events.push(Event::Write {
                key,
                bytes: random.size(),
            });
        }
    }
    Trace {
        name: "nightly",
        events,
    }
}

/// Builds, and now and then somebody who reads everything once: a mirror, a new machine.
fn scanned(seed: u64) -> Trace {
    let mut random = Random::new(seed);
    let mut targets = Targets::new(1000, &mut random);
    let mut events = Vec::new();
    for round in 0..480 {
        targets.commit(&mut random);
        targets.build(&mut events);
        if round % 40 == 39 {
            let keys = 1..=targets.next;
            events.extend(keys.map(|key| {
                let bytes = targets.sizes[&key];
                Event::Read {
                    key,
                    bytes,
                    fill: true,
                }
            }));
        }
    }
    Trace {
        name: "scanned",
        events,
    }
}
