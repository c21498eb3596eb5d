//! Connections that this server opens to others over HTTP.

use std::io;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use std::time::Duration;

/// Makes connections, with TLS where the URL says so.
pub(crate) type Connector = HttpsConnector<HttpConnector>;

/// A connector for HTTP/1.1 that gives up after `timeout`. Loads the machine's root certificates if `https`
/// says that they will be needed.
///
/// # Errors
/// If there are none.
pub(crate) fn connector(https: bool, timeout: Option<Duration>) -> io::Result<Connector> {
    // Named explicitly: the process-wide default of rustls panics at the first use when a
    // dependency switches on a second provider.
    let provider = aws_lc_rs::default_provider();
    let builder = HttpsConnectorBuilder::new();
    let builder = if https {
        builder.with_provider_and_native_roots(provider)?
    } else {
        let config = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        builder.with_tls_config(config)
    };
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(timeout);
    Ok(builder.https_or_http().enable_http1().wrap_connector(http))
}
