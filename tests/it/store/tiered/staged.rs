//! A small disk before a bucket: it keeps what was read, and decides nothing.

use std::sync::Arc;

use chacha::store::tiered::Revalidation;
use chacha::store::{Precondition, Protocol, Store, StoreKey};
use futures_util::future::join_all;

use super::super::support::*;
use super::rig::{Pair, Plan};
use crate::support::s3::{Action, Gate, Kind, S3Server};

const LARGE: usize = 3 * MIB + 99;

fn staged(plan: &mut Plan) {
    plan.policy.revalidation = Revalidation::Always;
}

async fn pairs() -> (Pair, Pair) {
    let one = Pair::with(Arc::new(S3Server::memory()), staged).await;
    let two = one.twin(staged).await;
    (one, two)
}

#[tokio::test]
async fn what_another_server_wrote_is_seen_at_once() {
    let (one, two) = pairs().await;
    for size in [10, 100 * KIB, LARGE] {
        let (old, new) = (body(size, 1), body(size, 2));
        one.put("seen", &old).await;
        assert!(two.get("seen").await.unwrap() == old);
        two.kept("seen").await;
        one.put("seen", &new).await;
        assert!(two.get("seen").await.unwrap() == new);
        one.delete("seen").await.unwrap();
        assert!(two.get("seen").await.is_none());
        assert!(two.tiered.head(&key("seen")).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_copy_costs_one_question_and_no_body() {
    let (one, _) = pairs().await;
    let bytes = body(LARGE, 3);
    one.put("kept", &bytes).await;
    one.s3.forget();
    assert!(one.get("kept").await.unwrap() == bytes);
    assert_eq!((one.s3.count(Kind::Head), one.s3.count(Kind::Get)), (1, 0));
    // Readers that come at the same time share the answer.
    let readers = join_all((0..50).map(|_| one.get("kept"))).await;
    assert!(readers.iter().all(|read| read.as_deref() == Some(&bytes[..])));
    assert!(one.s3.count(Kind::Head) <= 4, "{}", one.s3.count(Kind::Head));
}

#[tokio::test]
async fn who_joins_a_fetch_of_a_former_version_gets_the_new_one() {
    let (one, two) = pairs().await;
    let (old, new) = (body(LARGE, 4), body(LARGE, 5));
    one.put("race", &old).await;
    let gate = Gate::new();
    two.s3.faults().nth(Kind::Get, 2, Action::Hold(gate.clone()));
    let early = two.entry("race").await;
    gate.reached(1).await;
    one.put("race", &new).await;
    let late = two.entry("race").await;
    assert_ne!(late.meta.etag, early.meta.etag);
    gate.open();
    assert!(read(late.content).await.unwrap() == new);
    drop(early);
    two.kept("race").await;
    assert!(two.local("race").await.unwrap() == new);
}

#[tokio::test]
async fn what_cannot_be_compared_is_not_served() {
    let (one, _) = pairs().await;
    one.put("there", b"bytes").await;
    one.s3.stop_listening().await;
    assert!(one.tiered.get(&key("there")).await.is_err());
    assert!(one.tiered.head(&key("there")).await.is_err());
    one.s3.resume();
    until_served(&one, "there").await;
}

#[tokio::test]
async fn entries_of_the_actions_cache_need_no_comparison() {
    let (one, _) = pairs().await;
    let key = StoreKey::new("https://issuer".into(), "tenant".into(), Protocol::Gha, *b"k");
    let spools = one.disk.spools();
    let put = put_if(&one.tiered, &spools, &key, b"saved", Precondition::Absent).await;
    put.unwrap();
    one.s3.forget();
    for _ in 0..3 {
        assert_eq!(get(&one.tiered, &key).await.unwrap(), "saved");
    }
    assert_eq!(one.s3.log(), []);
}

async fn until_served(pair: &Pair, name: &str) {
    let deadline = tokio::time::Instant::now() + TEST_TIMEOUT;
    while !matches!(pair.tiered.get(&key(name)).await, Ok(Some(_))) {
        assert!(tokio::time::Instant::now() < deadline, "S3 is still not asked");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
