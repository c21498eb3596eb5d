//! What was granted is a bound: the rules of now take away, and never give.

use http::StatusCode;
use serde_json::json;

use super::{exchange, issued, job, pull_request, refused, token_of};
use crate::support::server::TestServer;

#[tokio::test]
async fn a_rule_that_a_reload_tightens_bites_on_tokens_in_memory() {
    let mut server = TestServer::start().await;
    let client = job(&server, &server.token("acme/app"), &[]).await;
    assert_eq!(client.put("/k", "x").await.status, StatusCode::CREATED);
    server
        .reload(|config| config.providers[0].write_if = Some("claims.ref == \"refs/heads/release\"".into()))
        .await;
    assert_eq!(client.put("/k", "y").await.status, StatusCode::FORBIDDEN);
    assert_eq!(client.get("/k").await.text(), "x");
    server
        .reload(|config| config.providers[0].allow_if = Some("claims.repository != \"acme/app\"".into()))
        .await;
    assert_eq!(client.get("/k").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_rule_that_a_reload_loosens_gives_nothing_to_tokens_that_are_out() {
    let mut server = TestServer::start().await;
    let token = server.issuer.token(
        json!({"repository": "acme/app", "event_name": "pull_request_target", "ref": "refs/heads/main"}),
    );
    let client = job(&server, &token, &[]).await;
    server.tenant("globex/site").put("/k", "of globex").await;
    server
        .reload(|config| {
            config.providers[0].write_if = None;
            let exprs = &mut config.providers[0].cache_key_exprs;
            exprs.push("join(\"repo\", \"globex/site\", \"refs/heads/main\")".into());
        })
        .await;
    let now = server.anonymous().with_token(&token);
    assert_eq!(now.put("/k2", "x").await.status, StatusCode::CREATED);
    assert_eq!(now.get("/k").await.text(), "of globex");
    assert_eq!(client.put("/k2", "x").await.status, StatusCode::FORBIDDEN);
    assert_eq!(client.get("/k").await.status, StatusCode::NOT_FOUND);
}

/// Else who narrowed a token to read could write again, only elsewhere.
#[tokio::test]
async fn a_token_never_writes_where_it_was_not_granted_to_write() {
    let mut server = TestServer::start().await;
    let client = job(&server, &pull_request(&server), &[]).await;
    assert_eq!(client.put("/k", "x").await.status, StatusCode::CREATED);
    server
        .reload(|config| config.providers[0].cache_key_exprs.reverse())
        .await;
    assert_eq!(client.put("/k", "evil").await.status, StatusCode::FORBIDDEN);
    assert_eq!(client.get("/k").await.text(), "x", "it is read still");
    assert_eq!(server.acme().get("/k").await.status, StatusCode::NOT_FOUND);
    server
        .reload(|config| config.providers[0].cache_key_exprs = vec!["claims.sub".into()])
        .await;
    let answer = client.get("/k").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.text().contains("leave no right"), "{}", answer.text());
}

#[tokio::test]
async fn a_provider_or_an_audience_that_is_gone_ends_its_tokens() {
    let mut server = TestServer::start().await;
    let client = job(&server, &server.token("acme/app"), &[]).await;
    assert_eq!(client.put("/k", "x").await.status, StatusCode::CREATED);
    server
        .reload(|config| config.providers[0].audiences = vec!["https://other.example".into()])
        .await;
    let answer = client.get("/k").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.text().contains("another audience"), "{}", answer.text());
    let other = crate::support::issuer::Issuer::start().await;
    server
        .reload(|config| {
            config.providers[0].audiences = Vec::new();
            config.providers[0].url = other.url().to_owned();
        })
        .await;
    let answer = client.get("/k").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(
        answer.text().contains("no longer a configured provider"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn tokens_that_are_switched_off_are_neither_made_nor_accepted() {
    let mut server = TestServer::start().await;
    let token = server.token("acme/app");
    let client = job(&server, &token, &[]).await;
    assert_eq!(client.put("/k", "x").await.status, StatusCode::CREATED);
    server.reload(|config| config.job_tokens = None).await;
    assert_eq!(client.get("/k").await.status, StatusCode::UNAUTHORIZED);
    let answer = exchange(&server, &token, &[]).await;
    refused(&answer, StatusCode::BAD_REQUEST, "unsupported_grant_type");
    server
        .reload(|config| {
            config.job_tokens = Some(chacha::config::JobTokensConfig {
                max_ttl: std::time::Duration::from_secs(120),
                ..Default::default()
            });
        })
        .await;
    assert_eq!(client.get("/k").await.text(), "x");
    assert_eq!(issued(&server, &token, &[]).await["expires_in"], 120);
}

/// A rule must not take a claim that was left out for one that the token never had.
#[tokio::test]
async fn claims_that_were_left_out_are_never_taken_for_missing_ones() {
    let mut server = TestServer::start().await;
    let long = json!({"repository": "acme/app", "long": "x".repeat(5000), "environment": "staging"});
    let cut = issued(&server, &server.issuer.token(long), &[]).await;
    let whole = json!({"repository": "acme/app", "environment": "staging"});
    let whole = issued(&server, &server.issuer.token(whole), &[]).await;
    let client = |answer: &serde_json::Value| server.anonymous().with_token(token_of(answer));
    let (cut, whole) = (client(&cut), client(&whole));
    assert_eq!(cut.put("/k", "x").await.status, StatusCode::CREATED);
    server
        .reload(|config| {
            let rule = "default(claims.environment, \"none\") != \"staging\"";
            config.providers[0].write_if = Some(rule.into());
        })
        .await;
    let answer = cut.put("/k", "x").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.text().contains("rules have changed"), "{}", answer.text());
    assert_eq!(whole.put("/k", "x").await.status, StatusCode::FORBIDDEN);
    assert_eq!(whole.get("/k").await.text(), "x");
}

#[tokio::test]
async fn a_token_made_of_a_job_token_never_lives_longer_and_never_may_more() {
    let server = TestServer::start().await;
    let parent = issued(
        &server,
        &pull_request(&server),
        &[("ttl", "120"), ("scope", "read")],
    )
    .await;
    let child = issued(
        &server,
        token_of(&parent),
        &[("ttl", "21600"), ("scope", "read write")],
    )
    .await;
    assert_eq!(
        (&child["expires_at"], &child["scope"]),
        (&parent["expires_at"], &parent["scope"])
    );
    assert_eq!(
        child["read_only_because"],
        "the token that was exchanged may not write"
    );
    let grandchild = issued(&server, token_of(&child), &[("namespace", "1")]).await;
    assert_eq!(grandchild["expires_at"], parent["expires_at"]);
    assert_eq!(
        grandchild["namespaces"],
        json!(["repo/acme%2Fapp/refs%2Fheads%2Fmain"])
    );
    let wider = exchange(&server, token_of(&grandchild), &[("namespace", "1")]).await;
    refused(&wider, StatusCode::BAD_REQUEST, "invalid_target");
    let own = "repo/acme%2Fapp/refs%2Fpull%2F1%2Fmerge";
    let wider = exchange(&server, token_of(&grandchild), &[("namespace", own)]).await;
    refused(&wider, StatusCode::BAD_REQUEST, "invalid_target");
    let nothing = exchange(&server, token_of(&grandchild), &[("scope", "write")]).await;
    refused(&nothing, StatusCode::BAD_REQUEST, "invalid_scope");
}
