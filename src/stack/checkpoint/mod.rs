//! Checkpoints: a model's configuration and parameters from the files people have.
//!
//! Three forms are read: a PyTorch Lightning `.ckpt` (without executing anything in it), a
//! `.safetensors` file with `config.json` beside it, and the folder `haystack import model` writes.
//! Parameters are read one at a time and become `f32`.

mod element;
mod lightning;
pub mod pickle;
mod safetensors;
mod values;
mod zip;

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use serde::{Deserialize, Serialize};

pub use self::values::Values;
use super::config::{ConfigError, ModelConfig};

/// Name of the weights in the folder of an imported model.
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// Name of the constructor arguments beside the weights.
pub const CONFIG_FILE: &str = "config.json";

/// Bytes of the configuration that are read; it takes a few hundred.
const LONGEST_CONFIG: u64 = 1 << 20;

/// What a model was trained to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Masked reconstruction: embeddings, and generation in vanilla mode.
    Base,
    /// Aligned in context: also tells query cells from context cells, which `mdm` needs.
    Aligned,
}

impl Kind {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Aligned => "aligned",
        }
    }
}

/// Why a checkpoint cannot be used, with its file.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}", path = path.display())]
pub struct CheckpointError {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub problem: Problem,
}

/// What is wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Reading or writing failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Neither of the forms that are read.
    #[error("this is not a model: expected a Lightning .ckpt (a zip archive) or a .safetensors file")]
    Format,
    /// The zip structure is damaged.
    #[error("the zip archive is damaged: {0}")]
    Zip(#[from] ::zip::result::ZipError),
    /// A zip archive, but not as torch writes it.
    #[error("{0}")]
    Archive(String),
    /// The pickle in the archive.
    #[error("{0}")]
    Pickle(#[from] pickle::PickleError),
    /// The pickle is not what Lightning writes.
    #[error("this is not a Lightning checkpoint of the model: {0}")]
    Lightning(String),
    /// One tensor is described wrongly.
    #[error("tensor {name}: {what}")]
    Tensor {
        /// The tensor.
        name: String,
        /// In words.
        what: String,
    },
    /// A tensor of integers where parameters are expected.
    #[error("tensor {0} does not hold floating-point numbers")]
    NotFloats(String),
    /// The header of a safetensors file.
    #[error("the safetensors header is damaged: {0}")]
    Header(String),
    /// The configuration file beside the weights.
    #[error("{path} is needed beside the weights: {error}", path = path.display())]
    ConfigFile {
        /// Where it was looked for.
        path: PathBuf,
        /// Why it could not be read.
        error: io::Error,
    },
    /// The configuration.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// A parameter the configuration asks for is not there.
    #[error("parameter {0} is missing")]
    Missing(String),
    /// Parameters the model does not have.
    #[error("{count} parameters are not the model's, the first is {first}")]
    Unexpected {
        /// How many.
        count: usize,
        /// One of them.
        first: String,
    },
    /// A parameter of another shape than the configuration asks for.
    #[error("parameter {name} has shape {found:?}, the configuration asks for {expected:?}")]
    Shape {
        /// The parameter.
        name: String,
        /// As stored.
        found: Vec<usize>,
        /// As configured.
        expected: Vec<usize>,
    },
}

/// An opened checkpoint whose parameters are all there, with the shapes its configuration asks for.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    weights: PathBuf,
    source: Source,
    config: ModelConfig,
    kind: Kind,
    /// The weights, mapped when the first parameter is used where it lies.
    map: Option<Arc<Mmap>>,
}

#[derive(Debug)]
enum Source {
    Lightning(lightning::Reader),
    Safetensors(safetensors::Reader),
}

impl Checkpoint {
    /// Opens a checkpoint file, or the folder of an imported model. Values are not read yet.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        Self::read_from(path).map_err(|problem| CheckpointError { path: path.to_owned(), problem })
    }

    fn read_from(path: &Path) -> Result<Self, Problem> {
        let weights = if path.is_dir() { path.join(WEIGHTS_FILE) } else { path.to_owned() };
        let mut file = File::open(&weights)?;
        let mut magic = [0; 4];
        file.read_exact(&mut magic).map_err(|_| Problem::Format)?;
        file.rewind()?;
        let (source, config) = if magic == *b"PK\x03\x04" {
            let reader = lightning::Reader::open(zip::Archive::open(file)?)?;
            let config = ModelConfig::from_json(reader.config())?;
            (Source::Lightning(reader), config)
        } else {
            let reader = safetensors::Reader::open(file)?;
            let config = config_beside(&weights)?;
            (Source::Safetensors(reader), config)
        };
        let names = source.names();
        let kind = if names.iter().any(|name| name == "cls.0.weight") { Kind::Aligned } else { Kind::Base };
        check(&source, &names, &config, kind)?;
        Ok(Self { path: path.to_owned(), weights, source, config, kind, map: None })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that holds the weights.
    pub fn weights_path(&self) -> &Path {
        &self.weights
    }

    /// The model's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Base or aligned.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The values of one parameter, row by row.
    pub fn read(&mut self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let values = match &mut self.source {
            Source::Lightning(reader) => reader.read(name),
            Source::Safetensors(reader) => reader.read(name),
        };
        values.map_err(|problem| CheckpointError { path: self.path.clone(), problem })
    }

    /// The values of one parameter, row by row, without a copy where the file has them as `f32`.
    pub fn values(&mut self, name: &str) -> Result<Values, CheckpointError> {
        self.values_in_place(name).map_err(|problem| CheckpointError { path: self.path.clone(), problem })
    }

    fn values_in_place(&mut self, name: &str) -> Result<Values, Problem> {
        let span = match &mut self.source {
            Source::Lightning(reader) => reader.span(name)?,
            Source::Safetensors(reader) => reader.span(name),
        };
        if let Some(span) = span {
            let map = match &self.map {
                Some(map) => map,
                None => self.map.insert(values::map(&File::open(&self.weights)?)?),
            };
            if let Some(values) = Values::mapped(map, span, name)? {
                return Ok(values);
            }
        }
        let values = match &mut self.source {
            Source::Lightning(reader) => reader.read(name)?,
            Source::Safetensors(reader) => reader.read(name)?,
        };
        Ok(Values::read(values))
    }

    /// Writes every parameter as safetensors in `f32`.
    pub fn write_safetensors(&mut self, to: &mut impl Write) -> Result<(), CheckpointError> {
        let parameters = parameters(&self.config, self.kind);
        let source = &mut self.source;
        let written = safetensors::write(to, &parameters, |name| match source {
            Source::Lightning(reader) => reader.read(name),
            Source::Safetensors(reader) => reader.read(name),
        });
        written.map_err(|problem| CheckpointError { path: self.path.clone(), problem })
    }
}

impl Source {
    fn names(&self) -> Vec<String> {
        match self {
            Self::Lightning(reader) => reader.names(),
            Self::Safetensors(reader) => reader.names(),
        }
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        match self {
            Self::Lightning(reader) => reader.shape(name),
            Self::Safetensors(reader) => reader.shape(name),
        }
    }
}

/// Names and shapes of a model's parameters, as a checkpoint stores them.
pub fn parameters(config: &ModelConfig, kind: Kind) -> Vec<(String, Vec<usize>)> {
    let (genes, hidden, token, width) = (config.n_genes, config.n_hidden, config.token_dim, config.width());
    let mut list: Vec<(String, Vec<usize>)> = Vec::new();
    let mut add = |name: String, shape: &[usize]| list.push((name, shape.to_vec()));
    let mut linear = |name: String, out: usize, input: usize| {
        add(format!("{name}.weight"), &[out, input]);
        add(format!("{name}.bias"), &[out]);
    };
    linear("gene_reduction.0".to_owned(), width, genes);
    for l in 0..config.n_layers {
        linear(format!("layers.{l}.cell_attn.proj"), token, token);
        linear(format!("layers.{l}.gene_attn.proj"), width, width);
        linear(format!("layers.{l}.mlp.0"), config.mlp_ratio * token, token);
        linear(format!("layers.{l}.mlp.3"), token, config.mlp_ratio * token);
    }
    linear("output_mlp.0".to_owned(), 2 * width, width);
    linear("output_mlp.3".to_owned(), 2 * genes, 2 * width);
    if kind == Kind::Aligned {
        linear("cls.0".to_owned(), hidden, 2 * width);
        linear("cls.2".to_owned(), 1, hidden);
        add("query_pos_embedding".to_owned(), &[hidden, token]);
    }
    add("gene_pos_embedding".to_owned(), &[hidden, token]);
    for l in 0..config.n_layers {
        add(format!("layers.{l}.cell_attn.qkv.weight"), &[3 * token, token]);
        add(format!("layers.{l}.gene_attn.qkv.weight"), &[3 * width, width]);
        for (norm, size) in [("cell_norm", token), ("gene_norm", width), ("mlp_norm", token)] {
            add(format!("layers.{l}.{norm}.weight"), &[size]);
            add(format!("layers.{l}.{norm}.bias"), &[size]);
        }
    }
    list
}

/// Strict, as the reference loads: nothing missing, nothing more, every shape as configured.
fn check(source: &Source, names: &[String], config: &ModelConfig, kind: Kind) -> Result<(), Problem> {
    // A layer has a dozen parameters: with fewer names than layers the list need not be made.
    if config.n_layers > names.len() {
        return Err(Problem::Missing(format!("layers.{}.cell_attn.qkv.weight", config.n_layers - 1)));
    }
    let expected = parameters(config, kind);
    for (name, shape) in &expected {
        let found = source.shape(name).ok_or_else(|| Problem::Missing(name.clone()))?;
        if found != shape {
            return Err(Problem::Shape { name: name.clone(), found: found.to_vec(), expected: shape.clone() });
        }
    }
    let known: std::collections::HashSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    let mut surplus = names.iter().filter(|name| !known.contains(name.as_str()));
    if let Some(first) = surplus.next() {
        return Err(Problem::Unexpected { count: 1 + surplus.count(), first: first.clone() });
    }
    Ok(())
}

/// `config.json` beside the weights: the arguments themselves, or under `model_config`.
fn config_beside(weights: &Path) -> Result<ModelConfig, Problem> {
    let path = weights.with_file_name(CONFIG_FILE);
    let mut text = String::new();
    let read = File::open(&path).and_then(|file| file.take(LONGEST_CONFIG).read_to_string(&mut text));
    read.map_err(|error| Problem::ConfigFile { path, error })?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(ConfigError::from)?;
    Ok(ModelConfig::from_json(json.get("model_config").unwrap_or(&json))?)
}
