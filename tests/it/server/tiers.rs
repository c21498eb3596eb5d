//! The server with a bucket behind it, and without a disk.

use std::sync::Arc;

use chacha::config::{Config, RedirectMode, WriteMode};
use chacha::server::{Server, StartError};
use chacha::store::RemoteErrorKind;
use chacha::telemetry::access::AccessLog;

use crate::support::client::within;
use crate::support::s3::{Action, Gate, Kind, S3Server, Which};
use crate::support::server::TestServer;
use crate::support::wait::until;

const MIB: usize = 1 << 20;

async fn server(s3: &Arc<S3Server>, change: impl FnOnce(&mut Config)) -> TestServer {
    let mut section = s3.config(S3Server::BUCKET);
    section.part_size = MIB as u64;
    TestServer::start_with(|config| {
        config.s3 = Some(section);
        change(config);
    })
    .await
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 7 % 251) as u8).collect()
}

#[tokio::test]
async fn what_one_server_stores_another_one_serves() {
    let s3 = Arc::new(S3Server::memory());
    let one = server(&s3, |_| {}).await;
    let mut two = server(&s3, |_| {}).await;
    // One tenant on both: they have different issuers, so the second one has to trust the first.
    for length in [0, 5, 100_000, 5 * MIB + 3] {
        let path = format!("/{length}");
        assert_eq!(one.acme().put(&path, bytes(length)).await.status, 201);
        assert_eq!(two.acme().get(&path).await.status, 404);
    }
    two.trust(&one.issuer).await;
    let reader = two.anonymous().with_token(&one.token("acme/app"));
    for length in [0, 5, 100_000, 5 * MIB + 3] {
        let answer = reader.get(&format!("/{length}")).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, length));
        assert!(answer.body == bytes(length));
    }
    let end = reader
        .get_with("/5242883", &[("range", "bytes=-3"), ("if-range", "\"x\"")])
        .await;
    assert_eq!(end.status, 200);
    let tiers: Vec<String> = two
        .log()
        .await
        .iter()
        .filter(|line| line["status"] == 200)
        .map(|line| line["tier"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(tiers, ["s3", "s3", "s3", "s3", "disk"]);
}

/// The tiers that the log names for answers with these statuses.
async fn tiers(server: &mut TestServer, statuses: [u64; 2]) -> Vec<String> {
    let log = server.log().await;
    let answered = |line: &&serde_json::Value| statuses.iter().any(|status| line["status"] == *status);
    let lines = log.iter().filter(answered);
    lines
        .map(|line| line["tier"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_log_names_the_tier_that_took_or_gave_the_bytes() {
    let s3 = Arc::new(S3Server::memory());
    let mut one = server(&s3, |_| {}).await;
    for (path, length) in [("/small", 5), ("/long", 100_000)] {
        assert_eq!(one.acme().put(path, bytes(length)).await.status, 201);
        assert_eq!(one.acme().get(path).await.status, 200);
    }
    assert_eq!(tiers(&mut one, [200, 201]).await, ["s3", "memory", "s3", "disk"]);
}

#[tokio::test]
async fn the_log_says_what_came_from_the_bucket() {
    let s3 = Arc::new(S3Server::memory());
    let mut one = server(&s3, |_| {}).await;
    for (path, length) in [("/small", 5), ("/long", 100_000)] {
        assert_eq!(one.acme().put(path, bytes(length)).await.status, 201);
    }
    one.wipe().await;
    assert_eq!(one.acme().get("/small").await.status, 200);
    assert_eq!(one.acme().get("/long").await.status, 200);
    assert_eq!(tiers(&mut one, [200, 200]).await, ["s3", "s3"]);
}

#[tokio::test]
async fn a_write_that_waits_for_the_bucket_was_taken_by_the_disk() {
    let s3 = Arc::new(S3Server::memory());
    let mut one = server(&s3, |config| section(config).write = WriteMode::Back).await;
    assert_eq!(one.acme().put("/small", "bytes").await.status, 201);
    assert_eq!(one.acme().put("/long", bytes(100_000)).await.status, 201);
    assert_eq!(tiers(&mut one, [201, 201]).await, ["disk", "disk"]);
}

#[tokio::test]
async fn a_write_without_a_disk_goes_to_the_bucket() {
    let s3 = Arc::new(S3Server::memory());
    let staging = tempfile::tempdir().unwrap();
    let mut one = server(&s3, |config| {
        config.disk = None;
        section(config).staging_dir = Some(staging.path().join("staging"));
    })
    .await;
    for (path, length) in [("/small", 5), ("/long", 3 * MIB)] {
        assert_eq!(one.acme().put(path, bytes(length)).await.status, 201);
    }
    assert_eq!(tiers(&mut one, [201, 201]).await, ["s3"; 2]);
}

#[tokio::test]
async fn a_start_does_not_wait_for_a_bucket_that_never_answers() {
    let s3 = Arc::new(S3Server::memory());
    let gate = Gate::new();
    s3.faults().always(Which::any(), Action::Hold(gate.clone()));
    // Less than any of our own time limits.
    let limit = std::time::Duration::from_secs(4);
    let started = tokio::time::timeout(limit, server(&s3, |_| {})).await;
    let server = started.expect("a start that does not wait");
    assert_eq!(server.anonymous().get("/nothing").await.status, 401);
    gate.open();
}

#[tokio::test]
async fn a_body_that_cannot_be_finished_is_cut() {
    let s3 = Arc::new(S3Server::memory());
    let mut one = server(&s3, |_| {}).await;
    assert_eq!(one.acme().put("/cut", bytes(3 * MIB)).await.status, 201);
    one.wipe().await;
    let object = s3.objects().into_keys().next().unwrap();
    let parts = Which::from(Kind::Get).of(&object);
    s3.faults().nth(parts, 2, Action::access_denied());
    let mut raw = one.acme().raw().await;
    raw.head("GET /cut HTTP/1.1", "").await;
    let head = raw.read_head().await;
    assert!(head.contains("content-length: 3145728"), "{head}");
    let (body, _) = raw.read_to_end().await;
    assert!(body.len() < 3 * MIB && bytes(3 * MIB).starts_with(&body));
    // The next one is whole.
    assert_eq!(one.acme().get("/cut").await.body.len(), 3 * MIB);
}

#[tokio::test]
async fn health_and_metrics_tell_of_the_bucket() {
    let s3 = Arc::new(S3Server::memory());
    let one = server(&s3, |config| section(config).write = WriteMode::Back).await;
    s3.stop_listening().await;
    assert_eq!(one.acme().put("/queued", "bytes").await.status, 201);
    let mut ready = one.ops().get("/readyz").await;
    // A few are enough, unless the machine is so busy that some end by time.
    for nth in 0..20 {
        assert_eq!(one.acme().get(&format!("/miss{nth}")).await.status, 404);
        ready = one.ops().get("/readyz").await;
        if ready.text().contains("cannot be used") {
            break;
        }
    }
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains("s3: cannot be used"), "{}", ready.text());
    assert!(ready.text().contains("1 changes wait"), "{}", ready.text());
    let metrics = one.ops().get("/metrics").await;
    for line in [
        "chacha_s3_up 0",
        "chacha_upload_queue_entries 1",
        "chacha_fills_total",
    ] {
        assert!(metrics.text().contains(line), "{line} in {}", metrics.text());
    }
    assert_eq!(one.acme().get("/queued").await.text(), "bytes");
    s3.resume();
    until("it is uploaded", || super::away::entries(&s3) == 1).await;
}

fn section(config: &mut Config) -> &mut chacha::config::S3Config {
    config.s3.as_mut().unwrap()
}

#[tokio::test]
async fn long_entries_are_redirected_where_that_is_wanted() {
    let s3 = Arc::new(S3Server::memory());
    let mut one = server(&s3, |config| section(config).redirect = RedirectMode::Large).await;
    let acme = one.acme();
    acme.put("/long", bytes(3 * MIB)).await;
    acme.put("/short", bytes(100_000)).await;
    // From the disk as ever.
    assert_eq!(acme.get("/long").await.status, 200);
    one.wipe().await;
    let acme = one.acme();
    let answer = acme.get("/long").await;
    assert_eq!(answer.status, 307);
    let link = answer.header("location").to_owned();
    let path = link.strip_prefix(&s3.url()).expect("a link to the bucket");
    let direct = crate::support::client::Client::new(s3.url()[7..].parse().unwrap()).by_address();
    assert!(direct.get(path).await.body == bytes(3 * MIB));
    let forged = path.replace("X-Amz-Signature=", "X-Amz-Signature=0");
    assert!(direct.get(&forged).await.status.is_client_error());
    assert_eq!(one.tenant("other/app").get("/long").await.status, 404);
    assert_eq!(acme.get("/short").await.status, 200);
    assert_eq!(acme.head("/long").await.status, 200);
    let bazel = acme.get_with("/long", &[("user-agent", "bazel/7.4.1")]).await;
    assert_eq!((bazel.status.as_u16(), bazel.body.len()), (200, 3 * MIB));
}

#[tokio::test]
async fn a_server_without_a_disk() {
    let s3 = Arc::new(S3Server::memory());
    let staging = tempfile::tempdir().unwrap();
    let one = server(&s3, |config| {
        config.disk = None;
        section(config).staging_dir = Some(staging.path().join("staging"));
    })
    .await;
    let acme = one.acme();
    for length in [0, 5, 100_000, 5 * MIB + 3] {
        let path = format!("/{length}");
        assert_eq!(acme.put(&path, bytes(length)).await.status, 201);
        let answer = acme.get(&path).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-length"), length.to_string());
        assert!(answer.body == bytes(length));
        let head = acme.head(&path).await;
        assert_eq!(head.header("content-length"), length.to_string());
        assert_eq!(head.header("etag"), answer.header("etag"));
    }
    let part = acme
        .get_with("/5242883", &[("range", "bytes=4000000-4000009")])
        .await;
    assert_eq!(part.status, 206);
    assert!(part.body == bytes(5 * MIB)[4_000_000..4_000_010]);
    assert_eq!(acme.delete("/5").await.status, 204);
    assert_eq!(acme.get("/5").await.status, 404);
    s3.stop_listening().await;
    for nth in 0..4 {
        assert_eq!(acme.get(&format!("/miss{nth}")).await.status, 404);
    }
    assert_eq!(one.ops().get("/readyz").await.status, 503);
}

#[tokio::test]
async fn a_second_server_in_the_same_directory_is_refused_and_touches_nothing() {
    let s3 = Arc::new(S3Server::memory());
    let staging = tempfile::tempdir().unwrap();
    let one = server(&s3, |config| {
        config.disk = None;
        section(config).staging_dir = Some(staging.path().join("staging"));
    })
    .await;
    let gate = Gate::new();
    s3.faults().once(Kind::UploadPart, Action::Hold(gate.clone()));
    let acme = one.acme();
    let write = acme.put("/large", bytes(12 * MIB));
    let second = async {
        gate.reached(1).await;
        let started = within(Server::start(one.config().clone(), AccessLog::off())).await;
        gate.open();
        started.expect_err("no start").to_string()
    };
    let (answer, error) = tokio::join!(write, second);
    assert!(error.starts_with("s3.staging_dir: "), "{error}");
    assert!(error.contains("is in use by another running server"), "{error}");
    // The parts that were under way have become the entry.
    assert_eq!(answer.status, 201);
    assert_eq!(s3.count(Kind::Abort), 0);
    assert!(acme.get("/large").await.body == bytes(12 * MIB));
}

#[tokio::test]
async fn a_bucket_alone_keeps_what_it_has_read_over_a_restart() {
    let s3 = Arc::new(S3Server::memory());
    let staging = tempfile::tempdir().unwrap();
    let mut one = server(&s3, |config| {
        config.disk = None;
        section(config).staging_dir = Some(staging.path().join("staging"));
    })
    .await;
    assert_eq!(one.acme().put("/kept", bytes(3 * MIB)).await.status, 201);
    one.restart().await;
    s3.forget();
    assert!(one.acme().get("/kept").await.body == bytes(3 * MIB));
    // One question, and the body does not travel again.
    assert_eq!(s3.count(Kind::Head), 1);
    assert!(s3.response_bytes() < MIB as u64);
}

#[tokio::test]
async fn a_wrong_bucket_stops_only_a_server_without_a_disk() {
    let s3 = Arc::new(S3Server::memory());
    let mut with_disk = server(&s3, |config| section(config).bucket = "missing".into()).await;
    assert_eq!(with_disk.acme().get("/any").await.status, 404);
    let mut config = with_disk.config().clone();
    with_disk.stop().await;
    config.disk = None;
    let staging = tempfile::tempdir().unwrap();
    section(&mut config).staging_dir = Some(staging.path().join("staging"));
    let started = within(Server::start(config, AccessLog::off())).await;
    let error = started.expect_err("no start");
    assert!(
        matches!(
            error,
            StartError::Remote {
                kind: RemoteErrorKind::NoBucket,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .starts_with("s3.bucket: there is no such bucket"),
        "{error}"
    );
}

#[tokio::test]
async fn fallbacks_are_looked_at_all_at_once() {
    let s3 = Arc::new(S3Server::memory());
    let mut one = server(&s3, |config| {
        config.providers[0].cache_key_exprs = ["own", "second", "third", "fourth"]
            .map(|last| format!("join(claims.repository, \"{last}\")"))
            .to_vec();
    })
    .await;
    assert_eq!(one.acme().get("/none").await.status, 404);
    let gate = Gate::new();
    s3.faults().always(Kind::Head, Action::Hold(gate.clone()));
    let miss = async { one.acme().get("/none").await.status };
    let open = async {
        gate.reached(3).await;
        gate.open();
    };
    let (status, ()) = tokio::join!(miss, open);
    assert_eq!(status, 404);
    // The order counts, not who answers first.
    let write = |last: &str| {
        let expression = format!("join(claims.repository, \"{last}\")");
        let mut config = one.config().clone();
        config.providers[0].cache_key_exprs = vec![expression];
        config
    };
    let configs = [write("third"), write("fourth")];
    let reader = one.config().clone();
    for (config, body) in configs.into_iter().zip(["third", "fourth"]) {
        one.reconfigure(config).await;
        assert_eq!(one.acme().put("/some", body).await.status, 201);
    }
    one.reconfigure(reader).await;
    one.wipe().await;
    assert_eq!(one.acme().get("/some").await.text(), "third");
}
