//! One tenant never meets another (the hazards of the first Chacha, by name).

use http::StatusCode;
use serde_json::json;

use super::bytes;
use crate::support::server::TestServer;

#[tokio::test]
async fn another_tenant_misses() {
    let server = TestServer::start().await;
    for size in [3, 200_000] {
        server.tenant("acme/app").put("/k", bytes(size, 1)).await;
        assert_eq!(
            server.tenant("globex/site").get("/k").await.status,
            StatusCode::NOT_FOUND
        );
        assert_eq!(
            server.tenant("globex/site").delete("/k").await.status,
            StatusCode::NOT_FOUND
        );
        assert_eq!(server.tenant("acme/app").get("/k").await.body.len(), size);
    }
}

#[tokio::test]
async fn namespace_and_key_are_not_glued() {
    let server = TestServer::start().await;
    server
        .job("acme/app", "refs/heads/mai")
        .put("/nlib.o", "poison")
        .await;
    assert_eq!(
        server
            .job("acme/app", "refs/heads/main")
            .get("/lib.o")
            .await
            .status,
        StatusCode::NOT_FOUND
    );
    server.tenant("acme/app2").put("/k", "secret").await;
    for path in [
        "/2/refs/heads/main/k",
        "/2%2Frefs%2Fheads%2Fmain%2Fk",
        "//2/k",
        "/../app2/k",
    ] {
        let status = server.tenant("acme/app").get(path).await.status;
        assert!(
            status == StatusCode::NOT_FOUND || status == StatusCode::BAD_REQUEST,
            "{path}"
        );
    }
}

#[tokio::test]
async fn claims_cannot_move_the_joint_between_them() {
    let server = TestServer::start().await;
    server.job("a/b", "c").put("/k", "x").await;
    server.job("a", "b/c").put("/l", "x").await;
    assert_eq!(
        server.job("a", "b/c").get("/k").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        server.job("a/b", "c").get("/l").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_branch_reads_the_fallback_and_never_writes_it() {
    let server = TestServer::start().await;
    let (main, branch) = (server.acme(), server.job("acme/app", "refs/heads/feature"));
    main.put("/k", "main").await;
    assert_eq!(branch.get("/k").await.text(), "main");
    assert_eq!(branch.head("/k").await.status, StatusCode::OK);
    assert_eq!(branch.delete("/k").await.status, StatusCode::NOT_FOUND);
    branch.put("/k", "branch").await;
    assert_eq!(branch.get("/k").await.text(), "branch");
    assert_eq!(main.get("/k").await.text(), "main");
    branch.delete("/k").await;
    assert_eq!(branch.get("/k").await.text(), "main");
}

#[tokio::test]
async fn a_read_only_token_reads_and_changes_nothing() {
    let server = TestServer::start().await;
    server.acme().put("/k", "x").await;
    let token = server.issuer.token(json!({"event_name": "pull_request_target"}));
    let reader = server.anonymous().with_token(&token);
    assert_eq!(reader.get("/k").await.text(), "x");
    assert_eq!(reader.put("/k", "y").await.status, StatusCode::FORBIDDEN);
    assert_eq!(reader.delete("/k").await.status, StatusCode::FORBIDDEN);
    assert_eq!(server.acme().get("/k").await.text(), "x");
}

#[tokio::test]
async fn a_missing_claim_is_403_and_names_the_claim_only() {
    let server = TestServer::start().await;
    let token = server
        .issuer
        .token(json!({"repository": null, "ref": "refs/heads/very-secret"}));
    let answer = server.anonymous().with_token(&token).get("/k").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.text().contains("repository"), "{}", answer.text());
    assert!(!answer.text().contains("secret"));
}

#[tokio::test]
async fn two_issuers_with_equal_claims_are_two_tenants() {
    let other = crate::support::issuer::Issuer::start().await;
    let mut provider = other.provider();
    let server = TestServer::start_with(|config| {
        provider.cache_key_exprs = config.providers[0].cache_key_exprs.clone();
        config.providers.push(provider);
    })
    .await;
    server.acme().put("/k", "x").await;
    let token = other.token(json!({"repository": "acme/app", "ref": "refs/heads/main"}));
    assert_eq!(
        server.anonymous().with_token(&token).get("/k").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn protocols_do_not_share_entries() {
    let server = TestServer::start().await;
    server.acme().put("/v1/cache/k", "nx").await;
    server.acme().put("/v8/artifacts/k", "turbo").await;
    for path in ["/k", "/v1//cache/k", "/x/v1/cache/k"] {
        assert_eq!(
            server.acme().get(path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}
