//! Fair eviction, through the tier: a tenant that floods harms only itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chacha::config::{Share, TenantRule};
use chacha::store::blocks::BlockPlace;
use chacha::store::spool::SpoolWriter;
use chacha::store::tenant_rules::TenantRules;
use chacha::store::{Draft, Error, Origin, Rank, Result, Shortage, Store, Tenancy, Tenant};
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
    try_put(rig, tenancy, name, bytes).await.unwrap();
}

async fn try_put(rig: &Rig, tenancy: &Tenancy, name: &str, bytes: &[u8]) -> Result<()> {
    let draft = draft();
    let draft = Draft {
        origin: Origin {
            tenancy: Some(tenancy.clone()),
            ..draft.origin
        },
        ..draft
    };
    let spools = rig.disk.spools().of(Some(&tenancy.tenant));
    let spool = write_spool(&spools, bytes, Some(bytes.len() as u64), 50_000).await?;
    let key = key(name);
    rig.disk.put(&key, draft, spool, Default::default()).await?;
    Ok(())
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
    assert!(rig.disk.stats().evicted() > 100);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_leaves_is_its_tenants_before_anybody_has_read_it() {
    let rig = Rig::new(4 * LIMIT).await;
    // Many files, so that they are not read in a moment, and the oldest, so that it is their turn first.
    put_many(&rig, &alone("quiet"), "quiet", 3000, KIB).await;
    put_many(&rig, &alone("flood"), "flood", 48, MIB).await;
    let rig = rig.crash().await;
    put_many(&rig, &alone("flood"), "again", 30, MIB).await;
    settled(&rig).await;
    assert_eq!(left(&rig, "quiet", 3000).await, 3000);
}

fn is_share<T>(refused: &Result<T>) -> bool {
    let reason = refused.as_ref().err().map(|error| match error {
        Error::NoSpace { reason, .. } => *reason,
        other => panic!("{other}"),
    });
    matches!(reason, Some(Shortage::Share { .. }))
}

/// A byte now and then, until the writer is told that its room is needed, which is the answer, or all is done.
async fn trickle(mut writer: SpoolWriter, done: &AtomicBool) -> bool {
    while !done.load(Ordering::Relaxed) {
        let written = writer.write(Bytes::from_static(b"x")).await;
        if written.is_err() {
            assert!(is_share(&written), "{written:?}");
            return true;
        }
        tokio::time::timeout(Duration::from_millis(5), std::future::pending::<()>())
            .await
            .ok();
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_of_others_give_room_before_a_tenant_within_its_share_loses_an_entry() {
    let rig = Rig::new(LIMIT).await;
    put_many(&rig, &alone("quiet"), "quiet", 12, 500 * KIB).await;
    let spools = rig.disk.spools().of(Some(&alone("flood").tenant));
    let mut writers = Vec::new();
    for _ in 0..5 {
        let mut writer = spools.create(Some(7 * MIB as u64 / 4)).await.unwrap();
        writer.write(body(MIB, 1).into()).await.unwrap();
        writers.push(writer);
    }
    let done = AtomicBool::new(false);
    let trickles = join_all(writers.into_iter().map(|writer| trickle(writer, &done)));
    let puts = async {
        put_many(&rig, &alone("quiet"), "more", 3, 500 * KIB).await;
        done.store(true, Ordering::Relaxed);
    };
    let (revoked, ()) = tokio::join!(trickles, puts);
    assert!(revoked.contains(&true), "nothing had to be taken back");
    assert_eq!(
        (left(&rig, "quiet", 12).await, left(&rig, "more", 3).await),
        (12, 3)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_hold_all_room_and_go_on_slowly_give_it_back_to_a_quiet_tenant() {
    let rig = Rig::new(LIMIT).await;
    let spools = rig.disk.spools().of(Some(&alone("flood").tenant));
    let mut writers = Vec::new();
    for _ in 0..8 {
        let mut writer = spools.create(Some(7 * MIB as u64 / 4)).await.unwrap();
        writer.write(body(MIB, 1).into()).await.unwrap();
        writers.push(writer);
    }
    assert!(rig.disk.stats().reserved > 13 * MIB as u64);
    let done = AtomicBool::new(false);
    let trickles = writers.into_iter().map(|writer| trickle(writer, &done));
    let put = async {
        put_as(&rig, &alone("quiet"), "quiet", &[7; 5 * MIB]).await;
        done.store(true, Ordering::Relaxed);
    };
    let started = std::time::Instant::now();
    let (revoked, ()) = tokio::join!(join_all(trickles), put);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    // No more than what is needed, and the youngest of them.
    let revoked: Vec<_> = revoked.iter().map(|revoked| u8::from(*revoked)).collect();
    assert!(
        revoked.is_sorted() && (1..5).contains(&revoked.iter().sum::<u8>()),
        "{revoked:?}"
    );
    // Within its share, it stays.
    for nth in 0..10 {
        let refused = try_put(&rig, &alone("flood"), &format!("flood{nth}"), &[7; 4 * MIB]).await;
        assert!(refused.is_ok() || is_share(&refused), "{refused:?}");
        assert!(rig.disk.contains(key("quiet").digest()).await.unwrap(), "{nth}");
    }
    assert!(rig.get("quiet").await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_in_blocks_gives_its_room_back_to_a_quiet_tenant() {
    let rig = Rig::new(LIMIT).await;
    let (dir, _) = rig
        .disk
        .blocks_of(|note| Some(alone(std::str::from_utf8(note).ok()?).tenant))
        .await
        .unwrap();
    let upload = dir.create(1, b"flood".to_vec()).await.unwrap();
    for nth in 0..6_u8 {
        let mut writer = upload
            .writer(BlockPlace::Block([nth].into()), Some(2 * MIB as u64))
            .await
            .unwrap();
        writer.write(body(2 * MIB, 1).into()).await.unwrap();
        writer.finish().await.unwrap();
    }
    let quiet = alone("quiet");
    let put = put_as(&rig, &quiet, "quiet", &[7; 5 * MIB]);
    let give_up = async {
        until("its room is needed", || upload.is_revoked()).await;
        let refused = upload.writer(BlockPlace::Block([9].into()), Some(1)).await;
        assert!(refused.is_err());
        upload.remove().await;
    };
    tokio::join!(put, give_up);
    assert!(rig.get("quiet").await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_is_too_large_for_its_tenants_share_is_refused_at_once_with_both_sizes() {
    let rig = Rig::new(LIMIT).await;
    put_many(&rig, &alone("first"), "first", 40, 500 * KIB).await;
    settled(&rig).await;
    let size = 10 * MIB as u64;
    let refused = rig
        .disk
        .spools()
        .of(Some(&alone("second").tenant))
        .create(Some(size))
        .await;
    assert!(is_share(&refused));
    let text = chacha::error::Classify::public(&refused.unwrap_err());
    assert!(text.contains("share of"), "{text}");
    assert_eq!(rig.disk.stats().reserved, 0);
    // Alone it could.
    put_as(&rig, &alone("first"), "large", &vec![7; size as usize]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_a_length_asks_for_no_more_than_a_small_share_has() {
    let rig = Rig::new(LIMIT).await;
    let quiet = alone("quiet");
    put_many(&rig, &quiet, "quiet", 8, 20 * KIB).await;
    let mut writers = Vec::new();
    for nth in 0..37 {
        let spools = rig.disk.spools().of(Some(&alone(&format!("crowd{nth}")).tenant));
        let mut writer = spools.create(Some(400 * KIB as u64)).await.unwrap();
        writer.write(Bytes::from_static(b"x")).await.unwrap();
        writers.push(writer);
    }
    let spools = rig.disk.spools().of(Some(&quiet.tenant));
    // Much more than this is free, but less than a step of a large share.
    write_spool(&spools, &body(20 * KIB, 1), None, 5000)
        .await
        .unwrap();
    assert_eq!(rig.disk.stats().evicted(), 0);
    assert_eq!(left(&rig, "quiet", 8).await, 8);
}

/// Rules for one tenant.
fn rules(change: impl FnOnce(&mut TenantRule)) -> TenantRules {
    let mut rule = TenantRule {
        pattern: "*#bound".into(),
        ..TenantRule::default()
    };
    change(&mut rule);
    TenantRules::new(&[rule], LIMIT as u64)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_at_a_bound_of_its_own_loses_its_own_entries_the_lowest_rank_first() {
    let rig = Rig::new(LIMIT).await;
    rig.disk.follow(&rules(|rule| rule.max_entries = Some(10)));
    let (bound, other) = (alone("bound"), alone("other"));
    put_many(&rig, &other, "other", 20, 1000).await;
    put_many(&rig, &bound, "push", 9, 1000).await;
    put_many(&rig, &tenancy("bound", "bound", Rank::Other), "pull", 5, 1000).await;
    assert_eq!((left(&rig, "push", 9).await, left(&rig, "pull", 5).await), (9, 1));
    // An overwrite needs no room.
    put_many(&rig, &bound, "push", 9, 1000).await;
    assert_eq!((left(&rig, "push", 9).await, left(&rig, "pull", 5).await), (9, 1));
    put_many(&rig, &bound, "more", 8, 1000).await;
    assert_eq!(left(&rig, "pull", 5).await, 0);
    assert_eq!(left(&rig, "push", 9).await + left(&rig, "more", 8).await, 10);
    assert_eq!(left(&rig, "more", 8).await, 8, "the oldest went");
    assert_eq!(left(&rig, "other", 20).await, 20);
    // Nothing can make way.
    for nth in 0..8 {
        rig.disk.pin(key(&format!("more{nth}")).digest());
    }
    rig.disk.pin(key("push7").digest());
    rig.disk.pin(key("push8").digest());
    let refused = try_put(&rig, &bound, "last", b"x").await.unwrap_err();
    assert!(refused.to_string().contains("max_entries"), "{refused}");
    put_as(&rig, &bound, "push8", b"x").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_never_holds_more_bytes_than_its_rule_allows() {
    let rig = Rig::new(LIMIT).await;
    rig.disk
        .follow(&rules(|rule| rule.max_bytes = Some(Share::Bytes(3 * MIB as u64))));
    let bound = alone("bound");
    let lanes = (0..4).map(|lane| {
        let (rig, bound) = (&rig, &bound);
        async move {
            for nth in 0..10 {
                try_put(rig, bound, &format!("{lane}-{nth}"), &body(500 * KIB, 1))
                    .await
                    .ok();
                assert!(rig.disk.stats().used + rig.disk.stats().reserved < 4 * MIB as u64);
            }
        }
    });
    join_all(lanes).await;
    assert!(rig.disk.stats().entries >= 4);
    let refused = try_put(&rig, &bound, "large", &body(4 * MIB, 1))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("max_bytes"), "{refused}");
    put_many(&rig, &alone("other"), "other", 8, MIB).await;
}

/// Bytes as well, in many batches, and neither those of others nor what waits for another tier.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_that_is_lowered_is_kept_at_once_by_whom_it_is_for() {
    let rig = Rig::new(LIMIT).await;
    let rule = |max_bytes| TenantRule {
        pattern: "*#large".into(),
        max_bytes,
        ..TenantRule::default()
    };
    let rules = TenantRules::new(&[rule(None)], rig.config.limit);
    rig.disk.follow(&rules);
    put_many(&rig, &alone("large"), "large", 600, 100).await;
    put_many(&rig, &alone("other"), "other", 100, 100).await;
    rig.disk.pin(key("large0").digest());
    rules.replace(&[rule(Some(Share::Bytes(10 * 4096)))], rig.config.limit);
    rig.disk.rules_changed();
    until("only the bound is left", || rig.disk.stats().entries == 110).await;
    assert_eq!(left(&rig, "other", 100).await, 100);
    assert_eq!(left(&rig, "large", 1).await, 1, "it waits for another tier");
    assert_eq!(left(&rig, "large", 600).await, 10);
}
