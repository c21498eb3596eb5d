//! Entries that the index has dropped because `limits.index_memory` was reached.

use http::StatusCode;
use serde_json::json;

use super::{VERSION, call, create, finalize, find, json_of, link, misses, save};
use crate::support::server::TestServer;

/// Saves until the first of them is no longer found.
async fn flood(client: &crate::support::client::Client, first: &str) {
    for nth in 0..400 {
        save(client, &format!("{}-{nth}", "long".repeat(100)), "x").await;
        if nth % 20 == 19 && misses(client, first).await {
            return;
        }
    }
    panic!("the index keeps everything");
}

#[tokio::test]
async fn a_second_writer_does_not_replace_an_entry_that_the_index_has_dropped() {
    let server = TestServer::start_with(|config| config.limits.index_memory = 64 << 10).await;
    let (client, quiet) = (server.acme(), server.tenant("globex/api"));
    save(&quiet, "quiet", "kept").await;
    save(&client, "first", "one").await;
    flood(&client, "first").await;
    let url = create(&client, "first").await;
    let headers = [("x-ms-blob-type", "BlockBlob")];
    let put = client.put_with(&url, &headers, "two").await;
    assert_eq!(put.status, StatusCode::CREATED);
    let told = json_of(&finalize(&client, "first", 3).await);
    assert_ne!(told["ok"], true, "{told}");
    // A reader gets the bytes of the first writer, or nothing.
    let found = find(&client, "first", &[]).await;
    if found["ok"] == true {
        assert_eq!(client.get(&link(&client, "first").await).await.text(), "one");
    }
    assert_eq!(client.get(&link(&quiet, "quiet").await).await.text(), "kept");
    // Whoever has the entry already is told so at once.
    let again = json!({"key": "quiet", "version": VERSION});
    let told = json_of(&call(&quiet, "CreateCacheEntry", again).await);
    assert_eq!(told["code"], "already_exists", "{told}");
}
