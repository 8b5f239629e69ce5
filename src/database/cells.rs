//! Data sets and their cell sets: `datasets`, `cell_sets`.

use roaring::RoaringBitmap;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use super::{Database, Error, Result};
use crate::domain::cells::{CellSet, CellSetKey, Condition, SetRows};
use crate::domain::datasets::Dataset;
use crate::domain::ids::Curie;
use crate::domain::terms::{Label, Term};

/// A cell set to store.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCellSet {
    /// What its cells share.
    pub key: CellSetKey,
    /// Row numbers of its cells in the file.
    pub rows: SetRows,
    /// Mean number of genes with at least one count per cell, where it is known.
    pub mean_genes: Option<f64>,
    /// Mean counts per cell, where they are known.
    pub mean_counts: Option<f64>,
}

/// One condition on cell sets. A query takes several; all must hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Of one of these data sets.
    Datasets(Vec<String>),
    /// Of one of these Cell Ontology terms (no descendants are added).
    CellTypes(Vec<Curie>),
    /// Of an unresolved cell type the file spells like one of these, ASCII case aside.
    UnresolvedCellType(Vec<String>),
    /// Under one of these perturbations, by canonical name or by id.
    Perturbation {
        /// Canonical names.
        names: Vec<String>,
        /// Ids in any of the databases the perturbation is known in.
        ids: Vec<Curie>,
    },
    /// Under an unresolved perturbation the file spells like one of these, ASCII case aside.
    UnresolvedPerturbation(Vec<String>),
    /// Controls only.
    Control,
    /// Perturbed cells only.
    Perturbed,
    /// Of this donor.
    Donor(String),
    /// Of this tissue.
    Tissue(Curie),
    /// Of this disease.
    Disease(Curie),
}

/// What became of a data set that was to be stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// It is stored.
    Done,
    /// Nothing was stored: a data set of that name is there already.
    NameTaken(Box<Dataset>),
}

/// What became of a data set that was to have another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renamed {
    /// It has it.
    Done,
    /// There is none of the old name.
    NotFound,
    /// There is another of the new name.
    NameTaken,
}

impl Database {
    /// Stores a data set with its cell sets, all or nothing. `replaces` is the fingerprint of the one of
    /// that name that is removed in the same transaction; one with another fingerprint stays. `on_sets` is
    /// told how many sets are in.
    pub async fn store_dataset(
        &self,
        dataset: &Dataset,
        sets: &[NewCellSet],
        replaces: Option<&str>,
        on_sets: &(dyn Fn(usize) + Sync),
    ) -> Result<Stored> {
        let mut transaction = self.write().await?;
        if let Some(fingerprint) = replaces {
            let delete = sqlx::query("DELETE FROM datasets WHERE name = $1 AND fingerprint = $2");
            delete.bind(dataset.name.as_str()).bind(fingerprint).execute(&mut *transaction).await?;
        }
        if !insert_dataset(&mut transaction, dataset).await? {
            transaction.rollback().await?;
            let present = self.dataset(&dataset.name).await?.ok_or_else(|| {
                Error::Query(sqlx::Error::Protocol(format!("data set '{}' appeared and vanished", dataset.name)))
            })?;
            return Ok(Stored::NameTaken(Box::new(present)));
        }
        let mut stored = 0;
        for chunk in sets.chunks(SETS_PER_INSERT) {
            insert_sets(&mut transaction, chunk).await?;
            stored += chunk.len();
            on_sets(stored);
        }
        transaction.commit().await?;
        Ok(Stored::Done)
    }

    /// Removes a data set and its cell sets; false when there is none of that name.
    pub async fn delete_dataset(&self, name: &str) -> Result<bool> {
        let mut transaction = self.write().await?;
        let deleted = sqlx::query("DELETE FROM datasets WHERE name = $1").bind(name).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(deleted.rows_affected() > 0)
    }

    /// Gives a data set another name, with everything it holds; all or nothing.
    pub async fn rename_dataset(&self, from: &str, to: &str) -> Result<Renamed> {
        let mut transaction = self.write().await?;
        let others = DATASET_COLUMNS.trim_start_matches("name, ");
        let copy = format!(
            "INSERT INTO datasets (name, {others}) SELECT $2, {others} FROM datasets WHERE name = $1 \
             ON CONFLICT (name) DO NOTHING"
        );
        let copied = sqlx::query(AssertSqlSafe(copy)).bind(from).bind(to).execute(&mut *transaction).await?;
        if copied.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(if self.dataset(from).await?.is_some() { Renamed::NameTaken } else { Renamed::NotFound });
        }
        let sets = sqlx::query("UPDATE cell_sets SET dataset = $2 WHERE dataset = $1").bind(from).bind(to);
        sets.execute(&mut *transaction).await?;
        sqlx::query("DELETE FROM datasets WHERE name = $1").bind(from).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Renamed::Done)
    }

    /// Every data set, by name.
    pub async fn datasets(&self) -> Result<Vec<Dataset>> {
        let columns = DATASET_COLUMNS.replace(READ_SIMULATED.0, READ_SIMULATED.1);
        let rows = sqlx::query(AssertSqlSafe(format!("SELECT {columns} FROM datasets")));
        let rows = rows.fetch_all(&self.pool).await?;
        let mut datasets = rows.iter().map(dataset_from_row).collect::<Result<Vec<_>>>()?;
        datasets.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(datasets)
    }

    /// The data set of that name.
    pub async fn dataset(&self, name: &str) -> Result<Option<Dataset>> {
        let columns = DATASET_COLUMNS.replace(READ_SIMULATED.0, READ_SIMULATED.1);
        let query = sqlx::query(AssertSqlSafe(format!("SELECT {columns} FROM datasets WHERE name = $1")));
        query.bind(name).fetch_optional(&self.pool).await?.as_ref().map(dataset_from_row).transpose()
    }

    /// Notes that a file whose time of change differs was found to hold the same bytes.
    pub async fn set_dataset_modified(&self, name: &str, modified: &str) -> Result<()> {
        let mut transaction = self.write().await?;
        let update = sqlx::query("UPDATE datasets SET modified = $2 WHERE name = $1").bind(name).bind(modified);
        update.execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// The cell sets for which every filter holds, in the order of their keys.
    pub async fn cell_sets(&self, filters: &[Filter]) -> Result<Vec<CellSet>> {
        let (clause, texts) = conditions(filters);
        let columns = SET_COLUMNS.replace(READ_CONTROL.0, READ_CONTROL.1);
        let sql = format!("SELECT {columns} FROM cell_sets WHERE {clause}");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for text in &texts {
            query = query.bind(text.as_str());
        }
        let rows = query.fetch_all(&self.pool).await?;
        let mut sets = rows.iter().map(set_from_row).collect::<Result<Vec<_>>>()?;
        sets.sort_by(|a, b| a.key.cmp(&b.key).then(a.id.cmp(&b.id)));
        Ok(sets)
    }

    /// The row numbers of a cell set.
    pub async fn cell_set_rows(&self, id: i64) -> Result<RoaringBitmap> {
        let query = sqlx::query("SELECT rows FROM cell_sets WHERE id = $1").bind(id);
        let Some(row) = query.fetch_optional(&self.pool).await? else {
            return Err(stored("id", format!("there is no cell set {id} any more; its data set was replaced")));
        };
        let bytes: Vec<u8> = row.try_get("rows")?;
        RoaringBitmap::deserialize_from(bytes.as_slice()).map_err(|error| stored("rows", error.to_string()))
    }
}

const DATASET_COLUMNS: &str = "name, location, bytes, modified, sha256, fingerprint, profile, counts_in, genes_in, \
                               rows_in, n_cells, n_genes, simulated, summary, imported_at";

/// A boolean column for reading: SQLite's are not among the types of `sqlx::Any`.
const READ_SIMULATED: (&str, &str) = ("simulated", "CASE WHEN simulated THEN 1 ELSE 0 END AS simulated");
const READ_CONTROL: (&str, &str) = ("is_control", "CASE WHEN is_control THEN 1 ELSE 0 END AS is_control");

const SET_COLUMNS: &str = "id, dataset, cell_type, cell_type_id, cell_type_name, is_control, control_label, \
                           perturbation, perturbation_id, perturbation_name, dose, time, donor, tissue, tissue_id, \
                           tissue_name, disease, disease_id, disease_name, batch, sample_condition, n_cells, \
                           mean_genes, mean_counts";

/// Values bound for one cell set, and cell sets per statement. SQLite finds each place of a statement
/// by going through those before it, so many short statements are quicker than few long ones.
const BINDS_PER_SET: usize = 24;
const SETS_PER_INSERT: usize = 40;

/// False when the name is taken.
async fn insert_dataset(transaction: &mut Transaction<'static, Any>, dataset: &Dataset) -> Result<bool> {
    let values = (1..=15).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
    let sql = format!("INSERT INTO datasets ({DATASET_COLUMNS}) VALUES ({values}) ON CONFLICT (name) DO NOTHING");
    let inserted = sqlx::query(AssertSqlSafe(sql))
        .bind(dataset.name.as_str())
        .bind(json(&dataset.location)?)
        .bind(dataset.bytes as i64)
        .bind(dataset.modified.as_str())
        .bind(dataset.sha256.as_str())
        .bind(dataset.fingerprint.as_str())
        .bind(dataset.profile.as_str())
        .bind(dataset.counts_in.as_str())
        .bind(dataset.genes_in.clone())
        .bind(dataset.rows_in.clone())
        .bind(dataset.n_cells as i64)
        .bind(dataset.n_genes as i64)
        .bind(dataset.simulated)
        .bind(json(&dataset.summary)?)
        .bind(dataset.imported_at.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(inserted.rows_affected() == 1)
}

async fn insert_sets(transaction: &mut Transaction<'static, Any>, sets: &[NewCellSet]) -> Result<()> {
    let row = |i: usize| {
        let first = i * BINDS_PER_SET + 1;
        let places = (first..first + BINDS_PER_SET).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        format!("({places})")
    };
    let rows = (0..sets.len()).map(row).collect::<Vec<_>>().join(", ");
    let columns = SET_COLUMNS.trim_start_matches("id, ");
    let sql = format!("INSERT INTO cell_sets ({columns}, rows) VALUES {rows}");
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for set in sets {
        let key = &set.key;
        let (control_label, perturbation, dose) = match &key.condition {
            Condition::Control { label, .. } => (label.clone(), None, None),
            Condition::Perturbed { perturbation, dose, .. } => (None, Some(perturbation), dose.clone()),
        };
        let id = |label: Option<&Label>| label.and_then(Label::id).map(|id| id.as_str().to_owned());
        let name = |label: Option<&Label>| label.and_then(|l| l.term.as_ref()).map(|term| term.name.clone());
        let original = |label: Option<&Label>| label.map(|label| label.original.clone());
        let rows: RoaringBitmap = set.rows.iter().copied().collect();
        let mut bytes = Vec::with_capacity(rows.serialized_size());
        rows.serialize_into(&mut bytes).map_err(|error| stored("rows", error.to_string()))?;
        query = query
            .bind(key.dataset.clone())
            .bind(key.cell_type.original.clone())
            .bind(id(Some(&key.cell_type)))
            .bind(name(Some(&key.cell_type)))
            .bind(key.condition.is_control())
            .bind(control_label)
            .bind(original(perturbation))
            .bind(id(perturbation))
            .bind(name(perturbation))
            .bind(dose)
            .bind(key.condition.time().map(str::to_owned))
            .bind(key.donor.clone())
            .bind(original(key.tissue.as_ref()))
            .bind(id(key.tissue.as_ref()))
            .bind(name(key.tissue.as_ref()))
            .bind(original(key.disease.as_ref()))
            .bind(id(key.disease.as_ref()))
            .bind(name(key.disease.as_ref()))
            .bind(key.batch.clone())
            .bind(key.sample_condition.clone())
            .bind(set.rows.len() as i64)
            .bind(set.mean_genes)
            .bind(set.mean_counts)
            .bind(bytes);
    }
    query.execute(&mut **transaction).await?;
    Ok(())
}

/// The WHERE clause of the filters, and its values in the order of their places.
fn conditions(filters: &[Filter]) -> (String, Vec<String>) {
    let mut texts: Vec<String> = Vec::new();
    let mut clauses = vec!["1 = 1".to_owned()];
    let mut among = |column: &str, values: &mut dyn Iterator<Item = String>| -> String {
        let places: Vec<String> = values
            .map(|value| {
                texts.push(value);
                format!("${}", texts.len())
            })
            .collect();
        if places.is_empty() { "1 = 0".to_owned() } else { format!("{column} IN ({})", places.join(", ")) }
    };
    for filter in filters {
        let ids = |ids: &[Curie]| ids.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>();
        let lower = |words: &[String]| words.iter().map(|w| w.to_ascii_lowercase()).collect::<Vec<_>>();
        clauses.push(match filter {
            Filter::Datasets(names) => among("dataset", &mut names.iter().cloned()),
            Filter::CellTypes(types) => among("cell_type_id", &mut ids(types).into_iter()),
            Filter::UnresolvedCellType(words) => {
                let spelled = among("lower(cell_type)", &mut lower(words).into_iter());
                format!("(cell_type_id IS NULL AND {spelled})")
            }
            Filter::Perturbation { names, ids: known } => {
                let by_name = among("perturbation_name", &mut names.iter().cloned());
                let by_id = among("perturbation_id", &mut ids(known).into_iter());
                format!("({by_name} OR {by_id})")
            }
            Filter::UnresolvedPerturbation(words) => {
                let spelled = among("lower(perturbation)", &mut lower(words).into_iter());
                format!("(perturbation_id IS NULL AND {spelled})")
            }
            Filter::Control => "is_control".to_owned(),
            Filter::Perturbed => "NOT is_control".to_owned(),
            Filter::Donor(donor) => among("donor", &mut std::iter::once(donor.clone())),
            Filter::Tissue(id) => among("tissue_id", &mut std::iter::once(id.as_str().to_owned())),
            Filter::Disease(id) => among("disease_id", &mut std::iter::once(id.as_str().to_owned())),
        });
    }
    (clauses.join(" AND "), texts)
}

fn dataset_from_row(row: &AnyRow) -> Result<Dataset> {
    let location: String = row.try_get("location")?;
    let summary: String = row.try_get("summary")?;
    let wrong = |column, error: serde_json::Error| Error::Stored { table: "datasets", column, why: error.to_string() };
    Ok(Dataset {
        name: row.try_get("name")?,
        location: serde_json::from_str(&location).map_err(|error| wrong("location", error))?,
        bytes: row.try_get::<i64, _>("bytes")? as u64,
        modified: row.try_get("modified")?,
        sha256: row.try_get("sha256")?,
        fingerprint: row.try_get("fingerprint")?,
        profile: row.try_get("profile")?,
        counts_in: row.try_get("counts_in")?,
        genes_in: row.try_get("genes_in")?,
        rows_in: row.try_get("rows_in")?,
        n_cells: row.try_get::<i64, _>("n_cells")? as u64,
        n_genes: row.try_get::<i64, _>("n_genes")? as u64,
        simulated: row.try_get::<i64, _>("simulated")? != 0,
        summary: serde_json::from_str(&summary).map_err(|error| wrong("summary", error))?,
        imported_at: row.try_get("imported_at")?,
    })
}

fn set_from_row(row: &AnyRow) -> Result<CellSet> {
    let time: Option<String> = row.try_get("time")?;
    let condition = if row.try_get::<i64, _>("is_control")? != 0 {
        Condition::Control { label: row.try_get("control_label")?, time }
    } else {
        let perturbation = label(row, "perturbation", "perturbation_id", "perturbation_name")?;
        let perturbation = perturbation.ok_or_else(|| stored("perturbation", "none on perturbed cells".into()))?;
        Condition::Perturbed { perturbation, dose: row.try_get("dose")?, time }
    };
    let cell_type = label(row, "cell_type", "cell_type_id", "cell_type_name")?;
    Ok(CellSet {
        id: row.try_get("id")?,
        key: CellSetKey {
            dataset: row.try_get("dataset")?,
            cell_type: cell_type.ok_or_else(|| stored("cell_type", "none".into()))?,
            condition,
            donor: row.try_get("donor")?,
            tissue: label(row, "tissue", "tissue_id", "tissue_name")?,
            disease: label(row, "disease", "disease_id", "disease_name")?,
            batch: row.try_get("batch")?,
            sample_condition: row.try_get("sample_condition")?,
        },
        n_cells: row.try_get::<i64, _>("n_cells")? as u64,
        mean_genes: row.try_get("mean_genes")?,
        mean_counts: row.try_get("mean_counts")?,
    })
}

fn label(row: &AnyRow, original: &str, id: &'static str, name: &str) -> Result<Option<Label>> {
    let Some(original) = row.try_get::<Option<String>, _>(original)? else { return Ok(None) };
    let (curie, name) = (row.try_get::<Option<String>, _>(id)?, row.try_get::<Option<String>, _>(name)?);
    let term = match (curie, name) {
        (Some(curie), Some(name)) => Some(Term {
            id: curie.parse().map_err(|error: crate::domain::ids::CurieError| stored(id, error.to_string()))?,
            name,
        }),
        _ => None,
    };
    Ok(Some(Label { original, term }))
}

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Query(sqlx::Error::Encode(Box::new(error))))
}

fn stored(column: &'static str, why: String) -> Error {
    Error::Stored { table: "cell_sets", column, why }
}
