//! The dialect of Azure's Blob storage: what goes wrong, and how it is told.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};

use super::{block_list, create, finalize, json_of, link, misses, save, with};
use crate::support::client::Answer;
use crate::support::server::TestServer;

/// Checks the form of an error.
fn error(answer: &Answer, status: StatusCode, code: &str) {
    assert_eq!(answer.status, status, "{:?}", answer.body);
    assert_eq!(answer.header("content-type"), "application/xml");
    assert_eq!(answer.header("x-ms-error-code"), code);
    assert_ne!(answer.header("x-ms-request-id"), "");
    assert_eq!(answer.header("x-ms-request-id"), answer.header("x-request-id"));
    let head = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>");
    let text = answer.text();
    assert!(
        text.starts_with(&head) && text.ends_with("</Message></Error>"),
        "{text}"
    );
}

fn replaced(url: &str, name: &str, value: &str) -> String {
    let (path, query) = url.split_once('?').unwrap();
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((found, _)) if found == name => format!("{name}={value}"),
        _ => pair.to_owned(),
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

fn parameter<'a>(url: &'a str, name: &str) -> &'a str {
    let query = url.split_once('?').unwrap().1;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(found, _)| *found == name).unwrap().1
}

#[tokio::test]
async fn forged_swapped_and_changed_links_are_403() {
    let server = TestServer::start().await;
    let client = server.acme();
    save(&client, "a", "A").await;
    save(&client, "b", "B").await;
    let (a, b) = (link(&client, "a").await, link(&client, "b").await);
    let upload = create(&client, "c").await;
    let (path, query) = a.split_once('?').unwrap();
    let later: u64 = parameter(&a, "se").parse::<u64>().unwrap() + 1;
    for url in [
        replaced(&a, "sig", parameter(&b, "sig")),
        replaced(&a, "sig", parameter(&upload, "sig")),
        replaced(&a, "sig", "AAAAAAAAAAAAAAAAAAAAAA"),
        replaced(&a, "sig", ""),
        replaced(&a, "se", &later.to_string()),
        replaced(&a, "se", "1600000000"),
        replaced(&a, "se", "x"),
        format!("{}?{query}", b.split_once('?').unwrap().0),
        format!("{path}A?{query}"),
        format!("{path}/?{query}"),
        format!("/_chacha/blob/?{query}"),
        format!("/_chacha/blob?{query}"),
        path.to_owned(),
        "/_chacha/blob/x".to_owned(),
        "/%5fchacha/blob/x".to_owned(),
    ] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            // A good token does not make it better.
            let answer = client.send(method, &url, &[], "").await;
            error(&answer, StatusCode::FORBIDDEN, "AuthenticationFailed");
        }
        let head = client.head(&url).await;
        assert_eq!(head.status, StatusCode::FORBIDDEN);
        assert_ne!(head.header("x-ms-request-id"), "");
    }
}

#[tokio::test]
async fn a_link_permits_one_direction() {
    let server = TestServer::start().await;
    let client = server.acme();
    save(&client, "k", "old").await;
    let read = link(&client, "k").await;
    let write = create(&client, "n").await;
    let code = "AuthorizationPermissionMismatch";
    error(&client.put(&read, "new").await, StatusCode::FORBIDDEN, code);
    let block = with(&read, "comp=block&blockid=AAAA");
    error(&client.put(&block, "new").await, StatusCode::FORBIDDEN, code);
    error(&client.get(&write).await, StatusCode::FORBIDDEN, code);
    assert_eq!(client.get(&read).await.text(), "old");
}

#[tokio::test]
async fn other_methods_are_405() {
    let server = TestServer::start().await;
    let client = server.acme();
    save(&client, "k", "x").await;
    for url in [link(&client, "k").await, create(&client, "n").await] {
        for method in [Method::DELETE, Method::POST, Method::PATCH, Method::OPTIONS] {
            let answer = client.send(method, &url, &[], "").await;
            error(&answer, StatusCode::METHOD_NOT_ALLOWED, "UnsupportedHttpVerb");
            assert_eq!(answer.header("allow"), "GET, HEAD, PUT");
        }
    }
}

#[tokio::test]
async fn malformed_requests_are_400_with_their_code() {
    let server = TestServer::start().await;
    let url = create(&server.acme(), "k").await;
    let client = server.anonymous();
    let long = STANDARD.encode([7; 65]);
    for (more, code) in [
        ("comp=appendblock", "InvalidQueryParameterValue"),
        ("comp=", "InvalidQueryParameterValue"),
        ("comp=block", "MissingRequiredQueryParameter"),
        ("comp=block&blockid=", "InvalidQueryParameterValue"),
        ("comp=block&blockid=%2A", "InvalidQueryParameterValue"),
        (
            &format!("comp=block&blockid={long}"),
            "InvalidQueryParameterValue",
        ),
    ] {
        let answer = client.put(&with(&url, more), "x").await;
        error(&answer, StatusCode::BAD_REQUEST, code);
    }
    let kind = [("x-ms-blob-type", "AppendBlob")];
    let answer = client.put_with(&url, &kind, "x").await;
    error(&answer, StatusCode::BAD_REQUEST, "InvalidHeaderValue");
    let copy = [("x-ms-copy-source", "https://elsewhere.example/blob")];
    let answer = client.put_with(&url, &copy, "").await;
    error(&answer, StatusCode::BAD_REQUEST, "UnsupportedHeader");
}

#[tokio::test]
async fn lists_that_are_none_or_name_unknown_blocks_are_400() {
    let server = TestServer::start().await;
    let url = create(&server.acme(), "k").await;
    let client = server.anonymous();
    let block = with(&url, "comp=block&blockid=AAAA");
    assert_eq!(client.put(&block, "x").await.status, StatusCode::CREATED);
    let list = with(&url, "comp=blocklist");
    for (xml, code) in [
        ("".to_owned(), "InvalidXmlDocument"),
        ("nonsense".to_owned(), "InvalidXmlDocument"),
        (
            "<BlockList><Latest>AAAA</Latest>".to_owned(),
            "InvalidXmlDocument",
        ),
        (
            "<BlockList><Latest>*</Latest></BlockList>".to_owned(),
            "InvalidXmlNodeValue",
        ),
        (block_list(&["AAAA".into(), "BBBB".into()]), "InvalidBlockList"),
        (block_list(&vec!["AAAA".into(); 50_001]), "BlockListTooLong"),
    ] {
        let answer = client.put(&list, xml).await;
        error(&answer, StatusCode::BAD_REQUEST, code);
    }
    let answer = client.put(&list, vec![b' '; (8 << 20) + 1]).await;
    error(&answer, StatusCode::PAYLOAD_TOO_LARGE, "RequestBodyTooLarge");
    assert_eq!(
        client.put(&list, block_list(&["AAAA".into()])).await.status,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn a_range_behind_the_end_is_416_with_the_size() {
    let server = TestServer::start().await;
    let client = server.acme();
    save(&client, "k", "0123456789").await;
    let url = link(&client, "k").await;
    for header in ["range", "x-ms-range"] {
        let answer = client.get_with(&url, &[(header, "bytes=10-")]).await;
        error(&answer, StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange");
        assert_eq!(answer.header("content-range"), "bytes */10");
    }
    let answer = client.get_with(&url, &[("x-ms-range", "bytes=x")]).await;
    error(&answer, StatusCode::BAD_REQUEST, "InvalidHeaderValue");
}

#[tokio::test]
async fn an_upload_that_has_ended_takes_nothing_more() {
    let server = TestServer::start().await;
    let client = server.acme();
    let url = create(&client, "k").await;
    client.put(&url, "abc").await;
    assert_eq!(json_of(&finalize(&client, "k", 3).await)["ok"], true);
    for more in ["", "&comp=block&blockid=AAAA"] {
        let answer = client.put(&format!("{url}{more}"), "xyz").await;
        error(&answer, StatusCode::CONFLICT, "BlobAlreadyExists");
    }
    let list = client.put(&with(&url, "comp=blocklist"), block_list(&[])).await;
    error(&list, StatusCode::CONFLICT, "BlobAlreadyExists");
    assert_eq!(client.get(&link(&client, "k").await).await.text(), "abc");
}

#[tokio::test]
async fn a_body_above_the_limit_is_413_with_both_numbers() {
    let server = TestServer::start_with(|config| config.limits.max_entry_size = Some(1000)).await;
    let url = create(&server.acme(), "k").await;
    let client = server.anonymous();
    for more in ["", "&comp=block&blockid=AAAA"] {
        let target = format!("{url}{more}");
        let answer = client.put(&target, vec![0; 1001]).await;
        error(&answer, StatusCode::PAYLOAD_TOO_LARGE, "RequestBodyTooLarge");
        assert!(answer.text().contains("1001") && answer.text().contains("1000"));
        let mut raw = client.raw().await;
        raw.head(
            &format!("PUT {target} HTTP/1.1"),
            "Transfer-Encoding: chunked\r\n",
        )
        .await;
        raw.write(b"200\r\n").await;
        for _ in 0..2 {
            raw.write(&[b'x'; 512]).await;
            raw.write(b"\r\n200\r\n").await;
        }
        assert!(raw.read_head().await.starts_with("HTTP/1.1 413 "));
        assert_eq!(
            client.put(&target, vec![0; 1000]).await.status,
            StatusCode::CREATED
        );
    }
}

#[tokio::test]
async fn a_body_that_was_cut_off_never_arrived() {
    let server = TestServer::start().await;
    let client = server.acme();
    let url = create(&client, "k").await;
    for target in [url.clone(), with(&url, "comp=block&blockid=AAAA")] {
        let mut raw = server.anonymous().raw().await;
        raw.head(&format!("PUT {target} HTTP/1.1"), "Content-Length: 10\r\n")
            .await;
        raw.write(b"01234").await;
        raw.finish().await;
        raw.read_to_end().await;
    }
    for size in [5, 10] {
        let answer = finalize(&client, "k", size).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
    let list = client
        .put(&with(&url, "comp=blocklist"), block_list(&["AAAA".into()]))
        .await;
    error(&list, StatusCode::BAD_REQUEST, "InvalidBlockList");
    assert!(misses(&client, "k").await);
}

#[tokio::test]
async fn a_client_that_stops_sending_gets_408() {
    let server = TestServer::start_with(|config| {
        config.limits.body_idle_timeout = std::time::Duration::from_millis(100);
    })
    .await;
    let url = create(&server.acme(), "k").await;
    let mut raw = server.anonymous().raw().await;
    raw.head(&format!("PUT {url} HTTP/1.1"), "Content-Length: 5\r\n")
        .await;
    raw.write(b"he").await;
    let head = raw.read_head().await;
    assert!(
        head.starts_with("HTTP/1.1 408 ") && head.contains("x-ms-request-id: "),
        "{head}"
    );
}

#[tokio::test]
async fn the_log_shows_no_link() {
    let mut server = TestServer::start().await;
    let client = server.acme();
    save(&client, "k", "abc").await;
    let url = link(&client, "k").await;
    let forged = replaced(&url, "sig", "AAAAAAAAAAAAAAAAAAAAAA");
    client.get(&url).await;
    client.get(&forged).await;
    let lines = server.log().await;
    let last: Vec<_> = lines[lines.len() - 2..].iter().collect();
    for (line, outcome) in last.into_iter().zip(["hit", "refused"]) {
        assert_eq!(
            (&line["protocol"], &line["route"], &line["outcome"]),
            (&"blob".into(), &"/_chacha/blob/{ticket}".into(), &outcome.into())
        );
    }
    let text = serde_json::to_string(&lines).unwrap();
    let path = url.split_once('?').unwrap().0;
    let ticket = path.rsplit('/').next().unwrap();
    assert!(!text.contains(ticket) && !text.contains(parameter(&url, "sig")));
}
