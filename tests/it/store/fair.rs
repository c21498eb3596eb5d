//! Fair eviction, through the tier: a tenant that floods harms only itself.

use chacha::store::{Draft, Origin, Rank, Store, Tenancy, Tenant};
use futures_util::future::join_all;

use super::support::*;

const LIMIT: usize = 16 * MIB;

fn tenancy(name: &str, group: &str, rank: Rank) -> Tenancy {
    let tenant = Tenant::new("https://issuer", name, Some(group)).unwrap();
    Tenancy { tenant, rank }
}

/// Somebody who pushes, in a group of its own.
fn alone(name: &str) -> Tenancy {
    tenancy(name, name, Rank::Pushed)
}

async fn put_as(rig: &Rig, tenancy: &Tenancy, name: &str, bytes: &[u8]) {
    let draft = draft();
    let draft = Draft {
        origin: Origin {
            tenancy: Some(tenancy.clone()),
            ..draft.origin
        },
        ..draft
    };
    let spool = spool(&rig.disk.spools(), bytes).await.unwrap();
    let key = key(name);
    let put = rig.disk.put(&key, draft, spool, Default::default());
    put.await.unwrap();
}

/// Writes `count` entries `prefix`0, `prefix`1 and so on.
async fn put_many(rig: &Rig, tenancy: &Tenancy, prefix: &str, count: usize, size: usize) {
    let bytes = body(size, 1);
    for nth in 0..count {
        put_as(rig, tenancy, &format!("{prefix}{nth}"), &bytes).await;
    }
}

async fn settled(rig: &Rig) {
    until("room is made", || {
        rig.disk.stats().used <= rig.config.limit * 98 / 100
    })
    .await;
}

/// How many of the entries that [`put_many`] wrote are there. Does not read them: that would count as use.
async fn left(rig: &Rig, prefix: &str, count: usize) -> usize {
    let mut left = 0;
    for nth in 0..count {
        left += usize::from(
            rig.disk
                .contains(key(&format!("{prefix}{nth}")).digest())
                .await
                .unwrap(),
        );
    }
    left
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_writes_ten_times_the_disk_takes_nothing_of_a_quiet_one() {
    let rig = Rig::new(LIMIT).await;
    put_many(&rig, &alone("quiet"), "quiet", 60, 100 * KIB).await;
    put_many(&rig, &alone("flood"), "flood", 320, 500 * KIB).await;
    settled(&rig).await;
    assert_eq!(left(&rig, "quiet", 60).await, 60);
    assert!(rig.disk.stats().evictions > 100);
    assert!(left(&rig, "flood", 320).await > 10, "what is free is used");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_survive_a_restart_and_a_crash() {
    let mut rig = Rig::new(LIMIT).await;
    // A third: until its rows are read, what a crash leaves belongs to a third group.
    put_many(&rig, &alone("quiet"), "quiet", 40, 100 * KIB).await;
    for clean in [true, false] {
        // All that a crash leaves of these are their files.
        put_many(&rig, &alone("flood"), &format!("flood{clean}"), 40, 500 * KIB).await;
        rig = match clean {
            true => rig.restart().await,
            false => rig.crash().await,
        };
        if clean {
            rig.disk.indexed().await;
            assert_eq!(rig.disk.stats().unread, 0, "the snapshot says it");
        }
        until("it is known whose entries these are", || {
            let stats = rig.disk.stats();
            !stats.indexing && stats.unread == 0
        })
        .await;
        put_many(&rig, &alone("flood"), "again", 160, 500 * KIB).await;
        settled(&rig).await;
        assert_eq!(left(&rig, "quiet", 60).await, 40, "clean: {clean}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_tenants_of_one_group_take_nothing_of_another_group() {
    let rig = Rig::new(2 * LIMIT).await;
    put_many(&rig, &alone("quiet"), "quiet", 20, 500 * KIB).await;
    let bytes = body(100, 1);
    let lanes = (0..8).map(|lane| {
        let (rig, bytes) = (&rig, &bytes);
        async move {
            for nth in (lane..10_000).step_by(8) {
                let name = format!("crowd{nth}");
                put_as(rig, &tenancy(&name, "crowd", Rank::Protected), &name, bytes).await;
            }
        }
    });
    join_all(lanes).await;
    settled(&rig).await;
    assert_eq!(left(&rig, "quiet", 20).await, 20);
    let crowd = left(&rig, "crowd", 10_000).await;
    assert!((1000..9000).contains(&crowd), "{crowd}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_a_tenant_uses_everything() {
    let rig = Rig::new(LIMIT).await;
    put_many(&rig, &alone("alone"), "alone", 100, 500 * KIB).await;
    settled(&rig).await;
    assert!(rig.disk.stats().used > rig.config.limit * 9 / 10);
    // The oldest are gone, in order.
    let there = left(&rig, "alone", 100).await;
    assert!(rig.get(&format!("alone{}", 100 - there)).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pull_requests_take_a_twentieth_of_their_tenants_pushes_and_no_more() {
    let rig = Rig::new(LIMIT).await;
    put_many(&rig, &alone("tenant"), "push", 150, 100 * KIB).await;
    settled(&rig).await;
    let before = left(&rig, "push", 150).await;
    assert!(before > 130);
    let pull_request = tenancy("tenant", "tenant", Rank::Other);
    let bytes = body(100 * KIB, 2);
    for nth in 0..300 {
        put_as(&rig, &pull_request, &format!("pull{nth}"), &bytes).await;
        settled(&rig).await;
        // Its write is never its own victim.
        assert!(rig.get(&format!("pull{nth}")).await.is_some(), "{nth}");
    }
    let lost = before - left(&rig, "push", 150).await;
    let twentieth = LIMIT / 20 / (100 * KIB);
    assert!(lost <= twentieth + 2, "{lost} of {before}, {twentieth} may go");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_counts_for_the_tenant_that_wrote_it_last() {
    let rig = Rig::new(LIMIT).await;
    put_many(&rig, &alone("victim"), "shared", 60, 100 * KIB).await;
    // The same names: from now on they are the flood's, and go first.
    put_many(&rig, &alone("flood"), "shared", 60, 100 * KIB).await;
    put_many(&rig, &alone("victim"), "own", 60, 100 * KIB).await;
    put_many(&rig, &alone("flood"), "flood", 100, 500 * KIB).await;
    settled(&rig).await;
    assert_eq!(
        (left(&rig, "shared", 60).await, left(&rig, "own", 60).await),
        (0, 60)
    );
}
