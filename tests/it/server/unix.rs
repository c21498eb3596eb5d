//! Unix sockets.

use chacha::config::ListenAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::support::server::TestServer;

#[tokio::test]
async fn a_unix_socket_serves_and_goes_away_with_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chacha.sock");
    let mut server =
        TestServer::start_with(|config| config.listen.push(ListenAddr::Unix(path.clone()))).await;
    server.acme().put("/k", vec![b'x'; 300_000]).await;
    let token = server.issuer.token(serde_json::json!({}));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let request =
        format!("GET /k HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(&[b'x'; 300_000]));
    server.stop().await;
    assert!(!path.exists());
}
