//! Single cases.

use std::sync::Arc;

use super::{TestRules, tenant};
use crate::store::shares::{EvictionCause, NumberedTenancy, Place, Shares, TenantHandle, TenantNumber};
use crate::store::tenant::Rank;

fn shares(capacity: u64) -> Arc<Shares> {
    Arc::new(Shares::new(capacity))
}

fn handle(shares: &Arc<Shares>, number: usize, group: usize) -> TenantHandle {
    TenantHandle::new(shares, Some(&tenant(number, group)))
}

fn add(shares: &Shares, handle: &TenantHandle, rank: Rank, bytes: u64) {
    let mut table = shares.table();
    table.add_entry(handle.number(), Place::Rank(rank), bytes);
}

fn victim(shares: &Shares) -> Option<NumberedTenancy> {
    shares.table().victim(None).map(|victim| victim.whose)
}

#[test]
fn a_number_is_given_to_another_tenant_when_nothing_needs_it() {
    let shares = shares(100);
    let first = handle(&shares, 1, 1);
    let number = first.number();
    assert_ne!(number, TenantNumber::UNKNOWN);
    add(&shares, &first, Rank::Other, 5);
    let serial = shares.table().tenant(number).map(|(_, serial)| serial);
    drop(first);
    let again = handle(&shares, 1, 1);
    assert_eq!(
        (again.number(), shares.table().holdings(number).bytes()),
        (number, 5)
    );
    drop(again);
    shares.table().remove_entry(number, Place::Rank(Rank::Other), 5);
    assert!(shares.table().tenant(number).is_none());
    let other = handle(&shares, 2, 2);
    assert_eq!(other.number(), number);
    assert_ne!(shares.table().tenant(number).map(|(_, serial)| serial), serial);
}

#[test]
fn ten_thousand_tenants_of_one_group_take_nothing_from_another_group() {
    let shares = shares(2_000_000);
    let quiet = handle(&shares, 0, 0);
    add(&shares, &quiet, Rank::Pushed, 900_000);
    let crowd: Vec<_> = (1..10_001).map(|number| handle(&shares, number, 1)).collect();
    for tenant in &crowd {
        add(&shares, tenant, Rank::Protected, 200);
    }
    for _ in 0..5000 {
        let victim = victim(&shares).expect("somebody gives room");
        assert_ne!(victim.tenant, quiet.number());
        let place = Place::Rank(victim.rank);
        shares.table().remove_entry(victim.tenant, place, 200);
    }
    assert_eq!(shares.table().share(quiet.number()), 1_000_000);
    assert_eq!(shares.table().share(crowd[0].number()), 1_000_000 / 5000);
}

#[test]
fn alone_a_tenant_has_everything_and_gives_its_lowest_rank_beyond_a_twentieth() {
    let shares = shares(1000);
    let alone = handle(&shares, 1, 1);
    assert_eq!(shares.table().share(alone.number()), 1000);
    add(&shares, &alone, Rank::Protected, 900);
    add(&shares, &alone, Rank::Pushed, 100);
    add(&shares, &alone, Rank::Other, 50);
    assert_eq!(victim(&shares).map(|victim| victim.rank), Some(Rank::Pushed));
    add(&shares, &alone, Rank::Other, 1);
    assert_eq!(victim(&shares).map(|victim| victim.rank), Some(Rank::Other));
    assert_eq!(
        shares
            .table()
            .own_victim(alone.number())
            .map(|victim| victim.whose.rank),
        Some(Rank::Other)
    );
}

#[test]
fn what_cannot_be_evicted_is_nobody_elses_loss() {
    let shares = shares(1000);
    let (stuck, quiet) = (handle(&shares, 1, 1), handle(&shares, 2, 2));
    shares.table().reserve(stuck.number(), 900);
    add(&shares, &quiet, Rank::Other, 200);
    assert!(shares.table().is_above(stuck.number(), 0) && !shares.table().is_above(quiet.number(), 0));
    assert_eq!(victim(&shares), None);
    // Its own need is another matter.
    let own = shares.table().victim(Some(quiet.number()));
    assert_eq!(
        own.map(|own| (own.whose.tenant, own.cause)),
        Some((quiet.number(), EvictionCause::Own))
    );
    // Nor is it when they are of one group.
    let sibling = handle(&shares, 3, 1);
    add(&shares, &sibling, Rank::Other, 100);
    assert_eq!(victim(&shares), None);
    shares.table().release(stuck.number(), 900);
    assert!(
        victim(&shares).is_some(),
        "what belongs to no tenant has used up the room"
    );
}

#[test]
fn a_reservation_is_divided_among_those_that_match_and_comes_off_the_top() {
    let shares = shares(1000);
    let rules = TestRules {
        reservations: vec![400],
        tenants: vec![(1, vec![0]), (1, vec![0]), (2, vec![])],
    };
    shares.table().follow(rules.rules());
    let handle = |number| TenantHandle::new(&shares, Some(&rules.tenant(number, number)));
    let (small, large, other) = (handle(0), handle(1), handle(2));
    add(&shares, &small, Rank::Other, 100);
    add(&shares, &large, Rank::Other, 500);
    add(&shares, &other, Rank::Other, 300);
    // 600 are divided by the weights 1, 1 and 2. 100 and 300 of the reservation are covered.
    let share = |handle: &TenantHandle| shares.table().share(handle.number());
    assert_eq!(
        [share(&small), share(&large), share(&other)],
        [150 + 200, 150 + 300, 300]
    );
    assert_eq!(victim(&shares).map(|victim| victim.tenant), Some(large.number()));
    // Rules that say nothing: groups are equal.
    shares.table().follow(TestRules::default().rules());
    assert_eq!([share(&small), share(&large), share(&other)], [333; 3]);
}

#[test]
fn a_group_weighs_as_much_as_its_heaviest_tenant_that_holds_something() {
    let shares = shares(900);
    let rules = TestRules {
        reservations: vec![],
        tenants: vec![(1, vec![]), (1, vec![]), (8, vec![])],
    };
    shares.table().follow(rules.rules());
    let (light, sibling, heavy) = (
        handle(&shares, 0, 0),
        handle(&shares, 1, 1),
        handle(&shares, 2, 1),
    );
    add(&shares, &light, Rank::Other, 10);
    add(&shares, &sibling, Rank::Other, 10);
    let share = |handle: &TenantHandle| shares.table().share(handle.number());
    assert_eq!(
        [share(&light), share(&sibling), share(&heavy)],
        [450, 450, 800 * 8 / 9]
    );
    add(&shares, &heavy, Rank::Other, 10);
    assert_eq!(
        [share(&light), share(&sibling), share(&heavy)],
        [100, 800 / 9, 800 * 8 / 9]
    );
}
