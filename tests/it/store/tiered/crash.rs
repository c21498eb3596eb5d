//! A crash between any two steps of a change that touch files: the record of the key, the local copy, the bucket.
//!
//! The folder of records is that of one moment, the entries are those of another one: so every state that a process can
//! leave is made of real files, without a process that dies at the right moment.

use std::sync::Arc;

use bytes::Bytes;
use chacha::config::WhenDown;
use chacha::store::{Precondition, Store};

use super::super::support::*;
use super::rig::{CopyLater, Pair, back, records};
use crate::support::s3::{Action, Gate, Kind, S3Server};

/// What the key was before.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Prior {
    Absent,
    Uploaded,
    Waiting,
    WaitingFirst,
    /// The bucket has one, another one waits.
    WaitingOverOlder,
    /// The bucket has one, its delete waits.
    DeleteWaiting,
}

/// What was under way.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    Put,
    PutFirst,
    Delete,
}

const PRIORS: [Prior; 6] = [
    Prior::Absent,
    Prior::Uploaded,
    Prior::Waiting,
    Prior::WaitingFirst,
    Prior::WaitingOverOlder,
    Prior::DeleteWaiting,
];

impl Prior {
    /// What a reader gets.
    fn value(self) -> Option<Bytes> {
        match self {
            Self::Absent | Self::DeleteWaiting => None,
            _ => Some("prior".into()),
        }
    }

    async fn make(self, pair: &Pair) {
        let first = self == Self::WaitingFirst;
        let condition = if first {
            Precondition::Absent
        } else {
            Precondition::None
        };
        match self {
            Self::Absent => {}
            Self::Uploaded => pair.put_uploaded(b"prior").await,
            Self::Waiting | Self::WaitingFirst => {
                pair.away().await;
                pair.put_with(b"prior", condition).await.unwrap();
            }
            Self::WaitingOverOlder => {
                pair.put_uploaded(b"older").await;
                pair.away().await;
                pair.put_with(b"prior", condition).await.unwrap();
            }
            Self::DeleteWaiting => {
                pair.put_uploaded(b"older").await;
                pair.away().await;
                assert!(pair.delete("key").await.unwrap());
            }
        }
    }
}

impl Change {
    fn value(self) -> Option<Bytes> {
        (self != Self::Delete).then(|| "new".into())
    }

    async fn make(self, pair: &Pair) -> bool {
        let condition = match self {
            Self::Put => Precondition::None,
            Self::PutFirst => Precondition::Absent,
            Self::Delete => return pair.delete("key").await.is_ok(),
        };
        pair.put_with(b"new", condition).await.is_ok()
    }
}

impl Pair {
    async fn put_uploaded(&self, bytes: &[u8]) {
        self.put("key", bytes).await;
        self.drained().await;
    }

    async fn put_with(&self, bytes: &[u8], condition: Precondition) -> chacha::store::Result<()> {
        let spools = self.disk.spools();
        put_if(&self.tiered, &spools, &key("key"), bytes, condition)
            .await
            .map(drop)
    }

    async fn away(&self) {
        self.s3.stop_listening().await;
    }

    /// What a reader gets; an error is a miss for it.
    async fn seen(&self) -> Option<Bytes> {
        let entry = self.tiered.get(&key("key")).await.ok()??;
        read(entry.content).await.ok()
    }
}

/// The records of one moment with everything else of another.
fn mixed(records_of: &CopyLater, rest: &CopyLater) -> tempfile::TempDir {
    let (mixed, from) = (rest.take(), records_of.take());
    let (to, from) = (mixed.path().join("cache/marks"), from.path().join("cache/marks"));
    std::fs::remove_dir_all(&to).ok();
    if from.is_dir() {
        std::fs::rename(from, to).unwrap();
    }
    mixed
}

/// Starts on what a crash left, and holds what is read against what was answered: `before`, and perhaps `after`.
async fn check(what: &str, old: Pair, left: tempfile::TempDir, before: Option<Bytes>, after: Option<Bytes>) {
    let pair = old.on_copy(left).await;
    let mut seen = vec![pair.seen().await];
    pair.disk.indexed().await;
    seen.push(pair.seen().await);
    pair.s3.resume();
    pair.drained().await;
    seen.push(pair.seen().await);
    assert_eq!(records(&pair.plan.disk.dir), 0, "{what}: a record is left");
    assert_eq!(pair.disk.stats().pinned, 0, "{what}");
    assert_eq!(du(&pair.plan.disk.dir), pair.counted(), "{what}");
    let twin = pair.twin(|_| {}).await;
    let last = twin.seen().await;
    pair.disk.delete(&key("key"), Precondition::None).await.unwrap();
    seen.push(pair.seen().await);
    assert_eq!(seen.last(), Some(&last), "{what}: the servers differ, {seen:?}");
    assert!(last == before || last == after, "{what}: {last:?} at last");
    let mut newest = false;
    for value in &seen {
        let is_new = *value == after && after != before;
        assert!(is_new || *value == before || value.is_none(), "{what}: {seen:?}");
        assert!(
            is_new || !newest || value.is_none() && last.is_none(),
            "{what}: {seen:?} goes back"
        );
        newest |= is_new && value.is_some();
    }
}

/// Every state that a crash in a change leaves whose end is in the queue.
#[tokio::test]
async fn a_crash_in_a_change_that_waits_leaves_the_former_state_or_the_new_one() {
    for prior in PRIORS {
        for change in [Change::Put, Change::PutFirst, Change::Delete] {
            for only_recorded in [true, false] {
                let pair = Pair::with(Arc::new(S3Server::memory()), back).await;
                prior.make(&pair).await;
                pair.away().await;
                let before = pair.crash_copy().take();
                let before = CopyLater::of(&before);
                let done = change.make(&pair).await;
                let pair = pair.stop().await;
                let after = pair.crash_copy();
                let left = match only_recorded {
                    true => mixed(&after, &before),
                    false => after.take(),
                };
                let what = format!("{prior:?} {change:?} done {done}, only recorded {only_recorded}");
                let value = if done { change.value() } else { prior.value() };
                Box::pin(check(&what, pair, left, prior.value(), value)).await;
            }
        }
    }
}

/// The bucket may have taken a write, its answer is lost, and the write is about to wait. Nobody may go on with the
/// former version then, for others may have seen the new one.
#[tokio::test]
async fn a_write_in_doubt_that_is_about_to_wait_leaves_no_older_copy() {
    let pair = Pair::with(Arc::new(S3Server::memory()), |plan| {
        plan.policy.when_down = WhenDown::Queue;
    })
    .await;
    pair.put_uploaded(b"prior").await;
    let faults = pair.s3.faults();
    faults.always(Kind::Put, Action::late_internal_error());
    faults.always(Kind::Head, Action::internal_error());
    pair.put_with(b"new", Precondition::None).await.unwrap();
    assert_eq!(pair.seen().await.unwrap(), "new");
    let record = std::fs::read_dir(pair.plan.disk.dir.join("marks"))
        .unwrap()
        .next();
    let record = std::fs::read(record.unwrap().unwrap().path()).unwrap();
    // The field that says which generation was there before.
    let field = [0x06, 0x80, 8, 0, 0, 0];
    let at = record.windows(6).position(|bytes| bytes == field).unwrap() + 6;
    assert_eq!(
        record[at..at + 8],
        [0; 8],
        "the copy in doubt was there when the record was written"
    );
}

/// The bucket has the change or not, the disk has not followed yet.
#[tokio::test]
async fn a_crash_in_a_change_of_the_bucket_leaves_what_the_bucket_has() {
    for change in [Change::Put, Change::Delete] {
        for committed in [false, true] {
            let pair = Pair::new().await;
            pair.put_uploaded(b"prior").await;
            let kind = if change == Change::Put {
                Kind::Put
            } else {
                Kind::Delete
            };
            let gate = Gate::new();
            let hold = match committed {
                true => Action::HoldAnswer(gate.clone()),
                false => Action::Hold(gate.clone()),
            };
            pair.s3.faults().once(kind, hold);
            let copy = pair.crash_copy();
            let crash = async {
                gate.reached(1).await;
                assert_eq!(records(&pair.plan.disk.dir), 1, "{change:?} is not announced");
                let copied = copy.take();
                // The bucket stays as it is at this moment.
                let there = pair.twin(|_| {}).await.seen().await;
                (copied, there)
            };
            let changing = change.make(&pair);
            tokio::pin!(changing);
            let (copied, there) = tokio::select! {
                _ = &mut changing => panic!("answered"),
                crashed = crash => crashed,
            };
            assert_eq!(
                there,
                if committed {
                    change.value()
                } else {
                    Some("prior".into())
                }
            );
            let after = pair.on_copy(copied).await;
            until("it is settled", || records(&after.plan.disk.dir) == 0).await;
            assert_eq!(after.seen().await, there, "{change:?} {committed}");
            gate.open();
        }
    }
}
