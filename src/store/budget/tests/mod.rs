mod fair;

use super::wait::{ABOVE_WAIT_TIMEOUT, IDLE_WAIT_TIMEOUT, MAX_WAIT_TIMEOUT};
use super::*;
use crate::store::Error;

const MIB: u64 = 1 << 20;

fn budget(used: u64) -> Arc<Budget> {
    let budget = Budget::new(100 * MIB, used, Duration::ZERO);
    budget.settled();
    budget
}

#[tokio::test]
async fn room_is_given_back_by_drop_and_turned_into_use_by_settle() {
    let budget = budget(0);
    let first = budget.reserve(10 * MIB, Ask::New).await.expect("room");
    let second = budget.reserve(20 * MIB, Ask::New).await.expect("room");
    assert_eq!(budget.figures(), (0, 30 * MIB));
    drop(first);
    second.settle(5 * MIB);
    drop(second);
    assert_eq!(budget.figures(), (5 * MIB, 0));
}

#[tokio::test(start_paused = true)]
async fn waiters_are_served_in_order_and_a_leaving_one_does_not_block_the_next() {
    let budget = budget(90 * MIB);
    let mut first = Box::pin(budget.reserve(50 * MIB, Ask::New));
    let mut second = Box::pin(budget.reserve(5 * MIB, Ask::New));
    assert!(futures_util::poll!(&mut first).is_pending());
    // There is room for the second one, but it is not its turn.
    assert!(futures_util::poll!(&mut second).is_pending());
    drop(first);
    assert_eq!(second.await.expect("room").bytes(), 5 * MIB);
}

#[tokio::test(start_paused = true)]
async fn a_new_body_gives_up_when_nothing_moves_for_a_while() {
    let budget = budget(0);
    let _held = budget.reserve(100 * MIB, Ask::New).await.expect("room");
    let started = Instant::now();
    let refused = budget.reserve(MIB, Ask::New).await;
    assert!(matches!(refused, Err(Error::NoSpace { .. })));
    assert_eq!(started.elapsed(), IDLE_WAIT_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn growth_goes_first_and_the_youngest_fails_when_nothing_can_be_evicted() {
    let budget = budget(0);
    let older = budget.reserve(50 * MIB, Ask::New).await.expect("room");
    let younger = budget.reserve(50 * MIB, Ask::New).await.expect("room");
    let mut new = Box::pin(budget.reserve(MIB, Ask::New));
    assert!(futures_util::poll!(&mut new).is_pending());
    let mut grows = Box::pin(older.ensure(51 * MIB, 0));
    assert!(futures_util::poll!(&mut grows).is_pending());
    let mut fails = Box::pin(younger.ensure(51 * MIB, 0));
    assert!(futures_util::poll!(&mut fails).is_pending());
    budget.exhausted();
    assert!(matches!(fails.await, Err(Error::NoSpace { .. })));
    drop(younger);
    grows.await.expect("grown");
    new.await.expect("room");
    drop(older);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_more_than_evictions_can_give_costs_nobody_an_entry_or_a_turn() {
    let budget = budget(80 * MIB);
    let held = budget.reserve(10 * MIB, Ask::New).await.expect("room");
    let mut large = Box::pin(budget.reserve(95 * MIB, Ask::New));
    assert!(futures_util::poll!(&mut large).is_pending());
    assert_eq!(budget.goal(), 0);
    let small = budget.reserve(MIB, Ask::New).await.expect("its turn");
    drop((held, small));
    // Now they can.
    assert_eq!(budget.goal(), 80 * MIB);
    budget.freed(80 * MIB);
    large.await.expect("room");
}

#[tokio::test(start_paused = true)]
async fn a_new_body_does_not_wait_for_ever_although_room_is_given_back() {
    let budget = budget(0);
    let held = budget.reserve(100 * MIB, Ask::New).await.expect("room");
    let started = Instant::now();
    let mut large = Box::pin(budget.reserve(50 * MIB, Ask::New));
    let refused = loop {
        if let std::task::Poll::Ready(answer) = futures_util::poll!(&mut large) {
            break answer;
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        held.release(4096);
    };
    assert!(matches!(refused, Err(Error::NoSpace { .. })));
    assert!(started.elapsed() <= MAX_WAIT_TIMEOUT + IDLE_WAIT_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn announced_bodies_wait_for_the_end_of_others_and_the_youngest_fails_when_all_wait() {
    let budget = budget(0);
    let oldest = budget.reserve(40 * MIB, Ask::New).await.expect("room");
    let older = budget.reserve(30 * MIB, Ask::New).await.expect("room");
    let younger = budget.reserve(30 * MIB, Ask::New).await.expect("room");
    let mut grows = Box::pin(older.ensure_of(35 * MIB, 8 * MIB, 60 * MIB));
    assert!(futures_util::poll!(&mut grows).is_pending());
    let mut fails = Box::pin(younger.ensure_of(35 * MIB, 8 * MIB, 60 * MIB));
    assert!(futures_util::poll!(&mut fails).is_pending());
    budget.exhausted();
    assert!(
        futures_util::poll!(&mut fails).is_pending(),
        "another one goes on"
    );
    let mut last = Box::pin(oldest.ensure_of(41 * MIB, 8 * MIB, 50 * MIB));
    assert!(futures_util::poll!(&mut last).is_pending());
    budget.exhausted();
    assert!(matches!(last.await, Err(Error::NoSpace { .. })));
    drop(oldest);
    grows.await.expect("grown");
    fails.await.expect("grown, too");
    assert_eq!((older.bytes(), younger.bytes()), (38 * MIB, 38 * MIB));
}

#[tokio::test]
async fn a_waiter_that_left_behind_another_is_not_evicted_for() {
    let budget = budget(97 * MIB);
    let mut waits = Box::pin(budget.reserve(40 * MIB, Ask::New));
    let mut leaves = Box::pin(budget.reserve(30 * MIB, Ask::New));
    assert!(futures_util::poll!(&mut waits).is_pending());
    assert!(futures_util::poll!(&mut leaves).is_pending());
    assert_eq!(budget.goal(), 72 * MIB);
    drop(leaves);
    assert_eq!(budget.goal(), 42 * MIB);
}

#[tokio::test]
async fn the_goal_reaches_the_low_water_mark_and_the_needs_that_can_be_met() {
    let budget = budget(97 * MIB);
    assert_eq!(budget.goal(), 0);
    budget.adjust(2 * MIB as i64);
    assert_eq!(budget.goal(), 4 * MIB);
    let mut waits = Box::pin(budget.reserve(40 * MIB, Ask::New));
    let mut too_much = Box::pin(budget.reserve(60 * MIB, Ask::New));
    assert!(futures_util::poll!(&mut waits).is_pending());
    assert!(futures_util::poll!(&mut too_much).is_pending());
    assert_eq!(budget.goal(), 44 * MIB);
    budget.freed(44 * MIB);
    waits.await.expect("room");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_handed_out_before_the_bytes_in_use_are_known_or_the_time_is_up() {
    let budget = Budget::new(MIB, 0, Duration::from_secs(5));
    let started = Instant::now();
    budget.reserve(1, Ask::New).await.expect("room");
    assert_eq!(started.elapsed(), Duration::from_secs(5));
    let known = Budget::new(MIB, 0, Duration::from_secs(5));
    known.settled();
    let started = Instant::now();
    known.reserve(1, Ask::New).await.expect("room");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn closing_ends_every_wait() {
    let budget = budget(100 * MIB);
    let mut waits = Box::pin(budget.reserve(MIB, Ask::New));
    assert!(futures_util::poll!(&mut waits).is_pending());
    budget.close();
    assert!(matches!(waits.await, Err(Error::Stopping)));
    assert!(matches!(budget.reserve(1, Ask::New).await, Err(Error::Stopping)));
}

/// A file with one handle.
fn open(budget: &Arc<Budget>) -> OpenFile {
    let file = tempfile::tempfile();
    FileHold::new(budget).open(|| file).expect("open")
}

#[tokio::test(start_paused = true)]
async fn bytes_of_unlinked_files_count_until_they_are_closed_and_nothing_is_evicted_for_them() {
    let budget = budget(90 * MIB);
    let file = open(&budget);
    assert!(file.hold().unlinked(90 * MIB));
    budget.freed(90 * MIB);
    assert_eq!((budget.figures(), budget.held()), ((0, 0), 90 * MIB));
    let small = budget
        .reserve(15 * MIB, Ask::New)
        .await
        .expect("within the slack");
    let mut large = Box::pin(budget.reserve(20 * MIB, Ask::New));
    assert!(futures_util::poll!(&mut large).is_pending());
    assert!(budget.is_pressed());
    assert_eq!(budget.goal(), 0);
    // Nor does anybody have to give up for it.
    budget.exhausted();
    assert!(futures_util::poll!(&mut large).is_pending());
    drop(file);
    large.await.expect("room");
    assert!(!budget.is_pressed() && budget.held() == 0);
    drop(small);
}

#[tokio::test]
async fn a_file_without_handles_or_with_a_name_holds_nothing() {
    let budget = budget(0);
    let file = open(&budget);
    let hold = Arc::clone(file.hold());
    drop(file);
    assert!(!hold.unlinked(MIB));
    assert_eq!(budget.held(), 0);
    let refused = hold.open(|| Err(std::io::ErrorKind::NotFound.into()));
    assert!(refused.is_err() && !hold.unlinked(MIB));
}

#[tokio::test]
async fn nobody_gives_up_while_a_body_becomes_an_entry() {
    let budget = budget(0);
    let held = budget.reserve(100 * MIB, Ask::New).await.expect("room");
    let small = held.split(MIB);
    let mut grows = Box::pin(small.ensure(2 * MIB, 0));
    assert!(futures_util::poll!(&mut grows).is_pending());
    let committing = budget.committing();
    budget.exhausted();
    assert!(futures_util::poll!(&mut grows).is_pending());
    drop(committing);
    budget.exhausted();
    assert!(matches!(grows.await, Err(Error::NoSpace { .. })));
}

#[tokio::test]
async fn room_for_others_is_not_handed_out() {
    let budget = Budget::sharing(100 * MIB, 10 * MIB, 50 * MIB, Duration::ZERO);
    budget.settled();
    budget.look(15 * MIB);
    let first = budget.reserve(5 * MIB, Ask::New).await.expect("room");
    let mut second = Box::pin(budget.reserve(5 * MIB, Ask::New));
    assert!(futures_util::poll!(&mut second).is_pending());
    assert_eq!(budget.goal(), 5 * MIB);
    budget.look(15 * MIB);
    second.await.expect("room");
    drop(first);
}
