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

/// The query's table of cells, read once for all arms. A column that cannot be read is left out,
/// with a warning.
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
