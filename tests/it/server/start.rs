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

/// What a power loss or a hand may leave.
#[tokio::test]
async fn a_file_of_the_server_that_is_torn_is_named_with_the_remedy() {
    for (name, content) in [
        ("id", &b"\xff\xfe"[..]),
        ("signing-key", b"short"),
        ("signing-key", b""),
    ] {
        let mut server = TestServer::start().await;
        server.stop().await;
        let mut config = server.config().clone();
        config.listen = vec![ListenAddr::Tcp(([127, 0, 0, 1], 0).into())];
        config.ops_listen = None;
        let file = config.disk.as_ref().unwrap().dir.join("server").join(name);
        std::fs::write(&file, content).unwrap();
        let error = Server::start(config, AccessLog::off()).await;
        let error = error.unwrap_err().to_string();
        assert!(
            error.starts_with("disk.dir: ") && error.contains(file.to_str().unwrap()),
            "{error}"
        );
        assert!(error.contains("remove this file"), "{error}");
    }
}

#[tokio::test]
async fn a_file_in_the_place_of_a_unix_socket_is_kept() {
    let mut server = TestServer::start().await;
    server.stop().await;
    let file = server.dir().join("precious");
    std::fs::write(&file, "data").unwrap();
    let mut config = server.config().clone();
    config.listen = vec![ListenAddr::Unix(file.clone())];
    let error = Server::start(config, AccessLog::off())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("listen: "), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "data");
}

#[tokio::test]
async fn a_second_listener_without_clients_takes_no_connection_away() {
    let free = ListenAddr::Tcp(([127, 0, 0, 1], 0).into());
    let server = TestServer::start_with(|config| {
        config.listen.push(free);
        config.limits.max_connections = 2;
    })
    .await;
    let mut first = server.acme().raw().await;
    first.head("GET /k HTTP/1.1", "").await;
    first.read_head().await;
    let answer = crate::support::client::within(server.acme().get("/k")).await;
    assert_eq!(answer.status, http::StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_reload_keeps_the_keys_of_an_issuer_that_is_down() {
    let mut server = TestServer::start().await;
    server.acme().put("/k", "x").await;
    let client = server.acme();
    server.issuer.down();
    let config = server.config().clone();
    let mut running = server.take();
    let error = running.reload(config).await.unwrap_err().to_string();
    assert!(error.contains("cannot be reached"), "{error}");
    assert_eq!(client.get("/k").await.text(), "x");
    running.stop().await;
}
