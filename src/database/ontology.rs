//! Ontologies: `ontologies`, `ontology_terms`, `ontology_edges`, `synonyms` hold the release in use;
//! `ontology_releases` keeps every release, packed, so that any of them can be put in use again.

use std::collections::HashMap;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sqlx::{Any, Row, Transaction};

use super::bulk::{Statement, insert_rows};
use super::{Database, Error, Result, Stored, now};
use crate::domain::{Curie, Ontology, OntologyTerm, Synonym};

/// An ontology we hold.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OntologyRecord {
    /// Prefix of its terms.
    pub prefix: String,
    /// Release.
    pub version: String,
    /// File name it came from.
    pub source: String,
    /// Of the file's content.
    pub fingerprint: String,
    /// ISO 8601.
    pub imported_at: String,
}

impl Database {
    /// Puts a release in the place of the one in use under the same prefix, all or nothing, and keeps it
    /// beside the others. `on_rows` is told how many rows have been written so far.
    pub async fn replace_ontology(
        &self,
        ontology: &Ontology,
        source: &str,
        fingerprint: &str,
        on_rows: &(dyn Fn(usize) + Sync),
    ) -> Result<Stored> {
        let mut transaction = self.write_knowledge().await?;
        keep_release(&mut transaction, ontology, source, fingerprint).await?;
        let stored = put_in_use(&mut transaction, ontology, source, fingerprint, on_rows).await?;
        transaction.commit().await?;
        Ok(stored)
    }

    /// Keeps a release beside the one in use.
    pub async fn keep_ontology(&self, ontology: &Ontology, source: &str, fingerprint: &str) -> Result<Stored> {
        let mut transaction = self.write_knowledge().await?;
        let stored = keep_release(&mut transaction, ontology, source, fingerprint).await?;
        transaction.commit().await?;
        Ok(stored)
    }

    /// Puts a release that is kept in use, all or nothing; `None` if there is no such release.
    pub async fn use_ontology(
        &self,
        prefix: &str,
        version: &str,
        on_rows: &(dyn Fn(usize) + Sync),
    ) -> Result<Option<Stored>> {
        let mut transaction = self.write_knowledge().await?;
        let row = sqlx::query(
            "SELECT source, fingerprint, content FROM ontology_releases WHERE prefix = $1 AND version = $2",
        )
        .bind(prefix)
        .bind(version)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let (source, fingerprint): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let ontology = unpacked(&row.try_get::<Vec<u8>, _>(2)?)?;
        let stored = put_in_use(&mut transaction, &ontology, &source, &fingerprint, on_rows).await?;
        transaction.commit().await?;
        Ok(Some(stored))
    }

    /// Every release we hold, in use or kept, by prefix and version.
    pub async fn ontology_releases(&self) -> Result<Vec<OntologyRecord>> {
        let rows = sqlx::query(
            "SELECT prefix, version, source, fingerprint, imported_at FROM ontology_releases
             UNION ALL
             SELECT prefix, version, source, fingerprint, imported_at FROM ontologies o
             WHERE NOT EXISTS
                 (SELECT 1 FROM ontology_releases r WHERE r.prefix = o.prefix AND r.version = o.version)
             ORDER BY 1, 2",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(record).collect()
    }

    /// The ontologies in use, by prefix.
    pub async fn ontologies(&self) -> Result<Vec<OntologyRecord>> {
        let rows =
            sqlx::query("SELECT prefix, version, source, fingerprint, imported_at FROM ontologies ORDER BY prefix")
                .fetch_all(&self.pool)
                .await?;
        rows.iter().map(record).collect()
    }

    /// Every term of every ontology with its synonyms and relations, in no order. Definitions stay
    /// behind; see [`Database::definition`].
    pub async fn ontology_terms(&self) -> Result<Vec<OntologyTerm>> {
        let mut terms = Vec::new();
        let mut index = HashMap::new();
        let columns = "id, name, CASE WHEN obsolete THEN 1 ELSE 0 END, replaced_by";
        let rows: Vec<(String, String, u8, Option<String>)> = self.all_rows("ontology_terms", columns).await?;
        for (id, name, obsolete, replaced_by) in rows {
            terms.push(OntologyTerm {
                id: stored_id(&id, "id")?,
                name,
                definition: None,
                synonyms: Vec::new(),
                relations: Vec::new(),
                obsolete: obsolete == 1,
                replaced_by: replaced_by.map(|id| stored_id(&id, "replaced_by")).transpose()?,
            });
            index.insert(id, terms.len() - 1);
        }
        let synonyms: Vec<[String; 3]> = self.all_rows("synonyms", "term_id, scope, synonym").await?;
        for [id, scope, text] in synonyms {
            if let Some(&at) = index.get(&id) {
                let scope = scope.parse().map_err(|error| stored("synonyms", "scope", error))?;
                terms[at].synonyms.push(Synonym { text, scope });
            }
        }
        let edges: Vec<[String; 3]> = self.all_rows("ontology_edges", "subject, relation, object").await?;
        for [subject, relation, object] in edges {
            if let Some(&at) = index.get(&subject) {
                let relation = relation.parse().map_err(|error| stored("ontology_edges", "relation", error))?;
                terms[at].relations.push((relation, stored_id(&object, "object")?));
            }
        }
        for term in &mut terms {
            term.synonyms.sort_by(|a, b| (a.scope, &a.text).cmp(&(b.scope, &b.text)));
            term.relations.sort();
        }
        Ok(terms)
    }

    /// What a term means in words, if we hold the term and it says so.
    pub async fn definition(&self, id: &Curie) -> Result<Option<String>> {
        let definition: Option<Option<String>> =
            sqlx::query_scalar("SELECT definition FROM ontology_terms WHERE id = $1")
                .bind(id.as_str())
                .fetch_optional(&self.pool)
                .await?;
        Ok(definition.flatten())
    }
}

fn record(row: &sqlx::any::AnyRow) -> Result<OntologyRecord> {
    Ok(OntologyRecord {
        prefix: row.try_get(0)?,
        version: row.try_get(1)?,
        source: row.try_get(2)?,
        fingerprint: row.try_get(3)?,
        imported_at: row.try_get(4)?,
    })
}

async fn keep_release(
    transaction: &mut Transaction<'_, Any>,
    ontology: &Ontology,
    source: &str,
    fingerprint: &str,
) -> Result<Stored> {
    let of = |query: &'static str| sqlx::query(query).bind(&ontology.prefix).bind(&ontology.version);
    let before = of("SELECT fingerprint FROM ontology_releases WHERE prefix = $1 AND version = $2")
        .fetch_optional(&mut **transaction)
        .await?;
    let before: Option<String> = before.map(|row| row.try_get(0)).transpose()?;
    if before.as_deref() == Some(fingerprint) {
        return Ok(Stored::Unchanged);
    }
    of("DELETE FROM ontology_releases WHERE prefix = $1 AND version = $2").execute(&mut **transaction).await?;
    of("INSERT INTO ontology_releases (prefix, version, source, fingerprint, imported_at, content)
        VALUES ($1, $2, $3, $4, $5, $6)")
    .bind(source)
    .bind(fingerprint)
    .bind(now())
    .bind(packed(ontology)?)
    .execute(&mut **transaction)
    .await?;
    Ok(if before.is_some() { Stored::Replaced } else { Stored::New })
}

async fn put_in_use(
    transaction: &mut Transaction<'_, Any>,
    ontology: &Ontology,
    source: &str,
    fingerprint: &str,
    on_rows: &(dyn Fn(usize) + Sync),
) -> Result<Stored> {
    let before: Option<String> = sqlx::query_scalar("SELECT fingerprint FROM ontologies WHERE prefix = $1")
        .bind(&ontology.prefix)
        .fetch_optional(&mut **transaction)
        .await?;
    if before.as_deref() == Some(fingerprint) {
        return Ok(Stored::Unchanged);
    }
    sqlx::query("DELETE FROM ontologies WHERE prefix = $1").bind(&ontology.prefix).execute(&mut **transaction).await?;
    sqlx::query(
        "INSERT INTO ontologies (prefix, version, source, fingerprint, imported_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&ontology.prefix)
    .bind(&ontology.version)
    .bind(source)
    .bind(fingerprint)
    .bind(now())
    .execute(&mut **transaction)
    .await?;
    insert_ontology(transaction, ontology, on_rows).await?;
    Ok(if before.is_some() { Stored::Replaced } else { Stored::New })
}

fn packed(ontology: &Ontology) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    serde_json::to_writer(&mut encoder, ontology)
        .and_then(|()| encoder.finish().map_err(serde_json::Error::io))
        .map_err(|error| stored("ontology_releases", "content", error))
}

fn unpacked(content: &[u8]) -> Result<Ontology> {
    serde_json::from_reader(GzDecoder::new(content)).map_err(|error| stored("ontology_releases", "content", error))
}

async fn insert_ontology<'a>(
    transaction: &mut Transaction<'_, Any>,
    ontology: &'a Ontology,
    on_rows: &(dyn Fn(usize) + Sync),
) -> Result<()> {
    let terms = &ontology.terms;
    let into = ("ontology_terms (id, ontology, name, definition, obsolete, replaced_by)", 6);
    let bind_term = |statement: Statement<'a>, term: &'a OntologyTerm| {
        let replaced_by = term.replaced_by.as_ref().map(Curie::as_str);
        let statement = statement.bind(term.id.as_str()).bind(&ontology.prefix).bind(&term.name);
        statement.bind(term.definition.as_deref()).bind(term.obsolete).bind(replaced_by)
    };
    insert_rows(transaction, into, terms, bind_term, on_rows).await?;

    let edges: Vec<_> = terms
        .iter()
        .flat_map(|term| term.relations.iter().map(move |(relation, to)| (&term.id, relation, to)))
        .collect();
    let into = ("ontology_edges (subject, relation, object)", 3);
    insert_rows(
        transaction,
        into,
        &edges,
        |statement, (subject, relation, object)| {
            statement.bind(subject.as_str()).bind(relation.as_str()).bind(object.as_str())
        },
        &|n| on_rows(terms.len() + n),
    )
    .await?;

    let synonyms: Vec<_> =
        terms.iter().flat_map(|term| term.synonyms.iter().map(move |synonym| (&term.id, synonym))).collect();
    let into = ("synonyms (term_id, synonym, scope)", 3);
    insert_rows(
        transaction,
        into,
        &synonyms,
        |statement, (id, synonym)| statement.bind(id.as_str()).bind(&synonym.text).bind(synonym.scope.as_str()),
        &|n| on_rows(terms.len() + edges.len() + n),
    )
    .await
}

fn stored_id(id: &str, column: &'static str) -> Result<Curie> {
    id.parse().map_err(|error: crate::domain::ids::CurieError| stored("ontology_terms", column, error))
}

fn stored(table: &'static str, column: &'static str, why: impl ToString) -> Error {
    Error::Stored { table, column, why: why.to_string() }
}
