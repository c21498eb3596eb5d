//! Changes that wait for S3: how many, what is served meanwhile, and what becomes of those that cannot be sent.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chacha::config::WhenDown;
use chacha::store::{Precondition, Store};

use super::super::support::*;
use super::rig::{Pair, Plan, back, records};
use crate::support::s3::{Action, Gate, Kind, S3Server};

async fn pair_with(change: impl FnOnce(&mut Plan)) -> Pair {
    let change = |plan: &mut Plan| {
        back(plan);
        change(plan);
    };
    Pair::with(Arc::new(S3Server::memory()), change).await
}

/// Through S3, and to the queue while it is away.
fn through(plan: &mut Plan) {
    plan.policy.when_down = WhenDown::Queue;
}

#[tokio::test]
async fn overwrites_of_what_waits_do_not_outgrow_the_queue() {
    let pair = pair_with(|plan| plan.policy.queue_limit = 10 << 20).await;
    pair.s3.stop_listening().await;
    for nth in 0..40 {
        pair.put(&nth.to_string(), b"1").await;
    }
    let mut taken = 0;
    for nth in 0..40 {
        taken += usize::from(
            pair.try_put(&nth.to_string(), &body(3_000_000, nth))
                .await
                .is_ok(),
        );
    }
    assert_eq!(taken, 3);
    assert!(pair.disk.stats().pinned <= 10 << 20);
    pair.s3.resume();
    pair.drained().await;
    assert_eq!(pair.get("39").await.unwrap(), "1");
}

#[tokio::test]
async fn writers_at_once_do_not_outgrow_the_queue() {
    let pair = pair_with(|plan| plan.policy.queue_limit = 4 << 20).await;
    pair.s3.stop_listening().await;
    let writes = (0..16).map(|nth| {
        let (tiered, spools) = (pair.tiered.clone(), pair.disk.spools());
        async move { put(&tiered, &spools, &key(&nth.to_string()), &body(MIB, nth)).await }
    });
    let taken = futures_util::future::join_all(writes).await;
    assert_eq!(taken.iter().filter(|done| done.is_ok()).count(), 3);
    assert!(pair.disk.stats().pinned <= 4 << 20);
}

#[tokio::test]
async fn deletes_of_keys_that_nobody_knows_are_bounded_and_counted_over_a_crash() {
    let pair = pair_with(|plan| plan.policy.queue_limit = 2 << 20).await;
    pair.s3.stop_listening().await;
    let mut taken = 0;
    for nth in 0..200 {
        taken += usize::from(pair.delete(&nth.to_string()).await.is_ok());
    }
    assert_eq!(taken, 64);
    let copy = pair.crash_copy().take();
    let after = pair.on_copy(copy).await;
    after.disk.indexed().await;
    assert_eq!(du(&after.plan.disk.dir), after.counted());
    assert_eq!(after.tiered.stats().queued, 64);
    pair.s3.resume();
    after.drained().await;
    assert_eq!(records(&after.plan.disk.dir), 0);
    assert_eq!(du(&after.plan.disk.dir), after.counted());
}

#[tokio::test]
async fn what_cannot_be_announced_is_not_done() {
    let pair = pair_with(|_| {}).await;
    pair.put("key", b"old").await;
    pair.drained().await;
    let marks = pair.plan.disk.dir.join("marks");
    fs::remove_dir(&marks).unwrap();
    fs::write(&marks, "a file in the place of the folder").unwrap();
    assert!(pair.try_put("key", b"new").await.is_err());
    assert!(pair.delete("key").await.is_err());
    assert!(pair.try_put("other", &body(MIB, 1)).await.is_err());
    assert_eq!(pair.get("key").await.unwrap(), "old");
    assert!(pair.get("other").await.is_none());
    assert_eq!((pair.disk.stats().pinned, pair.tiered.stats().queued), (0, 0));
    fs::remove_file(&marks).unwrap();
    pair.put("key", b"new").await;
    pair.drained().await;
}

#[tokio::test]
async fn what_the_disk_does_not_take_leaves_nothing_that_waits() {
    let pair = pair_with(|_| {}).await;
    pair.disk.indexed().await;
    let hex = key("key").digest().to_string();
    let parent = pair.plan.disk.dir.join("entries").join(&hex[..1]);
    fs::create_dir_all(&parent).unwrap();
    fs::write(parent.join(&hex[1..3]), "a file in the place of the folder").unwrap();
    assert!(pair.try_put("key", &body(MIB, 1)).await.is_err());
    let stats = pair.tiered.stats();
    assert_eq!((stats.queued, pair.disk.stats().pinned), (0, 0));
    assert_eq!(records(&pair.plan.disk.dir), 0);
    fs::remove_file(parent.join(&hex[1..3])).unwrap();
    pair.put("key", b"bytes").await;
    pair.drained().await;
    assert_eq!(pair.get("key").await.unwrap(), "bytes");
}

#[tokio::test]
async fn while_a_delete_is_under_way_nothing_older_is_served() {
    let pair = pair_with(|_| {}).await;
    pair.put("key", b"one").await;
    pair.drained().await;
    let (upload, delete) = (Gate::new(), Gate::new());
    pair.s3.faults().once(Kind::Put, Action::Hold(upload.clone()));
    pair.s3
        .faults()
        .always(Kind::Delete, Action::Hold(delete.clone()));
    pair.put("key", b"two").await;
    upload.reached(1).await;
    let deleting = pair.delete("key");
    let looking = async {
        delete.reached(1).await;
        assert!(pair.get("key").await.is_none());
        assert!(pair.tiered.head(&key("key")).await.unwrap().is_none());
        // A crash now: nobody may get "one" for "two", which was answered.
        let after = pair.on_copy(pair.crash_copy().take()).await;
        assert!(after.get("key").await.is_none());
        delete.open();
        upload.open();
        after.drained().await;
        assert!(after.get("key").await.is_none());
    };
    let (deleted, ()) = tokio::join!(deleting, looking);
    assert!(deleted.unwrap());
    pair.drained().await;
    assert!(pair.get("key").await.is_none() && pair.s3.objects().is_empty());
}

#[tokio::test]
async fn a_key_that_waits_without_its_copy_is_a_miss() {
    let pair = pair_with(|_| {}).await;
    pair.put("key", b"one").await;
    pair.drained().await;
    let gate = Gate::new();
    pair.s3.faults().always(Kind::Put, Action::Hold(gate.clone()));
    pair.put("key", b"two").await;
    gate.reached(1).await;
    pair.forget("key").await;
    assert!(pair.get("key").await.is_none());
    assert!(pair.tiered.head(&key("key")).await.unwrap().is_none());
    gate.open();
}

/// Also the version that the bucket has goes: it is older than what was answered.
#[tokio::test]
async fn a_damaged_entry_that_waits_is_given_up_and_nothing_older_takes_its_place() {
    for length in [0, 50_000] {
        let pair = pair_with(|_| {}).await;
        pair.put("key", b"older").await;
        pair.put("other", b"other").await;
        pair.drained().await;
        pair.s3.stop_listening().await;
        pair.put("key", &body(100_000, 1)).await;
        let copy = pair.crash_copy().take();
        let pair = pair.stop().await;
        let files = files_of(&copy.path().join("cache"), "key");
        let file = fs::File::options().write(true).open(&files[0]).unwrap();
        file.set_len(length).unwrap();
        let after = pair.on_copy(copy).await;
        pair.s3.resume();
        after.drained().await;
        assert!(after.get("key").await.is_none());
        assert_eq!(after.s3.objects().len(), 1);
        assert_eq!(after.get("other").await.unwrap(), "other");
        assert_eq!((after.disk.stats().pinned, records(&after.plan.disk.dir)), (0, 0));
    }
}

/// The crash came between the upload and the end of its record, and took the bytes on the disk.
#[tokio::test]
async fn what_the_bucket_has_is_not_deleted_because_the_disk_has_lost_it() {
    let pair = pair_with(|_| {}).await;
    let gate = Gate::new();
    pair.s3.faults().once(Kind::Put, Action::HoldAnswer(gate.clone()));
    pair.put("key", b"bytes").await;
    gate.reached(1).await;
    let copy = pair.crash_copy().take();
    let pair = pair.stop().await;
    gate.open();
    let files = files_of(&copy.path().join("cache"), "key");
    let file = fs::File::options().write(true).open(&files[0]).unwrap();
    file.set_len(0).unwrap();
    let after = pair.on_copy(copy).await;
    after.drained().await;
    assert_eq!(after.get("key").await.unwrap(), "bytes");
    assert_eq!(records(&after.plan.disk.dir), 0);
}

#[tokio::test]
async fn a_bucket_that_denies_deletes_is_asked_more_and_more_seldom() {
    let pair = pair_with(|_| {}).await;
    pair.put("key", b"bytes").await;
    pair.drained().await;
    pair.s3.faults().always(Kind::Delete, Action::access_denied());
    let began = Instant::now();
    assert!(pair.delete("key").await.unwrap());
    // At once, and after 0.5 s and 1 s more.
    until("it was tried three times", || {
        pair.tiered.stats().failed_uploads >= 3
    })
    .await;
    assert!(began.elapsed() >= Duration::from_millis(1500));
    assert_eq!(pair.tiered.stats().queued, 1);
    // It holds up nobody.
    pair.put("other", b"other").await;
    until("the other one is there", || pair.s3.objects().len() == 2).await;
    assert!(pair.get("key").await.is_none());
}

/// A write over a delete that the bucket has not heard of replaces what the bucket has.
#[tokio::test]
async fn a_first_write_after_a_delete_that_waits_is_not_lost() {
    let pair = pair_with(|_| {}).await;
    pair.put("key", b"old").await;
    pair.drained().await;
    pair.s3.stop_listening().await;
    assert!(pair.delete("key").await.unwrap());
    put_if(
        &pair.tiered,
        &pair.disk.spools(),
        &key("key"),
        b"new",
        Precondition::Absent,
    )
    .await
    .unwrap();
    pair.s3.resume();
    pair.drained().await;
    assert_eq!(pair.get("key").await.unwrap(), "new");
    pair.forget("key").await;
    assert_eq!(pair.get("key").await.unwrap(), "new");
}

#[tokio::test]
async fn conditional_writes_wait_too_while_the_bucket_is_away() {
    for change in [back, through] {
        let pair = Pair::with(Arc::new(S3Server::memory()), change).await;
        let first = |name: &'static str, bytes: &'static [u8]| {
            let (tiered, spools) = (pair.tiered.clone(), pair.disk.spools());
            async move { put_if(&tiered, &spools, &key(name), bytes, Precondition::Absent).await }
        };
        pair.put("there", b"old").await;
        pair.drained().await;
        pair.s3.stop_listening().await;
        first("new", b"bytes").await.unwrap();
        assert!(is_precondition(&first("new", b"other").await));
        assert!(is_precondition(&first("there", b"other").await));
        let etag = pair.entry("new").await.meta.etag.clone();
        let matches = Precondition::Matches(vec![etag]);
        put_if(&pair.tiered, &pair.disk.spools(), &key("new"), b"next", matches)
            .await
            .unwrap();
        pair.s3.resume();
        pair.drained().await;
        pair.forget("new").await;
        assert_eq!(pair.get("new").await.unwrap(), "next");
        assert_eq!(pair.get("there").await.unwrap(), "old");
    }
}

#[tokio::test]
async fn while_the_bucket_is_away_writes_through_it_wait_on_the_disk() {
    let pair = Pair::with(Arc::new(S3Server::memory()), through).await;
    pair.put("key", b"old").await;
    pair.put("gone", b"old").await;
    assert_eq!(pair.tiered.stats().queued, 0);
    pair.s3.stop_listening().await;
    // The first one finds it out: its parts cannot be sent.
    pair.put("large", &body(9 * MIB, 1)).await;
    pair.put("key", b"new").await;
    assert!(pair.delete("gone").await.unwrap());
    assert!(pair.get("gone").await.is_none());
    assert_eq!(pair.tiered.stats().queued, 3);
    let after = pair.on_copy(pair.crash_copy().take()).await;
    let pair = pair.stop().await;
    assert_eq!(after.get("key").await.unwrap(), "new");
    assert!(after.get("gone").await.is_none());
    pair.s3.resume();
    after.drained().await;
    let twin = after.twin(|_| {}).await;
    assert_eq!(twin.get("key").await.unwrap(), "new");
    assert!(twin.get("large").await.unwrap() == body(9 * MIB, 1));
    assert!(twin.get("gone").await.is_none());
    // And through it again.
    after.put("key", b"newest").await;
    assert_eq!(after.tiered.stats().queued, 0);
}

#[tokio::test]
async fn of_two_queued_first_writes_one_stays_and_the_other_is_counted() {
    let one = Pair::with(Arc::new(S3Server::memory()), through).await;
    let two = one.twin(through).await;
    one.s3.stop_listening().await;
    for (pair, bytes) in [(&one, b"one"), (&two, b"two")] {
        put_if(
            &pair.tiered,
            &pair.disk.spools(),
            &key("key"),
            bytes,
            Precondition::Absent,
        )
        .await
        .unwrap();
    }
    one.s3.resume();
    one.drained().await;
    two.drained().await;
    let conflicts = one.tiered.stats().conflicts + two.tiered.stats().conflicts;
    assert_eq!(conflicts, 1);
    assert_eq!(one.get("key").await, two.get("key").await);
    assert_eq!(one.s3.objects().len(), 1);
}

/// The upload was done, and the crash came before its record went.
#[tokio::test]
async fn an_upload_that_was_done_before_a_crash_does_not_replace_what_others_stored_since() {
    let pair = pair_with(|_| {}).await;
    let gate = Gate::new();
    pair.s3.faults().once(Kind::Put, Action::HoldAnswer(gate.clone()));
    pair.put("key", b"ours").await;
    gate.reached(1).await;
    let copies = [pair.crash_copy().take(), pair.crash_copy().take()];
    let pair = pair.stop().await;
    gate.open();
    let [same, newer] = copies;
    let after = pair.on_copy(same).await;
    pair.s3.forget();
    after.drained().await;
    let asked = pair.s3.log();
    assert!(
        asked.iter().all(|asked| asked.kind != Kind::Put),
        "it was sent again"
    );
    let mut later = draft();
    later.origin.stored += Duration::from_secs(10);
    let twin = after.twin(|_| {}).await;
    let body = spool(&twin.disk.spools(), b"theirs").await.unwrap();
    twin.tiered
        .put(&key("key"), later, body, Precondition::None)
        .await
        .unwrap();
    let after = pair.on_copy(newer).await;
    after.drained().await;
    assert_eq!(after.get("key").await.unwrap(), "theirs");
    assert_eq!(after.tiered.stats().conflicts, 1);
}

#[tokio::test]
async fn a_copy_that_cannot_be_dropped_is_not_served() {
    let pair = Pair::new().await;
    pair.put("key", b"old").await;
    let file = files_of(&pair.plan.disk.dir, "key").remove(0);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    fs::write(file.join("inside"), "").unwrap();
    let faults = pair.s3.faults();
    faults.always(Kind::Put, Action::LoseAnswer);
    faults.always(Kind::Head, Action::access_denied());
    assert!(pair.try_put("key", b"new").await.is_err());
    pair.s3.faults().clear();
    assert_eq!(records(&pair.plan.disk.dir), 1, "the doubt is forgotten");
    assert_eq!(pair.get("key").await.unwrap(), "new");
}

/// Two marks of one key are left by a crash of version 0.1.0 between two of its steps. The delete is the older one.
#[tokio::test]
async fn a_stale_delete_mark_of_an_older_version_deletes_nothing_that_was_answered() {
    let pair = pair_with(|_| {}).await;
    pair.put("key", b"one").await;
    pair.drained().await;
    let copy = pair.crash_copy().take();
    let digest = key("key").digest().to_string();
    let marks = copy.path().join("cache/marks");
    fs::create_dir_all(&marks).unwrap();
    fs::write(marks.join(format!("{digest}.upload")), "").unwrap();
    fs::write(marks.join(format!("{digest}.deleted")), key("key").canonical()).unwrap();
    let after = pair.on_copy(copy).await;
    after.drained().await;
    assert_eq!(after.get("key").await.unwrap(), "one");
    after.put("key", b"two").await;
    after.drained().await;
    assert_eq!(records(&after.plan.disk.dir), 0);
    let after = after.restart().await;
    after.drained().await;
    assert_eq!(after.s3.objects().len(), 1);
    let twin = after.twin(|_| {}).await;
    assert_eq!(twin.get("key").await.unwrap(), "two");
}

/// The delete of a server that hears late of the bucket, or stops before it does.
#[tokio::test]
async fn a_delete_that_waits_does_not_remove_what_another_server_has_stored_since() {
    for crash in [false, true] {
        let pair = pair_with(|_| {}).await;
        pair.put("key", b"old").await;
        pair.put("other", b"old").await;
        pair.drained().await;
        pair.s3.faults().always(Kind::Delete, Action::access_denied());
        assert!(pair.delete("key").await.unwrap() && pair.delete("other").await.unwrap());
        let twin = pair.twin(|_| {}).await;
        let mut later = draft();
        later.origin.stored = SystemTime::now();
        let body = spool(&twin.disk.spools(), b"new").await.unwrap();
        twin.tiered
            .put(&key("key"), later, body, Precondition::None)
            .await
            .unwrap();
        assert!(pair.get("key").await.is_none());
        let pair = match crash {
            true => pair.crash().await,
            false => pair,
        };
        pair.s3.faults().clear();
        pair.drained().await;
        assert_eq!(pair.get("key").await.unwrap(), "new", "{crash}");
        assert!(pair.get("other").await.is_none() && pair.s3.objects().len() == 1);
        assert_eq!(records(&pair.plan.disk.dir), 0);
    }
}

/// A start does not wait for bodies. One that is damaged waits like all others until it is read, so that nothing older is
/// served.
#[tokio::test]
async fn a_mark_of_an_older_version_over_a_damaged_body_brings_nothing_older_back() {
    let pair = pair_with(|_| {}).await;
    pair.put("key", b"older").await;
    pair.drained().await;
    pair.s3.stop_listening().await;
    let bytes = body(100_000, 1);
    pair.put("key", &bytes).await;
    let copy = pair.crash_copy().take();
    let pair = pair.stop().await;
    let cache = copy.path().join("cache");
    let file = files_of(&cache, "key").remove(0);
    let file = fs::File::options().write(true).open(file).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[!bytes[50_000]], 50_000).unwrap();
    let record = cache.join("marks").join(format!("{}.state", key("key").digest()));
    fs::rename(&record, record.with_extension("upload")).unwrap();
    fs::write(record.with_extension("upload"), "").unwrap();
    let after = pair.on_copy(copy).await;
    pair.s3.resume();
    after.drained().await;
    assert!(after.get("key").await.is_none());
    assert!(after.s3.objects().is_empty());
    assert_eq!((after.disk.stats().pinned, records(&cache)), (0, 0));
}
