//! Addresses to listen on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::suggest::quoted;

/// The longest path that a socket address of Linux holds, in bytes.
const MAX_UNIX_PATH_BYTES: usize = 107;

/// One address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddr {
    /// `host:port`, IPv4 or `[IPv6]`.
    Tcp(SocketAddr),
    /// `unix:/path/of/the/socket`.
    Unix(PathBuf),
}

/// A text that is no address to listen on; the message has the text and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAddress(pub(super) String);

/// `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080` or `unix:/path`. No name but `localhost` is resolved:
/// which address a server is open on must not depend on a name service.
impl FromStr for ListenAddr {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(|fault| InvalidAddress(format!("{} {fault}", quoted(text))))
    }
}

/// The form that [`ListenAddr::from_str`] reads.
impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Reads an address; blanks around it are ignored. The fault is a predicate, as in [`super::size`].
pub(super) fn parse(text: &str) -> Result<ListenAddr, String> {
    let text = text.trim();
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path);
    }
    if let Ok(address) = text.parse() {
        return Ok(ListenAddr::Tcp(address));
    }
    if let Some(("localhost", port)) = text.split_once(':')
        && let Ok(port) = port.parse()
    {
        return Ok(ListenAddr::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
    }
    Err(fault(text))
}

fn unix(path: &str) -> Result<ListenAddr, String> {
    if path.is_empty() || path.contains('\0') {
        return Err("names no socket; write unix: and a path, such as unix:/run/chacha.sock".to_owned());
    }
    if path.len() > MAX_UNIX_PATH_BYTES {
        return Err(format!(
            "is too long for a socket; use a path of at most {MAX_UNIX_PATH_BYTES} bytes"
        ));
    }
    Ok(ListenAddr::Unix(PathBuf::from(path)))
}

/// What is wrong with a text that is no address, as precisely as can be told.
fn fault(text: &str) -> String {
    let numeric = |port: &str| port.parse::<u16>().is_ok();
    if text.contains("://") {
        return "is a URL; write only host and port, such as 127.0.0.1:8080".to_owned();
    }
    if let Some(port) = text.strip_prefix(':').filter(|port| numeric(port)) {
        return format!(
            "has no host; write 0.0.0.0:{port} for all interfaces or 127.0.0.1:{port} for this machine only"
        );
    }
    if numeric(text) {
        return format!("is only a port; write 127.0.0.1:{text}, or 0.0.0.0:{text} for all interfaces");
    }
    if text.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4()) {
        return format!("has no port; write {text}:8080");
    }
    match text.rsplit_once(':') {
        Some((host, port)) if host.parse::<Ipv6Addr>().is_ok() && numeric(port) => {
            format!("is IPv6 without brackets; write \"[{host}]:{port}\", in quotes")
        }
        _ if text.parse::<Ipv6Addr>().is_ok() => {
            format!("is IPv6 without brackets and port; write \"[{text}]:8080\", in quotes")
        }
        Some((_, port)) if !numeric(port) => {
            "has no valid port; write host and port, such as 127.0.0.1:8080 (ports end at 65535)".to_owned()
        }
        Some((_, port)) => format!(
            "names a host; of names only localhost is accepted: write an IP address, or 0.0.0.0:{port} for all interfaces"
        ),
        None => {
            "is no address; write 127.0.0.1:8080, \"[::1]:8080\", localhost:8080 or unix:/path".to_owned()
        }
    }
}

/// Whether both cannot be bound at once. Port 0 asks for any free port, so it never clashes.
pub(super) fn clash(one: &ListenAddr, other: &ListenAddr) -> bool {
    match (one, other) {
        (ListenAddr::Tcp(one), ListenAddr::Tcp(other)) => {
            let same_family = one.is_ipv4() == other.is_ipv4();
            let overlap = one.ip() == other.ip()
                || (same_family && (one.ip().is_unspecified() || other.ip().is_unspecified()));
            one.port() != 0 && one.port() == other.port() && overlap
        }
        (ListenAddr::Unix(one), ListenAddr::Unix(other)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |text, expected: &str| assert_eq!(parse(text).unwrap().to_string(), expected);
        check("127.0.0.1:8080", "127.0.0.1:8080");
        check(" 0.0.0.0:0 ", "0.0.0.0:0");
        check("[::1]:8080", "[::1]:8080");
        check("localhost:8080", "127.0.0.1:8080");
        check("unix:/run/chacha.sock", "unix:/run/chacha.sock");
    }

    #[test]
    fn refused_addresses() {
        let check = |text, expected: &str| {
            let fault = parse(text).expect_err(text);
            assert!(fault.contains(expected), "{text}: {fault}");
        };
        check(":8080", "write 0.0.0.0:8080");
        check("8080", "is only a port; write 127.0.0.1:8080");
        check("127.0.0.1", "has no port; write 127.0.0.1:8080");
        check("::1:8080", "write \"[::1]:8080\"");
        check("fe80::a", "write \"[fe80::a]:8080\"");
        check("http://127.0.0.1:8080", "is a URL");
        check("cache.example.com:8080", "only localhost is accepted");
        check("127.0.0.1:99999", "ports end at 65535");
        check("localhost:http", "no valid port");
        check("localhost", "is no address");
        check("", "is no address");
        check("unix:", "names no socket");
        check(&format!("unix:/{}", "a".repeat(107)), "at most 107 bytes");
    }

    #[test]
    fn the_error_of_from_str_shows_the_text() {
        let error = ":80".parse::<ListenAddr>().unwrap_err();
        assert!(error.to_string().starts_with("\":80\" has no host"), "{error}");
    }

    #[test]
    fn clashes() {
        let check = |one, other, expected| {
            let (one, other) = (parse(one).unwrap(), parse(other).unwrap());
            assert_eq!(clash(&one, &other), expected, "{one} {other}");
            assert_eq!(clash(&other, &one), expected, "{other} {one}");
        };
        check("127.0.0.1:80", "127.0.0.1:80", true);
        check("127.0.0.1:80", "0.0.0.0:80", true);
        check("[::]:80", "[::1]:80", true);
        check("127.0.0.1:80", "127.0.0.2:80", false);
        check("127.0.0.1:80", "[::]:80", false);
        check("127.0.0.1:80", "127.0.0.1:81", false);
        check("127.0.0.1:0", "127.0.0.1:0", false);
        check("unix:/a", "unix:/a", true);
        check("unix:/a", "127.0.0.1:80", false);
    }
}
