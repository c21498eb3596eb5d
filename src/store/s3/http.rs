//! The HTTP client under the SDK: that of its own, but with our certificates, and by our rule about proxies. It also
//! asks the services that give credentials.

use std::path::Path;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use super::S3OpenError;
use crate::config::S3Config;
use crate::outbound::{CaFile, Proxies, Proxy};
use crate::sys;

/// The client for one configuration.
///
/// # Errors
/// A file cannot be used.
pub(super) async fn client(
    proxy_file: Option<&Path>,
    config: &S3Config,
) -> Result<SharedHttpClient, S3OpenError> {
    let (proxy_file, ca_file) = (proxy_file.map(Path::to_owned), config.ca_file.clone());
    let reading = sys::run_blocking(move || {
        let proxies = Proxies::load(proxy_file.as_deref());
        let proxies = proxies.map_err(|error| S3OpenError::Proxy(Box::new(error)))?;
        let ca_file = ca_file.as_deref().map(CaFile::load).transpose();
        let ca_file = ca_file.map_err(|error| S3OpenError::CaFile(Box::new(error)))?;
        Ok((proxies, ca_file))
    });
    let (proxies, ca_file) = reading.await.map_err(|_| S3OpenError::Stopping)??;
    let mut roots = TrustStore::default();
    if let Some(file) = ca_file {
        roots.add_pem_certificate(file.pem());
    }
    let tls = TlsContext::builder().with_trust_store(roots).build();
    let tls = tls.map_err(|error| S3OpenError::CaFile(Box::new(error)))?;
    through(&proxies, &tls)
}

fn through(proxies: &Proxies, tls: &TlsContext) -> Result<SharedHttpClient, S3OpenError> {
    let url = |proxy: Option<&Proxy>| proxy.map(|proxy| proxy.secret_url().to_owned());
    let (http, https) = (url(proxies.http()), url(proxies.https()));
    let one = |url: Option<&str>| {
        let proxy = match url {
            Some(url) => {
                let proxy = ProxyConfig::all(url).map_err(|error| S3OpenError::Proxy(Box::new(error)))?;
                proxy.no_proxy(proxies.direct())
            }
            None => ProxyConfig::disabled(),
        };
        Ok(with_proxy(proxy, tls.clone()))
    };
    if http == https {
        return one(https.as_deref());
    }
    let by_scheme = ByScheme {
        http: one(http.as_deref())?,
        https: one(https.as_deref())?,
    };
    Ok(SharedHttpClient::new(by_scheme))
}

fn with_proxy(proxy: ProxyConfig, tls: TlsContext) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut builder = ConnectorBuilder::default()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(tls.clone());
        builder.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            builder.set_sleep_impl(components.sleep_impl());
        }
        builder.set_proxy_config(Some(proxy.clone()));
        builder.build()
    })
}

/// HTTP_PROXY and HTTPS_PROXY may differ, and the library knows one proxy.
#[derive(Debug)]
struct ByScheme {
    http: SharedHttpClient,
    https: SharedHttpClient,
}

impl HttpClient for ByScheme {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(ConnectorByScheme {
            http: self.http.http_connector(settings, components),
            https: self.https.http_connector(settings, components),
        })
    }
}

#[derive(Debug)]
struct ConnectorByScheme {
    http: SharedHttpConnector,
    https: SharedHttpConnector,
}

impl HttpConnector for ConnectorByScheme {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match request.uri().starts_with("http:") {
            true => self.http.call(request),
            false => self.https.call(request),
        }
    }
}
