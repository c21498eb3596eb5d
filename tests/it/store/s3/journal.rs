//! What servers tell each other through the bucket.

use std::time::Duration;

use chacha::store::RemoteErrorKind;
use chacha::store::journal::{Journal, JournalPage, JournalRecord, Ulid, next_ulid};

use super::super::support::*;
use super::Far;
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
    let far = Far::new().await;
    assert_eq!(
        far.journal().list(SHELF, None, None).await.unwrap(),
        JournalPage::default()
    );
    let long = body(3 * KIB, 1);
    let records: [&[u8]; 4] = [b"one", b"", &long, b"\0\xff"];
    let mut ids = Vec::new();
    for record in records {
        ids.push(next_ulid());
        far.journal()
            .append(SHELF, *ids.last().unwrap(), record)
            .await
            .unwrap();
    }
    far.journal()
        .append(OTHER, next_ulid(), b"of another tenant")
        .await
        .unwrap();
    let expected = [here(b"one"), here(b""), JournalRecord::Apart, here(b"\0\xff")];
    let expected: Vec<_> = ids.iter().copied().zip(expected).collect();
    assert_eq!(all(&far.journal(), SHELF, None).await, expected);
    for nth in 0..4 {
        assert_eq!(
            all(&far.journal(), SHELF, Some(ids[nth])).await,
            expected[nth + 1..]
        );
    }
    assert_eq!(far.journal().read(SHELF, ids[2]).await.unwrap().unwrap(), long);
    assert_eq!(far.journal().read(OTHER, ids[2]).await.unwrap(), None);
    // Empty objects, but for the long one.
    let sizes: Vec<_> = far
        .server
        .objects()
        .into_values()
        .map(|object| object.size)
        .collect();
    assert_eq!(sizes, [0, 0, 3 * KIB as u64, 0, 0]);
    assert_eq!((far.requests("append"), far.requests("get")), (5, 2));
}

#[tokio::test]
async fn a_listing_of_a_thousand_is_one_request() {
    let far = Far::new().await;
    let mut ids: Vec<Ulid> = (0..2300).map(|_| next_ulid()).collect();
    for (nth, id) in ids.iter().enumerate() {
        let name = format!("v1/journal/{SHELF}/{id}.{}", ["AAAA", "BBBB"][nth % 2]);
        far.server.put_raw(&name, "", &[]);
    }
    let found = all(&far.journal(), SHELF, None).await;
    assert!(found.iter().map(|(id, _)| id).eq(&ids));
    assert_eq!(far.server.count(Kind::List), 3);
    far.server.forget();
    let found = all(&far.journal(), SHELF, Some(ids[1299])).await;
    assert!(found.iter().map(|(id, _)| id).eq(&ids.split_off(1300)));
    assert_eq!(
        (far.server.count(Kind::List), far.server.count(Kind::Get)),
        (1, 0)
    );
}

#[tokio::test]
async fn foreign_names_are_counted_and_skipped() {
    let far = Far::new().await;
    let id = next_ulid();
    far.journal().append(SHELF, id, b"ours").await.unwrap();
    for foreign in [
        "readme.txt",
        "0/1",
        &format!("{id}x"),
        &format!("{}.AA", id.to_string().to_lowercase()),
    ] {
        far.server
            .put_raw(&format!("v1/journal/{SHELF}/{foreign}"), "x", &[]);
    }
    let page = far.journal().list(SHELF, None, None).await.unwrap();
    assert_eq!((page.records, page.foreign), (vec![(id, here(b"ours"))], 4));
}

#[tokio::test]
async fn faults_have_their_names() {
    let far = Far::changed(|config| config.read_timeout = Duration::from_millis(300)).await;
    let id = next_ulid();
    far.journal().append(SHELF, id, &[7; 2000]).await.unwrap();
    let faults = far.server.faults();
    for (action, expected) in [
        (Action::slow_down(), RemoteErrorKind::Throttled),
        (Action::access_denied(), RemoteErrorKind::Denied),
    ] {
        faults.always([Kind::Put, Kind::List, Kind::Get], action);
        let fault = |error: chacha::store::Error| error.remote_error_kind().unwrap();
        assert_eq!(
            fault(far.journal().append(SHELF, next_ulid(), b"1").await.unwrap_err()),
            expected
        );
        assert_eq!(
            fault(far.journal().list(SHELF, None, None).await.unwrap_err()),
            expected
        );
        assert_eq!(fault(far.journal().read(SHELF, id).await.unwrap_err()), expected);
        faults.clear();
    }
    // Slow: a list that does not answer ends in its time.
    let gate = Gate::new();
    faults.once(Kind::List, Action::Hold(gate.clone()));
    let slow = far.journal().list(SHELF, None, None).await.unwrap_err();
    assert_eq!(slow.remote_error_kind(), Some(RemoteErrorKind::Timeout));
    gate.open();
    // Cut: within a record, and within a listing.
    faults.once(Kind::Get, Action::Reset(1000));
    assert!(far.journal().read(SHELF, id).await.is_err());
    faults.always(Kind::List, Action::Reset(100));
    assert!(far.journal().list(SHELF, None, None).await.is_err());
    faults.clear();
    assert_eq!(
        far.journal().read(SHELF, id).await.unwrap().unwrap(),
        vec![7; 2000]
    );
    assert_eq!(
        all(&far.journal(), SHELF, None).await,
        [(id, JournalRecord::Apart)]
    );
}

#[tokio::test]
async fn a_lost_answer_leaves_the_record() {
    let far = Far::new().await;
    let id = next_ulid();
    far.server.faults().always(Kind::Put, Action::LoseAnswer);
    far.journal().append(SHELF, id, b"there").await.unwrap_err();
    far.server.faults().clear();
    assert_eq!(all(&far.journal(), SHELF, None).await, [(id, here(b"there"))]);
}
