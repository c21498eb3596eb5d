//! Deletes that wait for S3, and what the way to S3 makes of them.

use std::sync::Arc;

use super::rig::{Pair, back};
use crate::support::s3::{Action, Kind, S3Server};

/// The bucket has an entry, and hears of its delete when it is back.
async fn waiting() -> Pair {
    let pair = Pair::with(Arc::new(S3Server::memory()), back).await;
    pair.put("key", b"bytes").await;
    pair.drained().await;
    pair.s3.stop_listening().await;
    assert!(pair.delete("key").await.unwrap());
    pair.s3.forget();
    pair
}

#[tokio::test]
async fn a_delete_that_waited_costs_one_look_and_one_delete() {
    let pair = waiting().await;
    pair.s3.resume();
    pair.drained().await;
    assert!(pair.s3.objects().is_empty());
    let counts = [Kind::Head, Kind::Delete].map(|kind| pair.s3.count(kind));
    assert_eq!(counts, [1, 1]);
}

#[tokio::test]
async fn an_answer_that_was_damaged_on_its_way_does_not_end_a_delete_that_waits() {
    let pair = waiting().await;
    // As often as a look is repeated: the object seems to have another length.
    pair.s3.faults().times(Kind::Head, 4, Action::Overstate(1));
    pair.s3.resume();
    pair.drained().await;
    assert!(
        pair.s3.objects().is_empty(),
        "the entry would be back on other servers"
    );
}

#[tokio::test]
async fn what_is_no_entry_is_left_alone_and_ends_a_delete_that_waits() {
    let pair = waiting().await;
    let name = pair.s3.objects().into_keys().next().unwrap();
    pair.s3.put_raw(&name, "of somebody else", &[]);
    pair.s3.resume();
    pair.drained().await;
    assert_eq!(pair.s3.object(&name).unwrap(), "of somebody else");
}
