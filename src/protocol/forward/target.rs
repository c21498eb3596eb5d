//! The head of a request for another server.

use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version, header};
use url::Url;

/// Which server `Host` names in a request that is forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostHeader {
    /// The one that the client asked: for a peer, whose links then begin with it.
    Original,
    /// The other server, which is no peer.
    Target,
    /// The other server, for a message of this one.
    Peer,
}

/// Turns a request to the server at `url`. `None` if that makes no URL.
pub(super) fn redirect(parts: &mut Parts, url: &Url, host: HostHeader) -> Option<()> {
    match host {
        HostHeader::Original => name_host(parts),
        HostHeader::Target | HostHeader::Peer => drop(parts.headers.remove(header::HOST)),
    }
    parts.uri = retarget(url, &parts.uri)?;
    parts.version = Version::HTTP_11;
    remove_hop_by_hop(&mut parts.headers);
    // This server has taken the body already, as far as the client can tell.
    parts.headers.remove(header::EXPECT);
    Some(())
}

/// HTTP/2 names the host in the target, which is about to change.
fn name_host(parts: &mut Parts) {
    let host = parts.uri.authority().map(Authority::as_str);
    if !parts.headers.contains_key(header::HOST)
        && let Some(Ok(host)) = host.map(HeaderValue::from_str)
    {
        parts.headers.insert(header::HOST, host);
    }
}

/// The same path and query at another server; a path of the target goes in front.
fn retarget(target: &Url, asked: &Uri) -> Option<Uri> {
    let authority = &target[url::Position::BeforeHost..url::Position::AfterPort];
    let front = target.path().trim_end_matches('/');
    let asked = asked.path_and_query().map_or("/", PathAndQuery::as_str);
    Uri::builder()
        .scheme(Scheme::try_from(target.scheme()).ok()?)
        .authority(Authority::try_from(authority).ok()?)
        .path_and_query(format!("{front}{asked}"))
        .build()
        .ok()
}

/// A peer is told who calls. It never gets what would let it call in the same name.
pub(super) fn remove_credentials(headers: &mut HeaderMap) {
    for name in [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE] {
        headers.remove(name);
    }
}

/// Headers that speak of one connection only (RFC 9110, section 7.6.1).
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let always = [
        header::CONNECTION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    for name in named.into_iter().chain(always) {
        // They stay even if the client names them: the other server needs the length of the body, and who was meant.
        if name != header::CONTENT_LENGTH && name != header::HOST {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    #[test]
    fn path_and_query_stay_as_they_are() {
        let check = |target: &str, asked: &str, expected: &str| {
            let target = Url::parse(target).expect("url");
            let uri = retarget(&target, &asked.parse().expect("uri")).expect("target");
            assert_eq!(uri.to_string(), expected);
        };
        check("http://a:81", "/x%2Fy?q=%20", "http://a:81/x%2Fy?q=%20");
        check("https://a.example/", "/x", "https://a.example/x");
        check("http://[::1]:8/base/", "/x//y", "http://[::1]:8/base/x//y");
    }

    #[test]
    fn the_host_of_the_second_version_of_http_is_kept() {
        let host = |target: &str, header: Option<&'static str>| {
            let (mut parts, ()) = Request::get(target).body(()).expect("request").into_parts();
            let header = header.map(|host| (header::HOST, HeaderValue::from_static(host)));
            parts.headers.extend(header);
            name_host(&mut parts);
            let named = parts.headers.get(header::HOST);
            named.map(|host| host.to_str().expect("text").to_owned())
        };
        assert_eq!(host("http://asked:1/x", None).as_deref(), Some("asked:1"));
        assert_eq!(host("/x", Some("asked:1")).as_deref(), Some("asked:1"));
        assert_eq!(host("/x", None), None);
    }

    #[test]
    fn headers_of_one_connection_are_not_passed_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Mine, content-length, Host"),
            ("x-mine", "1"),
            ("host", "cache.test"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("authorization", "Bearer x"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        remove_hop_by_hop(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "content-length", "host"]);
    }
}
