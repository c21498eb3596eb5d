//! What operators learn of the places of connections: before they run out, and when they have.

use std::net::IpAddr;

use crate::telemetry::metrics::{Metric, metrics};

/// Seconds between two lines about the same.
const INTERVAL_SECONDS: u32 = 60;
/// Of the places: when fewer are free than one in so many, the log says so.
const MIN_FREE_SHARE: usize = 5;

/// Connections that were ended for others, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::server) struct GivenWay {
    /// All places were taken.
    pub(super) full: u64,
    /// Their address had too many.
    pub(super) address: u64,
    /// Long heads took too much memory.
    pub(super) memory: u64,
    /// There were too many of HTTP/2.
    pub(super) http2: u64,
}

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
        let given_way = vec![
            ("full", self.given_way.full),
            ("address", self.given_way.address),
            ("memory", self.given_way.memory),
            ("http2", self.given_way.http2),
        ];
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
    said_full: Option<u32>,
    said_address: Option<u32>,
    said_memory: Option<u32>,
    said_http2: Option<u32>,
    said_few_left: Option<u32>,
}

/// What is to be said now.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// So many connections have given way because there was no place.
    Full(u64),
    /// So many have because their address had too many.
    Address(u64),
    /// So many were ended because of their heads.
    Memory(u64),
    /// So many have given way because there were too many of HTTP/2.
    Http2(u64),
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
        let said = &mut self.given_way;
        if given_way.full > said.full && is_due(self.said_full, now) {
            // It says more than that few are left.
            (self.said_full, self.said_few_left) = (Some(now), Some(now));
            let before = std::mem::replace(&mut said.full, given_way.full);
            return Some(Line::Full(given_way.full - before));
        }
        if given_way.address > said.address && is_due(self.said_address, now) {
            self.said_address = Some(now);
            let before = std::mem::replace(&mut said.address, given_way.address);
            return Some(Line::Address(given_way.address - before));
        }
        if given_way.memory > said.memory && is_due(self.said_memory, now) {
            self.said_memory = Some(now);
            let before = std::mem::replace(&mut said.memory, given_way.memory);
            return Some(Line::Memory(given_way.memory - before));
        }
        if given_way.http2 > said.http2 && is_due(self.said_http2, now) {
            self.said_http2 = Some(now);
            let before = std::mem::replace(&mut said.http2, given_way.http2);
            return Some(Line::Http2(given_way.http2 - before));
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
            Self::Full(ended) => tracing::warn!(
                ended,
                limit,
                accepted,
                without_token = strangers,
                "limits.max_connections: all places were taken, and connections without an accepted token were ended \
                 for new ones; hold such clients off before this server, or raise the limit"
            ),
            Self::Address(ended) => tracing::warn!(
                ended,
                address = stats.last_address.map(tracing::field::display),
                "limits.connections_per_address: an address had too many connections without an accepted token, and the \
                 oldest were ended; if it is a proxy, name it in trusted_proxies"
            ),
            Self::Memory(ended) => tracing::warn!(
                ended,
                without_token = strangers,
                "connections with long heads that did not come to their end were ended: together they took too much \
                 memory; hold such clients off before this server"
            ),
            Self::Http2(ended) => tracing::warn!(
                ended,
                without_token = strangers,
                "more than an eighth of limits.max_connections were of HTTP/2 and without an accepted token, and the \
                 oldest were ended; hold such clients off before this server"
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

    fn given_way(full: u64, address: u64) -> GivenWay {
        GivenWay {
            full,
            address,
            ..GivenWay::default()
        }
    }

    #[test]
    fn a_flood_writes_one_line_a_minute_with_all_that_it_cost() {
        let mut report = Report::default();
        let lines: Vec<_> = (0..200)
            .filter_map(|second: u32| {
                let ended = given_way(3 * u64::from(second), 0);
                Some((second, report.line(second, (0, 10), ended)?))
            })
            .collect();
        let expected = [
            (0, Line::FewLeft),
            (1, Line::Full(3)),
            (61, Line::Full(180)),
            (121, Line::Full(180)),
            (181, Line::Full(180)),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn it_is_said_before_the_places_run_out() {
        let (mut report, nobody) = (Report::default(), GivenWay::default());
        assert_eq!(report.line(1, (20, 100), nobody), None);
        assert_eq!(report.line(2, (19, 100), nobody), Some(Line::FewLeft));
        assert_eq!(report.line(61, (0, 100), nobody), None);
        assert_eq!(report.line(62, (0, 100), nobody), Some(Line::FewLeft));
    }

    #[test]
    fn the_reasons_are_told_apart() {
        let mut report = Report::default();
        let mut said = Vec::new();
        let ended = GivenWay {
            memory: 3,
            http2: 4,
            ..given_way(1, 2)
        };
        while let Some(line) = report.line(5, (0, 100), ended) {
            said.push(line);
        }
        assert_eq!(
            said,
            [Line::Full(1), Line::Address(2), Line::Memory(3), Line::Http2(4)]
        );
    }
}
