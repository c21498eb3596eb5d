//! The first generation: what goes wrong, and how it is told.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{VERSION, begin, commit, json_of, look_up, patch, reserve};
use crate::support::client::Answer;
use crate::support::server::TestServer;

/// Checks the form of an error; gives its message.
fn error(answer: &Answer, status: StatusCode) -> String {
    assert_eq!(answer.status, status, "{:?}", answer.body);
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    let body = json_of(answer);
    assert_eq!(
        (
            &body["$id"],
            &body["innerException"],
            &body["errorCode"],
            &body["eventId"]
        ),
        (&json!("1"), &Value::Null, &json!(0), &json!(3000))
    );
    assert_eq!(body["typeName"], body["typeKey"]);
    let message = body["message"].as_str().unwrap();
    assert!(!message.is_empty());
    let exists = body["typeKey"] == "ArtifactCacheItemAlreadyExistsException";
    assert_eq!(exists, message.contains("already exists"), "{body}");
    message.to_owned()
}

#[tokio::test]
async fn without_a_good_token_everything_is_401_in_json() {
    let server = TestServer::start().await;
    let expired = server
        .issuer
        .token(json!({"exp": 1_600_000_000, "iat": 1_500_000_000, "nbf": 1_500_000_000}));
    for client in [
        server.anonymous(),
        server.anonymous().with_token("a.b.c"),
        server.anonymous().with_token(&expired),
    ] {
        for (method, path) in [
            (Method::GET, "cache?keys=a&version=b"),
            (Method::GET, "caches?key=a"),
            (Method::POST, "caches"),
            (Method::GET, "nothing"),
            (Method::DELETE, "caches/1"),
        ] {
            let path = format!("/_apis/artifactcache/{path}");
            error(
                &client.send(method, &path, &[], "").await,
                StatusCode::UNAUTHORIZED,
            );
        }
    }
    for (method, client) in [
        (Method::PATCH, server.anonymous()),
        (Method::POST, server.anonymous()),
    ] {
        let answer = client
            .send(method, "/_apis/artifactcache/caches/1", &[], "x")
            .await;
        error(&answer, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_in_json() {
    let server = TestServer::start().await;
    let client = server.acme();
    for path in ["", "/", "/nothing", "/cache/x", "/caches/1/2", "/Cache"] {
        let path = format!("/_apis/artifactcache{path}");
        for method in [Method::GET, Method::PUT, Method::POST] {
            error(&client.send(method, &path, &[], "").await, StatusCode::NOT_FOUND);
        }
    }
    for (method, path, allow) in [
        (Method::PUT, "cache", "GET"),
        (Method::DELETE, "caches", "GET, POST"),
        (Method::GET, "caches/1", "PATCH, POST"),
    ] {
        let answer = client
            .send(method, &format!("/_apis/artifactcache/{path}"), &[], "")
            .await;
        error(&answer, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.header("allow"), allow);
    }
}

#[tokio::test]
async fn bad_look_ups_and_reservations_are_400() {
    let server = TestServer::start().await;
    let client = server.acme();
    for query in [
        "",
        "keys=a",
        "version=b",
        "keys=&version=b",
        "keys=%ff&version=b",
        "keys=%2C&version=b",
    ] {
        let answer = client.get(&format!("/_apis/artifactcache/cache?{query}")).await;
        error(&answer, StatusCode::BAD_REQUEST);
    }
    let long = "x".repeat(513);
    for body in [
        json!({"version": VERSION}),
        json!({"key": "k"}),
        json!({"key": "", "version": VERSION}),
        json!({"key": "a,b", "version": VERSION}),
        json!({"key": long, "version": VERSION}),
        json!({"key": "k", "version": ""}),
        json!([]),
        json!({"key": "k", "version": VERSION, "padding": "x".repeat(64 * 1024)}),
    ] {
        error(&reserve(&client, body).await, StatusCode::BAD_REQUEST);
    }
    let longest = "x".repeat(512);
    let reserved = reserve(
        &client,
        json!({"key": longest, "version": VERSION, "cacheSize": -1}),
    )
    .await;
    assert_eq!(reserved.status, StatusCode::CREATED);
}

#[tokio::test]
async fn an_archive_above_the_limit_is_refused_with_both_numbers() {
    let server = TestServer::start_with(|config| config.limits.max_entry_size = Some(1000)).await;
    let client = server.acme();
    let body = json!({"key": "k", "version": VERSION, "cacheSize": 1001});
    let message = error(&reserve(&client, body).await, StatusCode::BAD_REQUEST);
    assert!(message.contains("1001") && message.contains("1000"), "{message}");
    let id = begin(&client, "k").await;
    let message = error(
        &patch(&client, id, 990, vec![0; 11]).await,
        StatusCode::BAD_REQUEST,
    );
    assert!(message.contains("1001") && message.contains("1000"), "{message}");
    assert_eq!(
        patch(&client, id, 0, vec![0; 1000]).await.status,
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn a_chunk_must_be_what_its_header_says() {
    let server = TestServer::start().await;
    let client = server.acme();
    let id = begin(&client, "k").await;
    let path = format!("/_apis/artifactcache/caches/{id}");
    for range in [
        "bytes 0-9/*",
        "bytes 0-1/*",
        "bytes 2-0/*",
        "bytes */3",
        "items 0-2/*",
        "0-2",
    ] {
        let answer = client
            .send(Method::PATCH, &path, &[("content-range", range)], "abc")
            .await;
        error(&answer, StatusCode::BAD_REQUEST);
    }
    error(
        &client.send(Method::PATCH, &path, &[], "abc").await,
        StatusCode::BAD_REQUEST,
    );
    for chunk in ["2\r\nab\r\n0\r\n\r\n", "4\r\nabcd\r\n0\r\n\r\n"] {
        let mut raw = client.raw().await;
        let headers = "Content-Range: bytes 0-2/*\r\nTransfer-Encoding: chunked\r\n";
        raw.head(&format!("PATCH {path} HTTP/1.1"), headers).await;
        raw.write(chunk.as_bytes()).await;
        let head = raw.read_head().await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{chunk:?}: {head}");
    }
    error(&commit(&client, id, 3).await, StatusCode::BAD_REQUEST);
    let total = [("content-range", "bytes 0-2/3")];
    let answer = client.send(Method::PATCH, &path, &total, "abc").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(commit(&client, id, 3).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_chunk_that_was_cut_off_never_arrived() {
    let server = TestServer::start().await;
    let client = server.acme();
    let id = begin(&client, "k").await;
    let mut raw = client.raw().await;
    let headers = "Content-Range: bytes 0-9/*\r\nContent-Length: 10\r\n";
    raw.head(
        &format!("PATCH /_apis/artifactcache/caches/{id} HTTP/1.1"),
        headers,
    )
    .await;
    raw.write(b"01234").await;
    raw.finish().await;
    raw.read_to_end().await;
    error(&commit(&client, id, 10).await, StatusCode::BAD_REQUEST);
    error(&commit(&client, id, 5).await, StatusCode::BAD_REQUEST);
    assert_eq!(look_up(&client, "k").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn holes_and_wrong_sizes_are_not_committed() {
    let server = TestServer::start().await;
    let client = server.acme();
    let id = begin(&client, "k").await;
    patch(&client, id, 0, "abc").await;
    patch(&client, id, 5, "fgh").await;
    for size in [8, 3, 0, 9] {
        error(&commit(&client, id, size).await, StatusCode::BAD_REQUEST);
        assert_eq!(look_up(&client, "k").await.status, StatusCode::NO_CONTENT);
    }
    patch(&client, id, 3, "de").await;
    for body in ["", "{}", "{\"size\":-1}", "{\"size\":\"8\"}", "nonsense"] {
        let path = format!("/_apis/artifactcache/caches/{id}");
        error(
            &client.send(Method::POST, &path, &[], body).await,
            StatusCode::BAD_REQUEST,
        );
    }
    assert_eq!(commit(&client, id, 8).await.status, StatusCode::NO_CONTENT);
    assert_eq!(look_up(&client, "k").await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_exists_or_is_being_uploaded_is_409() {
    let server = TestServer::start().await;
    let client = server.acme();
    let other = server
        .issuer
        .token(json!({"exp": crate::support::token::now() + 200}));
    let other = server.anonymous().with_token(&other);
    let id = begin(&client, "k").await;
    patch(&client, id, 0, "x").await;
    let body = || json!({"key": "k", "version": VERSION, "cacheSize": 1});
    error(&reserve(&other, body()).await, StatusCode::CONFLICT);
    commit(&client, id, 1).await;
    for client in [&client, &other] {
        let answer = reserve(client, body()).await;
        let message = error(&answer, StatusCode::CONFLICT);
        assert!(message.starts_with("Cache already exists."), "{message}");
    }
}

#[tokio::test]
async fn unknown_uploads_are_404() {
    let server = TestServer::start().await;
    let client = server.acme();
    for id in ["1", "0", "-1", "x", "9007199254740991", "99999999999999999999"] {
        let path = format!("/_apis/artifactcache/caches/{id}");
        let range = [("content-range", "bytes 0-0/*")];
        error(
            &client.send(Method::PATCH, &path, &range, "x").await,
            StatusCode::NOT_FOUND,
        );
        let body = json!({"size": 1}).to_string();
        error(
            &client.send(Method::POST, &path, &[], body).await,
            StatusCode::NOT_FOUND,
        );
    }
}

#[tokio::test]
async fn a_token_that_may_only_read_is_told_so_in_words() {
    let server = TestServer::start().await;
    let token = server.issuer.token(json!({"event_name": "pull_request_target"}));
    let client = server.anonymous().with_token(&token);
    let answer = reserve(&client, json!({"key": "k", "version": VERSION})).await;
    let message = error(&answer, StatusCode::FORBIDDEN);
    assert!(message.starts_with("cache write denied:"), "{message}");
    assert_eq!(look_up(&client, "k").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_token_that_is_not_let_in_is_told_so_in_words() {
    let server = TestServer::start_with(|config| {
        config.providers[0].allow_if = Some("claims.repository != \"acme/app\"".into());
    })
    .await;
    let message = error(&look_up(&server.acme(), "k").await, StatusCode::FORBIDDEN);
    assert!(message.starts_with("cache read denied:"), "{message}");
    let answer = reserve(&server.acme(), json!({"key": "k", "version": VERSION})).await;
    let message = error(&answer, StatusCode::FORBIDDEN);
    assert!(message.starts_with("cache write denied:"), "{message}");
}
