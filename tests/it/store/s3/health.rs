//! Permits, credentials, and a server that cannot be used.

use std::time::Duration;

use chacha::config::S3Config;
use chacha::store::RemoteErrorKind;
use chacha::store::RemoteHealth;
use chacha::store::remote::RemoteTier;
use chacha::store::s3::S3;
use chacha::tasks::Tasks;
use futures_util::future::join_all;

use super::super::support::*;
use super::BucketRig;
use crate::support::s3::S3Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permits_are_given_back_and_never_exceeded() {
    let rig = BucketRig::changed(|config| config.max_concurrency = 1).await;
    rig.put("one", &body(11 * MIB, 1)).await;
    rig.store.forget("one").await;
    let one = key("one");
    let readers = (0..4).map(|_| get(&*rig.store, &one));
    for bytes in join_all(readers).await {
        assert!(bytes.unwrap() == body(11 * MIB, 1));
    }
    let stats = rig.s3.stats();
    assert_eq!((stats.permits_used, stats.permits), (0, 1));
    let held = rig.s3.source(&key("one")).open().await.unwrap().unwrap();
    assert_eq!(rig.s3.stats().permits_used, 1);
    drop(held);
    assert_eq!(rig.s3.stats().permits_used, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_given_a_rest_until_it_is() {
    let server = S3Server::memory();
    let config = server.config(S3Server::BUCKET);
    server.stop_listening().await;
    let tasks = Tasks::new();
    let s3 = S3::open(&config, None, &tasks).await.unwrap();
    let mut faults = Vec::new();
    while s3.health() == RemoteHealth::Up {
        faults.push(
            s3.head(&key("x"))
                .await
                .err()
                .unwrap()
                .remote_error_kind()
                .unwrap(),
        );
    }
    // The last one may have been under way when a probe found it out.
    let last = faults.pop().unwrap();
    assert!(
        matches!(last, RemoteErrorKind::Unreachable | RemoteErrorKind::Resting),
        "{last:?}"
    );
    assert!(
        faults.iter().all(|fault| *fault == RemoteErrorKind::Unreachable),
        "{faults:?}"
    );
    let resting = s3.head(&key("x")).await.err().unwrap();
    assert_eq!(resting.remote_error_kind(), Some(RemoteErrorKind::Resting));
    assert!(matches!(
        s3.health(),
        RemoteHealth::Down {
            kind: RemoteErrorKind::Unreachable,
            ..
        }
    ));
    server.resume();
    until("it can be used again", || s3.health() == RemoteHealth::Up).await;
    assert!(s3.head(&key("x")).await.unwrap().is_none());
    tasks.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewed_credentials_count_at_once() {
    let rig = BucketRig::new().await;
    rig.put("k", b"1").await;
    rig.server.write_keys("access-key", "a former one");
    let denied = rig.s3.head(&key("k")).await.err().unwrap();
    assert_eq!(denied.remote_error_kind(), Some(RemoteErrorKind::Denied));
    rig.server.write_keys("access-key", "secret-key");
    assert!(rig.s3.head(&key("k")).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_probe_names_what_is_wrong() {
    let server = S3Server::memory();
    let config = server.config(S3Server::BUCKET);
    let fault = |config: S3Config| async move {
        let tasks = Tasks::new();
        let s3 = S3::open(&config, None, &tasks).await.unwrap();
        let outcome = s3.probe().await;
        tasks.finish().await;
        outcome.err().map(|error| error.remote_error_kind().unwrap())
    };
    assert_eq!(fault(config.clone()).await, None);
    let mut missing = config.clone();
    missing.bucket = "another-bucket".into();
    assert_eq!(fault(missing).await, Some(RemoteErrorKind::NoBucket));
    server.stop_listening().await;
    assert_eq!(fault(config.clone()).await, Some(RemoteErrorKind::Unreachable));
    server.resume();
    server.write_keys("access-key", "a wrong one");
    assert_eq!(fault(config.clone()).await, Some(RemoteErrorKind::Denied));
    let secret = &config.credentials.as_ref().unwrap().secret_access_key;
    std::fs::remove_file(secret).unwrap();
    assert_eq!(fault(config.clone()).await, Some(RemoteErrorKind::NoCredentials));
    server.write_keys("access-key", "secret-key");
    // Nobody ever answers here.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut config = config;
    config.endpoint_url = Some(url.parse().unwrap());
    config.connect_timeout = Duration::from_millis(100);
    config.read_timeout = Duration::from_millis(100);
    assert_eq!(fault(config).await, Some(RemoteErrorKind::Timeout));
}
