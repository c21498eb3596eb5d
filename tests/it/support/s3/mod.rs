//! S3 in this process, on a port of its own, with switches for everything that goes wrong with the real
//! one.

mod answer;
mod faults;
mod front;
mod line;
mod look;
mod memory;
mod others;
mod request;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex};

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use chacha::config::{S3Config, S3CredentialFiles};
use s3s::auth::{S3Auth, SecretKey};
use s3s::service::S3ServiceBuilder;
use s3s::{S3, S3Result, s3_error};
use tokio::task::JoinHandle;

pub(crate) use faults::{Action, Faults, Gate, Quirk, Which};
pub(crate) use look::{Listed, Unfinished};
pub(crate) use others::Foreign;
pub(crate) use request::{Asked, Kind};

use front::Front;
use line::Port;
use memory::Memory;
use request::Book;

/// A running server; ends, with all connections, when it is dropped.
pub(crate) struct S3Server {
    port: Port,
    front: Arc<Front>,
    memory: Option<Memory>,
    keys: Keys,
    /// The bucket that `config` named last.
    bucket: Mutex<String>,
    dir: tempfile::TempDir,
    server: Mutex<Option<JoinHandle<()>>>,
}

/// The only credentials that are good.
#[derive(Clone)]
struct Keys(Arc<Mutex<(String, String)>>);

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let keys = self.0.lock().unwrap();
        match keys.0 == access_key {
            true => Ok(keys.1.as_str().into()),
            false => Err(s3_error!(InvalidAccessKeyId)),
        }
    }
}

/// A client of any server, that tries everything once.
pub(crate) fn client_of(url: &str, key: &str, secret: &str) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("us-east-1"))
        .endpoint_url(url)
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .credentials_provider(Credentials::new(key, secret, None, None, "test"));
    aws_sdk_s3::Client::from_conf(config.build())
}

impl S3Server {
    /// The bucket that is there from the start.
    pub(crate) const BUCKET: &str = "bucket";

    /// Every detail as S3 has it; objects are in memory.
    pub(crate) fn memory() -> Self {
        let memory = Memory::default();
        let dir = tempfile::tempdir().unwrap();
        Self::start(dir, memory.clone(), Some(memory))
    }

    /// Objects are files; an implementation that others wrote.
    pub(crate) fn files() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("objects");
        std::fs::create_dir(&root).unwrap();
        Self::start(dir, s3s_fs::FileSystem::new(root).unwrap(), None)
    }

    fn start(dir: tempfile::TempDir, s3: impl S3, memory: Option<Memory>) -> Self {
        let keys = Keys(Arc::default());
        let mut builder = S3ServiceBuilder::new(s3);
        builder.set_auth(keys.clone());
        let front = Front {
            s3: builder.build(),
            faults: Faults::default(),
            book: Book::default(),
        };
        let this = Self {
            port: Port::new(),
            front: Arc::new(front),
            memory,
            keys,
            bucket: Mutex::default(),
            dir,
            server: Mutex::default(),
        };
        this.accept_keys("access-key", "secret-key");
        this.write_keys("access-key", "secret-key");
        this.make_bucket(Self::BUCKET);
        this.resume();
        this
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.port.address)
    }

    /// A configuration for this server. Makes the bucket if it is not there; give the answer another
    /// `bucket` for one that is missing. [`Self::objects`] and its neighbours are about this bucket then.
    pub(crate) fn config(&self, bucket: &str) -> S3Config {
        self.make_bucket(bucket);
        let mut config = S3Config::new(bucket).at(self.url().parse().unwrap());
        config.region = Some("us-east-1".into());
        config.credentials = Some(S3CredentialFiles {
            access_key_id: self.dir().join("access-key-id"),
            secret_access_key: self.dir().join("secret-access-key"),
            session_token: None,
        });
        config
    }

    /// A client that tries everything once.
    pub(crate) fn client(&self) -> aws_sdk_s3::Client {
        let (key, secret) = self.keys.0.lock().unwrap().clone();
        client_of(&self.url(), &key, &secret)
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn make_bucket(&self, name: &str) {
        match &self.memory {
            Some(memory) => memory.make_bucket(name),
            None => std::fs::create_dir_all(self.dir().join("objects").join(name)).unwrap(),
        }
        name.clone_into(&mut self.bucket.lock().unwrap());
    }

    /// From now on only these credentials are good.
    pub(crate) fn accept_keys(&self, key: &str, secret: &str) {
        *self.keys.0.lock().unwrap() = (key.to_owned(), secret.to_owned());
    }

    /// Changes the files that [`Self::config`] names.
    pub(crate) fn write_keys(&self, key: &str, secret: &str) {
        std::fs::write(self.dir().join("access-key-id"), format!("{key}\n")).unwrap();
        std::fs::write(self.dir().join("secret-access-key"), format!("{secret}\n")).unwrap();
    }

    /// Ends all connections; new ones are refused. The port stays ours.
    pub(crate) async fn stop_listening(&self) {
        let running = self.server.lock().unwrap().take();
        if let Some(server) = running {
            server.abort();
            let _ = server.await;
        }
    }

    /// Listens again, on the same port.
    pub(crate) fn resume(&self) {
        let mut server = self.server.lock().unwrap();
        if server.is_none() {
            *server = Some(self.port.serve(self.front.clone()));
        }
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.front.faults
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(server) = self.server.lock().unwrap().take() {
            server.abort();
        }
    }
}
