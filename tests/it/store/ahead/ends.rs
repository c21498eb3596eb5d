//! Faults and ends: what is given up, and what is sent again.

use super::*;

#[tokio::test]
async fn a_part_that_fails_ends_it_and_the_commit_sends_all() {
    for fault in [Action::access_denied(), Action::slow_down()] {
        let pair = Pair::new().await;
        let (dir, _) = pair.disk.blocks().await.unwrap();
        let bytes = body(6 * PART, 1);
        let upload = begin(&pair.tiered, &dir, "a", 1).await;
        send_ranges(&upload, &bytes, 0..7).await;
        sent(&pair.s3, 4).await;
        pair.s3.faults().always(Kind::UploadPart, fault);
        send_ranges(&upload, &bytes, 7..10).await;
        nothing_unfinished(&pair.s3).await;
        pair.s3.faults().clear();
        pair.s3.forget();
        put(&pair.tiered, "a", &upload, bytes.len()).await.unwrap();
        upload.remove().await;
        assert_eq!(
            (pair.s3.count(Kind::Create), pair.s3.count(Kind::UploadPart)),
            (1, 6)
        );
        check(&pair, "a", &bytes).await;
    }
}

#[tokio::test]
async fn a_bucket_that_hangs_or_is_away_slows_no_block() {
    let pair = Pair::new().await;
    let (dir, _) = pair.disk.blocks().await.unwrap();
    let bytes = body(6 * PART, 1);
    for (nth, kind, held, begun) in [(1, Kind::Create, 1, 1), (2, Kind::UploadPart, 3, 0)] {
        // It stays closed: those requests are never answered. All that go at once have come to it, or a late one
        // would be answered and counted.
        let (name, gate) = (format!("entry {nth}"), Gate::new());
        pair.s3.faults().always(kind, Action::Hold(gate.clone()));
        let upload = begin(&pair.tiered, &dir, &name, nth).await;
        send_ranges(&upload, &bytes, 0..10).await;
        // All blocks are here, and nothing is there.
        gate.reached(held).await;
        assert!(pair.s3.uploads().iter().all(|upload| upload.parts == 0));
        pair.s3.faults().clear();
        pair.s3.forget();
        put(&pair.tiered, &name, &upload, bytes.len()).await.unwrap();
        upload.remove().await;
        let counts = [Kind::Create, Kind::UploadPart].map(|kind| pair.s3.count(kind));
        assert_eq!(counts, [begun, 7 - begun]);
        check(&pair, &name, &bytes).await;
    }
    pair.s3.stop_listening().await;
    let upload = begin(&pair.tiered, &dir, "away", 3).await;
    send_ranges(&upload, &bytes, 0..10).await;
    pair.s3.resume();
    put(&pair.tiered, "away", &upload, bytes.len()).await.unwrap();
    upload.remove().await;
    check(&pair, "away", &bytes).await;
}

#[tokio::test]
async fn what_somebody_removed_in_s3_is_sent_again() {
    let pair = Pair::new().await;
    let (dir, _) = pair.disk.blocks().await.unwrap();
    let bytes = body(4 * PART, 1);
    let upload = begin(&pair.tiered, &dir, "a", 1).await;
    send_ranges(&upload, &bytes, 0..7).await;
    sent(&pair.s3, 4).await;
    let begun = pair.s3.uploads().remove(0);
    let abort = pair.s3.client().abort_multipart_upload().bucket(S3Server::BUCKET);
    abort.key(begun.object).upload_id(begun.id).send().await.unwrap();
    pair.s3.forget();
    put(&pair.tiered, "a", &upload, bytes.len()).await.unwrap();
    upload.remove().await;
    assert_eq!(pair.s3.count(Kind::Create), 1);
    check(&pair, "a", &bytes).await;
}

#[tokio::test]
async fn an_upload_that_ends_otherwise_leaves_nothing_in_s3() {
    let pair = Pair::new().await;
    let (dir, _) = pair.disk.blocks().await.unwrap();
    let bytes = body(4 * PART, 1);
    let notes = || std::fs::read_dir(pair.disk.parts_folder()).unwrap().count();
    let gate = Gate::new();
    pair.s3
        .faults()
        .nth(Kind::UploadPart, 6, Action::Hold(gate.clone()));
    for nth in 1..=4 {
        let upload = begin(&pair.tiered, &dir, "a", nth).await;
        send_ranges(&upload, &bytes, 0..7).await;
        match nth {
            // It is removed: expiry, or another job takes its place.
            1 => sent(&pair.s3, 4).await,
            // While a part is on its way.
            2 => gate.reached(1).await,
            // The handle goes.
            3 => {
                sent(&pair.s3, 4).await;
                drop(upload);
                nothing_unfinished(&pair.s3).await;
                continue;
            }
            // The whole body is not put.
            _ => {
                sent(&pair.s3, 4).await;
                drop(upload.assemble(bytes.len() as u64).await.unwrap());
            }
        }
        upload.remove().await;
        nothing_unfinished(&pair.s3).await;
    }
    until("nothing is noted", || notes() == 0).await;
    assert!(pair.s3.objects().is_empty());
}

#[tokio::test]
async fn a_refused_put_leaves_nothing_and_the_next_one_sends_all() {
    let pair = Pair::new().await;
    let (dir, _) = pair.disk.blocks().await.unwrap();
    let bytes = body(4 * PART, 1);
    pair.put("taken", b"first").await;
    let upload = begin(&pair.tiered, &dir, "taken", 1).await;
    send_ranges(&upload, &bytes, 0..7).await;
    sent(&pair.s3, 4).await;
    let refused = put(&pair.tiered, "taken", &upload, bytes.len()).await;
    assert!(is_precondition(&refused));
    nothing_unfinished(&pair.s3).await;
    assert!(pair.delete("taken").await.unwrap());
    put(&pair.tiered, "taken", &upload, bytes.len()).await.unwrap();
    upload.remove().await;
    check(&pair, "taken", &bytes).await;
}

#[tokio::test]
async fn write_back_sends_nothing_ahead() {
    let pair = Pair::with(std::sync::Arc::new(S3Server::memory()), back).await;
    let (dir, _) = pair.disk.blocks().await.unwrap();
    assert!(pair.tiered.early_upload(&key("a")).is_none() && pair.disk.early_upload(&key("a")).is_none());
    // Nor does the queue use what another policy has sent.
    let through = Pair::new().await;
    let bytes = body(4 * PART, 1);
    let upload = begin(&through.tiered, &dir, "a", 1).await;
    send_ranges(&upload, &bytes, 0..7).await;
    sent(&through.s3, 4).await;
    put(&pair.tiered, "a", &upload, bytes.len()).await.unwrap();
    upload.remove().await;
    nothing_unfinished(&through.s3).await;
    pair.drained().await;
    assert!(through.s3.objects().is_empty());
    check(&pair, "a", &bytes).await;
}

#[tokio::test]
async fn uploads_share_a_few_turns() {
    let pair = Pair::with_limit(256 * MIB).await;
    let (dir, _) = pair.disk.blocks().await.unwrap();
    let bytes = body(4 * PART, 1);
    let gate = Gate::new();
    pair.s3
        .faults()
        .always(Kind::UploadPart, Action::Hold(gate.clone()));
    let mut uploads = Vec::new();
    for nth in 1..=4 {
        let upload = begin(&pair.tiered, &dir, &format!("entry {nth}"), nth).await;
        send_ranges(&upload, &bytes, 0..7).await;
        uploads.push(upload);
    }
    gate.reached(8).await;
    until("all are begun", || pair.s3.uploads().len() == 4).await;
    // Something else passes meanwhile, and no further part.
    pair.put("other", &body(2 * MIB, 5)).await;
    assert_eq!(pair.s3.count(Kind::UploadPart), 8);
    gate.open();
    for (upload, nth) in uploads.into_iter().zip(1..) {
        let name = format!("entry {nth}");
        put(&pair.tiered, &name, &upload, bytes.len()).await.unwrap();
        upload.remove().await;
        assert!(pair.local(&name).await.unwrap() == bytes);
    }
    nothing_unfinished(&pair.s3).await;
}

#[tokio::test]
async fn after_a_crash_the_upload_goes_on_without_what_was_sent() {
    let pair = Pair::new().await;
    let (dir, _) = pair.disk.blocks().await.unwrap();
    let bytes = body(6 * PART, 1);
    let upload = begin(&pair.tiered, &dir, "a", 1).await;
    send_ranges(&upload, &bytes, 0..7).await;
    sent(&pair.s3, 4).await;
    let after = pair.on_copy(pair.crash_copy().take()).await;
    nothing_unfinished(&pair.s3).await;
    let (_dir, mut found) = after.disk.blocks().await.unwrap();
    let upload = found.remove(0);
    send_ranges(&upload, &bytes, 7..10).await;
    put(&after.tiered, "a", &upload, bytes.len()).await.unwrap();
    upload.remove().await;
    check(&after, "a", &bytes).await;
}

#[tokio::test]
async fn a_server_that_stops_leaves_nothing_in_s3() {
    let pair = Pair::new().await;
    let bytes = body(4 * PART, 1);
    let upload;
    {
        let (dir, _) = pair.disk.blocks().await.unwrap();
        upload = begin(&pair.tiered, &dir, "a", 1).await;
    }
    let gate = Gate::new();
    pair.s3
        .faults()
        .nth(Kind::UploadPart, 4, Action::Hold(gate.clone()));
    send_ranges(&upload, &bytes, 0..7).await;
    gate.reached(1).await;
    let stopped = pair.stop().await;
    assert_eq!(stopped.s3.uploads(), []);
    assert_eq!(stopped.s3.count(Kind::Abort), 1);
    drop(upload);
}

#[tokio::test]
async fn s3_alone() {
    let (server, folder) = (S3Server::memory(), tempfile::tempdir().unwrap());
    let mut config = server.config(S3Server::BUCKET);
    config.part_size = PART as u64;
    let (_s3, store, tasks) = super::super::s3::open(&config, folder.path()).await;
    let (dir, _) = store.disk.blocks().await.unwrap();
    let bytes = body(5 * PART + 1, 1);
    let upload = begin(&*store, &dir, "a", 1).await;
    send_ranges(&upload, &bytes, (0..9).rev()).await;
    sent(&server, 5).await;
    server.forget();
    put(&*store, "a", &upload, bytes.len()).await.unwrap();
    upload.remove().await;
    assert_eq!(
        (server.count(Kind::UploadPart), server.count(Kind::Complete)),
        (1, 1)
    );
    assert!(get(&*store, &key("a")).await.unwrap() == bytes);
    let upload = begin(&*store, &dir, "b", 2).await;
    send_ranges(&upload, &bytes, 0..9).await;
    sent(&server, 5).await;
    server.faults().always(Which::any(), Action::access_denied());
    assert!(put(&*store, "b", &upload, bytes.len()).await.is_err());
    server.faults().clear();
    put(&*store, "b", &upload, bytes.len()).await.unwrap();
    upload.remove().await;
    assert!(get(&*store, &key("b")).await.unwrap() == bytes);
    drop((dir, upload));
    tasks.finish().await;
}
