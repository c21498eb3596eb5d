//! Turborepo's remote cache.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::server::TestServer;

const HEADERS: [(&str, &str); 4] = [
    ("x-artifact-duration", "1234"),
    ("x-artifact-tag", "c2lnbmF0dXJl"),
    ("x-artifact-sha", "abc"),
    ("x-artifact-dirty-hash", "def"),
];

#[tokio::test]
async fn the_headers_of_an_artifact_come_back() {
    let mut server = TestServer::start().await;
    let put = server
        .acme()
        .put_with("/v8/artifacts/aa11?slug=team", &HEADERS, "artifact")
        .await;
    assert_eq!(put.status, StatusCode::ACCEPTED);
    for round in ["fresh", "after a restart"] {
        for method in [Method::GET, Method::HEAD] {
            let answer = server
                .acme()
                .send(method, "/v8/artifacts/aa11?slug=team", &[], "")
                .await;
            assert_eq!(answer.status, StatusCode::OK);
            for (name, value) in HEADERS {
                assert_eq!(answer.header(name), value, "{round}");
            }
        }
        server.restart().await;
    }
}

#[tokio::test]
async fn the_team_is_part_of_the_name() {
    let server = TestServer::start().await;
    server.acme().put("/v8/artifacts/aa11?slug=one", "x").await;
    assert_eq!(
        server.acme().get("/v8/artifacts/aa11?slug=two").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        server.acme().get("/v8/artifacts/aa11?teamId=one").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        server.acme().get("/v8/artifacts/aa11").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        server.acme().get("/v8/artifacts/aa11?x=y&slug=one").await.text(),
        "x"
    );
}

#[tokio::test]
async fn control_calls_are_answered() {
    let server = TestServer::start().await;
    let status = server.acme().get("/v8/artifacts/status?slug=t").await;
    assert_eq!(
        serde_json::from_slice::<Value>(&status.body).unwrap(),
        json!({"status": "enabled"})
    );
    let events = server
        .acme()
        .send(Method::POST, "/v8/artifacts/events?slug=t", &[], "[{}]")
        .await;
    assert_eq!(events.status, StatusCode::OK);
    let preflight = server
        .acme()
        .send(Method::OPTIONS, "/v8/artifacts/aa11", &[], "")
        .await;
    assert_eq!(preflight.status, StatusCode::OK);
    assert!(
        preflight
            .header("access-control-allow-headers")
            .contains("Authorization")
    );
    assert_eq!(preflight.header("location"), "");
}

#[tokio::test]
async fn errors_have_a_code_and_a_message() {
    let server = TestServer::start().await;
    let token = server.issuer.token(json!({"event_name": "pull_request_target"}));
    for (answer, status, code) in [
        (
            server.anonymous().get("/v8/artifacts/aa11").await,
            StatusCode::UNAUTHORIZED,
            "unauthorized",
        ),
        (
            server
                .anonymous()
                .with_token(&token)
                .put("/v8/artifacts/aa11", "x")
                .await,
            StatusCode::FORBIDDEN,
            "forbidden",
        ),
    ] {
        assert_eq!(answer.status, status);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["error"]["code"], code);
        assert!(!body["error"]["message"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn long_headers_count_as_memory() {
    const MEMORY: u64 = 1 << 20;
    let server = TestServer::start_with(|config| config.disk.as_mut().unwrap().memory = MEMORY).await;
    let tag = "x".repeat(7000);
    for nth in 0..200 {
        let path = format!("/v8/artifacts/{nth}?slug=t");
        let put = server
            .acme()
            .put_with(&path, &[("x-artifact-tag", &tag)], "")
            .await;
        assert_eq!(put.status, StatusCode::ACCEPTED);
    }
    let metrics = server.ops().get("/metrics").await;
    let held = metrics
        .text()
        .lines()
        .find_map(|line| line.strip_prefix("chacha_disk_memory_bytes "));
    let held: u64 = held.unwrap().parse().unwrap();
    assert!((MEMORY / 2..=MEMORY).contains(&held), "{held}");
}

#[tokio::test]
async fn a_write_with_a_condition_never_overwrites() {
    let server = TestServer::start().await;
    let turbo = server.acme();
    let absent = [("if-none-match", "*")];
    let path = "/v8/artifacts/aa11?slug=team";
    assert_eq!(turbo.put_with(path, &absent, "first").await.status, 202);
    assert_eq!(turbo.put_with(path, &absent, "second").await.status, 412);
    assert_eq!(turbo.get(path).await.text(), "first");
}

#[tokio::test]
async fn each_route_names_its_own_methods() {
    let server = TestServer::start().await;
    for (path, allowed) in [
        ("/v8/artifacts", "POST, OPTIONS"),
        ("/v8/artifacts/events", "POST, OPTIONS"),
        ("/v8/artifacts/status", "GET, HEAD, OPTIONS"),
        ("/v8/artifacts/aa11", "GET, HEAD, PUT, POST, OPTIONS"),
    ] {
        let refused = server.acme().send(Method::DELETE, path, &[], "").await;
        assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, allowed));
        for method in allowed.split(", ").filter(|method| *method != "OPTIONS") {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let status = server.acme().send(method, path, &[], "").await.status;
            assert_ne!(status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        }
    }
}
