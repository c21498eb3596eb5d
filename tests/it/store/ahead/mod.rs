//! Parts of a body that reach S3 while the others arrive.

mod ends;

use bytes::Bytes;
use chacha::store::blocks::{BlockDir, BlockPlace, BlockWriter, Blocks};
use chacha::store::{Precondition, Store};

use super::support::*;
use super::tiered::rig::{Pair, back};
use crate::support::s3::{Action, Gate, Kind, S3Server, Which};

/// The least that S3 takes, and more than the tests configure.
const PART: usize = 5 * MIB;

async fn begin(store: &dyn Store, dir: &BlockDir, name: &str, id: u64) -> Blocks {
    let upload = dir.create(id, Vec::new()).await.unwrap();
    if let Some(early) = store.early_upload(&key(name)) {
        upload.send_early(early);
    }
    upload
}

async fn send(upload: &Blocks, place: BlockPlace, bytes: &[u8]) {
    let mut writer = upload.writer(place, Some(bytes.len() as u64)).await.unwrap();
    for piece in bytes.chunks(200_000) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    writer.finish().await.unwrap();
}

/// Blocks of 3 MiB, each at its offset, in this order.
async fn send_ranges(upload: &Blocks, bytes: &[u8], order: impl IntoIterator<Item = usize>) {
    for nth in order {
        let start = nth * 3 * MIB;
        let end = bytes.len().min(start + 3 * MIB);
        send(upload, BlockPlace::At(start as u64), &bytes[start..end]).await;
    }
}

async fn put(store: &dyn Store, name: &str, upload: &Blocks, size: usize) -> chacha::store::Result<()> {
    let spool = upload.assemble(size as u64).await.unwrap();
    let name = key(name);
    let put = store.put(&name, draft(), spool, Precondition::Absent);
    put.await.map(|_| ())
}

fn id(nth: usize) -> BlockPlace {
    BlockPlace::Block(name_of(nth))
}

/// As the toolkit names its blocks: they tell their place.
fn name_of(nth: usize) -> Box<[u8]> {
    format!("{}{nth:012}", "0123abcd-".repeat(4)).into_bytes().into()
}

/// Waits until one upload in S3 has so many parts.
async fn sent(s3: &S3Server, parts: usize) {
    until(
        "the parts are in S3",
        || matches!(&*s3.uploads(), [upload] if upload.parts == parts),
    )
    .await;
}

async fn nothing_unfinished(s3: &S3Server) {
    until("no upload is left", || s3.uploads().is_empty()).await;
}

/// The entry is the same here, there, and on another server.
async fn check(pair: &Pair, name: &str, bytes: &[u8]) {
    nothing_unfinished(&pair.s3).await;
    assert!(pair.local(name).await.unwrap() == bytes);
    let twin = pair.twin(|_| {}).await;
    let end = bytes.len() as u64;
    let range = end / 2 - 9..end / 2 + 9;
    let part = read(twin.entry(name).await.content.slice(range.clone()));
    assert!(part.await.unwrap() == bytes[range.start as usize..range.end as usize]);
    assert!(twin.get(name).await.unwrap() == bytes);
    twin.kept(name).await;
    pair.forget(name).await;
    assert!(pair.get(name).await.unwrap() == bytes);
}

#[tokio::test]
async fn a_commit_sends_only_the_rest() {
    let pair = Pair::new().await;
    let (dir, _) = pair.disk.blocks().await.unwrap();
    let bytes = body(4 * PART + 2 * MIB + 77, 1);
    let upload = begin(&pair.tiered, &dir, "a", 1).await;
    send_ranges(&upload, &bytes, 0..8).await;
    sent(&pair.s3, 4).await;
    assert!(pair.s3.objects().is_empty());
    pair.s3.forget();
    put(&pair.tiered, "a", &upload, bytes.len()).await.unwrap();
    upload.remove().await;
    let counts = [
        Kind::Create,
        Kind::UploadPart,
        Kind::Complete,
        Kind::Put,
        Kind::Abort,
    ];
    assert_eq!(counts.map(|kind| pair.s3.count(kind)), [0, 1, 1, 0, 0]);
    check(&pair, "a", &bytes).await;
    until("the account settles", || pair.disk.stats().reserved == 0).await;
}

/// Begins a block of `length` bytes and writes `bytes`, its first ones, in frames as a client sends them.
async fn first_part_of(upload: &Blocks, place: BlockPlace, length: usize, bytes: &[u8]) -> BlockWriter {
    let mut writer = upload.writer(place, Some(length as u64)).await.unwrap();
    for piece in bytes.chunks(200_000) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    writer
}

#[tokio::test]
async fn a_long_block_is_sent_before_its_end() {
    let pair = Pair::new().await;
    let (dir, _) = pair.disk.blocks().await.unwrap();
    let bytes = body(5 * PART + MIB, 1);
    let upload = begin(&pair.tiered, &dir, "a", 1).await;
    let mut writer = first_part_of(&upload, BlockPlace::Whole, bytes.len(), &bytes[..5 * PART]).await;
    sent(&pair.s3, 4).await;
    writer
        .write(Bytes::copy_from_slice(&bytes[5 * PART..]))
        .await
        .unwrap();
    writer.finish().await.unwrap();
    put(&pair.tiered, "a", &upload, bytes.len()).await.unwrap();
    upload.remove().await;
    check(&pair, "a", &bytes).await;
}

#[tokio::test]
async fn a_long_block_that_breaks_off_and_comes_again_with_other_bytes_is_what_came_last() {
    let pair = Pair::new().await;
    let (dir, _) = pair.disk.blocks().await.unwrap();
    let (torn, bytes) = (body(5 * PART, 1), body(5 * PART, 2));
    let upload = begin(&pair.tiered, &dir, "a", 1).await;
    let writer = first_part_of(&upload, id(0), bytes.len(), &torn[..4 * PART + MIB]).await;
    sent(&pair.s3, 4).await;
    drop(writer);
    send(&upload, id(0), &bytes).await;
    upload.put_block_list([name_of(0)]).await.unwrap();
    put(&pair.tiered, "a", &upload, bytes.len()).await.unwrap();
    upload.remove().await;
    check(&pair, "a", &bytes).await;
}

#[tokio::test]
async fn short_bodies_are_one_request_as_ever() {
    let pair = Pair::new().await;
    let (dir, _) = pair.disk.blocks().await.unwrap();
    let bytes = body(8 * MIB, 1);
    let upload = begin(&pair.tiered, &dir, "a", 1).await;
    send_ranges(&upload, &bytes, 0..3).await;
    put(&pair.tiered, "a", &upload, bytes.len()).await.unwrap();
    upload.remove().await;
    assert_eq!((pair.s3.count(Kind::Create), pair.s3.count(Kind::Put)), (0, 1));
    check(&pair, "a", &bytes).await;
}

#[tokio::test]
async fn blocks_in_any_order_are_sent_when_a_part_of_them_is_whole() {
    let pair = Pair::new().await;
    let (dir, _) = pair.disk.blocks().await.unwrap();
    let bytes = body(6 * PART, 1);
    let upload = begin(&pair.tiered, &dir, "ranges", 1).await;
    send_ranges(&upload, &bytes, [9, 8, 7, 6, 5, 4, 2, 3]).await;
    sent(&pair.s3, 4).await;
    send_ranges(&upload, &bytes, [1, 0]).await;
    sent(&pair.s3, 6).await;
    put(&pair.tiered, "ranges", &upload, bytes.len()).await.unwrap();
    upload.remove().await;
    check(&pair, "ranges", &bytes).await;

    let upload = begin(&pair.tiered, &dir, "ids", 2).await;
    for nth in [1, 0, 4, 2, 3, 5] {
        send(&upload, id(nth), &bytes[nth * PART..][..PART]).await;
    }
    upload
        .put_block_list([0, 1, 2, 3, 4, 5].map(name_of))
        .await
        .unwrap();
    sent(&pair.s3, 6).await;
    pair.s3.forget();
    put(&pair.tiered, "ids", &upload, bytes.len()).await.unwrap();
    upload.remove().await;
    // The trailer alone.
    assert_eq!(pair.s3.count(Kind::UploadPart), 1);
    check(&pair, "ids", &bytes).await;
}

#[tokio::test]
async fn a_block_with_other_bytes_after_its_part_was_sent() {
    let pair = Pair::new().await;
    let (dir, _) = pair.disk.blocks().await.unwrap();
    // Once it stands elsewhere afterwards, once it is back at its place.
    for (nth, seeds) in [(1, vec![2]), (2, vec![2, 3]), (3, vec![2, 1])] {
        let name = format!("entry {nth}");
        let mut bytes = body(4 * PART, 1);
        let upload = begin(&pair.tiered, &dir, &name, nth).await;
        for nth in 0..4 {
            send(&upload, id(nth), &bytes[nth * PART..][..PART]).await;
        }
        sent(&pair.s3, 4).await;
        for seed in seeds {
            let block = match seed {
                1 => body(4 * PART, 1)[PART..2 * PART].to_vec(),
                seed => body(PART, seed),
            };
            send(&upload, id(1), &block).await;
            bytes[PART..2 * PART].copy_from_slice(&block);
        }
        upload.put_block_list([0, 1, 2, 3].map(name_of)).await.unwrap();
        put(&pair.tiered, &name, &upload, bytes.len()).await.unwrap();
        upload.remove().await;
        check(&pair, &name, &bytes).await;
    }
}

#[tokio::test]
async fn a_list_in_another_order_decides() {
    let pair = Pair::new().await;
    let (dir, _) = pair.disk.blocks().await.unwrap();
    let bytes = body(4 * PART, 1);
    for (nth, order) in [(1, vec![3, 2, 1, 0]), (2, vec![0, 1, 3]), (3, vec![0, 1, 2, 2])] {
        let name = format!("entry {nth}");
        let upload = begin(&pair.tiered, &dir, &name, nth).await;
        for nth in 0..4 {
            send(&upload, id(nth), &bytes[nth * PART..][..PART]).await;
        }
        sent(&pair.s3, 4).await;
        let ids: Vec<_> = order.iter().copied().map(name_of).collect();
        upload.put_block_list(&ids[..]).await.unwrap();
        let parts = order.iter().map(|nth| &bytes[nth * PART..][..PART]);
        let whole: Vec<u8> = parts.flatten().copied().collect();
        put(&pair.tiered, &name, &upload, whole.len()).await.unwrap();
        upload.remove().await;
        check(&pair, &name, &whole).await;
    }
}
