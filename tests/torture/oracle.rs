//! Says whether what clients saw can have happened.
//!
//! Every body names its write, so a slot is a register whose values are all different. Such a history is
//! linearizable exactly if its zones fit (Gibbons and Korach, "Testing shared memories"): the operations about one
//! value make a cluster, from the first end of any of them to the last begin of any of them. A cluster whose first
//! end is before its last begin holds the register for that time (it is forward); no other may hold it then, and none
//! may have to begin and end inside of it. Misses say nothing here: a cache may forget.

use std::collections::BTreeMap;

use crate::history::{Fate, Marks, Micros, Mutation, NEVER, Sight, Track};

/// What must be true of a slot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// How long another server may serve what was replaced or deleted, in microseconds.
    pub(crate) lag: Micros,
    /// Whether an answered write must be found when all is at rest.
    pub(crate) keeps: bool,
    /// Whether several servers may each hold writes that wait for their upload. Then the bucket takes changes of
    /// different servers in the order of their uploads, so only changes of the same server have an order.
    pub(crate) queues: bool,
    /// Only what happened from here on counts: before, a power loss may have taken anything.
    pub(crate) since: Micros,
}

/// The operations about one value, or one delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Zone {
    id: u64,
    first_end: Micros,
    last_begin: Micros,
    delete: bool,
}

impl Zone {
    fn is_forward(&self) -> bool {
        self.first_end < self.last_begin
    }

    fn tell(&self) -> String {
        let kind = if self.delete { "delete" } else { "write" };
        match self.is_forward() {
            true => format!("{kind} {} holds {}..{}", self.id, self.first_end, self.last_begin),
            false => format!("{kind} {} ran {}..{}", self.id, self.last_begin, self.first_end),
        }
    }
}

/// What is wrong with a slot, as texts.
pub(crate) fn judge(track: &Track, marks: &Marks, rules: Rules) -> Vec<String> {
    let mut faults = never_allowed(track);
    faults.extend(split(track));
    let mut views: Vec<usize> = track.sights.iter().map(|sight| sight.server).collect();
    views.sort_unstable();
    views.dedup();
    for view in views {
        let zones = zones_of(track, marks, rules, view);
        let mut wrong = order(&zones);
        // The same with writes at their own times, for reads that may be as old as the lag.
        let older = shifted(track, marks, rules.lag, view);
        wrong.extend(order(&zones_of(&older, marks, Rules { lag: 0, ..rules }, view)));
        wrong.sort_unstable();
        wrong.dedup();
        faults.extend(wrong.into_iter().map(|fault| format!("server {view}: {fault}")));
        if rules.keeps {
            faults.extend(lost(track, marks, rules, &zones, view));
        }
    }
    faults
}

/// Bodies that nobody may ever see.
fn never_allowed(track: &Track) -> Vec<String> {
    let mut faults = Vec::new();
    for sight in &track.sights {
        let Some(id) = sight.seen else { continue };
        let at = format!("server {} at {}..{}", sight.server, sight.begin, sight.end);
        match track.mutation(id) {
            None => faults.push(format!(
                "foreign: {at} served write {id}, which is of another slot or of nobody"
            )),
            Some(write) if write.begin > sight.end => {
                faults.push(format!("future: {at} served write {id}, which began later"));
            }
            Some(write) if write.fate == Fate::Refused => {
                faults.push(format!(
                    "refused: {at} served write {id}, which was refused at {}",
                    write.end
                ));
            }
            Some(write) if write.fate == Fate::Incomplete => {
                faults.push(format!(
                    "incomplete: {at} served write {id}, whose body was never sent whole"
                ));
            }
            Some(_) => {}
        }
    }
    faults
}

/// At rest all servers see the same.
fn split(track: &Track) -> Option<String> {
    let mut at_rest = track.sights.iter().filter(|sight| sight.settled);
    let first = at_rest.next()?;
    let other = at_rest.find(|sight| sight.seen != first.seen)?;
    let tell = |sight: &Sight| match sight.seen {
        Some(id) => format!("server {} serves write {id}", sight.server),
        None => format!("server {} misses", sight.server),
    };
    Some(format!("split: at rest {}, but {}", tell(first), tell(other)))
}

/// The track with reads moved back in time by what a server may lag behind the others.
fn shifted(track: &Track, marks: &Marks, lag: Micros, view: usize) -> Track {
    let is_alone = track.mutations.iter().all(|mutation| mutation.server == view);
    let mut track = track.clone();
    for sight in track.sights.iter_mut().filter(|_| !is_alone) {
        let rest = marks
            .settled
            .iter()
            .copied()
            .filter(|at| *at <= sight.begin)
            .max()
            .unwrap_or(0);
        let troubled = marks
            .troubles
            .iter()
            .any(|(from, to)| *to >= rest && *from <= sight.begin);
        sight.begin = if troubled {
            rest
        } else {
            sight.begin.saturating_sub(lag)
        };
    }
    track
}

/// When a change is certainly decided, as one server sees it: with a lag of 0 at its own time.
fn decided(mutation: &Mutation, marks: &Marks, rules: Rules, view: usize) -> Micros {
    if rules.queues && view != mutation.server {
        return NEVER;
    }
    let rest = |after| {
        marks
            .settled
            .iter()
            .copied()
            .find(|at| *at >= after)
            .unwrap_or(NEVER)
    };
    let known = match mutation.fate {
        Fate::Done => mutation.end,
        _ => {
            let own = marks
                .ready
                .iter()
                .filter(|(server, _)| *server == mutation.server);
            let ready = own.map(|(_, at)| *at).find(|at| *at >= mutation.end);
            ready.unwrap_or(NEVER).min(rest(mutation.end))
        }
    };
    if rules.lag == 0 || view == mutation.server || known == NEVER {
        return known;
    }
    let told = known + rules.lag;
    let disturbed = |(from, to): &(Micros, Micros)| *from <= told && *to >= mutation.begin;
    match marks.troubles.iter().any(disturbed) {
        true => rest(known),
        false => told,
    }
}

fn zones_of(track: &Track, marks: &Marks, rules: Rules, view: usize) -> Vec<Zone> {
    let mut zones = BTreeMap::new();
    for mutation in &track.mutations {
        let delete = mutation.len.is_none();
        let decided = decided(mutation, marks, rules, view);
        let counts = mutation.begin >= rules.since;
        let zone = match mutation.fate {
            Fate::Done if counts => Zone {
                id: mutation.id,
                first_end: decided,
                last_begin: mutation.begin,
                delete,
            },
            _ if delete => continue,
            Fate::Unknown if counts => Zone {
                id: mutation.id,
                first_end: decided,
                last_begin: mutation.begin,
                delete,
            },
            _ => Zone {
                id: mutation.id,
                first_end: NEVER,
                last_begin: 0,
                delete,
            },
        };
        // What waits elsewhere may still be replaced unseen.
        let is_certain = mutation.fate == Fate::Done && counts && decided != NEVER;
        zones.insert(mutation.id, (zone, is_certain));
    }
    for Sight { begin, end, seen, .. } in track.sights.iter().filter(|sight| counts(sight, rules, view)) {
        if let Some((zone, is_certain)) = seen.and_then(|id| zones.get_mut(&id)) {
            zone.first_end = zone.first_end.min(*end);
            zone.last_begin = zone.last_begin.max(*begin);
            *is_certain = true;
        }
    }
    // A write that nobody answered and nobody saw may have happened at any time, or never.
    zones
        .into_values()
        .filter(|(_, is_certain)| *is_certain)
        .map(|(zone, _)| zone)
        .collect()
}

fn counts(sight: &Sight, rules: Rules, view: usize) -> bool {
    sight.server == view && sight.begin >= rules.since
}

/// Zones that do not fit.
fn order(zones: &[Zone]) -> Vec<String> {
    let mut faults = Vec::new();
    for (nth, zone) in zones.iter().enumerate().filter(|(_, zone)| zone.is_forward()) {
        for (other_nth, other) in zones.iter().enumerate().filter(|(other, _)| *other != nth) {
            let clashes = match other.is_forward() {
                // Each pair once.
                true => {
                    nth < other_nth && zone.first_end < other.last_begin && other.first_end < zone.last_begin
                }
                false => zone.first_end < other.last_begin && other.first_end < zone.last_begin,
            };
            if clashes {
                faults.push(format!("stale: {}, although {}", zone.tell(), other.tell()));
            }
        }
    }
    faults
}

/// Misses at rest of what must be there.
fn lost(track: &Track, marks: &Marks, rules: Rules, zones: &[Zone], view: usize) -> Vec<String> {
    let may_delete = |zone: &Zone| {
        let deletes = track.mutations.iter().filter(|mutation| mutation.len.is_none());
        let mut open = deletes.filter(|delete| delete.fate == Fate::Done || delete.fate == Fate::Unknown);
        open.any(|delete| decided(delete, marks, rules, view) >= zone.last_begin)
    };
    let misses = track.sights.iter().filter(|sight| counts(sight, rules, view));
    let misses = misses.filter(|sight| sight.settled && sight.seen.is_none());
    let mut faults = Vec::new();
    for miss in misses {
        let there = zones
            .iter()
            .filter(|zone| !zone.delete && zone.first_end <= miss.begin);
        if let Some(zone) = there
            .filter(|zone| !may_delete(zone))
            .max_by_key(|zone| zone.last_begin)
        {
            faults.push(format!(
                "lost: server {view} misses at {}, although {}",
                miss.begin,
                zone.tell()
            ));
        }
    }
    faults
}
