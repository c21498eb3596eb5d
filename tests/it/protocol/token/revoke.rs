//! A token that was revoked is worth nothing, nor is anything that was made of it: here, on the other servers, and later.

use std::sync::Arc;
use std::time::Duration;

use chacha::config::Config;
use http::{Method, StatusCode};
use serde_json::Value;

use super::{FORM, issued, pull_request, refused, token_of};
use crate::support::client::{Answer, Client};
use crate::support::s3::S3Server;
use crate::support::server::TestServer;
use crate::support::wait::until_true;

const REVOKE: &str = "/_chacha/token/revoke";

async fn revoke(server: &TestServer, token: &str) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("token", token)
        .finish();
    server.anonymous().send(Method::POST, REVOKE, &[FORM], body).await
}

fn client(server: &TestServer, answer: &Value) -> Client {
    server.anonymous().with_token(token_of(answer))
}

async fn status(server: &TestServer, answer: &Value) -> StatusCode {
    client(server, answer).get("/k").await.status
}

#[tokio::test]
async fn a_thief_who_exchanged_a_token_does_not_survive_its_end() {
    let server = TestServer::start().await;
    server.acme().put("/k", "x").await;
    let ci = pull_request(&server);
    let first = issued(&server, &ci, &[]).await;
    let stolen = issued(&server, token_of(&first), &[]).await;
    let again = issued(&server, token_of(&stolen), &[("scope", "read"), ("ttl", "60")]).await;
    let apart = issued(&server, &ci, &[]).await;
    let chain = [&first, &stolen, &again];
    for token in chain {
        assert_eq!(status(&server, token).await, StatusCode::OK);
    }
    let answer = client(&server, &first).send(Method::POST, REVOKE, &[], "").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    for token in chain {
        let answer = client(&server, token).get("/k").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "also from memory");
        assert!(answer.text().contains("was revoked"), "{}", answer.text());
        let exchanged = super::exchange(&server, token_of(token), &[]).await;
        refused(&exchanged, StatusCode::BAD_REQUEST, "invalid_request");
        assert_eq!(
            revoke(&server, token_of(token)).await.status,
            StatusCode::OK,
            "again"
        );
    }
    // The job itself is not locked out, and another chain goes on.
    assert_eq!(status(&server, &apart).await, StatusCode::OK);
    let fresh = issued(&server, &ci, &[]).await;
    assert_eq!(status(&server, &fresh).await, StatusCode::OK);
}

#[tokio::test]
async fn the_end_of_a_token_that_was_made_of_another_ends_both() {
    let server = TestServer::start().await;
    let first = issued(&server, &pull_request(&server), &[]).await;
    let narrowed = issued(&server, token_of(&first), &[("scope", "read")]).await;
    assert_eq!(revoke(&server, token_of(&narrowed)).await.status, StatusCode::OK);
    for token in [&first, &narrowed] {
        assert_eq!(status(&server, token).await, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn what_was_revoked_stays_so_over_reloads_and_restarts_and_whatever_the_rules_say() {
    let mut server = TestServer::start().await;
    let revoked = issued(&server, &server.token("acme/app"), &[]).await;
    let other = issued(&server, &server.token("acme/app"), &[]).await;
    let while_off = issued(&server, &server.token("acme/app"), &[]).await;
    client(&server, &other).put("/k", "x").await;
    server
        .reload(|config| config.providers[0].allow_if = Some("claims.repository == \"none\"".into()))
        .await;
    assert_eq!(revoke(&server, token_of(&revoked)).await.status, StatusCode::OK);
    server
        .reload(|config| {
            config.providers[0].allow_if = None;
            config.job_tokens = None;
        })
        .await;
    assert_eq!(revoke(&server, token_of(&while_off)).await.status, StatusCode::OK);
    server
        .reload(|config| config.job_tokens = Some(Default::default()))
        .await;
    assert_eq!(status(&server, &while_off).await, StatusCode::UNAUTHORIZED);
    for _ in 0..2 {
        assert_eq!(status(&server, &revoked).await, StatusCode::UNAUTHORIZED);
        assert_eq!(status(&server, &other).await, StatusCode::OK);
        server.restart().await;
    }
    let metrics = server.ops().get("/metrics").await;
    assert!(
        metrics.text().contains("\nchacha_revoked_tokens 2\n"),
        "{}",
        metrics.text()
    );
    assert!(metrics.text().contains("\nchacha_revoked_age_seconds "));
}

#[tokio::test]
async fn tokens_that_are_worth_nothing_are_answered_like_revoked_ones() {
    let (server, elsewhere) = (TestServer::start().await, TestServer::start().await);
    let foreign = issued(&elsewhere, &elsewhere.token("acme/app"), &[]).await;
    for token in [token_of(&foreign), "chacha_jt_x", "x", "a b"] {
        let answer = revoke(&server, token).await;
        assert_eq!(answer.status, StatusCode::OK, "{token}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let metrics = server.ops().get("/metrics").await;
    assert!(metrics.text().contains("\nchacha_revoked_tokens 0\n"));
    let ci = server.token("acme/app");
    refused(
        &revoke(&server, &ci).await,
        StatusCode::BAD_REQUEST,
        "unsupported_token_type",
    );
    assert_eq!(
        server.anonymous().with_token(&ci).get("/k").await.status,
        StatusCode::NOT_FOUND
    );
    refused(
        &revoke(&server, "").await,
        StatusCode::BAD_REQUEST,
        "invalid_request",
    );
    let both = server
        .anonymous()
        .with_token(&ci)
        .send(Method::POST, REVOKE, &[FORM], "token=x")
        .await;
    refused(&both, StatusCode::BAD_REQUEST, "invalid_request");
    let method = server.acme().get(REVOKE).await;
    assert_eq!(method.header("allow"), "POST");
}

#[tokio::test]
async fn a_list_that_cannot_be_read_lets_no_job_token_in_and_every_ci_token() {
    let mut server = TestServer::start().await;
    let token = issued(&server, &server.token("acme/app"), &[]).await;
    server.stop().await;
    let file = server.dir().join("cache/server/revoked");
    std::fs::write(&file, "damaged").unwrap();
    server.restart().await;
    let answer = client(&server, &token).get("/k").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_ne!(answer.header("retry-after"), "");
    assert_eq!(server.acme().put("/k", "x").await.status, StatusCode::CREATED);
    let answer = revoke(&server, token_of(&token)).await;
    refused(
        &answer,
        StatusCode::SERVICE_UNAVAILABLE,
        "temporarily_unavailable",
    );
    assert_eq!(
        std::fs::read(&file).unwrap(),
        b"damaged",
        "it is left to the operator"
    );
}

/// Servers over one bucket that do not know each other, with one key.
struct World {
    s3: Arc<S3Server>,
    one: TestServer,
    two: TestServer,
    _keys: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let (s3, keys) = (Arc::new(S3Server::memory()), tempfile::tempdir().unwrap());
        let path = keys.path().join("key");
        std::fs::write(&path, [7; 32]).unwrap();
        let member = |config: &mut Config| {
            config.s3 = Some(s3.config(S3Server::BUCKET));
            config.signing_key_file = Some(path.clone());
            config.gha.heartbeat = Duration::from_millis(600);
        };
        let one = TestServer::start_with(member).await;
        let providers = one.config().providers.clone();
        let two = TestServer::start_with(|config| {
            member(config);
            config.providers = providers;
        })
        .await;
        Self {
            s3,
            one,
            two,
            _keys: keys,
        }
    }
}

async fn ends(server: &TestServer, token: &Value) {
    until_true("it is revoked there", async || {
        status(server, token).await == StatusCode::UNAUTHORIZED
    })
    .await;
}

#[tokio::test]
async fn what_one_server_revokes_ends_on_the_others_and_whoever_removes_the_note_gains_nothing() {
    let mut world = World::start().await;
    let token = issued(&world.one, &world.one.token("acme/app"), &[]).await;
    for server in [&world.one, &world.two] {
        assert_eq!(status(server, &token).await, StatusCode::NOT_FOUND);
    }
    assert_eq!(revoke(&world.one, token_of(&token)).await.status, StatusCode::OK);
    ends(&world.two, &token).await;
    let notes = |s3: &S3Server| -> Vec<String> {
        let names = s3.objects().into_keys();
        names.filter(|name| name.contains("revoked/")).collect()
    };
    let names = notes(&world.s3);
    assert_eq!(names.len(), 1, "{names:?}");
    let client = world.s3.client();
    let removed = client
        .delete_object()
        .bucket(S3Server::BUCKET)
        .key(&names[0])
        .send()
        .await;
    removed.unwrap();
    until_true("it is put back", async || notes(&world.s3) == names).await;
    world.one.restart().await;
    world.two.restart().await;
    for server in [&world.one, &world.two] {
        ends(server, &token).await;
    }
    // A server with an empty disk knows it, too.
    world.two.wipe().await;
    ends(&world.two, &token).await;
    // What somebody without the key writes there revokes nothing.
    let other = issued(&world.one, &world.one.token("acme/app"), &[]).await;
    let id = other["id"].as_str().unwrap();
    let forged = names[0].rsplit_once('-').unwrap().0.to_owned() + "-" + id;
    let put = client
        .put_object()
        .bucket(S3Server::BUCKET)
        .key(&forged)
        .body(b"forged".to_vec().into());
    put.send().await.unwrap();
    let next = issued(&world.one, &world.one.token("acme/app"), &[]).await;
    revoke(&world.one, token_of(&next)).await;
    ends(&world.two, &next).await;
    assert_eq!(status(&world.two, &other).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn without_the_bucket_a_token_ends_here_at_once_and_elsewhere_when_it_is_back() {
    let mut world = World::start().await;
    let token = issued(&world.one, &world.one.token("acme/app"), &[]).await;
    let other = issued(&world.one, &world.one.token("acme/app"), &[]).await;
    assert_eq!(status(&world.two, &token).await, StatusCode::NOT_FOUND);
    world.s3.stop_listening().await;
    let answer = revoke(&world.one, token_of(&token)).await;
    refused(
        &answer,
        StatusCode::SERVICE_UNAVAILABLE,
        "temporarily_unavailable",
    );
    assert_ne!(answer.header("retry-after"), "");
    assert_eq!(status(&world.one, &token).await, StatusCode::UNAUTHORIZED);
    assert_ne!(status(&world.one, &other).await, StatusCode::UNAUTHORIZED);
    // A start that cannot read the list lets no job token in.
    world.one.restart().await;
    assert_eq!(status(&world.one, &other).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_ne!(
        world.one.acme().get("/k").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    world.s3.resume();
    ends(&world.two, &token).await;
    until_true("the list is read", async || {
        status(&world.one, &other).await == StatusCode::NOT_FOUND
    })
    .await;
    ends(&world.one, &token).await;
}
