//! The sockets: one port that can be closed and opened again, and connections that can be cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

use super::front::{self, Front};

/// One connection, seen by what goes wrong on it.
#[derive(Debug)]
pub(super) struct Line {
    /// The same socket as the connection's; open for as long as anything can still go wrong.
    socket: std::net::TcpStream,
    cut: Notify,
}

impl Line {
    /// Ends the connection at once: with a TCP reset, or as if the server had ended.
    pub(super) fn cut(&self, reset: bool) {
        if reset {
            rustix::net::sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO)).unwrap();
        }
        self.cut.notify_one();
    }
}

/// A port of this process. Nobody else gets it while this lives, even while nothing listens on it.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) address: SocketAddr,
    _bound: TcpSocket,
}

fn bound(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

impl Port {
    pub(super) fn new() -> Self {
        let bound = bound(([127, 0, 0, 1], 0).into());
        Self {
            address: bound.local_addr().unwrap(),
            _bound: bound,
        }
    }

    /// Answers connections until the task is aborted; they end with it.
    pub(super) fn serve(&self, front: Arc<Front>) -> JoinHandle<()> {
        let listener = bound(self.address).listen(1024).unwrap();
        tokio::spawn(accept(listener, front))
    }
}

async fn accept(listener: TcpListener, front: Arc<Front>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A client that is gone already is no fault of the listener.
                let Ok((stream, _)) = accepted else { continue };
                front.book.connected();
                connections.spawn(talk(stream, front.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn talk(stream: TcpStream, front: Arc<Front>) {
    stream.set_nodelay(true).unwrap();
    let stream = stream.into_std().unwrap();
    let line = Arc::new(Line {
        socket: stream.try_clone().unwrap(),
        cut: Notify::new(),
    });
    let stream = TcpStream::from_std(stream).unwrap();
    let service = service_fn(|request| front::answer(front.clone(), line.clone(), request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // The connection first: what it has to send before the cut, it sends.
    tokio::select! {
        biased;
        _ = connection => {}
        () = line.cut.notified() => {}
    }
}
