//! Listening sockets: TCP and Unix.

use std::io;
use std::net::IpAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::wire::Socket;
use crate::config::ListenAddr;

/// Connections that the kernel holds until they are accepted. ccache opens one for every compile and
/// gives up after 100 ms, so a burst of a big build must fit.
const LISTEN_BACKLOG: u32 = 4096;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {text}")]
pub struct ListenError {
    key: &'static str,
    text: String,
}

impl ListenError {
    /// The key of the configuration.
    pub fn key(&self) -> &'static str {
        self.key
    }
}

/// One bound address.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl Listener {
    /// Binds `address`; `key` names it in errors. A socket file that a dead server left is replaced.
    pub(super) fn bind(address: &ListenAddr, key: &'static str) -> Result<Self, ListenError> {
        let bound = match address {
            ListenAddr::Tcp(address) => bind_tcp(*address).map(Self::Tcp),
            ListenAddr::Unix(path) => bind_unix(path),
        };
        bound.map_err(|error| {
            let foreign = matches!(address, ListenAddr::Unix(path) if is_foreign(path));
            let text = match error.kind() {
                io::ErrorKind::AddrInUse if foreign => {
                    format!("{address} is not a socket; remove the file there, or choose another path")
                }
                io::ErrorKind::AddrInUse => format!(
                    "{address} is in use by another program; choose another address, or stop that program"
                ),
                io::ErrorKind::AddrNotAvailable => format!(
                    "cannot listen on {address}: {error}; this machine does not have the address; \
                     use one of its own, or 0.0.0.0 or [::] for all of them"
                ),
                _ => format!("cannot listen on {address}: {error}"),
            };
            ListenError { key, text }
        })
    }

    /// The address as clients write it; shows the port that was chosen for port 0.
    pub(super) fn address(&self) -> ListenAddr {
        match self {
            Self::Tcp(listener) => ListenAddr::Tcp(listener.local_addr().unwrap_or(([0, 0, 0, 0], 0).into())),
            Self::Unix(_, file) => ListenAddr::Unix(file.0.clone()),
        }
    }

    /// A socket, and the address of its peer; none for a socket of the file system.
    pub(super) async fn accept(&self) -> io::Result<(Socket, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (socket, peer) = listener.accept().await?;
                // A small answer must not wait for the acknowledgement of the one before.
                socket.set_nodelay(true)?;
                crate::sys::keep_alive(&socket);
                Ok((Socket::Tcp(socket), Some(peer.ip())))
            }
            Self::Unix(listener, _) => Ok((Socket::Unix(listener.accept().await?.0), None)),
        }
    }
}

fn bind_tcp(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    let socket = match address.is_ipv4() {
        true => TcpSocket::new_v4()?,
        false => TcpSocket::new_v6()?,
    };
    // A restart must not wait for connections of the former process to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(LISTEN_BACKLOG)
}

fn bind_unix(path: &Path) -> io::Result<Listener> {
    // Only a socket that refuses connections is removed: a dead server left it.
    let socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let dead = std::os::unix::net::UnixStream::connect(path)
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if socket && dead {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    Ok(Listener::Unix(listener, SocketFile(path.to_owned())))
}

/// Whether something that is not a socket has the path.
fn is_foreign(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket())
}

/// Removes the socket's file when the server ends.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}
