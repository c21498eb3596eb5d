//! A power loss with `durability: relaxed`: the disk may have gone back to an older version.

use std::path::Path;

use chacha::config::Durability;

use super::super::support::*;
use super::rig::{CopyLater, Pair};
use crate::support::s3::Kind;

/// As if the machine had booted anew.
fn reboot(copy: &Path) {
    let note = copy.join("cache/boot");
    let left = std::fs::read_to_string(&note).unwrap();
    let (_, rest) = left.split_once('\n').unwrap();
    std::fs::write(note, format!("another-boot\n{rest}")).unwrap();
}

async fn comparisons(pair: &Pair) -> usize {
    pair.s3
        .log()
        .iter()
        .filter(|asked| asked.kind == Kind::Head)
        .count()
}

/// The overwrite was answered, the bucket has it, and the disk has lost it.
#[tokio::test]
async fn a_copy_that_came_back_is_compared_before_it_is_served() {
    let pair = Pair::new().await;
    pair.put("key", b"old").await;
    pair.put("same", b"same").await;
    let old = pair.crash_copy().take();
    pair.put("key", b"new").await;
    reboot(old.path());
    let (again, after) = (CopyLater::of(&old).take(), pair.on_copy(old).await);
    pair.s3.forget();
    assert_eq!(after.get("key").await.unwrap(), "new");
    for _ in 0..3 {
        assert_eq!(after.get("same").await.unwrap(), "same");
        assert_eq!(after.get("key").await.unwrap(), "new");
    }
    assert_eq!(comparisons(&after).await, 2);
    // It stays so over a stop: nobody asked for this one in the first run.
    let after = pair.on_copy(again).await.restart().await;
    assert_eq!(after.get("key").await.unwrap(), "new");
    // What cannot be compared is not served.
    pair.s3.stop_listening().await;
    assert!(after.tiered_get("same").await.is_none());
    after.put_local("fresh", b"bytes").await;
    assert_eq!(after.tiered_get("fresh").await.unwrap(), "bytes");
}

#[tokio::test]
async fn after_a_kill_or_with_fsync_nothing_is_compared() {
    for durability in [Durability::Relaxed, Durability::Fsync] {
        let pair = Pair::with(
            std::sync::Arc::new(crate::support::s3::S3Server::memory()),
            |plan| {
                plan.disk.durability = durability;
            },
        )
        .await;
        pair.put("key", b"bytes").await;
        let copy = pair.crash_copy().take();
        if durability == Durability::Fsync {
            reboot(copy.path());
        }
        let after = pair.on_copy(copy).await;
        pair.s3.forget();
        assert_eq!(after.get("key").await.unwrap(), "bytes");
        assert_eq!(comparisons(&after).await, 0);
    }
}

impl Pair {
    async fn tiered_get(&self, name: &str) -> Option<bytes::Bytes> {
        use chacha::store::Store;
        let entry = self.tiered.get(&key(name)).await.ok()??;
        read(entry.content).await.ok()
    }

    async fn put_local(&self, name: &str, bytes: &[u8]) {
        put(&*self.disk, &self.disk.spools(), &key(name), bytes)
            .await
            .unwrap();
    }
}
