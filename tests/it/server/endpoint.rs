//! The server over something that is not S3, or is no more.

use std::sync::Arc;

use chacha::server::{Server, StartError};
use chacha::store::RemoteErrorKind;
use chacha::telemetry::access::AccessLog;

use super::away::entries;
use crate::support::client::within;
use crate::support::s3::{Action, Foreign, S3Server, Which};
use crate::support::server::TestServer;
use crate::support::wait::until;

async fn server(s3: &Arc<S3Server>) -> TestServer {
    let section = s3.config(S3Server::BUCKET);
    TestServer::start_with(|config| config.s3 = Some(section)).await
}

async fn metric(server: &TestServer, line: &str) -> bool {
    let metrics = server.ops().get("/metrics").await;
    metrics.text().lines().any(|one| one == line)
}

/// Waits until readiness says something, or says it no more.
pub(super) async fn until_ready_says(server: &TestServer, text: &str, says: bool) {
    let begin = std::time::Instant::now();
    while server.ops().get("/readyz").await.text().contains(text) != says {
        assert!(begin.elapsed() < crate::support::wait::TEST_TIMEOUT, "{text}");
    }
}

#[tokio::test]
async fn a_wrong_endpoint_is_told_by_readiness_and_metrics() {
    for page in [Foreign::page(404), Foreign::page(200)] {
        let s3 = Arc::new(S3Server::memory());
        s3.faults().always(Which::any(), Action::Foreign(page));
        let one = server(&s3).await;
        until_ready_says(&one, "endpoint_url answers, but not as S3 does", true).await;
        assert_eq!(one.ops().get("/readyz").await.status, 200);
        assert!(metric(&one, "chacha_s3_up 0").await);
        assert_eq!(one.acme().get("/any").await.status, 404);
        assert_eq!(one.acme().put("/queued", "bytes").await.status, 201);
        // Mended, it is used without a restart.
        s3.faults().clear();
        until_ready_says(&one, "cannot be used", false).await;
        assert_eq!(one.acme().put("/any", "bytes").await.status, 201);
        until("both are in the bucket", || entries(&s3) == 2).await;
    }
}

#[tokio::test]
async fn a_write_waits_when_all_the_server_says_is_that_it_has_failed() {
    let s3 = Arc::new(S3Server::memory());
    let one = server(&s3).await;
    until("the start has looked", || s3.probes() >= 7).await;
    for status in [502, 503, 404] {
        s3.faults()
            .always(Which::any(), Action::Foreign(Foreign::page(status)));
        let path = format!("/{status}");
        assert_eq!(one.acme().put(&path, "bytes").await.status, 201);
        s3.faults().clear();
        until_ready_says(&one, "changes wait", false).await;
    }
    until("all are in the bucket", || entries(&s3) == 3).await;
}

#[tokio::test]
async fn a_server_without_a_disk_does_not_start_over_what_is_not_s3() {
    let s3 = Arc::new(S3Server::memory());
    let mut with_disk = server(&s3).await;
    let mut config = with_disk.config().clone();
    with_disk.stop().await;
    for page in [Foreign::page(404), Foreign::page(200)] {
        s3.faults().clear();
        s3.faults().always(Which::any(), Action::Foreign(page));
        config.disk = None;
        let staging = tempfile::tempdir().unwrap();
        config.s3.as_mut().unwrap().staging_dir = Some(staging.path().join("staging"));
        let started = within(Server::start(config.clone(), AccessLog::off())).await;
        let error = started.expect_err("no start");
        let kind = RemoteErrorKind::NotS3;
        assert!(
            matches!(error, StartError::Remote { kind: found, .. } if found == kind),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .contains("endpoint_url answers, but not as S3 does"),
            "{error}"
        );
    }
}
