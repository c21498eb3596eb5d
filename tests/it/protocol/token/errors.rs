//! Requests that get no token, and what their senders are told.

use http::{Method, StatusCode};
use serde_json::json;

use super::{ACCESS_TYPE, FORM, GRANT, JWT_TYPE, TOKEN, exchange, refused, send};
use crate::support::server::TestServer;
use crate::support::token::now;

#[tokio::test]
async fn every_fault_of_a_request_has_its_code() {
    let server = TestServer::start().await;
    let token = server.token("acme/app");
    let full = [
        ("grant_type", GRANT),
        ("subject_token", token.as_str()),
        ("subject_token_type", JWT_TYPE),
    ];
    let check = async |changed: &[(&str, &str)], code: &str, part: &str| {
        let kept = full
            .iter()
            .filter(|(name, _)| !changed.iter().any(|(other, _)| other == name));
        let parameters: Vec<_> = kept.chain(changed).copied().collect();
        let answer = send(&server.anonymous(), &parameters).await;
        let text = refused(&answer, StatusCode::BAD_REQUEST, code);
        assert!(text.contains(part), "{text}");
    };
    check(
        &[("grant_type", "password")],
        "unsupported_grant_type",
        "token-exchange",
    )
    .await;
    check(&[("grant_type", "")], "invalid_request", "grant_type is missing").await;
    check(
        &[("subject_token", "")],
        "invalid_request",
        "subject_token is missing",
    )
    .await;
    check(
        &[("subject_token_type", "")],
        "invalid_request",
        "subject_token_type is missing",
    )
    .await;
    check(&[("subject_token_type", "x")], "invalid_request", "must be").await;
    check(&[("requested_token_type", "x")], "invalid_request", "must be").await;
    check(&[("actor_token", "x")], "invalid_request", "actor_token").await;
    check(
        &[("actor_token_type", ACCESS_TYPE)],
        "invalid_request",
        "actor_token",
    )
    .await;
    check(&[("scope", "read admin")], "invalid_scope", "read and write").await;
    for ttl in ["0", "59", "-60", "1h", "60.5", "+60", " 60"] {
        check(&[("ttl", ttl)], "invalid_request", "60 or more").await;
    }
    for name in ["ttl", "scope", "namespace", "requested_token_type"] {
        check(&[(name, "60"), (name, "60")], "invalid_request", "more than once").await;
    }
    let twice = [&full[..], &full[1..2]].concat();
    refused(
        &send(&server.anonymous(), &twice).await,
        StatusCode::BAD_REQUEST,
        "invalid_request",
    );
    // Unknown ones are ignored.
    assert_eq!(
        exchange(&server, &token, &[("client_id", "x")]).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_token_that_is_not_good_is_an_invalid_request_with_the_cause() {
    let server = TestServer::start_with(|config| {
        config.providers[0].allow_if = Some("claims.repository != \"evil/app\"".into());
    })
    .await;
    let issuer = &server.issuer;
    for (token, part) in [
        (issuer.token(json!({"exp": now() - 100})), "expired"),
        (
            issuer.token(json!({"aud": "https://other.example"})),
            "another audience",
        ),
        (
            issuer.token(json!({"iss": "https://other.example"})),
            "not issued by a configured provider",
        ),
        (
            issuer.token(json!({"repository": "evil/app"})),
            "not allowed here",
        ),
        ("x".into(), "not a JSON Web Token"),
        ("a b".into(), "not a JSON Web Token"),
        ("x".repeat(17_000), "too long"),
    ] {
        let answer = exchange(&server, &token, &[]).await;
        let text = refused(&answer, StatusCode::BAD_REQUEST, "invalid_request");
        assert!(text.contains(part), "{text}");
        assert_eq!(answer.header("www-authenticate"), "");
        let value = format!("Bearer {}", token.chars().take(16_000).collect::<String>());
        let client = server.anonymous().with_authorization(value);
        let answer = client.send(Method::POST, TOKEN, &[], "").await;
        refused(&answer, StatusCode::BAD_REQUEST, "invalid_request");
    }
}

#[tokio::test]
async fn two_tokens_in_one_request_are_refused() {
    let server = TestServer::start().await;
    let token = server.token("acme/app");
    let client = server.anonymous().with_token(&token);
    let parameters = [
        ("grant_type", GRANT),
        ("subject_token", token.as_str()),
        ("subject_token_type", JWT_TYPE),
    ];
    let answer = send(&client, &parameters).await;
    let text = refused(&answer, StatusCode::BAD_REQUEST, "invalid_request");
    assert!(text.contains("Authorization"), "{text}");
    let more = [("authorization", "Bearer a.b.c")];
    let answer = client.send(Method::POST, TOKEN, &more, "").await;
    refused(&answer, StatusCode::BAD_REQUEST, "invalid_request");
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused() {
    let server = TestServer::start().await;
    let client = server.anonymous();
    let json = ("content-type", "application/json");
    let form = format!("grant_type={GRANT}");
    for (headers, body) in [
        (vec![json], "{"),
        (vec![json], "[]"),
        (vec![json], "{\"ttl\": {}}"),
        (vec![json], "{\"ttl\": true}"),
        (vec![json], "{\"ttl\": 60, \"ttl\": 61}"),
        (vec![], form.as_str()),
        (vec![("content-type", "text/plain")], form.as_str()),
        (vec![FORM], "%ff=%zz"),
    ] {
        let answer = client.send(Method::POST, TOKEN, &headers, body.to_owned()).await;
        refused(&answer, StatusCode::BAD_REQUEST, "invalid_request");
    }
    let large = client
        .send(Method::POST, TOKEN, &[FORM], "x".repeat(40_000))
        .await;
    refused(&large, StatusCode::PAYLOAD_TOO_LARGE, "invalid_request");
    for method in [Method::GET, Method::PUT, Method::OPTIONS] {
        let answer = client.send(method, TOKEN, &[], "").await;
        assert_eq!(answer.header("allow"), "POST");
        refused(&answer, StatusCode::METHOD_NOT_ALLOWED, "invalid_request");
    }
}

#[tokio::test]
async fn an_issuer_whose_keys_are_not_known_is_worth_another_try() {
    let down = crate::support::issuer::Issuer::start().await;
    down.down();
    let provider = down.provider();
    let server = TestServer::start_with(|config| config.providers.push(provider)).await;
    let answer = exchange(&server, &down.token(json!({})), &[]).await;
    refused(
        &answer,
        StatusCode::SERVICE_UNAVAILABLE,
        "temporarily_unavailable",
    );
    assert_ne!(answer.header("retry-after"), "");
}

/// Tokens are made for free, so a job that makes them in a loop takes part in the bound of its tenant.
#[tokio::test]
async fn an_exchange_counts_among_the_requests_of_its_tenant() {
    let rule = chacha::config::TenantRule {
        pattern: "*".into(),
        requests_in_flight: Some(1),
        ..Default::default()
    };
    let server = TestServer::start_with(|config| config.tenants = vec![rule]).await;
    let acme = server.acme();
    let mut held = acme.raw().await;
    held.head("PUT /k HTTP/1.1", "Content-Length: 3\r\nExpect: 100-continue\r\n")
        .await;
    assert!(held.read_head().await.starts_with("HTTP/1.1 100"));
    let answer = exchange(&server, &server.token("acme/app"), &[]).await;
    refused(&answer, StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable");
    assert_ne!(answer.header("retry-after"), "");
    assert_eq!(
        exchange(&server, &server.token("globex/site"), &[]).await.status,
        StatusCode::OK
    );
}
