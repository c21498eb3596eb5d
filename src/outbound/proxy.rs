//! Which connections go through a proxy. One rule for issuers and for remote tiers.

use std::fmt;
use std::path::{Path, PathBuf};

use http::{HeaderValue, Uri, uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use url::Url;

use super::small_file::{self, SmallFileError};

/// What never goes through a proxy: this machine, and the metadata services of clouds, which answer for the machine
/// that asks.
const ALWAYS_DIRECT: &str = "localhost,127.0.0.0/8,::1,169.254.0.0/16,fd00:ec2::254";

/// Longest file of a proxy, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// The proxies of this process. By default there is none.
#[derive(Clone, Default)]
pub(crate) struct Proxies {
    /// For targets with `http`.
    http: Option<Proxy>,
    /// For targets with `https`.
    https: Option<Proxy>,
    /// Hosts that are reached directly, in the form of NO_PROXY.
    direct: String,
    /// Variables of the environment that name no proxy that can be used.
    ignored: Vec<&'static str>,
}

/// The URL of a proxy. Shows no credentials.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    url: Url,
    source: &'static str,
}

/// Why a proxy cannot be used. Shows no credentials.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error("\"{}\" {error}", .path.display().to_string().escape_debug())]
    Read { path: PathBuf, error: SmallFileError },
    #[error("\"{}\" {URL_FAULT}", .path.display().to_string().escape_debug())]
    Url { path: PathBuf },
}

const URL_FAULT: &str = "does not begin with the URL of a proxy; write http://host:port, or \
    http://user:password@host:port (connections to the proxy itself are not encrypted; what goes through it is)";

impl Proxies {
    /// The proxy that a file names, or else those of the environment: HTTPS_PROXY for targets with https, HTTP_PROXY
    /// for those with http, ALL_PROXY for both, each also in lower case. NO_PROXY and the lines of the file after the
    /// first name hosts that are reached directly. Blocking: reads the file.
    ///
    /// # Errors
    /// The file cannot be read, or does not hold the URL of a proxy. A variable that does not is ignored, and named in
    /// the log: it may have been set for other programs.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, ProxyError> {
        let env = |name: &'static str| std::env::var(name).ok();
        match file {
            Some(path) => Self::of_file(path, &env),
            None => Ok(Self::of_environment(&env)),
        }
    }

    fn of_file(path: &Path, env: &dyn Fn(&'static str) -> Option<String>) -> Result<Self, ProxyError> {
        let text = small_file::read_text(path, MAX_FILE_BYTES).map_err(|error| ProxyError::Read {
            path: path.to_owned(),
            error,
        })?;
        let mut lines = text.lines().map(str::trim);
        let mut lines = lines
            .by_ref()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let url = lines.next().and_then(proxy_url).ok_or_else(|| ProxyError::Url {
            path: path.to_owned(),
        })?;
        let proxy = Some(Proxy {
            url,
            source: "outbound_proxy_file",
        });
        let named: Vec<&str> = lines.collect();
        Ok(Self {
            http: proxy.clone(),
            https: proxy,
            direct: direct(&named.join(","), env),
            ignored: Vec::new(),
        })
    }

    fn of_environment(env: &dyn Fn(&'static str) -> Option<String>) -> Self {
        let mut ignored = Vec::new();
        let mut one = |names: [&'static str; 4]| {
            let (source, text) = names.into_iter().find_map(|name| Some((name, env(name)?)))?;
            let text = text.trim();
            let url = proxy_url(text);
            if url.is_none() && !text.is_empty() && !ignored.contains(&source) {
                ignored.push(source);
            }
            url.map(|url| Proxy { url, source })
        };
        let http = one(["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]);
        let https = one(["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]);
        Self {
            http,
            https,
            direct: direct("", env),
            ignored,
        }
    }

    /// The proxy for targets with `http`, if they are not in [`Proxies::direct`].
    pub(crate) fn http(&self) -> Option<&Proxy> {
        self.http.as_ref()
    }

    /// The same for targets with `https`.
    pub(crate) fn https(&self) -> Option<&Proxy> {
        self.https.as_ref()
    }

    /// The hosts that are reached directly, in the form of NO_PROXY.
    pub(crate) fn direct(&self) -> &str {
        &self.direct
    }

    /// The same rules, ready to be asked.
    pub(super) fn matcher(&self) -> Matcher {
        let text = |proxy: &Option<Proxy>| proxy.as_ref().map(|proxy| proxy.url.to_string());
        Matcher::builder()
            .http(text(&self.http).unwrap_or_default())
            .https(text(&self.https).unwrap_or_default())
            .no(self.direct.clone())
            .build()
    }

    /// The credentials for a proxy that a request with `http` goes through. With `https` the tunnel has them.
    pub(crate) fn authorization(&self, target: &Uri) -> Option<HeaderValue> {
        if target.scheme() != Some(&uri::Scheme::HTTP) {
            return None;
        }
        let intercept: Intercept = self.matcher().intercept(target)?;
        intercept.basic_auth().cloned()
    }

    /// Says in the log what goes where; nothing if nothing goes through a proxy.
    pub(crate) fn log(&self) {
        for variable in &self.ignored {
            tracing::warn!("{variable} in the environment is ignored: it {URL_FAULT}");
        }
        let shown = |proxy: &Option<Proxy>| proxy.as_ref().map(ToString::to_string);
        let direct = &self.direct;
        match (shown(&self.http), shown(&self.https)) {
            (None, None) => {}
            (Some(proxy), Some(other)) if proxy == other => {
                tracing::info!(%proxy, %direct, "issuers and s3 are reached through a proxy");
            }
            (http, https) => {
                let (http, https) = (http.unwrap_or_default(), https.unwrap_or_default());
                tracing::info!(%http, %https, %direct, "issuers and s3 are reached through proxies by their scheme");
            }
        }
    }
}

impl Proxy {
    /// The URL with its credentials: not for logs.
    pub(crate) fn secret_url(&self) -> &str {
        self.url.as_str()
    }
}

/// Exceptions of a file and of the environment, and those that always hold.
fn direct(named: &str, env: &dyn Fn(&'static str) -> Option<String>) -> String {
    let of_environment = env("NO_PROXY").or_else(|| env("no_proxy")).unwrap_or_default();
    let all = [ALWAYS_DIRECT, named, &of_environment];
    let parts = all.iter().flat_map(|list| list.split(',')).map(str::trim);
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(",")
}

/// `host:port` counts as `http://host:port`, as with other programs.
fn proxy_url(text: &str) -> Option<Url> {
    let text = match text.contains("://") {
        true => text.to_owned(),
        false => format!("http://{text}"),
    };
    let url = Url::parse(&text).ok()?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    (url.scheme() == "http" && url.has_host() && bare).then_some(url)
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or_default();
        write!(f, "http://{host}:{port} ({})", self.source)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies")
            .field("http", &self.http)
            .field("https", &self.https)
            .field("direct", &self.direct)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_environment(variables: &'static [(&str, &str)]) -> Proxies {
        Proxies::of_environment(&|name| {
            let mut variables = variables.iter();
            let found = variables.find(|(known, _)| *known == name)?;
            Some(found.1.to_owned())
        })
    }

    fn way(proxies: &Proxies, target: &str) -> Option<String> {
        let intercept = proxies.matcher().intercept(&target.parse().unwrap())?;
        Some(intercept.uri().to_string())
    }

    #[test]
    fn the_environment_is_read_as_other_programs_read_it() {
        let both = of_environment(&[
            ("https_proxy", "http://one:1"),
            ("ALL_PROXY", "two:2"),
            ("NO_PROXY", " .internal , 10.0.0.0/8"),
        ]);
        for (target, expected) in [
            ("https://a.example", Some("http://one:1/")),
            ("http://a.example", Some("http://two:2/")),
            ("https://s3.internal", None),
            ("http://10.1.2.3:9000", None),
        ] {
            assert_eq!(way(&both, target).as_deref(), expected, "{target}");
        }
        assert!(of_environment(&[]).https().is_none());
        let off = of_environment(&[("HTTPS_PROXY", ""), ("ALL_PROXY", "http://two:2")]);
        assert!(
            off.https().is_none() && off.ignored.is_empty(),
            "an empty variable switches it off"
        );
    }

    #[test]
    fn this_machine_and_metadata_services_are_always_reached_directly() {
        let all = of_environment(&[("ALL_PROXY", "http://proxy:1")]);
        for target in [
            "http://localhost:9000",
            "http://127.8.8.8",
            "https://[::1]:1",
            "http://169.254.169.254/latest",
            "http://[fd00:ec2::254]/",
        ] {
            assert_eq!(way(&all, target), None, "{target}");
        }
        assert!(way(&all, "http://127.0.0.1.example").is_some());
    }

    #[test]
    fn a_file_goes_before_the_environment_and_adds_exceptions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy");
        let env = |name| (name == "HTTPS_PROXY" || name == "NO_PROXY").then(|| "named.example".to_owned());
        let text = "# ours\n\nhttp://me:p%40ss@proxy.example:3128\ndirect.example, 10.0.0.0/8\n.corp\n";
        std::fs::write(&path, text).unwrap();
        let proxies = Proxies::of_file(&path, &env).unwrap();
        for (target, through) in [
            ("https://a.example", true),
            ("http://a.example", true),
            ("https://direct.example", false),
            ("https://x.corp", false),
            ("https://named.example", false),
            ("https://10.2.2.2", false),
        ] {
            assert_eq!(way(&proxies, target).is_some(), through, "{target}");
        }
        let secret = proxies
            .authorization(&"http://a.example".parse().unwrap())
            .unwrap();
        assert_eq!(secret, "Basic bWU6cEBzcw==");
        assert!(
            proxies
                .authorization(&"https://a.example".parse().unwrap())
                .is_none()
        );
        let shown = format!("{proxies:?} {}", proxies.http().unwrap());
        assert!(
            shown.contains("http://proxy.example:3128 (outbound_proxy_file)"),
            "{shown}"
        );
        assert!(!shown.contains("p%40ss") && !shown.contains("me:"), "{shown}");
    }

    #[test]
    fn faults_name_their_place_and_no_credentials() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy");
        let fault = || Proxies::load(Some(&path)).unwrap_err().to_string();
        assert!(fault().contains("does not exist"), "{}", fault());
        for text in [
            "",
            "# nothing",
            "https://me:secret@proxy:1",
            "socks5://me:secret@proxy:1",
            "http://me:secret@proxy:1/path",
            "http://me:secret@",
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(fault().contains("write http://host:port"), "{text}: {}", fault());
            assert!(!fault().contains("secret"), "{}", fault());
        }
        let other = of_environment(&[("all_proxy", "socks5://me:secret@proxy:1")]);
        assert_eq!(other.ignored, ["all_proxy"]);
        assert!(other.http().is_none() && !format!("{other:?}").contains("secret"));
    }
}
