//! The oracle must be able to fail: wrong histories, and right ones that look wrong.

use crate::history::{Fate, Marks, Micros, Mutation, NEVER, Sight, Track};
use crate::oracle::{Rules, judge};

const RULES: Rules = Rules {
    lag: 100,
    keeps: true,
    queues: false,
    since: 0,
};

#[derive(Default)]
struct Story(Track, Marks);

impl Story {
    fn change(mut self, server: usize, begin: Micros, end: Micros, len: Option<u64>, fate: Fate) -> Self {
        let id = self.0.mutations.len() as u64 + 1;
        let mutation = Mutation {
            id,
            server,
            len,
            begin,
            end,
            fate,
        };
        self.0.mutations.push(mutation);
        self
    }

    /// An answered write of server 0; writes and deletes are numbered from 1.
    fn write(self, begin: Micros, end: Micros) -> Self {
        self.change(0, begin, end, Some(9), Fate::Done)
    }

    fn delete(self, begin: Micros, end: Micros) -> Self {
        self.change(0, begin, end, None, Fate::Done)
    }

    fn on(mut self, server: usize, begin: Micros, seen: Option<u64>, settled: bool) -> Self {
        let sight = Sight {
            server,
            begin,
            end: begin + 5,
            seen,
            settled,
        };
        self.0.sights.push(sight);
        self
    }

    /// A read of server 0 that takes 5.
    fn read(self, begin: Micros, seen: u64) -> Self {
        self.on(0, begin, Some(seen), false)
    }

    fn ready(mut self, at: Micros) -> Self {
        self.1.ready.push((0, at));
        self
    }

    fn faults(&self) -> Vec<String> {
        judge(&self.0, &self.1, RULES)
    }

    #[track_caller]
    fn is_right(&self) {
        assert_eq!(self.faults(), Vec::<String>::new());
    }

    #[track_caller]
    fn is_wrong(&self, kind: &str) {
        let faults = self.faults();
        assert!(
            faults.iter().any(|fault| fault.contains(kind)),
            "{kind}: {faults:?}"
        );
    }
}

#[test]
fn what_was_replaced_is_stale() {
    let story = || Story::default().write(0, 10).write(20, 30);
    story().read(15, 1).read(40, 2).is_right();
    story().read(40, 1).is_wrong("stale");
    story().read(22, 1).read(28, 2).read(29, 1).is_right();
    story().read(22, 2).read(28, 1).is_wrong("stale");
}

#[test]
fn of_two_writes_at_once_either_may_stay_but_not_in_turn() {
    let story = || Story::default().write(0, 50).write(10, 60);
    story().read(70, 1).read(80, 1).is_right();
    story().read(70, 2).is_right();
    story().read(70, 1).read(80, 2).is_wrong("stale");
    story().read(20, 1).read(30, 2).read(40, 1).is_wrong("stale");
}

#[test]
fn what_was_deleted_does_not_come_back() {
    Story::default()
        .write(0, 10)
        .delete(20, 30)
        .read(40, 1)
        .is_wrong("stale");
    Story::default()
        .write(0, 10)
        .delete(20, 30)
        .read(22, 1)
        .is_right();
    Story::default().write(0, 10).delete(5, 30).read(40, 1).is_right();
}

#[test]
fn a_write_without_an_answer_stays_or_is_gone() {
    let unknown = |story: Story| story.change(0, 20, 30, Some(9), Fate::Unknown);
    let story = || unknown(Story::default().write(0, 10)).ready(50);
    story().read(60, 1).read(70, 1).is_right();
    story().read(60, 2).read(70, 2).is_right();
    story().read(60, 2).read(70, 1).is_wrong("stale");
    // Before the restart it may still come; after it, no more.
    story().read(40, 1).read(45, 2).is_right();
    story().write(52, 55).read(60, 2).is_wrong("stale");
    unknown(Story::default().write(0, 10))
        .write(52, 55)
        .read(60, 2)
        .is_right();
}

#[test]
fn what_was_refused_or_never_whole_or_of_others_is_never_served() {
    Story::default()
        .change(0, 0, 9, Some(9), Fate::Refused)
        .read(20, 1)
        .is_wrong("refused");
    Story::default()
        .change(0, 0, 9, Some(9), Fate::Incomplete)
        .read(20, 1)
        .is_wrong("incomplete");
    Story::default().write(0, 10).read(20, 7).is_wrong("foreign");
    Story::default().read(0, 1).write(20, 30).is_wrong("future");
}

#[test]
fn at_rest_what_was_answered_is_there() {
    let story = || Story::default().write(0, 10);
    story().on(0, 20, None, false).is_right();
    story().on(0, 20, None, true).is_wrong("lost");
    story().delete(12, 15).on(0, 20, None, true).is_right();
    story()
        .change(0, 12, 15, None, Fate::Unknown)
        .on(0, 20, None, true)
        .is_right();
    story()
        .delete(12, 15)
        .write(16, 18)
        .on(0, 20, None, true)
        .is_wrong("lost");
    story()
        .delete(12, 15)
        .read(16, 1)
        .on(0, 25, None, true)
        .is_wrong("lost");
    let unknown = || Story::default().change(0, 0, 10, Some(9), Fate::Unknown);
    unknown().on(0, 20, None, true).is_right();
    unknown().read(12, 1).on(0, 20, None, true).is_wrong("lost");
}

#[test]
fn another_server_may_lag_but_not_for_ever() {
    let story = || Story::default().write(0, 10).write(20, 30);
    story().on(1, 100, Some(1), false).is_right();
    story().on(1, 200, Some(1), false).is_wrong("stale");
    let mut troubled = story().on(1, 200, Some(1), false);
    troubled.1.troubles.push((25, 150));
    troubled.1.settled.push(300);
    assert_eq!(troubled.faults(), Vec::<String>::new());
    troubled.on(1, 310, Some(1), false).is_wrong("stale");
}

#[test]
fn a_power_loss_forgives_what_was_before_it() {
    let story = Story::default().write(0, 10).write(20, 30).read(35, 2);
    let story = story.read(50, 1).read(60, 1).on(0, 70, None, true);
    let rules = Rules { since: 40, ..RULES };
    let Story(mut track, marks) = story;
    let faults = judge(&track, &marks, rules);
    assert!(faults.len() == 1 && faults[0].starts_with("lost"), "{faults:?}");
    track.sights.pop();
    assert_eq!(judge(&track, &marks, rules), Vec::<String>::new());
    assert_eq!(NEVER, Micros::MAX);
}

#[test]
fn of_two_servers_with_queues_the_later_upload_wins() {
    let rules = Rules {
        queues: true,
        ..RULES
    };
    let faults = |story: Story| judge(&story.0, &story.1, rules);
    let deleted = || Story::default().write(0, 10).change(1, 20, 30, None, Fate::Done);
    let right = deleted().on(0, 50, Some(1), true).on(1, 50, Some(1), true);
    assert_eq!(faults(right), Vec::<String>::new());
    let right = deleted().on(0, 50, None, true).on(1, 50, None, true);
    assert_eq!(faults(right), Vec::<String>::new());
    let wrong = faults(deleted().on(0, 50, Some(1), true).on(1, 50, None, true));
    assert!(wrong[0].starts_with("split"), "{wrong:?}");
    let wrong = faults(Story::default().write(0, 10).write(20, 30).read(40, 1));
    assert!(wrong[0].contains("stale"), "{wrong:?}");
    let wrong = faults(Story::default().write(0, 10).on(0, 50, None, true));
    assert!(wrong[0].contains("lost"), "{wrong:?}");
}
