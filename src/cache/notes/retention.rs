//! Old notes are removed: who was away for longer has other ways to learn what it missed.

use std::sync::Arc;
use std::time::Duration;

use super::LogShared;
use super::codec::{self, PREFIX};
use crate::error::chain;
use crate::store::Result;
use crate::tasks::pause;

/// How long notes are kept. A server that was away for longer compares its copies.
pub(super) const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// Time between two rounds.
const ROUND_INTERVAL: Duration = Duration::from_secs(600);

impl super::NoteLog {
    /// How long notes are kept.
    pub const RETENTION: Duration = RETENTION;
}

/// Removes old notes from time to time; of several servers only one does.
pub(super) fn start(log: &Arc<LogShared>) {
    let (stopping, this) = (log.tasks.stopping(), Arc::clone(log));
    drop(log.tasks.spawn(async move {
        let rounds = async {
            loop {
                pause(ROUND_INTERVAL).await;
                let others = this.peers.others();
                if others.iter().all(|other| this.peers.me() < other.id())
                    && let Err(error) = remove_old(&this).await
                {
                    tracing::debug!(cause = chain(&error), "old notes could not be removed");
                }
            }
        };
        stopping.run_until_cancelled(rounds).await;
    }));
}

pub(super) async fn remove_old(log: &LogShared) -> Result<()> {
    let Some(bound) = log.clock.now().checked_sub(RETENTION).map(codec::bound) else {
        return Ok(());
    };
    let mut after = None;
    loop {
        let page = log.objects.list_page(PREFIX, after.as_deref()).await?;
        for object in &page.objects {
            match codec::read_name(&object.name) {
                Some(name) if name.id < bound => log.objects.remove(&object.name).await?,
                Some(_) => return Ok(()),
                // Of another version; its own servers know how long it is needed.
                None => {}
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}
