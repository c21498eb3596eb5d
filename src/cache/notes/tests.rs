//! Several servers over one log, in a bucket whose clock is moved by hand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::auth::SigningKey;
use crate::store::shared::{ListedObject, ObjectPage};
use crate::store::{Error, RemoteErrorKind};

/// Pages have three names.
#[derive(Debug)]
struct Bucket {
    objects: Mutex<BTreeMap<String, (SystemTime, Bytes)>>,
    now: Mutex<SystemTime>,
    lists: AtomicUsize,
    down: AtomicBool,
    max_name_bytes: usize,
}

impl Bucket {
    fn new(max_name_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            objects: Mutex::default(),
            // Far from the clock of this machine.
            now: Mutex::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30)),
            lists: AtomicUsize::new(0),
            down: AtomicBool::new(false),
            max_name_bytes,
        })
    }

    fn pass(&self, time: Duration) {
        *self.now.lock().unwrap() += time;
    }

    fn notes(&self) -> Vec<String> {
        let objects = self.objects.lock().unwrap();
        objects
            .keys()
            .filter(|name| name.starts_with(codec::PREFIX))
            .cloned()
            .collect()
    }

    fn answer(&self) -> Result<()> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(Error::remote("asking", RemoteErrorKind::Resting, "not now")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl SharedObjects for Bucket {
    fn max_name_bytes(&self) -> usize {
        self.max_name_bytes
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>> {
        self.answer()?;
        Ok(self
            .objects
            .lock()
            .unwrap()
            .get(name)
            .map(|(_, content)| content.clone()))
    }

    async fn put(&self, name: &str, content: Bytes) -> Result<()> {
        self.answer()?;
        let now = *self.now.lock().unwrap();
        self.objects
            .lock()
            .unwrap()
            .insert(name.to_owned(), (now, content));
        Ok(())
    }

    async fn create(&self, name: &str, content: Bytes) -> Result<bool> {
        self.put(name, content).await.map(|()| true)
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.objects.lock().unwrap().remove(name);
        Ok(())
    }

    async fn list_page(&self, prefix: &str, after: Option<&str>) -> Result<ObjectPage> {
        self.answer()?;
        self.lists.fetch_add(1, Ordering::SeqCst);
        let objects = self.objects.lock().unwrap();
        let all = objects.iter().filter(|(name, _)| name.starts_with(prefix));
        let all = all.filter(|(name, _)| after.is_none_or(|after| name.as_str() > after));
        let mut all = all.map(|(name, (written, _))| ListedObject {
            name: name.clone(),
            written: Some(*written),
        });
        let objects: Vec<_> = all.by_ref().take(3).collect();
        let more = all.next().is_some();
        let next = objects.last().filter(|_| more).map(|last| last.name.clone());
        Ok(ObjectPage { objects, next })
    }
}

/// Keeps what it gets.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<(u16, Bytes)>>);

#[async_trait]
impl NoteSink for Heard {
    fn kind(&self) -> NoteKind {
        NoteKind::COMMITTED
    }

    async fn take(&self, sender: ServerId, bodies: Vec<Bytes>) {
        let mut heard = self.0.lock().unwrap();
        heard.extend(bodies.into_iter().map(|body| (sender.number(), body)));
    }
}

struct Server {
    log: NoteLog,
    heard: Arc<Heard>,
}

fn keys(seed: u8) -> KeyRing {
    KeyRing::new(&SigningKey::from_bytes(&[seed; 32]).unwrap())
}

impl Server {
    /// Knows the bucket's clock only from what the bucket says.
    async fn start(bucket: &Arc<Bucket>, number: u16) -> Self {
        Self::with_keys(bucket, number, keys(7)).await
    }

    async fn with_keys(bucket: &Arc<Bucket>, number: u16, keys: KeyRing) -> Self {
        let me = ServerId::new(number).unwrap();
        let clock = Arc::<BucketClock>::default();
        clock.learn(&**bucket, me).await.unwrap();
        let parts = NoteLogParts {
            objects: Arc::clone(bucket) as Arc<_>,
            keys,
            peers: Peers::alone(me),
            clock: Arc::clone(&clock),
        };
        let (log, heard) = (NoteLog::new(parts, &Tasks::new()), Arc::<Heard>::default());
        log.follow(vec![Arc::clone(&heard) as Arc<_>], clock.now());
        Self { log, heard }
    }

    /// Waits for the bucket as a commit does.
    async fn say(&self, text: &str) {
        let arriving = self.log.append_for_sure(note(text));
        let _late = tokio::time::timeout(std::time::Duration::from_secs(5), arriving).await;
    }

    /// What was heard after one more look.
    async fn hears(&self) -> Vec<String> {
        self.log.expect();
        self.log.catch_up().await;
        let heard = self.heard.0.lock().unwrap();
        heard
            .iter()
            .map(|(_, body)| String::from_utf8_lossy(body).into_owned())
            .collect()
    }
}

fn note(text: &str) -> Note {
    Note {
        kind: NoteKind::COMMITTED,
        body: Bytes::copy_from_slice(text.as_bytes()),
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_says_the_others_hear_once() {
    for max_name_bytes in [100, 1000] {
        let bucket = Bucket::new(max_name_bytes);
        let (one, two) = (Server::start(&bucket, 1).await, Server::start(&bucket, 2).await);
        let mut said = Vec::new();
        for nth in 0..10 {
            said.push(nth.to_string());
            one.say(&said[nth]).await;
            assert_eq!(two.hears().await, said);
        }
        assert_eq!(one.hears().await, [""; 0], "what it says itself it knows");
        assert_eq!(two.heard.0.lock().unwrap()[0].0, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_of_a_server_hides_nothing() {
    let bucket = Bucket::new(1000);
    let (one, two, three) = (
        Server::start(&bucket, 1).await,
        Server::start(&bucket, 2).await,
        Server::start(&bucket, 3).await,
    );
    // An hour ahead, and two minutes behind what it knew.
    let ahead = bucket_time(&bucket) + Duration::from_secs(3600);
    one.log.0.clock.observe(ahead, tokio::time::Instant::now());
    one.say("ahead").await;
    assert_eq!(three.hears().await, ["ahead"]);
    let behind = bucket_time(&bucket) - Duration::from_secs(100);
    two.log.0.clock.observe(behind, tokio::time::Instant::now());
    two.say("behind").await;
    assert_eq!(three.hears().await, ["ahead", "behind"]);
    // The server that is ahead hears the others all the same.
    assert_eq!(one.hears().await, ["behind"]);
    bucket.pass(Duration::from_secs(600));
    three.say("later").await;
    assert_eq!(one.hears().await, ["behind", "later"]);
}

fn bucket_time(bucket: &Bucket) -> SystemTime {
    *bucket.now.lock().unwrap()
}

#[tokio::test(start_paused = true)]
async fn notes_that_wait_for_the_bucket_arrive_together_later() {
    let bucket = Bucket::new(1000);
    let (one, two) = (Server::start(&bucket, 1).await, Server::start(&bucket, 2).await);
    bucket.down.store(true, Ordering::SeqCst);
    for nth in 0..5 {
        one.say(&nth.to_string()).await;
    }
    assert_eq!((one.log.stats().unsent, bucket.notes().len()), (5, 0));
    bucket.down.store(false, Ordering::SeqCst);
    while one.log.stats().unsent > 0 {
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
    }
    assert_eq!(two.hears().await, ["0", "1", "2", "3", "4"]);
    assert!(bucket.notes().len() < 5);
}

#[tokio::test(start_paused = true)]
async fn notes_beyond_those_that_may_wait_are_counted() {
    let bucket = Bucket::new(1000);
    let one = Server::start(&bucket, 1).await;
    bucket.down.store(true, Ordering::SeqCst);
    let taken = (0..5000).filter(|_| one.log.append_later(note("n"))).count() as u64;
    assert!(
        taken >= 4096 && one.log.stats().dropped == 5000 - taken,
        "{taken}"
    );
    assert!(!one.log.append_for_sure(note("n")).await);
    assert_eq!(one.log.stats().dropped, 5001 - taken);
}

#[tokio::test(start_paused = true)]
async fn what_no_server_with_the_key_wrote_is_skipped() {
    let bucket = Bucket::new(1000);
    let (one, two) = (Server::start(&bucket, 1).await, Server::start(&bucket, 2).await);
    let foreign = Server::with_keys(&bucket, 3, keys(8)).await;
    foreign.say("foreign").await;
    one.say("first").await;
    // Under a later name it is another note, which nobody sealed.
    let moved = bucket.notes().pop().unwrap();
    let id = crate::store::journal::ulid_at(1 << 50);
    let moved = format!("notes/{id}.{}", moved.split_once('.').unwrap().1);
    bucket.put(&moved, Bytes::new()).await.unwrap();
    bucket.put("notes/garbage", Bytes::new()).await.unwrap();
    let unknown = Note {
        kind: NoteKind(999),
        body: Bytes::from_static(b"later"),
    };
    assert!(one.log.append_for_sure(unknown).await);
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    one.say("second").await;
    assert_eq!(two.hears().await, ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn misses_read_the_log_once_a_second_unless_something_is_expected() {
    let bucket = Bucket::new(1000);
    let one = Server::start(&bucket, 1).await;
    let lists = || bucket.lists.load(Ordering::SeqCst);
    assert!(one.log.catch_up().await);
    let before = lists();
    for _ in 0..5 {
        assert!(!one.log.catch_up().await);
    }
    assert_eq!(lists(), before);
    one.log.expect();
    assert!(one.log.catch_up().await && one.log.catch_up().await);
    assert_eq!(lists(), before + 2);
    tokio::time::advance(Duration::from_secs(6)).await;
    assert!(one.log.catch_up().await && !one.log.catch_up().await);
}

#[tokio::test(start_paused = true)]
async fn old_notes_are_removed() {
    let bucket = Bucket::new(1000);
    let one = Server::start(&bucket, 1).await;
    for _ in 0..5 {
        one.say("old").await;
    }
    bucket.pass(NoteLog::RETENTION + Duration::from_secs(60));
    tokio::time::advance(NoteLog::RETENTION + Duration::from_secs(60)).await;
    one.say("new").await;
    retention::remove_old(&one.log.0).await.unwrap();
    assert_eq!(bucket.notes().len(), 1);
}
