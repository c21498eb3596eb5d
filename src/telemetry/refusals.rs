//! Requests that were refused for what others need as well, by reason and by tenant.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::seldom::is_time;
use crate::named::named_enum;

/// Tenants whose refusals are counted apart. Beyond them, those that were refused longest ago begin anew.
const MAX_TENANTS: usize = 1024;
const REASONS: usize = Refusal::ALL.len();

named_enum! {
    /// Why. Those of a rule have the names of its keys.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Refusal {
        /// The tenant has used up its share of the disk, and nobody is above.
        Share = "share",
        /// There is no room for anybody.
        Room = "room",
        /// The tenant holds as many bytes as it may.
        MaxBytes = "max_bytes",
        /// The tenant holds as many entries as it may.
        MaxEntries = "max_entries",
        /// The body is larger than accepted, by a rule or by `limits`.
        MaxEntrySize = "max_entry_size",
        /// The tenant has as many unfinished uploads as it may.
        MaxUploads = "max_uploads",
        /// The tenant writes as fast as it may.
        WriteRate = "write_rate",
        /// The tenant has as many requests under way as it may.
        RequestsInFlight = "requests_in_flight",
        /// The namespace has as many unfinished uploads as it may.
        NamespaceUploads = "namespace_uploads",
        /// Requests hold the memory that they may take.
        Memory = "memory",
    }
}

impl Refusal {
    /// What the log says of it, if an operator should know before users ask: what happened, and the remedy. Bounds that
    /// an operator sets for single tenants do what they are for.
    const fn warning(self) -> Option<&'static str> {
        match self {
            Self::Share => Some(
                "a tenant was refused for want of room: it has used up its share of the disk, and nobody is above; raise \
                 disk.limit, or give it more with min_share or weight in tenants",
            ),
            Self::Room => Some(
                "a write was refused for want of room: uploads that are running hold all that can be had, or the volume is \
                 full; raise disk.limit, or see who uploads so much (chacha_tenant_reserved_bytes)",
            ),
            Self::MaxBytes => Some(
                "a tenant was refused at max_bytes in tenants, and none of its entries can make way; raise it if that lasts",
            ),
            Self::MaxEntries => Some(
                "a tenant was refused at max_entries in tenants, and none of its entries can make way; raise it if that \
                 lasts",
            ),
            Self::Memory => Some(
                "a request was refused for want of memory: raise limits.memory if that lasts, or bound the tenant with \
                 requests_in_flight in tenants",
            ),
            Self::MaxEntrySize
            | Self::MaxUploads
            | Self::WriteRate
            | Self::RequestsInFlight
            | Self::NamespaceUploads => None,
        }
    }
}

/// Refusals since the start, by the number of their reason.
pub type RefusalCounts = [u64; REASONS];

/// See the module.
#[derive(Debug, Default)]
pub struct Refusals {
    all: [AtomicU64; REASONS],
    /// When each was said.
    said: [AtomicU64; REASONS],
    tenants: Mutex<RefusedTenants>,
}

#[derive(Debug, Default)]
struct RefusedTenants {
    by_label: HashMap<Arc<str>, RefusedTenant>,
    /// Refusals of all tenants.
    count: u64,
}

#[derive(Debug, Default)]
struct RefusedTenant {
    counts: RefusalCounts,
    /// The count of all when it was refused last.
    last: u64,
}

impl Refusals {
    /// Counts a refusal of the tenant with this label, and says it at most once a minute.
    pub fn count(&self, reason: Refusal, tenant: Option<&Arc<str>>) {
        self.all[reason as usize].fetch_add(1, Ordering::Relaxed);
        if let Some(tenant) = tenant {
            let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
            tenants.count(reason, tenant);
        }
        if let Some(text) = reason.warning()
            && is_time(&self.said[reason as usize])
        {
            tracing::warn!(
                reason = reason.as_str(),
                tenant = tenant.map(|label| &**label),
                "{text}"
            );
        }
    }

    /// All of them.
    pub fn all(&self) -> RefusalCounts {
        self.all.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// Those of one tenant. They begin anew for one that was not refused for long.
    pub fn of(&self, tenant: &str) -> RefusalCounts {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let found = tenants.by_label.get(tenant);
        found.map_or([0; REASONS], |refused| refused.counts)
    }
}

impl RefusedTenants {
    fn count(&mut self, reason: Refusal, tenant: &Arc<str>) {
        self.count += 1;
        if self.by_label.len() >= MAX_TENANTS && !self.by_label.contains_key(tenant) {
            // At most half of them were refused in the last so many refusals.
            let since = self.count.saturating_sub(MAX_TENANTS as u64 / 2);
            self.by_label.retain(|_, refused| refused.last > since);
        }
        let refused = self.by_label.entry(Arc::clone(tenant)).or_default();
        refused.counts[reason as usize] += 1;
        refused.last = self.count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_reason_and_by_tenant() {
        let (refusals, [a, b]) = (Refusals::default(), ["a", "b"].map(Arc::from));
        refusals.count(Refusal::Share, Some(&a));
        refusals.count(Refusal::Share, Some(&b));
        refusals.count(Refusal::Memory, Some(&b));
        refusals.count(Refusal::Memory, None);
        let count =
            |counts: RefusalCounts| [counts[Refusal::Share as usize], counts[Refusal::Memory as usize]];
        assert_eq!(count(refusals.all()), [2, 2]);
        assert_eq!(count(refusals.of("a")), [1, 0]);
        assert_eq!(count(refusals.of("b")), [1, 1]);
        assert_eq!(refusals.of("c"), [0; REASONS]);
    }

    /// Whoever makes tenants without end must neither fill the memory nor hide who is refused all the time.
    #[test]
    fn a_flood_of_tenants_that_are_refused_fills_no_memory_and_hides_nobody() {
        let (refusals, steady) = (Refusals::default(), Arc::from("steady"));
        for nth in 0..20_000_u64 {
            refusals.count(Refusal::Share, Some(&Arc::from(nth.to_string())));
            if nth % 100 == 0 {
                refusals.count(Refusal::Share, Some(&steady));
            }
        }
        let kept = refusals.tenants.lock().unwrap().by_label.len();
        assert!(kept <= MAX_TENANTS, "{kept}");
        assert_eq!(refusals.of("steady")[Refusal::Share as usize], 200);
        assert_eq!(refusals.all()[Refusal::Share as usize], 20_200);
    }

    /// What is written while this lives.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A flood of refusals must not be one of lines, and nobody may have to guess what to do.
    #[test]
    fn what_runs_out_is_said_once_a_minute_with_the_key_that_helps() {
        let (log, tenant) = (Log::default(), Arc::from("0123456789ab"));
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let refusals = Refusals::default();
        tracing::subscriber::with_default(subscriber, || {
            for reason in Refusal::ALL.iter().cycle().take(10 * REASONS) {
                refusals.count(*reason, Some(&tenant));
            }
        });
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        for (reason, key) in [
            (Refusal::Share, "disk.limit"),
            (Refusal::Room, "disk.limit"),
            (Refusal::MaxBytes, "max_bytes"),
            (Refusal::MaxEntries, "max_entries"),
            (Refusal::Memory, "limits.memory"),
        ] {
            let name = format!("reason=\"{}\"", reason.as_str());
            let lines: Vec<_> = text.lines().filter(|line| line.contains(&name)).collect();
            assert!(lines.len() == 1 && lines[0].contains(key), "{lines:?}");
            assert!(
                lines[0].contains("WARN") && lines[0].contains("0123456789ab"),
                "{lines:?}"
            );
        }
        assert_eq!(text.lines().count(), 5, "{text}");
    }
}
