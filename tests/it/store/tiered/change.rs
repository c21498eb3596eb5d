//! Writes and deletes through both tiers.

use super::super::support::*;
use super::rig::{Pair, records};
use crate::support::s3::{Action, Gate, Kind};

const LARGE: usize = 3 * MIB + 99;

#[tokio::test]
async fn a_write_is_in_both_tiers_when_it_is_answered() {
    let pair = Pair::new().await;
    for size in [0, 10, 200 * KIB, 20 * MIB] {
        let bytes = body(size, 1);
        pair.put("both", &bytes).await;
        assert!(pair.local("both").await.unwrap() == bytes);
        pair.forget("both").await;
        assert!(pair.get("both").await.unwrap() == bytes);
        pair.kept("both").await;
    }
    assert_eq!(pair.s3.uploads(), []);
}

#[tokio::test]
async fn a_failed_write_keeps_the_former_entry_in_both_tiers() {
    let pair = Pair::new().await;
    pair.put("kept", b"old").await;
    pair.s3.faults().always(Kind::Put, Action::access_denied());
    assert!(pair.try_put("kept", b"new").await.is_err());
    assert_eq!(pair.local("kept").await.unwrap(), "old");
    pair.forget("kept").await;
    assert_eq!(pair.get("kept").await.unwrap(), "old");
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_leaves_no_older_copy() {
    let pair = Pair::new().await;
    pair.put("lost", b"old").await;
    let faults = pair.s3.faults();
    faults.always(Kind::Put, Action::LoseAnswer);
    // Else the writer would see that it was done.
    faults.always(Kind::Head, Action::access_denied());
    assert!(pair.try_put("lost", b"new").await.is_err());
    pair.s3.faults().clear();
    assert_eq!(pair.get("lost").await.unwrap(), "new");
}

#[tokio::test]
async fn a_fill_from_before_a_write_publishes_nothing() {
    let pair = Pair::new().await;
    let (old, new) = (body(LARGE, 1), body(LARGE, 2));
    pair.cold("fill", &old).await;
    let gate = Gate::new();
    // The last part of the old version is read, and held on its way.
    pair.s3
        .faults()
        .nth(Kind::Get, 4, Action::HoldAnswer(gate.clone()));
    let reader = pair.entry("fill").await;
    gate.reached(1).await;
    pair.put("fill", &new).await;
    gate.open();
    assert!(read(reader.content).await.unwrap() == old);
    until("the fill has ended", || pair.disk.stats().reserved == 0).await;
    assert!(pair.get("fill").await.unwrap() == new);
    assert!(pair.local("fill").await.unwrap() == new);
}

#[tokio::test]
async fn a_fill_from_before_a_delete_publishes_nothing() {
    let pair = Pair::new().await;
    let old = body(LARGE, 1);
    pair.cold("fill", &old).await;
    let gate = Gate::new();
    pair.s3
        .faults()
        .nth(Kind::Get, 4, Action::HoldAnswer(gate.clone()));
    let reader = pair.entry("fill").await;
    gate.reached(1).await;
    assert!(pair.delete("fill").await.unwrap());
    gate.open();
    assert!(read(reader.content).await.unwrap() == old);
    until("the fill has ended", || pair.disk.stats().reserved == 0).await;
    assert!(pair.get("fill").await.is_none());
    assert!(pair.local("fill").await.is_none());
}

#[tokio::test]
async fn a_delete_reaches_both_tiers() {
    let pair = Pair::new().await;
    for size in [10, 2 * MIB] {
        pair.put("gone", &body(size, 1)).await;
        assert!(pair.delete("gone").await.unwrap());
        assert!(pair.s3.objects().is_empty());
        assert!(pair.get("gone").await.is_none());
        pair.cold("gone", &body(size, 1)).await;
        assert!(pair.delete("gone").await.unwrap());
        assert!(!pair.delete("gone").await.unwrap());
    }
}

#[tokio::test]
async fn a_crash_between_the_two_commits_leaves_no_older_copy() {
    let pair = Pair::new().await;
    pair.put("crash", b"old").await;
    let gate = Gate::new();
    pair.s3.faults().once(Kind::Put, Action::HoldAnswer(gate.clone()));
    let copy = pair.crash_copy();
    let write = pair.try_put("crash", b"new");
    let crash = async {
        gate.reached(1).await;
        // What a process that is killed now would leave.
        let copied = copy.take();
        gate.open();
        copied
    };
    let (written, copied) = tokio::join!(write, crash);
    written.unwrap();
    let after = pair.on_copy(copied).await;
    assert_eq!(after.get("crash").await.unwrap(), "new");
    until("it is settled", || records(&after.plan.disk.dir) == 0).await;
}

#[tokio::test]
async fn a_client_that_leaves_does_not_split_the_tiers() {
    let pair = Pair::new().await;
    pair.put("left", b"old").await;
    let gate = Gate::new();
    pair.s3.faults().once(Kind::Put, Action::HoldAnswer(gate.clone()));
    {
        let mut write = Box::pin(pair.try_put("left", b"new"));
        tokio::select! {
            _ = &mut write => panic!("answered"),
            () = gate.reached(1) => {}
        }
    }
    gate.open();
    // Whoever comes next waits for the step that nobody waits for any more.
    pair.put("left", b"newest").await;
    assert_eq!(pair.local("left").await.unwrap(), "newest");
    pair.forget("left").await;
    assert_eq!(pair.get("left").await.unwrap(), "newest");
}
