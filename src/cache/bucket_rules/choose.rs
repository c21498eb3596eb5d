//! Which entries of a tenant go.

use std::cmp::Reverse;
use std::time::Duration;

use super::row::UseRow;
use crate::store::tenant_rules::TenantLimits;

/// What the rules say at one moment, in milliseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Bounds {
    pub(super) now: u64,
    /// Everything counts as used at this time.
    pub(super) gap: u64,
    pub(super) max_age: Option<u64>,
    pub(super) max_unused: Option<u64>,
    pub(super) max_bytes: Option<u64>,
    pub(super) max_entries: Option<u64>,
    /// These are bounds of a part of the entries: one that is larger than the part of the bytes says nothing of the others.
    pub(super) of_a_part: bool,
}

impl Bounds {
    /// Those of a tenant of whose entries only one in `slices` is looked at. The last use of an entry may be by `slack`
    /// later than its row says.
    pub(super) fn new(limits: &TenantLimits, (now, gap): (u64, u64), slack: Duration, slices: u64) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            now,
            gap,
            max_age: limits.max_age.map(millis),
            max_unused: (limits.expire_after_unused).map(|time| millis(time.saturating_add(slack))),
            max_bytes: limits.max_bytes.map(|most| most / slices),
            max_entries: limits.max_entries.map(|most| most.div_ceil(slices)),
            of_a_part: slices > 1,
        }
    }

    fn is_over(&self, row: &UseRow) -> bool {
        let since =
            |time: u64, most: Option<u64>| most.is_some_and(|most| self.now.saturating_sub(time) >= most);
        since(row.stored, self.max_age) || since(row.used.max(row.stored).max(self.gap), self.max_unused)
    }
}

/// Those that stay and those that go: the lowest rank and the oldest use first, after what is too old.
pub(super) fn choose(rows: Vec<UseRow>, bounds: &Bounds) -> (Vec<UseRow>, Vec<UseRow>) {
    let (mut go, mut stay): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| bounds.is_over(row));
    stay.sort_unstable_by_key(|row| (row.rank, Reverse(row.used), *row.key.digest()));
    let (mut bytes, mut entries) = (0_u64, 0_u64);
    let fits = |row: &&UseRow| {
        if bounds.of_a_part && bounds.max_bytes.is_some_and(|most| row.size > most) {
            return true;
        }
        bytes = bytes.saturating_add(row.size);
        entries += 1;
        bounds.max_bytes.is_none_or(|most| bytes <= most)
            && bounds.max_entries.is_none_or(|most| entries <= most)
    };
    let fitting = stay.iter().take_while(fits).count();
    let beyond = stay.split_off(fitting);
    go.extend(beyond.into_iter().rev());
    (stay, go)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Protocol, Rank, StoreKey};

    fn row(name: &str, stored: u64, used: u64) -> UseRow {
        UseRow {
            key: StoreKey::new("i".into(), "n".into(), Protocol::Http, name.as_bytes()),
            size: 10,
            stored,
            used,
            rank: Rank::Pushed,
        }
    }

    fn going(rows: &[UseRow], bounds: &Bounds) -> Vec<u64> {
        let (stay, go) = choose(rows.to_vec(), bounds);
        assert_eq!(stay.len() + go.len(), rows.len());
        go.iter().map(|row| row.used).collect()
    }

    #[test]
    fn ages_count_from_the_write_and_unused_times_from_the_last_use() {
        let rows = [row("a", 10, 100), row("b", 50, 60), row("c", 10, 20)];
        let bounds = |now| Bounds {
            now,
            ..Bounds::default()
        };
        let aged = Bounds {
            max_age: Some(90),
            ..bounds(100)
        };
        assert_eq!(going(&rows, &aged), [100, 20]);
        let unused = Bounds {
            max_unused: Some(40),
            ..bounds(100)
        };
        assert_eq!(going(&rows, &unused), [60, 20]);
        // Rows may have been lost until then.
        let lost = Bounds { gap: 61, ..unused };
        assert_eq!(going(&rows, &lost), [0; 0]);
    }

    #[test]
    fn the_last_use_may_be_a_slack_later_than_its_row_says() {
        let limits = TenantLimits {
            expire_after_unused: Some(Duration::from_millis(40)),
            ..TenantLimits::default()
        };
        let bounds = |now| Bounds::new(&limits, (now, 0), Duration::from_millis(5), 1);
        assert_eq!(going(&[row("a", 10, 10)], &bounds(54)), [0; 0]);
        assert_eq!(going(&[row("a", 10, 10)], &bounds(55)), [10]);
    }

    #[test]
    fn one_large_entry_takes_no_others_of_its_slice_along() {
        let mut rows = [row("a", 1, 1), row("b", 1, 2), row("c", 1, 3)];
        rows[2].size = 1000;
        let limits = TenantLimits {
            max_bytes: Some(80),
            max_entries: Some(3),
            ..TenantLimits::default()
        };
        let bounds = |slices| Bounds::new(&limits, (9, 0), Duration::ZERO, slices);
        // It was used last, and 20 bytes are the part of a slice.
        assert_eq!(going(&rows[1..], &bounds(4)), [0; 0]);
        assert_eq!(going(&rows, &bounds(8)), [1]);
        assert_eq!(going(&rows, &bounds(1)), [1, 2, 3], "alone it fits nowhere");
    }

    #[test]
    fn beyond_bounds_the_lowest_rank_and_the_oldest_use_go_first() {
        let mut rows = [row("a", 1, 1), row("b", 1, 2), row("c", 1, 3), row("d", 1, 4)];
        (rows[0].rank, rows[3].rank) = (Rank::Protected, Rank::Other);
        let entries = |most| Bounds {
            max_entries: Some(most),
            ..Bounds::default()
        };
        assert_eq!(going(&rows, &entries(4)), [0; 0]);
        assert_eq!(going(&rows, &entries(1)), [4, 2, 3]);
        let bytes = |most| Bounds {
            max_bytes: Some(most),
            ..Bounds::default()
        };
        assert_eq!(going(&rows, &bytes(39)), [4]);
        assert_eq!(going(&rows, &bytes(20)), [4, 2]);
        assert_eq!(going(&rows, &bytes(9)).len(), 4);
    }
}
