//! Links and references that lead in circles, out of the file or to the wrong thing: each is refused in words.
//!
//! Following one of them without end would end the process, so they are read in one of their own.

use haystack::anndata::{AnnData, Column, File, Table, write};
use hdf5::types::VarLenUnicode;
use hdf5::{Group, ObjectReference1};

use super::damage::{folder_to_read, read_apart};

/// What is done to the root of a file whose `obs` has a categorical `g`.
type Change = fn(&Group);

/// What is done, and what is said of the column then.
const COLUMNS: [(&str, &str, Change); 16] = [
    ("categories-are-the-column", "obs/g: expected categories that are a plain column, found categorical", |root| {
        root.unlink("obs/g/categories").unwrap();
        root.link_soft(".", "obs/g/categories").unwrap();
    }),
    ("categories-are-above", "expected what the soft link leads to, ..", |root| {
        root.unlink("obs/g/categories").unwrap();
        root.link_soft("..", "obs/g/categories").unwrap();
    }),
    ("categories-are-the-column-itself", "found categorical", |root| {
        root.unlink("obs/g/categories").unwrap();
        root.link_hard("obs/g", "obs/g/categories").unwrap();
    }),
    ("categories-in-a-circle", "found categorical", |root| {
        root.unlink("obs/g/categories").unwrap();
        root.unlink("obs/h/categories").unwrap();
        root.link_hard("obs/h", "obs/g/categories").unwrap();
        root.link_hard("obs/g", "obs/h/categories").unwrap();
    }),
    ("categories-without-encoding", "found a group", |root| {
        root.unlink("obs/g/categories").unwrap();
        let inner = root.create_group("obs/g/categories").unwrap();
        inner.link_soft("/obs/g/codes", "codes").unwrap();
        inner.link_hard(".", "categories").unwrap();
    }),
    ("categories-are-the-table", "found dataframe", |root| {
        root.unlink("obs/g/categories").unwrap();
        root.link_hard("obs", "obs/g/categories").unwrap();
    }),
    ("categories-elsewhere", "obs/g/categories: lies in another file (/etc/passwd)", |root| {
        root.unlink("obs/g/categories").unwrap();
        root.link_external("/etc/passwd", "/", "obs/g/categories").unwrap();
    }),
    ("codes-are-the-column", "expected the codes of a categorical, found a group", |root| {
        root.unlink("obs/g/codes").unwrap();
        root.link_soft(".", "obs/g/codes").unwrap();
    }),
    ("values-are-the-column", "expected the values of a column, found a group", |root| {
        root.unlink("obs/g").unwrap();
        let column = root.create_group("obs/g").unwrap();
        let encoding: VarLenUnicode = "nullable-integer".parse().unwrap();
        column.new_attr::<VarLenUnicode>().create("encoding-type").unwrap().write_scalar(&encoding).unwrap();
        column.link_soft(".", "values").unwrap();
        column.link_soft("values", "mask").unwrap();
    }),
    ("column-is-a-long-chain", "obs/g: a chain of soft links without an end", |root| {
        root.relink("obs/g", "obs/last").unwrap();
        (0..20).for_each(|hop| root.link_soft(&format!("hop{}", hop + 1), &format!("obs/hop{hop}")).unwrap());
        root.link_soft("last", "obs/hop20").unwrap();
        root.link_soft("hop0", "obs/g").unwrap();
    }),
    ("column-elsewhere", "obs/g: lies in another file (/etc/passwd)", |root| {
        root.unlink("obs/g").unwrap();
        root.link_external("/etc/passwd", "/", "out").unwrap();
        root.link_soft("/out/g", "obs/g").unwrap();
    }),
    ("reference-to-itself", "found a categorical", |root| legacy(root, "g", Some("obs/g"))),
    ("references-in-a-circle", "found a categorical", |root| {
        legacy(root, "g", None);
        legacy(root, "h", Some("obs/g"));
        root.dataset("obs/g").unwrap().delete_attr("categories").unwrap();
        refer(root, "g", "obs/h");
    }),
    ("reference-to-a-table", "found dataframe", |root| legacy(root, "g", Some("var"))),
    ("reference-to-nothing", "cannot be read", |root| legacy(root, "g", None)),
    ("categories-beside-are-a-loop", "without an end", |root| {
        legacy(root, "g", None);
        let codes = root.dataset("obs/g").unwrap();
        codes.delete_attr("categories").unwrap();
        codes.new_attr::<i32>().create("categories").unwrap().write_scalar(&0).unwrap();
        root.create_group("obs/__categories").unwrap().link_soft("g", "g").unwrap();
    }),
];

/// Makes a column what anndata 0.7 wrote: codes with a reference, to nothing without a target.
fn legacy(root: &Group, name: &str, target: Option<&str>) {
    root.unlink(&format!("obs/{name}")).unwrap();
    root.new_dataset_builder().with_data(&[0_i8, 1, 0]).create(&*format!("obs/{name}")).unwrap();
    match target {
        Some(target) => refer(root, name, target),
        None => {
            let codes = root.dataset(&format!("obs/{name}")).unwrap();
            codes.new_attr::<ObjectReference1>().create("categories").unwrap();
        }
    }
}

fn refer(root: &Group, name: &str, target: &str) {
    let reference: ObjectReference1 = root.reference(target).unwrap();
    let codes = root.dataset(&format!("obs/{name}")).unwrap();
    codes.new_attr::<ObjectReference1>().create("categories").unwrap().write_scalar(&reference).unwrap();
}

/// A file of three cells with two categoricals.
fn example() -> AnnData {
    let texts = |texts: [&str; 3]| texts.map(str::to_owned).to_vec();
    let column = || Column::Categorical { codes: vec![0, 1, 0], categories: texts(["a", "b", "c"]), ordered: false };
    let columns = vec![("g".to_owned(), column()), ("h".to_owned(), column())];
    let obs = Table { index: texts(["c1", "c2", "c3"]), columns, ..Table::default() };
    AnnData { obs, var: Table { index: texts(["g1", "g2", "g3"]), ..Table::default() }, ..AnnData::default() }
}

#[test]
fn links_and_references_without_an_end_are_refused() {
    if let Some(folder) = folder_to_read() {
        for (name, ..) in COLUMNS {
            println!("reading {name}");
            let file = File::open(&folder.join(format!("{name}.h5ad"))).unwrap();
            println!("{name}, column: {}", file.obs().column("g").unwrap_err());
            println!("{name}, labels: {}", file.obs().labels("g", 100).unwrap_err());
        }
        println!("done");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, _, change) in COLUMNS {
        let path = folder.path().join(format!("{name}.h5ad"));
        write(&path, &example()).unwrap();
        let file = hdf5::File::open_rw(&path).unwrap();
        change(&file.group("/").unwrap());
    }
    let lines = read_apart("anndata::hostile::links_and_references_without_an_end_are_refused", folder.path());
    for (name, said, _) in COLUMNS {
        for how in ["column", "labels"] {
            let start = format!("{name}, {how}: ");
            let line = lines.iter().find(|line| line.starts_with(&start)).unwrap();
            assert!(line.contains(said), "{line}\nshould say: {said}");
        }
    }
}

/// Parts of a file that are the file itself: nothing is followed twice.
#[test]
fn a_file_within_itself_is_opened_or_refused() {
    let cases: [(&str, Option<&str>, Change); 4] = [
        ("layers", None, |root| root.link_hard("/", "layers").unwrap()),
        ("raw", None, |root| root.link_soft("/", "raw").unwrap()),
        ("uns", None, |root| root.link_hard("/", "uns").unwrap()),
        ("obs", Some("obs: missing; expected an index"), |root| root.link_hard("/", "obs").unwrap()),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, refused, change) in cases {
        let path = folder.path().join(format!("{name}.h5ad"));
        write(&path, &example()).unwrap();
        let file = hdf5::File::open_rw(&path).unwrap();
        let root = file.group("/").unwrap();
        if root.link_exists(name) {
            root.unlink(name).unwrap();
        }
        change(&root);
        drop((root, file));
        match (File::open(&path), refused) {
            (Ok(file), None) => assert_eq!(file.n_cells(), 3, "{name}"),
            (Err(error), Some(said)) => assert!(error.to_string().contains(said), "{name}: {error}"),
            (outcome, _) => panic!("{name}: {outcome:?}"),
        }
    }
}
