//! The row file of an import: writing it, and deleting those that no data set has any more.

use std::ops::ControlFlow;
use std::path::PathBuf;

use super::{Error, Progress};
use crate::anndata::{self, File, Matrix};
use crate::atlas::row_file::{self, RowFile, Source, Writer};
use crate::database::Database;
use crate::domain::Dataset;
use crate::objects::{ObjectKey, Objects};

/// Rows read at once.
const ROWS_AT_ONCE: usize = 2048;

/// A row file that was written, in its place or on its way there.
pub(super) struct NewRows {
    pub(super) key: ObjectKey,
    /// The file, where it is not in the store yet, in a folder that goes with it.
    waiting: Option<(PathBuf, tempfile::TempDir)>,
}

impl NewRows {
    /// Writes the counts of a file: in its place where the store is a folder of this machine, else beside
    /// other temporary files. The name tells the import, so that the row file of another stays what it is.
    pub(super) fn write(
        objects: &Objects,
        dataset: &str,
        fingerprint: &str,
        file: &File,
        (matrix, genes_in): (&Matrix, Option<&str>),
        progress: &dyn Fn(Progress),
    ) -> Result<Self, Error> {
        let name = format!("{}.rows", fingerprint.get(..16).unwrap_or(fingerprint));
        let key = ObjectKey::Atlas { dataset: dataset.to_owned(), file: name };
        let failed = |path: &std::path::Path| {
            let path = path.to_owned();
            move |source| row_file::Error::File { what: "write", path, source }
        };
        let (path, waiting) = match objects.local_path(&key).map_err(row_file::Error::from)? {
            Some(path) => {
                let folder = path.parent().map(PathBuf::from).unwrap_or_default();
                std::fs::create_dir_all(&folder).map_err(failed(&folder))?;
                (path, None)
            }
            None => {
                let folder = tempfile::tempdir().map_err(failed(&std::env::temp_dir()))?;
                let path = folder.path().join("rows");
                (path.clone(), Some((path, folder)))
            }
        };
        let genes = file.gene_names(matrix, genes_in)?;
        let total = file.n_cells() as u64;
        let mut writer = Writer::create(&path, &genes)?;
        let mut wrong: Option<Error> = None;
        file.for_each_block(matrix, ROWS_AT_ONCE, |first, block| {
            let rows: Vec<usize> = (first..first + block.n_rows()).collect();
            let written = file.obs().index_of(&rows).map_err(Error::from).and_then(|names| {
                names.iter().enumerate().try_for_each(|(row, name)| {
                    let (columns, counts) = block.row(row);
                    writer.add(name, columns, counts).map_err(Error::from)
                })
            });
            progress(Progress::WritingRows { done: (first + block.n_rows()) as u64, total });
            match written {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    wrong = Some(error);
                    ControlFlow::Break(())
                }
            }
        })
        .map_err(|error: anndata::Error| Error::from(error))?;
        if let Some(error) = wrong {
            return Err(error);
        }
        writer.finish(row_file::fingerprint(fingerprint))?;
        Ok(Self { key, waiting })
    }

    /// Brings the file to the store, if it is not there yet.
    pub(super) async fn bring_to(self, objects: &Objects) -> Result<(), Error> {
        if let Some((path, _folder)) = &self.waiting {
            objects.put_file(&self.key, path).await.map_err(row_file::Error::from)?;
        }
        Ok(())
    }
}

/// Whether a data set has a row file that is there, whole at its end, and written for this import.
pub(super) async fn are_readable(objects: &Objects, dataset: &Dataset) -> Result<bool, row_file::Error> {
    let Some(Ok(key)) = dataset.rows_in.as_ref().map(|key| key.parse::<ObjectKey>()) else { return Ok(false) };
    if !objects.exists(&key).await? {
        return Ok(false);
    }
    let fingerprint = row_file::fingerprint(&dataset.fingerprint);
    match RowFile::open(Source::of(objects, key)?, fingerprint).await {
        Ok(_) => Ok(true),
        Err(
            row_file::Error::NotRows { .. } | row_file::Error::Damaged { .. } | row_file::Error::OtherImport { .. },
        ) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Deletes the row files that no data set has any more: the one there was before an import, and others
/// below this name, of imports that were interrupted. What cannot be deleted stays; the import is done.
pub(super) async fn tidy(database: &Database, objects: &Objects, dataset: &str, before: Option<String>) {
    let folder = format!("atlases/{dataset}");
    let deleted = async {
        let listed = objects.list(&folder).await.map_err(row_file::Error::from)?;
        let below = listed.into_iter().map(|object| object.key).filter(|key| key.ends_with(".rows"));
        discard_rows(database, objects, below.chain(before)).await
    };
    if let Err(error) = deleted.await {
        tracing::warn!(%error, "row files that no data set has any more are left: {error}");
    }
}

/// Deletes those of these row files that no data set has any more.
pub async fn discard_rows(
    database: &Database,
    objects: &Objects,
    keys: impl IntoIterator<Item = String>,
) -> Result<(), Error> {
    let held: Vec<String> = database.datasets().await?.into_iter().filter_map(|dataset| dataset.rows_in).collect();
    for key in keys {
        if !held.contains(&key)
            && let Ok(key) = key.parse()
        {
            objects.delete(&key).await.map_err(row_file::Error::from)?;
        }
    }
    Ok(())
}
