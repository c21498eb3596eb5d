//! Floods of entries against the bound of the memory.

use super::*;

fn version(nth: usize) -> Version {
    Version::new(&format!("version-{nth}")).expect("version")
}

fn key(text: &str) -> CacheKey {
    CacheKey::new(text).expect("key")
}

/// As long as clients may send them, in letters of three bytes.
fn long_key(nth: u64) -> CacheKey {
    key(&format!("{nth:06}{}", "\u{20ac}".repeat(506)))
}

fn namespace(name: impl ToString) -> NamespaceId {
    NamespaceId::new("https://issuer".into(), name.to_string().into())
}

fn of(tenant: &str, name: impl ToString) -> NamespaceId {
    namespace(name).owned_by(Some(Digest::of(tenant.as_bytes())))
}

fn committed(namespace: &NamespaceId, version: &Version, key: CacheKey, nth: u64) -> CommittedEntry {
    let record = EntryRecord {
        created: nth,
        id: Ulid(nth.into()),
        size: 1,
        tag: [0; 16],
    };
    CommittedEntry::new(namespace, version, key, record)
}

fn has(index: &ActionsIndex, entry: &CommittedEntry) -> bool {
    let found = index.exact(&entry.namespace, &entry.version, &entry.key);
    found == Some(entry.record)
}

#[test]
fn a_flood_of_keys_by_one_tenant_drops_only_its_own_oldest_records() {
    const BOUND: u64 = 8 << 20;
    let index = ActionsIndex::new(BOUND);
    let put = |entry: &CommittedEntry| {
        assert!(index.insert(entry));
        assert!(index.bytes() <= BOUND, "{}", index.bytes());
    };
    // Older than all that comes, and more than in any one namespace of the flood.
    let quiet = |nth: u64| committed(&of("quiet", "main"), &version(0), key(&nth.to_string()), nth);
    (0..3000).for_each(|nth| put(&quiet(nth)));
    let flood = |nth: u64| {
        let place = (of("flood", nth % 50), version(nth as usize % 3));
        committed(&place.0, &place.1, long_key(nth), nth)
    };
    (3000..24_000).for_each(|nth| put(&flood(nth)));
    assert!((0..3000).all(|nth| has(&index, &quiet(nth))));
    assert!(index.len() > 6000, "more went than had to: {}", index.len());
    assert_eq!(index.len() as u64 + index.dropped(), 24_000);
    // Those that are left are the latest, whatever namespace they are in.
    let first = 27_000 - index.len() as u64;
    assert!((first..24_000).all(|nth| has(&index, &flood(nth))));
    assert!(!has(&index, &flood(first - 1)));
}

#[test]
fn many_small_namespaces_and_versions_stay_within_the_bound() {
    const BOUND: u64 = 1 << 20;
    for one_namespace in [true, false] {
        let index = ActionsIndex::new(BOUND);
        for nth in 0..20_000 {
            let namespace = namespace(if one_namespace { 0 } else { nth });
            let entry = committed(&namespace, &version(nth as usize), key("k"), nth);
            assert!(index.insert(&entry));
            assert!(index.bytes() <= BOUND);
        }
        assert!(index.len() > 500, "{}", index.len());
    }
}

#[test]
fn what_the_ledger_holds_for_entries_that_went_leaves_less_to_the_others() {
    const BOUND: u64 = 1 << 20;
    let index = ActionsIndex::new(BOUND);
    let put = |nth| index.insert(&committed(&of("a", "n"), &version(0), long_key(nth), nth));
    (0..2000).for_each(|nth| assert!(put(nth)));
    assert!(index.bytes() > BOUND * 9 / 10);
    index.set_beside(BOUND / 4);
    assert!(put(2000));
    assert!(index.bytes_with_beside() <= BOUND);
    // However much it is, half stays.
    index.set_beside(BOUND * 10);
    assert!(put(2001));
    assert!(index.bytes() > BOUND * 2 / 5, "{}", index.bytes());
}

#[test]
fn namespaces_that_only_other_servers_have_named_do_not_pass_as_many_small_tenants() {
    const BOUND: u64 = 1 << 20;
    let index = ActionsIndex::new(BOUND);
    let mine = |nth: u64| committed(&namespace("mine"), &version(0), key(&nth.to_string()), nth);
    (0..1000).for_each(|nth| assert!(index.insert(&mine(nth))));
    // A look-up of a job says whose it is.
    let known = of("quiet", "mine");
    let found = index.find(std::slice::from_ref(&known), &version(0), &[key("0")], &[]);
    assert!(found.is_some_and(|found| found.entry.namespace.owner() == known.owner()));
    for nth in 1000..6000 {
        assert!(index.insert(&committed(&namespace(nth), &version(0), key("k"), nth)));
    }
    assert!(index.dropped() > 1000);
    assert!((0..1000).all(|nth| has(&index, &mine(nth))));
}

/// Run it alone: other tests of the process count, too.
#[expect(clippy::print_stdout, reason = "figures for whoever runs it")]
#[test]
#[ignore = "measures the memory of the whole process"]
fn the_estimate_is_what_the_process_takes() {
    let anonymous = || {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        number.and_then(|number| number.parse::<u64>().ok()).expect("kB") * 1024
    };
    type Place = fn(u64) -> (u64, usize, CacheKey);
    let shapes: [(&str, Place); 4] = [
        ("usual keys", |nth| {
            (
                nth % 1000,
                nth as usize % 2,
                key(&format!("Linux-node-{:x}", nth << 20)),
            )
        }),
        ("long keys", |nth| (0, 0, long_key(nth))),
        ("versions", |nth| (0, nth as usize, key("k"))),
        ("namespaces", |nth| (nth, 0, key("k"))),
    ];
    const BOUND: u64 = 128 << 20;
    for (name, place) in shapes {
        let (before, index) = (anonymous(), ActionsIndex::new(BOUND));
        let (mut nth, mut end) = (0, u64::MAX);
        while nth < end {
            let (namespace, version_of, key) = place(nth);
            index.insert(&committed(&of("t", namespace), &version(version_of), key, nth));
            nth += 1;
            if index.dropped() > 0 && end == u64::MAX {
                // What went and came leaves gaps.
                end = nth * 3 / 2;
            }
        }
        let (estimate, taken) = (index.bytes(), anonymous() - before);
        println!(
            "{name:12} entries {:8} estimate {estimate:10} taken {taken:10}",
            index.len()
        );
        assert!(taken < BOUND + BOUND / 5 && taken > BOUND - BOUND / 4, "{name}");
        // So that the next one gets fresh memory.
        std::mem::forget(index);
    }
}
