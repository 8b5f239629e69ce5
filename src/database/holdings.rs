//! How much we hold, in numbers.

use serde::Serialize;

use super::{Database, Dialect, Result};

/// Numbers of things held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Holdings {
    /// Data sets.
    pub datasets: u64,
    /// Those of them whose cells are simulated.
    pub simulated: u64,
    /// Cells over all data sets.
    pub cells: u64,
    /// Ontologies.
    pub ontologies: u64,
    /// Terms over all ontologies.
    pub ontology_terms: u64,
    /// Perturbations.
    pub perturbations: u64,
    /// Gene sets.
    pub gene_sets: u64,
    /// Regulator-target pairs.
    pub regulons: u64,
    /// Marker genes of cell types.
    pub markers: u64,
}

impl Database {
    /// Counts what is held.
    pub async fn holdings(&self) -> Result<Holdings> {
        let count = async |sql: &'static str| -> Result<u64> {
            let count: i64 = sqlx::query_scalar(sql).fetch_one(&self.pool).await?;
            Ok(count.try_into().unwrap_or_default())
        };
        Ok(Holdings {
            datasets: count("SELECT count(*) FROM datasets").await?,
            simulated: count("SELECT count(*) FROM datasets WHERE simulated").await?,
            cells: count("SELECT CAST(coalesce(sum(n_cells), 0) AS BIGINT) FROM datasets").await?,
            ontologies: count("SELECT count(*) FROM ontologies").await?,
            ontology_terms: count("SELECT count(*) FROM ontology_terms").await?,
            perturbations: count("SELECT count(*) FROM perturbations").await?,
            gene_sets: count("SELECT count(*) FROM gene_sets").await?,
            regulons: count("SELECT count(*) FROM regulons").await?,
            markers: count("SELECT count(*) FROM markers").await?,
        })
    }

    /// Version of the server, and of pgvector if the server has it; nothing for SQLite.
    pub async fn server_version(&self) -> Result<Option<(String, Option<String>)>> {
        if self.dialect == Dialect::Sqlite {
            return Ok(None);
        }
        let server: String = sqlx::query_scalar("SHOW server_version").fetch_one(&self.pool).await?;
        let sql = "SELECT default_version::text FROM pg_available_extensions WHERE name = 'vector'";
        let vector: Option<String> = sqlx::query_scalar(sql).fetch_optional(&self.pool).await?;
        Ok(Some((server, vector)))
    }
}
