//! What an exchange gives.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{ACCESS_TYPE, FORM, JWT_TYPE, TOKEN, exchange, issued, job, pull_request, send, token_of};
use crate::support::server::TestServer;
use crate::support::token::now;

#[tokio::test]
async fn a_job_token_does_what_its_ci_token_did_in_every_spelling() {
    let server = TestServer::start().await;
    let answer = issued(&server, &server.token("acme/app"), &[]).await;
    let token = token_of(&answer);
    assert!(
        token.starts_with("chacha_jt_") && token.len() <= 3000,
        "{}",
        token.len()
    );
    assert!(
        token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    );
    assert_eq!(answer["issued_token_type"], ACCESS_TYPE);
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["expires_in"], 3600);
    assert_eq!(answer["scope"], "read write");
    assert_eq!(
        answer["namespaces"],
        json!(["repo/acme%2Fapp/refs%2Fheads%2Fmain"])
    );
    assert_eq!(answer.get("read_only_because"), None);
    assert_eq!(answer.get("refresh_token"), None);
    assert_eq!(answer["id"].as_str().unwrap().len(), 32);
    assert!(answer["expires_at"].as_str().unwrap().ends_with('Z'));
    for authorization in [
        format!("Bearer {token}"),
        format!("Basic {}", STANDARD.encode(format!("any:{token}"))),
        token.to_owned(),
    ] {
        let client = server.anonymous().with_authorization(&authorization);
        assert_eq!(client.put("/k", "x").await.status, StatusCode::CREATED);
        assert_eq!(client.get("/k").await.text(), "x");
    }
    assert_eq!(server.acme().get("/k").await.text(), "x", "it is one namespace");
    assert_eq!(
        server.tenant("globex/site").get("/k").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn form_json_and_header_are_three_ways_to_one_token() {
    let server = TestServer::start().await;
    let token = server.token("acme/app");
    let body = json!({
        "grant_type": super::GRANT, "subject_token": token, "ttl": 600, "scope": "read", "actor_token": null,
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "audience": ["https://cache.example"],
    });
    let typed = [("content-type", "application/json; charset=utf-8")];
    let answer = server
        .anonymous()
        .send(Method::POST, TOKEN, &typed, body.to_string())
        .await;
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (&answer["scope"], &answer["expires_in"]),
        (&json!("read"), &json!(600))
    );
    let client = server.anonymous().with_token(&token);
    for answer in [
        client.send(Method::POST, TOKEN, &[], "").await,
        client
            .send(Method::POST, TOKEN, &[FORM], "ttl=600&scope=read")
            .await,
        server
            .anonymous()
            .with_authorization(format!("Basic {}", STANDARD.encode(format!("u:{token}"))))
            .send(Method::POST, TOKEN, &[], "")
            .await,
    ] {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
}

/// One ID token has to serve every exchange of a job: GitLab gives no second one.
#[tokio::test]
async fn one_ci_token_may_be_exchanged_again_and_again() {
    let server = TestServer::start().await;
    let token = server.token("acme/app");
    let (one, other) = (
        issued(&server, &token, &[]).await,
        issued(&server, &token, &[]).await,
    );
    assert_ne!(one["access_token"], other["access_token"]);
    assert_ne!(one["id"], other["id"]);
    for answer in [one, other] {
        let client = server.anonymous().with_token(token_of(&answer));
        assert_eq!(client.put("/k", "x").await.status, StatusCode::CREATED);
    }
}

#[tokio::test]
async fn a_life_is_what_is_asked_for_and_never_above_the_longest() {
    let server = TestServer::start().await;
    for (ttl, expected) in [
        ("60", 60),
        ("0000061", 61),
        ("21600", 21600),
        ("21601", 21600),
        ("99999999999999999999999999", 21600),
        ("", 3600),
    ] {
        let answer = issued(&server, &server.token("acme/app"), &[("ttl", ttl)]).await;
        assert_eq!(answer["expires_in"], expected, "{ttl}");
    }
}

#[tokio::test]
async fn a_job_token_outlives_the_token_of_its_ci_system_and_the_key_of_its_issuer() {
    let server =
        TestServer::start_with(|config| config.providers[0].leeway = std::time::Duration::ZERO).await;
    let expires = now() + 1;
    let short = server
        .issuer
        .token(json!({"repository": "acme/app", "exp": expires}));
    let client = job(&server, &short, &[]).await;
    crate::support::wait::until_true("the CI token has expired", async || {
        let answer = server.anonymous().with_token(&short).get("/k").await;
        answer.status == StatusCode::UNAUTHORIZED
    })
    .await;
    server.issuer.rotate();
    server.issuer.down();
    assert_eq!(client.put("/k", "x").await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_pull_request_that_may_not_write_is_told_why() {
    let server = TestServer::start().await;
    let claims = json!({"repository": "acme/app", "event_name": "pull_request_target"});
    let token = server.issuer.token(claims);
    let answer = issued(&server, &token, &[("scope", "read write")]).await;
    assert_eq!(answer["scope"], "read");
    assert_eq!(answer["read_only_because"], "write_if does not hold");
    let client = server.anonymous().with_token(token_of(&answer));
    assert_eq!(client.put("/k", "x").await.status, StatusCode::FORBIDDEN);
    assert_eq!(client.get("/k").await.status, StatusCode::NOT_FOUND);
    let nothing = exchange(&server, &token, &[("scope", "write")]).await;
    super::refused(&nothing, StatusCode::BAD_REQUEST, "invalid_scope");
}

#[tokio::test]
async fn rights_are_those_that_were_asked_for() {
    let server = TestServer::start().await;
    let token = server.token("acme/app");
    server.acme().put("/k", "old").await;
    let reader = job(&server, &token, &[("scope", "read")]).await;
    assert_eq!(reader.get("/k").await.text(), "old");
    for method in [Method::PUT, Method::DELETE] {
        assert_eq!(
            reader.send(method, "/k", &[], "").await.status,
            StatusCode::FORBIDDEN
        );
    }
    let answer = issued(&server, &token, &[("scope", "write")]).await;
    assert_eq!(answer["scope"], "write");
    let writer = server.anonymous().with_token(token_of(&answer));
    assert_eq!(writer.get("/k").await.status, StatusCode::NOT_FOUND);
    assert_eq!(writer.put("/k", "new").await.status, StatusCode::CREATED);
    assert_eq!(server.acme().get("/k").await.text(), "new");
}

#[tokio::test]
async fn a_namespace_is_chosen_by_place_or_text_and_a_fallback_is_never_written() {
    let server = TestServer::start().await;
    let token = pull_request(&server);
    server.acme().put("/k", "main").await;
    let own = "repo/acme%2Fapp/refs%2Fpull%2F1%2Fmerge";
    let main = "repo/acme%2Fapp/refs%2Fheads%2Fmain";
    for (choice, name, scope) in [
        ("0", own, "read write"),
        (own, own, "read write"),
        ("1", main, "read"),
        (main, main, "read"),
    ] {
        let answer = issued(&server, &token, &[("namespace", choice)]).await;
        assert_eq!(answer["namespaces"], json!([name]), "{choice}");
        assert_eq!(answer["scope"], scope, "{choice}");
        let client = server.anonymous().with_token(token_of(&answer));
        let reads_main = client.get("/k").await.status == StatusCode::OK;
        assert_eq!(reads_main, name == main, "{choice}");
        let written = client.put("/written", "x").await.status == StatusCode::CREATED;
        assert_eq!(written, name == own, "{choice}");
    }
    assert_eq!(server.acme().get("/written").await.status, StatusCode::NOT_FOUND);
    for choice in [
        "2",
        "99999999999999999999999",
        "repo/globex%2Fsite/refs%2Fheads%2Fmain",
        "-1",
    ] {
        let answer = exchange(&server, &token, &[("namespace", choice)]).await;
        super::refused(&answer, StatusCode::BAD_REQUEST, "invalid_target");
    }
}

/// What go-actions-cache does before its first request.
#[tokio::test]
async fn the_form_for_buildkit_is_read_by_its_rules_and_lets_in() {
    let server = TestServer::start().await;
    let answer = issued(
        &server,
        &pull_request(&server),
        &[("requested_token_type", JWT_TYPE)],
    )
    .await;
    assert_eq!(answer["issued_token_type"], JWT_TYPE);
    let token = token_of(&answer);
    let segments: Vec<&str> = token.split('.').collect();
    assert_eq!(segments.len(), 3);
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    assert_eq!(
        decode(segments[0]),
        br#"{"alg":"HS256","typ":"JWT","kid":"chacha_jt"}"#
    );
    let claims: Value = serde_json::from_slice(&decode(segments[1])).unwrap();
    let (begins, ends) = (claims["nbf"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    assert!((4199..=4200).contains(&(ends - begins)), "{claims}");
    let scopes: Value = serde_json::from_str(claims["ac"].as_str().unwrap()).unwrap();
    let expected = json!([
        {"Scope": "repo/acme%2Fapp/refs%2Fpull%2F1%2Fmerge", "Permission": 3},
        {"Scope": "repo/acme%2Fapp/refs%2Fheads%2Fmain", "Permission": 1},
    ]);
    assert_eq!(scopes, expected);
    let client = server.anonymous().with_token(token);
    assert_eq!(client.put("/k", "x").await.status, StatusCode::CREATED);
    // Of the other form a token is made, and back.
    let opaque = issued(&server, token, &[]).await;
    assert!(token_of(&opaque).starts_with("chacha_jt_"));
    let again = issued(&server, token_of(&opaque), &[("requested_token_type", JWT_TYPE)]).await;
    let client = server.anonymous().with_token(token_of(&again));
    assert_eq!(client.get("/k").await.text(), "x");
}

#[tokio::test]
async fn a_token_is_good_on_every_server_with_the_key_and_after_a_restart() {
    let keys = tempfile::tempdir().unwrap();
    let path = keys.path().join("key");
    std::fs::write(&path, [7; 32]).unwrap();
    let mut one = TestServer::start_with(|config| config.signing_key_file = Some(path.clone())).await;
    let providers = one.config().providers.clone();
    let two = TestServer::start_with(|config| {
        config.gha.signing_key_file = Some(path.clone());
        config.providers = providers.clone();
    })
    .await;
    let answer = issued(&one, &one.token("acme/app"), &[]).await;
    one.restart().await;
    for server in [&one, &two] {
        let client = server.anonymous().with_token(token_of(&answer));
        assert_eq!(client.put("/k", "x").await.status, StatusCode::CREATED);
    }
    // The next key: what the former one has sealed opens until that is left out.
    let next = keys.path().join("next");
    std::fs::write(&next, [8; 32]).unwrap();
    let mut config = one.config().clone();
    (config.signing_key_file, config.signing_key_file_former) = (Some(next), Some(path));
    one.reconfigure(config.clone()).await;
    let client = |server: &TestServer, answer: &Value| server.anonymous().with_token(token_of(answer));
    assert_eq!(client(&one, &answer).get("/k").await.text(), "x");
    let newer = issued(&one, &one.token("acme/app"), &[]).await;
    let elsewhere = client(&two, &newer).get("/k").await;
    assert_eq!(
        elsewhere.status,
        StatusCode::UNAUTHORIZED,
        "the former key never seals"
    );
    config.signing_key_file_former = None;
    one.reconfigure(config).await;
    assert_eq!(client(&one, &newer).get("/k").await.text(), "x");
    assert_eq!(
        client(&one, &answer).get("/k").await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn the_key_of_a_disk_alone_survives_a_restart_and_is_its_owners() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut server = TestServer::start().await;
    let answer = issued(&server, &server.token("acme/app"), &[]).await;
    server.restart().await;
    let client = server.anonymous().with_token(token_of(&answer));
    assert_eq!(client.put("/k", "x").await.status, StatusCode::CREATED);
    let file = server.dir().join("cache/server/job-key");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    server.wipe().await;
    let client = server.anonymous().with_token(token_of(&answer));
    assert_eq!(client.get("/k").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn targets_are_this_server_or_an_audience_of_the_provider() {
    let server = TestServer::start_with(|config| {
        config.base_url = Some("https://here.example".parse().unwrap());
    })
    .await;
    let token = server.token("acme/app");
    for (name, value) in [
        ("audience", "https://cache.example"),
        ("resource", "https://here.example/"),
        ("audience", "https://here.example"),
    ] {
        issued(&server, &token, &[(name, value)]).await;
    }
    issued(
        &server,
        &token,
        &[
            ("audience", "https://here.example"),
            ("audience", "https://cache.example"),
        ],
    )
    .await;
    for targets in [
        &[("audience", "https://evil.example")][..],
        &[
            ("audience", "https://here.example"),
            ("resource", "https://evil.example"),
        ],
        &[("audience", "https://here.example.evil")],
    ] {
        let answer = exchange(&server, &token, targets).await;
        super::refused(&answer, StatusCode::BAD_REQUEST, "invalid_target");
    }
}

#[tokio::test]
async fn long_claims_that_no_rule_uses_are_left_out() {
    let server = TestServer::start().await;
    let long = json!({"repository": "acme/app", "long": "x".repeat(5000), "run_id": "77"});
    let answer = issued(&server, &server.issuer.token(long), &[]).await;
    let token = token_of(&answer);
    assert!(token.len() <= 3000, "{}", token.len());
    let client = server.anonymous().with_token(token);
    assert_eq!(client.put("/k", "x").await.status, StatusCode::CREATED);
    let who: Value = serde_json::from_slice(&client.get(super::WHOAMI).await.body).unwrap();
    assert_eq!(who["run"], "77");
    let needed = json!({"repository": "acme/app", "ref": "x".repeat(900), "sub": "y".repeat(3000)});
    let answer = exchange(&server, &server.issuer.token(needed), &[]).await;
    let text = super::refused(&answer, StatusCode::BAD_REQUEST, "invalid_request");
    assert!(text.contains("3000 characters"), "{text}");
    // Nothing is sent twice for nothing.
    assert_eq!(
        send(&server.anonymous(), &[]).await.status,
        StatusCode::BAD_REQUEST
    );
}
