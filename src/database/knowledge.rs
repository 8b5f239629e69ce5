//! Facts by source: `perturbations`, `gene_sets`, `markers`, `regulons`, `interactions`, `knowledge_sources`.

use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use super::bulk::{Statement, insert_rows};
use super::{Database, Dialect, Error, Result, now};
use crate::domain::ids::CurieError;
use crate::domain::{GeneSet, Interaction, Marker, Perturbation, Regulation};

/// What an import came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stored {
    /// Was not there before.
    New,
    /// Took the place of an earlier import of the same name.
    Replaced,
    /// The same content is already there; nothing was done.
    Unchanged,
}

/// Which kind of fact a source holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FactKind {
    /// [`GeneSet`]
    GeneSets,
    /// [`Regulation`]
    Regulons,
    /// [`Interaction`]
    Interactions,
    /// [`Marker`]
    Markers,
    /// [`Perturbation`]
    Perturbations,
}

impl FactKind {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GeneSets => "gene-sets",
            Self::Regulons => "regulons",
            Self::Interactions => "interactions",
            Self::Markers => "markers",
            Self::Perturbations => "perturbations",
        }
    }

    /// The table and its column that names the source.
    fn table(self) -> (&'static str, &'static str) {
        match self {
            Self::GeneSets => ("gene_sets", "collection"),
            Self::Regulons => ("regulons", "network"),
            Self::Interactions => ("interactions", "network"),
            Self::Markers => ("markers", "source"),
            Self::Perturbations => ("perturbations", "source"),
        }
    }
}

/// Facts of one kind from one source.
#[derive(Clone, Copy, Debug)]
pub enum Facts<'a> {
    /// Of one collection.
    GeneSets(&'a [GeneSet]),
    /// Of one network.
    Regulons(&'a [Regulation]),
    /// Of one network.
    Interactions(&'a [Interaction]),
    /// Of one source.
    Markers(&'a [Marker]),
    /// Of one source.
    Perturbations(&'a [Perturbation]),
}

impl Facts<'_> {
    /// Which kind.
    pub fn kind(&self) -> FactKind {
        match self {
            Self::GeneSets(_) => FactKind::GeneSets,
            Self::Regulons(_) => FactKind::Regulons,
            Self::Interactions(_) => FactKind::Interactions,
            Self::Markers(_) => FactKind::Markers,
            Self::Perturbations(_) => FactKind::Perturbations,
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::GeneSets(facts) => facts.len(),
            Self::Regulons(facts) => facts.len(),
            Self::Interactions(facts) => facts.len(),
            Self::Markers(facts) => facts.len(),
            Self::Perturbations(facts) => facts.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A source of facts we hold.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FactSource {
    /// Stored word of its [`FactKind`].
    pub kind: String,
    /// Collection, network or source.
    pub name: String,
    /// Of what was imported.
    pub fingerprint: String,
    /// How many facts.
    pub n_records: i64,
    /// ISO 8601.
    pub imported_at: String,
}

impl Database {
    /// Puts the facts of a source in the place of those held under the same kind and name, all or
    /// nothing. `on_rows` is told how many have been written so far.
    pub async fn replace_facts(
        &self,
        name: &str,
        fingerprint: &str,
        facts: Facts<'_>,
        on_rows: &(dyn Fn(usize) + Sync),
    ) -> Result<Stored> {
        let kind = facts.kind();
        let mut transaction = self.write_knowledge().await?;
        let before: Option<String> =
            sqlx::query_scalar("SELECT fingerprint FROM knowledge_sources WHERE kind = $1 AND name = $2")
                .bind(kind.as_str())
                .bind(name)
                .fetch_optional(&mut *transaction)
                .await?;
        if before.as_deref() == Some(fingerprint) {
            return Ok(Stored::Unchanged);
        }
        let (table, column) = kind.table();
        sqlx::query(AssertSqlSafe(format!("DELETE FROM {table} WHERE {column} = $1")))
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM knowledge_sources WHERE kind = $1 AND name = $2")
            .bind(kind.as_str())
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO knowledge_sources (kind, name, fingerprint, n_records, imported_at)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(kind.as_str())
        .bind(name)
        .bind(fingerprint)
        .bind(facts.len() as i64)
        .bind(now())
        .execute(&mut *transaction)
        .await?;
        insert_facts(&mut transaction, name, facts, on_rows).await?;
        transaction.commit().await?;
        Ok(if before.is_some() { Stored::Replaced } else { Stored::New })
    }

    /// The sources of facts we hold, by kind and name.
    pub async fn fact_sources(&self) -> Result<Vec<FactSource>> {
        let rows = sqlx::query(
            "SELECT kind, name, fingerprint, n_records, imported_at FROM knowledge_sources ORDER BY kind, name",
        )
        .fetch_all(&self.pool)
        .await?;
        let source = |row: &sqlx::any::AnyRow| {
            Ok(FactSource {
                kind: row.try_get(0)?,
                name: row.try_get(1)?,
                fingerprint: row.try_get(2)?,
                n_records: row.try_get(3)?,
                imported_at: row.try_get(4)?,
            })
        };
        rows.iter().map(source).collect()
    }

    /// All gene sets, by collection and name.
    pub async fn gene_sets(&self) -> Result<Vec<GeneSet>> {
        let rows = sqlx::query("SELECT collection, name, description, genes FROM gene_sets ORDER BY collection, name")
            .fetch_all(&self.pool)
            .await?;
        let set = |row: &sqlx::any::AnyRow| {
            let genes: &str = row.try_get(3)?;
            Ok(GeneSet {
                collection: row.try_get(0)?,
                name: row.try_get(1)?,
                description: row.try_get(2)?,
                genes: genes.split('\t').filter(|gene| !gene.is_empty()).map(str::to_owned).collect(),
            })
        };
        rows.iter().map(set).collect()
    }

    /// All regulations with the name of their network, in no order.
    pub async fn regulons(&self) -> Result<Vec<(String, Regulation)>> {
        let columns = format!("network, source, target, {}", self.as_exact_text("weight"));
        let rows: Vec<[String; 4]> = self.all_rows("regulons", &columns).await?;
        let regulation = |[network, source, target, weight]: [String; 4]| {
            let weight =
                weight.parse().map_err(|_| stored("regulons", "weight", format!("'{weight}' is not a number")))?;
            Ok((network, Regulation { source, target, weight }))
        };
        rows.into_iter().map(regulation).collect()
    }

    /// All interactions with the name of their network, in no order.
    pub async fn interactions(&self) -> Result<Vec<(String, Interaction)>> {
        let columns = format!("network, source, target, sign, {}", self.as_exact_text("score"));
        let rows: Vec<(String, String, String, i64, String)> = self.all_rows("interactions", &columns).await?;
        let interaction = |(network, source, target, sign, score): (String, String, String, i64, String)| {
            let score =
                score.parse().map_err(|_| stored("interactions", "score", format!("'{score}' is not a number")))?;
            let sign = match sign {
                0 => None,
                1 => Some(1),
                -1 => Some(-1),
                other => return Err(stored("interactions", "sign", format!("{other} is none of 1, 0, -1"))),
            };
            Ok((network, Interaction { source, target, sign, score }))
        };
        rows.into_iter().map(interaction).collect()
    }

    /// All markers, in no order; one that several sources name comes several times.
    pub async fn markers(&self) -> Result<Vec<Marker>> {
        let rows: Vec<[String; 2]> = self.all_rows("markers", "cell_type_id, gene").await?;
        let marker = |[id, gene]: [String; 2]| {
            let cell_type =
                id.parse().map_err(|error: CurieError| stored("markers", "cell_type_id", error.to_string()))?;
            Ok(Marker { cell_type, gene })
        };
        rows.into_iter().map(marker).collect()
    }

    /// All perturbations with the name of their source, by source and name.
    pub async fn perturbations(&self) -> Result<Vec<(String, Perturbation)>> {
        let rows =
            sqlx::query("SELECT source, record FROM perturbations ORDER BY source, name").fetch_all(&self.pool).await?;
        let perturbation = |row: &sqlx::any::AnyRow| {
            let record: &str = row.try_get(1)?;
            let record =
                serde_json::from_str(record).map_err(|error| stored("perturbations", "record", error.to_string()))?;
            Ok((row.try_get(0)?, record))
        };
        rows.iter().map(perturbation).collect()
    }

    /// A transaction that may write knowledge. Two imports at once queue here, on PostgreSQL too:
    /// otherwise both would delete the old rows and the second would trip over the first's new ones.
    pub(super) async fn write_knowledge(&self) -> Result<Transaction<'static, Any>> {
        let mut transaction = self.write().await?;
        if self.dialect() == Dialect::Postgres {
            sqlx::query("LOCK TABLE knowledge_sources IN EXCLUSIVE MODE").execute(&mut *transaction).await?;
        }
        Ok(transaction)
    }
}

async fn insert_facts<'a>(
    transaction: &mut Transaction<'_, Any>,
    name: &'a str,
    facts: Facts<'a>,
    on_rows: &(dyn Fn(usize) + Sync),
) -> Result<()> {
    match facts {
        Facts::GeneSets(sets) => {
            let into = ("gene_sets (collection, name, description, genes, n_genes)", 5);
            let bind = |statement: Statement<'a>, set: &'a GeneSet| {
                let genes = (set.genes.join("\t"), set.genes.len() as i64);
                statement.bind(name).bind(&set.name).bind(&set.description).bind(genes.0).bind(genes.1)
            };
            insert_rows(transaction, into, sets, bind, on_rows).await
        }
        Facts::Regulons(regulations) => {
            let into = ("regulons (network, source, target, weight)", 4);
            let bind = |statement: Statement<'a>, regulation: &'a Regulation| {
                statement.bind(name).bind(&regulation.source).bind(&regulation.target).bind(regulation.weight)
            };
            insert_rows(transaction, into, regulations, bind, on_rows).await
        }
        Facts::Interactions(interactions) => {
            let into = ("interactions (network, source, target, sign, score)", 5);
            let bind = |statement: Statement<'a>, interaction: &'a Interaction| {
                let statement = statement.bind(name).bind(&interaction.source).bind(&interaction.target);
                statement.bind(interaction.sign.map_or(0, i64::from)).bind(interaction.score)
            };
            insert_rows(transaction, into, interactions, bind, on_rows).await
        }
        Facts::Markers(markers) => {
            let into = ("markers (source, cell_type_id, gene)", 3);
            let bind = |statement: Statement<'a>, marker: &'a Marker| {
                statement.bind(name).bind(marker.cell_type.as_str()).bind(&marker.gene)
            };
            insert_rows(transaction, into, markers, bind, on_rows).await
        }
        Facts::Perturbations(perturbations) => {
            let into = ("perturbations (source, name, record)", 3);
            let bind = |statement: Statement<'a>, perturbation: &'a Perturbation| {
                statement.bind(name).bind(&perturbation.name).bind(record(perturbation))
            };
            insert_rows(transaction, into, perturbations, bind, on_rows).await
        }
    }
}

fn stored(table: &'static str, column: &'static str, why: String) -> Error {
    Error::Stored { table, column, why }
}

fn record(perturbation: &Perturbation) -> String {
    serde_json::to_string(perturbation).expect("strings, enums and lists of them are always JSON")
}
