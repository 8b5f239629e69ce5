//! The gene sets of a command: from GMT files, or collections that were imported.

use std::path::Path;

use super::{Error, Result, open};
use crate::config::Config;
use crate::domain::GeneSet;
use crate::knowledge::{Source, gmt};

/// Reads the sets: each name is a file if there is one, else an imported collection.
pub async fn read(names: &[String], config: &Config) -> Result<Vec<GeneSet>> {
    let mut sets: Vec<GeneSet> = Vec::new();
    let mut collections: Vec<&String> = Vec::new();
    for name in names {
        let path = Path::new(name);
        if !path.exists() {
            collections.push(name);
            continue;
        }
        let source = Source::read(path)?;
        let (found, problems) = gmt::parse(&source, &source.stem(".gmt"))?;
        if let Some(first) = problems.first() {
            eprintln!("{}: {} lines passed over; line {}: {}", source.name, problems.len(), first.line, first.what);
        }
        sets.extend(found);
    }
    if !collections.is_empty() {
        let database = open::database(config).await?;
        let held = database.gene_sets().await?;
        database.close().await;
        for name in collections {
            let before = sets.len();
            sets.extend(held.iter().filter(|set| set.collection == *name).cloned());
            if sets.len() == before {
                return Err(unknown(name, held.iter().map(|set| set.collection.as_str())));
            }
        }
    }
    Ok(sets)
}

/// Neither a file nor something imported.
fn unknown<'a>(name: &str, held: impl Iterator<Item = &'a str>) -> Error {
    let mut held: Vec<&str> = held.collect();
    held.sort_unstable();
    held.dedup();
    let held =
        if held.is_empty() { "none is imported".to_owned() } else { format!("imported are {}", held.join(", ")) };
    let error = Error::usage(format!("'{name}' is neither a file nor an imported collection; {held}"));
    error.hint("give a GMT file, or import one with 'haystack import gene-sets FILE.gmt'")
}
