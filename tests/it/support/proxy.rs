//! A forward proxy that knows one server, whatever name it is asked for.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::response::Response;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running proxy; ends when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    /// Where everything leads.
    server: SocketAddr,
    /// What `Proxy-Authorization` must be.
    secret: Option<String>,
    /// Method and target of each request that was let through.
    requests: Mutex<Vec<String>>,
}

impl Proxy {
    /// A proxy to `server` that wants this `Proxy-Authorization`, or none.
    pub(crate) async fn start(server: SocketAddr, secret: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server,
            secret: secret.map(str::to_owned),
            requests: Mutex::default(),
        });
        let of_connections = shared.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = of_connections.clone();
                let service = service_fn(move |request| answer(shared.clone(), request));
                let connection = hyper::server::conn::http1::Builder::new()
                    .preserve_header_case(true)
                    .serve_connection(TokioIo::new(client), service);
                tokio::spawn(connection.with_upgrades());
            }
        });
        Self {
            address,
            shared,
            accepting,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Method and target of each request that was let through.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer(shared: Arc<Shared>, mut request: Request<Incoming>) -> Result<Response, Infallible> {
    let sent = request.headers_mut().remove("proxy-authorization");
    let sent = sent.map(|secret| secret.to_str().unwrap().to_owned());
    if sent != shared.secret {
        return Ok(status(StatusCode::PROXY_AUTHENTICATION_REQUIRED));
    }
    let line = format!("{} {}", request.method(), request.uri());
    shared.requests.lock().unwrap().push(line);
    if request.method() == Method::CONNECT {
        let server = shared.server;
        tokio::spawn(async move {
            let client = hyper::upgrade::on(request).await.ok()?;
            let mut server = TcpStream::connect(server).await.ok()?;
            tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut server)
                .await
                .ok()
        });
        return Ok(status(StatusCode::OK));
    }
    if request.uri().authority().is_none() {
        // A client that takes the proxy for the server itself.
        return Ok(status(StatusCode::BAD_REQUEST));
    }
    let target = request.uri().path_and_query().unwrap().clone();
    *request.uri_mut() = format!("http://{}{target}", shared.server).parse().unwrap();
    let client: Client<HttpConnector, Incoming> = Client::builder(TokioExecutor::new()).build_http();
    Ok(match client.request(request).await {
        Ok(answer) => answer.map(Body::new),
        Err(_) => status(StatusCode::BAD_GATEWAY),
    })
}

fn status(code: StatusCode) -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = code;
    answer
}
