//! Owners, and which servers are there.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;

use super::*;
use crate::store::Result;
use crate::store::shared::{ListedObject, ObjectPage};

/// A bucket in memory; its clock is moved by hand.
#[derive(Debug, Default)]
struct Bucket {
    names: Mutex<BTreeMap<String, SystemTime>>,
    late: Mutex<Duration>,
}

#[async_trait]
impl SharedObjects for Bucket {
    fn max_name_bytes(&self) -> usize {
        1000
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>> {
        Ok(self.names.lock().unwrap().contains_key(name).then(Bytes::new))
    }

    async fn put(&self, name: &str, _content: Bytes) -> Result<()> {
        let now = SystemTime::UNIX_EPOCH + *self.late.lock().unwrap();
        self.names.lock().unwrap().insert(name.to_owned(), now);
        Ok(())
    }

    async fn create(&self, name: &str, content: Bytes) -> Result<bool> {
        self.put(name, content).await.map(|()| true)
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.names.lock().unwrap().remove(name);
        Ok(())
    }

    async fn list_page(&self, prefix: &str, _after: Option<&str>) -> Result<ObjectPage> {
        let names = self.names.lock().unwrap();
        let found = names.iter().filter(|(name, _)| name.starts_with(prefix));
        let objects = found
            .map(|(name, written)| ListedObject {
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

async fn join(bucket: &Arc<Bucket>, number: u16, tasks: &Tasks) -> Peers {
    Peers::join(
        Arc::clone(bucket) as Arc<_>,
        id(number),
        url(number),
        timing(),
        tasks,
    )
    .await
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
                assert_eq!(*there, url(1));
                at_one += 1;
            }
            (Owner::Peer(there), Owner::Local) => assert_eq!(*there, url(2)),
            other => panic!("{other:?}"),
        }
    }
    assert!((400..600).contains(&at_one), "{at_one}");
    assert_eq!(one.owner(id(2)), Owner::Peer(Arc::new(url(2))));
    assert_eq!(one.owner(id(1)), Owner::Local);
    assert_eq!(one.owner(id(3)), Owner::Lost);
    tasks.finish().await;
    assert!(bucket.names.lock().unwrap().is_empty(), "who leaves says so");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_heard_of_is_gone() {
    let (bucket, tasks) = (Arc::new(Bucket::default()), Tasks::new());
    bucket
        .put(&name::write(id(9), &url(9)), Bytes::new())
        .await
        .unwrap();
    bucket.put("servers/garbage", Bytes::new()).await.unwrap();
    let one = join(&bucket, 1, &tasks).await;
    assert_eq!(one.others(), [Arc::new(url(9))]);
    *bucket.late.lock().unwrap() = timing().gone_after;
    while one.owner(id(9)) != Owner::Lost {
        tokio::time::advance(timing().period).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(one.owner_of(&Digest::default()), Owner::Local);
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
