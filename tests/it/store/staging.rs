//! The directory of a disk that only stages.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chacha::config::DiskConfig;
use chacha::store::disk::{Disk, DiskOpenError, DiskRole};
use chacha::tasks::Tasks;

use super::support::*;

async fn open(dir: &Path) -> Result<(std::sync::Arc<Disk>, Tasks), DiskOpenError> {
    let (config, tasks) = (DiskConfig::new(dir, 4 << 20), Tasks::new());
    let deadline = std::time::Instant::now() + TEST_TIMEOUT;
    loop {
        // A child process that another test starts holds every lock until it executes its program.
        match Disk::open_as(DiskRole::Staging, &config, &tasks).await {
            Err(DiskOpenError::InUse { .. }) if std::time::Instant::now() < deadline => {}
            other => return other.map(|disk| (disk, tasks)),
        }
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn entries_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("staging");
    let (disk, tasks) = open(&path).await.unwrap();
    put(&*disk, &disk.spools(), &key("kept"), b"bytes").await.unwrap();
    disk.close().await;
    tasks.finish().await;
    drop(disk);
    let (disk, tasks) = open(&path).await.unwrap();
    assert_eq!(get(&*disk, &key("kept")).await.unwrap(), "bytes");
    disk.close().await;
    tasks.finish().await;
}

#[tokio::test]
async fn the_second_server_is_refused_by_the_key_that_is_configured() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, tasks) = open(dir.path()).await.unwrap();
    let config = DiskConfig::new(dir.path(), 4 << 20);
    let refused = Disk::open_as(DiskRole::Staging, &config, &Tasks::new()).await;
    let error = refused.err().unwrap();
    assert!(
        matches!(error, DiskOpenError::InUse { pid: Some(_), .. }),
        "{error}"
    );
    assert!(error.to_string().starts_with("s3.staging_dir: "), "{error}");
    disk.close().await;
    tasks.finish().await;
}

#[tokio::test]
async fn what_an_older_version_left_does_not_hurt_and_foreign_files_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    for folder in ["bodies", "uploads", "parts", "mine"] {
        fs::create_dir(path.join(folder)).unwrap();
        fs::write(path.join(folder).join("left"), "over").unwrap();
    }
    fs::write(path.join("lock"), "1\n").unwrap();
    fs::write(path.join("foreign"), "stays").unwrap();
    let (disk, tasks) = open(path).await.unwrap();
    put(&*disk, &disk.spools(), &key("k"), &body(200 * KIB, 1))
        .await
        .unwrap();
    assert!(!path.join("bodies").exists() && !path.join("uploads/left").exists());
    assert_eq!(fs::read(path.join("mine/left")).unwrap(), b"over");
    assert_eq!(fs::read(path.join("foreign")).unwrap(), b"stays");
    // Notes about uploads to the bucket are read by the remote tier.
    assert!(path.join("parts/left").exists());
    disk.close().await;
    tasks.finish().await;
}

#[tokio::test]
async fn foreign_folders_where_ours_would_be_are_never_touched() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("tmp")).unwrap();
    fs::write(dir.path().join("tmp/mine"), "stays").unwrap();
    let error = open(dir.path()).await.err().unwrap();
    assert!(matches!(error, DiskOpenError::Foreign { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        format!(
            "s3.staging_dir: {} is not a cache directory, it holds \"tmp\"; name an empty or a new directory",
            dir.path().display()
        )
    );
    assert_eq!(fs::read(dir.path().join("tmp/mine")).unwrap(), b"stays");
}

#[tokio::test]
async fn folders_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let (made, found) = (dir.path().join("made"), dir.path().join("found"));
    fs::create_dir(&found).unwrap();
    fs::set_permissions(&found, fs::Permissions::from_mode(0o755)).unwrap();
    for path in [made, found] {
        let (disk, tasks) = open(&path).await.unwrap();
        for folder in [path.clone(), path.join("entries"), path.join("tmp")] {
            assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        }
        disk.close().await;
        tasks.finish().await;
    }
    // One with foreign files is another's business.
    let shared = dir.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("foreign"), "").unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o755)).unwrap();
    let (disk, tasks) = open(&shared).await.unwrap();
    assert_eq!((mode(&shared), mode(&shared.join("entries"))), (0o755, 0o700));
    disk.close().await;
    tasks.finish().await;
}
