//! Reads of what is only in S3.

use chacha::store::Store;
use futures_util::StreamExt;
use futures_util::future::join_all;

use super::super::support::*;
use super::rig::Pair;
use crate::support::s3::{Action, Gate, Kind};

/// Six parts and a bit.
const LARGE: usize = 6 * MIB + 123_456;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_readers_cost_one_fetch() {
    let pair = Pair::new().await;
    for size in [10, 100 * KIB, LARGE] {
        let bytes = body(size, 1);
        pair.cold("cold", &bytes).await;
        let readers = join_all((0..100).map(|_| pair.get("cold"))).await;
        assert!(readers.iter().all(|read| read.as_deref() == Some(&bytes[..])));
        assert_eq!(
            pair.s3.count(Kind::Get),
            size.div_ceil(MIB),
            "{size} bytes: {:?}",
            pair.s3.log()
        );
        assert_eq!(pair.s3.response_bytes(), size as u64);
        pair.kept("cold").await;
        pair.s3.forget();
        assert!(pair.get("cold").await.unwrap() == bytes);
        assert_eq!(pair.s3.log(), []);
    }
}

/// Otherwise its room would be nobody's, and whoever floods the disk would be spared by fetching first.
#[tokio::test]
async fn what_is_fetched_stays_with_its_tenant() {
    let pair = Pair::new().await;
    for size in [10, LARGE] {
        let put = pair.put("cold", &body(size, 9)).await;
        assert!(put.origin.tenancy.is_some());
        pair.forget("cold").await;
        pair.get("cold").await.unwrap();
        pair.kept("cold").await;
        let kept = pair.disk.head(&key("cold")).await.unwrap().unwrap();
        assert_eq!(kept.origin, put.origin);
    }
}

#[tokio::test]
async fn a_small_entry_is_read_with_one_request() {
    let pair = Pair::new().await;
    for size in [0, 1, 10 * KIB, MIB] {
        let bytes = body(size, 2);
        pair.cold("small", &bytes).await;
        assert!(pair.get("small").await.unwrap() == bytes);
        assert!(
            pair.s3.log().len() <= 1 + usize::from(size == 0),
            "{:?}",
            pair.s3.log()
        );
        pair.kept("small").await;
    }
}

#[tokio::test]
async fn readers_follow_while_it_arrives() {
    let pair = Pair::new().await;
    let bytes = body(LARGE, 3);
    pair.cold("slow", &bytes).await;
    let gate = Gate::new();
    pair.s3.faults().nth(Kind::Get, 2, Action::Hold(gate.clone()));
    let mut pieces = pair.entry("slow").await.content.pieces();
    let mut read = Vec::new();
    while read.len() < MIB {
        read.extend_from_slice(&pieces.next().await.unwrap().unwrap());
    }
    gate.open();
    while let Some(piece) = pieces.next().await {
        read.extend_from_slice(&piece.unwrap());
    }
    assert!(read == bytes);
}

#[tokio::test]
async fn the_fill_goes_on_when_its_reader_leaves() {
    let pair = Pair::new().await;
    let bytes = body(LARGE, 4);
    pair.cold("left", &bytes).await;
    let gate = Gate::new();
    pair.s3.faults().nth(Kind::Get, 3, Action::Hold(gate.clone()));
    drop(pair.entry("left").await);
    gate.open();
    pair.kept("left").await;
    assert!(pair.local("left").await.unwrap() == bytes);
}

#[tokio::test]
async fn a_range_far_ahead_does_not_wait_for_the_front() {
    let pair = Pair::with_parallel(1).await;
    let bytes = body(LARGE, 5);
    pair.cold("range", &bytes).await;
    let gate = Gate::new();
    pair.s3.faults().nth(Kind::Get, 2, Action::Hold(gate.clone()));
    let entry = pair.entry("range").await;
    gate.reached(1).await;
    let size = LARGE as u64;
    let end = read(entry.content.slice(size - 1000..size)).await.unwrap();
    assert!(end == bytes[LARGE - 1000..]);
    assert_eq!(pair.s3.count(Kind::Get), 3);
    gate.open();
    assert!(read(entry.content).await.unwrap() == bytes);
    pair.kept("range").await;
}

#[tokio::test]
async fn without_room_on_the_disk_it_streams_through() {
    let pair = Pair::with_limit(4 * MIB).await;
    let big = Pair::with(std::sync::Arc::clone(&pair.s3), |_| {}).await;
    let bytes = body(LARGE, 6);
    big.put("large", &bytes).await;
    assert!(pair.get("large").await.unwrap() == bytes);
    let entry = pair.entry("large").await;
    let part = read(entry.content.slice(2_000_000..2_000_777)).await.unwrap();
    assert!(part == bytes[2_000_000..2_000_777]);
    assert!(pair.local("large").await.is_none());
    assert_eq!(pair.tiered.stats().streamed, 2);
}

#[tokio::test]
async fn a_miss_is_not_remembered() {
    let pair = Pair::new().await;
    let other = pair.twin(|_| {}).await;
    assert!(pair.get("later").await.is_none());
    other.put("later", b"here").await;
    assert_eq!(pair.get("later").await.unwrap(), "here");
}

#[tokio::test]
async fn a_miss_asked_for_before_a_write_is_asked_again() {
    let pair = Pair::new().await;
    let other = pair.twin(|_| {}).await;
    let gate = Gate::new();
    pair.s3
        .faults()
        .nth(Kind::Get, 1, Action::HoldAnswer(gate.clone()));
    let first = async { pair.get("race").await };
    let second = async {
        gate.reached(1).await;
        other.put("race", b"new").await;
        let mut late = Box::pin(pair.get("race"));
        // It joins the look-up that is under way.
        assert!(futures_util::poll!(&mut late).is_pending());
        gate.open();
        late.await
    };
    let (early, late) = tokio::join!(first, second);
    assert!(early.is_none());
    assert_eq!(late.unwrap(), "new");
}

#[tokio::test]
async fn head_looks_without_fetching() {
    let pair = Pair::new().await;
    let bytes = body(LARGE, 7);
    let meta = pair.put("head", &bytes).await;
    pair.forget("head").await;
    pair.s3.forget();
    assert_eq!(pair.tiered.head(&key("head")).await.unwrap(), Some(meta));
    assert_eq!(pair.s3.count(Kind::Get), 0);
    assert!(pair.tiered.head(&key("none")).await.unwrap().is_none());
}
