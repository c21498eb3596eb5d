//! The end of rights: an expired token goes on with its own upload for one `upload_timeout`, by the rules of now, and
//! holds up nobody for longer, whatever traffic there is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use serde_json::json;

use super::{VERSION, begin, commit, create, finalize, json_of, link, patch, reserve, with};
use crate::support::client::within;
use crate::support::server::TestServer;
use crate::support::token::now;

const GRACE: Duration = Duration::from_secs(3);

async fn start(grace: Duration) -> TestServer {
    TestServer::start_with(|config| {
        config.providers[0].leeway = Duration::ZERO;
        config.gha.upload_timeout = grace;
    })
    .await
}

/// A token that is good for two to three seconds, and when that ends.
fn short(server: &TestServer) -> (String, SystemTime) {
    let expires = now() + 3;
    let token = server.issuer.token(json!({"exp": expires}));
    (token, UNIX_EPOCH + Duration::from_secs(expires))
}

/// The first answer that refuses the caller, and how long after `expires` it came. A request in whose middle the right
/// ends is told that the upload has ended.
async fn refused(expires: SystemTime, mut again: impl AsyncFnMut() -> StatusCode) -> (StatusCode, Duration) {
    within(async {
        loop {
            let status = again().await;
            if !status.is_success() && status != StatusCode::CONFLICT {
                return (status, expires.elapsed().unwrap_or_default());
            }
        }
    })
    .await
}

#[tokio::test]
async fn traffic_does_not_keep_an_expired_token_good() {
    let server = start(GRACE).await;
    let (token, expires) = short(&server);
    let client = server.anonymous().with_token(&token);
    let (id, url) = (begin(&client, "one").await, create(&client, "two").await);
    let block = with(&url, "comp=block&blockid=QUFB");
    let old = refused(expires, async || patch(&client, id, 0, "x").await.status);
    let new = refused(expires, async || server.anonymous().put(&block, "x").await.status);
    let ((old, old_after), (new, new_after)) = tokio::join!(old, new);
    assert_eq!((old, new), (StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN));
    for after in [old_after, new_after] {
        assert!(after >= GRACE, "{after:?}");
        assert!(after < GRACE + Duration::from_secs(20), "{after:?}");
    }
    assert_eq!(commit(&client, id, 1).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(finalize(&client, "two", 1).await.status, StatusCode::UNAUTHORIZED);
    // The traffic of a moment ago holds up no other job.
    let other = server.acme();
    for key in ["one", "two"] {
        let body = json!({"key": key, "version": VERSION});
        assert_eq!(reserve(&other, body).await.status, StatusCode::CREATED, "{key}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_end_ends_with_the_token() {
    let server = start(GRACE).await;
    let (token, expires) = short(&server);
    let client = server.anonymous().with_token(&token);
    let url = create(&client, "k").await;
    let mut slow = server.anonymous().raw().await;
    slow.head(&format!("PUT {url} HTTP/1.1"), "Content-Length: 1000\r\n")
        .await;
    let mut clock = tokio::time::interval(Duration::from_millis(100));
    // What is written after the answer is discarded.
    while expires.elapsed().unwrap_or_default() < GRACE + Duration::from_secs(1) {
        slow.write(b"x").await;
        clock.tick().await;
    }
    let head = slow.read_head().await;
    assert!(head.starts_with("HTTP/1.1 409"), "{head}");
}

/// A reload may have taken rights away since the upload began.
#[tokio::test]
async fn the_rules_of_now_are_asked_at_the_commit() {
    let mut server = start(Duration::from_secs(600)).await;
    let (token, _) = short(&server);
    let client = server.anonymous().with_token(&token);
    let (id, url) = (begin(&client, "one").await, create(&client, "two").await);
    assert_eq!(patch(&client, id, 0, "abc").await.status, StatusCode::NO_CONTENT);
    assert_eq!(client.put(&url, "abc").await.status, StatusCode::CREATED);
    within(async {
        while client.get("/k").await.status != StatusCode::UNAUTHORIZED {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let good = server.config().clone();
    for rule in ["allow", "write", "provider"] {
        let mut config = good.clone();
        let provider = &mut config.providers[0];
        match rule {
            "allow" => provider.allow_if = Some("false".into()),
            "write" => provider.write_if = Some("false".into()),
            _ => provider.audiences = vec!["https://other.example".into()],
        }
        server.reconfigure(config).await;
        let client = server.anonymous().with_token(&token);
        let expected = match rule {
            "provider" => StatusCode::UNAUTHORIZED,
            _ => StatusCode::FORBIDDEN,
        };
        assert_eq!(patch(&client, id, 0, "xyz").await.status, expected, "{rule}");
        assert_eq!(commit(&client, id, 3).await.status, expected, "{rule}");
        let finalized = finalize(&client, "two", 3).await;
        let told = json_of(&finalized);
        assert!(
            told["ok"] != true && !finalized.status.is_server_error(),
            "{rule}: {told}"
        );
    }
    server.reconfigure(good).await;
    let client = server.anonymous().with_token(&token);
    assert_eq!(commit(&client, id, 3).await.status, StatusCode::NO_CONTENT);
    assert_eq!(json_of(&finalize(&client, "two", 3).await)["ok"], true);
    let acme = server.acme();
    for key in ["one", "two"] {
        assert_eq!(acme.get(&link(&acme, key).await).await.text(), "abc");
    }
}
