//! Work on files in the blocking pool.
//!
//! A cold disk makes each piece of work slow, and the pool is first come, first served. So what tenants cause there is less
//! than its threads can do at once, and tenants take turns. What is hot needs none of it.

use std::sync::{Arc, LazyLock};

use super::{Asker, FairPermit, FairSemaphore};
use crate::tasks::MAX_BLOCKING_THREADS;

/// Pieces of work at once. The other threads are for what the server does by itself, and for what is short.
pub(crate) const MAX_FILE_TURNS: usize = MAX_BLOCKING_THREADS / 4 * 3;

/// One for the process, as the pool is.
static TURNS: LazyLock<Arc<FairSemaphore>> = LazyLock::new(|| FairSemaphore::new(MAX_FILE_TURNS));

/// Waits for the right to one piece of work on a file in the blocking pool. The work takes it along, and drops it at its
/// end.
pub(crate) async fn file_turn(asker: Asker) -> FairPermit {
    TURNS.acquire(asker).await
}
