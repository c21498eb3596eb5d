//! The directory itself: who may look into it, and what happens when somebody empties it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use chacha::store::Store;
use chacha::store::disk::{DiskFault, DiskHealth};

use super::support::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn folders(dir: &Path) -> Vec<std::path::PathBuf> {
    let below = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let mut all = Vec::new();
    for folder in below.filter(|path| path.is_dir()) {
        all.extend(folders(&folder));
        all.push(folder);
    }
    all
}

/// Waits for the next looks at the directory.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(TEST_TIMEOUT, waiting).await.expect(what);
}

#[tokio::test]
async fn other_users_of_the_machine_cannot_read_entries() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 4 * MIB);
    fs::create_dir(&config.dir).unwrap();
    fs::set_permissions(&config.dir, fs::Permissions::from_mode(0o755)).unwrap();
    let (disk, tasks) = open(&config).await.unwrap();
    for name in ["entries", "tmp"] {
        assert_eq!(mode(&config.dir.join(name)), 0o700, "{name}");
        // Somebody has cleaned up: it is made again.
        fs::remove_dir_all(config.dir.join(name)).unwrap();
    }
    put(&*disk, &disk.spools(), &key("k"), b"secret").await.unwrap();
    let digest = *key("k").digest();
    disk.set_record(&digest, b"secret".to_vec()).await.unwrap();
    let _notes = disk.server_folder().unwrap();
    let (uploads, _) = disk.blocks().await.unwrap();
    assert_eq!(mode(&config.dir), 0o700);
    let folders = folders(&config.dir);
    assert!(folders.len() >= 7, "{folders:?}");
    for folder in folders {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
    }
    drop(uploads);
    assert_eq!(
        fs::metadata(config.dir.join("lock")).unwrap().mode() & 0o777,
        0o600
    );
    disk.close().await;
    tasks.finish().await;
}

#[tokio::test]
async fn what_another_user_prepared_is_not_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 4 * MIB);
    let target = dir.path().join("precious");
    fs::write(&target, "precious").unwrap();
    fs::create_dir(&config.dir).unwrap();
    symlink(&target, config.dir.join("lock")).unwrap();
    let refused = open(&config).await.err().unwrap().to_string();
    assert!(
        refused.contains("disk.dir") && refused.contains("is a link; remove it"),
        "{refused}"
    );
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    fs::remove_file(config.dir.join("lock")).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&config.dir, Some(12345), None).unwrap();
        let refused = open(&config).await.err().unwrap().to_string();
        assert!(refused.contains("another user (uid 12345)"), "{refused}");
        std::os::unix::fs::chown(&config.dir, Some(0), None).unwrap();
    }
    let (disk, tasks) = open(&config).await.unwrap();
    disk.close().await;
    tasks.finish().await;
}

/// What people do at night when the cache is suspected.
#[tokio::test]
async fn a_directory_that_was_emptied_goes_on_and_starts_again() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 4 * MIB);
    let (disk, tasks) = open(&config).await.unwrap();
    disk.indexed().await;
    let before = disk.stats().used;
    for name in ["a", "b", "c"] {
        put(&*disk, &disk.spools(), &key(name), &body(300 * KIB, 1))
            .await
            .unwrap();
    }
    fs::remove_dir_all(&config.dir).unwrap();
    until("the marks are made again", || config.dir.join("format").exists()).await;
    let is_empty = || disk.stats().entries == 0 && disk.stats().used <= before + (64 << 10);
    until("what is gone leaves the account", is_empty).await;
    assert!(disk.get(&key("a")).await.unwrap().is_none());
    put(&*disk, &disk.spools(), &key("d"), b"new").await.unwrap();
    assert_eq!(disk.health(), DiskHealth::Up);
    fs::remove_file(config.dir.join("format")).unwrap();
    disk.close().await;
    tasks.finish().await;
    drop(disk);
    let (disk, tasks) = open(&config)
        .await
        .expect("its own leftovers are no reason to refuse");
    assert_eq!(get(&*disk, &key("d")).await.unwrap(), "new");
    disk.close().await;
    tasks.finish().await;
}

#[tokio::test]
async fn a_second_server_cannot_take_a_directory_whose_lock_file_was_removed() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 4 * MIB);
    let (disk, tasks) = open(&config).await.unwrap();
    fs::remove_file(config.dir.join("lock")).unwrap();
    until("the lock file is made again", || config.dir.join("lock").exists()).await;
    let refused = open(&config).await.err().unwrap().to_string();
    assert!(
        refused.contains("is in use by another running server"),
        "{refused}"
    );
    disk.close().await;
    tasks.finish().await;
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 4 * MIB);
    let (disk, tasks) = open(&config).await.unwrap();
    let tmp = config.dir.join("tmp");
    fs::remove_dir_all(&tmp).unwrap();
    fs::write(&tmp, "in the way").unwrap();
    let is_failing = || {
        matches!(
            disk.health(),
            DiskHealth::Down {
                fault: DiskFault::Failing(_),
                ..
            }
        )
    };
    until("the fault is seen", is_failing).await;
    fs::remove_file(&tmp).unwrap();
    until("its end is seen", || disk.health() == DiskHealth::Up).await;
    put(&*disk, &disk.spools(), &key("k"), b"x").await.unwrap();
    disk.close().await;
    tasks.finish().await;
}
