//! A directory with very many entries: makes one, opens it, and says what the start, the memory and the snapshot cost.
//!
//! ```text
//! cargo bench --bench entries -- make DIR ENTRIES     tiny entries through the tier itself, then a clean stop
//! cargo bench --bench entries -- open DIR ENTRIES     first hit, end of the scan, memory, bytes written by a stop
//! cargo bench --bench entries -- kill DIR ENTRIES     the same, and ends without a stop: open it again after that
//! ```
//!
//! Every entry is a file of some 200 bytes. A volume for ten million of them needs as many inodes, and room:
//!
//! ```text
//! truncate -s 24G volume; mkfs.ext4 -q -b 1024 -I 1024 -O inline_data -N 11000000 volume; mount -o loop volume DIR
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench fails by panicking, prints its figures, and is documented above"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use bytes::Bytes;
use chacha::config::{DiskConfig, Durability};
use chacha::store::disk::Disk;
use chacha::store::{Draft, Metadata, Origin, Precondition, Protocol, Store, StoreKey};
use chacha::tasks::Tasks;
use futures_util::{StreamExt, stream};

/// Puts under way at one time.
const PUTS: usize = 64;
/// Entries that are hit after the first one.
const HITS: u64 = 1000;

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let [what, dir, entries] = words.as_slice() else {
        return println!("make|open|kill DIR ENTRIES");
    };
    let entries: u64 = entries.parse().unwrap();
    match what.as_str() {
        "make" => make(Path::new(dir), entries).await,
        what => look(Path::new(dir), entries, what == "kill").await,
    }
}

async fn open(dir: &Path) -> Arc<Disk> {
    let config = DiskConfig {
        dir: dir.join("cache"),
        limit: 1 << 50,
        min_free: 0,
        durability: Durability::Relaxed,
        memory: 1 << 20,
        open_files: Some(64),
        revalidate_after: None,
    };
    Disk::open(&config, &Tasks::new()).await.unwrap()
}

async fn make(dir: &Path, entries: u64) {
    let disk = open(dir).await;
    disk.indexed().await;
    let start = Instant::now();
    let put = |nth: u64| {
        let disk = Arc::clone(&disk);
        async move {
            let body = Bytes::from(nth.to_string());
            let mut writer = disk.spools().create(Some(body.len() as u64)).await.unwrap();
            writer.write(body).await.unwrap();
            let spool = writer.finish().await.unwrap();
            disk.put(&key(nth), draft(), spool, Precondition::None)
                .await
                .unwrap();
        }
    };
    let mut puts = stream::iter(0..entries).map(put).buffer_unordered(PUTS);
    while puts.next().await.is_some() {}
    println!("{entries} entries in {:.1?}", start.elapsed());
    close(&disk).await;
}

async fn look(dir: &Path, entries: u64, kill: bool) {
    let (start, idle) = (Instant::now(), memory());
    let disk = open(dir).await;
    println!("open              {:.3?}", start.elapsed());
    hit(&disk, entries / 3).await;
    println!("first hit         {:.3?}", start.elapsed());
    let mut slowest = Duration::ZERO;
    for nth in 0..HITS {
        let begun = Instant::now();
        hit(&disk, nth * 7919 % entries).await;
        slowest = slowest.max(begun.elapsed());
    }
    println!(
        "{HITS} hits         {:.3?}, the slowest took {slowest:.3?}",
        start.elapsed()
    );
    disk.indexed().await;
    let held = disk.stats().entries as u64;
    println!("index complete    {:.3?}, {held} entries", start.elapsed());
    let (now, peak) = memory();
    println!(
        "memory            {} bytes an entry, at most {}",
        (now - idle.0) / held.max(1),
        (peak - idle.0) / held.max(1)
    );
    if kill {
        std::process::exit(0);
    }
    close(&disk).await;
}

async fn hit(disk: &Disk, nth: u64) {
    let entry = disk.get(&key(nth)).await.unwrap().expect("the entry");
    assert_eq!(entry.meta.size, nth.to_string().len() as u64);
}

async fn close(disk: &Disk) {
    let (start, before) = (Instant::now(), written());
    disk.close().await;
    println!(
        "stop              {:.3?}, {} bytes written",
        start.elapsed(),
        written() - before
    );
}

/// Bytes of memory that this process has, and had at most.
fn memory() -> (u64, u64) {
    (
        figure("/proc/self/status", "VmRSS:") << 10,
        figure("/proc/self/status", "VmHWM:") << 10,
    )
}

/// Bytes that this process has written to files.
fn written() -> u64 {
    figure("/proc/self/io", "wchar:")
}

fn figure(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn key(nth: u64) -> StoreKey {
    StoreKey::new(
        "https://issuer".into(),
        "tenant".into(),
        Protocol::Http,
        nth.to_string().as_bytes(),
    )
}

fn draft() -> Draft {
    Draft {
        origin: Origin {
            issuer: "https://issuer".into(),
            subject: "job".into(),
            stored: UNIX_EPOCH,
            tenancy: None,
        },
        metadata: Metadata::default(),
    }
}
