//! What the tasks of the rules use.

use std::path::PathBuf;
use std::sync::Arc;

use super::notes::UseNotes;
use crate::cache::peers::Peers;
use crate::store::RemoteHealth;
use crate::store::remote::RemoteTier;
use crate::tasks::Tasks;

/// Where the rules are held, and by whom.
#[derive(Debug)]
pub struct BucketRulesParts {
    /// The bucket.
    pub remote: Arc<dyn RemoteTier>,
    /// The servers that share the work.
    pub peers: Peers,
    /// A file that is there while rows wait in memory.
    pub mark: PathBuf,
}

/// Both tasks' view.
#[derive(Debug)]
pub(super) struct Working {
    pub(super) notes: Arc<UseNotes>,
    pub(super) parts: BucketRulesParts,
    pub(super) tasks: Tasks,
}

impl Working {
    pub(super) fn is_up(&self) -> bool {
        self.parts.remote.health() == RemoteHealth::Up
    }
}
