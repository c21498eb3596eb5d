//! The first generation: what clients do.

use http::{Method, StatusCode};
use serde_json::json;

use super::{VERSION, begin, commit, json_of, look_up, patch, reserve, target};
use crate::protocol::bytes;
use crate::support::server::TestServer;

#[tokio::test]
async fn an_archive_is_saved_and_restored() {
    let server = TestServer::start().await;
    let client = server.acme();
    let archive = bytes(100_000, 1);
    let reserved = reserve(
        &client,
        json!({"key": "Linux-node-1", "version": VERSION, "cacheSize": archive.len()}),
    )
    .await;
    assert_eq!(reserved.status, StatusCode::CREATED);
    let id = json_of(&reserved)["cacheId"].as_u64().unwrap();
    assert!(id > 0 && id < 1 << 53, "{id}");
    let patched = patch(&client, id, 0, archive.clone()).await;
    assert_eq!((patched.status, patched.body.len()), (StatusCode::NO_CONTENT, 0));
    assert_eq!(
        look_up(&client, "Linux-node-1").await.status,
        StatusCode::NO_CONTENT
    );
    let committed = commit(&client, id, archive.len()).await;
    assert_eq!(
        (committed.status, committed.body.len()),
        (StatusCode::NO_CONTENT, 0)
    );

    let hit = look_up(&client, "Linux-node-1").await;
    assert_eq!(hit.status, StatusCode::OK);
    let hit = json_of(&hit);
    let mut names: Vec<_> = hit.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(
        names,
        [
            "archiveLocation",
            "cacheKey",
            "cacheVersion",
            "creationTime",
            "scope"
        ]
    );
    assert_eq!(
        (&hit["cacheKey"], &hit["cacheVersion"], &hit["scope"]),
        (&json!("Linux-node-1"), &json!(VERSION), &json!(""))
    );
    let time = hit["creationTime"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    let url = target(hit["archiveLocation"].as_str().unwrap());
    let archived = server.anonymous().get(&url).await;
    assert_eq!(archived.status, StatusCode::OK);
    assert_eq!(archived.header("content-length"), archive.len().to_string());
    assert!(archived.body == archive);
}

#[tokio::test]
async fn keys_are_prefixes_and_the_newest_wins() {
    let server = TestServer::start().await;
    let client = server.acme();
    for (key, archive) in [("k-1", "one"), ("k-2", "two"), ("other", "x")] {
        let id = begin(&client, key).await;
        patch(&client, id, 0, archive).await;
        assert_eq!(
            commit(&client, id, archive.len()).await.status,
            StatusCode::NO_CONTENT
        );
    }
    for (keys, found) in [
        ("k-1", "k-1"),
        ("k-", "k-2"),
        ("none%2Ck-1%2Ck-", "k-1"),
        ("none,k-", "k-2"),
        ("%2C%2Coth", "other"),
    ] {
        let hit = json_of(&look_up(&client, keys).await);
        assert_eq!(hit["cacheKey"], found, "{keys}");
    }
    let miss = look_up(&client, "K-1").await;
    assert_eq!((miss.status, miss.body.len()), (StatusCode::NO_CONTENT, 0));
    let other = format!("/_apis/artifactcache/cache?keys=k-1&version={}", "0".repeat(64));
    assert_eq!(client.get(&other).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_key_is_decoded_once_and_comes_back_whole() {
    let server = TestServer::start().await;
    let client = server.acme();
    let key = "a/b c+d%2Fä#1";
    let id = begin(&client, key).await;
    patch(&client, id, 0, "x").await;
    commit(&client, id, 1).await;
    for keys in ["a%2Fb%20c%2Bd%252F%C3%A4%231", "a/b+c%2Bd%252F%C3%A4%231"] {
        assert_eq!(json_of(&look_up(&client, keys).await)["cacheKey"], key, "{keys}");
    }
    assert_eq!(
        look_up(&client, "a%2Fb%2Bc%2Bd%252F%C3%A4%231").await.status,
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn chunks_arrive_in_any_order_and_without_a_content_length() {
    let server = TestServer::start().await;
    let client = server.acme();
    let archive = bytes(300_001, 2);
    let id = begin(&client, "k").await;
    for (start, end) in [(200_000, 300_001), (0, 100_000), (100_000, 200_000)] {
        let mut raw = client.raw().await;
        let range = format!("Content-Range: bytes {start}-{}/*\r\n", end - 1);
        let head = format!("PATCH /_apis/artifactcache/caches/{id} HTTP/1.1");
        raw.head(&head, &format!("{range}Transfer-Encoding: chunked\r\n"))
            .await;
        for piece in archive[start..end].chunks(30_000) {
            raw.write(format!("{:x}\r\n", piece.len()).as_bytes()).await;
            raw.write(piece).await;
            raw.write(b"\r\n").await;
        }
        raw.write(b"0\r\n\r\n").await;
        let head = raw.read_head().await;
        assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
    }
    assert_eq!(
        commit(&client, id, archive.len()).await.status,
        StatusCode::NO_CONTENT
    );
    let hit = json_of(&look_up(&client, "k").await);
    let url = target(hit["archiveLocation"].as_str().unwrap());
    assert!(server.anonymous().get(&url).await.body == archive);
}

#[tokio::test]
async fn a_repeated_chunk_replaces_the_former_one() {
    let server = TestServer::start().await;
    let client = server.acme();
    let id = begin(&client, "k").await;
    for (start, piece) in [(0, "aaaa"), (4, "bb"), (0, "cccc")] {
        assert_eq!(
            patch(&client, id, start, piece).await.status,
            StatusCode::NO_CONTENT
        );
    }
    assert_eq!(commit(&client, id, 6).await.status, StatusCode::NO_CONTENT);
    let hit = json_of(&look_up(&client, "k").await);
    let url = target(hit["archiveLocation"].as_str().unwrap());
    assert_eq!(server.anonymous().get(&url).await.text(), "ccccbb");
}

#[tokio::test]
async fn an_empty_archive_needs_no_chunk() {
    let server = TestServer::start().await;
    let client = server.acme();
    let id = begin(&client, "empty").await;
    assert_eq!(commit(&client, id, 0).await.status, StatusCode::NO_CONTENT);
    let hit = json_of(&look_up(&client, "empty").await);
    let url = target(hit["archiveLocation"].as_str().unwrap());
    let archived = server.anonymous().get(&url).await;
    assert_eq!(
        (archived.status, archived.header("content-length")),
        (StatusCode::OK, "0")
    );
}

#[tokio::test]
async fn a_commit_that_is_sent_again_succeeds() {
    let server = TestServer::start().await;
    let client = server.acme();
    let id = begin(&client, "k").await;
    patch(&client, id, 0, "x").await;
    for _ in 0..3 {
        assert_eq!(commit(&client, id, 1).await.status, StatusCode::NO_CONTENT);
    }
    assert_eq!(commit(&client, id, 2).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn entries_are_listed_by_prefix() {
    let server = TestServer::start().await;
    let client = server.acme();
    for key in ["k-1", "k-2", "other"] {
        let id = begin(&client, key).await;
        patch(&client, id, 0, "x").await;
        commit(&client, id, 1).await;
    }
    for (query, expected) in [
        ("?key=k-", vec!["k-2", "k-1"]),
        ("?key=none", vec![]),
        ("", vec!["other", "k-2", "k-1"]),
    ] {
        let list = client.get(&format!("/_apis/artifactcache/caches{query}")).await;
        assert_eq!(list.status, StatusCode::OK);
        let list = json_of(&list);
        let entries = list["artifactCaches"].as_array().unwrap();
        let keys: Vec<_> = entries
            .iter()
            .map(|entry| entry["cacheKey"].as_str().unwrap())
            .collect();
        assert_eq!(
            (keys.len() as u64, keys),
            (list["totalCount"].as_u64().unwrap(), expected)
        );
        let complete = |entry: &serde_json::Value| {
            entry["cacheVersion"] == VERSION && entry["scope"] == "" && entry["creationTime"].is_string()
        };
        assert!(entries.iter().all(complete), "{list}");
    }
}

#[tokio::test]
async fn slashes_where_a_client_joined_its_base_url_change_nothing() {
    let server = TestServer::start().await;
    let client = server.acme();
    let body = json!({"key": "k", "version": VERSION}).to_string();
    let reserved = client
        .send(Method::POST, "//_apis/artifactcache/caches/", &[], body)
        .await;
    assert_eq!(reserved.status, StatusCode::CREATED);
    let miss = format!("//_apis/artifactcache/cache?keys=k&version={VERSION}");
    assert_eq!(client.get(&miss).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn links_lead_to_the_configured_url() {
    let base = "https://cache.example/ci/";
    let server = TestServer::start_with(|config| config.base_url = Some(base.parse().unwrap())).await;
    let client = server.acme();
    let id = begin(&client, "k").await;
    patch(&client, id, 0, "x").await;
    commit(&client, id, 1).await;
    let hit = json_of(&look_up(&client, "k").await);
    let url = hit["archiveLocation"].as_str().unwrap();
    let path = url
        .strip_prefix("https://cache.example/ci")
        .unwrap_or_else(|| panic!("{url}"));
    assert!(
        path.starts_with("/_chacha/blob/") && path.contains("?se="),
        "{path}"
    );
    assert_eq!(server.anonymous().get(path).await.text(), "x");
}
