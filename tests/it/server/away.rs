//! A bucket that is away, seen by clients: with a disk, or a staging directory that is named, nothing fails.

use std::sync::Arc;

use chacha::config::{Config, S3Config, WhenDown};
use http::StatusCode;

use super::endpoint::until_ready_says;
use crate::protocol::gha;
use crate::support::s3::S3Server;
use crate::support::server::TestServer;
use crate::support::wait::until;

async fn server(s3: &Arc<S3Server>, change: impl FnOnce(&mut Config)) -> TestServer {
    let section = s3.config(S3Server::BUCKET);
    TestServer::start_with(|config| {
        config.s3 = Some(section);
        change(config);
    })
    .await
}

fn section(config: &mut Config) -> &mut S3Config {
    config.s3.as_mut().unwrap()
}

/// Objects of entries: their names are digests. Servers keep others beside them.
pub(super) fn entries(s3: &S3Server) -> usize {
    let is_entry = |name: &&String| {
        let start = name.split("v1/").nth(1).and_then(|rest| rest.get(..2));
        start.is_some_and(|start| start.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    s3.objects().keys().filter(is_entry).count()
}

#[tokio::test]
async fn writes_deletes_and_saves_go_on_and_are_there_afterwards() {
    let s3 = Arc::new(S3Server::memory());
    let one = server(&s3, |_| {}).await;
    let acme = one.acme();
    assert_eq!(acme.put("/gone", "old").await.status, 201);
    s3.stop_listening().await;
    assert_eq!(acme.put("/key", "bytes").await.status, 201);
    let first = [("if-none-match", "*")];
    assert_eq!(acme.put_with("/first", &first, "first").await.status, 201);
    let again = acme.put_with("/first", &first, "second").await;
    assert_eq!(again.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(acme.delete("/gone").await.status, 204);
    assert_eq!(acme.get("/gone").await.status, 404);
    gha::save(&acme, "deps-1", "archive").await;
    let link = gha::link(&acme, "deps-1").await;
    assert_eq!(one.anonymous().get(&link).await.text(), "archive");
    let ready = one.ops().get("/readyz").await;
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains("4 changes wait"), "{}", ready.text());
    s3.resume();
    // On the way there are three as well, with the one that has to go.
    until_ready_says(&one, "changes wait", false).await;
    assert_eq!(entries(&s3), 3);
    let mut two = server(&s3, |_| {}).await;
    two.trust(&one.issuer).await;
    let reader = two.anonymous().with_token(&one.token("acme/app"));
    assert_eq!(reader.get("/key").await.text(), "bytes");
    assert_eq!(reader.get("/first").await.text(), "first");
    assert_eq!(reader.get("/gone").await.status, 404);
}

#[tokio::test]
async fn without_a_disk_writes_wait_only_where_the_operator_wants_them() {
    for named in [true, false] {
        let s3 = Arc::new(S3Server::memory());
        let staging = tempfile::tempdir().unwrap();
        let one = server(&s3, |config| {
            config.disk = None;
            section(config).staging_dir = Some(staging.path().join("staging"));
            if !named {
                // As without a name.
                section(config).when_down = WhenDown::Refuse;
            }
        })
        .await;
        s3.stop_listening().await;
        let status = one.acme().put("/key", "bytes").await.status;
        assert_eq!(status, if named { 201 } else { 503 });
        let read = one.acme().get("/key").await.status;
        assert_eq!(read, if named { 200 } else { 404 });
        s3.resume();
        if named {
            until("it is uploaded", || entries(&s3) == 1).await;
        }
    }
}
