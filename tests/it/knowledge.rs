//! Knowledge through the database: stored whole or not at all, once, and found again.

use haystack::database::{Database, Facts, Stored};
use haystack::domain::{Curie, Ontology, OntologyTerm, Regulation, Scope, Synonym};
use haystack::knowledge::{Error, Kind, Knowledge, Resolution, Source, import};

use crate::support::{databases, shared};

const NO_PROGRESS: import::OnRows<'static> = &|_, _| {};

const ONTOLOGY: &str = "format-version: 1.2\ndata-version: 2020-01-01\nontology: cl\n
[Term]\nid: CL:0000084\nname: T cell\nsynonym: \"T lymphocyte\" EXACT []\nis_a: CL:0000542
[Term]\nid: CL:0000542\nname: lymphocyte\n
[Term]\nid: CL:0000236\nname: B cell\ndef: \"Makes antibodies.\" []\nis_a: CL:0000542\nalt_id: CL:0000001
[Term]\nid: CL:0000009\nname: obsolete thing\nis_obsolete: true\nreplaced_by: CL:0000084
[Term]\nid: CL:0000800\nname: mature T cell\nis_a: CL:0000084\nrelationship: develops_from CL:0000542
[Term]\nid: UBERON:0000178\nname: blood\n";

fn source(name: &str, text: &str) -> Source {
    Source::from_text(name, text)
}

fn id(text: &str) -> Curie {
    text.parse().unwrap()
}

#[tokio::test]
async fn an_ontology_is_stored_once_and_replaced_whole() {
    for database in databases().await {
        let first = import::ontology(&database, &source("a.obo", ONTOLOGY), None, NO_PROGRESS).await.unwrap();
        assert_eq!(
            (first.outcome, first.name.as_str(), first.version.as_deref()),
            (Stored::New, "CL", Some("2020-01-01"))
        );
        let again = import::ontology(&database, &source("b.obo", ONTOLOGY), None, NO_PROGRESS).await.unwrap();
        assert_eq!(again.outcome, Stored::Unchanged);

        let knowledge = Knowledge::load(&database).await.unwrap();
        assert_eq!(knowledge.ontologies()[0].source, "a.obo");
        assert!(knowledge.term(&id("UBERON:0000178")).is_none(), "a term of another ontology");
        for (old, new) in [("CL:0000009", "CL:0000084"), ("CL:0000001", "CL:0000236")] {
            assert_eq!(knowledge.term(&id(old)).unwrap().id, id(new));
        }
        let below: Vec<_> = knowledge.descendants(&id("CL:0000542")).into_iter().map(|term| term.name).collect();
        assert_eq!(below, ["T cell", "B cell", "mature T cell"]);
        let near: Vec<_> =
            knowledge.neighbours(&id("CL:0000800")).iter().map(|n| format!("{} {}", n.term.name, n.step)).collect();
        assert_eq!(near, ["T cell is_a", "lymphocyte develops_from"]);
        assert_eq!(database.definition(&id("CL:0000236")).await.unwrap().as_deref(), Some("Makes antibodies."));
        assert_eq!(knowledge.resolve(Kind::CellType, "T-lymphocytes").term().unwrap().id, id("CL:0000084"));

        let newer = "data-version: 2021-01-01\n[Term]\nid: CL:0000084\nname: T cell, new\n";
        let replaced = import::ontology(&database, &source("c.obo", newer), None, NO_PROGRESS).await.unwrap();
        assert_eq!(replaced.outcome, Stored::Replaced);
        let knowledge = Knowledge::load(&database).await.unwrap();
        assert_eq!(knowledge.graph().terms().len(), 1, "{}: the old release is gone", database.kind);
    }
}

#[tokio::test]
async fn what_cannot_be_imported_changes_nothing() {
    for database in databases().await {
        import::ontology(&database, &source("a.obo", ONTOLOGY), None, NO_PROGRESS).await.unwrap();
        let before = state(&database).await;
        let looped = "ontology: cl\n[Term]\nid: CL:1\nname: a\nis_a: CL:2\n[Term]\nid: CL:2\nname: b\nis_a: CL:1\n";
        let error = import::ontology(&database, &source("l.obo", looped), None, NO_PROGRESS).await.unwrap_err();
        assert!(matches!(&error, Error::Cycle { members, .. } if members.len() == 2), "{error}");
        assert!(import::gene_sets(&database, &source("x.gmt", "nonsense"), "x", NO_PROGRESS).await.is_err());
        assert!(import::regulons(&database, &source("x.csv", "a,b\n1,2\n"), "x", &[], NO_PROGRESS).await.is_err());
        assert!(import::perturbations(&database, &source("x.tsv", ""), "x", NO_PROGRESS).await.is_err());
        let unknown = "cell_type\tgene\nflorbocyte\tX\n";
        assert!(import::markers(&database, &source("m.tsv", unknown), "m", NO_PROGRESS).await.is_err());
        assert_eq!(state(&database).await, before, "{}", database.kind);
    }
}

#[tokio::test]
async fn markers_need_an_ontology_to_be_looked_up_in() {
    for database in databases().await {
        let table = source("m.tsv", "cell_type\tgene\nB cells\tcd19\nB cells\tMS4A1\nflorbocytes\tX\n");
        let error = import::markers(&database, &table, "m", NO_PROGRESS).await.unwrap_err().to_string();
        assert!(error.contains("haystack import ontology"), "{error}");
        import::ontology(&database, &source("a.obo", ONTOLOGY), None, NO_PROGRESS).await.unwrap();
        let imported = import::markers(&database, &table, "m", NO_PROGRESS).await.unwrap();
        assert_eq!(imported.counts, [("cell types", 1), ("markers", 2)]);
        assert!(imported.unresolved[0].starts_with("florbocytes"), "{:?}", imported.unresolved);
        let knowledge = Knowledge::load(&database).await.unwrap();
        assert_eq!(knowledge.markers(&id("CL:0000236")), ["CD19", "MS4A1"]);
    }
}

#[tokio::test]
async fn facts_are_replaced_by_source_and_perturbations_put_together() {
    for database in databases().await {
        let table = |text: &str| source("p.tsv", &format!("name\tkind\tids\tsynonyms\ttargets\n{text}"));
        let ours = table("ibrutinib\tdrug\tCHEBI:76612\tPCI-32765\t-BTK\n");
        let theirs = table("Ibrutinib\tdrug\tchembl:CHEMBL1873475\tImbruvica\t-BTK;-ITK\n");
        import::perturbations(&database, &ours, "a", NO_PROGRESS).await.unwrap();
        import::perturbations(&database, &theirs, "b", NO_PROGRESS).await.unwrap();
        let knowledge = Knowledge::load(&database).await.unwrap();
        let [one] = knowledge.perturbations() else { panic!("{:?}", knowledge.perturbations()) };
        assert_eq!((one.ids.len(), one.synonyms.len(), one.targets.len()), (2, 2, 2));
        for name in ["IMBRUVICA", "PCI 32765", "chembl:CHEMBL1873475", "ibrutinib treatment"] {
            let Resolution::Resolved(found) = knowledge.resolve(Kind::Perturbation, name) else { panic!("{name}") };
            assert_eq!(knowledge.perturbation(&found.term).as_ref(), Some(one), "{name}");
        }

        let sets = |genes: &str| source("s.gmt", &format!("A\tfirst\t{genes}\nB\t\tTNF\n"));
        import::gene_sets(&database, &sets("STAT1\tIRF1"), "mine", NO_PROGRESS).await.unwrap();
        import::gene_sets(&database, &sets("MX1"), "mine", NO_PROGRESS).await.unwrap();
        let network = source("r.csv", "source,target,weight\nSTAT1,IRF1,1\nSTAT1,MYC,-0.5\n");
        import::regulons(&database, &network, "net", &[], NO_PROGRESS).await.unwrap();
        let knowledge = Knowledge::load(&database).await.unwrap();
        let shown: Vec<_> = knowledge.gene_sets().iter().map(|s| format!("{} {}", s.name, s.genes.join("+"))).collect();
        assert_eq!(shown, ["A MX1", "B TNF"]);
        let weights: Vec<_> = knowledge.regulons()["net"].iter().map(|r| (r.target.as_str(), r.weight)).collect();
        assert_eq!(weights, [("IRF1", 1.0), ("MYC", -0.5)]);
        assert!(knowledge.is_gene("irf1") && !knowledge.is_gene("FOO1"));
    }
}

/// Any text may be a name, and a number is the same number afterwards.
#[tokio::test]
async fn what_is_stored_comes_back_to_the_last_character_and_bit() {
    for database in databases().await {
        let odd = "a \"quoted\" \\ name,\u{1e} with\u{1f} separators,\ttabs, \u{7f} and 𝛽-cells";
        let term = |id: &str, name: &str| OntologyTerm {
            id: self::id(id),
            name: name.to_owned(),
            definition: None,
            synonyms: vec![Synonym { text: odd.to_owned(), scope: Scope::Exact }],
            relations: vec![],
            obsolete: false,
            replaced_by: None,
        };
        let terms = vec![term("CL:1", odd), term("CL:2", "")];
        let ontology = Ontology { prefix: "CL".into(), version: "1".into(), terms: terms.clone() };
        database.replace_ontology(&ontology, "a.obo", "x", &|_| {}).await.unwrap();
        let mut stored = database.ontology_terms().await.unwrap();
        stored.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(stored, terms, "{}", database.kind);

        let weights = [0.1 + 0.2, -1.0 / 3.0, f64::MIN_POSITIVE, 5e-324, f64::MAX, 1.0];
        let regulation = |(n, &weight): (usize, &f64)| Regulation { source: odd.into(), target: n.to_string(), weight };
        let regulations: Vec<_> = weights.iter().enumerate().map(regulation).collect();
        database.replace_facts(odd, "x", Facts::Regulons(&regulations), &|_| {}).await.unwrap();
        let mut stored = database.regulons().await.unwrap();
        stored.sort_by(|a, b| a.1.target.cmp(&b.1.target));
        let expected: Vec<_> = regulations.into_iter().map(|regulation| (odd.to_owned(), regulation)).collect();
        assert_eq!(stored, expected, "{}", database.kind);
    }
}

#[tokio::test]
async fn two_imports_at_once_both_end_well() {
    for database in databases().await {
        let (one, two) = (source("a.obo", ONTOLOGY), source("b.obo", &ONTOLOGY.replace("T cell", "T-cell")));
        let sets = source("s.gmt", "A\t\tSTAT1\n");
        let (first, second, third, fourth) = tokio::join!(
            import::ontology(&database, &one, None, NO_PROGRESS),
            import::ontology(&database, &two, None, NO_PROGRESS),
            import::gene_sets(&database, &sets, "s", NO_PROGRESS),
            import::gene_sets(&database, &sets, "s", NO_PROGRESS),
        );
        let outcomes = [first, second].map(|result| result.unwrap().outcome);
        assert!(outcomes.contains(&Stored::New) && outcomes.contains(&Stored::Replaced), "{outcomes:?}");
        let outcomes = [third, fourth].map(|result| result.unwrap().outcome);
        assert!(outcomes.contains(&Stored::New) && outcomes.contains(&Stored::Unchanged), "{outcomes:?}");
        assert_eq!(Knowledge::load(&database).await.unwrap().graph().terms().len(), 6, "{}", database.kind);
    }
}

#[tokio::test]
async fn real_sources_are_imported_and_loaded_alike_by_both_databases() {
    if shared("data").is_none() {
        return;
    }
    let read = |name: &str| Source::read(&shared(&format!("data/{name}")).unwrap()).unwrap();
    let cl = read("ontologies/derived/cl.2026-03-26.derived.obo.gz");
    let (hallmark, reactome) = (read("genesets/h.all.v7.0.symbols.gmt.gz"), read("genesets/ReactomePathways.gmt.gz"));
    let (collectri, panglao) =
        (read("networks/collectri_human.csv.gz"), read("markers/PanglaoDB_markers_2020-03-27.tsv.gz"));
    let mut loaded = Vec::new();
    for database in databases().await {
        import::ontology(&database, &cl, None, NO_PROGRESS).await.unwrap();
        // Counts from MANIFEST.tsv: 50 sets of 4384 genes, 2546 sets, 43 178 relations.
        let imported = import::gene_sets(&database, &hallmark, "hallmark", NO_PROGRESS).await.unwrap();
        assert_eq!(imported.counts, [("gene sets", 50), ("genes", 4384)]);
        let imported = import::gene_sets(&database, &reactome, "reactome", NO_PROGRESS).await.unwrap();
        assert_eq!(imported.counts[0], ("gene sets", 2546));
        let imported = import::regulons(&database, &collectri, "collectri", &[], NO_PROGRESS).await.unwrap();
        assert_eq!(imported.counts[2], ("relations", 43178));
        let imported = import::markers(&database, &panglao, "panglao", NO_PROGRESS).await.unwrap();
        assert!(imported.counts[0].1 > 130 && imported.unresolved.len() < 45, "{:?}", imported.counts);
        let k = Knowledge::load(&database).await.unwrap();
        let markers: Vec<_> = k.graph().terms().iter().map(|term| k.markers(&term.id).to_vec()).collect();
        loaded.push((k.graph().terms().to_vec(), k.gene_sets().to_vec(), k.regulons().clone(), markers));
    }
    for other in &loaded[1..] {
        assert!(other == &loaded[0], "the two databases load different knowledge");
    }
}

/// All that is stored, as text.
async fn state(database: &Database) -> String {
    let mut terms = database.ontology_terms().await.unwrap();
    terms.sort_by(|a, b| a.id.cmp(&b.id));
    format!(
        "{:?} {:?} {terms:?} {:?} {:?}",
        database.ontologies().await.unwrap(),
        database.fact_sources().await.unwrap(),
        database.gene_sets().await.unwrap(),
        database.perturbations().await.unwrap(),
    )
}

#[tokio::test]
async fn releases_are_held_side_by_side_and_switched_whole() {
    for database in databases().await {
        let json = r#"{"CL:0000084": {"label": "T cell", "ancestors": {}},
                       "CL:0000236": {"label": "B cell of 2025", "ancestors": {"CL:0000084": 1}}}"#;
        let newer = source("CL-ontology-v2025-02-13.json", json);
        import::ontology(&database, &source("a.obo", ONTOLOGY), None, NO_PROGRESS).await.unwrap();
        let kept = import::ontology_beside(&database, &newer, None).await.unwrap();
        assert_eq!((kept.outcome, kept.version.as_deref()), (Stored::New, Some("2025-02-13")));
        let name_of = async || {
            let knowledge = Knowledge::load(&database).await.unwrap();
            let version = knowledge.ontologies()[0].version.clone();
            (version, knowledge.term(&id("CL:0000236")).unwrap().name)
        };
        assert_eq!(name_of().await, ("2020-01-01".to_owned(), "B cell".to_owned()), "kept is not in use");

        let rows = &|_| {};
        assert_eq!(database.use_ontology("CL", "2025-02-13", rows).await.unwrap(), Some(Stored::Replaced));
        assert_eq!(name_of().await, ("2025-02-13".to_owned(), "B cell of 2025".to_owned()));
        assert_eq!(database.use_ontology("CL", "1999-01-01", rows).await.unwrap(), None, "no such release");
        assert_eq!(database.use_ontology("CL", "2020-01-01", rows).await.unwrap(), Some(Stored::Replaced));
        let knowledge = Knowledge::load(&database).await.unwrap();
        assert_eq!(knowledge.term(&id("CL:0000009")).unwrap().id, id("CL:0000084"), "replacements come back too");
        assert_eq!(database.definition(&id("CL:0000236")).await.unwrap().as_deref(), Some("Makes antibodies."));
        let held: Vec<_> = database.ontology_releases().await.unwrap().into_iter().map(|held| held.version).collect();
        assert_eq!(held, ["2020-01-01", "2025-02-13"]);
    }
}

#[tokio::test]
async fn interactions_and_families_are_found_again() {
    for database in databases().await {
        let table = source("net.tsv", "source\tinteraction\ttarget\nTGFB1\t1\tTGFBR1\nX\t0\tY\n");
        import::interactions(&database, &table, "omnipath", NO_PROGRESS).await.unwrap();
        let families = "[Term]\nid: FPLX:Interferon\nname: Interferon\nsynonym: \"interferons\" EXACT []\n\
                        [Term]\nid: FPLX:IFNB\nname: IFNB\nsynonym: \"interferon beta\" EXACT []\nis_a: FPLX:Interferon\n";
        import::ontology(&database, &source("famplex.obo", families), None, NO_PROGRESS).await.unwrap();
        let cytokines = source("p.tsv", "name\tkind\tids\ninterferon beta\tcytokine\tuniprot:P01574\n");
        import::perturbations(&database, &cytokines, "ours", NO_PROGRESS).await.unwrap();

        let knowledge = Knowledge::load(&database).await.unwrap();
        let [first, second] = &knowledge.interactions()["omnipath"][..] else { panic!("two interactions") };
        assert_eq!((first.target.as_str(), first.sign, second.sign), ("TGFBR1", Some(1), None));
        let resolved = |text: &str| knowledge.resolve(Kind::Perturbation, text).term().map(|term| term.id.to_string());
        assert_eq!(resolved("IFN-β").as_deref(), Some("uniprot:P01574"), "the cytokine before its family");
        assert_eq!(resolved("interferons").as_deref(), Some("FPLX:Interferon"));
    }
}

#[test]
fn the_tables_people_have_are_read() {
    use haystack::knowledge::{cellxgene, gmt, interactions, markers, perturbations, regulons};
    let file = |name: &str| shared(&format!("data/{name}")).map(|path| Source::read(&path).unwrap());
    let Some(cl) = file("ontologies/cellxgene/CL-ontology-v2025-02-13.json.zst") else { return };
    let (cl, _) = cellxgene::parse(&cl).unwrap().into_ontology(None).unwrap();
    assert_eq!((cl.prefix.as_str(), cl.version.as_str()), ("CL", "2025-02-13"));
    assert!(cl.terms.len() > 3000 && cl.terms.iter().any(|term| term.obsolete && term.replaced_by.is_some()));

    // Pairs that differ, and rows whose names are no symbols (`IFNA1;`, `IL23 complex`), as a few lines of
    // Python's csv count them, the genes of a complex in the order of the alphabet.
    for (name, pairs, passed_over) in [
        ("string_v12_ge700.tsv.gz", 174_962, 0),
        ("omnipath_carnival.tsv.gz", 19_805, 1),
        ("omnipath_nichenet_lr_network.tsv.gz", 2790, 0),
        ("liana_omni_resource.csv.gz", 7994, 3),
        ("HI-II-14.tsv.gz", 13_944, 0),
        ("CellChatDB_human_interaction.tsv.gz", 3217, 0),
        ("cytokinefinder_lr_11db.tsv.gz", 51_986, 38),
    ] {
        let (found, problems) = interactions::parse(&file(&format!("networks/{name}")).unwrap()).unwrap();
        assert_eq!((found.len(), problems.len()), (pairs, passed_over), "{name}: {:?}", problems.first());
    }
    // Names that differ, whatever their case, and rows without a gene, drug or name, counted the same way.
    for (name, names, passed_over) in [
        ("drugs/dgidb_interactions_2022_subset.tsv.gz", 5643, 6336),
        ("drugs/repurposing_drugs_20200324.txt.gz", 6798, 0),
        ("drugs/repurposing_samples_20200324.txt.gz", 6798, 0),
        ("drugs/chembl_names_tas.csv.gz", 39_775, 5472),
        ("markers/cytosig_weights_scaper.tsv.gz", 41, 0),
        ("markers/cytosig_beta_5765x64.tsv.gz", 64, 0),
    ] {
        let (found, problems) = perturbations::parse(&file(name).unwrap()).unwrap();
        assert_eq!((found.len(), problems.len()), (names, passed_over), "{name}: {:?}", problems.first());
    }
    for name in [
        "PanglaoDB_markers_2020-03-27.tsv.gz",
        "cellmarkeraccordion_human.tsv.gz",
        "celltaxonomy_human.tsv.gz",
        "openscpca_consensus-markers.tsv.gz",
        "azimuth/pbmc1.csv",
    ] {
        assert!(!markers::parse(&file(&format!("markers/{name}")).unwrap()).unwrap().0.is_empty(), "{name}");
    }
    for name in ["collectri_human.csv.gz", "dorothea_hs.tsv.gz"] {
        assert!(regulons::parse(&file(&format!("networks/{name}")).unwrap(), &[]).unwrap().0.len() > 1000, "{name}");
    }
    for name in
        ["ReactomePathways.gmt.gz", "h.all.v7.0.symbols.gmt.gz", "wikipathways_2026-08.Homo_sapiens.symbols.gmt.gz"]
    {
        assert!(gmt::parse(&file(&format!("genesets/{name}")).unwrap(), "x").unwrap().0.len() >= 50, "{name}");
    }
}
