//! Where requests come from: the address of a connection, or what proxies say that are trusted.
//!
//! A proxy appends the address of whoever sent it a request. So a list is read from its end, up to the first address
//! that is no trusted proxy: what stands in front of that was written by a client.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};

use crate::config::TrustedProxies;

/// Proxies in a row that are believed; further ones are taken for the client.
const MAX_HOPS: usize = 64;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    /// `None` for a socket of the file system.
    pub(super) address: Option<IpAddr>,
    /// Whether it is a trusted proxy, whose requests have other clients.
    pub(super) is_proxy: bool,
}

impl Source {
    /// The peer of a socket.
    pub(super) fn of(address: Option<IpAddr>, trusted: &TrustedProxies) -> Self {
        let address = address.map(|address| address.to_canonical());
        Self {
            address,
            is_proxy: trusted.contains(address),
        }
    }

    /// The address that is held against a connection.
    pub(super) fn stranger(&self) -> Option<IpAddr> {
        self.address.filter(|_| !self.is_proxy)
    }

    /// The client of a request.
    pub(super) fn client(&self, headers: &HeaderMap, trusted: &TrustedProxies) -> Option<IpAddr> {
        match self.is_proxy {
            true => self.forwarded(headers, trusted),
            false => self.address,
        }
    }

    /// Proxies mostly write one of both headers and pass the other one on as the client sent it. So the client is only
    /// known if they agree.
    fn forwarded(&self, headers: &HeaderMap, trusted: &TrustedProxies) -> Option<IpAddr> {
        let by = |name: &HeaderName, addresses: fn(&str) -> Vec<Option<IpAddr>>| {
            let values = headers.get_all(name).iter().rev();
            let mut nodes = values.flat_map(|value| {
                let nodes = value.to_str().map_or_else(|_| vec![None], addresses);
                nodes.into_iter().rev()
            });
            headers
                .contains_key(name)
                .then(|| self.first_stranger(&mut nodes, trusted))
        };
        let old = by(&FORWARDED_FOR, forwarded_for);
        let new = by(&header::FORWARDED, forwarded);
        match (old, new) {
            (None, None) => self.address,
            (Some(client), None) | (None, Some(client)) => client,
            (Some(one), Some(other)) if one == other => one,
            (Some(_), Some(_)) => self.address,
        }
    }

    /// The first of `nodes` that is no trusted proxy, else the last that is known.
    fn first_stranger(
        &self,
        nodes: &mut dyn Iterator<Item = Option<IpAddr>>,
        trusted: &TrustedProxies,
    ) -> Option<IpAddr> {
        let mut last = self.address;
        for node in nodes.take(MAX_HOPS) {
            // Not an address: unknown, a name that hides one, or nonsense. Nothing in front of it counts.
            let Some(address) = node else { break };
            last = Some(address);
            if !trusted.contains(last) {
                break;
            }
        }
        last
    }
}

/// The nodes of a value of `X-Forwarded-For`.
fn forwarded_for(value: &str) -> Vec<Option<IpAddr>> {
    value.split(',').map(node).collect()
}

/// The nodes of a value of `Forwarded` (RFC 7239).
fn forwarded(value: &str) -> Vec<Option<IpAddr>> {
    let element = |element: &str| {
        let mut pairs = split(element, b';').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
        node(value)
    };
    split(value, b',').map(element).collect()
}

/// Splits at `separator` outside of quotes.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = text.bytes().position(|byte| {
            let literal = escaped;
            escaped = quoted && !literal && byte == b'\\';
            quoted ^= byte == b'"' && !literal;
            byte == separator && !quoted
        });
        let Some(end) = end else {
            rest = None;
            return Some(text);
        };
        rest = Some(&text[end + 1..]);
        Some(&text[..end])
    })
}

/// An address with or without brackets, quotes and port.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address: Option<IpAddr> = text.parse().ok().or_else(with_port).or_else(bracketed);
    address.map(|address| address.to_canonical())
}

/// For `fuzz/`: reads a value of both headers.
pub(crate) fn read_forwarded(value: &str) -> usize {
    forwarded(value).len() + forwarded_for(value).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The client of a request of the proxy 10.0.0.1 with these headers.
    #[track_caller]
    fn check(headers: &[(&str, &str)], expected: &str) {
        let trusted = TrustedProxies::of(["10.0.0.0/8", "2001:db8::/32"].map(|text| text.parse().unwrap()));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, value.parse().unwrap());
        }
        let proxy = Source::of(Some(IpAddr::from([10, 0, 0, 1])), &trusted);
        let client = proxy.client(&map, &trusted).unwrap();
        assert_eq!(client.to_string(), expected, "{headers:?}");
        let stranger = Source::of(Some(IpAddr::from([192, 0, 2, 9])), &trusted);
        assert_eq!(
            stranger.client(&map, &trusted),
            stranger.address,
            "its word does not count"
        );
    }

    #[test]
    fn a_list_is_read_from_its_end_to_the_first_that_is_no_proxy() {
        let old = |value| [("x-forwarded-for", value)];
        check(&[], "10.0.0.1");
        check(&old("192.0.2.1"), "192.0.2.1");
        check(&old("198.51.100.7, 192.0.2.1"), "192.0.2.1");
        check(&old("198.51.100.7, 192.0.2.1, 10.9.9.9,10.8.8.8"), "192.0.2.1");
        check(&old("10.9.9.9, 10.8.8.8"), "10.9.9.9");
        check(&old("192.0.2.1:4711"), "192.0.2.1");
        check(&old("::ffff:192.0.2.1"), "192.0.2.1");
        check(&old("[2001:db9::1]:4711"), "2001:db9::1");
        check(&old("2001:db9::1, 2001:db8::7"), "2001:db9::1");
        for nonsense in [
            "",
            "unknown",
            "localhost",
            "192.0.2.1, \u{e4}",
            "192.0.2.1,,",
            "1.2.3",
        ] {
            check(&old(nonsense), "10.0.0.1");
        }
        check(&old("192.0.2.1, unknown, 10.7.7.7"), "10.7.7.7");
        let lines = [
            ("x-forwarded-for", "198.51.100.7"),
            ("x-forwarded-for", "192.0.2.1, 10.2.2.2"),
        ];
        check(&lines, "192.0.2.1");
        let lines = [
            ("x-forwarded-for", "198.51.100.7"),
            ("x-forwarded-for", "10.2.2.2"),
        ];
        check(&lines, "198.51.100.7");
    }

    #[test]
    fn forwarded_is_read_with_its_quotes() {
        let new = |value| [("forwarded", value)];
        check(&new("for=192.0.2.1"), "192.0.2.1");
        check(
            &new("For=\"192.0.2.1:80\";proto=https;by=203.0.113.43"),
            "192.0.2.1",
        );
        check(
            &new("proto=http;host=\"a,b;for=1.2.3.4\";for=192.0.2.1"),
            "192.0.2.1",
        );
        check(
            &new("for=198.51.100.7, FOR=\"[2001:db9::1]:4711\""),
            "2001:db9::1",
        );
        check(
            &new("for=192.0.2.1, for=\"[2001:db8::5]\", for=10.3.3.3"),
            "192.0.2.1",
        );
        for hidden in [
            "for=unknown",
            "for=_hidden",
            "for=\"_x:80\"",
            "by=192.0.2.1",
            "for=\"",
            "for",
        ] {
            check(&new(hidden), "10.0.0.1");
        }
        // A client that opens a quote swallows what the proxy appends.
        check(&new("for=\"198.51.100.7, for=192.0.2.1"), "10.0.0.1");
        check(&new("for=\"a\\\", b\", for=192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn a_header_that_the_proxy_only_passes_on_makes_no_client() {
        let both = |old, new| [("x-forwarded-for", old), ("forwarded", new)];
        check(&both("192.0.2.1", "for=192.0.2.1"), "192.0.2.1");
        check(&both("192.0.2.1", "for=198.51.100.7"), "10.0.0.1");
    }
}
