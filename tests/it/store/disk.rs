//! The local tier: the conformance suite, and what it does besides.

use std::sync::Arc;

use chacha::store::disk::DiskOpenError;
use chacha::store::{Content, Error, Precondition, Store};
use futures_util::future::join_all;

use super::suite::Tier;
use super::support::*;

async fn tier() -> Tier {
    tier_of(Rig::new(64 * MIB).await)
}

/// Nothing stays hot: every look-up opens and checks its file.
async fn cold_tier() -> Tier {
    let rig = Rig::with(64 * MIB, |config| {
        config.memory = 0;
        config.open_files = Some(0);
    });
    tier_of(rig.await)
}

async fn synced_tier() -> Tier {
    let rig = Rig::with(64 * MIB, |config| {
        config.durability = chacha::config::Durability::Fsync;
    });
    tier_of(rig.await)
}

fn tier_of(rig: Rig) -> Tier {
    Tier {
        store: rig.disk.clone(),
        spools: rig.disk.spools(),
        _keep: Box::new(rig),
    }
}

conformance!(hot, super::tier);
conformance!(cold, super::cold_tier);
conformance!(synced, super::synced_tier);

async fn refused(config: &chacha::config::DiskConfig) -> DiskOpenError {
    let Err(error) = open(config).await else {
        panic!("opened {}", config.dir.display());
    };
    error
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_is_refused_with_key_path_and_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 4 * MIB);
    let path = config.dir.display().to_string();
    std::fs::write(&config.dir, b"a file").unwrap();
    let error = refused(&config).await.to_string();
    assert!(error.contains("disk.dir") && error.contains(&path), "{error}");
    std::fs::remove_file(&config.dir).unwrap();
    std::fs::create_dir(&config.dir).unwrap();
    std::fs::create_dir(config.dir.join("tmp")).unwrap();
    std::fs::write(config.dir.join("tmp/precious"), b"data").unwrap();
    let error = refused(&config).await;
    assert!(matches!(error, DiskOpenError::Foreign { .. }), "{error}");
    assert!(config.dir.join("tmp/precious").exists(), "nothing was touched");
    std::fs::write(config.dir.join("format"), b"7\n").unwrap();
    let error = refused(&config).await;
    assert!(matches!(error, DiskOpenError::Newer { found: 7, .. }), "{error}");
}

/// More rights for this user would not help.
#[tokio::test]
async fn a_link_to_nowhere_is_refused_with_its_target() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 4 * MIB);
    let target = dir.path().join("unmounted");
    std::os::unix::fs::symlink(&target, &config.dir).unwrap();
    let error = refused(&config).await.to_string();
    let expected = format!(
        "a link to {}, which does not exist; make that directory",
        target.display()
    );
    assert!(
        error.starts_with("disk.dir: ") && error.contains(&expected),
        "{error}"
    );
    assert!(!target.exists());
}

#[tokio::test]
async fn a_directory_in_use_is_refused_with_the_process() {
    let rig = Rig::new(4 * MIB).await;
    let error = refused(&rig.config).await.to_string();
    assert!(error.contains(&std::process::id().to_string()), "{error}");
    assert!(error.contains("lock"), "{error}");
    rig.disk.close().await;
    let (disk, tasks) = open(&rig.config).await.unwrap();
    tasks.finish().await;
    drop(disk);
}

#[tokio::test]
async fn a_closed_tier_refuses_changes() {
    let rig = Rig::new(4 * MIB).await;
    rig.put("entry", b"bytes").await;
    let late = spool(&rig.disk.spools(), b"late").await.unwrap();
    rig.disk.close().await;
    let put = rig
        .disk
        .put(&key("late"), draft(), late, Precondition::None)
        .await;
    assert!(matches!(put, Err(Error::Stopping)));
    let delete = rig.disk.delete(&key("entry"), Precondition::None).await;
    assert!(matches!(delete, Err(Error::Stopping)));
    assert!(matches!(
        rig.disk.spools().create(None).await,
        Err(Error::Stopping)
    ));
}

#[tokio::test]
async fn hot_entries_stay_within_their_budgets() {
    let rig = Rig::with(64 * MIB, |config| {
        config.memory = 100_000;
        config.open_files = Some(5);
    })
    .await;
    for nth in 0..30_u64 {
        rig.put(&format!("small {nth}"), &body(10_000, nth)).await;
        rig.put(&format!("large {nth}"), &body(100_000, nth)).await;
        let stats = rig.disk.stats();
        assert!(stats.hot_bytes <= 100_000 && stats.open_files <= 5, "{stats:?}");
    }
    for nth in 0..30_u64 {
        assert!(rig.get(&format!("small {nth}")).await.unwrap() == body(10_000, nth));
        assert!(rig.get(&format!("large {nth}")).await.unwrap() == body(100_000, nth));
        let stats = rig.disk.stats();
        assert!(stats.hot_bytes <= 100_000 && stats.open_files <= 5, "{stats:?}");
    }
    for nth in 0..30_u64 {
        rig.put("same", &body(1000, nth)).await;
    }
    for nth in 0..30 {
        for size in ["small", "large"] {
            let name = key(&format!("{size} {nth}"));
            rig.disk.delete(&name, Precondition::None).await.unwrap();
        }
    }
    rig.disk.delete(&key("same"), Precondition::None).await.unwrap();
    let stats = rig.disk.stats();
    assert_eq!((stats.hot_entries, stats.hot_bytes, stats.open_files), (0, 0, 0));
    assert_eq!(stats.used, du(rig.dir()));
}

#[tokio::test]
async fn a_hot_look_up_is_ready_at_the_first_poll() {
    let rig = Rig::new(64 * MIB).await;
    for size in [0, 1000, 100 * KIB] {
        rig.put("hot", &body(size, 1)).await;
        let hit = futures_util::poll!(rig.disk.get(&key("hot")));
        assert!(hit.is_ready(), "after a put of {size} bytes");
    }
    let rig = rig.restart().await;
    rig.get("hot").await.unwrap();
    assert!(futures_util::poll!(rig.disk.get(&key("hot"))).is_ready());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_cold_look_ups_open_one_file_together() {
    let rig = Rig::new(64 * MIB).await;
    let bytes = body(2 * MIB, 1);
    rig.put("entry", &bytes).await;
    let rig = rig.restart().await;
    let key = key("entry");
    let found = join_all((0..50).map(|_| rig.disk.get(&key))).await;
    let metas: Vec<_> = found
        .into_iter()
        .map(|found| found.unwrap().unwrap().meta)
        .collect();
    assert!(metas.iter().all(|meta| Arc::ptr_eq(meta, &metas[0])));
    assert_eq!(rig.disk.stats().open_files, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delete_and_overwrite_during_cold_opens_never_show_what_is_gone() {
    let rig = Rig::with(64 * MIB, |config| {
        config.memory = 0;
        config.open_files = Some(0);
    })
    .await;
    for round in 0..50_u64 {
        let (old, new) = (body(50_000, round), body(60_000, round + 1000));
        rig.put("entry", &old).await;
        let readers = (0..4).map(|_| async {
            let found = rig.get("entry").await;
            assert!(found.is_none_or(|bytes| bytes == old || bytes == new));
        });
        let change = async {
            rig.disk.delete(&key("entry"), Precondition::None).await.unwrap();
            assert!(rig.get("entry").await.is_none());
            assert_eq!(
                files_of(rig.dir(), "entry").len(),
                0,
                "unlinked before the answer"
            );
            rig.put("entry", &new).await;
            assert!(rig.get("entry").await.unwrap() == new);
        };
        tokio::join!(join_all(readers), change);
    }
    assert_eq!(rig.disk.stats().corrupt, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eviction_between_look_up_and_open_is_a_miss() {
    let rig = Rig::with(2 * MIB, |config| {
        config.memory = 0;
        config.open_files = Some(0);
    })
    .await;
    let write = async {
        for nth in 0..400_u64 {
            rig.put(&nth.to_string(), &body(40_000, nth)).await;
        }
    };
    let read = async {
        for nth in 0..2000_u64 {
            if let Some(bytes) = rig.get(&(nth / 5).to_string()).await {
                assert!(bytes == body(40_000, nth / 5));
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(write, read);
    assert_eq!(rig.disk.stats().corrupt, 0);
    assert!(rig.disk.stats().evicted() > 0);
}

#[tokio::test]
async fn small_bodies_are_answered_from_memory_and_large_ones_from_their_file() {
    let rig = Rig::new(64 * MIB).await;
    for (size, in_memory) in [(16 * KIB, true), (16 * KIB + 1, false), (40 * KIB, false)] {
        rig.put("entry", &body(size, 1)).await;
        let content = rig.disk.get(&key("entry")).await.unwrap().unwrap().content;
        assert_eq!(matches!(content, Content::Memory(_)), in_memory, "{size}");
    }
}

#[tokio::test]
async fn a_put_whose_caller_leaves_is_whole_or_not_there() {
    for size in [10, 100 * KIB] {
        let rig = Rig::new(64 * MIB).await;
        rig.put("entry", b"old").await;
        let spool = spool(&rig.disk.spools(), &body(size, 1)).await.unwrap();
        let name = key("entry");
        let mut put = rig.disk.put(&name, draft(), spool, Precondition::None);
        let _ready_or_not = futures_util::poll!(&mut put);
        drop(put);
        // Waits for a change that is under way.
        let rig = rig.restart().await;
        let found = rig.get("entry").await.unwrap();
        assert!(found == "old" || found == body(size, 1));
        assert_eq!(files_of(rig.dir(), "entry").len(), 1);
    }
}

#[tokio::test]
async fn folders_that_somebody_removed_under_the_server_are_made_again() {
    let rig = Rig::new(32 * MIB).await;
    rig.put("before", &body(MIB, 1)).await;
    std::fs::remove_dir_all(rig.dir().join("tmp")).unwrap();
    std::fs::remove_dir_all(rig.dir().join("entries")).unwrap();
    for (name, length) in [("small", 100), ("large", 2 * MIB)] {
        rig.put(name, &body(length, 2)).await;
        assert!(rig.get(name).await.unwrap() == body(length, 2));
    }
}
