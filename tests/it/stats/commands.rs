//! The commands `de`, `enrich`, `prerank` and `activity`: what they print, write and refuse.

use std::path::Path;
use std::process::Command;

use haystack::anndata::{AnnData, Column, Table, Value, write};
use haystack::domain::Csr;
use rand::{RngExt, SeedableRng};

use crate::support::program::{finish, succeed};
use crate::support::python;

const N_GENES: usize = 60;

/// 80 cells of four donors, half of them treated: in those G0 to G7 are high.
fn cells(path: &Path, change: impl FnOnce(&mut Vec<Vec<(u32, f32)>>, &mut Table)) {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    let mut rows: Vec<Vec<(u32, f32)>> = (0..80)
        .map(|cell| {
            (0..N_GENES as u32)
                .filter_map(|gene| {
                    let most = if cell % 2 == 0 && gene < 8 { 40 } else { 6 };
                    let count = rng.random_range(0..most + gene % 5);
                    (count > 0).then_some((gene, count as f32))
                })
                .collect()
        })
        .collect();
    let text = |of: fn(usize) -> String| Column::Strings((0..80).map(|cell| Some(of(cell))).collect());
    let side = |cell: usize| if cell.is_multiple_of(2) { "stim".to_owned() } else { "ctrl".to_owned() };
    let mut obs = Table {
        index: (0..80).map(|cell| format!("c{cell}")).collect(),
        columns: vec![("condition".into(), text(side)), ("donor".into(), text(|cell| format!("d{}", cell / 2 % 4)))],
        ..Table::default()
    };
    change(&mut rows, &mut obs);
    let data = AnnData {
        obs,
        var: Table { index: (0..N_GENES).map(|gene| format!("G{gene}")).collect(), ..Table::default() },
        x: Some(Csr::from_rows(N_GENES, rows).unwrap().into()),
        uns: vec![("kept".into(), Value::String("as it was".into())), ("rank_genes_groups".into(), Value::Int(1))],
        ..AnnData::default()
    };
    write(path, &data).unwrap();
}

struct Home {
    folder: tempfile::TempDir,
    database: String,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite://{}", folder.path().join("h.sqlite").display());
        Self { folder, database }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn cells(&self, name: &str, change: impl FnOnce(&mut Vec<Vec<(u32, f32)>>, &mut Table)) -> String {
        cells(Path::new(&self.path(name)), change);
        self.path(name)
    }

    fn run(&self, args: &[&str]) -> String {
        succeed(self.folder.path(), &self.database, args)
    }

    /// What it says on standard error; the exit code must be this.
    fn fails(&self, code: i32, args: &[&str]) -> String {
        let (found, out, err) = finish(self.folder.path(), &self.database, args);
        assert_eq!(found, code, "{args:?}: {err}");
        assert_eq!(out, "", "{args:?}");
        err
    }
}

const COMPARE: [&str; 6] = ["--groupby", "condition", "--group", "stim", "--reference", "ctrl"];

#[test]
fn de_prints_the_table_of_scanpy_and_enrich_prerank_and_activity_read_it() {
    let home = Home::new();
    let cells = home.cells("cells.h5ad", |_, _| ());
    let table = home.run(&[&["de", &cells], &COMPARE[..]].concat());
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split('\t').collect()).collect();
    let header =
        ["group", "names", "scores", "logfoldchanges", "pvals", "pvals_adj", "pct_nz_group", "pct_nz_reference"];
    assert_eq!(lines[0], header);
    assert_eq!(lines.len(), N_GENES + 1);
    let mut top: Vec<&str> = lines[1..9].iter().map(|row| row[1]).collect();
    top.sort_unstable();
    assert_eq!(top, ["G0", "G1", "G2", "G3", "G4", "G5", "G6", "G7"]);
    assert!(lines[1][4].parse::<f64>().unwrap() < 1e-6);

    let json = home.run(&[&["de", &cells, "--json"], &COMPARE[..]].concat());
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(first["names"], lines[1][1]);
    assert_eq!(first["scores"].as_f64().unwrap(), lines[1][2].parse::<f64>().unwrap());

    let de = home.file("de.tsv", &table);
    let sets = home.file("mine.gmt", "HIGH\t\tG0\tG1\tG2\tG3\tG4\tG5\tG59\nOTHER\t\tG20\tG21\tG22\tG7\nNONE\t\tG30\n");
    let enriched = home.run(&["enrich", &de, "--sets", &sets]);
    let rows: Vec<Vec<&str>> = enriched.lines().map(|line| line.split('\t').collect()).collect();
    let header =
        ["Gene_set", "Term", "Overlap", "P-value", "Adjusted P-value", "Odds Ratio", "Combined Score", "Genes"];
    assert_eq!(rows[0], header);
    assert_eq!(rows[1][..3], ["mine", "HIGH", "6/7"]);
    // scipy.stats.hypergeom.sf(5, 60, 7, 8)
    assert!((rows[1][3].parse::<f64>().unwrap() / 3.7907140555637896e-06 - 1.0).abs() < 1e-9, "{}", rows[1][3]);
    assert_eq!(rows.len(), 3, "a set without any of the genes is not listed: {enriched}");

    let ranked = home.run(&["prerank", &de, "--sets", &sets, "--min-size", "3", "--seed", "4"]);
    let rows: Vec<Vec<&str>> = ranked.lines().map(|line| line.split('\t').collect()).collect();
    let header = ["Name", "Term", "ES", "NES", "NOM p-val", "FDR q-val", "Tag %", "Gene %", "Lead_genes", "log2err"];
    assert_eq!(rows[0], header);
    assert_eq!((rows[1][1], rows[1][6]), ("HIGH", "6/7"));
    assert_eq!(ranked, home.run(&["prerank", &de, "--sets", &sets, "--min-size", "3", "--seed", "4"]));

    let network =
        home.file("net.csv", "source,target,weight\nTF,G0,1\nTF,G1,1\nTF,G30,-1\nOFF,G2,-1\nOFF,G3,-1\nOFF,G4,-2\n");
    let active = home.run(&["activity", &de, "--network", &network, "--min-targets", "3"]);
    let rows: Vec<Vec<&str>> = active.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows[0], ["sample", "source", "score", "pvalue", "padj", "n_targets"]);
    let score = |name: &str| rows.iter().find(|row| row[1] == name).unwrap()[2].parse::<f64>().unwrap();
    assert!(score("TF") > 2.0 && score("OFF") < -2.0, "{active}");
    // The same network as a table of weights, and cells averaged by group.
    let wide =
        home.file("wide.tsv", "gene\tTF\tOFF\nG0\t1\t0\nG1\t1\t0\nG30\t-1\t0\nG2\t0\t-1\nG3\t0\t-1\nG4\t0\t-2\n");
    assert_eq!(active, home.run(&["activity", &de, "--network", &wide, "--min-targets", "3"]));
    let means = home.run(&["activity", &cells, "--groupby", "condition", "--network", &wide, "--min-targets", "3"]);
    assert_eq!(means.lines().filter(|line| line.starts_with("stim\t")).count(), 2, "{means}");
}

#[test]
fn an_output_h5ad_keeps_everything_and_opens_in_scanpy() {
    let home = Home::new();
    let cells = home.cells("cells.h5ad", |_, _| ());
    let output = home.path("out.h5ad");
    for method in ["wilcoxon", "t-test", "t-test_overestim_var"] {
        home.run(&[&["de", &cells, "--method", method, "--output", &output], &COMPARE[..]].concat());
    }
    let rest = home.path("rest.h5ad");
    home.run(&["de", &output, "--groupby", "condition", "--key-added", "rest", "--output", &rest]);
    let Some(python) = python() else { return };
    let script = "
import sys, warnings, anndata, scanpy
warnings.simplefilter('error')
before, after = anndata.read_h5ad(sys.argv[1]), anndata.read_h5ad(sys.argv[2])
assert after.uns['kept'] == 'as it was' and (before.X != after.X).nnz == 0
assert after.uns['rank_genes_groups']['params']['method'] == 't-test_overestim_var'
table = scanpy.get.rank_genes_groups_df(after, 'stim')
assert list(table.columns)[:4] == ['names', 'scores', 'logfoldchanges', 'pvals'] and len(table) == 60
rest = scanpy.get.rank_genes_groups_df(after, None, key='rest')
assert set(rest['group']) == {'stim', 'ctrl'} and 'pct_nz_reference' in rest
";
    let output = Command::new(python).args(["-c", script, &cells, &rest]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Names that no column of a table can have, as cell types do.
#[test]
fn groups_with_any_name_are_written_to_an_h5ad() {
    let home = Home::new();
    let names = ["B/NK", "_index"];
    let name = |cell: usize| Some(names[cell % 2].to_owned());
    let cells = home.cells("cells.h5ad", |_, obs| obs.columns[0].1 = Column::Strings((0..80).map(name).collect()));
    let output = home.path("out.h5ad");
    for reference in ["rest", "_index"] {
        let args = ["de", &cells, "--groupby", "condition", "--reference", reference, "--output", &output];
        let (code, _, said) = finish(home.folder.path(), &home.database, &args);
        assert_eq!(code, 0, "{said}");
        assert!(
            said.contains("\"B/NK\" cannot be the name of a column, so uns['rank_genes_groups'] has no pts"),
            "{said}"
        );
    }
    let empty = |cell: usize| Some(if cell.is_multiple_of(2) { String::new() } else { "ctrl".to_owned() });
    let unnamed = home.cells("unnamed.h5ad", |_, obs| obs.columns[0].1 = Column::Strings((0..80).map(empty).collect()));
    let said = home.fails(1, &["de", &unnamed, "--groupby", "condition", "--output", &output]);
    assert!(said.contains("a group called \"\"") && said.contains("--group"), "{said}");
    home.run(&["de", &unnamed, "--groupby", "condition", "--group", "ctrl", "--output", &output]);
    let said = home.fails(2, &["de", &unnamed, "--groupby", "condition", "--key-added", "a/b", "--output", &output]);
    assert!(said.contains("--key-added \"a/b\""), "{said}");
    home.run(&["de", &cells, "--groupby", "condition", "--output", &output]);
    let Some(python) = python() else { return };
    let script = "
import sys, warnings, anndata, scanpy
warnings.simplefilter('error')
after = anndata.read_h5ad(sys.argv[1])
assert set(scanpy.get.rank_genes_groups_df(after, None)['group']) == {'B/NK', '_index'}
";
    let output = Command::new(python).args(["-c", script, &output]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn donors_are_compared_and_too_few_are_insufficient() {
    let home = Home::new();
    let cells = home.cells("cells.h5ad", |_, _| ());
    let bulk = ["--method", "pseudobulk", "--donor", "donor"];
    let table = home.run(&[&["de", &cells], &COMPARE[..], &bulk].concat());
    let first: Vec<&str> = table.lines().nth(1).unwrap().split('\t').collect();
    assert!(first[5].parse::<f64>().unwrap() < 0.05, "{table}");
    let one = home.cells("one.h5ad", |_, obs| obs.columns[1].1 = Column::Strings(vec![Some("d".into()); 80]));
    let said = home.fails(1, &[&["de", &one], &COMPARE[..], &bulk].concat());
    assert!(said.contains("insufficient: 1 donors in the group") && said.contains("--method wilcoxon"), "{said}");
    let said = home.fails(2, &[&["de", &cells, "--method", "pseudobulk"], &COMPARE[..]].concat());
    assert!(said.contains("--donor"), "{said}");
    let said = home.fails(2, &[&["de", &cells, "--donor", "donor"], &COMPARE[..]].concat());
    assert!(said.contains("go together"), "{said}");
}

#[test]
fn cells_that_cannot_be_compared_are_named() {
    let home = Home::new();
    let de = |file: &str, more: &[&str]| home.fails(1, &[&["de", file], &COMPARE[..], more].concat());
    let few = home.cells("few.h5ad", |_, obs| {
        let label = |cell| Some(if cell < 7 { "stim" } else { "ctrl" }.to_owned());
        obs.columns[0].1 = Column::Strings((0..80).map(label).collect());
    });
    let said = de(&few, &[]);
    assert!(said.contains("stim has 7 cells; at least 10 are needed") && said.contains("--min-cells"), "{said}");
    home.run(&[&["de", &few, "--min-cells", "5"], &COMPARE[..]].concat());
    for (name, value) in [("NaN", f32::NAN), ("inf", f32::INFINITY)] {
        let bad = home.cells("bad.h5ad", |rows, _| rows[3][0].1 = value);
        let said = de(&bad, &[]);
        assert!(said.contains(name) && said.contains("gene G0 in cell c3"), "{said}");
    }
    let negative = home.cells("negative.h5ad", |rows, _| rows[5][1].1 = -2.0);
    let said = de(&negative, &["--method", "pseudobulk", "--donor", "donor"]);
    assert!(said.contains("-2 for gene") && said.contains("not negative"), "{said}");
    let empty = home.cells("empty.h5ad", |rows, _| rows.iter_mut().for_each(Vec::clear));
    assert!(de(&empty, &[]).contains("no value other than 0"));
    let cells = home.cells("cells.h5ad", |rows, _| rows[0].clear());
    let (_, _, said) = finish(home.folder.path(), &home.database, &[&["de", &cells], &COMPARE[..]].concat());
    assert!(said.contains("1 cells have no counts") && said.contains("log-normalised first"), "{said}");

    let said = home.fails(2, &["de", &cells, "--groupby", "condition", "--group", "stimm"]);
    assert!(said.contains("has no 'stimm'; it has ctrl, stim"), "{said}");
    let said = home.fails(1, &["de", &cells, "--groupby", "conditions"]);
    assert!(said.contains("column conditions") && said.contains("donor"), "{said}");
    let said = home.fails(2, &["de", &cells, "--groupby", "condition", "--group", "ctrl", "--reference", "ctrl"]);
    assert!(said.contains("both --group and --reference"), "{said}");
    let said = home.fails(2, &[&["de", &cells, "--method", "t-test", "--continuity"], &COMPARE[..]].concat());
    assert!(said.contains("rank-sum"), "{said}");
}

#[test]
fn genes_and_sets_that_do_not_meet_are_named() {
    let home = Home::new();
    let genes = home.file("genes.txt", "A\nB\n");
    let sets = home.file("mine.gmt", "S\t\tX\tY\nT\t\tA\tZ\n");
    let others = home.file("others.gmt", "S\t\tX\tY\n");
    assert!(home.fails(1, &["enrich", &genes, "--sets", &others]).contains("none of the 2 genes is among the 2"));
    let background = home.file("background.txt", "A\nB\nC\n");
    let said = home.fails(1, &["enrich", &genes, "--sets", &others, "--background", &background]);
    assert!(said.contains("none of the 2 genes is in any of the 1 sets"), "{said}");
    let nothing = home.file("nothing.txt", "\n");
    assert!(home.fails(1, &["enrich", &genes, "--sets", &sets, "--background", &nothing]).contains("is empty"));
    let ranks = home.file("ranks.rnk", "A\t2\nB\t1\nC\t-1\n");
    let said = home.fails(1, &["prerank", &ranks, "--sets", &sets]);
    assert!(said.contains("has 15 to 500 genes in the ranking; the most any has is 1"), "{said}");
    let bad = home.file("bad.rnk", "A\t2\nB\tinf\n");
    assert!(home.fails(1, &["prerank", &bad, "--sets", &sets]).contains("line 2: B has the value 'inf'"));
    let network = home.file("net.csv", "source,target,weight\nTF,Q,1\n");
    let said = home.fails(1, &["activity", &ranks, "--network", &network]);
    assert!(said.contains("no source") && said.contains("--min-targets"), "{said}");
    let flat = home.file("flat.rnk", "A\t1\nQ\t1\nC\t1\n");
    let said = home.fails(1, &["activity", &flat, "--network", &network, "--min-targets", "1"]);
    assert!(said.contains("same value"), "{said}");
    home.run(&["migrate"]);
    let said = home.fails(2, &["enrich", &genes, "--sets", "hallmark"]);
    assert!(said.contains("neither a file nor an imported collection; none is imported"), "{said}");
    let said = home.fails(2, &["activity", &ranks, "--network", "collectri"]);
    assert!(said.contains("neither a file nor an imported network"), "{said}");
    home.run(&["import", "gene-sets", &sets, "--collection", "mine"]);
    assert!(home.run(&["enrich", &genes, "--sets", "mine", "--background", &background]).contains("mine\tT\t1/1"));
}
