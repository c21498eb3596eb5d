//! The index against a naive model.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// By namespace, version and key.
type Model = BTreeMap<(usize, usize, String), EntryRecord>;

const NAMESPACES: usize = 3;
const VERSIONS: usize = 2;

fn namespaces() -> Vec<NamespaceId> {
    let namespace = |nth| {
        let name = format!("tenant-{nth}");
        let owner = Digest::of(name.as_bytes());
        NamespaceId::new("https://issuer".into(), name.into()).owned_by(Some(owner))
    };
    (0..NAMESPACES).map(namespace).collect()
}

fn version(nth: usize) -> Version {
    Version::new(&format!("version-{nth}")).expect("version")
}

fn key(text: &str) -> CacheKey {
    CacheKey::new(text).expect("key")
}

/// Entries of the same time differ in their ids.
fn record(created: u64, id: u128) -> EntryRecord {
    EntryRecord {
        created,
        id: Ulid(id),
        size: id as u64 * 3,
        tag: [id as u8; 16],
    }
}

#[derive(Debug, Clone)]
enum Change {
    Insert(u64),
    Remove,
    RemoveAnother,
}

/// Short ones over few bytes, so that many begin alike, some have characters of several bytes, and some
/// are long.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[ab\u{e4}\u{7f}]{1,5}".prop_filter("control", |text| !text.contains('\u{7f}')),
        4 => "[a-c]{1,3}",
        2 => "k{200,203}[ab]{0,2}",
    ]
}

fn changes() -> impl Strategy<Value = Vec<(usize, usize, String, Change)>> {
    let change = prop_oneof![
        6 => (0..6_u64).prop_map(Change::Insert),
        3 => Just(Change::Remove),
        1 => Just(Change::RemoveAnother),
    ];
    prop::collection::vec((0..NAMESPACES, 0..VERSIONS, texts(), change), 1..120)
}

fn committed(
    namespace: &NamespaceId,
    version: &Version,
    key: &CacheKey,
    record: EntryRecord,
) -> CommittedEntry {
    CommittedEntry {
        namespace: namespace.clone(),
        version: version.clone(),
        key: key.clone(),
        record,
    }
}

/// Does the same to both.
fn apply(changes: Vec<(usize, usize, String, Change)>) -> (ActionsIndex, Model) {
    let (index, mut model, namespaces) = (ActionsIndex::default(), Model::new(), namespaces());
    for (nth, (namespace, with, text, change)) in changes.into_iter().enumerate() {
        let name = (namespace, with, text.clone());
        let (namespace, with, key) = (&namespaces[namespace], &version(with), &key(&text));
        let present = model.get(&name).copied();
        let wrong = EntryRecord {
            id: Ulid(u128::MAX),
            ..record(0, 0)
        };
        let committed = |record| committed(namespace, with, key, record);
        match change {
            Change::Insert(created) => {
                let new = record(created, nth as u128);
                let expected = present.is_none_or(|present| present < new);
                assert_eq!(index.insert(&committed(new)), expected);
                if expected {
                    model.insert(name, new);
                }
            }
            Change::Remove => {
                let gone = present.unwrap_or(wrong);
                assert_eq!(index.remove(&committed(gone)), present.is_some());
                model.remove(&name);
            }
            Change::RemoveAnother => assert!(!index.remove(&committed(wrong))),
        }
    }
    (index, model)
}

/// Newest first.
fn fitting(model: &Model, namespace: usize, with: usize, prefix: &str) -> Vec<(String, EntryRecord)> {
    let fits = |(name, _): &(&(usize, usize, String), &EntryRecord)| {
        name.0 == namespace && name.1 == with && name.2.starts_with(prefix)
    };
    let found = model
        .iter()
        .filter(fits)
        .map(|(name, record)| (name.2.clone(), *record));
    let mut found: Vec<_> = found.collect();
    found.sort_by_key(|(_, record)| Reverse(*record));
    found
}

fn check(index: &ActionsIndex, model: &Model, namespace: usize, with: usize, text: &str) {
    let (name, with_name) = (&namespaces()[namespace], &version(with));
    let expected = fitting(model, namespace, with, text);
    let exact = model.get(&(namespace, with, text.to_owned())).copied();
    assert_eq!(index.exact(name, with_name, &key(text)), exact);
    let newest = index.newest(name, with_name, text);
    let newest = newest.map(|(key, record)| (key.as_str().to_owned(), record));
    assert_eq!(newest, expected.first().cloned());
    let mut all: Vec<_> = (0..VERSIONS)
        .flat_map(|with| fitting(model, namespace, with, text))
        .collect();
    all.sort_by_key(|(_, record)| Reverse(*record));
    for limit in [0, 1, 3, 1000] {
        let listed = index.newest_first(name, &index.versions(name), text, limit);
        let listed = listed
            .iter()
            .map(|listed| (listed.key.as_str().to_owned(), listed.record));
        assert!(listed.eq(all.iter().take(limit).cloned()));
    }
}

/// GitHub's order, as the reference tells it, word for word.
fn naive(
    model: &Model,
    namespaces: &[usize],
    with: usize,
    keys: &[String],
    passed: &[Ulid],
) -> Option<(usize, String)> {
    for (place, namespace) in namespaces.iter().enumerate() {
        for key in keys {
            let wanted = |record: &EntryRecord| !passed.contains(&record.id);
            if model.get(&(*namespace, with, key.clone())).is_some_and(wanted) {
                return Some((place, key.clone()));
            }
            let mut all = fitting(model, *namespace, with, key).into_iter();
            if let Some((key, _)) = all.find(|(_, record)| wanted(record)) {
                return Some((place, key));
            }
        }
    }
    None
}

proptest! {
    #[test]
    fn the_index_is_as_the_model(changes in changes(), asked in prop::collection::vec(texts(), 1..20)) {
        let (index, model) = apply(changes);
        for namespace in 0..NAMESPACES {
            for with in 0..VERSIONS {
                let stored = model.keys().map(|name| name.2.clone());
                for text in asked.iter().cloned().chain(stored) {
                    check(&index, &model, namespace, with, &text);
                }
            }
        }
        prop_assert_eq!(index.len(), model.len());
        let with_entries: std::collections::BTreeSet<_> = model.keys().map(|name| name.0).collect();
        prop_assert_eq!(index.count_namespaces(), with_entries.len());
        let mut sliced: Vec<_> = index.slices().flatten().map(|listed| listed.record).collect();
        let mut records: Vec<_> = model.values().copied().collect();
        sliced.sort_unstable();
        records.sort_unstable();
        prop_assert_eq!(sliced, records);
    }

    #[test]
    fn the_oldest_of_a_namespace_go_first_and_what_they_take_comes_back(changes in changes()) {
        let (index, _) = apply(changes);
        for namespace in namespaces() {
            let all = || index.newest_first(&namespace, &index.versions(&namespace), "", 1000);
            let mut expected = all();
            while let Some(oldest) = expected.pop() {
                let before = index.bytes();
                index.drop_oldest(&HashMap::from([(namespace.owner(), 1)]));
                prop_assert_eq!(index.exact(&namespace, &oldest.version, &oldest.key), None);
                prop_assert!(index.bytes() < before);
                // Noting what is free may take as much as one entry gave.
                let left = all();
                expected.truncate(left.len());
                prop_assert_eq!(&left, &expected);
            }
        }
        prop_assert_eq!((index.bytes(), index.len(), index.count_namespaces()), (0, 0, 0));
    }

    #[test]
    fn look_ups_go_in_the_order_of_github(
        changes in changes(),
        order in Just(vec![0, 1, 2]).prop_shuffle(),
        count in 0..=NAMESPACES,
        keys in prop::collection::vec(texts(), 1..6),
    ) {
        let (index, model) = apply(changes);
        let order = &order[..count];
        let named: Vec<_> = order.iter().map(|nth| namespaces()[*nth].clone()).collect();
        let wanted: Vec<_> = keys.iter().map(|text| key(text)).collect();
        for with in 0..VERSIONS {
            // Each one found is passed by in the next round, until nothing is left.
            let mut passed = Vec::new();
            loop {
                let found = index.find(&named, &version(with), &wanted, &passed);
                let expected = naive(&model, order, with, &keys, &passed);
                prop_assert_eq!(found.as_ref().map(|found| (found.position, found.entry.key.as_str().to_owned())), expected);
                let Some(found) = found else { break };
                prop_assert_eq!(found.exact, found.entry.key == wanted[0]);
                prop_assert_eq!(&found.entry.namespace, &named[found.position]);
                passed.push(found.entry.record.id);
            }
        }
    }
}

#[test]
fn repeated_keys_are_asked_for_once() {
    let keys = [key("a"), key("ab"), key("a")];
    let found: Vec<_> = lookup_steps(&keys).collect();
    let expected = [
        LookupStep::Exact(&keys[0]),
        LookupStep::Prefix(&keys[0]),
        LookupStep::Exact(&keys[1]),
        LookupStep::Prefix(&keys[1]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_empty_is_dropped() {
    let (index, namespace) = (ActionsIndex::default(), &namespaces()[0]);
    for nth in 0..3000_u32 {
        assert!(index.insert(&committed(
            namespace,
            &version(0),
            &key(&nth.to_string()),
            record(1, nth.into())
        )));
    }
    assert!(index.has(namespace.digest()) && index.len() == 3000);
    assert_eq!(
        index.slices().map(|slice| slice.len()).max(),
        Some(SLICE_ENTRIES as usize)
    );
    for nth in 0..3000_u32 {
        assert!(index.remove(&committed(
            namespace,
            &version(0),
            &key(&nth.to_string()),
            record(1, nth.into())
        )));
    }
    assert!(!index.has(namespace.digest()) && index.is_empty());
    assert!(index.shards.iter().all(|shard| lock(shard).is_empty()));
}

#[test]
fn room_of_many_that_went_is_given_back_and_a_look_at_all_misses_none() {
    let (index, namespace) = (ActionsIndex::default(), &namespaces()[0]);
    let entry = |nth: u32| {
        committed(
            namespace,
            &version(0),
            &key(&nth.to_string()),
            record(1, nth.into()),
        )
    };
    for nth in 0..20_000 {
        index.insert(&entry(nth));
    }
    let full = index.bytes();
    let mut slices = index.slices();
    let first = slices.by_ref().take(40).flatten();
    let mut seen: std::collections::BTreeSet<_> = first.map(|one| one.record).collect();
    let stays = |nth: &u32| nth % 10 == 9;
    for nth in (0..20_000).filter(|nth| !stays(nth)) {
        assert!(index.remove(&entry(nth)));
    }
    assert!(index.bytes() < full / 5, "{} of {full}", index.bytes());
    seen.extend(slices.flatten().map(|one| one.record));
    for entry in (0..20_000).filter(stays).map(entry) {
        assert!(seen.contains(&entry.record), "{entry:?}");
        let found = index.exact(namespace, &version(0), &entry.key);
        assert_eq!(found, Some(entry.record));
    }
    let newest = index.newest(namespace, &version(0), "");
    assert_eq!(newest.map(|(_, record)| record), Some(entry(19_999).record));
}
