//! Bodies that arrive in blocks on their way into each tier.

use std::collections::HashSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use bytes::Bytes;
use chacha::store::blocks::{BlockPlace, Blocks};
use chacha::store::disk::Disk;
use chacha::store::{Precondition, Store};

use super::support::*;
use super::tiered::rig::Pair;
use crate::support::s3::{Action, S3Server, Which};

/// As [`du`], where a file with two names counts once.
fn du_once(dir: &Path) -> u64 {
    let names = |folder| files_in(&dir.join(folder));
    let second_names = names("uploads")
        .into_iter()
        .chain(names("tmp"))
        .filter(|file| file.nlink() > 1);
    let mut seen = HashSet::new();
    // The other name is that of an entry, or has been seen here.
    let twice: u64 = second_names
        .map(|file| file.blocks() * 512 * u64::from(seen.insert(file.ino())))
        .sum();
    du(dir) - twice
}

fn files_in(folder: &Path) -> Vec<Metadata> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).collect()
}

/// The bounds of an account that holds uploads.
fn assert_counted(disk: &Disk, dir: &Path) {
    let stats = disk.stats();
    let (counted, found) = (stats.used + stats.reserved, du_once(dir));
    assert!(
        found <= counted && counted <= disk.limit(),
        "{found} of {counted}"
    );
}

async fn send(upload: &Blocks, place: BlockPlace, bytes: &[u8]) {
    let mut writer = upload.writer(place, Some(bytes.len() as u64)).await.unwrap();
    for piece in bytes.chunks(50_000) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    writer.finish().await.unwrap();
}

/// The body in ranges of a MiB, the later ones first.
async fn send_all(upload: &Blocks, bytes: &[u8]) {
    for (nth, part) in bytes
        .chunks(MIB)
        .enumerate()
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
    {
        send(upload, BlockPlace::At((nth * MIB) as u64), part).await;
    }
}

#[tokio::test]
async fn a_body_in_blocks_becomes_an_entry_without_a_copy_and_leaves_nothing() {
    let rig = Rig::new(64 * MIB).await;
    let (dir, found) = rig.disk.blocks().await.unwrap();
    assert!(found.is_empty());
    for (id, length) in [(1, 0), (2, 3000), (3, 70 * KIB), (4, 5 * MIB + 1)] {
        let (name, bytes) = (format!("entry {id}"), body(length, id));
        let upload = dir.create(id, b"note".to_vec()).await.unwrap();
        send_all(&upload, &bytes).await;
        assert_counted(&rig.disk, rig.dir());
        let spool = upload.assemble(length as u64).await.unwrap();
        let data = rig.dir().join(format!("uploads/{id:016x}.data"));
        let inode = std::fs::metadata(&data).ok().map(|data| data.ino());
        let key = key(&name);
        let put = rig.disk.put(&key, draft(), spool, Precondition::Absent);
        assert_eq!(put.await.unwrap().meta.size, length as u64);
        assert_counted(&rig.disk, rig.dir());
        upload.remove().await;
        assert_eq!(rig.get(&name).await.unwrap(), bytes);
        if length > 64 * KIB {
            let entry = std::fs::metadata(rig.file_of(&name)).unwrap();
            assert_eq!(inode, Some(entry.ino()));
        }
    }
    until("the account settles", || rig.disk.stats().reserved == 0).await;
    until("the account is exact", || rig.disk.stats().used == du(rig.dir())).await;
    let rig = rig.restart().await;
    rig.disk.indexed().await;
    assert_eq!(rig.get("entry 4").await.unwrap(), body(5 * MIB + 1, 4));
    assert_eq!(rig.disk.stats().used, du(rig.dir()));
}

#[tokio::test]
async fn a_put_that_fails_takes_nothing_from_the_upload() {
    let rig = Rig::new(64 * MIB).await;
    let (dir, _) = rig.disk.blocks().await.unwrap();
    let bytes = body(3 * MIB, 1);
    let upload = dir.create(1, Vec::new()).await.unwrap();
    send_all(&upload, &bytes).await;
    rig.put("taken", b"first").await;
    for _ in 0..3 {
        let spool = upload.assemble(bytes.len() as u64).await.unwrap();
        let refused = rig
            .disk
            .put(&key("taken"), draft(), spool, Precondition::Absent)
            .await;
        assert!(is_precondition(&refused));
        assert_counted(&rig.disk, rig.dir());
    }
    // What is put twice is two entries, whose files have nothing in common.
    for name in ["one", "two"] {
        let spool = upload.assemble(bytes.len() as u64).await.unwrap();
        rig.disk
            .put(&key(name), draft(), spool, Precondition::Absent)
            .await
            .unwrap();
        assert_counted(&rig.disk, rig.dir());
    }
    upload.remove().await;
    drop(upload);
    until("the account settles", || rig.disk.stats().reserved == 0).await;
    assert_eq!(rig.disk.stats().used, du(rig.dir()));
    drop(dir);
    let rig = rig.restart().await;
    for name in ["one", "two"] {
        assert_eq!(rig.get(name).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn an_upload_goes_on_after_a_restart_and_is_counted() {
    let mut rig = Rig::new(64 * MIB).await;
    let bytes = body(12 * MIB, 1);
    for (nth, part) in bytes.chunks(3 * MIB).enumerate() {
        let (dir, mut found) = rig.disk.blocks().await.unwrap();
        assert_eq!(found.len(), usize::from(nth > 0));
        let upload = match found.pop() {
            Some(upload) => upload,
            None => dir.create(5, vec![7; 16 << 10]).await.unwrap(),
        };
        assert_eq!((upload.id(), upload.note()), (5, [7; 16 << 10].as_slice()));
        assert_counted(&rig.disk, rig.dir());
        send(&upload, BlockPlace::At((nth * 3 * MIB) as u64), part).await;
        drop((dir, upload));
        rig = rig.restart().await;
    }
    // Everything else has to make way for it, and it for nothing.
    let (dir, mut found) = rig.disk.blocks().await.unwrap();
    for nth in 0..40 {
        rig.put(&format!("entry {nth}"), &body(2 * MIB, nth)).await;
        assert!(du(rig.dir()) <= rig.disk.limit());
    }
    let upload = found.remove(0);
    let spool = upload.assemble(bytes.len() as u64).await.unwrap();
    rig.disk
        .put(&key("whole"), draft(), spool, Precondition::None)
        .await
        .unwrap();
    upload.remove().await;
    assert_eq!(rig.get("whole").await.unwrap(), bytes);
    drop((dir, upload));
}

#[tokio::test]
async fn a_far_tier_that_is_down_costs_one_more_attempt() {
    let pair = Pair::new().await;
    let (dir, _) = pair.disk.blocks().await.unwrap();
    let bytes = body(5 * MIB, 1);
    let upload = dir.create(1, Vec::new()).await.unwrap();
    send_all(&upload, &bytes).await;
    pair.s3.faults().always(Which::any(), Action::access_denied());
    let spool = upload.assemble(bytes.len() as u64).await.unwrap();
    let refused = pair
        .tiered
        .put(&key("a"), draft(), spool, Precondition::Absent)
        .await;
    assert!(refused.unwrap_err().remote_error_kind().is_some());
    pair.s3.faults().clear();
    let spool = upload.assemble(bytes.len() as u64).await.unwrap();
    pair.tiered
        .put(&key("a"), draft(), spool, Precondition::Absent)
        .await
        .unwrap();
    upload.remove().await;
    assert_eq!(pair.local("a").await.unwrap(), bytes);
    pair.forget("a").await;
    assert_eq!(pair.get("a").await.unwrap(), bytes);
}

#[tokio::test]
async fn without_a_disk_the_body_goes_to_the_far_tier_and_the_folder_is_empty_afterwards() {
    let (server, folder) = (S3Server::memory(), tempfile::tempdir().unwrap());
    let config = server.config(S3Server::BUCKET);
    let (_s3, store, tasks) = super::s3::open(&config, folder.path()).await;
    let (dir, found) = store.disk.blocks().await.unwrap();
    assert!(found.is_empty());
    let bytes = body(9 * MIB, 1);
    let upload = dir.create(1, Vec::new()).await.unwrap();
    send_all(&upload, &bytes).await;
    server.faults().always(Which::any(), Action::access_denied());
    let spool = upload.assemble(bytes.len() as u64).await.unwrap();
    let refused = store.put(&key("a"), draft(), spool, Precondition::Absent).await;
    assert!(refused.unwrap_err().remote_error_kind().is_some());
    server.faults().clear();
    let spool = upload.assemble(bytes.len() as u64).await.unwrap();
    let put = store.put(&key("a"), draft(), spool, Precondition::Absent).await;
    assert_eq!(put.unwrap().meta.size, bytes.len() as u64);
    upload.remove().await;
    assert!(get(&*store, &key("a")).await.unwrap() == bytes);
    until("nothing is left", || {
        files_in(&folder.path().join("staging/tmp")).is_empty()
    })
    .await;
    assert!(files_in(&folder.path().join("staging/uploads")).is_empty());
    drop((dir, upload));
    tasks.finish().await;
}
