//! A plain client for one request on a connection of its own, that expects nothing to go well.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::body;

/// Longer than any answer may take; the server's own limits are shorter.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);
const PIECE_BYTES: u64 = 64 << 10;

type Sending = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

/// What is sent as a body.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    Text(Bytes),
    /// A range of the body of a write.
    Piece {
        id: u64,
        from: u64,
        to: u64,
        form: Form,
    },
}

/// How a body is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Length,
    Chunked,
    /// With its length, but the connection ends after so many bytes.
    Abort(u64),
    AbortChunked(u64),
}

/// How an answer is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    Quick,
    /// Stops after a first piece for this long, then gives up.
    Stall(Duration),
}

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Nobody listened: it was never sent.
    Unsent,
    /// No head of an answer.
    Broken(String),
    Answer(Answer),
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Why the body is not whole.
    pub(crate) cut: Option<String>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A request before it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) payload: Payload,
    pub(crate) pace: Pace,
}

impl Asking {
    pub(crate) fn new(method: Method, target: impl Into<String>) -> Self {
        Self {
            method,
            target: target.into(),
            headers: Vec::new(),
            payload: Payload::Text(Bytes::new()),
            pace: Pace::Quick,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    pub(crate) fn text(self, text: impl Into<Bytes>) -> Self {
        self.payload(Payload::Text(text.into()))
    }

    fn request(&self, address: SocketAddr) -> Request<Sending> {
        let mut request = Request::builder().method(&self.method).uri(&self.target);
        request = request.header("host", address.to_string());
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let body = match &self.payload {
            Payload::Text(text) => Full::new(text.clone())
                .map_err(|never| match never {})
                .boxed_unsync(),
            Payload::Piece { id, from, to, form } => {
                if matches!(form, Form::Length | Form::Abort(_)) {
                    request = request.header("content-length", (to - from).to_string());
                }
                pieces(*id, *from, *to, *form)
            }
        };
        request.body(body).expect("a request that is well formed")
    }

    /// Sends it, and reads what comes back.
    pub(crate) async fn send(&self, address: SocketAddr) -> Outcome {
        let Ok(stream) = TcpStream::connect(address).await else {
            return Outcome::Unsent;
        };
        let exchange = exchange(stream, self.request(address), self.pace);
        match tokio::time::timeout(ANSWER_TIMEOUT, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Broken(format!("no answer in {ANSWER_TIMEOUT:?}")),
        }
    }
}

fn pieces(id: u64, from: u64, to: u64, form: Form) -> Sending {
    let end = match form {
        Form::Abort(after) | Form::AbortChunked(after) => Some((from + after).min(to)),
        Form::Length | Form::Chunked => None,
    };
    let frames = stream::unfold(from, move |at| async move {
        if end.is_some_and(|end| at >= end) {
            return Some((Err(std::io::Error::other("as the plan wants it")), NOWHERE));
        }
        if at >= to {
            return None;
        }
        let next = (at + PIECE_BYTES).min(end.unwrap_or(to));
        Some((Ok(Frame::data(Bytes::from(body::piece(id, at..next)))), next))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// After an error nothing is asked for.
const NOWHERE: u64 = u64::MAX;

async fn exchange(stream: TcpStream, request: Request<Sending>, pace: Pace) -> Outcome {
    let (mut sender, connection) = match hyper::client::conn::http1::handshake(TokioIo::new(stream)).await {
        Ok(both) => both,
        Err(error) => return Outcome::Broken(error.to_string()),
    };
    let driver = tokio::spawn(connection);
    let outcome = match sender.send_request(request).await {
        Err(error) => Outcome::Broken(error.to_string()),
        Ok(response) => {
            let (head, incoming) = response.into_parts();
            let (body, cut) = read(incoming, pace).await;
            Outcome::Answer(Answer {
                status: head.status,
                headers: head.headers,
                body,
                cut,
            })
        }
    };
    driver.abort();
    outcome
}

async fn read(mut incoming: Incoming, pace: Pace) -> (Vec<u8>, Option<String>) {
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        match frame {
            Ok(frame) => body.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..])),
            Err(error) => return (body, Some(error.to_string())),
        }
        if let Pace::Stall(time) = pace {
            tokio::time::sleep(time).await;
            return (body, Some("given up".into()));
        }
    }
    (body, None)
}
