//! What operators learn of the places of connections: before they run out, and when they have.

use std::net::IpAddr;

use super::given_way::{GivenWay, Reason};
use crate::telemetry::metrics::{Metric, metrics};

/// Seconds between two lines about the same.
const INTERVAL_SECONDS: u32 = 60;
/// Of the places: when fewer are free than one in so many, the log says so.
const MIN_FREE_SHARE: usize = 5;

/// The connections of this moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::server) struct ConnectionStats {
    /// Places.
    pub(super) limit: usize,
    /// Connections with a request under way whose token was good.
    pub(super) accepted: usize,
    /// Connections that never sent a good token.
    pub(super) strangers: usize,
    /// All connections.
    pub(super) open: usize,
    pub(super) given_way: GivenWay,
    /// The address whose connection was ended last because it had too many.
    pub(super) last_address: Option<IpAddr>,
}

impl ConnectionStats {
    /// Counts one more connection.
    pub(super) fn count(&mut self, has_caller: bool, is_known: bool) {
        self.open += 1;
        self.accepted += usize::from(has_caller);
        self.strangers += usize::from(!is_known);
    }

    /// As metrics.
    pub(in crate::server) fn metrics(&self) -> Vec<Metric> {
        let given_way = Reason::ALL.iter().zip(self.given_way);
        let given_way = given_way
            .map(|(reason, count)| (reason.as_str(), count))
            .collect();
        metrics! {
            Gauge("chacha_connections_limit", self.limit as u64): "Client connections that are served at once",
            Gauge("chacha_connections_accepted", self.accepted as u64):
                "Open client connections with a request under way whose token was accepted",
            Gauge("chacha_connections_without_token", self.strangers as u64):
                "Open client connections that never sent a token that was accepted",
            CounterBy("chacha_connections_given_way", "reason", given_way):
                "Connections without an accepted token that were ended for new ones",
        }
    }
}

/// What was said, and when.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Connections that had given way when that was said last.
    given_way: GivenWay,
    /// By the number of the reason.
    said: [Option<u32>; Reason::ALL.len()],
    said_few_left: Option<u32>,
}

/// What is to be said now.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// So many connections have given way.
    GivenWay(Reason, u64),
    FewLeft,
}

impl Report {
    /// Writes what is to be said, at most once a minute. `stats` is asked only then.
    pub(super) fn write(
        &mut self,
        now: u32,
        places: (usize, usize),
        given_way: GivenWay,
        stats: impl Fn() -> ConnectionStats,
    ) {
        while let Some(line) = self.line(now, places, given_way) {
            line.write(&stats());
        }
    }

    fn line(&mut self, now: u32, (free, limit): (usize, usize), given_way: GivenWay) -> Option<Line> {
        for reason in Reason::ALL.iter().copied() {
            let at = reason as usize;
            let ended = given_way[at] - self.given_way[at];
            if ended == 0 || !is_due(self.said[at], now) {
                continue;
            }
            (self.said[at], self.given_way[at]) = (Some(now), given_way[at]);
            if reason == Reason::Full {
                // It says more than that few are left.
                self.said_few_left = Some(now);
            }
            return Some(Line::GivenWay(reason, ended));
        }
        if free < limit / MIN_FREE_SHARE && is_due(self.said_few_left, now) {
            self.said_few_left = Some(now);
            return Some(Line::FewLeft);
        }
        None
    }
}

impl Line {
    fn write(&self, stats: &ConnectionStats) {
        let ConnectionStats {
            open,
            accepted,
            strangers,
            limit,
            ..
        } = *stats;
        match self {
            Self::GivenWay(Reason::Full, ended) => tracing::warn!(
                ended,
                limit,
                accepted,
                without_token = strangers,
                "limits.max_connections: all places were taken, and connections without an accepted token were ended \
                 for new ones; hold such clients off before this server, or raise the limit"
            ),
            Self::GivenWay(Reason::Address, ended) => tracing::warn!(
                ended,
                address = stats.last_address.map(tracing::field::display),
                "limits.connections_per_address: an address had too many connections without an accepted token, and the \
                 oldest were ended; if it is a proxy, name it in trusted_proxies"
            ),
            Self::GivenWay(Reason::Memory, ended) => tracing::warn!(
                ended,
                without_token = strangers,
                "connections with long heads that did not come to their end were ended: together they took too much \
                 memory; hold such clients off before this server"
            ),
            Self::GivenWay(Reason::Http2, ended) => tracing::warn!(
                ended,
                without_token = strangers,
                "more than an eighth of limits.max_connections were of HTTP/2 and without an accepted token, and the \
                 oldest were ended; hold such clients off before this server"
            ),
            Self::GivenWay(Reason::Requests, ended) => tracing::warn!(
                ended,
                without_token = strangers,
                "connections without an accepted token had too many requests under way, and those that sent more were \
                 ended; hold such clients off before this server"
            ),
            Self::FewLeft => tracing::warn!(
                open,
                limit,
                accepted,
                without_token = strangers,
                "limits.max_connections: more than four fifths of the places are taken; when all are, connections \
                 without an accepted token give way, and new clients wait if there are none"
            ),
        }
    }
}

fn is_due(said: Option<u32>, now: u32) -> bool {
    said.is_none_or(|said| now.saturating_sub(said) >= INTERVAL_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_writes_one_line_a_minute_with_all_that_it_cost() {
        let mut report = Report::default();
        let lines: Vec<_> = (0..200)
            .filter_map(|second: u32| {
                let ended = [3 * u64::from(second), 0, 0, 0, 0];
                Some((second, report.line(second, (0, 10), ended)?))
            })
            .collect();
        let expected = [
            (0, Line::FewLeft),
            (1, Line::GivenWay(Reason::Full, 3)),
            (61, Line::GivenWay(Reason::Full, 180)),
            (121, Line::GivenWay(Reason::Full, 180)),
            (181, Line::GivenWay(Reason::Full, 180)),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn it_is_said_before_the_places_run_out() {
        let (mut report, nobody) = (Report::default(), [0; Reason::ALL.len()]);
        assert_eq!(report.line(1, (20, 100), nobody), None);
        assert_eq!(report.line(2, (19, 100), nobody), Some(Line::FewLeft));
        assert_eq!(report.line(61, (0, 100), nobody), None);
        assert_eq!(report.line(62, (0, 100), nobody), Some(Line::FewLeft));
    }

    #[test]
    fn the_reasons_are_told_apart() {
        let mut report = Report::default();
        let mut said = Vec::new();
        while let Some(line) = report.line(5, (0, 100), [1, 2, 3, 4, 5]) {
            said.push(line);
        }
        let expected: Vec<_> = Reason::ALL
            .iter()
            .zip(1..)
            .map(|(reason, ended)| Line::GivenWay(*reason, ended))
            .collect();
        assert_eq!(said, expected);
    }
}
