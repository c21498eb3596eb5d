//! Who is a peer and who is not: heartbeats, statements, and what a peer is never told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chacha::auth::SigningKey;
use chacha::cache::KeyRing;
use chacha::cache::peers::{
    HeartbeatTiming, Membership, Peer, PeerAnswer, PeerClient, Peers, ServerId, ServerNumber, StatedBody,
    StatedRequest,
};
use chacha::store::s3::S3;
use chacha::tasks::Tasks;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use super::gha::{VERSION, create, link, misses, reserve, save};
use crate::support::client::within;
use crate::support::pair::{member, sees};
use crate::support::s3::S3Server;
use crate::support::server::TestServer;
use crate::support::wait::until;

const HELLO: &str = "/_chacha/peer/hello";

/// Says nothing to anybody.
#[derive(Debug)]
struct Silent;

#[async_trait::async_trait]
impl PeerClient for Silent {
    async fn post(&self, _url: &Url, _path: &str, _statement: &str, _body: Bytes) -> std::io::Result<()> {
        Ok(())
    }

    async fn get(
        &self,
        _url: &Url,
        _path: &str,
        _statement: &str,
        _range: Option<std::ops::Range<u64>>,
    ) -> std::io::Result<PeerAnswer> {
        Err(std::io::Error::other("silent"))
    }
}

/// A server of the bucket that is only an address.
struct Fake {
    peers: Peers,
    address: SocketAddr,
    /// What it was sent, as it came.
    heard: Arc<Mutex<Vec<u8>>>,
    tasks: Tasks,
}

impl Fake {
    /// With the key that is in the bucket.
    async fn join(s3: &S3Server, number: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, heard) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<u8>>>::default());
        tokio::spawn(listen(listener, Arc::clone(&heard)));
        let tasks = Tasks::new();
        let key = SigningKey::from_bytes(&s3.object("v1/signing-key").unwrap()).unwrap();
        let membership = Membership {
            shared: S3::open(&s3.config(S3Server::BUCKET), None, &tasks)
                .await
                .unwrap(),
            number: ServerNumber {
                id: ServerId::new(number).unwrap(),
                owner: Bytes::from(format!("fake {number}")),
            },
            url: format!("http://{address}/").parse().unwrap(),
            keys: KeyRing::new(&key),
            clock: Arc::default(),
            client: Arc::new(Silent),
        };
        let timing = HeartbeatTiming::every(Duration::from_secs(1));
        Self {
            peers: Peers::join(membership, timing, &tasks).await,
            address,
            heard,
            tasks,
        }
    }

    /// The server as the others show it.
    fn peer(&self, server: &TestServer) -> Peer {
        let address = server.address().to_string();
        let others = self.peers.others();
        let found = others.iter().find(|peer| peer.url().as_str().contains(&address));
        found.unwrap().clone()
    }

    fn state(&self, to: &Peer, target: &str, body: &[u8], content: &[u8]) -> String {
        let method = "POST";
        let request = StatedRequest { method, target };
        self.peers
            .state(to, request, StatedBody::of(body), content)
            .unwrap()
    }

    fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).to_lowercase()
    }
}

/// Keeps what comes, and never answers.
async fn listen(listener: TcpListener, heard: Arc<Mutex<Vec<u8>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let heard = Arc::clone(&heard);
        tokio::spawn(async move {
            let mut buffer = vec![0; 65_536];
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                heard.lock().unwrap().extend_from_slice(&buffer[..length]);
            }
        });
    }
}

/// The status of a request of which only the head and one byte of the body come.
async fn status_without_body(server: &TestServer, path: &str) -> String {
    let mut raw = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: cache.test\r\ncontent-length: 65536\r\n\r\nx");
    raw.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    within(raw.read_exact(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_server_without_others_has_nothing_there_and_reads_nothing() {
    let s3 = S3Server::memory();
    let section = s3.config(S3Server::BUCKET);
    let bucket = TestServer::start_with(|config| config.s3 = Some(section)).await;
    let disk = TestServer::start().await;
    for server in [&bucket, &disk] {
        for path in ["entries", "hello", "notes", "entry", "other"] {
            let path = format!("/_chacha/peer/{path}");
            assert_eq!(status_without_body(server, &path).await, "HTTP/1.1 404");
        }
    }
}

#[tokio::test]
async fn nothing_is_read_from_who_is_no_peer() {
    let s3 = S3Server::memory();
    let server = member(&s3, |_| {}).await;
    for path in ["entries", "hello", "notes", "entry", "other"] {
        let path = format!("/_chacha/peer/{path}");
        assert_eq!(status_without_body(&server, &path).await, "HTTP/1.1 403");
        let token = server.acme().send(Method::POST, &path, &[], "x").await;
        assert_eq!(token.status, StatusCode::FORBIDDEN, "a tenant is no peer");
        let forged = [("x-chacha-peer", "Zm9yZ2VkIGZvcmdlZCBmb3JnZWQ")];
        let forged = server.anonymous().send(Method::POST, &path, &forged, "x").await;
        assert_eq!(forged.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn a_statement_is_good_once_for_one_request_at_one_server() {
    let s3 = S3Server::memory();
    let (one, two) = (member(&s3, |_| {}).await, member(&s3, |_| {}).await);
    let fake = Fake::join(&s3, 0xabc).await;
    let to = fake.peer(&one);
    let url = format!("http://{}/", fake.address);
    let tell = async |server: &TestServer, path: &str, statement: &str, body: &str| {
        let headers = [("x-chacha-peer", statement)];
        let client = server.anonymous();
        client
            .send(Method::POST, path, &headers, body.to_owned())
            .await
            .status
    };
    let state = |target, body: &[u8]| fake.state(&to, target, body, url.as_bytes());
    let other = state("/_chacha/peer/notes", b"");
    assert_eq!(
        tell(&one, HELLO, &other, "").await,
        StatusCode::FORBIDDEN,
        "another path"
    );
    let good = state(HELLO, b"");
    assert_eq!(
        tell(&two, HELLO, &good, "").await,
        StatusCode::FORBIDDEN,
        "another server"
    );
    let query = format!("{HELLO}?x");
    assert_eq!(
        tell(&one, &query, &good, "").await,
        StatusCode::FORBIDDEN,
        "a query"
    );
    assert_eq!(tell(&one, HELLO, &good, "").await, StatusCode::NO_CONTENT);
    assert_eq!(
        tell(&one, HELLO, &good, "").await,
        StatusCode::FORBIDDEN,
        "replayed"
    );
    let body = state(HELLO, b"other");
    assert!(
        tell(&one, HELLO, &body, "").await.is_client_error(),
        "another body"
    );
    // What one server says of a caller is worth nothing in place of a token elsewhere.
    let plain = fake.state(&to, "/k", b"x", url.as_bytes());
    assert_eq!(tell(&one, "/k", &plain, "x").await, StatusCode::UNAUTHORIZED);
    fake.tasks.finish().await;
}

#[tokio::test]
async fn a_heartbeat_without_the_key_makes_no_peer() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let s3 = S3Server::memory();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, heard) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<u8>>>::default());
    tokio::spawn(listen(listener, Arc::clone(&heard)));
    let url = URL_SAFE_NO_PAD.encode(format!("http://{address}/"));
    s3.put_raw(&format!("v1/servers/001.{url}"), "", &[]);
    let one = member(&s3, |_| {}).await;
    let providers = one.config().providers.clone();
    let two = member(&s3, |config| config.providers = providers).await;
    sees(&one, 1).await;
    sees(&two, 1).await;
    let client = one.acme();
    for nth in 0..12 {
        let begun = reserve(&client, json!({"key": format!("k{nth}"), "version": VERSION})).await;
        assert_eq!(begun.status, StatusCode::CREATED);
    }
    assert!(heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_peer_never_gets_a_token() {
    let s3 = S3Server::memory();
    let server = member(&s3, |_| {}).await;
    let fake = Fake::join(&s3, 0xabc).await;
    sees(&server, 1).await;
    let token = server.token("acme/app");
    let client = server.anonymous().with_token(&token);
    let mut nth = 0;
    // Some of them belong to the other server, which does not answer.
    let asking = async {
        loop {
            nth += 1;
            create(&client, &format!("k{nth}")).await;
        }
    };
    tokio::select! {
        () = asking => {}
        () = until("a call is passed on", || fake.heard().contains("x-chacha-passed")) => {}
    }
    let chunk = format!("/_apis/artifactcache/caches/{}", 0xabc_u64 << 41 | 7);
    let headers = [("content-range", "bytes 0-2/*"), ("cookie", "secret=1")];
    let sending = client.send(Method::PATCH, &chunk, &headers, "abc");
    tokio::select! {
        answer = sending => panic!("{} although only the other server can answer", answer.status),
        () = until("the chunk is passed on", || fake.heard().contains("patch ")) => {}
    }
    let heard = fake.heard();
    assert!(heard.contains("x-chacha-peer: "), "{heard}");
    for secret in [
        &token.to_lowercase()[..],
        "authorization",
        "bearer",
        "cookie",
        "refs/heads",
    ] {
        assert!(!heard.contains(secret), "{secret}: {heard}");
    }
    fake.tasks.finish().await;
}

#[tokio::test]
async fn who_comes_is_known_before_its_first_answer() {
    let s3 = S3Server::memory();
    // This one looks by itself only once.
    let slow = |config: &mut chacha::config::Config| config.gha.heartbeat = Duration::from_secs(600);
    let one = member(&s3, slow).await;
    let two = member(&s3, |_| {}).await;
    for server in [&one, &two] {
        let metrics = server.ops().get("/metrics").await;
        assert!(metrics.text().contains("chacha_actions_other_servers 1\n"));
    }
}

#[tokio::test]
async fn what_is_saved_while_a_server_comes_is_found_through_it_at_once() {
    let s3 = S3Server::memory();
    // The older one looks by itself only once.
    let slow = |config: &mut chacha::config::Config| config.gha.heartbeat = Duration::from_secs(600);
    let one = member(&s3, slow).await;
    let providers = one.config().providers.clone();
    let client = one.acme();
    save(&client, "before", "x").await;
    let two = member(&s3, |config| config.providers = providers).await;
    let other = two.anonymous().with_token(&one.token("acme/app"));
    assert!(!misses(&other, "before").await);
    for nth in 0..20 {
        let key = format!("k{nth}");
        // The other server has looked for it a moment ago.
        assert!(misses(&other, &key).await);
        save(&client, &key, key.clone()).await;
        assert!(!misses(&other, &key).await, "{key}");
    }
}

#[tokio::test]
async fn servers_have_different_numbers() {
    let s3 = S3Server::memory();
    let mut one = member(&s3, |_| {}).await;
    let file = one.dir().join("cache/server/id");
    let number = std::fs::read_to_string(&file).unwrap();
    let mut two = member(&s3, |_| {}).await;
    // As if it had drawn the same.
    two.stop().await;
    let other = two.dir().join("cache/server/id");
    std::fs::write(&other, &number).unwrap();
    two.restart().await;
    assert_ne!(std::fs::read_to_string(&other).unwrap(), number);
    one.restart().await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), number);
}

#[tokio::test]
async fn a_small_body_that_dribbles_is_not_waited_for() {
    let server = TestServer::start().await;
    let stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let token = server.token("acme/app");
    let head = format!(
        "POST /_apis/artifactcache/caches HTTP/1.1\r\nhost: cache.test\r\nauthorization: Bearer {token}\r\n\
         content-length: 65536\r\n\r\n"
    );
    write.write_all(head.as_bytes()).await.unwrap();
    tokio::spawn(async move {
        // Never a pause that would be too long by itself.
        let mut pace = tokio::time::interval(Duration::from_millis(200));
        while write.write_all(b"x").await.is_ok() {
            pace.tick().await;
        }
    });
    let (begin, mut answer) = (std::time::Instant::now(), vec![0; 12]);
    within(read.read_exact(&mut answer)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 408");
    assert!(begin.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_key_that_somebody_replaced_in_the_bucket_is_not_taken_and_put_back() {
    const KEY: &str = "v1/signing-key";
    let s3 = S3Server::memory();
    let mut one = member(&s3, |_| {}).await;
    let agreed = s3.object(KEY).unwrap();
    save(&one.acme(), "k", "archive").await;
    let link = link(&one.acme(), "k").await;
    one.stop().await;
    for replaced in [&[7; 32][..], b"no key at all"] {
        s3.put_raw(KEY, replaced.to_vec(), &[]);
        one.restart().await;
        until("the key is back", || s3.object(KEY).as_ref() == Some(&agreed)).await;
        assert_eq!(one.anonymous().get(&link).await.text(), "archive");
        one.stop().await;
    }
    // One that a lifecycle rule has removed comes back as it was.
    assert!(s3.remove(KEY));
    one.restart().await;
    until("the key is back", || s3.object(KEY).as_ref() == Some(&agreed)).await;
    // Newcomers take what is there.
    let two = member(&s3, |_| {}).await;
    sees(&two, 1).await;
    assert_eq!(s3.object(KEY), Some(agreed));
}
