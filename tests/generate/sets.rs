//! The published sets: their columns, their labels, and how common each is.

use std::collections::HashMap;

use super::{Column, Design, Factor};

/// Whose columns and proportions a generated atlas has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// Parse Biosciences: 19 types, 12 donors, 90 cytokines and PBS.
    Parse,
    /// OpenProblems 2023: 6 types, 3 donors, 146 compounds and DMSO, 6 plates.
    OpenProblems,
    /// Tabula Sapiens with the columns of its authors.
    TabulaSapiens,
    /// Tabula Sapiens with the columns of CELLxGENE.
    TabulaSapiensCellxgene,
    /// The CELLxGENE schema 7.1 with experimental conditions.
    Cellxgene,
    /// scPerturb with two perturbations at once.
    ScPerturb,
    /// Replogle 2022, K562: 2 057 genes, 48 batches.
    Replogle,
    /// The Virtual Cell Challenge: 300 genes.
    Vcc,
    /// Tahoe-100M: 50 cell lines, 14 plates of 96 wells, 3 doses of each drug.
    Tahoe,
}

/// Blood cells as they are found, by the names of Azimuth.
const BLOOD: [(&str, f64); 19] = [
    ("CD4 Naive", 0.26),
    ("CD4 Memory", 0.13),
    ("CD8 Naive", 0.10),
    ("CD8 Memory", 0.08),
    ("NK CD56low", 0.07),
    ("NK CD56bright", 0.01),
    ("B Naive", 0.07),
    ("B Intermediate", 0.03),
    ("B Memory", 0.02),
    ("CD14 Mono", 0.12),
    ("CD16 Mono", 0.02),
    ("cDC", 0.01),
    ("pDC", 0.004),
    ("MAIT", 0.02),
    ("Treg", 0.025),
    ("NKT", 0.015),
    ("ILC", 0.005),
    ("Plasmablast", 0.002),
    ("HSPC", 0.002),
];

/// The 90 cytokines of the Parse set.
const CYTOKINES: &str = "4-1BBL ADSF APRIL BAFF C3a C5a CD27L CD30L CD40L CT-1 Decorin EGF EPO FGF-beta FLT3L FasL G-CSF \
    GDNF GITRL GM-CSF HGF IFN-alpha1 IFN-beta IFN-epsilon IFN-gamma IFN-lambda1 IFN-lambda2 IFN-lambda3 IFN-omega IGF-1 \
    IL-1-alpha IL-1-beta IL-1Ra IL-2 IL-3 IL-4 IL-5 IL-6 IL-7 IL-8 IL-9 IL-10 IL-11 IL-12 IL-13 IL-15 IL-16 IL-17A \
    IL-17B IL-17C IL-17D IL-17E IL-17F IL-18 IL-19 IL-20 IL-21 IL-22 IL-23 IL-24 IL-26 IL-27 IL-31 IL-32-beta IL-33 \
    IL-34 IL-35 IL-36-alpha IL-36Ra LIF LIGHT LT-alpha1-beta2 LT-alpha2-beta1 Leptin M-CSF Noggin OSM OX40L PRL PSPN \
    RANKL SCF TGF-beta1 TL1A TNF-alpha TPO TRAIL TSLP TWEAK VEGF";

impl Set {
    /// Every set.
    pub const ALL: [Self; 9] = [
        Self::Parse,
        Self::OpenProblems,
        Self::TabulaSapiens,
        Self::TabulaSapiensCellxgene,
        Self::Cellxgene,
        Self::ScPerturb,
        Self::Replogle,
        Self::Vcc,
        Self::Tahoe,
    ];

    /// The profile its columns should be recognised as.
    pub fn profile(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::OpenProblems => "openproblems",
            Self::TabulaSapiens | Self::TabulaSapiensCellxgene => "tabula-sapiens",
            Self::Cellxgene => "cellxgene",
            Self::ScPerturb => "scperturb",
            Self::Replogle => "replogle",
            Self::Vcc => "vcc",
            Self::Tahoe => "tahoe",
        }
    }

    pub(super) fn design(self) -> Design {
        let mut design = Design { factors: Vec::new(), columns: Vec::new() };
        match self {
            Self::Parse => design.parse(),
            Self::OpenProblems => design.openproblems(),
            Self::TabulaSapiens => design.tabula_sapiens(false),
            Self::TabulaSapiensCellxgene => design.tabula_sapiens(true),
            Self::Cellxgene => design.cellxgene(),
            Self::ScPerturb => design.scperturb(),
            Self::Replogle => design.replogle(),
            Self::Vcc => design.vcc(),
            Self::Tahoe => design.tahoe(),
        }
        design
    }
}

impl Design {
    fn factor(&mut self, factor: Factor) -> usize {
        self.factors.push(factor);
        self.factors.len() - 1
    }

    fn even(&mut self, n: usize) -> usize {
        self.factor(Factor::weighted(vec![1.0; n]))
    }

    fn labels<S: Into<String>>(&mut self, name: &'static str, factor: usize, labels: impl IntoIterator<Item = S>) {
        let mut known: HashMap<String, i16> = HashMap::new();
        let mut different = Vec::new();
        let code = |label: String| {
            *known.entry(label).or_insert_with_key(|label| {
                different.push(label.clone());
                different.len() as i16 - 1
            })
        };
        let codes = labels.into_iter().map(Into::into).map(code).collect();
        self.columns.push(Column::Labels { name, factor, labels: different, codes });
    }

    /// The same for every cell.
    fn constant(&mut self, name: &'static str, label: &str) {
        let factor = self.even(1);
        self.labels(name, factor, [label]);
    }

    fn parse(&mut self) {
        let cytokines: Vec<&str> = std::iter::once("PBS").chain(CYTOKINES.split_whitespace()).collect();
        assert_eq!(cytokines.len(), 91, "the set has 90 cytokines");
        let types = self.factor(Factor::weighted(BLOOD.map(|(_, weight)| weight)));
        let treated = self.factor(Factor::with_control(91, 0.065));
        let donors = self.even(12);
        let wells = self.even(96);
        self.labels("bc1_well", wells, (0..96).map(|well| format!("{}{}", (b'A' + well / 12) as char, well % 12 + 1)));
        self.labels("donor", donors, (1..=12).map(|donor| format!("Donor{donor}")));
        self.labels("cytokine", treated, cytokines);
        let treatment = |level: usize| if level == 0 { "PBS" } else { "cytokine" };
        self.labels("treatment", treated, (0..91).map(treatment));
        self.labels("cell_type", types, BLOOD.map(|(name, _)| name));
        self.constant("species", "hg38");
        self.columns.push(Column::Genes("gene_count"));
        self.columns.push(Column::Counts("tscp_count"));
    }

    fn openproblems(&mut self) {
        let shares = [0.42, 0.15, 0.13, 0.13, 0.12, 0.05];
        let names = ["T cells CD4+", "T cells CD8+", "NK cells", "Myeloid cells", "B cells", "T regulatory cells"];
        let types = self.factor(Factor::weighted(shares));
        let compounds = self.factor(Factor::with_control(147, 0.1));
        let (donors, plates) = (self.even(3), self.even(6));
        let compound = |level: usize| match level {
            0 => "Dimethyl Sulfoxide".to_owned(),
            1 => "Belinostat".to_owned(),
            2 => "Dabrafenib".to_owned(),
            n => format!("Compound {n:03}"),
        };
        self.labels("dose_uM", compounds, (0..147).map(|level| if level == 0 { "14.1" } else { "1.0" }));
        self.constant("timepoint_hr", "24.0");
        self.labels("plate_name", plates, (0..6).map(|plate| format!("230314_B3_plate{plate}")));
        self.labels("cell_type", types, names);
        self.labels("split", compounds, (0..147).map(|level| if level < 3 { "control" } else { "train" }));
        self.labels("donor_id", donors, (1..=3).map(|donor| format!("donor_{donor}")));
        self.labels("sm_name", compounds, (0..147).map(compound));
    }

    fn tabula_sapiens(&mut self, cellxgene: bool) {
        let types = [
            ("B cell", "CL:0000236", 0.2),
            ("macrophage", "CL:0000235", 0.2),
            ("fibroblast", "CL:0000057", 0.2),
            ("endothelial cell", "CL:0000115", 0.15),
            ("epithelial cell", "CL:0000066", 0.15),
            ("natural killer cell", "CL:0000623", 0.1),
        ];
        let tissues = ["Blood", "Lung", "Spleen", "Liver", "Heart", "Kidney"];
        let type_of = self.factor(Factor::weighted(types.map(|(_, _, weight)| weight)));
        let (tissue, donor) = (self.even(tissues.len()), self.even(24));
        let method = self.factor(Factor::weighted([0.95, 0.05]));
        let names = types.map(|(name, ..)| name);
        let donors = || (1..=24).map(|donor| format!("TSP{donor}"));
        if cellxgene {
            self.labels("cell_type", type_of, names);
            self.labels("cell_type_ontology_term_id", type_of, types.map(|(_, id, _)| id));
            self.labels("tissue", tissue, tissues.map(str::to_lowercase));
            self.labels("donor_id", donor, donors());
            self.labels("assay", method, ["10x 3' v3", "Smart-seq2"]);
            self.labels("assay_ontology_term_id", method, ["EFO:0009922", "EFO:0008931"]);
            self.labels("is_primary_data", method, ["True", "False"]);
        } else {
            self.labels("organ_tissue", tissue, tissues);
            self.labels("method", method, ["10X", "smartseq2"]);
            self.labels("donor", donor, donors());
            self.labels("cell_ontology_class", type_of, names);
            self.columns.push(Column::Counts("n_counts_UMIs"));
        }
        self.labels("free_annotation", type_of, names);
        self.labels("compartment", type_of, ["immune", "immune", "stromal", "endothelial", "epithelial", "immune"]);
    }

    fn cellxgene(&mut self) {
        let (types, donors) = (self.even(3), self.even(5));
        let conditions = self.factor(Factor::weighted([0.5, 0.2, 0.1, 0.1, 0.1]));
        self.labels("cell_type", types, ["fibroblast", "B cell", "na"]);
        self.labels("cell_type_ontology_term_id", types, ["CL:0000057", "CL:0000236", "na"]);
        self.constant("assay_ontology_term_id", "EFO:0009922");
        self.labels("donor_id", donors, ["d1", "d2", "d3", "pooled", "unknown"]);
        self.labels("tissue_type", types, ["tissue", "tissue", "cell line"]);
        self.labels("tissue", types, ["lung", "blood", "A-549"]);
        self.labels("tissue_ontology_term_id", types, ["UBERON:0002048", "UBERON:0000178", "CVCL_0023"]);
        self.constant("disease", "normal");
        self.constant("disease_ontology_term_id", "PATO:0000461");
        let ids = ["na", "uniprot:P01137", "CHEBI:41774", "anti-uniprot:P01375", "CHEBI:41774 || uniprot:P01137"];
        self.labels("experimental_condition_ontology_term_id", conditions, ids);
        self.constant("is_primary_data", "True");
    }

    fn scperturb(&mut self) {
        let first = self.factor(Factor::weighted([0.3, 0.1, 0.3, 0.3]));
        let second = self.factor(Factor::weighted([0.5, 0.5]));
        self.labels("perturbation", first, ["control", "non-targeting", "STAT1", "STAT1_IRF1"]);
        self.labels("nperts", first, ["0", "0", "1", "2"]);
        self.labels("perturbation_2", second, ["control", "dabrafenib"]);
        self.labels("dose_value", second, ["0.0", "1.0"]);
        self.constant("dose_unit", "uM");
        self.constant("celltype", "monocyte");
        self.constant("cell_line", "THP-1");
        self.constant("organism", "human");
        self.columns.push(Column::Counts("ncounts"));
    }

    fn replogle(&mut self) {
        let genes = self.factor(Factor::with_control(2058, 0.035));
        let batches = self.even(48);
        let gene = |level: usize| if level == 0 { "non-targeting".to_owned() } else { format!("GENE{level:04}") };
        self.labels("gem_group", batches, (1..=48).map(|batch| batch.to_string()));
        self.labels("gene", genes, (0..2058).map(gene));
        self.labels("sgID_AB", genes, (0..2058).map(|level| format!("guide_{level}|guide_{level}b")));
        self.constant("cell_line", "K562");
        self.columns.push(Column::Counts("UMI_count"));
    }

    fn vcc(&mut self) {
        let genes = self.factor(Factor::with_control(301, 0.17));
        let batches = self.even(48);
        let gene = |level: usize| if level == 0 { "non-targeting".to_owned() } else { format!("GENE{level:03}") };
        self.labels("target_gene", genes, (0..301).map(gene));
        self.labels("guide_id", genes, (0..301).map(|level| format!("guide_{level}")));
        self.labels("batch", batches, (1..=48).map(|batch| format!("Flex_{batch}")));
    }

    /// A well is one drug at one dose, and 3 wells of each plate are controls.
    fn tahoe(&mut self) {
        const WELLS: usize = 96;
        let (wells, lines) = (self.even(14 * WELLS), self.even(50));
        let treated = |well: usize| (well % WELLS).checked_sub(3).map(|at| well / WELLS * (WELLS - 3) + at);
        let drug = |well: usize| treated(well).map_or("DMSO_TF".to_owned(), |at| format!("Drug {:03}", at / 3));
        let dose = |well: usize| treated(well).map_or(0.0, |at| [0.05, 0.5, 5.0][at % 3]);
        let both = |well: usize| format!("[('{}', {:?}, 'uM')]", drug(well), dose(well));
        let all = || 0..14 * WELLS;
        self.labels("plate", wells, all().map(|well| format!("plate{}", well / WELLS + 1)));
        self.labels("sample", wells, all().map(|well| format!("smp_{well}")));
        self.labels("drugname_drugconc", wells, all().map(both));
        self.labels("drug", wells, all().map(drug));
        self.labels("cell_line", lines, (0..50).map(|line| format!("CVCL_{line:04}")));
        self.labels("cell_name", lines, (0..50).map(|line| format!("LINE-{line}")));
        self.columns.push(Column::Counts("tscp_count"));
    }
}
