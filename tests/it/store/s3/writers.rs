//! Writers that give up, are killed, or are two at once.

use bytes::Bytes;
use chacha::store::remote::RemoteTier;
use chacha::store::s3::S3;
use chacha::store::spool::Checksums;
use chacha::store::{Content, Error, Precondition};
use chacha::tasks::Tasks;
use futures_util::future::join_all;

use super::super::support::*;
use super::BucketRig;
use crate::support::s3::{Action, Gate, Kind};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_are_given_up_leave_nothing() {
    let rig = BucketRig::new().await;
    let bytes: Bytes = body(12 * MIB, 3).into();
    let sums = Checksums::of(&bytes);
    let upload = async || {
        let content = Content::Memory(bytes.clone());
        rig.s3.upload(&key("gone"), draft(), &sums, content).await
    };
    let sent = upload().await.unwrap();
    assert!(rig.server.uploads().len() == 1 && rig.records() == 1);
    drop(sent);
    until("nothing is left", || {
        rig.server.uploads().is_empty() && rig.records() == 0
    })
    .await;
    let refused = upload().await.unwrap().commit(&Precondition::Present).await;
    assert!(matches!(refused, Err(Error::Precondition)));
    until("nothing is left", || {
        rig.server.uploads().is_empty() && rig.records() == 0
    })
    .await;
    assert!(rig.server.objects().is_empty());
    assert!(rig.s3.head(&key("gone")).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_leaves_while_its_upload_is_begun_leaves_nothing() {
    let rig = BucketRig::new().await;
    let gate = Gate::new();
    let faults = rig.server.faults();
    faults.once(Kind::Create, Action::HoldAnswer(gate.clone()));
    let bytes: Bytes = body(12 * MIB, 3).into();
    let sums = Checksums::of(&bytes);
    let (name, content) = (key("gone"), Content::Memory(bytes));
    tokio::select! {
        _ = rig.s3.upload(&name, draft(), &sums, content) => panic!("the answer is held"),
        () = gate.reached(1) => {}
    }
    assert_eq!(rig.server.uploads().len(), 1);
    gate.open();
    until("nothing is left", || rig.server.uploads().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_left_is_aborted_at_the_next_start() {
    let rig = BucketRig::new().await;
    let bytes: Bytes = body(12 * MIB, 3).into();
    let sums = Checksums::of(&bytes);
    let content = Content::Memory(bytes);
    let sent = rig
        .s3
        .upload(&key("gone"), draft(), &sums, content)
        .await
        .unwrap();
    // As if the process were killed: nothing of it runs any more.
    std::mem::forget(sent);
    rig.tasks.finish().await;
    assert_eq!((rig.server.uploads().len(), rig.records()), (1, 1));
    let tasks = Tasks::new();
    let records = rig.dir.path().join("records");
    let _s3 = S3::open(&rig.config, Some(records), &tasks).await.unwrap();
    until("nothing is left", || {
        rig.server.uploads().is_empty() && rig.records() == 0
    })
    .await;
    tasks.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_writers_on_two_servers() {
    let rig = BucketRig::new().await;
    let dir = tempfile::tempdir().unwrap();
    let (_, second, tasks) = super::open(&rig.config, dir.path()).await;
    let stores = [rig.store.clone(), second];
    for (nth, size) in [10, 100 * KIB, 9 * MIB].into_iter().enumerate() {
        let name = key(&format!("race {nth}"));
        let name = &name;
        let writers = stores.iter().zip(0..).map(|(store, seed)| async move {
            let bytes = body(size, seed);
            let outcome = put_if(&**store, &store.spools(), name, &bytes, Precondition::Absent).await;
            assert!(outcome.is_ok() || is_precondition(&outcome), "{outcome:?}");
            outcome.is_ok().then_some(bytes)
        });
        let winners: Vec<Vec<u8>> = join_all(writers).await.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1);
        for store in &stores {
            assert!(get(&**store, name).await.unwrap() == winners[0]);
        }
    }
    until("nothing is left", || rig.server.uploads().is_empty()).await;
    tasks.finish().await;
}
