//! Whom stored bytes belong to, whatever protocol they came by.

use std::path::Path;

use http::StatusCode;
use serde_json::json;

use super::gha::{begin, commit, create, finalize, patch, reserve, save};
use crate::support::client::Client;
use crate::support::s3::S3Server;
use crate::support::server::TestServer;

/// A caller whose token names a repository by its id, on a pull request or not.
fn job(server: &TestServer, event: &str) -> Client {
    let claims = json!({
        "repository": "acme/app", "repository_id": 4242, "repository_owner_id": "77", "ref": "refs/heads/main",
        "event_name": event,
    });
    server.anonymous().with_token(&server.issuer.token(claims))
}

/// What follows the body of the entry that begins with `body`.
fn trailer_of(folder: &Path, body: &[u8]) -> Option<Vec<u8>> {
    for found in std::fs::read_dir(folder).unwrap() {
        let path = found.unwrap().path();
        let inside = match path.is_dir() {
            true => trailer_of(&path, body),
            false => std::fs::read(&path)
                .unwrap()
                .strip_prefix(body)
                .map(<[u8]>::to_vec),
        };
        if inside.is_some() {
            return inside;
        }
    }
    None
}

/// Checks whom the entry with this body belongs to. `rank` is the number that stands for it.
#[track_caller]
fn check(server: &TestServer, body: &str, rank: u8) {
    let trailer = trailer_of(&server.dir().join("cache"), body.as_bytes());
    let trailer = trailer.unwrap_or_else(|| panic!("{body} is not stored"));
    let holds = |part: &[u8]| trailer.windows(part.len()).any(|window| window == part);
    for name in ["4242", "77"] {
        let name = format!("{}#{name}", server.issuer.url());
        assert!(holds(name.as_bytes()), "{body}: {name}");
    }
    assert!(holds(&[0x03, 0x40, 1, 0, 0, 0, rank]), "{body}: rank");
}

#[tokio::test]
async fn what_is_stored_belongs_to_its_writer_in_every_protocol() {
    let mut server = TestServer::start().await;
    let pushed = job(&server, "push");
    assert_eq!(pushed.put("/k", "over http").await.status, StatusCode::CREATED);
    assert_eq!(
        job(&server, "pull_request")
            .put("/r", "of a request")
            .await
            .status,
        StatusCode::CREATED
    );
    assert!(
        pushed
            .put("/v8/artifacts/aa11?slug=t", "over turbo")
            .await
            .status
            .is_success()
    );
    assert!(pushed.put("/v1/cache/123", "over nx").await.status.is_success());
    save(&pushed, "second", "second generation").await;
    let id = begin(&pushed, "first").await;
    patch(&pushed, id, 0, "first generation").await;
    commit(&pushed, id, 16).await;
    server.stop().await;
    for body in [
        "over http",
        "over turbo",
        "over nx",
        "second generation",
        "first generation",
    ] {
        check(&server, body, 1);
    }
    check(&server, "of a request", 2);
}

/// Otherwise a pull request could make what main has pushed an entry that is evicted first, by reading it.
#[tokio::test]
async fn what_a_reader_of_a_fallback_fetches_belongs_to_its_writer() {
    let s3 = S3Server::memory();
    let section = s3.config(S3Server::BUCKET);
    let mut server = TestServer::start_with(|config| config.s3 = Some(section)).await;
    let put = job(&server, "push").put("/k", "pushed to main").await;
    assert_eq!(put.status, StatusCode::CREATED);
    server.wipe().await;
    let claims = json!({
        "repository": "acme/app", "repository_id": 1111, "repository_owner_id": "22", "ref": "refs/pull/1/merge",
        "event_name": "pull_request",
    });
    let reader = server.anonymous().with_token(&server.issuer.token(claims));
    assert_eq!(reader.get("/k").await.text(), "pushed to main");
    server.stop().await;
    check(&server, "pushed to main", 1);
}

#[tokio::test]
async fn an_upload_keeps_its_tenant_over_a_restart() {
    let mut server = TestServer::start().await;
    let pull = job(&server, "pull_request");
    let id = begin(&pull, "first").await;
    patch(&pull, id, 0, "first generation").await;
    let link = create(&pull, "second").await;
    server.restart().await;
    // The second job goes on with what the first has begun.
    let push = job(&server, "push");
    commit(&push, id, 16).await;
    let sent = server.anonymous().put(&link, "second generation").await;
    assert_eq!(sent.status, StatusCode::CREATED);
    finalize(&push, "second", 17).await;
    let lines = server.log().await;
    for body in ["first generation", "second generation"] {
        check(&server, body, 2);
    }
    let tenant = lines[0]["tenant"].as_str().unwrap();
    assert_eq!(tenant.len(), 12);
    for line in &lines {
        assert_eq!(
            line["tenant"], tenant,
            "also of the request with a link alone: {line}"
        );
    }
}

#[tokio::test]
async fn a_link_that_reads_counts_for_whom_the_entry_belongs_to() {
    let mut server = TestServer::start().await;
    let push = job(&server, "push");
    save(&push, "k", "archive").await;
    let link = super::gha::link(&push, "k").await;
    assert_eq!(server.anonymous().get(&link).await.text(), "archive");
    assert_eq!(
        reserve(&server.anonymous(), json!({})).await.status,
        StatusCode::UNAUTHORIZED
    );
    let lines = server.log().await;
    let [.., read, refused] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(
        (read["tenant"].as_str(), &refused["tenant"]),
        (lines[0]["tenant"].as_str(), &json!(""))
    );
}
