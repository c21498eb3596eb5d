//! One line for each request, with everything an operator needs and nothing that is a secret.

use chacha::telemetry::access::Outcome;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::protocol::bytes;
use crate::support::client::within;
use crate::support::server::TestServer;

/// The documented fields, in their order.
const FIELDS: [&str; 17] = [
    "timestamp",
    "level",
    "target",
    "id",
    "method",
    "protocol",
    "route",
    "status",
    "outcome",
    "tier",
    "issuer",
    "namespace",
    "tenant",
    "received",
    "sent",
    "micros",
    "client",
];

/// What a test says about a line; the rest is different every time.
fn essence(line: &Value) -> Value {
    let picked = [
        "method", "protocol", "route", "status", "outcome", "tier", "received", "sent",
    ];
    picked.iter().map(|name| line[name].clone()).collect()
}

#[tokio::test]
async fn every_request_has_one_line_with_the_documented_fields() {
    let mut server = TestServer::start().await;
    let acme = server.acme();
    acme.put("/small", "hello").await;
    acme.put("/large", bytes(100_000, 1)).await;
    acme.get("/small").await;
    acme.get("/large").await;
    acme.head("/large").await;
    acme.get_with("/large", &[("range", "bytes=10-19")]).await;
    acme.get("/missing").await;
    let tag = acme.get("/small").await.header("etag").to_owned();
    acme.get_with("/small", &[("if-none-match", &tag)]).await;
    acme.delete("/small").await;
    let refused = server.anonymous().get("/small").await;
    let lines = server.log().await;

    let expected = [
        json!(["PUT", "http", "/{key}", 201, "stored", "disk", 5, 0]),
        json!(["PUT", "http", "/{key}", 201, "stored", "disk", 100_000, 0]),
        json!(["GET", "http", "/{key}", 200, "hit", "memory", 0, 5]),
        json!(["GET", "http", "/{key}", 200, "hit", "disk", 0, 100_000]),
        json!(["HEAD", "http", "/{key}", 200, "hit", "", 0, 0]),
        json!(["GET", "http", "/{key}", 206, "hit", "disk", 0, 10]),
        json!(["GET", "http", "/{key}", 404, "miss", "", 0, 0]),
        json!(["GET", "http", "/{key}", 200, "hit", "memory", 0, 5]),
        json!(["GET", "http", "/{key}", 304, "condition", "", 0, 0]),
        json!(["DELETE", "http", "/{key}", 204, "deleted", "", 0, 0]),
        json!(["GET", "http", "/{key}", 401, "refused", "", 0, 0]),
    ];
    let found: Vec<Value> = lines.iter().map(essence).collect();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(&expected) {
        // Texts of errors have lengths of their own.
        let same = if found[3].as_u64() >= Some(400) {
            found.as_array().unwrap()[..7] == expected.as_array().unwrap()[..7]
        } else {
            found == expected
        };
        assert!(same, "{found}\nis not\n{expected}");
    }
    let last = lines.last().unwrap();
    assert_eq!(
        last["id"],
        refused.header("x-request-id"),
        "the id that the client was told"
    );
    for field in ["issuer", "namespace", "tenant"] {
        assert_eq!(last[field], "", "{field} of a token that was refused");
    }
    for line in &lines {
        for field in FIELDS {
            assert!(!line[field].is_null(), "{field}: {line}");
        }
        assert_eq!(line["id"].as_str().unwrap().len(), 24);
        assert_eq!(
            (&line["level"], &line["target"]),
            (&json!("INFO"), &json!("chacha::access"))
        );
        assert!(line["micros"].is_u64());
        let outcome = line["outcome"].as_str().unwrap();
        assert!(
            Outcome::ALL.iter().any(|known| known.as_str() == outcome),
            "{outcome}"
        );
    }
    for line in &lines[..lines.len() - 1] {
        assert_eq!(line["issuer"], server.issuer.url());
    }
    let label = lines[0]["namespace"].as_str().unwrap();
    assert!(
        label.len() == 12 && label.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{label}"
    );
    assert_eq!(lines[2]["namespace"], label, "the same caller has the same label");
    let tenant = lines[0]["tenant"].as_str().unwrap();
    assert!(tenant.len() == 12 && tenant != label, "{tenant}");
    assert_eq!(lines[2]["tenant"], tenant);
}

#[tokio::test]
async fn tenants_have_labels_of_their_own() {
    let mut server = TestServer::start().await;
    server.tenant("acme/app").put("/k", "x").await;
    server.tenant("globex/site").put("/k", "x").await;
    let lines = server.log().await;
    for field in ["namespace", "tenant"] {
        assert_ne!(lines[0][field], lines[1][field]);
    }
}

/// Requests of every kind, good and bad, with something to hide in every part.
#[tokio::test]
async fn no_line_holds_a_secret() {
    let mut server = TestServer::start().await;
    let claims = json!({
        "repository": "hidden-owner/hidden-repo", "ref": "refs/heads/hidden-branch",
        "sub": "hidden-subject", "actor": "hidden-actor",
    });
    let token = server.issuer.token(claims.clone());
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        server.issuer.token(claims)
    };
    let tokens = [
        token.clone(),
        with("exp", 1000.into()),
        with("iss", "https://hidden-issuer.example".into()),
        with("aud", "hidden-audience".into()),
        with("event_name", "pull_request_target".into()),
        with("repository", Value::Null),
        with("repository", 7.into()),
        format!("{token}x"),
        "hidden-junk".to_owned(),
    ];
    let long = format!("/hidden-key-{}", "x".repeat(2000));
    let paths = [
        "/hidden-key?hidden-query=hidden-value",
        "/hidden-key/%ff%00?hidden-query",
        "/hidden-key/../hidden-key",
        &long,
        "/v8/artifacts/hidden-key?teamId=hidden-query",
        "/v8/artifacts/hidden%20key?slug=hidden-query",
        "/v1/cache/hidden-key",
        "/_apis/artifactcache/cache?keys=hidden-key",
    ];
    let mut count = 0;
    for token in &tokens {
        let client = server.anonymous().with_token(token);
        for path in paths {
            for method in [Method::PUT, Method::GET, Method::DELETE, Method::POST] {
                let headers = [("range", "bytes=900-999"), ("if-none-match", "\"hidden-tag\"")];
                let body = if method == Method::PUT { "hidden-body" } else { "" };
                client.send(method, path, &headers, body).await;
                count += 1;
            }
        }
    }
    let basic = server
        .anonymous()
        .with_authorization("Basic aGlkZGVuLXVzZXI6aGlkZGVu");
    basic.get("/hidden-key").await;
    let text = server.log_text().await;
    assert_eq!(text.lines().count(), count + 1, "one line a request");
    for secret in ["hidden", "acme", "refs/heads", "repo/", "aGlkZGVu", "900-999"] {
        let found = text.lines().find(|line| line.contains(secret));
        assert_eq!(found, None, "{secret}");
    }
    for token in &tokens {
        for part in token.split('.').filter(|part| part.len() > 8) {
            assert!(!text.contains(part), "a part of a token");
        }
    }
}

/// Far more than the buffers of two sockets hold.
const LARGE: usize = 40 << 20;

#[tokio::test]
async fn a_client_that_hangs_up_during_a_large_download_is_cut() {
    let mut server = TestServer::start().await;
    server.acme().put("/large", bytes(LARGE, 1)).await;
    let mut raw = server.acme().raw().await;
    raw.head("GET /large HTTP/1.1", "").await;
    raw.read_head().await;
    raw.read_exact(1000).await;
    drop(raw);
    let lines = server.log().await;
    assert_eq!(lines.len(), 2, "{lines:#?}");
    let line = &lines[1];
    assert_eq!(
        (&line["status"], &line["outcome"]),
        (&json!(200), &json!("cut")),
        "{line}"
    );
    let sent = line["sent"].as_u64().unwrap();
    assert!((1000..LARGE as u64).contains(&sent), "{line}");
}

#[tokio::test]
async fn a_client_that_hangs_up_during_an_upload_has_one_line() {
    let mut server = TestServer::start().await;
    let mut raw = server.acme().raw().await;
    raw.head(
        "PUT /k HTTP/1.1",
        "Content-Length: 10\r\nExpect: 100-continue\r\n",
    )
    .await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 100 "));
    raw.write(b"half").await;
    drop(raw);
    // No sooner is the upload gone than its room is free.
    within(async {
        while !server
            .ops()
            .get("/metrics")
            .await
            .text()
            .contains("method=\"PUT\"")
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let lines = server.log().await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let line = &lines[0];
    let told = [
        &line["method"],
        &line["protocol"],
        &line["route"],
        &line["outcome"],
    ];
    assert_eq!(told, ["PUT", "http", "/{key}", "cut"], "{line}");
    assert_eq!(line["issuer"], server.issuer.url(), "{line}");
}

#[tokio::test]
async fn requests_of_one_connection_have_ids_that_ascend() {
    let mut server = TestServer::start().await;
    let mut raw = server.acme().raw().await;
    for _ in 0..3 {
        raw.head("HEAD /missing HTTP/1.1", "").await;
        assert!(
            raw.read_head()
                .await
                .starts_with(&format!("HTTP/1.1 {} ", StatusCode::NOT_FOUND.as_u16()))
        );
    }
    let text = server.log_text().await;
    let ids: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].to_string())
        .collect();
    assert!(ids.len() == 3 && ids.is_sorted(), "{ids:?}");
}
