//! A client that reads as plainly as a script, and a raw one for what no client library would send.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wait::TEST_TIMEOUT;

/// Sends requests as one tenant; each on a connection of its own.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    authorization: Option<String>,
    host: String,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The value of a header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            authorization: None,
            host: "cache.test".into(),
        }
    }

    /// The same client, which calls the server by its address.
    pub(crate) fn by_address(mut self) -> Self {
        self.host = self.address.to_string();
        self
    }

    /// The same client with this `Authorization` header.
    pub(crate) fn with_authorization(&self, value: impl Into<String>) -> Self {
        Self {
            authorization: Some(value.into()),
            ..self.clone()
        }
    }

    pub(crate) fn with_token(&self, token: &str) -> Self {
        self.with_authorization(format!("Bearer {token}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, headers, Bytes::new()).await
    }

    pub(crate) async fn head(&self, path: &str) -> Answer {
        self.send(Method::HEAD, path, &[], Bytes::new()).await
    }

    pub(crate) async fn put(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send(Method::PUT, path, &[], body).await
    }

    pub(crate) async fn put_with(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.send(Method::PUT, path, headers, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], Bytes::new()).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.host);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.into();
        let empty = body.is_empty();
        let mut request = request.body(Full::new(body)).unwrap();
        if empty && [Method::PUT, Method::POST, Method::PATCH].contains(request.method()) {
            // hyper leaves it out, other clients do not.
            request
                .headers_mut()
                .insert("content-length", HeaderValue::from_static("0"));
        }
        within(self.exchange(request)).await
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Answer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        let driver = tokio::spawn(connection);
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        driver.abort();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// A connection for bytes by hand.
    pub(crate) async fn raw(&self) -> Raw {
        Raw {
            stream: TcpStream::connect(self.address).await.unwrap(),
            authorization: self.authorization.clone().unwrap_or_default(),
        }
    }
}

/// A connection on which a test writes every byte itself.
pub(crate) struct Raw {
    stream: TcpStream,
    authorization: String,
}

impl Raw {
    /// The same on a connection that is open.
    pub(crate) fn of(stream: TcpStream) -> Self {
        Self {
            stream,
            authorization: String::new(),
        }
    }

    /// Writes a head; the line of the request and `headers` as they are, `Host` and `Authorization` added.
    pub(crate) async fn head(&mut self, line: &str, headers: &str) {
        let head = format!(
            "{line}\r\nHost: cache.test\r\nAuthorization: {}\r\n{headers}\r\n",
            self.authorization
        );
        self.write(head.as_bytes()).await;
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes)).await.unwrap();
    }

    /// Writes as much as the peer takes; whether it took everything.
    pub(crate) async fn try_write(&mut self, bytes: &[u8]) -> bool {
        within(self.stream.write_all(bytes)).await.is_ok()
    }

    /// Waits until there is something to read.
    pub(crate) async fn has_answer(&self) {
        within(self.stream.readable()).await.unwrap();
    }

    /// Ends the sending side only.
    pub(crate) async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Reads up to the end of a head.
    pub(crate) async fn read_head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = within(self.stream.read_u8()).await.expect("a whole head");
            head.push(byte);
        }
        String::from_utf8(head).unwrap()
    }

    /// Reads exactly this many bytes.
    pub(crate) async fn read_exact(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        within(self.stream.read_exact(&mut bytes)).await.unwrap();
        bytes
    }

    /// Reads until the server closes; what came, and whether it closed without a reset.
    pub(crate) async fn read_to_end(&mut self) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        let closed = within(self.stream.read_to_end(&mut bytes)).await.is_ok();
        (bytes, closed)
    }
}

/// No test waits for ever: see [`TEST_TIMEOUT`].
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(TEST_TIMEOUT, work)
        .await
        .expect("done in time")
}
