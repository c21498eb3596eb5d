//! The names of this server in targets that are whole URLs (RFC 9112, section 3.2.2): what a client sends that takes
//! this server for its proxy, or that makes no difference.

use std::net::{IpAddr, SocketAddr};

use http::request::Parts;
use http::{HeaderValue, Uri, Version, header};
use url::Url;

/// The authorities under which this server is asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Authorities {
    base: Option<Base>,
    listeners: Vec<SocketAddr>,
}

/// The authority of `base_url`.
#[derive(Debug, Clone)]
struct Base {
    host: String,
    /// As it is written.
    port: Option<u16>,
    /// That of its scheme.
    default_port: u16,
}

impl Authorities {
    pub(super) fn new(base_url: Option<&Url>, listeners: Vec<SocketAddr>) -> Self {
        let base = base_url.and_then(|url| {
            Some(Base {
                host: url.host_str()?.to_owned(),
                port: url.port(),
                default_port: url.port_or_known_default()?,
            })
        });
        Self { base, listeners }
    }

    /// Turns a target that is a URL of this server into a path. `Host` does not count then, and becomes what the
    /// target says. Every other target stays as it is.
    pub(super) fn localize(&self, parts: &mut Parts) {
        if parts.version >= Version::HTTP_2 || !self.contain(&parts.uri) {
            return;
        }
        let authority = parts
            .uri
            .authority()
            .map(|authority| authority.as_str().to_owned());
        let path = parts.uri.path_and_query().cloned();
        let host = authority.and_then(|authority| HeaderValue::from_str(&authority).ok());
        let (Some(path), Some(host)) = (path, host) else {
            return;
        };
        parts.uri = Uri::from(path);
        // No header, or several, stay a fault of the request.
        let hosts = parts.headers.get_all(header::HOST).iter().count();
        if hosts == 1 || parts.version < Version::HTTP_11 && hosts == 0 {
            parts.headers.insert(header::HOST, host);
        }
    }

    fn contain(&self, target: &Uri) -> bool {
        let (Some(authority), Some(scheme)) = (target.authority(), target.scheme_str()) else {
            return false;
        };
        let default = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return false,
        };
        if authority.as_str().contains('@') {
            return false;
        }
        let (host, port) = (authority.host(), authority.port_u16());
        let named = |base: &Base| base.host.eq_ignore_ascii_case(host) && base.is_at(port, default);
        let port = port.unwrap_or(default);
        self.base.as_ref().is_some_and(named)
            || self.listeners.iter().any(|listener| is_at(*listener, host, port))
    }
}

impl Base {
    /// Whether a port is the one of this URL; `default` is that of the scheme of the target.
    fn is_at(&self, asked: Option<u16>, default: u16) -> bool {
        match (self.port, asked) {
            // A proxy in front may end TLS, so the schemes may differ.
            (None, None) => true,
            (own, asked) => own.unwrap_or(self.default_port) == asked.unwrap_or(default),
        }
    }
}

/// Whether a listener is reached under this host and port, as far as its address says. One for all addresses of the
/// machine has any of them.
fn is_at(listener: SocketAddr, host: &str, port: u16) -> bool {
    let ip = listener.ip();
    let same_host = match host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>()
    {
        Ok(asked) => ip == asked || ip.is_unspecified(),
        Err(_) => host.eq_ignore_ascii_case("localhost") && (ip.is_loopback() || ip.is_unspecified()),
    };
    same_host && listener.port() == port
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn own() -> Authorities {
        let base = Url::parse("https://cache.example/inside").unwrap();
        let listeners = ["127.0.0.1:8080", "[::]:81"];
        Authorities::new(Some(&base), listeners.map(|text| text.parse().unwrap()).to_vec())
    }

    /// What becomes of target and `Host`.
    fn localized(target: &str, version: Version, hosts: &[&'static str]) -> (String, Vec<String>) {
        let request = Request::get(target).version(version).body(()).unwrap();
        let (mut parts, ()) = request.into_parts();
        for host in hosts {
            parts.headers.append(header::HOST, HeaderValue::from_static(host));
        }
        own().localize(&mut parts);
        let hosts = parts.headers.get_all(header::HOST).iter();
        let hosts = hosts.map(|host| host.to_str().unwrap().to_owned());
        (parts.uri.to_string(), hosts.collect())
    }

    #[test]
    fn a_url_of_this_server_becomes_a_path() {
        for (target, host) in [
            ("http://127.0.0.1:8080/a%2Fb?c", "127.0.0.1:8080"),
            ("http://localhost:8080/a%2Fb?c", "localhost:8080"),
            ("http://[::1]:81/a%2Fb?c", "[::1]:81"),
            ("http://10.1.2.3:81/a%2Fb?c", "10.1.2.3:81"),
            ("https://cache.example/a%2Fb?c", "cache.example"),
            ("https://cache.example:443/a%2Fb?c", "cache.example:443"),
            ("http://Cache.Example/a%2Fb?c", "Cache.Example"),
        ] {
            let expected = ("/a%2Fb?c".to_owned(), vec![host.to_owned()]);
            assert_eq!(
                localized(target, Version::HTTP_11, &["other.test"]),
                expected,
                "{target}"
            );
            assert_eq!(localized(target, Version::HTTP_10, &[]), expected, "{target}");
        }
    }

    #[test]
    fn every_other_target_stays() {
        for target in [
            "http://127.0.0.1:8081/a",
            "http://127.0.0.2:8080/a",
            "http://localhost:82/a",
            "http://cache.example:81/a",
            "http://me@cache.example/a",
            "http://cache.example.other.test/a",
            "ftp://cache.example/a",
            "cache.example:443",
            "/a",
            "*",
        ] {
            let (left, hosts) = localized(target, Version::HTTP_11, &["one.test"]);
            assert_eq!(
                (left.as_str(), hosts),
                (target, vec!["one.test".to_owned()]),
                "{target}"
            );
        }
    }

    #[test]
    fn doubtful_hosts_stay_doubtful() {
        let target = "http://127.0.0.1:8080/a";
        assert_eq!(localized(target, Version::HTTP_11, &[]).1, [""; 0]);
        assert_eq!(localized(target, Version::HTTP_11, &["a", "b"]).1, ["a", "b"]);
    }
}
