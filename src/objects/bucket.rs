//! Reaching a folder or a bucket. Credentials are always explicit: nothing here looks for them in
//! the environment, and the machine's metadata service is asked only where the configuration says so.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder};
use object_store::local::LocalFileSystem;
use object_store::{ClientOptions, RetryConfig};
use secrecy::ExposeSecret;

use super::metadata::MachineAccount;
use super::{Error, Result};
use crate::config::{GcsAccess, S3Access, S3Credentials};

pub(super) fn folder(path: &Path) -> Result<Arc<LocalFileSystem>> {
    std::fs::create_dir_all(path).map_err(|source| Error::file("make the folder", path, source))?;
    let place = path.display().to_string();
    let store = LocalFileSystem::new_with_prefix(path).map_err(|source| Error::Open { place, source })?;
    Ok(Arc::new(store.with_fsync(true)))
}

pub(super) fn s3(bucket: &str, access: &S3Access) -> Result<Arc<AmazonS3>> {
    let place = format!("s3://{bucket}");
    let allow_http = access.endpoint.as_ref().is_some_and(|url| url.scheme() == "http");
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&access.region)
        .with_retry(retries())
        .with_client_options(client(allow_http));
    if let Some(endpoint) = &access.endpoint {
        builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
    }
    builder = match &access.credentials {
        S3Credentials::Keys { access_key_id, secret_access_key, session_token } => {
            builder =
                builder.with_access_key_id(access_key_id).with_secret_access_key(secret_access_key.expose_secret());
            match session_token {
                Some(token) => builder.with_token(token.expose_secret()),
                None => builder,
            }
        }
        S3Credentials::Instance => builder,
        S3Credentials::Anonymous => builder.with_skip_signature(true),
        S3Credentials::Missing => {
            let why = "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or objects.s3.credentials";
            return Err(Error::Access { place, why: why.to_owned() });
        }
    };
    Ok(Arc::new(builder.build().map_err(|source| Error::Open { place, source })?))
}

pub(super) fn gcs(bucket: &str, access: &GcsAccess) -> Result<Arc<GoogleCloudStorage>> {
    let place = format!("gs://{bucket}");
    let mut builder = GoogleCloudStorageBuilder::new().with_bucket_name(bucket).with_retry(retries());
    let mut allow_http = false;
    builder = match access {
        GcsAccess::ServiceAccount { file } => {
            let key = std::fs::read_to_string(file)
                .map_err(|source| Error::file("read the service account's key", file, source))?;
            allow_http = names_this_machine(&key);
            match allow_http {
                // A stand-in asks for no token, but not every one takes an empty one.
                true => builder.with_service_account_key(key).with_bearer_token("none"),
                false => builder.with_service_account_key(key),
            }
        }
        GcsAccess::Instance => {
            let account = MachineAccount::new()
                .map_err(|error| Error::Access { place: place.clone(), why: format!("no client for HTTP: {error}") })?;
            builder.with_credentials(Arc::new(account))
        }
        // Without a token of its own the builder looks for a developer's in the home folder.
        GcsAccess::Anonymous => builder.with_skip_signature(true).with_bearer_token("none"),
        GcsAccess::Missing => {
            let why = "no credentials: set GOOGLE_APPLICATION_CREDENTIALS, or objects.gcs.credentials";
            return Err(Error::Access { place, why: why.to_owned() });
        }
    };
    let builder = builder.with_client_options(client(allow_http));
    Ok(Arc::new(builder.build().map_err(|source| Error::Open { place, source })?))
}

/// Whether a service account's key names a stand-in for the store on this machine, the only one that
/// may do without TLS.
fn names_this_machine(key: &str) -> bool {
    let key = serde_json::from_str::<serde_json::Value>(key).unwrap_or_default();
    let url = key["gcs_base_url"].as_str().and_then(|url| url::Url::parse(url).ok());
    url.is_some_and(|url| matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")))
}

fn retries() -> RetryConfig {
    RetryConfig { max_retries: 5, retry_timeout: Duration::from_secs(60), ..RetryConfig::default() }
}

/// No limit on the whole request, which may carry gigabytes, but on every silence within it.
fn client(allow_http: bool) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(allow_http)
        .with_timeout_disabled()
        .with_connect_timeout(Duration::from_secs(10))
        .with_read_timeout(Duration::from_secs(60))
}
