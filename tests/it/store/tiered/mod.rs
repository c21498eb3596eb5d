//! The disk in front of S3: a real disk tier, the real SDK, and an S3 in this process.

mod back;
mod change;
mod crash;
mod deletes;
mod fill;
mod flood;
mod model;
mod power;
mod replicas;
pub(super) mod rig;
mod rules;
mod staged;
mod stalled;
mod troubles;
mod waiting;

use std::sync::Arc;

use super::suite::Tier;
use crate::support::s3::S3Server;
use rig::Pair;

async fn tier(s3: S3Server) -> Tier {
    let pair = Pair::with(Arc::new(s3), |_| {}).await;
    Tier {
        store: Arc::new(pair.tiered.clone()),
        spools: pair.disk.spools(),
        _keep: Box::new(pair),
    }
}

async fn over_memory() -> Tier {
    tier(S3Server::memory()).await
}

async fn over_files() -> Tier {
    tier(S3Server::files()).await
}

async fn back_over_memory() -> Tier {
    let pair = Pair::with(Arc::new(S3Server::memory()), rig::back).await;
    Tier {
        store: Arc::new(pair.tiered.clone()),
        spools: pair.disk.spools(),
        _keep: Box::new(pair),
    }
}

conformance!(through_over_memory, super::over_memory);
conformance!(through_over_files, super::over_files);
conformance!(write_back_over_memory, super::back_over_memory);
