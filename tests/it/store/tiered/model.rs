//! Two tiers behave like one map, whatever S3 does.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chacha::config::{WhenDown, WriteMode};
use chacha::store::Store;
use proptest::prelude::*;

use super::super::support::*;
use super::rig::{Pair, records};
use crate::support::s3::{Action, Kind, S3Server};

#[derive(Debug, Clone)]
enum Step {
    Put {
        name: u8,
        size: usize,
        seed: u64,
    },
    Get {
        name: u8,
    },
    Head {
        name: u8,
    },
    Delete {
        name: u8,
    },
    Evict {
        name: u8,
    },
    /// The next request of a kind goes wrong.
    Fault {
        kind: usize,
        action: usize,
    },
    /// The bucket goes, or comes back.
    Away,
    Back,
    Crash,
    Restart,
}

const KINDS: [Kind; 7] = [
    Kind::Get,
    Kind::Head,
    Kind::Put,
    Kind::Delete,
    Kind::Create,
    Kind::UploadPart,
    Kind::Complete,
];

fn action(nth: usize) -> Action {
    match nth {
        0 => Action::internal_error(),
        1 => Action::Refuse,
        2 => Action::LoseAnswer,
        3 => Action::access_denied(),
        _ => Action::slow_down(),
    }
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..5_u8;
    let size = prop_oneof![
        0..200_usize,
        60_000..70_000_usize,
        1_000_000..1_100_000_usize,
        Just(9 * MIB)
    ];
    prop_oneof![
        5 => (name.clone(), size, 0..100_u64).prop_map(|(name, size, seed)| Step::Put { name, size, seed }),
        5 => name.clone().prop_map(|name| Step::Get { name }),
        1 => name.clone().prop_map(|name| Step::Head { name }),
        2 => name.clone().prop_map(|name| Step::Delete { name }),
        4 => name.prop_map(|name| Step::Evict { name }),
        4 => (0..KINDS.len(), 0..5_usize).prop_map(|(kind, action)| Step::Fault { kind, action }),
        1 => Just(Step::Away),
        1 => Just(Step::Back),
        1 => Just(Step::Crash),
        1 => Just(Step::Restart),
    ]
}

/// What each name may hold: one value that is known, or several when an answer was an error.
type Model = HashMap<u8, HashSet<Option<Vec<u8>>>>;

fn possible(model: &mut Model, name: u8) -> &mut HashSet<Option<Vec<u8>>> {
    model.entry(name).or_insert_with(|| HashSet::from([None]))
}

async fn apply(pair: Pair, model: &mut Model, step: Step) -> Pair {
    match step {
        Step::Put { name, size, seed } => {
            let bytes = body(size, seed);
            let known = possible(model, name);
            if pair.try_put(&name.to_string(), &bytes).await.is_ok() {
                known.clear();
            }
            known.insert(Some(bytes));
        }
        Step::Get { name } => look(&pair, model, name).await,
        Step::Head { name } => {
            if let Ok(found) = pair.tiered.head(&key(&name.to_string())).await {
                let size = found.map(|meta| meta.size);
                let fits = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| bytes.len() as u64) == size;
                assert!(possible(model, name).iter().any(fits), "{name}: {size:?}");
            }
        }
        Step::Delete { name } => {
            let known = possible(model, name);
            if pair.delete(&name.to_string()).await.is_ok() {
                known.clear();
            }
            known.insert(None);
        }
        // What waits is never evicted.
        Step::Evict { name } if pair.tiered.stats().queued == 0 => {
            let key = key(&name.to_string());
            pair.disk
                .delete(&key, chacha::store::Precondition::None)
                .await
                .unwrap();
        }
        Step::Evict { .. } => {}
        // An upload whose beginning was never answered has no name here; the sweep of a day later finds it.
        Step::Fault { kind, action: 2 } if KINDS[kind] == Kind::Create => {}
        Step::Fault { kind, action: nth } => pair.s3.faults().once(KINDS[kind], action(nth)),
        Step::Away => pair.s3.stop_listening().await,
        Step::Back => pair.s3.resume(),
        Step::Crash => return pair.crash().await,
        Step::Restart => return pair.restart().await,
    }
    pair
}

/// A read that is answered gives one of the possible values, and from then on nothing else.
async fn look(pair: &Pair, model: &mut Model, name: u8) {
    let Ok(found) = pair.tiered.get(&key(&name.to_string())).await else {
        return;
    };
    let bytes = match found {
        None => None,
        Some(entry) => match read(entry.content).await {
            Ok(bytes) => Some(bytes.to_vec()),
            Err(_cut) => return,
        },
    };
    assert!(
        possible(model, name).contains(&bytes),
        "{name}: {:?}",
        bytes.map(|bytes| bytes.len())
    );
}

async fn run(steps: Vec<Step>, write: WriteMode, when_down: WhenDown) {
    let s3 = Arc::new(S3Server::memory());
    let mut pair = Pair::with(s3, |plan| {
        (plan.policy.write, plan.policy.when_down) = (write, when_down);
    })
    .await;
    let mut model = Model::new();
    for step in steps {
        pair = Box::pin(apply(pair, &mut model, step)).await;
    }
    pair.s3.faults().clear();
    pair.s3.resume();
    pair.drained().await;
    for name in 0..5 {
        look(&pair, &mut model, name).await;
    }
    until("everything is given back", || pair.disk.stats().reserved == 0).await;
    until("no upload is left", || pair.s3.uploads().is_empty()).await;
    assert_eq!(pair.disk.stats().pinned, 0);
    until("no record is left", || records(&pair.plan.disk.dir) == 0).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_tiers_are_a_map(steps in prop::collection::vec(step(), 1..30), back in any::<bool>(), queue in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let write = if back { WriteMode::Back } else { WriteMode::Through };
        let when_down = if queue { WhenDown::Queue } else { WhenDown::Refuse };
        runtime.block_on(run(steps, write, when_down));
    }
}
