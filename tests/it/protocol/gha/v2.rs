//! The second generation: what clients do.

use http::{Method, StatusCode};
use serde_json::json;

use super::{SERVICE, VERSION, call, create, finalize, find, json_of, misses, save, target};
use crate::protocol::bytes;
use crate::support::client::{Answer, Client};
use crate::support::server::TestServer;

#[tokio::test]
async fn an_archive_is_saved_and_restored() {
    let server = TestServer::start().await;
    let client = server.acme();
    let archive = bytes(200_000, 5);
    assert!(misses(&client, "Linux-node-1").await);
    save(&client, "Linux-node-1", archive.clone()).await;
    let found = find(&client, "Linux-node-1", &[]).await;
    assert_eq!(
        (&found["ok"], &found["matched_key"]),
        (&json!(true), &json!("Linux-node-1"))
    );
    let url = target(found["signed_download_url"].as_str().unwrap());
    let archived = server.anonymous().get(&url).await;
    assert_eq!(archived.status, StatusCode::OK);
    assert_eq!(archived.header("content-length"), archive.len().to_string());
    assert!(archived.body == archive);
}

#[tokio::test]
async fn keys_are_prefixes_and_the_newest_wins() {
    let server = TestServer::start().await;
    let client = server.acme();
    for key in ["k-1", "k-2", "index#7", "other"] {
        save(&client, key, key).await;
    }
    for (key, restore_keys, found) in [
        ("k-1", &[][..], "k-1"),
        ("k-", &[], "k-2"),
        ("index#", &["index#"], "index#7"),
        ("none", &["k-1", "k-"], "k-1"),
        ("none", &["", "oth"], "other"),
    ] {
        let answer = find(&client, key, restore_keys).await;
        assert_eq!(answer["matched_key"], found, "{key} {restore_keys:?}");
    }
}

#[tokio::test]
async fn a_miss_is_an_answer_with_all_fields() {
    let server = TestServer::start().await;
    let expected = json!({"ok": false, "signed_download_url": "", "matched_key": ""});
    assert_eq!(find(&server.acme(), "k", &["l"]).await, expected);
}

#[tokio::test]
async fn both_spellings_and_both_kinds_of_number_are_read() {
    let server = TestServer::start().await;
    let client = server.acme();
    for (nth, size) in [
        json!({"size_bytes": 3}),
        json!({"size_bytes": "3"}),
        json!({"sizeBytes": 3}),
        json!({"sizeBytes": "3"}),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("k{nth}");
        let url = create(&client, &key).await;
        client.put(&url, "abc").await;
        let mut body = json!({"key": key, "version": VERSION, "metadata": null, "unknown": [{}]});
        body.as_object_mut()
            .unwrap()
            .extend(size.as_object().unwrap().clone());
        let done = json_of(&call(&client, "FinalizeCacheEntryUpload", body).await);
        assert_eq!(done["ok"], true, "{done}");
    }
    let body = json!({"key": "none", "restoreKeys": ["k2"], "version": VERSION}).to_string();
    let path = format!("{SERVICE}/GetCacheEntryDownloadURL");
    let headers = [("content-type", "application/json; charset=utf-8")];
    let found = json_of(&client.send(Method::POST, &path, &headers, body).await);
    assert_eq!(found["matched_key"], "k2");
}

#[tokio::test]
async fn a_finalize_that_is_sent_again_answers_as_before() {
    let server = TestServer::start().await;
    let client = server.acme();
    save(&client, "k", "abc").await;
    let first = json_of(&finalize(&client, "k", 3).await);
    let id: u64 = first["entry_id"].as_str().unwrap().parse().unwrap();
    assert!(id > 0 && id < 1 << 53, "{id}");
    assert_eq!(
        first,
        json!({"ok": true, "entry_id": id.to_string(), "message": ""})
    );
    assert_eq!(json_of(&finalize(&client, "k", 3).await), first);
    assert_eq!(finalize(&client, "k", 4).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn links_lead_to_the_configured_url() {
    let base = "https://cache.example";
    let server = TestServer::start_with(|config| config.base_url = Some(base.parse().unwrap())).await;
    let body = json!({"key": "k", "version": VERSION});
    let created = json_of(&call(&server.acme(), "CreateCacheEntry", body).await);
    let url = created["signed_upload_url"].as_str().unwrap();
    let path = url.strip_prefix(base).unwrap_or_else(|| panic!("{url}"));
    let (path, query) = path.split_once('?').expect("a query");
    assert_eq!(
        path.split('/').filter(|segment| !segment.is_empty()).count(),
        3,
        "{path}"
    );
    assert!(query.contains("se=") && query.contains("&sig="), "{query}");
}

/// A message in binary form: fields that are texts or numbers.
enum Field<'a> {
    Text(u8, &'a str),
    Number(u8, u64),
}

fn message(fields: &[Field<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in fields {
        match field {
            Field::Text(tag, text) => {
                bytes.push(tag << 3 | 2);
                varint(&mut bytes, text.len() as u64);
                bytes.extend_from_slice(text.as_bytes());
            }
            Field::Number(tag, number) => {
                bytes.push(tag << 3);
                varint(&mut bytes, *number);
            }
        }
    }
    bytes
}

fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 127 {
        bytes.push(number as u8 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
}

async fn binary(client: &Client, method: &str, fields: &[Field<'_>]) -> Answer {
    let headers = [("content-type", "application/protobuf")];
    let path = format!("{SERVICE}/{method}");
    client.send(Method::POST, &path, &headers, message(fields)).await
}

/// The only text of an answer whose field 1 is `true` and whose field 2 is this text.
fn accepted(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/protobuf");
    let text = answer
        .body
        .strip_prefix(b"\x08\x01\x12")
        .unwrap_or_else(|| panic!("{answer:?}"));
    let (length, rest) = match text {
        [low, high, rest @ ..] if low & 128 != 0 => (usize::from(low & 127) | usize::from(*high) << 7, rest),
        [low, rest @ ..] => (usize::from(*low), rest),
        [] => panic!("{answer:?}"),
    };
    String::from_utf8(rest[..length].to_vec()).unwrap()
}

#[tokio::test]
async fn sccache_speaks_protobuf() {
    let server = TestServer::start().await;
    let client = server.acme();
    let (key, version) = ("sccache/.sccache_check", "v1");
    let look = [Field::Text(2, key), Field::Text(4, version)];
    let miss = binary(&client, "GetCacheEntryDownloadURL", &look).await;
    assert_eq!((miss.status, miss.body.len()), (StatusCode::OK, 0));
    assert_eq!(miss.header("content-type"), "application/protobuf");

    let fields = [Field::Text(2, key), Field::Text(3, version)];
    let url = accepted(&binary(&client, "CreateCacheEntry", &fields).await);
    let put = [("x-ms-blob-type", "BlockBlob")];
    let put = server
        .anonymous()
        .put_with(&target(&url), &put, "Hello, World!")
        .await;
    assert_eq!(put.status, StatusCode::CREATED);
    let fields = [Field::Text(2, key), Field::Number(3, 13), Field::Text(4, version)];
    let done = binary(&client, "FinalizeCacheEntryUpload", &fields).await;
    assert!(done.body.starts_with(b"\x08\x01\x10"), "{done:?}");

    let url = accepted(&binary(&client, "GetCacheEntryDownloadURL", &look).await);
    assert_eq!(
        server.anonymous().get(&target(&url)).await.text(),
        "Hello, World!"
    );

    let fields = [Field::Text(2, key), Field::Text(3, version)];
    let again = binary(&client, "CreateCacheEntry", &fields).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert_eq!(json_of(&again)["code"], "already_exists");
}
