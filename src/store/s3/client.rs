//! The client of the SDK, set up as the configuration says.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::identity::IdentityCache;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    Builder, RequestChecksumCalculation, ResponseChecksumValidation, SharedCredentialsProvider,
    StalledStreamProtectionConfig,
};

use super::credentials::Files;
use crate::config::{S3Checksums, S3Config};

/// How often the SDK tries, the first time included.
const MAX_ATTEMPTS: u32 = 3;
/// How long the start waits for what the environment says; a machine without a metadata service lets
/// packets vanish.
const ENVIRONMENT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a request waits for credentials, for the same reason.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(5);
/// The slowest upload that is waited for, in bytes a second.
const MIN_BYTES_PER_SECOND: u64 = 64 * 1024;
/// S3 may need minutes to put a large object together.
const ASSEMBLY_TIMEOUT: Duration = Duration::from_secs(300);

/// Makes the client. It sends S3 nothing, and asks a metadata service for [`ENVIRONMENT_TIMEOUT`] at most:
/// credentials are looked for when the first request needs them.
pub(super) async fn connect(config: &S3Config) -> Client {
    let region = region(config).await;
    let shared = environment(config, region).await;
    let (request, response) = match config.checksums {
        S3Checksums::WhenSupported => (
            RequestChecksumCalculation::WhenSupported,
            ResponseChecksumValidation::WhenSupported,
        ),
        S3Checksums::WhenRequired => (
            RequestChecksumCalculation::WhenRequired,
            ResponseChecksumValidation::WhenRequired,
        ),
    };
    let settings = Builder::from(&shared)
        .force_path_style(config.force_path_style)
        .request_checksum_calculation(request)
        .response_checksum_validation(response)
        .timeout_config(for_small(config))
        .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS))
        // Streams have an idle timeout of their own, and the reader of a client may pause.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    Client::from_conf(settings.build())
}

/// What is configured, or what the environment, the profile or the metadata service of the machine says.
/// Otherwise the oldest region: another server than AWS takes any, and AWS answers with the right one, which
/// becomes a message that names `s3.region`.
async fn region(config: &S3Config) -> Region {
    if let Some(region) = &config.region {
        return Region::new(region.clone());
    }
    let named = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new());
    let named = match config.endpoint_url {
        Some(_) => named,
        None => named.or_else(ImdsRegionProvider::builder().build()),
    };
    let found = tokio::time::timeout(ENVIRONMENT_TIMEOUT, named.region()).await;
    found.ok().flatten().unwrap_or(Region::from_static("us-east-1"))
}

/// Region, credentials and endpoint.
async fn environment(config: &S3Config, region: Region) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).region(region);
    if let Some(url) = &config.endpoint_url {
        loader = loader.endpoint_url(url.as_str());
    }
    loader = match &config.credentials {
        Some(files) => loader
            .credentials_provider(SharedCredentialsProvider::new(Files::new(files.clone())))
            .identity_cache(IdentityCache::no_cache()),
        None => {
            let timeout = CREDENTIALS_TIMEOUT.min(config.read_timeout);
            loader.identity_cache(IdentityCache::lazy().load_timeout(timeout).build())
        }
    };
    loader.load().await
}

/// For requests without a long body. Not one of them covers the body of an answer.
fn for_small(config: &S3Config) -> TimeoutConfig {
    let attempt = config.connect_timeout + config.read_timeout;
    TimeoutConfig::builder()
        .connect_timeout(config.connect_timeout)
        .operation_attempt_timeout(attempt)
        // A server that does not answer is not asked again: a miss now is better than the entry later.
        .operation_timeout(attempt)
        .build()
}

/// For requests that send `bytes`.
pub(super) fn for_upload(config: &S3Config, bytes: u64) -> Builder {
    let grown = Duration::from_secs(bytes / MIN_BYTES_PER_SECOND);
    long(config, config.connect_timeout + config.read_timeout + grown)
}

/// For requests that put an object together.
pub(super) fn for_assembly(config: &S3Config) -> Builder {
    long(config, ASSEMBLY_TIMEOUT.max(config.read_timeout))
}

fn long(config: &S3Config, attempt: Duration) -> Builder {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(config.connect_timeout)
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt * MAX_ATTEMPTS + config.read_timeout)
        .build();
    aws_sdk_s3::Config::builder().timeout_config(timeouts)
}
