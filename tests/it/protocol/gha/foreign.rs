//! Calls of GitHub's other services.

use http::{Method, StatusCode};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};

use super::{SERVICE, json_of};
use crate::support::client::within;
use crate::support::issuer::Issuer;
use crate::support::pair::free;
use crate::support::server::TestServer;

const CALL: &str = "/twirp/github.actions.results.api.v1.ArtifactService/CreateArtifact?a=%2F&b=";
const ANSWER: &str = "HTTP/1.1 202 Accepted\r\ncontent-type: application/x-own\r\nx-own: 1\r\n\
    x-github-request-id: A:1\r\nset-cookie: a=b\r\nlocation: https://other.test/\r\n\
    connection: keep-alive, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\ntransfer-encoding: chunked\r\n\r\n";

/// One connection of the server to the service, written and read by hand.
struct Service(TcpListener);

struct Asked {
    head: String,
    reader: BufReader<OwnedReadHalf>,
    writer: tokio::net::tcp::OwnedWriteHalf,
}

impl Service {
    async fn start() -> (Self, TestServer) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = serving(&url).await;
        (Self(listener), server)
    }

    fn host(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    /// Waits for a request, and reads its head.
    async fn asked(&self) -> Asked {
        let (stream, _): (TcpStream, _) = within(self.0.accept()).await.unwrap();
        let (reader, writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(within(reader.read_line(&mut head)).await.unwrap(), 0, "{head}");
        }
        Asked { head, reader, writer }
    }

    /// Whether nobody has asked so far.
    async fn is_unasked(&self) -> bool {
        futures_util::poll!(Box::pin(self.0.accept())).is_pending()
    }
}

impl Asked {
    /// The next bytes of the body, as they are framed.
    async fn read(&mut self, text: &str) {
        let mut bytes = vec![0; text.len()];
        within(self.reader.read_exact(&mut bytes)).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), text);
    }

    async fn write(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).await.unwrap();
    }
}

async fn serving(url: &str) -> TestServer {
    TestServer::start_with(|config| config.gha.forward_unknown_to = Some(url.parse().unwrap())).await
}

#[tokio::test]
async fn they_are_forwarded_with_few_headers() {
    let (service, mut server) = Service::start().await;
    let token = server.token("acme/app");
    let client = server.anonymous().with_token(&token);
    let headers = [
        ("content-type", "application/json"),
        ("x-own", "1"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "10.0.0.1"),
        ("metadata-flavor", "Google"),
        ("accept", "application/json"),
        ("user-agent", "own/1"),
        ("connection", "x-mine"),
        ("x-mine", "1"),
    ];
    let calling = client.send(Method::POST, CALL, &headers, "{\"a\":1}");
    let serving = async {
        let mut asked = service.asked().await;
        asked.read("{\"a\":1}").await;
        asked.write(ANSWER).await;
        asked.write("5\r\nhello\r\n0\r\n\r\n").await;
        asked.head.to_ascii_lowercase()
    };
    let (answer, head) = tokio::join!(calling, serving);
    assert!(
        head.starts_with(&format!("post {} http/1.1\r\n", CALL.to_ascii_lowercase())),
        "{head}"
    );
    let token = token.to_ascii_lowercase();
    for line in [
        format!("authorization: bearer {token}"),
        format!("host: {}", service.host()),
        "accept: application/json".to_owned(),
        "user-agent: own/1".to_owned(),
        "content-type: application/json".to_owned(),
        "content-length: 7".to_owned(),
    ] {
        assert_eq!(
            head.matches(&format!("\r\n{line}\r\n")).count(),
            1,
            "{line}: {head}"
        );
    }
    for absent in [
        "x-mine",
        "x-own",
        "x-chacha",
        "cache.test",
        "cookie",
        "x-forwarded",
        "metadata",
    ] {
        assert!(!head.contains(absent), "{absent}: {head}");
    }
    assert_eq!((answer.status, answer.text()), (StatusCode::ACCEPTED, "hello"));
    assert_eq!(
        (
            answer.header("content-type"),
            answer.header("x-github-request-id")
        ),
        ("application/x-own", "A:1")
    );
    for absent in ["x-hop", "keep-alive", "x-own", "set-cookie", "location"] {
        assert!(!answer.headers.contains_key(absent), "{absent}");
    }
    let line = server.log().await.pop().unwrap();
    assert_eq!((&line["tier"], &line["received"]), (&"foreign".into(), &7.into()));
}

#[tokio::test]
async fn both_bodies_are_streams() {
    let (service, server) = Service::start().await;
    let mut raw = server.acme().raw().await;
    raw.head(
        &format!("POST {CALL} HTTP/1.1"),
        "transfer-encoding: chunked\r\nexpect: 100-continue\r\n",
    )
    .await;
    let mut asked = service.asked().await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 100 "));
    raw.write(b"5\r\nfirst\r\n").await;
    asked.read("5\r\nfirst\r\n").await;
    raw.write(b"4\r\nlast\r\n0\r\n\r\n").await;
    asked.read("4\r\nlast\r\n0\r\n\r\n").await;
    asked.write(ANSWER).await;
    asked.write("3\r\none\r\n").await;
    let head = raw.read_head().await;
    assert!(
        head.starts_with("HTTP/1.1 202 ") && !head.contains("content-length"),
        "{head}"
    );
    assert_eq!(raw.read_exact(8).await, b"3\r\none\r\n");
    asked.write("3\r\ntwo\r\n0\r\n\r\n").await;
    assert_eq!(raw.read_exact(13).await, b"3\r\ntwo\r\n0\r\n\r\n");
}

#[tokio::test]
async fn other_methods_than_post_do_not_leave() {
    let (service, server) = Service::start().await;
    for method in [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ] {
        let answer = server.acme().send(method.clone(), CALL, &[], "").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method}");
    }
    assert!(service.is_unasked().await);
}

#[tokio::test]
async fn tokens_of_other_issuers_than_github_do_not_leave() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let other = Issuer::start().await;
    let keys = format!("{}/keys", other.url());
    let other = other.named("https://gitlab.example");
    let mut provider = other.provider();
    provider.jwks_url = Some(keys.parse().unwrap());
    let server = TestServer::start_with(|config| {
        config.gha.forward_unknown_to = Some(url.parse().unwrap());
        config.providers.push(provider);
    })
    .await;
    let stranger = server.anonymous().with_token(&other.token(serde_json::json!({})));
    assert_eq!(
        stranger.put("/k", "x").await.status,
        StatusCode::CREATED,
        "the token is good"
    );
    let answer = stranger.send(Method::POST, CALL, &[], "{}").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(json_of(&answer)["code"], "bad_route");
    assert!(Service(listener).is_unasked().await);
}

#[tokio::test]
async fn nothing_else_leaves() {
    let (service, server) = Service::start().await;
    let client = server.acme();
    let here = format!("{SERVICE}/DeleteCacheEntry");
    for path in [here.as_str(), SERVICE, "/twirp/../x", "/twirp/", "/twirp"] {
        let answer = client.send(Method::POST, path, &[], "{}").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(json_of(&answer)["code"], "bad_route");
    }
    for stranger in [server.anonymous(), server.anonymous().with_token("a.b.c")] {
        let answer = stranger.send(Method::POST, CALL, &[], "{}").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(json_of(&answer)["code"], "unauthenticated");
    }
    let marked = [("x-chacha-passed", "1")];
    let passed = client.send(Method::POST, CALL, &marked, "{}").await;
    assert_eq!(passed.status, StatusCode::NOT_FOUND);
    assert_eq!(client.get("/_apis/other").await.status, StatusCode::NOT_FOUND);
    assert!(service.is_unasked().await);
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_is_told_in_json() {
    let server = serving(&format!("http://{}", free())).await;
    let answer = server.acme().send(Method::POST, CALL, &[], "{}").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(json_of(&answer)["code"], "unavailable");
    // Without the setting there is no such path.
    let server = TestServer::start().await;
    let answer = server.acme().send(Method::POST, CALL, &[], "{}").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}
