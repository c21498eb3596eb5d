//! What one repository can do to the others with tokens that are good: nothing, without any configuration. In these tests
//! the victim holds less than its share all the time.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::json;

use super::bytes;
use super::gha::{VERSION, reserve};
use crate::support::client::Client;
use crate::support::server::TestServer;

const MIB: usize = 1 << 20;

/// A tenant with some entries of a MiB, within its share.
struct Victim {
    client: Client,
    entries: usize,
}

impl Victim {
    async fn new(server: &TestServer, entries: usize) -> Self {
        let client = server.tenant("globex/site");
        for nth in 0..entries {
            let put = client.put(&format!("/kept-{nth}"), bytes(MIB, nth as u64)).await;
            assert_eq!(put.status, StatusCode::CREATED);
        }
        Self { client, entries }
    }

    /// It has lost nothing, and writes without waiting.
    async fn is_unharmed(&self) {
        let began = Instant::now();
        let put = self.client.put("/more", bytes(MIB, 7)).await;
        assert_eq!(put.status, StatusCode::CREATED, "{}", put.text());
        let took = began.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
        for nth in 0..self.entries {
            let found = self.client.head(&format!("/kept-{nth}")).await;
            assert_eq!(found.status, StatusCode::OK, "{nth} of {}", self.entries);
        }
    }
}

/// The job of a pull request: who sends it needs no rights in the repository.
fn pull_request(server: &TestServer, number: usize) -> Client {
    server.job("acme/app", &format!("refs/pull/{number}/merge"))
}

async fn small() -> TestServer {
    TestServer::start_with(|config| config.disk.as_mut().unwrap().limit = 8 << 20).await
}

#[tokio::test]
async fn reservations_without_a_byte_take_no_room_of_others() {
    let server = small().await;
    let victim = Victim::new(&server, 2).await;
    let mut made = 0;
    for nth in 0..800 {
        let attacker = pull_request(&server, nth % 4);
        let body = json!({"key": format!("key-{nth}"), "version": VERSION});
        if reserve(&attacker, body).await.status != StatusCode::CREATED {
            break;
        }
        made += 1;
    }
    assert!((100..800).contains(&made), "{made}: all room is taken");
    victim.is_unharmed().await;
}

#[tokio::test]
async fn one_body_as_large_as_the_tier_takes_no_room_of_others() {
    let server = small().await;
    let victim = Victim::new(&server, 2).await;
    let mut chunked = pull_request(&server, 1).raw().await;
    chunked
        .head("PUT /huge HTTP/1.1", "Transfer-Encoding: chunked\r\n")
        .await;
    let chunk = [b"100000\r\n", &bytes(MIB, 1)[..], b"\r\n"].concat();
    for _ in 0..9 {
        if !chunked.try_write(&chunk).await {
            break;
        }
    }
    let answer = chunked.read_head().await;
    assert!(
        answer.starts_with("HTTP/1.1 413") || answer.starts_with("HTTP/1.1 507"),
        "{answer}"
    );
    victim.is_unharmed().await;
}

#[tokio::test]
async fn a_repository_that_writes_ten_times_the_tier_flushes_nobody() {
    let server = small().await;
    let victim = Victim::new(&server, 2).await;
    for nth in 0..80 {
        let attacker = pull_request(&server, nth % 3);
        let put = attacker
            .put(&format!("/flood-{nth}"), bytes(MIB, nth as u64))
            .await;
        assert_eq!(put.status, StatusCode::CREATED);
    }
    victim.is_unharmed().await;
}
