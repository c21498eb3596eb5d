use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;

use super::*;

#[tokio::test]
async fn errors_of_s3() {
    let server = S3Server::memory();
    for (action, expected) in [
        (Action::internal_error(), (500, "InternalError")),
        (Action::slow_down(), (503, "SlowDown")),
        (Action::access_denied(), (403, "AccessDenied")),
        (Action::clock_skew(), (403, "RequestTimeTooSkewed")),
        (Action::expired_token(), (400, "ExpiredToken")),
        (Action::redirect(), (301, "PermanentRedirect")),
        (Action::no_bucket(), (404, "NoSuchBucket")),
        (Action::precondition_failed(), (412, "PreconditionFailed")),
        (Action::conflict(), (409, "ConditionalRequestConflict")),
    ] {
        server.faults().always(Kind::Put, action.clone());
        server.faults().always([Kind::Head, Kind::Get], action);
        let body = ByteStream::from(vec![0; 300_000]);
        let put = server.client().put_object().bucket(BUCKET).key("a").body(body);
        assert_eq!(refused(put.send().await), answer(expected.0, expected.1));
        let head = server.client().head_object().bucket(BUCKET).key("a");
        assert_eq!(refused(head.send().await).0, expected.0);
        assert!(server.objects().is_empty());
        server.faults().clear();
    }
    put(&server, "a", "1").await;
}

#[tokio::test]
async fn faults_come_when_they_are_due() {
    let server = S3Server::memory();
    put(&server, "a", "1").await;
    put(&server, "b", "1").await;
    let getting = async |name| {
        let get = server.client().get_object().bucket(BUCKET).key(name);
        get.send().await.is_ok()
    };
    server.faults().nth(Kind::Get, 2, Action::slow_down());
    assert!(getting("a").await && !getting("a").await && getting("a").await);
    server
        .faults()
        .times(Which::from(Kind::Get).of("b"), 2, Action::slow_down());
    assert!(!getting("b").await && getting("a").await && !getting("b").await && getting("b").await);
    server.faults().once(Which::any(), Action::slow_down());
    assert!(!getting("a").await && getting("a").await);
}

#[tokio::test]
async fn connections_that_close_or_reset() {
    let server = S3Server::memory();
    for action in [Action::Refuse, Action::ResetRequest(100_000)] {
        server.faults().once(Kind::Put, action);
        let body = ByteStream::from(vec![0; 900_000]);
        let put = server.client().put_object().bucket(BUCKET).key("a").body(body);
        assert!(broken(put.send().await));
        assert!(server.objects().is_empty());
    }
    put(&server, "a", "1").await;
    server.faults().once(Kind::Head, Action::Refuse);
    let head = server.client().head_object().bucket(BUCKET).key("a");
    assert!(broken(head.send().await));
}

#[tokio::test]
async fn a_lost_answer_is_a_change_all_the_same() {
    let server = S3Server::memory();
    server
        .faults()
        .once([Kind::Put, Kind::Complete], Action::LoseAnswer);
    let put = server.client().put_object().bucket(BUCKET).key("a");
    assert!(broken(put.body(ByteStream::from_static(b"1")).send().await));
    assert_eq!(server.object("a").unwrap(), "1");
    crate::support::wait::until("the request is over", || server.in_flight() == 0).await;
}

#[tokio::test]
async fn bodies_that_break_off() {
    let server = S3Server::memory();
    let whole = Bytes::from(vec![9; 2_000_000]);
    put(&server, "a", whole.clone()).await;
    for after in [0, 1, 1_000_000, 1_999_999] {
        for action in [Action::Reset(after), Action::Overstate(after + 1)] {
            server.faults().once(Kind::Get, action.clone());
            assert!(get(&server, "a").await.is_err(), "{action:?}");
        }
        server.faults().once(Kind::Get, Action::Truncate(after));
        assert_eq!(get(&server, "a").await.unwrap().len() as u64, after);
    }
    assert!(get(&server, "a").await.unwrap() == whole);
}

#[tokio::test]
async fn a_reset_comes_after_the_bytes_before_it() {
    let server = S3Server::memory();
    put(&server, "a", vec![9; 200_000]).await;
    server.faults().once(Kind::Get, Action::Reset(100_000));
    let get = server.client().get_object().bucket(BUCKET).key("a");
    let mut body = get.send().await.unwrap().body;
    let mut read = 0;
    let error = loop {
        match body.next().await.unwrap() {
            Ok(piece) => read += piece.len(),
            Err(error) => break format!("{error:?}"),
        }
    };
    assert_eq!(read, 100_000);
    assert!(error.contains("ConnectionReset"), "{error}");
}

#[tokio::test]
async fn a_stalled_body_never_ends() {
    let server = S3Server::memory();
    put(&server, "a", vec![9; 200_000]).await;
    server.faults().once(Kind::Get, Action::Stall(100_000));
    let get = server.client().get_object().bucket(BUCKET).key("a");
    let mut body = get.send().await.unwrap().body;
    let mut read = 0;
    while read < 100_000 {
        read += body.next().await.unwrap().unwrap().len();
    }
    assert_eq!(read, 100_000);
    let more = tokio::time::timeout(Duration::from_millis(50), body.next());
    assert!(more.await.is_err());
    assert_eq!(server.in_flight(), 1);
    drop(body);
    crate::support::wait::until("the request is over", || server.in_flight() == 0).await;
}

#[tokio::test]
async fn bodies_come_as_fast_as_they_may() {
    let server = S3Server::memory();
    put(&server, "a", vec![9; 8_000_000]).await;
    server.faults().once(Kind::Get, Action::Rate(80_000_000));
    let begin = Instant::now();
    assert_eq!(get(&server, "a").await.unwrap().len(), 8_000_000);
    assert!(begin.elapsed() > Duration::from_millis(90));
    put(&server, "a", vec![9; 100]).await;
    server.faults().once(Kind::Get, Action::Rate(1_000));
    let begin = Instant::now();
    assert_eq!(get(&server, "a").await.unwrap().len(), 100);
    assert!(begin.elapsed() > Duration::from_millis(80));
}

#[tokio::test]
async fn answers_wait_at_a_gate() {
    let server = S3Server::memory();
    let (before, after) = (Gate::new(), Gate::new());
    server.faults().once(Kind::Put, Action::Hold(before.clone()));
    server.faults().once(Kind::Put, Action::HoldAnswer(after.clone()));
    let check = async {
        before.reached(1).await;
        assert!(server.objects().is_empty());
        before.open();
    };
    tokio::join!(put(&server, "a", "1"), check);
    let check = async {
        after.reached(1).await;
        assert_eq!(server.object("a").unwrap(), "2");
        after.open();
    };
    tokio::join!(put(&server, "a", "2"), check);
}

#[tokio::test]
async fn the_rest_of_a_body_waits_at_a_gate() {
    let server = S3Server::memory();
    put(&server, "a", vec![9; 200_000]).await;
    let gate = Gate::new();
    server
        .faults()
        .once(Kind::Get, Action::Pause(100_000, gate.clone()));
    let get = server.client().get_object().bucket(BUCKET).key("a");
    let mut body = get.send().await.unwrap().body;
    let mut read = 0;
    while read < 100_000 {
        read += body.next().await.unwrap().unwrap().len();
    }
    assert_eq!(read, 100_000);
    gate.reached(1).await;
    gate.open();
    assert_eq!(body.collect().await.unwrap().into_bytes().len(), 100_000);
}

#[tokio::test]
async fn an_error_may_come_with_a_good_status() {
    let server = S3Server::memory();
    let id = create(&server, "a").await;
    server
        .faults()
        .once(Kind::Complete, Action::status(200, "InternalError"));
    let complete = server.client().complete_multipart_upload();
    let complete = complete.bucket(BUCKET).key("a").upload_id(id).send().await;
    assert_eq!(refused(complete).1, "InternalError");
}

#[tokio::test]
async fn answers_that_lie() {
    let server = S3Server::memory();
    put(&server, "a", "truth").await;
    server.faults().once(Kind::Get, Action::Swap("lie".into()));
    assert_eq!(get(&server, "a").await.unwrap(), "lie");
    server.faults().once(Kind::Head, Action::Etag("\"lie\""));
    let head = server.client().head_object().bucket(BUCKET).key("a");
    assert_eq!(head.send().await.unwrap().e_tag.unwrap(), "\"lie\"");
}

#[tokio::test]
async fn who_may_not_list_is_not_told_what_is_missing() {
    let server = S3Server::memory();
    put(&server, "a", "1").await;
    server.faults().deny_list();
    let list = server.client().list_objects_v2().bucket(BUCKET).send().await;
    assert_eq!(refused(list), answer(403, "AccessDenied"));
    let get_missing = server.client().get_object().bucket(BUCKET).key("missing");
    assert_eq!(refused(get_missing.send().await), answer(403, "AccessDenied"));
    assert_eq!(get(&server, "a").await.unwrap(), "1");
}
