//! What servers that share a bucket know of each other's entries, and what a restart knows.

use std::sync::Arc;
use std::time::Duration;

use chacha::cache::actions::catalog::{Catalog, CatalogParts, DiskAndRemote};
use chacha::cache::actions::entry::{CommittedEntry, EntryRecord, NamespaceId};
use chacha::cache::actions::ledger::LedgerSite;
use chacha::cache::actions::{CacheKey, Version};
use chacha::store::RemoteHealth;
use chacha::store::journal::Journal;
use chacha::store::remote::RemoteTier;
use chacha::store::s3::S3;
use chacha::store::spool::Checksums;
use chacha::store::{Protocol, Store, StoreKey};
use chacha::tasks::Tasks;

use crate::store::support::*;
use crate::support::s3::{Action, Gate, Kind, S3Server};

fn committed(text: &str, record: EntryRecord) -> CommittedEntry {
    CommittedEntry {
        namespace: namespace(),
        version: version(),
        key: name(text),
        record,
    }
}

/// A server on a bucket, without a disk.
struct Server {
    catalog: Catalog,
    s3: Arc<S3>,
    tasks: Tasks,
}

impl Server {
    async fn on(bucket: &S3Server) -> Self {
        let tasks = Tasks::new();
        let mut config = bucket.config(S3Server::BUCKET);
        config.read_timeout = Duration::from_millis(500);
        let s3 = S3::open(&config, None, &tasks).await.unwrap();
        let parts = CatalogParts {
            journal: Some(Journal::new(s3.clone())),
            ..CatalogParts::default()
        };
        let catalog = Catalog::open(parts, &tasks);
        Self { catalog, s3, tasks }
    }

    async fn commit(&self, text: &str) {
        self.catalog.commit(committed(text, record(text))).await;
    }

    /// Asks again and again: the bucket is asked once a second.
    async fn finds(&self, text: &str) {
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        let mut clock = tokio::time::interval(Duration::from_millis(20));
        while self
            .catalog
            .exact(&namespace(), &version(), &name(text))
            .await
            .is_none()
        {
            assert!(std::time::Instant::now() < deadline, "never: {text}");
            clock.tick().await;
        }
    }
}

fn namespace() -> NamespaceId {
    NamespaceId::new("https://issuer".into(), "tenant".into())
}

fn name(text: &str) -> CacheKey {
    CacheKey::new(text).unwrap()
}

fn version() -> Version {
    Version::new(&"5".repeat(64)).unwrap()
}

fn record(text: &str) -> EntryRecord {
    EntryRecord::now(9, &Checksums::of(text.as_bytes()).etag()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_see_each_others_commits() {
    let bucket = S3Server::memory();
    let (one, two) = (Server::on(&bucket).await, Server::on(&bucket).await);
    let long = "k".repeat(512);
    one.commit("k-1").await;
    one.commit(&long).await;
    two.finds("k-1").await;
    two.finds(&long).await;
    two.commit("k-2").await;
    one.finds("k-2").await;
    let found = one
        .catalog
        .find(&[namespace()], &version(), &[name("x"), name("k-")], &[])
        .await
        .unwrap();
    assert_eq!(found.entry.key, name("k-2"));
    // A third one reads everything at once.
    let third = Server::on(&bucket).await;
    bucket.forget();
    let found = third
        .catalog
        .find(&[namespace()], &version(), &[name("k-")], &[])
        .await
        .unwrap();
    assert_eq!((found.entry.key, bucket.count(Kind::List)), (name("k-2"), 1));
    assert_eq!(third.catalog.stats().entries, 3);
    let journal = bucket.objects().into_keys();
    assert!(journal.filter(|name| name.starts_with("v1/journal/")).count() == 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_in_trouble_changes_nothing_but_the_news() {
    let bucket = S3Server::memory();
    let (one, two) = (Server::on(&bucket).await, Server::on(&bucket).await);
    two.commit("known").await;
    for action in [Action::slow_down(), Action::Refuse, Action::Reset(50)] {
        bucket.faults().always(Kind::List, action);
        let found = two
            .catalog
            .find(&[namespace()], &version(), &[name("known-"), name("kn")], &[])
            .await;
        assert_eq!(found.unwrap().entry.key, name("known"));
        bucket.faults().clear();
    }
    // Slow: look-ups wait for a while only, and nobody waits for an exact hit.
    let gate = Gate::new();
    bucket
        .faults()
        .always(Kind::List, Action::HoldAnswer(gate.clone()));
    assert!(
        two.catalog
            .exact(&namespace(), &version(), &name("known"))
            .await
            .is_some()
    );
    let begin = std::time::Instant::now();
    assert!(
        two.catalog
            .exact(&namespace(), &version(), &name("new"))
            .await
            .is_none()
    );
    assert!(begin.elapsed() < Duration::from_secs(20));
    gate.open();
    bucket.faults().clear();
    one.commit("new").await;
    two.finds("new").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_while_the_bucket_is_away_is_told_later() {
    let bucket = S3Server::memory();
    let (one, two) = (Server::on(&bucket).await, Server::on(&bucket).await);
    bucket.stop_listening().await;
    one.commit("k").await;
    assert!(
        one.catalog
            .exact(&namespace(), &version(), &name("k"))
            .await
            .is_some()
    );
    assert_eq!(one.catalog.stats().unsent, 1);
    bucket.resume();
    until("it is told", || one.catalog.stats().unsent == 0).await;
    two.finds("k").await;
    assert_eq!(one.s3.health(), RemoteHealth::Up);
    one.tasks.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_finds_what_is_on_the_disk_and_the_account_is_exact() {
    let mut rig = Rig::new(64 * MIB).await;
    for round in 0..3 {
        let tasks = Tasks::new();
        let parts = CatalogParts {
            ledger: Some(LedgerSite::on(&rig.disk)),
            ..CatalogParts::default()
        };
        let catalog = Catalog::open(parts, &tasks);
        catalog.loaded().await;
        assert_eq!(catalog.stats().entries, round * 200);
        let commits = (0..200).map(|nth| {
            let (catalog, text) = (&catalog, format!("{round}-{nth}"));
            async move {
                catalog.commit(committed(&text, record(&text))).await;
            }
        });
        futures_util::future::join_all(commits).await;
        until("the account is exact", || rig.disk.stats().used == du(rig.dir())).await;
        tasks.finish().await;
        drop(catalog);
        rig = rig.restart().await;
    }
    rig.stop().await;
}

fn store_key(text: &str) -> StoreKey {
    let (issuer, tenant) = ("https://issuer".into(), "tenant".into());
    StoreKey::new(issuer, tenant, Protocol::Gha, text.as_bytes()).with_version(version().text().clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evicted_entries_are_forgotten() {
    let rig = Rig::new(64 * MIB).await;
    let tasks = Tasks::new();
    let parts = CatalogParts {
        ledger: Some(LedgerSite::on(&rig.disk)),
        liveness: Some(rig.disk.clone()),
        ..CatalogParts::default()
    };
    let catalog = Catalog::open(parts, &tasks);
    for text in ["there", "gone"] {
        let key = store_key(text);
        let put = put(&*rig.disk, &rig.disk.spools(), &key, b"bytes").await;
        let record = EntryRecord::now(5, &put.unwrap().etag).unwrap();
        catalog.commit(committed(text, record)).await;
        if text == "gone" {
            assert!(rig.disk.delete(&key, Default::default()).await.unwrap());
        }
    }
    assert_eq!(catalog.prune().await, 1);
    assert!(
        catalog
            .exact(&namespace(), &version(), &name("there"))
            .await
            .is_some()
    );
    assert!(
        catalog
            .exact(&namespace(), &version(), &name("gone"))
            .await
            .is_none()
    );
    tasks.finish().await;
    drop(catalog);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_leaves_the_journal() {
    let bucket = S3Server::memory();
    let one = Server::on(&bucket).await;
    let (kept, gone) = (
        committed("kept", record("kept")),
        committed("gone", record("gone")),
    );
    for entry in [&kept, &gone] {
        one.catalog.commit(entry.clone()).await;
    }
    one.catalog.forget(&gone).await;
    let records = || {
        bucket
            .objects()
            .into_keys()
            .filter(|name| name.starts_with("v1/journal/"))
            .count()
    };
    until("its record is removed", || records() == 1).await;
    // A server that is new does not hear of it.
    let new = Server::on(&bucket).await;
    new.finds("kept").await;
    assert_eq!(new.catalog.stats().entries, 1);
}

/// A lifecycle rule tells nobody what it removed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_bucket_has_lost_leaves_index_ledger_and_journal() {
    let rig = Rig::new(64 * MIB).await;
    let bucket = S3Server::memory();
    let tasks = Tasks::new();
    let s3 = S3::open(&bucket.config(S3Server::BUCKET), None, &tasks)
        .await
        .unwrap();
    let parts = CatalogParts {
        ledger: Some(LedgerSite::on(&rig.disk)),
        journal: Some(Journal::new(s3.clone())),
        liveness: Some(Arc::new(DiskAndRemote {
            disk: rig.disk.clone(),
            remote: s3.clone(),
        })),
        ..CatalogParts::default()
    };
    let catalog = Catalog::open(parts, &tasks);
    let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    let now = std::time::SystemTime::now();
    let entries = [
        ("on-the-disk", hour_ago, true),
        ("lost-1", hour_ago, false),
        ("lost-2", hour_ago, false),
        ("may-come", now, true),
    ];
    for (text, when, _) in entries {
        let key = store_key(text);
        let etag = Checksums::of(b"bytes").etag();
        if text == "on-the-disk" {
            put(&*rig.disk, &rig.disk.spools(), &key, b"bytes").await.unwrap();
        }
        let record = EntryRecord::at(when, 5, &etag).unwrap();
        catalog.commit(committed(text, record)).await;
    }
    let records = || {
        bucket
            .objects()
            .keys()
            .filter(|name| name.contains("journal"))
            .count()
    };
    assert_eq!((records(), catalog.stats().entries), (4, 4));
    bucket.faults().always(Kind::Head, Action::internal_error());
    assert_eq!(
        catalog.prune().await,
        0,
        "nothing is known while the bucket fails"
    );
    bucket.faults().clear();
    until("the bucket is used again", || s3.health() == RemoteHealth::Up).await;
    assert_eq!(catalog.prune().await, 2);
    assert_eq!((catalog.prune().await, catalog.stats().entries), (0, 2));
    for (text, _, kept) in entries {
        let known = catalog.exact(&namespace(), &version(), &name(text)).await;
        assert_eq!(known.is_some(), kept, "{text}");
    }
    until("their records are removed", || records() == 2).await;
    // A server that reads the journal from its beginning.
    let other = Server::on(&bucket).await;
    other.finds("may-come").await;
    assert_eq!(other.catalog.stats().entries, 2);
    other.tasks.finish().await;
    tasks.finish().await;
    drop(catalog);
    rig.stop().await;
}
