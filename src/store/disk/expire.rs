//! What nobody used for as long as a rule allows (`expire_after_unused`): a miss for who asks for it, and its room is
//! given back in the background.

use std::sync::Arc;
use std::time::Duration;

use super::core::{DiskCore, now};
use super::index::MAX_BATCH_ENTRIES;
use crate::store::{Digest, EvictionCause, Result};
use crate::tasks::pause;

/// Looks in the time of a rule.
const LOOKS: u32 = 10;
/// The shortest and the longest time between two looks.
const INTERVALS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));

/// Gives room back until the tier stops.
pub(super) async fn run(core: Arc<DiskCore>) {
    loop {
        let shortest = core.rules.shortest_unused();
        let interval = shortest.map_or(INTERVALS.1, |shortest| shortest / LOOKS);
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = core.rules.changed() => {}
            () = pause(interval.clamp(INTERVALS.0, INTERVALS.1)) => {}
        }
        if core.rules.shortest_unused().is_some()
            && core.blocking(|core| core.give_back_unused(now())).await.is_err()
        {
            return;
        }
    }
}

impl DiskCore {
    /// Removes the entry under `digest` if it was not used for too long. `true`: it is gone.
    pub(super) async fn expire(self: &Arc<Self>, digest: &Digest, now: u64) -> Result<bool> {
        // After the close, the directory may be another server's.
        let Ok(pass) = self.enter() else {
            return Ok(false);
        };
        let digest = *digest;
        if let Some(generation) = self.read_index(|index| index.unread_generation(&digest)) {
            // A look at it would be a use, so whose it is has to be known before.
            self.blocking(move |core| core.read_tenancy(&digest, generation))
                .await?;
        }
        let Some(victim) = self.index(|index| index.take_unused(&digest, now)) else {
            return Ok(false);
        };
        let core = Arc::clone(self);
        drop(self.tasks.spawn_blocking(move || {
            let _pass = pass;
            core.retire_evicted(&[(victim, EvictionCause::Unused)]);
        }));
        Ok(true)
    }

    /// Blocking: removes all entries that were not used for too long.
    pub(super) fn give_back_unused(&self, now: u64) {
        let (mut more, mut from) = (true, 0);
        while more && !self.stop.is_cancelled() {
            let Ok(_pass) = self.enter() else { return };
            let mut victims = Vec::new();
            let slots = (from, MAX_BATCH_ENTRIES);
            more = self.index(|index| index.take_all_unused(slots, now, &mut victims));
            from += MAX_BATCH_ENTRIES;
            self.retire_evicted(&victims);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DiskConfig, Durability, TenantRule};
    use crate::store::disk::Disk;
    use crate::store::tenant_rules::TenantRules;
    use crate::store::{
        Draft, Metadata, Origin, Precondition, Protocol, Rank, Store, StoreKey, Tenancy, Tenant,
    };
    use crate::tasks::Tasks;
    use std::path::Path;
    use std::time::SystemTime;

    const HOUR: Duration = Duration::from_secs(3600);

    fn key(name: &str) -> StoreKey {
        StoreKey::new("i".into(), "n".into(), Protocol::Http, name.as_bytes())
    }

    /// A moment so many minutes from now.
    fn in_minutes(minutes: u64) -> u64 {
        now() + minutes * 60 * 1_000_000
    }

    /// A tier in which entries of the tenant `short` are misses after an hour without use.
    async fn open(dir: &Path) -> (Arc<Disk>, Tasks) {
        let config = DiskConfig {
            dir: dir.to_owned(),
            limit: 16 << 20,
            min_free: 0,
            durability: Durability::Relaxed,
            memory: 1 << 20,
            open_files: None,
            revalidate_after: None,
        };
        let tasks = Tasks::new();
        let disk = Disk::open(&config, &tasks).await.expect("a disk");
        let rule = TenantRule {
            pattern: "i#short".into(),
            expire_after_unused: Some(HOUR),
            ..TenantRule::default()
        };
        disk.follow(&TenantRules::new(&[rule], config.limit));
        disk.indexed().await;
        (disk, tasks)
    }

    async fn put(disk: &Disk, name: &str, tenant: &str) {
        let mut writer = disk.spools().create(None).await.expect("room");
        writer.write("body".into()).await.expect("written");
        let tenant = Tenant::new("i", tenant, None).expect("tenant");
        let rank = Rank::Pushed;
        let origin = Origin {
            issuer: "i".into(),
            subject: "job".into(),
            stored: SystemTime::now(),
            tenancy: Some(Tenancy { tenant, rank }),
        };
        let metadata = Metadata::default();
        let body = writer.finish().await.expect("a body");
        let draft = Draft { origin, metadata };
        disk.put(&key(name), draft, body, Precondition::None)
            .await
            .expect("stored");
    }

    async fn expires(disk: &Disk, name: &str, at: u64) -> bool {
        disk.core.expire(key(name).digest(), at).await.expect("a look")
    }

    async fn close(disk: Arc<Disk>, tasks: Tasks) {
        disk.close().await;
        tasks.finish().await;
    }

    #[tokio::test]
    async fn the_time_counts_from_the_last_use_for_whom_the_rule_is_and_over_restarts() {
        let dir = tempfile::tempdir().expect("folder");
        let (disk, tasks) = open(dir.path()).await;
        for (name, tenant) in [("unused", "short"), ("used", "short"), ("other", "long")] {
            put(&disk, name, tenant).await;
        }
        let used = disk.core.index(|index| index.warm(key("used").digest()));
        used.expect("an entry").cell.touch(in_minutes(50));
        assert!(!expires(&disk, "unused", in_minutes(59)).await);
        close(disk, tasks).await;
        let (disk, tasks) = open(dir.path()).await;
        for (name, expected) in [("unused", true), ("used", false), ("other", false)] {
            assert_eq!(expires(&disk, name, in_minutes(61)).await, expected, "{name}");
        }
        assert!(disk.get(&key("unused")).await.expect("a look").is_none());
        assert!(expires(&disk, "used", in_minutes(111)).await);
        assert_eq!(disk.stats().entries, 1);
        close(disk, tasks).await;
    }

    #[tokio::test]
    async fn what_waits_for_another_tier_is_no_miss_and_room_comes_back_unasked() {
        let dir = tempfile::tempdir().expect("folder");
        let (disk, tasks) = open(dir.path()).await;
        for (name, tenant) in [("waits", "short"), ("gone", "short"), ("other", "long")] {
            put(&disk, name, tenant).await;
        }
        disk.pin(key("waits").digest());
        disk.core.give_back_unused(in_minutes(59));
        assert_eq!(disk.stats().entries, 3);
        disk.core.give_back_unused(in_minutes(61));
        let stats = disk.stats();
        assert_eq!(
            (stats.entries, stats.evictions[EvictionCause::Unused as usize]),
            (2, 1)
        );
        for (name, expected) in [("waits", true), ("gone", false), ("other", true)] {
            let found = disk.get(&key(name)).await.expect("a look");
            assert_eq!(found.is_some(), expected, "{name}");
        }
        close(disk, tasks).await;
    }

    /// Of an entry whose row a crash has lost nobody knows whose it is, and looking at it would be a use.
    #[tokio::test]
    async fn an_entry_that_only_a_scan_has_found_expires_as_well() {
        let dir = tempfile::tempdir().expect("folder");
        let (disk, tasks) = open(dir.path()).await;
        put(&disk, "unread", "short").await;
        close(disk, tasks).await;
        std::fs::remove_file(dir.path().join("index")).expect("a snapshot");
        let (disk, tasks) = open(dir.path()).await;
        assert!(expires(&disk, "unread", in_minutes(61)).await);
        close(disk, tasks).await;
    }
}
