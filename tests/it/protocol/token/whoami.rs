//! What a token is and may, and for whom tokens have to be made.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{WHOAMI, issued, refused, token_of};
use crate::support::client::Client;
use crate::support::server::TestServer;
use crate::support::token::now;

async fn who(client: &Client) -> Value {
    let answer = client.get(WHOAMI).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn both_kinds_of_token_are_told_who_they_are() {
    let server = TestServer::start().await;
    let claims = json!({
        "repository": "acme/app", "repository_id": "42", "repository_owner_id": "7", "run_id": "9001",
        "check_run_id": "12", "ref": "refs/heads/main", "exp": now() + 300,
    });
    let ci = server.issuer.token(claims);
    let told = who(&server.anonymous().with_token(&ci)).await;
    let url = server.issuer.url();
    let expected = |told: &Value| {
        json!({
            "active": true, "exp": told["exp"], "iat": told["iat"], "sub": "repo:acme/app:ref:refs/heads/main",
            "scope": "read write", "issuer": url, "tenant": format!("{url}#42"), "group": format!("{url}#7"),
            "namespaces": ["repo/acme%2Fapp/refs%2Fheads%2Fmain"], "run": "9001", "job": "12",
        })
    };
    assert_eq!(told, expected(&told));
    assert!(told["exp"].as_u64().unwrap() <= now() + 300, "without leeway");
    let answer = issued(&server, &ci, &[("scope", "read"), ("ttl", "600")]).await;
    let told = who(&server.anonymous().with_token(token_of(&answer))).await;
    let mut expected = expected(&told);
    (expected["scope"], expected["id"]) = ("read".into(), answer["id"].clone());
    assert_eq!(told, expected);
    assert_eq!(told["exp"].as_u64().unwrap() - told["iat"].as_u64().unwrap(), 600);
}

#[tokio::test]
async fn whoever_has_no_good_token_is_told_nothing() {
    let server = TestServer::start().await;
    let answer = server.anonymous().get(WHOAMI).await;
    refused(&answer, StatusCode::UNAUTHORIZED, "invalid_token");
    assert_ne!(answer.header("www-authenticate"), "");
    let answer = server.anonymous().with_token("chacha_jt_x").get(WHOAMI).await;
    refused(&answer, StatusCode::UNAUTHORIZED, "invalid_token");
    let answer = server.acme().send(Method::POST, WHOAMI, &[], "").await;
    assert_eq!(answer.header("allow"), "GET, HEAD");
    assert_eq!(server.acme().head(WHOAMI).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_job_without_a_token_learns_for_whom_to_ask_for_one() {
    let server = TestServer::start().await;
    let answer = server.anonymous().get("/_chacha/token/audience").await;
    assert_eq!(answer.status, StatusCode::OK);
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    let issuer = json!({"issuer": server.issuer.url(), "audiences": ["https://cache.example"]});
    assert_eq!(
        told,
        json!({"audience": "https://cache.example", "issuers": [issuer]})
    );
    for path in [
        "/_chacha/token/",
        "/_chacha/token/audience/x",
        "/_chacha/token/other",
        "/_chacha/whoami/",
    ] {
        let answer = server.anonymous().get(path).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path} is reserved");
        assert_eq!(
            server.acme().get(path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}
