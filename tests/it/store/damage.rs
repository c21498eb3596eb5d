//! Files that are not what they were: every damage is a miss, is counted, and goes.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use chacha::store::{Content, Precondition, Store};

use super::support::*;

/// Entries of every class: in memory, as an open file, checked as a whole.
const SIZES: [usize; 4] = [0, 1000, 100 * KIB, 3 * MIB];

/// Puts an entry, damages its file between two runs, and expects that nothing of it is left.
async fn check(size: usize, what: &str, damage: impl Fn(&Path, u64)) {
    let rig = Rig::new(64 * MIB).await;
    rig.put("entry", &body(size, 1)).await;
    rig.put("other", b"other").await;
    let file = rig.file_of("entry");
    let length = file.metadata().unwrap().len();
    rig.disk.close().await;
    damage(&file, length);
    let rig = rig.crash().await;
    rig.disk.indexed().await;
    assert!(rig.get("entry").await.is_none(), "{what} of {size} bytes");
    assert!(rig.disk.head(&key("entry")).await.unwrap().is_none());
    assert_eq!(files_of(rig.dir(), "entry").len(), 0, "{what} of {size} bytes");
    assert_eq!(rig.disk.stats().corrupt, 1, "{what} of {size} bytes");
    assert_eq!(rig.get("other").await.unwrap(), "other");
    rig.put("entry", b"new").await;
    assert_eq!(rig.get("entry").await.unwrap(), "new");
    assert_eq!(du(rig.dir()), rig.disk.stats().used);
}

fn flip(path: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

fn cut(path: &Path, length: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(length).unwrap();
}

#[tokio::test]
async fn a_flipped_bit_in_the_body_is_found() {
    for size in [1000, 100 * KIB, 3 * MIB] {
        for at in [0, size / 2, size - 1] {
            check(size, "a flipped bit", |file, _| flip(file, at as u64)).await;
        }
    }
}

#[tokio::test]
async fn a_flipped_bit_in_table_description_and_footer_is_found() {
    for size in SIZES {
        for from_end in [1, 9, 17, 25, 33, 41, 100] {
            check(size, "a flipped bit", |file, length| {
                flip(file, length - from_end);
            })
            .await;
        }
        if size > 0 {
            check(size, "a flipped bit in the table", |file, _| {
                flip(file, size as u64);
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_torn_or_cut_file_is_found() {
    for size in SIZES {
        for left in [0, 1, 39] {
            check(size, "a cut file", |file, _| cut(file, left)).await;
        }
        check(size, "a cut file", |file, length| cut(file, length - 1)).await;
        check(size, "a longer file", |file, length| cut(file, length + 1)).await;
        // What a power loss leaves of a file that was never synced.
        check(size, "a file of zeros", |file, length| {
            cut(file, 0);
            cut(file, length);
        })
        .await;
    }
}

#[tokio::test]
async fn a_file_under_the_name_of_another_entry_is_found() {
    for size in SIZES {
        let rig = Rig::new(64 * MIB).await;
        rig.put("entry", &body(size, 1)).await;
        rig.put("stolen", &body(size, 2)).await;
        let (victim, file) = (rig.file_of("entry"), rig.file_of("stolen"));
        rig.disk.close().await;
        fs::copy(file, &victim).unwrap();
        let rig = rig.crash().await;
        assert!(rig.get("entry").await.is_none());
        assert!(rig.get("stolen").await.unwrap() == body(size, 2));
        assert_eq!(rig.disk.stats().corrupt, 1);
    }
}

#[tokio::test]
async fn a_look_at_a_cold_entry_does_not_read_its_body() {
    for size in [100 * KIB, 3 * MIB] {
        let rig = Rig::new(64 * MIB).await;
        rig.put("entry", &body(size, 1)).await;
        let file = rig.file_of("entry");
        rig.disk.close().await;
        flip(&file, size as u64 / 2);
        let rig = rig.crash().await;
        let seen = rig.disk.head(&key("entry")).await.unwrap();
        assert_eq!(seen.expect("nothing of the body was read").size, size as u64);
        assert_eq!(rig.disk.stats().corrupt, 0);
        // Whoever looked first, the body is checked before it is given.
        assert!(rig.get("entry").await.is_none());
        assert!(rig.disk.head(&key("entry")).await.unwrap().is_none());
        assert_eq!(rig.disk.stats().corrupt, 1);
    }
}

#[tokio::test]
async fn what_was_only_looked_at_is_read_whole_and_by_many() {
    let rig = Rig::new(64 * MIB).await;
    let bytes = body(3 * MIB, 1);
    rig.put("entry", &bytes).await;
    let rig = rig.restart().await;
    assert!(rig.disk.head(&key("entry")).await.unwrap().is_some());
    let reads = (0..8).map(|_| rig.get("entry"));
    for read in futures_util::future::join_all(reads).await {
        assert!(read.unwrap() == bytes);
    }
    assert_eq!(rig.disk.stats().corrupt, 0);
}

/// Larger than what is checked as a whole before the first byte.
const LARGE: usize = 65 * MIB;

#[tokio::test]
async fn a_large_entry_is_checked_as_it_is_read() {
    let rig = Rig::new(200 * MIB).await;
    let bytes = body(LARGE, 1);
    rig.put("large", &bytes).await;
    let file = rig.file_of("large");
    let rig = rig.restart().await;
    assert!(rig.get("large").await.unwrap() == bytes);
    let rig = rig.restart().await;
    flip(&file, 40 * MIB as u64 + 5);
    let entry = rig.disk.get(&key("large")).await.unwrap().unwrap();
    let Content::File(whole) = entry.content.clone() else {
        panic!("a large body in memory");
    };
    let second = whole.slice(MIB as u64..LARGE as u64);
    assert!(whole.is_hot(4096), "its beginning is checked before the answer");
    assert!(!second.is_hot(4096), "and nothing else yet");
    let intact = entry.content.slice(0..40 * MIB as u64);
    assert!(read(intact).await.unwrap() == bytes[..40 * MIB]);
    assert!(second.is_hot(4096), "checked by reading");
    let rest = entry.content.slice(39 * MIB as u64..LARGE as u64);
    let error = read(rest).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert!(rig.get("large").await.is_none());
    assert_eq!(rig.disk.stats().corrupt, 1);
    assert_eq!(files_of(rig.dir(), "large").len(), 0);
    assert_eq!(rig.disk.stats().used, du(rig.dir()));
}

#[tokio::test]
async fn a_large_entry_that_is_cut_while_it_is_read_ends_with_an_error() {
    let rig = Rig::new(200 * MIB).await;
    rig.put("large", &body(LARGE, 1)).await;
    let file = rig.file_of("large");
    let rig = rig.restart().await;
    let entry = rig.disk.get(&key("large")).await.unwrap().unwrap();
    cut(&file, 10 * MIB as u64);
    assert!(read(entry.content).await.is_err());
    assert!(rig.get("large").await.is_none());
}

#[tokio::test]
async fn tampering_with_an_open_file_is_noticed_within_a_second() {
    let rig = Rig::new(64 * MIB).await;
    for size in [100 * KIB, 3 * MIB] {
        rig.put("hot", &body(size, 1)).await;
        assert!(rig.get("hot").await.is_some());
        let file = rig.file_of("hot");
        flip(&file, 5);
        // A file system stores times in steps; this one is surely different.
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(10);
        fs::File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_modified(later)
            .unwrap();
        let mut gone = false;
        let started = std::time::Instant::now();
        while !gone {
            gone = rig.get("hot").await.is_none();
            assert!(started.elapsed().as_secs() < 20);
        }
    }
    assert_eq!(rig.disk.stats().corrupt, 2);
}

#[tokio::test]
async fn a_file_changed_while_it_is_not_open_is_checked_again() {
    let rig = Rig::with(64 * MIB, |config| config.open_files = Some(0)).await;
    rig.put("cold", &body(MIB, 1)).await;
    let file = rig.file_of("cold");
    flip(&file, 5);
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(10);
    fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_modified(later)
        .unwrap();
    assert!(rig.get("cold").await.is_none());
    assert_eq!(rig.disk.stats().corrupt, 1);
}

#[tokio::test]
async fn removing_a_file_from_outside_is_a_miss_and_gives_its_room_back() {
    let rig = Rig::with(64 * MIB, |config| {
        config.open_files = Some(0);
        config.memory = 0;
    })
    .await;
    for size in SIZES {
        rig.put("entry", &body(size, 1)).await;
        fs::remove_file(rig.file_of("entry")).unwrap();
        assert!(rig.get("entry").await.is_none());
        assert_eq!(rig.disk.stats().entries, 0);
        assert_eq!(rig.disk.stats().used, du(rig.dir()));
        rig.put("entry", b"again").await;
        assert_eq!(rig.get("entry").await.unwrap(), "again");
        rig.disk.delete(&key("entry"), Precondition::None).await.unwrap();
    }
    assert_eq!(rig.disk.stats().corrupt, 0);
}

#[tokio::test]
async fn removing_everything_from_outside_is_survived() {
    let rig = Rig::with(64 * MIB, |config| config.memory = 0).await;
    for nth in 0..20 {
        rig.put(&nth.to_string(), &body(nth * 10 * KIB, 1)).await;
    }
    fs::remove_dir_all(rig.dir().join("entries")).unwrap();
    for nth in 0..20 {
        let bytes = body(nth * KIB, 2);
        rig.put(&nth.to_string(), &bytes).await;
        assert!(rig.get(&nth.to_string()).await.unwrap() == bytes);
    }
}

/// Changes a byte of a file and nothing that its metadata tells, and takes the file out of the page cache.
fn rot(path: &Path, at: u64) {
    let modified = path.metadata().unwrap().modified().unwrap();
    flip(path, at);
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(modified).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

#[tokio::test]
async fn bytes_that_rot_after_they_left_the_page_cache_are_a_miss_in_the_same_run() {
    for (size, at) in [(100 * KIB, 7), (3 * MIB, 0), (3 * MIB, 3 * MIB - 1)] {
        let rig = Rig::new(64 * MIB).await;
        rig.put("entry", &body(size, 1)).await;
        rig.put("other", &body(size, 2)).await;
        assert!(rig.get("entry").await.unwrap() == body(size, 1));
        let Content::File(part) = rig.disk.get(&key("entry")).await.unwrap().unwrap().content else {
            panic!("a body of {size} bytes is a file");
        };
        rot(&rig.file_of("entry"), at as u64);
        // What was found in the page cache holds for two seconds, or until a reader had to wait.
        part.waited(size as u64);
        drop(part);
        assert!(rig.get("entry").await.is_none(), "{size} bytes at {at}");
        assert_eq!(rig.disk.stats().corrupt, 1);
        // Cold bytes that are what they were are served.
        let other = fs::File::open(rig.file_of("other")).unwrap();
        other.sync_all().unwrap();
        rustix::fs::fadvise(&other, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        assert!(rig.get("other").await.unwrap() == body(size, 2));
        assert_eq!(rig.disk.stats().corrupt, 1);
    }
}
