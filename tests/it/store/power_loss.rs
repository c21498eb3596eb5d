//! What `durability: fsync` promises, on a volume of which a copy is taken at one moment, as a power loss would leave it.

use chacha::config::Durability;
use chacha::store::Store;

use super::support::*;
use super::volume::Volume;

async fn synced(volume: &Volume) -> Rig {
    let mut config = config(volume.path(), 16 * MIB);
    config.durability = Durability::Fsync;
    Rig::reopen(None, config).await
}

async fn delete(rig: &Rig, name: &str) {
    assert!(rig.disk.delete(&key(name), Default::default()).await.unwrap());
}

/// What the tier of `volume` holds under `name` if its power goes now.
async fn survives(volume: &Volume, name: &str) -> Option<Vec<u8>> {
    let left = volume.after_power_loss();
    let rig = synced(&left).await;
    let found = rig.get(name).await.map(|bytes| bytes.to_vec());
    rig.stop().await;
    found
}

#[tokio::test]
async fn an_answered_write_is_there_after_a_power_loss() {
    let Some(volume) = Volume::image("ext4", 64 << 20) else {
        return;
    };
    let rig = synced(&volume).await;
    for size in [100, MIB] {
        rig.put("entry", &body(size, 1)).await;
        assert!(survives(&volume, "entry").await == Some(body(size, 1)));
    }
    rig.stop().await;
}

#[tokio::test]
async fn an_answered_delete_is_not_undone_by_a_power_loss() {
    let Some(volume) = Volume::image("ext4", 64 << 20) else {
        return;
    };
    let rig = synced(&volume).await;
    rig.put("entry", b"former").await;
    rig.put("entry", b"entry").await;
    delete(&rig, "entry").await;
    assert!(survives(&volume, "entry").await.is_none());
    rig.stop().await;
}

#[tokio::test]
async fn a_delete_outlasts_a_power_loss_also_where_other_entries_stay_in_the_folder() {
    let Some(volume) = Volume::image("ext4", 64 << 20) else {
        return;
    };
    let rig = synced(&volume).await;
    // Two keys of one folder.
    let folder = |name: &str| key(name).digest().to_string()[..3].to_owned();
    let other = (0..)
        .map(|nth| nth.to_string())
        .find(|name| folder(name) == folder("entry"));
    let other = other.unwrap();
    rig.put("entry", b"entry").await;
    rig.put(&other, b"other").await;
    delete(&rig, "entry").await;
    assert!(survives(&volume, "entry").await.is_none());
    assert!(survives(&volume, &other).await.is_some());
    rig.stop().await;
}
