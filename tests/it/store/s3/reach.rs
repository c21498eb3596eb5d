//! A bucket with a certificate of its own, and behind a proxy.

use std::net::SocketAddr;
use std::path::PathBuf;

use chacha::config::S3Config;
use chacha::store::RemoteErrorKind;
use chacha::store::remote::RemoteTier;
use chacha::store::s3::S3;
use chacha::tasks::Tasks;

use crate::support::proxy::Proxy;
use crate::support::s3::S3Server;
use crate::support::tls::{Authority, TlsFront};

fn address(server: &S3Server) -> SocketAddr {
    server.url().strip_prefix("http://").unwrap().parse().unwrap()
}

/// Whether the bucket can be used; and else why.
async fn probed(config: &S3Config, proxy_file: Option<&PathBuf>) -> Result<(), RemoteErrorKind> {
    let tasks = Tasks::new();
    let opened = S3::open_through(proxy_file.map(PathBuf::as_path), config, None, &tasks);
    let probed = opened.await.unwrap().probe().await;
    tasks.finish().await;
    probed.map_err(|error| error.remote_error_kind().unwrap())
}

#[tokio::test]
async fn a_bucket_is_reached_through_a_tunnel_and_with_a_private_authority() {
    let (server, authority) = (S3Server::memory(), Authority::new());
    let front = TlsFront::start(&authority, &["s3.test"], address(&server)).await;
    let proxy = Proxy::start(front.address(), Some("Basic bWU6cEBzcw==")).await;
    let folder = tempfile::tempdir().unwrap();
    let (ca_file, proxy_file) = (folder.path().join("ca.pem"), folder.path().join("proxy"));
    authority.write(&ca_file);
    std::fs::write(&proxy_file, format!("http://me:p%40ss@{}\n", proxy.address())).unwrap();
    let mut config = server.config(S3Server::BUCKET);
    config.endpoint_url = Some("https://s3.test".parse().unwrap());

    let untrusted = probed(&config, Some(&proxy_file)).await;
    assert_eq!(untrusted, Err(RemoteErrorKind::Unreachable));
    config.ca_file = Some(ca_file);
    assert_eq!(probed(&config, Some(&proxy_file)).await, Ok(()));
    let requests = proxy.requests();
    assert!(
        requests.iter().all(|line| line == "CONNECT s3.test:443"),
        "{requests:?}"
    );
    assert!(!requests.is_empty());

    std::fs::write(&proxy_file, format!("http://{}\n", proxy.address())).unwrap();
    let refused = probed(&config, Some(&proxy_file)).await;
    assert_eq!(refused, Err(RemoteErrorKind::Unreachable));
    assert_eq!(proxy.requests(), requests);
}

#[tokio::test]
async fn a_bucket_without_tls_is_asked_through_the_proxy_with_the_whole_target() {
    let server = S3Server::memory();
    let proxy = Proxy::start(address(&server), None).await;
    let folder = tempfile::tempdir().unwrap();
    let proxy_file = folder.path().join("proxy");
    std::fs::write(&proxy_file, format!("{}\n", proxy.address())).unwrap();
    let mut config = server.config(S3Server::BUCKET);
    config.endpoint_url = Some("http://s3.test:9000".parse().unwrap());
    assert_eq!(probed(&config, Some(&proxy_file)).await, Ok(()));
    let requests = proxy.requests();
    assert!(
        requests
            .iter()
            .all(|line| line.contains(" http://s3.test:9000/bucket")),
        "{requests:?}"
    );
    assert!(!requests.is_empty());
}

#[tokio::test]
async fn a_bucket_on_this_machine_does_not_go_through_the_proxy() {
    let server = S3Server::memory();
    let proxy = Proxy::start(address(&server), None).await;
    let folder = tempfile::tempdir().unwrap();
    let proxy_file = folder.path().join("proxy");
    std::fs::write(&proxy_file, format!("{}\n", proxy.address())).unwrap();
    let config = server.config(S3Server::BUCKET);
    assert_eq!(probed(&config, Some(&proxy_file)).await, Ok(()));
    assert_eq!(proxy.requests(), [""; 0]);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_with_their_key() {
    let server = S3Server::memory();
    let mut config = server.config(S3Server::BUCKET);
    let missing = PathBuf::from("/nowhere/at-all");
    let error = async |config: &S3Config, proxy_file| {
        let opened = S3::open_through(proxy_file, config, None, &Tasks::new()).await;
        opened.unwrap_err().to_string()
    };
    let text = error(&config, Some(missing.as_path())).await;
    assert!(
        text.starts_with("outbound_proxy_file: \"/nowhere/at-all\" does not exist"),
        "{text}"
    );
    config.ca_file = Some(missing.clone());
    let text = error(&config, None).await;
    assert!(
        text.starts_with("s3.ca_file: \"/nowhere/at-all\" does not exist"),
        "{text}"
    );
}
