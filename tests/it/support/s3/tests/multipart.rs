use aws_sdk_s3::operation::complete_multipart_upload::builders::CompleteMultipartUploadFluentBuilder;
use aws_sdk_s3::types::CompletedMultipartUpload;

use super::*;

const PART: usize = 5 << 20;

fn completing(
    server: &S3Server,
    name: &str,
    id: &str,
    parts: &[&CompletedPart],
) -> CompleteMultipartUploadFluentBuilder {
    let parts = parts.iter().map(|part| (*part).clone()).collect();
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts));
    let complete = server
        .client()
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key(name);
    complete.upload_id(id).multipart_upload(parts.build())
}

#[tokio::test]
async fn parts_become_an_object() {
    let server = S3Server::memory();
    let id = create(&server, "big").await;
    let last = part(&server, "big", &id, 2, b"end".to_vec()).await;
    let first = part(&server, "big", &id, 1, vec![7; PART]).await;
    let unfinished = Unfinished {
        object: "big".into(),
        id: id.clone(),
        parts: 2,
    };
    assert_eq!(server.uploads(), [unfinished]);
    assert!(server.objects().is_empty());
    let complete = completing(&server, "big", &id, &[&first, &last]).if_none_match("*");
    let etag = complete.send().await.unwrap().e_tag.unwrap();
    assert!(etag.ends_with("-2\""), "{etag}");
    let object = &server.objects()["big"];
    assert_eq!(object.size, PART as u64 + 3);
    assert_eq!(object.metadata["made"], "in parts");
    assert_eq!(format!("\"{}\"", object.etag), etag);
    assert!(server.object("big").unwrap().ends_with(b"\x07end"));
    assert!(server.uploads().is_empty());
    let again = completing(&server, "big", &id, &[&first]).send().await;
    assert_eq!(refused(again), answer(404, "NoSuchUpload"));
}

#[tokio::test]
async fn parts_that_do_not_fit_are_refused() {
    let server = S3Server::memory();
    let id = create(&server, "big").await;
    let one = part(&server, "big", &id, 1, b"small".to_vec()).await;
    let two = part(&server, "big", &id, 2, b"end".to_vec()).await;
    let wrong = CompletedPart::builder().part_number(1).e_tag("\"wrong\"").build();
    let missing = CompletedPart::builder().part_number(3).e_tag("\"wrong\"").build();
    for (parts, code) in [
        (&[&one, &two], "EntityTooSmall"),
        (&[&two, &one], "InvalidPartOrder"),
        (&[&wrong, &two], "InvalidPart"),
        (&[&one, &missing], "EntityTooSmall"),
        (&[&missing, &missing], "InvalidPartOrder"),
    ] {
        let complete = completing(&server, "big", &id, parts).send().await;
        assert_eq!(refused(complete), answer(400, code));
    }
    server.put_raw("big", "there first", &[]);
    let complete = completing(&server, "big", &id, &[&one]).if_none_match("*");
    assert_eq!(refused(complete.send().await), answer(412, "PreconditionFailed"));
    completing(&server, "big", &id, &[&one]).send().await.unwrap();
    assert_eq!(server.object("big").unwrap(), "small");
}

#[tokio::test]
async fn an_aborted_upload_is_gone() {
    let server = S3Server::memory();
    let id = create(&server, "big").await;
    let abort = || {
        server
            .client()
            .abort_multipart_upload()
            .bucket(BUCKET)
            .key("big")
            .upload_id(&id)
    };
    abort().send().await.unwrap();
    assert_eq!(refused(abort().send().await), answer(404, "NoSuchUpload"));
    let part = server
        .client()
        .upload_part()
        .bucket(BUCKET)
        .key("big")
        .upload_id(&id);
    let part = part
        .part_number(1)
        .body(ByteStream::from_static(b"late"))
        .send()
        .await;
    assert_eq!(refused(part), answer(404, "NoSuchUpload"));
}

#[tokio::test]
async fn uploads_and_parts_are_listed_in_pages() {
    let server = S3Server::memory();
    let mut ids = Vec::new();
    for name in ["a/1", "a/1", "a/2", "b"] {
        ids.push(create(&server, name).await);
    }
    let listing = || {
        server
            .client()
            .list_multipart_uploads()
            .bucket(BUCKET)
            .prefix("a/")
    };
    let first = listing().max_uploads(1).send().await.unwrap();
    assert_eq!(first.uploads()[0].upload_id(), Some(ids[0].as_str()));
    assert_eq!(first.is_truncated, Some(true));
    let rest = listing().set_key_marker(first.next_key_marker);
    let rest = rest
        .set_upload_id_marker(first.next_upload_id_marker)
        .send()
        .await
        .unwrap();
    let found: Vec<&str> = rest
        .uploads()
        .iter()
        .filter_map(|upload| upload.upload_id())
        .collect();
    assert_eq!(found, [ids[1].as_str(), ids[2].as_str()]);
    assert_eq!(rest.is_truncated, Some(false));

    for number in [3, 1, 2] {
        part(&server, "b", &ids[3], number, vec![0; number as usize]).await;
    }
    let listing = || {
        server
            .client()
            .list_parts()
            .bucket(BUCKET)
            .key("b")
            .upload_id(&ids[3])
    };
    let first = listing().max_parts(2).send().await.unwrap();
    let marker = first.next_part_number_marker().unwrap();
    let rest = listing().part_number_marker(marker).send().await.unwrap();
    let parts = first.parts().iter().chain(rest.parts());
    let parts: Vec<_> = parts
        .map(|part| (part.part_number.unwrap(), part.size.unwrap()))
        .collect();
    assert_eq!(parts, [(1, 1), (2, 2), (3, 3)]);
}
