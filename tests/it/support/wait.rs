//! Waiting for what will be true, without a fixed time.

use std::time::{Duration, Instant};

/// Waits until something holds; fails after 30 s.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        // Looks again soon; a loop without a pause would take the time of what it waits for.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
