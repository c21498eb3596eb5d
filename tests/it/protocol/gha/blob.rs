//! The dialect of Azure's Blob storage: what clients do.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};

use super::{block_list, create, escaped, finalize, json_of, link, save, with};
use crate::protocol::bytes;
use crate::support::server::TestServer;

#[tokio::test]
async fn every_success_of_a_write_is_201_with_the_headers_of_azure() {
    let server = TestServer::start().await;
    let url = create(&server.acme(), "k").await;
    let client = server.anonymous();
    let version = [("x-ms-version", "2025-11-05"), ("x-ms-client-request-id", "x")];
    let id = STANDARD.encode("block");
    let block = client
        .put_with(
            &with(&url, &format!("comp=block&blockid={}", escaped(&id))),
            &version,
            "abc",
        )
        .await;
    let list = client
        .put_with(&with(&url, "comp=blocklist"), &version, block_list(&[id]))
        .await;
    let whole = client.put_with(&url, &version, "abc").await;
    for answer in [&block, &list, &whole] {
        assert_eq!((answer.status, answer.body.len()), (StatusCode::CREATED, 0));
        assert_eq!(answer.header("content-length"), "0");
        assert_eq!(answer.header("x-ms-version"), "2025-11-05");
        assert_ne!(answer.header("x-ms-request-id"), "");
        assert!(answer.header("last-modified").ends_with(" GMT"));
        assert!(!answer.header("date").is_empty());
    }
    assert!(list.header("etag").starts_with('"'));
    assert_ne!(block.header("x-ms-request-id"), list.header("x-ms-request-id"));
}

#[tokio::test]
async fn blocks_of_all_clients_are_put_in_the_order_of_the_list() {
    type Form = fn(u8) -> Vec<u8>;
    let server = TestServer::start().await;
    let client = server.acme();
    let forms: [(&str, Form); 3] = [
        ("javascript", |nth| {
            format!("8c9b2e1c-6d0f-4b7e-9a51-2f8f5c0d7e11{nth:012}").into_bytes()
        }),
        ("go", |nth| {
            [vec![0xa5; 16], vec![0, 0, 0, nth], vec![0; 44]].concat()
        }),
        ("opendal", |nth| bytes(16, 77 + u64::from(nth))),
    ];
    for (name, form) in forms {
        let url = create(&client, name).await;
        let parts: Vec<Vec<u8>> = (0..5).map(|nth| bytes(20_000 + nth, 9 + nth as u64)).collect();
        let ids: Vec<String> = (0..5).map(|nth| STANDARD.encode(form(nth))).collect();
        for nth in [3, 0, 4, 2, 1] {
            let target = with(&url, &format!("comp=block&blockid={}", escaped(&ids[nth])));
            let put = server.anonymous().put(&target, parts[nth].clone()).await;
            assert_eq!(put.status, StatusCode::CREATED, "{name}");
        }
        let list = server
            .anonymous()
            .put(&with(&url, "comp=blocklist"), block_list(&ids))
            .await;
        assert_eq!(list.status, StatusCode::CREATED, "{name}");
        let whole = parts.concat();
        assert_eq!(json_of(&finalize(&client, name, whole.len()).await)["ok"], true);
        assert!(
            server.anonymous().get(&link(&client, name).await).await.body == whole,
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_block_is_replaced_by_a_later_one_and_dropped_if_it_is_not_listed() {
    let server = TestServer::start().await;
    let client = server.acme();
    let url = create(&client, "k").await;
    let id = |name: &str| STANDARD.encode(name);
    for (name, block) in [("a", "first"), ("b", "B"), ("a", "A"), ("c", "dropped")] {
        let target = with(&url, &format!("comp=block&blockid={}", escaped(&id(name))));
        assert_eq!(
            server.anonymous().put(&target, block).await.status,
            StatusCode::CREATED
        );
    }
    let list = format!(
        "\u{feff}<?xml version=\"1.0\"?>\n<BlockList>\n <Uncommitted>{}</Uncommitted>\n <Committed> {} </Committed>\n</BlockList>",
        id("b"),
        id("a")
    );
    let list = server.anonymous().put(&with(&url, "comp=blocklist"), list).await;
    assert_eq!(list.status, StatusCode::CREATED);
    assert_eq!(json_of(&finalize(&client, "k", 2).await)["ok"], true);
    assert_eq!(
        server.anonymous().get(&link(&client, "k").await).await.text(),
        "BA"
    );
}

#[tokio::test]
async fn parameters_may_stand_in_front_of_the_signature() {
    let server = TestServer::start().await;
    let client = server.acme();
    let url = create(&client, "k").await;
    let (path, query) = url.split_once('?').unwrap();
    let id = STANDARD.encode(bytes(16, 3));
    let block = format!("{path}?comp=block&blockid={}&{query}", escaped(&id));
    assert_eq!(
        server.anonymous().put(&block, "abc").await.status,
        StatusCode::CREATED
    );
    let list = format!("{path}?comp=blocklist&{query}");
    let put = server.anonymous().put(&list, block_list(&[id])).await;
    assert_eq!(put.status, StatusCode::CREATED);
    assert_eq!(json_of(&finalize(&client, "k", 3).await)["ok"], true);
}

#[tokio::test]
async fn a_read_has_the_headers_of_both_worlds() {
    let server = TestServer::start().await;
    let client = server.acme();
    let archive = bytes(50_000, 4);
    save(&client, "k", archive.clone()).await;
    let url = link(&client, "k").await;
    let version = [("x-ms-version", "2025-11-05")];
    for method in [Method::GET, Method::HEAD] {
        let answer = server.anonymous().send(method.clone(), &url, &version, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{method}");
        for (name, value) in [
            ("content-length", "50000"),
            ("content-type", "application/octet-stream"),
            ("accept-ranges", "bytes"),
            ("x-ms-blob-type", "BlockBlob"),
            ("x-ms-version", "2025-11-05"),
        ] {
            assert_eq!(answer.header(name), value, "{method}");
        }
        assert!(answer.header("etag").starts_with('"'));
        assert!(answer.header("last-modified").ends_with(" GMT"));
        assert_ne!(answer.header("x-ms-request-id"), "");
        assert!(answer.headers.get("content-encoding").is_none());
        assert!(method == Method::HEAD || answer.body == archive);
    }
}

#[tokio::test]
async fn ranges_are_exact_and_the_own_header_wins() {
    let server = TestServer::start().await;
    let client = server.acme();
    // In memory, in the middle class, and sent as a file.
    for size in [1_000, 40_000, 2_500_000] {
        let (key, archive) = (format!("k{size}"), bytes(size, 6));
        save(&client, &key, archive.clone()).await;
        let url = link(&client, &key).await;
        let middle = size / 2;
        for (headers, part) in [
            (vec![("range", "bytes=0-0".to_owned())], 0..1),
            (vec![("range", format!("bytes={middle}-"))], middle..size),
            (vec![("range", "bytes=-10".to_owned())], size - 10..size),
            (vec![("x-ms-range", format!("bytes={middle}-"))], middle..size),
            (
                vec![
                    ("range", "bytes=0-0".to_owned()),
                    ("x-ms-range", "bytes=5-9".to_owned()),
                ],
                5..10,
            ),
            (vec![("x-ms-range", format!("bytes=3-{}", size * 2))], 3..size),
        ] {
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let answer = server.anonymous().get_with(&url, &headers).await;
            assert_eq!(
                answer.status,
                StatusCode::PARTIAL_CONTENT,
                "{headers:?} of {size}"
            );
            let span = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            assert_eq!(answer.header("content-range"), span);
            assert_eq!(answer.header("content-length"), part.len().to_string());
            assert_ne!(answer.header("x-ms-request-id"), "");
            assert!(
                answer.body == archive[part],
                "{headers:?} of {size}: bytes differ"
            );
        }
    }
}

#[tokio::test]
async fn a_tag_makes_reads_conditional() {
    let server = TestServer::start().await;
    let client = server.acme();
    save(&client, "k", "abc").await;
    let url = link(&client, "k").await;
    let etag = server.anonymous().get(&url).await.header("etag").to_owned();
    for (header, value, status) in [
        ("if-none-match", etag.as_str(), StatusCode::NOT_MODIFIED),
        ("if-match", etag.as_str(), StatusCode::OK),
        ("if-match", "\"other\"", StatusCode::PRECONDITION_FAILED),
    ] {
        let answer = server.anonymous().get_with(&url, &[(header, value)]).await;
        assert_eq!(answer.status, status, "{header}");
        assert_ne!(answer.header("x-ms-request-id"), "");
    }
}

#[tokio::test]
async fn a_stray_token_is_not_looked_at() {
    let server = TestServer::start().await;
    let client = server.acme();
    save(&client, "k", "abc").await;
    let url = link(&client, "k").await;
    for other in [
        client,
        server.tenant("other/app"),
        server.anonymous().with_token("junk"),
    ] {
        assert_eq!(other.get(&url).await.text(), "abc");
    }
}

#[tokio::test]
async fn continue_is_sent_after_the_ticket_was_checked() {
    let server = TestServer::start().await;
    let url = create(&server.acme(), "k").await;
    let expect = "Content-Length: 5\r\nExpect: 100-continue\r\n";
    let mut raw = server.anonymous().raw().await;
    raw.head(&format!("PUT {url} HTTP/1.1"), expect).await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 100 "));
    raw.write(b"hello").await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 201 "));
    let mut raw = server.anonymous().raw().await;
    raw.head(&format!("PUT {url}x HTTP/1.1"), expect).await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 403 "));
}

#[tokio::test]
async fn many_blocks_go_over_one_connection() {
    let server = TestServer::start().await;
    let client = server.acme();
    let url = create(&client, "k").await;
    let mut raw = server.anonymous().raw().await;
    let mut ids = Vec::new();
    for nth in 0..200_u32 {
        let id = STANDARD.encode(nth.to_be_bytes());
        let target = with(&url, &format!("comp=block&blockid={}", escaped(&id)));
        raw.head(&format!("PUT {target} HTTP/1.1"), "Content-Length: 4\r\n")
            .await;
        raw.write(&nth.to_be_bytes()).await;
        let head = raw.read_head().await;
        assert!(head.starts_with("HTTP/1.1 201 "), "{head}");
        ids.push(id);
    }
    let list = server
        .anonymous()
        .put(&with(&url, "comp=blocklist"), block_list(&ids))
        .await;
    assert_eq!(list.status, StatusCode::CREATED);
    let whole: Vec<u8> = (0..200_u32).flat_map(u32::to_be_bytes).collect();
    assert_eq!(json_of(&finalize(&client, "k", whole.len()).await)["ok"], true);
    assert!(server.anonymous().get(&link(&client, "k").await).await.body == whole);
}
