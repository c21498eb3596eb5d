//! The tiers: a conformance suite for all of them, and the hazards of each.

#[macro_use]
mod suite;
pub(crate) mod support;

mod ahead;
mod blocks;
mod bound;
mod damage;
mod directory;
mod disk;
mod fair;
mod fair_model;
mod held;
mod model;
mod moto;
mod power_loss;
pub(crate) mod remote_alone;
mod restart;
mod s3;
mod staging;
mod tiered;
mod unlink_retry;
mod volume;
