//! The rules of tenants in the bucket: what goes, and above all what stays.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chacha::cache::bucket_rules::{BucketRules, BucketRulesPace};
use chacha::config::TenantRule;
use chacha::store::tenant_rules::TenantRules;
use chacha::store::{Draft, Origin, Rank, Store, Tenancy, Tenant};

use super::super::support::*;
use super::rig::Pair;
use crate::support::wait::until_true;

/// Everything often.
const OFTEN: BucketRulesPace = BucketRulesPace {
    note_again_after: Duration::ZERO,
    flush: Duration::from_millis(20),
    first_pass: Duration::from_millis(50),
    pass: Duration::from_millis(50),
    step: Duration::ZERO,
    rows_at_once: 1000,
};

/// One pass, soon after the rows that wait are in the bucket.
const ONCE: BucketRulesPace = BucketRulesPace {
    note_again_after: Duration::from_secs(3600),
    first_pass: Duration::from_millis(300),
    pass: Duration::from_secs(3600),
    ..OFTEN
};

/// A rule for the tenant `bound` alone.
fn rules(change: impl FnOnce(&mut TenantRule)) -> TenantRules {
    let mut rule = TenantRule {
        pattern: "*#bound".into(),
        ..TenantRule::default()
    };
    change(&mut rule);
    TenantRules::new(&[rule], 64 << 20)
}

/// Notes uses, and holds no rule yet.
fn noting(pair: &Pair, rules: &TenantRules, timing: BucketRulesPace) -> BucketRules {
    let bucket_rules = BucketRules::new(rules.clone(), Arc::default(), timing);
    pair.tiered.observe_uses(bucket_rules.observer());
    bucket_rules
}

async fn put_as(pair: &Pair, tenant: Option<&str>, name: &str, bytes: &[u8]) {
    let tenant = tenant.and_then(|name| Tenant::new("https://issuer", name, None));
    let rank = Rank::Pushed;
    let draft = draft();
    let draft = Draft {
        origin: Origin {
            stored: SystemTime::now(),
            tenancy: tenant.map(|tenant| Tenancy { tenant, rank }),
            ..draft.origin
        },
        ..draft
    };
    let spool = spool(&pair.disk.spools(), bytes).await.unwrap();
    let key = key(name);
    let put = pair.tiered.put(&key, draft, spool, Default::default());
    put.await.unwrap();
}

fn in_bucket(pair: &Pair, name: &str) -> bool {
    let hex = key(name).digest().to_string();
    let object = format!("v1/{}/{}", &hex[..2], &hex[2..]);
    pair.s3.object(&object).is_some()
}

fn lists(pair: &Pair, prefix: &str) -> Vec<String> {
    let names = pair.s3.objects().into_keys();
    names.filter(|name| name.starts_with(prefix)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_uses_leaves_the_bucket_and_what_any_server_uses_stays() {
    let one = Pair::new().await;
    let two = one.twin(|_| {}).await;
    let rules = rules(|rule| rule.expire_after_unused = Some(Duration::from_secs(2)));
    for pair in [&one, &two] {
        pair.hold(&noting(pair, &rules, OFTEN));
    }
    for name in ["unused", "used", "looked at"] {
        put_as(&one, Some("bound"), name, b"body").await;
    }
    put_as(&one, Some("free"), "free", b"body").await;
    put_as(&one, None, "nobody's", b"body").await;
    until_true("the unused one is gone", async || {
        // Of its own disk, after the first time.
        assert!(two.get("used").await.is_some());
        assert!(one.tiered.head(&key("looked at")).await.unwrap().is_some());
        !in_bucket(&one, "unused")
    })
    .await;
    for name in ["used", "looked at", "free", "nobody's"] {
        assert!(in_bucket(&one, name), "{name}");
    }
    assert!(two.get("unused").await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_a_bound_the_oldest_use_goes_and_the_list_stays_short() {
    let pair = Pair::new().await;
    let held = noting(
        &pair,
        &rules(|rule| rule.max_entries = Some(2)),
        BucketRulesPace {
            note_again_after: Duration::ZERO,
            ..ONCE
        },
    );
    for nth in 0..5 {
        put_as(&pair, Some("bound"), &format!("bound{nth}"), b"body").await;
        put_as(&pair, Some("free"), &format!("free{nth}"), b"body").await;
    }
    assert!(pair.get("bound0").await.is_some());
    pair.hold(&held);
    until("a pass is over", || held.stats().passes == 1).await;
    for (nth, stays) in [true, false, false, false, true].into_iter().enumerate() {
        assert_eq!(in_bucket(&pair, &format!("bound{nth}")), stays, "{nth}");
        assert!(in_bucket(&pair, &format!("free{nth}")));
    }
    let stats = held.stats();
    assert_eq!((stats.removed, stats.removed_bytes), (3, 12));
    let pages = lists(&pair, "v1/uses/");
    assert!(pages.len() == 1 && pages[0].ends_with("-page"), "{pages:?}");
}

/// The one who overwrote it may have noted that nowhere yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_is_newer_than_its_row_stays() {
    let one = Pair::new().await;
    let two = one.twin(|_| {}).await;
    let held = noting(&one, &rules(|rule| rule.max_entries = Some(0)), ONCE);
    for name in ["kept", "overwritten", "another's"] {
        put_as(&one, Some("bound"), name, b"former").await;
    }
    put_as(&two, Some("bound"), "overwritten", b"former").await;
    put_as(&two, Some("free"), "another's", b"former").await;
    one.hold(&held);
    until("a pass is over", || held.stats().passes == 1).await;
    assert!(!in_bucket(&one, "kept"));
    assert!(in_bucket(&one, "overwritten") && in_bucket(&one, "another's"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_use_costs_one_row_a_day_and_nothing_without_a_rule() {
    let pair = Pair::new().await;
    let held = noting(&pair, &rules(|rule| rule.max_entries = Some(9)), ONCE);
    pair.hold(&held);
    put_as(&pair, Some("bound"), "bound", b"body").await;
    put_as(&pair, Some("free"), "free", b"body").await;
    for _ in 0..100 {
        assert!(pair.get("bound").await.is_some() && pair.get("free").await.is_some());
    }
    until("the row is in the bucket", || held.stats().noted > 0).await;
    assert!(pair.get("bound").await.is_some());
    assert_eq!((held.stats().noted, held.stats().pending), (1, 0));
    assert_eq!(lists(&pair, "v1/uses/").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_sends_what_waits_and_a_crash_keeps_everything_that_may_have_been_used() {
    let pair = Pair::new().await;
    let mark = pair.folder().with_file_name("uses");
    let rarely = BucketRulesPace {
        flush: Duration::from_secs(3600),
        ..ONCE
    };
    let unused = Duration::from_secs(2);
    let rules = rules(|rule| rule.expire_after_unused = Some(unused));
    pair.hold(&noting(&pair, &rules, rarely));
    let begun = Instant::now();
    put_as(&pair, Some("bound"), "k", b"body").await;
    until("a crash would be seen", || mark.exists()).await;
    let pair = pair.stop().await;
    assert!(!mark.exists(), "all is told");
    assert_eq!(lists(&pair, "v1/uses/").len(), 1);
    // As a crash leaves it.
    std::fs::write(&mark, "").unwrap();
    until("it seems unused", || begun.elapsed() > unused).await;
    let pair = pair.crash().await;
    let at_once = BucketRulesPace {
        note_again_after: Duration::ZERO,
        ..ONCE
    };
    let held = noting(&pair, &rules, at_once);
    pair.hold(&held);
    until("a pass is over", || held.stats().passes == 1).await;
    assert!(in_bucket(&pair, "k"), "it may have been used before the crash");
    assert_eq!(lists(&pair, "v1/use-gaps/").len(), 1);
    assert!(!mark.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_whose_rows_cannot_all_be_read_is_left_alone() {
    let pair = Pair::new().await;
    let held = noting(&pair, &rules(|rule| rule.max_entries = Some(0)), ONCE);
    put_as(&pair, Some("bound"), "k", b"body").await;
    let tenant = Tenant::new("https://issuer", "bound", None).unwrap();
    let damaged = format!("v1/uses/{}/01ARZ3NDEKTSV4RRFFQ69G5FAV", tenant.digest());
    pair.s3.put_raw(&damaged, "rows of a later version", &[]);
    pair.hold(&held);
    until("a pass is over", || held.stats().passes == 1).await;
    assert!(in_bucket(&pair, "k"));
    assert_eq!(lists(&pair, "v1/uses/").len(), 2);
}

/// A tenant with more entries than fit into the memory of a server is done in slices, and no row may get lost between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_with_very_many_entries_keeps_and_loses_them_all_the_same() {
    let pair = Pair::new().await;
    let rule = |max_entries| TenantRule {
        pattern: "*".into(),
        max_entries: Some(max_entries),
        ..TenantRule::default()
    };
    let rules = TenantRules::new(&[rule(1000)], 64 << 20);
    let pace = BucketRulesPace {
        pass: Duration::from_millis(50),
        rows_at_once: 10,
        ..ONCE
    };
    let held = noting(&pair, &rules, pace);
    for nth in 0..30 {
        put_as(&pair, Some("bound"), &nth.to_string(), b"body").await;
    }
    pair.hold(&held);
    let pages = || {
        lists(&pair, "v1/uses/")
            .into_iter()
            .filter(|name| name.ends_with("-page"))
    };
    until("it is done in slices", || pages().count() >= 4).await;
    let passes = held.stats().passes;
    until("they are read again", || held.stats().passes > passes + 2).await;
    assert_eq!(held.stats().removed, 0);
    rules.replace(&[rule(0)], 64 << 20);
    until("all are gone", || held.stats().removed == 30).await;
    assert!((0..30).all(|nth| !in_bucket(&pair, &nth.to_string())));
}
