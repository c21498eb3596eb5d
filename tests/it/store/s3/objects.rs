//! What is in the bucket, and how it is read.

use bytes::Bytes;
use chacha::config::S3Checksums;
use chacha::store::remote::RemoteTier;
use chacha::store::{Precondition, RemoteErrorKind, Store};
use futures_util::TryStreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::support::*;
use super::BucketRig;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_go_in_parts_and_come_back() {
    let rig = BucketRig::new().await;
    let bytes = body(20 * MIB + 7, 1);
    rig.put("large", &bytes).await;
    assert_eq!(rig.requests("upload_part"), 5);
    assert_eq!(rig.requests("put"), 0);
    rig.store.forget("large").await;
    assert!(get(&*rig.store, &key("large")).await.unwrap() == bytes);
    // Each of five parts with one request, the first with the description.
    assert_eq!((rig.requests("get"), rig.requests("head")), (5, 0));
    let entry = rig.store.get(&key("large")).await.unwrap().unwrap();
    for (start, end) in [
        (0, 10),
        (5 * MIB - 1, 5 * MIB + 1),
        (7 * MIB, 18 * MIB),
        (20 * MIB + 6, 20 * MIB + 7),
    ] {
        let part = read(entry.content.slice(start as u64..end as u64)).await.unwrap();
        assert!(part == bytes[start..end], "{start}..{end}");
    }
    until("the record is gone", || rig.records() == 0).await;
    assert_eq!(rig.server.uploads().len(), 0);
    let stats = rig.s3.stats();
    assert_eq!(stats.bytes_out, bytes.len() as u64);
    assert!(stats.failures.iter().all(|(_, count)| *count == 0), "{stats:?}");
}

/// An object that came in parts may count as old as its first part.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_tells_when_the_bucket_got_a_whole_object() {
    let rig = BucketRig::new().await;
    for (size, is_told) in [(1000, true), (12 * MIB, false)] {
        rig.put("entry", &body(size, 1)).await;
        let seen = rig.s3.head(&key("entry")).await.unwrap().unwrap();
        assert_eq!(seen.modified.is_some(), is_told, "{size}");
        let Some(modified) = seen.modified else { continue };
        let off = match modified.elapsed() {
            Ok(ago) => ago,
            Err(ahead) => ahead.duration(),
        };
        assert!(off.as_secs() < 20, "{off:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_descriptions_are_trailers() {
    let rig = BucketRig::new().await;
    for size in [0, 10, 300 * KIB, 6 * MIB, 12 * MIB + 1] {
        let bytes = body(size, 2);
        let mut draft = draft();
        draft.metadata.insert("long", &"\u{1}".repeat(8000)).unwrap();
        let spool = spool(&rig.store.spools(), &bytes).await.unwrap();
        let meta = rig
            .store
            .put(&key("t"), draft.clone(), spool, Precondition::None)
            .await
            .unwrap()
            .meta;
        assert_eq!(meta.metadata, draft.metadata);
        rig.store.forget("t").await;
        assert_eq!(
            rig.store.head(&key("t")).await.unwrap(),
            Some(meta.clone()),
            "{size}"
        );
        assert_eq!(rig.store.get(&key("t")).await.unwrap().unwrap().meta, meta);
        assert!(get(&*rig.store, &key("t")).await.unwrap() == bytes, "{size}");
        let objects = rig.server.objects();
        assert!(objects.values().all(|object| object.size > meta.size + 8000));
        let entry = rig.s3.head(&key("t")).await.unwrap().unwrap();
        assert!(rig.s3.link(&key("t"), &entry).await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_under_our_name_is_served_only_if_it_is_the_entry() {
    let rig = BucketRig::new().await;
    rig.put("a", b"of a").await;
    rig.store.forget("a").await;
    let (mine, described) = rig.server.objects().pop_first().unwrap();
    let pairs = described.metadata.iter();
    let pairs: Vec<(&str, &str)> = pairs.map(|(name, text)| (name.as_str(), text.as_str())).collect();
    // The bytes of another entry of the same length.
    rig.server.put_raw(&mine, "of b", &pairs);
    assert!(rig.store.get(&key("a")).await.unwrap().is_none());
    // All of another entry.
    rig.put("b", b"of b").await;
    let (other, of_b) = rig
        .server
        .objects()
        .into_iter()
        .find(|(name, _)| *name != mine)
        .unwrap();
    let bytes = rig.server.object(&other).unwrap();
    let pairs_of_b = of_b.metadata.iter();
    let pairs_of_b: Vec<(&str, &str)> = pairs_of_b
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    rig.server.put_raw(&mine, bytes, &pairs_of_b);
    assert!(rig.store.get(&key("a")).await.unwrap().is_none());
    // A longer one than its description says, and one that somebody else put there without a description.
    rig.server
        .put_raw(&mine, "longer than the description says", &pairs);
    assert!(rig.store.get(&key("a")).await.unwrap().is_none());
    rig.server.put_raw(&mine, "by somebody else", &[]);
    assert!(rig.store.get(&key("a")).await.unwrap().is_none());
    assert!(rig.store.head(&key("a")).await.unwrap().is_none());
    let fault = rig
        .s3
        .source(&key("a"))
        .open()
        .await
        .err()
        .unwrap()
        .remote_error_kind();
    assert_eq!(fault, Some(RemoteErrorKind::Damaged));
    assert!(rig.s3.stats().damaged > 0);
    // It can be replaced, also by a writer who wants to be the first.
    put_if(
        &*rig.store,
        &rig.store.spools(),
        &key("a"),
        b"new",
        Precondition::Absent,
    )
    .await
    .unwrap();
    assert_eq!(get(&*rig.store, &key("a")).await.unwrap(), "new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_was_replaced_is_not_mixed_with_the_new_one() {
    let rig = BucketRig::new().await;
    rig.put("v", &body(12 * MIB, 1)).await;
    let entry = rig.s3.head(&key("v")).await.unwrap().unwrap();
    let range = 5 * MIB as u64..6 * MIB as u64;
    let part: Vec<Bytes> = rig
        .s3
        .source(&key("v"))
        .read(&entry.version, range.clone())
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert!(part.concat() == body(12 * MIB, 1)[5 * MIB..6 * MIB]);
    rig.put("v", &body(12 * MIB, 2)).await;
    let changed = rig
        .s3
        .source(&key("v"))
        .read(&entry.version, range.clone())
        .await
        .err()
        .unwrap();
    assert_eq!(changed.remote_error_kind(), Some(RemoteErrorKind::Changed));
    rig.s3.delete(&key("v"), &Precondition::None).await.unwrap();
    let gone = rig
        .s3
        .source(&key("v"))
        .read(&entry.version, range)
        .await
        .err()
        .unwrap();
    assert_eq!(gone.remote_error_kind(), Some(RemoteErrorKind::Changed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_may_carry_checksums() {
    let rig = BucketRig::changed(|config| config.checksums = S3Checksums::WhenSupported).await;
    for size in [0, 10, 100 * KIB, 11 * MIB] {
        let bytes = body(size, 4);
        rig.put("c", &bytes).await;
        rig.store.forget("c").await;
        assert!(get(&*rig.store, &key("c")).await.unwrap() == bytes, "{size}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_give_the_body_without_credentials() {
    let rig = BucketRig::new().await;
    rig.put("linked", b"the bytes").await;
    let entry = rig.s3.head(&key("linked")).await.unwrap().unwrap();
    let link = rig.s3.link(&key("linked"), &entry).await.unwrap().unwrap();
    let mut stream = tokio::net::TcpStream::connect(link.authority()).await.unwrap();
    let path = &link[url::Position::BeforePath..];
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        link.authority()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nthe bytes"), "{answer}");
}
