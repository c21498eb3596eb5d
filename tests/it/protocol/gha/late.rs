//! A save that outlives its token.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::{VERSION, begin, call, commit, create, finalize, json_of, link, look_up, patch, reserve};
use crate::support::client::{Client, within};
use crate::support::server::TestServer;
use crate::support::token::now;

async fn start() -> TestServer {
    TestServer::start_with(|config| config.providers[0].leeway = Duration::ZERO).await
}

/// A job whose token is good for two to three seconds.
fn short(server: &TestServer) -> Client {
    let token = server.issuer.token(json!({"exp": now() + 3}));
    server.anonymous().with_token(&token)
}

async fn expired(client: &Client) {
    within(async {
        while client.get("/k").await.status != StatusCode::UNAUTHORIZED {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_first_generation_goes_on_with_the_token_that_began() {
    let server = start().await;
    let (client, stranger) = (short(&server), short(&server));
    let id = begin(&client, "k").await;
    assert_eq!(patch(&client, id, 0, "abc").await.status, StatusCode::NO_CONTENT);
    expired(&client).await;
    expired(&stranger).await;
    for answer in [
        patch(&stranger, id, 0, "xyz").await,
        commit(&stranger, id, 3).await,
    ] {
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(patch(&client, id, 3, "def").await.status, StatusCode::NO_CONTENT);
    assert_eq!(commit(&client, id, 6).await.status, StatusCode::NO_CONTENT);
    for answer in [
        look_up(&client, "k").await,
        reserve(&client, json!({"key": "n", "version": VERSION})).await,
    ] {
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(
        server
            .anonymous()
            .get(&link(&server.acme(), "k").await)
            .await
            .text(),
        "abcdef"
    );
}

#[tokio::test]
async fn the_second_generation_finalizes_with_the_token_that_began() {
    let server = start().await;
    let (client, stranger) = (short(&server), short(&server));
    let url = create(&client, "k").await;
    expired(&client).await;
    expired(&stranger).await;
    // The link does not depend on the token.
    assert_eq!(
        server.anonymous().put(&url, "abc").await.status,
        StatusCode::CREATED
    );
    assert_eq!(finalize(&stranger, "k", 3).await.status, StatusCode::NOT_FOUND);
    assert_eq!(json_of(&finalize(&client, "k", 3).await)["ok"], true);
    for method in ["CreateCacheEntry", "GetCacheEntryDownloadURL"] {
        let answer = call(&client, method, json!({"key": "k", "version": VERSION})).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(json_of(&answer)["code"], "unauthenticated");
    }
    assert_eq!(
        server
            .anonymous()
            .get(&link(&server.acme(), "k").await)
            .await
            .text(),
        "abc"
    );
}

#[tokio::test]
async fn a_token_that_was_never_good_does_not_go_on() {
    let server = start().await;
    let id = begin(&server.acme(), "k").await;
    for client in [server.anonymous(), server.anonymous().with_token("a.b.c")] {
        assert_eq!(patch(&client, id, 0, "x").await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(commit(&client, id, 1).await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(finalize(&client, "k", 1).await.status, StatusCode::UNAUTHORIZED);
    }
}
