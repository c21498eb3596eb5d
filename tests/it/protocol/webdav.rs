//! The WebDAV verbs of sccache.

use http::{Method, StatusCode};

use crate::support::server::TestServer;

const BODY: &str = "<?xml version=\"1.0\"?><D:propfind xmlns:D=\"DAV:\"><D:allprop/></D:propfind>";

fn propfind() -> Method {
    "PROPFIND".parse().unwrap()
}

#[tokio::test]
async fn every_folder_exists() {
    let server = TestServer::start().await;
    for (path, shown) in [("/", "/"), ("/a/b/", "/a/b/"), ("/a&b/", "/a&amp;b/")] {
        for depth in ["0", "1", "infinity"] {
            let answer = server
                .acme()
                .send(propfind(), path, &[("depth", depth)], BODY)
                .await;
            assert_eq!(answer.status, StatusCode::MULTI_STATUS);
            let text = answer.text();
            assert!(text.contains(&format!("<D:href>{shown}</D:href>")), "{text}");
            assert!(
                text.contains("<D:collection/>") && text.contains("<D:getlastmodified>"),
                "{text}"
            );
            assert_eq!(text.matches("<D:response>").count(), 1);
        }
    }
}

#[tokio::test]
async fn a_file_has_its_size_or_is_404() {
    let server = TestServer::start().await;
    server.acme().put("/dir/file", "12345").await;
    let answer = server
        .acme()
        .send(propfind(), "/dir/file", &[("depth", "0")], BODY)
        .await;
    assert_eq!(answer.status, StatusCode::MULTI_STATUS);
    assert!(
        answer
            .text()
            .contains("<D:getcontentlength>5</D:getcontentlength>"),
        "{}",
        answer.text()
    );
    let missing = server.acme().send(propfind(), "/dir/other", &[], BODY).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(
        server
            .tenant("globex/site")
            .send(propfind(), "/dir/file", &[], "")
            .await
            .status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn mkcol_makes_nothing_and_succeeds() {
    let server = TestServer::start().await;
    let mkcol: Method = "MKCOL".parse().unwrap();
    assert_eq!(
        server.acme().send(mkcol, "/a/b/", &[], "").await.status,
        StatusCode::CREATED
    );
    assert_eq!(server.acme().get("/a/b/").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn options_names_the_methods() {
    let server = TestServer::start().await;
    let answer = server.acme().send(Method::OPTIONS, "/k", &[], "").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.header("allow").contains("PROPFIND"));
}
