//! A bucket that misbehaves on the wire as no library would: answers are written byte by byte.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chacha::config::{S3Config, S3CredentialFiles};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The body ends after so many bytes, with the connection.
    Cut(usize),
    /// Nothing comes after so many bytes.
    Stall(usize),
    /// `Range` is not understood.
    NoRange,
    /// `If-Match` is not understood.
    NoIfMatch,
    /// Another range than the one that was asked for.
    WrongRange,
    /// One byte of the body is another one.
    Flip,
    /// The request is done, but there is no answer.
    Silent,
    /// The request is done, but the answer is this one.
    DoneBut(u16),
    /// The request is not done.
    Refused(u16, &'static str),
}

/// A request, as far as tests look at it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    headers: HashMap<String, String>,
}

impl Asked {
    /// A value in the query.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

type Script = Box<dyn FnMut(&Asked) -> Option<Fault> + Send>;

/// What was said about an object beside its body.
type Described = Vec<(String, String)>;

#[derive(Default)]
struct State {
    objects: HashMap<String, (Vec<u8>, Described, String)>,
    uploads: BTreeMap<String, (Described, BTreeMap<u32, Vec<u8>>)>,
    /// Uploads are listed, as begun long ago.
    lists: bool,
    script: Option<Script>,
    seen: Vec<Asked>,
}

/// A bucket in memory, and what goes wrong with it.
pub(crate) struct Wire {
    pub(crate) config: S3Config,
    state: Arc<Mutex<State>>,
    _root: tempfile::TempDir,
}

impl Wire {
    pub(crate) async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["id", "secret"] {
            std::fs::write(root.path().join(name), "x").unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, shared.clone()));
            }
        });
        let mut config = S3Config::new("bucket").at(url.parse().unwrap());
        config.part_size = 1 << 20;
        config.idle_timeout = Duration::from_millis(300);
        config.credentials = Some(S3CredentialFiles {
            access_key_id: root.path().join("id"),
            secret_access_key: root.path().join("secret"),
            session_token: None,
        });
        Self {
            config,
            state,
            _root: root,
        }
    }

    /// From now on `script` says what goes wrong.
    pub(crate) fn script(&self, script: impl FnMut(&Asked) -> Option<Fault> + Send + 'static) {
        self.state.lock().unwrap().script = Some(Box::new(script));
    }

    /// From now on uploads are listed, as begun long ago.
    pub(crate) fn list_old_uploads(&self) {
        self.state.lock().unwrap().lists = true;
    }

    /// Multipart uploads that were begun and not ended.
    pub(crate) fn unfinished(&self) -> usize {
        self.state.lock().unwrap().uploads.len()
    }

    /// The requests for objects since the last time.
    pub(crate) fn seen(&self) -> Vec<Asked> {
        let mut seen = std::mem::take(&mut self.state.lock().unwrap().seen);
        seen.retain(|asked| asked.path.contains("/v1/"));
        seen
    }
}

async fn serve(mut socket: TcpStream, state: Arc<Mutex<State>>) {
    let Some((asked, body)) = receive(&mut socket).await else {
        return;
    };
    let (fault, answer) = {
        let mut state = state.lock().unwrap();
        let fault = state.script.as_mut().and_then(|script| script(&asked));
        state.seen.push(asked.clone());
        (fault, state.answer(&asked, body, fault))
    };
    let head = answer.len() - answer_body(&answer).len();
    let (end, hang) = match fault {
        Some(Fault::Silent) => (0, false),
        Some(Fault::Cut(at)) => (head + at, false),
        Some(Fault::Stall(at)) => (head + at, true),
        _ => (answer.len(), false),
    };
    let written = socket.write_all(&answer[..end.min(answer.len())]).await;
    if hang && written.is_ok() {
        // Until the client has enough of it.
        let _closed = socket.read(&mut [0]).await;
    }
}

fn answer_body(answer: &[u8]) -> &[u8] {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    &answer[head + 4..]
}

async fn receive(socket: &mut TcpStream) -> Option<(Asked, Vec<u8>)> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut body = bytes.split_off(head + 4);
    let text = String::from_utf8(bytes).unwrap();
    let mut lines = text.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let pairs = lines.filter_map(|line| line.split_once(": "));
    let headers: HashMap<String, String> = pairs
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |text| text.parse().unwrap());
    while body.len() < length {
        socket.read_buf(&mut body).await.ok()?;
    }
    let (path, query) = path.split_once('?').unwrap_or((&path, ""));
    let asked = Asked {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
    };
    Some((asked, body))
}

impl State {
    fn answer(&mut self, asked: &Asked, body: Vec<u8>, fault: Option<Fault>) -> Vec<u8> {
        if let Some(Fault::Refused(status, code)) = fault {
            if let (409, Some(id)) = (status, asked.value("uploadId")) {
                self.uploads.remove(id);
            }
            return error(asked, status, code);
        }
        let answer = match asked.method.as_str() {
            _ if asked.value("uploadId").is_some() => self.upload(asked, body),
            "POST" => self.begin(asked),
            "GET" if asked.query.contains("uploads") => self.list(asked),
            "PUT" => self.put(asked, body),
            "GET" | "HEAD" => self.get(asked, fault),
            _ => error(asked, 501, "NotImplemented"),
        };
        match fault {
            Some(Fault::DoneBut(status)) => error(asked, status, "InternalError"),
            _ => answer,
        }
    }

    fn begin(&mut self, asked: &Asked) -> Vec<u8> {
        let id = next_id();
        self.uploads
            .insert(id.clone(), (described(asked), BTreeMap::new()));
        xml(&format!(
            "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
        ))
    }

    fn upload(&mut self, asked: &Asked, body: Vec<u8>) -> Vec<u8> {
        let id = asked.value("uploadId").unwrap();
        let refused = self.is_refused(asked);
        let Some((described, parts)) = self.uploads.get_mut(id) else {
            return error(asked, 404, "NoSuchUpload");
        };
        match asked.method.as_str() {
            "PUT" => {
                let number = asked.value("partNumber").unwrap().parse().unwrap();
                parts.insert(number, body);
                stored("\"part\"")
            }
            "POST" if refused => error(asked, 412, "PreconditionFailed"),
            "POST" => {
                let whole = parts.values().flatten().copied().collect();
                let etag = format!("\"{}-1\"", next_id());
                let object = (whole, described.clone(), etag.clone());
                self.objects.insert(asked.path.clone(), object);
                self.uploads.remove(id);
                xml(&format!(
                    "<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>"
                ))
            }
            _ => {
                self.uploads.remove(id);
                stored("")
            }
        }
    }

    fn list(&self, asked: &Asked) -> Vec<u8> {
        if !self.lists {
            return error(asked, 501, "NotImplemented");
        }
        let uploads: String = self
            .uploads
            .keys()
            .map(|id| {
                format!(
                    "<Upload><Key>v1/x</Key><UploadId>{id}</UploadId>\
                     <Initiated>2020-01-01T00:00:00.000Z</Initiated></Upload>"
                )
            })
            .collect();
        xml(&format!(
            "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{uploads}</ListMultipartUploadsResult>"
        ))
    }

    fn is_refused(&self, asked: &Asked) -> bool {
        asked.header("if-none-match") == "*" && self.objects.contains_key(&asked.path)
    }

    fn put(&mut self, asked: &Asked, body: Vec<u8>) -> Vec<u8> {
        if self.is_refused(asked) {
            return error(asked, 412, "PreconditionFailed");
        }
        let etag = format!("\"{}\"", next_id());
        let object = (body, described(asked), etag.clone());
        self.objects.insert(asked.path.clone(), object);
        stored(&etag)
    }

    fn get(&self, asked: &Asked, fault: Option<Fault>) -> Vec<u8> {
        let Some((body, described, etag)) = self.objects.get(&asked.path) else {
            return error(asked, 404, "NoSuchKey");
        };
        let expected = asked.header("if-match");
        if !expected.is_empty() && expected != etag && fault != Some(Fault::NoIfMatch) {
            return error(asked, 412, "PreconditionFailed");
        }
        let mut head = format!("ETag: {etag}\r\nConnection: close\r\n");
        for (name, value) in described {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        let range = asked.header("range").strip_prefix("bytes=");
        let range = range.and_then(|range| range.split_once('-'));
        let (mut part, mut status) = (&body[..], "200 OK");
        if let Some((first, last)) = range.filter(|_| fault != Some(Fault::NoRange)) {
            let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
            if first >= body.len() {
                return error(asked, 416, "InvalidRange");
            }
            part = &body[first..body.len().min(last + 1)];
            let shift = usize::from(fault == Some(Fault::WrongRange));
            let end = first + part.len() - 1 + shift;
            write!(
                head,
                "Content-Range: bytes {}-{end}/{}\r\n",
                first + shift,
                body.len() + shift
            )
            .unwrap();
            status = "206 Partial Content";
        }
        write!(head, "Content-Length: {}\r\n\r\n", part.len()).unwrap();
        let mut answer = format!("HTTP/1.1 {status}\r\n{head}").into_bytes();
        if asked.method == "GET" {
            answer.extend_from_slice(part);
            if fault == Some(Fault::Flip) {
                *answer.last_mut().unwrap() ^= 1;
            }
        }
        answer
    }
}

fn next_id() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    format!("{:032x}", LAST.fetch_add(1, Ordering::Relaxed))
}

fn described(asked: &Asked) -> Described {
    let headers = asked.headers.iter();
    let headers = headers.filter(|(name, _)| name.starts_with("x-amz-meta-"));
    headers
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn stored(etag: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nETag: {etag}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into()
}

fn xml(text: &str) -> Vec<u8> {
    let length = text.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}").into()
}

fn error(asked: &Asked, status: u16, code: &str) -> Vec<u8> {
    let mut xml = format!("<Error><Code>{code}</Code><Message>said so</Message></Error>");
    let length = xml.len();
    if asked.method == "HEAD" {
        xml.clear();
    }
    format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{xml}").into()
}
