//! What holds for every front-end.

use http::Method;

use crate::support::server::TestServer;

/// Every front-end: its name, a path that it claims, and the media type of its errors.
const FRONTENDS: [(&str, &str, &str); 9] = [
    ("blob", "/_chacha/blob/x", "application/xml"),
    (
        "gha_v1",
        "/_apis/artifactcache/x",
        "application/json; charset=utf-8",
    ),
    ("gha_v2", "/twirp/x", "application/json"),
    ("peer", "/_chacha/peer/entries", "text/plain; charset=utf-8"),
    ("token", "/_chacha/token", "application/json"),
    ("none", "/_chacha/x", "text/plain; charset=utf-8"),
    ("turbo", "/v8/artifacts/x", "application/json"),
    ("nx", "/v1/cache/x", "text/plain; charset=utf-8"),
    ("http", "/x", "text/plain; charset=utf-8"),
];
const METHODS: [&str; 8] = [
    "GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "PROPFIND", "BREW",
];

#[test]
fn the_table_has_every_front_end() {
    let names = FRONTENDS.map(|(name, ..)| name);
    assert_eq!(chacha::protocol::names(), names);
}

#[tokio::test]
async fn every_method_on_a_claimed_path_is_answered_in_the_form_of_its_front_end() {
    let mut server = TestServer::start().await;
    let client = server.anonymous();
    for (name, path, form) in FRONTENDS {
        for method in METHODS {
            let named = format!("{method} {path} of {name}");
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = client.send(method, path, &[], "").await;
            assert!(answer.status.is_client_error(), "{named}: {}", answer.status);
            // The peer's only method is said in a header, without a text.
            if answer.header("allow") != "POST" {
                assert_eq!(answer.header("content-type"), form, "{named}");
            }
        }
    }
    let lines = server.log().await;
    assert_eq!(lines.len(), FRONTENDS.len() * METHODS.len());
    for (lines, (name, ..)) in lines.chunks(METHODS.len()).zip(FRONTENDS) {
        for line in lines {
            assert_eq!(line["protocol"], name, "{line}");
            assert_ne!(line["route"], "", "{line}");
        }
    }
}
