//! Writing the row file of an import.

use std::ops::ControlFlow;
use std::path::PathBuf;

use super::{Error, Progress};
use crate::anndata::{self, File, Matrix};
use crate::atlas::row_file::{self, Writer};
use crate::database::Database;
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
        let mut writer = Writer::create(&path, genes.len())?;
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
        writer.finish(&genes, row_file::fingerprint(fingerprint))?;
        Ok(Self { key, waiting })
    }

    /// Deletes the row files of data sets of this name that no data set has any more: of imports that
    /// were replaced, or interrupted.
    pub(super) async fn tidy(database: &Database, objects: &Objects, dataset: &str) -> Result<(), Error> {
        let kept: Vec<String> = database.datasets().await?.into_iter().filter_map(|dataset| dataset.rows_in).collect();
        let folder = format!("atlases/{dataset}");
        for object in objects.list(&folder).await.map_err(row_file::Error::from)? {
            if object.key.ends_with(".rows")
                && !kept.contains(&object.key)
                && let Ok(key) = object.key.parse()
            {
                objects.delete(&key).await.map_err(row_file::Error::from)?;
            }
        }
        Ok(())
    }

    /// Brings the file to the store, if it is not there yet.
    pub(super) async fn bring_to(self, objects: &Objects) -> Result<(), Error> {
        if let Some((path, _folder)) = &self.waiting {
            objects.put_file(&self.key, path).await.map_err(row_file::Error::from)?;
        }
        Ok(())
    }
}
