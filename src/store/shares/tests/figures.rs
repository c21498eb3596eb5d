//! What operators see of it.

use super::super::figures::HeldFigures;
use std::sync::Arc;

use super::*;
use crate::store::shares::{EvictionCause, Place, Shares, TenantHandle};
use crate::store::tenant::Rank;

fn tenant(nth: u32) -> Tenant {
    let name = nth.to_string();
    Tenant::new("https://issuer.test", &name, Some(&name)).expect("a tenant")
}

/// Whatever tenants there are, no more labels come from them, and nothing of what they hold is lost.
#[test]
fn very_many_tenants_are_few_figures_that_sum_up() {
    let shares = Arc::new(Shares::new(5_000_000));
    let mut handles = Vec::new();
    for nth in 0..5000 {
        let handle = TenantHandle::new(&shares, Some(&tenant(nth)));
        let bytes = if nth % 1000 == 7 {
            100_000 + u64::from(nth)
        } else {
            100
        };
        (shares.table()).add_entry(handle.number(), Place::Rank(Rank::Other), bytes);
        handle.reserve(1);
        handles.push(handle);
    }
    let figures = shares.figures(3);
    assert_eq!(figures.tenants, 5000);
    let labels: Vec<_> = figures.largest.iter().map(|large| large.tenant.clone()).collect();
    assert_eq!(labels, [4007, 3007, 2007].map(|nth| Some(tenant(nth))));
    assert!(
        figures
            .largest
            .iter()
            .all(|large| large.held.above == 1 && large.share == 1000)
    );
    let sum = 4997 * 101 - 2 * 100 + 101_007 + 100_007;
    let expected = HeldFigures {
        bytes: sum,
        entries: 4997,
        reserved: 4997,
        above: 2,
    };
    assert_eq!(figures.others, expected);
    assert_eq!(figures.divided, 5_000_000);
}

#[test]
fn evictions_are_counted_for_the_tenant_as_long_as_it_has_its_seat() {
    let shares = Arc::new(Shares::new(1000));
    let handle = TenantHandle::new(&shares, Some(&tenant(1)));
    let number = handle.number();
    handle.reserve(5);
    shares.table().count_eviction(number, EvictionCause::Rule);
    let evictions = |shares: &Shares| shares.figures(1).largest[0].evictions;
    assert_eq!(evictions(&shares)[EvictionCause::Rule as usize], 1);
    handle.release(5);
    assert!(shares.figures(1).largest.is_empty());
    drop(handle);
    let other = TenantHandle::new(&shares, Some(&tenant(2)));
    other.reserve(5);
    assert_eq!(other.number(), number, "the seat is another one's");
    assert_eq!(evictions(&shares), [0; EvictionCause::ALL.len()]);
}

#[test]
fn a_tenant_that_has_left_since_it_was_seen_is_nobody() {
    let shares = Arc::new(Shares::new(1000));
    let handle = TenantHandle::new(&shares, Some(&tenant(1)));
    handle.reserve(5);
    let mut table = shares.table();
    let seen = table.seen(handle.number().get()).expect("it holds something");
    assert!(table.large_tenant(seen).is_some());
    drop(table);
    handle.release(5);
    drop(handle);
    let mut table = shares.table();
    assert!(table.large_tenant(seen).is_none());
}
