//! Whoever is above its share waits for others, is refused first, and gives room back.

use super::*;
use crate::config::{Share, TenantRule};
use crate::store::Tenant;
use crate::store::shares::TenantHandle;
use crate::store::tenant_rules::{HeldBound, TenantRules};

/// A tenant in a group of its own.
fn owner(budget: &Budget, name: &str) -> Owner {
    let tenant = Tenant::new("https://issuer.test", name, Some(name));
    Owner::tenant(TenantHandle::new(budget.shares(), tenant.as_ref()))
}

fn share_of<T>(refused: Result<T>) -> u64 {
    match refused.err() {
        Some(Error::NoSpace {
            reason: Shortage::Share { share },
            ..
        }) => share,
        other => panic!("{other:?}"),
    }
}

macro_rules! pending {
    ($future:expr) => {
        assert!(futures_util::poll!(&mut $future).is_pending())
    };
}

#[tokio::test(start_paused = true)]
async fn whoever_is_above_its_share_is_refused_at_once_when_nobody_can_give_room() {
    let budget = budget(0);
    let (flood, quiet) = (owner(&budget, "flood"), owner(&budget, "quiet"));
    let held = budget
        .reserve_for(&flood, 70 * MIB, Ask::New)
        .await
        .expect("room");
    let small = budget
        .reserve_for(&quiet, 10 * MIB, Ask::New)
        .await
        .expect("room");
    let started = Instant::now();
    // What it holds does not wait, and may become an entry: for that it waits a moment.
    let mut more = Box::pin(budget.reserve_for(&flood, 30 * MIB, Ask::New));
    pending!(more);
    budget.exhausted();
    pending!(more);
    assert!(share_of(more.await) > 45 * MIB);
    assert_eq!(started.elapsed(), ABOVE_WAIT_TIMEOUT);
    // Without that, there is nothing to wait for.
    let mut grows = Box::pin(held.ensure(100 * MIB, 0));
    let mut new = Box::pin(budget.reserve_for(&flood, 30 * MIB, Ask::New));
    pending!(grows);
    pending!(new);
    budget.exhausted();
    share_of(new.await);
    budget.exhausted();
    share_of(grows.await);
    assert_eq!(started.elapsed(), ABOVE_WAIT_TIMEOUT);
    drop((held, small));
    assert_eq!(
        budget
            .shares()
            .table()
            .holdings(quiet.number().expect("a tenant"))
            .bytes(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_is_not_above_its_share_is_served_first_and_gets_room_back_from_those_who_are() {
    let budget = budget(0);
    let (flood, quiet) = (owner(&budget, "flood"), owner(&budget, "quiet"));
    let kept = budget
        .reserve_for(&flood, 40 * MIB, Ask::New)
        .await
        .expect("room");
    let stalled = budget
        .reserve_for(&flood, 20 * MIB, Ask::New)
        .await
        .expect("room");
    let grows = budget
        .reserve_for(&flood, 30 * MIB, Ask::New)
        .await
        .expect("room");
    let watches = [&kept, &stalled, &grows].map(|room| room.may_be_revoked());
    kept.keep();
    let mut growth = Box::pin(grows.ensure(50 * MIB, 0));
    pending!(growth);
    // One more than what the youngest one holds is missing.
    let mut first = Box::pin(budget.reserve_for(&quiet, 41 * MIB, Ask::New));
    pending!(first);
    budget.exhausted();
    // The youngest one waits, and fails at once; the other one is told.
    share_of(growth.await);
    share_of::<()>(Err(watches[1].revoked().await));
    assert_eq!(watches.map(|watch| watch.is_revoked()), [false, true, true]);
    pending!(first);
    // What it asks for now comes behind.
    let mut behind = Box::pin(budget.reserve_for(&flood, 15 * MIB, Ask::New));
    pending!(behind);
    drop(grows);
    pending!(first);
    pending!(behind);
    drop(stalled);
    let first = first.await.expect("its turn");
    behind.await.expect("room");
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_waits_counts_with_what_it_waits_for() {
    let budget = budget(0);
    let (large, small) = (owner(&budget, "large"), owner(&budget, "small"));
    let table = || budget.shares().table();
    let held = budget
        .reserve_for(&large, 60 * MIB, Ask::New)
        .await
        .expect("room");
    let mut waits = Box::pin(budget.reserve_for(&small, 45 * MIB, Ask::New));
    pending!(waits);
    assert_eq!(
        table().holdings(small.number().expect("a tenant")).reserved,
        45 * MIB
    );
    assert!(table().is_above(large.number().expect("a tenant"), 0));
    drop(waits);
    assert_eq!(table().holdings(small.number().expect("a tenant")).reserved, 0);
    assert!(!table().is_above(large.number().expect("a tenant"), 0));
    let part = held.split(20 * MIB);
    let other = budget.hold(&small, 0);
    part.move_to(&other, 5 * MIB);
    drop((held, part));
    assert_eq!(
        table().holdings(small.number().expect("a tenant")).reserved,
        5 * MIB
    );
    assert_eq!(table().holdings(large.number().expect("a tenant")).reserved, 0);
}

#[tokio::test]
async fn an_entry_larger_than_what_is_free_and_what_its_tenant_may_push_out_is_refused_before_it_comes() {
    let budget = budget(0);
    let (flood, quiet) = (owner(&budget, "flood"), owner(&budget, "quiet"));
    let held = budget
        .reserve_for(&flood, 80 * MIB, Ask::New)
        .await
        .expect("room");
    budget
        .check_share(&flood, 98 * MIB)
        .expect("it could push out its own");
    let share = share_of(budget.check_share(&quiet, 80 * MIB));
    assert_eq!(share, 49 * MIB);
    budget.check_share(&quiet, 69 * MIB).expect("20 are free");
    drop(held);
    budget.check_share(&quiet, 100 * MIB).expect("all is free");
}

#[tokio::test]
async fn a_tenant_at_its_bound_makes_room_for_itself_or_is_refused() {
    let budget = budget(0);
    let rule = TenantRule {
        pattern: "*".into(),
        max_bytes: Some(Share::Bytes(10 * MIB)),
        ..TenantRule::default()
    };
    budget.shares().table().follow(TenantRules::new(&[rule], 0));
    let bound = owner(&budget, "bound");
    assert!(budget.check_share(&bound, 11 * MIB).is_err(), "it can never fit");
    let held = budget.reserve_for(&bound, 8 * MIB, Ask::New).await.expect("room");
    let mut more = Box::pin(budget.reserve_for(&bound, 4 * MIB, Ask::New));
    pending!(more);
    let demand = budget.own_demands().remove(0);
    assert_eq!((demand.bytes, demand.owner.number()), (2 * MIB, bound.number()));
    held.release(2 * MIB);
    demand.answer.send(2 * MIB).expect("it waits");
    let more = more.await.expect("room");
    let mut last = Box::pin(budget.reserve_for(&bound, MIB, Ask::New));
    pending!(last);
    budget.own_demands().remove(0).answer.send(0).expect("it waits");
    let refused = last.await.expect_err("nothing can make way");
    let reason = Shortage::Rule {
        rule: HeldBound::MaxBytes,
        limit: 10 * MIB,
    };
    assert!(
        matches!(refused, Error::NoSpace { reason: found, .. } if found == reason),
        "{refused}"
    );
    assert!(crate::error::Classify::public(&refused).contains("max_bytes"));
    drop((held, more));
    // The room of nobody has no bound.
    budget.reserve(20 * MIB, Ask::New).await.expect("room");
}
