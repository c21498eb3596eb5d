//! Options of sockets.

use std::os::fd::AsFd;

/// Lets the kernel find out that the peer of an idle connection is gone (its machine died), so that
/// the connection does not stay for ever. Best effort.
pub fn keep_alive(socket: impl AsFd) {
    use rustix::net::sockopt;
    use std::time::Duration;
    let socket = socket.as_fd();
    sockopt::set_socket_keepalive(socket, true).ok();
    #[cfg(target_os = "linux")]
    {
        sockopt::set_tcp_keepidle(socket, Duration::from_secs(60)).ok();
        sockopt::set_tcp_keepintvl(socket, Duration::from_secs(15)).ok();
        sockopt::set_tcp_keepcnt(socket, 4).ok();
        // Data that the peer does not acknowledge for this long (milliseconds) ends the connection.
        sockopt::set_tcp_user_timeout(socket, 120_000).ok();
    }
}

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// It may send more.
    There,
    /// It sends nothing more. It may still read, or have left.
    HalfClosed,
    /// It neither sends nor reads.
    Gone,
}

/// Looks at the other end of a connection without reading from it or waiting for it.
pub fn peer_of(socket: impl AsFd) -> Peer {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const NO_MORE: PollFlags = PollFlags::RDHUP;
    // Found out by a write only.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const NO_MORE: PollFlags = PollFlags::empty();
    let mut looked = [PollFd::new(&socket, NO_MORE)];
    if poll(&mut looked, Some(&Timespec::default())).is_err() {
        return Peer::There;
    }
    let seen = looked[0].revents();
    match (
        seen.intersects(PollFlags::HUP | PollFlags::ERR),
        seen.intersects(NO_MORE),
    ) {
        (true, _) => Peer::Gone,
        (_, true) => Peer::HalfClosed,
        _ => Peer::There,
    }
}

/// The limits of send buffers, which hold the bytes of a connection that its peer has not acknowledged yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendBufferLimits {
    /// Bytes that a buffer may be asked to hold.
    pub most: u64,
    /// Bytes that the kernel gives to a buffer by itself if its connection is fast.
    pub tuned: u64,
    /// Bytes in the buffers of all connections of the machine below which the kernel saves nowhere.
    pub all: u64,
}

impl SendBufferLimits {
    /// As this system is set up; `None` if it does not tell (only Linux does, and not in every container).
    pub fn of_system() -> Option<Self> {
        let net = |name: &str| std::fs::read_to_string(format!("/proc/sys/net/{name}")).ok();
        Self::parse(
            &net("core/wmem_max")?,
            &net("ipv4/tcp_wmem")?,
            &net("ipv4/tcp_mem")?,
        )
    }

    /// `tcp_wmem` and `tcp_mem` are three numbers each: lowest, usual and highest; the latter in pages (tcp(7)).
    fn parse(wmem_max: &str, tcp_wmem: &str, tcp_mem: &str) -> Option<Self> {
        let number = |text: &str, nth| text.split_whitespace().nth(nth)?.parse::<u64>().ok();
        Some(Self {
            // The kernel doubles what it is asked for, as room for its own accounts (socket(7), SO_SNDBUF).
            most: number(wmem_max, 0)?.saturating_mul(2),
            tuned: number(tcp_wmem, 2)?,
            all: number(tcp_mem, 0)?.saturating_mul(super::PAGE),
        })
    }
}

/// Makes the send buffer of a socket `bytes` large, as the kernel counts, and no longer changes by itself. Best effort.
pub fn set_send_buffer(socket: impl AsFd, bytes: u64) {
    let asked = usize::try_from(bytes / 2).unwrap_or(usize::MAX);
    rustix::net::sockopt::set_socket_send_buffer_size(socket, asked).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_linux_are_understood() {
        let found = SendBufferLimits::parse("212992\n", "4096\t16384\t4194304\n", "287901\t383868\t575802\n");
        let expected = SendBufferLimits {
            most: 425_984,
            tuned: 4_194_304,
            all: 287_901 * 4096,
        };
        assert_eq!(found, Some(expected));
        assert_eq!(
            SendBufferLimits::parse("many", "4096 16384 4194304", "1 2 3"),
            None
        );
        assert_eq!(SendBufferLimits::parse("1", "4096 16384", "1 2 3"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_peer_that_ends_its_side_is_told_from_one_that_is_gone() {
        use std::io::Write;
        use std::net::{Shutdown, TcpListener, TcpStream};
        let listener = TcpListener::bind("127.0.0.1:0").expect("listener");
        let mut other = TcpStream::connect(listener.local_addr().expect("address")).expect("client");
        let (ours, _) = listener.accept().expect("accepted");
        let seen = |wanted: Peer| {
            let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
            while peer_of(&ours) != wanted && std::time::Instant::now() < until {
                std::thread::yield_now();
            }
            assert_eq!(peer_of(&ours), wanted);
        };
        other.write_all(b"unread").expect("written");
        seen(Peer::There);
        other.shutdown(Shutdown::Write).expect("ended");
        seen(Peer::HalfClosed);
        // Bytes that the peer has not read make its close a reset.
        (&ours).write_all(b"unread").expect("written");
        let arrived = other.peek(&mut [0]).expect("bytes");
        assert_eq!(arrived, 1);
        drop(other);
        seen(Peer::Gone);
    }

    #[test]
    fn a_send_buffer_gets_the_size_that_was_asked_for() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("socket");
        set_send_buffer(&socket, 65_536);
        let found = rustix::net::sockopt::socket_send_buffer_size(&socket).expect("length");
        assert_eq!(found, if cfg!(target_os = "linux") { 65_536 } else { 32_768 });
    }
}
