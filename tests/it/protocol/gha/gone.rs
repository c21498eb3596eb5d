//! Entries that look-ups know and the bucket has lost.

use std::sync::Arc;

use super::{find, misses, save};
use crate::support::client::within;
use crate::support::s3::{Action, Gate, Kind, S3Server};
use crate::support::server::TestServer;

/// A restore key that many lost entries fit must not cost one question after the other.
#[tokio::test]
async fn many_lost_entries_are_asked_for_side_by_side() {
    let s3 = Arc::new(S3Server::memory());
    let section = s3.config(S3Server::BUCKET);
    let mut server = TestServer::start_with(|config| config.s3 = Some(section)).await;
    let client = server.acme();
    save(&client, "deps-kept", "kept").await;
    let kept = s3.objects();
    for nth in 0..20 {
        save(&client, &format!("deps-{nth}"), "lost").await;
    }
    // `v1/`, two hex digits of the digest, and the other 62.
    let is_entry = |name: &str| name.rsplit('/').next().is_some_and(|last| last.len() == 62);
    let is_lost = |name: &String| is_entry(name) && !kept.contains_key(name);
    let lost: Vec<_> = s3.objects().into_keys().filter(is_lost).collect();
    assert_eq!(lost.len(), 20);
    for name in lost {
        assert!(s3.remove(&name));
    }
    server.wipe().await;
    let client = server.acme();
    let gate = Gate::new();
    s3.faults().once(Kind::Head, Action::status(404, "NotFound"));
    s3.faults().always(Kind::Head, Action::Hold(gate.clone()));
    let looking = tokio::spawn(async move {
        let found = find(&client, "deps-x", &["deps-"]).await;
        (found, misses(&client, "deps-9").await)
    });
    // The newest one alone, then many at once.
    gate.reached(8).await;
    gate.open();
    let (found, is_gone) = within(looking).await.unwrap();
    assert_eq!(found["matched_key"], "deps-kept");
    assert!(is_gone);
}
