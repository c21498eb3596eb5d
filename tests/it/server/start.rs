//! What stops a start, told so that an operator can act on it.

use chacha::config::ListenAddr;
use chacha::server::Server;
use chacha::telemetry::access::AccessLog;

use crate::support::server::TestServer;

#[tokio::test]
async fn a_port_in_use_names_the_key_and_the_address() {
    let server = TestServer::start().await;
    let mut config = server.config().clone();
    config.listen = vec![ListenAddr::Tcp(server.address())];
    let error = Server::start(config, AccessLog::off())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(&format!("listen: {} is in use", server.address())),
        "{error}"
    );
}

#[tokio::test]
async fn a_directory_in_use_names_the_key_and_the_remedy() {
    let server = TestServer::start().await;
    let error = Server::start(server.config().clone(), AccessLog::off())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("disk.dir: ") && error.contains("another"),
        "{error}"
    );
}

#[tokio::test]
async fn a_directory_that_is_a_file_names_the_key() {
    let mut server = TestServer::start().await;
    server.stop().await;
    let file = server.dir().join("file");
    std::fs::write(&file, "x").unwrap();
    let mut config = server.config().clone();
    config.disk.as_mut().unwrap().dir = file;
    let error = Server::start(config, AccessLog::off())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("disk.dir: "), "{error}");
}
