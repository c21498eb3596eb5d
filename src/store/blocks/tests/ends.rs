//! Ends: put together, put together again, removed; and who is still writing then.

use super::*;
use crate::store::spool::SpoolBody;

async fn sent(rig: &Rig, whole: &[u8]) -> Blocks {
    let upload = rig.upload().await;
    for (nth, part) in whole.chunks(MIB).enumerate() {
        send(&upload, BlockPlace::At((nth * MIB) as u64), part)
            .await
            .expect("sent");
    }
    upload
}

#[tokio::test]
async fn a_body_can_be_assembled_again_until_the_upload_is_removed() {
    let rig = Rig::new().await;
    for length in [100, 3 * MIB] {
        let whole = body(length, 1);
        let upload = sent(&rig, &whole).await;
        let held = rig.held();
        for _ in 0..3 {
            check(&upload, &whole).await;
        }
        let wrong = upload.assemble(length as u64 + 1).await;
        assert!(matches!(
            wrong,
            Err(BlocksError::Size { .. } | BlocksError::Hole { .. })
        ));
        let (first, second) = (
            upload.assemble(length as u64).await,
            upload.assemble(length as u64).await,
        );
        let (first, second) = (first.expect("a body"), second.expect("another one"));
        assert!(bytes_of(&first).await == whole && bytes_of(&second).await == whole);
        drop((first, second));
        check(&upload, &whole).await;
        upload
            .0
            .wait(|state| (state.link == super::super::state::LinkState::None).then_some(()))
            .await;
        rig.tasks.spawn_blocking(|| ()).await.expect("pool");
        assert!(rig.held() >= held, "room was lost: {} of {held}", rig.held());
        upload.remove().await;
    }
}

#[tokio::test]
async fn a_spool_that_was_put_leaves_the_upload_its_own_name() {
    let rig = Rig::new().await;
    let whole = body(3 * MIB, 1);
    let upload = sent(&rig, &whole).await;
    let spool = upload.assemble(whole.len() as u64).await.expect("a body");
    let SpoolBody::File(temp) = spool.body() else {
        panic!("a long body is in memory");
    };
    // What a tier does.
    let entry = rig.dir.path().join("entry");
    sys::write_all_vectored_at(temp.file(), &[b"trailer"], spool.len()).expect("write");
    std::fs::rename(temp.path(), &entry).expect("rename");
    temp.keep();
    spool.room().settle(spool.len());
    drop(spool);
    check(&upload, &whole).await;
    upload.remove().await;
    assert_eq!(entry.metadata().expect("entry").len(), whole.len() as u64 + 7);
    assert!(files(&rig.folder()).is_empty());
    drop(upload);
    rig.tasks.finish().await;
    assert_eq!(rig.budget.figures(), (whole.len() as u64 + folder(&rig), 0));
}

fn folder(rig: &Rig) -> u64 {
    sys::block_bytes(&rig.folder().metadata().expect("folder"))
}

#[tokio::test]
async fn writers_that_run_when_the_body_is_put_together_change_nothing() {
    let rig = Rig::new().await;
    let whole = body(2 * MIB, 1);
    let upload = sent(&rig, &whole).await;
    let mut idle = upload
        .writer(BlockPlace::At(0), Some(MIB as u64))
        .await
        .expect("writer");
    idle.write(Bytes::from(body(MIB / 2, 9))).await.expect("write");
    let mut behind = upload
        .writer(BlockPlace::At(2 * MIB as u64), Some(MIB as u64))
        .await
        .expect("writer");
    behind.write(Bytes::from(body(MIB, 9))).await.expect("write");
    let spool = upload.assemble(whole.len() as u64).await.expect("a body");
    assert!(matches!(behind.finish().await, Err(BlocksError::Ended)));
    assert!(matches!(
        idle.write(Bytes::from(body(MIB / 2, 9))).await,
        Err(BlocksError::Ended)
    ));
    drop(idle);
    let late = upload.writer(BlockPlace::At(0), Some(1)).await;
    assert!(matches!(late, Err(BlocksError::Ended)));
    assert!(matches!(upload.put_block_list([]).await, Err(BlocksError::Ended)));
    assert!(bytes_of(&spool).await == whole);
    drop(spool);
    check(&upload, &whole).await;
}

#[tokio::test]
async fn an_attempt_that_found_no_room_can_be_made_again() {
    let rig = Rig::new().await;
    let upload = rig.upload().await;
    let whole = body(3 * MIB, 1);
    for nth in [1, 0, 2] {
        send(
            &upload,
            BlockPlace::Block(Client::Random.id(nth)),
            &whole[nth * MIB..][..MIB],
        )
        .await
        .expect("sent");
    }
    upload
        .put_block_list([0, 1, 2].map(|nth| Client::Random.id(nth)))
        .await
        .expect("known");
    let used = rig.budget.figures();
    let all = rig
        .budget
        .take(rig.budget.limit() - used.0 - used.1)
        .expect("room");
    let refused = upload.assemble(whole.len() as u64).await;
    assert!(
        matches!(
            refused,
            Err(BlocksError::Store(crate::store::Error::NoSpace { .. }))
        ),
        "{refused:?}"
    );
    drop(all);
    // It is open again.
    send(&upload, BlockPlace::Block(Client::Random.id(2)), &body(MIB, 5))
        .await
        .expect("sent");
    check(&upload, &whole).await;
}

#[tokio::test]
async fn removal_frees_the_room_and_ends_everybody() {
    let rig = Rig::new().await;
    let empty = rig.budget.figures();
    let whole = body(3 * MIB, 1);
    let upload = sent(&rig, &whole).await;
    send(&upload, id("a"), &whole).await.expect("sent");
    send(&upload, id("a"), &body(2 * MIB, 8)).await.expect("sent");
    let mut writer = upload
        .writer(BlockPlace::At(0), Some(MIB as u64))
        .await
        .expect("writer");
    writer.write(Bytes::from(body(MIB / 2, 9))).await.expect("write");
    let spool = upload.assemble(whole.len() as u64).await.expect("a body");
    upload.remove().await;
    assert!(files(&rig.folder()).is_empty());
    assert!(matches!(
        writer.write(Bytes::from(body(MIB / 2, 9))).await,
        Err(BlocksError::Ended)
    ));
    assert!(matches!(upload.assemble(1).await, Err(BlocksError::Ended)));
    assert!(bytes_of(&spool).await == whole);
    drop((spool, writer));
    upload.remove().await;
    rig.tasks.finish().await;
    assert_eq!(rig.budget.figures(), empty);
    assert!(files(&rig.dir.path().join("tmp")).is_empty());
}

#[tokio::test]
async fn a_writer_that_was_not_heard_of_again_leaves_nothing() {
    let rig = Rig::new().await;
    let upload = rig.upload().await;
    send(&upload, BlockPlace::At(0), &body(5000, 1))
        .await
        .expect("sent");
    let before = rig.held();
    for _ in 0..20 {
        let mut writer = upload
            .writer(BlockPlace::At(MIB as u64), Some(MIB as u64))
            .await
            .expect("writer");
        writer
            .write(Bytes::from(body(MIB - 5000, 2)))
            .await
            .expect("write");
        drop(writer);
        drop(
            upload
                .writer(BlockPlace::At(MIB as u64), Some(MIB as u64))
                .await
                .expect("writer"),
        );
        rig.quiet(&upload).await;
    }
    rig.tasks.spawn_blocking(|| ()).await.expect("pool");
    // The blocks at both ends may belong to neighbours, so they stay.
    let (disk, held) = (rig.disk(), rig.held());
    assert!(
        disk <= held && held <= before + 2 * 4096,
        "{disk} {held} {before}"
    );
}
