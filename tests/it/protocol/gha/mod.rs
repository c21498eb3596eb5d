//! The Actions cache over real sockets: both generations, and the blobs of both.

mod ahead;
mod blob;
mod blob_errors;
mod commits;
mod dropped;
mod ends;
mod foreign;
mod gone;
mod isolation;
mod late;
mod lives;
mod repeats;
mod replicas;
mod v1;
mod v1_errors;
mod v2;
mod v2_errors;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::client::{Answer, Client, within};

/// The version of most entries: as long as those of real clients.
pub(crate) const VERSION: &str = "b9a7c7b6f2b54cf6a4d9d6ac4e1e9ff6d8a5f3b1c0e2947586afbecd10325476";

const SERVICE: &str = "/twirp/github.actions.results.api.v1.CacheService";

/// The path and the query of an absolute URL that the server gave out for this client.
pub(crate) fn target(url: &str) -> String {
    let target = url.strip_prefix("http://cache.test");
    target
        .unwrap_or_else(|| panic!("not a link to here: {url}"))
        .to_owned()
}

/// `url` with more parameters behind those that it has, as Azure's SDKs add them.
pub(crate) fn with(url: &str, more: &str) -> String {
    format!("{url}&{more}")
}

pub(crate) fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body)
        .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&answer.body)))
}

/// A call of the second generation as JSON.
pub(crate) async fn call(client: &Client, method: &str, body: Value) -> Answer {
    let headers = [("content-type", "application/json")];
    let path = format!("{SERVICE}/{method}");
    client.send(Method::POST, &path, &headers, body.to_string()).await
}

/// The upload URL of a new entry.
pub(crate) async fn create(client: &Client, key: &str) -> String {
    let answer = call(
        client,
        "CreateCacheEntry",
        json!({"key": key, "version": VERSION}),
    )
    .await;
    let body = json_of(&answer);
    assert_eq!(
        (answer.status, &body["ok"]),
        (StatusCode::OK, &json!(true)),
        "{body}"
    );
    target(body["signed_upload_url"].as_str().unwrap())
}

/// The upload URL in the place of an upload of the same token, as soon as that one gives way.
pub(crate) async fn create_anew(client: &Client, key: &str) -> String {
    let body = json!({"key": key, "version": VERSION});
    within(async {
        let mut clock = tokio::time::interval(Duration::from_millis(100));
        loop {
            clock.tick().await;
            let answer = call(client, "CreateCacheEntry", body.clone()).await;
            let told = json_of(&answer);
            if answer.status == StatusCode::OK {
                return target(told["signed_upload_url"].as_str().unwrap());
            }
            assert_eq!(told["code"], "already_exists", "{told}");
        }
    })
    .await
}

pub(crate) async fn finalize(client: &Client, key: &str, size: usize) -> Answer {
    let body = json!({"key": key, "version": VERSION, "size_bytes": size.to_string()});
    call(client, "FinalizeCacheEntryUpload", body).await
}

/// Stores an entry as the toolkit stores a small one.
pub(crate) async fn save(client: &Client, key: &str, archive: impl Into<Bytes>) {
    let archive = archive.into();
    let size = archive.len();
    let url = create(client, key).await;
    let put = client
        .put_with(&url, &[("x-ms-blob-type", "BlockBlob")], archive)
        .await;
    assert_eq!(put.status, StatusCode::CREATED, "{:?}", put.body);
    let done = json_of(&finalize(client, key, size).await);
    assert_eq!(done["ok"], true, "{done}");
}

/// The answer of a look-up.
pub(crate) async fn find(client: &Client, key: &str, restore_keys: &[&str]) -> Value {
    let body = json!({"key": key, "restore_keys": restore_keys, "version": VERSION});
    let answer = call(client, "GetCacheEntryDownloadURL", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    json_of(&answer)
}

/// The download URL of an entry that is there.
pub(crate) async fn link(client: &Client, key: &str) -> String {
    let found = find(client, key, &[]).await;
    assert_eq!(found["ok"], true, "{key}: {found}");
    target(found["signed_download_url"].as_str().unwrap())
}

/// Whether a look-up finds nothing.
pub(crate) async fn misses(client: &Client, key: &str) -> bool {
    find(client, key, &[]).await["ok"] == false
}

/// `GET cache` of the first generation.
pub(crate) async fn look_up(client: &Client, keys: &str) -> Answer {
    let path = format!("/_apis/artifactcache/cache?keys={keys}&version={VERSION}");
    client.get(&path).await
}

/// `POST caches` of the first generation.
pub(crate) async fn reserve(client: &Client, body: Value) -> Answer {
    client
        .send(Method::POST, "/_apis/artifactcache/caches", &[], body.to_string())
        .await
}

/// The number of a new upload of the first generation.
pub(crate) async fn begin(client: &Client, key: &str) -> u64 {
    let answer = reserve(client, json!({"key": key, "version": VERSION})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
    json_of(&answer)["cacheId"].as_u64().unwrap()
}

/// Sends the bytes of an archive from `start` on, with their length.
pub(crate) async fn patch(client: &Client, id: u64, start: usize, bytes: impl Into<Bytes>) -> Answer {
    let bytes = bytes.into();
    let range = format!("bytes {start}-{}/*", start + bytes.len() - 1);
    let path = format!("/_apis/artifactcache/caches/{id}");
    client
        .send(Method::PATCH, &path, &[("content-range", &range)], bytes)
        .await
}

pub(crate) async fn commit(client: &Client, id: u64, size: usize) -> Answer {
    let path = format!("/_apis/artifactcache/caches/{id}");
    client
        .send(Method::POST, &path, &[], json!({"size": size}).to_string())
        .await
}

/// The XML of a block list.
pub(crate) fn block_list(ids: &[String]) -> String {
    let blocks: String = ids.iter().map(|id| format!("<Latest>{id}</Latest>")).collect();
    format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>{blocks}</BlockList>")
}

/// A text as a value of a query.
pub(crate) fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
