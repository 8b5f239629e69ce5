//! Laying a generated atlas out as anndata does.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use anyhow::Result;
use hdf5::types::VarLenUnicode;
use hdf5::{Dataset, Group, H5Type, Location};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Column, Counts, Design, Plan};

/// Cells made at once.
const CELLS: usize = 1 << 16;
/// Entries copied at once.
const ENTRIES: usize = 1 << 20;
/// Entries in a chunk of a compressed matrix: about what h5py guesses for 200 million.
const CHUNK: usize = 24 << 10;

pub fn write(path: &Path, plan: &Plan, design: &Design) -> Result<()> {
    let file = hdf5::File::create(path)?;
    encode(&file, "anndata", "0.1.0")?;
    let names: Vec<&str> = design.columns.iter().map(Column::name).collect();
    let obs = table(&file, "obs", &names)?;
    let index = obs.new_dataset::<VarLenUnicode>().shape(plan.n_cells).create("_index")?;
    encode(&index, "string-array", "0.2.0")?;
    let columns = design.columns.iter().map(|column| column.create(&obs, plan)).collect::<Result<Vec<_>>>()?;

    let var = table(&file, "var", &[])?;
    let genes = (0..plan.n_genes).map(|gene| unicode(&format!("G{gene:05}"))).collect::<Result<Vec<_>>>()?;
    let var_index = var.new_dataset_builder().with_data(&genes).create("_index")?;
    encode(&var_index, "string-array", "0.2.0")?;
    for name in ["layers", "obsm", "obsp", "varm", "varp", "uns"] {
        let group = file.create_group(name)?;
        encode(&group, "dict", "0.1.0")?;
    }

    // The length of a contiguous matrix must be known when it is made, so its entries wait in files.
    let folder = tempfile::tempdir_in(path.parent().unwrap_or(Path::new(".")))?;
    let part = |name: &str| folder.path().join(name);
    let mut indices = BufWriter::new(File::create(part("indices"))?);
    let mut values = BufWriter::new(File::create(part("values"))?);
    let mut indptr: Vec<i64> = vec![0];
    let mut counts = Counts::new(plan);
    let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
    for start in (0..plan.n_cells).step_by(CELLS) {
        let end = plan.n_cells.min(start + CELLS);
        let mut levels: Vec<Vec<u32>> = vec![Vec::with_capacity(end - start); design.factors.len()];
        let (mut n_genes, mut totals) = (Vec::new(), Vec::new());
        let (mut row_indices, mut row_values) = (Vec::new(), Vec::new());
        let mut cells = Vec::new();
        for cell in start..end {
            for (factor, levels) in design.factors.iter().zip(&mut levels) {
                levels.push(factor.draw(&mut rng));
            }
            let first = row_values.len();
            counts.draw(&mut rng, &mut row_indices, &mut row_values);
            n_genes.push((row_values.len() - first) as i64);
            totals.push(row_values[first..].iter().sum::<f32>() as i64);
            indptr.push(indptr[indptr.len() - 1] + n_genes[cell - start]);
            cells.push(unicode(&format!("{:02}_{:02}_{:02}__s{cell}", cell % 96 + 1, cell / 96 % 96 + 1, cell % 7))?);
        }
        for value in row_indices {
            indices.write_all(&i32::to_le_bytes(value))?;
        }
        for value in row_values {
            values.write_all(&f32::to_le_bytes(value))?;
        }
        index.write_slice(&cells, start..end)?;
        for (column, data) in design.columns.iter().zip(&columns) {
            match column {
                Column::Labels { factor, codes, .. } => {
                    let codes: Vec<i16> = levels[*factor].iter().map(|&level| codes[level as usize]).collect();
                    data.write_slice(&codes, start..end)?;
                }
                Column::Genes(_) => data.write_slice(&n_genes, start..end)?,
                Column::Counts(_) => data.write_slice(&totals, start..end)?,
            }
        }
    }
    indices.flush()?;
    values.flush()?;

    let x = file.create_group("X")?;
    encode(&x, "csr_matrix", "0.1.0")?;
    let shape = [plan.n_cells as i64, plan.n_genes as i64];
    x.new_attr::<i64>().shape([2]).create("shape")?.write_raw(&shape)?;
    let n = indptr[indptr.len() - 1] as usize;
    x.new_dataset_builder().with_data(&indptr).create("indptr")?;
    copy(&part("indices"), &entries::<i32>(&x, "indices", n, plan)?, n, i32::from_le_bytes)?;
    copy(&part("values"), &entries::<f32>(&x, "data", n, plan)?, n, f32::from_le_bytes)?;
    file.flush()?;
    Ok(file.close()?)
}

impl Column {
    fn name(&self) -> &'static str {
        match self {
            Self::Labels { name, .. } | Self::Genes(name) | Self::Counts(name) => name,
        }
    }

    /// The data set that gets the values: the codes of a categorical, or numbers.
    fn create(&self, obs: &Group, plan: &Plan) -> Result<Dataset> {
        let Self::Labels { name, labels, .. } = self else {
            let numbers = obs.new_dataset::<i64>().shape(plan.n_cells).create(self.name())?;
            encode(&numbers, "array", "0.2.0")?;
            return Ok(numbers);
        };
        let group = obs.create_group(name)?;
        encode(&group, "categorical", "0.2.0")?;
        group.new_attr::<bool>().create("ordered")?.write_scalar(&false)?;
        let labels = labels.iter().map(|label| unicode(label)).collect::<Result<Vec<_>>>()?;
        let categories = group.new_dataset_builder().with_data(&labels).create("categories")?;
        encode(&categories, "string-array", "0.2.0")?;
        let codes = group.new_dataset::<i16>().shape(plan.n_cells).create("codes")?;
        encode(&codes, "array", "0.2.0")?;
        Ok(codes)
    }
}

fn entries<T: H5Type>(x: &Group, name: &str, n: usize, plan: &Plan) -> Result<Dataset> {
    let data = x.new_dataset::<T>();
    Ok(if plan.gzip && n > 0 {
        data.chunk([CHUNK.min(n)]).deflate(4).shape([n]).create(name)?
    } else {
        data.shape([n]).create(name)?
    })
}

fn copy<T: H5Type>(from: &Path, to: &Dataset, n: usize, number: impl Fn([u8; 4]) -> T) -> Result<()> {
    let mut from = BufReader::new(File::open(from)?);
    for start in (0..n).step_by(ENTRIES) {
        let end = n.min(start + ENTRIES);
        let mut bytes = vec![0; (end - start) * 4];
        from.read_exact(&mut bytes)?;
        let (words, _) = bytes.as_chunks::<4>();
        let numbers: Vec<T> = words.iter().map(|word| number(*word)).collect();
        to.write_slice(&numbers, start..end)?;
    }
    Ok(())
}

fn table(file: &hdf5::File, name: &str, columns: &[&str]) -> Result<Group> {
    let group = file.create_group(name)?;
    encode(&group, "dataframe", "0.2.0")?;
    group.new_attr::<VarLenUnicode>().create("_index")?.write_scalar(&unicode("_index")?)?;
    let columns = columns.iter().map(|name| unicode(name)).collect::<Result<Vec<_>>>()?;
    group.new_attr::<VarLenUnicode>().shape([columns.len()]).create("column-order")?.write_raw(&columns)?;
    Ok(group)
}

fn encode(location: &Location, encoding: &str, version: &str) -> Result<()> {
    for (name, text) in [("encoding-type", encoding), ("encoding-version", version)] {
        location.new_attr::<VarLenUnicode>().create(name)?.write_scalar(&unicode(text)?)?;
    }
    Ok(())
}

fn unicode(text: &str) -> Result<VarLenUnicode> {
    Ok(text.parse()?)
}
