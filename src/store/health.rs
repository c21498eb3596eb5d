//! What an operator wants to know of a remote tier.

use std::time::SystemTime;

use super::RemoteErrorKind;

/// Whether a remote tier can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteHealth {
    /// The last requests were answered, or none was made yet.
    Up,
    /// Requests are refused for the time being: reads are misses and writes fail.
    Down {
        /// Why.
        kind: RemoteErrorKind,
        /// Since when.
        since: SystemTime,
    },
}

/// One number of a remote tier, or one for each value of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteMetric {
    /// Full name without the suffix `_total`.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// The number now.
    pub value: MetricValue,
}

/// The number of a [`RemoteMetric`], and how it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricValue {
    /// Goes up and down.
    Gauge(u64),
    /// Only grows.
    Counter(u64),
    /// Only grows: the name of a label from a closed set, and its values with their numbers.
    CounterBy(&'static str, Vec<(&'static str, u64)>),
}

impl RemoteMetric {
    /// A number that goes up and down.
    pub fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        let value = MetricValue::Gauge(value);
        Self { name, help, value }
    }

    /// A number that only grows.
    pub fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        let value = MetricValue::Counter(value);
        Self { name, help, value }
    }

    /// Numbers that only grow, one for each value of `label`.
    pub fn counter_by(
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: Vec<(&'static str, u64)>,
    ) -> Self {
        let value = MetricValue::CounterBy(label, values);
        Self { name, help, value }
    }
}
