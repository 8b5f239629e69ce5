//! The model of an inference job: where it is, what it is, and the device it runs on.

use std::path::Path;

use candle_core::Device;

use super::DeviceArg;
use crate::cli::{Error, Result};
use crate::domain::inference::Location;
use crate::objects::{ObjectKey, check_name};
use crate::stack::checkpoint::Checkpoint;
use crate::stack::folder::{self, GENES_FILE};
use crate::stack::genes::GeneList;
use crate::stack::model::{Compute, Model};

/// A model ready to run.
pub struct Loaded {
    /// The network.
    pub model: Model,
    /// Its genes.
    pub genes: GeneList,
    /// Its name.
    pub name: String,
    /// SHA-256 of its weights file.
    pub sha256: String,
    /// Licence of the weights, where it is known.
    pub licence: Option<String>,
}

/// What `--model` names: a path or address, or else the name of an imported model.
pub fn location(text: String) -> Location {
    let imported = !text.contains("://") && !Path::new(&text).exists() && check_name(&text).is_ok();
    // A misspelt file is better reported as a file than as a model.
    let is_file = Path::new(&text).extension().is_some_and(|e| e == "ckpt" || e == "safetensors");
    if imported && !is_file {
        return Location::Key(ObjectKey::model_folder(&text));
    }
    Location::from_argument(&text)
}

/// Reads a model from this machine.
pub fn load(path: &Path, genes: Option<&Path>, compute: &Compute) -> Result<Loaded> {
    let mut checkpoint = Checkpoint::open(path).map_err(Error::failed)?;
    let beside = checkpoint.weights_path().with_file_name(GENES_FILE);
    let genes = match genes {
        Some(genes) => GeneList::read(genes),
        None if beside.is_file() => GeneList::read(&beside),
        None => {
            return Err(Error::usage(format!("{} does not bring its gene list", path.display()))
                .hint("give --genes FILE, the list that was published with these weights")
                .hint("or import the model once: haystack import model CKPT --genes FILE --name NAME"));
        }
    };
    let genes = genes.map_err(Error::failed)?;
    folder::check_genes(&checkpoint, &genes).map_err(Error::failed)?;
    let about = match path.is_dir() {
        true => folder::about(path).map_err(Error::failed)?,
        false => None,
    };
    let sha256 = folder::sha256(checkpoint.weights_path()).map_err(Error::failed)?;
    if let Some(about) = about.as_ref().filter(|about| about.sha256 != sha256) {
        return Err(Error::failed(format!(
            "the weights of model {} are not those that were imported: {} has another SHA-256",
            about.name,
            checkpoint.weights_path().display()
        ))
        .hint("import the model again"));
    }
    let file_name = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Loaded {
        model: Model::load(&mut checkpoint, compute).map_err(Error::failed)?,
        genes,
        name: about.as_ref().map_or_else(file_name, |about| about.name.clone()),
        licence: about.and_then(|about| about.licence),
        sha256,
    })
}

/// The device, and how it is called in a summary.
pub fn device(wanted: DeviceArg) -> Result<(Compute, &'static str)> {
    let cpu = (Compute::default(), "cpu");
    let cuda = || Device::new_cuda(0).map(|device| (Compute::Tensors(device), "cuda:0"));
    match wanted {
        DeviceArg::Cpu => Ok(cpu),
        DeviceArg::Auto => Ok(cuda().unwrap_or(cpu)),
        DeviceArg::Cuda => cuda().map_err(|error| {
            let hint = "use --device auto or cpu; a GPU needs a build with the feature cuda and a driver";
            Error::usage(format!("no GPU can be used: {error}")).hint(hint)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_an_imported_model_and_anything_else_a_file() {
        let key = |text: &str| location(text.to_owned());
        assert_eq!(key("stack-large"), Location::Key("models/stack-large".into()));
        assert_eq!(key("gs://b/models/x"), Location::Url("gs://b/models/x".into()));
        assert_eq!(key("missing.ckpt"), Location::Path("missing.ckpt".into()));
        assert_eq!(key("./folder/missing"), Location::Path("./folder/missing".into()));
        assert_eq!(key("Cargo.toml"), Location::Path("Cargo.toml".into()));
    }
}
