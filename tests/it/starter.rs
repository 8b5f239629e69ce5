//! The starter knowledge, checked against the sources its ids, labels and symbols are from.

use std::collections::{BTreeMap, BTreeSet};

use haystack::database::Stored;
use haystack::domain::terms::PerturbationKind;
use haystack::knowledge::{Kind, Knowledge, Resolution, Source, obo, starter};

use crate::support::{databases, shared};

/// Names and ids of the ontologies in the shared folder; `None` without it.
fn labels() -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::from([("PATO:0000461".to_owned(), "normal".to_owned())]);
    for name in ["cl.2026-03-26", "uberon.2026-04-01", "mondo.2026-05-05"] {
        let path = shared(&format!("data/ontologies/derived/{name}.derived.obo.gz"))?;
        let document = obo::parse(&Source::read(&path).unwrap()).unwrap();
        let current = document.terms.into_iter().filter(|term| !term.obsolete);
        labels.extend(current.map(|term| (term.id.to_string(), term.name)));
    }
    Some(labels)
}

fn asset(name: &str) -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(name)).unwrap()
}

fn rows(name: &str) -> Vec<Vec<String>> {
    let text = asset(name);
    let rows = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    rows.map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

#[test]
fn every_id_has_its_label() {
    let Some(labels) = labels() else { return };
    let mut wrong = Vec::new();
    let mut check = |file: &str, id: &str, label: &str| match labels.get(id) {
        Some(name) if name == label => {}
        found => wrong.push(format!("{file}: {id} is {found:?}, not '{label}'")),
    };
    let names = rows("names.tsv");
    assert!(names.len() > 400);
    for row in &names {
        check("names.tsv", &row[2], &row[3]);
    }
    let cell_types = rows("starter/cell_types.tsv");
    assert!(cell_types.len() >= 20);
    for row in &cell_types {
        check("cell_types.tsv", &row[0], &row[1]);
    }
    for row in rows("starter/markers.tsv") {
        check("markers.tsv", &row[0], &row[1]);
    }
    for file in ["cl.obo", "uberon.obo", "mondo.obo"] {
        for term in obo::parse(&Source::from_text(file, asset(&format!("starter/{file}")))).unwrap().terms {
            check(file, term.id.as_str(), &term.name);
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_gene_is_a_current_symbol() {
    let Some(path) = shared("data/ontologies/genes_homo_sapiens.gencode.csv.gz") else { return };
    let gencode = Source::read(&path).unwrap().text;
    let symbols: BTreeSet<&str> = gencode.lines().filter_map(|line| line.split(',').nth(1)).collect();
    let mut used: BTreeMap<String, &str> = BTreeMap::new();
    for line in asset("starter/gene_sets.gmt").lines() {
        used.extend(line.split('\t').skip(2).map(|gene| (gene.to_owned(), "gene_sets.gmt")));
    }
    for row in rows("starter/regulons.tsv") {
        used.extend(row[..2].iter().map(|gene| (gene.clone(), "regulons.tsv")));
    }
    used.extend(rows("starter/markers.tsv").into_iter().map(|row| (row[2].clone(), "markers.tsv")));
    for row in rows("starter/perturbations.tsv") {
        let genes = row[4..7].iter().flat_map(|list| list.split(';')).filter(|gene| !gene.is_empty());
        used.extend(genes.map(|gene| (gene[1..].to_owned(), "perturbations.tsv")));
    }
    let unknown: Vec<_> = used.iter().filter(|(gene, _)| !symbols.contains(gene.as_str())).collect();
    assert!(used.len() > 600 && unknown.is_empty(), "{} genes; unknown: {unknown:?}", used.len());
}

#[test]
fn every_perturbation_has_the_id_of_its_name() {
    let Some(proteins) = shared("data/networks/cellphonedb_v5/gene_input.csv.gz") else { return };
    let proteins = Source::read(&proteins).unwrap().text;
    // Symbol to UniProt.
    let proteins: BTreeSet<(&str, &str)> = proteins
        .lines()
        .filter_map(|line| line.split(',').skip(1).take(2).collect::<Vec<_>>().try_into().ok())
        .map(|[id, symbol]: [&str; 2]| (symbol, id))
        .collect();
    let drugs = Source::read(&shared("data/drugs/chembl_names_tas.csv.gz").unwrap()).unwrap().text;
    // Name with ChEMBL and ChEBI; a name may have several of either.
    let drugs: BTreeSet<(String, String)> = drugs
        .lines()
        .filter_map(|line| line.split(',').collect::<Vec<_>>().try_into().ok())
        .flat_map(|[chembl, name, chebi]: [&str; 3]| {
            [format!("chembl:{chembl}"), format!("CHEBI:{chebi}")].map(|id| (name.to_lowercase(), id))
        })
        .collect();
    let mut wrong = Vec::new();
    for row in rows("starter/perturbations.tsv") {
        let names: Vec<String> =
            std::iter::once(row[0].as_str()).chain(row[3].split(';')).map(str::to_lowercase).collect();
        for id in row[2].split(';') {
            let known = match id.split_once(':').unwrap() {
                // One of its names must be the symbol of the protein's gene; IL-12 and IL-23 share a chain.
                ("uniprot", id) => proteins.iter().any(|(symbol, other)| {
                    *other == id && (names.contains(&symbol.to_lowercase()) || *symbol == "IL12B")
                }),
                ("CHEBI", "16412") => row[0] == "lipopolysaccharide",
                _ => names.iter().any(|name| drugs.contains(&(name.clone(), id.to_owned()))),
            };
            if !known {
                wrong.push(format!("{}: {id}", row[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn every_expected_pathway_is_a_gene_set_of_ours_of_hallmark_or_of_reactome() {
    let mut known: BTreeSet<String> =
        asset("starter/gene_sets.gmt").lines().filter_map(|line| line.split('\t').next().map(str::to_owned)).collect();
    for file in ["h.all.v7.0.symbols", "ReactomePathways"] {
        let Some(path) = shared(&format!("data/genesets/{file}.gmt.gz")) else { return };
        let text = Source::read(&path).unwrap().text;
        known.extend(text.lines().filter_map(|line| line.split('\t').next().map(str::to_owned)));
    }
    let rows = rows("starter/perturbations.tsv");
    let unknown: Vec<_> = rows.iter().flat_map(|row| row[7].split(';')).filter(|name| !known.contains(*name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[tokio::test]
async fn the_starter_is_imported_once_and_answers() {
    for database in databases().await {
        let first = starter::import(&database, &|_, _| {}).await.unwrap();
        assert!(
            first.iter().all(|i| i.outcome == Stored::New && i.problems.is_empty() && i.unresolved.is_empty()),
            "{first:?}"
        );
        let again = starter::import(&database, &|_, _| {}).await.unwrap();
        assert!(again.iter().all(|imported| imported.outcome == Stored::Unchanged), "{}: {again:?}", database.kind);

        let knowledge = Knowledge::load(&database).await.unwrap();
        let perturbations = knowledge.perturbations();
        let kind = |kind| perturbations.iter().filter(|p| p.kind == kind).count();
        assert!(kind(PerturbationKind::Cytokine) >= 20 && kind(PerturbationKind::Drug) >= 8);
        for (id, label) in starter::cell_types() {
            let Resolution::Resolved(found) = knowledge.resolve(Kind::CellType, label) else { panic!("{label}") };
            assert_eq!(found.term.id.as_str(), id);
            assert!(!knowledge.markers(&found.term.id).is_empty(), "{label} has no markers");
        }
        for perturbation in perturbations {
            let names = std::iter::once(&perturbation.name).chain(&perturbation.synonyms);
            for name in names {
                let found = knowledge.resolve(Kind::Perturbation, name);
                assert_eq!(found.term().map(|term| &term.name), Some(&perturbation.name), "{name}");
            }
        }
    }
}
