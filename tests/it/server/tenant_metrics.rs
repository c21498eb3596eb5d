//! What operators see of tenants: the largest ones and all others, by labels that tell nothing.

use std::collections::HashMap;
use std::time::Duration;

use chacha::config::TenantRule;
use http::StatusCode;

use crate::protocol::bytes;
use crate::protocol::gha::{begin, patch};
use crate::support::server::TestServer;
use crate::support::wait::until_true;

/// The lines of one metric, by their labels.
async fn lines(server: &TestServer, name: &str) -> HashMap<String, u64> {
    let answer = server.ops().get("/metrics").await;
    let start = format!("{name}{{");
    let lines = answer.text().lines().filter_map(|line| line.strip_prefix(&start));
    let pairs = lines.map(|line| line.split_once("} ").expect("labels and a value"));
    pairs
        .map(|(labels, value)| (labels.to_owned(), value.parse().expect("a number")))
        .collect()
}

#[tokio::test]
async fn the_largest_tenants_are_told_apart_by_labels_and_all_others_are_one() {
    let server = TestServer::start().await;
    for nth in 0..25_usize {
        let client = server.tenant(&format!("owner-{nth}/repository"));
        let put = client.put("/k", bytes(10_000 * (nth + 1), 1)).await;
        assert_eq!(put.status, StatusCode::CREATED);
    }
    let entries = lines(&server, "chacha_tenant_entries").await;
    assert_eq!(entries.len(), 21, "{entries:?}");
    assert_eq!(entries["tenant=\"other\""], 5);
    assert_eq!(entries.values().sum::<u64>(), 25);
    let bytes = lines(&server, "chacha_tenant_bytes").await;
    assert!(
        bytes.values().all(|held| *held >= 60_000),
        "the others have the smallest: {bytes:?}"
    );
    for label in entries.keys().filter(|label| !label.contains("other")) {
        let digits = label
            .strip_prefix("tenant=\"")
            .and_then(|rest| rest.strip_suffix('"'));
        let is_digest =
            |digits: &str| digits.len() == 12 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        assert!(digits.is_some_and(is_digest), "{label}");
        assert!(lines(&server, "chacha_tenant_share_bytes").await[label] > 0);
    }
    let answer = server.ops().get("/metrics").await;
    let text = answer.text();
    assert!(!text.contains("owner-") && !text.contains("repository"));
    assert!(text.contains("chacha_tenants 25\n"), "{text}");
}

#[tokio::test]
async fn refusals_are_counted_by_reason_and_for_their_tenant() {
    let rule = TenantRule {
        pattern: "*#acme/app".into(),
        max_entry_size: Some(1000),
        max_bytes: Some(chacha::config::Share::Bytes(20_000)),
        ..TenantRule::default()
    };
    let server = TestServer::start_with(|config| config.tenants = vec![rule]).await;
    let acme = server.acme();
    assert_eq!(acme.put("/k", bytes(1000, 1)).await.status, StatusCode::CREATED);
    for _ in 0..2 {
        let refused = acme.put("/large", bytes(1001, 1)).await;
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
    let reason = "reason=\"max_entry_size\"";
    // Counted when the answer has left.
    until_true("both are counted", async || {
        lines(&server, "chacha_refusals_total").await[reason] == 2
    })
    .await;
    let refused = lines(&server, "chacha_tenant_refusals_total").await;
    let [(labels, 2)] = &refused
        .iter()
        .map(|(labels, count)| (labels, *count))
        .collect::<Vec<_>>()[..]
    else {
        panic!("{refused:?}");
    };
    assert!(labels.ends_with(reason), "{labels}");
    // Its own entries make way at its bound, and that is counted as well.
    for nth in 0..10 {
        let put = acme.put(&format!("/{nth}"), bytes(1000, 1)).await;
        assert_eq!(put.status, StatusCode::CREATED);
    }
    let evictions = lines(&server, "chacha_tenant_evictions_total").await;
    assert!(
        evictions
            .iter()
            .all(|(labels, count)| labels.contains("cause=\"rule\"") && *count > 0)
            && !evictions.is_empty(),
        "{evictions:?}"
    );
}

#[tokio::test]
async fn uploads_are_counted_for_their_tenant_and_said_to_be_given_up() {
    for (age, idle, reason) in [(3600, 1, "idle"), (1, 1, "age")] {
        let server = TestServer::start_with(|config| {
            config.gha.upload_age = Duration::from_secs(age);
            config.gha.upload_timeout = Duration::from_secs(idle);
        })
        .await;
        let acme = server.acme();
        assert_eq!(acme.put("/k", "x").await.status, StatusCode::CREATED);
        let id = begin(&acme, "k").await;
        patch(&acme, id, 0, bytes(1000, 1)).await;
        let reason = format!("reason=\"{reason}\"");
        until_true("it is given up", async || {
            lines(&server, "chacha_actions_given_up_total").await[&reason] == 1
        })
        .await;
        let uploads = lines(&server, "chacha_tenant_uploads").await;
        assert_eq!(
            (uploads.len(), uploads.values().sum::<u64>()),
            (2, 0),
            "{uploads:?}"
        );
    }
    let server = TestServer::start().await;
    let acme = server.acme();
    assert_eq!(acme.put("/k", "x").await.status, StatusCode::CREATED);
    let id = begin(&acme, "k").await;
    patch(&acme, id, 0, bytes(1000, 1)).await;
    let (uploads, held) = (
        lines(&server, "chacha_tenant_uploads").await,
        lines(&server, "chacha_tenant_upload_bytes").await,
    );
    assert_eq!(uploads["tenant=\"other\""], 0);
    assert_eq!(uploads.values().sum::<u64>(), 1);
    assert_eq!(held.values().sum::<u64>(), 1000);
}
