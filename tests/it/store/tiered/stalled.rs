//! Clients that do not read what they asked for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::super::support::*;
use super::rig::Pair;
use crate::support::s3::S3Server;

/// More than the disk of [`pair`] can hold.
const LARGE: usize = 6 * MIB + 4321;
/// Longer than a stalled client may keep a connection, and far shorter than it stalls.
const SOON: Duration = Duration::from_secs(10);

/// A disk that is too small for [`LARGE`], and three requests to S3 at once.
async fn pair() -> (Pair, Vec<u8>) {
    let s3 = Arc::new(S3Server::memory());
    let bytes = body(LARGE, 1);
    let big = Pair::with(Arc::clone(&s3), |_| {}).await;
    big.put("large", &bytes).await;
    big.put("of another tenant", &bytes[..5000]).await;
    let small = Pair::with(s3, |plan| {
        plan.disk.limit = 4 * MIB as u64;
        plan.s3.max_concurrency = 3;
        plan.s3.idle_timeout = Duration::from_secs(20);
    });
    (small.await, bytes)
}

#[tokio::test]
async fn clients_that_do_not_read_cost_only_themselves() {
    let (pair, bytes) = pair().await;
    // More of them than there are requests at once.
    let stalled = join_all((0..7).map(|_| async {
        let mut pieces = pair.entry("large").await.content.pieces();
        let first = pieces.next().await.unwrap().unwrap();
        (first, pieces)
    }));
    let stalled = timeout(4 * SOON, stalled)
        .await
        .expect("every client gets its beginning");
    let read = timeout(SOON, pair.get("of another tenant")).await;
    assert!(read.expect("a read that goes on").unwrap() == bytes[..5000]);
    let written = timeout(SOON, pair.try_put("of a third", &bytes[..MIB])).await;
    written.expect("a write that goes on").unwrap();
    // And they lose nothing when they read on.
    let rest = stalled.into_iter().map(|(first, mut pieces)| async move {
        let mut whole = first.to_vec();
        while let Some(piece) = pieces.next().await {
            whole.extend_from_slice(&piece.unwrap());
        }
        whole
    });
    assert!(join_all(rest).await.iter().all(|whole| *whole == bytes));
}

#[tokio::test]
async fn a_client_that_does_not_begin_to_read_costs_only_itself() {
    let (pair, bytes) = pair().await;
    let answered = join_all((0..7).map(|_| pair.entry("large")));
    let answered = timeout(4 * SOON, answered)
        .await
        .expect("every client gets its answer");
    let read_on = timeout(SOON, pair.get("of another tenant")).await;
    assert!(read_on.expect("a read that goes on").unwrap() == bytes[..5000]);
    for entry in answered {
        assert!(read(entry.content).await.unwrap() == bytes);
    }
}

#[tokio::test]
async fn a_stalled_client_keeps_no_connection_and_the_server_stops() {
    let (pair, _) = pair().await;
    let mut pieces = pair.entry("large").await.content.pieces();
    pieces.next().await.unwrap().unwrap();
    until("the connection is given back", || pair.permits_used() == 0).await;
    let pair = pair.stop().await;
    let mut outcome = pieces.next().await;
    while let Some(Ok(_)) = outcome {
        outcome = pieces.next().await;
    }
    assert!(outcome.is_some_and(|last| last.is_err()), "the body is cut");
    drop(pair);
}
