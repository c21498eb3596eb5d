//! Waiting for what will be true, without a fixed time.

use std::time::{Duration, Instant};

/// How long a test waits for what must come: much longer than a loaded machine needs, since only a failure lasts so long.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Waits until something holds; fails after [`TEST_TIMEOUT`].
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + TEST_TIMEOUT;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        // Looks again soon; a loop without a pause would take the time of what it waits for.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The same for what has to be asked for.
pub(crate) async fn until_true(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + TEST_TIMEOUT;
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::task::yield_now().await;
    }
}
