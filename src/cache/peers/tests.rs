//! Owners, and which servers are there.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::*;
use crate::auth::SigningKey;
use crate::store::Result;
use crate::store::shared::{ListedObject, ObjectPage};

/// A bucket in memory; its clock is moved by hand.
#[derive(Debug, Default)]
struct Bucket {
    names: Mutex<BTreeMap<String, (SystemTime, Bytes)>>,
    late: Mutex<Duration>,
}

#[async_trait]
impl SharedObjects for Bucket {
    fn max_name_bytes(&self) -> usize {
        1000
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>> {
        let names = self.names.lock().unwrap();
        Ok(names.get(name).map(|(_, content)| content.clone()))
    }

    async fn put(&self, name: &str, content: Bytes) -> Result<()> {
        let now = SystemTime::UNIX_EPOCH + *self.late.lock().unwrap();
        self.names.lock().unwrap().insert(name.to_owned(), (now, content));
        Ok(())
    }

    async fn create(&self, name: &str, content: Bytes) -> Result<bool> {
        let is_new = !self.names.lock().unwrap().contains_key(name);
        if is_new {
            self.put(name, content).await?;
        }
        Ok(is_new)
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.names.lock().unwrap().remove(name);
        Ok(())
    }

    async fn list_page(&self, prefix: &str, _after: Option<&str>) -> Result<ObjectPage> {
        let names = self.names.lock().unwrap();
        let found = names.iter().filter(|(name, _)| name.starts_with(prefix));
        let objects = found
            .map(|(name, (written, _))| ListedObject {
                name: name.clone(),
                written: Some(*written),
            })
            .collect();
        Ok(ObjectPage { objects, next: None })
    }
}

fn timing() -> HeartbeatTiming {
    HeartbeatTiming::every(Duration::from_secs(10))
}

fn id(number: u16) -> ServerId {
    ServerId::new(number).unwrap()
}

fn url(number: u16) -> Url {
    Url::parse(&format!("http://10.0.0.{number}:8080/")).unwrap()
}

fn peer(number: u16) -> Peer {
    Peer::new(id(number), url(number))
}

fn owner(number: u16) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// Nobody is reached: what the servers know, they read in the bucket.
#[derive(Debug)]
struct Nobody;

#[async_trait]
impl PeerClient for Nobody {
    async fn post(&self, _url: &Url, _path: &str, _statement: &str, _body: Bytes) -> std::io::Result<()> {
        Err(std::io::Error::other("nobody"))
    }

    async fn get(
        &self,
        _url: &Url,
        _path: &str,
        _statement: &str,
        _range: Option<std::ops::Range<u64>>,
    ) -> std::io::Result<PeerAnswer> {
        Err(std::io::Error::other("nobody"))
    }
}

fn keys() -> KeyRing {
    KeyRing::new(&SigningKey::from_bytes(&[7; 32]).unwrap())
}

fn membership(bucket: &Arc<Bucket>, number: u16) -> Membership {
    Membership {
        shared: Arc::clone(bucket) as Arc<_>,
        number: ServerNumber {
            id: id(number),
            owner: owner(number),
        },
        url: url(number),
        keys: keys(),
        clock: Arc::default(),
        client: Arc::new(Nobody),
    }
}

async fn join(bucket: &Arc<Bucket>, number: u16, tasks: &Tasks) -> Peers {
    Peers::join(membership(bucket, number), timing(), tasks).await
}

#[tokio::test(start_paused = true)]
async fn two_servers_agree_on_every_home() {
    let (bucket, tasks) = (Arc::new(Bucket::default()), Tasks::new());
    let one = join(&bucket, 1, &tasks).await;
    let two = join(&bucket, 2, &tasks).await;
    tokio::time::advance(timing().period).await;
    while one.others().is_empty() {
        tokio::task::yield_now().await;
    }
    let mut at_one = 0;
    for n in 0..1000_u32 {
        let digest = Digest::of(&n.to_be_bytes());
        match (one.owner_of(&digest), two.owner_of(&digest)) {
            (Owner::Local, Owner::Peer(there)) => {
                assert_eq!(there, peer(1));
                at_one += 1;
            }
            (Owner::Peer(there), Owner::Local) => assert_eq!(there, peer(2)),
            other => panic!("{other:?}"),
        }
    }
    assert!((400..600).contains(&at_one), "{at_one}");
    assert_eq!(one.owner(id(2)), Owner::Peer(peer(2)));
    assert_eq!(one.owner(id(1)), Owner::Local);
    assert_eq!(one.owner(id(3)), Owner::Lost);
    tasks.finish().await;
    let names = bucket.names.lock().unwrap();
    let shown = names
        .keys()
        .filter(|name| name.starts_with(name::HEARTBEAT_PREFIX));
    assert_eq!(shown.count(), 0, "who leaves says so");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_heard_of_is_gone() {
    let (bucket, tasks) = (Arc::new(Bucket::default()), Tasks::new());
    let now = SystemTime::UNIX_EPOCH;
    bucket
        .put(&name::write(&keys(), &peer(9), now), Bytes::new())
        .await
        .unwrap();
    bucket.put("servers/garbage", Bytes::new()).await.unwrap();
    let one = join(&bucket, 1, &tasks).await;
    // The first name was judged by a clock that had not seen the bucket's.
    one.refresh().await;
    assert_eq!(*one.others(), [peer(9)]);
    *bucket.late.lock().unwrap() = timing().gone_after;
    while one.owner(id(9)) != Owner::Lost {
        tokio::time::advance(timing().period).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(one.owner_of(&Digest::default()), Owner::Local);
    tasks.finish().await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_have_the_key_is_no_peer() {
    let (bucket, tasks) = (Arc::new(Bucket::default()), Tasks::new());
    let now = SystemTime::UNIX_EPOCH;
    let foreign = KeyRing::new(&SigningKey::from_bytes(&[8; 32]).unwrap());
    let good = name::write(&keys(), &peer(4), now);
    let sealed = good.split_once('.').unwrap().1;
    let plain = URL_SAFE_NO_PAD.encode(url(5).as_str());
    let hours = Duration::from_secs(5 * 3600);
    for name in [
        name::write(&foreign, &peer(2), now),
        // Another number than the one that was sealed.
        format!("servers/003.{sealed}"),
        // As the first versions wrote it.
        format!("servers/005.{plain}"),
        // A copy of what a server showed hours ago.
        name::write(&keys(), &peer(6), now + hours),
    ] {
        bucket.put(&name, Bytes::new()).await.unwrap();
    }
    let one = join(&bucket, 1, &tasks).await;
    one.refresh().await;
    assert_eq!(*one.others(), []);
    bucket.put(&good, Bytes::new()).await.unwrap();
    one.refresh().await;
    assert_eq!(*one.others(), [peer(4)]);
    tasks.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_number_that_is_taken_is_drawn_again() {
    let (bucket, tasks) = (Arc::new(Bucket::default()), Tasks::new());
    let first = join(&bucket, 7, &tasks).await;
    let second = Peers::join(
        Membership {
            url: url(8),
            number: ServerNumber {
                id: id(7),
                owner: owner(8),
            },
            ..membership(&bucket, 7)
        },
        timing(),
        &tasks,
    );
    let second = second.await;
    assert_eq!(first.me(), id(7));
    assert_ne!(second.me(), id(7));
    // The same server again keeps its own.
    let tasks = Tasks::new();
    assert_eq!(join(&bucket, 7, &tasks).await.me(), id(7));
    tasks.finish().await;
}

#[tokio::test(start_paused = true)]
async fn numbers_of_servers_that_are_gone_are_used_again() {
    let (bucket, tasks) = (Arc::new(Bucket::default()), Tasks::new());
    for number in 1..1 << ServerId::BITS {
        let name = format!("server-numbers/{number:03x}");
        bucket.put(&name, owner(number)).await.unwrap();
    }
    *bucket.late.lock().unwrap() = Duration::from_secs(8 * 24 * 3600);
    bucket.put("server-numbers/001", owner(1)).await.unwrap();
    let number = ServerNumber {
        id: id(1),
        owner: Bytes::from_static(b"new"),
    };
    let new = Peers::join(
        Membership {
            number,
            ..membership(&bucket, 1)
        },
        timing(),
        &tasks,
    );
    assert_ne!(new.await.me(), id(1));
    tasks.finish().await;
}

#[test]
fn numbers_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server-id");
    let first = ServerId::load_or_create(&path).unwrap();
    assert_eq!(ServerId::load_or_create(&path).unwrap(), first);
    std::fs::write(&path, "0\n").unwrap();
    let second = ServerId::load_or_create(&path).unwrap();
    assert_eq!(ServerId::load_or_create(&path).unwrap(), second);
}
