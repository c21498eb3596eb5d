use futures_util::future::join_all;

use super::*;

#[tokio::test]
async fn the_port_can_be_closed_and_opened() {
    let server = S3Server::memory();
    put(&server, "a", "1").await;
    let client = server.client();
    let head = || client.head_object().bucket(BUCKET).key("a").send();
    head().await.unwrap();
    server.stop_listening().await;
    // Neither the connection that the client has, nor a new one.
    assert!(broken(head().await));
    let connect = tokio::net::TcpStream::connect(server.port.address).await;
    assert_eq!(connect.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    server.resume();
    head().await.unwrap();
    assert_eq!(get(&server, "a").await.unwrap(), "1");
}

#[tokio::test]
async fn everything_ends_with_the_server() {
    let server = S3Server::memory();
    let gate = Gate::new();
    server.faults().always(Kind::Head, Action::Hold(gate.clone()));
    let client = server.client();
    let head = client.head_object().bucket(BUCKET).key("a").send();
    let front = std::sync::Arc::downgrade(&server.front);
    let end = async {
        gate.reached(1).await;
        drop(server);
    };
    let (head, ()) = tokio::join!(head, end);
    assert!(broken(head));
    crate::support::wait::until("nothing is left", || front.strong_count() == 0).await;
}

#[tokio::test]
async fn requests_are_counted() {
    let server = S3Server::memory();
    put(&server, "dir/a b", vec![1; 1000]).await;
    server.forget();
    let gate = Gate::new();
    server.faults().always(Kind::Get, Action::Hold(gate.clone()));
    let client = server.client();
    let gets = (0..3).map(|_| async {
        let get = client.get_object().bucket(BUCKET).key("dir/a b").send();
        get.await.unwrap().body.collect().await.unwrap();
    });
    let open = async {
        gate.reached(3).await;
        assert_eq!(server.in_flight(), 3);
        gate.open();
    };
    tokio::join!(join_all(gets), open);
    crate::support::wait::until("all is over", || server.in_flight() == 0).await;
    assert!(server.headers(Kind::Get)[2].contains_key("authorization"));
    assert_eq!(server.count(Kind::Get), 3);
    assert_eq!(server.count_of(Kind::Get, "dir/a b"), 3);
    assert_eq!(server.count_of(Kind::Get, "dir"), 0);
    assert_eq!(server.log().len(), 3);
    assert_eq!(server.most_in_flight(), 3);
    assert_eq!(server.connections(), 3);
    assert_eq!(server.response_bytes(), 3000);
}

/// Of the last request.
fn kind(server: &S3Server) -> Kind {
    server.log().last().unwrap().kind
}

#[tokio::test]
async fn operations_of_uploads_have_their_kinds() {
    let server = S3Server::memory();
    let client = server.client();
    let id = create(&server, "a").await;
    assert_eq!(kind(&server), Kind::Create);
    part(&server, "a", &id, 1, vec![1]).await;
    assert_eq!(kind(&server), Kind::UploadPart);
    let list = client.list_parts().bucket(BUCKET).key("a").upload_id(&id);
    list.send().await.unwrap();
    assert_eq!(kind(&server), Kind::ListParts);
    let list = client.list_multipart_uploads().bucket(BUCKET);
    list.send().await.unwrap();
    assert_eq!(kind(&server), Kind::ListUploads);
    let complete = client.complete_multipart_upload().bucket(BUCKET).key("a");
    let complete = complete.upload_id(&id).send().await;
    assert_eq!(refused(complete), answer(400, "MalformedXML"));
    assert_eq!(kind(&server), Kind::Complete);
    let abort = client.abort_multipart_upload().bucket(BUCKET).key("a");
    abort.upload_id(&id).send().await.unwrap();
    assert_eq!(kind(&server), Kind::Abort);
}

#[tokio::test]
async fn operations_of_buckets_have_their_kinds() {
    let server = S3Server::memory();
    let client = server.client();
    let list = client.list_objects_v2().bucket(BUCKET);
    list.send().await.unwrap();
    assert_eq!(kind(&server), Kind::List);
    client.head_bucket().bucket(BUCKET).send().await.unwrap();
    assert_eq!(kind(&server), Kind::HeadBucket);
    let delete = client.delete_object().bucket(BUCKET).key("a");
    delete.send().await.unwrap();
    assert_eq!(kind(&server), Kind::Delete);
    client.create_bucket().bucket("new").send().await.unwrap();
    assert_eq!(kind(&server), Kind::Other);
}
