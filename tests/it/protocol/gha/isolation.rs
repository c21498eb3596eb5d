//! No tenant reads, writes or ends what is another one's.

use http::{Method, StatusCode};
use serde_json::json;

use super::{begin, commit, create, finalize, find, json_of, link, look_up, misses, patch, save};
use crate::support::server::TestServer;

#[tokio::test]
async fn entries_of_another_tenant_are_not_found() {
    let server = TestServer::start().await;
    let (client, other) = (server.acme(), server.tenant("other/app"));
    save(&client, "k", "x").await;
    for key in ["k", ""] {
        let found = find(&other, "none", &[key, "k"]).await;
        assert_eq!(found["ok"], false);
    }
    assert_eq!(look_up(&other, "k").await.status, StatusCode::NO_CONTENT);
    let list = json_of(&other.get("/_apis/artifactcache/caches?key=").await);
    assert_eq!(list, json!({"totalCount": 0, "artifactCaches": []}));
    save(&other, "k", "theirs").await;
    assert_eq!(
        server.anonymous().get(&link(&client, "k").await).await.text(),
        "x"
    );
    assert_eq!(
        server.anonymous().get(&link(&other, "k").await).await.text(),
        "theirs"
    );
}

#[tokio::test]
async fn uploads_of_another_tenant_are_unknown() {
    let server = TestServer::start().await;
    let (client, other) = (server.acme(), server.tenant("other/app"));
    let id = begin(&client, "k").await;
    assert_eq!(patch(&client, id, 0, "abc").await.status, StatusCode::NO_CONTENT);
    // Not even one that this tenant has begun under the same name.
    let own = begin(&other, "k").await;
    assert_ne!(own, id);
    for (answer, unknown) in [
        (
            patch(&other, id, 0, "xyz").await,
            patch(&other, id ^ 1, 0, "xyz").await,
        ),
        (commit(&other, id, 3).await, commit(&other, id ^ 1, 3).await),
    ] {
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.body, unknown.body, "nobody learns which");
    }
    assert_eq!(commit(&client, id, 3).await.status, StatusCode::NO_CONTENT);
    assert_eq!(
        server.anonymous().get(&link(&client, "k").await).await.text(),
        "abc"
    );
}

#[tokio::test]
async fn another_tenant_cannot_finalize() {
    let server = TestServer::start().await;
    let (client, other) = (server.acme(), server.tenant("other/app"));
    let url = create(&client, "k").await;
    client.put(&url, "abc").await;
    let answer = finalize(&other, "k", 3).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(json_of(&answer)["code"], "not_found");
    assert!(misses(&client, "k").await && misses(&other, "k").await);
    assert_eq!(json_of(&finalize(&client, "k", 3).await)["ok"], true);
    assert!(misses(&other, "k").await);
}

#[tokio::test]
async fn a_branch_reads_the_default_branch_and_writes_its_own() {
    let server = TestServer::start().await;
    let (main, branch) = (server.acme(), server.job("acme/app", "refs/heads/topic"));
    save(&main, "k", "main").await;
    assert_eq!(
        server.anonymous().get(&link(&branch, "k").await).await.text(),
        "main"
    );
    save(&branch, "k", "topic").await;
    assert_eq!(
        server.anonymous().get(&link(&branch, "k").await).await.text(),
        "topic"
    );
    assert_eq!(
        server.anonymous().get(&link(&main, "k").await).await.text(),
        "main"
    );
    save(&branch, "k-newer", "topic").await;
    let found = find(&main, "k-", &["k"]).await;
    assert_eq!(found["matched_key"], "k");
}

#[tokio::test]
async fn generations_share_entries_and_plain_keys_do_not() {
    let server = TestServer::start().await;
    let client = server.acme();
    save(&client, "two", "2").await;
    assert_eq!(json_of(&look_up(&client, "two").await)["cacheKey"], "two");
    let id = begin(&client, "one").await;
    patch(&client, id, 0, "1").await;
    commit(&client, id, 1).await;
    assert_eq!(
        server.anonymous().get(&link(&client, "one").await).await.text(),
        "1"
    );
    for key in ["/one", "/two"] {
        assert_eq!(client.get(key).await.status, StatusCode::NOT_FOUND);
    }
    client.put("/plain", "x").await;
    assert!(misses(&client, "plain").await);
}

#[tokio::test]
async fn links_and_answers_do_not_name_a_tenant() {
    let server = TestServer::start().await;
    let client = server.acme();
    save(&client, "a-secret-key", "x").await;
    let url = link(&client, "a-secret-key").await;
    for text in [&url, &create(&client, "other-secret-key").await] {
        for secret in ["secret", "acme", "refs", "main"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    let hit = look_up(&client, "a-secret").await;
    assert!(!hit.text().contains("acme") && !hit.text().contains("refs/heads"));
    let got = client.send(Method::GET, &url, &[], "").await;
    let headers = format!("{:?}", got.headers);
    assert!(
        !headers.contains("acme") && !headers.contains("secret"),
        "{headers}"
    );
}
