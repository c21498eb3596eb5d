//! What a look-up in the index of the Actions cache costs, and the start with a long ledger.
//! `cargo bench --bench actions`.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench fails by panicking, and is documented above"
)]

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use chacha::cache::actions::entry::{CommittedEntry, EntryRecord, NamespaceId};
use chacha::cache::actions::index::ActionsIndex;
use chacha::cache::actions::ledger::{Ledger, LedgerItem, LedgerSite, SpaceAccount};
use chacha::cache::actions::{CacheKey, Version};
use chacha::store::Result;
use chacha::store::journal::Ulid;
use chacha::tasks::Tasks;
use divan::Bencher;

/// Entries of one namespace.
const ENTRIES: u64 = 1_000_000;

fn main() {
    divan::main();
}

fn namespace() -> NamespaceId {
    NamespaceId::new(
        "https://token.actions.githubusercontent.com".into(),
        "github/acme/app/refs/heads/main".into(),
    )
}

fn version() -> Version {
    Version::new(&"0123456789abcdef".repeat(4)).unwrap()
}

/// Numbers that look like digests.
fn mix(nth: u64) -> u64 {
    let mut x = nth.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// As `runner.os`, a tool and `hashFiles` give them: 80 bytes.
fn text(nth: u64) -> String {
    let hash = mix(nth);
    format!(
        "Linux-tool-{:02}-{hash:016x}{:016x}{:032x}",
        nth % 20,
        mix(hash),
        0
    )
}

fn key(nth: u64) -> CacheKey {
    CacheKey::new(&text(nth)).unwrap()
}

fn record(nth: u64) -> EntryRecord {
    EntryRecord {
        // A ledger is in this order, too.
        created: 1_700_000_000_000 + nth,
        id: Ulid(u128::from(mix(nth)) << 32 | u128::from(nth)),
        size: nth,
        tag: [0; 16],
    }
}

fn entry(namespace: &NamespaceId, version: &Version, nth: u64) -> CommittedEntry {
    CommittedEntry {
        namespace: namespace.clone(),
        version: version.clone(),
        key: key(nth),
        record: record(nth),
    }
}

static FULL: LazyLock<ActionsIndex> = LazyLock::new(|| {
    let (index, namespace, version) = (ActionsIndex::default(), namespace(), version());
    for nth in 0..ENTRIES {
        index.insert(&entry(&namespace, &version, nth));
    }
    index
});

/// Keys made ahead, each of another place in the tree.
fn keys(make: impl Fn(u64) -> CacheKey) -> impl FnMut() -> CacheKey {
    let keys: Vec<_> = (0..4096).map(|nth| make(mix(nth) % ENTRIES)).collect();
    let mut nth = 0;
    move || {
        nth = (nth + 1) % keys.len();
        keys[nth].clone()
    }
}

#[divan::bench]
fn exact_hit(bencher: Bencher<'_, '_>) {
    let (index, namespace, version) = (&*FULL, namespace(), version());
    bencher
        .with_inputs(keys(key))
        .bench_local_refs(|key| index.exact(&namespace, &version, key).unwrap());
}

#[divan::bench(args = [14, 15, 17, 30])]
fn prefix_hit(bencher: Bencher<'_, '_>, length: usize) {
    let (index, namespace, version) = (&*FULL, namespace(), version());
    bencher
        .with_inputs(keys(|nth| CacheKey::new(&text(nth)[..length]).unwrap()))
        .bench_local_refs(|key| index.newest(&namespace, &version, key.as_str()).unwrap());
}

#[divan::bench]
fn miss(bencher: Bencher<'_, '_>) {
    let (index, namespace, version) = (&*FULL, namespace(), version());
    bencher
        .with_inputs(keys(|nth| key(nth + ENTRIES)))
        .bench_local_refs(|key| index.exact(&namespace, &version, key).is_none());
}

/// A new primary key, then three restore keys of which the last one fits.
#[divan::bench]
fn in_the_order_of_github(bencher: Bencher<'_, '_>) {
    let (index, namespaces, version) = (&*FULL, [namespace()], version());
    let mut primary = keys(|nth| key(nth + ENTRIES));
    let [one, two, three] =
        ["Linux-tool-99-", "Linux-another-", "Linux-tool-"].map(|key| CacheKey::new(key).unwrap());
    bencher
        .with_inputs(move || [primary(), one.clone(), two.clone(), three.clone()])
        .bench_local_refs(|keys| index.find(&namespaces, &version, keys, &[]).unwrap());
}

#[divan::bench]
fn list_the_newest_hundred(bencher: Bencher<'_, '_>) {
    let (index, namespace, versions) = (&*FULL, namespace(), [version()]);
    bencher.bench_local(|| index.newest_first(&namespace, &versions, "Linux-tool-07", 100));
}

#[divan::bench]
fn insert_and_remove(bencher: Bencher<'_, '_>) {
    static NEXT: AtomicU64 = AtomicU64::new(2 * ENTRIES);
    let (index, namespace, version) = (&*FULL, namespace(), version());
    bencher
        .with_inputs(|| {
            let nth = NEXT.fetch_add(1, Ordering::Relaxed);
            entry(&namespace, &version, nth)
        })
        .bench_local_refs(|entry| {
            index.insert(entry);
            index.remove(entry)
        });
}

#[derive(Debug)]
struct Free;

#[async_trait]
impl SpaceAccount for Free {
    fn adjust(&self, _bytes: i64) {}

    async fn claim(&self, _bytes: u64) -> Result<()> {
        Ok(())
    }
}

fn open(folder: &Path, tasks: &Tasks) -> (Ledger, Arc<ActionsIndex>) {
    let index = Arc::new(ActionsIndex::default());
    let site = LedgerSite {
        folder: folder.to_owned(),
        sync: false,
        account: Arc::new(Free),
    };
    (Ledger::open(site, Arc::clone(&index), tasks), index)
}

/// As a commit does: the index first.
async fn add(ledger: &Ledger, index: &ActionsIndex, numbers: std::ops::Range<u64>) {
    let (namespace, version) = (namespace(), version());
    let items = numbers.map(|nth| {
        let entry = entry(&namespace, &version, nth);
        index.insert(&entry);
        LedgerItem::Committed(entry)
    });
    ledger.append(items.collect()).await.unwrap();
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn load_the_ledger(bencher: Bencher<'_, '_>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        let tasks = Tasks::new();
        let (ledger, index) = open(dir.path(), &tasks);
        for start in (0..ENTRIES).step_by(10_000) {
            add(&ledger, &index, start..start + 10_000).await;
        }
        tasks.finish().await;
    });
    bencher.bench_local(|| {
        runtime.block_on(async {
            let tasks = Tasks::new();
            let (ledger, index) = open(dir.path(), &tasks);
            ledger.loaded().await;
            assert_eq!(index.len() as u64, ENTRIES);
            tasks.finish().await;
            // Dropping a million entries is not part of a start.
            index
        })
    });
}

/// One commit, its line in the file.
#[divan::bench]
fn append_to_the_ledger(bencher: Bencher<'_, '_>) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let (dir, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let _inside = runtime.enter();
    let (ledger, index) = open(dir.path(), &tasks);
    bencher.bench_local(|| {
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        runtime.block_on(add(&ledger, &index, nth..nth + 1));
    });
}
