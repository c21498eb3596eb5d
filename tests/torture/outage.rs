//! What is wrong with a bucket for some time.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::history::Micros;
use crate::rng::Rng;
use crate::support::s3::{Action, Gate, Kind, S3Server, Which};

/// All kinds by their names.
pub(crate) const OUTAGES: [&str; 5] = ["away", "refuse", "slow", "lose", "throttle"];
const MAX_MILLIS: u64 = 8000;

/// An outage that ends by itself, or sooner.
pub(crate) struct Outage {
    pub(crate) begin: Micros,
    end: Arc<End>,
    timer: JoinHandle<()>,
}

struct End {
    bucket: Arc<S3Server>,
    /// What slow requests wait at.
    gate: Gate,
}

impl End {
    fn come(&self) {
        self.gate.open();
        self.bucket.faults().clear();
        self.bucket.resume();
    }
}

impl Outage {
    pub(crate) async fn begin(bucket: Arc<S3Server>, name: &str, now: Micros, rng: &mut Rng) -> Self {
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
        let end = Arc::new(End { bucket, gate });
        let timer = tokio::spawn({
            let end = end.clone();
            async move {
                tokio::time::sleep(time).await;
                end.come();
            }
        });
        Self {
            begin: now,
            end,
            timer,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.timer.is_finished()
    }

    pub(crate) fn end(&self) {
        self.timer.abort();
        self.end.come();
    }
}
