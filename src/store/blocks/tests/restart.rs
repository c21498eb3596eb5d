//! What a start finds.

use super::*;

#[tokio::test]
async fn an_upload_goes_on_after_a_crash_between_two_blocks() {
    for client in [Client::JavaScript, Client::Go, Client::Random] {
        let mut rig = Rig::new().await;
        let whole = body(4 * MIB + 9, 1);
        let parts: Vec<&[u8]> = whole.chunks(MIB).collect();
        let mut upload = rig.upload().await;
        for (nth, part) in parts.iter().enumerate() {
            send(&upload, BlockPlace::Block(client.id(nth)), part)
                .await
                .expect("sent");
            let mut torn = upload
                .writer(BlockPlace::Block(client.id(9)), Some(MIB as u64))
                .await
                .expect("writer");
            torn.write(Bytes::from(body(MIB / 2, 3))).await.expect("write");
            // A crash cleans nothing up.
            std::mem::forget(torn);
            drop(upload);
            let (next, mut found) = rig.crash(256 * MIB).await;
            (rig, upload) = (next, found.remove(0));
            assert_eq!((upload.id(), upload.note()), (7, b"note".as_slice()));
            assert!(rig.disk() <= rig.held());
        }
        assert_eq!(upload.received(), whole.len() as u64);
        upload
            .put_block_list((0..5).map(|nth| client.id(nth)).collect::<Vec<_>>())
            .await
            .expect("known");
        drop(upload);
        let (rig, mut found) = rig.crash(256 * MIB).await;
        let upload = found.remove(0);
        check(&upload, &whole).await;
        upload.remove().await;
        drop(upload);
        rig.tasks.finish().await;
        assert_eq!(rig.held(), 0);
    }
}

#[tokio::test]
async fn ranges_and_short_bodies_survive_and_the_later_ones_still_win() {
    let rig = Rig::new().await;
    let upload = rig.upload().await;
    let mut whole = body(300 * KIB, 1);
    send(&upload, BlockPlace::At(0), &whole).await.expect("sent");
    for (start, length) in [(5, 100_000), (90_000, 33), (200_000, 107_200)] {
        let other = body(length, start as u64);
        send(&upload, BlockPlace::At(start as u64), &other)
            .await
            .expect("sent");
        whole[start..start + length].copy_from_slice(&other);
    }
    drop(upload);
    let (rig, mut found) = rig.crash(256 * MIB).await;
    let upload = found.remove(0);
    check(&upload, &whole).await;
    upload.remove().await;
    let upload = rig.upload().await;
    send(&upload, BlockPlace::Whole, b"first").await.expect("sent");
    send(&upload, BlockPlace::Whole, b"second").await.expect("sent");
    drop(upload);
    let (rig, mut found) = rig.crash(256 * MIB).await;
    assert_eq!(files(&rig.folder()).len(), 1, "a short body takes one file");
    check(&found.remove(0), b"second").await;
}

#[tokio::test]
async fn a_torn_log_is_good_up_to_its_last_whole_record() {
    let mut rig = Rig::new().await;
    let upload = rig.upload().await;
    let log = files(&rig.folder()).remove(0);
    send(&upload, id("a"), b"first").await.expect("sent");
    let whole = log.metadata().expect("log").len();
    send(&upload, id("b"), b"second").await.expect("sent");
    let length = log.metadata().expect("log").len();
    drop(upload);
    let bytes = std::fs::read(&log).expect("log");
    for cut in [length - 1, length - 9, whole + 1] {
        std::fs::write(&log, &bytes[..cut as usize]).expect("log");
        let (next, mut found) = rig.crash(256 * MIB).await;
        rig = next;
        let upload = found.remove(0);
        assert_eq!(upload.received(), 5);
        assert!(matches!(
            upload.put_block_list(ids(&["b"])).await,
            Err(BlocksError::UnknownBlock)
        ));
        // What comes now stands where the torn one stood.
        send(&upload, id("c"), b"third").await.expect("sent");
        drop(upload);
        let (next, mut found) = rig.crash(256 * MIB).await;
        rig = next;
        let upload = found.remove(0);
        upload.put_block_list(ids(&["a", "c"])).await.expect("known");
        check(&upload, b"firstthird").await;
    }
}

#[tokio::test]
async fn what_cannot_go_on_is_removed() {
    let rig = Rig::new().await;
    let folder = rig.folder();
    let long = body(MIB, 1);
    for nth in 1..=3 {
        let upload = rig.blocks.create(nth, Vec::new()).await.expect("create");
        send(&upload, BlockPlace::Whole, &long).await.expect("sent");
    }
    let short = |nth: u64| folder.join(format!("{nth:016x}.data"));
    File::options()
        .write(true)
        .open(short(1))
        .expect("open")
        .set_len(MIB as u64 - 1)
        .expect("cut");
    std::fs::remove_file(short(2)).expect("remove");
    std::fs::write(folder.join("0000000000000009.log"), "torn").expect("write");
    std::fs::write(folder.join("0000000000000008.data"), "lost").expect("write");
    std::fs::write(folder.join("other"), "foreign").expect("write");
    let (rig, found) = rig.crash(256 * MIB).await;
    assert_eq!(found.iter().map(Blocks::id).collect::<Vec<_>>(), [3]);
    assert_eq!(files(&folder).len(), 2);
    check(&found[0], &long).await;
    drop(found);
    // More than the tier can ever hold now.
    let (rig, found) = rig.crash(MIB).await;
    assert!(found.is_empty() && files(&folder).is_empty());
    assert_eq!(rig.held(), 0);
}

#[tokio::test]
async fn what_a_tier_took_before_the_crash_is_never_written_again() {
    let rig = Rig::new().await;
    let upload = rig.upload().await;
    let whole = body(2 * MIB, 1);
    send(&upload, BlockPlace::At(0), &whole[..MIB])
        .await
        .expect("sent");
    send(&upload, BlockPlace::At(MIB as u64), &whole[MIB..])
        .await
        .expect("sent");
    let entry = rig.dir.path().join("entry");
    let data = files(&rig.folder()).remove(0);
    std::fs::hard_link(&data, &entry).expect("link");
    drop(upload);
    let (_rig, mut found) = rig.crash(256 * MIB).await;
    let upload = found.remove(0);
    // Neither a block behind the others nor one that replaces another.
    send(&upload, BlockPlace::At(2 * MIB as u64), &body(MIB, 2))
        .await
        .expect("sent");
    send(&upload, BlockPlace::At(0), &body(MIB, 3))
        .await
        .expect("sent");
    let expected = [body(MIB, 3), whole[MIB..].to_vec(), body(MIB, 2)].concat();
    check(&upload, &expected).await;
    assert!(std::fs::read(&entry).expect("entry") == whole);
    upload.remove().await;
    assert!(std::fs::read(&entry).expect("entry") == whole);
}

/// What a power loss does to pages of the data file that were not written yet.
fn lose_pages(rig: &Rig, at: u64) {
    let data = files(&rig.folder()).remove(0);
    let file = File::options().write(true).open(&data).expect("open");
    sys::write_all_vectored_at(&file, &[[0; 64 * KIB]], at).expect("write");
}

fn is_missing(outcome: Result<crate::store::Spool, BlocksError>, from: usize) {
    let missing = matches!(outcome, Err(BlocksError::Hole { at }) if at == from as u64);
    assert!(missing, "{outcome:?}");
}

#[tokio::test]
async fn bytes_that_were_lost_under_a_record_are_a_missing_block_and_not_a_body() {
    let whole = body(2 * MIB, 1);
    // One order of the blocks is the one in which they stand in the data file, the other one is copied.
    for order in [[0, 1], [1, 0]] {
        let rig = Rig::new().await;
        let upload = rig.upload().await;
        let named = |nth: usize| BlockPlace::Block(Client::Random.id(nth));
        let part = |nth: usize| &whole[nth * MIB..][..MIB];
        for nth in [0, 1] {
            send(&upload, named(nth), part(nth)).await.expect("sent");
        }
        let list = order.map(|nth| Client::Random.id(nth));
        upload.put_block_list(&list[..]).await.expect("known");
        drop(upload);
        lose_pages(&rig, 5000);
        let (rig, mut found) = rig.crash(256 * MIB).await;
        let upload = found.remove(0);
        let at = if order == [0, 1] { 0 } else { MIB };
        is_missing(upload.assemble(whole.len() as u64).await, at);
        is_missing(upload.assemble(whole.len() as u64).await, at);
        assert!(matches!(
            upload.put_block_list(&list[..]).await,
            Err(BlocksError::UnknownBlock)
        ));
        // It can be completed as if the block had never come.
        send(&upload, named(0), part(0)).await.expect("sent again");
        upload.put_block_list(&list[..]).await.expect("known");
        let body = order.map(part).concat();
        check(&upload, &body).await;
        upload.remove().await;
        drop(upload);
        rig.tasks.finish().await;
        assert_eq!(rig.held(), 0);
    }
}

#[tokio::test]
async fn a_range_that_was_lost_in_a_crash_is_a_hole_until_it_comes_again() {
    let rig = Rig::new().await;
    let upload = rig.upload().await;
    let whole = body(3_000_000, 1);
    let half = 1_700_000;
    for range in [0..half, half..whole.len()] {
        let place = BlockPlace::At(range.start as u64);
        send(&upload, place, &whole[range]).await.expect("sent");
    }
    drop(upload);
    lose_pages(&rig, 300 * 4096);
    let (rig, mut found) = rig.crash(256 * MIB).await;
    let upload = found.remove(0);
    is_missing(upload.assemble(whole.len() as u64).await, 0);
    send(&upload, BlockPlace::At(0), &whole[..half])
        .await
        .expect("sent again");
    check(&upload, &whole).await;
    drop(rig);
}

#[tokio::test]
async fn a_block_of_an_earlier_run_that_comes_again_counts_and_not_the_one_that_may_be_damaged() {
    let rig = Rig::new().await;
    let upload = rig.upload().await;
    let whole = body(2 * MIB, 1);
    send(&upload, BlockPlace::At(0), &whole).await.expect("sent");
    drop(upload);
    lose_pages(&rig, 0);
    let (_rig, mut found) = rig.crash(256 * MIB).await;
    let upload = found.remove(0);
    // Its answer was lost in the crash, so the client sends it again.
    send(&upload, BlockPlace::At(0), &whole)
        .await
        .expect("sent again");
    check(&upload, &whole).await;
}

use std::fs::File;
