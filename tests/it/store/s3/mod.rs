//! The far tier in a bucket, alone.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chacha::config::{S3Checksums, S3Config};
use chacha::store::remote::Remote;
use chacha::store::remote_only::RemoteStore;
use chacha::store::s3::{S3, S3Health};
use chacha::store::spool::Checksums;
use chacha::store::{Content, Error, Precondition, RemoteFault, Store};
use chacha::tasks::Tasks;
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::s3_server::S3Server;
use super::suite::Tier;
use super::support::*;

conformance!(s3, crate::store::s3::make_s3);

async fn make_s3() -> Tier {
    let rig = Far::new().await;
    Tier {
        store: rig.store.clone(),
        spools: rig.store.spools(),
        _keep: Box::new(rig),
    }
}

/// A bucket, and one server on it.
struct Far {
    server: S3Server,
    s3: Arc<S3>,
    store: Arc<RemoteStore>,
    tasks: Tasks,
}

impl Far {
    async fn new() -> Self {
        Self::on(S3Server::start().await).await
    }

    async fn on(server: S3Server) -> Self {
        let tasks = Tasks::new();
        let s3 = S3::open(&server.config, Some(server.folder("records")), &tasks)
            .await
            .unwrap();
        let staging = server.folder("staging");
        let store = RemoteStore::open(s3.clone(), &staging, 256 << 20, &tasks).await;
        Self {
            server,
            s3,
            store: store.unwrap(),
            tasks,
        }
    }

    /// Another server on the same bucket.
    async fn second(&self) -> (Arc<RemoteStore>, Tasks) {
        let tasks = Tasks::new();
        let s3 = S3::open(&self.server.config, None, &tasks).await.unwrap();
        let staging = self.server.folder("second");
        let store = RemoteStore::open(s3, &staging, 64 << 20, &tasks).await;
        (store.unwrap(), tasks)
    }

    async fn put(&self, name: &str, bytes: &[u8]) {
        put(&*self.store, &self.store.spools(), &key(name), bytes)
            .await
            .unwrap();
    }

    fn requests(&self, operation: &str) -> u64 {
        let stats = self.s3.stats();
        let found = stats.requests.iter().find(|(name, _)| *name == operation);
        found.unwrap().1
    }

    fn records(&self) -> usize {
        std::fs::read_dir(self.server.folder("records")).unwrap().count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_go_in_parts_and_come_back() {
    let far = Far::new().await;
    let bytes = body(20 * MIB + 7, 1);
    far.put("large", &bytes).await;
    assert_eq!(far.requests("upload_part"), 5);
    assert_eq!(far.requests("put"), 0);
    assert!(get(&*far.store, &key("large")).await.unwrap() == bytes);
    // Each of five parts with one request, the first with the description.
    assert_eq!((far.requests("get"), far.requests("head")), (5, 0));
    let entry = far.store.get(&key("large")).await.unwrap().unwrap();
    for (start, end) in [
        (0, 10),
        (5 * MIB - 1, 5 * MIB + 1),
        (7 * MIB, 18 * MIB),
        (20 * MIB + 6, 20 * MIB + 7),
    ] {
        let part = read(entry.content.slice(start as u64..end as u64)).await.unwrap();
        assert!(part == bytes[start..end], "{start}..{end}");
    }
    until("the record is gone", || far.records() == 0).await;
    assert_eq!(far.server.unfinished(), 0);
    let stats = far.s3.stats();
    assert_eq!(stats.bytes_out, bytes.len() as u64);
    assert!(stats.failures.iter().all(|(_, count)| *count == 0), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_descriptions_are_trailers() {
    let far = Far::new().await;
    for size in [0, 10, 300 * KIB, 6 * MIB, 12 * MIB + 1] {
        let bytes = body(size, 2);
        let mut draft = draft();
        draft.metadata.insert("long", &"\u{1}".repeat(8000)).unwrap();
        let spool = spool(&far.store.spools(), &bytes).await.unwrap();
        let meta = far
            .store
            .put(&key("t"), draft.clone(), spool, Precondition::None)
            .await
            .unwrap();
        assert_eq!(meta.metadata, draft.metadata);
        assert_eq!(
            far.store.head(&key("t")).await.unwrap(),
            Some(meta.clone()),
            "{size}"
        );
        assert_eq!(far.store.get(&key("t")).await.unwrap().unwrap().meta, meta);
        assert!(get(&*far.store, &key("t")).await.unwrap() == bytes, "{size}");
        let object = &far.server.objects()[0];
        assert!(object.metadata().unwrap().len() > meta.size + 8000);
        let entry = far.s3.head(&key("t")).await.unwrap().unwrap();
        assert!(far.s3.presign(&key("t"), &entry).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_are_given_up_leave_nothing() {
    let far = Far::new().await;
    let bytes: Bytes = body(12 * MIB, 3).into();
    let sums = Checksums::of(&bytes);
    let upload = async || {
        let content = Content::Memory(bytes.clone());
        far.s3.upload(&key("gone"), draft(), &sums, content).await
    };
    let sent = upload().await.unwrap();
    assert!(far.server.unfinished() > 0 && far.records() == 1);
    drop(sent);
    until("nothing is left", || {
        far.server.unfinished() == 0 && far.records() == 0
    })
    .await;
    let refused = upload().await.unwrap().commit(&Precondition::Present).await;
    assert!(matches!(refused, Err(Error::Precondition)));
    until("nothing is left", || {
        far.server.unfinished() == 0 && far.records() == 0
    })
    .await;
    assert!(far.server.objects().is_empty());
    assert!(far.s3.head(&key("gone")).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_left_is_aborted_at_the_next_start() {
    let far = Far::new().await;
    let bytes: Bytes = body(12 * MIB, 3).into();
    let sums = Checksums::of(&bytes);
    let content = Content::Memory(bytes);
    let sent = far
        .s3
        .upload(&key("gone"), draft(), &sums, content)
        .await
        .unwrap();
    // As if the process were killed: nothing of it runs any more.
    std::mem::forget(sent);
    let Far {
        server, tasks, store, ..
    } = far;
    tasks.finish().await;
    store.close();
    assert!(server.unfinished() > 0);
    let tasks = Tasks::new();
    let records = server.folder("records");
    let _s3 = S3::open(&server.config, Some(records.clone()), &tasks)
        .await
        .unwrap();
    until("nothing is left", || {
        server.unfinished() == 0 && records.read_dir().unwrap().count() == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_under_our_name_is_served_only_if_it_is_the_entry() {
    let far = Far::new().await;
    far.put("a", b"of a").await;
    let mine = far.server.objects().remove(0);
    far.put("b", b"of b").await;
    let other = far
        .server
        .objects()
        .into_iter()
        .find(|path| *path != mine)
        .unwrap();
    // The object of another entry, with its description left under its own name.
    std::fs::copy(&other, &mine).unwrap();
    assert!(far.store.get(&key("a")).await.unwrap().is_none());
    // A longer one, and one that somebody else put there without a description.
    std::fs::write(&mine, "longer than the description says").unwrap();
    assert!(far.store.get(&key("a")).await.unwrap().is_none());
    assert!(far.store.head(&key("a")).await.unwrap().is_none());
    let fault = far.s3.open(&key("a")).await.err().unwrap().remote_fault();
    assert_eq!(fault, Some(RemoteFault::Damaged));
    assert!(far.s3.stats().damaged > 0);
    // It can be replaced, also by a writer who wants to be the first.
    put_if(
        &*far.store,
        &far.store.spools(),
        &key("a"),
        b"new",
        Precondition::Absent,
    )
    .await
    .unwrap();
    assert_eq!(get(&*far.store, &key("a")).await.unwrap(), "new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_writers_on_two_servers() {
    let far = Far::new().await;
    let (second, tasks) = far.second().await;
    for (nth, size) in [10, 100 * KIB, 9 * MIB].into_iter().enumerate() {
        let name = format!("race {nth}");
        let stores = [far.store.clone(), second.clone()];
        // One after the other: the server of the test does not make check and change one step.
        for (nth, store) in stores.iter().enumerate() {
            let bytes = body(size, nth as u64);
            let outcome = put_if(
                &**store,
                &store.spools(),
                &key(&name),
                &bytes,
                Precondition::Absent,
            )
            .await;
            assert_eq!(outcome.is_ok(), nth == 0, "{outcome:?}");
            assert!(nth == 0 || is_precondition(&outcome));
        }
        for store in &stores {
            assert!(get(&**store, &key(&name)).await.unwrap() == body(size, 0));
        }
    }
    until("nothing is left", || far.server.unfinished() == 0).await;
    tasks.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_was_replaced_is_not_mixed_with_the_new_one() {
    let far = Far::new().await;
    far.put("v", &body(12 * MIB, 1)).await;
    let entry = far.s3.head(&key("v")).await.unwrap().unwrap();
    let range = 5 * MIB as u64..6 * MIB as u64;
    let part: Vec<Bytes> = far
        .s3
        .read(&key("v"), &entry, range.clone())
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert!(part.concat() == body(12 * MIB, 1)[5 * MIB..6 * MIB]);
    far.put("v", &body(12 * MIB, 2)).await;
    let changed = far.s3.read(&key("v"), &entry, range.clone()).await.err().unwrap();
    assert_eq!(changed.remote_fault(), Some(RemoteFault::Changed));
    far.s3.delete(&key("v"), &Precondition::None).await.unwrap();
    let gone = far.s3.read(&key("v"), &entry, range).await.err().unwrap();
    assert_eq!(gone.remote_fault(), Some(RemoteFault::Changed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_may_carry_checksums() {
    let mut server = S3Server::start().await;
    server.config.checksums = S3Checksums::WhenSupported;
    let far = Far::on(server).await;
    for size in [0, 10, 100 * KIB, 11 * MIB] {
        let bytes = body(size, 4);
        far.put("c", &bytes).await;
        assert!(get(&*far.store, &key("c")).await.unwrap() == bytes, "{size}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_give_the_body_without_credentials() {
    let far = Far::new().await;
    far.put("linked", b"the bytes").await;
    let entry = far.s3.head(&key("linked")).await.unwrap().unwrap();
    let link = far.s3.presign(&key("linked"), &entry).await.unwrap();
    let mut stream = tokio::net::TcpStream::connect(link.authority()).await.unwrap();
    let path = &link[url::Position::BeforePath..];
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        link.authority()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nthe bytes"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permits_are_given_back_and_never_exceeded() {
    let mut server = S3Server::start().await;
    server.config.max_concurrency = 1;
    let far = Far::on(server).await;
    far.put("one", &body(11 * MIB, 1)).await;
    let one = key("one");
    let readers = (0..4).map(|_| get(&*far.store, &one));
    for bytes in join_all(readers).await {
        assert!(bytes.unwrap() == body(11 * MIB, 1));
    }
    let stats = far.s3.stats();
    assert_eq!((stats.permits_used, stats.permits), (0, 1));
    let held = far.s3.open(&key("one")).await.unwrap().unwrap();
    assert_eq!(far.s3.stats().permits_used, 1);
    drop(held);
    assert_eq!(far.s3.stats().permits_used, 0);
}

/// A server that is not there: the port was free a moment ago.
async fn nowhere(server: &S3Server) -> S3Config {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut config = server.config.clone();
    config.endpoint_url = Some(url.parse().unwrap());
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_given_a_rest_until_it_is() {
    let server = S3Server::start().await;
    let config = nowhere(&server).await;
    let address = config.endpoint_url.as_ref().unwrap().authority().to_owned();
    let tasks = Tasks::new();
    let s3 = S3::open(&config, None, &tasks).await.unwrap();
    let mut faults = Vec::new();
    while s3.health() == S3Health::Up {
        faults.push(s3.head(&key("x")).await.err().unwrap().remote_fault().unwrap());
    }
    assert!(
        faults.iter().all(|fault| *fault == RemoteFault::Unreachable),
        "{faults:?}"
    );
    let resting = s3.head(&key("x")).await.err().unwrap();
    assert_eq!(resting.remote_fault(), Some(RemoteFault::Resting));
    assert!(matches!(
        s3.health(),
        S3Health::Down {
            fault: RemoteFault::Unreachable,
            ..
        }
    ));
    server.also_at(&address).await;
    until("it can be used again", || s3.health() == S3Health::Up).await;
    assert!(s3.head(&key("x")).await.unwrap().is_none());
    tasks.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewed_credentials_count_at_once() {
    let far = Far::new().await;
    far.put("k", b"1").await;
    std::fs::write(far.server.folder("secret"), "EXPIRED").unwrap();
    let denied = far.s3.head(&key("k")).await.err().unwrap();
    assert_eq!(denied.remote_fault(), Some(RemoteFault::Denied));
    std::fs::write(far.server.folder("secret"), "SECRET").unwrap();
    assert!(far.s3.head(&key("k")).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_probe_names_what_is_wrong() {
    let server = S3Server::start().await;
    let fault = |config: S3Config| async move {
        let tasks = Tasks::new();
        let s3 = S3::open(&config, None, &tasks).await.unwrap();
        let outcome = s3.probe().await;
        tasks.finish().await;
        outcome.err().map(|error| error.remote_fault().unwrap())
    };
    assert_eq!(fault(server.config.clone()).await, None);
    assert_eq!(
        fault(nowhere(&server).await).await,
        Some(RemoteFault::Unreachable)
    );
    std::fs::write(server.folder("secret"), "WRONG").unwrap();
    assert_eq!(fault(server.config.clone()).await, Some(RemoteFault::Denied));
    std::fs::remove_file(server.folder("secret")).unwrap();
    assert_eq!(
        fault(server.config.clone()).await,
        Some(RemoteFault::NoCredentials)
    );
    // Nobody ever answers here.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    std::fs::write(server.folder("secret"), "SECRET").unwrap();
    let mut config = server.config.clone();
    config.endpoint_url = Some(
        format!("http://{}", silent.local_addr().unwrap())
            .parse()
            .unwrap(),
    );
    config.connect_timeout = Duration::from_millis(100);
    config.read_timeout = Duration::from_millis(100);
    assert_eq!(fault(config).await, Some(RemoteFault::Timeout));
}
