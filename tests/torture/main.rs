//! The torture of servers: random clients over real processes that are killed at every place, with buckets that go
//! away; and an oracle that says whether what the clients saw can have happened.
//!
//! `cargo test` runs the tests of the oracle only. `.ci/long/torture` tortures; `plan.rs` says what can be asked for.
//! Some rounds have a crowd of tenants that flood, and one within its share that must not notice.
//! A seed gives the same plan again: the same keys, sizes, faults and pauses. Threads run as they will.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests fail by panicking; this one is about time"
)]

mod actions;
mod body;
mod client;
mod crowd;
mod damage;
mod drain;
mod etags;
mod faults;
mod flood;
mod history;
mod http;
mod inspect;
mod oracle;
#[cfg(test)]
mod oracle_tests;
mod outage;
mod plan;
mod process;
mod quiet;
mod report;
mod rng;
mod round;
mod stepper;
mod support;
mod world;

use std::time::Instant;

use plan::{Mode, Plan, Rounds};

#[test]
#[ignore = "takes a minute and more: .ci/long/torture"]
fn torture() {
    let plan = Plan::from_environment(|name| std::env::var(name).ok()).unwrap_or_else(|why| panic!("{why}"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let tools = tempfile::tempdir().unwrap();
    let stepper = stepper::build(tools.path());
    if stepper.is_none() {
        round::print("left out: kills between system calls (no C compiler, or no seccomp)");
    }
    let (mut done, mut failed) = (0, Vec::new());
    let mut one = |seed: u64, mode: Mode| {
        done += 1;
        if !runtime.block_on(round::run(&plan, seed, mode, stepper.clone())) {
            failed.push(format!("{mode}-{seed}"));
        }
    };
    match &plan.rounds {
        Rounds::These(rounds) => rounds.iter().for_each(|(seed, mode)| one(*seed, *mode)),
        Rounds::Until {
            time,
            first_seed,
            modes,
        } => {
            let begin = Instant::now();
            for (nth, mode) in modes.iter().cycle().enumerate() {
                if begin.elapsed() >= *time {
                    break;
                }
                one(first_seed + (nth / modes.len()) as u64, *mode);
            }
        }
    }
    round::print(&format!(
        "{done} rounds, {} failed: {}",
        failed.len(),
        failed.join(" ")
    ));
    assert!(failed.is_empty(), "rounds have failed");
}
