//! Hit rates of eviction policies on traces as CI makes them, to choose one by figures.
//!
//! ```text
//! cargo bench --bench policies
//! ```
//!
//! The traces are generated, always the same. Each has a shape of its own ([`traces`]). A policy sees a look-up, and a
//! write after a miss that a build answers itself.
#![allow(
    clippy::print_stdout,
    missing_docs,
    reason = "a bench prints its figures, and is documented above"
)]

mod cache;
mod clock;
mod list;
mod lru;
mod queues;
mod random;
mod segments;
mod sieve;
mod traces;

use cache::{Cache, Policy};
use traces::{Event, Trace};

/// Room of the cache, in percent of all bytes that a trace ever writes.
const ROOM: [u64; 3] = [5, 15, 40];

fn policies() -> Vec<Box<dyn Policy>> {
    vec![
        Box::new(lru::Lru::default()),
        Box::new(sieve::Sieve::default()),
        Box::new(queues::S3Fifo::default()),
        Box::new(lru::Segmented::default()),
        Box::new(clock::Clock::default()),
        Box::new(clock::SegmentedClock::default()),
        Box::new(queues::Fifo::default()),
    ]
}

fn main() {
    println!("hit rate of reads in percent, by count / by bytes; room in percent of all bytes written");
    for trace in traces::all() {
        for percent in ROOM {
            let room = trace.footprint() * percent / 100;
            let rates = policies().into_iter().map(|policy| run(&trace, policy, room));
            println!(
                "{:<10} {percent:>3} %  {}",
                trace.name,
                rates.collect::<Vec<_>>().join("   ")
            );
        }
    }
}

fn run(trace: &Trace, policy: Box<dyn Policy>, room: u64) -> String {
    let name = policy.name();
    let mut cache = Cache::new(policy, room);
    let (mut reads, mut hits, mut read_bytes, mut hit_bytes) = (0_u64, 0_u64, 0_u64, 0_u64);
    for event in &trace.events {
        match *event {
            Event::Read { key, bytes, fill } => {
                reads += 1;
                read_bytes += bytes;
                if cache.read(key) {
                    hits += 1;
                    hit_bytes += bytes;
                } else if fill {
                    cache.write(key, bytes);
                }
            }
            Event::Write { key, bytes } => cache.write(key, bytes),
        }
    }
    let rate = |part: u64, all: u64| part as f64 * 100.0 / all.max(1) as f64;
    format!(
        "{name} {:4.1}/{:4.1}",
        rate(hits, reads),
        rate(hit_bytes, read_bytes)
    )
}
