//! URLs of issuers, of this server and of S3. Faults are predicates, as in [`super::size`].

use url::{Host, Url};

use super::defaults;

/// What the author of a file has allowed explicitly for one URL.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct UrlRules {
    /// `allow_insecure_http: true` stands in the same section.
    pub(super) insecure_http: bool,
    /// That switch belongs to the top of the file, not beside the key.
    pub(super) at_top: bool,
    /// `allow_trailing_slash: true` stands in the same section.
    pub(super) trailing_slash: bool,
}

/// Checks the URL of an issuer and gives it back byte for byte, because `iss` is compared so.
pub(super) fn issuer(text: &str, rules: UrlRules) -> Result<String, String> {
    let url = parse(text, rules, ANY_URL_FORMS)?;
    if url.path().contains("/.well-known/") {
        return Err(
            "is the address of a discovery document; write the issuer, the part before /.well-known"
                .to_owned(),
        );
    }
    if text.len() > defaults::MAX_ISSUER_BYTES {
        return Err(format!(
            "is longer than {} bytes, and names of tenants would be too long with it; use the issuer's short address",
            defaults::MAX_ISSUER_BYTES
        ));
    }
    if text.ends_with('/') && !rules.trailing_slash {
        return Err(
            "ends with a slash, but the iss claim of GitHub and GitLab has none; remove the slash, \
             or add `allow_trailing_slash: true` to this provider if its tokens really have one"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

/// Checks the URL of a key set.
pub(super) fn key_set(text: &str, rules: UrlRules) -> Result<Url, String> {
    // Some have a query, which decides what is answered.
    let (bare, query) = text.split_once('?').unwrap_or((text, ""));
    let mut url = parse(bare, rules, "write https://host/path of a key set")?;
    if query.contains(|letter: char| "?#".contains(letter) || letter.is_whitespace() || letter.is_control()) {
        return Err("has a query that is not one; copy the `jwks_uri` of the issuer".to_owned());
    }
    if !query.is_empty() {
        url.set_query(Some(query));
    }
    Ok(url)
}

/// Checks `base_url`. A slash at the end is removed from a path, so that both forms are the same.
pub(super) fn base(text: &str, rules: UrlRules) -> Result<Url, String> {
    let mut url = parse(text, rules, ANY_URL_FORMS)?;
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Checks the URL of a server of S3.
pub(super) fn endpoint(text: &str, rules: UrlRules) -> Result<Url, String> {
    let url = parse(text, rules, BARE_URL_FORMS)?;
    let why = "the bucket belongs into `bucket`, a folder in it into `prefix`";
    without_path(url, why)
}

/// Checks the URL under which another server of the same bucket is reached.
pub(super) fn neighbour(text: &str, rules: UrlRules) -> Result<Url, String> {
    let url = parse(text, rules, BARE_URL_FORMS)?;
    without_path(url, "servers call each other by scheme, host and port alone")
}

fn without_path(url: Url, why: &str) -> Result<Url, String> {
    if url.path() != "/" {
        return Err(format!("has a path; remove it: {why}"));
    }
    Ok(url)
}

/// Where GitHub's results services are: of github.com, and of its enterprises with a domain of their own.
const GITHUB_DOMAINS: &[&str] = &[".actions.githubusercontent.com", ".ghe.com"];

/// Checks the URL of the service that requests are passed on to, with the token in them.
pub(super) fn results_service(text: &str) -> Result<Url, String> {
    // Its encryption is judged below: no switch makes up for that.
    let rules = UrlRules {
        insecure_http: true,
        ..UrlRules::default()
    };
    let url = parse(text, rules, BARE_URL_FORMS)?;
    let github = matches!(url.host(), Some(Host::Domain(name)) if GITHUB_DOMAINS.iter().any(|end| name.ends_with(end)));
    if !github && !is_loopback(&url) {
        return Err(
            "is not a service of GitHub, and the tokens of jobs are sent there; write \
             https://results-receiver.actions.githubusercontent.com, or the host of your enterprise, which ends in \
             .ghe.com"
                .to_owned(),
        );
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err("is not encrypted; write https://".to_owned());
    }
    without_path(url, "each request keeps its own")
}

/// The forms of a URL, for advice; with a path and without.
const ANY_URL_FORMS: &str = "write https://host or https://host/path";
const BARE_URL_FORMS: &str = "write https://host or https://host:port";

fn parse(text: &str, rules: UrlRules, forms: &str) -> Result<Url, String> {
    // The URL standard drops these silently; the text would then differ from what was checked.
    if text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
        return Err("contains blanks or control characters; remove them".to_owned());
    }
    let url = Url::parse(text).map_err(|error| format!("is not a URL ({error}); {forms}"))?;
    if !matches!(url.scheme(), "http" | "https") || !text.contains("://") {
        return Err(format!("is not an http(s) URL; {forms}"));
    }
    if has_user(text) {
        return Err("contains a user name or password; remove everything between :// and @".to_owned());
    }
    if text.contains(['?', '#']) {
        return Err("has a query or a fragment; remove it, beginning with the ? or #".to_owned());
    }
    if url.scheme() == "http" && !rules.insecure_http && !is_loopback(&url) {
        let place = match rules.at_top {
            true => "at the top of the file",
            false => "beside it",
        };
        return Err(format!(
            "is not encrypted; write https://, or add `allow_insecure_http: true` {place} if everybody on the way \
             may read and change what is sent"
        ));
    }
    Ok(url)
}

/// Also an empty one, which the URL standard drops.
fn has_user(text: &str) -> bool {
    let rest = text.split("://").nth(1);
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    authority.is_some_and(|authority| authority.contains('@'))
}

/// Whether it is this machine for certain.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: UrlRules = UrlRules {
        insecure_http: false,
        at_top: false,
        trailing_slash: false,
    };

    #[test]
    fn issuers_stay_byte_for_byte() {
        let check = |text| assert_eq!(issuer(text, NOTHING), Ok(text.to_owned()));
        check("https://token.actions.githubusercontent.com");
        check("https://token.actions.githubusercontent.com/acme");
        check("https://HOST:443/_services/token");
        check("http://127.0.0.1:9000");
        check("http://127.8.8.8/x");
        check("http://[::1]:9000");
        check("http://localhost:9000");
    }

    /// With the value of a tenant behind it, it has to fit into `match` and into the records of entries.
    #[test]
    fn an_issuer_is_not_longer_than_names_of_tenants_can_be() {
        let url = |length: usize| format!("https://{}", "a".repeat(length - "https://".len()));
        let longest = defaults::MAX_ISSUER_BYTES;
        assert_eq!(issuer(&url(longest), NOTHING), Ok(url(longest)));
        let fault = issuer(&url(longest + 1), NOTHING).expect_err("too long");
        assert!(fault.contains("longer than 1024 bytes"), "{fault}");
        // Of 256 bytes, each encoded, and the separator.
        let name = 3 * (longest + 256) + "#".len();
        assert!(name <= defaults::MAX_PATTERN_BYTES);
    }

    #[test]
    fn refused_issuers() {
        let check = |text, expected: &str| {
            let fault = issuer(text, NOTHING).expect_err(text);
            assert!(fault.contains(expected), "{text}: {fault}");
        };
        check("https://gitlab.com/", "remove the slash");
        check("https://gitlab.com/", "allow_trailing_slash: true");
        check("http://gitlab.com", "allow_insecure_http: true");
        check("http://localhost.example.com", "allow_insecure_http: true");
        check("https://gitlab.com?a=b", "query or a fragment");
        check("https://gitlab.com#a", "query or a fragment");
        check("https://me:secret@gitlab.com", "user name or password");
        check("https://@gitlab.com", "user name or password");
        check(
            "https://gitlab.com/.well-known/openid-configuration",
            "part before /.well-known",
        );
        check("gitlab.com", "is not a URL");
        check("https:gitlab.com", "is not an http(s) URL");
        check("ftp://gitlab.com", "is not an http(s) URL");
        check("https://", "is not a URL");
        check(" https://gitlab.com", "blanks");
        check("https://git\tlab.com", "blanks");
        check("", "is not a URL");
    }

    #[test]
    fn what_is_allowed_passes() {
        let all = UrlRules {
            insecure_http: true,
            trailing_slash: true,
            ..NOTHING
        };
        let check = |text| assert_eq!(issuer(text, all), Ok(text.to_owned()));
        check("http://issuer.internal");
        check("https://tenant.example.com/");
    }

    #[test]
    fn key_sets_may_have_a_query() {
        for text in [
            "https://a.example/keys",
            "https://a.example/keys?p=one%20two&x",
            "http://127.0.0.1:9000/",
        ] {
            assert_eq!(key_set(text, NOTHING).unwrap().as_str(), text);
        }
        for text in [
            "http://a.example/keys",
            "https://me:secret@a.example/keys",
            "https://a.example/keys#a",
            "https://a.example/keys?a#b",
            "https://a.example/keys?a b",
            "keys.json",
        ] {
            assert!(key_set(text, NOTHING).is_err(), "{text}");
        }
    }

    #[test]
    fn base_urls_lose_a_slash_at_the_end_of_a_path() {
        let check = |text, expected: &str| assert_eq!(base(text, NOTHING).unwrap().as_str(), expected);
        check("https://cache.example.com", "https://cache.example.com/");
        check("https://cache.example.com/", "https://cache.example.com/");
        check("https://cache.example.com/a/", "https://cache.example.com/a");
        check("http://127.0.0.1:8080", "http://127.0.0.1:8080/");
        assert!(base("http://cache.example.com", NOTHING).is_err());
        assert!(base("https://cache.example.com/?x", NOTHING).is_err());
    }
    #[test]
    fn endpoints_are_only_scheme_host_and_port() {
        let check = |text, expected: &str| assert_eq!(endpoint(text, NOTHING).unwrap().as_str(), expected);
        check("https://s3.example.com", "https://s3.example.com/");
        check("https://s3.example.com/", "https://s3.example.com/");
        check("http://127.0.0.1:9000", "http://127.0.0.1:9000/");
        let refused = |text, expected: &str| {
            let fault = endpoint(text, NOTHING).expect_err(text);
            assert!(fault.contains(expected), "{text}: {fault}");
        };
        refused("https://s3.example.com/my-bucket", "belongs into `bucket`");
        refused("https://s3.example.com//", "has a path");
        refused("http://s3.example.com", "allow_insecure_http: true");
        refused("https://key:secret@s3.example.com", "user name or password");
        refused("https://s3.example.com?a", "query");
        refused(
            "s3://my-bucket",
            "is not an http(s) URL; write https://host or https://host:port",
        );
    }

    #[test]
    fn neighbours_are_only_scheme_host_and_port() {
        let rules = UrlRules {
            at_top: true,
            ..NOTHING
        };
        let check = |text, expected: &str| assert_eq!(neighbour(text, rules).unwrap().as_str(), expected);
        check("https://cache-1.internal:8443", "https://cache-1.internal:8443/");
        check("http://127.0.0.1:8080/", "http://127.0.0.1:8080/");
        let refused = |text, expected: &str| {
            let fault = neighbour(text, rules).expect_err(text);
            assert!(fault.contains(expected), "{text}: {fault}");
        };
        refused(
            "http://10.0.0.7:8080",
            "`allow_insecure_http: true` at the top of the file",
        );
        refused("https://cache-1.internal/a", "has a path");
        refused("10.0.0.7:8080", "write https://host or https://host:port");
        let insecure_http = UrlRules {
            insecure_http: true,
            ..rules
        };
        assert!(neighbour("http://10.0.0.7:8080", insecure_http).is_ok());
    }

    #[test]
    fn tokens_are_passed_on_to_github_and_to_this_machine_only() {
        for text in [
            "https://results-receiver.actions.githubusercontent.com",
            "https://Results-Receiver.Actions.GithubUserContent.com/",
            "https://pipelines.actions.githubusercontent.com",
            "https://results.acme.ghe.com",
            "http://127.0.0.1:9000",
            "http://[::1]:9000",
            "https://localhost",
        ] {
            assert!(results_service(text).is_ok(), "{text}");
        }
        let refused = |text, expected: &str| {
            let fault = results_service(text).expect_err(text);
            assert!(fault.contains(expected), "{text}: {fault}");
        };
        for text in [
            "https://actions.githubusercontent.com",
            "https://ghe.com",
            "https://evilghe.com",
            "https://results.ghe.com.evil.example",
            "https://results.ghe.com.",
            "https://github.com",
            "https://10.0.0.7",
            "https://0.0.0.0",
            "http://cache.example.com",
        ] {
            refused(text, "is not a service of GitHub");
        }
        refused("http://results.acme.ghe.com", "write https://");
        refused("https://results.acme.ghe.com/a", "has a path");
        refused("https://results.acme.ghe.com?a", "query");
        refused("https://me@results.acme.ghe.com", "user name or password");
        refused(
            "https://evil.example@results.acme.ghe.com",
            "user name or password",
        );
        refused("results.acme.ghe.com", "is not a URL");
        refused("https://evil.example#.ghe.com", "fragment");
        refused("https://evil.example\\.ghe.com", "is not a service of GitHub");
    }
}
