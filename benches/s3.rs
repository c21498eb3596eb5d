//! What the two tiers cost together, over an S3 in this process whose every connection is limited to
//! 80 MB/s. `cargo bench --bench s3 [FILTER]`. Needs 3 GB of room for temporary files, and as much memory.
//!
//! Single runs, since each moves a gigabyte; ratios within one run are what counts.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    dead_code,
    missing_docs,
    unused,
    reason = "a bench fails by panicking and prints its results; it uses a part of the support of the tests"
)]

// What the tests have for peers.
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chacha::config::{DiskConfig, S3Config, WhenDown, WriteMode};
use chacha::store::disk::Disk;
use chacha::store::s3::S3;
use chacha::store::tiered::{Policy, Revalidation, Tiered};
use chacha::store::{Draft, Metadata, Origin, Precondition, Protocol, Store, StoreKey};
use chacha::tasks::Tasks;
use futures_util::StreamExt;
use futures_util::future::join_all;
use support::s3::{Action, Kind, S3Server};

const MIB: usize = 1 << 20;
const RATE: u64 = 80_000_000;

/// A disk in front of the bucket.
struct Pair {
    disk: Arc<Disk>,
    tiered: Tiered,
    _dir: tempfile::TempDir,
}

async fn pair(config: S3Config, write: WriteMode) -> Pair {
    let dir = tempfile::tempdir().unwrap();
    let tasks = Tasks::new();
    let disk = Disk::open(&DiskConfig::new(dir.path().join("cache"), 8 << 30), &tasks)
        .await
        .unwrap();
    disk.indexed().await;
    let far = S3::open(&config, None, &tasks).await.unwrap();
    let policy = Policy {
        write,
        when_down: WhenDown::Refuse,
        queue_limit: 4 << 30,
        revalidation: Revalidation::Never,
        redirect: false,
    };
    let tiered = Tiered::start(Arc::clone(&disk), far, policy, &tasks)
        .await
        .unwrap();
    Pair {
        disk,
        tiered,
        _dir: dir,
    }
}

fn key(name: &str) -> StoreKey {
    StoreKey::new(
        "https://issuer".into(),
        "tenant".into(),
        Protocol::Http,
        name.as_bytes(),
    )
}

impl Pair {
    /// How long a write takes, without receiving its body.
    async fn put(&self, name: &str, length: usize) -> Duration {
        let mut writer = self.disk.spools().create(Some(length as u64)).await.unwrap();
        let piece = Bytes::from(vec![7; MIB]);
        for _ in 0..length / MIB {
            writer.write(piece.clone()).await.unwrap();
        }
        let origin = Origin {
            issuer: "https://issuer".into(),
            subject: "bench".into(),
            stored: std::time::SystemTime::now(),
            tenancy: None,
        };
        let draft = Draft {
            origin,
            metadata: Metadata::default(),
        };
        let spool = writer.finish().await.unwrap();
        let began = Instant::now();
        let key = key(name);
        let put = self.tiered.put(&key, draft, spool, Precondition::None);
        put.await.unwrap();
        began.elapsed()
    }

    /// How long it takes to the first and to the last byte.
    async fn get(&self, name: &str) -> (Duration, Duration, u64) {
        let began = Instant::now();
        let entry = self.tiered.get(&key(name)).await.unwrap().unwrap();
        let mut pieces = entry.content.pieces();
        let (mut first, mut bytes) = (None, 0);
        while let Some(piece) = pieces.next().await {
            first.get_or_insert_with(|| began.elapsed());
            bytes += piece.unwrap().len() as u64;
        }
        (first.unwrap_or_default(), began.elapsed(), bytes)
    }
}

fn megabytes(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / 1e6 / time.as_secs_f64()
}

/// A cold gigabyte: parallel ranges against a single stream.
async fn cold(s3: &S3Server) {
    let writer = pair(s3.config(S3Server::BUCKET), WriteMode::Through).await;
    writer.put("cold", 1024 * MIB).await;
    s3.faults().always(Kind::Get, Action::Rate(RATE));
    let mut times = Vec::new();
    for (name, parallel, part) in [("a single stream", 1, 1 << 30), ("parallel ranges", 8, 8 << 20)] {
        let mut config = s3.config(S3Server::BUCKET);
        config.parallel_parts = parallel;
        config.part_size = part;
        let reader = pair(config, WriteMode::Through).await;
        let (first, whole, bytes) = reader.get("cold").await;
        let rate = megabytes(bytes, whole);
        println!("cold 1 GiB, {name}: first byte {first:.1?}, whole {whole:.1?}, {rate:.0} MB/s");
        times.push(whole);
    }
    let ratio = times[0].as_secs_f64() / times[1].as_secs_f64();
    println!("parallel ranges are {ratio:.1} times as fast");
    s3.faults().clear();
}

/// A hundred clients that wait for one object.
async fn crowd(s3: &S3Server) {
    let writer = pair(s3.config(S3Server::BUCKET), WriteMode::Through).await;
    writer.put("crowd", 64 * MIB).await;
    let reader = pair(s3.config(S3Server::BUCKET), WriteMode::Through).await;
    s3.forget();
    let began = Instant::now();
    let read = join_all((0..100).map(|_| reader.get("crowd"))).await;
    let bytes: u64 = read.iter().map(|(_, _, bytes)| bytes).sum();
    println!(
        "100 readers of one cold 64 MiB: {:.1?}, {} MB delivered, {} MB fetched with {} requests",
        began.elapsed(),
        bytes / 1_000_000,
        s3.response_bytes() / 1_000_000,
        s3.count(Kind::Get)
    );
}

/// 100 MiB are stored.
async fn put(s3: &S3Server) {
    for write in [WriteMode::Through, WriteMode::Back] {
        let writer = pair(s3.config(S3Server::BUCKET), write).await;
        let mut times = Vec::new();
        for nth in 0..5 {
            times.push(writer.put(&format!("put {nth}"), 100 * MIB).await);
        }
        times.sort_unstable();
        let rate = megabytes(100 << 20, times[2]);
        println!(
            "put 100 MiB, write {write:?}: median {:.1?}, {rate:.0} MB/s",
            times[2]
        );
    }
}

fn main() {
    let filter = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let wanted = |name: &str| {
        filter
            .as_ref()
            .is_none_or(|filter| name.contains(filter.as_str()))
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let s3 = S3Server::memory();
        if wanted("put") {
            put(&s3).await;
        }
        if wanted("crowd") {
            crowd(&s3).await;
        }
        if wanted("cold") {
            cold(&s3).await;
        }
    });
}
