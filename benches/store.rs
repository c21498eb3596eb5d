//! What an operation of the local tier costs, without a network. `cargo bench --bench store`.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench fails by panicking, and is documented above"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use chacha::cache::load::TenantLoads;
use chacha::config::{DiskConfig, Durability, TenantRule};
use chacha::store::disk::Disk;
use chacha::store::disk::probe::IndexProbe;
use chacha::store::tenant_rules::TenantRules;
use chacha::store::{Draft, Metadata, Origin, Precondition, Protocol, Store, StoreKey, Tenant};
use chacha::tasks::Tasks;
use divan::{AllocProfiler, Bencher};
use futures_util::FutureExt;
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

struct Rig {
    disk: Arc<Disk>,
    runtime: Runtime,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn new(memory: u64, open_files: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let config = DiskConfig {
            dir: dir.path().join("cache"),
            limit: 4 << 30,
            min_free: 0,
            durability: Durability::Relaxed,
            memory,
            open_files: Some(open_files),
            revalidate_after: None,
        };
        let disk = runtime.block_on(async {
            let disk = Disk::open(&config, &Tasks::new()).await.unwrap();
            disk.indexed().await;
            disk
        });
        Self {
            disk,
            runtime,
            _dir: dir,
        }
    }

    fn put(&self, key: &StoreKey, body: &Bytes) {
        self.runtime.block_on(async {
            let mut writer = self.disk.spools().create(Some(body.len() as u64)).await.unwrap();
            for start in (0..body.len()).step_by(64 * 1024) {
                let piece = body.slice(start..body.len().min(start + 64 * 1024));
                writer.write(piece).await.unwrap();
            }
            let spool = writer.finish().await.unwrap();
            let put = self.disk.put(key, draft(), spool, Precondition::None).await;
            put.unwrap();
        });
    }
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

fn key(name: u64) -> StoreKey {
    let name = name.to_string();
    StoreKey::new(
        "https://issuer".into(),
        "tenant".into(),
        Protocol::Http,
        name.as_bytes(),
    )
}

fn body(length: usize) -> Bytes {
    vec![7; length].into()
}

#[divan::bench(args = [1024, 1 << 20])]
fn hot_get(bencher: Bencher<'_, '_>, size: usize) {
    let rig = Rig::new(32 << 20, 64);
    rig.put(&key(0), &body(size));
    let key = key(0);
    bencher.bench_local(|| rig.runtime.block_on(rig.disk.get(&key)).unwrap().unwrap());
}

/// Look-ups of many hot entries by one and by two threads, counted for their tenants where a rule bounds requests.
#[divan::bench(threads = [1, 2], args = [false, true], sample_count = 2000, sample_size = 500)]
fn hot_get_for_tenants(bencher: Bencher<'_, '_>, is_bounded: bool) {
    let rig = Rig::new(64 << 20, 64);
    let keys: Vec<_> = (0..8192).map(key).collect();
    keys.iter().for_each(|key| rig.put(key, &body(256)));
    let rules = TenantRules::new(&bounds(is_bounded), 1 << 30);
    let loads = TenantLoads::new(rules);
    let tenant = |nth: u64| Tenant::new("https://issuer", &nth.to_string(), None).unwrap();
    let tenants: Vec<_> = (0..64).map(tenant).collect();
    let disk = &rig.disk;
    let next = AtomicUsize::new(0);
    bencher
        // Each look-up of a thread has another key and another tenant than that before it.
        .with_inputs(|| next.fetch_add(1, Ordering::Relaxed) * 7919)
        .bench_values(|nth| {
            let _place = loads.enter(&tenants[nth % tenants.len()]).unwrap();
            let got = disk.get(&keys[nth % keys.len()]).now_or_never();
            got.unwrap().unwrap().unwrap()
        });
}

/// A rule that bounds requests, or none.
fn bounds(is_bounded: bool) -> Vec<TenantRule> {
    let rule = TenantRule {
        pattern: "*".into(),
        requests_in_flight: Some(1000),
        ..TenantRule::default()
    };
    is_bounded.then_some(rule).into_iter().collect()
}

#[divan::bench]
fn hot_head(bencher: Bencher<'_, '_>) {
    let rig = Rig::new(32 << 20, 64);
    rig.put(&key(0), &body(1024));
    let key = key(0);
    bencher.bench_local(|| rig.runtime.block_on(rig.disk.head(&key)).unwrap().unwrap());
}

#[divan::bench]
fn miss(bencher: Bencher<'_, '_>) {
    let rig = Rig::new(32 << 20, 64);
    let key = key(0);
    bencher.bench_local(|| rig.runtime.block_on(rig.disk.get(&key)).unwrap());
}

/// Nothing may stay hot: every look-up opens the file and reads its description.
#[divan::bench(args = [1024, 1 << 20])]
fn cold_open(bencher: Bencher<'_, '_>, size: usize) {
    let rig = Rig::new(0, 0);
    rig.put(&key(0), &body(size));
    let key = key(0);
    bencher.bench_local(|| rig.runtime.block_on(rig.disk.get(&key)).unwrap().unwrap());
}

#[divan::bench(args = [1024, 1 << 20], sample_count = 200)]
fn put(bencher: Bencher<'_, '_>, size: usize) {
    let rig = Rig::new(32 << 20, 64);
    let body = body(size);
    let mut name = 0;
    bencher.bench_local(|| {
        // The same names again and again: with and without a former version to unlink.
        name = (name + 1) % 1000;
        rig.put(&key(name), &body);
    });
}

const MANY: u64 = 1_000_000;

#[divan::bench(args = [1, 100, 100_000], sample_count = 20, sample_size = 10_000)]
fn index_hit_among_a_million(bencher: Bencher<'_, '_>, tenants: u64) {
    let index = IndexProbe::with_entries(MANY, tenants);
    let mut nth = 0;
    bencher.bench_local(|| {
        nth = (nth + 7919) % MANY;
        assert!(index.hit(nth + 1));
    });
}

#[divan::bench(args = [1, 100, 100_000], sample_count = 20, sample_size = 10_000)]
fn index_insert_and_evict_among_a_million(bencher: Bencher<'_, '_>, tenants: u64) {
    let mut index = IndexProbe::with_entries(MANY, tenants);
    bencher.bench_local(|| {
        index.insert();
        index.evict();
    });
}

#[divan::bench(args = [1, 100, 100_000], sample_count = 20, sample_size = 10_000)]
fn choosing_who_gives_room(bencher: Bencher<'_, '_>, tenants: u64) {
    let index = IndexProbe::with_entries(MANY, tenants);
    let mut nth = 0;
    bencher.bench_local(|| {
        nth += 7919;
        assert!(index.choose(nth));
    });
}

/// Look at the bytes: what 100,000 tenants take more than one, with an entry each.
#[divan::bench(args = [1, 100_000], sample_count = 1, sample_size = 1)]
fn memory_of_tenants(tenants: u64) -> IndexProbe {
    IndexProbe::with_entries(100_000, tenants)
}

#[divan::bench(args = [1, 100, 100_000], sample_count = 20, sample_size = 10_000)]
fn share(bencher: Bencher<'_, '_>, tenants: u64) {
    let index = IndexProbe::with_entries(MANY, tenants);
    let mut nth = 0;
    bencher.bench_local(|| {
        nth += 7919;
        index.share(nth)
    });
}
