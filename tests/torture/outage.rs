//! What is wrong with a bucket for some time.

use std::time::{Duration, Instant};

use crate::history::Micros;
use crate::rng::Rng;
use crate::support::s3::{Action, Gate, Kind, S3Server, Which};

/// All kinds by their names.
pub(crate) const OUTAGES: [&str; 5] = ["away", "refuse", "slow", "lose", "throttle"];
const MAX_MILLIS: u64 = 8000;

/// An outage that runs until it is ended.
pub(crate) struct Outage {
    pub(crate) begin: Micros,
    over: Instant,
    /// What slow requests wait at.
    gate: Gate,
}

impl Outage {
    pub(crate) async fn begin(bucket: &S3Server, name: &str, now: Micros, rng: &mut Rng) -> Self {
        let faults = bucket.faults();
        let writes = [
            Kind::Put,
            Kind::Complete,
            Kind::Delete,
            Kind::UploadPart,
            Kind::Create,
        ];
        let gate = Gate::new();
        let time = Duration::from_millis(rng.spread(100, MAX_MILLIS));
        match name {
            // Nobody listens.
            "away" => bucket.stop_listening().await,
            // 500 to everything.
            "refuse" => faults.always(Which::any(), Action::internal_error()),
            // Nothing is done, or all is done and nothing answered, before the end.
            "slow" if rng.chance(50) => faults.always(Which::any(), Action::Hold(gate.clone())),
            "slow" => faults.always(Which::any(), Action::HoldAnswer(gate.clone())),
            // Changes are made, but their answers are lost or wrong.
            "lose" if rng.chance(50) => faults.times(writes, rng.between(1, 8), Action::LoseAnswer),
            "lose" => faults.times(writes, rng.between(1, 8), Action::late_internal_error()),
            _ => faults.times(Which::any(), rng.between(3, 60), Action::slow_down()),
        }
        Self {
            begin: now,
            over: Instant::now() + time,
            gate,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.over
    }

    pub(crate) fn end(&self, bucket: &S3Server) {
        self.gate.open();
        bucket.faults().clear();
        bucket.resume();
    }
}
