//! Rights that the scopes of a runtime token give, at the doors of the other protocols.

use chacha::config::TokenScopes;
use http::StatusCode;
use serde_json::json;

use crate::support::client::Client;
use crate::support::server::TestServer;

async fn start() -> TestServer {
    TestServer::start_with(|config| config.providers[0].scopes = Some(TokenScopes::Ac)).await
}

fn job(server: &TestServer, scopes: &[(&str, u64)]) -> Client {
    let entries = scopes.iter();
    let entries: serde_json::Value = entries
        .map(|(scope, permission)| json!({"Scope": scope, "Permission": permission}))
        .collect();
    let claims = json!({"ac": entries.to_string(), "repository_id": "42"});
    server.anonymous().with_token(&server.issuer.token(claims))
}

#[tokio::test]
async fn a_pull_request_reads_the_base_and_never_writes_it() {
    let server = start().await;
    let main = job(&server, &[("main", 3)]);
    let pull = job(&server, &[("main", 1), ("pull", 3)]);
    main.put("/k", "main").await;
    assert_eq!(pull.get("/k").await.text(), "main");
    assert_eq!(pull.put("/k", "pull").await.status, StatusCode::CREATED);
    assert_eq!(pull.get("/k").await.text(), "pull");
    assert_eq!(main.get("/k").await.text(), "main");
}

#[tokio::test]
async fn a_token_without_a_writable_scope_changes_nothing() {
    let server = start().await;
    job(&server, &[("main", 3)]).put("/k", "main").await;
    let reader = job(&server, &[("main", 1)]);
    assert_eq!(reader.put("/k", "x").await.status, StatusCode::FORBIDDEN);
    assert_eq!(reader.delete("/k").await.status, StatusCode::FORBIDDEN);
    assert_eq!(reader.get("/k").await.text(), "main");
}

#[tokio::test]
async fn what_may_only_be_written_is_a_miss_in_every_protocol() {
    let server = start().await;
    let (both, writer) = (job(&server, &[("main", 3)]), job(&server, &[("main", 2)]));
    for path in ["/k", "/v8/artifacts/k", "/v1/cache/k"] {
        assert!(writer.put(path, "x").await.status.is_success(), "{path}");
        assert_eq!(both.get(path).await.text(), "x", "{path}");
        assert_eq!(writer.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(writer.head(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let fallback = job(&server, &[("main", 2), ("other", 1)]);
    assert_eq!(fallback.get("/k").await.status, StatusCode::NOT_FOUND);
    job(&server, &[("other", 3)]).put("/k", "other").await;
    assert_eq!(fallback.get("/k").await.text(), "other");
    assert_eq!(writer.delete("/k").await.status, StatusCode::NO_CONTENT);
    assert_eq!(both.get("/k").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_token_without_any_right_gets_misses_and_refusals() {
    let server = start().await;
    job(&server, &[("main", 3)]).put("/k", "main").await;
    let nobody = job(&server, &[("main", 0)]);
    assert_eq!(nobody.get("/k").await.status, StatusCode::NOT_FOUND);
    assert_eq!(nobody.put("/k", "x").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn malformed_scopes_are_403_and_show_nothing() {
    let server = start().await;
    let token = server
        .issuer
        .token(json!({"ac": "[s3cr3t]", "repository_id": "42"}));
    let answer = server.anonymous().with_token(&token).get("/k").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(
        answer.text().contains("the claim `ac` is not a list of scopes"),
        "{}",
        answer.text()
    );
    assert!(!answer.text().contains("s3cr3t"));
}
