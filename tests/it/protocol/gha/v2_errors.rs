//! The second generation: what goes wrong, and how it is told.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{SERVICE, VERSION, call, create, finalize, find, json_of, misses, save};
use crate::support::client::Answer;
use crate::support::server::TestServer;

/// Checks the form of an error; gives its text.
fn error(answer: &Answer, status: StatusCode, code: &str) -> String {
    assert_eq!(answer.status, status, "{:?}", answer.body);
    assert_eq!(answer.header("content-type"), "application/json");
    let body = json_of(answer);
    assert_eq!(body["code"], code, "{body}");
    assert_eq!(body["msg"], body["message"], "{body}");
    let text = body["msg"].as_str().unwrap();
    assert!(!text.is_empty());
    assert_eq!(
        code == "already_exists",
        text.contains("already exists"),
        "{body}"
    );
    text.to_owned()
}

const CALLS: [&str; 3] = [
    "CreateCacheEntry",
    "FinalizeCacheEntryUpload",
    "GetCacheEntryDownloadURL",
];

#[tokio::test]
async fn without_a_good_token_everything_is_401_in_json() {
    let server = TestServer::start().await;
    let (status, code) = (StatusCode::UNAUTHORIZED, "unauthenticated");
    for client in [server.anonymous(), server.anonymous().with_token("a.b.c")] {
        for method in CALLS {
            error(&call(&client, method, json!({})).await, status, code);
            let path = format!("{SERVICE}/{method}");
            let binary = [("content-type", "application/protobuf")];
            error(&client.send(Method::POST, &path, &binary, "").await, status, code);
            error(&client.get(&path).await, status, code);
        }
        for path in ["/twirp", "/twirp/x", "/twirp/x/y", "//twirp/x"] {
            error(&client.send(Method::POST, path, &[], "").await, status, code);
        }
    }
}

#[tokio::test]
async fn what_is_no_call_is_a_bad_route() {
    let server = TestServer::start().await;
    let client = server.acme();
    let artifacts = "/twirp/github.actions.results.api.v1.ArtifactService/CreateArtifact";
    let unknown = format!("{SERVICE}/DeleteCacheEntry");
    let json = [("content-type", "application/json")];
    for path in [
        "/twirp",
        "/twirp/",
        "/twirp/x",
        artifacts,
        SERVICE,
        &unknown,
        "/%74wirp/x",
    ] {
        for method in [Method::POST, Method::GET, Method::PUT] {
            let answer = client.send(method, path, &json, "{}").await;
            error(&answer, StatusCode::NOT_FOUND, "bad_route");
        }
    }
    for method in CALLS {
        let path = format!("{SERVICE}/{method}");
        for verb in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let answer = client.send(verb, &path, &json, "{}").await;
            error(&answer, StatusCode::NOT_FOUND, "bad_route");
        }
        for media in ["text/plain", "application/grpc", ""] {
            let headers = [("content-type", media)];
            let answer = client.send(Method::POST, &path, &headers, "{}").await;
            error(&answer, StatusCode::NOT_FOUND, "bad_route");
        }
        let answer = client.send(Method::POST, &path, &[], "{}").await;
        error(&answer, StatusCode::NOT_FOUND, "bad_route");
    }
}

#[tokio::test]
async fn bodies_that_are_no_messages_are_400() {
    let server = TestServer::start().await;
    let client = server.acme();
    let long = json!({"key": "k", "version": VERSION, "padding": "x".repeat(64 * 1024)}).to_string();
    for method in CALLS {
        let path = format!("{SERVICE}/{method}");
        let json = [("content-type", "application/json")];
        for body in ["", "{", "[]", "null", "{\"key\":1}", "\u{1}"] {
            let answer = client.send(Method::POST, &path, &json, body).await;
            error(&answer, StatusCode::BAD_REQUEST, "malformed");
        }
        let binary = [("content-type", "application/protobuf")];
        let answer = client.send(Method::POST, &path, &binary, "{\"key\":\"k\"}").await;
        error(&answer, StatusCode::BAD_REQUEST, "malformed");
        let answer = client.send(Method::POST, &path, &json, long.clone()).await;
        error(&answer, StatusCode::BAD_REQUEST, "invalid_argument");
    }
}

#[tokio::test]
async fn impossible_names_and_sizes_are_invalid_arguments() {
    let server = TestServer::start().await;
    let client = server.acme();
    let long = "x".repeat(513);
    for (key, version) in [
        ("", VERSION),
        ("a,b", VERSION),
        (&*long, VERSION),
        ("k", ""),
        ("a\nb", VERSION),
    ] {
        for method in CALLS {
            let body = json!({"key": key, "version": version, "size_bytes": "1"});
            let answer = call(&client, method, body).await;
            error(&answer, StatusCode::BAD_REQUEST, "invalid_argument");
        }
    }
    let body = json!({"key": "k", "version": VERSION, "size_bytes": "-1"});
    let answer = call(&client, "FinalizeCacheEntryUpload", body).await;
    error(&answer, StatusCode::BAD_REQUEST, "invalid_argument");
    let keys: Vec<String> = (0..64).map(|nth| format!("k{nth}")).collect();
    let body = json!({"key": "k", "version": VERSION, "restore_keys": keys});
    let answer = call(&client, "GetCacheEntryDownloadURL", body).await;
    error(&answer, StatusCode::BAD_REQUEST, "invalid_argument");
}

#[tokio::test]
async fn what_exists_or_is_being_uploaded_is_409() {
    let server = TestServer::start().await;
    let client = server.acme();
    let other = server
        .issuer
        .token(json!({"exp": crate::support::token::now() + 200}));
    let other = server.anonymous().with_token(&other);
    let body = || json!({"key": "k", "version": VERSION});
    let url = create(&client, "k").await;
    client.put(&url, "x").await;
    error(
        &call(&other, "CreateCacheEntry", body()).await,
        StatusCode::CONFLICT,
        "already_exists",
    );
    finalize(&client, "k", 1).await;
    for client in [&client, &other] {
        let answer = call(client, "CreateCacheEntry", body()).await;
        error(&answer, StatusCode::CONFLICT, "already_exists");
    }
}

#[tokio::test]
async fn a_save_that_is_not_whole_is_not_finalized() {
    let server = TestServer::start().await;
    let client = server.acme();
    error(
        &finalize(&client, "k", 3).await,
        StatusCode::NOT_FOUND,
        "not_found",
    );
    let url = create(&client, "k").await;
    error(
        &finalize(&client, "k", 3).await,
        StatusCode::BAD_REQUEST,
        "invalid_argument",
    );
    client.put(&url, "abc").await;
    for size in [2, 4, 0] {
        let answer = finalize(&client, "k", size).await;
        error(&answer, StatusCode::BAD_REQUEST, "invalid_argument");
        assert!(misses(&client, "k").await);
    }
    assert_eq!(json_of(&finalize(&client, "k", 3).await)["ok"], true);
    assert!(!misses(&client, "k").await);
}

#[tokio::test]
async fn a_token_that_may_only_read_is_told_so_without_an_error() {
    let server = TestServer::start().await;
    save(&server.acme(), "k", "x").await;
    let token = server.issuer.token(json!({"event_name": "pull_request_target"}));
    let client = server.anonymous().with_token(&token);
    let answer = call(
        &client,
        "CreateCacheEntry",
        json!({"key": "n", "version": VERSION}),
    )
    .await;
    assert_eq!(answer.status, StatusCode::OK);
    let body = json_of(&answer);
    assert_eq!(
        (&body["ok"], &body["signed_upload_url"]),
        (&json!(false), &json!(""))
    );
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .starts_with("cache write denied:"),
        "{body}"
    );
    assert_eq!(find(&client, "k", &[]).await["ok"], true);
}

#[tokio::test]
async fn a_token_that_is_not_let_in_is_told_so_in_words() {
    let server = TestServer::start_with(|config| {
        config.providers[0].allow_if = Some("claims.repository != \"acme/app\"".into());
    })
    .await;
    for (method, words) in CALLS.into_iter().zip(["write", "write", "read"]) {
        let answer = call(&server.acme(), method, json!({"key": "k", "version": VERSION})).await;
        let text = error(&answer, StatusCode::FORBIDDEN, "permission_denied");
        assert!(text.starts_with(&format!("cache {words} denied:")), "{text}");
    }
}

#[tokio::test]
async fn an_issuer_without_keys_is_unavailable_for_a_while() {
    let down = crate::support::issuer::Issuer::start().await;
    down.down();
    let provider = down.provider();
    let server = TestServer::start_with(|config| config.providers.push(provider)).await;
    let client = server.anonymous().with_token(&down.token(json!({})));
    let answer = call(
        &client,
        "GetCacheEntryDownloadURL",
        json!({"key": "k", "version": "v"}),
    )
    .await;
    error(&answer, StatusCode::SERVICE_UNAVAILABLE, "unavailable");
    assert_ne!(answer.header("retry-after"), "");
}

#[tokio::test]
async fn the_log_names_the_call_and_nothing_else() {
    let mut server = TestServer::start().await;
    let client = server.acme();
    save(&client, "secret-key", "abc").await;
    find(&client, "secret-key", &[]).await;
    let lines = server.log().await;
    let seen: Vec<(&Value, &Value, &Value)> = lines
        .iter()
        .map(|line| (&line["protocol"], &line["route"], &line["outcome"]))
        .collect();
    let expected = [
        ("gha_v2", "/twirp/CacheService/CreateCacheEntry", "control"),
        ("blob", "/_chacha/blob/{ticket}", "control"),
        ("gha_v2", "/twirp/CacheService/FinalizeCacheEntryUpload", "stored"),
        ("gha_v2", "/twirp/CacheService/GetCacheEntryDownloadURL", "hit"),
    ];
    assert_eq!(seen.len(), expected.len());
    for (found, (protocol, route, outcome)) in seen.into_iter().zip(expected) {
        assert_eq!(found, (&json!(protocol), &json!(route), &json!(outcome)));
    }
    assert_eq!(lines[1]["received"], 3);
    let text = serde_json::to_string(&lines).unwrap();
    for secret in ["secret-key", VERSION, "sig=", "refs/heads"] {
        assert!(!text.contains(secret), "{secret}");
    }
}
