//! Bodies whose parts are sent while nobody knows their length.

use bytes::Bytes;
use chacha::store::remote::{RemoteParts, RemoteTier};
use chacha::store::spool::Checksums;
use chacha::store::{Content, Error, Precondition, Result, Store};

use super::super::support::*;
use super::BucketRig;
use crate::support::s3::{Action, Kind};

const PART: usize = 5 * MIB;

async fn send(parts: &dyn RemoteParts, bytes: &Bytes, number: u32) -> Result<()> {
    let start = (number as usize - 1) * PART;
    let part = bytes.slice(start..(start + PART).min(bytes.len()));
    parts.part(number, Content::Memory(part)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_sends_what_is_missing_and_others_read_the_whole() {
    let rig = BucketRig::new().await;
    assert_eq!(rig.s3.part_size(), PART as u64);
    // Ends with a part of its own for the trailer, and without one.
    for (name, length, missing) in [("a", 4 * PART, 2), ("b", 3 * PART + 7, 1)] {
        let (name, bytes): (_, Bytes) = (key(name), body(length, 3).into());
        let parts = rig.s3.begin(&name).await.unwrap();
        // Any order, at once; the second one only for the first body.
        let sent = [3, 1].map(|number| send(&*parts, &bytes, number));
        futures_util::future::try_join_all(sent).await.unwrap();
        if missing == 1 {
            send(&*parts, &bytes, 2).await.unwrap();
        }
        let sums = Checksums::of(&bytes);
        rig.server.forget();
        let content = Content::Memory(bytes.clone());
        let upload = parts.finish(draft(), &sums, content).await.unwrap();
        assert_eq!(
            rig.server.count(Kind::UploadPart),
            missing + usize::from(length == 4 * PART)
        );
        assert!(rig.s3.head(&name).await.unwrap().is_none());
        let entry = upload.commit(&Precondition::Absent).await.unwrap();
        assert_eq!((entry.meta.size, &entry.meta.etag), (length as u64, &sums.etag()));
        let refused = rig
            .s3
            .upload(&name, draft(), &sums, Content::Memory(bytes.clone()));
        let refused = refused.await.unwrap().commit(&Precondition::Absent).await;
        assert!(matches!(refused, Err(Error::Precondition)));
        let dir = tempfile::tempdir().unwrap();
        let (_, other, tasks) = super::open(&rig.config, dir.path()).await;
        assert!(get(&*other, &name).await.unwrap() == bytes);
        let whole = other.get(&name).await.unwrap().unwrap();
        let range = PART as u64 - 5..2 * PART as u64 + 5;
        let middle = read(whole.content.slice(range.clone())).await.unwrap();
        assert!(middle == bytes.slice(range.start as usize..range.end as usize));
        tasks.finish().await;
    }
    until("nothing is left", || {
        rig.server.uploads().is_empty() && rig.records() == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_dropped_before_its_end_leaves_nothing() {
    let rig = BucketRig::new().await;
    let bytes: Bytes = body(3 * PART, 3).into();
    let parts = rig.s3.begin(&key("gone")).await.unwrap();
    send(&*parts, &bytes, 2).await.unwrap();
    assert_eq!((rig.server.uploads()[0].parts, rig.records()), (1, 1));
    drop(parts);
    until("nothing is left", || {
        rig.server.uploads().is_empty() && rig.records() == 0
    })
    .await;
    let parts = rig.s3.begin(&key("gone")).await.unwrap();
    rig.server
        .faults()
        .always(Kind::UploadPart, Action::access_denied());
    let sums = Checksums::of(&bytes);
    let failed = parts.finish(draft(), &sums, Content::Memory(bytes)).await;
    assert!(failed.is_err_and(|error| error.remote_error_kind().is_some()));
    until("nothing is left", || {
        rig.server.uploads().is_empty() && rig.records() == 0
    })
    .await;
    assert!(rig.server.objects().is_empty());
}

#[tokio::test]
async fn parts_of_another_length_and_too_many_are_refused() {
    let rig = BucketRig::new().await;
    let parts = rig.s3.begin(&key("k")).await.unwrap();
    let part = Content::Memory(vec![7; PART].into());
    for (number, content) in [(0, part.clone()), (1, part.slice(1..PART as u64))] {
        assert!(matches!(parts.part(number, content).await, Err(Error::Io { .. })));
    }
    for number in [10_001, u32::MAX] {
        let refused = parts.part(number, part.clone()).await;
        assert!(matches!(refused, Err(Error::TooLarge { .. })));
    }
    assert_eq!(rig.server.count(Kind::UploadPart), 0);
}
