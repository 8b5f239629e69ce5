//! `haystack de`: differential expression of groups of cells.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;

use super::blocking::blocking;
use super::cells::{Cells, MatrixArgs};
use super::rows::{Cell, Destination};
use super::{Error, Result};
use crate::anndata::{self, Matrix, RecArray, RecField, Table, Value};
use crate::config::Config;
use crate::stats::adjust::Correction;
use crate::stats::differential::{GeneTest, GroupTests, Groups, Reference, Test, compare};
use crate::stats::pseudobulk::{MIN_CELLS, Pairing, Side, compare_donors};
use crate::stats::t_test::Variance;
use crate::stats::wilcoxon::{Approximation, Continuity, Ties};

/// What stands for all other cells.
const REST: &str = "rest";

/// Arguments of `haystack de`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Columns are those of scanpy.get.rank_genes_groups_df, genes by falling score; where a gene cannot be tested its \
numbers are empty. Counts are log-normalised first, which is said on standard error; other values are taken to be \
log-normalised. With an --output that ends in .h5ad the input is copied and gets uns['rank_genes_groups'], which \
scanpy plots.

Methods:
  wilcoxon             rank-sum test as scanpy's with tie_correct=True: no continuity
                       correction; with --continuity as scipy, R and Seurat, illico and pdex
  t-test               Welch's t-test
  t-test_overestim_var the same with the group's number of cells for the reference, as in scanpy
  pseudobulk           counts added up by donor (--donor), median-of-ratios scaling, moderated
                       t-test on log2 counts per million with a trend (limma-trend); where most
                       donors are on both sides each of these is compared with itself

Cells of one donor are alike, so tests of cells find too much where donors differ: prefer pseudobulk with donors to \
compare.

  haystack de cells.h5ad --groupby condition --group stim --reference ctrl
  haystack de cells.h5ad --groupby cell_type --method t-test --output markers.h5ad
  haystack de cells.h5ad --groupby condition --group stim --reference ctrl \\
    --method pseudobulk --donor donor")]
pub struct Args {
    /// Cells (.h5ad)
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Column of obs that holds the groups
    #[arg(long, value_name = "COLUMN")]
    groupby: String,

    /// Group to test; may be given more than once [default: every group]
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,

    /// Group to compare with, or 'rest' for all other cells
    #[arg(long, value_name = "GROUP", default_value = REST)]
    reference: String,

    /// Test to make
    #[arg(long, value_enum, default_value = "wilcoxon")]
    method: Method,

    /// Correct the rank-sum test for continuity
    #[arg(long)]
    continuity: bool,

    /// Do not correct the rank-sum test for equal values, as scanpy's default
    #[arg(long)]
    no_tie_correct: bool,

    /// Correction for many tests
    #[arg(long, visible_alias = "corr-method", value_enum, default_value = "benjamini-hochberg")]
    correction: CorrectionName,

    /// Column of obs that names the donors, for pseudobulk
    #[arg(long, value_name = "COLUMN")]
    donor: Option<String>,

    /// Fewest cells on either side
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u64).range(2..))]
    min_cells: u64,

    #[command(flatten)]
    matrix: MatrixArgs,

    /// Name in uns for an .h5ad output
    #[arg(long, value_name = "NAME", default_value = "rank_genes_groups")]
    key_added: String,

    #[command(flatten)]
    to: Destination,
}

/// Which test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    Wilcoxon,
    #[value(name = "t-test")]
    TTest,
    #[value(name = "t-test_overestim_var")]
    TTestOverestimVar,
    Pseudobulk,
}

/// Which correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CorrectionName {
    BenjaminiHochberg,
    Bonferroni,
}

impl From<CorrectionName> for Correction {
    fn from(name: CorrectionName) -> Self {
        match name {
            CorrectionName::BenjaminiHochberg => Self::BenjaminiHochberg,
            CorrectionName::Bonferroni => Self::Bonferroni,
        }
    }
}

impl Args {
    /// The test of cells; `None` for the test of donors.
    fn test(&self) -> Option<Test> {
        Some(match self.method {
            Method::Wilcoxon => Test::Wilcoxon(Approximation {
                ties: if self.no_tie_correct { Ties::Ignore } else { Ties::Correct },
                continuity: if self.continuity { Continuity::Correct } else { Continuity::Ignore },
            }),
            Method::TTest => Test::TTest(Variance::Own),
            Method::TTestOverestimVar => Test::TTest(Variance::Overestimated),
            Method::Pseudobulk => return None,
        })
    }

    fn writes_h5ad(&self) -> bool {
        self.to.output.as_ref().and_then(|path| path.extension()).is_some_and(|extension| extension == "h5ad")
    }

    fn check(&self) -> Result {
        if !anndata::is_name(&self.key_added) {
            return Err(Error::usage(format!("--key-added {:?} cannot be a name in a file", self.key_added)));
        }
        let wilcoxon = self.method == Method::Wilcoxon;
        if (self.continuity || self.no_tie_correct) && !wilcoxon {
            return Err(Error::usage(
                "--continuity and --no-tie-correct are about the rank-sum test, --method wilcoxon",
            ));
        }
        if (self.method == Method::Pseudobulk) != self.donor.is_some() {
            return Err(Error::usage("--method pseudobulk and --donor COLUMN go together"));
        }
        Ok(())
    }
}

/// Runs the mode.
pub async fn run(args: Args, _: Config) -> Result {
    args.check()?;
    blocking(move || work(&args)).await
}

fn work(args: &Args) -> Result {
    let cells = Cells::open(&args.file, &args.matrix)?;
    let labels = Labels::read(&cells, args)?;
    if args.writes_h5ad() {
        labels.check_names(args)?;
    }
    let tests = match args.test() {
        Some(test) => {
            // Of a few groups only their cells are read.
            let rows: Vec<usize> = (0..labels.of_cell.len()).filter(|&row| labels.counts(row)).collect();
            let of_rows: Vec<Option<u32>> = rows.iter().map(|&row| labels.of_cell[row]).collect();
            let values = cells.values(Some(&rows))?;
            let groups = Groups::new(&of_rows, &labels.tested, labels.reference).map_err(Error::failed)?;
            compare(&values, &groups, test, args.correction.into()).map_err(Error::failed)?
        }
        None => of_donors(&cells, &labels, args)?,
    };
    say_what_is_unsure(&tests, args);
    match &args.to.output {
        Some(path) if args.writes_h5ad() => {
            let ranked = ranked(&cells, &labels, &tests, args);
            Ok(anndata::annotate(&args.file, path, &args.key_added, &ranked)?)
        }
        _ => print(&cells, &labels, &tests, args),
    }
}

/// Which group each cell is in, and what is compared.
struct Labels {
    names: Vec<String>,
    of_cell: Vec<Option<u32>>,
    tested: Vec<u32>,
    reference: Reference,
}

impl Labels {
    fn read(cells: &Cells, args: &Args) -> Result<Self> {
        let texts = cells.labels(&args.groupby)?;
        let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
        texts.iter().flatten().for_each(|label| *sizes.entry(label).or_default() += 1);
        let names: Vec<String> = sizes.keys().map(|name| (*name).to_owned()).collect();
        let find = |name: &str| {
            names.iter().position(|held| held == name).map(|at| at as u32).ok_or_else(|| {
                let listed: Vec<&str> = names.iter().take(20).map(String::as_str).collect();
                let more = if names.len() > 20 { format!(" and {} more", names.len() - 20) } else { String::new() };
                Error::usage(format!("obs['{}'] has no '{name}'; it has {}{more}", args.groupby, listed.join(", ")))
            })
        };
        let reference = match args.reference.as_str() {
            REST if !names.iter().any(|name| name == REST) => Reference::Rest,
            name => Reference::Group(find(name)?),
        };
        let mut tested: Vec<u32> = args.group.iter().map(|name| find(name)).collect::<Result<_>>()?;
        if tested.is_empty() {
            tested = (0..names.len() as u32).filter(|&group| reference != Reference::Group(group)).collect();
        }
        if let Some(&group) = tested.iter().find(|group| reference == Reference::Group(**group)) {
            let error = format!("'{}' is both --group and --reference", names[group as usize]);
            return Err(Error::usage(error));
        }
        let missing = texts.iter().filter(|label| label.is_none()).count();
        if missing > 0 {
            let what = if reference == Reference::Rest { "count among the rest" } else { "are left out" };
            eprintln!("{missing} cells have no {} and {what}", args.groupby);
        }
        let of_cell = texts.iter().map(|label| label.as_deref().and_then(|label| find(label).ok())).collect();
        let labels = Self { names, of_cell, tested, reference };
        let sizes: Vec<usize> = sizes.into_values().collect();
        labels.with_enough_cells(&sizes, texts.len(), args)
    }

    /// Leaves out groups that are too small; fails if none is left.
    fn with_enough_cells(mut self, sizes: &[usize], n_cells: usize, args: &Args) -> Result<Self> {
        let needed = args.min_cells as usize;
        let reference = |group: u32| match self.reference {
            Reference::Rest => n_cells - sizes[group as usize],
            Reference::Group(reference) => sizes[reference as usize],
        };
        let name = |group: u32| &self.names[group as usize];
        let mut small = Vec::new();
        for &group in &self.tested {
            let (found, against) = (sizes[group as usize], reference(group));
            let (side, n) = if against < needed { (&args.reference, against) } else { (name(group), found) };
            if n < needed {
                small.push((group, format!("{side} has {n} cells; at least {needed} are needed on either side")));
            }
        }
        if small.len() == self.tested.len() {
            let why =
                small.into_iter().next().map_or_else(|| format!("obs['{}'] names no group", args.groupby), |s| s.1);
            return Err(
                Error::failed(why).hint("--min-cells sets how many are needed; with few cells p-values mean little")
            );
        }
        for (group, why) in &small {
            eprintln!("{}: insufficient: {why}; the group is left out", name(*group));
        }
        self.tested.retain(|group| small.iter().all(|(left_out, _)| left_out != group));
        Ok(self)
    }

    /// Whether a cell is on any side.
    fn counts(&self, row: usize) -> bool {
        match self.reference {
            Reference::Rest => true,
            Reference::Group(reference) => {
                self.of_cell[row].is_some_and(|group| group == reference || self.tested.contains(&group))
            }
        }
    }

    /// Refuses groups that scanpy's layout cannot hold, before they are compared.
    fn check_names(&self, args: &Args) -> Result {
        match self.tested.iter().find(|group| !anndata::is_field_name(self.name(**group))) {
            Some(&group) => {
                let what = format!("obs['{}'] has a group called {:?}", args.groupby, self.name(group));
                let why = "which an .h5ad file cannot hold the numbers of";
                Err(Error::failed(format!("{what}, {why}"))
                    .hint("name the groups with --group, or --output a .tsv file"))
            }
            None => Ok(()),
        }
    }

    fn name(&self, group: u32) -> &str {
        &self.names[group as usize]
    }
}

/// Compares donors, group by group.
fn of_donors(cells: &Cells, labels: &Labels, args: &Args) -> Result<Vec<GroupTests>> {
    let column = args.donor.as_deref().unwrap_or_default();
    let texts = cells.labels(column)?;
    let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
    for text in texts.iter().flatten() {
        let next = numbers.len() as u32;
        numbers.entry(text).or_insert(next);
    }
    let rows: Vec<usize> = (0..labels.of_cell.len()).filter(|&row| labels.counts(row)).collect();
    let counts = cells.counts(Some(&rows))?;
    let donors: Vec<Option<u32>> =
        rows.iter().map(|&row| texts[row].as_deref().and_then(|text| numbers.get(text).copied())).collect();
    let mut tests = Vec::new();
    let mut last = None;
    for &group in &labels.tested {
        let side = |&row: &usize| match labels.of_cell[row] {
            Some(own) if own == group => Some(Side::Group),
            own => match labels.reference {
                Reference::Rest => Some(Side::Reference),
                Reference::Group(reference) => (own == Some(reference)).then_some(Side::Reference),
            },
        };
        let sides: Vec<Option<Side>> = rows.iter().map(side).collect();
        let name = labels.name(group);
        match compare_donors(&counts, &sides, &donors, args.correction.into()) {
            Ok(found) => {
                let how = match found.pairing {
                    Pairing::Paired { donors } => format!("{donors} donors, each compared with itself"),
                    Pairing::Unpaired { group, reference } => format!("{group} donors against {reference}"),
                };
                let small = match found.small_samples {
                    0 => String::new(),
                    n => format!("; {n} samples with fewer than {MIN_CELLS} cells are left out"),
                };
                let single = match found.single_samples {
                    0 => String::new(),
                    n => format!("; {n} samples of donors that are on one side only are left out"),
                };
                eprintln!("{name}: {how}{small}{single}");
                let n_cells =
                    [Side::Group, Side::Reference].map(|of| sides.iter().filter(|side| **side == Some(of)).count());
                tests.push(GroupTests { group, n_cells, genes: found.genes });
            }
            Err(error) => {
                if labels.tested.len() > 1 {
                    eprintln!("{name}: insufficient: {error}; the group is left out");
                }
                last = Some(error);
            }
        }
    }
    match last {
        Some(error) if tests.is_empty() => {
            let hint = "without donors to compare, cells can be: --method wilcoxon";
            Err(Error::failed(format!("insufficient: {error}")).hint(hint))
        }
        _ => Ok(tests),
    }
}

/// What a reader of the numbers should know.
fn say_what_is_unsure(tests: &[GroupTests], args: &Args) {
    let constant = |gene: &GeneTest| gene.share == 0.0 && gene.share_reference == 0.0;
    if let Some(group) = tests.first() {
        let unseen = group.genes.iter().filter(|gene| constant(gene)).count();
        if unseen > 0 && args.method != Method::Pseudobulk {
            eprintln!(
                "{unseen} of {} genes are 0 in all cells compared; they have p-value 1, as in scanpy",
                group.genes.len()
            );
        }
        let untested = group.genes.iter().filter(|gene| gene.p_value.is_nan()).count();
        if untested > 0 {
            let why = match args.method {
                Method::Pseudobulk => "have too few counts to be tested",
                _ => "are constant on both sides, with different values, and cannot be tested",
            };
            eprintln!("{untested} of {} genes {why}; their p-values are empty", group.genes.len());
        }
    }
    if let Method::Wilcoxon = args.method
        && tests.iter().any(|group| group.n_cells.iter().any(|&n| n <= 25))
    {
        eprintln!("a group has 25 cells or fewer: the normal approximation of the rank-sum test is rough there");
    }
}

/// Genes by falling score; those that could not be tested last.
fn order(genes: &[GeneTest]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..genes.len()).collect();
    let place = |gene: usize| if genes[gene].score.is_nan() { f64::NEG_INFINITY } else { genes[gene].score };
    order.sort_by(|&a, &b| place(b).total_cmp(&place(a)));
    order
}

fn print(cells: &Cells, labels: &Labels, tests: &[GroupTests], args: &Args) -> Result {
    let columns =
        ["group", "names", "scores", "logfoldchanges", "pvals", "pvals_adj", "pct_nz_group", "pct_nz_reference"];
    let rows = tests.iter().flat_map(|group| {
        order(&group.genes).into_iter().map(|at| {
            let gene = &group.genes[at];
            [
                Cell::Text(labels.name(group.group)),
                Cell::Text(&cells.genes[at]),
                Cell::Number(gene.score),
                Cell::Number(gene.log2_fold_change),
                Cell::Number(gene.p_value),
                Cell::Number(gene.adjusted_p_value),
                Cell::Number(gene.share),
                Cell::Number(gene.share_reference),
            ]
        })
    });
    args.to.write(columns, rows)
}

/// scanpy's layout: record arrays with a field per group, largest score first.
fn ranked(cells: &Cells, labels: &Labels, tests: &[GroupTests], args: &Args) -> Value {
    let orders: Vec<Vec<usize>> = tests.iter().map(|group| order(&group.genes)).collect();
    let records = |field: &dyn Fn(&GroupTests, &[usize]) -> RecField| {
        let fields = tests.iter().zip(&orders);
        let fields = fields.map(|(group, order)| (labels.name(group.group).to_owned(), field(group, order)));
        Value::Records(RecArray { fields: fields.collect() })
    };
    let numbers = |of: fn(&GeneTest) -> f64| {
        move |group: &GroupTests, order: &[usize]| {
            order.iter().map(|&gene| of(&group.genes[gene])).collect::<Vec<f64>>()
        }
    };
    let f64s = |of: fn(&GeneTest) -> f64| records(&move |group, order| RecField::F64(numbers(of)(group, order)));
    let f32s = |of: fn(&GeneTest) -> f64| {
        records(&move |group, order| RecField::F32(numbers(of)(group, order).into_iter().map(|v| v as f32).collect()))
    };
    let text = |text: &str| Value::String(text.to_owned());
    let layer = match &cells.matrix {
        Matrix::Layer(name) => text(name),
        _ => Value::Null,
    };
    let method = args.method.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
    let correction = match args.correction {
        CorrectionName::BenjaminiHochberg => "benjamini-hochberg",
        CorrectionName::Bonferroni => "bonferroni",
    };
    let mut params = vec![
        ("corr_method".into(), text(correction)),
        ("groupby".into(), text(&args.groupby)),
        ("layer".into(), layer),
        ("method".into(), text(&method)),
        ("reference".into(), text(&args.reference)),
        ("use_raw".into(), Value::Bool(cells.matrix == Matrix::RawX)),
    ];
    if args.method == Method::Wilcoxon {
        params.push(("tie_correct".into(), Value::Bool(!args.no_tie_correct)));
        params.push(("continuity_correct".into(), Value::Bool(args.continuity)));
    }
    let share =
        |of: fn(&GeneTest) -> f64, group: &GroupTests| anndata::Column::Floats(group.genes.iter().map(of).collect());
    let table = |columns: Vec<(String, anndata::Column)>| {
        Value::Table(Table { index_name: None, index: cells.genes.clone(), columns })
    };
    let mut pts: Vec<(String, anndata::Column)> =
        tests.iter().map(|group| (labels.name(group.group).to_owned(), share(|gene| gene.share, group))).collect();
    let mut values = vec![
        ("params".into(), Value::Dict(params)),
        (
            "names".into(),
            records(&|_, order| RecField::Strings(order.iter().map(|&gene| cells.genes[gene].clone()).collect())),
        ),
        ("scores".into(), f32s(|gene| gene.score)),
        ("pvals".into(), f64s(|gene| gene.p_value)),
        ("pvals_adj".into(), f64s(|gene| gene.adjusted_p_value)),
        ("logfoldchanges".into(), f32s(|gene| gene.log2_fold_change)),
    ];
    let reference = match labels.reference {
        Reference::Group(reference) => Some(labels.name(reference)),
        Reference::Rest => None,
    };
    let columns = tests.iter().map(|group| labels.name(group.group)).chain(reference);
    if let Some(name) = columns.into_iter().find(|name| !anndata::is_column_name(name)) {
        eprintln!("{name:?} cannot be the name of a column, so uns['{}'] has no pts", args.key_added);
        return Value::Dict(values);
    }
    match (labels.reference, tests.first()) {
        (Reference::Group(reference), Some(first)) => {
            pts.push((labels.name(reference).to_owned(), share(|gene| gene.share_reference, first)));
        }
        _ => {
            let rest =
                tests.iter().map(|group| (labels.name(group.group).to_owned(), share(|g| g.share_reference, group)));
            values.push(("pts_rest".into(), table(rest.collect())));
        }
    }
    values.push(("pts".into(), table(pts)));
    Value::Dict(values)
}
