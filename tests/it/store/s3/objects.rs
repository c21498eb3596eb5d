//! What is in the bucket, and how it is read.

use bytes::Bytes;
use chacha::config::S3Checksums;
use chacha::store::remote::RemoteTier;
use chacha::store::{Precondition, RemoteErrorKind, Store};
use futures_util::TryStreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::support::*;
use super::Far;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_go_in_parts_and_come_back() {
    let far = Far::new().await;
    let bytes = body(20 * MIB + 7, 1);
    far.put("large", &bytes).await;
    assert_eq!(far.requests("upload_part"), 5);
    assert_eq!(far.requests("put"), 0);
    far.store.forget("large").await;
    assert!(get(&*far.store, &key("large")).await.unwrap() == bytes);
    // Each of five parts with one request, the first with the description.
    assert_eq!((far.requests("get"), far.requests("head")), (5, 0));
    let entry = far.store.get(&key("large")).await.unwrap().unwrap();
    for (start, end) in [
        (0, 10),
        (5 * MIB - 1, 5 * MIB + 1),
        (7 * MIB, 18 * MIB),
        (20 * MIB + 6, 20 * MIB + 7),
    ] {
        let part = read(entry.content.slice(start as u64..end as u64)).await.unwrap();
        assert!(part == bytes[start..end], "{start}..{end}");
    }
    until("the record is gone", || far.records() == 0).await;
    assert_eq!(far.server.uploads().len(), 0);
    let stats = far.s3.stats();
    assert_eq!(stats.bytes_out, bytes.len() as u64);
    assert!(stats.failures.iter().all(|(_, count)| *count == 0), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_descriptions_are_trailers() {
    let far = Far::new().await;
    for size in [0, 10, 300 * KIB, 6 * MIB, 12 * MIB + 1] {
        let bytes = body(size, 2);
        let mut draft = draft();
        draft.metadata.insert("long", &"\u{1}".repeat(8000)).unwrap();
        let spool = spool(&far.store.spools(), &bytes).await.unwrap();
        let meta = far
            .store
            .put(&key("t"), draft.clone(), spool, Precondition::None)
            .await
            .unwrap()
            .meta;
        assert_eq!(meta.metadata, draft.metadata);
        far.store.forget("t").await;
        assert_eq!(
            far.store.head(&key("t")).await.unwrap(),
            Some(meta.clone()),
            "{size}"
        );
        assert_eq!(far.store.get(&key("t")).await.unwrap().unwrap().meta, meta);
        assert!(get(&*far.store, &key("t")).await.unwrap() == bytes, "{size}");
        let objects = far.server.objects();
        assert!(objects.values().all(|object| object.size > meta.size + 8000));
        let entry = far.s3.head(&key("t")).await.unwrap().unwrap();
        assert!(far.s3.link(&key("t"), &entry).await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_under_our_name_is_served_only_if_it_is_the_entry() {
    let far = Far::new().await;
    far.put("a", b"of a").await;
    far.store.forget("a").await;
    let (mine, described) = far.server.objects().pop_first().unwrap();
    let pairs = described.metadata.iter();
    let pairs: Vec<(&str, &str)> = pairs.map(|(name, text)| (name.as_str(), text.as_str())).collect();
    // The bytes of another entry of the same length.
    far.server.put_raw(&mine, "of b", &pairs);
    assert!(far.store.get(&key("a")).await.unwrap().is_none());
    // All of another entry.
    far.put("b", b"of b").await;
    let (other, of_b) = far
        .server
        .objects()
        .into_iter()
        .find(|(name, _)| *name != mine)
        .unwrap();
    let bytes = far.server.object(&other).unwrap();
    let pairs_of_b = of_b.metadata.iter();
    let pairs_of_b: Vec<(&str, &str)> = pairs_of_b
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    far.server.put_raw(&mine, bytes, &pairs_of_b);
    assert!(far.store.get(&key("a")).await.unwrap().is_none());
    // A longer one than its description says, and one that somebody else put there without a description.
    far.server
        .put_raw(&mine, "longer than the description says", &pairs);
    assert!(far.store.get(&key("a")).await.unwrap().is_none());
    far.server.put_raw(&mine, "by somebody else", &[]);
    assert!(far.store.get(&key("a")).await.unwrap().is_none());
    assert!(far.store.head(&key("a")).await.unwrap().is_none());
    let fault = far
        .s3
        .source(&key("a"))
        .open()
        .await
        .err()
        .unwrap()
        .remote_error_kind();
    assert_eq!(fault, Some(RemoteErrorKind::Damaged));
    assert!(far.s3.stats().damaged > 0);
    // It can be replaced, also by a writer who wants to be the first.
    put_if(
        &*far.store,
        &far.store.spools(),
        &key("a"),
        b"new",
        Precondition::Absent,
    )
    .await
    .unwrap();
    assert_eq!(get(&*far.store, &key("a")).await.unwrap(), "new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_was_replaced_is_not_mixed_with_the_new_one() {
    let far = Far::new().await;
    far.put("v", &body(12 * MIB, 1)).await;
    let entry = far.s3.head(&key("v")).await.unwrap().unwrap();
    let range = 5 * MIB as u64..6 * MIB as u64;
    let part: Vec<Bytes> = far
        .s3
        .source(&key("v"))
        .read(&entry.version, range.clone())
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert!(part.concat() == body(12 * MIB, 1)[5 * MIB..6 * MIB]);
    far.put("v", &body(12 * MIB, 2)).await;
    let changed = far
        .s3
        .source(&key("v"))
        .read(&entry.version, range.clone())
        .await
        .err()
        .unwrap();
    assert_eq!(changed.remote_error_kind(), Some(RemoteErrorKind::Changed));
    far.s3.delete(&key("v"), &Precondition::None).await.unwrap();
    let gone = far
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
    let far = Far::changed(|config| config.checksums = S3Checksums::WhenSupported).await;
    for size in [0, 10, 100 * KIB, 11 * MIB] {
        let bytes = body(size, 4);
        far.put("c", &bytes).await;
        far.store.forget("c").await;
        assert!(get(&*far.store, &key("c")).await.unwrap() == bytes, "{size}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_give_the_body_without_credentials() {
    let far = Far::new().await;
    far.put("linked", b"the bytes").await;
    let entry = far.s3.head(&key("linked")).await.unwrap().unwrap();
    let link = far.s3.link(&key("linked"), &entry).await.unwrap().unwrap();
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
