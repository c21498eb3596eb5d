use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::poll;

use super::line::TurnLine;
use super::{Asker, FairPermit, FairSemaphore};

fn asker(number: u64) -> Asker {
    Asker::from_number(number)
}

/// A permit that is free.
#[track_caller]
fn take(permits: &Arc<FairSemaphore>, number: u64) -> FairPermit {
    let permit = permits.acquire(asker(number)).now_or_never();
    permit.expect("one is free")
}

/// Pseudo-random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[tokio::test]
async fn one_that_comes_behind_a_flood_gets_the_next_permit() {
    let permits = FairSemaphore::new(4);
    let mut held: Vec<FairPermit> = (0..4).map(|_| take(&permits, 1)).collect();
    let mut flood: Vec<_> = (0..500).map(|_| Box::pin(permits.acquire(asker(1)))).collect();
    for wait in &mut flood {
        assert!(poll!(wait).is_pending());
    }
    let mut quiet = Box::pin(permits.acquire(asker(2)));
    assert!(poll!(&mut quiet).is_pending());
    drop(held.pop());
    drop(quiet.await);
    // What it gives back goes to the flood again, in its order.
    assert!(poll!(&mut flood[1]).is_pending());
    assert!(poll!(&mut flood[0]).is_ready());
    drop((held, flood));
    assert_eq!(permits.figures(), (0, 4));
}

#[tokio::test]
async fn many_permits_of_one_are_no_reason_for_another_to_wait_longer_than_for_one_of_them() {
    let permits = FairSemaphore::new(8);
    let mut held: VecDeque<FairPermit> = (0..8).map(|_| take(&permits, 1)).collect();
    // A huge object: for every part that ends, another one waits already.
    let mut parts: VecDeque<_> = (0..100).map(|_| Box::pin(permits.acquire(asker(1)))).collect();
    for part in &mut parts {
        assert!(poll!(part).is_pending());
    }
    let mut others: Vec<_> = (0..4).map(|_| Box::pin(permits.acquire(asker(2)))).collect();
    for other in &mut others {
        assert!(poll!(&mut *other).is_pending());
    }
    for other in others {
        drop(held.pop_front());
        held.push_back(other.await);
    }
    // Both hold four: whoever gives one back is the next one.
    let mut more = Box::pin(permits.acquire(asker(2)));
    assert!(poll!(&mut more).is_pending());
    drop(held.pop_front());
    held.push_front(parts.pop_front().expect("a part").await);
    assert!(poll!(&mut more).is_pending());
    drop(held.pop_back());
    drop(more.await);
}

#[tokio::test]
async fn who_leaves_gives_up_its_place_and_a_permit_that_it_had_got() {
    let permits = FairSemaphore::new(1);
    let held = permits.acquire(asker(1)).await;
    let mut gone = Box::pin(permits.acquire(asker(2)));
    let mut granted = Box::pin(permits.acquire(asker(3)));
    let mut last = Box::pin(permits.acquire(asker(4)));
    assert!(
        poll!(&mut gone).is_pending() && poll!(&mut granted).is_pending() && poll!(&mut last).is_pending()
    );
    drop(gone);
    drop(held);
    // Its permit has come, and it never looks.
    assert!(poll!(&mut last).is_pending());
    drop(granted);
    drop(last.await);
    assert_eq!(permits.figures(), (0, 1));
    drop(take(&permits, 9));
}

#[tokio::test]
async fn nobody_waits_while_a_permit_is_free() {
    let permits = FairSemaphore::new(2);
    let (first, second) = (take(&permits, 1), take(&permits, 1));
    assert!(permits.acquire(asker(2)).now_or_never().is_none());
    drop((first, second));
    assert_eq!(permits.figures(), (0, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_permit_is_lost_or_made_while_many_come_and_leave_at_once() {
    let permits = FairSemaphore::new(3);
    let run = |seed: u64| {
        let permits = Arc::clone(&permits);
        async move {
            let mut random = Random(seed + 1);
            for _ in 0..400 {
                let wait = permits.acquire(asker(random.below(5)));
                tokio::select! {
                    biased;
                    permit = wait => {
                        assert!(permits.figures().0 <= 3);
                        tokio::task::yield_now().await;
                        drop(permit);
                    }
                    () = leave(random.below(4)) => {}
                }
            }
        }
    };
    let tasks = crate::tasks::Tasks::new();
    let runs: Vec<_> = (0..16).map(|seed| tasks.spawn(run(seed))).collect();
    for run in runs {
        run.await.expect("no panic");
    }
    assert_eq!(permits.figures(), (0, 3));
}

async fn leave(after: u64) {
    for _ in 0..after {
        tokio::task::yield_now().await;
    }
}

/// What the line is to do, without any order that is kept.
#[derive(Default)]
struct Model {
    free: usize,
    held: BTreeMap<Asker, usize>,
    turn: HashMap<Asker, u64>,
    waiting: BTreeMap<Asker, VecDeque<u64>>,
}

impl Model {
    fn next(&self) -> Option<Asker> {
        let held = |asker: &Asker| self.held.get(asker).copied().unwrap_or(0);
        self.waiting
            .keys()
            .copied()
            .min_by_key(|asker| (held(asker), self.turn[asker]))
    }
}

#[test]
fn the_line_does_what_the_model_does() {
    for seed in 1..40 {
        let mut random = Random(seed * 7919);
        let free = 1 + random.below(4) as usize;
        let mut line = TurnLine::new(free);
        let mut model = Model {
            free,
            ..Model::default()
        };
        let mut numbers: HashMap<u64, u64> = HashMap::new();
        let mut clock = 0;
        for step in 0..2000_u64 {
            clock += 1;
            let of = asker(random.below(6));
            match random.below(5) {
                0 | 1 => {
                    let taken = line.take(of);
                    assert_eq!(taken, model.free > 0);
                    if taken {
                        model.free -= 1;
                        *model.held.entry(of).or_default() += 1;
                        continue;
                    }
                    numbers.insert(step, line.wait(of, step));
                    let waiting = model.waiting.entry(of).or_default();
                    if waiting.is_empty() {
                        model.turn.insert(of, clock);
                    }
                    waiting.push_back(step);
                }
                2 => {
                    let Some(waiting) = model.waiting.get_mut(&of) else {
                        continue;
                    };
                    let at = random.below(waiting.len() as u64) as usize;
                    let waiter = waiting.remove(at).expect("in range");
                    if waiting.is_empty() {
                        model.waiting.remove(&of);
                    }
                    assert_eq!(line.leave(of, numbers[&waiter]), Some(waiter));
                    assert_eq!(line.leave(of, numbers[&waiter]), None);
                }
                _ => {
                    let Some(held) = model.held.get_mut(&of) else {
                        continue;
                    };
                    *held -= 1;
                    if *held == 0 {
                        model.held.remove(&of);
                    }
                    let granted = line.give_back(of);
                    let Some(next) = model.next() else {
                        model.free += 1;
                        assert_eq!(granted, None);
                        continue;
                    };
                    let waiting = model.waiting.get_mut(&next).expect("it waits");
                    let waiter = waiting.pop_front().expect("it waits");
                    if waiting.is_empty() {
                        model.waiting.remove(&next);
                    }
                    *model.held.entry(next).or_default() += 1;
                    model.turn.insert(next, clock);
                    assert_eq!(granted, Some((next, waiter)));
                }
            }
            let known = model.held.keys().chain(model.waiting.keys());
            let known: std::collections::BTreeSet<_> = known.collect();
            assert_eq!(line.known(), known.len(), "nobody who is gone takes room");
        }
    }
}
