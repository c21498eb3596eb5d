//! Every metric of the server, in Prometheus' terms. Labels come from closed sets, but for those of the largest tenants.

use std::sync::{Arc, Mutex, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{self, Registry};

use super::refusals::Refusals;
use crate::named::named_enum;

/// The label of requests that ended before a front-end took them.
const NO_PROTOCOL: &str = "none";
/// The label of tenants.
const TENANT: &str = "tenant";
/// Seconds; a cache answers between some 10 us and minutes.
const DURATION_BUCKETS: &[f64] = &[0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0];

type Durations = Family<[(&'static str, &'static str); 2], Histogram, fn() -> Histogram>;

named_enum! {
    /// How a request ended. Closed, because it is a label.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub enum Outcome {
        /// The entry was found.
        Hit = "hit",
        /// No namespace of the caller has the entry.
        Miss = "miss",
        /// The client has the same version already, or asked for a state that is not there.
        Condition = "condition",
        /// The entry was stored.
        Stored = "stored",
        /// The entry was removed.
        Deleted = "deleted",
        /// A control call of a protocol.
        Control = "control",
        /// The client is to blame: credentials, rights, syntax, limits.
        Refused = "refused",
        /// We are to blame.
        #[default]
        Failed = "failed",
        /// The connection ended before the answer had left.
        Cut = "cut",
    }
}

named_enum! {
    /// The methods that are counted apart; a label must come from a closed set.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    #[expect(missing_docs, reason = "the names are those of RFC 9110")]
    pub enum MethodLabel {
        Get = "GET",
        Head = "HEAD",
        Put = "PUT",
        Post = "POST",
        Delete = "DELETE",
        Other = "other",
    }
}

impl MethodLabel {
    pub(super) fn of(method: &http::Method) -> Self {
        match *method {
            http::Method::GET => Self::Get,
            http::Method::HEAD => Self::Head,
            http::Method::PUT => Self::Put,
            http::Method::POST => Self::Post,
            http::Method::DELETE => Self::Delete,
            _ => Self::Other,
        }
    }
}

/// One number that another part of the server keeps and that is read when metrics are asked for, or one for each
/// value of a label.
#[derive(Debug, Clone)]
pub struct Metric {
    /// Full name without the suffix `_total`.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// The number now.
    pub value: MetricValue,
}

/// The number of a [`Metric`], and how it changes.
#[derive(Debug, Clone)]
pub enum MetricValue {
    /// Goes up and down.
    Gauge(u64),
    /// Only grows.
    Counter(u64),
    /// Only grows: the name of a label from a closed set, and its values with their numbers.
    CounterBy(&'static str, Vec<(&'static str, u64)>),
    /// Goes up and down: for each of a bounded number of tenants, by their labels.
    TenantGauge(Vec<(Arc<str>, u64)>),
    /// Only grows while the tenant is known: the name of a label from a closed set, and for each of a bounded number of
    /// tenants one of its values with its number.
    TenantCounterBy(&'static str, Vec<(Arc<str>, &'static str, u64)>),
}

/// A list of [`Metric`]s: of each its [`MetricValue`] with the name in front, and one sentence.
macro_rules! metrics {
    ($($kind:ident($name:literal, $($value:expr),+): $help:literal,)+) => {
        vec![$($crate::telemetry::metrics::Metric {
            name: $name,
            help: $help,
            value: $crate::telemetry::metrics::MetricValue::$kind($($value),+),
        }),+]
    };
}
pub(crate) use metrics;

/// The counters of one server. No globals: two servers in one process count apart.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    /// The front-ends that are counted apart, in the order of the cells.
    protocols: Vec<&'static str>,
    requests: Family<[(&'static str, &'static str); 3], Counter>,
    durations: Durations,
    /// Cells of the families, found by position: a look-up by label costs a lock and a hash each
    /// time. Filled at first use, so that only what happened is printed.
    request_cells: Vec<OnceLock<Counter>>,
    duration_cells: Vec<OnceLock<Histogram>>,
    received: Counter,
    sent: Counter,
    connections: Gauge,
    refusals: Arc<Refusals>,
}

impl Metrics {
    /// All metrics at zero. `frontends` are the names of all front-ends, which label requests.
    pub fn new(frontends: impl IntoIterator<Item = &'static str>) -> Self {
        let protocols = protocols(frontends);
        let rows = protocols.len() * MethodLabel::ALL.len();
        let mut registry = Registry::default();
        let requests = "Requests by front-end, method and outcome";
        let requests = register(&mut registry, "chacha_requests", requests, Family::default());
        let new_histogram = || Histogram::new(DURATION_BUCKETS.iter().copied());
        let durations = register(
            &mut registry,
            "chacha_request_duration_seconds",
            "Time from head to last byte",
            Family::new_with_constructor(new_histogram as fn() -> Histogram),
        );
        let mut counter = |name, help| register(&mut registry, name, help, Counter::default());
        let received = counter("chacha_received_bytes", "Bytes of request bodies");
        let sent = counter("chacha_sent_bytes", "Bytes of response bodies");
        let connections = "Open client connections";
        let connections = register(&mut registry, "chacha_connections", connections, Gauge::default());
        Self {
            registry: Mutex::new(registry),
            protocols,
            requests,
            durations,
            request_cells: std::iter::repeat_with(OnceLock::new)
                .take(rows * Outcome::ALL.len())
                .collect(),
            duration_cells: std::iter::repeat_with(OnceLock::new).take(rows).collect(),
            received,
            sent,
            connections,
            refusals: Arc::default(),
        }
    }

    /// Counts one finished request; `seconds` is the time until its answer had left.
    pub fn request(
        &self,
        protocol: &str,
        method: MethodLabel,
        outcome: Outcome,
        seconds: f64,
        received: u64,
        sent: u64,
    ) {
        let nth = self.position(protocol);
        let row = nth * MethodLabel::ALL.len() + method as usize;
        let labels = [("protocol", self.protocols[nth]), ("method", method.as_str())];
        let cell = &self.request_cells[row * Outcome::ALL.len() + outcome as usize];
        cell.get_or_init(|| {
            let labels = [labels[0], labels[1], ("outcome", outcome.as_str())];
            self.requests.get_or_create_owned(&labels)
        })
        .inc();
        let cell = &self.duration_cells[row];
        cell.get_or_init(|| self.durations.get_or_create_owned(&labels))
            .observe(seconds);
        self.received.inc_by(received);
        self.sent.inc_by(sent);
    }

    /// The row of a front-end. A record without a name belongs to a request that no front-end took; any other
    /// name is one that [`Metrics::new`] was given.
    fn position(&self, protocol: &str) -> usize {
        let name = if protocol.is_empty() {
            NO_PROTOCOL
        } else {
            protocol
        };
        let found = self.protocols.iter().position(|known| *known == name);
        found.unwrap_or_else(|| {
            debug_assert!(false, "the front-end {name} is not among those that are counted");
            tracing::error!(protocol = name, "requests of this front-end are counted as none");
            0
        })
    }

    /// Open client connections.
    pub fn connections(&self) -> &Gauge {
        &self.connections
    }

    /// Requests that were refused for what others need as well.
    pub fn refusals(&self) -> &Arc<Refusals> {
        &self.refusals
    }

    /// Adds values that another part keeps; `read` is called whenever metrics are asked for.
    pub fn add_metrics(&self, read: impl Fn() -> Vec<Metric> + Send + Sync + 'static) {
        self.lock()
            .register_collector(Box::new(MetricCollector(Box::new(read))));
    }

    /// The text exposition format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string fails only if a collector does, and ours do not.
        prometheus_client::encoding::text::encode(&mut text, &self.lock()).ok();
        text
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn register<M: registry::Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// The labels of requests: [`NO_PROTOCOL`] and each front-end, once.
fn protocols(frontends: impl IntoIterator<Item = &'static str>) -> Vec<&'static str> {
    let mut protocols = vec![NO_PROTOCOL];
    for name in frontends {
        if !protocols.contains(&name) {
            protocols.push(name);
        }
    }
    protocols
}

fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

struct MetricCollector(Box<dyn Fn() -> Vec<Metric> + Send + Sync>);

impl std::fmt::Debug for MetricCollector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MetricCollector")
    }
}

impl Collector for MetricCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for metric in (self.0)() {
            let kind = match metric.value {
                MetricValue::Gauge(_) | MetricValue::TenantGauge(_) => MetricType::Gauge,
                MetricValue::Counter(_) | MetricValue::CounterBy(..) | MetricValue::TenantCounterBy(..) => {
                    MetricType::Counter
                }
            };
            let mut row = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
            match metric.value {
                MetricValue::Gauge(value) => gauge(value).encode(row)?,
                MetricValue::Counter(value) => ConstCounter::new(value).encode(row)?,
                MetricValue::CounterBy(label, values) => {
                    for (name, value) in values {
                        ConstCounter::new(value).encode(row.encode_family(&[(label, name)])?)?;
                    }
                }
                MetricValue::TenantGauge(values) => {
                    for (tenant, value) in values {
                        gauge(value).encode(row.encode_family(&[(TENANT, &*tenant)])?)?;
                    }
                }
                MetricValue::TenantCounterBy(label, values) => {
                    for (tenant, name, value) in values {
                        let labels = [(TENANT, &*tenant), (label, name)];
                        ConstCounter::new(value).encode(row.encode_family(&labels)?)?;
                    }
                }
            }
        }
        Ok(())
    }
}
