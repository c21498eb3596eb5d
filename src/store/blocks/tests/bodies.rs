//! What makes a body, and what does not.

use std::os::unix::fs::MetadataExt;

use super::*;
use crate::store::spool::SpoolBody;

/// Whether the body is the data file itself.
async fn is_linked(rig: &Rig, upload: &Blocks, expected: &[u8]) -> bool {
    let spool = upload
        .assemble(expected.len() as u64)
        .await
        .expect("a whole body");
    assert!(bytes_of(&spool).await == expected);
    assert_eq!(spool.checksums(), &Checksums::of(expected));
    let SpoolBody::File(temp) = spool.body() else {
        panic!("a long body is in memory");
    };
    let data = rig.folder().join(format!("{:016x}.data", upload.id()));
    let linked = data
        .metadata()
        .is_ok_and(|data| data.ino() == temp.file().metadata().expect("file").ino());
    if linked {
        assert_eq!(data.metadata().expect("file").len(), expected.len() as u64);
    }
    linked
}

#[tokio::test]
async fn holes_and_wrong_sizes_leave_the_upload_as_it_was() {
    let rig = Rig::new().await;
    let upload = rig.upload().await;
    let whole = body(300 * KIB, 1);
    assert!(matches!(upload.assemble(5).await, Err(BlocksError::Incomplete)));
    send(
        &upload,
        BlockPlace::At(100 * KIB as u64),
        &whole[100 * KIB..200 * KIB],
    )
    .await
    .expect("sent");
    let hole = |outcome, expected| match outcome {
        Err(BlocksError::Hole { at }) => assert_eq!(at, expected),
        other => panic!("{other:?}"),
    };
    hole(upload.assemble(200 * KIB as u64).await, 0);
    send(&upload, BlockPlace::At(0), &whole[..99 * KIB])
        .await
        .expect("sent");
    hole(upload.assemble(200 * KIB as u64).await, 99 * KIB as u64);
    send(
        &upload,
        BlockPlace::At(99 * KIB as u64),
        &whole[99 * KIB..101 * KIB],
    )
    .await
    .expect("sent");
    hole(upload.assemble(300 * KIB as u64).await, 200 * KIB as u64);
    let beyond = upload.assemble(150 * KIB as u64).await;
    assert!(
        matches!(
            beyond,
            Err(BlocksError::Size {
                declared: 153_600,
                received: 204_800
            })
        ),
        "{beyond:?}"
    );
    send(&upload, BlockPlace::At(200 * KIB as u64), &whole[200 * KIB..])
        .await
        .expect("sent");
    check(&upload, &whole).await;
}

#[tokio::test]
async fn a_body_without_bytes_needs_nothing() {
    let rig = Rig::new().await;
    let upload = rig.upload().await;
    assert!(!upload.has_body());
    check(&upload, b"").await;
    upload.remove().await;
    let upload = rig.upload().await;
    send(&upload, BlockPlace::Whole, b"").await.expect("sent");
    assert!(upload.has_body());
    assert!(matches!(
        upload.assemble(1).await,
        Err(BlocksError::Size {
            declared: 1,
            received: 0
        })
    ));
    check(&upload, b"").await;
    upload.remove().await;
    let upload = rig.upload().await;
    send(&upload, id("a"), b"").await.expect("sent");
    send(&upload, BlockPlace::At(5), b"").await.expect("sent");
    assert!(matches!(upload.assemble(0).await, Err(BlocksError::Incomplete)));
    assert_eq!(upload.put_block_list(ids(&["a", "a"])).await.expect("known"), 0);
    check(&upload, b"").await;
}

#[tokio::test]
async fn more_bytes_than_announced_are_refused_and_fewer_never_arrived() {
    let rig = Rig::new().await;
    let upload = rig.upload().await;
    for length in [10, 100 * KIB] {
        let bytes = Bytes::from(body(length, 3));
        let mut writer = upload
            .writer(BlockPlace::Whole, Some(length as u64))
            .await
            .expect("writer");
        writer.write(bytes.slice(1..)).await.expect("write");
        let more = writer.write(bytes.slice(..2)).await;
        assert!(matches!(more, Err(BlocksError::Size { declared, received }) if received == declared + 1));
        let mut writer = upload
            .writer(BlockPlace::Whole, Some(length as u64))
            .await
            .expect("writer");
        writer.write(bytes.slice(1..)).await.expect("write");
        let fewer = writer.finish().await;
        assert!(matches!(fewer, Err(BlocksError::Size { declared, received }) if received + 1 == declared));
    }
    assert!(!upload.has_body());
}

#[tokio::test]
async fn the_last_whole_body_or_list_decides() {
    let rig = Rig::new().await;
    let upload = rig.upload().await;
    let long = body(90 * KIB, 4);
    send(&upload, BlockPlace::At(0), b"range").await.expect("sent");
    send(&upload, BlockPlace::Whole, b"short").await.expect("sent");
    assert_eq!(upload.received(), 5);
    send(&upload, BlockPlace::Whole, &long).await.expect("sent");
    send(&upload, id("a"), b"first").await.expect("sent");
    send(&upload, id("b"), b"second").await.expect("sent");
    assert!(matches!(
        upload.assemble(11).await,
        Err(BlocksError::Size {
            declared: 11,
            received: 92_160
        })
    ));
    let unknown = upload.put_block_list(ids(&["a", "c"])).await;
    assert!(matches!(unknown, Err(BlocksError::UnknownBlock)));
    assert_eq!(
        upload.put_block_list(ids(&["b", "a", "b"])).await.expect("known"),
        17
    );
    assert_eq!(upload.put_block_list(ids(&["b"])).await.expect("known"), 6);
    let dropped = upload.put_block_list(ids(&["a"])).await;
    assert!(matches!(dropped, Err(BlocksError::UnknownBlock)));
    // Waits for the next list.
    send(&upload, id("b"), b"other").await.expect("sent");
    check(&upload, b"second").await;
}

#[tokio::test]
async fn ids_have_their_length() {
    let rig = Rig::new().await;
    let upload = rig.upload().await;
    for length in [0, 65] {
        let refused = upload
            .writer(BlockPlace::Block(vec![1; length].into()), Some(1))
            .await;
        assert!(matches!(refused, Err(BlocksError::BlockId)));
    }
    send(&upload, BlockPlace::Block([1; 64].into()), b"x")
        .await
        .expect("sent");
    let far = upload.writer(BlockPlace::At(u64::MAX), Some(1)).await;
    assert!(matches!(
        far,
        Err(BlocksError::Store(crate::store::Error::TooLarge { .. }))
    ));
}

#[tokio::test]
async fn a_length_that_is_not_known_makes_no_difference() {
    let rig = Rig::new().await;
    for length in [0, 7, 64 * KIB, 700 * KIB] {
        let upload = rig.upload().await;
        let bytes = body(length, 9);
        let mut writer = upload.writer(BlockPlace::Whole, None).await.expect("writer");
        for piece in bytes.chunks(10_000) {
            writer.write(Bytes::copy_from_slice(piece)).await.expect("write");
        }
        writer.finish().await.expect("finish");
        check(&upload, &bytes).await;
        upload.remove().await;
    }
}

#[tokio::test]
async fn nothing_is_copied_whose_place_can_be_known() {
    let rig = Rig::new().await;
    let whole = body(5 * MIB + 77, 5);
    let parts: Vec<&[u8]> = whole.chunks(MIB).collect();
    for client in [Client::JavaScript, Client::Go] {
        let upload = rig.upload().await;
        // The short last one first.
        for nth in [5, 3, 1, 0, 2, 4, 3] {
            send(&upload, BlockPlace::Block(client.id(nth)), parts[nth])
                .await
                .expect("sent");
        }
        let list: Vec<_> = (0..6).map(|nth| client.id(nth)).collect();
        upload.put_block_list(&list[..]).await.expect("known");
        assert!(is_linked(&rig, &upload, &whole).await, "{client:?}");
        upload.remove().await;
    }
    let upload = rig.upload().await;
    for nth in [5, 0, 4, 2, 1, 3, 2] {
        send(&upload, BlockPlace::At((nth * MIB) as u64), parts[nth])
            .await
            .expect("sent");
    }
    // One with other bytes is brought to its place, which the first one has left.
    send(&upload, BlockPlace::At(2 * MIB as u64), &body(MIB, 6))
        .await
        .expect("sent");
    let mut other = whole.clone();
    other[2 * MIB..3 * MIB].copy_from_slice(&body(MIB, 6));
    assert!(is_linked(&rig, &upload, &other).await);
    upload.remove().await;
    let upload = rig.upload().await;
    for (nth, part) in whole.chunks(700 * KIB + 1).enumerate() {
        send(&upload, BlockPlace::Block(Client::Random.id(nth)), part)
            .await
            .expect("sent");
    }
    let list: Vec<_> = (0..8).map(|nth| Client::Random.id(nth)).collect();
    upload.put_block_list(&list[..]).await.expect("known");
    assert!(is_linked(&rig, &upload, &whole).await);
}

#[tokio::test]
async fn another_order_than_that_of_arrival_is_copied() {
    let rig = Rig::new().await;
    let upload = rig.upload().await;
    let whole = body(3 * MIB, 8);
    let parts: Vec<&[u8]> = whole.chunks(MIB).collect();
    for nth in [1, 0, 2] {
        send(&upload, BlockPlace::Block(Client::Random.id(nth)), parts[nth])
            .await
            .expect("sent");
    }
    let list: Vec<_> = (0..3).map(|nth| Client::Random.id(nth)).collect();
    upload.put_block_list(&list[..]).await.expect("known");
    assert!(!is_linked(&rig, &upload, &whole).await);
    // It can be done again.
    check(&upload, &whole).await;
}

#[tokio::test]
async fn a_torn_repetition_does_not_harm_the_complete_block() {
    let rig = Rig::new().await;
    let upload = rig.upload().await;
    let whole = body(2 * MIB, 2);
    for place in [id("a"), BlockPlace::At(0)] {
        send(&upload, place.clone(), &whole).await.expect("sent");
        let mut writer = upload
            .writer(place, Some(whole.len() as u64))
            .await
            .expect("writer");
        writer.write(Bytes::from(body(MIB, 3))).await.expect("write");
        drop(writer);
        rig.quiet(&upload).await;
    }
    check(&upload, &whole).await;
    upload.remove().await;
    let upload = rig.upload().await;
    send(&upload, id("a"), &whole).await.expect("sent");
    let mut writer = upload
        .writer(id("a"), Some(whole.len() as u64))
        .await
        .expect("writer");
    writer.write(Bytes::from(body(MIB, 3))).await.expect("write");
    drop(writer);
    upload.put_block_list(ids(&["a"])).await.expect("known");
    check(&upload, &whole).await;
}

#[tokio::test]
async fn the_most_blocks_of_the_least_size() {
    let rig = Rig::new().await;
    let upload = rig.upload().await;
    let whole = body(50_000 * 3, 12);
    let sending = whole.chunks(3).enumerate().collect::<Vec<_>>();
    for group in sending.chunks(64) {
        let group = group
            .iter()
            .map(|(nth, part)| send(&upload, BlockPlace::Block(Client::Go.id(*nth)), part));
        futures_util::future::try_join_all(group).await.expect("sent");
    }
    let one_more = upload.writer(id("one more"), Some(1)).await;
    assert!(matches!(
        one_more,
        Err(BlocksError::TooManyBlocks { limit: 50_000 })
    ));
    send(&upload, BlockPlace::Block(Client::Go.id(7)), b"???")
        .await
        .expect("a known one");
    let list: Vec<_> = (0..50_000).map(|nth| Client::Go.id(nth)).collect();
    assert_eq!(upload.put_block_list(&list[..]).await.expect("known"), 150_000);
    let mut expected = whole.clone();
    expected[21..24].copy_from_slice(b"???");
    assert!(is_linked(&rig, &upload, &expected).await);
    let mut list = list;
    list.push(Client::Go.id(0));
    let too_long = upload.put_block_list(&list[..]).await;
    assert!(matches!(
        too_long,
        Err(BlocksError::TooManyBlocks { limit: 50_000 })
    ));
}
