use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::store::shared::ObjectPage;

/// A bucket in which a lifecycle rule removes an object just when it is looked at.
#[derive(Debug, Default)]
struct Bucket {
    objects: Mutex<BTreeMap<String, Bytes>>,
    vanishing: AtomicUsize,
}

#[async_trait]
impl SharedObjects for Bucket {
    fn max_name_bytes(&self) -> usize {
        500
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>> {
        Ok(self.objects.lock().unwrap().get(name).cloned())
    }

    async fn put(&self, name: &str, content: Bytes) -> Result<()> {
        self.objects.lock().unwrap().insert(name.to_owned(), content);
        Ok(())
    }

    async fn create(&self, name: &str, content: Bytes) -> Result<bool> {
        if self.get(name).await?.is_none() {
            return self.put(name, content).await.map(|()| true);
        }
        let one_less = |left: usize| left.checked_sub(1);
        let vanishes = self
            .vanishing
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        if vanishes.is_ok() {
            self.remove(name).await?;
        }
        Ok(false)
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.objects.lock().unwrap().remove(name);
        Ok(())
    }

    async fn list_page(&self, _prefix: &str, _after: Option<&str>) -> Result<ObjectPage> {
        Ok(ObjectPage::default())
    }
}

fn agreement(shared: &Arc<Bucket>, file: &AgreedKeyFile) -> Agreement {
    Agreement {
        shared: Arc::clone(shared) as Arc<dyn SharedObjects>,
        own: SigningKey::from_bytes(&[1; 32]).unwrap(),
        agreed: None,
        is_kept: false,
        file: file.clone(),
        written: None,
        tasks: Tasks::new(),
    }
}

#[tokio::test]
async fn a_key_that_could_not_be_kept_is_kept_later() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("server");
    let file = AgreedKeyFile::new(folder.join("agreed-key"), "here");
    let mut agreement = agreement(&Arc::default(), &file);
    assert!(agreement.look().await.unwrap().is_none());
    assert_eq!(file.load(), None, "there is no folder for it");
    std::fs::create_dir(&folder).unwrap();
    agreement.look().await.unwrap();
    assert_eq!(file.load(), Some(agreement.own.clone()));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_vanishes_while_it_is_looked_at_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = AgreedKeyFile::new(dir.path().join("agreed-key"), "here");
    let bucket = Arc::new(Bucket::default());
    bucket
        .put(SHARED_KEY_NAME, Bytes::from_static(&[2; 32]))
        .await
        .unwrap();
    bucket.vanishing.store(1, Ordering::SeqCst);
    let mut agreement = agreement(&bucket, &file);
    let own = agreement.own.clone();
    assert_eq!(agreement.agree().await.unwrap(), Some(own.clone()));
    assert_eq!(bucket.get(SHARED_KEY_NAME).await.unwrap(), Some(bytes(&own)));
}
