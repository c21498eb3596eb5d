//! S3 failing in the middle of reads, and before them.

use bytes::Bytes;
use chacha::store::{RemoteErrorKind, Store};

use super::super::support::*;
use super::rig::Pair;
use crate::support::s3::{Action, Gate, Kind};

const LARGE: usize = 3 * MIB + 4321;

/// Reads to the end or to the error; what came before it.
async fn read_some(content: chacha::store::Content) -> (Vec<u8>, bool) {
    use futures_util::StreamExt;
    let mut pieces = content.pieces();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(_) => return (bytes, false),
        }
    }
    (bytes, true)
}

async fn comes_whole_despite(action: Action, nth: u64) {
    let pair = Pair::new().await;
    let bytes = body(LARGE, 1);
    pair.cold("broken", &bytes).await;
    pair.s3.faults().nth(Kind::Get, nth, action);
    assert!(pair.get("broken").await.unwrap() == bytes);
    pair.kept("broken").await;
    assert!(pair.local("broken").await.unwrap() == bytes);
}

#[tokio::test]
async fn a_stream_that_breaks_is_resumed() {
    for nth in [1, 2] {
        comes_whole_despite(Action::Reset(300_000), nth).await;
        comes_whole_despite(Action::Truncate(200_000), nth).await;
        comes_whole_despite(Action::Overstate(10), nth).await;
    }
}

#[tokio::test]
async fn a_stream_that_stalls_is_resumed() {
    comes_whole_despite(Action::Stall(100_000), 2).await;
}

#[tokio::test]
async fn throttling_and_faults_of_the_server_are_waited_out() {
    comes_whole_despite(Action::slow_down(), 2).await;
    comes_whole_despite(Action::internal_error(), 3).await;
    comes_whole_despite(Action::Refuse, 2).await;
}

#[tokio::test]
async fn resuming_asks_for_the_rest_only() {
    let pair = Pair::new().await;
    let bytes = body(LARGE, 2);
    pair.cold("rest", &bytes).await;
    pair.s3.faults().nth(Kind::Get, 1, Action::Reset(300_000));
    assert!(pair.get("rest").await.unwrap() == bytes);
    let ranges: Vec<_> = pair
        .s3
        .log()
        .into_iter()
        .filter_map(|asked| asked.range)
        .collect();
    let starts = |range: &String| !range.starts_with("bytes=0-") && range.ends_with("-1048575");
    assert!(ranges.iter().any(starts), "{ranges:?}");
}

#[tokio::test]
async fn a_version_that_is_replaced_meanwhile_is_cut_not_mixed() {
    let pair = Pair::new().await;
    let other = pair.twin(|_| {}).await;
    let (old, new) = (body(LARGE, 3), body(LARGE, 4));
    pair.cold("mixed", &old).await;
    let gate = Gate::new();
    pair.s3.faults().nth(Kind::Get, 2, Action::Hold(gate.clone()));
    let entry = pair.entry("mixed").await;
    gate.reached(1).await;
    other.put("mixed", &new).await;
    gate.open();
    let (came, whole) = read_some(entry.content).await;
    assert!(!whole && old.starts_with(&came) && came.len() < old.len());
    until("the fill has ended", || pair.tiered.stats().filling == 0).await;
    assert!(pair.local("mixed").await.is_none());
    assert!(pair.get("mixed").await.unwrap() == new);
}

#[tokio::test]
async fn damaged_bytes_never_arrive_whole_and_are_not_kept() {
    let pair = Pair::new().await;
    let mut wrong = body(MIB, 5);
    for size in [1000, LARGE] {
        let bytes = body(size, 5);
        pair.cold("damaged", &bytes).await;
        wrong.resize(size.min(MIB), 0);
        wrong[500] ^= 1;
        pair.s3
            .faults()
            .times(Kind::Get, 3, Action::Swap(Bytes::from(wrong.clone())));
        match pair.tiered.get(&key("damaged")).await {
            Ok(Some(entry)) => assert!(!read_some(entry.content).await.1),
            Err(error) => assert_eq!(error.remote_error_kind(), Some(RemoteErrorKind::Damaged)),
            Ok(None) => panic!("a miss"),
        }
        until("the fill has ended", || pair.tiered.stats().filling == 0).await;
        assert!(pair.local("damaged").await.is_none());
        pair.s3.faults().clear();
        assert!(pair.get("damaged").await.unwrap() == bytes);
        wrong = body(MIB, 5);
    }
}

#[tokio::test]
async fn bytes_of_a_slow_server_are_passed_on_as_they_come() {
    use futures_util::StreamExt;
    let pair = Pair::new().await;
    let bytes = body(200 * KIB, 6);
    pair.cold("slow", &bytes).await;
    pair.s3.faults().always(Kind::Get, Action::Rate(1000));
    let mut pieces = pair.entry("slow").await.content.pieces();
    let mut came = Vec::new();
    while came.len() < 2000 {
        came.extend_from_slice(&pieces.next().await.unwrap().unwrap());
    }
    assert!(bytes.starts_with(&came) && came.len() < 20 * KIB);
}

#[tokio::test]
async fn whatever_s3_refuses_the_disk_keeps_serving() {
    let refusals = [
        (Action::access_denied(), RemoteErrorKind::Denied),
        (Action::clock_skew(), RemoteErrorKind::ClockSkew),
        (Action::expired_token(), RemoteErrorKind::Expired),
        (Action::no_bucket(), RemoteErrorKind::NoBucket),
        (Action::redirect(), RemoteErrorKind::WrongRegion),
    ];
    for (refusal, fault) in refusals {
        let pair = Pair::new().await;
        pair.put("there", b"bytes").await;
        pair.cold("away", b"bytes").await;
        pair.s3.faults().always(crate::support::s3::Which::any(), refusal);
        let error = pair.tiered.get(&key("away")).await.unwrap_err();
        assert_eq!(error.remote_error_kind(), Some(fault));
        let error = pair.try_put("there", b"new").await.unwrap_err();
        assert_eq!(error.remote_error_kind(), Some(fault));
        assert_eq!(pair.get("there").await.unwrap(), "bytes");
        pair.s3.faults().clear();
        until_found(&pair, "away").await;
        assert_eq!(pair.get("there").await.unwrap(), "bytes");
    }
}

#[tokio::test]
async fn who_may_not_list_sees_misses_if_that_is_configured() {
    let s3 = std::sync::Arc::new(crate::support::s3::S3Server::memory());
    let pair = Pair::with(s3, |plan| plan.s3.denied_is_missing = true).await;
    pair.s3.faults().deny_list();
    assert!(pair.get("nothing").await.is_none());
    pair.put("here", b"bytes").await;
    pair.forget("here").await;
    assert_eq!(pair.get("here").await.unwrap(), "bytes");
    assert!(pair.tiered.head(&key("nothing")).await.unwrap().is_none());
}

#[tokio::test]
async fn the_disk_keeps_serving_while_s3_is_down() {
    let pair = Pair::new().await;
    pair.put("there", b"bytes").await;
    pair.cold("away", b"bytes").await;
    pair.s3.stop_listening().await;
    assert_eq!(pair.get("there").await.unwrap(), "bytes");
    assert!(pair.tiered.get(&key("away")).await.is_err());
    assert!(pair.try_put("there", b"new").await.is_err());
    assert_eq!(pair.get("there").await.unwrap(), "bytes");
    pair.s3.resume();
    until_found(&pair, "away").await;
    assert_eq!(pair.s3.objects().len(), 2);
}

/// The tier is given a rest after failures; it is asked again after that.
async fn until_found(pair: &Pair, name: &str) {
    let deadline = tokio::time::Instant::now() + TEST_TIMEOUT;
    while !matches!(pair.tiered.get(&key(name)).await, Ok(Some(_))) {
        assert!(tokio::time::Instant::now() < deadline, "S3 is still not asked");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
