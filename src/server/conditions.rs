//! What an operator must know of this moment: one list for readiness, for the log and for metrics.
//!
//! A condition that lasts is a WARN when it has been seen twice, once a minute while it lasts, and an INFO when it is
//! over. So whoever looks into the log at any time sees what is wrong now.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::condition::Condition;
use super::tiers::Tiers;
use crate::auth::KeysState;
use crate::protocol::app::App;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(5);
/// Between two lines about a condition that lasts.
const REPEAT: Duration = Duration::from_secs(60);

/// The server at one moment.
#[derive(Debug)]
pub(super) struct Readiness {
    /// `None` if requests should be sent here, else why not.
    pub(super) refusal: Option<&'static str>,
    pub(super) conditions: Vec<Condition>,
}

/// Looks at tiers and issuers; `draining`: no new requests are wanted. Sends no request and touches no disk.
pub(super) fn look(app: &App, tiers: &Tiers, draining: bool) -> Readiness {
    let (mut conditions, can_store) = tiers.conditions();
    let mut can_verify = false;
    for (issuer, keys) in app.auth().keys() {
        can_verify |= keys.can_verify();
        if keys != KeysState::Current {
            conditions.push(Condition {
                subject: format!("issuer {issuer}"),
                text: keys.to_string(),
                is_fault: true,
            });
        }
    }
    let refusal = match (draining, can_store, can_verify) {
        (true, ..) => Some("draining"),
        (_, false, _) => Some("no tier can be used"),
        (_, _, false) => Some("no issuer has keys"),
        _ => None,
    };
    Readiness { refusal, conditions }
}

/// Logs conditions until `stop`.
pub(super) async fn watch(app: App, tiers: Tiers, stop: CancellationToken) {
    let mut looks = interval(PERIOD);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut log = ConditionLog::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        let seen = look(&app, &tiers, false);
        for line in log.lines(seen.conditions, Instant::now()) {
            line.write();
        }
    }
}

/// Which conditions there are, and when they were logged.
#[derive(Debug, Default)]
struct ConditionLog {
    known: HashMap<String, KnownCondition>,
}

#[derive(Debug)]
struct KnownCondition {
    since: Instant,
    logged: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum LogLine {
    Lasts { condition: Condition, time: Duration },
    Over { subject: String, time: Duration },
}

impl ConditionLog {
    fn lines(&mut self, seen: Vec<Condition>, now: Instant) -> Vec<LogLine> {
        let faults: Vec<Condition> = seen.into_iter().filter(|condition| condition.is_fault).collect();
        let mut lines = Vec::new();
        self.known.retain(|subject, known| {
            let lasts = faults.iter().any(|fault| fault.subject == *subject);
            if !lasts && known.logged.is_some() {
                let (subject, time) = (subject.clone(), now - known.since);
                lines.push(LogLine::Over { subject, time });
            }
            lasts
        });
        for condition in faults {
            let Some(known) = self.known.get_mut(&condition.subject) else {
                let first = KnownCondition {
                    since: now,
                    logged: None,
                };
                self.known.insert(condition.subject, first);
                continue;
            };
            if known.logged.is_none_or(|at| now - at >= REPEAT) {
                known.logged = Some(now);
                let time = now - known.since;
                lines.push(LogLine::Lasts { condition, time });
            }
        }
        lines
    }
}

impl LogLine {
    fn write(&self) {
        match self {
            Self::Lasts { condition, time } => {
                let (subject, seconds) = (&condition.subject, time.as_secs());
                tracing::warn!(subject, seconds, "{}", condition.text);
            }
            Self::Over { subject, time } => tracing::info!(subject, seconds = time.as_secs(), "works again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(subject: &str) -> Condition {
        Condition {
            subject: subject.into(),
            text: "broken; mend it".into(),
            is_fault: true,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_lasts_is_said_once_a_minute_and_its_end_once() {
        let (mut log, begin) = (ConditionLog::default(), Instant::now());
        let mut said = Vec::new();
        for look in 0..40 {
            let now = begin + PERIOD * look;
            let seen = if look < 30 {
                vec![fault("disk")]
            } else {
                Vec::new()
            };
            for line in log.lines(seen, now) {
                said.push((look, matches!(line, LogLine::Lasts { .. })));
            }
        }
        assert_eq!(said, [(1, true), (13, true), (25, true), (30, false)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_over_before_it_was_said_leaves_no_line() {
        let (mut log, begin) = (ConditionLog::default(), Instant::now());
        assert_eq!(log.lines(vec![fault("issuer")], begin), []);
        assert_eq!(log.lines(Vec::new(), begin + PERIOD), []);
        let note = Condition {
            is_fault: false,
            ..fault("disk")
        };
        assert_eq!(log.lines(vec![note.clone()], begin + PERIOD * 2), []);
        assert_eq!(log.lines(vec![note], begin + PERIOD * 3), []);
    }
}
