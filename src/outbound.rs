//! Connections that this server opens to others over HTTP: which certificates are trusted, and which proxy is on the way.

mod connector;
mod proxy;
mod roots;
pub(crate) mod small_file;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

use self::connector::ProxyConnector;

pub(crate) use self::proxy::{Proxies, Proxy};
pub(crate) use self::roots::{CaFile, RootsError};

/// Makes connections, with TLS where the URL says so.
pub(crate) type Connector = HttpsConnector<ProxyConnector>;

/// How others are reached.
#[derive(Debug, Default)]
pub(crate) struct Route<'r> {
    /// Whether root certificates will be needed.
    pub(crate) https: bool,
    /// Trusted beside those of the machine.
    pub(crate) ca_file: Option<&'r CaFile>,
    /// On the way.
    pub(crate) proxies: Proxies,
    /// The longest wait for a connection to an address. Default: none.
    pub(crate) connect_timeout: Option<Duration>,
}

/// A connector for HTTP/1.1.
///
/// # Errors
/// Root certificates are needed, and there are none.
pub(crate) fn connector(route: &Route<'_>) -> Result<Connector, RootsError> {
    let roots = match route.https {
        true => roots::roots(route.ca_file)?,
        false => RootCertStore::empty(),
    };
    // Named explicitly: the process-wide default of rustls panics at the first use when a
    // dependency switches on a second provider.
    let provider = aws_lc_rs::default_provider();
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| RootsError::Machine(io::Error::other(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(route.connect_timeout);
    let connector = ProxyConnector {
        http,
        proxies: Arc::new(route.proxies.matcher()),
    };
    let builder = HttpsConnectorBuilder::new().with_tls_config(config);
    Ok(builder.https_or_http().enable_http1().wrap_connector(connector))
}
