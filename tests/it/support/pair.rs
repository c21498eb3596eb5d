//! Two servers over one bucket that know each other, and a balancer in front of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chacha::config::{Config, ListenAddr};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::client::{Client, within};
use super::s3::S3Server;
use super::server::TestServer;

/// Both trust the issuer of the first one.
pub(crate) struct Pair {
    pub(crate) s3: Arc<S3Server>,
    pub(crate) one: TestServer,
    pub(crate) two: TestServer,
    balancer: Balancer,
}

impl Pair {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts both with a changed configuration.
    pub(crate) async fn start_with(change: impl Fn(&mut Config)) -> Self {
        let s3 = Arc::new(S3Server::memory());
        let one = member(&s3, &change).await;
        let providers = one.config().providers.clone();
        let two = member(&s3, |config| {
            change(config);
            config.providers = providers;
        })
        .await;
        sees(&one, 1).await;
        sees(&two, 1).await;
        let balancer = Balancer::start([one.address(), two.address()]).await;
        Self {
            s3,
            one,
            two,
            balancer,
        }
    }

    /// A client without credentials whose requests go to one server after the other.
    pub(crate) fn anonymous(&self) -> Client {
        Client::new(self.balancer.address)
    }

    /// The same as a job of `repository`.
    pub(crate) fn tenant(&self, repository: &str) -> Client {
        self.anonymous().with_token(&self.one.token(repository))
    }

    /// One job as a client of each server.
    pub(crate) fn both(&self) -> [Client; 2] {
        let token = self.one.token("acme/app");
        [&self.one, &self.two].map(|server| server.anonymous().with_token(&token))
    }
}

/// A server with a disk over the bucket that shows itself there under its own address.
pub(crate) async fn member(s3: &S3Server, change: impl FnOnce(&mut Config)) -> TestServer {
    let section = s3.config(S3Server::BUCKET);
    let address = free();
    TestServer::start_with(|config| {
        config.s3 = Some(section);
        config.listen = vec![ListenAddr::Tcp(address)];
        config.gha.advertise_url = Some(format!("http://{address}").parse().unwrap());
        config.gha.heartbeat = Duration::from_secs(1);
        change(config);
    })
    .await
}

/// Waits until a server knows so many others.
pub(crate) async fn sees(server: &TestServer, others: usize) {
    let line = format!("chacha_actions_other_servers {others}\n");
    within(async {
        while !server.ops().get("/metrics").await.text().contains(&line) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// An address where nobody listens now: what a server says of itself must be known before it does.
pub(crate) fn free() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Sends each connection to the other server than the one before.
struct Balancer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Balancer {
    async fn start(targets: [SocketAddr; 2]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            for target in targets.into_iter().cycle() {
                let (mut client, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(target).await.unwrap();
                    // A client that leaves is no fault.
                    let _ended = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { address, task }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
