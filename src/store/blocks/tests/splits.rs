//! Any split, order, parallelism and repetition of parts gives the same bytes.

use futures_util::future::try_join_all;
use proptest::prelude::*;

use super::*;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime")
}

/// A part: its number; with other bytes than the last time, or cut off before its end.
#[derive(Debug, Clone)]
struct Step {
    nth: prop::sample::Index,
    seed: u64,
    torn: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (any::<prop::sample::Index>(), 0_u64..3, prop::bool::weighted(0.2))
        .prop_map(|(nth, seed, torn)| Step { nth, seed, torn });
    prop::collection::vec(step, 0..8)
}

/// Ends of parts within a body.
fn cuts() -> impl Strategy<Value = (usize, Vec<usize>)> {
    let length = prop_oneof![1..200 * KIB, 2 * MIB..3 * MIB, Just(2 * MIB)];
    length.prop_flat_map(|length| (Just(length), prop::collection::vec(1..=length, 0..9)))
}

fn parts(length: usize, mut cuts: Vec<usize>) -> Vec<std::ops::Range<usize>> {
    cuts.extend([0, length]);
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

async fn tear(upload: &Blocks, place: BlockPlace, bytes: &[u8]) {
    let mut writer = upload
        .writer(place, Some(bytes.len() as u64))
        .await
        .expect("writer");
    writer
        .write(Bytes::copy_from_slice(&bytes[..bytes.len() / 2]))
        .await
        .expect("write");
}

async fn parallel(upload: &Blocks, lanes: usize, parts: impl Iterator<Item = (BlockPlace, Vec<u8>)>) {
    let parts: Vec<_> = parts.collect();
    for group in parts.chunks(lanes) {
        let sending = group
            .iter()
            .map(|(place, bytes)| send(upload, place.clone(), bytes));
        try_join_all(sending).await.expect("sent");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn of_ranges(
        (length, cuts) in cuts(),
        order in any::<prop::sample::Index>(),
        lanes in 1_usize..5,
        before in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..150_000), 0..4),
        again in steps(),
    ) {
        runtime().block_on(async {
            let rig = Rig::new().await;
            let upload = rig.upload().await;
            let whole = body(length, 1);
            // Overlaps that the parts then cover.
            for (start, more) in before {
                let start = start.index(length);
                let end = (start + more).min(length);
                send(&upload, BlockPlace::At(start as u64), &body(end - start, 77)).await.expect("sent");
            }
            let mut parts = parts(length, cuts);
            let turn = order.index(parts.len());
            parts.rotate_left(turn);
            let sent = parts.iter().map(|part| (BlockPlace::At(part.start as u64), whole[part.clone()].to_vec()));
            parallel(&upload, lanes, sent).await;
            for step in again {
                let part = &parts[step.nth.index(parts.len())];
                let place = BlockPlace::At(part.start as u64);
                match step.torn {
                    true => tear(&upload, place, &body(part.len(), 55)).await,
                    false => send(&upload, place, &whole[part.clone()]).await.expect("sent"),
                }
            }
            assert_eq!(upload.received(), length as u64);
            assert!(rig.disk() <= rig.held());
            check(&upload, &whole).await;
            upload.remove().await;
        });
    }

    #[test]
    fn of_blocks(
        (length, cuts) in cuts(),
        client in prop_oneof![Just(Client::JavaScript), Just(Client::Go), Just(Client::Random)],
        equal in any::<bool>(),
        order in any::<prop::sample::Index>(),
        lanes in 1_usize..5,
        again in steps(),
    ) {
        runtime().block_on(async {
            let rig = Rig::new().await;
            let upload = rig.upload().await;
            let cuts = match equal {
                true => (0..length).step_by(length / 5 + 1).collect(),
                false => cuts,
            };
            let parts = parts(length, cuts);
            let mut bytes: Vec<Vec<u8>> = parts.iter().map(|part| body(part.len(), part.start as u64)).collect();
            let mut turns: Vec<usize> = (0..parts.len()).collect();
            turns.rotate_left(order.index(parts.len()));
            let sent = turns.iter().map(|nth| (BlockPlace::Block(client.id(*nth)), bytes[*nth].clone()));
            parallel(&upload, lanes, sent).await;
            for step in again {
                let nth = step.nth.index(parts.len());
                let place = BlockPlace::Block(client.id(nth));
                let other = body(parts[nth].len(), step.seed);
                if step.torn {
                    tear(&upload, place, &other).await;
                } else {
                    send(&upload, place, &other).await.expect("sent");
                    bytes[nth] = other;
                }
            }
            assert_eq!(upload.received(), length as u64);
            assert!(rig.disk() <= rig.held());
            let list: Vec<_> = (0..parts.len()).map(|nth| client.id(nth)).collect();
            assert_eq!(upload.put_block_list(&list[..]).await.expect("known"), length as u64);
            check(&upload, &bytes.concat()).await;
            upload.remove().await;
        });
    }
}
