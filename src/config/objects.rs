//! `[objects]`: which store, and what it takes to reach it.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::{Error, set};

/// The object store, and how buckets named by a full address are reached.
#[derive(Clone, Debug)]
pub struct Objects {
    /// Where our own objects are.
    pub store: Store,
    /// How S3 buckets are reached.
    pub s3: S3Access,
    /// How Google Cloud Storage buckets are reached.
    pub gcs: GcsAccess,
}

/// Where our own objects are.
#[derive(Clone, Debug)]
pub enum Store {
    /// A folder of this machine.
    Folder {
        /// Made when absent.
        path: PathBuf,
        /// How links to its files are signed.
        signing: Signing,
    },
    /// A bucket of Google Cloud Storage.
    Gcs {
        /// Name of the bucket.
        bucket: String,
        /// Before every key, without slashes at its ends; may be empty.
        prefix: String,
    },
    /// A bucket of S3 or of a server that speaks its protocol.
    S3 {
        /// Name of the bucket.
        bucket: String,
        /// Before every key, without slashes at its ends; may be empty.
        prefix: String,
    },
}

/// How links to files of a local folder are signed: by us, for the server to check.
#[derive(Clone, Debug)]
pub struct Signing {
    /// The configured secret.
    pub secret: Option<SecretString>,
    /// Where a generated one is kept.
    pub secret_file: PathBuf,
    /// The server that answers the links.
    pub base_url: Url,
}

/// How S3 buckets are reached.
#[derive(Clone, Debug)]
pub struct S3Access {
    /// Such as `us-east-1`.
    pub region: String,
    /// Where another server than Amazon's is.
    pub endpoint: Option<Url>,
    /// With what right.
    pub credentials: S3Credentials,
}

/// With what right S3 is asked.
#[derive(Clone, Debug)]
pub enum S3Credentials {
    /// Keys.
    Keys {
        /// Public half.
        access_key_id: String,
        /// Secret half.
        secret_access_key: SecretString,
        /// For temporary keys.
        session_token: Option<SecretString>,
    },
    /// The metadata service of the machine is asked.
    Instance,
    /// None; public buckets only.
    Anonymous,
    /// Keys are expected and not set; every use of S3 fails and says so.
    Missing,
}

/// How Google Cloud Storage buckets are reached.
#[derive(Clone, Debug)]
pub enum GcsAccess {
    /// The key file of a service account.
    ServiceAccount {
        /// Path of the JSON file.
        file: PathBuf,
    },
    /// The metadata service of the machine is asked.
    Instance,
    /// None; public buckets only.
    Anonymous,
    /// A key file is expected and not set; every use of the store fails and says so.
    Missing,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    url: String,
    signing_secret: SecretString,
    s3: WrittenS3,
    gcs: WrittenGcs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenS3 {
    region: String,
    endpoint: String,
    allow_http: bool,
    credentials: WrittenS3Credentials,
    access_key_id: String,
    secret_access_key: SecretString,
    session_token: SecretString,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenS3Credentials {
    Keys,
    Instance,
    Anonymous,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenGcs {
    credentials: WrittenGcsCredentials,
    service_account_file: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenGcsCredentials {
    ServiceAccount,
    Instance,
    Anonymous,
}

impl Written {
    pub(super) fn parse(self, home: &Path, base_url: &Url) -> Result<Objects, Error> {
        let s3 = self.s3.parse()?;
        let gcs = self.gcs.parse();
        let store = match set(&self.url) {
            None => self.folder(home.join("objects"), home, base_url)?,
            Some(text) => {
                let why = "must be file:///folder, gs://bucket/prefix or s3://bucket/prefix";
                let refused = || Error::value("objects.url", format!("is '{text}', {why}"));
                let url = Url::parse(text).map_err(|_| refused())?;
                let bucket = || url.host_str().filter(|host| !host.is_empty()).map(str::to_owned).ok_or_else(refused);
                let prefix = || url.path().trim_matches('/').to_owned();
                match url.scheme() {
                    "file" => self.folder(url.to_file_path().map_err(|()| refused())?, home, base_url)?,
                    "gs" => Store::Gcs { bucket: bucket()?, prefix: prefix() },
                    "s3" => Store::S3 { bucket: bucket()?, prefix: prefix() },
                    _ => return Err(refused()),
                }
            }
        };
        let missing = match &store {
            Store::S3 { .. } if matches!(s3.credentials, S3Credentials::Missing) => Some((
                "objects.s3.access_key_id",
                "and secret_access_key are not set, and objects.url is an S3 bucket; set AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY, or objects.s3.credentials = \"instance\" or \"anonymous\"",
            )),
            Store::Gcs { .. } if matches!(gcs, GcsAccess::Missing) => Some((
                "objects.gcs.service_account_file",
                "is not set, and objects.url is a Google bucket; set GOOGLE_APPLICATION_CREDENTIALS=/key.json, or \
                 objects.gcs.credentials = \"instance\" or \"anonymous\"",
            )),
            _ => None,
        };
        match missing {
            Some((key, why)) => Err(Error::value(key, why)),
            None => Ok(Objects { store, s3, gcs }),
        }
    }

    fn folder(&self, path: PathBuf, home: &Path, base_url: &Url) -> Result<Store, Error> {
        let secret = secret(&self.signing_secret);
        if secret.as_ref().is_some_and(|secret| secret.expose_secret().len() < 16) {
            return Err(Error::value("objects.signing_secret", "is too short: use at least 16 random characters"));
        }
        let signing = Signing { secret, secret_file: home.join("signing.secret"), base_url: base_url.clone() };
        Ok(Store::Folder { path, signing })
    }
}

impl WrittenS3 {
    fn parse(&self) -> Result<S3Access, Error> {
        let endpoint = set(&self.endpoint)
            .map(|text| {
                let usable = |url: &Url| url.scheme() == "https" || url.scheme() == "http";
                Url::parse(text)
                    .ok()
                    .filter(usable)
                    .ok_or_else(|| Error::value("objects.s3.endpoint", format!("is '{text}', not an http(s) address")))
            })
            .transpose()?;
        if endpoint.as_ref().is_some_and(|url| url.scheme() == "http") && !self.allow_http {
            let why = "does not use TLS; use https://, or set objects.s3.allow_http = true";
            return Err(Error::value("objects.s3.endpoint", why));
        }
        let credentials = match self.credentials {
            WrittenS3Credentials::Instance => S3Credentials::Instance,
            WrittenS3Credentials::Anonymous => S3Credentials::Anonymous,
            WrittenS3Credentials::Keys => match (set(&self.access_key_id), secret(&self.secret_access_key)) {
                (Some(id), Some(secret_access_key)) => S3Credentials::Keys {
                    access_key_id: id.to_owned(),
                    secret_access_key,
                    session_token: secret(&self.session_token),
                },
                _ => S3Credentials::Missing,
            },
        };
        Ok(S3Access { region: self.region.clone(), endpoint, credentials })
    }
}

impl WrittenGcs {
    fn parse(&self) -> GcsAccess {
        match self.credentials {
            WrittenGcsCredentials::Instance => GcsAccess::Instance,
            WrittenGcsCredentials::Anonymous => GcsAccess::Anonymous,
            WrittenGcsCredentials::ServiceAccount => match set(&self.service_account_file) {
                Some(file) => GcsAccess::ServiceAccount { file: PathBuf::from(file) },
                None => GcsAccess::Missing,
            },
        }
    }
}

fn secret(text: &SecretString) -> Option<SecretString> {
    (!text.expose_secret().is_empty()).then(|| text.clone())
}
