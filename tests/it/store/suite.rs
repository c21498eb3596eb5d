//! What every tier promises. `conformance!(module, make)` runs all of it on the tier that `make` makes;
//! attributes behind `make` go to every test.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use chacha::store::spool::{Checksums, SpoolDir};
use chacha::store::{Error, Precondition, Protocol, Spool, Store, StoreKey};
use futures_util::future::join_all;

use super::support::*;

/// A tier under test, where its bodies are made, and what has to live as long as it.
pub(crate) struct Tier {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) spools: SpoolDir,
    pub(crate) _keep: Box<dyn Any + Send + Sync>,
}

macro_rules! conformance {
    ($module:ident, $make:path $(, #[$attribute:meta])*) => {
        mod $module {
            conformance!(@cases [$(#[$attribute])*] $make;
                round_trip_at_every_boundary, a_miss_is_a_value, head_describes_what_get_gives,
                metadata_and_origin_come_back, overwriting_replaces, deleting_removes,
                equal_bytes_have_equal_tags, the_tag_is_made_from_the_checksums,
                ranges_are_parts_of_the_whole, readers_finish_what_they_began,
                readers_see_the_old_or_the_new_entry_whole, preconditions_of_put,
                preconditions_of_delete, one_of_twenty_first_writers_wins,
                compare_and_swap_loses_no_change, dropped_writers_and_spools_leave_nothing,
                unknown_lengths_and_small_pieces, keys_that_differ_never_meet,
                a_failed_put_keeps_the_former_entry, concurrent_writers_of_many_keys,
                more_than_the_capacity_is_refused_at_once, a_spool_can_be_read_again);
        }
    };
    (@cases $attributes:tt $make:path; $($case:ident),*) => {
        $( conformance!(@case $attributes $make; $case); )*
    };
    (@case [$(#[$attribute:meta])*] $make:path; $case:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        $(#[$attribute])*
        async fn $case() {
            $crate::store::suite::$case(&$make().await).await;
        }
    };
}

const SIZES: [usize; 16] = [
    0,
    1,
    4095,
    16 * KIB - 1,
    16 * KIB,
    16 * KIB + 1,
    64 * KIB - 1,
    64 * KIB,
    64 * KIB + 1,
    256 * KIB - 1,
    256 * KIB,
    256 * KIB + 1,
    MIB - 1,
    MIB,
    MIB + 1,
    3 * MIB + 12_345,
];

impl Tier {
    async fn put(&self, name: &str, bytes: &[u8]) -> chacha::store::Result<Arc<chacha::store::Meta>> {
        put(&*self.store, &self.spools, &key(name), bytes).await
    }

    async fn commit(&self, name: &str, spool: Spool) -> Arc<chacha::store::Meta> {
        let put = self
            .store
            .put(&key(name), draft(), spool, Precondition::None)
            .await;
        put.unwrap().meta
    }

    async fn put_if(
        &self,
        name: &str,
        bytes: &[u8],
        condition: Precondition,
    ) -> chacha::store::Result<Arc<chacha::store::Meta>> {
        put_if(&*self.store, &self.spools, &key(name), bytes, condition).await
    }

    async fn get(&self, name: &str) -> Option<Bytes> {
        get(&*self.store, &key(name)).await
    }
}

pub(crate) async fn round_trip_at_every_boundary(tier: &Tier) {
    for size in SIZES {
        let bytes = body(size, size as u64);
        let meta = tier.put(&size.to_string(), &bytes).await.unwrap();
        assert_eq!(meta.size, size as u64);
        assert!(
            tier.get(&size.to_string()).await.unwrap() == bytes,
            "{size} bytes"
        );
    }
    for size in SIZES {
        let found = tier.get(&size.to_string()).await.unwrap();
        assert!(found == body(size, size as u64), "{size} bytes, later");
    }
}

pub(crate) async fn a_miss_is_a_value(tier: &Tier) {
    assert!(tier.store.get(&key("nothing")).await.unwrap().is_none());
    assert!(tier.store.head(&key("nothing")).await.unwrap().is_none());
    assert!(
        !tier
            .store
            .delete(&key("nothing"), Precondition::None)
            .await
            .unwrap()
    );
}

pub(crate) async fn head_describes_what_get_gives(tier: &Tier) {
    for size in [0, 7, 100 * KIB] {
        let meta = tier.put("head", &body(size, 1)).await.unwrap();
        assert_eq!(
            tier.store.head(&key("head")).await.unwrap(),
            Some(Arc::clone(&meta))
        );
        assert_eq!(tier.store.get(&key("head")).await.unwrap().unwrap().meta, meta);
    }
}

pub(crate) async fn metadata_and_origin_come_back(tier: &Tier) {
    let mut draft = draft();
    draft
        .metadata
        .insert("x-artifact-tag", "a\"b\u{1f980}\n")
        .unwrap();
    draft.metadata.insert("long", &"\u{1}".repeat(8000)).unwrap();
    let body = spool(&tier.spools, b"bytes").await.unwrap();
    let put = tier
        .store
        .put(&key("meta"), draft.clone(), body, Precondition::None)
        .await
        .unwrap();
    let found = tier.store.head(&key("meta")).await.unwrap().unwrap();
    assert_eq!(found, put.meta);
    assert_eq!(found.origin, draft.origin);
    assert_eq!(found.metadata, draft.metadata);
}

pub(crate) async fn overwriting_replaces(tier: &Tier) {
    for (nth, size) in [10, 200 * KIB, 0, 2 * MIB, 10].into_iter().enumerate() {
        let bytes = body(size, nth as u64);
        tier.put("same", &bytes).await.unwrap();
        assert!(tier.get("same").await.unwrap() == bytes);
    }
}

pub(crate) async fn deleting_removes(tier: &Tier) {
    for size in [10, 200 * KIB] {
        tier.put("gone", &body(size, 1)).await.unwrap();
        assert!(tier.store.delete(&key("gone"), Precondition::None).await.unwrap());
        assert!(tier.get("gone").await.is_none());
        assert!(!tier.store.delete(&key("gone"), Precondition::None).await.unwrap());
    }
    tier.put("gone", b"again").await.unwrap();
    assert_eq!(tier.get("gone").await.unwrap(), "again");
}

pub(crate) async fn equal_bytes_have_equal_tags(tier: &Tier) {
    let bytes = body(300 * KIB, 5);
    let one = tier.put("one", &bytes).await.unwrap();
    let two = tier.put("two", &bytes).await.unwrap();
    let other = tier.put("other", &body(300 * KIB, 6)).await.unwrap();
    assert_eq!(one.etag, two.etag);
    assert_ne!(one.etag, other.etag);
}

pub(crate) async fn the_tag_is_made_from_the_checksums(tier: &Tier) {
    for size in [0, 1, MIB, 2 * MIB + 1] {
        let bytes = body(size, 9);
        let spool = spool(&tier.spools, &bytes).await.unwrap();
        assert_eq!(spool.len(), size as u64);
        assert_eq!(spool.checksums(), &Checksums::of(&bytes));
        let tag = spool.checksums().etag();
        assert_eq!(tier.commit("tag", spool).await.etag, tag);
    }
}

pub(crate) async fn ranges_are_parts_of_the_whole(tier: &Tier) {
    for size in [10 * KIB, 3 * MIB] {
        let bytes = body(size, 3);
        tier.put("range", &bytes).await.unwrap();
        let entry = tier.store.get(&key("range")).await.unwrap().unwrap();
        for (start, end) in [
            (0, 1),
            (1, 1),
            (5, 4000),
            (size / 2, size),
            (size - 1, size),
            (0, size),
        ] {
            let part = entry.content.slice(start as u64..end as u64);
            assert_eq!(part.len(), (end - start) as u64);
            assert!(read(part).await.unwrap() == bytes[start..end]);
        }
        assert!(entry.content.slice(size as u64 + 5..u64::MAX).is_empty());
    }
}

pub(crate) async fn readers_finish_what_they_began(tier: &Tier) {
    for size in [10, 2 * MIB] {
        let old = body(size, 1);
        tier.put("read", &old).await.unwrap();
        let before = tier.store.get(&key("read")).await.unwrap().unwrap();
        tier.put("read", &body(size + 5, 2)).await.unwrap();
        let between = tier.store.get(&key("read")).await.unwrap().unwrap();
        tier.store.delete(&key("read"), Precondition::None).await.unwrap();
        assert!(read(before.content).await.unwrap() == old);
        assert!(read(between.content).await.unwrap() == body(size + 5, 2));
    }
}

pub(crate) async fn readers_see_the_old_or_the_new_entry_whole(tier: &Tier) {
    // Every version is filled with one byte, and as long as that byte says.
    let version = |nth: u8| vec![nth; usize::from(nth) * 9_000];
    tier.put("busy", &version(1)).await.unwrap();
    let write = async {
        for nth in 2..40 {
            tier.put("busy", &version(nth)).await.unwrap();
        }
    };
    let read = async {
        for _ in 0..200 {
            let found = tier.get("busy").await.unwrap();
            assert!(found == version(found[0]));
        }
    };
    tokio::join!(write, read);
}

pub(crate) async fn preconditions_of_put(tier: &Tier) {
    use Precondition::{Absent, Matches, MatchesNone, Present};
    assert!(is_precondition(&tier.put_if("p", b"0", Present).await));
    let foreign = tier.put("foreign", b"foreign").await.unwrap().etag.clone();
    assert!(is_precondition(
        &tier.put_if("p", b"0", Matches(vec![foreign.clone()])).await
    ));
    assert!(tier.get("p").await.is_none());
    let first = tier.put_if("p", b"1", Absent).await.unwrap();
    assert!(is_precondition(&tier.put_if("p", b"2", Absent).await));
    let none = MatchesNone(vec![foreign.clone(), first.etag.clone()]);
    assert!(is_precondition(&tier.put_if("p", b"2", none).await));
    assert_eq!(tier.get("p").await.unwrap(), "1");
    tier.put_if("p", b"2", Matches(vec![foreign.clone(), first.etag.clone()]))
        .await
        .unwrap();
    assert!(is_precondition(
        &tier.put_if("p", b"3", Matches(vec![first.etag.clone()])).await
    ));
    tier.put_if("p", b"3", MatchesNone(vec![first.etag.clone()]))
        .await
        .unwrap();
    tier.put_if("p", b"4", Present).await.unwrap();
    assert_eq!(tier.get("p").await.unwrap(), "4");
}

pub(crate) async fn preconditions_of_delete(tier: &Tier) {
    use Precondition::{Absent, Matches, MatchesNone, Present};
    let delete = |condition| {
        let store = Arc::clone(&tier.store);
        async move { store.delete(&key("d"), condition).await }
    };
    assert!(is_precondition(&delete(Present).await));
    assert!(!delete(Absent).await.unwrap());
    let old = tier.put("d", b"1").await.unwrap().etag.clone();
    let new = tier.put("d", b"2").await.unwrap().etag.clone();
    assert!(is_precondition(&delete(Matches(vec![old.clone()])).await));
    assert!(is_precondition(&delete(MatchesNone(vec![new.clone()])).await));
    assert!(is_precondition(&delete(Absent).await));
    assert_eq!(tier.get("d").await.unwrap(), "2");
    assert!(delete(Matches(vec![old, new])).await.unwrap());
    assert!(tier.get("d").await.is_none());
}

pub(crate) async fn one_of_twenty_first_writers_wins(tier: &Tier) {
    for size in [10, 100 * KIB] {
        let name = format!("race {size}");
        let writers = (0..20).map(|nth| {
            let name = &name;
            async move {
                let bytes = body(size, nth);
                let outcome = tier.put_if(name, &bytes, Precondition::Absent).await;
                assert!(outcome.is_ok() || is_precondition(&outcome));
                outcome.is_ok().then_some(bytes)
            }
        });
        let winners: Vec<Vec<u8>> = join_all(writers).await.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1);
        assert!(tier.get(&name).await.unwrap() == winners[0]);
    }
}

pub(crate) async fn compare_and_swap_loses_no_change(tier: &Tier) {
    tier.put("counter", b"0").await.unwrap();
    let adders = (0..8).map(|_| async {
        let mut done = 0;
        while done < 5 {
            let entry = tier.store.get(&key("counter")).await.unwrap().unwrap();
            let text = read(entry.content).await.unwrap();
            let number: u32 = std::str::from_utf8(&text).unwrap().parse().unwrap();
            let next = (number + 1).to_string();
            let condition = Precondition::Matches(vec![entry.meta.etag.clone()]);
            match tier.put_if("counter", next.as_bytes(), condition).await {
                Ok(_) => done += 1,
                Err(error) => assert!(matches!(error, Error::Precondition)),
            }
        }
    });
    join_all(adders).await;
    assert_eq!(tier.get("counter").await.unwrap(), "40");
}

pub(crate) async fn dropped_writers_and_spools_leave_nothing(tier: &Tier) {
    for size in [0, 10, 100 * KIB, 2 * MIB] {
        let mut writer = tier.spools.create(None).await.unwrap();
        writer.write(body(size, 1).into()).await.unwrap();
        drop(writer);
        drop(spool(&tier.spools, &body(size, 1)).await.unwrap());
        let spool = spool(&tier.spools, &body(size, 1)).await.unwrap();
        let refused = tier
            .store
            .put(&key("never"), draft(), spool, Precondition::Present)
            .await;
        assert!(is_precondition(&refused));
    }
    assert!(tier.get("never").await.is_none());
}

pub(crate) async fn unknown_lengths_and_small_pieces(tier: &Tier) {
    for (size, piece) in [(5_000, 7), (200 * KIB, 1023), (3 * MIB, 100_000), (MIB, MIB)] {
        let bytes = body(size, 4);
        let spool = spool_as(&tier.spools, &bytes, None, piece).await.unwrap();
        tier.commit("pieces", spool).await;
        assert!(tier.get("pieces").await.unwrap() == bytes);
    }
}

pub(crate) async fn keys_that_differ_never_meet(tier: &Tier) {
    let make = |issuer: &str, namespace: &str, protocol, key: &str| {
        StoreKey::new(issuer.into(), namespace.into(), protocol, key.as_bytes())
    };
    let keys = [
        make("i", "a", Protocol::Http, "bc"),
        make("i", "ab", Protocol::Http, "c"),
        make("ia", "", Protocol::Http, "bc"),
        make("i", "a", Protocol::Turbo, "bc"),
        make("i", "a", Protocol::Http, "bc").with_version("v".into()),
        make("i", "a", Protocol::Http, "bcv"),
    ];
    let digests: HashSet<_> = keys.iter().map(|key| *key.digest()).collect();
    assert_eq!(digests.len(), keys.len());
    for (nth, key) in keys.iter().enumerate() {
        put(&*tier.store, &tier.spools, key, nth.to_string().as_bytes())
            .await
            .unwrap();
    }
    for (nth, key) in keys.iter().enumerate() {
        assert_eq!(get(&*tier.store, key).await.unwrap(), nth.to_string());
    }
}

pub(crate) async fn a_failed_put_keeps_the_former_entry(tier: &Tier) {
    tier.put("kept", b"old").await.unwrap();
    let refused = tier.put_if("kept", &body(MIB, 1), Precondition::Absent).await;
    assert!(is_precondition(&refused));
    assert_eq!(tier.get("kept").await.unwrap(), "old");
}

pub(crate) async fn concurrent_writers_of_many_keys(tier: &Tier) {
    let writers = (0..64_u64).map(|nth| async move {
        let bytes = body((nth as usize * 7919) % (150 * KIB), nth);
        tier.put(&format!("many {nth}"), &bytes).await.unwrap();
        assert!(tier.get(&format!("many {nth}")).await.unwrap() == bytes);
    });
    join_all(writers).await;
}

pub(crate) async fn more_than_the_capacity_is_refused_at_once(tier: &Tier) {
    let capacity = tier.store.capacity();
    let refused = tier.spools.create(Some(capacity + 1)).await;
    assert!(
        matches!(refused, Err(Error::TooLarge { size, limit }) if size == capacity + 1 && limit == capacity)
    );
}

pub(crate) async fn a_spool_can_be_read_again(tier: &Tier) {
    for size in [0, 10, 100 * KIB, 2 * MIB] {
        let bytes = body(size, 8);
        let spool = spool_as(&tier.spools, &bytes, None, 5_000).await.unwrap();
        let content = spool.content();
        assert!(read(content.clone()).await.unwrap() == bytes);
        tier.commit("replay", spool).await;
        assert!(read(content).await.unwrap() == bytes);
    }
}
