//! Stopping, crashing and starting again.
#![expect(clippy::print_stderr, reason = "the killed process reports to its parent")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use chacha::store::{Precondition, Store};
use futures_util::StreamExt;

use super::support::*;

#[tokio::test]
async fn entries_survive_a_clean_and_an_unclean_stop() {
    let mut rig = Rig::new(64 * MIB).await;
    for nth in 0..50 {
        rig.put(&nth.to_string(), &body(nth * 5_000, nth as u64)).await;
    }
    for clean in [true, false, false, true] {
        rig = if clean {
            rig.restart().await
        } else {
            rig.crash().await
        };
        for nth in 0..50 {
            assert!(rig.get(&nth.to_string()).await.unwrap() == body(nth * 5_000, nth as u64));
        }
        let meta = rig.disk.head(&key("7")).await.unwrap().unwrap();
        assert_eq!(meta.origin, draft().origin);
        rig.disk.indexed().await;
        assert_eq!(rig.disk.stats().entries, 50);
        assert_eq!(rig.disk.stats().used, du(rig.dir()));
    }
}

#[tokio::test]
async fn after_a_clean_stop_everything_is_known_before_the_scan() {
    let rig = Rig::new(64 * MIB).await;
    for nth in 0..50 {
        rig.put(&nth.to_string(), b"bytes").await;
    }
    rig.disk.close().await;
    let used = du(rig.dir());
    let rig = rig.crash().await;
    assert_eq!(rig.disk.stats().entries, 50);
    assert_eq!(rig.disk.stats().used, used);
}

/// Makes 20 entries, uses the first ones again, restarts, and evicts: the others have to go.
async fn check_order(clean: bool) {
    let rig = Rig::new(8 * MIB).await;
    for nth in 0..20 {
        rig.put(&nth.to_string(), &body(300 * KIB, nth)).await;
    }
    if !clean {
        // Without a snapshot the order is that of the times of the files, and reads are forgotten.
        for nth in 0..20_u64 {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 + (nth + 10) % 20);
            let file = rig.file_of(&nth.to_string());
            fs::File::options()
                .write(true)
                .open(file)
                .unwrap()
                .set_modified(time)
                .unwrap();
        }
    }
    for nth in 0..10 {
        rig.get(&nth.to_string()).await.unwrap();
    }
    let rig = if clean {
        rig.restart().await
    } else {
        rig.crash().await
    };
    rig.disk.indexed().await;
    for nth in 100..108 {
        rig.put(&nth.to_string(), &body(300 * KIB, nth)).await;
    }
    until("room is made", || {
        rig.disk.stats().used <= rig.config.limit * 98 / 100
    })
    .await;
    assert!(rig.disk.stats().evicted() > 0);
    for nth in 0..10 {
        assert!(rig.get(&nth.to_string()).await.is_some(), "{nth} was used");
    }
    assert!(rig.get("10").await.is_none());
}

#[tokio::test]
async fn the_order_of_use_survives_a_clean_stop() {
    check_order(true).await;
}

#[tokio::test]
async fn the_order_of_writing_survives_an_unclean_stop() {
    check_order(false).await;
}

#[tokio::test]
async fn of_two_versions_after_a_crash_the_newer_one_wins() {
    // Several, since a folder lists its files in any order.
    let names: Vec<String> = (0..16).map(|nth| nth.to_string()).collect();
    let rig = Rig::new(64 * MIB).await;
    for name in &names {
        rig.put(name, b"old").await;
        let old = rig.file_of(name);
        let kept = rig.dir().join("kept");
        fs::copy(&old, &kept).unwrap();
        rig.put(name, b"new").await;
        assert!(!old.exists());
        // The process died after it had renamed the new file and before it unlinked the old one.
        fs::create_dir_all(old.parent().unwrap()).unwrap();
        fs::rename(&kept, &old).unwrap();
    }
    let rig = rig.crash().await;
    assert_eq!(rig.get("7").await.unwrap(), "new");
    rig.disk.indexed().await;
    for name in &names {
        assert_eq!(files_of(rig.dir(), name).len(), 1);
        assert_eq!(rig.get(name).await.unwrap(), "new");
    }
    assert_eq!(rig.disk.stats().used, du(rig.dir()));
}

#[tokio::test]
async fn a_snapshot_that_is_older_than_the_files_is_put_right() {
    let rig = Rig::new(64 * MIB).await;
    for name in ["same", "overwritten", "deleted"] {
        rig.put(name, name.as_bytes()).await;
    }
    let rig = rig.restart().await;
    let snapshot = fs::read(rig.dir().join("index")).unwrap();
    rig.put("overwritten", &body(MIB, 1)).await;
    rig.put("added", b"added").await;
    rig.disk
        .delete(&key("deleted"), Precondition::None)
        .await
        .unwrap();
    let (dir, config) = rig.stop().await;
    fs::write(config.dir.join("index"), snapshot).unwrap();
    let rig = Rig::reopen(dir, config).await;
    assert!(rig.get("deleted").await.is_none());
    assert_eq!(rig.get("same").await.unwrap(), "same");
    assert!(rig.get("overwritten").await.unwrap() == body(MIB, 1));
    assert_eq!(rig.get("added").await.unwrap(), "added");
    rig.disk.indexed().await;
    assert_eq!(rig.disk.stats().entries, 3);
    assert_eq!(rig.disk.stats().used, du(rig.dir()));
}

#[tokio::test]
async fn a_damaged_snapshot_is_ignored() {
    for at in [0, 5, 9, 17, 25, 40, 60] {
        let rig = Rig::new(64 * MIB).await;
        rig.put("a", b"a").await;
        rig.put("b", &body(MIB, 1)).await;
        rig.disk.close().await;
        let (dir, config) = rig.stop().await;
        let path = config.dir.join("index");
        let mut bytes = fs::read(&path).unwrap();
        match at {
            60 => bytes.truncate(30),
            at => bytes[at] ^= 0xff,
        }
        fs::write(&path, bytes).unwrap();
        let rig = Rig::reopen(dir, config).await;
        assert_eq!(rig.get("a").await.unwrap(), "a");
        assert!(rig.get("b").await.is_some());
        rig.disk.indexed().await;
        assert_eq!(rig.disk.stats().entries, 2);
        assert_eq!(rig.disk.stats().used, du(rig.dir()));
    }
}

#[tokio::test]
async fn the_mark_of_a_clean_stop_holds_for_one_start() {
    let rig = Rig::new(64 * MIB).await;
    rig.put("a", b"a").await;
    rig.disk.close().await;
    let closed = fs::read(rig.dir().join("index")).unwrap();
    let rig = rig.crash().await;
    let opened = fs::read(rig.dir().join("index")).unwrap();
    assert!(opened.len() < closed.len() && closed.starts_with(&opened));
    rig.disk.indexed().await;
    rig.disk.close().await;
    assert_eq!(
        fs::read(rig.dir().join("index")).unwrap(),
        closed,
        "nothing changed"
    );
}

#[tokio::test]
async fn a_stop_writes_what_changed_and_not_all_entries() {
    let rig = Rig::new(64 * MIB).await;
    for nth in 0..2000 {
        rig.put(&nth.to_string(), b"bytes").await;
    }
    let rig = rig.restart().await;
    rig.disk.indexed().await;
    let path = rig.dir().join("index");
    let before = fs::metadata(&path).unwrap().len();
    rig.put("7", b"other").await;
    rig.get("8").await.unwrap();
    rig.disk.delete(&key("9"), Precondition::None).await.unwrap();
    let rig = rig.restart().await;
    let grown = fs::metadata(&path).unwrap().len() - before;
    assert!((100..500).contains(&grown), "{grown} bytes for three changes");
    assert_eq!(rig.disk.stats().entries, 1999);
    assert_eq!(rig.disk.stats().used, du(rig.dir()));
}

#[tokio::test]
async fn a_directory_of_a_former_version_opens() {
    let dir = tempfile::tempdir().unwrap();
    let former = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/former/0.1.0");
    let config = config(dir.path(), 64 * MIB);
    fs::create_dir_all(config.dir.join("entries/2/bf")).unwrap();
    let file = "entries/2/bf/7bd0fae198bcd57f58ceebd31a2285b71c9a723f9c3fb86c88579872aa71f.00066189ae44407b";
    for name in ["format", "index", file] {
        fs::copy(former.join(name), config.dir.join(name)).unwrap();
    }
    let mut rig = Rig::reopen(Some(dir), config).await;
    for clean in [true, false, true] {
        assert_eq!(rig.get("one").await.unwrap(), "once again");
        rig.disk.indexed().await;
        assert_eq!(rig.disk.stats().entries, 1, "the snapshot names one that is gone");
        assert_eq!(rig.disk.stats().used, du(rig.dir()));
        rig = if clean {
            rig.restart().await
        } else {
            rig.crash().await
        };
    }
}

#[tokio::test]
async fn leftovers_and_strays_are_removed_at_the_start() {
    let rig = Rig::new(64 * MIB).await;
    rig.put("entry", b"bytes").await;
    let leaf = rig.file_of("entry").parent().unwrap().to_owned();
    let (dir, config) = rig.stop().await;
    fs::write(config.dir.join("tmp/leftover"), body(MIB, 1)).unwrap();
    fs::create_dir(config.dir.join("tmp/folder")).unwrap();
    fs::write(leaf.join("stray"), b"stray").unwrap();
    fs::write(leaf.parent().unwrap().join("stray"), b"stray").unwrap();
    fs::create_dir_all(config.dir.join("entries/0/00")).unwrap();
    // A key that somebody else keeps at the top is none of our business.
    fs::write(config.dir.join("signing.key"), b"secret").unwrap();
    let rig = Rig::reopen(dir, config).await;
    rig.disk.indexed().await;
    // The tier itself may try the volume with a file at this moment.
    until("the leftovers are gone", || temporary_files(rig.dir()) == 0).await;
    assert_eq!(files(rig.dir()).len(), 1);
    assert!(rig.dir().join("signing.key").exists());
    assert!(!rig.dir().join("entries/0/00").exists());
    assert_eq!(rig.disk.stats().used, du(rig.dir()));
}

#[tokio::test]
async fn look_ups_and_changes_while_indexing_see_everything() {
    let rig = Rig::new(64 * MIB).await;
    for nth in 0..300 {
        rig.put(&nth.to_string(), format!("old {nth}").as_bytes()).await;
    }
    let mut rig = rig.crash().await;
    for round in 0..3_usize {
        // On a runtime of one thread the scan has not run yet: nobody has awaited anything for long.
        assert!(rig.disk.stats().indexing);
        for nth in (round..300).step_by(37) {
            let condition = Precondition::Absent;
            let refused = put_if(
                &*rig.disk,
                &rig.disk.spools(),
                &key(&nth.to_string()),
                b"lost",
                condition,
            )
            .await;
            assert!(is_precondition(&refused), "{nth}");
            let name = key(&nth.to_string());
            assert!(rig.disk.delete(&name, Precondition::None).await.unwrap());
            assert!(rig.disk.get(&name).await.unwrap().is_none());
            rig.put(&nth.to_string(), format!("old {nth}").as_bytes()).await;
        }
        rig.disk.indexed().await;
        assert_eq!(rig.disk.stats().entries, 300);
        rig = rig.crash().await;
    }
    for nth in 0..300 {
        assert_eq!(rig.get(&nth.to_string()).await.unwrap(), format!("old {nth}"));
    }
}

#[tokio::test]
async fn a_lowered_limit_holds_after_the_start() {
    let rig = Rig::new(32 * MIB).await;
    for nth in 0..60 {
        rig.put(&nth.to_string(), &body(400 * KIB, nth)).await;
    }
    rig.disk.close().await;
    let (dir, mut config) = rig.stop().await;
    config.limit = 8 * MIB as u64;
    let rig = Rig::reopen(dir, config).await;
    until("the new limit holds", || du(rig.dir()) <= 8 * MIB as u64).await;
    assert!(rig.get("59").await.is_some(), "the newest one stays");
    assert!(rig.get("0").await.is_none());
}

/// The other process of `kill_at_any_point`: writes until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writer_that_is_killed() {
    let Ok(dir) = std::env::var("CHACHA_TEST_KILLED_DIR") else {
        return;
    };
    let rig = Rig::reopen(None, config(Path::new(&dir), KILLED_LIMIT)).await;
    for nth in 0_u64.. {
        let name = (nth % 200).to_string();
        rig.put(&name, &killed_body(nth)).await;
        eprintln!("put");
    }
}

const KILLED_LIMIT: usize = 8 * MIB;

/// Begins with its own seed, so that its content can be checked.
fn killed_body(nth: u64) -> Vec<u8> {
    let mut bytes = nth.to_le_bytes().to_vec();
    bytes.extend(body((nth as usize * 7919) % (300 * KIB), nth));
    bytes
}

#[tokio::test]
async fn kill_at_any_point_leaves_whole_entries_and_the_bound() {
    let dir = tempfile::tempdir().unwrap();
    for round in 1..6 {
        kill_after(dir.path(), round * 17);
        let config = config(dir.path(), KILLED_LIMIT);
        assert!(du(&config.dir) <= KILLED_LIMIT as u64);
        let rig = Rig::reopen(None, config).await;
        assert_eq!(temporary_files(rig.dir()), 0);
        rig.disk.indexed().await;
        // Eviction may still be on its way down to the low-water mark.
        until("the account is exact", || rig.disk.stats().used == du(rig.dir())).await;
        let mut found = 0;
        for nth in 0..200_u64 {
            let Some(bytes) = rig.get(&nth.to_string()).await else {
                continue;
            };
            let seed = u64::from_le_bytes(bytes[..8].try_into().unwrap());
            assert_eq!(seed % 200, nth);
            assert!(bytes == killed_body(seed));
            found += 1;
        }
        assert!(found > 0);
        assert_eq!(rig.disk.stats().corrupt, 0);
        rig.stop().await;
    }
}

fn kill_after(dir: &Path, puts: usize) {
    let this: PathBuf = std::env::current_exe().unwrap();
    let mut child = std::process::Command::new(this)
        .args(["--exact", "store::restart::writer_that_is_killed", "--nocapture"])
        .env("CHACHA_TEST_KILLED_DIR", dir)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stderr.take().unwrap());
    let seen = output.lines().map_while(Result::ok).filter(|line| line == "put");
    assert_eq!(seen.take(puts).count(), puts);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn a_record_without_a_file_is_nothing_that_can_be_deleted() {
    let rig = Rig::new(64 * MIB).await;
    rig.put("entry", b"bytes").await;
    let rig = rig.restart().await;
    rig.disk.delete(&key("entry"), Precondition::None).await.unwrap();
    // The snapshot still knows it.
    let rig = rig.crash().await;
    assert!(!rig.disk.delete(&key("entry"), Precondition::None).await.unwrap());
    rig.disk.indexed().await;
    assert_eq!(rig.disk.stats().used, du(rig.dir()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_entries_are_restored_from_the_snapshot_alone() {
    let rig = Rig::new(128 * MIB).await;
    // More than the index holds in a page, and more than the snapshot reads under one lock.
    let puts = (0..9_000).map(|nth| {
        let rig = &rig;
        async move { rig.put(&nth.to_string(), b"bytes").await }
    });
    let puts = futures_util::stream::iter(puts).buffer_unordered(16);
    puts.for_each(|_| async {}).await;
    rig.disk.close().await;
    let used = du(rig.dir());
    let rig = rig.crash().await;
    let stats = rig.disk.stats();
    assert_eq!((stats.entries, stats.used), (9_000, used));
    for nth in (0..9_000).step_by(97) {
        assert_eq!(rig.get(&nth.to_string()).await.unwrap(), "bytes");
    }
    rig.disk.indexed().await;
    assert_eq!(rig.disk.stats().entries, 9_000);
    assert_eq!(rig.disk.stats().used, du(rig.dir()));
}
