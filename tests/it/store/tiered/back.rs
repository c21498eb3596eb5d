//! Writes that are answered before S3 has them.

use std::sync::Arc;

use chacha::store::{Precondition, Store};

use super::super::support::*;
use super::rig::{Pair, back, records};
use crate::support::s3::{Action, Gate, Kind, S3Server, Which};

async fn pair() -> Pair {
    Pair::with(Arc::new(S3Server::memory()), back).await
}

#[tokio::test]
async fn the_queue_uploads_what_was_answered() {
    let pair = pair().await;
    let bytes = body(20 * MIB, 1);
    pair.put("large", &bytes).await;
    pair.put("small", b"bytes").await;
    pair.drained().await;
    assert_eq!(pair.s3.objects().len(), 2);
    assert_eq!(pair.disk.stats().pinned, 0);
    pair.forget("large").await;
    assert!(pair.get("large").await.unwrap() == bytes);
}

#[tokio::test]
async fn the_queue_survives_a_crash() {
    let pair = pair().await;
    pair.s3.stop_listening().await;
    for nth in 0..20 {
        pair.put(&nth.to_string(), &body(1000 * nth, nth as u64)).await;
    }
    let copy = pair.crash_copy().take();
    let after = pair.on_copy(copy).await;
    assert_eq!(after.tiered.stats().queued, 20);
    after.disk.indexed().await;
    assert!(after.disk.stats().pinned > 0);
    pair.s3.resume();
    after.drained().await;
    assert_eq!(pair.s3.objects().len(), 20);
    let other = after.twin(|_| {}).await;
    for nth in 0..20 {
        assert!(other.get(&nth.to_string()).await.unwrap() == body(1000 * nth, nth as u64));
    }
    assert_eq!(records(&after.plan.disk.dir), 0);
}

#[tokio::test]
async fn what_waits_is_not_evicted() {
    let s3 = Arc::new(S3Server::memory());
    let pair = Pair::with(s3, |plan| {
        back(plan);
        plan.disk.limit = 8 << 20;
        plan.policy.queue_limit = 4 << 20;
    })
    .await;
    let gate = Gate::new();
    pair.s3
        .faults()
        .always(Which::from([Kind::Put, Kind::Create]), Action::Hold(gate.clone()));
    let bytes = body(MIB, 1);
    pair.put("waits", &bytes).await;
    // Entries of another tier's come and go around it.
    for nth in 0..20 {
        put(
            &*pair.disk,
            &pair.disk.spools(),
            &key(&nth.to_string()),
            &body(MIB, nth),
        )
        .await
        .unwrap();
    }
    assert!(pair.disk.stats().evicted() > 0);
    assert!(pair.local("waits").await.unwrap() == bytes);
    gate.open();
    pair.drained().await;
}

#[tokio::test]
async fn beyond_the_limit_a_write_waits_for_s3() {
    let s3 = Arc::new(S3Server::memory());
    let pair = Pair::with(s3, |plan| {
        back(plan);
        plan.policy.queue_limit = 3 << 20;
    })
    .await;
    let gate = Gate::new();
    pair.s3.faults().always(Kind::Put, Action::Hold(gate.clone()));
    pair.put("one", &body(MIB, 1)).await;
    pair.put("two", &body(MIB, 2)).await;
    let third = body(MIB, 3);
    let mut third = Box::pin(pair.try_put("three", &third));
    tokio::select! {
        _ = &mut third => panic!("answered before S3 had it"),
        () = gate.reached(3) => {}
    }
    gate.open();
    third.await.unwrap();
    pair.drained().await;
    assert_eq!(pair.s3.objects().len(), 3);
}

#[tokio::test]
async fn a_delete_that_s3_did_not_hear_of_is_a_miss_until_it_did() {
    let pair = pair().await;
    pair.put("gone", b"old").await;
    pair.drained().await;
    pair.s3.stop_listening().await;
    assert!(pair.delete("gone").await.unwrap());
    assert!(pair.get("gone").await.is_none());
    assert!(pair.tiered.head(&key("gone")).await.unwrap().is_none());
    let pair = pair.crash().await;
    assert!(pair.get("gone").await.is_none());
    pair.s3.resume();
    pair.drained().await;
    assert!(pair.s3.objects().is_empty());
}

#[tokio::test]
async fn a_write_after_such_a_delete_wins() {
    let pair = pair().await;
    pair.put("back", b"old").await;
    pair.drained().await;
    pair.s3.stop_listening().await;
    pair.delete("back").await.unwrap();
    pair.put("back", b"new").await;
    let pair = pair.crash().await;
    assert_eq!(pair.get("back").await.unwrap(), "new");
    pair.s3.resume();
    pair.drained().await;
    pair.forget("back").await;
    assert_eq!(pair.get("back").await.unwrap(), "new");
}

#[tokio::test]
async fn an_overwrite_during_its_upload_is_uploaded_after_it() {
    let pair = pair().await;
    let gate = Gate::new();
    pair.s3.faults().once(Kind::Put, Action::Hold(gate.clone()));
    pair.put("twice", b"one").await;
    gate.reached(1).await;
    let second = pair.try_put("twice", b"two");
    let open = async { gate.open() };
    let (second, ()) = tokio::join!(second, open);
    second.unwrap();
    pair.drained().await;
    pair.forget("twice").await;
    assert_eq!(pair.get("twice").await.unwrap(), "two");
}

#[tokio::test]
async fn of_two_first_writers_the_one_that_s3_heard_first_stays() {
    let one = pair().await;
    let two = one.twin(back).await;
    let gate = Gate::new();
    one.s3.faults().once(Kind::Put, Action::Hold(gate.clone()));
    let put = |pair: &Pair, bytes: &'static [u8]| {
        let (tiered, spools) = (pair.tiered.clone(), pair.disk.spools());
        async move { put_if(&tiered, &spools, &key("first"), bytes, Precondition::Absent).await }
    };
    put(&one, b"one").await.unwrap();
    gate.reached(1).await;
    put(&two, b"two").await.unwrap();
    two.drained().await;
    gate.open();
    one.drained().await;
    assert_eq!(one.get("first").await.unwrap(), "two");
    assert_eq!(two.get("first").await.unwrap(), "two");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_bucket_that_does_not_answer() {
    let pair = pair().await;
    let gate = Gate::new();
    pair.s3.faults().always(Kind::Put, Action::Hold(gate.clone()));
    pair.put("waits", b"bytes").await;
    gate.reached(1).await;
    let began = std::time::Instant::now();
    let pair = pair.restart().await;
    assert!(began.elapsed() < std::time::Duration::from_secs(10));
    gate.open();
    pair.drained().await;
    assert_eq!(pair.s3.objects().len(), 1);
}
