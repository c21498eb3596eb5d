use super::rate::WriteRate;
use super::*;
use crate::config::TenantRule;
use crate::store::tenant_rules::TenantBound;
use crate::store::{Error, Rank};
use std::time::Duration;

fn loads(change: impl FnOnce(&mut TenantRule)) -> TenantLoads {
    let mut rule = TenantRule {
        pattern: "*".into(),
        ..TenantRule::default()
    };
    change(&mut rule);
    TenantLoads::new(TenantRules::new(&[rule], 1000))
}

fn tenancy(value: &str) -> Tenancy {
    Tenancy {
        tenant: Tenant::new("https://issuer.test", value, None).expect("tenant"),
        rank: Rank::Pushed,
    }
}

fn kept(loads: &TenantLoads) -> usize {
    loads.0.loads.lock().expect("lock").by_tenant.len()
}

#[test]
fn a_tenant_at_its_bound_is_refused_until_a_request_ends_and_others_are_not() {
    let loads = loads(|rule| rule.requests_in_flight = Some(2));
    let tenant = tenancy("a").tenant;
    let (first, _second) = (
        loads.enter(&tenant).expect("free"),
        loads.enter(&tenant).expect("free"),
    );
    let refused = loads.enter(&tenant).expect_err("both are taken");
    assert!(matches!(
        refused,
        Error::OverBound {
            bound: TenantBound::RequestsInFlight,
            ..
        }
    ));
    assert!(loads.enter(&tenancy("b").tenant).is_ok());
    drop(first);
    assert!(loads.enter(&tenant).is_ok());
}

/// Whoever makes tenants without end must not fill the memory with what is not under way.
#[test]
fn tenants_with_nothing_under_way_are_forgotten() {
    let loads = loads(|rule| {
        rule.requests_in_flight = Some(2);
        rule.write_rate = Some(1000);
    });
    let held = loads.enter(&tenancy("held").tenant).expect("free");
    for nth in 0..10_000 {
        let tenancy = tenancy(&nth.to_string());
        drop(loads.enter(&tenancy.tenant).expect("free"));
        loads
            .writes(Some(&tenancy), Writer::request(), 10)
            .take(0)
            .expect("full");
    }
    assert!(kept(&loads) <= MIN_SWEPT, "{}", kept(&loads));
    let again = loads.enter(&tenancy("held").tenant).expect("one more");
    assert!(
        loads.enter(&tenancy("held").tenant).is_err(),
        "the first was not forgotten"
    );
    drop((held, again));
}

#[test]
fn without_a_rule_nothing_is_kept() {
    let loads = loads(|rule| rule.max_entry_size = Some(7));
    assert!(loads.enter(&tenancy("a").tenant).expect("free").is_none());
    loads
        .writes(Some(&tenancy("a")), Writer::request(), 10)
        .take(u64::MAX)
        .expect("free");
    loads
        .writes(None, Writer::request(), 10)
        .take(u64::MAX)
        .expect("nobody's");
    assert_eq!(kept(&loads), 0);
    assert_eq!(loads.largest(Some(&tenancy("a")), 10), 7);
    assert_eq!(loads.largest(Some(&tenancy("a")), 5), 5);
    assert_eq!(loads.largest(None, 10), 10);
}

const RATE: u64 = 100;
const LARGEST: u64 = 1000;

struct Bucket {
    rate: WriteRate,
    now: Instant,
}

impl Bucket {
    fn take(&mut self, writer: u64, bytes: u64) -> Result<(), u64> {
        let writer = (Writer::Upload(writer), LARGEST);
        let taken = self.rate.take((self.now, RATE), writer, bytes);
        taken.map_err(|wait| wait.as_secs())
    }

    fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }
}

fn bucket() -> Bucket {
    Bucket {
        rate: WriteRate::default(),
        now: Instant::now(),
    }
}

#[test]
fn one_entry_may_overdraw_and_then_nobody_writes_until_it_is_paid() {
    let mut bucket = bucket();
    bucket.take(1, 40).expect("within the second");
    bucket.take(2, 500).expect("at least one entry");
    assert_eq!(bucket.take(3, 1), Err(5));
    assert_eq!(bucket.take(1, 0), Err(5));
    bucket.wait(4_000);
    assert_eq!(bucket.take(3, 1), Err(1));
    bucket.wait(500);
    bucket.take(3, 1).expect("paid");
}

#[test]
fn an_entry_in_many_parts_is_one_entry_and_no_more_than_the_largest() {
    let mut bucket = bucket();
    for part in 0..11 {
        bucket.take(1, 100).unwrap_or_else(|_| panic!("part {part}"));
        assert!(part == 0 || bucket.take(2, 1).is_err(), "another one waits");
    }
    assert!(bucket.take(1, 100).is_err(), "more than any entry has");
}

#[test]
fn in_the_long_run_the_rate_is_never_exceeded() {
    let mut bucket = bucket();
    let mut written = 0;
    for writer in 0..1000 {
        for _ in 0..20 {
            if bucket.take(writer, 33).is_ok() {
                written += 33;
            }
        }
        bucket.wait(100);
    }
    let most = RATE * 100 + RATE + LARGEST;
    assert!((RATE * 99..=most).contains(&written), "{written}");
}

#[test]
fn a_pause_saves_up_one_second_and_no_more() {
    let mut bucket = bucket();
    bucket.wait(3_600_000);
    bucket.take(1, 100).expect("full");
    assert!(bucket.take(2, 1).is_err());
}
