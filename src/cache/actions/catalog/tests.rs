//! Several catalogs over one journal, which can be slow, away and wrong.

mod told;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use tokio::sync::Semaphore;

use super::*;
use crate::cache::actions::ledger::SpaceAccount;
use crate::store::journal::{next_ulid, now_millis};
use crate::store::shared::{ListedObject, ObjectPage, SharedObjects};
use crate::store::{Error, RemoteErrorKind, Result, StoreKey};

/// The longest record that is listed is 200 bytes long.
const MAX_NAME_BYTES: usize = 8 + 64 + 1 + 26 + 1 + 267;

/// A journal in memory. Pages have two records.
#[derive(Debug)]
struct Memory {
    objects: Mutex<BTreeMap<String, Bytes>>,
    down: AtomicBool,
    lists: AtomicUsize,
    reads: AtomicUsize,
    /// From where on it was last listed.
    after: Mutex<Option<Ulid>>,
    /// Each listing takes one of these.
    turns: Semaphore,
}

impl Memory {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            objects: Mutex::default(),
            down: AtomicBool::new(false),
            lists: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            after: Mutex::default(),
            turns: Semaphore::new(1 << 20),
        })
    }
    fn answer(&self) -> Result<()> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(Error::remote("asking", RemoteErrorKind::Resting, "not now")),
            false => Ok(()),
        }
    }
    fn lists(&self) -> usize {
        self.lists.load(Ordering::SeqCst)
    }
    /// Another server says this, by its own clock.
    fn put(&self, namespace: &NamespaceId, id: Ulid, record: impl Into<Bytes>) {
        let (record, name) = (record.into(), format!("journal/{}/{id}", namespace.stream()));
        let listed = format!("{name}.{}", URL_SAFE_NO_PAD.encode(&record));
        let mut objects = self.objects.lock().unwrap();
        match listed.len() {
            0..=MAX_NAME_BYTES => objects.insert(listed, Bytes::new()),
            _ => objects.insert(name, record),
        };
    }
    fn tell(&self, id: Ulid, entry: &CommittedEntry) {
        self.put(&entry.namespace, id, journal_record::encode(entry));
    }
}

#[async_trait]
impl SharedObjects for Memory {
    fn max_name_bytes(&self) -> usize {
        MAX_NAME_BYTES
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.answer()?;
        Ok(self.objects.lock().unwrap().get(name).cloned())
    }

    async fn put(&self, name: &str, content: Bytes) -> Result<()> {
        self.answer()?;
        self.objects.lock().unwrap().insert(name.to_owned(), content);
        Ok(())
    }

    async fn create(&self, _name: &str, _content: Bytes) -> Result<bool> {
        unreachable!("a journal creates nothing");
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.objects.lock().unwrap().remove(name);
        Ok(())
    }

    async fn list_page(&self, prefix: &str, after: Option<&str>) -> Result<ObjectPage> {
        self.lists.fetch_add(1, Ordering::SeqCst);
        let first = after.is_none_or(|after| after.ends_with('~'));
        let name = after.map(|after| after.trim_start_matches(prefix).trim_end_matches('~'));
        if first {
            *self.after.lock().unwrap() = name.map(|name| Ulid::from_string(name).unwrap());
        }
        self.turns.acquire().await.unwrap().forget();
        self.answer()?;
        let from = Bound::Excluded(after.unwrap_or(prefix).to_owned());
        let objects = self.objects.lock().unwrap();
        let fitting = objects.range((from, Bound::Unbounded));
        let mut names: Vec<_> = fitting
            .map(|(name, _)| name.clone())
            .take_while(|name| name.starts_with(prefix))
            .collect();
        let more = names.len() > 2;
        names.truncate(2);
        let next = names.last().filter(|_| more).cloned();
        let listed = |name| ListedObject { name, written: None };
        let objects = names.into_iter().map(listed).collect();
        Ok(ObjectPage { objects, next })
    }
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

fn over(journal: &Arc<Memory>) -> Catalog {
    with(journal, None, &Tasks::new())
}

fn with(journal: &Arc<Memory>, folder: Option<&Path>, tasks: &Tasks) -> Catalog {
    let site = folder.map(|folder| LedgerSite {
        folder: folder.join("actions"),
        sync: false,
        account: Arc::new(Free),
    });
    let parts = CatalogParts {
        ledger: site,
        journal: Some(Journal::new(Arc::clone(journal) as Arc<_>)),
        liveness: None,
        notes: None,
        index_memory: None,
    };
    Catalog::open(parts, tasks)
}

fn namespace(path: &str) -> NamespaceId {
    NamespaceId::new("https://issuer".into(), path.into())
}

fn key(text: &str) -> CacheKey {
    CacheKey::new(text).unwrap()
}

fn version() -> Version {
    Version::new("version").unwrap()
}

fn entry(text: &str) -> CommittedEntry {
    let record = EntryRecord {
        created: now_millis(),
        id: next_ulid(),
        size: 7,
        tag: [1; 16],
    };
    CommittedEntry {
        namespace: namespace("tenant"),
        version: version(),
        key: key(text),
        record,
    }
}

async fn commit(catalog: &Catalog, entry: &CommittedEntry) {
    catalog.commit(entry.clone()).await;
}

/// What a look-up of these keys finds in the namespace of [`entry`].
async fn find(catalog: &Catalog, keys: &[&str]) -> Option<String> {
    let keys: Vec<_> = keys.iter().map(|text| key(text)).collect();
    let found = catalog.find(&[namespace("tenant")], &version(), &keys, &[]).await;
    found.map(|found| found.entry.key.as_str().to_owned())
}

async fn rest() {
    tokio::time::advance(Duration::from_millis(1001)).await;
}

#[tokio::test(start_paused = true)]
async fn what_one_commits_the_other_finds() {
    let journal = Memory::new();
    let (one, two) = (over(&journal), over(&journal));
    for text in ["k-1", "k-2", "k-3", "other"] {
        commit(&one, &entry(text)).await;
    }
    assert_eq!(find(&two, &["k-1"]).await.unwrap(), "k-1");
    assert_eq!(find(&two, &["k-"]).await.unwrap(), "k-3");
    assert_eq!(find(&two, &["x", "o"]).await.unwrap(), "other");
    assert_eq!(two.stats().entries, 4);
    // Not into another namespace.
    assert_eq!(
        two.find(&[namespace("stranger")], &version(), &[key("k-1")], &[])
            .await,
        None
    );
    assert_eq!(
        two.exact(&namespace("stranger"), &version(), &key("k-1")).await,
        None
    );
    // A newer one counts although an older one fits.
    rest().await;
    commit(&one, &entry("k-4")).await;
    assert_eq!(find(&two, &["k-"]).await.unwrap(), "k-4");
}

#[tokio::test(start_paused = true)]
async fn the_journal_is_asked_once_a_second_and_not_for_an_exact_hit() {
    let journal = Memory::new();
    let (one, two) = (over(&journal), over(&journal));
    for _ in 0..3 {
        assert_eq!(find(&two, &["k"]).await, None);
    }
    assert_eq!(journal.lists(), 1);
    let stored = entry("k");
    commit(&one, &stored).await;
    assert_eq!(find(&two, &["k"]).await, None);
    rest().await;
    assert_eq!(
        two.exact(&stored.namespace, &stored.version, &stored.key).await,
        Some(stored.record)
    );
    assert_eq!(journal.lists(), 2);
    rest().await;
    assert_eq!(find(&two, &["k"]).await.unwrap(), "k");
    assert_eq!(two.list(&[namespace("tenant")], "", 10).await, [stored]);
    assert_eq!(journal.lists(), 2);
    // In a fallback, only the namespaces before it may have news.
    let namespaces = [namespace("branch"), namespace("tenant"), namespace("another")];
    let found = two.find(&namespaces, &version(), &[key("k")], &[]).await.unwrap();
    assert_eq!((found.position, found.exact), (1, true));
    assert_eq!(journal.lists(), 3);
}

#[tokio::test(start_paused = true)]
async fn callers_at_once_share_one_listing() {
    let journal = Memory::new();
    commit(&over(&journal), &entry("k")).await;
    let two = over(&journal);
    let found = join_all((0..50).map(|_| find(&two, &["k"]))).await;
    assert!(found.iter().all(|found| found.as_deref() == Some("k")));
    assert_eq!(journal.lists(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_hangs_costs_bounded_time_once() {
    let journal = Memory::new();
    let two = over(&journal);
    two.learn(entry("old")).await;
    journal.turns.forget_permits(1 << 20);
    let begin = Instant::now();
    assert_eq!(find(&two, &["new", "o"]).await.unwrap(), "old");
    // The first reading of a namespace.
    assert_eq!(begin.elapsed().as_secs(), 5);
    assert_eq!(find(&two, &["new", "o"]).await.unwrap(), "old");
    assert_eq!(begin.elapsed().as_secs(), 5);
    commit(&over(&journal), &entry("new")).await;
    // It went on in the background.
    journal.turns.add_permits(1);
    tokio::task::yield_now().await;
    rest().await;
    assert_eq!(journal.lists(), 1);
    assert_eq!(find(&two, &["new"]).await.unwrap(), "new");
    let begin = Instant::now();
    assert_eq!(find(&two, &["newer"]).await, None);
    assert_eq!(begin.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_fails_changes_nothing_and_is_left_alone_for_a_second() {
    let journal = Memory::new();
    let two = over(&journal);
    two.learn(entry("old")).await;
    journal.down.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(find(&two, &["o"]).await.unwrap(), "old");
    }
    assert_eq!(journal.lists(), 1);
    rest().await;
    assert_eq!(find(&two, &["x"]).await, None);
    assert_eq!(journal.lists(), 2);
}

#[tokio::test(start_paused = true)]
async fn clocks_may_differ() {
    let journal = Memory::new();
    let two = over(&journal);
    let by = |millis: u64| Ulid::from_parts(millis, next_ulid().random());
    // Far ahead: what others write is still seen, and this one is taken once.
    let ahead = entry("ahead");
    journal.tell(by(now_millis() + 3_600_000), &ahead);
    assert_eq!(find(&two, &["ahead"]).await.unwrap(), "ahead");
    two.forget(&ahead).await;
    for (nth, late) in [0, 20_000, 50_000].into_iter().enumerate() {
        let text = format!("late-{nth}");
        journal.tell(by(now_millis() - late), &entry(&text));
        rest().await;
        assert_eq!(find(&two, &[&text]).await.as_ref(), Some(&text));
        assert_eq!(find(&two, &["ahead"]).await, None);
    }
    assert_eq!(two.stats().entries, 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_does_not_come_back_from_the_journal() {
    let journal = Memory::new();
    let (one, two) = (over(&journal), over(&journal));
    let stored = entry("k");
    commit(&one, &stored).await;
    for text in ["k-1", "k-2"] {
        commit(&one, &entry(text)).await;
    }
    assert_eq!(find(&two, &["k"]).await.unwrap(), "k");
    two.forget(&stored).await;
    rest().await;
    assert_eq!(find(&two, &["k"]).await.unwrap(), "k-2");
    // Another entry under the same key is not meant.
    let again = entry("k");
    commit(&one, &again).await;
    rest().await;
    assert_eq!(find(&two, &["k"]).await.unwrap(), "k");
    two.forget(&stored).await;
    assert_eq!(
        two.exact(&again.namespace, &again.version, &again.key).await,
        Some(again.record)
    );
}

#[tokio::test(start_paused = true)]
async fn long_records_are_read_and_strange_ones_skipped() {
    let journal = Memory::new();
    let two = over(&journal);
    let long = "k".repeat(500);
    journal.put(&namespace("tenant"), next_ulid(), "nothing that anybody knows");
    journal.tell(next_ulid(), &entry(&long));
    journal.put(&namespace("tenant"), next_ulid(), "");
    journal.tell(next_ulid(), &entry("last"));
    assert_eq!(find(&two, &["last"]).await.unwrap(), "last");
    assert_eq!(find(&two, &["kk"]).await, Some(long));
    rest().await;
    assert_eq!(find(&two, &["x"]).await, None);
    assert_eq!(journal.reads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_restart_goes_on_where_the_journal_was_read() {
    let (journal, dir, tasks) = (Memory::new(), tempfile::tempdir().unwrap(), Tasks::new());
    let told: Vec<_> = (0..5).map(|nth| entry(&format!("k-{nth}"))).collect();
    for entry in &told {
        journal.tell(next_ulid(), entry);
    }
    let two = with(&journal, Some(dir.path()), &tasks);
    assert_eq!(find(&two, &["k"]).await.unwrap(), "k-4");
    two.forget(&told[4]).await;
    commit(&two, &entry("own")).await;
    tasks.finish().await;
    let tasks = Tasks::new();
    let two = with(&journal, Some(dir.path()), &tasks);
    two.loaded().await;
    assert_eq!(two.stats().entries, 5);
    assert_eq!(find(&two, &["k-3"]).await.unwrap(), "k-3");
    assert_eq!(find(&two, &["own"]).await.unwrap(), "own");
    assert_eq!(find(&two, &["nothing"]).await, None);
    let after = journal.after.lock().unwrap().expect("a cursor");
    let behind = now_millis() - after.timestamp_ms();
    assert!((60_000..120_000).contains(&behind), "{behind} ms");
    tasks.finish().await;
}

#[derive(Debug)]
struct Evicted(Vec<StoreKey>);

#[async_trait]
impl Liveness for Evicted {
    async fn is_gone(&self, key: &StoreKey) -> Option<bool> {
        (!key.short().starts_with('0')).then(|| self.0.contains(key))
    }
}

#[tokio::test]
async fn what_is_known_to_be_gone_is_pruned_for_good() {
    let (dir, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let entries: Vec<_> = (0..600).map(|nth| entry(&format!("k-{nth}"))).collect();
    let name = |entry: &CommittedEntry| entry.namespace.store_key(&entry.version, &entry.key);
    let gone: Vec<_> = entries.iter().step_by(2).map(name).collect();
    let known = gone.iter().filter(|key| !key.short().starts_with('0')).count();
    let open = |tasks: &Tasks| {
        let site = LedgerSite {
            folder: dir.path().join("actions"),
            sync: false,
            account: Arc::new(Free),
        };
        let parts = CatalogParts {
            ledger: Some(site),
            journal: None,
            liveness: Some(Arc::new(Evicted(gone.clone()))),
            notes: None,
            index_memory: None,
        };
        Catalog::open(parts, tasks)
    };
    let catalog = open(&tasks);
    join_all(entries.iter().map(|entry| commit(&catalog, entry))).await;
    assert_eq!(catalog.prune().await, known);
    assert_eq!(catalog.prune().await, 0);
    tasks.finish().await;
    let tasks = Tasks::new();
    let catalog = open(&tasks);
    catalog.loaded().await;
    assert_eq!(catalog.stats().entries, 600 - known);
    assert!(known > 200);
    tasks.finish().await;
}
