//! Credentials as clients send them, and the challenges that they wait for.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{Method, StatusCode};
use serde_json::json;

use crate::support::server::TestServer;

#[tokio::test]
async fn every_documented_form_of_a_token_is_accepted() {
    let server = TestServer::start().await;
    let token = server.issuer.token(json!({}));
    server.anonymous().with_token(&token).put("/k", "x").await;
    let basic = |user: &str| STANDARD.encode(format!("{user}:{token}"));
    for authorization in [
        format!("Bearer {token}"),
        format!("bearer {token}"),
        format!("Basic {}", basic("jwt")),
        format!("bAsIc {}", basic("")),
        format!("Basic {}", URL_SAFE_NO_PAD.encode(format!("any user:{token}"))),
        token.clone(),
    ] {
        let answer = server
            .anonymous()
            .with_authorization(authorization.clone())
            .get("/k")
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{}", &authorization[..12]);
    }
}

#[tokio::test]
async fn a_missing_token_is_401_with_basic_first() {
    let server = TestServer::start().await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let answer = server.anonymous().send(method, "/k", &[], "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        let challenges: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
        assert_eq!(
            challenges,
            [
                "Basic realm=\"chacha\", charset=\"UTF-8\"",
                "Bearer realm=\"chacha\""
            ]
        );
    }
}

#[tokio::test]
async fn a_bad_token_is_401_with_invalid_token_and_is_not_repeated() {
    let server = TestServer::start().await;
    let answer = server.anonymous().with_token("aaa.bbb.ccc").get("/k").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let bearer = answer.headers.get_all("www-authenticate").iter().nth(1).unwrap();
    assert_eq!(bearer, "Bearer realm=\"chacha\", error=\"invalid_token\"");
    assert!(!answer.text().contains("aaa"));
    assert_ne!(answer.header("x-request-id"), "");
}

#[tokio::test]
async fn a_token_in_the_query_is_no_credential() {
    let server = TestServer::start().await;
    let token = server.issuer.token(json!({}));
    for query in ["token", "access_token", "sig"] {
        let path = format!("/k?{query}={token}");
        assert_eq!(
            server.anonymous().get(&path).await.status,
            StatusCode::UNAUTHORIZED
        );
    }
}

#[tokio::test]
async fn a_key_that_exists_cannot_be_probed_without_a_token() {
    let server = TestServer::start().await;
    server.acme().put("/here", "x").await;
    for path in [
        "/here",
        "/not-here",
        "/_chacha/x",
        "/v1/cache/x",
        "/v8/artifacts/status",
        "/..",
        "/%zz",
    ] {
        assert_eq!(
            server.anonymous().get(path).await.status,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_issuer_that_was_never_reached_is_503_with_retry_after() {
    let down = crate::support::issuer::Issuer::start().await;
    down.down();
    let provider = down.provider();
    let server = TestServer::start_with(|config| config.providers.push(provider)).await;
    let answer = server
        .anonymous()
        .with_token(&down.token(json!({})))
        .get("/k")
        .await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_ne!(answer.header("retry-after"), "");
    assert_eq!(
        server.acme().get("/k").await.status,
        StatusCode::NOT_FOUND,
        "other issuers work"
    );
}

#[tokio::test]
async fn an_upload_that_began_in_time_may_finish_after_its_token_expired() {
    let server =
        TestServer::start_with(|config| config.providers[0].leeway = std::time::Duration::ZERO).await;
    let expires = crate::support::token::now() + 1;
    let token = server.issuer.token(json!({"exp": expires}));
    let client = server.anonymous().with_token(&token);
    let mut raw = client.raw().await;
    raw.head("PUT /k HTTP/1.1", "Content-Length: 5\r\nExpect: 100-continue\r\n")
        .await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 100 "));
    crate::support::client::within(async {
        while client.get("/k").await.status != StatusCode::UNAUTHORIZED {
            tokio::task::yield_now().await;
        }
    })
    .await;
    raw.write(b"hello").await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 201 "));
    assert_eq!(server.acme().get("/k").await.text(), "hello");
}
