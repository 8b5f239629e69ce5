//! `haystack infer --split-column`, against what `stack-generation` wrote for every donor.

use haystack::anndata::{self, AnnData, Column, File, Matrix, Numbers, Table};
use haystack::domain::inference::InferSummary;

use super::command::{Workplace, counts};
use super::reference::{TOLERANCE, dense, models, row_error};

/// The reference's own flags.
fn generate(place: &Workplace, base: &str, more: &[&str]) -> InferSummary {
    let (model, genes) = place.flags();
    let flags = ["--base-adata", base, "--test-adata", "query.h5ad", "--checkpoint", &model, "--genelist", &genes];
    let settings = ["--split-column", "donor", "--output-dir", "out", "--num-steps", "5", "--random-seed", "0"];
    let unused = ["--mask-rate", "0.3", "--num-workers", "2", "--batch-size", "3", "--show-progress"];
    place.infer(&[&flags[..], &settings, &unused, &["--counts", "mean"], more].concat())
}

#[test]
fn every_donor_gets_the_file_of_the_reference() {
    for folder in models() {
        let place = Workplace::from(&folder);
        let base = folder.join("base.h5ad");
        let summary = generate(&place, base.to_str().unwrap(), &[]);
        let names: Vec<_> = summary.arms.iter().map(|arm| arm.name.as_str()).collect();
        assert_eq!(names, ["Drug A/1", "ctrl"], "sorted as Python sorts");
        for name in ["Drug_A_1", "ctrl"] {
            let expected = File::open(&folder.join(format!("cli_generation_mean/{name}.h5ad"))).unwrap();
            let found = File::open(&place.path(&format!("out/{name}.h5ad"))).unwrap();
            let (found_x, expected_x) = (counts(&found), counts(&expected));
            assert!(row_error(&dense(&found_x), &dense(&expected_x), expected_x.n_cols()) < TOLERANCE);
            assert_eq!(found.obs().index().unwrap(), expected.obs().index().unwrap());
            assert_eq!(found.obs().columns(), expected.obs().columns());
        }
    }
}

#[test]
fn all_donors_in_one_file_are_those_of_the_single_files() {
    let place = Workplace::new();
    let base = place.model.join("base.h5ad");
    generate(&place, base.to_str().unwrap(), &[]);
    for memory in ["4", "0"] {
        generate(&place, base.to_str().unwrap(), &["--concatenate", "--memory", memory]);
        let all = File::open(&place.path("out/concatenated.h5ad")).unwrap();
        let x = counts(&all);
        let split = all.obs().column("split_value").unwrap().to_strings();
        let (index, columns) = (all.obs().index().unwrap(), all.obs().columns());
        let mut start = 0;
        for (name, file) in [("Drug A/1", "Drug_A_1"), ("ctrl", "ctrl")] {
            let one = File::open(&place.path(&format!("out/{file}.h5ad"))).unwrap();
            let n = one.n_cells();
            let rows: Vec<usize> = (start..start + n).collect();
            assert_eq!(x.select_rows(&rows), counts(&one));
            assert!(split[start..start + n].iter().all(|value| value.as_deref() == Some(name)));
            assert_eq!(index[start..start + n], one.obs().index().unwrap(), "names repeat, as in the reference");
            let logits = |file: &File| file.obs().column("gen_logit").unwrap().to_strings();
            assert_eq!(logits(&all)[start..start + n], logits(&one));
            assert_eq!(columns[..columns.len() - 1], *one.obs().columns());
            start += n;
        }
        assert_eq!((all.n_cells(), columns.last().map(String::as_str)), (start, Some("split_value")));
    }
}

/// Cells without a value are the split "nan"; two values may come to one file name; what is asked for and
/// not there is told.
#[test]
fn odd_values_are_told_and_nothing_is_lost() {
    let place = Workplace::new();
    let file = File::open(&place.model.join("base.h5ad")).unwrap();
    let data = file.read_expression(&Matrix::X, None, None).unwrap();
    let donor = |row: usize| match row % 3 {
        0 => None,
        1 => Some("a/b".to_owned()),
        _ => Some("a b".to_owned()),
    };
    let donors = Column::Strings((0..data.cells.len()).map(donor).collect());
    let obs = Table { index: data.cells, columns: vec![("donor".to_owned(), donors)], ..Table::default() };
    let var = Table { index: data.genes, ..Table::default() };
    let odd = AnnData { obs, var, x: Some(Numbers::Sparse(data.counts)), ..AnnData::default() };
    anndata::write(&place.path("odd.h5ad"), &odd).unwrap();
    let summary = generate(&place, "odd.h5ad", &[]);
    let names: Vec<_> = summary.arms.iter().map(|arm| arm.name.as_str()).collect();
    assert_eq!(names, ["a b", "a/b", "nan"]);
    for file in ["a_b.h5ad", "a_b_2.h5ad", "nan.h5ad"] {
        assert!(place.path("out").join(file).is_file(), "{file}");
    }
    assert!(summary.warnings.iter().any(|warning| warning.contains("a_b_2.h5ad")), "{:?}", summary.warnings);

    let summary = generate(&place, "odd.h5ad", &["--split-values", "nan", "gone"]);
    assert_eq!(summary.arms.len(), 1);
    assert!(summary.warnings.iter().any(|warning| warning.contains("gone")), "{:?}", summary.warnings);
    let (model, genes) = place.flags();
    let flags = ["--base-adata", "odd.h5ad", "--test-adata", "query.h5ad", "--model", &model, "--genes", &genes];
    let split = |column: &str, value: &str| {
        let more = ["--split-column", column, "--output-dir", "never", "--split-values", value];
        place.fails(&[&flags[..], &more].concat())
    };
    assert!(split("donor", "gone").1.contains("none of the values asked for"));
    assert!(split("patient", "x").1.contains("it has donor"));
}
