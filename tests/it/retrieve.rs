//! From a question to prompts, controls and query cells, on SQLite and on PostgreSQL.

use std::sync::Arc;

use haystack::atlas::controls::{QueryWish, pair, query_cells};
use haystack::atlas::import::{self, Request};
use haystack::atlas::simulate::{self, Design, Sizes};
use haystack::atlas::{Atlas, Rows, resolve};
use haystack::config::{Config, Environment};
use haystack::domain::query::{StructuredQuery, Task};
use haystack::domain::run::{EffectiveControl, FailureKind, Measured, PromptCandidate, Strategy};
use haystack::domain::{CellSet, Curie, Term};
use haystack::knowledge::{Kind, Knowledge, starter};
use haystack::orchestrate::retrieve;

use crate::atlas::request;
use crate::support::{TestDatabase, databases, fixture, shared};

fn retrieval() -> haystack::config::Retrieval {
    let home = ("HAYSTACK_HOME".to_owned(), "/nowhere".to_owned());
    Config::load(None, &Environment::from_iter([home])).unwrap().retrieval
}

/// Fresh databases with one atlas, resolved with the knowledge of the starter.
async fn prepared(request: &Request) -> Vec<(TestDatabase, Atlas, Arc<Knowledge>)> {
    let mut prepared = Vec::new();
    for database in databases().await {
        starter::import(&database, &|_, _| ()).await.unwrap();
        let knowledge = Arc::new(Knowledge::load(&database).await.unwrap());
        let versions = resolve::versions(&knowledge);
        let resolve = resolve::with(knowledge.clone());
        import::import(&database, resolve, versions, request.clone(), |_| ()).await.unwrap();
        let atlas = Atlas::new((*database).clone());
        prepared.push((database, atlas, knowledge));
    }
    prepared
}

fn question(knowledge: &Knowledge, cell_type: &str, perturbation: &str) -> StructuredQuery {
    let term = |kind, text: &str| -> Term { knowledge.resolve(kind, text).term().unwrap().clone() };
    let perturbation = term(Kind::Perturbation, perturbation);
    StructuredQuery {
        question: String::new(),
        task: Task::PerturbationNovelCellTypes,
        cell_type: term(Kind::CellType, cell_type),
        perturbation: knowledge.perturbation(&perturbation),
        tissue: None,
        disease: None,
        donor: None,
        notes: vec![],
    }
}

fn cell_types(candidates: &[PromptCandidate]) -> Vec<&str> {
    candidates.iter().map(|c| c.sets[0].key.cell_type_id().unwrap().as_str()).collect()
}

fn without_ids(mut candidates: Vec<PromptCandidate>) -> Vec<PromptCandidate> {
    candidates.iter_mut().flat_map(|candidate| &mut candidate.sets).for_each(|set| set.id = 0);
    candidates
}

#[tokio::test]
async fn b_cells_under_interferon_beta_are_shown_by_other_cells_of_kang() {
    let Some(file) = shared("data/singlecell/kang2018_muscat_1556x1267.h5ad") else { return };
    let mapping = std::fs::read_to_string(fixture("kang2018.toml")).unwrap();
    let mut seen = Vec::new();
    for (_database, atlas, knowledge) in prepared(&request(&file, "kang", Some(&mapping))).await {
        let query = question(&knowledge, "B cells", "interferon beta");
        let found =
            retrieve::candidates(&atlas, &knowledge, &query, Measured::HoldOut, &[], &retrieval()).await.unwrap();

        // Four other types of two donors; B cells of both donors are kept for comparison.
        assert_eq!((found.n_proposed, found.candidates.len()), (8, 8));
        assert_eq!(found.measured.iter().map(|set| set.n_cells).collect::<Vec<_>>(), [100, 54]);
        for candidate in &found.candidates {
            let set = &candidate.sets[0];
            assert!(set.key.condition.perturbation().is_some_and(|label| label.name() == "interferon beta"));
            assert_ne!(set.key.cell_type_id().unwrap().as_str(), "CL:0000236");
            assert!(candidate.has_control && candidate.relevance >= 0.5, "{}", candidate.rationale);
        }
        // T cells before monocytes of as many cells; the highest rank first.
        assert_eq!(cell_types(&found.candidates)[0], "CL:0000624", "{:?}", found.candidates[0].rationale);
        let of =
            |id: &str| found.candidates.iter().find(|c| c.sets[0].key.cell_type_id().unwrap().as_str() == id).unwrap();
        assert!(of("CL:0000624").relevance > of("CL:0001054").relevance);

        // The paired controls are the same type and donor, never another.
        let controls = atlas.all_controls().await.unwrap();
        let prompt = &found.candidates[0];
        let EffectiveControl::SyntheticControl { sets, relaxations } = pair(&prompt.sets, &controls, 10) else {
            panic!("no controls for {}", prompt.rationale)
        };
        assert!(relaxations.is_empty(), "{relaxations:?}");
        assert_eq!((sets.len(), &sets[0].key.donor), (1, &prompt.sets[0].key.donor));
        assert_eq!(sets[0].key.cell_type, prompt.sets[0].key.cell_type);

        // Query cells: unstimulated B cells of the prompt's donor where there are enough of them.
        let descendants: Vec<Curie> = knowledge.descendants(&query.cell_type.id).into_iter().map(|t| t.id).collect();
        let wish = QueryWish {
            cell_type: &query.cell_type.id,
            descendants: &descendants,
            prompt: &prompt.sets,
            donor: None,
            tissue: None,
            disease: None,
        };
        let chosen = query_cells(&wish, &controls, 10).unwrap();
        let n: u64 = chosen.sets.iter().map(|set| set.n_cells).sum();
        assert_eq!((n, chosen.relaxations.is_empty()), (100, true));
        assert_eq!(chosen.sets[0].key.donor.as_deref(), Some("101"));

        // Nothing is drawn twice.
        let load = async |sets: &[CellSet], n: u32, avoid: &Rows| atlas.load(sets, n, 10, 1, avoid).await.unwrap();
        let shown = load(&prompt.sets, 64, &Rows::default()).await;
        let control = load(&sets, 64, &shown.rows).await;
        let mut taken = shown.rows.clone();
        taken.extend(&control.rows);
        let asked = load(&chosen.sets, 64, &taken).await;
        assert_eq!([shown.cells.len(), control.cells.len(), asked.cells.len()], [64, 64, 64]);
        assert_eq!(asked.rows.overlap(&taken) + control.rows.overlap(&shown.rows), 0);
        seen.push((without_ids(found.candidates), asked));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "the two databases find different prompts");
}

#[tokio::test]
async fn tried_prompts_do_not_come_back_and_all_tried_is_no_error() {
    for (_database, atlas, knowledge) in prepared(&tiny()).await {
        let query = question(&knowledge, "B cell", "IFNB");
        let mut tried: Vec<PromptCandidate> = Vec::new();
        loop {
            let found = retrieve::candidates(&atlas, &knowledge, &query, Measured::HoldOut, &tried, &retrieval())
                .await
                .unwrap();
            let Some(next) = found.candidates.into_iter().next() else { break };
            assert!(tried.iter().all(|candidate| candidate.selection_key() != next.selection_key()));
            tried.push(next);
        }
        // T cells, monocytes, NK and mystery cells of two donors.
        assert_eq!(tried.len(), 8);
        // One after the other, they try another type before another donor of the same one.
        let order: Vec<&str> = tried[..3].iter().map(|c| c.sets[0].key.cell_type.original.as_str()).collect();
        assert_eq!(order, ["T cell", "natural killer cell", "monocyte"]);
    }
}

#[tokio::test]
async fn using_what_was_measured_and_asking_for_a_donor_change_what_is_held_out() {
    for (_database, atlas, knowledge) in prepared(&tiny()).await {
        let find = async |query: &StructuredQuery, measured| {
            retrieve::candidates(&atlas, &knowledge, query, measured, &[], &retrieval()).await.unwrap()
        };
        let mut query = question(&knowledge, "B cell", "IFNB");
        let used = find(&query, Measured::Use).await;
        assert_eq!(used.candidates[0].relevance, 1.0);
        assert_eq!(used.candidates[0].strategy, Strategy::Direct);
        assert_eq!((cell_types(&used.candidates[..1]), used.measured.len()), (vec!["CL:0000236"], 0));

        query.task = Task::PerturbationNovelSamples;
        query.donor = Some("D2".to_owned());
        let sample = find(&query, Measured::HoldOut).await;
        assert!(sample.candidates.iter().all(|c| c.sets[0].key.donor.as_deref() == Some("D1")));
        assert_eq!(cell_types(&sample.candidates[..1]), ["CL:0000236"]);
        assert_eq!(sample.measured.len(), 1);
        assert_eq!(sample.measured[0].key.donor.as_deref(), Some("D2"));
    }
}

#[tokio::test]
async fn questions_that_cannot_be_served_say_why() {
    for (_database, atlas, knowledge) in prepared(&tiny()).await {
        let fail = async |query: &StructuredQuery| {
            let found = retrieve::candidates(&atlas, &knowledge, query, Measured::HoldOut, &[], &retrieval()).await;
            let failure = found.unwrap_err();
            assert_eq!(failure.kind, FailureKind::RetrievalError);
            format!("{} / {}", failure.message, failure.hint.unwrap_or_default())
        };
        let unheld = fail(&question(&knowledge, "B cell", "dexamethasone")).await;
        assert!(unheld.contains("no cells under dexamethasone") && unheld.contains("interferon beta"), "{unheld}");

        let mut other = question(&knowledge, "B cell", "IFNB");
        other.task = Task::CellTypeImputation;
        let observational = fail(&other).await;
        assert!(observational.contains("cell_type_imputation"), "{observational}");

        // IL6 was given to T cells and monocytes alone, of one donor, ten each.
        let mut single = question(&knowledge, "T cell", "IL6");
        single.task = Task::PerturbationNovelSamples;
        single.donor = Some("D1".to_owned());
        let only = fail(&single).await;
        assert!(only.contains("kept back for comparison"), "{only}");
    }
}

#[tokio::test]
async fn the_simulated_atlas_answers_and_says_that_it_is_simulated() {
    let folder = tempfile::tempdir().unwrap();
    let design = Design::starter(Sizes { donors: 2, control_cells: 12, treated_cells: 10 }).unwrap();
    let file = folder.path().join(simulate::file_name(&design, 0));
    simulate::write(&file, &design, 0).unwrap();
    for (database, atlas, knowledge) in prepared(&request(&file, simulate::DATASET, None)).await {
        let dataset = database.dataset(simulate::DATASET).await.unwrap().unwrap();
        assert!(dataset.simulated);
        let unresolved: Vec<_> = dataset.summary.unresolved().collect();
        assert!(unresolved.is_empty(), "{unresolved:?}");
        let query = question(&knowledge, "lung fibroblasts", "TGF-beta");
        let found =
            retrieve::candidates(&atlas, &knowledge, &query, Measured::HoldOut, &[], &retrieval()).await.unwrap();
        assert_eq!(found.candidates.len(), 10);
        assert!(found.candidates.iter().all(|c| c.has_control));
        assert!(cell_types(&found.candidates).iter().all(|id| *id != "CL:0002553"));
        assert_eq!(found.measured.len(), 2);
    }
}

fn tiny() -> Request {
    let mapping = "gene_symbols = 'symbol'\ncell_type = 'type'\ndonor = 'patient'\nperturbation = 'treatment'";
    request(fixture("atlas/tiny.h5ad"), "tiny", Some(mapping))
}
