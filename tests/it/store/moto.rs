//! The store against an S3 server that others wrote and that somebody else has started (`.ci/run s3` starts
//! moto). `CHACHA_TEST_S3` is its URL; `CHACHA_TEST_S3_KEY` and `CHACHA_TEST_S3_SECRET` are `test` unless
//! they say otherwise. Buckets are left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use chacha::config::{S3Config, S3CredentialFiles};
use chacha::store::journal::{Journal, JournalRecord, next_ulid};
use chacha::store::remote::RemoteTier;
use chacha::store::{RemoteErrorKind, RemoteHealth};

use super::suite::Tier;
use super::support::*;
use super::tiered::rig::{Plan, back};
use crate::support::s3::client_of;

/// A new bucket of that server.
struct External {
    config: S3Config,
    client: aws_sdk_s3::Client,
    /// Has the credentials.
    dir: tempfile::TempDir,
}

/// `None` without `CHACHA_TEST_S3`.
async fn external() -> Option<External> {
    let url = std::env::var("CHACHA_TEST_S3").ok()?;
    let variable = |name| std::env::var(name).unwrap_or_else(|_| "test".into());
    let key = variable("CHACHA_TEST_S3_KEY");
    let secret = variable("CHACHA_TEST_S3_SECRET");
    let dir = tempfile::tempdir().unwrap();
    let mut config = S3Config::new(bucket()).at(url.parse().expect("CHACHA_TEST_S3 is no URL"));
    config.region = Some("us-east-1".into());
    config.credentials = Some(S3CredentialFiles {
        access_key_id: dir.path().join("key"),
        secret_access_key: dir.path().join("secret"),
        session_token: None,
    });
    std::fs::write(dir.path().join("key"), &key).unwrap();
    std::fs::write(dir.path().join("secret"), &secret).unwrap();
    let client = client_of(&url, &key, &secret);
    let create = client.create_bucket().bucket(&config.bucket);
    create.send().await.expect("no bucket can be made");
    Some(External { config, client, dir })
}

/// A name that no other test and no earlier run has.
fn bucket() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let nth = NEXT.fetch_add(1, Ordering::Relaxed);
    let now = UNIX_EPOCH.elapsed().unwrap().as_micros();
    format!("chacha-{now}-{}-{nth}", std::process::id())
}

/// For tests that nobody runs by accident.
async fn required() -> External {
    let external = external().await;
    external.expect("set CHACHA_TEST_S3 to the URL of an S3 server, or run `.ci/run s3`")
}

#[tokio::test]
#[ignore = "needs CHACHA_TEST_S3"]
async fn the_probe_finds_that_the_store_does_everything() {
    let server = required().await;
    let (s3, _store, tasks) = super::s3::open(&server.config, server.dir.path()).await;
    for _ in 0..2 {
        s3.probe().await.unwrap();
        assert_eq!(s3.stats().lacking, [""; 0]);
        assert!(s3.head(&key("missing")).await.unwrap().is_none());
        assert_eq!(s3.health(), RemoteHealth::Up);
    }
    let mut elsewhere = server.config.clone();
    elsewhere.bucket = bucket();
    let (s3, _store, others) = super::s3::open(&elsewhere, &server.dir.path().join("elsewhere")).await;
    let error = s3.probe().await.expect_err("there is no such bucket");
    assert_eq!(error.remote_error_kind(), Some(RemoteErrorKind::NoBucket));
    tasks.finish().await;
    others.finish().await;
}

conformance!(alone, super::alone, #[ignore = "needs CHACHA_TEST_S3"]);
conformance!(through, super::through, #[ignore = "needs CHACHA_TEST_S3"]);
conformance!(write_back, super::write_back, #[ignore = "needs CHACHA_TEST_S3"]);

async fn alone() -> Tier {
    let server = required().await;
    let (s3, store, tasks) = super::s3::open(&server.config, server.dir.path()).await;
    Tier {
        store: Arc::new(store.tiered.clone()),
        spools: store.spools(),
        _keep: Box::new((s3, tasks, server)),
    }
}

async fn through() -> Tier {
    tiered(|_| {}).await
}

async fn write_back() -> Tier {
    tiered(back).await
}

async fn tiered(change: impl FnOnce(&mut Plan)) -> Tier {
    let server = required().await;
    let mut plan = Plan::new(server.dir.path(), server.config.clone());
    change(&mut plan);
    let both = plan.start().await;
    Tier {
        store: Arc::new(both.tiered.clone()),
        spools: both.disk.spools(),
        _keep: Box::new((both, server)),
    }
}

#[tokio::test]
#[ignore = "needs CHACHA_TEST_S3"]
async fn the_server_knows_conditions_and_ranges() {
    let server = required().await;
    let bucket = &server.config.bucket;
    let put = || server.client.put_object().bucket(bucket).key("a");
    let bytes = body(300 * KIB, 1);
    let first = put().body(bytes.clone().into()).metadata("origin", "job");
    first.if_none_match("*").send().await.unwrap();
    let again = put().if_none_match("*").send().await.unwrap_err();
    assert_eq!(again.raw_response().unwrap().status().as_u16(), 412);
    let get = server.client.get_object().bucket(bucket).key("a");
    let part = get.range("bytes=1000-1999").send().await.unwrap();
    assert_eq!(part.metadata.unwrap()["origin"], "job");
    assert!(part.body.collect().await.unwrap().into_bytes() == bytes[1000..2000]);
}

#[tokio::test]
#[ignore = "needs CHACHA_TEST_S3"]
async fn the_server_knows_uploads_in_parts() {
    let server = required().await;
    let bucket = &server.config.bucket;
    let create = server.client.create_multipart_upload().bucket(bucket).key("b");
    let id = create.send().await.unwrap().upload_id.unwrap();
    let mut parts = CompletedMultipartUpload::builder();
    for (number, size) in [(1, 5 * MIB), (2, 10)] {
        let part = server.client.upload_part().bucket(bucket).key("b");
        let part = part.upload_id(&id).part_number(number);
        let part = part.body(ByteStream::from(body(size, 2))).send().await.unwrap();
        let part = CompletedPart::builder().set_e_tag(part.e_tag).part_number(number);
        parts = parts.parts(part.build());
    }
    let list = server.client.list_multipart_uploads().bucket(bucket);
    assert_eq!(list.send().await.unwrap().uploads().len(), 1);
    let complete = server.client.complete_multipart_upload().bucket(bucket).key("b");
    let complete = complete.upload_id(&id).multipart_upload(parts.build());
    complete.if_none_match("*").send().await.unwrap();
    let head = server.client.head_object().bucket(bucket).key("b").send().await;
    assert_eq!(head.unwrap().content_length, Some(5 * MIB as i64 + 10));
}

#[tokio::test]
#[ignore = "needs CHACHA_TEST_S3"]
async fn the_server_keeps_a_journal() {
    let server = required().await;
    let (s3, _store, _tasks) = super::s3::open(&server.config, server.dir.path()).await;
    let journal = Journal::new(s3);
    let (shelf, long) = ("a".repeat(64), body(2 * KIB, 1));
    let (first, second) = (next_ulid(), next_ulid());
    journal.append(&shelf, first, b"one").await.unwrap();
    journal.append(&shelf, second, &long).await.unwrap();
    let page = journal.list(&shelf, None, None).await.unwrap();
    assert_eq!(
        page.records,
        [
            (first, JournalRecord::Here("one".into())),
            (second, JournalRecord::Apart)
        ]
    );
    let page = journal.list(&shelf, Some(first), None).await.unwrap();
    assert_eq!(
        (page.records, page.next),
        (vec![(second, JournalRecord::Apart)], None)
    );
    assert!(journal.read(&shelf, second).await.unwrap().unwrap() == long);
}
