//! Questions as people ask them, and what is understood of them.

use haystack::domain::run::FailureKind::{self, EntityResolutionError, QueryParsingError};
use haystack::knowledge::question::{Holdings, understand};
use haystack::knowledge::{Knowledge, Parts, Source, gmt, obo, perturbations};

use crate::support::shared;

/// What the starter brings, without a database.
fn starter() -> Knowledge {
    Knowledge::new(parts())
}

/// The same with whole releases of the ontologies, in which many more words are names.
fn releases() -> Option<Knowledge> {
    let mut terms = Vec::new();
    for name in ["cl.2026-03-26", "uberon.2026-04-01", "mondo.2026-05-05"] {
        let path = shared(&format!("data/ontologies/derived/{name}.derived.obo.gz"))?;
        let document = obo::parse(&Source::read(&path).unwrap()).unwrap();
        terms.extend(document.into_ontology(None).unwrap().0.terms);
    }
    Some(Knowledge::new(Parts { terms, ..parts() }))
}

fn parts() -> Parts {
    let source = |name: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/starter").join(name);
        Source::read(&path).unwrap()
    };
    let mut terms = Vec::new();
    for name in ["cl.obo", "uberon.obo", "mondo.obo"] {
        terms.extend(obo::parse(&source(name)).unwrap().into_ontology(None).unwrap().0.terms);
    }
    let perturbations = perturbations::parse(&source("perturbations.tsv")).unwrap().0;
    Parts {
        terms,
        perturbations: perturbations.into_iter().map(|p| ("starter".to_owned(), p)).collect(),
        gene_sets: gmt::parse(&source("gene_sets.gmt"), "starter").unwrap().0,
        ..Parts::default()
    }
}

fn holdings() -> Holdings {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    Holdings {
        donors: owned(&["KD_047", "Donor1", "101", "1488"]),
        perturbations: owned(&["ADT-1004", "interferon beta"]),
        datasets: owned(&["kang", "parse_pbmc"]),
        organisms: owned(&["Homo sapiens"]),
    }
}

const B: &str = "CL:0000236";
const T: &str = "CL:0000084";
const NK: &str = "CL:0000623";
const MACROPHAGE: &str = "CL:0000235";
const LUNG_FIBROBLAST: &str = "CL:0002553";

/// Question, cell type, perturbation (name, or empty).
const UNDERSTOOD: [(&str, &str, &str); 71] = [
    ("How would B cells respond to interferon beta?", B, "interferon beta"),
    ("how would b-cells respond to IFN-β", B, "interferon beta"),
    ("How would a B cell respond to IFNb?", B, "interferon beta"),
    ("How do B lymphocytes respond to interferon-beta treatment?", B, "interferon beta"),
    ("What is the effect of IFN-beta on B cells?", B, "interferon beta"),
    ("Effects of interferon beta upon the B cell", B, "interferon beta"),
    ("What happens to B cells treated with IFNB1?", B, "interferon beta"),
    ("What happens to B cells when they are stimulated with interferon beta?", B, "interferon beta"),
    ("Predict the response of B cells to interferon beta", B, "interferon beta"),
    ("Predict B cell response to type I interferon beta.", B, "interferon beta"),
    ("interferon beta on B cells", B, "interferon beta"),
    ("How does interferon beta affect B cells?", B, "interferon beta"),
    ("What would interferon beta do to B cells?", B, "interferon beta"),
    ("How would IFNb-stimulated B cells change?", B, "interferon beta"),
    ("How would lung fibroblasts respond to TGF-beta?", LUNG_FIBROBLAST, "TGF-beta 1"),
    ("How would fibroblasts of the lung respond to TGFB1?", LUNG_FIBROBLAST, "TGF-beta 1"),
    ("How would fibroblasts from lung respond to TGFβ1?", LUNG_FIBROBLAST, "TGF-beta 1"),
    ("Pulmonary fibroblasts exposed to TGF-β", LUNG_FIBROBLAST, "TGF-beta 1"),
    ("How would pulmonary fibroblasts react to transforming growth factor beta 1?", LUNG_FIBROBLAST, "TGF-beta 1"),
    ("IL-2 on T cells", T, "interleukin-2"),
    ("IL2 effect on T-cells", T, "interleukin-2"),
    ("How would T lymphocytes respond to recombinant human IL-2?", T, "interleukin-2"),
    ("How would Tregs respond to interleukin 2?", "CL:0000815", "interleukin-2"),
    ("How would NK cells respond to IL-15?", NK, "interleukin-15"),
    ("How would natural killer cells respond to IL15?", NK, "interleukin-15"),
    ("Effect of ibrutinib on NK cells", NK, "ibrutinib"),
    ("What happens to NK cells under Imbruvica?", NK, "ibrutinib"),
    ("How would T helper 17 cells respond to IL-23?", "CL:0000899", "interleukin-23"),
    ("How would Th17 cells respond to IL-6?", "CL:0000899", "interleukin-6"),
    ("How would CD14 monocytes respond to LPS?", "CL:0001054", "lipopolysaccharide"),
    ("How would CD14+ monocytes respond to lipopolysaccharide?", "CL:0001054", "lipopolysaccharide"),
    ("LPS-treated macrophages: what changes?", MACROPHAGE, "lipopolysaccharide"),
    ("How would macrophages respond to M-CSF?", MACROPHAGE, "M-CSF"),
    ("How would macrophages respond to macrophage colony-stimulating factor?", MACROPHAGE, "M-CSF"),
    ("How would monocytes respond to GM-CSF?", "CL:0000576", "GM-CSF"),
    ("How would B cells respond to B-cell activating factor?", B, "BAFF"),
    ("How would T cells respond to T-cell growth factor?", T, "interleukin-2"),
    ("How would CD8+ T cells respond to IL-21?", "CL:0000625", "interleukin-21"),
    ("How would CD4 T cells respond to tofacitinib?", "CL:0000624", "tofacitinib"),
    ("How would naive CD4+ T cells respond to IL-4?", "CL:0000895", "interleukin-4"),
    ("How would FCGR3A+ monocytes respond to IFN-γ?", "CL:0002396", "interferon gamma"),
    ("How would pDCs respond to interferon alpha?", "CL:0000784", "interferon alpha"),
    ("How would plasmacytoid dendritic cells respond to IFNα?", "CL:0000784", "interferon alpha"),
    ("How would MAIT cells respond to IL-12?", "CL:0000940", "interleukin-12"),
    ("How would hepatocytes respond to interleukin-6?", "CL:0000182", "interleukin-6"),
    ("How would keratinocytes respond to IL-17?", "CL:0000312", "interleukin-17A"),
    ("How would endothelial cells respond to TNF-α?", "CL:0000115", "tumor necrosis factor"),
    ("How would the endothelium's endothelial cells respond to TNFa?", "CL:0000115", "tumor necrosis factor"),
    ("How would microglia respond to IL-1β?", "CL:0000129", "interleukin-1 beta"),
    ("How would astrocytes respond to IL1 beta?", "CL:0000127", "interleukin-1 beta"),
    ("How would monocytes respond to dexamethasone?", "CL:0000576", "dexamethasone"),
    ("How would monocytes respond to Dex?", "CL:0000576", "dexamethasone"),
    ("How would plasma cells respond to bortezomib?", "CL:0000786", "bortezomib"),
    ("How would type II pneumocytes respond to IL-13?", "CL:0002063", "interleukin-13"),
    ("How would AT2 cells respond to IL-13?", "CL:0002063", "interleukin-13"),
    ("How would neutrophils respond to G-CSF?", "CL:0000775", "G-CSF"),
    ("How would dendritic cells respond to CD40L?", "CL:0000451", "CD40 ligand"),
    ("How would smooth muscle cells respond to PDGF-BB?", "CL:0000192", "PDGF-BB"),
    ("How would T cells from PBMC respond to IL-2?", T, "interleukin-2"),
    ("How would haematopoietic stem cells respond to interferon gamma?", "CL:0000037", "interferon gamma"),
    ("How would monocytes respond to ADT-1004?", "CL:0000576", "ADT-1004"),
    ("How would T cells respond to knockout of STAT1?", T, "STAT1 knockout"),
    ("knockout of JAK1 in NK cells", NK, "JAK1 knockout"),
    ("What happens to B cells with BTK KO?", B, "BTK knockout"),
    ("What happens to T cells when STAT1 is knocked out?", T, "STAT1 knockout"),
    ("MYC overexpression in B cells", B, "MYC overexpression"),
    ("CHEBI:41879 on CL:0000576", "CL:0000576", "dexamethasone"),
    ("Wie würden B cells auf IFN-beta reagieren?", B, "interferon beta"),
    ("HOW WOULD B CELLS RESPOND TO INTERFERON BETA???", B, "interferon beta"),
    ("I have B cells. How would they respond to IL-4?", B, "interleukin-4"),
    ("   How   would\tB cells\nrespond to (IL-4)?  ", B, "interleukin-4"),
];

#[test]
fn questions_are_understood_in_many_ways_of_asking() {
    let holdings = holdings();
    let mut wrong = Vec::new();
    let all = [Some(starter()), releases()];
    let cases = all.iter().flatten().flat_map(|knowledge| UNDERSTOOD.map(|case| (knowledge, case)));
    for (knowledge, (question, cell_type, perturbation)) in cases {
        match understand(knowledge, &holdings, question) {
            Ok(query) => {
                let found = query.perturbation.as_ref().map_or("", |p| &p.name);
                let task = query.task.as_str();
                if query.cell_type.id.as_str() != cell_type
                    || found != perturbation
                    || task != "perturbation_novel_cell_types"
                {
                    wrong.push(format!(
                        "{question}\n   {} {}, {found}, {task}",
                        query.cell_type.id, query.cell_type.name
                    ));
                }
            }
            Err(failure) => wrong.push(format!("{question}\n   {failure} ({:?})", failure.hint)),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), UNDERSTOOD.len(), wrong.join("\n"));
}

/// Question, kind of failure, words that its message and hint must have.
const REFUSED: [(&str, FailureKind, &[&str]); 27] = [
    ("B cells?", QueryParsingError, &["8 characters", "10"]),
    ("How would macrophages respond?", QueryParsingError, &["macrophage", "CL:0000235"]),
    ("Tell me about macrophages please", QueryParsingError, &["macrophage"]),
    ("How would they respond to interferon beta?", QueryParsingError, &["which cell type"]),
    ("What is the meaning of life?", EntityResolutionError, &["meaning"]),
    ("How would B cels respond to interferon beta?", EntityResolutionError, &["'B cels'", "B cell", "CL:0000236"]),
    ("How would macrophgaes respond to LPS?", EntityResolutionError, &["macrophgaes", "CL:0000235"]),
    ("How would florbocytes respond to LPS?", EntityResolutionError, &["'florbocytes'"]),
    ("How would B cells respond to interferon bta?", EntityResolutionError, &["'interferon bta'", "interferon beta"]),
    ("How would B cells respond to interferon?", EntityResolutionError, &["'interferon'", "interferon gamma"]),
    ("How would B cells respond to unobtainium?", EntityResolutionError, &["'unobtainium'"]),
    ("What is the effect of unobtainium on B cells?", EntityResolutionError, &["'unobtainium'"]),
    ("How does unobtainium affect B cells?", EntityResolutionError, &["'unobtainium'"]),
    ("How would dexamethasome change B cells?", EntityResolutionError, &["'dexamethasome'", "dexamethasone"]),
    ("unobtainium-treated B cells", EntityResolutionError, &["'unobtainium'"]),
    ("knockout of FOOBAR1 in B cells", EntityResolutionError, &["FOOBAR1"]),
    ("How would B cells respond to a TNF inhibitor?", EntityResolutionError, &["'TNF inhibitor'"]),
    ("How would B cells respond to IL-6 blockade?", EntityResolutionError, &["'IL-6 blockade'"]),
    ("How would B cells respond to anti TNF?", EntityResolutionError, &["'anti TNF'"]),
    ("How would T cells respond to the absence of IL-2?", EntityResolutionError, &["absence of IL-2"]),
    (
        "How would T cells respond to macrophages?",
        EntityResolutionError,
        &["'macrophages' is a cell type", "CL:0000235"],
    ),
    ("How would DC2 respond to LPS in culture?", EntityResolutionError, &["'DC2'", "CL:0002399", "CL:0000784"]),
    ("How would NK cells respond to IL-2 and IL-15?", QueryParsingError, &["interleukin-2", "interleukin-15"]),
    ("How would B cells and T cells respond to IL-4?", QueryParsingError, &["B cell", "T cell"]),
    ("How would B cells of donor KD_048 respond to IL-4?", EntityResolutionError, &["'KD_048'", "KD_047"]),
    ("How would mouse B cells respond to interferon beta?", EntityResolutionError, &["mouse", "Homo sapiens"]),
    ("How would respond to interferon beta the florbs of the lung?", EntityResolutionError, &["florbs"]),
];

#[test]
fn what_is_not_understood_is_refused_with_the_words_and_what_they_may_mean() {
    let holdings = holdings();
    let mut wrong = Vec::new();
    let all = [Some(starter()), releases()];
    let cases = all.iter().flatten().flat_map(|knowledge| REFUSED.map(|case| (knowledge, case)));
    for (knowledge, (question, kind, words)) in cases {
        match understand(knowledge, &holdings, question) {
            Ok(query) => {
                let found = query.perturbation.as_ref().map(|p| &p.name);
                wrong.push(format!("{question}\n   understood: {:?}, {found:?}", query.cell_type));
            }
            Err(failure) => {
                let text = format!("{failure} {}", failure.hint.clone().unwrap_or_default());
                if failure.kind != kind || words.iter().any(|word| !text.contains(word)) {
                    wrong.push(format!("{question}\n   {:?} {text}", failure.kind));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), REFUSED.len(), wrong.join("\n"));
}

#[test]
fn an_organism_is_refused_only_where_all_that_is_held_is_known_to_be_another() {
    let knowledge = starter();
    let ask = |held: &[&str], organism: &str| {
        let organisms = held.iter().map(|&name| name.to_owned()).collect();
        let question = format!("How would the {organism} B cell respond to interferon beta?");
        understand(&knowledge, &Holdings { organisms, ..holdings() }, &question)
    };
    for held in [&["GRCh38"][..], &["hg19", "mm10"], &["Homo_sapiens"], &["Homo sapiens", "my own spelling"]] {
        assert_eq!(ask(held, "human").unwrap().notes, Vec::<String>::new(), "{held:?}");
    }
    for held in [&["GRCh38"][..], &["Homo sapiens", "Danio rerio"]] {
        let failure = ask(held, "mouse").unwrap_err();
        assert!(failure.message.contains(&held.join(" and ")), "{failure}");
    }
    // An atlas may mean mice by it.
    let notes = ask(&["Homo sapiens", "my own spelling"], "mouse").unwrap().notes.join("; ");
    assert!(notes.contains("not taken into account: 'mouse'"), "{notes}");
    assert!(ask(&["GRCm38"], "human").is_err());
}

#[test]
fn context_decides_the_task() {
    let (knowledge, holdings) = (starter(), holdings());
    let task = |question: &str| understand(&knowledge, &holdings, question).unwrap();
    let query = task("How would the macrophages of donor KD_047 with chronic kidney disease respond to IFN-gamma?");
    assert_eq!(query.task.as_str(), "perturbation_novel_samples");
    assert_eq!(query.donor.as_deref(), Some("KD_047"));
    assert_eq!(query.disease.unwrap().name, "chronic kidney disease");
    assert_eq!(
        task("How would a lupus patient's B cells respond to IFN-beta?").task.as_str(),
        "perturbation_novel_samples"
    );
    assert_eq!(task("How would B cells of donor 101 respond to IFN-beta?").donor.as_deref(), Some("101"));

    let query = task("Predict macrophage expression for donor KD_047 with CKD");
    assert_eq!(query.task.as_str(), "donor_expression_prediction");
    assert_eq!((query.donor.as_deref(), query.cell_type.id.as_str()), (Some("KD_047"), MACROPHAGE));
    assert!(query.perturbation.is_none());
    assert_eq!(task("Impute the missing B cells of this sample").task.as_str(), "cell_type_imputation");
    assert_eq!(
        task("What would the B cells of kang look like in parse_pbmc?").task.as_str(),
        "cross_dataset_generation"
    );

    let query = task("How would T cells in the lung respond to IL-2?");
    assert_eq!(query.tissue.unwrap().name, "lung");
    let query = task("How would T cells from PBMC respond to IL-2?");
    assert_eq!(query.tissue.unwrap().name, "blood");
}

#[test]
fn notes_say_how_names_were_read_and_what_was_left_out() {
    let (knowledge, holdings) = (starter(), holdings());
    let notes = |question: &str| understand(&knowledge, &holdings, question).unwrap().notes;
    assert_eq!(notes("How would the B cell respond to interferon beta?"), Vec::<String>::new());
    assert_eq!(notes("How would the human B cell respond to interferon beta?"), Vec::<String>::new());
    let all = notes("How would exhausted B cells respond to IFNb after 24 hours?").join("; ");
    for expected in [
        "'IFNb' was read as the perturbation interferon beta (uniprot:P01574)",
        "not taken into account: 'exhausted', '24 hours'",
    ] {
        assert!(all.contains(expected), "{all}");
    }
}
