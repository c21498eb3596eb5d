//! Real uploads in a folder of their own, and a clock that is turned forward.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::*;
use crate::cache::actions::entry::NamespaceId;
use crate::cache::actions::upload::ActivityKind;
use crate::cache::actions::upload_note::UploadNote;
use crate::cache::actions::{CacheKey, Version};
use crate::store::blocks::{BlockDir, BlockPlace};
use crate::store::budget::Budget;
use crate::store::spool::SpoolDir;
use crate::store::{Rank, Tenancy, Tenant};
use crate::tasks::Tasks;

/// Longer than any upload of these tests.
const AGE: Duration = Duration::from_secs(6 * 3600);

struct Rig {
    blocks: BlockDir,
    uploads: Uploads,
    _dir: tempfile::TempDir,
}

impl Rig {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("folder");
        std::fs::create_dir(dir.path().join("tmp")).expect("folder");
        let tasks = Tasks::new();
        let budget = Budget::new(64 << 20, 0, Duration::ZERO);
        budget.settled();
        let spools = SpoolDir::new(dir.path().join("tmp"), budget, tasks.clone());
        let opened = BlockDir::open(dir.path().join("uploads"), spools, |_| None, &tasks).await;
        Self {
            blocks: opened.expect("open").0,
            uploads: Uploads::default(),
            _dir: dir,
        }
    }

    async fn add(&self, number: u64, tenant: &str) -> Arc<ActionsUpload> {
        let id = UploadId::new(number).expect("a number");
        let namespace = NamespaceId::new("https://issuer.test".into(), tenant.into());
        let version = Version::new("v").expect("version");
        let key = CacheKey::new(&format!("key-{number}")).expect("key");
        let note = UploadNote {
            tenancy: Tenant::new("https://issuer.test", "all", None).map(|tenant| Tenancy {
                tenant,
                rank: Rank::Pushed,
            }),
            name: namespace.store_key(&version, &key),
            namespace,
            version,
            key,
            label: tenant.into(),
            subject: "".into(),
            holder: [1; 32],
            began: SystemTime::now(),
            expires: SystemTime::now(),
        };
        let blocks = self.blocks.create(number, note.encode()).await.expect("create");
        let ends = SystemTime::now() + Duration::from_secs(3600);
        let upload = ActionsUpload::new(id, note, blocks, ends, AGE);
        self.uploads.insert(Arc::clone(&upload));
        upload
    }
}

fn owner(label: &str) -> UploadOwner {
    UploadOwner::Namespace(label.into())
}

async fn put(upload: &ActionsUpload, bytes: &'static [u8]) {
    let length = Some(bytes.len() as u64);
    let writer = upload.blocks.writer(BlockPlace::Whole, length).await;
    let mut writer = writer.expect("writer");
    writer.write(Bytes::from_static(bytes)).await.expect("write");
    writer.finish().await.expect("finish");
}

fn picked(upload: Option<Arc<ActionsUpload>>) -> Option<u64> {
    upload.map(|upload| upload.id.get())
}

#[tokio::test]
async fn what_is_being_committed_is_not_idle_and_makes_no_way() {
    let rig = Rig::new().await;
    let (first, second) = (rig.add(1, "a").await, rig.add(2, "b").await);
    let most_idle = |owner: &UploadOwner| picked(rig.uploads.most_idle_of(owner));
    let tenant = UploadOwner::tenant(&first.note).expect("a tenant");
    tokio::time::pause();
    tokio::time::advance(IDLE_AFTER / 2).await;
    assert_eq!(most_idle(&tenant), None);
    tokio::time::advance(IDLE_AFTER).await;
    assert_eq!(most_idle(&tenant), Some(1));
    assert_eq!(most_idle(&owner("b")), Some(2));
    let commit = first.begin(ActivityKind::Commit);
    assert_eq!(most_idle(&tenant), Some(2));
    assert_eq!(most_idle(&owner("a")), None);
    let and_the_other = second.begin(ActivityKind::Commit);
    assert_eq!(most_idle(&tenant), None);
    tokio::time::advance(IDLE_AFTER * 2).await;
    assert_eq!(most_idle(&tenant), None, "however long it takes");
    for holder in [[1; 32], [2; 32]] {
        assert!(!first.gives_way_to(&holder));
    }
    drop((commit, and_the_other));
    assert_eq!(most_idle(&tenant), None, "its client may ask again");
    tokio::time::advance(IDLE_AFTER).await;
    assert_eq!(most_idle(&owner("a")), Some(1));
}

#[tokio::test]
async fn a_request_on_its_way_holds_off_the_same_token_only() {
    let rig = Rig::new().await;
    let upload = rig.add(1, "a").await;
    tokio::time::pause();
    let request = upload.begin(ActivityKind::Request);
    tokio::time::advance(Duration::from_secs(121)).await;
    assert!(!upload.gives_way_to(&[1; 32]));
    assert!(upload.gives_way_to(&[2; 32]), "no byte for two minutes");
    drop(request);
    assert!(!upload.gives_way_to(&[1; 32]) && !upload.gives_way_to(&[2; 32]));
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(upload.gives_way_to(&[1; 32]) && !upload.gives_way_to(&[2; 32]));
}

#[tokio::test]
async fn a_right_that_has_ended_holds_up_nobody() {
    let rig = Rig::new().await;
    let upload = rig.add(1, "a").await;
    assert!(!upload.is_overdue() && !upload.gives_way_to(&[2; 32]));
    let past = SystemTime::now() - Duration::from_secs(1);
    let again =
        |ends, age| ActionsUpload::new(upload.id, upload.note.clone(), upload.blocks.clone(), ends, age);
    let late = again(past, AGE);
    assert!(late.is_overdue() && late.gives_way_to(&[2; 32]));
    late.extend(SystemTime::now() + Duration::from_secs(60));
    assert!(!late.is_overdue() && !late.gives_way_to(&[2; 32]));
}

#[tokio::test]
async fn traffic_and_new_tokens_do_not_keep_an_upload_for_ever() {
    let rig = Rig::new().await;
    let upload = rig.add(1, "a").await;
    let tomorrow = SystemTime::now() + Duration::from_secs(24 * 3600);
    assert!(!upload.is_too_old());
    let old = ActionsUpload::new(
        upload.id,
        upload.note.clone(),
        upload.blocks.clone(),
        tomorrow,
        Duration::ZERO,
    );
    old.extend(tomorrow);
    assert!(old.is_too_old() && old.is_overdue() && old.gives_way_to(&[2; 32]));
    assert!(old.ends() <= SystemTime::now(), "its links end with it");
}

#[tokio::test]
async fn bytes_are_counted_by_tenant() {
    let rig = Rig::new().await;
    let all = [
        rig.add(1, "a").await,
        rig.add(2, "a").await,
        rig.add(3, "b").await,
    ];
    for (upload, bytes) in all.iter().zip([&b"12345"[..], b"123", b"1234567"]) {
        put(upload, bytes).await;
        rig.uploads.recount(upload);
    }
    assert_eq!(rig.uploads.totals(), (3, 15));
    let tenant = UploadOwner::tenant(&all[0].note).expect("a tenant");
    let held = || [owner("a"), owner("b"), tenant.clone()].map(|owner| rig.uploads.held(&owner));
    assert_eq!(held(), [8, 7, 15]);
    put(&all[0], b"1").await;
    rig.uploads.recount(&all[0]);
    assert_eq!((rig.uploads.totals(), held()), ((3, 11), [4, 7, 11]));
    rig.uploads.end(all[1].id, None);
    rig.uploads.recount(&all[1]);
    assert_eq!((rig.uploads.totals().1, rig.uploads.count(&owner("a"))), (8, 1));
    assert_eq!(
        rig.uploads.ended_of(&all[1].note.name).map(|ended| ended.entry),
        Some(None)
    );
    for upload in [&all[0], &all[2]] {
        rig.uploads.end(upload.id, None);
    }
    assert_eq!(rig.uploads.totals(), (0, 0));
    assert_eq!(rig.uploads.count(&owner("a")), 0);
}

#[tokio::test]
async fn all_are_looked_at_in_slices() {
    let rig = Rig::new().await;
    for number in [5, 1, 3] {
        rig.add(number, "a").await;
    }
    let numbers = |last: Option<u64>| {
        let last = last.and_then(UploadId::new);
        let slice = rig.uploads.after(last, 2);
        slice.iter().map(|upload| upload.id.get()).collect::<Vec<_>>()
    };
    assert_eq!(numbers(None), [1, 3]);
    assert_eq!(numbers(Some(3)), [5]);
    assert!(numbers(Some(5)).is_empty());
}

#[tokio::test]
async fn ended_uploads_with_long_names_are_bounded_by_their_bytes() {
    let rig = Rig::new().await;
    let mut note = rig.add(1, "a").await.note.clone();
    note.subject = "s".repeat(1 << 20).into();
    let mut ended = EndedUploads::default();
    for number in 1..100 {
        let id = UploadId::new(number).expect("a number");
        let note = note.clone();
        ended.insert(id, EndedUpload { note, entry: None });
    }
    assert_eq!(ended.len(), 7);
    assert!(ended.get(UploadId::new(99).expect("a number")).is_some());
    assert!(ended.of(note.name.digest()).is_some());
    assert!(ended.get(UploadId::new(1).expect("a number")).is_none());
}
