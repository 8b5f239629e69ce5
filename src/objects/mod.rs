//! WORLD: the object store. A local folder by default, `gs://` or `s3://` by configuration.
//!
//! Every object of ours is an [`ObjectKey`]; only this module knows where one lies. A write that
//! fails midway leaves what was there before, or nothing.

mod bucket;
mod key;
mod metadata;
mod place;
mod signing;

use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::path::Path;
use object_store::signer::Signer as _;
use object_store::{Attribute, Attributes, ObjectStore, ObjectStoreExt, PutOptions};
use url::Url;

use crate::config;

pub use key::{KeyError, ObjectKey, check_name};
pub use signing::LinkError;

/// Why an object could not be read, written or named.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such object.
    #[error("there is no object {place}")]
    NotFound {
        /// Full address.
        place: String,
    },
    /// There is no such file on this machine.
    #[error("there is no file {}", path.display())]
    NoFile {
        /// As it was named.
        path: std::path::PathBuf,
    },
    /// It has no key, or the text is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store cannot be used as it is configured.
    #[error("cannot use {place}: {why}")]
    Access {
        /// Address of the store.
        place: String,
        /// What is missing, and the way out.
        why: String,
    },
    /// The store cannot be opened.
    #[error("cannot open the object store at {place}")]
    Open {
        /// Address of the store.
        place: String,
        /// What it said.
        source: object_store::Error,
    },
    /// The store failed.
    #[error("cannot {what} {place}")]
    Store {
        /// `read`, `write`, `list`, …
        what: &'static str,
        /// Full address.
        place: String,
        /// What it said.
        source: object_store::Error,
    },
    /// A file of this machine failed.
    #[error("cannot {what} {}", path.display())]
    File {
        /// `read`, `write`, …
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    fn file(what: &'static str, path: &FilePath, source: std::io::Error) -> Self {
        Self::File { what, path: path.to_owned(), source }
    }

    /// Whether the same call may succeed later: a bucket that was away, rather than a file, a setting or
    /// a permission that is wrong.
    pub fn is_transient(&self) -> bool {
        use object_store::Error::{InvalidPath, NotFound, NotImplemented, NotSupported};
        use object_store::Error::{PermissionDenied, Unauthenticated, UnknownConfigurationKey};
        let Self::Store { place, source, .. } = self else { return false };
        let stays = matches!(
            source,
            PermissionDenied { .. }
                | Unauthenticated { .. }
                | NotFound { .. }
                | NotSupported { .. }
                | NotImplemented { .. }
                | InvalidPath { .. }
                | UnknownConfigurationKey { .. }
        );
        place.contains("://") && !stays
    }
}

/// Result of a call to the store.
pub type Result<T> = std::result::Result<T, Error>;

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// When it was last written.
    pub modified: DateTime<Utc>,
}

/// An object on its way out.
pub struct Found {
    /// Its size.
    pub bytes: u64,
    /// Such as `text/html; charset=utf-8`.
    pub media_type: &'static str,
    /// Its content, piece by piece.
    pub stream: BoxStream<'static, Result<Bytes>>,
}

/// The object store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Objects {
    backend: Backend,
    /// Before every key, without slashes at its ends.
    prefix: Path,
    config: Arc<config::Objects>,
}

#[derive(Clone, Debug)]
enum Backend {
    Folder { root: PathBuf, store: Arc<object_store::local::LocalFileSystem>, signer: Arc<signing::Signer> },
    S3 { bucket: String, store: Arc<object_store::aws::AmazonS3> },
    Gcs { bucket: String, store: Arc<object_store::gcp::GoogleCloudStorage> },
}

impl Objects {
    /// Opens the configured store. Makes a local folder that is absent; does not contact a bucket.
    pub fn open(config: &config::Objects) -> Result<Self> {
        let (backend, prefix) = match &config.store {
            config::Store::Folder { path, signing } => {
                let signer = Arc::new(signing::Signer::new(signing.clone()));
                (Backend::Folder { root: path.clone(), store: bucket::folder(path)?, signer }, "")
            }
            config::Store::S3 { bucket, prefix } => {
                (Backend::S3 { bucket: bucket.clone(), store: bucket::s3(bucket, &config.s3)? }, prefix.as_str())
            }
            config::Store::Gcs { bucket, prefix } => {
                (Backend::Gcs { bucket: bucket.clone(), store: bucket::gcs(bucket, &config.gcs)? }, prefix.as_str())
            }
        };
        let objects = Self { backend, prefix: Path::default(), config: Arc::new(config.clone()) };
        let prefix = Path::parse(prefix)
            .map_err(|error| Error::Access { place: objects.place(&Path::default()), why: error.to_string() })?;
        Ok(Self { prefix, ..objects })
    }

    /// Stores bytes.
    pub async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<()> {
        let path = self.path(key)?;
        let options = PutOptions { attributes: self.attributes(key.media_type()), ..PutOptions::default() };
        let put = self.inner().put_opts(&path, bytes.into(), options).await;
        put.map(drop).map_err(|source| self.failed("write", &path, source))
    }

    /// Stores a file, in parts when it is large.
    pub async fn put_file(&self, key: &ObjectKey, file: &FilePath) -> Result<()> {
        let path = self.path(key)?;
        place::upload(file, &self.inner(), &path, &self.place(&path), self.attributes(key.media_type())).await
    }

    /// Reads an object whole.
    pub async fn get(&self, key: &ObjectKey) -> Result<Bytes> {
        let path = self.path(key)?;
        let failed = |source| self.failed("read", &path, source);
        self.inner().get(&path).await.map_err(failed)?.bytes().await.map_err(failed)
    }

    /// Reads an object piece by piece; nothing when there is none.
    pub async fn read(&self, key: &ObjectKey) -> Result<Option<Found>> {
        let path = self.path(key)?;
        let found = match self.inner().get(&path).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(self.failed("read", &path, source)),
        };
        let place = self.place(&path);
        let failed = move |source| Error::Store { what: "read", place: place.clone(), source };
        let bytes = found.meta.size;
        Ok(Some(Found { bytes, media_type: key.media_type(), stream: found.into_stream().map_err(failed).boxed() }))
    }

    /// Reads an object into a file, which appears only when it is complete.
    pub async fn get_file(&self, key: &ObjectKey, file: &FilePath) -> Result<()> {
        let path = self.path(key)?;
        place::download(&*self.inner(), &path, &self.place(&path), file).await
    }

    /// Reads ranges of an object that are inside of it, in their order; neighbours in one request.
    pub async fn get_ranges(&self, key: &ObjectKey, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let path = self.path(key)?;
        self.inner().get_ranges(&path, ranges).await.map_err(|source| self.failed("read", &path, source))
    }

    /// Bytes of an object.
    pub async fn size(&self, key: &ObjectKey) -> Result<u64> {
        let path = self.path(key)?;
        let found = self.inner().head(&path).await;
        found.map(|meta| meta.size).map_err(|source| self.failed("read", &path, source))
    }

    /// The file an object is in, where the store is a folder of this machine.
    pub fn local_path(&self, key: &ObjectKey) -> Result<Option<PathBuf>> {
        let path = self.path(key)?;
        Ok(match &self.backend {
            Backend::Folder { root, .. } => Some(root.join(path.as_ref())),
            Backend::S3 { .. } | Backend::Gcs { .. } => None,
        })
    }

    /// Whether there is such an object.
    pub async fn exists(&self, key: &ObjectKey) -> Result<bool> {
        let path = self.path(key)?;
        match self.inner().head(&path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(self.failed("look for", &path, source)),
        }
    }

    /// Every object below a folder such as `models/NAME`, sorted by key; everything for an empty text.
    pub async fn list(&self, folder: &str) -> Result<Vec<Listed>> {
        let path = self.below(folder)?;
        let listed = self.inner().list(Some(&path)).try_collect::<Vec<_>>().await;
        let listed = listed.map_err(|source| self.failed("list", &path, source))?;
        let from = self.prefix.as_ref().len() + usize::from(!self.prefix.as_ref().is_empty());
        let mut listed: Vec<_> = listed
            .into_iter()
            .map(|meta| Listed {
                key: meta.location.as_ref().get(from..).unwrap_or_default().to_owned(),
                bytes: meta.size,
                modified: meta.last_modified,
            })
            .collect();
        listed.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(listed)
    }

    /// Removes an object. One that is not there is fine.
    pub async fn delete(&self, key: &ObjectKey) -> Result<()> {
        let path = self.path(key)?;
        match self.inner().delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(self.failed("delete", &path, source)),
        }
    }

    /// A link anyone may read the object with until `expires_in` from now. A bucket answers it by
    /// itself; for a local folder our server does.
    pub async fn signed_url(&self, key: &ObjectKey, expires_in: Duration) -> Result<Url> {
        let path = self.path(key)?;
        let get = object_store::signer::Method::GET;
        let signed = match &self.backend {
            Backend::Folder { root, signer, .. } => {
                return signer.link(key, expires_in).map_err(|source| Error::file("sign links to", root, source));
            }
            Backend::S3 { store, .. } => store.signed_url(get, &path, expires_in).await,
            Backend::Gcs { store, .. } => store.signed_url(get, &path, expires_in).await,
        };
        signed.map_err(|source| self.failed("sign a link to", &path, source))
    }

    /// Checks a link to a local folder, as our server gets it: `/objects/{key}?expires=…&signature=…`.
    /// Gives the object it may read.
    pub fn verify(&self, key: &str, expires: u64, signature: &str) -> std::result::Result<ObjectKey, LinkError> {
        let Backend::Folder { signer, .. } = &self.backend else {
            return Err(LinkError::Invalid);
        };
        let checked = signer.check(key, expires, signature).unwrap_or_else(|error| {
            tracing::error!(%error, "links cannot be checked: {error}");
            Err(LinkError::Invalid)
        });
        checked.and_then(|()| key.parse().map_err(|_| LinkError::Invalid))
    }

    /// Names of the imported models.
    pub async fn models(&self) -> Result<Vec<String>> {
        let path = self.below("models")?;
        let listed = self.inner().list_with_delimiter(Some(&path)).await;
        let listed = listed.map_err(|source| self.failed("list", &path, source))?;
        let mut names: Vec<_> =
            listed.common_prefixes.iter().filter_map(|folder| Some(folder.filename()?.to_owned())).collect();
        names.sort();
        // Without its description a model is not there yet.
        let mut whole = Vec::with_capacity(names.len());
        for name in names {
            if self.exists(&ObjectKey::Model { name: name.clone(), file: "model.json".to_owned() }).await? {
                whole.push(name);
            }
        }
        Ok(whole)
    }

    /// Writes, reads and deletes a small object, to see whether the store works.
    pub async fn probe(&self) -> Result<()> {
        let key = ObjectKey::Probe { id: format!("{:016x}", rand::random::<u64>()) };
        let text = Bytes::from_static(b"probe");
        self.put(&key, text.clone()).await?;
        let read = self.get(&key).await;
        self.delete(&key).await?;
        if read? == text {
            return Ok(());
        }
        let why = "what was written came back different".to_owned();
        Err(Error::Access { place: self.address(), why })
    }

    /// Where an object is, for people: a path on this machine, or an address of the bucket.
    pub fn address_of(&self, key: &ObjectKey) -> String {
        self.path(key).map_or_else(|_| key.to_string(), |path| self.place(&path))
    }

    /// Where the objects are, for people.
    pub fn address(&self) -> String {
        self.place(&self.prefix)
    }

    fn inner(&self) -> Arc<dyn ObjectStore> {
        match &self.backend {
            Backend::Folder { store, .. } => store.clone(),
            Backend::S3 { store, .. } => store.clone(),
            Backend::Gcs { store, .. } => store.clone(),
        }
    }

    /// Where an object lies in the store.
    fn path(&self, key: &ObjectKey) -> Result<Path> {
        key.check()?;
        self.below(&key.to_string())
    }

    /// A path below the prefix. `..`, empty parts and the like are refused, so none leads outside.
    fn below(&self, key: &str) -> Result<Path> {
        let inner = Path::parse(key)
            .map_err(|error| Error::Access { place: format!("the key '{key}'"), why: error.to_string() })?;
        Ok(Path::from_iter(self.prefix.parts().chain(inner.parts())))
    }

    /// The full address of an object, for people.
    fn place(&self, path: &Path) -> String {
        match &self.backend {
            Backend::Folder { root, .. } => root.join(path.as_ref()).display().to_string(),
            Backend::S3 { bucket, .. } => format!("s3://{bucket}/{path}"),
            Backend::Gcs { bucket, .. } => format!("gs://{bucket}/{path}"),
        }
    }

    fn attributes(&self, media_type: &'static str) -> Attributes {
        match self.backend {
            // A file has no media type.
            Backend::Folder { .. } => Attributes::new(),
            _ => Attributes::from_iter([(Attribute::ContentType, media_type)]),
        }
    }

    fn failed(&self, what: &'static str, path: &Path, source: object_store::Error) -> Error {
        let place = self.place(path);
        match source {
            object_store::Error::NotFound { .. } => Error::NotFound { place },
            source => Error::Store { what, place, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_that_was_away_may_be_tried_again_and_wrong_credentials_may_not() {
        let of = |place: &str, source| Error::Store { what: "read", place: place.to_owned(), source };
        let why = || "why".into();
        let path = || "a/b".to_owned();
        let away = || object_store::Error::Generic { store: "S3", source: why() };
        assert!(of("s3://bucket/a/b", away()).is_transient());
        assert!(!of("/data/a/b", away()).is_transient());
        for stays in [
            object_store::Error::PermissionDenied { path: path(), source: why() },
            object_store::Error::Unauthenticated { path: path(), source: why() },
            object_store::Error::NotSupported { source: why() },
            object_store::Error::InvalidPath { source: Path::parse("a//b").unwrap_err() },
        ] {
            let error = of("s3://bucket/a/b", stays);
            assert!(!error.is_transient(), "{error:?}");
        }
    }
}
