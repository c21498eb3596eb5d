use super::*;
use crate::config::Share;
use std::time::Duration;

fn tenant(value: &str) -> Tenant {
    Tenant::new("https://issuer.test", value, Some("group")).expect("tenant")
}

fn rule(pattern: &str) -> TenantRule {
    TenantRule {
        pattern: pattern.into(),
        ..TenantRule::default()
    }
}

#[test]
fn a_later_rule_overrides_single_keys_and_no_others() {
    let everybody = TenantRule {
        weight: Some(1),
        max_bytes: Some(Share::Hundredths(1000)),
        max_age: Some(Duration::from_secs(60)),
        ..rule("*")
    };
    let one = TenantRule {
        weight: Some(5),
        max_bytes: Some(Share::Bytes(7)),
        ..rule("https://issuer.test#a")
    };
    let rules = TenantRules::new(&[everybody.clone(), one.clone()], 1000);
    let limits = rules.limits(&tenant("a")).expect("rules");
    assert_eq!((limits.weight(), limits.max_bytes), (5, Some(7)));
    assert_eq!(limits.max_age, Some(Duration::from_secs(60)));
    let limits = rules.limits(&tenant("b")).expect("rules");
    assert_eq!((limits.weight(), limits.max_bytes), (1, Some(100)));
    let reversed = TenantRules::new(&[one, everybody], 1000);
    let limits = reversed.limits(&tenant("a")).expect("rules");
    assert_eq!((limits.weight(), limits.max_bytes), (1, Some(100)));
}

#[test]
fn a_reservation_belongs_to_its_rule_however_many_tenants_match() {
    let reserving = |pattern: &str, bytes| TenantRule {
        min_share: Some(Share::Bytes(bytes)),
        ..rule(pattern)
    };
    let rules = TenantRules::new(
        &[
            rule("*"),
            reserving("https://issuer.test#a*", 10),
            reserving("https://issuer.test#b*", 20),
            reserving("*b", 30),
        ],
        1000,
    );
    assert_eq!(rules.current().reservations(), [10, 20, 30]);
    let shared = |value| rules.limits(&tenant(value)).expect("rules").reservations.to_vec();
    assert_eq!(shared("a1"), [0]);
    assert_eq!(shared("a2"), [0]);
    assert_eq!(shared("bb"), [1, 2]);
    assert_eq!(shared("ab"), [0, 2]);
    assert_eq!(shared("c"), [0; 0]);
}

#[test]
fn all_clones_see_a_reload_at_once() {
    let rules = TenantRules::default();
    let (clone, before) = (rules.clone(), rules.current());
    assert_eq!(clone.limits(&tenant("a")), None);
    let heavy = TenantRule {
        weight: Some(9),
        ..rule("*")
    };
    rules.replace(&[heavy], 1000);
    assert_eq!(clone.limits(&tenant("a")).map(|limits| limits.weight()), Some(9));
    assert!(!Arc::ptr_eq(&before, &clone.current()));
    rules.replace(&[], 1000);
    assert_eq!(clone.limits(&tenant("a")), None);
}

/// Whoever makes tenants without end must not fill the memory.
#[test]
fn the_memory_of_resolved_tenants_is_bounded() {
    let set = RuleSet::new(&[rule("*")], 1000);
    for nth in 0..40_000 {
        set.resolve(&tenant(&nth.to_string()));
    }
    assert!(set.remembered() <= 16_384, "{}", set.remembered());
}
