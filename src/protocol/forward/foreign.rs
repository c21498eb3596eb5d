//! What may leave for GitHub's other services, and what of their answers comes back.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method, header};
use url::{Host, Url};

use super::client::ForwardClient;

/// GitHub's other services.
#[derive(Debug, Clone)]
pub(super) struct ForeignService {
    pub(super) url: Arc<Url>,
    pub(super) client: ForwardClient,
}

/// The headers of a call that a service of GitHub needs. All others stay: cookies and headers of proxies are no
/// business of its, and some ask servers on the way for more than the client may.
static REQUEST_HEADERS: [HeaderName; 7] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::AUTHORIZATION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::USER_AGENT,
];

/// The headers of an answer that a client of Twirp needs. One that sets cookies or leads elsewhere would speak in the
/// name of this server.
static ANSWER_HEADERS: [HeaderName; 6] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("x-github-request-id"),
];

/// Whether a call may leave: Twirp has only POST, and a token goes only where it comes from. GitHub's services get those
/// of GitHub's issuers; one on this machine, which stands in for them, those of issuers on this machine.
pub(super) fn may_leave(method: &Method, issuer: &str, service: &Url) -> bool {
    let Ok(issuer) = Url::parse(issuer) else {
        return false;
    };
    *method == Method::POST && (is_github(&issuer) || is_local(&issuer) && is_local(service))
}

/// An issuer of ID tokens and runtime tokens: of github.com, of an enterprise there (`/SLUG`), and of an enterprise with
/// a domain of its own. That of a GitHub Enterprise Server (`https://HOST/_services/token`) is none: its services are on
/// its own host, where `forward_unknown_to` does not lead.
fn is_github(issuer: &Url) -> bool {
    const NAME: &str = "token.actions.";
    let own_domain = |host: &str| {
        let rest = host
            .strip_prefix(NAME)
            .and_then(|rest| rest.strip_suffix(".ghe.com"));
        rest.is_some_and(|enterprise| !enterprise.is_empty() && !enterprise.contains('.'))
    };
    let plain = issuer.scheme() == "https" && issuer.port().is_none();
    plain
        && issuer
            .domain()
            .is_some_and(|host| host == "token.actions.githubusercontent.com" || own_domain(host))
}

fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Leaves what a call to another service needs.
pub(super) fn keep_request_headers(headers: &mut HeaderMap) {
    keep(headers, &REQUEST_HEADERS);
}

/// Leaves what a client may get of an answer.
pub(super) fn keep_answer_headers(headers: &mut HeaderMap) {
    keep(headers, &ANSWER_HEADERS);
}

fn keep(headers: &mut HeaderMap, names: &[HeaderName]) {
    let others: Vec<HeaderName> = headers
        .keys()
        .filter(|name| !names.contains(name))
        .cloned()
        .collect();
    for name in others {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_only_where_they_come_from() {
        let github = Url::parse("https://results-receiver.actions.githubusercontent.com").unwrap();
        let local = Url::parse("http://127.0.0.1:9000").unwrap();
        let leaves = |issuer: &str, service: &Url| may_leave(&Method::POST, issuer, service);
        for issuer in [
            "https://token.actions.githubusercontent.com",
            "https://token.actions.githubusercontent.com/acme",
            "https://token.actions.acme.ghe.com",
        ] {
            assert!(leaves(issuer, &github) && leaves(issuer, &local), "{issuer}");
            assert!(!may_leave(&Method::GET, issuer, &github), "{issuer}");
        }
        for issuer in [
            "https://gitlab.com",
            "https://token.actions.githubusercontent.com.evil.example",
            "https://token.actions.githubusercontent.com:444",
            "http://token.actions.githubusercontent.com",
            "https://token.actions.acme.evil.ghe.com",
            "https://token.actions..ghe.com",
            "https://ghe.com",
            "https://github.example.com/_services/token",
            "https://evil.example/token.actions.githubusercontent.com",
            "not a URL",
        ] {
            assert!(!leaves(issuer, &github) && !leaves(issuer, &local), "{issuer}");
        }
        for issuer in ["http://127.0.0.1:1", "http://localhost:1", "https://[::1]"] {
            assert!(leaves(issuer, &local) && !leaves(issuer, &github), "{issuer}");
        }
    }
}
