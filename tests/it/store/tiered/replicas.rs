//! Several servers over one bucket.

use std::time::Duration;

use chacha::store::tiered::Revalidation;
use chacha::store::{Precondition, Store};

use super::super::support::*;
use super::rig::{Pair, Plan, back};
use crate::support::s3::{Action, Gate, Kind, S3Server};

/// Every read is compared.
fn at_once(plan: &mut Plan) {
    plan.policy.revalidation = Revalidation::After(Duration::from_nanos(1));
}

/// No read is compared in the time of a test.
fn in_an_hour(plan: &mut Plan) {
    plan.policy.revalidation = Revalidation::After(Duration::from_secs(3600));
}

async fn pairs(change: fn(&mut Plan)) -> (Pair, Pair) {
    let s3 = std::sync::Arc::new(S3Server::memory());
    let one = Pair::with(s3, change).await;
    let two = one.twin(change).await;
    (one, two)
}

#[tokio::test]
async fn what_one_stores_the_other_serves() {
    let (one, two) = pairs(|_| {}).await;
    let bytes = body(3 * MIB, 1);
    one.put("shared", &bytes).await;
    assert!(two.get("shared").await.unwrap() == bytes);
    assert!(one.delete("shared").await.unwrap());
    two.kept("shared").await;
}

#[tokio::test]
async fn overwrite_and_delete_are_seen() {
    let (one, two) = pairs(at_once).await;
    one.put("seen", b"old").await;
    assert_eq!(two.get("seen").await.unwrap(), "old");
    two.kept("seen").await;
    one.put("seen", b"new").await;
    assert_eq!(two.get("seen").await.unwrap(), "new");
    assert_eq!(two.tiered.head(&key("seen")).await.unwrap().unwrap().size, 3);
    two.kept("seen").await;
    one.delete("seen").await.unwrap();
    assert!(two.tiered.head(&key("seen")).await.unwrap().is_none());
    assert!(two.get("seen").await.is_none());
}

#[tokio::test]
async fn a_copy_is_not_compared_again_before_its_time() {
    let (one, two) = pairs(in_an_hour).await;
    one.put("fresh", b"old").await;
    assert_eq!(two.get("fresh").await.unwrap(), "old");
    two.kept("fresh").await;
    one.s3.forget();
    for _ in 0..5 {
        assert_eq!(one.get("fresh").await.unwrap(), "old");
        assert_eq!(two.get("fresh").await.unwrap(), "old");
    }
    assert_eq!(one.s3.log(), []);
    // What an earlier run left is compared once.
    let two = two.restart().await;
    one.put("fresh", b"new").await;
    one.s3.forget();
    assert_eq!(two.get("fresh").await.unwrap(), "new");
    assert_eq!(one.s3.count(Kind::Head), 1);
}

#[tokio::test]
async fn a_copy_is_served_when_s3_cannot_be_asked() {
    let (one, two) = pairs(at_once).await;
    one.put("down", b"bytes").await;
    two.get("down").await.unwrap();
    two.kept("down").await;
    one.s3.stop_listening().await;
    assert_eq!(two.get("down").await.unwrap(), "bytes");
}

#[tokio::test]
async fn a_copy_is_served_while_s3_does_not_answer() {
    let (one, two) = pairs(in_an_hour).await;
    one.put("slow", b"bytes").await;
    let two = {
        two.get("slow").await.unwrap();
        two.kept("slow").await;
        two.restart().await
    };
    let gate = Gate::new();
    one.s3.faults().always(Kind::Head, Action::Hold(gate.clone()));
    let readers = futures_util::future::join_all((0..20).map(|_| two.get("slow"))).await;
    assert!(readers.iter().all(|read| read.as_deref() == Some(b"bytes")));
    // All of them waited for one question.
    assert_eq!(one.s3.count(Kind::Head), 1);
    gate.open();
}

#[tokio::test]
async fn the_first_writer_of_two_servers_wins() {
    let (one, two) = pairs(|_| {}).await;
    for round in 0..5 {
        let key = key(&round.to_string());
        let write = |pair: &Pair, bytes: &'static [u8]| {
            let (tiered, spools, key) = (pair.tiered.clone(), pair.disk.spools(), key.clone());
            async move { put_if(&tiered, &spools, &key, bytes, Precondition::Absent).await }
        };
        let (first, second) = tokio::join!(write(&one, b"one"), write(&two, b"two"));
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
        let expected = if first.is_ok() { "one" } else { "two" };
        assert_eq!(get(&one.tiered, &key).await.unwrap(), expected);
        assert_eq!(get(&two.tiered, &key).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn compare_and_swap_between_servers_loses_no_change() {
    let (one, two) = pairs(at_once).await;
    one.put("counter", b"0").await;
    let add = |pair: &Pair| {
        let (tiered, spools) = (pair.tiered.clone(), pair.disk.spools());
        async move {
            let mut done = 0;
            while done < 5 {
                let entry = tiered.get(&key("counter")).await.unwrap().unwrap();
                let text = read(entry.content).await.unwrap();
                let number: u32 = std::str::from_utf8(&text).unwrap().parse().unwrap();
                let next = (number + 1).to_string();
                let condition = Precondition::Matches(vec![entry.meta.etag.clone()]);
                match put_if(&tiered, &spools, &key("counter"), next.as_bytes(), condition).await {
                    Ok(_) => done += 1,
                    outcome => assert!(is_precondition(&outcome), "{outcome:?}"),
                }
            }
        }
    };
    tokio::join!(add(&one), add(&two));
    assert_eq!(one.get("counter").await.unwrap(), "10");
}

#[tokio::test]
async fn what_waits_gives_way_to_what_another_server_has_stored_since() {
    let (one, two) = pairs(|_| {}).await;
    let waiting = one.twin(back).await;
    let gate = Gate::new();
    one.s3.faults().once(Kind::Create, Action::Hold(gate.clone()));
    waiting.put("key", &body(9 * MIB, 2)).await;
    gate.reached(1).await;
    let mut later = draft();
    later.origin.stored += Duration::from_secs(10);
    let bytes = spool(&one.disk.spools(), b"later").await.unwrap();
    one.tiered
        .put(&key("key"), later, bytes, Precondition::None)
        .await
        .unwrap();
    // The other server's note.
    waiting.tiered.outdate(*key("key").digest(), None);
    gate.open();
    waiting.drained().await;
    assert_eq!(two.get("key").await.unwrap(), "later");
    assert_eq!(waiting.get("key").await.unwrap(), "later");
}

#[tokio::test]
async fn an_old_copy_that_cannot_be_removed_is_removed_when_it_can_be() {
    let (one, two) = pairs(|_| {}).await;
    one.put("key", b"old").await;
    let file = files_of(&one.plan.disk.dir, "key").remove(0);
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    std::fs::write(file.join("inside"), "").unwrap();
    two.put("key", b"new").await;
    one.tiered.outdate(*key("key").digest(), None);
    assert_eq!(one.get("key").await.unwrap(), "new");
    std::fs::remove_dir_all(&file).unwrap();
    let served = async {
        loop {
            // Who joins a fetch asks the bucket for nothing.
            until("nothing is fetched", || one.tiered.stats().filling == 0).await;
            one.s3.forget();
            assert_eq!(one.get("key").await.unwrap(), "new");
            if one.s3.log().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), served).await;
    in_time.expect("the key stays hidden");
}

#[tokio::test]
async fn a_look_at_a_copy_does_not_read_its_body_and_a_read_finds_the_damage() {
    let bytes = body(3 * MIB, 1);
    for (revalidation, requests) in [(Revalidation::Never, 0), (Revalidation::Always, 1)] {
        let s3 = std::sync::Arc::new(S3Server::memory());
        let pair = Pair::with(s3, |plan| {
            plan.policy.revalidation = revalidation;
        })
        .await;
        pair.put("entry", &bytes).await;
        let files = files_of(&pair.plan.disk.dir, "entry");
        let file = std::fs::File::options().write(true).open(&files[0]).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &[!bytes[MIB]], MIB as u64).unwrap();
        let pair = pair.restart().await;
        pair.s3.forget();
        let seen = pair.tiered.head(&key("entry")).await.unwrap();
        assert_eq!(seen.unwrap().size, 3 * MIB as u64);
        assert_eq!(pair.s3.count(Kind::Head), requests, "{revalidation:?}");
        assert_eq!(pair.disk.stats().corrupt, 0, "{revalidation:?}");
        // The bucket has what is intact.
        assert!(pair.get("entry").await.unwrap() == bytes);
        assert_eq!(pair.disk.stats().corrupt, 1, "{revalidation:?}");
        pair.kept("entry").await;
    }
}
