//! Room: what is on the volume is reserved, and repetition does not need more and more of it.

use super::super::block::{Extent, UploadFile};
use super::super::state::UploadState;
use super::super::{MAX_RECORDS, file_usage};
use super::*;

#[tokio::test]
async fn blocks_that_are_sent_again_and_again_take_the_room_of_a_few() {
    let rig = Rig::new().await;
    let upload = rig.upload().await;
    send(&upload, id("b"), &body(MIB, 99)).await.expect("sent");
    for round in 0..60 {
        for place in [id("a"), BlockPlace::At(0)] {
            send(&upload, place, &body(MIB, round)).await.expect("sent");
            assert!(rig.disk() <= rig.held(), "{} of {}", rig.disk(), rig.held());
        }
    }
    assert!(rig.held() < 6 * MIB as u64, "{}", rig.held());
    let last = body(MIB, 59);
    upload.put_block_list(ids(&["a", "b"])).await.expect("known");
    check(&upload, &[last, body(MIB, 99)].concat()).await;
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_costs_nothing() {
    let rig = Rig::new().await;
    let upload = rig.upload().await;
    send(&upload, id("a"), &body(MIB, 1)).await.expect("sent");
    let before = rig.budget.figures();
    let free = rig.budget.limit() - before.0 - before.1;
    let all = rig.budget.take(free - MIB as u64).expect("room");
    let refused = upload.writer(id("b"), Some(4 * MIB as u64)).await;
    assert!(matches!(
        refused,
        Err(BlocksError::Store(crate::store::Error::NoSpace { .. }))
    ));
    let too_large = upload.writer(id("b"), Some(300 * MIB as u64)).await;
    assert!(matches!(
        too_large,
        Err(BlocksError::Store(crate::store::Error::TooLarge { .. }))
    ));
    drop(all);
    assert_eq!(rig.budget.figures(), before);
    send(&upload, id("b"), &body(4 * MIB, 1)).await.expect("sent");
}

#[tokio::test]
async fn a_short_body_costs_one_file_of_a_few_blocks() {
    let rig = Rig::new().await;
    let mut uploads = Vec::new();
    for nth in 0..100 {
        let upload = rig.blocks.create(nth, vec![1; 200]).await.expect("create");
        send(&upload, BlockPlace::Whole, &body(3000, nth))
            .await
            .expect("sent");
        uploads.push(upload);
    }
    assert_eq!(files(&rig.folder()).len(), 100);
    assert!(rig.disk() <= rig.held() && rig.held() <= 100 * 3 * 4096);
    for upload in &uploads {
        upload.remove().await;
    }
    assert_eq!(rig.held(), 0);
}

#[test]
fn garbage_and_records_have_an_end() {
    let mut state = UploadState::default();
    let extent = |at| Extent {
        file: UploadFile::More,
        at,
        length: 1 << 20,
    };
    let place = BlockPlace::Block([1].into());
    assert!(state.admit(&place, 1).is_ok());
    // Where nothing can be given back to the volume.
    for nth in 0..1026 {
        for block in state.keep(place.clone(), extent(nth << 20), Box::default(), 100) {
            state.more.release(&block.extent.range(), false);
        }
    }
    let refused = state.admit(&place, 1);
    assert!(matches!(
        refused,
        Err(BlocksError::Store(crate::store::Error::NoSpace { .. }))
    ));
    let mut state = UploadState::default();
    for _ in 0..=MAX_RECORDS {
        assert!(state.admit(&place, 1).is_ok());
        state.keep(place.clone(), extent(0), Box::default(), 100);
    }
    assert!(matches!(
        state.admit(&place, 1),
        Err(BlocksError::TooManyBlocks { limit: MAX_RECORDS })
    ));
    assert!(state.cost() <= file_usage::max_growth(1 << 20) + 4 * 4096);
}
