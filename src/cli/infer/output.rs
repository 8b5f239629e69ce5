//! The predicted cells as an AnnData object.

use std::path::Path;

use crate::anndata::{self, AnnData, Column, Frame, Numbers, Streamed, Table, Value};
use crate::cli::{Error, Result};
use crate::domain::inference::{Arm, Method, Mode, Sampling};
use crate::stack::generate::Counts;
use crate::stack::spool::Spool;

use super::input;
use super::model::Loaded;

/// Everything an output says about how it was made.
pub struct Origin<'a> {
    /// The arm.
    pub arm: &'a Arm,
    /// What decided the numbers.
    pub sampling: &'a Sampling,
    /// Draws or means.
    pub counts: Counts,
    /// The model, for an arm that used it.
    pub model: Option<&'a Loaded>,
}

/// The query's table of cells, read once for all arms. A column that cannot be read, or not be written
/// again, is left out, with a warning: found out after the prediction it would cost that.
pub fn query_table(obs: &Frame, warnings: &mut Vec<String>) -> Result<Table> {
    let mut table = Table {
        index_name: obs.index_name().map(str::to_owned),
        index: obs.index().map_err(Error::failed)?,
        columns: Vec::new(),
    };
    for name in obs.columns() {
        match obs.column(name) {
            Ok(column) => table.columns.push((name.clone(), column)),
            Err(error) => warnings.push(format!("obs/{name} is not in the output: {error}")),
        }
    }
    let unwritable = table.drop_unwritable().into_iter();
    warnings.extend(unwritable.map(|(name, why)| format!("obs/{name} is not in the output: {why}")));
    Ok(table)
}

/// Writes predicted cells with their counts in `X`, from memory or from where they lie, to a temporary
/// file.
pub fn write(file: &Path, mut data: AnnData, counts: Spool) -> Result {
    if counts.in_memory().is_some() {
        data.x = Some(Numbers::Sparse(counts.into_csr().map_err(input::scratch)?));
        return anndata::write(file, &data).map_err(unwritten);
    }
    let n_cols = counts.n_cols();
    let (indptr, mut indices, mut values) = counts.parts().ok_or_else(|| Error::bug("cells are nowhere"))?;
    let x = Streamed::Sparse { n_cols, indptr, indices: &mut indices, values: &mut values };
    anndata::write_streamed(file, &data, x).map_err(unwritten)
}

fn unwritten(error: anndata::Error) -> Error {
    Error::failed(error).hint("this is a temporary file; TMPDIR can name another folder for them")
}

/// The table of cells with the logit of each, where there are logits.
pub fn with_logits(mut obs: Table, logits: Option<&[f32]>) -> Table {
    if let Some(logits) = logits {
        obs.columns.retain(|(name, _)| name != "gen_logit");
        let _ = obs.index_name.take_if(|name| name == "gen_logit");
        let logits = Column::Floats(logits.iter().map(|&logit| f64::from(logit)).collect());
        obs.columns.push(("gen_logit".to_owned(), logits));
    }
    obs
}

/// The cells' table, genes as `var`, and the origin in `uns["haystack"]`; without counts.
pub fn anndata(obs: Table, genes: &[String], origin: &Origin) -> Result<AnnData> {
    let var = Table { index_name: None, index: genes.to_vec(), columns: Vec::new() };
    let uns = vec![("haystack".to_owned(), Value::Dict(describe(origin)?))];
    Ok(AnnData { obs, var, uns, ..AnnData::default() })
}

fn describe(origin: &Origin) -> Result<Vec<(String, Value)>> {
    let text = |text: &str| Value::String(text.to_owned());
    let sampling = origin.sampling;
    let mut about = vec![
        ("arm", text(&origin.arm.name)),
        ("method", text(origin.arm.method.as_str())),
        ("prompt", text(&origin.arm.prompt.to_string())),
        ("counts", text(if origin.counts == Counts::Mean { "mean" } else { "sampled" })),
        // Text, because a seed may be larger than a signed 64-bit integer.
        ("seed", text(&sampling.seed.to_string())),
        ("version", text(env!("CARGO_PKG_VERSION"))),
    ];
    if let Some(split) = &origin.arm.split {
        about.push(("split_column", text(&split.column)));
    }
    if let Some(control) = &origin.arm.control {
        about.push(("control", text(&control.to_string())));
    }
    if origin.arm.method == Method::Stack {
        let mode = match sampling.mode {
            Mode::Mdm => "mdm",
            Mode::Vanilla => "vanilla",
        };
        about.extend([
            ("mode", text(mode)),
            ("diffusion_steps", Value::Int(sampling.diffusion_steps.into())),
            ("prompt_ratio", Value::Float(sampling.prompt_ratio)),
            ("context_ratio", Value::Float(sampling.context_ratio)),
            ("context_ratio_min", Value::Float(sampling.context_ratio_min)),
        ]);
    }
    if let Some(model) = origin.model {
        about.extend(describe_model(model)?);
    }
    Ok(about.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// What an output says about the model it was made with.
pub fn describe_model(model: &Loaded) -> Result<[(&'static str, Value); 3]> {
    let text = |text: &str| Value::String(text.to_owned());
    Ok([
        ("model", text(&model.name)),
        ("model_sha256", text(&model.sha256()?)),
        ("model_licence", text(model.licence.as_deref().unwrap_or("not recorded"))),
    ])
}

#[cfg(test)]
mod tests {
    use hdf5::types::VarLenUnicode;

    use super::*;
    use crate::anndata::File;

    #[test]
    fn columns_that_cannot_be_written_are_left_out_before_they_cost_a_prediction() {
        let folder = tempfile::tempdir().unwrap();
        let (path, output) = (folder.path().join("cells.h5ad"), folder.path().join("out.h5ad"));
        let table = |prefix: &str, columns| Table {
            index_name: None,
            index: (0..3).map(|row| format!("{prefix}{row}")).collect(),
            columns,
        };
        let numbers = || Column::Integers(vec![Some(1), Some(2), Some(3)]);
        let obs = table("c", vec![("kept".to_owned(), numbers()), ("index".to_owned(), numbers())]);
        let data = AnnData { obs, var: table("g", vec![]), ..AnnData::default() };
        anndata::write(&path, &data).unwrap();
        // As anndata up to 0.12 writes a column `zz/c`, and an index called `bar/code`.
        let text = |text: &str| text.parse::<VarLenUnicode>().unwrap();
        let file = hdf5::File::open_rw(&path).unwrap();
        let obs = file.group("obs").unwrap();
        obs.create_group("zz").unwrap().new_dataset_builder().with_data(&[4, 5, 6]).create("c").unwrap();
        obs.create_group("bar").unwrap();
        obs.relink("_index", "bar/code").unwrap();
        obs.delete_attr("_index").unwrap();
        obs.new_attr::<VarLenUnicode>().create("_index").unwrap().write_scalar(&text("bar/code")).unwrap();
        obs.delete_attr("column-order").unwrap();
        let order = ["kept", "zz/c", "kept"].map(text);
        obs.new_attr::<VarLenUnicode>().shape([3]).create("column-order").unwrap().write_raw(&order).unwrap();
        drop((obs, file));

        let file = File::open(&path).unwrap();
        assert_eq!(
            (file.obs().columns(), file.obs().index_name()),
            (&["kept", "zz/c", "kept"].map(str::to_owned)[..], Some("bar/code"))
        );
        let mut warnings = Vec::new();
        let mut obs = query_table(file.obs(), &mut warnings).unwrap();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].starts_with("obs/zz/c is not in the output: \"zz/c\" cannot be a name"), "{warnings:?}");
        assert!(warnings[1].starts_with("obs/kept is not in the output: an earlier column"), "{warnings:?}");
        obs.index_name = Some("gen_logit".to_owned());
        let obs = with_logits(obs, Some(&[0.5, 1.0, 1.5]));
        anndata::write(&output, &AnnData { obs, var: data.var, ..AnnData::default() }).unwrap();
        let back = File::open(&output).unwrap();
        assert_eq!(
            (back.obs().columns(), back.obs().index_name()),
            (&["kept", "gen_logit"].map(str::to_owned)[..], None)
        );
        assert_eq!(back.obs().index().unwrap(), ["c0", "c1", "c2"]);
    }
}
