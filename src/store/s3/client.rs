//! The client of the SDK, set up as the configuration says.

use std::io;
use std::path::Path;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::identity::IdentityCache;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::{RetryPartition, TokenBucket};
use aws_sdk_s3::config::{
    Builder, RequestChecksumCalculation, ResponseChecksumValidation, SharedCredentialsProvider,
    StalledStreamProtectionConfig,
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetrySpec;

use super::attempts::AttemptWatch;
use super::retry::StatusClassifier;
use crate::config::{S3Checksums, S3Config, S3CredentialFiles};
use crate::sys;

/// How often a read is tried, the first time included.
const MAX_READS: u32 = 3;
/// The same for a write: some stores take one a second for each object.
const MAX_WRITES: u32 = 6;
/// The longest pause between two attempts, unless the server asks for a longer one.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// How long an attempt to write may wait for its answer, at least: a server that is slow is not asked twice.
const WRITE_ATTEMPT: Duration = Duration::from_secs(30);
/// How long the start waits for what the environment says; a machine without a metadata service lets
/// packets vanish.
const ENVIRONMENT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a request waits for credentials, for the same reason.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(5);
/// The slowest upload that is waited for, in bytes a second.
const MIN_BYTES_PER_SECOND: u64 = 64 * 1024;
/// Longest accepted file of credentials in bytes: session tokens have some 2 KiB.
const MAX_SECRET_FILE_BYTES: u64 = 64 * 1024;

/// Makes the client. It sends S3 nothing, and asks a metadata service for [`ENVIRONMENT_TIMEOUT`] at most:
/// credentials are looked for when the first request needs them. `watch` hears of every answer.
pub(super) async fn connect(config: &S3Config, http: SharedHttpClient, watch: AttemptWatch) -> Client {
    let region = region(config, &http).await;
    let shared = environment(config, region, http).await;
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
        .retry_config(retries(MAX_READS))
        .retry_classifier(StatusClassifier)
        // The SDK's own account of retries would leave none for a while after an outage. Ours are bounded by the
        // permits and the health.
        .retry_partition(
            RetryPartition::custom("chacha")
                .token_bucket(TokenBucket::unlimited())
                .build(),
        )
        .interceptor(watch)
        // Streams have an idle timeout of their own, and the reader of a client may pause.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    Client::from_conf(settings.build())
}

/// What is configured, or what the environment, the profile or the metadata service of the machine says.
/// Otherwise the oldest region: another server than AWS takes any, and AWS answers with the right one, which
/// becomes a message that names `s3.region`.
async fn region(config: &S3Config, http: &SharedHttpClient) -> Region {
    if let Some(region) = &config.region {
        return Region::new(region.clone());
    }
    let named = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new());
    let named = match config.endpoint_url {
        Some(_) => named,
        None => {
            // The same client, so that the rule about proxies holds here, too.
            let asking = ProviderConfig::without_region().with_http_client(http.clone());
            named.or_else(ImdsRegionProvider::builder().configure(&asking).build())
        }
    };
    let found = tokio::time::timeout(ENVIRONMENT_TIMEOUT, named.region()).await;
    found.ok().flatten().unwrap_or(Region::from_static("us-east-1"))
}

/// Region, credentials and endpoint.
async fn environment(config: &S3Config, region: Region, http: SharedHttpClient) -> SdkConfig {
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
    let mut loader = loader.region(region).http_client(http);
    if let Some(url) = &config.endpoint_url {
        loader = loader.endpoint_url(url.as_str());
    }
    loader = match &config.credentials {
        Some(files) => loader
            .credentials_provider(SharedCredentialsProvider::new(CredentialFiles(files.clone())))
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
    // A server that does not answer is not asked again: a miss now is better than the entry later.
    timeouts(config, attempt, attempt)
}

/// For requests that write, of which those of one object take `bytes`.
pub(super) fn for_write(config: &S3Config, bytes: u64) -> Builder {
    let all = write_time(config, bytes);
    let attempt = config.connect_timeout + config.read_timeout.max(WRITE_ATTEMPT) + grown(bytes);
    write(config, attempt.min(all), all)
}

/// For requests that put an object together: the store may need minutes, and to ask twice would not help.
pub(super) fn for_assembly(config: &S3Config) -> Builder {
    write(config, config.write_timeout, config.write_timeout)
}

/// How long a request may take that sends so many bytes, over all attempts.
pub(super) fn write_time(config: &S3Config, bytes: u64) -> Duration {
    config.write_timeout + grown(bytes)
}

fn grown(bytes: u64) -> Duration {
    Duration::from_secs(bytes / MIN_BYTES_PER_SECOND)
}

fn write(config: &S3Config, attempt: Duration, all: Duration) -> Builder {
    aws_sdk_s3::Config::builder()
        .timeout_config(timeouts(config, attempt, all))
        .retry_config(retries(MAX_WRITES))
}

/// For a request that is made once, to see whether there is an answer.
pub(super) fn for_probe(config: &S3Config, patience: Duration) -> Builder {
    aws_sdk_s3::Config::builder()
        .timeout_config(timeouts(config, patience, patience))
        .retry_config(retries(1))
}

fn retries(attempts: u32) -> RetryConfig {
    // Of the two ways of the SDK, that with short pauses after faults that pass.
    RetryConfig::standard()
        .with_retry_spec(RetrySpec::v2_1())
        .with_max_attempts(attempts)
        .with_max_backoff(MAX_BACKOFF)
}

/// `attempt` for one, `all` for those of an operation together.
fn timeouts(config: &S3Config, attempt: Duration, all: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(config.connect_timeout)
        .operation_attempt_timeout(attempt)
        .operation_timeout(all)
        .build()
}

/// Credentials in files, read anew for every request, so that a renewal counts at once.
#[derive(Debug)]
struct CredentialFiles(S3CredentialFiles);

impl ProvideCredentials for CredentialFiles {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let files = self.0.clone();
        future::ProvideCredentials::new(async move {
            let reading = sys::run_blocking(move || read(&files));
            reading.await.map_err(CredentialsError::unhandled)?
        })
    }
}

/// Blocking: reads all files.
fn read(files: &S3CredentialFiles) -> Result<Credentials, CredentialsError> {
    let id = read_one("s3.access_key_id_file", &files.access_key_id)?;
    let secret = read_one("s3.secret_access_key_file", &files.secret_access_key)?;
    let token = files.session_token.as_deref();
    let token = token
        .map(|path| read_one("s3.session_token_file", path))
        .transpose()?;
    Ok(Credentials::new(id, secret, token, None, "chacha files"))
}

fn read_one(name: &str, path: &Path) -> Result<String, CredentialsError> {
    let failed = |error: io::Error| {
        let text = format!("{name}: cannot read {}: {error}", path.display());
        CredentialsError::not_loaded(text)
    };
    if path.metadata().map_err(failed)?.len() > MAX_SECRET_FILE_BYTES {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    match text.trim() {
        "" => Err(failed(io::Error::other("it is empty"))),
        text => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::write;

    #[tokio::test]
    async fn renewed_files_count_at_once_and_missing_ones_are_named() {
        let dir = tempfile::tempdir().expect("folder");
        let files = S3CredentialFiles {
            access_key_id: dir.path().join("id"),
            secret_access_key: dir.path().join("secret"),
            session_token: Some(dir.path().join("token")),
        };
        let provider = CredentialFiles(files.clone());
        write(&files.access_key_id, "one\n").expect("write");
        write(&files.secret_access_key, " s \n").expect("write");
        write(dir.path().join("token"), "t\n").expect("write");
        let first = provider.provide_credentials().await.expect("credentials");
        assert_eq!((first.access_key_id(), first.secret_access_key()), ("one", "s"));
        assert_eq!(first.session_token(), Some("t"));
        write(&files.access_key_id, "two").expect("write");
        let second = provider.provide_credentials().await.expect("credentials");
        assert_eq!(second.access_key_id(), "two");
        write(&files.access_key_id, "\n").expect("write");
        let error = provider.provide_credentials().await.expect_err("empty");
        let text = aws_sdk_s3::error::DisplayErrorContext(error).to_string();
        assert!(text.contains("s3.access_key_id_file"), "{text}");
    }
}
