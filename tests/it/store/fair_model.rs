//! Random tenants over a disk that is much too small for them, with uploads that stay half done, restarts and crashes.
//! After every step: the bound holds, nobody within its share has lost an entry or was refused, and what is there is
//! what was written.
//!
//! `PROPTEST_CASES` asks for more cases.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use chacha::config::{Share, TenantRule};
use chacha::store::spool::SpoolWriter;
use chacha::store::tenant_rules::TenantRules;
use chacha::store::{Draft, Error, Origin, Rank, Result, Store, Tenancy, Tenant};
use proptest::prelude::*;

use super::support::*;

const LIMIT: usize = 16 * MIB;
const CASES: u32 = 10;
const TENANTS: usize = 6;
/// Group and weight of each tenant.
const SEATS: [(usize, u64); TENANTS] = [(0, 1), (1, 3), (1, 1), (1, 1), (2, 1), (2, 1)];
const GROUP_WEIGHTS: [u64; 3] = [1, 3, 1];
/// Reserved for the first tenant.
const MIN_SHARE: u64 = 2 << 20;
/// What a body of unknown length may hold beyond what it has.
const STEP_BYTES: u64 = 1 << 20;
/// Below this part of its share in percent a tenant counts as within it: blocks and folders are not counted here.
const WITHIN_PERCENT: u64 = 90;

#[derive(Debug, Clone)]
enum Step {
    Put {
        who: usize,
        rank: Rank,
        name: u8,
        size: usize,
        known: bool,
    },
    Get {
        who: usize,
        name: u8,
    },
    Delete {
        who: usize,
        name: u8,
    },
    /// Begins an upload that stays as it is.
    Begin {
        who: usize,
        size: usize,
        sent: usize,
        known: bool,
    },
    Abandon {
        nth: usize,
    },
    Restart,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let size =
        || prop_oneof![3 => 0..60_000_usize, 4 => 100_000..900_000_usize, 1 => 1_000_000..2_500_000_usize];
    let (who, name) = (|| 0..TENANTS, || 0..24_u8);
    let rank = prop::sample::select(Rank::ALL);
    prop_oneof![
        30 => (who(), rank, name(), size(), any::<bool>())
            .prop_map(|(who, rank, name, size, known)| Step::Put { who, rank, name, size, known }),
        8 => (who(), name()).prop_map(|(who, name)| Step::Get { who, name }),
        2 => (who(), name()).prop_map(|(who, name)| Step::Delete { who, name }),
        8 => (who(), size(), 0..2_000_000_usize, any::<bool>())
            .prop_map(|(who, size, sent, known)| Step::Begin { who, size, sent, known }),
        5 => (0..8_usize).prop_map(|nth| Step::Abandon { nth }),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
    ]
}

fn tenant(who: usize) -> Tenant {
    let group = format!("group{}", SEATS[who].0);
    Tenant::new("https://issuer", &format!("tenant{who}"), Some(&group)).unwrap()
}

fn rules() -> TenantRules {
    let rule = |who: usize| TenantRule {
        pattern: format!("*#tenant{who}"),
        ..TenantRule::default()
    };
    let reserved = TenantRule {
        min_share: Some(Share::Bytes(MIN_SHARE)),
        ..rule(0)
    };
    let heavy = TenantRule {
        weight: Some(3),
        ..rule(1)
    };
    TenantRules::new(&[reserved, heavy], LIMIT as u64)
}

fn name_of(who: usize, name: u8) -> String {
    format!("{who}-{name}")
}

/// An upload that stays half done.
struct Upload {
    who: usize,
    writer: SpoolWriter,
    holds: u64,
}

struct World {
    rig: Rig,
    /// Size and seed of what is there.
    entries: Vec<HashMap<u8, (usize, u64)>>,
    uploads: Vec<Upload>,
    seed: u64,
}

/// At most what a body takes with everything that belongs to it.
fn room(size: usize) -> u64 {
    (size as u64 + size as u64 / 4096 + 4096).next_multiple_of(4096)
}

impl World {
    async fn new() -> Self {
        let rig = Rig::new(LIMIT).await;
        rig.disk.follow(&rules());
        Self {
            rig,
            entries: vec![HashMap::new(); TENANTS],
            uploads: Vec::new(),
            seed: 0,
        }
    }

    /// Bytes of entries and uploads of a tenant, rather too many than too few.
    fn holds(&self, who: usize) -> u64 {
        let entries = self.entries[who].values().map(|(size, _)| room(*size));
        let uploads = self.uploads.iter().filter(|upload| upload.who == who);
        entries.sum::<u64>() + uploads.map(|upload| upload.holds).sum::<u64>()
    }

    /// What a tenant has to itself even if everybody wants all they can get.
    fn share(&self, who: usize) -> u64 {
        let all: u64 = self
            .entries
            .iter()
            .flat_map(HashMap::values)
            .map(|(size, _)| *size as u64)
            .sum();
        let others = self
            .rig
            .disk
            .stats()
            .used
            .saturating_sub(all)
            .min(LIMIT as u64 / 8);
        let divided = LIMIT as u64 * 95 / 100 - others - MIN_SHARE;
        let (group, weight) = SEATS[who];
        let of_group = divided * GROUP_WEIGHTS[group] / GROUP_WEIGHTS.iter().sum::<u64>();
        let in_group: u64 = SEATS
            .iter()
            .filter(|seat| seat.0 == group)
            .map(|seat| seat.1)
            .sum();
        of_group * weight / in_group + if who == 0 { MIN_SHARE } else { 0 }
    }

    fn is_within(&self, who: usize, more: u64) -> bool {
        self.holds(who) + more <= self.share(who) * WITHIN_PERCENT / 100
    }

    /// Does `work` while the uploads go on by a byte now and then; those whose room is taken back end.
    async fn beside_uploads<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut uploads = std::mem::take(&mut self.uploads);
        loop {
            if let Ok(done) = tokio::time::timeout(Duration::from_millis(5), &mut work).await {
                self.uploads = uploads;
                return done;
            }
            let mut left = Vec::new();
            for mut upload in uploads {
                let written = upload.writer.write(Bytes::from_static(b"x"));
                // One that waits for room itself goes on later.
                match tokio::time::timeout(Duration::from_millis(5), written).await {
                    Ok(Ok(())) => left.push(upload),
                    Ok(Err(refused)) => assert!(matches!(refused, Error::NoSpace { .. }), "{refused}"),
                    Err(_) => {}
                }
            }
            uploads = left;
        }
    }

    async fn put(&mut self, who: usize, rank: Rank, name: u8, size: usize, known: bool) {
        self.seed += 1;
        let (seed, within) = (
            self.seed,
            self.is_within(who, room(size) + if known { 0 } else { STEP_BYTES }),
        );
        let disk = self.rig.disk.clone();
        let put = async move {
            let tenant = tenant(who);
            let origin = Origin {
                tenancy: Some(Tenancy {
                    tenant: tenant.clone(),
                    rank,
                }),
                ..draft().origin
            };
            let expected = known.then_some(size as u64);
            let spool = write_spool(
                &disk.spools().of(Some(&tenant)),
                &body(size, seed),
                expected,
                50_000,
            )
            .await?;
            let key = key(&name_of(who, name));
            disk.put(&key, Draft { origin, ..draft() }, spool, Default::default())
                .await?;
            Result::Ok(())
        };
        match self.beside_uploads(put).await {
            Ok(()) => drop(self.entries[who].insert(name, (size, seed))),
            Err(refused) => assert!(
                !within && matches!(refused, Error::NoSpace { .. } | Error::TooLarge { .. }),
                "{who} holds {} of {} and is refused {size}: {refused}",
                self.holds(who),
                self.share(who)
            ),
        }
    }

    async fn begin(&mut self, who: usize, size: usize, sent: usize, known: bool) {
        let spools = self.rig.disk.spools().of(Some(&tenant(who)));
        let begin = async move {
            let mut writer = spools.create(known.then_some(size as u64)).await?;
            writer.write(body(sent.min(size), 1).into()).await?;
            Result::Ok(writer)
        };
        let holds = room(size) + if known { 0 } else { STEP_BYTES };
        match self.beside_uploads(begin).await {
            Ok(writer) => self.uploads.push(Upload { who, writer, holds }),
            Err(refused) => assert!(matches!(refused, Error::NoSpace { .. }), "{refused}"),
        }
    }

    async fn get(&self, who: usize, name: u8) {
        let found = self.rig.get(&name_of(who, name)).await;
        let expected = self.entries[who]
            .get(&name)
            .map(|(size, seed)| body(*size, *seed));
        assert!(found.as_deref() == expected.as_deref(), "{who}-{name}");
    }

    async fn delete(&mut self, who: usize, name: u8) {
        let key = key(&name_of(who, name));
        let there = self.rig.disk.delete(&key, Default::default()).await.unwrap();
        assert_eq!(there, self.entries[who].remove(&name).is_some());
    }

    async fn again(mut self, clean: bool) -> Self {
        self.uploads.clear();
        self.rig = match clean {
            true => self.rig.restart().await,
            false => self.rig.crash().await,
        };
        self.rig.disk.follow(&rules());
        until("it is known whose entries these are", || {
            let stats = self.rig.disk.stats();
            !stats.indexing && stats.unread == 0
        })
        .await;
        self
    }

    async fn apply(mut self, step: Step) -> Self {
        match step {
            Step::Put {
                who,
                rank,
                name,
                size,
                known,
            } => self.put(who, rank, name, size, known).await,
            Step::Get { who, name } => self.get(who, name).await,
            Step::Delete { who, name } => self.delete(who, name).await,
            Step::Begin {
                who,
                size,
                sent,
                known,
            } => self.begin(who, size, sent, known).await,
            Step::Abandon { nth } if nth < self.uploads.len() => drop(self.uploads.remove(nth)),
            Step::Abandon { .. } => {}
            Step::Restart => return self.again(true).await,
            Step::Crash => return self.again(false).await,
        }
        self
    }

    /// The evictor has nothing to do any more, or cannot do it.
    async fn idle(&self) {
        let figures = || {
            let stats = self.rig.disk.stats();
            (stats.evicted(), stats.used, stats.reserved)
        };
        let mut before = figures();
        until("the evictor is idle", || {
            let now = figures();
            let still = now == std::mem::replace(&mut before, now);
            still && now.1 + now.2 <= LIMIT as u64
        })
        .await;
    }

    /// Forgets what was evicted; nobody who was within its share may have lost anything.
    async fn check(&mut self, within: &[bool], step: &Step) {
        self.idle().await;
        let taken = du(self.rig.dir());
        assert!(taken <= LIMIT as u64, "{taken} after {step:?}");
        for (who, within) in within.iter().enumerate() {
            let mut lost = Vec::new();
            for name in self.entries[who].keys() {
                let key = key(&name_of(who, *name));
                if !self.rig.disk.contains(key.digest()).await.unwrap() {
                    lost.push(*name);
                }
            }
            let (holds, share) = (self.holds(who), self.share(who));
            assert!(
                lost.is_empty() || !within,
                "{who} held {holds} of {share} and lost {lost:?} after {step:?}"
            );
            self.entries[who].retain(|name, _| !lost.contains(name));
        }
    }
}

/// What a step adds to what its tenant holds.
fn needs(step: &Step, who: usize) -> u64 {
    match *step {
        Step::Put {
            who: writer,
            size,
            known,
            ..
        }
        | Step::Begin {
            who: writer,
            size,
            known,
            ..
        } if writer == who => room(size) + if known { 0 } else { STEP_BYTES },
        _ => 0,
    }
}

async fn run(steps: Vec<Step>) {
    let mut world = World::new().await;
    for step in steps {
        let within: Vec<_> = (0..TENANTS)
            .map(|who| world.is_within(who, needs(&step, who)))
            .collect();
        world = Box::pin(world.apply(step.clone())).await;
        world.check(&within, &step).await;
    }
    world.uploads.clear();
    until("everything is given back", || {
        world.rig.disk.stats().reserved == 0
    })
    .await;
    assert_eq!(temporary_files(world.rig.dir()), 0);
    for who in 0..TENANTS {
        for name in 0..24 {
            world.get(who, name).await;
        }
    }
}

fn cases() -> ProptestConfig {
    let mut config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    config
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn nobody_within_its_share_loses_or_is_refused_whatever_others_do(steps in prop::collection::vec(step(), 20..90)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
