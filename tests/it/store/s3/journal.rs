//! What servers tell each other through the bucket.

use std::time::Duration;

use chacha::store::RemoteErrorKind;
use chacha::store::journal::{Journal, JournalPage, JournalRecord, Ulid, next_ulid};

use super::super::support::*;
use super::BucketRig;
use crate::support::s3::{Action, Gate, Kind};

const SHELF: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const OTHER: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn here(bytes: &[u8]) -> JournalRecord {
    JournalRecord::Here(bytes.to_vec().into())
}

/// All pages.
async fn all(journal: &Journal, shelf: &str, after: Option<Ulid>) -> Vec<(Ulid, JournalRecord)> {
    let (mut records, mut next) = (Vec::new(), None);
    loop {
        let page = journal.list(shelf, after, next).await.unwrap();
        records.extend(page.records);
        next = page.next;
        if next.is_none() {
            return records;
        }
    }
}

#[tokio::test]
async fn records_come_back_in_the_order_of_time() {
    let rig = BucketRig::new().await;
    assert_eq!(
        rig.journal().list(SHELF, None, None).await.unwrap(),
        JournalPage::default()
    );
    let long = body(3 * KIB, 1);
    let records: [&[u8]; 4] = [b"one", b"", &long, b"\0\xff"];
    let mut ids = Vec::new();
    for record in records {
        ids.push(next_ulid());
        rig.journal()
            .append(SHELF, *ids.last().unwrap(), record)
            .await
            .unwrap();
    }
    rig.journal()
        .append(OTHER, next_ulid(), b"of another tenant")
        .await
        .unwrap();
    let expected = [here(b"one"), here(b""), JournalRecord::Apart, here(b"\0\xff")];
    let expected: Vec<_> = ids.iter().copied().zip(expected).collect();
    assert_eq!(all(&rig.journal(), SHELF, None).await, expected);
    for nth in 0..4 {
        assert_eq!(
            all(&rig.journal(), SHELF, Some(ids[nth])).await,
            expected[nth + 1..]
        );
    }
    assert_eq!(rig.journal().read(SHELF, ids[2]).await.unwrap().unwrap(), long);
    assert_eq!(rig.journal().read(OTHER, ids[2]).await.unwrap(), None);
    // Empty objects, but for the long one.
    let sizes: Vec<_> = rig
        .server
        .objects()
        .into_values()
        .map(|object| object.size)
        .collect();
    assert_eq!(sizes, [0, 0, 3 * KIB as u64, 0, 0]);
    assert_eq!((rig.requests("append"), rig.requests("get")), (5, 2));
}

#[tokio::test]
async fn a_listing_of_a_thousand_is_one_request() {
    let rig = BucketRig::new().await;
    let mut ids: Vec<Ulid> = (0..2300).map(|_| next_ulid()).collect();
    for (nth, id) in ids.iter().enumerate() {
        let name = format!("v1/journal/{SHELF}/{id}.{}", ["AAAA", "BBBB"][nth % 2]);
        rig.server.put_raw(&name, "", &[]);
    }
    let found = all(&rig.journal(), SHELF, None).await;
    assert!(found.iter().map(|(id, _)| id).eq(&ids));
    assert_eq!(rig.server.count(Kind::List), 3);
    rig.server.forget();
    let found = all(&rig.journal(), SHELF, Some(ids[1299])).await;
    assert!(found.iter().map(|(id, _)| id).eq(&ids.split_off(1300)));
    assert_eq!(
        (rig.server.count(Kind::List), rig.server.count(Kind::Get)),
        (1, 0)
    );
}

#[tokio::test]
async fn foreign_names_are_counted_and_skipped() {
    let rig = BucketRig::new().await;
    let id = next_ulid();
    rig.journal().append(SHELF, id, b"ours").await.unwrap();
    for foreign in [
        "readme.txt",
        "0/1",
        &format!("{id}x"),
        &format!("{}.AA", id.to_string().to_lowercase()),
    ] {
        rig.server
            .put_raw(&format!("v1/journal/{SHELF}/{foreign}"), "x", &[]);
    }
    let page = rig.journal().list(SHELF, None, None).await.unwrap();
    assert_eq!((page.records, page.foreign), (vec![(id, here(b"ours"))], 4));
}

#[tokio::test]
async fn faults_have_their_names() {
    let rig = BucketRig::changed(|config| config.read_timeout = Duration::from_millis(300)).await;
    let id = next_ulid();
    rig.journal().append(SHELF, id, &[7; 2000]).await.unwrap();
    let faults = rig.server.faults();
    for (action, expected) in [
        (Action::slow_down(), RemoteErrorKind::Throttled),
        (Action::access_denied(), RemoteErrorKind::Denied),
    ] {
        faults.always([Kind::Put, Kind::List, Kind::Get], action);
        let fault = |error: chacha::store::Error| error.remote_error_kind().unwrap();
        assert_eq!(
            fault(rig.journal().append(SHELF, next_ulid(), b"1").await.unwrap_err()),
            expected
        );
        assert_eq!(
            fault(rig.journal().list(SHELF, None, None).await.unwrap_err()),
            expected
        );
        assert_eq!(fault(rig.journal().read(SHELF, id).await.unwrap_err()), expected);
        faults.clear();
    }
    // Slow: a list that does not answer ends in its time.
    let gate = Gate::new();
    faults.once(Kind::List, Action::Hold(gate.clone()));
    let slow = rig.journal().list(SHELF, None, None).await.unwrap_err();
    assert_eq!(slow.remote_error_kind(), Some(RemoteErrorKind::Timeout));
    gate.open();
    // Cut: within a record, and within a listing.
    faults.once(Kind::Get, Action::Reset(1000));
    assert!(rig.journal().read(SHELF, id).await.is_err());
    faults.always(Kind::List, Action::Reset(100));
    assert!(rig.journal().list(SHELF, None, None).await.is_err());
    faults.clear();
    assert_eq!(
        rig.journal().read(SHELF, id).await.unwrap().unwrap(),
        vec![7; 2000]
    );
    assert_eq!(
        all(&rig.journal(), SHELF, None).await,
        [(id, JournalRecord::Apart)]
    );
}

#[tokio::test]
async fn a_lost_answer_leaves_the_record() {
    let rig = BucketRig::new().await;
    let id = next_ulid();
    rig.server.faults().always(Kind::Put, Action::LoseAnswer);
    rig.journal().append(SHELF, id, b"there").await.unwrap_err();
    rig.server.faults().clear();
    assert_eq!(all(&rig.journal(), SHELF, None).await, [(id, here(b"there"))]);
}
