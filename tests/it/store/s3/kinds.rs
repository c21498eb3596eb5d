//! Answers that say "later", and answers of what is no S3 at all.

use std::time::{Duration, Instant};

use bytes::Bytes;
use chacha::store::remote::RemoteTier;
use chacha::store::s3::S3;
use chacha::store::shared::SharedObjects;
use chacha::store::{Precondition, RemoteErrorKind, RemoteHealth};
use chacha::tasks::Tasks;

use super::super::support::*;
use super::faults::{Rig, fault};
use crate::support::s3::{Action, Foreign, Kind, Quirk, S3Server, Which};

/// A body that goes in parts.
const LARGE: usize = 9 * MIB;

fn throttling() -> [Foreign; 4] {
    [
        Foreign::page(429),
        Foreign::new(429, &[("retry-after", "1")], ""),
        Foreign::new(429, &[], ""),
        Foreign::throttled_by_r2(),
    ]
}

/// One request of each kind, each with this answer first.
async fn everything_works_after(answer: Foreign) {
    let rig = Rig::new().await;
    for kind in [
        Kind::Put,
        Kind::Head,
        Kind::Get,
        Kind::Delete,
        Kind::Create,
        Kind::UploadPart,
        Kind::Complete,
    ] {
        rig.server.faults().once(kind, Action::Foreign(answer.clone()));
    }
    let bytes = body(10_000, 1);
    rig.put(&bytes, Precondition::None).await.unwrap();
    assert!(rig.s3.head(&key("k")).await.unwrap().is_some(), "{answer:?}");
    assert!(get(&*rig.store, &key("k")).await.unwrap() == bytes);
    assert!(rig.s3.delete(&key("k"), &Precondition::None).await.unwrap());
    rig.put(&body(LARGE, 1), Precondition::Absent).await.unwrap();
    rig.server
        .faults()
        .once(Kind::List, Action::Foreign(answer.clone()));
    rig.s3.list("servers/", None).await.unwrap();
    assert_eq!(rig.s3.health(), RemoteHealth::Up);
}

#[tokio::test]
async fn throttling_by_status_is_tried_again_whatever_the_body() {
    for answer in throttling() {
        everything_works_after(answer).await;
    }
}

#[tokio::test]
async fn a_5xx_that_nobody_knows_is_tried_again() {
    for answer in [
        Foreign::page(503),
        Foreign::page(520),
        Foreign::new(529, &[], ""),
        Foreign::page(598),
    ] {
        everything_works_after(answer).await;
    }
}

#[tokio::test]
async fn the_wish_to_be_asked_later_is_kept_within_bounds() {
    let rig = Rig::new().await;
    let later = |seconds| Action::Foreign(Foreign::new(429, &[("retry-after", seconds)], ""));
    rig.server.faults().once(Kind::Put, later("2"));
    let began = Instant::now();
    rig.put(b"1", Precondition::None).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(2));
    rig.server.faults().once(Kind::Put, later("86400"));
    let began = Instant::now();
    rig.put(b"2", Precondition::None).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn throttling_is_not_down() {
    let rig = Rig::new().await;
    for answer in throttling() {
        rig.server.faults().clear();
        rig.server
            .faults()
            .always(Which::any(), Action::Foreign(answer.clone()));
        for _ in 0..5 {
            let kind = fault(rig.s3.head(&key("k")).await);
            assert!(
                matches!(kind, RemoteErrorKind::Throttled | RemoteErrorKind::Timeout),
                "{kind}"
            );
        }
        assert_eq!(rig.s3.health(), RemoteHealth::Up, "{answer:?}");
    }
}

#[tokio::test]
async fn a_server_with_errors_of_its_own_only_is_down_until_it_has_none() {
    for answer in [
        Action::internal_error(),
        Action::status(503, "XMinioServerNotInitialized"),
        Action::Foreign(Foreign::page(502)),
        Action::Foreign(Foreign::page(503)),
    ] {
        let rig = Rig::new().await;
        rig.server.faults().always(Which::any(), answer);
        let began = Instant::now();
        while rig.s3.health() == RemoteHealth::Up {
            assert!(began.elapsed() < TEST_TIMEOUT);
            assert!(rig.s3.head(&key("k")).await.is_err());
        }
        assert_eq!(fault(rig.s3.head(&key("k")).await), RemoteErrorKind::Resting);
        rig.server.faults().clear();
        let back = Instant::now();
        until("it can be used again", || rig.s3.health() == RemoteHealth::Up).await;
        assert!(back.elapsed() < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn one_object_that_fails_is_not_a_server_that_is_down() {
    let rig = Rig::new().await;
    rig.put(b"1", Precondition::None).await.unwrap();
    rig.server.faults().always(Kind::Head, Action::internal_error());
    for _ in 0..12 {
        let failed = fault(rig.s3.head(&key("k")).await);
        assert_ne!(failed, RemoteErrorKind::Resting);
    }
    assert_eq!(rig.s3.health(), RemoteHealth::Up);
}

/// Who answers at a wrong address.
fn foreigners() -> [Foreign; 5] {
    [
        Foreign::page(404),
        Foreign::page(200),
        Foreign::new(404, &[], ""),
        Foreign::new(404, &[("content-type", "application/json")], "{\"code\":404}"),
        Foreign::new(
            200,
            &[("etag", "\"5f-1\""), ("content-type", "text/html")],
            "<p>hello",
        ),
    ]
}

#[tokio::test]
async fn an_endpoint_that_is_not_s3_is_named_by_the_probe() {
    for answer in foreigners() {
        let server = S3Server::memory();
        server
            .faults()
            .always(Which::any(), Action::Foreign(answer.clone()));
        let tasks = Tasks::new();
        let s3 = S3::open(&server.config(S3Server::BUCKET), None, &tasks)
            .await
            .unwrap();
        let error = s3.probe().await.expect_err("no S3");
        assert_eq!(
            error.remote_error_kind(),
            Some(RemoteErrorKind::NotS3),
            "{answer:?}: {error}"
        );
        assert!(
            error.to_string().contains("endpoint_url answers, but not as S3"),
            "{error}"
        );
        let down = |health| {
            matches!(
                health,
                RemoteHealth::Down {
                    kind: RemoteErrorKind::NotS3,
                    ..
                }
            )
        };
        assert!(down(s3.health()), "{answer:?}: {:?}", s3.health());
        server.faults().clear();
        until("it can be used", || s3.health() == RemoteHealth::Up).await;
        assert!(s3.head(&key("k")).await.unwrap().is_none());
        tasks.finish().await;
    }
}

#[tokio::test]
async fn an_endpoint_that_is_not_s3_any_more_is_a_fault_and_no_miss() {
    for answer in foreigners() {
        let rig = Rig::new().await;
        rig.s3.probe().await.unwrap();
        rig.server
            .faults()
            .always(Which::any(), Action::Foreign(answer.clone()));
        let error = rig.put(b"1", Precondition::Absent).await.expect_err("no S3");
        let text = std::error::Error::source(&error).unwrap().to_string();
        assert!(!text.contains("again and again"), "{text}");
        let kind = error.remote_error_kind().unwrap();
        assert!(
            matches!(kind, RemoteErrorKind::NotS3 | RemoteErrorKind::Resting),
            "{answer:?}: {kind} {text}"
        );
        until("it is found out", || {
            matches!(
                rig.s3.health(),
                RemoteHealth::Down {
                    kind: RemoteErrorKind::NotS3,
                    ..
                }
            )
        })
        .await;
        assert_eq!(fault(rig.s3.head(&key("k")).await), RemoteErrorKind::Resting);
    }
}

#[tokio::test]
async fn a_look_up_finds_out_that_the_endpoint_is_not_s3_any_more() {
    for answer in foreigners() {
        let rig = Rig::new().await;
        rig.s3.probe().await.unwrap();
        rig.server
            .faults()
            .always(Which::any(), Action::Foreign(answer.clone()));
        let seen = rig.s3.head(&key("k")).await;
        assert!(seen.is_err(), "{answer:?}: {seen:?}");
        until("it is found out", || rig.s3.health() != RemoteHealth::Up).await;
    }
}

#[tokio::test]
async fn a_store_that_leaves_ids_and_codes_out_is_no_foreigner() {
    let rig = Rig::new().await;
    // What is not there has neither an id nor a document.
    let bare = vec![Action::Without("x-amz-request-id"), Action::BareMissing];
    rig.server.faults().always(Which::any(), Action::All(bare));
    rig.s3.probe().await.unwrap();
    for _ in 0..5 {
        assert!(rig.s3.head(&key("k")).await.unwrap().is_none());
        assert!(rig.s3.source(&key("k")).open().await.unwrap().is_none());
    }
    rig.put(b"1", Precondition::Absent).await.unwrap();
    assert_eq!(get(&*rig.store, &key("k")).await.unwrap(), "1");
    assert_eq!(rig.s3.health(), RemoteHealth::Up);
}

#[tokio::test]
async fn a_write_that_reached_the_store_before_it_was_gone_leaves_doubt() {
    let rig = Rig::new().await;
    let held = crate::support::s3::Gate::new();
    rig.server.faults().once(Kind::Put, Action::ResetAnswer);
    rig.server.faults().once(Kind::Put, Action::Hold(held.clone()));
    let write = rig.put(b"perhaps", Precondition::None);
    let gone = async {
        held.reached(1).await;
        rig.server.stop_listening().await;
    };
    let (outcome, ()) = tokio::join!(write, gone);
    assert_eq!(rig.server.objects().len(), 1);
    let kind = fault(outcome);
    assert!(kind.leaves_doubt(), "{kind}");
}

#[tokio::test]
async fn a_write_that_never_reached_the_store_leaves_no_doubt() {
    let rig = Rig::new().await;
    rig.server.stop_listening().await;
    let kind = fault(rig.put(b"no", Precondition::None).await);
    assert!(!kind.leaves_doubt(), "{kind}");
}

#[tokio::test]
async fn a_commit_that_waits_for_a_request_keeps_its_body() {
    let rig = Rig::changed(|config| config.max_concurrency = 1).await;
    rig.put(&body(100_000, 1), Precondition::None).await.unwrap();
    let bytes: Bytes = body(LARGE, 2).into();
    let sums = chacha::store::spool::Checksums::of(&bytes);
    let content = chacha::store::Content::Memory(bytes);
    let upload = rig.s3.upload(&key("k"), draft(), &sums, content).await.unwrap();
    // Longer than s3.idle_timeout, which is about other things.
    let held = rig.s3.source(&key("k")).open().await.unwrap();
    let release = async {
        tokio::time::sleep(rig.config.idle_timeout * 4).await;
        drop(held);
    };
    let (committed, ()) = tokio::join!(upload.commit(&Precondition::None), release);
    committed.unwrap();
    assert_eq!(rig.server.count(Kind::Complete), 1);
}

#[tokio::test]
async fn ranges_of_another_object_are_never_taken_without_ranges() {
    let (rig, bytes, entry) = Rig::filled(100_000).await;
    rig.every_get(Action::Quirk(Quirk::IgnoreRange));
    assert!(rig.read(&entry, 5, 10).await.unwrap() == bytes[5..10]);
    rig.server.faults().clear();
    rig.put(&body(100_000, 2), Precondition::None).await.unwrap();
    rig.every_get(Action::Quirk(Quirk::IgnoreRange));
    assert_eq!(fault(rig.read(&entry, 5, 10).await), RemoteErrorKind::Changed);
}
