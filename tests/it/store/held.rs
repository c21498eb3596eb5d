//! Files that are unlinked while somebody reads them: what the volume holds, and who has to end.

use std::time::Duration;

use chacha::store::{Content, Pieces, Store};
use futures_util::TryStreamExt;

use super::support::*;
use super::volume::Volume;

/// A reader that has not read anything yet.
async fn reader(rig: &Rig, name: &str) -> Pieces {
    let entry = rig.disk.get(&key(name)).await.unwrap().unwrap();
    assert!(matches!(entry.content, Content::File(_)));
    entry.content.pieces()
}

fn most(rig: &Rig) -> u64 {
    rig.config.limit + (rig.config.limit / 20).min(1 << 30)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_stopped_reading_what_was_replaced_do_not_fill_the_volume() {
    let Some(volume) = Volume::memory("256m") else {
        return;
    };
    let rig = Rig::reopen(None, config(volume.path(), 20 * MIB)).await;
    let mut readers = Vec::new();
    for nth in 0..4 {
        rig.put("entry", &body(6 * MIB, nth)).await;
        assert!(volume.used() <= most(&rig), "{} bytes", volume.used());
        assert!(du(rig.dir()) <= rig.config.limit);
        readers.push(reader(&rig, "entry").await);
    }
    let ended = readers.remove(0).try_next().await;
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    // Nobody waits for what the last one reads.
    let last: Vec<_> = readers.pop().unwrap().try_collect().await.unwrap();
    assert!(last.concat() == body(6 * MIB, 3));
    drop(readers);
    until("all is let go", || rig.disk.stats().held == 0).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cache_is_not_thrown_away_for_what_readers_hold() {
    let Some(volume) = Volume::memory("256m") else {
        return;
    };
    let rig = Rig::reopen(None, config(volume.path(), 24 * MIB)).await;
    for nth in 0..5 {
        rig.put(&format!("kept-{nth}"), &body(MIB, nth)).await;
    }
    let mut readers = Vec::new();
    for nth in 0..3 {
        rig.put("read", &body(7 * MIB, nth)).await;
        readers.push(reader(&rig, "read").await);
        rig.disk.delete(&key("read"), Default::default()).await.unwrap();
        if nth == 1 {
            // A reader that reads goes on.
            let piece = readers[0].try_next().await.unwrap();
            assert!(piece.is_some());
        }
    }
    rig.put("new", &body(6 * MIB, 9)).await;
    assert!(volume.used() <= most(&rig));
    for nth in 0..5 {
        assert!(rig.get(&format!("kept-{nth}")).await.is_some());
    }
    drop(readers);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_volume_does_not_cost_the_cache_for_what_a_reader_holds() {
    let Some(volume) = Volume::memory("32m") else {
        return;
    };
    let rig = Rig::reopen(None, config(volume.path(), 100 * MIB)).await;
    rig.put("read", &body(10 * MIB, 0)).await;
    let reader = reader(&rig, "read").await;
    for nth in 0..8 {
        rig.put(&format!("kept-{nth}"), &body(MIB, nth)).await;
    }
    // The oldest one goes for it, and stays on the volume until its reader is ended.
    rig.put("new", &body(16 * MIB, 9)).await;
    for nth in 0..8 {
        assert!(rig.get(&format!("kept-{nth}")).await.is_some(), "{nth}");
    }
    assert!(rig.get("read").await.is_none());
    drop(reader);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_volume_refuses_nothing_that_evictions_make_room_for() {
    let Some(volume) = Volume::image("ext4", 256 << 20) else {
        return;
    };
    let rig = Rig::reopen(None, config(volume.path(), 1 << 30)).await;
    for nth in 0..10 {
        let bytes = body(40 * MIB, nth);
        rig.put(&nth.to_string(), &bytes).await;
        assert!(rig.get(&nth.to_string()).await.unwrap() == bytes);
    }
    // Not all of them went for the last one.
    assert!(rig.disk.stats().entries > 1);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn room_that_is_left_to_others_stays_free() {
    let Some(volume) = Volume::memory("64m") else {
        return;
    };
    let mut config = config(volume.path(), 100 * MIB);
    config.min_free = 24 << 20;
    let rig = Rig::reopen(None, config).await;
    let free = || rig.disk.volume_free().unwrap();
    for nth in 0..80 {
        rig.put(&nth.to_string(), &body(MIB, nth)).await;
        assert!(free() >= 20 << 20, "{} bytes", free());
    }
    until("the room is free again", || free() >= rig.config.min_free).await;
    std::fs::write(volume.path().join("other"), vec![1; 20 * MIB]).unwrap();
    until("entries made way", || free() >= rig.config.min_free).await;
    assert!(rig.disk.stats().entries > 5, "not more than needed");
    rig.put("after", &body(MIB, 1)).await;
    rig.stop().await;
}

/// What `bytes` bytes in four uploads at once take at most, and in the end.
async fn take(file_system: &str, length: usize) {
    let Some(volume) = Volume::image(file_system, 1 << 30) else {
        return;
    };
    let rig = Rig::reopen(None, config(volume.path(), 400 * MIB)).await;
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (path, stop) = (rig.dir().to_owned(), done.clone());
    let watcher = std::thread::spawn(move || {
        let mut most = 0;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            // In this order, what moves on meanwhile is not seen twice.
            most = most.max(du(&path.join("entries")) + du(&path.join("tmp")));
            std::thread::sleep(Duration::from_millis(1));
        }
        most
    });
    let spools = rig.disk.spools();
    let announced = [Some(length as u64), None, Some(length as u64), None];
    let uploads = (0..4).map(|nth| {
        let (disk, spools) = (rig.disk.clone(), spools.clone());
        tokio::spawn(async move {
            let bytes = body(length, nth);
            let spool = spool_as(&spools, &bytes, announced[nth as usize], 60_000)
                .await
                .unwrap();
            disk.put(&key(&nth.to_string()), draft(), spool, Default::default())
                .await
                .unwrap();
        })
    });
    for upload in uploads.collect::<Vec<_>>() {
        upload.await.unwrap();
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    let (most, all) = (watcher.join().unwrap(), 4 * length as u64 + (1 << 20));
    // XFS allocates a few MiB ahead for a moment while several files grow.
    assert!(most <= all + all / 8, "{file_system}: {most} of {all} bytes");
    assert!(
        rig.disk.stats().used <= all,
        "{file_system}: an entry takes what it takes"
    );
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_takes_what_it_takes_on_every_file_system() {
    for file_system in ["ext4", "xfs", "btrfs"] {
        take(file_system, 33 * MIB).await;
    }
}
