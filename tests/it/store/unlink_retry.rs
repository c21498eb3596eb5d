//! Files that cannot be unlinked: a folder in the place of the file refuses whoever runs the tests.

use chacha::store::Store;

use super::support::*;

/// Puts an entry and an obstacle into the place of its file; answers the obstacle.
async fn stick(rig: &Rig, name: &str, size: usize) -> std::path::PathBuf {
    rig.put(name, &body(size, 1)).await;
    let path = rig.file_of(name);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    path
}

#[tokio::test]
async fn a_file_that_could_not_be_unlinked_is_tried_again() {
    let rig = Rig::new(8 * MIB).await;
    let obstacle = stick(&rig, "k", 100 * KIB).await;
    let before = rig.disk.stats().used;
    rig.put("k", &body(10, 2)).await;
    let stats = rig.disk.stats();
    assert!(stats.used > before, "its bytes stay counted: {stats:?}");
    until("it is waiting", || rig.disk.stats().stuck_files == 1).await;
    std::fs::remove_dir(obstacle).unwrap();
    until("it is gone", || rig.disk.stats().used < before).await;
    assert_eq!(rig.disk.stats().stuck_files, 0);
    assert_eq!(rig.disk.stats().used, du(rig.dir()));
    assert!(rig.get("k").await.unwrap() == body(10, 2));
}

#[tokio::test]
async fn room_that_a_stuck_file_holds_is_used_as_soon_as_it_can_be() {
    let rig = Rig::new(2 * MIB).await;
    let obstacle = stick(&rig, "k", MIB).await;
    let refused = rig.disk.delete(&key("k"), Default::default()).await;
    assert!(refused.is_err(), "a file that stays is not a delete");
    assert!(rig.get("k").await.is_none());
    std::fs::remove_dir(obstacle).unwrap();
    let large = rig.disk.capacity() as usize;
    rig.put("large", &body(large, 3)).await;
    assert!(rig.get("large").await.unwrap() == body(large, 3));
    assert!(du(rig.dir()) <= 2 * MIB as u64);
    assert_eq!(rig.disk.stats().stuck_files, 0);
}
