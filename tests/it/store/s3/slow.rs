//! How long anybody waits for a bucket that is slow, silent or gone.

use std::time::{Duration, Instant};

use chacha::store::remote::RemoteTier;
use chacha::store::{Asker, Precondition, RemoteErrorKind, RemoteHealth};

use futures_util::future::join_all;
use futures_util::poll;

use super::super::support::*;
use super::faults::{Rig, fault};
use crate::support::s3::{Action, Foreign, Gate, Kind, Which};

const LOOKUP: Duration = Duration::from_millis(200);

async fn impatient() -> Rig {
    let rig = Rig::changed(|config| config.lookup_timeout = LOOKUP).await;
    rig.put(&body(100_000, 1), Precondition::None).await.unwrap();
    rig
}

/// Both ways to look an entry up run out of time, soon.
async fn no_look_up_waits(rig: &Rig) {
    let began = Instant::now();
    assert_eq!(fault(rig.s3.head(&key("k")).await), RemoteErrorKind::Timeout);
    assert_eq!(
        fault(rig.s3.source(&key("k")).open().await),
        RemoteErrorKind::Timeout
    );
    let spent = began.elapsed();
    assert!(spent >= 2 * LOOKUP && spent < Duration::from_secs(4), "{spent:?}");
}

#[tokio::test]
async fn a_look_up_ends_in_time_whatever_is_slow() {
    let rig = impatient().await;
    let later = Foreign::new(429, &[("retry-after", "5")], "");
    for slow in [
        Action::Delay(Duration::from_secs(8)),
        Action::HoldAnswer(Gate::new()),
        Action::Foreign(later),
    ] {
        rig.server.faults().clear();
        rig.server.faults().always([Kind::Head, Kind::Get], slow);
        no_look_up_waits(&rig).await;
    }
    // The head of the answer comes, and then nothing.
    rig.every_get(Action::Stall(0));
    let began = Instant::now();
    assert_eq!(
        fault(rig.s3.source(&key("k")).open().await),
        RemoteErrorKind::Timeout
    );
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_look_up_waits_for_a_free_request_no_longer() {
    let rig = Rig::changed(|config| {
        config.lookup_timeout = LOOKUP;
        config.max_concurrency = 1;
    })
    .await;
    rig.put(&body(100_000, 1), Precondition::None).await.unwrap();
    let held = rig.s3.source(&key("k")).open().await.unwrap();
    no_look_up_waits(&rig).await;
    drop(held);
    assert!(rig.s3.head(&key("k")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_flood_of_look_ups_in_a_slow_bucket_delays_another_tenant_by_one_of_them() {
    let rig = Rig::changed(|config| {
        config.max_concurrency = 4;
        config.idle_timeout = TEST_TIMEOUT;
    })
    .await;
    let gate = Gate::new();
    let faults = rig.server.faults();
    faults.times(Kind::Head, 4, Action::Hold(gate.clone()));
    let look = |name: String, asker: u64| {
        let (s3, key) = (rig.s3.clone(), key(&name).asked_by(Asker::from_number(asker)));
        Box::pin(async move { s3.head(&key).await.unwrap().is_none() })
    };
    let slow = join_all((0..4).map(|nth| look(nth.to_string(), 1)));
    let others = async {
        gate.reached(4).await;
        let mut looks: Vec<_> = (4..500).map(|nth| look(nth.to_string(), 1)).collect();
        looks.push(look("quiet".to_owned(), 2));
        for look in &mut looks {
            assert!(poll!(look).is_pending());
        }
        rig.server.forget();
        gate.open();
        join_all(looks).await
    };
    let (slow, others) = tokio::join!(slow, others);
    assert!(slow.into_iter().chain(others).all(|is_missing| is_missing));
    let mut looks = rig.server.log();
    looks.retain(|asked| asked.kind == Kind::Head);
    assert_eq!(looks.len(), 497);
    let quiet = key("quiet").digest().to_string();
    let turn = looks.iter().position(|asked| asked.object.ends_with(&quiet[2..]));
    let turn = turn.expect("it was asked for");
    assert!(turn < 4, "its turn was {turn}");
}

#[tokio::test]
async fn a_slow_server_is_never_down_and_takes_writes() {
    let rig = impatient().await;
    let delay = Duration::from_secs(3);
    rig.server.faults().always(Which::any(), Action::Delay(delay));
    let write = async { rig.put(b"late", Precondition::None).await };
    let look = async {
        let began = Instant::now();
        while began.elapsed() < 4 * delay {
            assert_eq!(fault(rig.s3.head(&key("k")).await), RemoteErrorKind::Timeout);
            assert_eq!(rig.s3.health(), RemoteHealth::Up);
        }
    };
    let (written, ()) = tokio::join!(write, look);
    written.unwrap();
    rig.server.faults().clear();
    assert_eq!(get(&*rig.store, &key("k")).await.unwrap(), "late");
}

#[tokio::test]
async fn a_write_outlasts_an_answer_that_is_later_than_that_of_a_read_may_be() {
    let rig = Rig::changed(|config| {
        config.connect_timeout = Duration::from_millis(100);
        config.read_timeout = Duration::from_millis(400);
    })
    .await;
    let late = Action::Delay(Duration::from_secs(2));
    rig.server
        .faults()
        .always([Kind::Put, Kind::Create, Kind::Complete], late);
    rig.put(b"late", Precondition::None).await.unwrap();
    rig.put(&body(9 * MIB, 1), Precondition::None).await.unwrap();
    assert_eq!(
        (rig.server.count(Kind::Put), rig.server.count(Kind::Complete)),
        (1, 1)
    );
}

#[tokio::test]
async fn a_commit_ends_in_time() {
    let rig = Rig::changed(|config| config.write_timeout = Duration::from_secs(1)).await;
    let faults = rig.server.faults();
    faults.always([Kind::Put, Kind::Complete], Action::Hold(Gate::new()));
    let began = Instant::now();
    let late = fault(rig.put(b"1", Precondition::None).await);
    assert_eq!(late, RemoteErrorKind::Timeout);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let late = fault(rig.put(&body(9 * MIB, 1), Precondition::None).await);
    assert_eq!(late, RemoteErrorKind::Timeout);
    // Most of it to send the parts.
    assert!(began.elapsed() < TEST_TIMEOUT / 2, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_silent_server_is_found_dead_and_nobody_goes_on_waiting() {
    let rig = Rig::changed(|config| {
        config.max_concurrency = 2;
        config.lookup_timeout = TEST_TIMEOUT;
    })
    .await;
    let gate = Gate::new();
    rig.server
        .faults()
        .always(Which::any(), Action::Hold(gate.clone()));
    let began = Instant::now();
    let (name, sink) = (key("k"), rig.s3.source(&key("k")));
    // The third waits for a free request.
    let looks = [rig.s3.head(&name), rig.s3.head(&name), rig.s3.head(&name)];
    let (write, opened, looks) = tokio::join!(
        rig.put(b"1", Precondition::None),
        sink.open(),
        futures_util::future::join_all(looks)
    );
    let spent = began.elapsed();
    assert!(
        spent >= Duration::from_secs(5) && spent < Duration::from_secs(12),
        "{spent:?}"
    );
    assert!(write.is_err() && opened.is_err() && looks.iter().all(Result::is_err));
    assert!(matches!(rig.s3.health(), RemoteHealth::Down { .. }));
    let began = Instant::now();
    assert_eq!(fault(rig.s3.head(&name).await), RemoteErrorKind::Resting);
    assert!(began.elapsed() < Duration::from_millis(500));
    rig.server.faults().clear();
    gate.open();
    let back = Instant::now();
    until("it can be used again", || rig.s3.health() == RemoteHealth::Up).await;
    assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
}

#[tokio::test]
async fn a_server_that_is_back_is_used_within_two_seconds() {
    let rig = impatient().await;
    for _ in 0..2 {
        rig.server.stop_listening().await;
        while rig.s3.health() == RemoteHealth::Up {
            assert!(rig.s3.head(&key("k")).await.is_err());
        }
        rig.server.resume();
        let back = Instant::now();
        until("it can be used again", || rig.s3.health() == RemoteHealth::Up).await;
        assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
        assert!(rig.s3.head(&key("k")).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_server_that_is_slower_than_silence_may_last_is_used_once_it_was_heard() {
    let rig = impatient().await;
    let late = Action::Delay(Duration::from_secs(7));
    rig.server.faults().always(Which::any(), late);
    let began = Instant::now();
    assert!(rig.s3.head(&key("k")).await.is_err());
    until("it was taken for dead", || rig.s3.health() != RemoteHealth::Up).await;
    until("it was heard", || rig.s3.health() == RemoteHealth::Up).await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    // The examination that the start could not make, look-ups, a write: none of them is silence now.
    let write = async { rig.put(b"late", Precondition::None).await };
    let look = async {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(16) {
            assert_eq!(fault(rig.s3.head(&key("k")).await), RemoteErrorKind::Timeout);
            assert_eq!(rig.s3.health(), RemoteHealth::Up);
        }
    };
    let (written, ()) = tokio::join!(write, look);
    written.unwrap();
}
