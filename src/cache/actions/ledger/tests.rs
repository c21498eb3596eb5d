//! The ledger over restarts, crashes and damage.

use std::path::Path;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use async_trait::async_trait;

use super::format::LINE_HEAD_BYTES;
use super::*;
use crate::cache::actions::entry::{CacheKey, CommittedEntry, EntryRecord, NamespaceId, Version};
use crate::store::budget::whole_blocks;
use crate::sys;

/// Says what it was told.
#[derive(Debug, Default)]
struct Told {
    used: AtomicI64,
    /// Refuses to find space.
    full: bool,
}

#[async_trait]
impl SpaceAccount for Told {
    fn adjust(&self, bytes: i64) {
        self.used.fetch_add(bytes, Ordering::SeqCst);
    }

    async fn claim(&self, bytes: u64) -> Result<()> {
        if self.full {
            return Err(Error::Stopping);
        }
        self.adjust(bytes as i64);
        Ok(())
    }
}

struct Rig {
    ledger: Ledger,
    index: Arc<ActionsIndex>,
    account: Arc<Told>,
    tasks: Tasks,
    dir: tempfile::TempDir,
}

impl Rig {
    async fn new() -> Self {
        Self::over(tempfile::tempdir().expect("folder"), Told::default()).await
    }

    async fn over(dir: tempfile::TempDir, account: Told) -> Self {
        let (account, index, tasks) = (Arc::new(account), Arc::new(ActionsIndex::default()), Tasks::new());
        let site = LedgerSite {
            folder: dir.path().join("actions"),
            sync: true,
            account: Arc::clone(&account) as Arc<_>,
        };
        let ledger = Ledger::open(site, Arc::clone(&index), &tasks);
        ledger.loaded().await;
        Self {
            ledger,
            index,
            account,
            tasks,
            dir,
        }
    }

    /// Another process on the same folder, after `change` was done to the file.
    async fn restart(self, change: impl FnOnce(&Path)) -> Self {
        self.tasks.finish().await;
        change(&self.dir.path().join("actions/ledger"));
        Self::over(self.dir, Told::default()).await
    }

    async fn commit(&self, entry: &CommittedEntry) {
        self.index.insert(entry);
        let added = self
            .ledger
            .append(vec![LedgerItem::Committed(entry.clone())])
            .await;
        added.expect("append");
    }

    async fn forget(&self, entry: &CommittedEntry) {
        assert!(self.index.remove(entry));
        self.ledger
            .append(vec![LedgerItem::Removed(entry.clone())])
            .await
            .expect("append");
    }

    fn holds(&self) -> Vec<CommittedEntry> {
        let mut all: Vec<_> = self.index.slices().flatten().collect();
        all.sort_unstable_by_key(|entry| entry.record);
        all
    }

    /// What the account says, and what is there.
    fn bytes(&self) -> (i64, i64) {
        let folder = self.dir.path().join("actions");
        let own = sys::block_bytes(&folder.metadata().expect("folder"));
        let files = std::fs::read_dir(&folder).expect("folder");
        let files = files.map(|file| file.expect("file").metadata().expect("metadata").len());
        let there = files.map(whole_blocks).sum::<u64>();
        (self.account.used.load(Ordering::SeqCst), (own + there) as i64)
    }
}

/// Three namespaces, and ever more versions.
fn entry(nth: u64) -> CommittedEntry {
    CommittedEntry {
        namespace: NamespaceId::new("https://issuer".into(), format!("tenant/{}", nth % 3).into()),
        version: Version::new(&format!("{:064}", nth % 4 + nth / 500)).expect("version"),
        key: CacheKey::new(&format!("Linux-\u{e4}-{nth:020}")).expect("key"),
        record: EntryRecord {
            created: 1000 + nth,
            id: Ulid((u128::from(nth) << 70) + 1),
            size: nth << 33,
            tag: [nth as u8; 16],
        },
    }
}

fn same(one: &[CommittedEntry], two: impl IntoIterator<Item = u64>) {
    let two: Vec<_> = two.into_iter().map(entry).collect();
    assert!(one == two, "{} and {}", one.len(), two.len());
}

#[tokio::test]
async fn a_restart_knows_what_was_committed_and_removed() {
    let rig = Rig::new().await;
    for nth in 0..20 {
        rig.commit(&entry(nth)).await;
    }
    for nth in (0..20).step_by(3) {
        rig.forget(&entry(nth)).await;
    }
    let namespace = *entry(1).namespace.digest();
    rig.ledger
        .append(vec![
            LedgerItem::Seen(namespace, Ulid(5)),
            LedgerItem::Seen(namespace, Ulid(9)),
        ])
        .await
        .expect("append");
    let expected: Vec<u64> = (0..20).filter(|nth| nth % 3 != 0).collect();
    let rig = rig.restart(|_| {}).await;
    same(&rig.holds(), expected.clone());
    assert_eq!(rig.ledger.seen(&namespace), Some(Ulid(9)));
    assert_eq!(rig.ledger.seen(&Digest::default()), None);
    rig.commit(&entry(99)).await;
    let rig = rig.restart(|_| {}).await;
    same(&rig.holds(), expected.into_iter().chain([99]));
}

#[tokio::test]
async fn a_torn_end_is_cut_off_wherever_it_is_torn() {
    let mut rig = Rig::new().await;
    rig.commit(&entry(0)).await;
    // The next one is of the same place, so it is one line.
    let kept = rig.ledger.bytes();
    rig.commit(&entry(12)).await;
    let whole = rig.ledger.bytes();
    for length in kept..whole {
        rig = rig.restart(|path| truncate(path, length)).await;
        same(&rig.holds(), [0]);
        assert_eq!(rig.ledger.bytes(), kept, "cut at {length}");
        rig.commit(&entry(12)).await;
    }
    let rig = rig.restart(|_| {}).await;
    same(&rig.holds(), [0, 12]);
}

fn truncate(path: &Path, length: u64) {
    let file = std::fs::File::options().write(true).open(path).expect("ledger");
    file.set_len(length).expect("truncate");
}

#[tokio::test]
async fn damage_ends_the_reading_and_later_lines_are_read_again() {
    let rig = Rig::new().await;
    for nth in 0..8 {
        rig.commit(&entry(nth)).await;
    }
    let mut rig = rig
        .restart(|path| {
            damage(path, |bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            });
        })
        .await;
    let left = rig.holds();
    assert!((1..8).contains(&left.len()));
    same(&left, 0..left.len() as u64);
    rig.commit(&entry(50)).await;
    rig = rig.restart(|_| {}).await;
    same(&rig.holds(), (0..left.len() as u64).chain([50]));
    // What a power loss leaves: blocks that were never written.
    let rig = rig
        .restart(|path| damage(path, |bytes| bytes.extend([0; 5000])))
        .await;
    same(&rig.holds(), (0..left.len() as u64).chain([50]));
}

fn damage(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).expect("ledger");
    change(&mut bytes);
    std::fs::write(path, bytes).expect("ledger");
}

#[tokio::test]
async fn every_damaged_byte_is_a_miss_and_never_another_entry() {
    let rig = Rig::new().await;
    for nth in 0..3 {
        rig.commit(&entry(nth)).await;
    }
    rig.tasks.finish().await;
    let path = rig.dir.path().join("actions/ledger");
    let good = std::fs::read(&path).expect("ledger");
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&path, &bytes).expect("ledger");
        let (index, tasks) = (Arc::new(ActionsIndex::default()), Tasks::new());
        let site = LedgerSite {
            folder: rig.dir.path().join("actions"),
            sync: false,
            account: Arc::clone(&rig.account) as Arc<_>,
        };
        Ledger::open(site, Arc::clone(&index), &tasks).loaded().await;
        let mut found: Vec<_> = index.slices().flatten().collect();
        found.sort_unstable_by_key(|entry| entry.record);
        assert!(found.len() < 3, "byte {at}");
        same(&found, 0..found.len() as u64);
        tasks.finish().await;
    }
}

#[tokio::test]
async fn a_file_of_others_is_replaced() {
    let rig = Rig::new()
        .await
        .restart(|path| std::fs::write(path, "something else").expect("write"))
        .await;
    assert!(rig.index.is_empty());
    rig.commit(&entry(1)).await;
    same(&rig.restart(|_| {}).await.holds(), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_are_answered_when_their_lines_are_there() {
    let rig = Rig::new().await;
    let callers = (0..400).map(|nth| {
        let rig = &rig;
        async move {
            rig.commit(&entry(nth)).await;
            let path = rig.dir.path().join("actions/ledger");
            let bytes = std::fs::read(path).expect("ledger");
            let key = entry(nth).key.as_str().as_bytes().to_vec();
            assert!(bytes.windows(key.len()).any(|window| window == key));
        }
    });
    futures_util::future::join_all(callers).await;
    let (told, there) = rig.bytes();
    assert_eq!(told, there);
    let rig = rig.restart(|_| {}).await;
    same(&rig.holds(), 0..400);
    // The folder was there before, and is in the account of somebody else.
    let folder = rig.dir.path().join("actions").metadata().expect("folder");
    let (told, there) = rig.bytes();
    assert_eq!(told + sys::block_bytes(&folder) as i64, there);
}

/// More than a MiB of lines of which nine in ten are about what is gone.
async fn fill(rig: &Rig) {
    for start in (0..20_000_u64).step_by(500) {
        let items = (start..start + 500).flat_map(|nth| {
            let entry = entry(nth);
            rig.index.insert(&entry);
            let mut items = vec![LedgerItem::Committed(entry.clone())];
            if nth % 10 != 0 {
                rig.index.remove(&entry);
                items.push(LedgerItem::Removed(entry));
            }
            items
        });
        rig.ledger.append(items.collect()).await.expect("append");
    }
}

async fn settled(rig: &Rig) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while rig.ledger.shared.lock().rewriting || rig.ledger.shared.lock().writer.is_none() {
        assert!(
            std::time::Instant::now() < deadline,
            "the ledger is being written for ever"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_leaves_the_file_while_lines_are_added() {
    let rig = Rig::new().await;
    let kept = *entry(0).namespace.digest();
    rig.ledger
        .append(vec![
            LedgerItem::Seen(kept, Ulid(3)),
            LedgerItem::Seen(Digest::new([9; 32]), Ulid(4)),
        ])
        .await
        .expect("append");
    fill(&rig).await;
    settled(&rig).await;
    let live = rig.index.len() as u64;
    assert_eq!(live, 2000);
    let longest = 30_000 * (LINE_HEAD_BYTES as u64 + 80);
    assert!(rig.ledger.bytes() < longest, "{} bytes", rig.ledger.bytes());
    assert!(!rig.dir.path().join("actions/ledger.new").exists());
    let (told, there) = rig.bytes();
    assert_eq!(told, there);
    let rig = rig.restart(|_| {}).await;
    same(&rig.holds(), (0..20_000).step_by(10));
    assert_eq!(rig.ledger.seen(&kept), Some(Ulid(3)));
    assert_eq!(rig.ledger.seen(&Digest::new([9; 32])), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_the_former_file_goes_on() {
    let full = Told {
        full: true,
        ..Told::default()
    };
    let rig = Rig::over(tempfile::tempdir().expect("folder"), full).await;
    fill(&rig).await;
    settled(&rig).await;
    assert!(rig.ledger.bytes() > 20_000 * 100);
    let (told, there) = rig.bytes();
    assert_eq!(told, there);
    same(&rig.restart(|_| {}).await.holds(), (0..20_000).step_by(10));
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_loses_only_the_ledger() {
    let dir = tempfile::tempdir().expect("folder");
    std::fs::write(dir.path().join("actions"), "a file").expect("write");
    let rig = Rig::over(dir, Told::default()).await;
    let refused = rig.ledger.append(vec![LedgerItem::Committed(entry(1))]).await;
    assert!(matches!(refused, Err(Error::Stopping)), "{refused:?}");
}

#[tokio::test]
async fn the_ledger_of_a_former_version_is_read_and_goes_on() {
    let rig = Rig::new().await;
    let former = include_bytes!("../../../../tests/former/0.1.0/ledger");
    let rig = rig
        .restart(|path| std::fs::write(path, former).expect("written"))
        .await;
    let namespace = NamespaceId::new("https://issuer".into(), "tenant".into());
    let former = CommittedEntry {
        version: Version::new("v1").expect("version"),
        key: CacheKey::new("b").expect("key"),
        record: EntryRecord {
            created: 1_700_000_000_002,
            id: Ulid(2),
            size: 20,
            tag: [2; 16],
        },
        namespace,
    };
    assert_eq!(rig.holds(), std::slice::from_ref(&former));
    assert_eq!(rig.ledger.seen(former.namespace.digest()), Some(Ulid(77)));
    rig.commit(&entry(1)).await;
    let rig = rig.restart(|_| {}).await;
    let mut both = vec![entry(1), former];
    both.sort_unstable_by_key(|entry| entry.record);
    assert_eq!(rig.holds(), both);
}

#[tokio::test]
async fn what_a_later_version_adds_to_the_ledger_is_skipped() {
    let rig = Rig::new().await;
    rig.commit(&entry(1)).await;
    let line = |content: &[u8]| {
        let length = content.len() as u32;
        [
            length.to_le_bytes().as_slice(),
            &crate::store::spool::crc(content).to_le_bytes(),
            content,
        ]
        .concat()
    };
    let critical = [6, 0x01, 0xc0, 0, 0, 0, 0];
    let later = [line(&[0x7f, 1, 2, 3]), line(&critical)].concat();
    let rig = rig
        .restart(|path| {
            std::fs::write(path, [std::fs::read(path).expect("ledger"), later].concat()).expect("written");
        })
        .await;
    rig.commit(&entry(2)).await;
    let rig = rig.restart(|_| {}).await;
    same(&rig.holds(), [1, 2]);
}
