//! For the tests of every remote tier: the tier alone as a store, and what it promises beside entries.

use std::path::Path;
use std::sync::Arc;

use chacha::config::{DiskConfig, WhenDown, WriteMode};
use chacha::store::disk::{Disk, DiskRole};
use chacha::store::remote::RemoteTier;
use chacha::store::shared::SharedObjects;
use chacha::store::spool::SpoolDir;
use chacha::store::tiered::{Policy, Revalidation, Tiered};
use chacha::store::{Precondition, Store};
use chacha::tasks::Tasks;

use super::support::*;

/// A remote tier without a section `disk`, as the server composes it. For `conformance!`.
#[derive(Clone)]
pub(crate) struct RemoteAlone {
    pub(crate) tiered: Tiered,
    pub(crate) disk: Arc<Disk>,
}

impl RemoteAlone {
    pub(crate) async fn open(remote: Arc<dyn RemoteTier>, dir: &Path, limit: usize, tasks: &Tasks) -> Self {
        let config = DiskConfig::new(dir.to_owned(), limit as u64);
        let disk = Disk::open_as(DiskRole::Staging, &config, tasks).await;
        let disk = disk.unwrap();
        let policy = Policy {
            write: WriteMode::Through,
            when_down: WhenDown::Refuse,
            queue_limit: 0,
            revalidation: Revalidation::Always,
            redirect: false,
        };
        let tiered = Tiered::start(Arc::clone(&disk), remote, policy, tasks).await;
        Self {
            tiered: tiered.unwrap(),
            disk,
        }
    }

    pub(crate) fn spools(&self) -> SpoolDir {
        self.disk.spools()
    }

    /// As if the disk had evicted it: what is read next comes from the remote tier.
    pub(crate) async fn forget(&self, name: &str) {
        let gone = self.disk.delete(&key(name), Precondition::None).await;
        assert!(gone.unwrap(), "{name} was not on the disk");
    }
}

impl std::ops::Deref for RemoteAlone {
    type Target = Tiered;

    fn deref(&self) -> &Tiered {
        &self.tiered
    }
}

/// For a tier without objects.
pub(crate) async fn shared_objects_keep_their_promises(objects: &dyn SharedObjects) {
    assert_eq!(objects.get("servers/a").await.unwrap(), None);
    assert!(objects.create("servers/a", "one".into()).await.unwrap());
    assert!(!objects.create("servers/a", "two".into()).await.unwrap());
    assert_eq!(objects.get("servers/a").await.unwrap().unwrap(), "one");
    objects.put("servers/a", "three".into()).await.unwrap();
    assert_eq!(objects.get("servers/a").await.unwrap().unwrap(), "three");
    objects.append("servers/b.x", "".into()).await.unwrap();
    assert_eq!(objects.get("servers/b.x").await.unwrap().unwrap(), "");
    objects.put("other/c", "".into()).await.unwrap();

    let names = |prefix: &'static str, after: Option<&'static str>| async move {
        let listed = objects.list(prefix, after).await.unwrap();
        assert!(listed.iter().all(|one| one.written.is_some()));
        listed.into_iter().map(|one| one.name).collect::<Vec<_>>()
    };
    assert_eq!(names("servers/", None).await, ["servers/a", "servers/b.x"]);
    assert_eq!(names("servers/", Some("servers/a")).await, ["servers/b.x"]);
    assert_eq!(names("servers/", Some("servers/b.x")).await, [""; 0]);
    objects.remove("servers/a").await.unwrap();
    objects.remove("servers/a").await.unwrap();
    assert_eq!(names("servers/", None).await, ["servers/b.x"]);
}
