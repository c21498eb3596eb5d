//! The absolute URLs that answers of the Actions cache hold.

use std::net::SocketAddr;

use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, header};
use url::Url;

use super::authorities::Authorities;
use crate::auth::Ticket;

/// Where clients find this server again.
#[derive(Debug, Clone)]
pub struct Links {
    base: Option<String>,
    listener: String,
    authorities: Authorities,
}

impl Links {
    /// Links below `base_url`, if there is one: it is right behind a proxy, too. Else they lead to the host
    /// that the client asked for, and to `listener` (`host:port`) if it named none.
    pub fn new(base_url: Option<&Url>, listener: String) -> Self {
        let authorities = Authorities::new(base_url, Vec::new());
        let base = base_url.map(|url| url.as_str().trim_end_matches('/').to_owned());
        Self {
            base,
            listener,
            authorities,
        }
    }

    /// The same for a server that listens at these addresses.
    #[must_use]
    pub fn at(mut self, base_url: Option<&Url>, listeners: Vec<SocketAddr>) -> Self {
        self.authorities = Authorities::new(base_url, listeners);
        self
    }

    /// `base_url`, without a slash at its end.
    pub(crate) fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// The names of this server.
    pub(super) fn authorities(&self) -> &Authorities {
        &self.authorities
    }

    /// The URL of a blob for the client that sent this request.
    ///
    /// Three segments and a query are the form that every SDK of Azure's storage accepts; the toolkit masks
    /// `sig` in its logs.
    pub(crate) fn blob(&self, parts: &Parts, ticket: &Ticket) -> String {
        let (body, expires, signature) = (ticket.body(), ticket.expires(), ticket.signature());
        let rest = format!("_chacha/blob/{body}?se={expires}&sig={signature}");
        match &self.base {
            Some(base) => format!("{base}/{rest}"),
            None => format!("http://{}/{rest}", self.host(parts)),
        }
    }

    fn host<'a>(&'a self, parts: &'a Parts) -> &'a str {
        let asked = match parts.uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => named(&parts.headers),
        };
        asked
            .filter(|host| is_bare(host))
            .unwrap_or(self.listener.as_str())
    }
}

fn named(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST)?.to_str().ok()
}

/// Host and port, nothing that would change the meaning of a URL.
fn is_bare(host: &str) -> bool {
    !host.contains('@')
        && host
            .parse::<Authority>()
            .is_ok_and(|parsed| !parsed.host().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str = "/_chacha/blob/Ym9keS1ib2R5LWJvZHk?se=1800000000&sig=c2lnbmF0dXJlLTE2Ynl0ZQ";

    fn check(base: Option<&str>, uri: &str, host: Option<&str>, expected: &str) {
        let ticket = Ticket::from_parts("Ym9keS1ib2R5LWJvZHk", "1800000000", "c2lnbmF0dXJlLTE2Ynl0ZQ")
            .expect("ticket");
        let base = base.map(|base| base.parse().expect("url"));
        let mut request = http::Request::get(uri);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let (parts, ()) = request.body(()).expect("request").into_parts();
        let link = Links::new(base.as_ref(), "127.0.0.1:8080".into()).blob(&parts, &ticket);
        assert_eq!(link, format!("{expected}{TAIL}"), "{uri} at {host:?}");
    }

    #[test]
    fn the_configured_url_counts_with_its_path() {
        check(
            Some("https://cache.example"),
            "/x",
            Some("inner:1"),
            "https://cache.example",
        );
        check(
            Some("https://cache.example/a/b"),
            "/x",
            None,
            "https://cache.example/a/b",
        );
    }

    #[test]
    fn else_the_host_that_was_asked_for() {
        check(None, "/x", Some("cache.test:81"), "http://cache.test:81");
        check(None, "/x", Some("[::1]:81"), "http://[::1]:81");
        check(None, "http://h2.test/x", None, "http://h2.test");
        check(None, "/x", None, "http://127.0.0.1:8080");
    }

    #[test]
    fn a_host_that_is_none_makes_no_link() {
        for host in ["", "a b", "user@host", "a/b", "a?b", ":80"] {
            check(None, "/x", Some(host), "http://127.0.0.1:8080");
        }
    }
}
