//! What a server of S3, or the way to it, can do wrong.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chacha::config::S3Config;
use chacha::store::RemoteHealth;
use chacha::store::remote::{RemoteEntry, RemoteTier};
use chacha::store::s3::S3;
use chacha::store::spool::Checksums;
use chacha::store::{Content, Error, Precondition, RemoteErrorKind, Result, Store};
use chacha::tasks::Tasks;
use futures_util::TryStreamExt;

use super::super::support::*;
use super::RemoteAlone;
use crate::support::s3::{Action, Kind, Quirk, S3Server, Which};

/// A bucket that misbehaves, and one server on it.
pub(super) struct Rig {
    pub(super) server: S3Server,
    pub(super) config: S3Config,
    pub(super) s3: Arc<S3>,
    pub(super) store: RemoteAlone,
    _staging: tempfile::TempDir,
}

impl Rig {
    pub(super) async fn new() -> Self {
        Self::changed(|_| {}).await
    }

    pub(super) async fn changed(change: impl FnOnce(&mut S3Config)) -> Self {
        let server = S3Server::memory();
        server.take_short_parts();
        let mut config = server.config(S3Server::BUCKET);
        config.part_size = 1 << 20;
        config.idle_timeout = Duration::from_millis(300);
        // Those that are about it set it.
        config.lookup_timeout = TEST_TIMEOUT;
        change(&mut config);
        let tasks = Tasks::new();
        let staging = tempfile::tempdir().unwrap();
        let s3 = S3::open(&config, None, &tasks).await.unwrap();
        // Large entries do not fit: they are streamed.
        let store = RemoteAlone::open(s3.clone(), staging.path(), 2 * MIB, &tasks).await;
        Self {
            server,
            config,
            s3,
            store,
            _staging: staging,
        }
    }

    /// An entry of `size` bytes, and its version.
    pub(super) async fn filled(size: usize) -> (Self, Vec<u8>, RemoteEntry) {
        let rig = Self::new().await;
        let bytes = body(size, 1);
        let entry = rig.put(&bytes, Precondition::None).await.unwrap();
        rig.server.forget();
        (rig, bytes, entry)
    }

    pub(super) async fn put(&self, bytes: &[u8], precondition: Precondition) -> Result<RemoteEntry> {
        let content = Content::Memory(Bytes::copy_from_slice(bytes));
        let sums = Checksums::of(bytes);
        let upload = self.s3.upload(&key("k"), draft(), &sums, content).await?;
        upload.commit(&precondition).await
    }

    /// The version that is there.
    async fn version(&self) -> Option<Arc<str>> {
        let seen = self.s3.head(&key("k")).await.unwrap();
        seen.map(|entry| entry.version)
    }

    /// Does something wrong with every GET from now on, and with nothing else.
    pub(super) fn every_get(&self, action: Action) {
        self.server.faults().clear();
        self.server.faults().always(Kind::Get, action);
    }

    /// Multipart uploads that were begun and not ended.
    fn unfinished(&self) -> usize {
        self.server.uploads().len()
    }

    /// The first `wanted` bytes of the entry.
    pub(super) async fn read(&self, entry: &RemoteEntry, start: u64, end: u64) -> Result<Bytes> {
        let chunks: Vec<Bytes> = self
            .s3
            .source(&key("k"))
            .read(&entry.version, start..end)
            .await?
            .try_collect()
            .await?;
        Ok(chunks.concat().into())
    }
}

pub(super) fn fault<T>(outcome: Result<T>) -> RemoteErrorKind {
    outcome.err().unwrap().remote_error_kind().unwrap()
}

#[tokio::test]
async fn a_body_that_ends_early_or_stalls_is_an_error() {
    let (rig, _, entry) = Rig::filled(100_000).await;
    for at in [0, 1, 50_000, 99_999] {
        rig.every_get(Action::Cut(at));
        assert_eq!(fault(rig.read(&entry, 0, 100_000).await), RemoteErrorKind::Other);
        rig.every_get(Action::Stall(at));
        assert_eq!(
            fault(rig.read(&entry, 0, 100_000).await),
            RemoteErrorKind::Timeout
        );
    }
}

#[tokio::test]
async fn an_answer_of_another_range_or_version_is_never_taken() {
    let (rig, bytes, entry) = Rig::filled(100_000).await;
    rig.every_get(Action::WrongRange);
    assert_eq!(fault(rig.read(&entry, 5, 10).await), RemoteErrorKind::Damaged);
    rig.every_get(Action::Quirk(Quirk::IgnoreRange));
    assert!(rig.read(&entry, 5, 10).await.unwrap() == bytes[5..10]);
    // The beginning of the whole object is what was asked for.
    assert!(rig.read(&entry, 0, 10).await.unwrap() == bytes[..10]);
    let open = rig.s3.source(&key("k")).open().await.unwrap().unwrap();
    assert_eq!(open.length, 100_000);
    let front: Vec<Bytes> = open.first.try_collect().await.unwrap();
    assert!(front.concat() == bytes);
    rig.put(b"other", Precondition::None).await.unwrap();
    rig.every_get(Action::Quirk(Quirk::IgnoreIfMatch));
    assert_eq!(fault(rig.read(&entry, 0, 3).await), RemoteErrorKind::Changed);
}

#[tokio::test]
async fn damaged_bytes_are_not_answered() {
    for size in [1_000, 3 * MIB] {
        let rig = Rig::new().await;
        rig.put(&body(size, 1), Precondition::None).await.unwrap();
        rig.every_get(Action::Flip);
        match rig.store.get(&key("k")).await.unwrap() {
            None => assert_eq!(size, 1_000),
            // The status may be sent already: the body ends with an error.
            Some(entry) => assert!(read(entry.content).await.is_err()),
        }
        rig.server.faults().clear();
        assert!(get(&*rig.store, &key("k")).await.unwrap() == body(size, 1));
    }
}

#[tokio::test]
async fn a_reader_goes_on_where_its_stream_broke() {
    let (rig, bytes, _) = Rig::filled(3 * MIB + 5).await;
    // Every second stream breaks after 300,000 bytes.
    for nth in 1..=20 {
        // Counted from the one that broke before.
        rig.server.faults().nth(Kind::Get, nth, Action::Cut(300_000));
    }
    assert!(get(&*rig.store, &key("k")).await.unwrap() == bytes);
    let seen = rig.server.headers(Kind::Get);
    let range = |nth: usize| seen[nth]["range"].to_str().unwrap();
    assert!(range(1).starts_with("bytes=300000-"), "{seen:?}");
    assert!(seen[1..].iter().all(|headers| headers.contains_key("if-match")));
    // Without a byte in between it gives up.
    rig.server.faults().clear();
    let entry = rig.store.get(&key("k")).await.unwrap().unwrap();
    rig.every_get(Action::Cut(0));
    rig.server.forget();
    assert!(read(entry.content).await.is_err());
    assert!(rig.server.log().len() < 10);
}

#[tokio::test]
async fn a_writer_whose_answer_was_lost_knows_its_own_object() {
    for lost in [Action::late_internal_error(), Action::LoseAnswer] {
        let rig = Rig::new().await;
        rig.server.faults().once(Kind::Put, lost);
        let entry = rig.put(b"mine", Precondition::Absent).await.unwrap();
        assert_eq!(rig.server.count(Kind::Put), 2);
        assert_eq!(rig.version().await, Some(entry.version));
        let other = rig.put(b"mine", Precondition::Absent).await;
        assert!(matches!(other, Err(Error::Precondition)));
    }
}

#[tokio::test]
async fn what_is_done_without_an_answer_is_done() {
    let rig = Rig::new().await;
    rig.server.faults().always(Kind::Put, Action::LoseAnswer);
    let entry = rig.put(b"done", Precondition::None).await.unwrap();
    assert_eq!(rig.version().await, Some(entry.version));
}

#[tokio::test]
async fn a_refusal_that_is_never_heard_is_a_refusal() {
    let rig = Rig::new().await;
    let old = rig.put(b"old", Precondition::None).await.unwrap();
    rig.server.faults().always(Kind::Put, Action::LoseAnswer);
    let refused = rig.put(b"new", Precondition::Absent).await;
    assert!(matches!(refused, Err(Error::Precondition)));
    assert_eq!(rig.version().await, Some(old.version));
}

#[tokio::test]
async fn a_server_that_takes_requests_and_never_answers_leaves_doubt_and_gets_a_rest() {
    let rig = Rig::new().await;
    rig.server.faults().always(Which::any(), Action::LoseAnswer);
    let outcome = fault(rig.put(b"perhaps", Precondition::None).await);
    assert!(outcome.leaves_doubt(), "{outcome}");
    while rig.s3.health() == RemoteHealth::Up {
        assert!(rig.s3.head(&key("k")).await.is_err());
    }
    assert_eq!(fault(rig.s3.head(&key("k")).await), RemoteErrorKind::Resting);
    rig.server.faults().clear();
    until("it can be used again", || rig.s3.health() == RemoteHealth::Up).await;
    assert_eq!(get(&*rig.store, &key("k")).await.unwrap(), "perhaps");
}

#[tokio::test]
async fn a_conflict_is_tried_again() {
    let rig = Rig::new().await;
    rig.server.faults().once(Kind::Put, Action::conflict());
    rig.put(b"1", Precondition::Absent).await.unwrap();
    assert_eq!(get(&*rig.store, &key("k")).await.unwrap(), "1");
}

#[tokio::test]
async fn a_denial_is_a_miss_only_if_it_is_configured() {
    for denied_is_missing in [false, true] {
        let rig = Rig::changed(|config| config.denied_is_missing = denied_is_missing).await;
        rig.server.faults().always(Which::any(), Action::access_denied());
        let head = rig.s3.head(&key("k")).await;
        let open = rig.s3.source(&key("k")).open().await;
        match denied_is_missing {
            true => assert!(head.unwrap().is_none() && open.unwrap().is_none()),
            false => {
                assert_eq!(fault(head), RemoteErrorKind::Denied);
                assert_eq!(fault(open), RemoteErrorKind::Denied);
            }
        }
        assert_eq!(
            fault(rig.put(b"1", Precondition::None).await),
            RemoteErrorKind::Denied
        );
        assert_eq!(rig.s3.health(), RemoteHealth::Up);
    }
}

#[tokio::test]
async fn every_refusal_has_its_name() {
    let rig = Rig::new().await;
    for (status, code, expected) in [
        (404, "NoSuchBucket", RemoteErrorKind::NoBucket),
        (400, "ExpiredToken", RemoteErrorKind::Expired),
        (403, "RequestTimeTooSkewed", RemoteErrorKind::ClockSkew),
        (301, "PermanentRedirect", RemoteErrorKind::WrongRegion),
        (400, "AuthorizationHeaderMalformed", RemoteErrorKind::WrongRegion),
        (403, "SignatureDoesNotMatch", RemoteErrorKind::Denied),
        (503, "SlowDown", RemoteErrorKind::Throttled),
        (500, "InternalError", RemoteErrorKind::ServerError),
    ] {
        rig.server
            .faults()
            .always(Which::any(), Action::status(status, code));
        assert_eq!(fault(rig.s3.source(&key("k")).open().await), expected, "{code}");
        // No three failures in a row.
        rig.server.faults().clear();
        assert!(rig.s3.source(&key("k")).open().await.unwrap().is_none());
    }
}

/// A body that goes in parts.
const LARGE: usize = 9 * MIB;

#[tokio::test]
async fn a_large_body_whose_last_answer_was_lost_is_there() {
    let rig = Rig::new().await;
    rig.server
        .faults()
        .once(Kind::Complete, Action::late_internal_error());
    let entry = rig.put(&body(LARGE, 1), Precondition::Absent).await.unwrap();
    assert_eq!(rig.version().await, Some(entry.version));
    assert!(get(&*rig.store, &key("k")).await.unwrap() == body(LARGE, 1));
    assert_eq!(rig.unfinished(), 0);
}

#[tokio::test]
async fn a_large_body_that_a_conflict_ended_is_sent_again() {
    let rig = Rig::new().await;
    let conflict = Action::Quirk(Quirk::EndUpload);
    rig.server.faults().once(Kind::Complete, conflict);
    rig.put(&body(LARGE, 1), Precondition::Absent).await.unwrap();
    assert!(get(&*rig.store, &key("k")).await.unwrap() == body(LARGE, 1));
    until("nothing is left", || rig.unfinished() == 0).await;
}

#[tokio::test]
async fn parts_are_sent_again_and_an_upload_that_fails_is_aborted() {
    let rig = Rig::new().await;
    // Every part fails once.
    for number in 1..=9 {
        let part = Which::from(Kind::UploadPart).part(number);
        rig.server.faults().once(part, Action::internal_error());
    }
    rig.put(&body(LARGE, 1), Precondition::None).await.unwrap();
    assert!(get(&*rig.store, &key("k")).await.unwrap() == body(LARGE, 1));
    let second = Which::from(Kind::UploadPart).part(2);
    rig.server
        .faults()
        .always(second, Action::status(400, "InvalidRequest"));
    let failed = rig.put(&body(LARGE, 2), Precondition::None).await;
    assert_eq!(fault(failed), RemoteErrorKind::Other);
    until("nothing is left", || rig.unfinished() == 0).await;
    assert!(get(&*rig.store, &key("k")).await.unwrap() == body(LARGE, 1));
}

#[tokio::test]
async fn uploads_of_yesterday_are_swept_at_the_start() {
    let rig = Rig::new().await;
    let bytes: Bytes = body(LARGE, 1).into();
    let sums = Checksums::of(&bytes);
    let content = Content::Memory(bytes);
    let upload = rig.s3.upload(&key("k"), draft(), &sums, content).await.unwrap();
    std::mem::forget(upload);
    assert_eq!(rig.unfinished(), 1);
    rig.server.age_uploads();
    let tasks = Tasks::new();
    let _s3 = S3::open(&rig.config, None, &tasks).await.unwrap();
    until("nothing is left", || rig.unfinished() == 0).await;
    tasks.finish().await;
}
