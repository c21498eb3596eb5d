//! Archives that reach the bucket while their clients still send them.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;

use super::{begin, block_list, commit, create, create_anew, escaped, finalize, json_of, link, patch, with};
use crate::protocol::bytes;
use crate::support::client::Client;
use crate::support::s3::{Kind, S3Server};
use crate::support::server::TestServer;
use crate::support::wait::until;

const PART: usize = 5 << 20;

async fn server(s3: &Arc<S3Server>) -> TestServer {
    let mut section = s3.config(S3Server::BUCKET);
    section.part_size = PART as u64;
    TestServer::start_with(|config| config.s3 = Some(section)).await
}

/// As `@azure/storage-blob` names the blocks of one body.
fn ids(count: usize) -> Vec<String> {
    let id = |nth| format!("8c9b2e1c-6d0f-4b7e-9a51-2f8f5c0d7e11{nth:012}");
    (0..count).map(|nth| STANDARD.encode(id(nth))).collect()
}

async fn put_block(client: &Client, url: &str, id: &str, bytes: &[u8]) {
    let target = with(url, &format!("comp=block&blockid={}", escaped(id)));
    let put = client.put(&target, bytes.to_vec()).await;
    assert_eq!(put.status, StatusCode::CREATED, "{:?}", put.body);
}

async fn sent(s3: &S3Server, parts: usize) {
    until(
        "the parts are in S3",
        || matches!(&*s3.uploads(), [upload] if upload.parts == parts),
    )
    .await;
}

/// Another server reads it out of the bucket, as a whole and in parts.
async fn check(s3: &Arc<S3Server>, one: &TestServer, key: &str, archive: &[u8]) {
    let mut two = server(s3).await;
    two.trust(&one.issuer).await;
    let reader = two.anonymous().with_token(&one.token("acme/app"));
    let url = link(&reader, key).await;
    let range = [("x-ms-range", "bytes=5242870-5242889")];
    let part = two.anonymous().get_with(&url, &range).await;
    assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
    assert!(part.body == archive[PART - 10..PART + 10]);
    assert!(two.anonymous().get(&url).await.body == archive);
}

#[tokio::test]
async fn blocks_of_the_second_generation() {
    let s3 = Arc::new(S3Server::memory());
    let one = server(&s3).await;
    let client = one.acme();
    let archive = bytes(4 * PART + 1000, 5);
    let ids = ids(5);
    let former = create(&client, "k").await;
    for nth in [0, 1, 2] {
        put_block(&client, &former, &ids[nth], &archive[nth * PART..][..PART]).await;
    }
    sent(&s3, 3).await;
    // The same job begins anew: what it has sent goes.
    let url = create_anew(&client, "k").await;
    until("the former parts are gone", || s3.uploads().is_empty()).await;
    for nth in [1, 0, 3, 2, 4] {
        let end = archive.len().min((nth + 1) * PART);
        put_block(&one.anonymous(), &url, &ids[nth], &archive[nth * PART..end]).await;
    }
    sent(&s3, 4).await;
    s3.forget();
    let list = with(&url, "comp=blocklist");
    let list = one.anonymous().put(&list, block_list(&ids)).await;
    assert_eq!(list.status, StatusCode::CREATED);
    let done = json_of(&finalize(&client, "k", archive.len()).await);
    assert_eq!(done["ok"], true, "{done}");
    let counts = [Kind::Create, Kind::UploadPart, Kind::Complete];
    assert_eq!(counts.map(|kind| s3.count(kind)), [0, 1, 1]);
    assert_eq!(s3.uploads(), []);
    check(&s3, &one, "k", &archive).await;
}

#[tokio::test]
async fn chunks_of_the_first_generation() {
    let s3 = Arc::new(S3Server::memory());
    let one = server(&s3).await;
    let client = one.acme();
    let archive = bytes(4 * PART + 1000, 6);
    let id = begin(&client, "k").await;
    for nth in [2, 0, 1, 3, 4] {
        let end = archive.len().min((nth + 1) * PART);
        let chunk = archive[nth * PART..end].to_vec();
        assert!(patch(&client, id, nth * PART, chunk).await.status.is_success());
    }
    sent(&s3, 4).await;
    s3.forget();
    assert!(commit(&client, id, archive.len()).await.status.is_success());
    assert_eq!((s3.count(Kind::UploadPart), s3.uploads().len()), (1, 0));
    check(&s3, &one, "k", &archive).await;
}
