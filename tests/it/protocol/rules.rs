//! The operator's rules for tenants, as their clients meet them: whoever is at a bound is refused, nobody else is.

use std::time::Duration;

use chacha::config::{Share, TenantRule};
use http::StatusCode;
use serde_json::json;

use super::bytes;
use super::gha::{
    VERSION, begin, commit, create, finalize, json_of, link, misses, patch, reserve, save, with,
};
use crate::support::client::Client;
use crate::support::s3::{Action, Kind, S3Server};
use crate::support::server::TestServer;
use crate::support::wait::until_true;

/// A server with one rule, for the tenants whose names end with `acme/app` alone.
async fn server(change: impl FnOnce(&mut TenantRule)) -> TestServer {
    let mut rule = TenantRule {
        pattern: "*#acme/app".into(),
        ..TenantRule::default()
    };
    change(&mut rule);
    TestServer::start_with(|config| config.tenants = vec![rule]).await
}

#[tokio::test]
async fn an_entry_beyond_the_rule_is_refused_in_every_protocol_and_for_its_tenant_alone() {
    let server = server(|rule| rule.max_entry_size = Some(1000)).await;
    let acme = server.acme();
    assert_eq!(acme.put("/k", bytes(1000, 1)).await.status, StatusCode::CREATED);
    let refused = acme.put("/large", bytes(1001, 1)).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(refused.text().contains("\"limit\":1000"), "{}", refused.text());
    let mut chunked = acme.raw().await;
    chunked
        .head("PUT /chunked HTTP/1.1", "Transfer-Encoding: chunked\r\n")
        .await;
    let chunk = [b"401\r\n", &bytes(1025, 1)[..], b"\r\n0\r\n\r\n"].concat();
    chunked.write(&chunk).await;
    assert!(chunked.read_head().await.starts_with("HTTP/1.1 413"));
    let put = acme.put("/v8/artifacts/aa11?slug=t", bytes(1001, 1)).await;
    assert_eq!(put.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(
        acme.put("/v1/cache/123", bytes(1001, 1)).await.status,
        StatusCode::FORBIDDEN
    );
    // An archive whose length was said, one in parts that are small, and one that was never announced.
    let said = reserve(&acme, json!({"key": "k", "version": VERSION, "cacheSize": 1001})).await;
    assert_eq!(said.status, StatusCode::BAD_REQUEST);
    let id = begin(&acme, "parts").await;
    patch(&acme, id, 0, bytes(600, 1)).await;
    patch(&acme, id, 600, bytes(600, 2)).await;
    assert_eq!(commit(&acme, id, 1200).await.status, StatusCode::BAD_REQUEST);
    let url = create(&acme, "blob").await;
    let put = server
        .anonymous()
        .put(&with(&url, "comp=block&blockid=QUFB"), bytes(1001, 1))
        .await;
    assert_eq!(put.status, StatusCode::PAYLOAD_TOO_LARGE);
    let globex = server.tenant("globex/site");
    assert_eq!(
        globex.put("/large", bytes(1001, 1)).await.status,
        StatusCode::CREATED
    );
    save(&globex, "k", bytes(1001, 1)).await;
}

#[tokio::test]
async fn requests_beyond_the_rule_are_refused_until_one_has_ended() {
    let server = server(|rule| rule.requests_in_flight = Some(1)).await;
    let acme = server.acme();
    let mut held = acme.raw().await;
    held.head("PUT /k HTTP/1.1", "Content-Length: 3\r\nExpect: 100-continue\r\n")
        .await;
    assert!(
        held.read_head().await.starts_with("HTTP/1.1 100"),
        "it is under way"
    );
    let refused = acme.get("/k").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.header("retry-after"), "1");
    let text = refused.text();
    assert!(
        text.contains("requests_in_flight") && !text.contains("acme"),
        "{text}"
    );
    // A build must not fail for it.
    assert_eq!(acme.get("/v1/cache/123").await.status, StatusCode::NOT_FOUND);
    assert_eq!(acme.put("/v1/cache/123", "x").await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        server.tenant("globex/site").get("/k").await.status,
        StatusCode::NOT_FOUND
    );
    held.write(b"abc").await;
    assert!(held.read_head().await.starts_with("HTTP/1.1 201"));
    until_true("the place is free", async || acme.get("/k").await.text() == "abc").await;
}

/// Who reads slowly holds a connection, a file and memory for as long.
#[tokio::test]
async fn a_request_is_under_way_until_its_answer_has_left() {
    let server = server(|rule| rule.requests_in_flight = Some(1)).await;
    let acme = server.acme();
    acme.put("/large", bytes(24 << 20, 1)).await;
    acme.put("/small", "small").await;
    let mut slow = acme.raw().await;
    until_true("the place is free", async || {
        acme.get("/small").await.status == StatusCode::OK
    })
    .await;
    slow.head("GET /large HTTP/1.1", "").await;
    assert!(slow.read_head().await.starts_with("HTTP/1.1 200"));
    assert_eq!(acme.get("/small").await.status, StatusCode::TOO_MANY_REQUESTS);
    drop(slow);
    until_true("the place is free", async || {
        acme.get("/small").await.status == StatusCode::OK
    })
    .await;
}

/// A link holds no token, but it reads and writes for somebody.
#[tokio::test]
async fn requests_with_a_link_count_for_whom_it_belongs_to() {
    let server = server(|rule| rule.requests_in_flight = Some(1)).await;
    let acme = server.acme();
    let free = || async { acme.head("/none").await.status == StatusCode::NOT_FOUND };
    let url = create(&acme, "k").await;
    until_true("the place is free", async || free().await).await;
    let mut held = server.anonymous().raw().await;
    let put = format!("PUT {} HTTP/1.1", with(&url, "comp=block&blockid=QUFB"));
    held.head(&put, "Content-Length: 3\r\nExpect: 100-continue\r\n")
        .await;
    assert!(held.read_head().await.starts_with("HTTP/1.1 100"));
    assert!(!free().await);
    let second = server
        .anonymous()
        .put(&with(&url, "comp=block&blockid=QkJC"), "x")
        .await;
    assert_eq!(second.status, StatusCode::TOO_MANY_REQUESTS);
    drop(held);
    until_true("the place is free", async || free().await).await;
}

#[tokio::test]
async fn who_writes_faster_than_the_rule_is_refused_and_not_slowed_down() {
    let server = server(|rule| rule.write_rate = Some(1000)).await;
    let acme = server.acme();
    let first = acme.put("/k", bytes(3_600_000, 1)).await;
    assert_eq!(first.status, StatusCode::CREATED, "at least one entry");
    let refused = acme.put("/k2", "x").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((3_000..=3_600).contains(&wait), "{wait} s until the debt is paid");
    assert!(refused.text().contains("write_rate"), "{}", refused.text());
    let mut chunked = acme.raw().await;
    chunked
        .head("PUT /chunked HTTP/1.1", "Transfer-Encoding: chunked\r\n")
        .await;
    assert!(chunked.read_head().await.starts_with("HTTP/1.1 429"));
    let upload = reserve(&acme, json!({"key": "k", "version": VERSION})).await;
    assert_eq!(upload.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(!upload.header("retry-after").is_empty());
    // Reads are no writes, and others are others.
    assert_eq!(acme.get("/k").await.body.len(), 3_600_000);
    assert_eq!(
        server.tenant("globex/site").put("/k", "x").await.status,
        StatusCode::CREATED
    );
}

/// An archive of several blocks is one entry: it must not fail for its own first block.
#[tokio::test]
async fn an_archive_in_many_parts_is_written_to_its_end_while_others_wait() {
    let server = server(|rule| rule.write_rate = Some(1000)).await;
    let acme = server.acme();
    let (url, id) = (create(&acme, "blocks").await, begin(&acme, "late").await);
    for block in ["QUFB", "QkJC", "Q0ND"] {
        let url = with(&url, &format!("comp=block&blockid={block}"));
        let put = server.anonymous().put(&url, bytes(400_000, 1)).await;
        assert_eq!(put.status, StatusCode::CREATED);
    }
    let late = patch(&acme, id, 0, "x").await;
    assert_eq!(late.status, StatusCode::TOO_MANY_REQUESTS);
    let list = "<BlockList><Latest>QUFB</Latest><Latest>QkJC</Latest><Latest>Q0ND</Latest></BlockList>";
    let put = server.anonymous().put(&with(&url, "comp=blocklist"), list).await;
    assert_eq!(put.status, StatusCode::CREATED);
    assert_eq!(json_of(&finalize(&acme, "blocks", 1_200_000).await)["ok"], true);
}

#[tokio::test]
async fn uploads_beyond_the_rule_are_refused_until_one_has_ended() {
    let server = server(|rule| rule.max_uploads = Some(2)).await;
    let acme = server.acme();
    let first = begin(&acme, "first").await;
    // Of the same tenant, whatever the namespace.
    begin(&server.job("acme/app", "refs/heads/other"), "second").await;
    let refused = reserve(&acme, json!({"key": "third", "version": VERSION})).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.header("retry-after"), "5");
    begin(&server.tenant("globex/site"), "third").await;
    patch(&acme, first, 0, "abc").await;
    assert_eq!(commit(&acme, first, 3).await.status, StatusCode::NO_CONTENT);
    begin(&acme, "third").await;
}

#[tokio::test]
async fn an_entry_that_is_too_old_is_a_miss_and_stands_in_nobodys_way() {
    let server = server(|rule| rule.max_age = Some(Duration::from_secs(2))).await;
    let (acme, globex) = (server.acme(), server.tenant("globex/site"));
    for client in [&acme, &globex] {
        client.put("/k", "old").await;
        save(client, "k", "old archive").await;
    }
    let old = link(&acme, "k").await;
    until_true("too old", async || {
        acme.get("/k").await.status == StatusCode::NOT_FOUND
    })
    .await;
    until_true("too old", async || misses(&acme, "k").await).await;
    assert_eq!(acme.head("/k").await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.anonymous().get(&old).await.status, StatusCode::NOT_FOUND);
    let only_new = [("if-none-match", "*")];
    assert_eq!(
        acme.put_with("/k", &only_new, "new").await.status,
        StatusCode::CREATED
    );
    save(&acme, "k", "new archive").await;
    assert_eq!(acme.get("/k").await.text(), "new");
    assert_eq!(
        server.anonymous().get(&link(&acme, "k").await).await.text(),
        "new archive"
    );
    assert_eq!(globex.get("/k").await.text(), "old");
    assert!(!misses(&globex, "k").await);
}

#[tokio::test]
async fn a_reload_changes_the_rules_of_a_running_server() {
    let mut server = server(|rule| rule.max_entry_size = Some(10)).await;
    let acme = server.acme();
    assert_eq!(
        acme.put("/k", bytes(11, 1)).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    server
        .reload(|config| config.tenants[0].max_entry_size = Some(11))
        .await;
    assert_eq!(acme.put("/k", bytes(11, 1)).await.status, StatusCode::CREATED);
    server.reload(|config| config.tenants.clear()).await;
    assert_eq!(acme.put("/k", bytes(1000, 1)).await.status, StatusCode::CREATED);
}

/// Reading other entries must not keep it, and neither must the look that finds it unused.
#[tokio::test]
async fn an_entry_that_nobody_has_used_for_too_long_is_a_miss_in_every_protocol() {
    let server = server(|rule| rule.expire_after_unused = Some(Duration::from_secs(4))).await;
    let (acme, globex) = (server.acme(), server.tenant("globex/site"));
    for client in [&acme, &globex] {
        client.put("/unused", "unused").await;
        save(client, "unused", "unused archive").await;
        client.put("/used", "used").await;
    }
    let old = link(&acme, "unused").await;
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(4100) {
        assert_eq!(acme.get("/used").await.text(), "used");
    }
    assert_eq!(acme.head("/unused").await.status, StatusCode::NOT_FOUND);
    assert_eq!(acme.get("/unused").await.status, StatusCode::NOT_FOUND);
    assert!(misses(&acme, "unused").await);
    assert_eq!(server.anonymous().get(&old).await.status, StatusCode::NOT_FOUND);
    assert_eq!(globex.get("/unused").await.text(), "unused");
    assert!(!misses(&globex, "unused").await);
    save(&acme, "unused", "new archive").await;
    assert!(!misses(&acme, "unused").await);
}

#[tokio::test]
async fn a_reload_that_lowers_a_bound_acts_before_the_next_write() {
    let mut server = server(|rule| rule.max_entries = Some(9)).await;
    let (acme, globex) = (server.acme(), server.tenant("globex/site"));
    for nth in 0..9 {
        acme.put(&format!("/{nth}"), "x").await;
        globex.put(&format!("/{nth}"), "x").await;
    }
    let there = async |client: &Client| {
        let mut there = 0;
        for nth in 0..9 {
            let found = client.head(&format!("/{nth}")).await.status == StatusCode::OK;
            there += u32::from(found);
        }
        there
    };
    assert_eq!(there(&acme).await, 9);
    server
        .reload(|config| config.tenants[0].max_entries = Some(2))
        .await;
    until_true("what is beyond the bound is gone", async || {
        there(&acme).await == 2
    })
    .await;
    assert_eq!(there(&globex).await, 9);
}

/// What takes no room costs no turn: the answer says that it was refused for something else.
#[tokio::test]
async fn a_write_that_is_refused_is_not_charged() {
    let server = server(|rule| {
        rule.write_rate = Some(1000);
        rule.max_bytes = Some(Share::Bytes(1 << 20));
    })
    .await;
    let acme = server.acme();
    let refused = acme.put("/large", bytes(2 << 20, 1)).await;
    assert_eq!(refused.status, StatusCode::INSUFFICIENT_STORAGE);
    let url = create(&acme, "blocks").await;
    let refused = server
        .anonymous()
        .put(&with(&url, "comp=block&blockid=QUFB"), bytes(2 << 20, 1))
        .await;
    assert!(refused.status.is_server_error(), "{}", refused.status);
    assert_eq!(acme.put("/k", "x").await.status, StatusCode::CREATED);
}

/// A bucket that is down must not fail saves for a rule about age: the commit decides.
#[tokio::test]
async fn a_reservation_asks_the_bucket_once_and_goes_on_without_it() {
    let s3 = S3Server::memory();
    let section = s3.config(S3Server::BUCKET);
    let rule = TenantRule {
        pattern: "*".into(),
        max_age: Some(Duration::from_secs(86_400)),
        ..TenantRule::default()
    };
    let server = TestServer::start_with(|config| {
        config.s3 = Some(section);
        config.tenants = vec![rule];
    })
    .await;
    let acme = server.acme();
    s3.forget();
    begin(&acme, "first").await;
    assert_eq!(s3.count(Kind::Head), 1, "for what the catalog does not know");
    save(&acme, "kept", "kept").await;
    s3.faults().always(Kind::Head, Action::access_denied());
    begin(&acme, "second").await;
    let kept = reserve(&acme, json!({"key": "kept", "version": VERSION})).await;
    assert_eq!(kept.status, StatusCode::CONFLICT, "it is here");
}
