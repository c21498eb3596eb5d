//! The record of one request: one log line and a handful of counters when its answer has left.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::line::{LineValue, name};
use super::metrics::Metrics;
use super::refusals::Refusal;

pub use super::line::AccessLog;
pub use super::metrics::{MethodLabel, Outcome};

/// What a front-end reports about an answer; travels beside the response.
#[derive(Debug, Clone, Default)]
pub struct RequestRecord {
    /// The front-end.
    pub protocol: &'static str,
    /// The pattern of the route, never the path.
    pub route: &'static str,
    /// The configured URL of the issuer, once the caller is known.
    pub issuer: Option<Arc<str>>,
    /// The label of the namespace that was read or written.
    pub namespace: Option<Arc<str>>,
    /// The label of the tenant that the request counts for, once it is known.
    pub tenant: Option<Arc<str>>,
    /// How it ended.
    pub outcome: Outcome,
    /// Where the bytes came from or went to.
    pub tier: &'static str,
    /// Bytes of the request body.
    pub received: u64,
    /// Why it was refused, if that was for what others need as well.
    pub refusal: Option<Refusal>,
    /// The full chain of an error, for the operator.
    pub error: Option<Arc<str>>,
}

/// What is known of a request with a body before it is answered, for the record of one that never is.
/// Travels in the extensions of the request.
#[derive(Debug, Default)]
pub struct EarlyRecord {
    record: OnceLock<RequestRecord>,
    received: AtomicU64,
}

impl EarlyRecord {
    /// Keeps a copy of the record. The first copy counts.
    pub fn keep(&self, record: &RequestRecord) {
        self.record.get_or_init(|| record.clone());
    }

    /// Counts bytes of the body.
    pub fn count(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Makes the records of one server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<RecorderInner>);

#[derive(Debug)]
struct RecorderInner {
    metrics: Arc<Metrics>,
    log: AccessLog,
    /// Tells the requests of two server processes apart.
    process: u32,
    next: AtomicU64,
}

impl Recorder {
    /// A recorder that counts into `metrics` and writes to `log`.
    pub fn new(metrics: Arc<Metrics>, log: AccessLog) -> Self {
        let seed = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        let process = (seed ^ (u128::from(std::process::id()) << 7)) as u32;
        Self(Arc::new(RecorderInner {
            metrics,
            log,
            process,
            next: AtomicU64::new(1),
        }))
    }

    /// Begins the record of a request from this address.
    pub fn begin(&self, method: &http::Method, client: Option<IpAddr>) -> Exchange {
        Exchange {
            recorder: self.clone(),
            method: MethodLabel::of(method),
            id: RequestId(self.0.process, self.0.next.fetch_add(1, Ordering::Relaxed)),
            client,
            started: Instant::now(),
            status: 0,
            promised: None,
            sent: 0,
            broken: false,
            record: RequestRecord::default(),
            early: None,
        }
    }
}

/// The two digits of each byte.
static HEX_PAIRS: [[u8; 2]; 256] = {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let (mut pairs, mut byte) = ([[0; 2]; 256], 0);
    while byte < 256 {
        pairs[byte] = [HEX[byte >> 4], HEX[byte & 15]];
        byte += 1;
    }
    pairs
};

/// Names one request in logs and in error answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(u32, u64);

impl RequestId {
    /// 24 hex digits: the process, then the request.
    fn text(self) -> [u8; 24] {
        let bytes = (u128::from(self.0) << 64 | u128::from(self.1)).to_be_bytes();
        let mut text = [0; 24];
        for (byte, pair) in bytes[4..].iter().zip(text.as_chunks_mut::<2>().0) {
            *pair = HEX_PAIRS[usize::from(*byte)];
        }
        text
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

/// One request and its answer. Writes its line and its counters when dropped, so that no way of
/// ending (a client that leaves, a panic, a shutdown) goes unrecorded.
#[derive(Debug)]
pub struct Exchange {
    recorder: Recorder,
    method: MethodLabel,
    id: RequestId,
    client: Option<IpAddr>,
    started: Instant,
    status: u16,
    promised: Option<u64>,
    sent: u64,
    broken: bool,
    record: RequestRecord,
    early: Option<Arc<EarlyRecord>>,
}

impl Exchange {
    /// The name of this request.
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// Whom the request counts for, once it was answered.
    pub fn tenant(&self) -> Option<&Arc<str>> {
        self.record.tenant.as_ref()
    }

    /// What front-ends fill in while they read the body of the request.
    pub fn early(&mut self) -> Arc<EarlyRecord> {
        Arc::clone(self.early.get_or_insert_default())
    }

    /// Notes the head of the answer; `length` is the length of its body if that is known.
    pub fn answered(&mut self, status: u16, length: Option<u64>, record: RequestRecord) {
        self.status = status;
        self.promised = length;
        self.record = record;
    }

    /// Notes bytes of the answer's body that were handed to the connection.
    pub fn sending(&mut self, bytes: u64) {
        self.sent += bytes;
    }

    /// Notes that the body of the answer broke.
    pub fn failed(&mut self) {
        self.broken = true;
    }

    fn outcome(&self) -> Outcome {
        if self.status == 0 || self.broken || self.promised.is_some_and(|promised| self.sent < promised) {
            Outcome::Cut
        } else {
            self.record.outcome
        }
    }

    fn write_line(&self, outcome: Outcome, seconds: f64) {
        let record = &self.record;
        let id = self.id.text();
        let issuer = record.issuer.as_deref().unwrap_or_default();
        let namespace = record.namespace.as_deref().unwrap_or_default();
        let tenant = record.tenant.as_deref().unwrap_or_default();
        let error = record.error.as_deref().unwrap_or_default();
        let fields = [
            (name!("id"), LineValue::Ascii(&id)),
            (name!("method"), LineValue::Name(self.method.as_str())),
            (name!("protocol"), LineValue::Name(record.protocol)),
            (name!("route"), LineValue::Name(record.route)),
            (name!("status"), LineValue::Number(self.status.into())),
            (name!("outcome"), LineValue::Name(outcome.as_str())),
            (name!("tier"), LineValue::Name(record.tier)),
            (name!("issuer"), LineValue::Name(issuer)),
            (name!("namespace"), LineValue::Name(namespace)),
            (name!("tenant"), LineValue::Name(tenant)),
            (name!("received"), LineValue::Number(record.received)),
            (name!("sent"), LineValue::Number(self.sent)),
            (name!("micros"), LineValue::Number((seconds * 1e6) as u64)),
            (name!("client"), LineValue::Address(self.client)),
            (name!("error"), LineValue::Text(error)),
        ];
        let shown = fields.len() - usize::from(error.is_empty());
        self.recorder.0.log.write(&fields[..shown]);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let (0, Some(early)) = (self.status, &self.early) {
            self.record = early.record.get().cloned().unwrap_or_default();
            self.record.received = early.received.load(Ordering::Relaxed);
        }
        let outcome = self.outcome();
        let seconds = self.started.elapsed().as_secs_f64();
        self.recorder.0.metrics.request(
            self.record.protocol,
            self.method,
            outcome,
            seconds,
            self.record.received,
            self.sent,
        );
        if let Some(reason) = self.record.refusal {
            let refusals = self.recorder.0.metrics.refusals();
            refusals.count(reason, self.record.tenant.as_ref());
        }
        if self.recorder.0.log.is_on() {
            self.write_line(outcome, seconds);
        }
    }
}
