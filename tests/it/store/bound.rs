//! The bound on the volume, measured from outside, and uploads that wait for room.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chacha::store::{Error, Store};
use futures_util::future::join_all;

use super::support::*;
use super::volume::Volume;

/// Fills a tier with ten times its limit from eight tasks. The directory is measured while they pause:
/// who walks it while files come and go counts some of them twice.
async fn check(limit: usize, sizes: impl Fn(u64) -> usize) {
    let rig = Rig::new(limit).await;
    fill(&rig, &sizes, || assert!(du(rig.dir()) <= limit as u64)).await;
    until("the account settles", || rig.disk.stats().reserved == 0).await;
    until("the account is exact", || rig.disk.stats().used == du(rig.dir())).await;
    rig.disk.close().await;
    assert!(du(rig.dir()) <= limit as u64);
}

async fn fill(rig: &Rig, sizes: &impl Fn(u64) -> usize, measure: impl Fn()) {
    let mut written = 0;
    let mut next = 0;
    while written < 10 * rig.config.limit {
        let round = next..next + 16;
        let lanes = (0..8).map(|lane| {
            let round = round.clone();
            async move {
                for nth in round.skip(lane).step_by(8) {
                    write(rig, nth, sizes(nth)).await;
                }
            }
        });
        join_all(lanes).await;
        measure();
        written += round.clone().map(|nth| sizes(nth).max(4096) as u64).sum::<u64>();
        next = round.end;
    }
    assert!(rig.disk.stats().evicted() > 0);
}

async fn write(rig: &Rig, nth: u64, size: usize) {
    let bytes = body(size, nth);
    let expected = (!nth.is_multiple_of(3)).then_some(size as u64);
    match spool_as(&rig.disk.spools(), &bytes, expected, 60_000).await {
        Ok(spool) => {
            let name = key(&(nth % 5000).to_string());
            let put = rig.disk.put(&name, draft(), spool, Default::default());
            put.await.unwrap();
        }
        Err(error) => assert!(matches!(error, Error::NoSpace { .. }), "{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_volume_never_holds_more_than_the_limit() {
    let Some(volume) = Volume::memory("64m") else {
        return;
    };
    let volume = Arc::new(volume);
    let rig = Rig::reopen(None, config(volume.path(), 16 * MIB)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (watched, done) = (Arc::clone(&volume), Arc::clone(&stop));
    // The volume itself counts at one moment what a walk counts one after the other.
    let watcher = std::thread::spawn(move || {
        let mut most = 0;
        while !done.load(Ordering::Relaxed) {
            most = most.max(watched.used());
        }
        most
    });
    let sizes = |nth| [100, 70 * KIB, 300 * KIB, 2 * MIB][nth as usize % 4] + nth as usize;
    fill(&rig, &sizes, || {}).await;
    stop.store(true, Ordering::Relaxed);
    let most = watcher.join().unwrap();
    assert!(most <= rig.config.limit, "{most} bytes");
    assert!(most >= rig.config.limit / 2, "the limit was never reached");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_entries_stay_within_the_limit() {
    check(4 * MIB, |nth| (nth as usize * 37) % 6000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_all_sizes_stay_within_the_limit() {
    check(24 * MIB, |nth| match nth % 4 {
        0 => 100,
        1 => 70 * KIB,
        2 => 300 * KIB + nth as usize,
        _ => 2 * MIB + nth as usize * 3,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_smallest_limit_works() {
    check(MIB, |nth| (nth as usize * 7919) % (100 * KIB)).await;
}

#[tokio::test]
async fn the_largest_entry_fits_and_a_larger_one_is_refused() {
    for limit in [MIB, 5 * MIB] {
        let rig = Rig::new(limit).await;
        for nth in 0..100 {
            rig.put(&nth.to_string(), &body(3000, nth)).await;
        }
        let rig = rig.restart().await;
        let largest = rig.disk.capacity() as usize;
        assert!(largest > limit / 2);
        rig.put("largest", &body(largest, 1)).await;
        assert!(rig.get("largest").await.unwrap() == body(largest, 1));
        assert!(du(rig.dir()) <= limit as u64);
        let refused = spool(&rig.disk.spools(), &body(largest + 1, 1)).await;
        assert!(matches!(refused, Err(Error::TooLarge { .. })));
        // Found out only while it is written.
        let refused = spool_as(&rig.disk.spools(), &body(largest + 1, 1), None, 50_000).await;
        assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
        until("the refused body is gone", || temporary_files(rig.dir()) == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn growing_uploads_that_wait_for_each_other_do_not_wait_for_ever() {
    let rig = Rig::new(8 * MIB).await;
    let started = std::time::Instant::now();
    // Together five times the limit, and none of them gives room back before its end.
    let bodies = (0..8).map(|nth| {
        let spools = rig.disk.spools();
        async move { spool_as(&spools, &body(5 * MIB, nth), None, 50_000).await }
    });
    let spools: Vec<_> = join_all(bodies).await;
    let whole = spools.iter().filter(|spool| spool.is_ok()).count();
    assert!(whole > 0, "somebody gets through");
    for error in spools.iter().filter_map(|spool| spool.as_ref().err()) {
        assert!(matches!(error, Error::NoSpace { .. }), "{error}");
    }
    assert!(started.elapsed() < Duration::from_secs(25), "failed at once");
    drop(spools);
    until("everything is given back", || rig.disk.stats().reserved == 0).await;
    rig.put("after", &body(5 * MIB, 1)).await;
}

#[tokio::test]
async fn an_upload_waits_for_room_until_another_one_ends() {
    let rig = Rig::new(8 * MIB).await;
    let spools = rig.disk.spools();
    let first = spool(&spools, &body(6 * MIB, 1)).await.unwrap();
    let held = rig.disk.stats().reserved;
    let second = tokio::spawn(async move { spool(&spools, &body(6 * MIB, 2)).await });
    until("it holds some of what is left", || {
        rig.disk.stats().reserved > held
    })
    .await;
    assert!(!second.is_finished());
    drop(first);
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_body_that_is_only_announced_evicts_nothing_of_others() {
    let rig = Rig::new(32 * MIB).await;
    let names: Vec<String> = (0..20).map(|nth| nth.to_string()).collect();
    for name in &names {
        rig.put(name, &body(MIB, 1)).await;
    }
    let spools = own(&rig.disk.spools());
    let announced = spools.create(Some(rig.disk.capacity())).await.unwrap();
    // Nor does it keep others waiting.
    rig.put("other", &body(MIB, 2)).await;
    assert!(rig.disk.stats().evicted() == 0 && rig.disk.stats().entries == 21);
    drop(announced);
}

#[tokio::test]
async fn dropped_uploads_leave_nothing_and_give_their_room_back() {
    let rig = Rig::new(32 * MIB).await;
    rig.disk.indexed().await;
    let before = rig.disk.stats();
    for size in [0, 10, 65 * KIB, 3 * MIB] {
        let mut writer = rig.disk.spools().create(None).await.unwrap();
        writer.write(body(size, 1).into()).await.unwrap();
        drop(writer);
        drop(spool(&rig.disk.spools(), &body(size, 1)).await.unwrap());
    }
    until("the files are gone", || temporary_files(rig.dir()) == 0).await;
    until("the room is back", || rig.disk.stats() == before).await;
}

#[tokio::test]
async fn a_trickle_of_tiny_pieces_pins_no_buffers() {
    let rig = Rig::new(32 * MIB).await;
    let buffer = Bytes::from(body(64 * KIB, 1));
    let mut writer = rig.disk.spools().create(None).await.unwrap();
    for nth in 0..100 {
        writer.write(buffer.slice(nth..nth + 1)).await.unwrap();
    }
    let spool = writer.finish().await.unwrap();
    assert!(buffer.is_unique(), "the pieces were copied");
    assert_eq!(spool.len(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_smaller_than_the_limit_evicts_instead_of_failing() {
    let Some(volume) = Volume::memory("8m") else {
        return;
    };
    let rig = Rig::reopen(None, config(volume.path(), 100 * MIB)).await;
    for nth in 0..100 {
        let bytes = body((nth as usize * 7919) % MIB, nth);
        rig.put(&nth.to_string(), &bytes).await;
        assert!(rig.get(&nth.to_string()).await.unwrap() == bytes);
    }
    assert!(rig.disk.stats().evicted() > 0);
    let refused = spool(&rig.disk.spools(), &body(20 * MIB, 1)).await;
    assert!(matches!(refused, Err(Error::NoSpace { .. })), "{refused:?}");
    until("nothing is left of it", || temporary_files(rig.dir()) == 0).await;
    rig.put("after", &body(MIB, 1)).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_waits_for_the_entry_that_another_one_becomes_and_not_for_nobody() {
    let rig = Rig::with(20 * MIB, |config| {
        config.durability = chacha::config::Durability::Fsync;
    })
    .await;
    for nth in 0..6 {
        let announced = [Some(12 * MIB as u64), None][nth % 2];
        let spools = rig.disk.spools();
        let first = spool(&spools, &body(12 * MIB, 1)).await.unwrap();
        let first_key = key("first");
        let bytes = body(12 * MIB, 2);
        let started = std::time::Instant::now();
        // The second one needs the room of the first one, which is an entry after a few syncs.
        let (first, second) = tokio::join!(
            rig.disk.put(&first_key, draft(), first, Default::default()),
            spool_as(&spools, &bytes, announced, 60_000),
        );
        first.unwrap();
        drop(second.unwrap());
        rig.put("after", &body(2 * MIB, 3)).await;
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{:?}",
            started.elapsed()
        );
    }
}
