//! Random operations against a map, with restarts and crashes in between.

use std::collections::HashMap;

use chacha::store::{Precondition, Store};
use proptest::prelude::*;

use super::support::*;

#[derive(Debug, Clone)]
enum Step {
    Put { name: u8, size: usize, seed: u64 },
    PutIfAbsent { name: u8, size: usize },
    Get { name: u8 },
    Head { name: u8 },
    Delete { name: u8 },
    Restart,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..8_u8;
    let size = prop_oneof![
        0..200_usize,
        16_000..17_000_usize,
        60_000..70_000_usize,
        250_000..300_000_usize
    ];
    prop_oneof![
        4 => (name.clone(), size.clone(), 0..100_u64).prop_map(|(name, size, seed)| Step::Put { name, size, seed }),
        2 => (name.clone(), size).prop_map(|(name, size)| Step::PutIfAbsent { name, size }),
        4 => name.clone().prop_map(|name| Step::Get { name }),
        2 => name.clone().prop_map(|name| Step::Head { name }),
        2 => name.prop_map(|name| Step::Delete { name }),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
    ]
}

async fn apply(mut rig: Rig, model: &mut HashMap<u8, Vec<u8>>, step: Step) -> Rig {
    match step {
        Step::Put { name, size, seed } => {
            rig.put(&name.to_string(), &body(size, seed)).await;
            model.insert(name, body(size, seed));
        }
        Step::PutIfAbsent { name, size } => {
            let key = key(&name.to_string());
            let bytes = body(size, 1);
            let put = put_if(&*rig.disk, &rig.disk.spools(), &key, &bytes, Precondition::Absent).await;
            assert_eq!(put.is_ok(), !model.contains_key(&name));
            model.entry(name).or_insert(bytes);
        }
        Step::Get { name } => {
            let found = rig.get(&name.to_string()).await;
            assert!(found.as_deref() == model.get(&name).map(Vec::as_slice));
        }
        Step::Head { name } => {
            let found = rig.disk.head(&key(&name.to_string())).await.unwrap();
            let size = model.get(&name).map(|bytes| bytes.len() as u64);
            assert_eq!(found.map(|meta| meta.size), size);
        }
        Step::Delete { name } => {
            let name_key = key(&name.to_string());
            let there = rig.disk.delete(&name_key, Precondition::None).await.unwrap();
            assert_eq!(there, model.remove(&name).is_some());
        }
        Step::Restart => rig = rig.restart().await,
        Step::Crash => rig = rig.crash().await,
    }
    rig
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tier_is_a_map_that_survives(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut rig = Rig::new(64 * MIB).await;
            let mut model = HashMap::new();
            for step in steps {
                rig = apply(rig, &mut model, step).await;
            }
            rig.disk.indexed().await;
            let stats = rig.disk.stats();
            assert_eq!(stats.entries, model.len());
            assert_eq!(files(rig.dir()).len(), model.len());
            until("everything is given back", || rig.disk.stats().reserved == 0).await;
            assert_eq!(rig.disk.stats().used, du(rig.dir()));
        });
    }
}
