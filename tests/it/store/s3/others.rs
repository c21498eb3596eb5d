//! Stores that can do less than S3, and those that do it in their own way.

use std::time::Duration;

use chacha::store::remote::RemoteTier;
use chacha::store::shared::SharedObjects;
use chacha::store::{Error, Precondition, RemoteErrorKind, RemoteHealth};
use http::StatusCode;

use super::super::support::*;
use super::faults::{Rig, fault};
use crate::support::s3::{Action, Kind, Quirk, Which};

/// Writes and reads whatever a client may send, also what does not fit into the staging disk.
async fn everything_is_whole(rig: &Rig) {
    for size in [0, 10, 300 * KIB, 3 * MIB + 1] {
        let bytes = body(size, 3);
        rig.put(&bytes, Precondition::None).await.unwrap();
        assert!(get(&*rig.store, &key("k")).await.unwrap() == bytes, "{size}");
        let entry = rig.s3.head(&key("k")).await.unwrap().unwrap();
        assert_eq!(entry.meta.size, size as u64);
    }
    assert!(rig.s3.delete(&key("k"), &Precondition::None).await.unwrap());
    rig.put(b"first", Precondition::Absent).await.unwrap();
    let second = rig.put(b"second", Precondition::Absent).await;
    assert!(matches!(second, Err(Error::Precondition)));
    assert_eq!(get(&*rig.store, &key("k")).await.unwrap(), "first");
    assert!(rig.s3.create("key", "one".into()).await.unwrap());
    assert!(!rig.s3.create("key", "two".into()).await.unwrap());
    assert_eq!(rig.s3.health(), RemoteHealth::Up);
}

/// What a store does to some requests, with the probe of the start and without it.
async fn check(fault: impl Fn(&Rig)) {
    for probed in [true, false] {
        let rig = Rig::new().await;
        fault(&rig);
        if probed {
            rig.s3.probe().await.unwrap();
        }
        everything_is_whole(&rig).await;
    }
}

#[tokio::test]
async fn stores_without_tags() {
    let all = [Kind::Get, Kind::Head, Kind::Put];
    check(|rig| rig.server.faults().always(all, Action::Without("etag"))).await;
    check(|rig| rig.server.faults().always(all, Action::WeakEtag)).await;
}

#[tokio::test]
async fn versions_are_not_mixed_without_tags() {
    let rig = Rig::new().await;
    rig.server
        .faults()
        .always([Kind::Get, Kind::Head, Kind::Put], Action::Without("etag"));
    let old = rig.put(&body(100_000, 1), Precondition::None).await.unwrap();
    assert!(rig.read(&old, 5, 10).await.unwrap() == body(100_000, 1)[5..10]);
    rig.put(&body(100_000, 2), Precondition::None).await.unwrap();
    assert_eq!(fault(rig.read(&old, 5, 10).await), RemoteErrorKind::Changed);
}

#[tokio::test]
async fn parts_without_tags_are_refused_with_the_cause() {
    let rig = Rig::new().await;
    rig.server
        .faults()
        .always(Kind::UploadPart, Action::Without("etag"));
    let error = rig
        .put(&body(9 * MIB, 1), Precondition::None)
        .await
        .expect_err("no tag");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("ETag"), "{cause}");
}

#[tokio::test]
async fn stores_without_ranges() {
    check(|rig| rig.every_get(Action::Quirk(Quirk::IgnoreRange))).await;
    for (status, code) in [
        (StatusCode::NOT_IMPLEMENTED, "NotImplemented"),
        (StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange"),
    ] {
        check(|rig| rig.every_get(Action::RefuseHeader("range", status, code))).await;
    }
}

#[tokio::test]
async fn stores_without_conditions_of_reads() {
    check(|rig| rig.every_get(Action::Quirk(Quirk::IgnoreIfMatch))).await;
    let refused = || Action::RefuseHeader("if-match", StatusCode::NOT_IMPLEMENTED, "NotImplemented");
    check(|rig| rig.every_get(refused())).await;
}

#[tokio::test]
async fn stores_without_conditions_of_writes() {
    let refused = || Action::RefuseHeader("if-none-match", StatusCode::NOT_IMPLEMENTED, "NotImplemented");
    check(|rig| rig.server.faults().always([Kind::Put, Kind::Complete], refused())).await;
    // What is ignored in silence only the probe can find.
    let rig = Rig::new().await;
    let ignored = Action::Quirk(Quirk::IgnoreWriteConditions);
    rig.server.faults().always(Kind::Put, ignored);
    rig.s3.probe().await.unwrap();
    everything_is_whole(&rig).await;
}

#[tokio::test]
async fn a_store_with_nothing_of_all_that() {
    let rig = Rig::new().await;
    rig.server.faults().like_a_file_server();
    rig.s3.probe().await.unwrap();
    assert_eq!(rig.s3.stats().lacking, ["ETag", "Range", "conditional writes"]);
    everything_is_whole(&rig).await;
    // Mended, it is a store like others after the next look.
    rig.server.faults().clear();
    rig.s3.probe().await.unwrap();
    assert_eq!(rig.s3.stats().lacking, [""; 0]);
}

#[tokio::test]
async fn the_probe_is_cheap_where_it_has_been_before() {
    let rig = Rig::new().await;
    rig.s3.probe().await.unwrap();
    assert!(rig.server.probes() <= 8, "{}", rig.server.probes());
    rig.server.forget();
    rig.s3.probe().await.unwrap();
    assert!(rig.server.probes() <= 5, "{}", rig.server.probes());
    assert_eq!(
        (rig.server.log().len(), rig.server.response_bytes() / 1024),
        (0, 0)
    );
}

#[tokio::test]
async fn a_probe_that_may_not_write_is_content() {
    let rig = Rig::new().await;
    rig.server.faults().always(Kind::Put, Action::access_denied());
    rig.s3.probe().await.unwrap();
    assert_eq!(rig.s3.health(), RemoteHealth::Up);
}

#[tokio::test]
async fn r2_takes_one_write_of_an_object_a_second() {
    let rig = Rig::new().await;
    rig.server.faults().like_r2();
    rig.s3.probe().await.unwrap();
    for n in 0..3 {
        rig.put(format!("{n}").as_bytes(), Precondition::None)
            .await
            .unwrap();
    }
    assert_eq!(get(&*rig.store, &key("k")).await.unwrap(), "2");
    assert_eq!(rig.s3.health(), RemoteHealth::Up);
}

#[tokio::test]
async fn ceph_has_codes_and_conditions_of_its_own() {
    let rig = Rig::new().await;
    rig.server.faults().like_ceph();
    everything_is_whole(&rig).await;
}

#[tokio::test]
async fn minio_says_for_a_while_that_it_has_just_started() {
    let rig = Rig::new().await;
    rig.server.faults().like_minio_at_its_start(2);
    rig.put(b"1", Precondition::None).await.unwrap();
    assert_eq!(get(&*rig.store, &key("k")).await.unwrap(), "1");
    assert_eq!(rig.s3.health(), RemoteHealth::Up);
    // A quorum that is lost for one request.
    rig.server
        .faults()
        .once(Which::any(), Action::status(503, "SlowDownRead"));
    tokio::time::timeout(Duration::from_secs(60), rig.s3.head(&key("k")))
        .await
        .unwrap()
        .unwrap();
}
