//! Files on their way in and out: uploads, downloads, and [`Location`]s.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Attributes, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, WriteMultipart};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

use super::key::media_type_of;
use super::{Backend, Error, Objects, Result, bucket};
use crate::domain::inference::Location;

/// A file up to this size is sent at once, a larger one in parts of at least this size.
const PART: u64 = 8 << 20;

/// S3 takes at most 10 000 parts.
const MOST_PARTS: u64 = 9_000;

/// Parts under way at the same time.
const CONCURRENT_PARTS: usize = 4;

impl Objects {
    /// Brings a file or folder to this machine and says where it is. What is here already, under its
    /// own path or in a local store, is used in place; the rest is downloaded below `scratch`.
    ///
    /// A key or address that names no object but has objects below it, as `models/NAME`, is a folder.
    pub async fn fetch(&self, location: &Location, scratch: &FilePath) -> Result<PathBuf> {
        let (store, path, place) = match self.locate(location)? {
            Place::File(file) => {
                return match tokio::fs::try_exists(&file).await {
                    Ok(true) => Ok(file),
                    Ok(false) => Err(match location {
                        Location::Path(_) => Error::NoFile { path: file },
                        _ => Error::NotFound { place: file.display().to_string() },
                    }),
                    Err(source) => Err(Error::file("read", &file, source)),
                };
            }
            Place::Object { store, path, place } => (store, path, place),
        };
        let failed = |source| Error::Store { what: "read", place: place.clone(), source };
        // Two locations may end in the same name, so each has a folder of its own.
        let own = hex::encode(&Sha256::digest(place.as_bytes())[..8]);
        let target = scratch.join(own).join(path.filename().unwrap_or("object"));
        match store.head(&path).await {
            Ok(_) => download(&*store, &path, &place, &target).await?,
            Err(object_store::Error::NotFound { .. }) => {
                let files = store.list(Some(&path)).try_collect::<Vec<_>>().await.map_err(failed)?;
                if files.is_empty() {
                    return Err(Error::NotFound { place });
                }
                for file in files {
                    let Some(inner) = file.location.prefix_match(&path) else { continue };
                    let inner: PathBuf = inner.map(|part| part.as_ref().to_owned()).collect();
                    let place = format!("{place}/{}", inner.display());
                    download(&*store, &file.location, &place, &target.join(inner)).await?;
                }
            }
            Err(source) => return Err(failed(source)),
        }
        Ok(target)
    }

    /// Puts a file where a location says. It appears there only when it is complete.
    pub async fn store(&self, file: &FilePath, location: &Location) -> Result<()> {
        match self.locate(location)? {
            Place::File(target) => {
                let source = tokio::fs::File::open(file).await.map_err(|source| Error::file("read", file, source))?;
                write_file(&target, tokio_util::io::ReaderStream::with_capacity(source, PART as usize)).await
            }
            Place::Object { store, path, place } => {
                let attributes = self.attributes(media_type_of(path.as_ref()));
                upload(file, &store, &path, &place, attributes).await
            }
        }
    }

    /// Where a location is on this machine, if it is: in a local store, or a path of its own.
    pub fn in_place(&self, location: &Location) -> Result<Option<PathBuf>> {
        Ok(match self.locate(location)? {
            Place::File(path) => Some(path),
            Place::Object { .. } => None,
        })
    }

    fn locate(&self, location: &Location) -> Result<Place> {
        match location {
            Location::Path(path) => Ok(Place::File(path.clone())),
            Location::Key(key) => {
                let path = self.below(key)?;
                Ok(match &self.backend {
                    Backend::Folder { root, .. } => Place::File(root.join(path.as_ref())),
                    _ => Place::Object { store: self.inner(), place: self.place(&path), path },
                })
            }
            Location::Url(text) => {
                let refused = |why: &str| Error::Access { place: text.clone(), why: why.to_owned() };
                let url = Url::parse(text).map_err(|error| refused(&error.to_string()))?;
                let bucket = url.host_str().unwrap_or_default();
                let path = || Path::from_url_path(url.path()).map_err(|error| refused(&error.to_string()));
                let store: Arc<dyn ObjectStore> = match url.scheme() {
                    "file" => {
                        let path = url.to_file_path().map_err(|()| refused("not the address of a local file"))?;
                        return Ok(Place::File(path));
                    }
                    _ if bucket.is_empty() => return Err(refused("it names no bucket")),
                    "s3" => bucket::s3(bucket, &self.config.s3)?,
                    "gs" => bucket::gcs(bucket, &self.config.gcs)?,
                    _ => return Err(refused("only file://, gs:// and s3:// addresses can be used")),
                };
                Ok(Place::Object { store, path: path()?, place: text.clone() })
            }
        }
    }
}

/// A location, looked up.
enum Place {
    File(PathBuf),
    Object { store: Arc<dyn ObjectStore>, path: Path, place: String },
}

/// Sends a file. What was there stays until the new object is complete.
pub(super) async fn upload(
    file: &FilePath,
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    place: &str,
    attributes: Attributes,
) -> Result<()> {
    let unreadable = |source| Error::file("read", file, source);
    let failed = |source| Error::Store { what: "write", place: place.to_owned(), source };
    let mut reader = tokio::fs::File::open(file).await.map_err(unreadable)?;
    let bytes = reader.metadata().await.map_err(unreadable)?.len();
    let first = read_part(&mut reader, PART).await.map_err(unreadable)?;
    if (first.len() as u64) < PART {
        let options = PutOptions { attributes, ..PutOptions::default() };
        return store.put_opts(path, first.into(), options).await.map(drop).map_err(failed);
    }
    let part = PART.max(bytes / MOST_PARTS);
    let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
    let upload = store.put_multipart_opts(path, options).await.map_err(failed)?;
    let mut upload = WriteMultipart::new_with_chunk_size(upload, part as usize);
    let mut next = first;
    let sent = loop {
        if next.is_empty() {
            break Ok(());
        }
        if let Err(source) = upload.wait_for_capacity(CONCURRENT_PARTS).await {
            break Err(failed(source));
        }
        upload.put(next);
        next = match read_part(&mut reader, part).await {
            Ok(bytes) => bytes,
            Err(source) => break Err(unreadable(source)),
        };
    };
    match sent {
        // Gives up the parts by itself when one of them failed.
        Ok(()) => upload.finish().await.map(drop).map_err(failed),
        Err(error) => {
            if let Err(also) = upload.abort().await {
                tracing::warn!(%place, error = %also, "parts of a failed upload to {place} may be left behind");
            }
            Err(error)
        }
    }
}

/// The next `size` bytes, fewer only at the end.
async fn read_part(reader: &mut tokio::fs::File, size: u64) -> std::io::Result<Bytes> {
    let mut bytes = BytesMut::new();
    let mut part = reader.take(size);
    while part.read_buf(&mut bytes).await? > 0 {}
    Ok(bytes.freeze())
}

/// Reads an object into a file, which appears only when it is complete.
pub(super) async fn download(store: &dyn ObjectStore, path: &Path, place: &str, file: &FilePath) -> Result<()> {
    let failed = |source| match source {
        object_store::Error::NotFound { .. } => Error::NotFound { place: place.to_owned() },
        source => Error::Store { what: "read", place: place.to_owned(), source },
    };
    let found = store.get(path).await.map_err(failed)?;
    let expected = found.meta.size;
    let mut beside = Beside::create(file).await?;
    let mut pieces = found.into_stream();
    let mut received = 0;
    while let Some(piece) = pieces.try_next().await.map_err(failed)? {
        received += piece.len() as u64;
        beside.write(&piece).await?;
    }
    if received != expected {
        let source = std::io::Error::other(format!("got {received} of {expected} bytes"));
        return Err(Error::Store {
            what: "read",
            place: place.to_owned(),
            source: object_store::Error::Generic { store: "download", source: source.into() },
        });
    }
    beside.keep().await
}

/// Writes a stream into a file, which appears only when it is complete.
async fn write_file<S>(file: &FilePath, mut pieces: S) -> Result<()>
where
    S: futures::Stream<Item = std::io::Result<Bytes>> + Unpin,
{
    let mut beside = Beside::create(file).await?;
    while let Some(piece) = pieces.try_next().await.map_err(|source| Error::file("read the source of", file, source))? {
        beside.write(&piece).await?;
    }
    beside.keep().await
}

/// A file written beside its final place; gone again unless it is kept.
struct Beside {
    target: PathBuf,
    temporary: tempfile::TempPath,
    file: tokio::fs::File,
}

impl Beside {
    async fn create(target: &FilePath) -> Result<Self> {
        let failed = |source| Error::file("write", target, source);
        let folder = match target.parent() {
            Some(folder) if folder != FilePath::new("") => folder,
            _ => FilePath::new("."),
        };
        std::fs::create_dir_all(folder).map_err(failed)?;
        // Readable like any other file: these are outputs, not secrets.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        let temporary = tempfile::Builder::new().prefix(".").suffix(".part").permissions(mode).tempfile_in(folder);
        let (file, temporary) = temporary.map_err(failed)?.into_parts();
        Ok(Self { target: target.to_owned(), temporary, file: file.into() })
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes).await;
        written.map_err(|source| Error::file("write", &self.target, source))
    }

    async fn keep(mut self) -> Result<()> {
        let failed = |source| Error::file("write", &self.target, source);
        self.file.flush().await.map_err(failed)?;
        self.file.sync_all().await.map_err(failed)?;
        self.temporary.persist(&self.target).map_err(|error| Error::file("write", &self.target, error.error))
    }
}
