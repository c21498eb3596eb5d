//! What operators learn of the places of connections: before they run out, and when they have.

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
    /// Connections that were ended for others, since the start.
    pub(super) given_way: u64,
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
        metrics! {
            Gauge("chacha_connections_limit", self.limit as u64): "Client connections that are served at once",
            Gauge("chacha_connections_accepted", self.accepted as u64):
                "Open client connections with a request under way whose token was accepted",
            Gauge("chacha_connections_without_token", self.strangers as u64):
                "Open client connections that never sent a token that was accepted",
            CounterBy("chacha_connections_given_way", "reason", vec![("full", self.given_way)]):
                "Connections without an accepted token that were ended for new ones",
        }
    }
}

/// What was said, and when.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Connections that had given way when that was said last.
    given_way: u64,
    said_given_way: Option<u32>,
    said_few_left: Option<u32>,
}

/// What is to be said now.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    GivenWay(u64),
    FewLeft,
}

impl Report {
    /// Writes what is to be said, at most once a minute. `stats` is asked only then.
    pub(super) fn write(
        &mut self,
        now: u32,
        (free, limit): (usize, usize),
        given_way: u64,
        stats: impl FnOnce() -> ConnectionStats,
    ) {
        let Some(line) = self.line(now, (free, limit), given_way) else {
            return;
        };
        let ConnectionStats {
            open,
            accepted,
            strangers,
            ..
        } = stats();
        match line {
            Line::GivenWay(ended) => tracing::warn!(
                ended,
                limit,
                accepted,
                without_token = strangers,
                "limits.max_connections: all places were taken, and connections without an accepted token were ended \
                 for new ones; hold such clients off before this server, or raise the limit"
            ),
            Line::FewLeft => tracing::warn!(
                open,
                limit,
                accepted,
                without_token = strangers,
                "limits.max_connections: more than four fifths of the places are taken; then connections without an \
                 accepted token give way, and new clients wait when there are none"
            ),
        }
    }

    fn line(&mut self, now: u32, (free, limit): (usize, usize), given_way: u64) -> Option<Line> {
        if given_way > self.given_way && is_due(self.said_given_way, now) {
            let ended = given_way - std::mem::replace(&mut self.given_way, given_way);
            // It says more than the other line.
            (self.said_given_way, self.said_few_left) = (Some(now), Some(now));
            return Some(Line::GivenWay(ended));
        }
        if free < limit / MIN_FREE_SHARE && is_due(self.said_few_left, now) {
            self.said_few_left = Some(now);
            return Some(Line::FewLeft);
        }
        None
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
            .filter_map(|second| Some((second, report.line(second, (0, 10), 3 * u64::from(second))?)))
            .collect();
        let expected = [
            (0, Line::FewLeft),
            (1, Line::GivenWay(3)),
            (61, Line::GivenWay(180)),
            (121, Line::GivenWay(180)),
            (181, Line::GivenWay(180)),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn it_is_said_before_the_places_run_out() {
        let mut report = Report::default();
        assert_eq!(report.line(1, (20, 100), 0), None);
        assert_eq!(report.line(2, (19, 100), 0), Some(Line::FewLeft));
        assert_eq!(report.line(61, (0, 100), 0), None);
        assert_eq!(report.line(62, (0, 100), 0), Some(Line::FewLeft));
    }
}
