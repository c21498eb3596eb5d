//! Bytes a second: an account that fills up to the bytes of one second, and may be overdrawn by one entry.

use std::time::Duration;

use tokio::time::Instant;

use super::writer::Writer;

/// Bytes that may be written now. Below zero it is a debt, and nobody begins to write until it is paid.
#[derive(Debug, Default)]
pub(super) struct WriteRate(Option<Account>);

#[derive(Debug)]
struct Account {
    level: i128,
    /// When the level was so.
    at: Instant,
    /// Bytes a second, as they were then.
    rate: u64,
    /// Who has overdrawn it, and may go on: else an entry of more than one second could never be written.
    overdrawn_by: Option<Writer>,
}

impl WriteRate {
    /// Takes `bytes` for `writer`, whose entry has at most `largest` bytes.
    ///
    /// # Errors
    /// How long the debt takes until it is paid.
    pub(super) fn take(
        &mut self,
        (now, rate): (Instant, u64),
        (writer, largest): (Writer, u64),
        bytes: u64,
    ) -> Result<(), Duration> {
        let account = self.0.get_or_insert(Account {
            level: rate.into(),
            at: now,
            rate,
            overdrawn_by: None,
        });
        account.fill(now, rate);
        let goes_on = account.overdrawn_by == Some(writer) && -account.level < i128::from(largest);
        if account.level <= 0 && !goes_on {
            return Err(account.until_paid());
        }
        let was_overdrawn = account.level <= 0;
        account.level -= i128::from(bytes);
        if account.level <= 0 && !was_overdrawn {
            account.overdrawn_by = Some(writer);
        }
        Ok(())
    }

    /// Whether it is as full as a new one.
    pub(super) fn is_at_rest(&self, now: Instant) -> bool {
        let Some(account) = &self.0 else {
            return true;
        };
        account.level_at(now) >= account.rate.into()
    }
}

impl Account {
    fn fill(&mut self, now: Instant, rate: u64) {
        self.level = self.level_at(now).min(rate.into());
        (self.at, self.rate) = (now, rate);
    }

    fn level_at(&self, now: Instant) -> i128 {
        let since = now.saturating_duration_since(self.at);
        // Of nanoseconds since a start and bytes below 2^63, the product has room.
        self.level + since.as_nanos() as i128 * i128::from(self.rate) / 1_000_000_000
    }

    fn until_paid(&self) -> Duration {
        let rate = i128::from(self.rate.max(1));
        let seconds = (-self.level) / rate + 1;
        Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX))
    }
}
