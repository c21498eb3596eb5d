use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use http::{Method, Request};

use super::*;

fn getting(server: &S3Server, name: &str) -> GetObjectFluentBuilder {
    server.client().get_object().bucket(BUCKET).key(name)
}

#[tokio::test]
async fn both_servers_store_bytes_and_metadata() {
    for server in [S3Server::memory(), S3Server::files()] {
        let put = server.client().put_object().bucket(BUCKET).key("a");
        let put = put
            .metadata("origin", "job")
            .body(ByteStream::from_static(b"hello"));
        let etag = put.send().await.unwrap().e_tag.unwrap();
        assert_eq!(etag, "\"5d41402abc4b2a76b9719d911017c592\"");
        assert_eq!(get(&server, "a").await.unwrap(), "hello");
        let head = server.client().head_object().bucket(BUCKET).key("a");
        let head = head.send().await.unwrap();
        assert_eq!(head.e_tag.unwrap(), etag);
        assert_eq!(head.content_length, Some(5));
        assert_eq!(head.metadata.unwrap()["origin"], "job");
        let delete = server.client().delete_object().bucket(BUCKET).key("a");
        delete.send().await.unwrap();
        assert_eq!(
            refused(getting(&server, "a").send().await),
            answer(404, "NoSuchKey")
        );
    }
}

#[tokio::test]
async fn both_servers_check_signatures() {
    for server in [S3Server::memory(), S3Server::files()] {
        let old = server.client();
        server.accept_keys("access-key", "another");
        let get = old.get_object().bucket(BUCKET).key("a").send().await;
        assert_eq!(refused(get), answer(403, "SignatureDoesNotMatch"));
        server.accept_keys("another", "secret-key");
        let get = old.get_object().bucket(BUCKET).key("a").send().await;
        assert_eq!(refused(get), answer(403, "InvalidAccessKeyId"));
        put(&server, "a", "by the new ones").await;
    }
}

#[tokio::test]
async fn the_configuration_names_the_credentials() {
    let server = S3Server::memory();
    let config = server.config("other");
    let files = config.credentials.unwrap();
    assert_eq!(
        std::fs::read_to_string(files.access_key_id).unwrap(),
        "access-key\n"
    );
    assert_eq!(
        std::fs::read_to_string(files.secret_access_key).unwrap(),
        "secret-key\n"
    );
    assert_eq!(
        config.endpoint_url.unwrap().as_str(),
        format!("{}/", server.url())
    );
    let head = server.client().head_bucket().bucket("other");
    head.send().await.unwrap();
    let head = server.client().head_bucket().bucket("missing").send().await;
    assert_eq!(refused(head).0, 404);
    let get = server
        .client()
        .get_object()
        .bucket("missing")
        .key("a")
        .send()
        .await;
    assert_eq!(refused(get), answer(404, "NoSuchBucket"));
}

#[tokio::test]
async fn ranges() {
    let server = S3Server::memory();
    server.put_raw("a", "0123456789", &[]);
    server.put_raw("empty", "", &[]);
    for (range, expected, header) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=8-99", "89", "bytes 8-9/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=-30", "0123456789", "bytes 0-9/10"),
    ] {
        let part = getting(&server, "a").range(range).send().await.unwrap();
        assert_eq!(part.content_range.as_deref(), Some(header));
        assert_eq!(part.body.collect().await.unwrap().into_bytes(), expected);
    }
    for (name, range) in [("a", "bytes=10-"), ("empty", "bytes=0-0"), ("empty", "bytes=-1")] {
        let part = getting(&server, name).range(range).send().await;
        assert_eq!(refused(part), answer(416, "InvalidRange"));
    }
    assert_eq!(get(&server, "empty").await.unwrap(), "");
    let part = Asked {
        kind: Kind::Get,
        object: "a".into(),
        range: Some("bytes=2-4".into()),
        part: None,
    };
    assert_eq!(server.log()[0], part);
}

#[tokio::test]
async fn conditions_of_reads() {
    let server = S3Server::memory();
    let etag = put(&server, "a", "1").await;
    getting(&server, "a").if_match(&etag).send().await.unwrap();
    getting(&server, "a")
        .if_none_match("\"other\"")
        .send()
        .await
        .unwrap();
    let changed = getting(&server, "a").if_match("\"other\"").send().await;
    assert_eq!(refused(changed), answer(412, "PreconditionFailed"));
    let same = getting(&server, "a").if_none_match(&etag).send().await;
    assert_eq!(refused(same).0, 304);
    let head = server.client().head_object().bucket(BUCKET).key("a");
    assert_eq!(refused(head.if_match("\"other\"").send().await).0, 412);
}

#[tokio::test]
async fn conditions_of_writes() {
    let server = S3Server::memory();
    let putting = || server.client().put_object().bucket(BUCKET).key("a");
    let put = putting().if_match("\"other\"").send().await;
    assert_eq!(refused(put), answer(404, "NoSuchKey"));
    let first = putting().if_none_match("*").send().await.unwrap().e_tag.unwrap();
    let put = putting().if_none_match("*").send().await;
    assert_eq!(refused(put), answer(412, "PreconditionFailed"));
    let body = ByteStream::from_static(b"2");
    putting().if_match(&first).body(body).send().await.unwrap();
    let put = putting().if_match(&first).send().await;
    assert_eq!(refused(put), answer(412, "PreconditionFailed"));
    assert_eq!(server.object("a").unwrap(), "2");
    let deleting = || server.client().delete_object().bucket(BUCKET).key("a");
    let delete = deleting().if_match(&first).send().await;
    assert_eq!(refused(delete), answer(412, "PreconditionFailed"));
    deleting().send().await.unwrap();
    deleting().if_match(&first).send().await.unwrap();
}

#[tokio::test]
async fn names_and_metadata_have_bounds() {
    let server = S3Server::memory();
    let put = |name: usize, metadata: usize| {
        let put = server.client().put_object().bucket(BUCKET).key("k".repeat(name));
        put.metadata("name", "v".repeat(metadata)).send()
    };
    put(1024, 2044).await.unwrap();
    assert_eq!(refused(put(1, 2045).await), answer(400, "MetadataTooLarge"));
    assert_eq!(refused(put(1025, 1).await), answer(400, "KeyTooLongError"));
    let create = server.client().create_multipart_upload().bucket(BUCKET).key("a");
    let create = create.metadata("name", "v".repeat(2045)).send().await;
    assert_eq!(refused(create), answer(400, "MetadataTooLarge"));
}

#[tokio::test]
async fn an_upload_without_a_length_is_refused() {
    let server = S3Server::memory();
    let body = ByteStream::from_static(b"12345");
    let put = server.client().put_object().bucket(BUCKET).key("a").body(body);
    let signing = aws_sdk_s3::presigning::PresigningConfig::expires_in(std::time::Duration::from_secs(60));
    let link = put.presigned(signing.unwrap()).await.unwrap();
    let stream = tokio::net::TcpStream::connect(server.port.address).await.unwrap();
    let stream = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from(
        "12345",
    )))]);
    let request = Request::builder().method(Method::PUT).uri(link.uri());
    let request = request.header("host", server.port.address.to_string());
    let request = request.body(http_body_util::StreamBody::new(pieces)).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 411);
    assert!(server.objects().is_empty());
    drop((sender, response));
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn lists_come_in_pages() {
    let server = S3Server::memory();
    for name in ["a/1", "a/2", "a/3", "a/4", "b"] {
        server.put_raw(name, "body", &[]);
    }
    let listing = || server.client().list_objects_v2().bucket(BUCKET).prefix("a/");
    let first = listing().start_after("a/1").max_keys(2).send().await.unwrap();
    let names = |page: &aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output| {
        let objects = page.contents().iter();
        objects
            .map(|object| object.key.clone().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&first), ["a/2", "a/3"]);
    assert_eq!(first.is_truncated, Some(true));
    let next = first.next_continuation_token.unwrap();
    let second = listing()
        .continuation_token(next)
        .max_keys(2)
        .send()
        .await
        .unwrap();
    assert_eq!(names(&second), ["a/4"]);
    assert_eq!(second.is_truncated, Some(false));
    assert_eq!(second.contents()[0].size, Some(4));
}

#[tokio::test]
async fn many_are_deleted_at_once() {
    let server = S3Server::memory();
    for name in ["a", "b", "c"] {
        server.put_raw(name, "body", &[("origin", "job")]);
    }
    let name = |name| ObjectIdentifier::builder().key(name).build().unwrap();
    let delete = Delete::builder()
        .objects(name("a"))
        .objects(name("c"))
        .objects(name("missing"));
    let delete = server
        .client()
        .delete_objects()
        .bucket(BUCKET)
        .delete(delete.build().unwrap());
    assert_eq!(delete.send().await.unwrap().deleted().len(), 3);
    let left = server.objects();
    assert_eq!(left.keys().collect::<Vec<_>>(), ["b"]);
    let expected = Listed {
        size: 4,
        metadata: [("origin".to_owned(), "job".to_owned())].into(),
        etag: "841a2d689ad86bd1611447453c22c6fc".into(),
    };
    assert_eq!(left["b"], expected);
    assert!(server.remove("b"));
    assert!(!server.remove("b"));
    assert_eq!(server.count(Kind::DeleteMany), 1);
}
