//! A bucket in a folder, served in this process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chacha::config::{S3Config, S3CredentialFiles};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};

/// A server of S3 with one bucket; gone with its folder.
pub(crate) struct S3Server {
    pub(crate) config: S3Config,
    service: S3Service,
    root: tempfile::TempDir,
}

impl S3Server {
    pub(crate) async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let served = root.path().join("served");
        std::fs::create_dir_all(served.join("bucket")).unwrap();
        let secrets = [("id", "AKID"), ("secret", "SECRET")];
        for (name, text) in secrets {
            std::fs::write(root.path().join(name), text).unwrap();
        }
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(&served).unwrap());
        service.set_auth(SimpleAuth::from_single("AKID", "SECRET"));
        let service = service.build();
        let address = serve(service.clone(), "127.0.0.1:0").await;
        let url = format!("http://{address}").parse().unwrap();
        let mut config = S3Config::new("bucket").at(url);
        config.part_size = 5 << 20;
        config.credentials = Some(S3CredentialFiles {
            access_key_id: root.path().join("id"),
            secret_access_key: root.path().join("secret"),
            session_token: None,
        });
        Self {
            config,
            service,
            root,
        }
    }

    /// Serves the same bucket at another address, too.
    pub(crate) async fn also_at(&self, address: &str) {
        serve(self.service.clone(), address).await;
    }

    /// A folder of this server for whatever a test needs.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// All objects.
    pub(crate) fn objects(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder("served/bucket")];
        while let Some(folder) = folders.pop() {
            for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                match file.path().is_dir() {
                    true => folders.push(file.path()),
                    false => found.push(file.path()),
                }
            }
        }
        found
    }

    /// Files of unfinished multipart uploads: the parts, and what the server notes about them.
    pub(crate) fn unfinished(&self) -> usize {
        let is_part = |name: &str| name.contains("upload");
        let names = |folder: &Path| {
            let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
            files
                .filter(|file| is_part(&file.file_name().to_string_lossy()))
                .count()
        };
        names(&self.folder("served"))
    }
}

async fn serve(service: S3Service, address: &str) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            // Else every body waits for a delayed acknowledgement of its head.
            socket.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                let served = builder.serve_connection(TokioIo::new(socket), service).await;
                drop(served);
            });
        }
    });
    address
}
